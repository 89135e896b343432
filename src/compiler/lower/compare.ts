/** Equality of values in memory. */
import type { Condition, Label, Reg } from '../ir/ir.ts';
import { stringBytes } from '../syntax/literals.ts';
import { bpfHelper } from './bpfhelper.ts';
import type { Lower } from './lower.ts';
import type { DirectPlace } from './place.ts';

/** Bytes up to which texts are compared step by step in the program itself: the verifier goes through every step. */
export const mostSteps = 16384;

/**
 * Number of the first 8 bytes in which two places differ, `words` when in none: looked
 * for by a function that the kernel calls back, which the verifier goes through once.
 */
function firstDifference(low: Lower, left: DirectPlace, right: DirectPlace, words: number): Reg {
  const { b } = low;
  return low.scoped(() => {
    const places = [inScratch(low, left, 8 * words), inScratch(low, right, 8 * words)] as const;
    const answer = low.scratch(8);
    b.store(answer.base, answer.offset, 8, b.const(words));
    const environment = low.environment();
    const callback = low.callback('compare', 2, 1, ([index]) => {
      const inner = low.b;
      const { loop } = low;
      if (loop === undefined) return;
      const base = low.scratchBase();
      const at = inner.reg();
      inner.mov(at, index as Reg);
      inner.branch('uge', at, { imm: words }, loop.breakTo);
      const from = inner.alu('add', base, inner.alu('shl', at, { imm: 3 }));
      const [one, other] = places.map(({ offset }) => inner.load(from, offset, 8)) as [Reg, Reg];
      inner.branch('eq', one, other, loop.continueTo);
      inner.store(base, answer.offset, 8, at);
      inner.jump(loop.breakTo);
    });
    b.call(bpfHelper.loop, [b.const(words), callback, environment, { imm: 0 }]);
    return b.load(answer.base, answer.offset, 8);
  });
}

/** The bytes where the functions that are called back find them. */
function inScratch(low: Lower, place: DirectPlace, size: number): DirectPlace {
  if (place.base === low.scratchBase()) return place;
  const copy = low.scratch(size);
  low.copy(copy, place, size);
  return copy;
}

/** Jumps to `to` when `size` bytes (a multiple of 8, zero-padded values) are equal, or differ. */
export function compareMemory(
  low: Lower,
  left: DirectPlace,
  right: DirectPlace,
  size: number,
  want: 'eq' | 'ne',
  to: Label,
): void {
  const { b } = low;
  if (size > mostSteps) {
    b.branch(want, firstDifference(low, left, right, size / 8), { imm: size / 8 }, to);
    return;
  }
  const differ = want === 'ne' ? to : b.label();
  for (let at = 0; at < size; at += 8) {
    const a = b.load(left.base, left.offset + at, 8);
    const c = b.load(right.base, right.offset + at, 8);
    b.branch('ne', a, c, differ);
  }
  if (want === 'eq') {
    b.jump(to);
    b.place(differ);
  }
}

/** Jumps to `to` when the texts stand in that order (`<`, `<=`, `>`, `>=`), byte by byte as strcmp(3) has it. */
export function compareOrder(
  low: Lower,
  left: DirectPlace,
  right: DirectPlace,
  size: number,
  operator: string,
  to: Label,
): void {
  const { b } = low;
  if (size > mostSteps) {
    compareLongOrder(low, left, right, size, operator, to);
    return;
  }
  const decided = b.label();
  const past = b.label();
  const bytes = b.const(0);
  const [a, c] = [b.const(0), b.const(0)];
  const [leftAt, rightAt] = [low.addressOf(left), low.addressOf(right)];
  const again = b.label();
  b.place(again);
  b.mov(a, b.load(b.alu('add', leftAt, bytes), 0, 1));
  b.mov(c, b.load(b.alu('add', rightAt, bytes), 0, 1));
  b.branch('ne', a, c, decided);
  b.branch('eq', a, { imm: 0 }, decided);
  b.push({ op: 'alu', operator: 'add', dst: bytes, left: bytes, right: { imm: 1 } });
  b.branch('ult', bytes, { imm: size }, again);
  b.place(decided);
  b.branch(orders[operator] ?? 'uge', a, c, to);
  b.place(past);
}

const orders: Readonly<Record<string, Condition>> = { '<': 'ult', '<=': 'ule', '>': 'ugt' };

/** The same for texts of any length, which are zero behind their NUL: the first 8 bytes that differ, the first byte foremost. */
function compareLongOrder(
  low: Lower,
  left: DirectPlace,
  right: DirectPlace,
  size: number,
  operator: string,
  to: Label,
): void {
  const { b } = low;
  const words = Math.ceil(size / 8);
  const word = firstDifference(low, left, right, words);
  const last = b.label();
  b.branch('ult', word, { imm: words }, last);
  b.push({ op: 'const', dst: word, value: BigInt(words - 1) });
  b.place(last);
  const [one, other] = [left, right].map((place) => {
    const value = b.load(b.alu('add', low.addressOf(place), b.alu('shl', word, { imm: 3 })), 0, 8);
    const ordered = b.reg();
    b.push({ op: 'bswap', dst: ordered, src: value, bits: 64 });
    return ordered;
  }) as [Reg, Reg];
  b.branch(orders[operator] ?? 'uge', one, other, to);
}

/** Jumps to `differ` unless the first `size` bytes, any number, are equal. */
export function compareBytes(low: Lower, left: DirectPlace, right: DirectPlace, size: number, differ: Label): void {
  const { b } = low;
  let at = 0;
  for (const step of [8, 4, 2, 1] as const) {
    for (; size - at >= step; at += step) {
      const a = b.load(left.base, left.offset + at, step);
      b.branch('ne', a, b.load(right.base, right.offset + at, step), differ);
    }
  }
}

/** The same for a string of `room` bytes and a literal: its bytes and the NUL behind them count. */
export function compareWithLiteral(
  low: Lower,
  place: DirectPlace,
  room: number,
  text: string,
  want: 'eq' | 'ne',
  to: Label,
): void {
  const { b } = low;
  const bytes = stringBytes(`${text}\0`);
  if (bytes.length > room) {
    if (want === 'ne') b.jump(to);
    return;
  }
  const differ = want === 'ne' ? to : b.label();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  for (const step of [8, 4, 2, 1] as const) {
    for (; bytes.length - at >= step; at += step) {
      const value = b.load(place.base, place.offset + at, step);
      if (step === 8) b.branch('ne', value, b.const(view.getBigUint64(at, true)), differ);
      else {
        const wanted =
          step === 4 ? view.getUint32(at, true) : step === 2 ? view.getUint16(at, true) : view.getUint8(at);
        b.branch('ne', value, wanted <= 0x7fffffff ? { imm: wanted } : b.const(wanted), differ);
      }
    }
  }
  if (want === 'eq') {
    b.jump(to);
    b.place(differ);
  }
}
