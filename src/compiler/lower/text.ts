/** Text in memory: read with its length, put together. */
import type { Config } from '../../program/program.ts';
import type { StringType, Type } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import type { Sema } from '../sema/sema.ts';
import type { Expr } from '../syntax/ast.ts';
import { align8, roomOf } from './layout.ts';
import type { Lower } from './lower.ts';
import type { DirectPlace, Place } from './place.ts';

/** A value as text: a string, an array of characters, what a pointer to characters points to; undefined for others. */
export function textOf(type: Type, config: Config): StringType | undefined {
  const isChar = (of: Type): boolean => of.kind === 'int' && of.size === 1;
  if (type.kind === 'string') return type;
  if (type.kind === 'array' && isChar(type.of)) return { kind: 'string', size: type.length + 1 };
  if (type.kind === 'pointer' && isChar(type.to())) return { kind: 'string', size: config.maxStrlen };
  return undefined;
}

/** A text in scratch memory with its length, the NUL included (at least 1); `extra` bytes of room are left behind it. */
export function readText(
  low: Lower,
  expr: Expr,
  extra = 0,
): { readonly place: DirectPlace; readonly length: Reg; readonly size: number } {
  const { b } = low;
  const type = low.typeOf(expr);
  const { size } = textOf(type, low.options.config) as StringType;
  const from: Place =
    type.kind === 'pointer'
      ? { kind: 'memory', address: low.scalar(expr), offset: 0, space: type.space }
      : low.place(expr);
  const place = low.scratch(align8(size + 1) + extra);
  b.store(place.base, place.offset, 8, { imm: 0 });
  const length = b.reg();
  b.mov(length, low.readString(place, from, { imm: size }));
  const fine = b.label();
  b.branch('sgt', length, { imm: 0 }, fine);
  b.push({ op: 'const', dst: length, value: 1n });
  b.place(fine);
  return { place, length, size };
}

/** The string that takes both, one behind the other, at most as long as any string may be. */
export function concatType(first: StringType, second: StringType, sema: Sema): StringType {
  const most = Math.max(sema.config.maxStrlen, first.size, second.size);
  // A variable that grows by itself (`$a = $a + "x"`) gets all the room after a few passes.
  return { kind: 'string', size: sema.pass > 4 ? most : Math.min(most, first.size + second.size - 1) };
}

/** Writes two texts, one behind the other, at a place of that string type. */
export function concatInto(low: Lower, left: Expr, right: Expr, to: DirectPlace, type: Type): void {
  if (type.kind !== 'string') return;
  const { b } = low;
  low.scoped(() => {
    const room = roomOf(type, low.assets.stored);
    const config = low.options.config;
    const second = textOf(low.typeOf(right), config) as StringType;
    const start = readText(low, left, second.size);
    const rest = readText(low, right);
    const end = b.reg();
    b.mov(end, b.alu('sub', start.length, { imm: 1 }));
    const fine = b.label();
    b.branch('ult', end, { imm: start.size }, fine);
    b.push({ op: 'const', dst: end, value: 0n });
    b.place(fine);
    const behind: DirectPlace = {
      kind: 'direct',
      base: b.alu('add', start.place.base, end),
      offset: start.place.offset,
    };
    low.readString(behind, rest.place, { imm: rest.size });
    if (!to.raw) low.clear(to, room);
    low.readString(to, start.place, { imm: Math.min(type.size, room) });
  });
}
