/** What `insitu calls` tells at the end: each function's numbers, the calls worth a look, and what was not seen. */
import { bucketStart } from '../../program/calls.ts';
import { durationText } from '../sockets/report.ts';
import type { FunctionPlan } from './functions.ts';
import { type CallNode, durationOf } from './tree.ts';
import { argumentsOf, resultOf, type ShownValue } from './values.ts';

/** A traced function by its number. */
export interface Traced {
  /** As it is shown: demangled, without parameters. */
  readonly name: string;
  /** As in the symbol table. */
  readonly symbol: string;
  readonly path: string;
  readonly plan: FunctionPlan;
}

/** Of a function, as the kernel counted. Nanoseconds. */
export interface FunctionStats {
  readonly calls: number;
  readonly ended: number;
  readonly total: number;
  readonly self: number;
  readonly gone: number;
  readonly jumped: number;
  readonly histogram: Uint32Array;
}

export interface Counts extends FunctionStats {
  /** When its probes were taken away, in milliseconds since the start, at how many calls a second. */
  readonly removed: { readonly after: number; readonly rate: number } | undefined;
}

export interface Bucket {
  /** Nanoseconds, `to` exclusive. */
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

export interface FunctionRow {
  readonly name: string;
  readonly symbol: string;
  readonly file: string;
  readonly calls: number;
  /** Calls that have ended: those that the times are of. */
  readonly ended: number;
  /** Nanoseconds. */
  readonly total: number;
  readonly self: number;
  readonly p50: number | undefined;
  readonly p99: number | undefined;
  readonly histogram: readonly Bucket[];
  /** Ended by an exception or longjmp. */
  readonly unwound: number;
  /** Ended by a jump to another function. */
  readonly tailCalls: number;
  readonly removed: { readonly after: number; readonly rate: number } | undefined;
}

export interface ShownCall {
  readonly function: string;
  readonly arguments: readonly ShownValue[];
  readonly result: ShownValue | undefined;
  /** CLOCK_MONOTONIC nanoseconds. */
  readonly start: number;
  /** Nanoseconds; self: less those in calls that are traced. */
  readonly duration: number;
  readonly self: number;
  readonly end: CallNode['call']['how'] | 'probes removed';
  readonly tailCalled: boolean;
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
  /** Calls right below it that are counted only. */
  readonly hidden: number;
  readonly calls: readonly ShownCall[];
}

export interface CallsReport {
  readonly functions: readonly FunctionRow[];
  /** Functions that match. */
  readonly traced: number;
  /** The longest outermost calls, one for each function, the longest first. */
  readonly longest: readonly ShownCall[];
  /** Seconds. */
  readonly duration: number;
  /** Nanoseconds that a traced call costs the program about, on the average. */
  readonly probeCost: number;
  /** What could not be seen, in words. */
  readonly unseen: readonly string[];
}

export function showCall(
  node: CallNode,
  functions: readonly Traced[],
  removed: ReadonlySet<number>,
  now: number,
): ShownCall {
  const { call, children } = node;
  const traced = functions[call.fn];
  const duration = durationOf(call, now);
  return {
    function: traced?.name ?? '?',
    arguments: traced === undefined ? [] : argumentsOf(call, traced.plan),
    result: traced === undefined ? undefined : resultOf(call, traced.plan),
    start: call.entered,
    duration,
    self: Math.max(0, duration - call.below),
    end: call.how === 'gone' && removed.has(call.fn) ? 'probes removed' : call.how,
    tailCalled: call.jumpedTo,
    pid: call.pid,
    tid: call.tid,
    comm: call.comm,
    hidden: call.hidden,
    calls: children.map((child) => showCall(child, functions, removed, now)),
  };
}

/** Outermost calls that are kept for the end. */
const mostKept = 8;

/** Keeps the longest outermost call of each function, of as many functions as are shown. */
export class Longest {
  readonly #by: Map<number, CallNode> = new Map();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  take(node: CallNode): void {
    const { fn } = node.call;
    const before = this.#by.get(fn);
    const duration = durationOf(node.call, this.#now());
    if (before !== undefined && durationOf(before.call, this.#now()) >= duration) return;
    this.#by.set(fn, node);
    if (this.#by.size <= 4 * mostKept) return;
    const [least] = this.#sorted().slice(-1);
    if (least !== undefined) this.#by.delete(least.call.fn);
  }

  #sorted(): CallNode[] {
    const now = this.#now();
    return [...this.#by.values()].sort((a, b) => durationOf(b.call, now) - durationOf(a.call, now));
  }

  all(): readonly CallNode[] {
    return this.#sorted().slice(0, mostKept);
  }
}

export function functionRow({ name, symbol, path }: Traced, counts: Counts): FunctionRow {
  const { calls, ended, total, self, gone, jumped, histogram, removed } = counts;
  const buckets: Bucket[] = [];
  for (const [bucket, count] of histogram.entries()) {
    if (count > 0) buckets.push({ from: bucketStart(bucket), to: bucketStart(bucket + 1), count });
  }
  return {
    name,
    symbol,
    file: path,
    calls,
    ended,
    total,
    self,
    // Of a single call the time itself is known.
    p50: ended === 1 ? total : quantile(buckets, 0.5),
    p99: ended === 1 ? total : quantile(buckets, 0.99),
    histogram: buckets,
    unwound: gone,
    tailCalls: jumped,
    removed,
  };
}

/** The value below which a share of all lies, within its bucket (an eighth of a power of two) by proportion. */
export function quantile(buckets: readonly Bucket[], share: number): number | undefined {
  const all = buckets.reduce((sum, { count }) => sum + count, 0);
  if (all === 0) return undefined;
  let left = Math.ceil(all * share);
  for (const { from, to, count } of buckets) {
    if (left <= count) return from + ((to - from) * (left - 0.5)) / count;
    left -= count;
  }
  return buckets.at(-1)?.to;
}

/** Functions that have lost their probes of which each is named. */
const mostRemovedTold = 5;

/** What the kernel counted because it could not be followed or told. */
export interface Losses {
  readonly lost: number;
  readonly hidden: number;
  readonly unmatched: number;
  readonly tooDeep: number;
  readonly noThread: number;
  readonly otherStack: number;
  /** Records whose caller's record is missing. */
  readonly orphans: number;
}

const many = (count: number, one: string, more: string): string =>
  `${count.toLocaleString('en-US')} ${count === 1 ? one : more}`;

export function unseenText(losses: Losses, rows: readonly FunctionRow[], limits: { readonly rate: number }): string[] {
  const out: string[] = [];
  const without = rows.flatMap(({ name, removed }) => (removed === undefined ? [] : [{ name, ...removed }]));
  without.sort((a, b) => b.rate - a.rate);
  for (const { name, after, rate } of without.slice(0, mostRemovedTold)) {
    out.push(
      `${name}, called ${many(Math.round(rate), 'time', 'times')} a second, lost its probes after ${durationText(after * 1e6)}, as they cost too much (--overhead): its numbers are of the time until then`,
    );
  }
  const more = without.length - mostRemovedTold;
  if (more > 0) out.push(`${many(more, 'more function', 'more functions')} lost their probes, too: those with ≥ above`);
  const { lost, hidden, unmatched, tooDeep, noThread, otherStack, orphans } = losses;
  if (hidden > 0) {
    out.push(
      `${many(hidden, 'outermost call is', 'outermost calls are')} counted, and not among those shown one by one (--rate ${limits.rate} a second, --sample, --min)`,
    );
  }
  if (lost > 0) out.push(`${many(lost, 'record', 'records')} of calls found no room, and are only counted`);
  if (orphans > 0)
    out.push(
      `${many(orphans, 'call is', 'calls are')} not shown, as the record of the caller is missing, or has too many below it`,
    );
  if (unmatched > 0) {
    out.push(
      `${many(unmatched, 'call', 'calls')} ended that had begun before tracing did, or on another stack: not counted`,
    );
  }
  if (tooDeep > 0) out.push(`${many(tooDeep, 'call', 'calls')} deeper than 128 traced ones: counted, without times`);
  if (noThread > 0)
    out.push(`${many(noThread, 'call', 'calls')} of threads beyond the first 512: counted, without times`);
  if (otherStack > 0) {
    out.push(
      `${many(otherStack, 'time', 'times')} a thread went to another stack (fibers, signal stacks): nesting across stacks is not followed`,
    );
  }
  return out;
}
