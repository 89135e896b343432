/**
 * What a uprobe costs the process that runs into it, measured on this process: its own
 * libc's syscall(2), with and without. It differs by a factor of fifty between machines: the
 * breakpoint itself is an exception, and an instruction that the kernel cannot emulate is
 * stepped over, which is another one (and in some virtual machines a way out to the host).
 */
import { virtualAddress } from '../base/numbers.ts';
import { createHostTarget } from '../kernel/host/target.ts';
import { linkUprobeMulti } from '../kernel/sys/bpf.ts';
import { trySystemCall } from '../kernel/sys/native.ts';

/** Nanoseconds. */
export interface ProbeCosts {
  /** At an instruction that is stepped over. */
  readonly step: number;
  /** At one that is emulated: push, nop, a jump or call with a relative target. */
  readonly emulated: number;
  /** A return by uretprobe, without the probe at the function's begin. */
  readonly uretprobe: number;
}

/** Where it cannot be measured: more than on most machines. */
const assumed: ProbeCosts = { step: 5000, emulated: 2500, uretprobe: 2500 };
/** What the program itself takes, about. */
const programTime = 400;
const calls = 64;

/** Whether the kernel steps over an instruction (arch/x86/kernel/uprobes.c: branch_setup_xol_ops, push_setup_xol_ops). */
export function stepsOver(bytes: Uint8Array): boolean {
  const [first = 0, second = 0] = bytes;
  if (first >= 0x50 && first <= 0x57) return false;
  if (first === 0x41 && second >= 0x50 && second <= 0x57) return false;
  if (first === 0x90 || first === 0xe8 || first === 0xe9 || first === 0xeb) return false;
  if (first >= 0x70 && first <= 0x7f) return false;
  return !(first === 0x0f && (second === 0x1f || (second >= 0x80 && second <= 0x8f)));
}

/** `program` takes cookies of no generation as nothing to do. */
export function measureProbes(program: number, multi: boolean, closeLater: (fd: number) => void): ProbeCosts {
  if (!multi) return assumed;
  const target = createHostTarget();
  const libc = target.binary('libc', process.pid);
  if (!libc.ok) return assumed;
  const [symbol] = libc.value.find('syscall');
  if (symbol === undefined) return assumed;
  const begin = libc.value.toFileOffset(virtualAddress(symbol.address));
  const exits = libc.value.exits(symbol.address);
  const firstReturn = exits?.exits.find(({ kind }) => kind === 'ret');
  const end = firstReturn && libc.value.toFileOffset(firstReturn.address);
  if (!begin.ok || !end?.ok) return assumed;
  const { path } = libc.value;
  const links: number[] = [];
  const timeWith = (offset: number, atReturn: boolean): number => {
    links.push(linkUprobeMulti(program, { path, offsets: [offset], cookies: [0], atReturn, pid: process.pid }));
    return nanosecondsOfCall();
  };
  try {
    // Each stays until the end: the kernel takes its time to let go of one.
    const base = nanosecondsOfCall();
    const stepped = timeWith(end.value, false);
    const both = timeWith(begin.value, true);
    const step = Math.max(1, stepped - base) + programTime;
    const uretprobe = Math.max(1, both - stepped - (stepped - base)) + programTime;
    return { step, emulated: Math.min(step, uretprobe), uretprobe };
  } finally {
    for (const fd of links) closeLater(fd);
  }
}

/** The quickest of some calls of getppid(2): what else the machine does only adds. */
function nanosecondsOfCall(): number {
  let least = Number.POSITIVE_INFINITY;
  for (let call = 0; call < calls; call++) {
    const start = performance.now();
    trySystemCall('getppid');
    least = Math.min(least, (performance.now() - start) * 1e6);
  }
  return least;
}
