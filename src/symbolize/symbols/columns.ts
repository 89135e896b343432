/**
 * The symbols of one table in typed arrays, one for each of their parts, by address: 17
 * bytes a symbol, names left in the file. As bytes they are what a cache keeps, so that a
 * table is read and sorted once (little-endian):
 *
 *   u32 magic, u32 format, u32 count, u32 checksum of all that follows
 *   f64[count] address, u32[count] size, u32[count] offset of the name, u8[count] binding, zeros up to a multiple of 8
 */
import { STT_FUNC, STT_GNU_IFUNC } from '../../debuginfo/elf/constants.ts';
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import type { Section } from '../../debuginfo/elf/header.ts';
import { entryCount, type SymbolKind, scanSymbols } from './scan.ts';

export interface Columns {
  /** Ascending. */
  readonly addresses: Float64Array;
  readonly sizes: Uint32Array;
  /** Offsets into the string table. */
  readonly names: Uint32Array;
  readonly bindings: Uint8Array;
}

const MAGIC = 0x58535349; // ISSX
/** Grows with every change of the layout, and of which symbols are taken. */
const FORMAT = 1;
const HEAD = 16;
const chunkEntries = 16_384;
const bigEndianHost: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 0;

/** Reads a table's symbols of a kind, and sorts them. */
export function readColumns(elf: ElfFile, section: Section, kind: SymbolKind): Columns {
  const total = entryCount(elf, section);
  const columns: Columns = {
    addresses: new Float64Array(total),
    sizes: new Uint32Array(total),
    names: new Uint32Array(total),
    bindings: new Uint8Array(total),
  };
  const { addresses, sizes, names, bindings } = columns;
  let count = 0;
  const plain = elf.header.class === 64 && elf.header.littleEndian && !bigEndianHost && kind === 'function';
  if (plain) count = readPlain(elf, section, total, columns);
  else {
    scanSymbols(elf, section, kind, (name, address, size, binding) => {
      addresses[count] = address;
      sizes[count] = size;
      names[count] = name;
      bindings[count] = binding;
      count++;
    });
  }
  return sorted({
    addresses: addresses.subarray(0, count),
    sizes: sizes.subarray(0, count),
    names: names.subarray(0, count),
    bindings: bindings.subarray(0, count),
  });
}

/** The same as scanSymbols for functions of the common kind of file, three times as fast; gives their number. */
function readPlain(elf: ElfFile, section: Section, total: number, columns: Columns): number {
  const { addresses, sizes, names, bindings } = columns;
  const bytes = new Uint8Array(Math.min(chunkEntries, total) * 24);
  const words = new Uint32Array(bytes.buffer);
  let count = 0;
  for (let first = 0; first < total; first += chunkEntries) {
    const wanted = Math.min(chunkEntries, total - first);
    const there = Math.floor(elf.reader.readInto(bytes.subarray(0, wanted * 24), section.offset + first * 24) / 24);
    for (let at = 0; at < there; at++) {
      // Name; kind, visibility and section index; address; size.
      const word = at * 6;
      const info = words[word + 1] as number;
      const type = info & 15;
      const name = words[word] as number;
      if ((type !== STT_FUNC && type !== STT_GNU_IFUNC) || name === 0 || info >>> 16 === 0) continue;
      const high = words[word + 3] as number;
      if (high >= 0x20_0000) continue;
      addresses[count] = high * 0x1_0000_0000 + (words[word + 2] as number);
      sizes[count] = words[word + 5] === 0 ? (words[word + 4] as number) : 0xffffffff;
      names[count] = name;
      bindings[count] = (info >>> 4) & 15;
      count++;
    }
    if (there < wanted) break;
  }
  return count;
}

function sorted({ addresses, sizes, names, bindings }: Columns): Columns {
  const count = addresses.length;
  const result: Columns = {
    addresses: new Float64Array(count),
    sizes: new Uint32Array(count),
    names: new Uint32Array(count),
    bindings: new Uint8Array(count),
  };
  const order = orderOf(addresses);
  for (let to = 0; to < count; to++) {
    const from = order[to] as number;
    result.addresses[to] = addresses[from] as number;
    result.sizes[to] = sizes[from] as number;
    result.names[to] = names[from] as number;
    result.bindings[to] = bindings[from] as number;
  }
  return result;
}

/** The indices of the values in ascending order of value; equal ones keep their order. */
export function orderOf(values: Float64Array | Uint32Array): Float64Array {
  const count = values.length;
  let low = Infinity;
  let high = 0;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const order = new Float64Array(count);
  if (count > 0 && (high - low + 1) * count < Number.MAX_SAFE_INTEGER) {
    // Value and index packed into one number each: sorting plain numbers needs no comparison function.
    for (let index = 0; index < count; index++) order[index] = ((values[index] as number) - low) * count + index;
    order.sort();
    for (let index = 0; index < count; index++) order[index] = (order[index] as number) % count;
    return order;
  }
  for (let index = 0; index < count; index++) order[index] = index;
  return order.sort((a, b) => (values[a] as number) - (values[b] as number) || a - b);
}

/** The columns as bytes. */
export function encodeColumns({ addresses, sizes, names, bindings }: Columns): Uint8Array {
  const count = addresses.length;
  const bytes = new Uint8Array(sizeOf(count));
  new Float64Array(bytes.buffer, HEAD, count).set(addresses);
  new Uint32Array(bytes.buffer, HEAD + 8 * count, count).set(sizes);
  new Uint32Array(bytes.buffer, HEAD + 12 * count, count).set(names);
  bytes.set(bindings, HEAD + 16 * count);
  new Uint32Array(bytes.buffer, 0, 4).set([MAGIC, FORMAT, count, checksum(bytes.subarray(HEAD))]);
  return bytes;
}

const sizeOf = (count: number): number => Math.ceil((HEAD + 17 * count) / 8) * 8;

/** The columns that bytes hold, as views of them; undefined for bytes that are damaged, cut, or of another format or host. */
export function decodeColumns(kept: Uint8Array): Columns | undefined {
  if (kept.length < HEAD) return undefined;
  // Views want their place in the buffer to be a multiple of their element's size.
  const bytes = kept.byteOffset % 8 === 0 ? kept : kept.slice();
  const { buffer, byteOffset } = bytes;
  const [magic, format, count = 0, sum] = new Uint32Array(buffer, byteOffset, 4);
  if (magic !== MAGIC || format !== FORMAT || bytes.length !== sizeOf(count)) return undefined;
  if (checksum(bytes.subarray(HEAD)) !== sum) return undefined;
  const start = byteOffset + HEAD;
  return {
    addresses: new Float64Array(buffer, start, count),
    sizes: new Uint32Array(buffer, start + 8 * count, count),
    names: new Uint32Array(buffer, start + 12 * count, count),
    bindings: new Uint8Array(buffer, start + 16 * count, count),
  };
}

/** A checksum over 32-bit words (FNV-1a with words for bytes), two at a time; what is left over counts too. */
export function checksum(bytes: Uint8Array, previous: number = 0): number {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length >>> 2);
  let one = 0x811c9dc5 ^ previous;
  let two = 0x01000193;
  let at = 0;
  for (; at + 2 <= words.length; at += 2) {
    one = Math.imul(one ^ (words[at] as number), 0x01000193);
    one ^= one >>> 15;
    two = Math.imul(two ^ (words[at + 1] as number), 0x85ebca6b);
    two ^= two >>> 13;
  }
  for (let byte = at * 4; byte < aligned.length; byte++) one = Math.imul(one ^ (aligned[byte] as number), 0x01000193);
  return (Math.imul(one ^ two, 0xc2b2ae35) ^ aligned.length) >>> 0;
}
