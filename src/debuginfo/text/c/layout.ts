/**
 * Where GCC and clang put the members of a struct or union (System V ABI for x86-64,
 * section 3.1.2, and GCC's attributes `packed` and `aligned` and `#pragma pack`).
 * arm64 (AAPCS64) agrees on all but bit-fields without a name.
 */
import { alignOf, sizeOf } from '../../../types/layout.ts';
import { type CompositeType, type Field, pointerTo, type Type, voidType } from '../../../types/model.ts';
import { placeBits } from '../../btf/btf.ts';

/** A type as a declaration uses it: a tag may be completed later, a typedef may have an alignment of its own. */
export interface CType {
  readonly type: () => Type;
  readonly align: () => number;
  /** undefined, or what is missing for its size: `struct foo`. */
  readonly incomplete: () => string | undefined;
}

export interface Attributes {
  packed: boolean;
  /** 0: none. */
  aligned: number;
  /** Size in bytes that `mode` gives an integer, whatever its words say; 0: none. */
  mode: 0 | 1 | 2 | 4 | 8;
}

export const noAttributes = (): Attributes => ({ packed: false, aligned: 0, mode: 0 });

export interface Member {
  readonly name: string;
  readonly type: CType;
  /** Width of a bit-field. */
  readonly bits: number | undefined;
  readonly attributes: Attributes;
}

/** What a C++ class has besides its members. */
export interface Heritage {
  readonly bases: readonly CompositeType[];
  /** It declares virtual functions. */
  readonly virtual: boolean;
}

/** Classes with a vtable pointer at their start, and how far their members reach: what a derived class follows (Itanium C++ ABI, section 2.4). */
const polymorphic = new WeakSet<CompositeType>();
const dataEnds = new WeakMap<CompositeType, number>();

const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to;

/** Alignments of composites that their members do not show (packed, aligned). */
const alignments = new WeakMap<CompositeType, number>();

/** Alignment of a type, also of one that was declared packed or aligned here. */
export function alignmentOf(type: Type): number {
  if (type.kind === 'array') return alignmentOf(type.of);
  if (type.kind === 'struct' || type.kind === 'union') return alignments.get(type) ?? alignOf(type);
  return alignOf(type);
}

/**
 * A struct or union of these members. `pack` is the alignment that `#pragma pack` allows
 * at most, 0 for none.
 */
export function layOutMembers(
  kind: 'struct' | 'union',
  name: string,
  members: readonly Member[],
  attributes: Attributes,
  pack: number,
  heritage: Heritage = { bases: [], virtual: false },
): CompositeType {
  const placed: { readonly member: Member; readonly type: Type; readonly start: number }[] = [];
  let end = 0;
  let most = 1;
  let size = 0;
  const inherited: Field[] = [];
  const { bases, virtual } = heritage;
  const primary = bases.find((base) => polymorphic.has(base));
  if (virtual && primary === undefined) {
    inherited.push({ name: '_vptr', type: pointerTo(voidType, 'user'), offset: 0 });
    end = 64;
    most = 8;
  }
  // The base whose vtable the class shares comes first, wherever it is written.
  for (const base of primary === undefined ? bases : [primary, ...bases.filter((one) => one !== primary)]) {
    const align = alignmentOf(base);
    const start = roundUp(end, align * 8);
    inherited.push({ name: '', type: base, offset: start / 8, base: true });
    end = start + (base.fields().length === 0 ? 0 : (dataEnds.get(base) ?? base.size) * 8);
    most = Math.max(most, align);
  }
  for (const member of members) {
    const type = member.type.type();
    const packed = attributes.packed || member.attributes.packed;
    // #pragma pack limits every alignment, also one that an attribute asks for.
    const limit = (align: number): number => (pack > 0 ? Math.min(align, pack) : align);
    const natural = limit(member.type.align());
    const aligned = limit(member.attributes.aligned);
    const align = Math.max(packed ? 1 : natural, aligned);
    let start = kind === 'union' ? 0 : end;
    if (member.bits === undefined) {
      start = roundUp(start, align * 8);
      size = start + sizeOf(type) * 8;
      most = Math.max(most, align);
      placed.push({ member, type, start });
    } else if (member.bits === 0) {
      // A bit-field of no width ends the unit, whatever `packed` and #pragma pack say.
      size = roundUp(start, Math.max(member.type.align(), aligned) * 8);
    } else {
      if (aligned > 0) start = roundUp(start, aligned * 8);
      const unit = sizeOf(type) * 8;
      const crosses = Math.floor(start / unit) !== Math.floor((start + member.bits - 1) / unit);
      if (crosses && !packed && pack === 0) start = roundUp(start, natural * 8);
      size = start + member.bits;
      // Without a name it does not align the whole.
      if (member.name !== '') {
        // With #pragma pack its type counts even where `packed` takes it out.
        most = Math.max(most, pack > 0 ? Math.max(natural, aligned) : align);
        placed.push({ member, type, start });
      } else if (aligned > 0) most = Math.max(most, aligned);
    }
    end = kind === 'union' ? Math.max(end, size) : size;
  }
  const align = Math.max(most, attributes.aligned);
  const bytes = roundUp(Math.ceil(end / 8), align);
  const fields: Field[] = [...inherited];
  for (const { member, type, start } of placed) {
    if (member.bits === undefined) fields.push({ name: member.name, type, offset: start / 8 });
    else {
      const field = placeBits(member.name, type, start, member.bits, bytes);
      if (field !== undefined) fields.push(field);
    }
  }
  const composite: CompositeType = { kind, name, size: bytes, fields: () => fields };
  alignments.set(composite, align);
  if (virtual || primary !== undefined) polymorphic.add(composite);
  // Only classes that are more than C's structs let others into their padding.
  if (virtual || bases.length > 0) dataEnds.set(composite, Math.ceil(end / 8));
  return composite;
}
