/**
 * The one type model: C and C++ types from any source (BTF, DWARF, tracepoint
 * formats, declarations in a script), and the values that only the tracing language
 * has (strings, tuples, stacks, aggregations). Sizes and offsets are in bytes unless
 * a name says bits. Types are immutable; composite types resolve their members at
 * the first look, so that naming `struct task_struct` does not read the kernel's
 * whole type graph.
 */

import type { Content } from './content.ts';

/** Which memory a pointer points into; `either`: the address itself decides when it is read. */
export type AddressSpace = 'user' | 'kernel' | 'either';

export interface VoidType {
  readonly kind: 'void';
}
export interface IntType {
  readonly kind: 'int';
  readonly size: 1 | 2 | 4 | 8;
  readonly signed: boolean;
  /** Of a value of nsecs(): the clock that it was read from. */
  readonly clock?: 'monotonic' | 'tai' | 'sw_tai';
}
export interface BoolType {
  readonly kind: 'bool';
}
export interface FloatType {
  readonly kind: 'float';
  readonly size: number;
}
export interface EnumType {
  readonly kind: 'enum';
  /** Tag without the word `enum`; '' for an anonymous one. */
  readonly name: string;
  readonly size: 1 | 2 | 4 | 8;
  readonly signed: boolean;
  readonly members: readonly { readonly name: string; readonly value: bigint }[];
}
export interface PointerType {
  readonly kind: 'pointer';
  /** Resolved on demand: types may be recursive. */
  readonly to: () => Type;
  readonly space: AddressSpace;
  /** A C++ reference: what it refers to stands for it in expressions. */
  readonly reference?: boolean;
}
/** An array of int8 is C's `char[]`, which the language reads as text unless `numbers` says that it is none. */
export interface ArrayType {
  readonly kind: 'array';
  readonly of: Type;
  readonly length: number;
  readonly numbers?: true;
}
export interface Field {
  /** '' for an anonymous struct or union, whose members are visible in the outer one. */
  readonly name: string;
  readonly type: Type;
  /** Byte offset in the composite; for a bit-field, of its storage unit (an integer of the declared type's size). */
  readonly offset: number;
  /** Bit-fields: least significant bit within the storage unit, and width. */
  readonly bits?: { readonly offset: number; readonly width: number };
  /** `__data_loc` tracepoint fields: the field holds offset (low 16 bits) and length (high 16) of data in the record. */
  readonly dataLoc?: boolean;
  /** With dataLoc, `__rel_loc`: the offset counts from the end of this field instead of the start of the record. */
  readonly relative?: boolean;
  /** A base class: its members are seen in the derived class. The field has no name. */
  readonly base?: boolean;
  /**
   * A virtual base class, which lies elsewhere in every derived class: the vtable has its
   * offset in the object, this many bytes from where the vtable pointer points.
   */
  readonly virtualBase?: number;
}
export interface CompositeType {
  readonly kind: 'struct' | 'union';
  /** Tag; of C++, Rust and Go types with all that they lie in (`ns::Outer::Inner<int>`). */
  readonly name: string;
  readonly size: number;
  readonly fields: () => readonly Field[];
  /** Passed by the address of a copy, as the C++ ABI wants for classes whose copies are not plain bytes. */
  readonly byReference?: () => boolean;
  /** Template arguments by name: types, and values of integers. */
  readonly templateArguments?: () => ReadonlyMap<string, Type | bigint>;
  /** Of a Rust enum: which of its cases there is. */
  readonly variants?: () => Content | undefined;
  /** A struct or class of the same program, by its name with all that it lies in. */
  readonly inProgram?: (name: string) => Type | undefined;
  /** A record of the script, `(name = value, …)`: its members are told apart by name, not by place. */
  readonly record?: true;
}
export interface FunctionType {
  readonly kind: 'function';
  readonly name: string;
  readonly parameters: () => readonly { readonly name: string; readonly type: Type }[];
  readonly returns: () => Type;
}
/** NUL-terminated text in `size` bytes, the NUL and padding included. */
export interface StringType {
  readonly kind: 'string';
  readonly size: number;
  /** The name of a C++ type as its typeinfo has it, mangled: shown as the source writes it. */
  readonly typeName?: boolean;
}
/** Bytes with a length: u32 length, then up to `size` bytes. */
export interface BufferType {
  readonly kind: 'buffer';
  readonly size: number;
}
export interface TupleType {
  readonly kind: 'tuple';
  readonly elements: readonly Type[];
}
/** IPv4 or IPv6 address: u32 family, 16 bytes. */
export interface InetType {
  readonly kind: 'inet';
}
export interface MacAddressType {
  readonly kind: 'mac_address';
}
export interface StackType {
  readonly kind: 'ustack' | 'kstack';
  readonly mode: 'bpftrace' | 'perf' | 'raw' | 'build_id';
  /** Most frames to take. */
  readonly limit: number;
}
/** A code address to be named: u64 address, for usym also the process. */
export interface SymbolType {
  readonly kind: 'usym' | 'ksym';
}
export interface TimestampType {
  readonly kind: 'timestamp';
  /** strftime(3) format. */
  readonly format: string;
  readonly clock: 'boot' | 'monotonic' | 'tai' | 'sw_tai';
}
/** Values that are a number in the kernel and a name on the screen. */
export interface NamedNumberType {
  readonly kind: 'probe_name' | 'username' | 'strerror' | 'signal_name' | 'syscall_name';
}
/** The number of a cgroup, shown by its path in the hierarchies whose name matches the pattern ('': in all). */
export interface CgroupPathType {
  readonly kind: 'cgroup_path';
  readonly pattern: string;
}
export type AggregateKind = 'count' | 'sum' | 'avg' | 'min' | 'max' | 'stats' | 'hist' | 'lhist' | 'tseries';
/** How the values of one interval of a time series become one. */
export type SeriesCombination = 'last' | 'sum' | 'avg' | 'min' | 'max';
export interface AggregateType {
  readonly kind: 'aggregate';
  readonly aggregate: AggregateKind;
  /** Of the values that go in. */
  readonly signed: boolean;
  /** tseries: nanoseconds of an interval, how many are kept, what becomes of several values in one. */
  readonly tseries?: { readonly interval: bigint; readonly count: number; readonly combine: SeriesCombination };
  /** hist: sub-bucket bits 0…5. lhist: min, max, step. */
  readonly hist?: { readonly bits: number };
  readonly lhist?: { readonly min: bigint; readonly max: bigint; readonly step: bigint };
}
/** Stands for a value that cannot be had, with the reason. */
export interface UnavailableType {
  readonly kind: 'unavailable';
  readonly reason: string;
}
/** The type of a call that is a statement only. */
export interface NoneType {
  readonly kind: 'none';
}

export type Type =
  | VoidType
  | IntType
  | BoolType
  | FloatType
  | EnumType
  | PointerType
  | ArrayType
  | CompositeType
  | FunctionType
  | StringType
  | BufferType
  | TupleType
  | InetType
  | MacAddressType
  | StackType
  | SymbolType
  | TimestampType
  | NamedNumberType
  | CgroupPathType
  | AggregateType
  | UnavailableType
  | NoneType;

export const voidType: VoidType = { kind: 'void' };
export const boolType: BoolType = { kind: 'bool' };
export const noneType: NoneType = { kind: 'none' };
export const inetType: InetType = { kind: 'inet' };

const makeInt = (size: 1 | 2 | 4 | 8, signed: boolean): IntType => Object.freeze({ kind: 'int', size, signed });
export const int8: IntType = makeInt(1, true);
export const int16: IntType = makeInt(2, true);
export const int32: IntType = makeInt(4, true);
export const int64: IntType = makeInt(8, true);
export const uint8: IntType = makeInt(1, false);
export const uint16: IntType = makeInt(2, false);
export const uint32: IntType = makeInt(4, false);
export const uint64: IntType = makeInt(8, false);

/** The integer type of that size and sign. */
export function intType(size: 1 | 2 | 4 | 8, signed: boolean): IntType {
  switch (size) {
    case 1:
      return signed ? int8 : uint8;
    case 2:
      return signed ? int16 : uint16;
    case 4:
      return signed ? int32 : uint32;
    case 8:
      return signed ? int64 : uint64;
  }
}

export const pointerTo = (to: Type | (() => Type), space: AddressSpace): PointerType => ({
  kind: 'pointer',
  to: typeof to === 'function' ? to : () => to,
  space,
});
