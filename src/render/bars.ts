/** Histograms drawn with bars of `@`, as bpftrace 0.26 does. */
import { bounds, histogramLow } from '../values/histogram.ts';
import type { HistogramValue } from '../values/value.ts';

const barWidth = 52;
const labelWidth = 16;
const countWidth = 8;
const units = ['', 'K', 'M', 'G', 'T', 'P', 'E'] as const;

/** Lower bound of hist bucket `index`, in the largest unit of 1024 that the bucket's width is a multiple of. */
function powerLabel(index: number, bits: number): string {
  const low = histogramLow(index, bits);
  const width = histogramLow(index + 1, bits) - low;
  const unit = Math.floor((width.toString(2).length - 1) / 10);
  return `${low >> BigInt(10 * unit)}${units[unit]}`;
}

/** Bounds of lhist buckets are in K or M when both min and step are whole multiples of it. */
function linearUnit(histogram: HistogramValue): number {
  const fits = (size: bigint): boolean => histogram.step % size === 0n && histogram.min % size === 0n;
  return fits(1048576n) ? 2 : fits(1024n) ? 1 : 0;
}

function bucketLabel(histogram: HistogramValue, index: number): string {
  const [low, high] = bounds(histogram, index);
  if (histogram.kind === 'hist') {
    if (low === undefined) return '(..., 0)';
    if (BigInt(high ?? 0) - BigInt(low) === 1n) return `[${low}]`;
    return `[${powerLabel(index, histogram.bits)}, ${powerLabel(index + 1, histogram.bits)})`;
  }
  const unit = linearUnit(histogram);
  const label = (bound: number | bigint): string => {
    const scaled = BigInt(bound) / 1024n ** BigInt(unit);
    return scaled === 0n ? '0' : `${scaled}${units[unit]}`;
  };
  if (low === undefined) return `(..., ${label(high ?? 0)})`;
  if (high === undefined) return `[${label(low)}, ...)`;
  return BigInt(high) - BigInt(low) === 1n ? `[${low}]` : `[${label(low)}, ${label(high)})`;
}

/** One line a bucket, from the first to the last that holds anything; '' when none does. */
export function drawHistogram(histogram: HistogramValue): string {
  if (histogram.shown === undefined) return '';
  const [first, last] = histogram.shown;
  let most = 1;
  for (let i = first; i <= last; i++) most = Math.max(most, histogram.counts[i] as number);
  let text = '';
  for (let i = first; i <= last; i++) {
    const count = histogram.counts[i] as number;
    const bar = '@'.repeat(Math.floor((count * barWidth) / most)).padEnd(barWidth);
    text += `${bucketLabel(histogram, i).padEnd(labelWidth)}${String(count).padStart(countWidth)} |${bar}|\n`;
  }
  return text;
}
