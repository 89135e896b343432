/**
 * printf() formats, compiled once per call in the script into a closure that reads its
 * arguments straight from the record. Ruled by C's printf (C17 7.21.6.1, glibc where C
 * leaves a choice); added are bpftrace's `%s` for every type, `%r %rx %rh` for
 * buffers, `%gr` for the kernel's allocation flags and a `%p` that shows the null
 * pointer as 0. Without a length modifier an integer conversion takes the low 32 bits,
 * as in C.
 */
import { invariant } from '../base/errors.ts';
import type { EventArgument, FormatPiece } from '../program/program.ts';
import type { Schema } from '../program/schema.ts';
import { decode, readString, readText, recordPid } from '../values/decode.ts';
import { exact, readInteger } from '../values/integer.ts';
import type { Integer, Value } from '../values/value.ts';
import { gfpText } from './messages.ts';
import type { Wording } from './words.ts';
import { bufferEscapes, bufferHex, bufferText, hexText, valueText } from './words.ts';

type Conversion = Exclude<FormatPiece, { readonly text: string }>;
/** Text of a format with the arguments of the record at `offset`. */
export type Formatter = (record: DataView, offset: number) => string;
type IntegerReader = (record: DataView, offset: number) => Integer;

/** Bits that a length modifier selects. */
function lengthBits(length: string): 8 | 16 | 32 | 64 {
  if (length === '') return 32;
  if (length === 'hh') return 8;
  return length === 'h' ? 16 : 64;
}

/** An integer as C sees it after conversion to `bits` bits. */
export function convertInteger(value: Integer, bits: 8 | 16 | 32 | 64, signed: boolean): Integer {
  if (bits === 64) {
    if (typeof value === 'number' && (signed || value >= 0)) return value;
    return exact(signed ? BigInt.asIntN(64, BigInt(value)) : BigInt.asUintN(64, BigInt(value)));
  }
  // |0 takes a number modulo 2^32 exactly as far as it is exact, to 2^53.
  const low = typeof value === 'number' ? value | 0 : Number(BigInt.asIntN(32, value));
  if (bits === 32) return signed ? low : low >>> 0;
  const unused = 32 - bits;
  return signed ? (low << unused) >> unused : (low << unused) >>> unused;
}

/** The number in a value that has one; undefined for text and composites. */
export function integerOf(value: Value): Integer | undefined {
  switch (value.kind) {
    case 'int':
    case 'enum':
    case 'pointer':
    case 'username':
    case 'strerror':
    case 'signal_name':
    case 'syscall_name':
    case 'probe_name':
      return value.value;
    case 'bool':
      return value.value ? 1 : 0;
    case 'float':
      return Math.trunc(value.value);
    case 'symbol':
      return value.address;
    case 'timestamp':
      return value.ns;
    case 'cgroup_path':
      return value.id;
    case 'avg':
    case 'stats':
      return value.average;
    default:
      return undefined;
  }
}

function integerReader(schema: Schema, at: number, bits: 8 | 16 | 32 | 64, signed: boolean): IntegerReader {
  if (schema.kind === 'int' || schema.kind === 'enum') {
    const { size } = schema;
    // The low bytes are the converted value: little-endian, and no sign to extend.
    if (bits === 32 && size >= 4) {
      return signed
        ? (record, offset) => record.getInt32(offset + at, true)
        : (record, offset) => record.getUint32(offset + at, true);
    }
    if (bits === 64 && size === 8) return (record, offset) => readInteger(record, offset + at, 8, signed);
    return (record, offset) => convertInteger(readInteger(record, offset + at, size, schema.signed), bits, signed);
  }
  return (record, offset) =>
    convertInteger(integerOf(decode(schema, record, offset + at, recordPid(record, offset))) ?? 0, bits, signed);
}

/**
 * Bytes of a text, which is what C's widths and precisions count (C17, 7.21.6.1): of its
 * UTF-8, where a lone surrogate stands for one byte that was no UTF-8.
 */
function textLength(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    length += bytesOfCharacter(text, i) - (isPair(text, i) ? 2 : 1);
    if (isPair(text, i)) i++;
  }
  return length;
}

const isPair = (text: string, at: number): boolean => (text.codePointAt(at) as number) > 0xffff;

function bytesOfCharacter(text: string, at: number): number {
  const code = text.codePointAt(at) as number;
  if (code < 0x80 || (code >= 0xdc80 && code <= 0xdcff)) return 1;
  return code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

/** Pads with blanks to the width, on the left unless the `-` flag says right. */
function padded(text: string, piece: Conversion): string {
  const missing = (piece.width ?? 0) - textLength(text);
  if (missing <= 0) return text;
  return piece.flags.includes('-') ? text + ' '.repeat(missing) : ' '.repeat(missing) + text;
}

/** Digits with sign, prefix, precision and padding as C17 says. */
function integerText(piece: Conversion): (value: Integer) => string {
  const { conversion, flags, width, precision } = piece;
  const signed = conversion === 'd' || conversion === 'i';
  const base = conversion === 'o' ? 8 : conversion === 'x' || conversion === 'X' ? 16 : 10;
  const upper = conversion === 'X';
  if (flags === '' && width === undefined && precision === undefined) {
    if (base === 10) return String;
    return upper ? (value) => value.toString(16).toUpperCase() : (value) => value.toString(base);
  }
  const left = flags.includes('-');
  const zeros = flags.includes('0') && !left && precision === undefined;
  const alternate = flags.includes('#');
  const plus = signed ? (flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '') : '';
  return (value) => {
    const negative = value < 0;
    let digits = (negative ? -value : value).toString(base);
    if (precision === 0 && digits === '0') digits = '';
    if (precision !== undefined && digits.length < precision) digits = digits.padStart(precision, '0');
    if (upper) digits = digits.toUpperCase();
    if (alternate && base === 8 && !digits.startsWith('0')) digits = `0${digits}`;
    let prefix = negative ? '-' : plus;
    if (alternate && base === 16 && value !== 0) prefix = upper ? '0X' : '0x';
    const missing = (width ?? 0) - prefix.length - digits.length;
    if (missing <= 0) return prefix + digits;
    if (zeros) return prefix + '0'.repeat(missing) + digits;
    return left ? prefix + digits + ' '.repeat(missing) : ' '.repeat(missing) + prefix + digits;
  };
}

/** Bytes for `%r`: of a buffer, of a string, of an array of bytes. */
function bytesOf(value: Value): Uint8Array {
  if ('bytes' in value) return value.bytes;
  if (value.kind === 'string') return new TextEncoder().encode(value.text);
  if (value.kind === 'array')
    return Uint8Array.from(value.elements, (element) => Number(integerOf(element) ?? 0) & 0xff);
  return new Uint8Array(0);
}

/** A value through one conversion other than an integer one. */
function convertValue(piece: Conversion, value: Value, wording: Wording): string {
  switch (piece.conversion) {
    case 'r':
      return padded(bufferText(bytesOf(value)), piece);
    case 'rx':
      return padded(bufferEscapes(bytesOf(value)), piece);
    case 'rh':
      return padded(bufferHex(bytesOf(value)), piece);
    case 'gr':
      return padded(gfpText(Number(convertInteger(integerOf(value) ?? 0, 32, false))), piece);
    case 'p':
      return padded(hexText(integerOf(value) ?? 0), piece);
    default: {
      const text = valueText(value, wording);
      return padded(piece.precision === undefined ? text : cutText(text, piece.precision), piece);
    }
  }
}

/** At most that many bytes; a character is never cut in two. */
function cutText(text: string, precision: number): string {
  let bytes = 0;
  let end = 0;
  while (end < text.length) {
    bytes += bytesOfCharacter(text, end);
    if (bytes > precision) break;
    end += isPair(text, end) ? 2 : 1;
  }
  return text.slice(0, end);
}

function pieceFormatter(piece: Conversion, argument: EventArgument, wording: Wording): Formatter {
  const { schema, offset: at } = argument;
  switch (piece.conversion) {
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o': {
      const signed = piece.conversion === 'd' || piece.conversion === 'i';
      const read = integerReader(schema, at, lengthBits(piece.length), signed);
      const text = integerText(piece);
      return (record, offset) => text(read(record, offset));
    }
    case 'c': {
      const read = integerReader(schema, at, 8, false);
      return (record, offset) => padded(String.fromCharCode(Number(read(record, offset))), piece);
    }
    case 's':
      if (schema.kind === 'string' && !schema.typeName) return stringFormatter(piece, schema.size, at, wording);
  }
  return (record, offset) =>
    convertValue(piece, decode(schema, record, offset + at, recordPid(record, offset)), wording);
}

function stringFormatter(piece: Conversion, size: number, at: number, wording: Wording): Formatter {
  const last = at + size - 1;
  const plain = piece.width === undefined && piece.precision === undefined;
  return (record, offset) => {
    const whole = size === 0 || record.getUint8(offset + last) === 0;
    const text = whole
      ? readText(record, offset + at, size)
      : readString(record, offset + at, size).text + wording.trailer;
    if (plain) return text;
    return padded(piece.precision === undefined ? text : cutText(text, piece.precision), piece);
  };
}

/** Compiles a format. The pieces' argument indices must lie within `args` (the compiler has checked them). */
export function compileFormat(
  format: readonly FormatPiece[],
  args: readonly EventArgument[],
  wording: Wording,
): Formatter {
  const parts: (string | Formatter)[] = format.map((piece) => {
    if ('text' in piece) return piece.text;
    const argument = args[piece.argument];
    invariant(argument !== undefined, `format argument ${piece.argument} is missing`);
    return pieceFormatter(piece, argument, wording);
  });
  return (record, offset) => {
    let text = '';
    for (const part of parts) text += typeof part === 'string' ? part : part(record, offset);
    return text;
  };
}
