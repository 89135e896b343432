/**
 * Entries of types (DWARF 5, chapter 5) to the type model. Types are read when they are
 * first looked at: naming a class does not read what it is made of.
 */

import { lazy } from '../../base/lazy.ts';
import type { Content, Measure } from '../../types/content.ts';
import { findField, sizeOf } from '../../types/layout.ts';
import { type Computation, constant, sum } from '../../types/location.ts';
import {
  boolType,
  type CompositeType,
  type Field,
  type FunctionType,
  intType,
  pointerTo,
  type Type,
  uint8,
  uint64,
  voidType,
} from '../../types/model.ts';
import type { ProgramVariable } from '../../types/source.ts';
import * as dw from './constants.ts';
import type { Entry, EntryFile } from './entry.ts';
import { readComputation } from './expression.ts';
import { memberPointer } from './memberpointers.ts';
import { Scopes } from './scopes.ts';

/** A type may be behind this many typedefs, const and volatile. */
const mostWrappers = 64;
/** Of DW_AT_go_kind: reflect.Map. */
const goKindMap = 21;
/** Dimensions and elements that an array may claim. */
const mostElements = 2 ** 31;

/** Finds the definition of a type that an entry only declares. */
export type FindDefinition = (tag: number, name: string) => Entry | undefined;

export class TypeReader {
  readonly scopes: Scopes = new Scopes();
  readonly #find: FindDefinition;
  readonly #composites: Map<EntryFile, Map<string, Type>> = new Map();

  readonly #global: (name: string) => ProgramVariable | undefined;

  constructor(find: FindDefinition, global: (name: string) => ProgramVariable | undefined = () => undefined) {
    this.#find = find;
    this.#global = global;
  }

  /** The type that an entry's DW_AT_type names; void where it has none. */
  ofAttribute(entry: Entry): Type {
    const holder = entry.originWith(dw.DW_AT_type);
    const target = holder?.reference(dw.DW_AT_type);
    return target === undefined ? voidType : this.of(target);
  }

  /** The entry behind typedefs, const, volatile and the like; undefined for void. */
  bare(entry: Entry | undefined): Entry | undefined {
    let here = entry;
    for (let left = mostWrappers; here !== undefined && left > 0; left--) {
      if (!isWrapper(here.tag)) return this.#defined(here);
      here = here.reference(dw.DW_AT_type);
    }
    return undefined;
  }

  /** The definition of what an entry only declares, else the entry. */
  #defined(entry: Entry): Entry {
    const signature = entry.reference(dw.DW_AT_signature);
    if (signature !== undefined) return signature;
    if (!entry.flag(dw.DW_AT_declaration)) return entry;
    const name = this.scopes.qualified(entry);
    return (name === '' ? undefined : this.#find(entry.tag, name)) ?? entry;
  }

  of(written: Entry): Type {
    if (written.tag === dw.DW_TAG_typedef && isGo(written)) {
      const map = this.#goMap(written);
      if (map !== undefined) return map;
    }
    const entry = this.bare(written);
    if (entry === undefined) return voidType;
    switch (entry.tag) {
      case dw.DW_TAG_base_type:
        return baseType(entry);
      case dw.DW_TAG_pointer_type:
        return this.#box(entry) ?? pointerTo(() => this.ofAttribute(entry), 'user');
      case dw.DW_TAG_reference_type:
      case dw.DW_TAG_rvalue_reference_type:
        return { ...pointerTo(() => this.ofAttribute(entry), 'user'), reference: true };
      case dw.DW_TAG_array_type:
        return this.#array(entry);
      case dw.DW_TAG_structure_type:
      case dw.DW_TAG_class_type:
      case dw.DW_TAG_union_type:
        return this.#kept(entry, () => this.#composite(entry));
      case dw.DW_TAG_enumeration_type:
        return this.#kept(entry, () => this.#enumeration(entry));
      case dw.DW_TAG_subroutine_type:
        return this.function(entry);
      case dw.DW_TAG_ptr_to_member_type:
        return memberPointer(this, entry);
      case dw.DW_TAG_unspecified_type:
        // decltype(nullptr) is a pointer's size; DWARF does not say so.
        return entry.name.includes('nullptr') ? pointerTo(voidType, 'user') : voidType;
      default:
        return voidType;
    }
  }

  #kept(entry: Entry, make: () => Type): Type {
    let kept = this.#composites.get(entry.file);
    if (kept === undefined) {
      kept = new Map();
      this.#composites.set(entry.file, kept);
    }
    let type = kept.get(entry.key);
    if (type === undefined) {
      type = make();
      kept.set(entry.key, type);
    }
    return type;
  }

  /** The prototype of a subprogram or subroutine type, without parameters that the source does not write. */
  function(entry: Entry): FunctionType {
    return {
      kind: 'function',
      name: entry.originWith(dw.DW_AT_name)?.name ?? '',
      parameters: () => {
        const list: { name: string; type: Type }[] = [];
        for (const child of entry.children()) {
          if (child.tag === dw.DW_TAG_formal_parameter) list.push({ name: child.name, type: this.ofAttribute(child) });
        }
        return list;
      },
      returns: () => this.ofAttribute(entry),
    };
  }

  #array(entry: Entry): Type {
    const dimensions: number[] = [];
    for (const child of entry.children()) {
      if (child.tag === dw.DW_TAG_subrange_type) dimensions.push(lengthOf(child));
      // An index of an enumeration counts its members.
      else if (child.tag === dw.DW_TAG_enumeration_type) dimensions.push([...child.children()].length);
    }
    let type = this.ofAttribute(entry);
    const element = sizeOf(type);
    for (const length of dimensions.reverse()) type = { kind: 'array', of: type, length };
    // A vector type may say its size only.
    const size = entry.number(dw.DW_AT_byte_size);
    if (dimensions.length === 0 && size !== undefined && element > 0) {
      return { kind: 'array', of: type, length: Math.floor(size / element) };
    }
    return type;
  }

  #enumeration(entry: Entry): Type {
    const underlying = entry.reference(dw.DW_AT_type);
    const base = underlying === undefined ? undefined : this.of(underlying);
    let size = entry.number(dw.DW_AT_byte_size) ?? (base === undefined ? 4 : sizeOf(base));
    if (size !== 1 && size !== 2 && size !== 4 && size !== 8) size = 4;
    const children = [...entry.children()].filter((child) => child.tag === dw.DW_TAG_enumerator);
    // Where nothing tells the sign, a negative enumerator does (it is written as sdata).
    const signed =
      base?.kind === 'int' ? base.signed : children.some((child) => (child.number(dw.DW_AT_const_value) ?? 0) < 0);
    return {
      kind: 'enum',
      name: this.scopes.qualified(entry),
      size: size as 1 | 2 | 4 | 8,
      signed,
      members: children.map((child) => {
        const value = child.integer(dw.DW_AT_const_value, signed) ?? 0n;
        const own = entry.flag(dw.DW_AT_enum_class) ? `${entry.name}::${child.name}` : child.name;
        return { name: own, value: signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value) };
      }),
    };
  }

  #composite(entry: Entry): CompositeType {
    if (entry.flag(dw.DW_AT_declaration)) {
      const known = declaredString(this.scopes.qualified(entry));
      if (known !== undefined) return known;
    }
    let fields: readonly Field[] | undefined;
    let byReference: boolean | undefined;
    return {
      kind: entry.tag === dw.DW_TAG_union_type ? 'union' : 'struct',
      name: this.scopes.qualified(entry),
      size: entry.number(dw.DW_AT_byte_size) ?? 0,
      fields: () => {
        fields ??= this.#fields(entry);
        return fields;
      },
      byReference: () => {
        byReference ??= this.#byReference(entry, 0);
        return byReference;
      },
      templateArguments: () => this.#templateArguments(entry),
      inProgram: (name) => {
        const found = this.#find(dw.DW_TAG_structure_type, name);
        return found === undefined ? undefined : this.of(found);
      },
      ...(isRust(entry) ? { variants: () => this.#variants(entry) } : {}),
      ...(isGo(entry) ? { variants: () => this.#interface(entry) } : {}),
    };
  }

  /** Rust's Box is a pointer by its name. */
  #box(entry: Entry): CompositeType | undefined {
    if (!isRust(entry) || !entry.name.startsWith('alloc::boxed::Box<')) return undefined;
    const fields: readonly Field[] = [
      { name: 'ptr', type: pointerTo(() => this.ofAttribute(entry), 'user'), offset: 0 },
    ];
    return { kind: 'struct', name: entry.name, size: 8, fields: () => fields };
  }

  /** A map of Go is a pointer, which the source does not show. */
  #goMap(written: Entry): Type | undefined {
    let named: Entry | undefined = written;
    for (let left = mostWrappers; named?.tag === dw.DW_TAG_typedef && left > 0; left--) {
      if (named.number(dw.DW_AT_go_kind) === goKindMap) break;
      named = named.reference(dw.DW_AT_type);
    }
    const target = named?.tag === dw.DW_TAG_typedef ? named.reference(dw.DW_AT_type) : undefined;
    if (named === undefined || target?.tag !== dw.DW_TAG_pointer_type) return undefined;
    const fields: readonly Field[] = [{ name: 'ptr', type: this.of(target), offset: 0 }];
    const { name } = named;
    const map = name.startsWith('map[') ? name : `map[…]${name}`;
    return this.#kept(named, () => ({ kind: 'struct', name: map, size: 8, fields: () => fields }));
  }

  /** An interface of Go: shown by the type of what it holds. */
  #interface(entry: Entry): Content | undefined {
    const through = entry.name === 'runtime.iface' ? 8 : entry.name === 'runtime.eface' ? undefined : null;
    if (through === null) return undefined;
    const names = this.#goNames();
    const address: Measure = { kind: 'word', offset: 0, size: 8, signed: false };
    return names && { kind: 'gotype', address, through, names };
  }

  /** Where the names of types count from: the member `types` of runtime.firstmoduledata. */
  readonly #goNames: () => Computation | undefined = lazy(() => {
    const module = this.#global('runtime.firstmoduledata');
    const types = module?.type.kind === 'struct' ? findField(module.type, 'types') : undefined;
    if (types === undefined || module?.location.kind !== 'memory') return undefined;
    return { op: 'read', size: 8, from: sum(module.location.address, constant(types.offset)) };
  });

  #fields(entry: Entry): Field[] {
    const fields: Field[] = [];
    for (const child of entry.children()) {
      if (child.tag === dw.DW_TAG_inheritance) fields.push(this.#base(child));
      else if (child.tag === dw.DW_TAG_member && !isStatic(child)) fields.push(this.#member(child));
    }
    return fields;
  }

  #base(child: Entry): Field {
    const type = this.ofAttribute(child);
    const expression = child.block(dw.DW_AT_data_member_location);
    if (expression === undefined) {
      return { name: '', type, offset: child.number(dw.DW_AT_data_member_location) ?? 0, base: true };
    }
    const computed = computeMember(expression, child);
    const fixed = fixedOffset(computed);
    if (fixed !== undefined) return { name: '', type, offset: fixed, base: true };
    const slot = virtualSlot(computed);
    return { name: '', type, offset: 0, base: true, ...(slot === undefined ? {} : { virtualBase: slot }) };
  }

  #member(child: Entry): Field {
    const { name } = child;
    const type = this.ofAttribute(child);
    let offset = child.number(dw.DW_AT_data_member_location);
    if (offset === undefined) {
      const expression = child.block(dw.DW_AT_data_member_location);
      offset = (expression === undefined ? undefined : fixedOffset(computeMember(expression, child))) ?? 0;
    }
    const width = child.number(dw.DW_AT_bit_size);
    if (width === undefined) return { name, type, offset };
    return bitField(name, type, offset, width, child);
  }

  /** Whether copies of a class are more than its bytes. Told by DWARF 5; before, by its copy constructor and destructor. */
  #byReference(entry: Entry, depth: number): boolean {
    const told = entry.number(dw.DW_AT_calling_convention);
    // DW_CC_pass_by_reference 4, DW_CC_pass_by_value 5.
    if (told === 4 || told === 5) return told === 4;
    if (depth > 16) return false;
    const own = entry.name.replace(/<.*$/s, '');
    for (const child of entry.children()) {
      if (child.tag === dw.DW_TAG_subprogram) {
        if (child.has(dw.DW_AT_virtuality) && child.number(dw.DW_AT_virtuality) !== 0) return true;
        if (child.flag(dw.DW_AT_artificial) || child.has(dw.DW_AT_defaulted)) continue;
        if (child.name === `~${own}`) return true;
        if (child.name === own && this.#isCopy(entry, child)) return true;
      } else if (child.tag === dw.DW_TAG_inheritance || (child.tag === dw.DW_TAG_member && !isStatic(child))) {
        const type = this.bare(child.reference(dw.DW_AT_type));
        if (type !== undefined && isClass(type.tag) && this.#byReference(type, depth + 1)) return true;
      }
    }
    return false;
  }

  /** A copy or move constructor takes a reference to its own class. */
  #isCopy(owner: Entry, constructorEntry: Entry): boolean {
    const parameters = [...constructorEntry.children()].filter(
      (child) => child.tag === dw.DW_TAG_formal_parameter && !child.flag(dw.DW_AT_artificial),
    );
    const [only] = parameters;
    const reference = parameters.length === 1 ? this.bare(only?.reference(dw.DW_AT_type)) : undefined;
    if (reference?.tag !== dw.DW_TAG_reference_type && reference?.tag !== dw.DW_TAG_rvalue_reference_type) return false;
    const target = this.bare(reference.reference(dw.DW_AT_type));
    return target !== undefined && target.offset === owner.offset && target.unit === owner.unit;
  }

  /** The cases of a Rust enum (DW_TAG_variant_part); undefined for a struct. */
  #variants(entry: Entry): Content | undefined {
    const part = [...entry.children()].find((child) => child.tag === dw.DW_TAG_variant_part);
    const told = part?.reference(dw.DW_AT_discr);
    if (part === undefined) return undefined;
    const of = told === undefined ? undefined : this.ofAttribute(told);
    const size = of === undefined ? 0 : sizeOf(of);
    const at = told?.number(dw.DW_AT_data_member_location) ?? 0;
    const whole = size === 1 || size === 2 || size === 4 || size === 8 ? size : undefined;
    const index: Measure =
      whole === undefined ? { kind: 'constant', value: 0 } : { kind: 'word', offset: at, size: whole, signed: false };
    const cases = [...part.children()].flatMap((variant) => {
      const member = [...variant.children()].find((child) => child.tag === dw.DW_TAG_member);
      if (variant.tag !== dw.DW_TAG_variant || member === undefined) return [];
      const value = variant.integer(dw.DW_AT_discr_value, false);
      const offset = member.number(dw.DW_AT_data_member_location) ?? 0;
      const inner = this.#payload(member);
      return [{ value, name: member.name, offset: offset + (inner?.offset ?? 0), of: inner?.type }];
    });
    return { kind: 'alternatives', index, cases };
  }

  /** What a case holds: nothing, the one value of `Some(x)`, or a struct. */
  #payload(member: Entry): { readonly offset: number; readonly type: Type } | undefined {
    const type = this.ofAttribute(member);
    if (type.kind !== 'struct') return { offset: 0, type };
    const fields = type.fields();
    const [only] = fields;
    if (only === undefined) return undefined;
    if (fields.length > 1 || only.name !== '__0') return { offset: 0, type };
    const held = member.reference(dw.DW_AT_type);
    const own = [...(held?.children() ?? [])].find((child) => child.tag === dw.DW_TAG_member);
    return { offset: only.offset, type: this.#referred(own?.reference(dw.DW_AT_type)) ?? only.type };
  }

  /** A reference in a case, as in Option<&T>: shown by what it refers to, as Rust does. */
  #referred(entry: Entry | undefined): Type | undefined {
    if (entry?.tag !== dw.DW_TAG_pointer_type || !entry.name.startsWith('&')) return undefined;
    const { name } = entry;
    const of = this.ofAttribute(entry);
    const fields: readonly Field[] = [{ name: 'ptr', type: pointerTo(of, 'user'), offset: 0 }];
    const address: Measure = { kind: 'word', offset: 0, size: 8, signed: false };
    const content: Content = { kind: 'pointer', address, of };
    return this.#kept(entry, () => ({ kind: 'struct', name, size: 8, fields: () => fields, variants: () => content }));
  }

  #templateArguments(entry: Entry): ReadonlyMap<string, Type | bigint> {
    const found = new Map<string, Type | bigint>();
    const collect = (parent: Entry): void => {
      for (const child of parent.children()) {
        if (child.tag === dw.DW_TAG_GNU_template_parameter_pack) {
          // The arguments of a pack have no names of their own: 0, 1, 2 …
          collect(child);
        } else if (child.tag === dw.DW_TAG_template_type_parameter) {
          found.set(child.name || String(found.size), this.ofAttribute(child));
        } else if (child.tag === dw.DW_TAG_template_value_parameter) {
          found.set(child.name || String(found.size), child.integer(dw.DW_AT_const_value, true) ?? 0n);
        }
      }
    };
    collect(entry);
    return found;
  }
}

/**
 * libstdc++ holds std::string ready-made, so that compilers that only describe what they
 * make (clang without -fstandalone-debug) leave it out. Its layout is part of the ABI.
 */
function declaredString(name: string): CompositeType | undefined {
  const [, part] =
    /^std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> ?>(::_Alloc_hider)?$/.exec(name) ??
    [];
  if (!name.startsWith('std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char>'))
    return undefined;
  if (part === undefined && !/> ?>$/.test(name)) return undefined;
  const pointer: Field = { name: '_M_p', type: pointerTo(intType(1, true), 'user'), offset: 0 };
  const hider: CompositeType = {
    kind: 'struct',
    name: part === undefined ? '' : name,
    size: 8,
    fields: () => [pointer],
  };
  if (part !== undefined) return hider;
  const fields: readonly Field[] = [
    { name: '_M_dataplus', type: hider, offset: 0 },
    { name: '_M_string_length', type: uint64, offset: 8 },
  ];
  return { kind: 'struct', name, size: 32, fields: () => fields, byReference: () => true };
}

const isGo = (entry: Entry): boolean => entry.unit.root().language === dw.DW_LANG_Go;
const isRust = (entry: Entry): boolean => entry.unit.root().language === dw.DW_LANG_Rust;

function isWrapper(tag: number): boolean {
  switch (tag) {
    case dw.DW_TAG_typedef:
    case dw.DW_TAG_const_type:
    case dw.DW_TAG_volatile_type:
    case dw.DW_TAG_restrict_type:
    case dw.DW_TAG_atomic_type:
    case dw.DW_TAG_template_alias:
      return true;
    default:
      return false;
  }
}

export const isClass = (tag: number): boolean =>
  tag === dw.DW_TAG_structure_type || tag === dw.DW_TAG_class_type || tag === dw.DW_TAG_union_type;

/** Static members are variables of their class (DWARF 5 gives them that tag too). */
export const isStatic = (member: Entry): boolean =>
  member.flag(dw.DW_AT_external) || (member.flag(dw.DW_AT_declaration) && !member.has(dw.DW_AT_data_member_location));

function baseType(entry: Entry): Type {
  const size = entry.number(dw.DW_AT_byte_size) ?? 0;
  const whole = size === 1 || size === 2 || size === 4 || size === 8 ? size : undefined;
  switch (entry.number(dw.DW_AT_encoding)) {
    case dw.DW_ATE_boolean:
      return size === 1 ? boolType : whole === undefined ? bytes(size) : intType(whole, false);
    case dw.DW_ATE_float:
      return { kind: 'float', size };
    case dw.DW_ATE_complex_float:
      return { kind: 'array', of: { kind: 'float', size: size / 2 }, length: 2 };
    case dw.DW_ATE_signed:
    case dw.DW_ATE_signed_char:
      return whole === undefined ? wide(size) : intType(whole, true);
    case dw.DW_ATE_unsigned_char:
      // Text on machines whose plain char has no sign.
      return whole === undefined ? bytes(size) : intType(whole, entry.name === 'char');
    default:
      return whole === undefined ? wide(size) : intType(whole, false);
  }
}

const bytes = (size: number): Type => ({ kind: 'array', of: uint8, length: size });
/** Integers of more than 64 bits, least significant word first. */
const wide = (size: number): Type =>
  size === 0 ? voidType : size % 8 === 0 ? { kind: 'array', of: uint64, length: size / 8 } : bytes(size);

/** Elements of a dimension; 0 where it has no bound, or one that only the running program knows. */
export function lengthOf(subrange: Entry): number {
  const count = subrange.number(dw.DW_AT_count);
  const upper = subrange.number(dw.DW_AT_upper_bound);
  const length = count ?? (upper === undefined ? 0 : upper + 1 - (subrange.number(dw.DW_AT_lower_bound) ?? 0));
  // GCC writes an upper bound of -1 for an array of length 0.
  return length > 0 && length < mostElements ? Math.floor(length) : 0;
}

/** Stands for the object in the location of a member. */
const object: Computation = { op: 'register', register: -1 };

function computeMember(expression: Uint8Array, entry: Entry): Computation | undefined {
  return readComputation(expression, { unit: entry.unit, initial: [object] });
}

const isObject = (value: Computation): boolean => value.op === 'register' && value.register === -1;

function fixedOffset(value: Computation | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (isObject(value)) return 0;
  if (value.op !== 'binary' || value.operator !== 'add' || !isObject(value.left)) return undefined;
  return value.right.op === 'constant' ? Number(value.right.value) : undefined;
}

/** object + *(*object + slot): the slot of a virtual base's offset. */
function virtualSlot(value: Computation | undefined): number | undefined {
  if (value?.op !== 'binary' || value.operator !== 'add') return undefined;
  const read = isObject(value.left) ? value.right : isObject(value.right) ? value.left : undefined;
  if (read?.op !== 'read' || read.from.op !== 'binary') return undefined;
  const { operator, left, right } = read.from;
  if (right.op !== 'constant' || left.op !== 'read' || !isObject(left.from)) return undefined;
  if (operator === 'add') return Number(right.value);
  return operator === 'sub' ? -Number(right.value) : undefined;
}

/** A bit-field in a storage unit that lies within the object: of its type's size, at that size's alignment where it fits. */
function bitField(name: string, type: Type, memberOffset: number, width: number, entry: Entry): Field {
  const size = Math.max(1, sizeOf(type));
  const fromStart = entry.number(dw.DW_AT_data_bit_offset);
  let first: number;
  if (fromStart !== undefined) first = memberOffset * 8 + fromStart;
  else {
    // DWARF 2 and 3 count from the most significant bit of the storage unit.
    const storage = entry.number(dw.DW_AT_byte_size) ?? size;
    const fromTop = entry.number(dw.DW_AT_bit_offset);
    first = memberOffset * 8 + (fromTop === undefined ? 0 : storage * 8 - fromTop - width);
  }
  let offset = Math.floor(first / 8 / size) * size;
  // A packed one may straddle such units.
  if (first + width > (offset + size) * 8) offset = Math.floor(first / 8);
  return { name, type, offset, bits: { offset: first - offset * 8, width } };
}
