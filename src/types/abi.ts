/**
 * Where functions find their arguments at entry and leave their result, by the calling
 * convention: for code whose debugging information only says where arguments lie later
 * (unoptimised code stores them first). x86-64: System V ABI, section 3.2.3, and the C++
 * ABI's classes that are passed by address (Itanium C++ ABI, section 3.1.2). arm64:
 * AAPCS64, section 6.8, without vector registers.
 */

import type { Content } from './content.ts';
import { alignOf, sizeOf } from './layout.ts';
import { constant, type Location, sum, unavailable } from './location.ts';
import type { CompositeType, Type } from './model.ts';

export interface CallingConvention {
  /** DWARF numbers of the registers for integer arguments, in order. */
  readonly integers: readonly number[];
  /** And of those for the result. */
  readonly results: readonly number[];
  /** DWARF numbers of the first vector register, and how many take arguments. */
  readonly vectors: { readonly first: number; readonly count: number };
  readonly stackPointer: number;
  /** Bytes from the stack pointer to the first argument on the stack, when a function is entered. */
  readonly stackArguments: number;
  /** The address where a big result goes is the first argument; else it has a register of its own. */
  readonly resultAddressIsArgument: boolean;
}

export const conventions: Readonly<Record<'x86_64' | 'arm64', CallingConvention>> = {
  x86_64: {
    integers: [5, 4, 1, 2, 8, 9],
    results: [0, 1],
    vectors: { first: 17, count: 8 },
    stackPointer: 7,
    stackArguments: 8,
    resultAddressIsArgument: true,
  },
  arm64: {
    integers: [0, 1, 2, 3, 4, 5, 6, 7],
    results: [0, 1],
    vectors: { first: 64, count: 8 },
    stackPointer: 31,
    stackArguments: 0,
    resultAddressIsArgument: false,
  },
};

/** What an eightbyte of a value goes in. */
type Class = 'none' | 'integer' | 'vector' | 'memory';

const join = (a: Class, b: Class): Class => {
  if (a === b || b === 'none') return a;
  if (a === 'none') return b;
  if (a === 'memory' || b === 'memory') return 'memory';
  return 'integer';
};

/** The classes of a value's eightbytes, two at most; undefined for a value in memory. */
function classify(type: Type): readonly Class[] | undefined {
  const size = sizeOf(type);
  if (size > 16) return undefined;
  const classes: Class[] = size > 8 ? ['none', 'none'] : ['none'];
  place(type, 0, classes, 0);
  return classes.includes('memory') ? undefined : classes;
}

function place(type: Type, offset: number, classes: Class[], depth: number): void {
  const put = (cls: Class, at = offset): void => {
    const index = at >> 3;
    const before = classes[index];
    if (before !== undefined) classes[index] = join(before, cls);
  };
  if (depth > 32) {
    put('memory');
    return;
  }
  switch (type.kind) {
    case 'float':
      // Of long double the value is in memory as an argument.
      put(type.size > 8 ? 'memory' : 'vector');
      return;
    case 'array': {
      const size = sizeOf(type.of);
      for (let i = 0; i < type.length && i * size < 16; i++) place(type.of, offset + i * size, classes, depth + 1);
      return;
    }
    case 'struct':
    case 'union':
      for (const field of type.fields()) {
        const natural = field.bits === undefined ? alignOf(field.type) : 1;
        // Members that are not aligned put the whole into memory.
        if ((offset + field.offset) % natural !== 0) put('memory');
        place(field.type, offset + field.offset, classes, depth + 1);
      }
      return;
    default:
      put('integer');
  }
}

const isComposite = (type: Type): type is CompositeType => type.kind === 'struct' || type.kind === 'union';

/** A class that is handed over by the address of a copy. */
const isIndirect = (type: Type): boolean => isComposite(type) && (type.byReference?.() ?? false);

/** True where the caller gives the address that the result is written to. */
export function returnsInMemory(type: Type): boolean {
  return isComposite(type) && (isIndirect(type) || classify(type) === undefined);
}

/** Where a result is once the function has returned. */
export function resultLocation(type: Type, convention: CallingConvention): Location {
  if (type.kind === 'void') return unavailable('the function returns nothing');
  if (returnsInMemory(type)) {
    if (!convention.resultAddressIsArgument) return unavailable('its address is gone when the function returns');
    return { kind: 'memory', address: { op: 'register', register: convention.results[0] as number } };
  }
  if (type.kind === 'float') {
    return type.size > 8
      ? unavailable('it is in a floating point register, which the kernel does not show to tracing programs')
      : inVector(convention, 0);
  }
  const parts: { size: number; location: Location }[] = [];
  let integers = 0;
  let vectors = 0;
  let left = sizeOf(type);
  for (const cls of classify(type) ?? ['integer']) {
    const location: Location =
      cls === 'vector'
        ? inVector(convention, vectors++)
        : { kind: 'register', register: convention.results[integers++] ?? 0 };
    parts.push({ size: Math.min(8, left), location });
    left -= 8;
  }
  return parts.length === 1 && parts[0] !== undefined ? parts[0].location : { kind: 'pieces', pieces: parts };
}

function inVector(convention: CallingConvention, index: number): Location {
  const name = convention.vectors.first === 17 ? `xmm${index}` : `v${index}`;
  return unavailable(`it is in vector register ${name}, which the kernel does not show to tracing programs`);
}

/**
 * Rust's own convention (rustc's ty::layout and its adjust_for_rust_abi): what consists of
 * two scalars goes in two places, other small aggregates as one integer, the rest by address.
 */
export function rustArgumentLocations(types: readonly Type[], result: Type, convention: CallingConvention): Location[] {
  const { integers } = convention;
  let next = sizeOf(result) > 16 && isComposite(result) ? 1 : 0;
  let vector = 0;
  let stack = convention.stackArguments;
  const one = (real: boolean): Location => {
    if (real) return inVector(convention, vector++);
    const register = integers[next++];
    if (register !== undefined) return { kind: 'register', register };
    const at = stack;
    stack += 8;
    return { kind: 'memory', address: sum({ op: 'register', register: convention.stackPointer }, constant(at)) };
  };
  return types.map((type): Location => {
    const size = sizeOf(type);
    if (size === 0) return { kind: 'bytes', bytes: new Uint8Array(0) };
    if (!isComposite(type) && type.kind !== 'array') return one(type.kind === 'float');
    const scalars = scalarsOf(type);
    if (scalars === undefined && size <= 16) return unavailable("Rust's way to pass it is not known");
    if (scalars?.length === 1 && scalars[0]?.size === size) return one(scalars[0].real);
    if (scalars?.length === 2) {
      const [first, second] = scalars as [Scalar, Scalar];
      return {
        kind: 'pieces',
        pieces: [
          { size: second.offset, location: one(first.real) },
          { size: size - second.offset, location: one(second.real) },
        ],
      };
    }
    if (size <= 8) return one(false);
    const address = one(false);
    if (address.kind === 'register') return { kind: 'memory', address: { op: 'register', register: address.register } };
    if (address.kind !== 'memory') return address;
    return { kind: 'memory', address: { op: 'read', size: 8, from: address.address } };
  });
}

interface Scalar {
  readonly offset: number;
  readonly size: number;
  readonly real: boolean;
}

/** The numbers and pointers that a type consists of, in order; undefined where the cases of an enum tell nothing of that. */
function scalarsOf(type: Type, offset = 0, depth = 0): Scalar[] | undefined {
  if (depth > 16) return undefined;
  switch (type.kind) {
    case 'struct':
    case 'union': {
      if (type.kind === 'union') return undefined;
      const variants = type.variants?.();
      if (variants !== undefined) return scalarsOfEnum(variants, offset, depth);
      const found: Scalar[] = [];
      for (const field of type.fields()) {
        const inner = scalarsOf(field.type, offset + field.offset, depth + 1);
        if (inner === undefined) return undefined;
        found.push(...inner);
        if (found.length > 2) return found.slice(0, 3);
      }
      return found.sort((a, b) => a.offset - b.offset);
    }
    case 'array':
      // Arrays are never taken apart.
      return manyScalars(offset);
    default:
      return [{ offset, size: sizeOf(type), real: type.kind === 'float' }];
  }
}

/** More numbers than are taken apart. */
const manyScalars = (offset: number): Scalar[] =>
  [0, 1, 2].map((at) => ({ offset: offset + at, size: 0, real: false }));

/**
 * What rustc's layout makes of an enum (rustc_abi, layout_of_enum): of one case with a
 * value, told by values that it never has, what that case is (Option<&T> is a pointer); of
 * a tag before one number, the same in all cases, the two; anything else is not taken apart.
 */
function scalarsOfEnum(content: Content, offset: number, depth: number): Scalar[] | undefined {
  if (content.kind === 'pointer' && content.address.kind === 'word') {
    return [{ offset: offset + content.address.offset, size: content.address.size, real: false }];
  }
  if (content.kind !== 'alternatives' || content.index.kind !== 'word') return undefined;
  const tag: Scalar = { offset: offset + content.index.offset, size: content.index.size, real: false };
  const values: Scalar[][] = [];
  for (const { offset: at, of } of content.cases) {
    if (of === undefined || sizeOf(of) === 0) continue;
    const scalars = scalarsOf(of, offset + at, depth + 1);
    if (scalars === undefined) return undefined;
    values.push(scalars);
  }
  const [first = []] = values;
  if (values.length === 0) return [tag];
  const within = values.some((scalars) =>
    scalars.some((one) => one.offset < tag.offset + tag.size && tag.offset < one.offset + one.size),
  );
  if (within) return values.length === 1 ? first : undefined;
  const same = values.every(
    ([one, ...more]) =>
      more.length === 0 &&
      one?.offset === first[0]?.offset &&
      one?.size === first[0]?.size &&
      one?.real === first[0]?.real,
  );
  return same && first[0] !== undefined ? [tag, first[0]] : manyScalars(offset);
}

/** Where arguments of these types are when a function is entered. */
export function argumentLocations(types: readonly Type[], result: Type, convention: CallingConvention): Location[] {
  const { integers, vectors, stackPointer, stackArguments } = convention;
  let integer = returnsInMemory(result) && convention.resultAddressIsArgument ? 1 : 0;
  let vector = 0;
  let stack = stackArguments;
  const onStack = (size: number, align: number): Location => {
    if (align > 8) stack = stackArguments + Math.ceil((stack - stackArguments) / align) * align;
    const at = stack;
    stack += Math.ceil(size / 8) * 8;
    return { kind: 'memory', address: sum({ op: 'register', register: stackPointer }, constant(at)) };
  };
  return types.map((type): Location => {
    if (isIndirect(type)) {
      const register = integers[integer++];
      if (register !== undefined) return { kind: 'memory', address: { op: 'register', register } };
      const place = onStack(8, 8);
      if (place.kind !== 'memory') return place;
      return { kind: 'memory', address: { op: 'read', size: 8, from: place.address } };
    }
    const size = sizeOf(type);
    const classes = classify(type);
    if (classes === undefined) {
      if (stackArguments === 0 && isComposite(type)) {
        // AAPCS64: what is larger than two registers is passed by its address.
        const register = integers[integer++];
        return register === undefined
          ? unavailable('it is on the stack')
          : { kind: 'memory', address: { op: 'register', register } };
      }
      return onStack(size, alignOf(type));
    }
    // An empty class takes no place at all.
    if (isComposite(type) && size <= 1 && classes.every((cls) => cls === 'none'))
      return { kind: 'bytes', bytes: new Uint8Array(size) };
    const wantedIntegers = classes.filter((cls) => cls !== 'vector').length;
    const wantedVectors = classes.length - wantedIntegers;
    if (integer + wantedIntegers > integers.length || vector + wantedVectors > vectors.count) {
      return onStack(size, alignOf(type));
    }
    const pieces = classes.map((cls, index) => ({
      size: Math.min(8, size - 8 * index),
      location:
        cls === 'vector'
          ? inVector(convention, vector++)
          : ({ kind: 'register', register: integers[integer++] as number } as const),
    }));
    return pieces.length === 1 && pieces[0] !== undefined ? pieces[0].location : { kind: 'pieces', pieces };
  });
}
