/**
 * Blocks, and when each virtual register is live: the ranges that registers and stack
 * places are given out by.
 *
 * Positions count through the code, three for an instruction: instruction i reads at
 * 3(i+1), a call overwrites r0 to r5 at 3(i+1)+1, and the result appears at 3(i+1)+2.
 * Position 2 is the function's entry, where the parameters appear.
 */
import { invariant } from '../../base/errors.ts';
import type { Condition, Instruction } from '../ir/ir.ts';
import { destination, isPure, uses } from '../ir/operands.ts';
import { isCommutative } from './fold.ts';
import type { SimpleFunction } from './simplify.ts';

export const ENTRY_POSITION = 2;
export const readPosition = (at: number): number => 3 * at + 3;
export const clobberPosition = (at: number): number => 3 * at + 4;
export const writePosition = (at: number): number => 3 * at + 5;

export interface Block {
  /** Half-open range of instruction indices. */
  readonly start: number;
  readonly end: number;
  /** Block indices. */
  readonly next: readonly number[];
  /** How many loops it stands in, roughly: backward jumps over it. */
  depth: number;
}

export interface Flow {
  /** Without labels, and without what cannot be reached (the verifier refuses unreachable code). */
  readonly code: readonly Instruction[];
  readonly blocks: readonly Block[];
  /** Per label the block it stands before. */
  readonly labelBlock: Int32Array;
}

const opposite: Readonly<Record<Exclude<Condition, 'set'>, Condition>> = {
  eq: 'ne',
  ne: 'eq',
  ult: 'uge',
  uge: 'ult',
  ule: 'ugt',
  ugt: 'ule',
  slt: 'sge',
  sge: 'slt',
  sle: 'sgt',
  sgt: 'sle',
};

/** Index of the first instruction at or after `at` that is no label. */
function skipLabels(code: readonly Instruction[], at: number): number {
  let index = at;
  while (code[index]?.op === 'label') index++;
  return index;
}

export function buildFlow(fn: SimpleFunction): Flow {
  const code = fn.code.slice();
  const labelAt = new Int32Array(fn.labels).fill(-1);
  for (const [at, instruction] of code.entries()) if (instruction.op === 'label') labelAt[instruction.label] = at;
  threadJumps(code, labelAt);
  const reached = reachable(code, labelAt);

  // Renumber: labels and unreachable instructions go, and jumps to what comes next anyway.
  const kept: Instruction[] = [];
  const newIndex = new Int32Array(code.length + 1);
  const isTarget = new Uint8Array(code.length + 1);
  for (let at = 0; at < code.length; at++) {
    newIndex[at] = kept.length;
    const instruction = code[at] as Instruction;
    if (!reached[at] || instruction.op === 'label') continue;
    if (instruction.op === 'jump' || instruction.op === 'branch') {
      const target = skipLabels(code, labelAt[instruction.to] as number);
      let next = at + 1;
      while (next < code.length && (code[next]?.op === 'label' || !reached[next])) next++;
      if (target === next) continue;
      isTarget[target] = 1;
    }
    kept.push(instruction);
  }
  newIndex[code.length] = kept.length;

  const starts = new Uint8Array(kept.length + 1);
  starts[0] = 1;
  for (let at = 0; at < code.length; at++) if (isTarget[at]) starts[newIndex[at] as number] = 1;
  for (const [at, instruction] of kept.entries()) {
    if (instruction.op === 'jump' || instruction.op === 'branch' || instruction.op === 'return') starts[at + 1] = 1;
  }
  const blockOf = new Int32Array(kept.length + 1);
  const bounds: number[] = [];
  for (let at = 0; at < kept.length; at++) {
    if (starts[at]) bounds.push(at);
    blockOf[at] = bounds.length - 1;
  }
  const labelBlock = new Int32Array(fn.labels).fill(-1);
  for (let label = 0; label < fn.labels; label++) {
    if ((labelAt[label] as number) < 0) continue;
    const target = newIndex[skipLabels(code, labelAt[label] as number)] as number;
    labelBlock[label] = target < kept.length ? (blockOf[target] as number) : -1;
  }
  const blocks = bounds.map((start, index): Block => {
    const end = bounds[index + 1] ?? kept.length;
    const last = kept[end - 1] as Instruction;
    const next: number[] = [];
    if (last.op === 'jump' || last.op === 'branch') next.push(labelBlock[last.to] as number);
    if (last.op !== 'jump' && last.op !== 'return') {
      invariant(index + 1 < bounds.length, 'the function runs off its end');
      next.push(index + 1);
    }
    return { start, end, next, depth: 0 };
  });
  for (const [index, block] of blocks.entries()) {
    for (const next of block.next) for (let inside = next; inside <= index; inside++) (blocks[inside] as Block).depth++;
  }
  return { code: kept, blocks, labelBlock };
}

/** Jumps to a jump go to its target at once; `if c goto A; goto B; A:` becomes `if not c goto B; A:`. */
function threadJumps(code: Instruction[], labelAt: Int32Array): void {
  for (let at = 0; at < code.length; at++) {
    const instruction = code[at] as Instruction;
    if (instruction.op !== 'jump' && instruction.op !== 'branch') continue;
    let to = instruction.to;
    for (let hops = 0; hops < 8; hops++) {
      const there = code[skipLabels(code, labelAt[to] as number)];
      if (there?.op !== 'jump' || there.to === to) break;
      to = there.to;
    }
    if (to !== instruction.to) code[at] = { ...instruction, to };
  }
  for (let at = 0; at + 2 < code.length; at++) {
    const branch = code[at] as Instruction;
    const jump = code[at + 1] as Instruction;
    if (branch.op !== 'branch' || branch.condition === 'set' || jump.op !== 'jump') continue;
    const over = skipLabels(code, labelAt[branch.to] as number) === skipLabels(code, at + 2);
    if (!over || code[at + 2]?.op !== 'label') continue;
    code[at] = { ...branch, condition: opposite[branch.condition], to: jump.to };
    // The jump is left without a way to it unless something else falls into it: nothing can, it has no label.
    code[at + 1] = { op: 'jump', to: branch.to };
  }
}

function reachable(code: readonly Instruction[], labelAt: Int32Array): Uint8Array {
  const reached = new Uint8Array(code.length);
  const work = [0];
  for (let start = work.pop(); start !== undefined; start = work.pop()) {
    for (let at = start; at < code.length && !reached[at]; at++) {
      reached[at] = 1;
      const instruction = code[at] as Instruction;
      if (instruction.op === 'jump' || instruction.op === 'branch') {
        const target = labelAt[instruction.to] as number;
        invariant(target >= 0, `label ${instruction.to} is not placed`);
        work.push(target);
      }
      if (instruction.op === 'jump' || instruction.op === 'return') break;
    }
  }
  return reached;
}

/** True when the base is a slot's address for good, and the access goes through r10 itself. */
export function isFrameAccess(instruction: Instruction, frameSlot: Int32Array): boolean {
  const accesses = instruction.op === 'load' || instruction.op === 'store' || instruction.op === 'atomic';
  return accesses && (frameSlot[instruction.base] as number) >= 0;
}

/**
 * Registers an instruction reads, without bases that are the frame pointer. The number of
 * them is returned, and at `out[8 + i]` stands 1 when register i must not share a machine
 * register with the result, because the result is written before it is read.
 */
export function reads(instruction: Instruction, frameSlot: Int32Array, out: Int32Array): number {
  let count = uses(instruction, out);
  if (isFrameAccess(instruction, frameSlot)) {
    count--;
    for (let i = 0; i < count; i++) out[i] = out[i + 1] as number;
    for (let i = 0; i < count; i++) out[8 + i] = 0;
    return count;
  }
  for (let i = 0; i < count; i++) out[8 + i] = 0;
  if (instruction.op === 'alu' && count === 2 && !isCommutative(instruction.operator)) out[9] = 1;
  if (instruction.op === 'atomic' && instruction.dst !== undefined) out[8] = 1;
  return count;
}

export interface Liveness {
  /** Per register the positions where it is live: first, last, first, last … ascending, inclusive; undefined for never. */
  readonly ranges: readonly (readonly number[] | undefined)[];
  /** 1 for a pure instruction whose result is not read. */
  readonly dead: Uint8Array;
  /** Live at a block's start. */
  liveIn(block: number, reg: number): boolean;
  readonly end: number;
}

/** Appends to the list of a register, which begins with its first member. */
function addTo(lists: (number[] | undefined)[], reg: number, member: number): void {
  const list = lists[reg];
  if (list === undefined) lists[reg] = [member];
  else list.push(member);
}

/**
 * Registers that live across a block border, found one at a time by walking up from the
 * blocks that read them: most live in one block, and those that don't, not for long.
 */
function crossingBlocks(flow: Flow, fn: SimpleFunction): { liveIn: number[][]; liveOut: number[][] } {
  const { code, blocks } = flow;
  const count = fn.registers.length;
  const operands = new Int32Array(16);
  /** Blocks that read a register before they write it, and blocks that write it. */
  const readers: (number[] | undefined)[] = new Array(count).fill(undefined);
  const writers: (number[] | undefined)[] = new Array(count).fill(undefined);
  const writtenIn = new Int32Array(count).fill(-1);
  const readIn = new Int32Array(count).fill(-1);
  for (const [index, block] of blocks.entries()) {
    for (let at = block.start; at < block.end; at++) {
      const instruction = code[at] as Instruction;
      const total = reads(instruction, fn.frameSlot, operands);
      for (let i = 0; i < total; i++) {
        const reg = operands[i] as number;
        if (writtenIn[reg] === index || readIn[reg] === index) continue;
        readIn[reg] = index;
        addTo(readers, reg, index);
      }
      const dst = destination(instruction);
      if (dst === undefined || writtenIn[dst] === index) continue;
      writtenIn[dst] = index;
      addTo(writers, dst, index);
    }
  }
  const before: number[][] = blocks.map(() => []);
  for (const [index, block] of blocks.entries()) for (const next of block.next) (before[next] as number[]).push(index);
  const liveIn: number[][] = blocks.map(() => []);
  const liveOut: number[][] = blocks.map(() => []);
  const writes = new Int32Array(blocks.length).fill(-1);
  const seenIn = new Int32Array(blocks.length).fill(-1);
  const seenOut = new Int32Array(blocks.length).fill(-1);
  for (let reg = 0; reg < count; reg++) {
    const start = readers[reg];
    if (start === undefined) continue;
    for (const block of writers[reg] ?? []) writes[block] = reg;
    const work = start.slice();
    for (const block of work) seenIn[block] = reg;
    for (let block = work.pop(); block !== undefined; block = work.pop()) {
      (liveIn[block] as number[]).push(reg);
      for (const previous of before[block] as number[]) {
        if (seenOut[previous] === reg) continue;
        seenOut[previous] = reg;
        (liveOut[previous] as number[]).push(reg);
        if (writes[previous] === reg || seenIn[previous] === reg) continue;
        seenIn[previous] = reg;
        work.push(previous);
      }
    }
  }
  return { liveIn, liveOut };
}

export function liveness(flow: Flow, fn: SimpleFunction): Liveness {
  const { code, blocks } = flow;
  const count = fn.registers.length;
  const operands = new Int32Array(16);
  const { liveIn, liveOut } = crossingBlocks(flow, fn);

  // Ranges, built from the back: each new one stands before those already there.
  const reversed: (number[] | undefined)[] = new Array(count).fill(undefined);
  /** Position until which a register is live while walking up, -1 when it is not. */
  const until = new Int32Array(count).fill(-1);
  const dead = new Uint8Array(code.length);
  const close = (reg: number, from: number): void => {
    const list = reversed[reg] ?? [];
    reversed[reg] = list;
    const to = until[reg] as number;
    until[reg] = -1;
    // Joined to the range after it when they touch.
    if (list.length > 0 && (list.at(-1) as number) <= to + 1) list[list.length - 1] = from;
    else list.push(to, from);
  };
  for (let index = blocks.length - 1; index >= 0; index--) {
    const block = blocks[index] as Block;
    const open = (liveOut[index] as number[]).slice();
    for (const reg of open) until[reg] = writePosition(block.end - 1);
    for (let at = block.end - 1; at >= block.start; at--) {
      const instruction = code[at] as Instruction;
      const dst = destination(instruction);
      if (dst !== undefined) {
        if (until[dst] === -1) {
          if (isPure(instruction)) {
            dead[at] = 1;
            continue;
          }
          until[dst] = writePosition(at);
        }
        close(dst, writePosition(at));
      }
      const total = reads(instruction, fn.frameSlot, operands);
      for (let i = 0; i < total; i++) {
        const reg = operands[i] as number;
        const last = operands[8 + i] === 1 ? writePosition(at) : readPosition(at);
        if (until[reg] === -1) {
          until[reg] = last;
          open.push(reg);
        } else if ((until[reg] as number) < last) {
          until[reg] = last;
        }
      }
    }
    for (const reg of open) if (until[reg] !== -1) close(reg, readPosition(block.start));
  }
  for (const reg of fn.parameters) {
    const list = reversed[reg];
    if (list?.at(-1) === readPosition(0)) list[list.length - 1] = ENTRY_POSITION;
  }
  const ranges = reversed.map((list) => list?.reverse());
  return {
    ranges,
    dead,
    end: writePosition(code.length),
    liveIn: (block, reg) => liveIn[block]?.includes(reg) ?? false,
  };
}
