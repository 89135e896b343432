/**
 * How many buckets histograms have: shared by the code that fills them (compiler) and
 * the code that shows them (values/histogram.ts, where the bucket of a value is defined).
 */

/** Number of buckets of hist(value, bits), bits 0 to 5. */
export const histogramBuckets = (bits: number): number => 1 + (64 - bits) * 2 ** bits;

/** Number of buckets of lhist(value, min, max, step), the two open ends included. */
export const lhistBuckets = (min: bigint, max: bigint, step: bigint): number => Number((max - min) / step) + 2;
