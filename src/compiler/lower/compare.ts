/** Equality of values in memory. */
import type { Label } from '../ir/ir.ts';
import { stringBytes } from '../syntax/literals.ts';
import type { Lower } from './lower.ts';
import type { DirectPlace } from './place.ts';

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
  const condition = operator === '<' ? 'ult' : operator === '<=' ? 'ule' : operator === '>' ? 'ugt' : 'uge';
  b.branch(condition, a, c, to);
  b.place(past);
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
