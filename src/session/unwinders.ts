/**
 * Whether anything may unwind stacks: C++ and Rust exceptions, through libgcc or
 * libunwind. A uretprobe changes return addresses, which no unwinder can follow: an exception
 * that comes by ends the process. Where there is none, uretprobes are harmless, and cheaper.
 */
import { fileOffset, type VirtualAddress } from '../base/numbers.ts';
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

/** Functions whose uretprobes may end the traced program. */
class Endangered {
  readonly #names = new Set<string>();
  #others = false;
  /** Uprobes in place of one of them. */
  places: string | undefined;

  add(binary: Binary, path: string, address: VirtualAddress): void {
    this.#others = this.#names.size === mostNamed;
    if (this.#others) return;
    const symbol = binary.at(address);
    const name = symbol?.demangled || symbol?.name || hex(address);
    this.#names.add(name);
    this.places ??= returnPlaces(name, path, binary.exits(address));
  }

  /** Of as many as are named. */
  get full(): boolean {
    return this.#others;
  }

  get some(): boolean {
    return this.#names.size > 0;
  }

  get which(): string {
    return this.#names.size === 1 ? 'it' : 'one of them';
  }

  get names(): string {
    return `${[...this.#names].join(', ')}${this.#others ? ' and others' : ''}`;
  }
}

/**
 * What to say of a program's uretprobes on functions that exceptions may pass, and of those in Go; nothing
 * when there are none. Of the former, functions that call no other one are left out, as is main(), which
 * only passes what nobody catches.
 */
export function uretprobeWarnings(program: Program, target: Target): readonly string[] {
  const [passed, moved] = [new Endangered(), new Endangered()];
  const harmed = new Map<string, Binary | undefined>();
  for (const probe of program.probes) {
    if (probe.kind !== 'uretprobe') continue;
    const { path, offset, symbol } = probe;
    if (!harmed.has(path)) {
      const opened = target.binary(path, undefined);
      harmed.set(path, opened.ok && (opened.value.movesStacks || opened.value.throws) ? opened.value : undefined);
    }
    const binary = harmed.get(path);
    const address = binary?.addressAt(fileOffset(offset));
    if (binary === undefined || address === undefined) continue;
    if (binary.movesStacks) moved.add(binary, path, address);
    else if (symbol !== 'main' && !passed.full && binary.exits(address)?.leaf !== true)
      passed.add(binary, path, address);
  }
  const warnings: string[] = [];
  if (passed.some) {
    warnings.push(
      `uretprobe on ${passed.names}: an exception or panic that passes ${passed.which} ends the traced program, as no unwinder can follow the return address that the kernel puts there. insitu calls does without${passed.places === undefined ? '' : `, as do ${passed.places}`}`,
    );
  }
  if (moved.some) {
    warnings.push(
      `uretprobe on ${moved.names}: Go's runtime ends the traced program when it moves or reads a goroutine's stack while ${moved.which} runs, as it does not know the return address that the kernel puts there${moved.places === undefined ? '' : `. Without harm: ${moved.places}`}`,
    );
  }
  return warnings;
}

const hex = (address: number): string => `0x${address.toString(16)}`;

/** Uprobes that tell of a function's returns; undefined where it also leaves by jumps, or at many places. */
function returnPlaces(name: string, path: string, exits: FunctionExits | undefined): string | undefined {
  const found = exits?.exits ?? [];
  if (found.length === 0 || found.length > mostNamed || found.some(({ kind }) => kind !== 'ret')) return undefined;
  const probes = found.map(({ address }) => `uprobe:${path}:${hex(address)}`);
  return `uprobes where ${name} returns: ${probes.join(', ')} (reg("ax") is the result)`;
}
