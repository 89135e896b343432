/**
 * Where GCC and clang put the members of a struct or union (System V ABI for x86-64,
 * section 3.1.2, and GCC's attributes `packed` and `aligned` and `#pragma pack`).
 * arm64 (AAPCS64) agrees on all but bit-fields without a name.
 */
import { alignOf, sizeOf } from '../../../types/layout.ts';
import type { CompositeType, Field, Type } from '../../../types/model.ts';
import { placeBits } from '../../btf/btf.ts';
import { type Heritage, layOutBases, layOutVirtualBases, noHeritage, remember } from './heritage.ts';

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
  heritage: Heritage = noHeritage,
): CompositeType {
  const placed: { readonly member: Member; readonly type: Type; readonly start: number }[] = [];
  let end = 0;
  let most = 1;
  let size = 0;
  const inherited = layOutBases(heritage, alignmentOf);
  end = inherited.end * 8;
  most = inherited.align;
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
  const own = Math.max(most, attributes.aligned);
  const whole = layOutVirtualBases(heritage, Math.ceil(end / 8), own, alignmentOf);
  const { align } = whole;
  const bytes = roundUp(whole.end, align);
  const fields: Field[] = [...inherited.fields];
  for (const { member, type, start } of placed) {
    if (member.bits === undefined) fields.push({ name: member.name, type, offset: start / 8 });
    else {
      const field = placeBits(member.name, type, start, member.bits, bytes);
      if (field !== undefined) fields.push(field);
    }
  }
  const composite: CompositeType = { kind, name, size: bytes, fields: () => fields };
  alignments.set(composite, align);
  remember(composite, heritage, members.length, Math.ceil(end / 8), own);
  return composite;
}
