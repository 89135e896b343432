/**
 * Bytes that came out of the kernel → Value, ruled by program/schema.ts. Little-endian.
 * A record shorter than its schema is a bug between compiler and reader and throws
 * (RangeError of DataView); bytes with odd contents never do.
 */
import { unreachable } from '../base/errors.ts';
import type { Schema } from '../program/schema.ts';
import { schemaSize } from '../program/schema.ts';
import { defaultFrames, guessedFlag, stackEnds } from '../program/unwind.ts';
import { goInterface } from './gointerface.ts';
import { filledRange } from './histogram.ts';
import { compareIntegers, divide, exact, readInteger, readUnsigned } from './integer.ts';
import { series } from './series.ts';
import type { EnumValue, Integer, StackValue, StringValue, Value } from './value.ts';

/** A DataView over the same bytes. */
export function viewOf(bytes: DataView | Uint8Array): DataView {
  return bytes instanceof DataView ? bytes : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function bytesAt(view: DataView, offset: number, size: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + offset, size);
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
const nul = 0;
/** Longer than this, TextDecoder is faster than concatenating characters. */
const shortText = 48;

/** The text up to the first NUL. Bytes that are not UTF-8 become U+FFFD. */
export function readText(view: DataView, offset: number, size: number): string {
  let text = '';
  const short = Math.min(size, shortText);
  for (let i = 0; i < short; i++) {
    const byte = view.getUint8(offset + i);
    if (byte === nul) return text;
    if (byte > 0x7f) return decodeText(view, offset, size);
    text += String.fromCharCode(byte);
  }
  return size <= shortText ? text : decodeText(view, offset, size);
}

function decodeText(view: DataView, offset: number, size: number): string {
  const bytes = bytesAt(view, offset, size);
  const end = bytes.indexOf(nul);
  // Copied: TextDecoder refuses memory shared with the kernel by mmap in some engines.
  return utf8.decode(bytes.slice(0, end < 0 ? size : end));
}

/** A string and whether it was cut. */
export function readString(view: DataView, offset: number, size: number): StringValue {
  const cut = size > 0 && view.getUint8(offset + size - 1) !== nul;
  const text = readText(view, offset, size);
  // A cut inside a UTF-8 sequence leaves a stray half character that says nothing.
  return { kind: 'string', text: cut ? text.replace(/\ufffd$/, '') : text, cut };
}

const enumNames = new WeakMap<readonly (readonly [string, string])[], Map<string, string>>();

/** Name of an enum's value, the first declared one when several share it. */
export function enumName(
  members: readonly (readonly [value: string, name: string])[],
  value: Integer,
): string | undefined {
  let names = enumNames.get(members);
  if (names === undefined) {
    names = new Map();
    for (const [number, name] of members) if (!names.has(number)) names.set(number, name);
    enumNames.set(members, names);
  }
  return names.get(String(value));
}

function readEnum(schema: Extract<Schema, { kind: 'enum' }>, value: Integer): EnumValue {
  return { kind: 'enum', value, name: enumName(schema.members, value) };
}

/** Cuts a bit-field out of its storage unit. */
function readBits(
  schema: Schema,
  bits: { readonly offset: number; readonly width: number },
  view: DataView,
  offset: number,
): Value {
  const size = schemaSize(schema) as 1 | 2 | 4 | 8;
  const field = BigInt.asUintN(bits.width, BigInt(readUnsigned(view, offset, size)) >> BigInt(bits.offset));
  if (schema.kind === 'bool') return { kind: 'bool', value: field !== 0n };
  const signed = (schema.kind === 'int' || schema.kind === 'enum') && schema.signed;
  const value = exact(signed ? BigInt.asIntN(bits.width, field) : field);
  return schema.kind === 'enum' ? readEnum(schema, value) : { kind: 'int', value };
}

function readStack(schema: Extract<Schema, { kind: 'ustack' | 'kstack' }>, view: DataView, offset: number): StackValue {
  const user = schema.kind === 'ustack';
  const pid = user ? view.getUint32(offset, true) : 0;
  if (schema.unwound === true) return readUnwound(schema, view, offset, pid);
  const given = schema.counted === true ? view.getInt16(offset + 4, true) : view.getInt32(offset + 4, true);
  const base = { kind: 'stack', space: user ? 'user' : 'kernel', mode: schema.mode, pid } as const;
  if (given < 0) return { ...base, frames: [], errno: -given };
  if (schema.form === 'id') return { ...base, frames: [], stored: { map: schema.stacks ?? 0, id: given } };
  const count = Math.min(schema.limit, given >> 3);
  return { ...base, frames: readFrames(view, offset + 8, count) };
}

/** A stack of insitu's own unwinder: program/schema.ts, `unwound`. */
function readUnwound(
  schema: Extract<Schema, { kind: 'ustack' | 'kstack' }>,
  view: DataView,
  offset: number,
  pid: number,
): StackValue {
  const count = Math.min(schema.limit, view.getUint16(offset + 4, true));
  const given = stackEnds[view.getUint8(offset + 6)] ?? 'complete';
  // Who asks for three frames need not be told that there are more.
  const end = given === 'depth' && schema.limit !== defaultFrames ? 'complete' : given;
  const guessed = (view.getUint8(offset + 7) & guessedFlag) !== 0;
  const base = { kind: 'stack', space: 'user', mode: schema.mode, pid, end, ...(guessed ? { guessed } : {}) } as const;
  if (schema.form === 'inline' || count === 0) return { ...base, frames: readFrames(view, offset + 8, count) };
  return { ...base, frames: [], stored: { map: schema.stacks ?? 0, id: readUnsigned(view, offset + 8, 8), count } };
}

/** u64 addresses up to the first zero: the kernel pads stack map entries with zeros. */
export function readFrames(view: DataView, offset: number, limit: number): Integer[] {
  const frames: Integer[] = [];
  for (let i = 0; i < limit; i++) {
    const address = readUnsigned(view, offset + 8 * i, 8);
    if (address === 0) break;
    frames.push(address);
  }
  return frames;
}

const familyInet6 = 10;

/** One value; `pid` is the process whose functions pointers to code point to, 0 where that is not known. Throws RangeError when the schema does not fit into the bytes. */
export function decode(schema: Schema, bytes: DataView | Uint8Array, offset: number, pid = 0): Value {
  const view = viewOf(bytes);
  switch (schema.kind) {
    case 'int':
      return { kind: 'int', value: readInteger(view, offset, schema.size, schema.signed) };
    case 'bool':
      return { kind: 'bool', value: view.getUint8(offset) !== 0 };
    case 'float':
      return {
        kind: 'float',
        value: schema.size === 4 ? view.getFloat32(offset, true) : view.getFloat64(offset, true),
      };
    case 'enum':
      return readEnum(schema, readInteger(view, offset, schema.size, schema.signed));
    case 'pointer':
      return { kind: 'pointer', value: readUnsigned(view, offset, 8) };
    case 'code': {
      const address = readUnsigned(view, offset, 8);
      // Where the process is not known, its functions have no names.
      if (pid === 0 || address === 0) return { kind: 'pointer', value: address };
      return { kind: 'symbol', space: 'user', address, pid };
    }
    case 'string':
      return schema.typeName
        ? { ...readString(view, offset, schema.size), typeName: true }
        : readString(view, offset, schema.size);
    case 'buffer': {
      const length = Math.min(view.getUint32(offset, true), schema.size);
      return { kind: 'buffer', bytes: bytesAt(view, offset + 4, length).slice() };
    }
    case 'array': {
      const size = schemaSize(schema.of);
      const elements = Array.from({ length: schema.length }, (_, i) => decode(schema.of, view, offset + i * size, pid));
      return { kind: 'array', elements };
    }
    case 'tuple':
      return {
        kind: 'tuple',
        elements: schema.elements.map((element) => decode(element.schema, view, offset + element.offset, pid)),
      };
    case 'record': {
      const fields = schema.fields.map((field) => {
        const at = offset + field.offset;
        const value =
          field.bits === undefined ? decode(field.schema, view, at, pid) : readBits(field.schema, field.bits, view, at);
        return { name: field.name, value };
      });
      return { kind: 'record', name: schema.name, fields };
    }
    case 'inet': {
      const family = view.getUint32(offset, true);
      return { kind: 'inet', family, bytes: bytesAt(view, offset + 4, family === familyInet6 ? 16 : 4).slice() };
    }
    case 'mac_address':
      return { kind: 'mac_address', bytes: bytesAt(view, offset, 6).slice() };
    case 'unavailable':
      return { kind: 'unavailable', reason: schema.reason };
    case 'checked': {
      const status = readInteger(view, offset, 8, true);
      if (status < 0) return { kind: 'unavailable', reason: 'unreadable: page not present, or a bad address' };
      return decode(schema.of, view, offset + 8, pid);
    }
    case 'within':
      return decode(schema.of, view, offset + schema.offset, pid);
    case 'text':
      return decodeText8(schema.limit, view, offset);
    case 'elements': {
      const count = readInteger(view, offset, 8, true);
      // Damaged or not yet set up: no container is that large.
      if (count < 0 || count > largestCount) return { kind: 'unavailable', reason: 'not a valid container' };
      const shown = Math.min(Number(count), Number(readUnsigned(view, offset + 8, 8)), schema.limit);
      const elements = Array.from({ length: shown }, (_, i) =>
        decode(schema.of, view, offset + 16 + i * schema.stride, pid),
      );
      return { kind: 'array', elements, more: Number(count) - shown };
    }
    case 'callable': {
      const invoker = readUnsigned(view, offset, 8);
      if (invoker === 0) return { kind: 'nothing' };
      const className = readText(view, offset + 16, schema.name);
      return { kind: 'callable', invoker, className, target: readUnsigned(view, offset + 8, 8), pid };
    }
    case 'go_interface':
      return goInterface(schema.limit, offset, (inner, at) => decode(inner, view, at, pid));
    case 'pointed':
      if (readUnsigned(view, offset, 8) === 0) return { kind: 'nothing' };
      return decode(schema.of, view, offset + 8, pid);
    case 'case': {
      const which = String(readUnsigned(view, offset, 8));
      const found = schema.cases.find(([value]) => value === which) ?? schema.cases.find(([value]) => value === '');
      if (found === undefined) return { kind: 'unavailable', reason: `case ${which}` };
      const [, name, of] = found;
      const value = of === null ? undefined : decode(of, view, offset + 8, pid);
      if (name !== '') return { kind: 'case', name, value };
      return value ?? { kind: 'nothing' };
    }
    case 'ustack':
    case 'kstack':
      return readStack(schema, view, offset);
    case 'usym':
      return {
        kind: 'symbol',
        space: 'user',
        address: readUnsigned(view, offset, 8),
        pid: view.getUint32(offset + 8, true),
      };
    case 'ksym':
      return { kind: 'symbol', space: 'kernel', address: readUnsigned(view, offset, 8), pid: 0 };
    case 'timestamp':
      return { kind: 'timestamp', format: schema.format, clock: schema.clock, ns: readUnsigned(view, offset, 8) };
    case 'probe_name':
      return { kind: 'probe_name', value: view.getUint32(offset, true) };
    case 'username':
    case 'syscall_name':
      return { kind: schema.kind, value: view.getUint32(offset, true) };
    case 'strerror':
    case 'signal_name':
      return { kind: schema.kind, value: view.getInt32(offset, true) };
    case 'cgroup_path':
      return { kind: 'cgroup_path', id: readUnsigned(view, offset, 8), pattern: schema.pattern };
    case 'aggregate':
    case 'hist':
    case 'lhist':
    case 'tseries':
      return aggregate(schema, view, [offset]);
    default:
      return unreachable(schema, 'schema kind');
  }
}

export type AggregateSchema = Extract<Schema, { kind: 'aggregate' | 'hist' | 'lhist' | 'tseries' }>;

/**
 * One aggregation from the values that the CPUs keep, at the given offsets. Sums wrap
 * at 64 bits like the kernel's; min and max look only at CPUs that have set them;
 * nothing set anywhere reads as 0.
 */
export function aggregate(schema: AggregateSchema, view: DataView, offsets: readonly number[]): Value {
  if (schema.kind === 'tseries') return series(schema, view, offsets);
  if (schema.kind !== 'aggregate') {
    const counts = new Array<number>(schema.buckets).fill(0);
    for (const offset of offsets) {
      for (let i = 0; i < schema.buckets; i++) {
        // Above 2^53 events a bucket is rounded; a trace would take years to get there.
        (counts[i] as number) +=
          view.getUint32(offset + 8 * i, true) + 4294967296 * view.getUint32(offset + 8 * i + 4, true);
      }
    }
    const shown = filledRange(counts);
    if (schema.kind === 'hist') return { kind: 'hist', counts, shown, bits: schema.bits, min: 0n, max: 0n, step: 0n };
    const [min, max, step] = [BigInt(schema.min), BigInt(schema.max), BigInt(schema.step)];
    return { kind: 'lhist', counts, shown, bits: 0, min, max, step };
  }
  const signed = schema.signed;
  switch (schema.aggregate) {
    case 'count':
      return { kind: 'int', value: sum(view, offsets, false) };
    case 'sum':
      return { kind: 'int', value: sum(view, offsets, signed) };
    case 'min':
    case 'max': {
      const order = schema.aggregate === 'min' ? -1 : 1;
      let best: Integer | undefined;
      for (const offset of offsets) {
        if (readUnsigned(view, offset + 8, 8) === 0) continue;
        const value = readInteger(view, offset, 8, signed);
        if (best === undefined || compareIntegers(value, best) === order) best = value;
      }
      return { kind: 'int', value: best ?? 0 };
    }
    case 'avg':
    case 'stats': {
      const total = sum(view, offsets, signed);
      const count = sum(
        view,
        offsets.map((offset) => offset + 8),
        false,
      );
      return { kind: schema.aggregate, average: divide(total, count), count, total };
    }
    default:
      return unreachable(schema.aggregate, 'aggregation');
  }
}

function sum(view: DataView, offsets: readonly number[], signed: boolean): Integer {
  let exactSum = 0;
  for (const offset of offsets) {
    const value = readInteger(view, offset, 8, signed);
    exactSum += typeof value === 'number' ? value : Number.NaN;
  }
  if (Number.isSafeInteger(exactSum)) return exactSum;
  const total = offsets.reduce((running, offset) => running + view.getBigUint64(offset, true), 0n);
  return exact(signed ? BigInt.asIntN(64, total) : BigInt.asUintN(64, total));
}

/** The process that an event's record tells of, where it does: 0 else. */
export const recordPid = (record: DataView, offset: number): number => record.getUint32(offset + 4, true);

/** More elements than this are none. */
const largestCount = 2 ** 40;

/** A text whose length stands before it. */
function decodeText8(limit: number, view: DataView, offset: number): Value {
  const length = readInteger(view, offset, 8, true);
  if (length < 0) return { kind: 'unavailable', reason: 'unreadable: page not present, or a bad address' };
  if (length > largestCount) return { kind: 'unavailable', reason: 'not a valid string' };
  const shown = Math.min(Number(length), limit);
  const text = utf8.decode(bytesAt(view, offset + 8, shown).slice());
  const cut = length > limit;
  return { kind: 'string', text: cut ? text.replace(/\ufffd$/, '') : text, cut };
}
