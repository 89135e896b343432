/** Time series drawn as bpftrace 0.26 does: a line an interval, a star where its value stands. */
import type { SeriesValue } from '../values/value.ts';
import type { Wording } from './words.ts';

/** Columns between the two edges, the right one included. */
const width = 52;

interface Unit {
  readonly name: string;
  /** Digits of the fraction of a second. */
  readonly digits: number;
}

const second = 1_000_000_000n;

/** How finely times are shown; a series of one interval is shown to the nanosecond. */
function unitOf(series: SeriesValue): Unit {
  const { interval, points } = series;
  if (points.length === 1) return { name: 'ns', digits: 9 };
  if (interval >= second) return { name: '', digits: 0 };
  if (interval >= 1_000_000n) return { name: 'ms', digits: 3 };
  return interval >= 1000n ? { name: 'μs', digits: 6 } : { name: 'ns', digits: 9 };
}

const two = (n: number): string => String(n).padStart(2, '0');

/** Local time of day. */
function clockText(ns: bigint, digits: number, wording: Wording): string {
  const seconds = Number(ns / second);
  const local = new Date((seconds + wording.names.timeZone(seconds).offset) * 1000);
  const time = `${two(local.getUTCHours())}:${two(local.getUTCMinutes())}:${two(local.getUTCSeconds())}`;
  const fraction = String(ns % second).padStart(9, '0');
  return digits === 0 ? time : `${time}.${fraction.slice(0, digits)}`;
}

/** Local date and time to the nanosecond, as JSON has it. */
export function momentText(ns: bigint, wording: Wording): string {
  const seconds = Number(ns / second);
  const local = new Date((seconds + wording.names.timeZone(seconds).offset) * 1000);
  const date = `${local.getUTCFullYear()}-${two(local.getUTCMonth() + 1)}-${two(local.getUTCDate())}`;
  return `${date} ${clockText(ns, 9, wording)}`;
}

/** The drawing, '' of a series without a value. */
export function drawSeries(series: SeriesValue, wording: Wording): string {
  const { points, interval } = series;
  const first = points[0];
  const last = points.at(-1);
  if (first === undefined || last === undefined) return '';
  const unit = unitOf(series);
  const values = points.map(({ value }) => Number(value));
  let [min, max] = [Math.min(...values), Math.max(...values)];
  if (min === max) [min, max] = [min - 1, max + 1];
  const column = (value: number): number => Math.floor((value - min) / ((max - min) / width));
  const label = unit.digits === 0 ? 9 : 10 + unit.digits;
  const indent = ' '.repeat(label);
  const bounds = `${indent}${String(min)}${String(max).padStart(width + 1 - String(min).length)}\n`;
  const bytes = new TextEncoder().encode(unit.name).length;
  const head = unit.digits === 0 ? 'hh:mm:ss' : `hh:mm:ss.${unit.name}`;
  const pad = ' '.repeat(label - 'hh:mm:ss'.length - (unit.digits === 0 ? 0 : 1 + bytes));
  const edge = '_'.repeat(width - 1);
  let text = `${bounds}${head}${pad}|${edge}|\n`;
  const known = new Map(points.map(({ start, value }) => [start, value]));
  for (let start = first.start; start <= last.start; start += interval) {
    const value = known.get(start);
    const line = ['|', ...' '.repeat(width - 1), '|'];
    if (value !== undefined && min < 0 && max > 0) line[column(0)] = '.';
    if (value !== undefined) line[column(Number(value))] = '*';
    text += `${clockText(start, unit.digits, wording)} ${line.join('')} ${value ?? '-'}\n`;
  }
  return `${text}${indent}v${edge}v\n${bounds}`;
}
