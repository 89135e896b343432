import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MapSpec } from '../program/program.ts';
import type { Schema } from '../program/schema.ts';
import { endNumber } from '../program/unwind.ts';
import { decode } from './decode.ts';
import { readMap } from './map.ts';
import { anyUnfinished, type FinishStack, finishStacks, stackPlaces } from './unfinished.ts';

const stack = (form: 'inline' | 'id', limit: number): Schema & { kind: 'ustack' } => ({
  kind: 'ustack',
  form,
  mode: 'raw',
  limit,
  unwound: true,
  stacks: 3,
});
const finish: FinishStack = (id) =>
  id === 77n ? { frames: BigUint64Array.of(0x1000n, 0x2000n, 0x3000n), end: 'complete', guessed: false } : undefined;

/** u32 process, u16 frames, u8 end, u8 flags; then words. */
function bytes(count: number, end: number, ...words: bigint[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 + 8 * words.length));
  view.setUint32(0, 9, true);
  view.setUint16(4, count, true);
  view.setUint8(6, end);
  for (const [index, word] of words.entries()) view.setBigUint64(8 + 8 * index, word, true);
  return new Uint8Array(view.buffer);
}
const viewOf = ({ buffer }: Uint8Array): DataView => new DataView(buffer);
const frames = (schema: Schema, record: Uint8Array): unknown => {
  const value = decode(schema, record, 0);
  return value.kind === 'stack' ? [value.frames, value.end] : undefined;
};

test('frames of a record: the id stands behind those that there are', () => {
  const schema = stack('inline', 4);
  const places = stackPlaces(schema);
  const record = bytes(1, endNumber('unfinished'), 0x1000n, 77n, 0n, 0n);
  assert.ok(anyUnfinished(viewOf(record), 0, places));
  assert.ok(finishStacks(viewOf(record), 0, places, finish, () => {}));
  assert.deepEqual(frames(schema, record), [[0x1000, 0x2000, 0x3000], 'complete']);
  assert.ok(!anyUnfinished(viewOf(record), 0, places));

  // No more than were asked for.
  const two = stack('inline', 2);
  const short = bytes(1, endNumber('unfinished'), 0x1000n, 77n);
  finishStacks(viewOf(short), 0, stackPlaces(two), finish, () => {});
  assert.deepEqual(frames(two, short), [[0x1000, 0x2000], 'complete']);

  // What was not saved stays as it is.
  const unknown = bytes(1, endNumber('unfinished'), 0x1000n, 78n, 0n, 0n);
  finishStacks(viewOf(unknown), 0, places, finish, () => {});
  assert.deepEqual(frames(schema, unknown), [[0x1000], 'not indexed']);
});

test('stacks in tuples, behind other values', () => {
  const tuple: Schema = {
    kind: 'tuple',
    size: 24,
    elements: [
      { offset: 0, schema: { kind: 'int', size: 8, signed: true } },
      { offset: 8, schema: stack('id', 127) },
    ],
  };
  assert.deepEqual(
    stackPlaces(tuple, 16).map(({ offset }) => offset),
    [24],
  );
});

test('keys that turn out to be one are added up', () => {
  const spec: MapSpec = {
    role: 'user',
    name: 'm',
    kind: 'PERCPU_HASH',
    keySize: 16,
    valueSize: 8,
    maxEntries: 16,
    flags: 0,
    user: {
      keys: [{ offset: 0, schema: stack('id', 127) }],
      value: { kind: 'aggregate', aggregate: 'count', signed: false },
      storage: { kind: 'hash' },
    },
  };
  const value = (...words: bigint[]): Uint8Array => new Uint8Array(BigUint64Array.from(words).buffer);
  const kept: BigUint64Array[] = [];
  const read = (raw: { key: Uint8Array; value: Uint8Array }[]): unknown[] =>
    readMap(spec, raw, (view, places) =>
      finishStacks(
        view,
        0,
        places,
        () => finish(77n),
        (_key, list) => kept.push(list),
      ),
    ).entries.map((entry) => entry.value);
  const first = { key: bytes(1, endNumber('unfinished'), 77n), value: value(1n, 2n) };
  const second = { key: bytes(2, endNumber('unfinished'), 79n), value: value(0n, 4n) };
  assert.deepEqual(read([first, second]), [{ kind: 'int', value: 7 }]);
  assert.deepEqual(kept, [finish(77n)?.frames, finish(77n)?.frames]);
  // The same stack, taken whole: its key is what the finished one has got.
  const whole = { key: first.key.slice(), value: value(8n, 0n) };
  const third = { key: bytes(1, endNumber('unfinished'), 80n), value: value(16n, 0n) };
  assert.deepEqual(read([whole, third]), [{ kind: 'int', value: 24 }]);
  const other = { key: bytes(1, endNumber('complete'), 5n), value: value(1n, 0n) };
  assert.equal(read([whole, other]).length, 2);
});
