/**
 * Buckets of hist() and lhist(), as bpftrace 0.26 draws them: how many there are, which
 * one a value falls into (the compiler emits the same arithmetic as BPF code), and
 * their bounds.
 *
 * hist(value, k), k = 0…5, takes the value as a signed 64-bit number:
 *
 *   index 0                      value < 0
 *   index 1 + value              0 ≤ value < 2^k                       (each value has its own)
 *   index 1 + (value >> s) + (s << k)   with s = floor(log2 value) - k (2^k buckets an octave)
 *
 * The middle line is the last one with s = 0, so the whole function is
 * `value < 0 ? 0 : 1 + (value >> s) + (s << k)` with `s = max(0, floor(log2 value) - k)`.
 * For k = 0: negative, 0, 1, [2,4), [4,8), … [2^62, 2^63): 65 buckets.
 *
 * lhist(value, min, max, step): index 0 below min, 1 + (value - min) / step up to the
 * last whole step, one more for everything from there on. When step does not divide
 * max - min, the values after the last whole step count as above it (bpftrace does so too).
 */
import { lhistBuckets } from '../program/histogram.ts';
import { exact } from './integer.ts';
import type { HistogramValue, Integer } from './value.ts';

/** Bucket of a value (any 64-bit pattern; it is taken as signed). */
export function histogramIndex(value: bigint, bits: number): number {
  const signed = BigInt.asIntN(64, value);
  if (signed < 0n) return 0;
  const log2 = signed.toString(2).length - 1;
  const shift = Math.max(0, log2 - bits);
  return 1 + Number(signed >> BigInt(shift)) + (shift << bits);
}

/** Smallest value of bucket `index` ≥ 1; for index = histogramBuckets(bits) the first value past the end, 2^63. */
export function histogramLow(index: number, bits: number): bigint {
  const rank = index - 1;
  const octave = rank >> bits;
  if (octave === 0) return BigInt(rank);
  const sub = rank & ((1 << bits) - 1);
  return BigInt((1 << bits) | sub) << BigInt(octave - 1);
}

/** Bucket of a signed 64-bit value. */
export function lhistIndex(value: bigint, min: bigint, max: bigint, step: bigint): number {
  if (value < min) return 0;
  const index = (value - min) / step + 1n;
  const last = BigInt(lhistBuckets(min, max, step) - 1);
  return Number(index < last ? index : last);
}

/** One row of a drawn histogram. */
export interface Bucket {
  /** Smallest value in it; undefined: no lower bound. */
  readonly low: Integer | undefined;
  /** First value above it; undefined: no upper bound. */
  readonly high: Integer | undefined;
  readonly count: number;
}

/** Index of the first and last bucket that hold anything; undefined when all are empty. */
export function filledRange(counts: readonly number[]): readonly [first: number, last: number] | undefined {
  let first = 0;
  while (first < counts.length && counts[first] === 0) first++;
  if (first === counts.length) return undefined;
  let last = counts.length - 1;
  while (counts[last] === 0) last--;
  return [first, last];
}

/** The rows to show: from the first bucket that holds anything to the last, the empty ones between them too. */
export function rows(histogram: HistogramValue): Bucket[] {
  const range = histogram.shown;
  if (range === undefined) return [];
  const list: Bucket[] = [];
  for (let index = range[0]; index <= range[1]; index++) {
    const [low, high] = bounds(histogram, index);
    list.push({ low, high, count: histogram.counts[index] as number });
  }
  return list;
}

/** Lower (inclusive) and upper (exclusive) bound of a bucket. */
export function bounds(histogram: HistogramValue, index: number): readonly [Integer | undefined, Integer | undefined] {
  if (histogram.kind === 'hist') {
    if (index === 0) return [undefined, 0];
    return [exact(histogramLow(index, histogram.bits)), exact(histogramLow(index + 1, histogram.bits))];
  }
  if (index === 0) return [undefined, exact(histogram.min)];
  const low = histogram.min + BigInt(index - 1) * histogram.step;
  const last = lhistBuckets(histogram.min, histogram.max, histogram.step) - 1;
  return [exact(low), index === last ? undefined : exact(low + histogram.step)];
}
