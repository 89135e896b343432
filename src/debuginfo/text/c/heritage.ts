/**
 * Classes with bases and virtual functions, as the Itanium C++ ABI lays them out: which
 * base shares its vtable pointer with the class (section 2.4, II), where virtual bases lie
 * in a complete object (2.4, III), and where in the vtable their offsets stand (2.5.2).
 */
import { type CompositeType, type Field, pointerTo, voidType } from '../../../types/model.ts';

export interface Base {
  readonly type: CompositeType;
  readonly virtual: boolean;
}

/** What a C++ class has besides its members. */
export interface Heritage {
  readonly bases: readonly Base[];
  /** The virtual functions that it declares: name and parameters, `~` for the destructor. */
  readonly functions: readonly string[];
}

export const noHeritage: Heritage = { bases: [], functions: [] };

interface ClassFacts {
  readonly bases: readonly Base[];
  readonly primary: Base | undefined;
  /** It has a vtable pointer. */
  readonly dynamic: boolean;
  /** It has nothing but a vtable pointer. */
  readonly nearlyEmpty: boolean;
  /** Of itself and its bases that are not virtual. */
  readonly functions: ReadonlySet<string>;
  /** Bytes up to its last member, and alignment: without virtual bases. */
  readonly end: number;
  readonly align: number;
}

const known = new WeakMap<CompositeType, ClassFacts>();

/** How far the members of a class reach that others may follow directly, its virtual bases left out; undefined for C's structs. */
export const dataEnd = (type: CompositeType): number | undefined => known.get(type)?.end;

/** The alignment of a class without its virtual bases; undefined for C's structs. */
export const ownAlignment = (type: CompositeType): number | undefined => known.get(type)?.align;

const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to;

/** Virtual bases, direct and indirect, each once, in the order in which the declarations mention them. */
function virtualBases(bases: readonly Base[], found: Set<CompositeType> = new Set()): Set<CompositeType> {
  for (const { type, virtual } of bases) {
    if (virtual && found.has(type)) continue;
    if (virtual) found.add(type);
    virtualBases(known.get(type)?.bases ?? [], found);
  }
  return found;
}

/** Virtual bases that lie where a class is that has them as its primary base. */
function claimed(bases: readonly Base[], found: Set<CompositeType> = new Set()): Set<CompositeType> {
  for (const { type } of bases) {
    const facts = known.get(type);
    if (facts?.primary?.virtual) found.add(facts.primary.type);
    claimed(facts?.bases ?? [], found);
  }
  return found;
}

/** The base whose vtable pointer a class shares. */
function primaryOf(bases: readonly Base[]): Base | undefined {
  const plain = bases.find(({ type, virtual }) => !virtual && known.get(type)?.dynamic);
  if (plain !== undefined) return plain;
  const indirect = claimed(bases);
  const empty = [...virtualBases(bases)].filter((type) => known.get(type)?.nearlyEmpty);
  const chosen = empty.find((type) => !indirect.has(type)) ?? empty[0];
  return chosen && { type: chosen, virtual: true };
}

/** The start of a class: its bases that are not virtual, and a vtable pointer of its own where none of them has one. */
export interface Start {
  readonly fields: readonly Field[];
  /** Bytes that they take. */
  readonly end: number;
  readonly align: number;
}

/** `alignOf`: of a type that was declared in C. */
export function layOutBases({ bases, functions }: Heritage, alignOf: (type: CompositeType) => number): Start {
  const fields: Field[] = [];
  const primary = primaryOf(bases);
  let end = 0;
  let align = 1;
  if (primary?.virtual) {
    end = 8;
    align = 8;
  } else if (primary === undefined && (functions.length > 0 || bases.some(({ virtual }) => virtual))) {
    fields.push({ name: '_vptr', type: pointerTo(voidType, 'user'), offset: 0 });
    end = 8;
    align = 8;
  }
  const plain = bases.filter(({ virtual }) => !virtual);
  // The base whose vtable the class shares comes first, wherever it is written.
  for (const { type } of primary === undefined || primary.virtual
    ? plain
    : [primary, ...plain.filter((one) => one !== primary)]) {
    const own = ownAlignment(type) ?? alignOf(type);
    const start = roundUp(end, own);
    fields.push({ name: '', type, offset: start, base: true });
    end = start + (type.fields().length === 0 ? 0 : (dataEnd(type) ?? type.size));
    align = Math.max(align, own);
  }
  const slots = slotsOf(bases, primary);
  for (const { type, virtual } of bases) {
    if (virtual) fields.push({ name: '', type, offset: 0, base: true, virtualBase: slots.get(type) ?? 0 });
  }
  return { fields, end, align };
}

/** The end of a complete object, and its alignment: virtual bases come behind the members unless another base holds them. */
export function layOutVirtualBases(
  { bases }: Heritage,
  end: number,
  align: number,
  alignOf: (type: CompositeType) => number,
): { readonly end: number; readonly align: number } {
  const held = claimed(bases);
  const primary = primaryOf(bases);
  if (primary?.virtual) held.add(primary.type);
  let at = end;
  let most = align;
  for (const type of virtualBases(bases)) {
    const own = ownAlignment(type) ?? alignOf(type);
    most = Math.max(most, own);
    if (held.has(type) || type.fields().length === 0) continue;
    at = roundUp(at, own) + (dataEnd(type) ?? type.size);
  }
  return { end: at, align: most };
}

/** Remembers what classes derived from this one need; `end`, `align`: without virtual bases. */
export function remember(
  type: CompositeType,
  { bases, functions }: Heritage,
  members: number,
  end: number,
  align: number,
): void {
  const primary = primaryOf(bases);
  const dynamic = primary !== undefined || functions.length > 0 || bases.some(({ virtual }) => virtual);
  // Only classes that are more than C's structs let others into their padding.
  if (!dynamic && bases.length === 0) return;
  const plain = bases.filter(({ virtual }) => !virtual);
  const all = new Set(functions);
  for (const { type: base } of plain) for (const one of known.get(base)?.functions ?? []) all.add(one);
  const nearly = ({ type: base }: Base): boolean => known.get(base)?.nearlyEmpty === true;
  const nearlyEmpty =
    dynamic &&
    members === 0 &&
    plain.filter(nearly).length <= 1 &&
    plain.every((one) => nearly(one) || one.type.fields().length === 0);
  known.set(type, { bases, primary, dynamic, nearlyEmpty, functions: all, end, align });
}

/**
 * Where the offsets of virtual bases stand, from where the vtable pointer points. They
 * begin below the typeinfo and go down: first those of the primary base, whose vtable is
 * the same, with the offsets that a virtual one needs for its functions behind them.
 */
function slotsOf(bases: readonly Base[], primary: Base | undefined): ReadonlyMap<CompositeType, number> {
  const slots = new Map<CompositeType, number>();
  const functions = new Set<string>();
  let next = -24;
  const visit = (of: readonly Base[], first: Base | undefined): void => {
    if (first !== undefined) {
      const facts = known.get(first.type);
      visit(facts?.bases ?? [], facts?.primary);
      for (const one of first.virtual ? (facts?.functions ?? []) : []) {
        // One that overrides another has its place.
        if (!functions.has(one)) next -= 8;
        functions.add(one);
      }
    }
    for (const type of virtualBases(of)) {
      if (slots.has(type)) continue;
      slots.set(type, next);
      next -= 8;
    }
  };
  visit(bases, primary);
  return slots;
}
