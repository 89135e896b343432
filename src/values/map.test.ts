import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MapKind, MapSpec, UserMap } from '../program/program.ts';
import type { Schema } from '../program/schema.ts';
import { schemaSize } from '../program/schema.ts';
import type { RawEntry } from './map.ts';
import { holdsSomething, readMap, selectEntries } from './map.ts';
import type { Value } from './value.ts';

const u64 = (...values: bigint[]): Uint8Array =>
  new Uint8Array(BigUint64Array.from(values, (value) => BigInt.asUintN(64, value)).buffer);
const int = (size: 4 | 8, signed = true): Schema => ({ kind: 'int', size, signed });
type Aggregate = Extract<Schema, { kind: 'aggregate' }>['aggregate'];
const aggregate = (kind: Aggregate, signed = true): Schema => ({ kind: 'aggregate', aggregate: kind, signed });

function keyed(value: Schema, kind: MapKind, key: Schema = int(8)): MapSpec {
  const user: UserMap = { keys: [{ offset: 0, schema: key }], value, storage: { kind: 'hash' } };
  return {
    role: 'user',
    name: 'm',
    kind,
    keySize: schemaSize(key),
    valueSize: schemaSize(value),
    maxEntries: 4096,
    flags: 0,
    user,
  };
}

/** One element, `cpus` values `stride` apart, a set flag after them. */
function scalar(value: Schema, cpus: number): MapSpec {
  const stride = schemaSize(value);
  const storage = { kind: 'array', cpus, stride, setOffset: cpus * stride } as const;
  const user: UserMap = { keys: [], value, storage };
  return {
    role: 'user',
    name: 'm',
    kind: 'ARRAY',
    keySize: 4,
    valueSize: cpus * stride + 8,
    maxEntries: 1,
    flags: 0,
    user,
  };
}

const entry = (key: bigint, ...values: bigint[]): RawEntry => ({ key: u64(key), value: u64(...values) });
const only = (spec: MapSpec, ...values: bigint[]): Value | undefined =>
  readMap(spec, [{ key: new Uint8Array(4), value: u64(...values) }]).entries[0]?.value;
const shown = (spec: MapSpec, entries: RawEntry[]): [unknown, unknown][] =>
  readMap(spec, entries).entries.map(({ key, value }) => {
    const first = key[0] as Extract<Value, { kind: 'int' }>;
    return [first.value, 'value' in value ? value.value : 'average' in value ? value.average : value];
  });

test('CPUs add up', () => {
  assert.deepEqual(only(scalar(aggregate('count', false), 2), 3n, 4n, 1n), { kind: 'int', value: 7 });
  assert.deepEqual(only(scalar(aggregate('sum'), 2), -10n, 3n, 1n), { kind: 'int', value: -7 });
  assert.deepEqual(only(scalar(aggregate('avg'), 2), 10n, 2n, 5n, 1n, 1n), {
    kind: 'avg',
    average: 5,
    count: 3,
    total: 15,
  });
  assert.deepEqual(only(scalar(aggregate('stats'), 2), 3n, 1n, 5n, 1n, 1n), {
    kind: 'stats',
    average: 4,
    count: 2,
    total: 8,
  });
  // Towards zero: bpftrace 0.27.1 prints -3 for the average of -3 and -4.
  assert.deepEqual(only(scalar(aggregate('avg'), 2), -3n, 1n, -4n, 1n, 1n), {
    kind: 'avg',
    average: -3,
    count: 2,
    total: -7,
  });
});

test('sums wrap at 64 bits', () => {
  const max = 2n ** 63n - 1n;
  assert.deepEqual(only(scalar(aggregate('sum'), 2), max, 1n, 1n), { kind: 'int', value: -(2n ** 63n) });
  assert.deepEqual(only(scalar(aggregate('sum', false), 2), max, 1n, 1n), { kind: 'int', value: 2n ** 63n });
  assert.deepEqual(only(scalar(aggregate('sum', false), 2), 2n ** 64n - 1n, 2n, 1n), { kind: 'int', value: 1 });
});

test('min and max look only at CPUs that have set them', () => {
  assert.deepEqual(only(scalar(aggregate('min'), 2), 5n, 1n, 0n, 0n, 1n), { kind: 'int', value: 5 });
  assert.deepEqual(only(scalar(aggregate('min'), 2), 5n, 1n, -3n, 1n, 1n), { kind: 'int', value: -3 });
  assert.deepEqual(only(scalar(aggregate('max'), 2), -5n, 1n, 0n, 0n, 1n), { kind: 'int', value: -5 });
  // -1 is the largest unsigned number.
  assert.deepEqual(only(scalar(aggregate('max', false), 2), 5n, 1n, -1n, 1n, 1n), {
    kind: 'int',
    value: 2n ** 64n - 1n,
  });
  assert.deepEqual(only(scalar(aggregate('min'), 2), 0n, 0n, 0n, 0n, 0n), { kind: 'int', value: 0 });
});

test('histogram buckets add up', () => {
  const schema: Schema = { kind: 'hist', bits: 0, buckets: 4 };
  const value = only(scalar(schema, 2), 0n, 1n, 0n, 0n, 0n, 2n, 5n, 0n, 1n);
  assert.deepEqual(value, { kind: 'hist', counts: [0, 3, 5, 0], shown: [1, 2], bits: 0, min: 0n, max: 0n, step: 0n });
});

test('a map without keys has been set or not', () => {
  const spec = scalar(int(8), 1);
  const read = (...values: bigint[]) => readMap(spec, [{ key: new Uint8Array(4), value: u64(...values) }]);
  assert.equal(holdsSomething(read(0n, 0n)), false);
  assert.equal(holdsSomething(read(0n, 1n)), true);
  assert.equal(holdsSomething(readMap(keyed(int(8), 'HASH'), [])), false);
});

test('per-CPU elements: values padded to 8 bytes, one after the other', () => {
  const spec = keyed(aggregate('count', false), 'PERCPU_HASH');
  assert.deepEqual(shown(spec, [entry(1n, 2n, 3n, 4n)]), [[1, 9]]);
});

// bpftrace 0.27.1: @sk[2]: -5, @sk[1]: 5; @a[b]: 5, @a[c]: 7, @a[a]: 10; @su[b]: 1, @su[a]: 18446744073709551615.
test('integers and aggregations are ordered by value, equal ones by key', () => {
  assert.deepEqual(shown(keyed(int(8), 'HASH'), [entry(1n, 5n), entry(2n, -5n)]), [
    [2, -5],
    [1, 5],
  ]);
  assert.deepEqual(shown(keyed(int(8, false), 'HASH'), [entry(1n, -1n), entry(2n, 1n)]), [
    [2, 1],
    [1, 2n ** 64n - 1n],
  ]);
  const averages = [entry(1n, 10n, 1n), entry(2n, 15n, 3n), entry(3n, 7n, 1n)];
  assert.deepEqual(shown(keyed(aggregate('stats'), 'PERCPU_HASH'), averages), [
    [2, 5],
    [3, 7],
    [1, 10],
  ]);
  const ties = [entry(10n, 3n), entry(-1n, 3n), entry(2n, 3n), entry(3n, 9n)];
  assert.deepEqual(shown(keyed(int(8), 'HASH'), ties), [
    [-1, 3],
    [2, 3],
    [10, 3],
    [3, 9],
  ]);
});

// bpftrace 0.27.1 drew @hk[2], with two events, after the others, with one.
test('histograms are ordered by their number of events', () => {
  const spec = keyed({ kind: 'hist', bits: 0, buckets: 3 }, 'PERCPU_HASH');
  const map = readMap(spec, [entry(2n, 1n, 0n, 1n), entry(3n, 0n, 1n, 0n), entry(-1n, 0n, 0n, 1n)]);
  assert.deepEqual(
    map.entries.map(({ key }) => (key[0] as { value: number }).value),
    [-1, 3, 2],
  );
});

// bpftrace 0.27.1: @vs[0]: z, @vs[1]: z, @vs[2]: a; pointers by key as well; strings byte by byte (B before a before aa).
test('everything else is ordered by key', () => {
  const string: Schema = { kind: 'string', size: 8 };
  const text = (word: string): Uint8Array => Uint8Array.from({ length: 8 }, (_, i) => word.charCodeAt(i) || 0);
  const spec = keyed(string, 'HASH', string);
  const map = readMap(
    spec,
    ['b', 'a', 'B', 'aa'].map((word) => ({ key: text(word), value: text('x') })),
  );
  assert.deepEqual(
    map.entries.map(({ key }) => (key[0] as { text: string }).text),
    ['B', 'a', 'aa', 'b'],
  );
  const pointers = keyed({ kind: 'pointer' }, 'HASH');
  assert.deepEqual(shown(pointers, [entry(1n, 0x63n), entry(0n, 0x64n)]), [
    [0, 0x64],
    [1, 0x63],
  ]);
});

// print(@k, 2, 3) and print(@s, 3, 2) of bpftrace 0.27.1 with @k[n] = 10n and @s[n] = sum(-7n), n = 1…7.
test('top takes the greatest values, div divides', () => {
  const k = readMap(
    keyed(int(8), 'HASH'),
    Array.from({ length: 7 }, (_, i) => entry(BigInt(i + 1), BigInt(10 * (i + 1)))),
  );
  const pairs = (top: number, div: number, map = k): unknown[] =>
    selectEntries(map, top, div).entries.map(({ key, value }) => [
      (key[0] as { value: number }).value,
      (value as { value: number }).value,
    ]);
  assert.deepEqual(pairs(2, 3), [
    [6, 20],
    [7, 23],
  ]);
  assert.deepEqual(pairs(3, 0), [
    [5, 50],
    [6, 60],
    [7, 70],
  ]);
  assert.deepEqual(pairs(0, 7), [
    [1, 1],
    [2, 2],
    [3, 4],
    [4, 5],
    [5, 7],
    [6, 8],
    [7, 10],
  ]);
  assert.equal(selectEntries(k, 100, 0).entries.length, 7);
  const s = readMap(
    keyed(int(8), 'HASH'),
    Array.from({ length: 7 }, (_, i) => entry(BigInt(i + 1), BigInt(-7 * (i + 1)))),
  );
  assert.deepEqual(pairs(3, 2, s), [
    [3, -10],
    [2, -7],
    [1, -3],
  ]);
});

// print(@stats, 0, 10) of bpftrace 0.27.1 for stats 77 and 78: count 2, average 7, total 155.
test('div leaves count and total alone', () => {
  const map = readMap(scalar(aggregate('stats'), 1), [{ key: new Uint8Array(4), value: u64(155n, 2n, 1n) }]);
  assert.deepEqual(selectEntries(map, 0, 10).entries[0]?.value, { kind: 'stats', average: 7, count: 2, total: 155 });
});
