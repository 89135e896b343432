/**
 * The stack frame: where slots and spilled registers lie. Those that are never in use at
 * the same time share bytes.
 *
 * A slot is in use from the first to the last instruction, along any way through the
 * function, that could touch its memory: one that reads or writes through its address, or
 * hands the address to a helper. A slot whose address is itself stored to memory is in
 * use throughout.
 */
import type { Instruction, StackSlot } from '../ir/ir.ts';
import { uses } from '../ir/operands.ts';
import { type Block, ENTRY_POSITION, type Flow, type Liveness, readPosition, writePosition } from './flow.ts';
import type { SimpleFunction } from './simplify.ts';

export interface Frame {
  /** Distance of each slot's first byte from r10 (negative); 0 for a slot that is not used. */
  readonly slots: Int32Array;
  /** The same for spilled registers, by register. */
  readonly spills: ReadonlyMap<number, number>;
  /** Bytes below r10. */
  readonly size: number;
  /** Instruction at which most bytes are in use, for an error message. */
  readonly fullest: number;
}

interface Item {
  readonly size: number;
  readonly align: number;
  /** Positions in use: first, last, first, last … ascending. */
  readonly bounds: readonly number[];
  /** Bytes from r10 down to its end and to its start. */
  depth: number;
}

const MIXED = -2;
const NONE = -1;

/** Which slot's address a register may hold: a slot, NONE or MIXED; and the slots whose address leaves our sight. */
function followAddresses(
  code: readonly Instruction[],
  fn: SimpleFunction,
  slots: number,
): { holds: Int32Array; escaped: Uint8Array } {
  // The instruction that took a slot's address may be gone, its uses turned into offsets from r10.
  const holds = fn.frameSlot.slice();
  const escaped = new Uint8Array(slots);
  const merge = (reg: number, slot: number): boolean => {
    const old = holds[reg] as number;
    if (slot === NONE || old === slot || old === MIXED) {
      if (old === MIXED && slot >= 0) escaped[slot] = 1;
      return false;
    }
    if (old === NONE) {
      holds[reg] = slot;
      return true;
    }
    // Two slots in one register: neither can be followed any further.
    escaped[old] = 1;
    if (slot >= 0) escaped[slot] = 1;
    holds[reg] = MIXED;
    return true;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const instruction of code) {
      if (instruction.op === 'slot') changed = merge(instruction.dst, instruction.slot) || changed;
      else if (instruction.op === 'mov') changed = merge(instruction.dst, holds[instruction.src] as number) || changed;
      else if (instruction.op === 'alu') {
        changed = merge(instruction.dst, holds[instruction.left] as number) || changed;
        if (typeof instruction.right === 'number')
          changed = merge(instruction.dst, holds[instruction.right] as number) || changed;
      }
    }
  }
  for (const instruction of code) {
    const leaves =
      instruction.op === 'store' || instruction.op === 'atomic' || instruction.op === 'return'
        ? instruction.value
        : undefined;
    if (typeof leaves !== 'number') continue;
    const slot = holds[leaves] as number;
    if (slot >= 0) escaped[slot] = 1;
  }
  return { holds, escaped };
}

/**
 * Positions at which each slot is in use; empty for a slot that nothing touches. One
 * range from the first touch to the last: jumps forward cannot leave it between two
 * touches. A loop that meets the range belongs to it, since what is written in one round
 * may be read in the next.
 */
function slotRanges(flow: Flow, fn: SimpleFunction, slots: readonly StackSlot[], live: Liveness): number[][] {
  const { code, blocks } = flow;
  const { holds, escaped } = followAddresses(code, fn, slots.length);
  const first = new Int32Array(slots.length).fill(-1);
  const last = new Int32Array(slots.length).fill(-1);
  const operands = new Int32Array(16);
  for (let at = 0; at < code.length; at++) {
    const instruction = code[at] as Instruction;
    if (live.dead[at] || instruction.op === 'slot' || instruction.op === 'mov' || instruction.op === 'alu') continue;
    const total = uses(instruction, operands);
    for (let i = 0; i < total; i++) {
      const slot = holds[operands[i] as number] as number;
      if (slot < 0) continue;
      if (first[slot] === -1) first[slot] = at;
      last[slot] = at;
    }
  }
  const loops: { readonly start: number; readonly end: number }[] = [];
  for (const [index, block] of blocks.entries()) {
    for (const next of block.next)
      if (next <= index) loops.push({ start: (blocks[next] as Block).start, end: block.end - 1 });
  }
  return slots.map((_, slot) => {
    if (escaped[slot]) return [ENTRY_POSITION, live.end];
    let start = first[slot] as number;
    let end = last[slot] as number;
    if (start === -1) return [];
    for (let grown = true; grown; ) {
      grown = false;
      for (const loop of loops) {
        if (loop.start > end || loop.end < start || (loop.start >= start && loop.end <= end)) continue;
        start = Math.min(start, loop.start);
        end = Math.max(end, loop.end);
        grown = true;
      }
    }
    return [readPosition(start), writePosition(end)];
  });
}

function overlap(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if ((a[i + 1] as number) < (b[j] as number)) i += 2;
    else if ((b[j + 1] as number) < (a[i] as number)) j += 2;
    else return true;
  }
  return false;
}

/** Gives every item the highest place at which it overlaps no other in use at the same time. */
function pack(items: readonly Item[]): number {
  const order = [...items].sort((a, b) => b.align - a.align || b.size - a.size);
  const placed: Item[] = [];
  let size = 0;
  for (const item of order) {
    const others = placed
      .filter((other) => overlap(item.bounds, other.bounds))
      .sort((a, b) => a.depth - a.size - (b.depth - b.size));
    const ending = (start: number): number => Math.ceil((start + item.size) / item.align) * item.align;
    let depth = ending(0);
    for (const other of others)
      if (depth > other.depth - other.size && depth - item.size < other.depth) depth = ending(other.depth);
    item.depth = depth;
    placed.push(item);
    size = Math.max(size, depth);
  }
  return size;
}

function fullestInstruction(items: readonly Item[], end: number): number {
  const change = new Int32Array(end + 2);
  for (const item of items) {
    for (let i = 0; i < item.bounds.length; i += 2) {
      change[item.bounds[i] as number]! += item.size;
      change[(item.bounds[i + 1] as number) + 1]! -= item.size;
    }
  }
  let best = 0;
  let most = 0;
  for (let position = 0, now = 0; position <= end; position++) {
    now += change[position] as number;
    if (now <= most) continue;
    most = now;
    best = position;
  }
  return Math.max(0, Math.floor(best / 3) - 1);
}

/** Lays out the frame of a function; `stored` are the registers that were spilled. */
export function layOutFrame(
  flow: Flow,
  fn: SimpleFunction,
  slots: readonly StackSlot[],
  live: Liveness,
  stored: readonly number[],
): Frame {
  const ranges = slots.length === 0 ? [] : slotRanges(flow, fn, slots, live);
  const slotItems = slots.map(
    (slot, index): Item => ({ size: slot.size, align: slot.align, bounds: ranges[index] ?? [], depth: 0 }),
  );
  const spillItems = stored.map((reg): Item => ({ size: 8, align: 8, bounds: live.ranges[reg] ?? [], depth: 0 }));
  const items = [...slotItems, ...spillItems].filter((item) => item.bounds.length > 0);
  const size = pack(items);
  return {
    slots: Int32Array.from(slotItems, (item) => -item.depth),
    spills: new Map(stored.map((reg, index) => [reg, -(spillItems[index] as Item).depth])),
    size,
    fullest: fullestInstruction(items, live.end),
  };
}
