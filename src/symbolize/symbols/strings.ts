/**
 * A string table (.strtab, .dynstr) searched where it lies in the file: it streams
 * through in chunks, so that looking for a name in 39 MB of names takes a few
 * milliseconds and one chunk of memory. gABI chapter 4, "String Table".
 */
import { decodeText } from '../../bytes/cursor.ts';
import type { FileReader } from '../../bytes/file.ts';
import type { Pattern } from '../../bytes/search.ts';

const chunkSize = 512 << 10;
/** After so many names read one by one a table of no more than so many bytes is read whole: that is as fast as reading these again. */
const manyNames = 1 << 13;
const mostHeld = 64 << 20;
/** Most names fit in here. */
const shortName = new Uint8Array(256);

/** Whole strings of the table in which patterns occur, in order. Offsets count from the table's start. */
export interface StringHits {
  readonly starts: readonly number[];
  /** Where a pattern last occurs in each. A name may start anywhere from its start to here: linkers share common ends. */
  readonly lasts: readonly number[];
  readonly texts: readonly string[];
}

export class StringTable {
  readonly #reader: FileReader;
  readonly #offset: number;
  /** Bytes in the table, no more than the file has. */
  readonly size: number;
  #asked = 0;
  #whole: Uint8Array | undefined;

  constructor(reader: FileReader, offset: number, size: number) {
    this.#reader = reader;
    this.#offset = offset;
    this.size = Math.max(0, Math.min(size, reader.size - offset));
  }

  /** The string that starts at an offset; '' when that lies outside or has no end. */
  at(offset: number): string {
    if (this.#whole === undefined && ++this.#asked > manyNames && this.size <= mostHeld) {
      this.#whole = this.#reader.read(this.#offset, this.size);
    }
    if (this.#whole !== undefined) {
      const end = this.#whole.indexOf(0, offset);
      return end < 0 ? '' : decodeText(this.#whole, offset, end);
    }
    for (let size = 256; ; size *= 16) {
      const wanted = Math.min(size, this.size - offset);
      if (!(wanted > 0)) return '';
      // Names lie anywhere in a large table: a page of the file for each would cost more than it spares.
      const bytes = size === shortName.length ? shortName : new Uint8Array(wanted);
      const count = this.#reader.readInto(bytes.subarray(0, wanted), this.#offset + offset);
      const end = bytes.indexOf(0);
      if (end >= 0 && end < count) return decodeText(bytes, 0, end);
      if (count < size || size >= chunkSize) return '';
    }
  }

  /**
   * Calls back with pieces of the table in order, each of whole strings (the last byte is
   * a string's zero byte) and valid only during the call. A string of more than a chunk
   * is left out: no name is as long.
   */
  forEachChunk(visit: (bytes: Uint8Array, base: number) => void): void {
    const buffer = new Uint8Array(Math.min(chunkSize, this.size));
    let base = 0;
    while (base < this.size) {
      const wanted = Math.min(chunkSize, this.size - base);
      const count = this.#reader.readInto(buffer.subarray(0, wanted), this.#offset + base);
      if (count === 0) return;
      const end = buffer.subarray(0, count).lastIndexOf(0) + 1;
      if (end > 0) visit(buffer.subarray(0, end), base);
      base += end > 0 ? end : count;
    }
  }

  #indexIn(bytes: Uint8Array, pattern: Pattern, from: number): number {
    return this.#reader.indexOf?.(bytes, pattern.bytes, from) ?? pattern.indexIn(bytes, from);
  }

  /** Offsets at which a name that ends there, or goes on with a version (`@`), is `pattern`. */
  offsetsOf(pattern: Pattern): number[] {
    const length = pattern.bytes.length;
    const found: number[] = [];
    this.forEachChunk((bytes, base) => {
      for (let at = this.#indexIn(bytes, pattern, 0); at >= 0; at = this.#indexIn(bytes, pattern, at + 1)) {
        const next = bytes[at + length];
        if (next === 0 || next === 0x40) found.push(base + at);
      }
    });
    return found;
  }

  /** The strings in which all of the patterns occur, in order. `lasts` are of the rarest pattern. */
  stringsWith(patterns: readonly [Pattern, ...Pattern[]]): StringHits {
    const starts: number[] = [];
    const lasts: number[] = [];
    const texts: string[] = [];
    let order: readonly Pattern[] | undefined;
    this.forEachChunk((bytes, base) => {
      order ??= rarestFirst(patterns, bytes);
      const [first = patterns[0], ...others] = order;
      const before = starts.length;
      let all: string | undefined;
      const read = (start: number, end: number): string => {
        if (starts.length - before < manyHits) return decodeText(bytes, start, end);
        // One call for the chunk is faster than one a name, and will do where characters are bytes.
        all ??= new TextDecoder().decode(bytes);
        return all.length === bytes.length ? all.slice(start, end) : decodeText(bytes, start, end);
      };
      for (let at = this.#indexIn(bytes, first, 0); at >= 0; ) {
        const start = at === 0 ? 0 : bytes.lastIndexOf(0, at - 1) + 1;
        const end = bytes.indexOf(0, at);
        if (others.every((pattern) => pattern.indexIn(bytes, start, end) >= 0)) {
          let last = at;
          for (let next = at; next >= 0; next = first.indexIn(bytes, next + 1, end)) last = next;
          texts.push(read(start, end));
          starts.push(base + start);
          lasts.push(base + last);
        }
        at = this.#indexIn(bytes, first, end + 1);
      }
    });
    return { starts, lasts, texts };
  }
}

/** So many bytes tell which patterns are rare. */
const sampleSize = 64 << 10;

/** By how often they occur in some of these bytes: the rarest leaves the fewest strings to look at closer. */
function rarestFirst(patterns: readonly Pattern[], chunk: Uint8Array): readonly Pattern[] {
  if (patterns.length === 1) return patterns;
  const middle = Math.max(0, (chunk.length - sampleSize) >>> 1);
  const bytes = chunk.subarray(middle, middle + sampleSize);
  const counted = patterns.map((pattern) => {
    let count = 0;
    for (let at = pattern.indexIn(bytes); at >= 0; at = pattern.indexIn(bytes, at + 1)) count++;
    return { pattern, count };
  });
  return counted.sort((a, b) => a.count - b.count).map(({ pattern }) => pattern);
}

/** So many names of a chunk pay for decoding all of it. */
const manyHits = 100;
