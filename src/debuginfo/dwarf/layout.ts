/**
 * A type as its source declares it, with where each member lies: what `insitu types`
 * prints. Offsets, sizes, holes and paddings are told as pahole(1) tells them.
 */

import { sizeOf } from '../../types/layout.ts';
import type { Field } from '../../types/model.ts';
import * as dw from './constants.ts';
import { declareType } from './declare.ts';
import type { Entry } from './entry.ts';
import { isClass, isStatic, type TypeReader } from './types.ts';

/** A member of a class: bytes from the start of the class, bits for a bit-field. */
export interface Member {
  readonly declaration: string;
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  readonly bits: { readonly offset: number; readonly width: number } | undefined;
  /** `base`: a base class; `virtual`: one whose place is told by the vtable. */
  readonly role: 'member' | 'base' | 'virtual';
  /** The class of a member whose class has no name: it is declared in place. */
  readonly inner: Entry | undefined;
}

/** The members of a class in order of declaration. */
export function membersOf(entry: Entry, reader: TypeReader): Member[] {
  const type = reader.of(entry);
  if (type.kind !== 'struct' && type.kind !== 'union') return [];
  const fields = type.fields();
  const children = [...entry.children()].filter(
    (child) => child.tag === dw.DW_TAG_inheritance || (child.tag === dw.DW_TAG_member && !isStatic(child)),
  );
  return children.map((child, index): Member => {
    const field = fields[index] as Field;
    const written = child.reference(dw.DW_AT_type);
    const nameless = namelessIn(written);
    const base = child.tag === dw.DW_TAG_inheritance;
    return {
      declaration: declareType(written, child.name, reader.scopes),
      name: child.name,
      offset: field.offset,
      size: sizeOf(field.type),
      bits: field.bits,
      role: !base ? 'member' : field.virtualBase === undefined ? 'base' : 'virtual',
      inner: base ? undefined : nameless,
    };
  });
}

/** The class without a name that a type is made of: it is declared where it is used, also as an array's element. */
function namelessIn(written: Entry | undefined): Entry | undefined {
  let here = written;
  for (let left = 8; left > 0 && here !== undefined; left--) {
    if (isNameless(here)) return here;
    switch (here.tag) {
      case dw.DW_TAG_array_type:
      case dw.DW_TAG_pointer_type:
      case dw.DW_TAG_const_type:
      case dw.DW_TAG_volatile_type:
        here = here.reference(dw.DW_AT_type);
        break;
      default:
        return undefined;
    }
  }
  return undefined;
}

const isNameless = (entry: Entry): boolean =>
  (isClass(entry.tag) || entry.tag === dw.DW_TAG_enumeration_type) && entry.name === '';

const keywordOf = (entry: Entry): string =>
  entry.tag === dw.DW_TAG_union_type
    ? 'union'
    : entry.tag === dw.DW_TAG_class_type
      ? 'class'
      : entry.tag === dw.DW_TAG_enumeration_type
        ? 'enum'
        : 'struct';

/** Where comments begin. */
const column = 56;
const deepest = 16;

/** The declaration of a type, a line each. */
export function printType(entry: Entry, reader: TypeReader): string[] {
  switch (entry.tag) {
    case dw.DW_TAG_typedef: {
      const target = reader.bare(entry);
      const written = entry.reference(dw.DW_AT_type);
      const line = `typedef ${declareType(written, entry.name, reader.scopes)};`;
      if (written !== undefined && isNameless(written)) {
        const lines = body(written, reader, '', 0);
        return [`typedef ${lines[0]}`, ...lines.slice(1, -1), `} ${entry.name};`];
      }
      return target !== undefined && target !== entry && (isClass(target.tag) || isEnum(target))
        ? [line, '', ...printType(target, reader)]
        : [`${line.padEnd(column)}/* size: ${sizeOf(reader.of(entry))} */`];
    }
    case dw.DW_TAG_base_type:
      return [`${`${entry.name};`.padEnd(column)}/* size: ${sizeOf(reader.of(entry))} */`];
    default: {
      const lines = body(entry, reader, '', 0);
      return [...lines.slice(0, -1), '};'];
    }
  }
}

const isEnum = (entry: Entry): boolean => entry.tag === dw.DW_TAG_enumeration_type;

function body(entry: Entry, reader: TypeReader, indent: string, start: number, depth = 0): string[] {
  if (isEnum(entry)) return enumeration(entry, reader, indent);
  const name = reader.scopes.qualified(entry);
  const size = entry.number(dw.DW_AT_byte_size) ?? 0;
  const members = membersOf(entry, reader);
  const bases = members.filter(({ role }) => role !== 'member');
  const inherits = bases.map(({ declaration, role }) => `${role === 'virtual' ? 'virtual ' : ''}${declaration}`);
  const head = `${keywordOf(entry)}${name === '' ? '' : ` ${name}`}${inherits.length === 0 ? '' : ` : ${inherits.join(', ')}`} {`;
  const lines = [indent + head];
  const inside = `${indent}\t`;
  const note = (text: string): void => {
    lines.push('', `${inside}/* XXX ${text} */`, '');
  };
  const union = entry.tag === dw.DW_TAG_union_type;
  // How far the members so far reach, in bits.
  let end = 0;
  let holes = 0;
  let holeBytes = 0;
  for (const member of members) {
    const { bits, offset, size: length, role } = member;
    if (role === 'virtual') continue;
    const first = bits === undefined ? offset * 8 : offset * 8 + bits.offset;
    const past = bits === undefined ? (offset + length) * 8 : first + bits.width;
    if (!union && first > end) {
      const gap = first - end;
      const wholeBytes = Math.floor(first / 8) - Math.ceil(end / 8);
      if (bits === undefined || gap >= 8) {
        holes++;
        holeBytes += Math.max(0, wholeBytes);
        note(gap % 8 === 0 ? `${gap / 8} byte${gap === 8 ? '' : 's'} hole` : `${gap} bits hole`);
      } else note(`${gap} bit${gap === 1 ? '' : 's'} hole`);
    }
    if (role === 'base') {
      lines.push(place(`${inside}/* base ${member.declaration} */`, start + offset, length, undefined));
    } else if (member.inner !== undefined && depth < deepest) {
      const inner = body(member.inner, reader, inside, start + offset, depth + 1);
      const rest = member.declaration.slice(member.declaration.indexOf('{…}') + 3).trim();
      const width = bits === undefined ? '' : `:${bits.width}`;
      lines.push(...inner.slice(0, -1));
      lines.push(place(`${inside}}${rest === '' ? '' : ` ${rest}`}${width};`, start + offset, length, bits));
    } else {
      const width = bits === undefined ? '' : `:${bits.width}`;
      lines.push(place(`${inside}${member.declaration}${width};`, start + offset, length, bits));
    }
    if (union || past > end) end = union ? Math.max(end, past) : past;
  }
  const counted = members.filter(({ role }) => role === 'member').length;
  lines.push(
    '',
    `${inside}/* size: ${size}, members: ${counted}${holes > 0 ? `, holes: ${holes}, sum of holes: ${holeBytes}` : ''} */`,
  );
  const padding = size - Math.ceil(end / 8);
  if (padding > 0 && members.length > 0 && !union) lines.push(`${inside}/* padding: ${padding} */`);
  return [...lines, `${indent}}`];
}

function enumeration(entry: Entry, reader: TypeReader, indent: string): string[] {
  const type = reader.of(entry);
  const name = reader.scopes.qualified(entry);
  const isClassEnum = entry.flag(dw.DW_AT_enum_class) ? ' class' : '';
  const lines = [`${indent}enum${isClassEnum}${name === '' ? '' : ` ${name}`} {`];
  if (type.kind === 'enum') {
    for (const { name: member, value } of type.members) lines.push(`${indent}\t${member} = ${value},`);
  }
  return [...lines, `${indent}}`];
}

/** A line with its offset and size; of a bit-field with its first bit. */
function place(
  text: string,
  offset: number,
  size: number,
  bits: { readonly offset: number; readonly width: number } | undefined,
): string {
  const tabs = text.length - text.trimStart().length;
  const shown = text.padEnd(column - tabs * 7);
  const at = bits === undefined ? `${offset}`.padStart(6) : `${offset}:${bits.offset}`.padStart(6);
  return `${shown} /* ${at} ${`${size}`.padStart(5)} */`;
}

/** A name as `insitu types` takes it: with or without struct, class, union, enum. */
export function splitTypeName(text: string): { readonly keyword: string | undefined; readonly name: string } {
  const match = /^(struct|class|union|enum|typedef)\s+(.*)$/s.exec(text.trim());
  return match === null
    ? { keyword: undefined, name: text.trim() }
    : { keyword: match[1], name: (match[2] ?? '').trim() };
}
