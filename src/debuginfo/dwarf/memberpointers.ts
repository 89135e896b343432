/**
 * Pointers to members of classes. One to a data member is its offset (-1 for null), one to
 * a function two words, `ptr` and `adj`: an address, or 1 + the offset in the vtable of a
 * virtual function, and what is to be added to `this` (Itanium C++ ABI, section 2.3). Both
 * are shown by the member that they stand for.
 */
import type { Content, Measure } from '../../types/content.ts';
import { sameType } from '../../types/layout.ts';
import { type CompositeType, type EnumType, type Field, int64, pointerTo, type Type } from '../../types/model.ts';
import * as dw from './constants.ts';
import type { Entry } from './entry.ts';
import { readComputation } from './expression.ts';

/** What is asked of the reader of types. */
interface Reader {
  of(entry: Entry): Type;
  ofAttribute(entry: Entry): Type;
  bare(entry: Entry | undefined): Entry | undefined;
  readonly scopes: { qualified(entry: Entry): string };
}

/** Classes may have bases this deep, and this many classes are looked at: only damaged input has more. */
const deepest = 16;
const mostClasses = 1000;

/** The type of a DW_TAG_ptr_to_member_type. */
export function memberPointer(reader: Reader, entry: Entry): Type {
  const pointed = entry.reference(dw.DW_AT_type);
  const owner = reader.bare(entry.reference(dw.DW_AT_containing_type));
  const ofFunctions = reader.bare(pointed)?.tag === dw.DW_TAG_subroutine_type;
  return ofFunctions ? functionPointer(reader, entry, owner) : dataPointer(reader, entry, owner);
}

function dataPointer(reader: Reader, entry: Entry, owner: Entry | undefined): EnumType {
  let members: EnumType['members'] | undefined;
  const name = owner === undefined ? '' : reader.scopes.qualified(owner);
  return {
    kind: 'enum',
    name: `${name}::*`,
    size: 8,
    signed: true,
    get members() {
      members ??= dataMembers(reader, entry, owner, name);
      return members;
    },
  };
}

function dataMembers(reader: Reader, entry: Entry, owner: Entry | undefined, name: string): EnumType['members'] {
  const found: { name: string; value: bigint }[] = [{ name: 'nullptr', value: -1n }];
  const type = owner === undefined ? undefined : reader.of(owner);
  if (type?.kind !== 'struct' && type?.kind !== 'union') return found;
  const pointed = reader.ofAttribute(entry);
  let left = mostClasses;
  const visit = (composite: CompositeType, start: number, depth: number): void => {
    if (left-- <= 0) return;
    for (const field of composite.fields()) {
      const inner = field.type;
      const offset = start + field.offset;
      if (field.name === '') {
        const composed = inner.kind === 'struct' || inner.kind === 'union';
        if (composed && field.virtualBase === undefined && depth < deepest) visit(inner, offset, depth + 1);
      } else if (field.bits === undefined && sameType(inner, pointed)) {
        found.push({ name: `&${name}::${field.name}`, value: BigInt(offset) });
      }
    }
  };
  visit(type, 0, 0);
  return found;
}

const first: Measure = { kind: 'word', offset: 0, size: 8, signed: false };
const second: Measure = { kind: 'word', offset: 8, size: 8, signed: false };

function functionPointer(reader: Reader, entry: Entry, owner: Entry | undefined): CompositeType {
  const code = pointerTo(() => reader.ofAttribute(entry), 'user');
  const fields: readonly Field[] = [
    { name: 'ptr', type: code, offset: 0 },
    { name: 'adj', type: int64, offset: 8 },
  ];
  const name = owner === undefined ? '' : reader.scopes.qualified(owner);
  const whole = (content: () => Content): CompositeType => ({
    kind: 'struct',
    name: `${name}::*()`,
    size: 16,
    fields: () => fields,
    variants: content,
  });
  const inClass = (at: Entry): Content => ({
    kind: 'alternatives',
    index: first,
    cases: [
      { value: 0n, name: 'nullptr', offset: 0, of: undefined },
      ...[...virtualFunctions(reader, at)].map(([slot, function_]) => ({
        value: BigInt(1 + 8 * slot),
        name: `&virtual ${function_}`,
        offset: 0,
        of: undefined,
      })),
      { value: undefined, name: '', offset: 0, of: code },
    ],
  });
  return whole(() => {
    if (owner === undefined) return { kind: 'plain', offset: 0, of: code };
    // Adjusted, it is a function of the base class that lies there.
    const bases = [...basesOf(reader, owner)].filter(([offset]) => offset !== 0);
    if (bases.length === 0) return inClass(owner);
    return {
      kind: 'alternatives',
      index: second,
      cases: [
        ...bases.map(([offset, base]) => ({
          value: BigInt(offset),
          name: '',
          offset: 0,
          of: whole(() => inClass(base)),
        })),
        { value: undefined, name: '', offset: 0, of: whole(() => inClass(owner)) },
      ],
    };
  });
}

/** Base classes that lie at fixed places, by their offset; the outermost at each. */
function basesOf(reader: Reader, owner: Entry): Map<number, Entry> {
  const found = new Map<number, Entry>();
  let left = mostClasses;
  const visit = (entry: Entry, start: number, depth: number): void => {
    for (const child of entry.children()) {
      if (child.tag !== dw.DW_TAG_inheritance || left-- <= 0) continue;
      const offset = child.number(dw.DW_AT_data_member_location);
      const base = reader.bare(child.reference(dw.DW_AT_type));
      if (offset === undefined || base === undefined || child.number(dw.DW_AT_virtuality) === 1) continue;
      if (!found.has(start + offset)) found.set(start + offset, base);
      if (depth < deepest) visit(base, start + offset, depth + 1);
    }
  };
  visit(owner, 0, 0);
  return found;
}

/** Virtual functions by their slot in the class's primary vtable; those of its primary bases where it has none of its own. */
function virtualFunctions(reader: Reader, owner: Entry, depth = 0): Map<number, string> {
  const found = new Map<number, string>();
  for (const child of owner.children()) {
    if (child.tag !== dw.DW_TAG_subprogram || !child.has(dw.DW_AT_vtable_elem_location)) continue;
    const slot = slotOf(child);
    if (slot !== undefined && !child.name.startsWith('~')) found.set(slot, reader.scopes.qualified(child));
  }
  const primary = depth > deepest ? undefined : basesOf(reader, owner).get(0);
  if (primary !== undefined) {
    for (const [slot, name] of virtualFunctions(reader, primary, depth + 1)) {
      if (!found.has(slot)) found.set(slot, name);
    }
  }
  return found;
}

function slotOf(method: Entry): number | undefined {
  const told = method.number(dw.DW_AT_vtable_elem_location);
  if (told !== undefined) return told;
  const expression = method.block(dw.DW_AT_vtable_elem_location);
  const value = expression === undefined ? undefined : readComputation(expression, { unit: method.unit });
  return value?.op === 'constant' ? Number(value.value) : undefined;
}
