/**
 * Whether anything in a process may unwind stacks: C++ and Rust exceptions, through libgcc or
 * libunwind. A uretprobe changes return addresses, which no unwinder can follow: an exception
 * that comes by ends the process. Where there is none, uretprobes are harmless, and cheaper.
 */
import { processMaps } from '../kernel/host/processes.ts';
import { isUnwinder } from '../symbolize/symbols/binary.ts';
import type { Binary, Target } from '../target/target.ts';

/** The library that unwinds stacks among the files that a process has mapped; undefined when there is none. */
export function mappedUnwinder(pid: number): string | undefined {
  return processMaps(pid)
    ?.split('\n')
    .map((line) => line.split('/').at(-1) ?? '')
    .find(isUnwinder);
}

/** Whether return addresses of a file's functions must be left alone; a command that has not begun has no pid here. */
export function mayUnwind(
  target: Target,
  processes: readonly { readonly pid: number | undefined; readonly program: string }[],
): (binary: Binary) => boolean {
  const any = processes.some(({ pid, program }) => {
    if (pid !== undefined && mappedUnwinder(pid) !== undefined) return true;
    const known = new Set<string>();
    const unwinds = (file: string): boolean => {
      if (known.has(file)) return false;
      known.add(file);
      const opened = target.binary(file, pid);
      // What cannot be looked at may do anything.
      if (!opened.ok) return true;
      const { needed, unwindable } = opened.value;
      // Of libraries the names are enough: also libc has landing pads, for threads that are cancelled.
      return (file === program && unwindable) || needed.some(isUnwinder) || needed.some(unwinds);
    };
    return unwinds(program);
  });
  return (binary) => any || binary.unwindable;
}
