import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventSpec, FormatPiece } from '../program/program.ts';
import type { Schema } from '../program/schema.ts';
import type { Formatting } from './event.ts';
import { eventDecoder } from './event.ts';

/** Formatting that only shows what it was asked for. */
const formatting: Formatting = {
  printf: (format, args) => (record, offset) =>
    `${format.length} pieces, argument ${record.getUint32(offset + (args[0]?.offset ?? 0), true)}`,
  now: (format) => `now in ${format}`,
};
const span = [3, 9] as const;
const int: Schema = { kind: 'int', size: 4, signed: false };
const format: FormatPiece[] = [{ text: 'x' }];

/** A record at offset 16 of a larger buffer, as in a ring. */
function decodeAt16(spec: EventSpec, bytes: number[]): unknown {
  const ring = new DataView(new ArrayBuffer(256));
  new Uint8Array(ring.buffer).set(bytes, 16);
  return eventDecoder(spec, formatting)(ring, 16);
}
const head = [0, 0, 0, 0, 0, 0, 0, 0];

test('records become events', () => {
  const args = [{ offset: 8, schema: int }];
  const text = '1 pieces, argument 7';
  assert.deepEqual(decodeAt16({ kind: 'printf', size: 16, span, format, args }, [...head, 7]), {
    type: 'printf',
    text,
  });
  assert.deepEqual(decodeAt16({ kind: 'warnf', size: 16, span, format, args }, [...head, 7]), {
    type: 'warnf',
    text,
    span,
  });
  assert.deepEqual(decodeAt16({ kind: 'system', size: 16, span, format, args }, [...head, 7]), {
    type: 'system',
    text,
  });
  const value = { type: 'value', value: { kind: 'int', value: 258 } };
  assert.deepEqual(
    decodeAt16({ kind: 'print_value', size: 16, span, value: { offset: 8, schema: int } }, [...head, 2, 1]),
    value,
  );
  assert.deepEqual(decodeAt16({ kind: 'print_map', size: 8, span, map: 2, top: 3, div: 4 }, head), {
    type: 'print_map',
    map: 2,
    top: 3,
    div: 4,
  });
  assert.deepEqual(decodeAt16({ kind: 'zero', size: 8, span, map: 2 }, head), { type: 'zero', map: 2 });
  assert.deepEqual(decodeAt16({ kind: 'time', size: 8, span, format: '%H' }, head), {
    type: 'time',
    text: 'now in %H',
  });
  assert.deepEqual(decodeAt16({ kind: 'exit', size: 16, span, offset: 8 }, [...head, 0xff, 0xff, 0xff, 0xff]), {
    type: 'exit',
    code: -1,
  });
  assert.deepEqual(
    decodeAt16({ kind: 'runtime_error', size: 16, span, what: 'map_update_elem', offset: 8 }, [
      ...head,
      0xf9,
      0xff,
      0xff,
      0xff,
    ]),
    { type: 'runtime_error', what: 'map_update_elem', code: -7, span },
  );
});

test('join: the slots up to the first empty one', () => {
  const slot = (word: string): number[] => Array.from({ length: 8 }, (_, i) => word.charCodeAt(i) || 0);
  const spec: EventSpec = { kind: 'join', size: 40, span, delimiter: ',', count: 4, argSize: 8, offset: 8 };
  const bytes = [...head, ...slot('/bin/sh'), ...slot('-c'), ...slot(''), ...slot('stale')];
  assert.deepEqual(decodeAt16(spec, bytes), { type: 'join', text: '/bin/sh,-c' });
});
