/**
 * Whether anything may unwind stacks: C++ and Rust exceptions, through libgcc or
 * libunwind. A uretprobe changes return addresses, which no unwinder can follow: an exception
 * that comes by ends the process. Where there is none, uretprobes are harmless, and cheaper.
 */
import { fileOffset } from '../base/numbers.ts';
import { processMaps } from '../kernel/host/processes.ts';
import type { Program } from '../program/program.ts';
import { isUnwinder } from '../symbolize/symbols/binary.ts';
import type { Binary, FunctionExits, Target } from '../target/target.ts';

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

/** Functions that are named in a warning, and places. */
const mostNamed = 3;

/**
 * What to say of a program's uretprobes on functions that exceptions may pass; undefined when there are
 * none. Functions that call no other one are left out, as is main(), which only passes what nobody catches.
 */
export function uretprobeWarning(program: Program, target: Target): string | undefined {
  const names = new Set<string>();
  let others = false;
  let places: string | undefined;
  const throwing = new Map<string, Binary | undefined>();
  for (const probe of program.probes) {
    if (probe.kind !== 'uretprobe' || probe.symbol === 'main') continue;
    const { path, offset } = probe;
    if (!throwing.has(path)) {
      const opened = target.binary(path, undefined);
      throwing.set(path, opened.ok && opened.value.throws ? opened.value : undefined);
    }
    const binary = throwing.get(path);
    const address = binary?.addressAt(fileOffset(offset));
    if (binary === undefined || address === undefined) continue;
    const exits = binary.exits(address);
    if (exits?.leaf === true) continue;
    others = names.size === mostNamed;
    if (others) break;
    const symbol = binary.at(address);
    const name = symbol?.demangled || symbol?.name || hex(address);
    names.add(name);
    places ??= returnPlaces(name, path, exits);
  }
  if (names.size === 0) return undefined;
  const which = names.size === 1 ? 'it' : 'one of them';
  return `uretprobe on ${[...names].join(', ')}${others ? ' and others' : ''}: an exception or panic that passes ${which} ends the traced program, as no unwinder can follow the return address that the kernel puts there. insitu calls does without${places ?? ''}`;
}

const hex = (address: number): string => `0x${address.toString(16)}`;

/** Uprobes that tell of a function's returns; undefined where it also leaves by jumps, or at many places. */
function returnPlaces(name: string, path: string, exits: FunctionExits | undefined): string | undefined {
  const found = exits?.exits ?? [];
  if (found.length === 0 || found.length > mostNamed || found.some(({ kind }) => kind !== 'ret')) return undefined;
  const probes = found.map(({ address }) => `uprobe:${path}:${hex(address)}`);
  return `, as do uprobes where ${name} returns: ${probes.join(', ')} (reg("ax") is the result)`;
}
