/**
 * Reading numbers and strings out of bytes, in either byte order, with every read
 * checked against the end. A read past the end never gives a number: it raises
 * `EndOfBytes`, and `decode` turns that into a value, so that a parser reads a whole
 * record in straight lines and its caller gets a Result.
 *
 * Formats: two's complement integers; LEB128 as in DWARF 5, section 7.6 (at most ten
 * bytes for 64 bits); strings that end with a zero byte, as UTF-8.
 */
import { fail, ok, type Result } from '../base/result.ts';

/** What was wanted lies behind the end of what is there. */
export class EndOfBytes extends Error {
  readonly code = 'E_END_OF_BYTES';
  /** Where the read started, counted from the cursor's first byte. */
  readonly at: number;
  /** How many bytes were wanted. */
  readonly wanted: number;
  /** How many bytes there are in all. */
  readonly length: number;
  constructor(at: number, wanted: number, length: number) {
    super(`${wanted} bytes at offset ${at} wanted, but there are only ${length}`);
    this.name = 'EndOfBytes';
    this.at = at;
    this.wanted = wanted;
    this.length = length;
  }
}

/** A LEB128 number that goes on for more than 64 bits. */
export class OverlongNumber extends Error {
  readonly code = 'E_OVERLONG_NUMBER';
  readonly at: number;
  constructor(at: number) {
    super(`the LEB128 number at offset ${at} is longer than 64 bits`);
    this.name = 'OverlongNumber';
    this.at = at;
  }
}

export type DecodeError = EndOfBytes | OverlongNumber;

const utf8 = new TextDecoder('utf-8');

export class Cursor {
  readonly bytes: Uint8Array;
  readonly littleEndian: boolean;
  /** Where the next read starts. May be set to anything; a read checks it. */
  offset: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, littleEndian: boolean = true, offset: number = 0) {
    this.bytes = bytes;
    this.littleEndian = littleEndian;
    this.offset = offset;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.byteLength;
  }

  get remaining(): number {
    return Math.max(0, this.bytes.byteLength - this.offset);
  }

  get atEnd(): boolean {
    return this.offset >= this.bytes.byteLength;
  }

  /** Moves on by `count` bytes and returns where it stood; raises EndOfBytes past the end. */
  #take(count: number): number {
    const at = this.offset;
    if (!(at >= 0 && count >= 0 && at + count <= this.bytes.byteLength)) {
      throw new EndOfBytes(at, count, this.bytes.byteLength);
    }
    this.offset = at + count;
    return at;
  }

  skip(count: number): void {
    this.#take(count);
  }

  /** Moves on to the next multiple of `alignment` (a power of two), counted from the first byte. */
  align(alignment: number): void {
    this.offset = Math.ceil(this.offset / alignment) * alignment;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  i8(): number {
    return this.#view.getInt8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), this.littleEndian);
  }

  i16(): number {
    return this.#view.getInt16(this.#take(2), this.littleEndian);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), this.littleEndian);
  }

  i32(): number {
    return this.#view.getInt32(this.#take(4), this.littleEndian);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), this.littleEndian);
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#take(8), this.littleEndian);
  }

  /**
   * 64 unsigned bits as a number, without a bigint on the way. Exact below 2^53; above,
   * the nearest double, which is never a safe integer, so that `Number.isSafeInteger`
   * tells a caller who cares.
   */
  u64number(): number {
    const at = this.#take(8);
    const first = this.#view.getUint32(at, this.littleEndian);
    const second = this.#view.getUint32(at + 4, this.littleEndian);
    return this.littleEndian ? second * 0x1_0000_0000 + first : first * 0x1_0000_0000 + second;
  }

  /** 64 signed bits as a number; exact between -2^53 and 2^53, as `u64number`. */
  i64number(): number {
    const at = this.#take(8);
    const low = this.#view.getUint32(this.littleEndian ? at : at + 4, this.littleEndian);
    const high = this.#view.getInt32(this.littleEndian ? at + 4 : at, this.littleEndian);
    return high * 0x1_0000_0000 + low;
  }

  /** Unsigned LEB128 as a number; exact below 2^53, as `u64number`. */
  uleb128(): number {
    const start = this.offset;
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if ((byte & 0x80) === 0) return value;
      scale *= 128;
    }
    throw new OverlongNumber(start);
  }

  /** Signed LEB128 as a number; exact between -2^53 and 2^53. */
  sleb128(): number {
    const start = this.offset;
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 7; count++) {
      const byte = this.u8();
      // The last byte's bit 6 is the sign: its seven bits then count from -64 to -1.
      if ((byte & 0x80) === 0) return value + ((byte & 0x40) !== 0 ? byte - 128 : byte) * scale;
      value += (byte & 0x7f) * scale;
      scale *= 128;
    }
    // Beyond 49 bits a sum of doubles would lose the low bits of a padded negative number.
    this.offset = start;
    return Number(this.sleb128big());
  }

  /** Unsigned LEB128 of up to 64 bits, exact. */
  uleb128big(): bigint {
    const start = this.offset;
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return BigInt.asUintN(64, value);
    }
    throw new OverlongNumber(start);
  }

  /** Signed LEB128 of up to 64 bits, exact. */
  sleb128big(): bigint {
    const start = this.offset;
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return BigInt.asIntN(64, (byte & 0x40) !== 0 ? value - (1n << (shift + 7n)) : value);
    }
    throw new OverlongNumber(start);
  }

  /** A view of the next `count` bytes; they are not copied. */
  take(count: number): Uint8Array {
    const at = this.#take(count);
    return this.bytes.subarray(at, at + count);
  }

  /** A string up to its zero byte, which is taken too; without one there, EndOfBytes. */
  cString(): string {
    const at = this.offset;
    const end = at < 0 ? -1 : this.bytes.indexOf(0, at);
    if (end < 0) throw new EndOfBytes(at, this.remaining + 1, this.bytes.byteLength);
    this.offset = end + 1;
    return decodeText(this.bytes, at, end);
  }
}

/** Runs a parser over bytes; a read past the end, or an overlong number, becomes the error. */
export function decode<Value>(
  bytes: Uint8Array,
  littleEndian: boolean,
  parse: (cursor: Cursor) => Value,
): Result<Value, DecodeError> {
  try {
    return ok(parse(new Cursor(bytes, littleEndian)));
  } catch (error) {
    if (error instanceof EndOfBytes || error instanceof OverlongNumber) return fail(error);
    throw error;
  }
}

/** The text of a range of bytes, as UTF-8 (invalid bytes become U+FFFD). */
export function decodeText(bytes: Uint8Array, start: number, end: number): string {
  // Names are short and mostly ASCII: for those, building the string here is faster than TextDecoder.
  if (end - start <= 24) {
    let text = '';
    for (let at = start; at < end; at++) {
      const byte = bytes[at] as number;
      if (byte >= 0x80) return utf8.decode(bytes.subarray(start, end));
      text += String.fromCharCode(byte);
    }
    return text;
  }
  return utf8.decode(bytes.subarray(start, end));
}

/** The zero-terminated string at an offset; undefined when the offset or the end lies outside. */
export function cStringAt(bytes: Uint8Array, offset: number): string | undefined {
  if (!(offset >= 0 && offset < bytes.byteLength)) return undefined;
  const end = bytes.indexOf(0, offset);
  return end < 0 ? undefined : decodeText(bytes, offset, end);
}
