/**
 * Whole values of the program, with what they point to where that is a part of them: the
 * text of a string, the elements of a vector (types/content.ts). A value is copied as it
 * lies in memory; behind its bytes stands what was read besides. How much that is at most
 * is known when the script is compiled: config max_value_depth, max_value_elements and
 * max_value_bytes. What is cut off is marked.
 */
import type { Schema } from '../../program/schema.ts';
import type { Content, Elements } from '../../types/content.ts';
import { sizeOf } from '../../types/layout.ts';
import { type CompositeType, type Field, pointerTo, type Type, uint64 } from '../../types/model.ts';
import type { Printers } from '../../types/printers.ts';
import type { Reg } from '../ir/ir.ts';
import { goInterfaceCapture } from './gointerface.ts';
import { align8, schemaOf } from './layout.ts';
import type { Lower } from './lower.ts';
import { addressOf, measure, memory, readText, spaceOfText, textOf } from './measure.ts';
import { type DirectPlace, type Place, shifted } from './place.ts';
import { countOf, isSearched, listLength, walkOf } from './walk.ts';

export interface CaptureLimits {
  readonly printers: Printers;
  /** Contents within contents, structs within structs. */
  readonly depth: number;
  readonly elements: number;
  /** Of a text that is a part of something. */
  readonly bytes: number;
}

/** How a value is captured: its room in the record, how the record is read, and what is to be done. */
export interface Capture {
  readonly size: number;
  readonly schema: Schema;
  /** `from`: the value in the program's memory. The bytes at `to` are all written. */
  readonly write: (low: Lower, from: Place, to: DirectPlace) => void;
}

/** Captures of one value take no more than this. */
const mostBytes = 32_768;
/** A struct of more is shown in part. */
const largestCopy = 8192;

export function captureOf(type: Type, limits: CaptureLimits, depth = 0): Capture {
  if (type.kind === 'struct' || type.kind === 'union') {
    const content = limits.printers.contentOf(type);
    if (content !== undefined) return captureContent(type, content, limits, depth);
    if (limits.printers.hasContent(type)) return captureRecord(type, limits, depth);
  }
  if (type.kind === 'array' && limits.printers.hasContent(type.of)) return captureArray(type, limits, depth);
  const size = sizeOf(type);
  if (size > largestCopy) return { size: 0, schema: { kind: 'unavailable', reason: `${size} bytes` }, write: () => {} };
  return {
    size: align8(size),
    schema: schemaOf(type, { stacks: 'inline' }, Math.min(depth, 3)),
    write: (low, from, to) => low.copy(to, from, size),
  };
}

/** The value, after a word that tells whether it could be read. */
export function checkedCapture(type: Type, limits: CaptureLimits): Capture {
  const inner = captureOf(type, limits);
  const size = sizeOf(type);
  return {
    size: 8 + inner.size,
    schema: { kind: 'checked', of: inner.schema },
    write: (low, from, to) => {
      // A first word of it tells; an empty class has nothing to read.
      const status = size === 0 ? low.b.const(0) : low.tryRead(shifted(to, 8), from, Math.min(8, size));
      low.b.store(to.base, to.offset, 8, status);
      inner.write(low, from, shifted(to, 8));
    },
  };
}

// ------------------------------------------------------------------ composites

interface Extra {
  /** Where the member lies in the object, and its capture behind it. */
  readonly offset: number;
  readonly at: number;
  readonly capture: Capture;
  readonly virtualBase: number | undefined;
}

type RecordSchema = Extract<Schema, { kind: 'record' }>;

function captureRecord(type: CompositeType, limits: CaptureLimits, depth: number): Capture {
  const own = sizeOf(type);
  if (own > largestCopy) return { size: 0, schema: { kind: 'unavailable', reason: `${own} bytes` }, write: () => {} };
  let size = align8(own);
  const extras: Extra[] = [];
  const fields: RecordSchema['fields'][number][] = [];
  const visit = (composite: CompositeType, start: number, level: number): void => {
    const plain = schemaOf(withoutContent(composite, limits.printers), { stacks: 'inline' }, Math.min(level, 3));
    const plainFields = plain.kind === 'record' ? plain.fields : [];
    let next = 0;
    for (const field of composite.fields()) {
      const offset = start + field.offset;
      const composed = field.type.kind === 'struct' || field.type.kind === 'union';
      if (!needsCapture(field, limits.printers)) {
        // What schemaOf made of it: one field, or several of a struct without a name.
        const count = plainCount(field);
        for (let i = 0; i < count; i++) {
          const one = plainFields[next++];
          if (one !== undefined) fields.push({ ...one, offset: one.offset + start });
        }
        continue;
      }
      if (field.name === '' && composed && !field.base) {
        visit(field.type as CompositeType, offset, level + 1);
        continue;
      }
      if (level >= limits.depth) {
        fields.push({ name: nameOf(field), offset, schema: { kind: 'unavailable', reason: '…' } });
        continue;
      }
      const capture = captureOf(field.type, limits, level + 1);
      if (size + capture.size > mostBytes) {
        fields.push({ name: nameOf(field), offset, schema: { kind: 'unavailable', reason: '…' } });
        continue;
      }
      extras.push({ offset, at: size, capture, virtualBase: field.virtualBase });
      fields.push({ name: nameOf(field), offset: size, schema: capture.schema });
      size += capture.size;
    }
  };
  visit(type, 0, depth);
  return {
    size,
    schema: { kind: 'record', name: type.name, size, fields },
    write: (low, from, to) => {
      low.copy(to, from, own);
      for (const { offset, at, capture, virtualBase } of extras) {
        let place = shifted(from, offset);
        if (virtualBase !== undefined) {
          const object = addressOf(low, from);
          if (object === undefined) continue;
          const table = low.b.load(to.base, to.offset, 8);
          const distance = low.readScalar(memory(table, virtualBase), uint64);
          place = memory(low.b.alu('add', object, distance));
        }
        low.scoped(() => capture.write(low, place, shifted(to, at)));
      }
    },
  };
}

const needsCapture = (field: Field, printers: Printers): boolean =>
  field.virtualBase !== undefined || printers.hasContent(field.type);

/** The fields that need no capture: for what schemaOf says of them. */
function withoutContent(type: CompositeType, printers: Printers): CompositeType {
  return { ...type, fields: () => type.fields().filter((field) => !needsCapture(field, printers)) };
}

/** How many fields schemaOf makes of a member. */
function plainCount(field: Field): number {
  const { type } = field;
  if (type.kind === 'void' || type.kind === 'none') return 0;
  if (type.kind !== 'struct' && type.kind !== 'union') return 1;
  if (field.base) return type.fields().length === 0 ? 0 : 1;
  if (field.name !== '') return 1;
  return type.fields().reduce((sum, inner) => sum + plainCount(inner), 0);
}

function nameOf(field: Field): string {
  if (!field.base || (field.type.kind !== 'struct' && field.type.kind !== 'union')) return field.name;
  const before = /^[^<]*/.exec(field.type.name)?.[0] ?? '';
  return field.type.name.slice(before.lastIndexOf('::') < 0 ? 0 : before.lastIndexOf('::') + 2);
}

function captureArray(type: Type & { kind: 'array' }, limits: CaptureLimits, depth: number): Capture {
  const each = captureOf(type.of, limits, depth + 1);
  const stride = sizeOf(type.of);
  const shown = Math.min(type.length, limits.elements, room(each));
  return {
    size: 16 + shown * each.size,
    schema: { kind: 'elements', of: each.schema, stride: each.size, limit: shown },
    write: (low, from, to) => {
      low.b.store(to.base, to.offset, 8, { imm: type.length });
      low.b.store(to.base, to.offset + 8, 8, { imm: shown });
      for (let i = 0; i < shown; i++) {
        low.scoped(() => each.write(low, shifted(from, i * stride), shifted(to, 16 + i * each.size)));
      }
    },
  };
}

const room = (each: Capture): number => Math.max(1, Math.floor(mostBytes / 4 / Math.max(8, each.size)));

// ------------------------------------------------------------------ contents

/** [the object's bytes][its content]: the schema sees the content only. */
function captureContent(type: CompositeType, content: Content, limits: CaptureLimits, depth: number): Capture {
  const own = sizeOf(type);
  const start = align8(own);
  if (depth > limits.depth) return { size: 0, schema: { kind: 'unavailable', reason: '…' }, write: () => {} };
  const inner = contentCapture(content, limits, depth);
  return {
    size: start + inner.size,
    schema: { kind: 'within', offset: start, of: inner.schema, size: start + inner.size },
    write: (low, from, to) => {
      low.copy(to, from, own);
      inner.write(low, from, shifted(to, start), to);
    },
  };
}

interface ContentCapture {
  readonly size: number;
  readonly schema: Schema;
  /** `object`: the object's own bytes. */
  readonly write: (low: Lower, from: Place, to: DirectPlace, object: DirectPlace) => void;
}

function contentCapture(content: Content, limits: CaptureLimits, depth: number): ContentCapture {
  switch (content.kind) {
    case 'text':
      return textCapture(content, limits.bytes);
    case 'sequence':
    case 'list':
    case 'tree':
    case 'blocks':
    case 'ring':
    case 'bits':
    case 'slots':
    case 'groups':
    case 'buckets':
      return elementsCapture(content, limits, depth);
    case 'callable':
      return callableCapture(content);
    case 'gotype':
      return goInterfaceCapture(content, limits.bytes);
    case 'optional':
      return caseCapture(
        (low, object) => measure(low, object, content.engaged),
        [
          { value: 0n, name: '', capture: undefined, from: (_low, place) => place },
          {
            value: 1n,
            name: '',
            capture: captureOf(content.of, limits, depth + 1),
            from: (_low, place) => shifted(place, content.offset),
          },
        ],
      );
    case 'alternatives':
      return caseCapture(
        (low, object) => measure(low, object, content.index),
        content.cases.map(({ value, name, offset, of }) => ({
          value,
          name,
          capture: of === undefined ? undefined : captureOf(of, limits, depth + 1),
          from: (_low: Lower, place: Place) => shifted(place, offset),
        })),
      );
    case 'pointer': {
      // What it points to is shown like a member, a plain pointer where that has no size or lies too deep.
      const shown = depth < limits.depth && sizeOf(content.of) > 0 && sizeOf(content.of) <= 1024;
      const capture = shown ? captureOf(content.of, limits, depth + 1) : undefined;
      if (capture === undefined) {
        const schema = schemaOf(pointerTo(content.of, 'user'), { stacks: 'inline' });
        return {
          size: 8,
          schema,
          write: (low, _from, to, object) => low.b.store(to.base, to.offset, 8, measure(low, object, content.address)),
        };
      }
      return {
        size: 8 + capture.size,
        schema: { kind: 'pointed', of: capture.schema },
        write: (low, _from, to, object) => {
          const address = measure(low, object, content.address);
          low.b.store(to.base, to.offset, 8, address);
          const done = low.b.label();
          low.b.branch('eq', address, { imm: 0 }, done);
          low.scoped(() => capture.write(low, memory(address), shifted(to, 8)));
          low.b.place(done);
        },
      };
    }
    case 'plain': {
      const capture = captureOf(content.of, limits, depth);
      return { ...capture, write: (low, from, to) => capture.write(low, shifted(from, content.offset), to) };
    }
    case 'tuple': {
      let size = 0;
      const members = content.members.map(({ offset, of }) => {
        const capture = captureOf(of, limits, depth + 1);
        const at = size;
        size += capture.size;
        return { offset, at, capture };
      });
      return {
        size,
        schema: {
          kind: 'tuple',
          size,
          elements: members.map(({ at, capture }) => ({ offset: at, schema: capture.schema })),
        },
        write: (low, from, to) => {
          for (const { offset, at, capture } of members) {
            low.scoped(() => capture.write(low, shifted(from, offset), shifted(to, at)));
          }
        },
      };
    }
  }
}

/** [i64 length, negative when it could not be read][bytes]. */
function textCapture(content: Content & { kind: 'text' }, limit: number): ContentCapture {
  const size = 8 + align8(limit);
  return {
    size,
    schema: { kind: 'text', limit },
    write: (low, from, to, object) => {
      const { b } = low;
      const { data, length } = textOf(low, content, from, object);
      b.store(to.base, to.offset, 8, length);
      const status = readText(low, shifted(to, 8), data, length, limit, spaceOfText(content, from));
      const fine = b.label();
      b.branch('sge', status, { imm: 0 }, fine);
      b.store(to.base, to.offset, 8, status);
      b.place(fine);
    },
  };
}

/** [u64 how many there are][u64 how many of them follow][these]. */
function elementsCapture(content: Elements, limits: CaptureLimits, depth: number): ContentCapture {
  const inside = depth < limits.depth;
  const each = captureOf(content.of, limits, depth + 1);
  const shown = inside ? Math.min(limits.elements, room(each)) : 0;
  return {
    size: 16 + shown * each.size,
    schema: { kind: 'elements', of: each.schema, stride: each.size, limit: shown },
    write: (low, from, to, object) => {
      const { b } = low;
      const done = b.label();
      const walk = walkOf(low, content, object, from);
      const counted = countOf(low, content, object, from) ?? listLength(low, content, object);
      b.store(to.base, to.offset, 8, counted);
      b.store(to.base, to.offset + 8, 8, { imm: 0 });
      if (shown === 0) {
        b.place(done);
        return;
      }
      b.branch('eq', counted, { imm: 0 }, done);
      const state = walk.start();
      for (let i = 0; i < shown; i++) {
        if (i > 0) b.branch('ule', counted, { imm: i }, done);
        const again = b.label();
        walk.settle(state, done, again);
        if (isSearched(content)) {
          // What a second search does not find is left out, and marked.
          const there = b.label();
          b.jump(there);
          b.place(again);
          walk.next(state);
          walk.settle(state, done, done);
          b.place(there);
        } else b.place(again);
        low.scoped(() => each.write(low, walk.element(state), shifted(to, 16 + i * each.size)));
        b.store(to.base, to.offset + 8, 8, { imm: i + 1 });
        if (i + 1 < shown) walk.next(state);
      }
      b.place(done);
    },
  };
}

/** Room for the mangled name of a class: those of lambdas are long. */
const classNameBytes = 256;

/** [u64 invoker, or vtable of the object; 0 for none][u64 address of a plain function][the class's name]. */
function callableCapture(content: Content & { kind: 'callable' }): ContentCapture {
  const named = content.by === 'object';
  return {
    size: 16 + (named ? classNameBytes : 0),
    schema: { kind: 'callable', name: named ? classNameBytes : 0 },
    write: (low, _from, to, object) => {
      const { b } = low;
      const done = b.label();
      const word = (address: Reg, offset: number): Reg => low.readScalar(memory(address, offset), uint64);
      const by = measure(low, object, content.with);
      b.store(to.base, to.offset, 8, by);
      b.store(to.base, to.offset + 8, 8, { imm: 0 });
      if (named) b.store(to.base, to.offset + 16, 1, { imm: 0 });
      b.branch('eq', by, { imm: 0 }, done);
      if (named) {
        // The object may lie in the std::function itself; behind its vtable pointer is what it calls.
        low.readString(shifted(to, 16), memory(word(word(word(by, 0), -8), 8)), { imm: classNameBytes });
        b.store(to.base, to.offset + 8, 8, word(by, 8));
      } else b.store(to.base, to.offset + 8, 8, measure(low, object, content.target));
      b.place(done);
    },
  };
}

interface Case {
  /** undefined: any number that no other case has. */
  readonly value: bigint | undefined;
  readonly name: string;
  readonly capture: Capture | undefined;
  readonly from: (low: Lower, place: Place) => Place;
}

/** [u64 which][the value of that case]. */
function caseCapture(which: (low: Lower, object: DirectPlace) => Reg, cases: readonly Case[]): ContentCapture {
  const room = cases.reduce((most, { capture }) => Math.max(most, capture?.size ?? 0), 0);
  return {
    size: 8 + room,
    schema: {
      kind: 'case',
      size: 8 + room,
      cases: cases.map(
        ({ value, name, capture }) =>
          [value === undefined ? '' : String(value), name, capture?.schema ?? null] as const,
      ),
    },
    write: (low, from, to, object) => {
      const { b } = low;
      const index = which(low, object);
      b.store(to.base, to.offset, 8, index);
      const done = b.label();
      // The case that takes the rest comes last.
      const ordered = [...cases].sort((one, two) => Number(one.value === undefined) - Number(two.value === undefined));
      for (const { value, capture, from: placeOf } of ordered) {
        const other = b.label();
        if (value === undefined) {
          // Whatever comes here is it.
        } else if (BigInt.asIntN(32, value) === value) b.branch('ne', index, { imm: Number(value) }, other);
        else b.branch('ne', index, b.const(value), other);
        if (capture !== undefined) low.scoped(() => capture.write(low, placeOf(low, from), shifted(to, 8)));
        b.jump(done);
        b.place(other);
      }
      b.place(done);
    },
  };
}
