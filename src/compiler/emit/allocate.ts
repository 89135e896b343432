/**
 * Register allocation: which machine register holds a virtual one, and what is spilled.
 *
 * Live ranges are handed out in order of their weight (uses, by loop depth, over length):
 * each gets the free register that saves most moves. One that finds none either takes
 * the register of lighter ranges or is spilled; a spilled register lives on the stack, is
 * stored after every write, and is loaded anew for each run of uses without a call in
 * between, those runs being ranges of their own; if even they find no register, for each
 * single instruction. What is cheap to compute (constants, addresses of slots and maps)
 * is computed again instead of being stored.
 *
 * r0 to r5 do not survive a call, r6 to r9 do; r10 is the frame pointer.
 */
import { invariant } from '../../base/errors.ts';
import type { Instruction } from '../ir/ir.ts';
import { destination } from '../ir/operands.ts';
import { clobberPosition, type Flow, type Liveness, readPosition, reads, writePosition } from './flow.ts';
import { fitsImmediate } from './fold.ts';
import type { SimpleFunction } from './simplify.ts';

const REGISTERS = 10;
const ALL = (1 << REGISTERS) - 1;
/** r0 to r5. */
const CLOBBERED = 0x3f;
const CLOBBERED_COUNT = 6;
/** Which to take when nothing speaks for another: those that calls use least come first. */
const PREFERENCE: readonly number[] = [0, 5, 4, 3, 2, 1, 6, 7, 8, 9];
/** How many wishes of a partner are heard: one with thousands of uses would make the choice slow. */
const MOST_LOOKS = 8;
const FIXED = -2;
const NOBODY = -1;

/** How an instruction mentions a register. */
const READ = 1;
const WRITE = 2;
/** Read after the result is written. */
const LATE = 4;
/** When spilled, the instruction can take it from or put it to the stack itself. */
const MEMORY = 8;

export interface Allocation {
  /** The machine register of `reg` in instruction `at` (-1 the entry), or -1 when it is spilled there. */
  registerAt(at: number, reg: number): number;
  /** Loads of spilled registers before an instruction: register, machine register, … */
  reloads(at: number): readonly number[];
  /** True when a register lives on the stack (or is computed again). */
  isSpilled(reg: number): boolean;
  /** The instruction that computes a spilled register again, undefined when it is stored. */
  recompute(reg: number): Instruction | undefined;
  /** 1 for instructions that are left out: dead ones, and those that are computed where needed. */
  readonly left: Uint8Array;
  /** Registers that need eight bytes of stack. */
  readonly stored: readonly number[];
}

interface Range {
  readonly reg: number;
  readonly bounds: readonly number[];
  readonly weight: number;
  /** Mentions this range covers: from, up to. */
  readonly from: number;
  readonly to: number;
  readonly kind: 'whole' | 'run' | 'single';
  machine: number;
}

class Allocator implements Allocation {
  readonly left: Uint8Array;
  readonly stored: number[] = [];
  readonly #fn: SimpleFunction;
  readonly #flow: Flow;
  readonly #live: Liveness;
  /** Mentions by register: where a register's begin, the instruction, the kind. */
  readonly #first: Int32Array;
  readonly #at: Int32Array;
  readonly #how: Uint8Array;
  readonly #weightAt: Float64Array;
  readonly #blockOf: Int32Array;
  /** Number of calls before an instruction. */
  readonly #calls: Int32Array;
  /** Per position a bit for each machine register in use, and per machine register the range that has it. */
  readonly #busy: Uint16Array;
  readonly #owner: Int32Array[] = [];
  readonly #ranges: Range[] = [];
  readonly #whole: Int8Array;
  readonly #spilled: Uint8Array;
  readonly #recomputed: (Instruction | undefined)[] = [];
  /** Range of a spilled register at an instruction: key instruction * registers + register. */
  readonly #pieces = new Map<number, Range>();
  readonly #reloads = new Map<number, number[]>();
  readonly #pending: Range[] = [];
  /** Registers that want the same machine register, or a certain one (as -1 - machine). */
  readonly #hintHead: Int32Array;
  readonly #hintNext: number[] = [];
  readonly #hintTo: number[] = [];
  readonly #hintWeight: number[] = [];
  readonly #score = new Float64Array(REGISTERS);

  constructor(fn: SimpleFunction, flow: Flow, live: Liveness) {
    this.#fn = fn;
    this.#flow = flow;
    this.#live = live;
    this.left = live.dead.slice();
    const count = fn.registers.length;
    const size = flow.code.length;
    this.#hintHead = new Int32Array(count).fill(-1);
    this.#whole = new Int8Array(count).fill(-1);
    this.#spilled = new Uint8Array(count);
    this.#busy = new Uint16Array(live.end + 1);
    for (let machine = 0; machine < REGISTERS; machine++) this.#owner.push(new Int32Array(live.end + 1).fill(NOBODY));
    this.#blockOf = new Int32Array(size);
    this.#weightAt = new Float64Array(size);
    this.#calls = new Int32Array(size + 1);
    for (const [index, block] of flow.blocks.entries()) {
      const weight = 8 ** Math.min(block.depth, 4);
      this.#blockOf.fill(index, block.start, block.end);
      this.#weightAt.fill(weight, block.start, block.end);
    }
    for (let at = 0; at < size; at++) {
      const isCall = flow.code[at]?.op === 'call';
      this.#calls[at + 1] = (this.#calls[at] as number) + (isCall ? 1 : 0);
      if (isCall) this.#fix(clobberPosition(at));
    }
    const mentions = this.#collectMentions();
    this.#first = mentions.first;
    this.#at = mentions.at;
    this.#how = mentions.how;
  }

  #fix(position: number): void {
    this.#busy[position] = CLOBBERED;
    for (let machine = 0; machine < CLOBBERED_COUNT; machine++) (this.#owner[machine] as Int32Array)[position] = FIXED;
  }

  #hint(reg: number, to: number, weight: number): void {
    this.#hintNext.push(this.#hintHead[reg] as number);
    this.#hintTo.push(to);
    this.#hintWeight.push(weight);
    this.#hintHead[reg] = this.#hintTo.length - 1;
  }

  #pair(a: number, b: number, weight: number): void {
    this.#hint(a, b, weight);
    this.#hint(b, a, weight);
  }

  /** Walks the code once: who mentions a register and how, and which moves could be saved. */
  #collectMentions(): { first: Int32Array; at: Int32Array; how: Uint8Array } {
    const { code } = this.#flow;
    const count = this.#fn.registers.length;
    const ats: number[] = [];
    const regs: number[] = [];
    const hows: number[] = [];
    /** Index of a register's mention in the instruction at hand. */
    const current = new Int32Array(count).fill(-1);
    let start = 0;
    const mention = (at: number, reg: number, how: number): void => {
      const old = current[reg] as number;
      if (old >= start) {
        // In two roles: it can stay on the stack only when both allow it.
        const memory = (hows[old] as number) & how & MEMORY;
        hows[old] = (((hows[old] as number) | how) & ~MEMORY) | memory;
        return;
      }
      current[reg] = ats.length;
      ats.push(at);
      regs.push(reg);
      hows.push(how);
    };
    for (const [index, reg] of this.#fn.parameters.entries()) {
      if (this.#live.ranges[reg] === undefined) continue;
      mention(-1, reg, WRITE | MEMORY);
      this.#hint(reg, -1 - (index + 1), 1);
    }
    const operands = new Int32Array(16);
    for (let at = 0; at < code.length; at++) {
      if (this.left[at]) continue;
      start = ats.length;
      const instruction = code[at] as Instruction;
      const weight = this.#weightAt[at] as number;
      const total = reads(instruction, this.#fn.frameSlot, operands);
      const mayStay = instruction.op === 'call' || instruction.op === 'return' ? MEMORY : 0;
      for (let i = 0; i < total; i++)
        mention(at, operands[i] as number, READ | mayStay | (operands[8 + i] === 1 ? LATE : 0));
      const dst = destination(instruction);
      switch (instruction.op) {
        case 'mov':
        case 'neg':
        case 'extend':
        case 'bswap':
          this.#pair(instruction.dst, instruction.src, weight);
          break;
        case 'alu':
          this.#pair(instruction.dst, instruction.left, weight);
          break;
        case 'atomic':
          if (instruction.dst !== undefined) this.#pair(instruction.dst, instruction.value, weight);
          break;
        case 'call':
          for (const [index, argument] of instruction.args.entries()) {
            if (typeof argument === 'number') this.#hint(argument, -1 - (index + 1), weight);
          }
          if (instruction.dst !== undefined) this.#hint(instruction.dst, -1, weight);
          break;
        case 'return':
          if (typeof instruction.value === 'number') this.#hint(instruction.value, -1, weight);
          break;
        default:
          break;
      }
      if (dst === undefined) continue;
      const toMemory =
        instruction.op === 'mov' ||
        instruction.op === 'call' ||
        (instruction.op === 'const' && fitsImmediate(instruction.value));
      mention(at, dst, WRITE | (toMemory ? MEMORY : 0));
    }
    // Sorted by register, keeping the order of instructions.
    const first = new Int32Array(count + 1);
    for (const reg of regs) first[reg + 1] = (first[reg + 1] as number) + 1;
    for (let reg = 0; reg < count; reg++) first[reg + 1] = (first[reg + 1] as number) + (first[reg] as number);
    const fill = first.slice();
    const at = new Int32Array(ats.length);
    const how = new Uint8Array(ats.length);
    for (let i = 0; i < ats.length; i++) {
      const place = fill[regs[i] as number] as number;
      fill[regs[i] as number] = place + 1;
      at[place] = ats[i] as number;
      how[place] = hows[i] as number;
    }
    return { first, at, how };
  }

  run(): void {
    const order: Range[] = [];
    for (let reg = 0; reg < this.#fn.registers.length; reg++) {
      const bounds = this.#live.ranges[reg];
      if (bounds === undefined) continue;
      const from = this.#first[reg] as number;
      const to = this.#first[reg + 1] as number;
      let length = 0;
      for (let i = 0; i < bounds.length; i += 2) length += (bounds[i + 1] as number) - (bounds[i] as number) + 1;
      const cheap = this.#recomputable(reg) === undefined ? 1 : 0.25;
      const weight = (this.#cost(from, to) * cheap) / (length + 12);
      order.push({ reg, bounds, weight, from, to, kind: 'whole', machine: -1 });
    }
    order.sort((a, b) => b.weight - a.weight || a.reg - b.reg);
    for (const range of order) {
      this.#pending.push(range);
      for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) this.#place(next);
    }
  }

  /** What it costs to keep the mentioned register on the stack. */
  #cost(from: number, to: number): number {
    let cost = 0;
    for (let i = from; i < to; i++) {
      const at = this.#at[i] as number;
      const weight = at < 0 ? 1 : (this.#weightAt[at] as number);
      cost += (this.#how[i] as number) & MEMORY ? weight / 2 : weight;
    }
    return cost;
  }

  /** The instruction that gives a register its only value, when running it again is as good as loading. */
  #recomputable(reg: number): Instruction | undefined {
    let only = -1;
    for (let i = this.#first[reg] as number; i < (this.#first[reg + 1] as number); i++) {
      if (((this.#how[i] as number) & WRITE) === 0) continue;
      if (only !== -1) return undefined;
      only = this.#at[i] as number;
    }
    const instruction = only < 0 ? undefined : this.#flow.code[only];
    if (instruction === undefined) return undefined;
    const slot = this.#fn.frameSlot[reg] as number;
    if (slot >= 0)
      return { op: 'slot', dst: reg as never, slot: slot as never, offset: this.#fn.frameOffset[reg] as number };
    const { op } = instruction;
    return op === 'const' || op === 'map' || op === 'map_value' || op === 'kernel_variable' || op === 'function'
      ? instruction
      : undefined;
  }

  #place(range: Range): void {
    let busy = 0;
    const { bounds } = range;
    for (let i = 0; i < bounds.length && busy !== ALL; i += 2) {
      const end = bounds[i + 1] as number;
      for (let position = bounds[i] as number; position <= end; position++) busy |= this.#busy[position] as number;
    }
    if (busy !== ALL) {
      this.#assign(range, this.#choose(range, ~busy & ALL));
      return;
    }
    const machine = this.#lightest(range);
    if (machine === -1) {
      invariant(range.kind !== 'single', 'an instruction finds no register');
      this.#spill(range);
      return;
    }
    for (const other of this.#owners(machine, range)) {
      this.#release(other);
      this.#spill(other);
    }
    this.#assign(range, machine);
  }

  #choose(range: Range, free: number): number {
    const score = this.#score.fill(0);
    for (let hint = this.#hintHead[range.reg] as number; hint >= 0; hint = this.#hintNext[hint] as number) {
      const to = this.#hintTo[hint] as number;
      const weight = this.#hintWeight[hint] as number;
      if (to < 0) {
        score[-1 - to] = (score[-1 - to] as number) + weight;
        continue;
      }
      const machine = this.#whole[to] as number;
      if (machine >= 0) {
        score[machine] = (score[machine] as number) + weight;
        continue;
      }
      // Its partner is not placed yet: what the partner would like counts a little.
      let looks = 0;
      for (
        let next = this.#hintHead[to] as number;
        next >= 0 && looks++ < MOST_LOOKS;
        next = this.#hintNext[next] as number
      ) {
        const wish = this.#hintTo[next] as number;
        const there = wish < 0 ? -1 - wish : (this.#whole[wish] as number);
        if (there >= 0) score[there] = (score[there] as number) + (this.#hintWeight[next] as number) / 4;
      }
    }
    let best = -1;
    for (const machine of PREFERENCE) {
      if ((free >> machine) & 1 && (best === -1 || (score[machine] as number) > (score[best] as number)))
        best = machine;
    }
    return best;
  }

  #assign(range: Range, machine: number): void {
    range.machine = machine;
    const id = this.#ranges.length;
    this.#ranges.push(range);
    const owner = this.#owner[machine] as Int32Array;
    for (let i = 0; i < range.bounds.length; i += 2) {
      const start = range.bounds[i] as number;
      const end = (range.bounds[i + 1] as number) + 1;
      owner.fill(id, start, end);
      for (let position = start; position < end; position++) this.#busy[position]! |= 1 << machine;
    }
    if (range.kind === 'whole') this.#whole[range.reg] = machine;
  }

  #release(range: Range): void {
    const owner = this.#owner[range.machine] as Int32Array;
    for (let i = 0; i < range.bounds.length; i += 2) {
      const start = range.bounds[i] as number;
      const end = (range.bounds[i + 1] as number) + 1;
      owner.fill(NOBODY, start, end);
      for (let position = start; position < end; position++) this.#busy[position]! &= ~(1 << range.machine);
    }
    range.machine = -1;
    if (range.kind === 'whole') this.#whole[range.reg] = -1;
  }

  /** The ranges that have a machine register at some position of `range`. */
  #owners(machine: number, range: Range): Set<Range> {
    const owner = this.#owner[machine] as Int32Array;
    const found = new Set<Range>();
    for (let i = 0; i < range.bounds.length; i += 2) {
      const end = range.bounds[i + 1] as number;
      for (let position = range.bounds[i] as number; position <= end; position++) {
        const id = owner[position] as number;
        if (id >= 0) found.add(this.#ranges[id] as Range);
      }
    }
    return found;
  }

  /** The machine register whose owners together weigh less than `range`; -1 when there is none. */
  #lightest(range: Range): number {
    let best = -1;
    let bestWeight = range.weight;
    for (let machine = 0; machine < REGISTERS; machine++) {
      const owner = this.#owner[machine] as Int32Array;
      let weight = 0;
      let last = NOBODY;
      const seen = new Set<number>();
      for (let i = 0; i < range.bounds.length && weight < bestWeight; i += 2) {
        const end = range.bounds[i + 1] as number;
        for (let position = range.bounds[i] as number; position <= end; position++) {
          const id = owner[position] as number;
          if (id === last || id === NOBODY) continue;
          last = id;
          if (id === FIXED) {
            weight = Number.POSITIVE_INFINITY;
            break;
          }
          if (!seen.has(id)) {
            seen.add(id);
            weight += (this.#ranges[id] as Range).weight;
          }
        }
      }
      if (weight < bestWeight) {
        best = machine;
        bestWeight = weight;
      }
    }
    return best;
  }

  #spill(range: Range): void {
    if (range.kind === 'whole') {
      this.#spilled[range.reg] = 1;
      const again = this.#recomputable(range.reg);
      this.#recomputed[range.reg] = again;
      if (again === undefined) this.stored.push(range.reg);
      else this.#leaveOutWrite(range);
      this.#splitIntoRuns(range);
    } else {
      for (let i = range.from; i < range.to; i++) this.#pieces.delete(this.#key(i, range.reg));
      for (let i = range.from; i < range.to; i++) this.#addPiece(range.reg, i, i + 1, 'single');
    }
  }

  #leaveOutWrite(range: Range): void {
    for (let i = range.from; i < range.to; i++)
      if ((this.#how[i] as number) & WRITE) this.left[this.#at[i] as number] = 1;
  }

  #key(mention: number, reg: number): number {
    return (this.#at[mention] as number) * this.#fn.registers.length + reg;
  }

  /** Mentions in one block without a call in between share a load. */
  #splitIntoRuns(range: Range): void {
    const recomputed = this.#recomputed[range.reg] !== undefined;
    let from = range.from;
    while (from < range.to) {
      const start = this.#at[from] as number;
      if (start < 0 || (recomputed && (this.#how[from] as number) & WRITE)) {
        from++;
        continue;
      }
      let to = from + 1;
      while (to < range.to) {
        const at = this.#at[to] as number;
        if (this.#blockOf[at] !== this.#blockOf[start]) break;
        if ((this.#calls[at] as number) > (this.#calls[start] as number)) break;
        to++;
      }
      this.#addPiece(range.reg, from, to, to - from > 1 ? 'run' : 'single');
      from = to;
    }
  }

  #addPiece(reg: number, from: number, to: number, kind: 'run' | 'single'): void {
    if (kind === 'single' && (this.#how[from] as number) & MEMORY) return;
    const first = this.#how[from] as number;
    const last = this.#how[to - 1] as number;
    const start = first & READ ? readPosition(this.#at[from] as number) : writePosition(this.#at[from] as number);
    const end =
      last & (WRITE | LATE) ? writePosition(this.#at[to - 1] as number) : readPosition(this.#at[to - 1] as number);
    const weight = kind === 'single' ? Number.POSITIVE_INFINITY : this.#cost(from, to) / (end - start + 1);
    const piece: Range = { reg, bounds: [start, end], weight, from, to, kind, machine: -1 };
    for (let i = from; i < to; i++) this.#pieces.set(this.#key(i, reg), piece);
    this.#pending.push(piece);
  }

  /** After everything has its place: the loads that the pieces begin with. */
  finish(): void {
    for (const [key, piece] of this.#pieces) {
      const first = this.#at[piece.from] as number;
      const at = Math.floor(key / this.#fn.registers.length);
      if (at !== first || ((this.#how[piece.from] as number) & READ) === 0) continue;
      const list = this.#reloads.get(at) ?? [];
      list.push(piece.reg, piece.machine);
      this.#reloads.set(at, list);
    }
  }

  registerAt(at: number, reg: number): number {
    if (this.#spilled[reg] === 0) return this.#whole[reg] as number;
    return this.#pieces.get(at * this.#fn.registers.length + reg)?.machine ?? -1;
  }

  reloads(at: number): readonly number[] {
    return this.#reloads.get(at) ?? [];
  }

  isSpilled(reg: number): boolean {
    return this.#spilled[reg] === 1;
  }

  recompute(reg: number): Instruction | undefined {
    return this.#recomputed[reg];
  }
}

export function allocate(fn: SimpleFunction, flow: Flow, live: Liveness): Allocation {
  const allocator = new Allocator(fn, flow, live);
  allocator.run();
  allocator.finish();
  return allocator;
}
