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

/** `program` is the file that the process runs, or will run. */
export function mayUnwind(target: Target, program: string, pid: number | undefined): (binary: Binary) => boolean {
  let process = pid !== undefined && mappedUnwinder(pid) !== undefined;
  // Also what its libraries need, once for each.
  const known = new Set<string>();
  const look = (file: string): void => {
    if (process || known.has(file)) return;
    known.add(file);
    const opened = target.binary(file, pid);
    // Of libraries the names are enough: also libc has landing pads, for threads that are cancelled.
    if (!opened.ok || (file === program && opened.value.unwindable) || opened.value.needed.some(isUnwinder)) {
      process = true;
      return;
    }
    for (const needed of opened.value.needed) look(needed);
  };
  look(program);
  return (binary) => process || binary.unwindable;
}
