/**
 * What the code refers to: one pass over all functions that keeps, in the order of the
 * code, the addresses that instructions load and the functions that they call.
 * x86-64 only; of other machines' code nothing is known.
 */
import { EM_X86_64, ET_EXEC } from '../../debuginfo/elf/constants.ts';
import type { FunctionBounds } from '../../debuginfo/elf/frames.ts';
import type { Image } from '../../debuginfo/elf/image.ts';
import { Decoder } from './x86.ts';

/** The address itself is the operand: `lea`, `mov r32, imm32`, `push imm32`. */
export const ADDRESS = 0;
/** What lies at the address is the operand. */
export const MEMORY = 1;
export const CALL = 2;
/** A jump that leaves the function. */
export const JUMP = 3;
/** A conditional jump that leaves the function. */
export const BRANCH = 4;
/** A call or jump through a pointer at the address (the GOT). */
export const CALL_THROUGH = 5;
export const JUMP_THROUGH = 6;

/** References in ascending order of `from`, three columns of equal length. */
export class References {
  /** Address of the instruction. */
  readonly from: Uint32Array;
  readonly target: Uint32Array;
  /** ADDRESS, MEMORY … */
  readonly kind: Uint8Array;
  /** For each function, where its references start; one more at the end. */
  readonly starts: Uint32Array;
  /**
   * For each function two hashes of its instructions without what changes from program to
   * program (addresses, distances of calls); 0 and 0 where not all could be read.
   */
  readonly shapes: Uint32Array;
  /** For each function how many instructions it has, 65535 at most. */
  readonly lengths: Uint16Array;
  /** Functions whose bytes could not all be read as instructions. */
  readonly unread: number;

  constructor(columns: Omit<References, 'unread'>, unread: number) {
    this.from = columns.from;
    this.target = columns.target;
    this.kind = columns.kind;
    this.starts = columns.starts;
    this.shapes = columns.shapes;
    this.lengths = columns.lengths;
    this.unread = unread;
  }
}

/** Reads all functions' code. */
export function readReferences(image: Image, bounds: FunctionBounds): References {
  const count = bounds.starts.length;
  const starts = new Uint32Array(count + 1);
  if (image.elf.header.machine !== EM_X86_64) {
    const none = new Uint32Array(0);
    const shapes = new Uint32Array(count * 2);
    const lengths = new Uint16Array(count);
    return new References({ from: none, target: none, kind: new Uint8Array(0), starts, shapes, lengths }, count);
  }
  let from = new Uint32Array(1 << 16);
  let target = new Uint32Array(1 << 16);
  let kind = new Uint8Array(1 << 16);
  let found = 0;
  let unread = 0;
  const add = (address: number, to: number, what: number): void => {
    if (found === from.length) {
      const grow = Math.floor(found * 1.6);
      from = enlarge(from, new Uint32Array(grow));
      target = enlarge(target, new Uint32Array(grow));
      kind = enlarge(kind, new Uint8Array(grow));
    }
    from[found] = address;
    target[found] = to;
    kind[found++] = what;
  };
  const low = image.parts[0]?.address ?? 0;
  const high = image.parts.at(-1)?.memoryEnd ?? 0;
  // Only in a program with a fixed address can an immediate be one.
  const fixed = image.elf.header.type === ET_EXEC;
  const inImage = (value: number): boolean => value >= low && value < high;
  const one = new Decoder();
  const shapes = new Uint32Array(count * 2);
  const lengths = new Uint16Array(count);
  for (let index = 0; index < count; index++) {
    starts[index] = found;
    const start = bounds.starts[index] as number;
    const part = image.partAt(start);
    if (part === undefined || !part.executable) continue;
    const { bytes } = part;
    const delta = part.address;
    // Two functions' bounds may overlap (hand-written code): the later one's bytes are its own.
    const next = index + 1 < count ? (bounds.starts[index + 1] as number) : Infinity;
    const stop = Math.min(start + (bounds.sizes[index] as number), next);
    const end = Math.min(stop - delta, bytes.length);
    let at = start - delta;
    // FNV-1a and a multiplicative hash, over the fields of the instructions.
    let first = 0x811c9dc5;
    let second = 0;
    let length = 0;
    while (at < end) {
      if (!one.decode(bytes, at, end)) {
        unread++;
        length = 0;
        break;
      }
      const address = at + delta;
      at += one.length;
      length++;
      const { opcode } = one;
      const operands =
        opcode |
        ((one.modrm & 0xff) << 10) |
        ((one.base & 0x1f) << 18) |
        ((one.index & 0x1f) << 23) |
        (one.wide ? 1 << 28 : 0) |
        (one.operandSize ? 1 << 29 : 0) |
        (one.ripRelative ? 1 << 30 : 0);
      let numbers = one.ripRelative ? 0 : one.displacement;
      const isBranch =
        opcode === 0xe8 ||
        opcode === 0xe9 ||
        opcode === 0xeb ||
        (opcode & 0x1f0) === 0x180 ||
        (opcode & 0x3f0) === 0x70;
      if (isBranch) {
        const to = at + delta + one.immediate;
        // A distance within the function is its own; of others the function's bytes do not tell.
        if (to >= start && to < stop && opcode !== 0xe8) numbers = one.immediate;
      } else if (!fixed || !inImage(one.immediate >>> 0)) numbers = (Math.imul(numbers, 31) + one.immediate) | 0;
      if (fixed && !isBranch && one.modrm >= 0 && one.base < 0 && inImage(one.displacement >>> 0)) numbers = 0;
      first = Math.imul(Math.imul(first ^ operands, 0x01000193) ^ numbers, 0x01000193);
      second = Math.imul(second ^ numbers ^ (first >>> 15), 0x5bd1e995) + operands;
      if (one.ripRelative) {
        const to = address + one.length + one.displacement;
        if (!inImage(to)) continue;
        let what = MEMORY;
        if (opcode === 0x8d) what = ADDRESS;
        else if (opcode === 0xff) {
          const extension = (one.modrm >>> 3) & 7;
          if (extension === 2) what = CALL_THROUGH;
          else if (extension === 4) what = JUMP_THROUGH;
        }
        add(address, to, what);
        continue;
      }
      if (opcode === 0xe8) {
        const to = at + delta + one.immediate;
        if (inImage(to)) add(address, to, CALL);
      } else if (opcode === 0xe9 || opcode === 0xeb) {
        const to = at + delta + one.immediate;
        if ((to < start || to >= stop) && inImage(to)) add(address, to, JUMP);
      } else if ((opcode & 0x1f0) === 0x180 || (opcode & 0x3f0) === 0x70) {
        const to = at + delta + one.immediate;
        if ((to < start || to >= stop) && inImage(to)) add(address, to, BRANCH);
      } else if (fixed) {
        // mov r32, imm32; push imm32; mov r/m, imm32.
        if (((opcode & 0x3f8) === 0xb8 && !one.wide) || opcode === 0x68 || opcode === 0xc7) {
          const to = one.immediate >>> 0;
          if (inImage(to) && !one.operandSize) add(address, to, ADDRESS);
        } else if (one.modrm >= 0 && one.base < 0 && one.rm < 0) {
          const to = one.displacement >>> 0;
          if (inImage(to)) add(address, to, MEMORY);
        }
      }
    }
    lengths[index] = Math.min(length, 0xffff);
    if (length === 0) continue;
    shapes[index * 2] = first;
    shapes[index * 2 + 1] = second;
  }
  starts[count] = found;
  const columns = { from: from.slice(0, found), target: target.slice(0, found), kind: kind.slice(0, found), starts };
  return new References({ ...columns, shapes, lengths }, unread);
}

function enlarge<Column extends Uint32Array | Uint8Array>(old: Column, larger: Column): Column {
  larger.set(old);
  return larger;
}
