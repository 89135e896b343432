/** Time series as the CPUs keep them (Schema kind tseries) → one value. */
import type { Schema } from '../program/schema.ts';
import { compareIntegers, divide, exact, readInteger, readUnsigned } from './integer.ts';
import type { Integer, Value } from './value.ts';

type SeriesSchema = Extract<Schema, { kind: 'tseries' }>;

/** The intervals of all CPUs put together: those that lie within the series before its newest one. */
export function series(schema: SeriesSchema, view: DataView, offsets: readonly number[]): Value {
  const found = new Map<bigint, { value: Integer; meta: Integer }>();
  for (const offset of offsets) {
    for (let at = offset; at < offset + 24 * schema.buckets; at += 24) {
      const number = view.getBigUint64(at, true);
      if (number === 0n) continue;
      const value = readInteger(view, at + 8, 8, schema.signed);
      const meta = readUnsigned(view, at + 16, 8);
      const known = found.get(number);
      found.set(number, known === undefined ? { value, meta } : combined(schema.combine, known, { value, meta }));
    }
  }
  const numbers = [...found.keys()].sort((a, b) => (a < b ? -1 : 1));
  const newest = numbers.at(-1) ?? 0n;
  const interval = BigInt(schema.interval);
  const points = numbers
    .filter((number) => number > newest - BigInt(schema.buckets))
    .map((number) => {
      const { value, meta } = found.get(number) as { value: Integer; meta: Integer };
      return { start: number * interval, value: schema.combine === 'avg' ? divide(value, meta) : value };
    });
  return { kind: 'tseries', interval, points };
}

interface Part {
  readonly value: Integer;
  readonly meta: Integer;
}

function combined(how: SeriesSchema['combine'], a: Part, b: Part): Part {
  switch (how) {
    case 'last':
      return compareIntegers(a.meta, b.meta) >= 0 ? a : b;
    case 'sum':
    case 'avg':
      return { value: exact(BigInt(a.value) + BigInt(b.value)), meta: exact(BigInt(a.meta) + BigInt(b.meta)) };
    case 'min':
      return compareIntegers(a.value, b.value) <= 0 ? a : b;
    case 'max':
      return compareIntegers(a.value, b.value) >= 0 ? a : b;
  }
}
