/**
 * The one value model: what a schema's bytes mean, before anything is named or
 * formatted. Text, JSON and the library's users all read it, so they cannot disagree.
 * Numbers that need the machine to become a name (addresses, uids, cgroup ids) stay
 * numbers here; render/names.ts says who turns them into words.
 */

import type { StackEnd } from '../program/unwind.ts';

/** A whole number: `number` up to 2^53 in magnitude, `bigint` beyond, never a rounded one. */
export type Integer = number | bigint;

export interface IntValue {
  readonly kind: 'int';
  readonly value: Integer;
}
export interface BoolValue {
  readonly kind: 'bool';
  readonly value: boolean;
}
export interface FloatValue {
  readonly kind: 'float';
  readonly value: number;
}
export interface EnumValue {
  readonly kind: 'enum';
  readonly value: Integer;
  /** undefined when no member has that value. */
  readonly name: string | undefined;
}
export interface PointerValue {
  readonly kind: 'pointer';
  readonly value: Integer;
}
export interface StringValue {
  readonly kind: 'string';
  readonly text: string;
  /** The last byte was not NUL: there was more text than room. */
  readonly cut: boolean;
  /** The mangled name of a C++ type. */
  readonly typeName?: true;
}
export interface BufferValue {
  readonly kind: 'buffer';
  readonly bytes: Uint8Array;
}
export interface ArrayValue {
  readonly kind: 'array';
  readonly elements: readonly Value[];
  /** How many more there are than were read. */
  readonly more?: number;
}
export interface TupleValue {
  readonly kind: 'tuple';
  readonly elements: readonly Value[];
}
export interface RecordValue {
  readonly kind: 'record';
  readonly name: string;
  readonly fields: readonly { readonly name: string; readonly value: Value }[];
}
export interface InetValue {
  readonly kind: 'inet';
  /** AF_INET (2) or AF_INET6 (10); anything else was not an address. */
  readonly family: number;
  /** 4 or 16 bytes, network order. */
  readonly bytes: Uint8Array;
}
export interface MacAddressValue {
  readonly kind: 'mac_address';
  readonly bytes: Uint8Array;
}
/** A value that could not be had. */
export interface UnavailableValue {
  readonly kind: 'unavailable';
  readonly reason: string;
}
export type { StackEnd } from '../program/unwind.ts';

/** A case with a name (of a Rust enum) and its value. */
export interface CaseValue {
  readonly kind: 'case';
  readonly name: string;
  readonly value: Value | undefined;
}
/** Nothing where something may be: an empty optional, a null pointer. */
export interface NothingValue {
  readonly kind: 'nothing';
}
/** Something that can be called: a std::function that holds something. */
export interface CallableValue {
  readonly kind: 'callable';
  /** The function that calls it; with a class name, the object that is called. */
  readonly invoker: Integer;
  /** Mangled; '' where the invoker's name tells. */
  readonly className: string;
  /** Where it is a plain function, its address. */
  readonly target: Integer;
  readonly pid: number;
}
export interface StackValue {
  readonly kind: 'stack';
  readonly space: 'user' | 'kernel';
  readonly mode: 'bpftrace' | 'perf' | 'raw' | 'build_id';
  /** The process whose addresses these are; 0 for the kernel. */
  readonly pid: number;
  /** Innermost first. Empty when the kernel could not walk, or when `stored` has them. */
  readonly frames: readonly Integer[];
  /** Set when the frames lie in a stack map, under that id. */
  readonly stored?: { readonly map: number; readonly id: Integer; readonly count?: number };
  /** Why it ends where it does, as insitu's own unwinder found; undefined for a stack of the kernel's. */
  readonly end?: StackEnd;
  /** Frame pointers were followed in code without rules: frames may be missing. */
  readonly guessed?: boolean;
  /** errno (positive) when the kernel gave none. */
  readonly errno?: number;
}
export interface SymbolValue {
  readonly kind: 'symbol';
  readonly space: 'user' | 'kernel';
  readonly address: Integer;
  readonly pid: number;
}
export interface TimestampValue {
  readonly kind: 'timestamp';
  readonly format: string;
  readonly clock: 'boot' | 'monotonic' | 'tai' | 'sw_tai';
  /** Nanoseconds of that clock. */
  readonly ns: Integer;
}
export interface NamedValue {
  readonly kind: 'probe_name' | 'username' | 'strerror' | 'signal_name' | 'syscall_name';
  readonly value: number;
}
export interface CgroupPathValue {
  readonly kind: 'cgroup_path';
  readonly id: Integer;
  readonly pattern: string;
}
export interface AverageValue {
  readonly kind: 'avg';
  readonly average: Integer;
  readonly count: Integer;
  readonly total: Integer;
}
export interface StatsValue {
  readonly kind: 'stats';
  readonly average: Integer;
  readonly count: Integer;
  readonly total: Integer;
}
/** tseries(): the intervals that have a value, in time. */
export interface SeriesValue {
  readonly kind: 'tseries';
  /** Nanoseconds. */
  readonly interval: bigint;
  /** `start`: nanoseconds since 1970 UTC. */
  readonly points: readonly { readonly start: bigint; readonly value: Integer }[];
}
export interface HistogramValue {
  readonly kind: 'hist' | 'lhist';
  /** Events per bucket, bucket 0 first; values/histogram.ts tells the bounds. */
  readonly counts: readonly number[];
  /** First and last bucket to show: those that hold anything (before a division), undefined when none does. */
  readonly shown: readonly [first: number, last: number] | undefined;
  /** hist: sub-bucket bits. */
  readonly bits: number;
  /** lhist: 0n for hist. */
  readonly min: bigint;
  readonly max: bigint;
  readonly step: bigint;
}

/** count, sum, min and max are plain integers once the CPUs have been added up. */
export type Value =
  | IntValue
  | BoolValue
  | FloatValue
  | EnumValue
  | PointerValue
  | StringValue
  | BufferValue
  | ArrayValue
  | TupleValue
  | RecordValue
  | InetValue
  | MacAddressValue
  | UnavailableValue
  | CaseValue
  | NothingValue
  | CallableValue
  | StackValue
  | SymbolValue
  | TimestampValue
  | NamedValue
  | CgroupPathValue
  | AverageValue
  | StatsValue
  | HistogramValue
  | SeriesValue;
