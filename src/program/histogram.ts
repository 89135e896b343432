/**
 * The shape of histograms, shared by the code that fills them and the code that shows
 * them. hist(n, k) has 2^k buckets for every power of two; bucket 0 takes negative
 * values, values below 2^k have a bucket each (from index 1 on), and a value whose
 * highest set bit is l lands in ((l - k + 1) << k) + ((n >> (l - k)) & (2^k - 1)) + 1.
 * lhist(n, min, max, step): bucket 0 below min, then one a step, the last from max on.
 */

/** Buckets of hist() with `bits` (0 to 5) sub-bucket bits, for values of 64 bits. */
export const histogramBuckets = (bits: number): number => ((65 - bits) << bits) + 1;

/** Buckets of lhist(), the two open ends included; a last step may be cut short by max. */
export function lhistBuckets(min: bigint, max: bigint, step: bigint): number {
  return Number((max - min + step - 1n) / step) + 2;
}
