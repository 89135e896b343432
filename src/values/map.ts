/**
 * Whole maps: raw elements from the kernel → typed entries, the CPUs added up, in the
 * order in which bpftrace 0.26 prints them: integers and aggregations ascending by value
 * (avg and stats by average, histograms by their number of events), everything else
 * ascending by key. Entries of equal value stand in key order, where bpftrace leaves them
 * in the kernel's random one.
 */
import type { MapSpec, UserMap } from '../program/program.ts';
import type { Schema } from '../program/schema.ts';
import { schemaSize } from '../program/schema.ts';
import { aggregate, decode, viewOf } from './decode.ts';
import { compareIntegers, divide, readUnsigned } from './integer.ts';
import { type StackPlace, stackPlaces } from './unfinished.ts';
import type { HistogramValue, Integer, Value } from './value.ts';

/** One element as bpf(2) gives it: a per-CPU map's values stand one after the other, each padded to 8 bytes. */
export interface RawEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export interface MapEntry {
  /** One value per written key; empty for a map without keys. */
  readonly key: readonly Value[];
  readonly value: Value;
}

export interface MapValue {
  /** Without `@`. */
  readonly name: string;
  /** What JSON calls it: avg and stats are `stats`, hist and lhist `hist`. */
  readonly kind: 'map' | 'hist' | 'stats' | 'tseries';
  readonly keyed: boolean;
  /** In printing order. A map without keys has exactly one. */
  readonly entries: readonly MapEntry[];
  /** False for a map without keys that nothing has been assigned to (or that was cleared). */
  readonly set: boolean;
}

/** True when the map shows something at the end of a trace. */
export function holdsSomething(map: MapValue): boolean {
  return map.keyed ? map.entries.length > 0 : map.set;
}

/** What JSON calls a map of such values. */
export function mapKind(schema: Schema): MapValue['kind'] {
  if (schema.kind === 'hist' || schema.kind === 'lhist') return 'hist';
  if (schema.kind === 'tseries') return 'tseries';
  return schema.kind === 'aggregate' && (schema.aggregate === 'avg' || schema.aggregate === 'stats') ? 'stats' : 'map';
}

/**
 * Reads all of a script's map.
 * @param spec a map with role `user`
 * @param raw its elements, in any order
 * @param finish finishes the stacks of `places` in bytes, in place; true when there were any
 */
export function readMap(spec: MapSpec, raw: Iterable<RawEntry>, finish?: FinishPlaces): MapValue {
  const user = spec.user;
  if (user === undefined) throw new Error(`insitu bug: map ${spec.name} is not a script's map`);
  const kind = mapKind(user.value);
  if (user.storage.kind === 'array') {
    const { setOffset } = user.storage;
    const element = [...raw][0]?.value ?? new Uint8Array(spec.valueSize);
    const view = viewOf(element);
    const set = readUnsigned(view, setOffset, 8) !== 0;
    const value = combine(user.value, view, slices(user, view, spec));
    return { name: spec.name, kind, keyed: false, entries: [{ key: [], value }], set };
  }
  const entries: MapEntry[] = [];
  for (const { key, value } of finish === undefined ? raw : finishEntries(spec, user, [...raw], finish)) {
    const view = viewOf(value);
    entries.push({ key: decodeKey(user, key), value: combine(user.value, view, slices(user, view, spec)) });
  }
  return { name: spec.name, kind, keyed: true, entries: sortEntries(entries), set: entries.length > 0 };
}

/** Finishes stacks in place; true when any was unfinished. */
export type FinishPlaces = (view: DataView, places: readonly StackPlace[]) => boolean;

/** Whether values of a schema are added up over CPUs, and over keys that turn out to be one. */
const addsUp = ({ kind }: Schema): boolean =>
  kind === 'aggregate' || kind === 'hist' || kind === 'lhist' || kind === 'tseries';

/** The entries with their stacks finished: those whose keys are then the same become one. */
function finishEntries(
  spec: MapSpec,
  user: UserMap,
  raw: readonly RawEntry[],
  finish: FinishPlaces,
): readonly RawEntry[] {
  const inKey = user.keys.flatMap((part) => stackPlaces(part.schema, part.offset));
  const inValue = stackPlaces(user.value);
  if (inValue.length > 0) {
    for (const { value } of raw) {
      const view = viewOf(value);
      for (const start of slices(user, view, spec)) {
        finish(
          view,
          inValue.map((place) => ({ ...place, offset: start + place.offset })),
        );
      }
    }
  }
  if (inKey.length === 0) return raw;
  const changed = raw.filter(({ key }) => finish(viewOf(key), inKey));
  if (changed.length === 0) return raw;
  const merged = new Map<string, RawEntry>();
  for (const entry of raw) {
    const text = Array.from(entry.key, (byte) => String.fromCharCode(byte)).join('');
    const same = merged.get(text);
    if (same === undefined) merged.set(text, entry);
    else if (addsUp(user.value)) {
      // As if there were more CPUs.
      const value = new Uint8Array(same.value.length + entry.value.length);
      value.set(same.value);
      value.set(entry.value, same.value.length);
      merged.set(text, { key: entry.key, value });
    }
  }
  return [...merged.values()];
}

/** The key's parts, one value per written key. */
export function decodeKey(user: UserMap, key: Uint8Array): Value[] {
  const view = viewOf(key);
  return user.keys.map((part) => decode(part.schema, view, part.offset));
}

/** Offset of each CPU's value in an element. */
function slices(user: UserMap, view: DataView, spec: MapSpec): number[] {
  const { storage } = user;
  if (storage.kind === 'array')
    return Array.from({ length: Math.max(1, storage.cpus) }, (_, cpu) => cpu * storage.stride);
  if (!spec.kind.includes('PERCPU')) return [0];
  const stride = (schemaSize(user.value) + 7) & ~7;
  const count = Math.floor(view.byteLength / stride);
  return Array.from({ length: Math.max(1, count) }, (_, cpu) => cpu * stride);
}

function combine(schema: Schema, view: DataView, offsets: readonly number[]): Value {
  if (schema.kind === 'aggregate' || schema.kind === 'hist' || schema.kind === 'lhist' || schema.kind === 'tseries')
    return aggregate(schema, view, offsets);
  // A plain value that CPUs keep apart has no sum: the first CPU that holds anything speaks.
  const size = schemaSize(schema);
  for (const offset of offsets) {
    const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, size);
    if (bytes.some((byte) => byte !== 0)) return decode(schema, view, offset);
  }
  return decode(schema, view, offsets[0] ?? 0);
}

/** What an entry is ordered by before its key; undefined: by the key alone. */
function rank(value: Value): Integer | undefined {
  switch (value.kind) {
    case 'int':
      return value.value;
    case 'avg':
    case 'stats':
      return value.average;
    case 'hist':
    case 'lhist':
      return eventCount(value);
    default:
      return undefined;
  }
}

function eventCount(histogram: HistogramValue): number {
  return histogram.counts.reduce((sum, count) => sum + count, 0);
}

/** Entries in printing order. */
export function sortEntries(entries: readonly MapEntry[]): MapEntry[] {
  return entries
    .map((entry) => ({ entry, rank: rank(entry.value) }))
    .sort((a, b) => {
      if (a.rank !== undefined && b.rank !== undefined) {
        const byValue = compareIntegers(a.rank, b.rank);
        if (byValue !== 0) return byValue;
      }
      return compareKeys(a.entry.key, b.entry.key);
    })
    .map((item) => item.entry);
}

function compareKeys(a: readonly Value[], b: readonly Value[]): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const order = compareValues(a[i] as Value, b[i] as Value);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const order = (a[i] as number) - (b[i] as number);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareLists(a: readonly Integer[], b: readonly Integer[]): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const order = compareIntegers(a[i] as Integer, b[i] as Integer);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

/** Ascending order of two values of one schema: numbers by size, strings and bytes byte by byte, parts one after the other. */
export function compareValues(a: Value, b: Value): number {
  if (a.kind === 'string' && b.kind === 'string') return compareText(a.text, b.text);
  if (a.kind === 'stack' && b.kind === 'stack') {
    return compareLists(a.frames, b.frames) || compareIntegers(a.stored?.id ?? 0, b.stored?.id ?? 0) || a.pid - b.pid;
  }
  if (a.kind === 'record' && b.kind === 'record') {
    const values = (record: typeof a): Value[] => record.fields.map((field) => field.value);
    return compareKeys(values(a), values(b));
  }
  if ((a.kind === 'tuple' || a.kind === 'array') && a.kind === b.kind) return compareKeys(a.elements, b.elements);
  if ('bytes' in a && 'bytes' in b) return compareBytes(a.bytes, b.bytes);
  return compareIntegers(numberOf(a), numberOf(b));
}

function numberOf(value: Value): Integer {
  if (value.kind === 'symbol') return value.address;
  if (value.kind === 'case') return 0;
  if (value.kind === 'timestamp') return value.ns;
  if (value.kind === 'cgroup_path') return value.id;
  if (!('value' in value)) return 0;
  return typeof value.value === 'boolean' ? Number(value.value) : value.value;
}

/**
 * What print(@m, top, div) shows: the `top` entries of greatest value (0: all), integers,
 * averages and bucket counts divided by `div` (0: not divided).
 */
export function selectEntries(map: MapValue, top: number, div: number): MapValue {
  const chosen = top > 0 && map.keyed ? map.entries.slice(-top) : map.entries;
  if (div <= 1) return chosen === map.entries ? map : { ...map, entries: chosen };
  return { ...map, entries: chosen.map((entry) => ({ key: entry.key, value: divideValue(entry.value, div) })) };
}

function divideValue(value: Value, div: number): Value {
  switch (value.kind) {
    case 'int':
      return { kind: 'int', value: divide(value.value, div) };
    case 'avg':
    case 'stats':
      return { ...value, average: divide(value.average, div) };
    case 'hist':
    case 'lhist':
      // `shown` stays: rows that the division makes zero are still drawn.
      return { ...value, counts: value.counts.map((count) => Math.floor(count / div)) };
    default:
      return value;
  }
}
