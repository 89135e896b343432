/**
 * Sizes, alignment, spelling and member look-up of types: the System V ABI's layout
 * rules for C (x86-64 and arm64 agree on all that is used here), and the sizes that
 * program/schema.ts fixes for the tracing language's own values.
 */
import { invariant } from '../base/errors.ts';
import { nearest } from '../base/near.ts';
import type { CompositeType, Field, Type } from './model.ts';

/** Deepest nesting that is followed; only hostile type information nests deeper. */
const MAX_DEPTH = 64;

/**
 * Bytes that a value of the type takes. 0 for void, functions and `none`. A `hist` has
 * no size of its own here: its number of buckets belongs to the Schema.
 */
export function sizeOf(type: Type): number {
  switch (type.kind) {
    case 'void':
    case 'function':
    case 'none':
    case 'unavailable':
      return 0;
    case 'bool':
      return 1;
    case 'int':
    case 'float':
    case 'enum':
    case 'struct':
    case 'union':
    case 'string':
      return type.size;
    case 'pointer':
    case 'ksym':
    case 'timestamp':
      return 8;
    case 'array':
      return type.length * sizeOf(type.of);
    case 'buffer':
      return 4 + type.size;
    case 'tuple':
      return tupleLayout(type.elements).size;
    case 'inet':
      return 20;
    case 'mac_address':
      return 6;
    case 'ustack':
    case 'kstack':
      return 8 + 8 * type.limit;
    case 'usym':
      return 16;
    case 'probe_name':
    case 'cgroup_path':
      return 8;
    case 'username':
    case 'strerror':
    case 'signal_name':
    case 'syscall_name':
      return 4;
    case 'aggregate':
      switch (type.aggregate) {
        case 'count':
        case 'sum':
          return 8;
        case 'min':
        case 'max':
        case 'avg':
        case 'stats':
          return 16;
        case 'lhist': {
          invariant(type.lhist !== undefined, 'lhist without its bounds');
          const { min, max, step } = type.lhist;
          return 8 * (Number((max - min + step - 1n) / step) + 2);
        }
        case 'tseries':
          return 24 * (type.tseries?.count ?? 0);
        case 'hist':
          invariant(false, 'the size of a hist is asked of its Schema');
      }
  }
}

/** Alignment in bytes that C gives the type (for composites: the most that a member needs). */
export function alignOf(type: Type): number {
  return alignAtDepth(type, 0);
}

function alignAtDepth(type: Type, depth: number): number {
  if (depth > MAX_DEPTH) return 1;
  switch (type.kind) {
    case 'array':
      return alignAtDepth(type.of, depth + 1);
    case 'struct':
    case 'union': {
      let most = 1;
      for (const field of type.fields()) {
        const align = alignAtDepth(field.type, depth + 1);
        // __attribute__((packed)) shows in offsets that the natural alignment forbids.
        if (align > most && field.offset % align === 0 && type.size % align === 0) most = align;
      }
      return most;
    }
    case 'int':
    case 'enum':
    case 'float':
      return Math.min(type.size, 16);
    case 'pointer':
    case 'timestamp':
    case 'ksym':
    case 'usym':
    case 'ustack':
    case 'kstack':
    case 'aggregate':
    case 'probe_name':
    case 'cgroup_path':
      return 8;
    case 'inet':
    case 'buffer':
    case 'username':
    case 'strerror':
    case 'signal_name':
    case 'syscall_name':
      return 4;
    case 'tuple': {
      let most = 1;
      for (const element of type.elements) most = Math.max(most, alignAtDepth(element, depth + 1));
      return most;
    }
    case 'void':
    case 'function':
    case 'none':
    case 'unavailable':
    case 'bool':
    case 'string':
    case 'mac_address':
      return 1;
  }
}

/** Where the elements of a tuple lie: like the members of a C struct, the end padded to the largest alignment. */
export function tupleLayout(elements: readonly Type[]): { readonly offsets: readonly number[]; readonly size: number } {
  const offsets: number[] = [];
  let end = 0;
  let most = 1;
  for (const element of elements) {
    const align = alignOf(element);
    if (align > most) most = align;
    const start = Math.ceil(end / align) * align;
    offsets.push(start);
    end = start + sizeOf(element);
  }
  return { offsets, size: Math.ceil(end / most) * most };
}

/** The type as messages and `-d types` spell it: `uint32`, `struct sockaddr *`, `string[16]`, `(int64,string[16])`. */
export function describe(type: Type): string {
  return describeAtDepth(type, 0);
}

function describeAtDepth(type: Type, depth: number): string {
  if (depth > MAX_DEPTH) return '…';
  switch (type.kind) {
    case 'void':
    case 'bool':
    case 'none':
    case 'inet':
    case 'mac_address':
    case 'timestamp':
    case 'username':
      return type.kind;
    case 'unavailable':
      return `<${type.reason}>`;
    case 'int':
      return `${type.signed ? 'int' : 'uint'}${type.size * 8}`;
    case 'float':
      return type.size === 4 ? 'float' : type.size === 8 ? 'double' : 'long double';
    case 'enum':
      return type.name === '' ? 'enum {…}' : `enum ${type.name}`;
    case 'struct':
    case 'union':
      if (type.record) {
        const fields = type.fields().map((field) => `.${field.name} = ${describeAtDepth(field.type, depth + 1)}`);
        return `record { ${fields.join(', ')} }`;
      }
      return type.name === '' ? `${type.kind} {…}` : `${type.kind} ${type.name}`;
    case 'pointer': {
      const to = type.to();
      if (to.kind === 'function') {
        const parameters = to.parameters().map((parameter) => describeAtDepth(parameter.type, depth + 1));
        return `${describeAtDepth(to.returns(), depth + 1)} (*)(${parameters.join(', ')})`;
      }
      const text = describeAtDepth(to, depth + 1);
      if (type.reference) return `${text} &`;
      return text.endsWith('*') ? `${text}*` : `${text} *`;
    }
    case 'array': {
      let element: Type = type;
      let dimensions = '';
      while (element.kind === 'array') {
        dimensions += `[${element.length === 0 ? '' : element.length}]`;
        element = element.of;
      }
      return describeAtDepth(element, depth + 1) + dimensions;
    }
    case 'function': {
      const parameters = type.parameters().map((parameter) => describeAtDepth(parameter.type, depth + 1));
      return `${describeAtDepth(type.returns(), depth + 1)} ${type.name}(${parameters.join(', ')})`;
    }
    case 'string':
    case 'buffer':
      return `${type.kind}[${type.size}]`;
    case 'tuple':
      return `(${type.elements.map((element) => describeAtDepth(element, depth + 1)).join(',')})`;
    case 'ustack':
    case 'kstack':
      return type.kind;
    case 'usym':
    case 'ksym':
    case 'probe_name':
    case 'strerror':
    case 'signal_name':
    case 'syscall_name':
    case 'cgroup_path':
      return `${type.kind}_t`;
    case 'aggregate':
      return `${type.aggregate}_t`;
  }
}

/**
 * Whether two types are the same C or language type. Named composites are the same by
 * kind, name and size; pointers by what they point to, whatever the address space.
 */
export function sameType(left: Type, right: Type): boolean {
  return sameAtDepth(left, right, 0);
}

function sameAtDepth(left: Type, right: Type, depth: number): boolean {
  if (left === right || depth > MAX_DEPTH) return true;
  switch (left.kind) {
    case 'void':
    case 'bool':
    case 'none':
    case 'inet':
    case 'mac_address':
    case 'usym':
    case 'ksym':
    case 'probe_name':
    case 'username':
    case 'strerror':
    case 'signal_name':
    case 'syscall_name':
    case 'cgroup_path':
      return left.kind === right.kind;
    case 'unavailable':
      return right.kind === 'unavailable' && left.reason === right.reason;
    case 'int':
      return right.kind === 'int' && left.size === right.size && left.signed === right.signed;
    case 'float':
      return right.kind === 'float' && left.size === right.size;
    case 'enum':
      return (
        right.kind === 'enum' &&
        left.name === right.name &&
        left.size === right.size &&
        (left.name !== '' || left.members[0]?.name === right.members[0]?.name)
      );
    case 'pointer':
      return right.kind === 'pointer' && sameAtDepth(left.to(), right.to(), depth + 1);
    case 'array':
      return right.kind === 'array' && left.length === right.length && sameAtDepth(left.of, right.of, depth + 1);
    case 'struct':
    case 'union': {
      if (right.kind !== left.kind || left.name !== right.name || left.size !== right.size) return false;
      if (left.name !== '') return true;
      const ours = left.fields();
      const theirs = right.fields();
      return (
        ours.length === theirs.length &&
        ours.every((field, index) => {
          const other = theirs[index];
          return (
            other !== undefined &&
            field.name === other.name &&
            field.offset === other.offset &&
            field.bits?.offset === other.bits?.offset &&
            field.bits?.width === other.bits?.width &&
            sameAtDepth(field.type, other.type, depth + 1)
          );
        })
      );
    }
    case 'function': {
      if (right.kind !== 'function') return false;
      const ours = left.parameters();
      const theirs = right.parameters();
      return (
        ours.length === theirs.length &&
        sameAtDepth(left.returns(), right.returns(), depth + 1) &&
        ours.every((parameter, index) => {
          const other = theirs[index];
          return other !== undefined && sameAtDepth(parameter.type, other.type, depth + 1);
        })
      );
    }
    case 'string':
    case 'buffer':
      return right.kind === left.kind && left.size === right.size;
    case 'tuple':
      return (
        right.kind === 'tuple' &&
        left.elements.length === right.elements.length &&
        left.elements.every((element, index) => {
          const other = right.elements[index];
          return other !== undefined && sameAtDepth(element, other, depth + 1);
        })
      );
    case 'ustack':
    case 'kstack':
      return right.kind === left.kind && left.mode === right.mode && left.limit === right.limit;
    case 'timestamp':
      return right.kind === 'timestamp' && left.format === right.format && left.clock === right.clock;
    case 'aggregate':
      return (
        right.kind === 'aggregate' &&
        left.aggregate === right.aggregate &&
        left.signed === right.signed &&
        left.hist?.bits === right.hist?.bits &&
        left.lhist?.min === right.lhist?.min &&
        left.lhist?.max === right.lhist?.max &&
        left.lhist?.step === right.lhist?.step &&
        left.tseries?.interval === right.tseries?.interval &&
        left.tseries?.count === right.tseries?.count &&
        left.tseries?.combine === right.tseries?.combine
      );
  }
}

export interface FoundField {
  readonly field: Field;
  /** Bytes from the start of the composite that was searched (anonymous members' offsets added up), or of the last virtual base. */
  readonly offset: number;
  /** Virtual bases on the way: at `offset` of what comes before is an object whose vtable has the next one's place in `slot`. */
  readonly through?: readonly VirtualStep[];
}

export interface VirtualStep {
  readonly offset: number;
  readonly slot: number;
}

/** The member of that name, looked for in anonymous structs and unions too. */
export function findField(composite: CompositeType, name: string): FoundField | undefined {
  return name === '' ? undefined : findAtDepth(composite, name, 0);
}

function findAtDepth(composite: CompositeType, name: string, depth: number): FoundField | undefined {
  if (depth > MAX_DEPTH) return undefined;
  const fields = composite.fields();
  for (const field of fields) {
    if (field.name === name) return { field, offset: field.offset };
  }
  for (const field of fields) {
    if (field.name !== '' || (field.type.kind !== 'struct' && field.type.kind !== 'union')) continue;
    const inner = findAtDepth(field.type, name, depth + 1);
    if (inner === undefined) continue;
    if (field.virtualBase !== undefined) {
      // The vtable pointer that tells is that of this class, at its start.
      return { ...inner, through: [{ offset: 0, slot: field.virtualBase }, ...(inner.through ?? [])] };
    }
    const [first, ...more] = inner.through ?? [];
    if (first === undefined) return { field: inner.field, offset: field.offset + inner.offset };
    return { ...inner, through: [{ ...first, offset: field.offset + first.offset }, ...more] };
  }
  return undefined;
}

/** Names of all members, those of anonymous structs and unions included, in order. */
export function fieldNames(composite: CompositeType): string[] {
  const names: string[] = [];
  const collect = (fields: readonly Field[], depth: number): void => {
    for (const field of fields) {
      if (field.name !== '') names.push(field.name);
      else if ((field.type.kind === 'struct' || field.type.kind === 'union') && depth < MAX_DEPTH) {
        collect(field.type.fields(), depth + 1);
      }
    }
  };
  collect(composite.fields(), 0);
  return names;
}

/** Members with a name like the one that is not there, best first. */
export function nearFields(composite: CompositeType, name: string, limit: number): string[] {
  return nearest(name, fieldNames(composite), limit);
}

/** Where a base class lies in a class that has it; undefined when it has not, or only through a virtual base. */
export function baseOffset(derived: CompositeType, base: CompositeType, depth = 0): number | undefined {
  if (derived === base || (derived.name !== '' && derived.name === base.name)) return 0;
  if (depth > MAX_DEPTH) return undefined;
  for (const field of derived.fields()) {
    if (!field.base || field.virtualBase !== undefined || field.type.kind !== 'struct') continue;
    const inner = baseOffset(field.type, base, depth + 1);
    if (inner !== undefined) return field.offset + inner;
  }
  return undefined;
}
