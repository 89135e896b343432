/** Other processes, through /proc (proc(5)). All of it may be gone the next moment: undefined then. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Whether there is such a process (not merely a thread of one). */
export function processExists(pid: number): boolean {
  const status = read(`/proc/${pid}/status`);
  return status !== undefined && Number(/^Tgid:\s*(\d+)/m.exec(status)?.[1]) === pid;
}

/** Start time in clock ticks since boot: with the pid it names a process for ever. */
export function processStartTime(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The name may hold spaces and parentheses: count fields from its end; starttime is field 22.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[22 - 3]);
}

/** Nanoseconds of CPU time that a process has had, in steps of a clock tick (10 ms: USER_HZ is 100 everywhere). */
export function processCpuTime(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[14 - 3]) + Number(fields[15 - 3])) * 1e7;
}

export function processName(pid: number): string | undefined {
  return read(`/proc/${pid}/comm`)?.replace(/\n$/, '');
}

/** Path of the program as the process sees it; ` (deleted)` stripped. */
export function processExecutable(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, '');
  } catch {
    return undefined;
  }
}

/** Text of /proc/PID/maps. */
export function processMaps(pid: number): string | undefined {
  return read(`/proc/${pid}/maps`);
}

/** All processes now. */
export function processIds(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Numbers of the namespaces' pid of a process: [pid here, …, pid innermost]. */
export function namespacePids(pid: number): readonly number[] {
  const line = /^NSpid:\s*(.*)$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
  return line === undefined ? [] : line.trim().split(/\s+/).map(Number);
}
