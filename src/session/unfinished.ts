/**
 * Stacks that met code whose unwind rules had not been read: their registers and memory
 * come from the kernel (program/unwind.ts, NoteKind), and they are walked here when the
 * rules are there, or somebody wants to see them.
 */
import { Lru } from '../base/lru.ts';
import type { Mapping } from '../debuginfo/text/maps.ts';
import {
  mostReturns,
  NoteKind,
  Register,
  type StackEnd,
  savedBytes,
  savedRegisters,
  stackEnds,
} from '../program/unwind.ts';
import type { UnwindTable } from '../symbolize/unwind/table.ts';
import { type SavedMapping, walkStack } from '../symbolize/unwind/walk.ts';
import type { FinishedStack } from '../values/unfinished.ts';

/** Frames that a script can ask for. */
const mostFrames = 1024;
/** Bytes of saved memory that wait at once; the oldest stack is walked when there are more. */
const mostBytes = 64 << 20;
/** Pieces of memory that are remembered, twice as many as the kernel counts on. */
const mostPieces = 16384;
/** Finished stacks that are remembered. */
const mostFinished = 16384;

interface SavedStack {
  readonly pid: number;
  /** CLOCK_MONOTONIC nanoseconds, as in the side-band records. */
  readonly time: number;
  readonly registers: BigUint64Array;
  readonly trampoline: bigint;
  /** What return probes took from the stack: its place, and the address. */
  readonly returns: readonly (readonly [slot: bigint, address: bigint])[];
  /** Pieces of its memory, by address. */
  readonly memory: Map<bigint, DataView>;
  /** What it brought of memory that was not known. */
  bytes: number;
}

export interface StackSources {
  /** The executable mappings of a process, at a time when there was code at that address. `followed`: as events told of them so far. */
  mappings(pid: number, address: number, followed: boolean): readonly Mapping[] | undefined;
  /** A file's table, made now when it is not there; undefined when the file cannot be had. */
  table(pid: number, mapping: Mapping): UnwindTable | 'jit' | undefined;
}

export class UnfinishedStacks {
  /** By how they ended: stacks that were finished. */
  readonly ends: number[] = stackEnds.map(() => 0);
  /** Of them, those for which frame pointers were followed where rules may exist. */
  guesses = 0;
  readonly #sources: StackSources;
  readonly #waiting = new Map<bigint, SavedStack>();
  readonly #finished: Lru<bigint, FinishedStack> = new Lru(mostFinished);
  /** Pieces of memory by their sums: what the kernel says that it has handed over. */
  readonly #pieces: Lru<bigint, DataView> = new Lru(mostPieces);
  #bytes = 0;

  constructor(sources: StackSources) {
    this.#sources = sources;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** A note of kind `registers`, from its id on. */
  registers(pid: number, view: DataView, offset: number): void {
    const word = (index: number): bigint => view.getBigUint64(offset + 8 * index, true);
    const returns: [bigint, bigint][] = [];
    const afterRegisters = 2 + savedRegisters;
    for (let index = 0; index < mostReturns; index++) {
      const slot = word(afterRegisters + 1 + 2 * index);
      if (slot === 0n) break;
      returns.push([slot, word(afterRegisters + 2 + 2 * index)]);
    }
    this.#waiting.set(word(0), {
      pid,
      time: Number(word(1)),
      registers: BigUint64Array.from({ length: savedRegisters }, (_, index) => word(2 + index)),
      trampoline: word(afterRegisters),
      returns,
      memory: new Map(),
      bytes: 0,
    });
  }

  /** A note of kind `memory` or `same`, from its id on. */
  memory(kind: number, view: DataView, offset: number): void {
    const stack = this.#waiting.get(view.getBigUint64(offset, true));
    const sum = view.getBigUint64(offset + 16, true);
    let piece = this.#pieces.get(sum);
    if (kind === NoteKind.memory) {
      const start = view.byteOffset + offset + 24;
      piece = new DataView(view.buffer.slice(start, start + savedBytes));
      this.#pieces.set(sum, piece);
      if (stack !== undefined) {
        stack.bytes += savedBytes;
        this.#bytes += savedBytes;
      }
    }
    if (piece !== undefined) stack?.memory.set(view.getBigUint64(offset + 8, true), piece);
    while (this.#bytes > mostBytes) this.finishOne();
  }

  /** The stack of an id, walked now when it was not; undefined when it was not saved. */
  finish(id: bigint, followed = false): FinishedStack | undefined {
    const stack = this.#waiting.get(id);
    if (stack === undefined) return this.#finished.get(id);
    this.#waiting.delete(id);
    this.#bytes -= stack.bytes;
    const finished = this.#walk(stack, followed);
    const end = stackEnds.indexOf(finished.end);
    this.ends[end] = (this.ends[end] ?? 0) + 1;
    if (finished.guessed) this.guesses++;
    this.#finished.set(id, finished);
    return finished;
  }

  /** Walks the stack that waits longest, if it was taken before that time; false when there is none. */
  finishOne(before: number = Number.POSITIVE_INFINITY): boolean {
    for (const [id, { time }] of this.#waiting) {
      if (time >= before) return false;
      this.finish(id);
      return true;
    }
    return false;
  }

  finishAll(): void {
    for (const id of this.#waiting.keys()) this.finish(id);
  }

  /** Walks those of a process that were taken before it became another program. */
  finishBefore(pid: number, time: number): void {
    for (const [id, stack] of this.#waiting) if (stack.pid === pid && stack.time < time) this.finish(id, true);
  }

  #walk({ pid, registers, trampoline, returns, memory }: SavedStack, followed: boolean): FinishedStack {
    const mappings = this.#sources.mappings(pid, Number(registers[Register.rip]), followed);
    if (mappings === undefined)
      return { frames: registers.slice(Register.rip, Register.rip + 1), end: 'not indexed', guessed: false };
    const walked = walkStack(
      {
        registers: [...registers],
        read(address) {
          const within = Number(address % BigInt(savedBytes));
          const chunk = memory.get(address - BigInt(within));
          return chunk === undefined || within > savedBytes - 8 ? undefined : chunk.getBigUint64(within, true);
        },
        mappings: mappings.map((mapping) => new LazyMapping(mapping, () => this.#sources.table(pid, mapping))),
        returnTo: (pc, slot) =>
          pc === trampoline ? returns.find(([at, address]) => at === slot && address !== trampoline)?.[1] : undefined,
      },
      mostFrames,
    );
    // What was not saved would not be missing, had the rules been there.
    const end: StackEnd = walked.end === 'page not present' ? 'not indexed' : walked.end;
    return { ...walked, frames: BigUint64Array.from(walked.frames), end };
  }
}

/** Asks for the file's table when a frame lies in it. */
class LazyMapping implements SavedMapping {
  readonly start: bigint;
  readonly end: bigint;
  readonly offset: number;
  readonly #make: () => SavedMapping['table'];
  #table: { readonly made: SavedMapping['table'] } | undefined;

  constructor(mapping: Mapping, make: () => SavedMapping['table']) {
    this.start = BigInt(mapping.start);
    this.end = BigInt(mapping.end);
    this.offset = mapping.offset;
    this.#make = make;
  }

  get table(): SavedMapping['table'] {
    this.#table ??= { made: this.#make() };
    return this.#table.made;
  }
}
