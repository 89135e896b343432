import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import type { MapSpec } from '../../program/program.ts';
import { possibleCpus } from '../host/machine.ts';
import type { LoadedMap } from '../load/load.ts';
import { loadProgram } from '../load/load.ts';
import { bpfProgram, countersMap, countHit, needsRoot, sampleProgram } from '../sample.ts';
import { mapCreate, mapUpdate, progTestRun } from '../sys/bpf.ts';
import { closeFd } from '../sys/bpfcall.ts';
import {
  clearMap,
  type MapContents,
  mapArray,
  readElement,
  readMap,
  readOneByOne,
  valueLayout,
  zeroMap,
} from './map.ts';

const skip = needsRoot;

function hash(kind: MapSpec['kind'], valueSize: number): LoadedMap & { close(): void } {
  // An LRU map evicts before it is full: it gives each CPU a share.
  const maxEntries = kind === 'LRU_HASH' ? 65_536 : 16_384;
  const spec: MapSpec = { role: 'user', name: 'test', kind, keySize: 8, valueSize, maxEntries, flags: 0 };
  const fd = mapCreate(spec);
  return { spec, fd, close: () => closeFd(fd) };
}

/** Writes keys 0…9,999 with value key × 7 (+ CPU), each exactly once. */
function fill(map: LoadedMap): void {
  const layout = valueLayout(map.spec.kind, map.spec.valueSize);
  const key = new DataView(new ArrayBuffer(8));
  const value = new DataView(new ArrayBuffer(layout.size));
  for (let i = 0; i < 10_000; i++) {
    key.setUint32(0, i, true);
    for (let cpu = 0; cpu < layout.cpus; cpu++) value.setUint32(cpu * layout.stride, i * 7 + cpu, true);
    mapUpdate(map.fd, new Uint8Array(key.buffer), new Uint8Array(value.buffer));
  }
}

function check(contents: MapContents): void {
  assert.equal(contents.count, 10_000);
  const keys = new DataView(contents.keys.buffer, contents.keys.byteOffset);
  const values = new DataView(contents.values.buffer, contents.values.byteOffset);
  const seen = new Set<number>();
  for (let i = 0; i < contents.count; i++) {
    const key = keys.getUint32(i * 8, true);
    seen.add(key);
    for (let cpu = 0; cpu < contents.layout.cpus; cpu++) {
      const at = i * contents.layout.size + cpu * contents.layout.stride;
      assert.equal(values.getUint32(at, true), key * 7 + cpu);
    }
  }
  assert.equal(seen.size, 10_000);
  assert.equal(Math.max(...seen), 9999);
}

for (const [kind, valueSize] of [
  ['HASH', 12],
  ['PERCPU_HASH', 12],
  ['LRU_HASH', 8],
] as const) {
  test(`10,000 entries of a ${kind} read in batches and one by one`, { skip }, () => {
    const map = hash(kind, valueSize);
    fill(map);
    check(readMap(map));
    check(readOneByOne(map, valueLayout(kind, valueSize), false));
    map.close();
  });
}

test('a per-CPU value is rounded up to 8 bytes, once a possible CPU', () => {
  assert.deepEqual(valueLayout('PERCPU_HASH', 12), { cpus: possibleCpus(), stride: 16, size: 16 * possibleCpus() });
  assert.deepEqual(valueLayout('HASH', 12), { cpus: 1, stride: 12, size: 12 });
  assert.ok(possibleCpus() >= availableParallelism());
});

test('large values are read in several batches', { skip }, () => {
  const map = hash('HASH', 1200);
  fill(map);
  check(readMap(map));
  map.close();
});

test('zero keeps the keys, clear and remove empty the map', { skip }, () => {
  const map = hash('PERCPU_HASH', 8);
  fill(map);
  zeroMap(map);
  const zeroed = readMap(map);
  assert.equal(zeroed.count, 10_000);
  assert.ok(zeroed.values.every((byte) => byte === 0));
  fill(map);
  check(readMap(map, true));
  assert.equal(readMap(map).count, 0);
  fill(map);
  clearMap(map);
  assert.equal(readMap(map).count, 0);
  assert.equal(readElement(map, new Uint8Array(8)), undefined);
  fill(map);
  check(readOneByOne(map, valueLayout('PERCPU_HASH', 8), true));
  assert.equal(readMap(map).count, 0);
  map.close();
});

test('an mmapable array shows what a program writes, at once', { skip }, () => {
  const counter = bpfProgram('RAW_TRACEPOINT', countHit, [{ insn: 1, kind: 'map_value', map: 0, offset: 8 }]);
  using loaded = loadProgram(sampleProgram([countersMap], [counter]));
  const map = loaded.maps[0] as LoadedMap;
  const shared = mapArray(map);
  const words = new BigUint64Array(shared.buffer);
  const fd = loaded.programs[0]?.fd ?? -1;
  for (let i = 1; i <= 5; i++) {
    progTestRun(fd);
    assert.equal(words[1], BigInt(i));
  }
  words[1] = 100n;
  progTestRun(fd);
  assert.equal(new DataView((readElement(map, new Uint8Array(4)) as Uint8Array).buffer).getBigUint64(8, true), 101n);
  shared.close();
  assert.equal(words[1], 0n, 'a view kept after close() reads empty pages, not what comes to lie there');
});
