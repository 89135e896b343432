import assert from 'node:assert/strict';
import { test } from 'node:test';
import { histogramBuckets, lhistBuckets } from '../program/histogram.ts';
import { bounds, histogramIndex, histogramLow, lhistIndex, rows } from './histogram.ts';
import type { HistogramValue } from './value.ts';

const hist = (bits: number, counts: number[], shown: readonly [number, number] | undefined): HistogramValue => ({
  kind: 'hist',
  counts,
  shown,
  bits,
  min: 0n,
  max: 0n,
  step: 0n,
});

// By hand from the definition: one bucket below 0, then 2^bits for each power of two up to 2^63.
test('number of buckets', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5].map(histogramBuckets), [65, 127, 249, 489, 961, 1889]);
});

test('bucket of a value, bits 0', () => {
  const cases: [bigint, number][] = [
    [-(2n ** 63n), 0],
    [-1n, 0],
    [0n, 1],
    [1n, 2],
    [2n, 3],
    [3n, 3],
    [4n, 4],
    [7n, 4],
    [8n, 5],
    [1023n, 11],
    [1024n, 12],
    [2n ** 62n, 64],
    [2n ** 63n - 1n, 64],
    // Taken as signed: bpftrace 0.27.1 counts hist((uint64)1 << 63) below 0.
    [2n ** 63n, 0],
    [2n ** 64n - 1n, 0],
  ];
  for (const [value, index] of cases) assert.equal(histogramIndex(value, 0), index, String(value));
});

// `@ = hist(x, 2)` of bpftrace 0.27.1: 0…7 by themselves, then [8, 10) … [14, 16), [16, 20) … [64, 80).
test('bucket bounds, bits 2', () => {
  const seen = [...new Set(Array.from({ length: 70 }, (_, value) => histogramIndex(BigInt(value), 2)))];
  const value = hist(2, [], undefined);
  const expected = [
    [0, 1],
    [1, 2],
    [2, 3],
    [3, 4],
    [4, 5],
    [5, 6],
    [6, 7],
    [7, 8],
    [8, 10],
    [10, 12],
    [12, 14],
    [14, 16],
    [16, 20],
    [20, 24],
    [24, 28],
    [28, 32],
    [32, 40],
    [40, 48],
    [48, 56],
    [56, 64],
    [64, 80],
  ];
  assert.deepEqual(
    seen.map((index) => bounds(value, index)),
    expected,
  );
});

// Rows that bpftrace 0.27.1 printed for hist(x, 5): [31] [32] [33] [1008, 1024) [1024, 1056) [1056, 1088) [976K, 992K).
test('bucket bounds, bits 5', () => {
  const cases: [bigint, bigint, bigint][] = [
    [31n, 31n, 32n],
    [33n, 33n, 34n],
    [1023n, 1008n, 1024n],
    [1024n, 1024n, 1056n],
    [1055n, 1024n, 1056n],
    [1056n, 1056n, 1088n],
    [1000000n, 976n * 1024n, 992n * 1024n],
  ];
  for (const [value, low, high] of cases) {
    const index = histogramIndex(value, 5);
    assert.equal(histogramLow(index, 5), low, String(value));
    assert.equal(histogramLow(index + 1, 5), high, String(value));
  }
});

test('every value lies in its bucket, the last bucket ends at 2^63', () => {
  for (let bits = 0; bits <= 5; bits++) {
    assert.equal(histogramLow(histogramBuckets(bits), bits), 2n ** 63n);
    for (let power = 0n; power < 63n; power++) {
      for (const value of [2n ** power - 1n, 2n ** power, 2n ** power + 2n ** (power / 2n)]) {
        if (value >= 2n ** 63n) continue;
        const index = histogramIndex(value, bits);
        assert.ok(histogramLow(index, bits) <= value && value < histogramLow(index + 1, bits), `${value} bits ${bits}`);
      }
    }
  }
});

// lhist(x, 0, 10, 3) and lhist(x, 4, 10, 3) of bpftrace 0.27.1 for x = 0…12 had rows of 3 3 3 4 and 4 3 3 3.
test('linear buckets', () => {
  const counts = (min: bigint): number[] => {
    const list = new Array<number>(lhistBuckets(min, 10n, 3n)).fill(0);
    for (let value = 0n; value <= 12n; value++) (list[lhistIndex(value, min, 10n, 3n)] as number) += 1;
    return list;
  };
  assert.deepEqual(counts(0n), [0, 3, 3, 3, 4]);
  assert.deepEqual(counts(4n), [4, 3, 3, 3]);
  assert.equal(lhistIndex(-5n, 0n, 10n, 2n), 0);
});

test('rows reach from the first filled bucket to the last', () => {
  assert.deepEqual(rows(hist(0, [0, 0, 1, 0, 2, 0], [2, 4])), [
    { low: 1, high: 2, count: 1 },
    { low: 2, high: 4, count: 0 },
    { low: 4, high: 8, count: 2 },
  ]);
  assert.deepEqual(rows(hist(0, [0, 0], undefined)), []);
});
