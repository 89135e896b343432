/**
 * An index over one symbol table (.symtab or .dynsym), sorted by address, names left in
 * the file; that of a large table is kept, where there is a place for it. gABI chapter 4,
 * "Symbol Table"; a name's version (`memcpy@@GLIBC_2.14`, as some linkers write it into
 * .symtab) is not part of it.
 */
import { type VirtualAddress, virtualAddress } from '../../base/numbers.ts';
import { decodeText } from '../../bytes/cursor.ts';
import type { Pattern } from '../../bytes/search.ts';
import { SHF_EXECINSTR, STB_LOCAL, STB_WEAK } from '../../debuginfo/elf/constants.ts';
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import type { Section } from '../../debuginfo/elf/header.ts';
import type { FunctionSymbol } from '../../target/target.ts';
import { type Columns, checksum, decodeColumns, encodeColumns, orderOf, readColumns } from './columns.ts';
import type { FunctionTable } from './functions.ts';
import { entryCount, type SymbolKind } from './scan.ts';
import { StringTable } from './strings.ts';

/** One symbol, with its name read. */
export interface SymbolEntry {
  readonly name: string;
  readonly address: VirtualAddress;
  readonly size: number;
  readonly binding: number;
  /** The layer that tells it: `.symtab`, `.dynsym`, `debug file` … */
  readonly origin: string;
  /** The same as others see it, once somebody has asked by address; so each is demangled once. */
  named?: FunctionSymbol;
}

/** Where indexes of large tables are kept, by build-id and content. */
export interface TableCache {
  read(key: string): Uint8Array | undefined;
  write(key: string, bytes: Uint8Array): void;
}

export interface TableOptions {
  /** What to call the table; its section's name when absent. */
  readonly origin?: string | undefined;
  readonly cache?: TableCache | undefined;
}

/** Smaller tables are read as fast as their index would be. */
const leastKept = 4096;
const chunkSize = 1 << 20;
/** So many addresses asked for pay for a coarse index. */
const manyAsked = 1 << 12;
/** Names are hundreds of bytes long: so few bits stay in the processor's cache. */
const blockBits = 6;
/** Bytes of names that are held in memory at once. */
const mostText = 16 << 20;

export class SymbolTable implements FunctionTable {
  readonly strings: StringTable;
  readonly #elf: ElfFile;
  readonly #section: Section;
  readonly #kind: SymbolKind;
  readonly #origin: string;
  readonly #cache: TableCache | undefined;
  #columns: Columns | undefined;
  /** For each symbol, the highest end among it and all before it. */
  #reach: Float64Array | undefined;
  #asked = 0;
  #blocks: Blocks | undefined;
  /** By index of a symbol that covers an address: the one that is shown, and up to which address. */
  #shown: { readonly entries: (SymbolEntry | undefined)[]; readonly until: Float64Array } | undefined;

  /**
   * The symbols of one kind that are defined in the file; others, and those with an
   * address beyond 2^53, are left out. A table that is cut off gives what is there.
   */
  constructor(elf: ElfFile, section: Section, kind: SymbolKind, options: TableOptions = {}) {
    const names = elf.sections[section.link];
    this.strings = new StringTable(elf.reader, names?.offset ?? 0, names?.size ?? 0);
    this.#elf = elf;
    this.#section = section;
    this.#kind = kind;
    this.#origin = options.origin ?? section.name;
    this.#cache = options.cache;
  }

  /** How many symbols of the wanted kind there are. */
  get count(): number {
    return this.#read().addresses.length;
  }

  #read(): Columns {
    this.#columns ??= this.#load();
    return this.#columns;
  }

  #load(): Columns {
    const cache = entryCount(this.#elf, this.#section) < leastKept ? undefined : this.#cache;
    if (cache === undefined) return readColumns(this.#elf, this.#section, this.#kind);
    const key = this.#key();
    const kept = cache.read(key);
    const columns = kept === undefined ? undefined : decodeColumns(kept);
    if (columns !== undefined) return columns;
    const fresh = readColumns(this.#elf, this.#section, this.#kind);
    cache.write(key, encodeColumns(fresh));
    return fresh;
  }

  /** The build-id, and a checksum of all that the index is made of. */
  #key(): string {
    const { reader, header } = this.#elf;
    const { offset, size, link } = this.#section;
    const about = [header.class, header.littleEndian ? 1 : 0, offset, size, link];
    let sum = checksum(new Uint8Array(new Float64Array(about).buffer));
    const buffer = new Uint8Array(Math.min(chunkSize, size));
    for (let done = 0; done < size; done += chunkSize) {
      const wanted = Math.min(chunkSize, size - done);
      const count = reader.readInto(buffer.subarray(0, wanted), offset + done);
      sum = checksum(buffer.subarray(0, count), sum);
      if (count < wanted) break;
    }
    return `${this.#elf.buildId() || 'none'}-${sum.toString(16).padStart(8, '0')}-${this.#kind}`;
  }

  #entry(index: number, name?: string): SymbolEntry {
    const { addresses, sizes, names, bindings } = this.#read();
    return entryOf(
      name ?? this.strings.at(names[index] as number),
      addresses[index] as number,
      sizes[index] as number,
      bindings[index] as number,
      this.#origin,
    );
  }

  /**
   * The symbols that cover an address and start nearest below it: one, or several
   * aliases. A symbol covers its st_size bytes; one without a size reaches to the next
   * symbol, or the section's end, where no symbol with a size covers the address.
   */
  covering(address: VirtualAddress): SymbolEntry[] {
    const { addresses, sizes } = this.#read();
    this.#reach ??= reachOf(this.#read());
    const reach = this.#reach;
    const end = (index: number): number => (addresses[index] as number) + (sizes[index] as number);
    const nearest = lastAtOrBelow(addresses, address);
    if (nearest < 0) return [];
    for (let at = nearest; at >= 0 && (reach[at] as number) > address; at--) {
      if (end(at) > address) return this.#aliases(at, (index) => end(index) > address);
    }
    const start = addresses[nearest] as number;
    const section = this.#elf.sections.find(
      (one) => (one.flags & SHF_EXECINSTR) !== 0 && start >= one.address && start < one.address + one.size,
    );
    if (section !== undefined && address >= section.address + section.size) return [];
    return this.#aliases(nearest, (index) => sizes[index] === 0);
  }

  /** The one of those that is shown (see preferredAlias); what was found once is found again without a search for its name. */
  best(address: VirtualAddress): SymbolEntry | undefined {
    const { addresses, sizes } = this.#read();
    this.#reach ??= reachOf(this.#read());
    const reach = this.#reach;
    if (this.#blocks === undefined && ++this.#asked > manyAsked) this.#blocks = new Blocks(addresses);
    const nearest = this.#blocks?.lastAtOrBelow(address) ?? lastAtOrBelow(addresses, address);
    const known = this.#knownAt(nearest, address);
    if (known !== undefined) return known;
    for (let at = nearest; at >= 0 && (reach[at] as number) > address; at--) {
      if ((addresses[at] as number) + (sizes[at] as number) <= address) continue;
      return this.#knownAt(at, address) ?? this.#preferredAt(at, address);
    }
    // Only a symbol without a size may reach as far as here.
    const alone = nearest <= 0 || addresses[nearest - 1] !== addresses[nearest];
    return alone && sizes[nearest] !== 0 ? undefined : preferredAlias(this.covering(address));
  }

  #knownAt(index: number, address: number): SymbolEntry | undefined {
    const shown = this.#shown;
    return shown !== undefined && address < (shown.until[index] ?? 0) ? shown.entries[index] : undefined;
  }

  #preferredAt(index: number, address: number): SymbolEntry | undefined {
    const { addresses, sizes } = this.#read();
    const start = addresses[index] as number;
    // Aliases may differ in size: the answer holds up to where the shortest ends.
    let until = start + (sizes[index] as number);
    let entry: SymbolEntry | undefined;
    if (addresses[index - 1] !== start && addresses[index + 1] !== start) entry = this.#entry(index);
    else {
      const covering = this.#aliases(index, (at) => {
        const end = start + (sizes[at] as number);
        until = Math.min(until, end);
        return end > address;
      });
      entry = preferredAlias(covering);
    }
    if (entry === undefined || address >= until) return entry;
    const { length } = addresses;
    this.#shown ??= { entries: new Array(length).fill(undefined), until: new Float64Array(length) };
    this.#shown.entries[index] = entry;
    this.#shown.until[index] = until;
    return entry;
  }

  /** The symbols at the same address as the one at `index` that satisfy `keep`. */
  #aliases(index: number, keep: (index: number) => boolean): SymbolEntry[] {
    const { addresses } = this.#read();
    const start = addresses[index] as number;
    let from = index;
    while (from > 0 && addresses[from - 1] === start) from--;
    const found: SymbolEntry[] = [];
    for (let at = from; addresses[at] === start; at++) if (keep(at)) found.push(this.#entry(at));
    return found;
  }

  /** The symbols of exactly that name, as it stands in the table (without version). */
  named(pattern: Pattern): SymbolEntry[] {
    const offsets = new Set(this.strings.offsetsOf(pattern));
    const found: SymbolEntry[] = [];
    if (offsets.size === 0) return found;
    const { names } = this.#read();
    for (let index = 0; index < names.length; index++) {
      if (offsets.has(names[index] as number)) found.push(this.#entry(index));
    }
    return found;
  }

  /** Calls back with every symbol whose name may contain all the patterns. The first should be the rarest. */
  forEachWith(patterns: readonly [Pattern, ...Pattern[]], visit: (entry: SymbolEntry) => void): void {
    const hits = this.strings.stringsWith(patterns);
    if (hits.starts.length === 0) return;
    const starts = new Float64Array(hits.starts);
    // One bit for each so many bytes of the string table in which a name that is wanted may start.
    const wanted = new Uint8Array((this.strings.size >>> (blockBits + 3)) + 1);
    for (let hit = 0; hit < starts.length; hit++) {
      const last = (hits.lasts[hit] as number) >>> blockBits;
      for (let block = (starts[hit] as number) >>> blockBits; block <= last; block++) {
        wanted[block >>> 3] = (wanted[block >>> 3] as number) | (1 << (block & 7));
      }
    }
    const { names } = this.#read();
    for (let index = 0; index < names.length; index++) {
      const name = names[index] as number;
      const block = name >>> blockBits;
      if (((wanted[block >>> 3] ?? 0) & (1 << (block & 7))) === 0) continue;
      const hit = lastAtOrBelow(starts, name);
      if (hit < 0 || name > (hits.lasts[hit] as number)) continue;
      visit(this.#entry(index, name === starts[hit] ? hits.texts[hit] : undefined));
    }
  }

  /** The names of a table that is small enough, as text by chunks; undefined where it is not, or has names beyond ASCII. */
  #wholeText(): { readonly bases: Float64Array; readonly texts: readonly string[] } | undefined {
    if (this.strings.size > mostText) return undefined;
    const bases: number[] = [];
    const texts: string[] = [];
    const decoder = new TextDecoder();
    let ascii = true;
    this.strings.forEachChunk((bytes, base) => {
      const text = decoder.decode(bytes);
      ascii &&= text.length === bytes.length;
      bases.push(base);
      texts.push(text);
    });
    return ascii ? { bases: Float64Array.from(bases), texts } : undefined;
  }

  /** Calls back with every symbol, by address. */
  forEach(visit: (entry: SymbolEntry, repeated: boolean) => void): void {
    const whole = this.#wholeText();
    if (whole === undefined) {
      this.#forEachInTurn(visit);
      return;
    }
    const { names } = this.#read();
    const seen = new Uint8Array((this.strings.size >>> 3) + 1);
    for (let index = 0; index < names.length; index++) {
      const offset = names[index] as number;
      const chunk = lastAtOrBelow(whole.bases, offset);
      const text = whole.texts[chunk];
      const start = offset - (whole.bases[chunk] ?? 0);
      if (text === undefined || start >= text.length) continue;
      const bit = 1 << (offset & 7);
      const before = seen[offset >>> 3] as number;
      seen[offset >>> 3] = before | bit;
      visit(this.#entry(index, text.slice(start, text.indexOf('\0', start))), (before & bit) !== 0);
    }
  }

  /** As forEach(). The names are read in the order of the string table, once from front to back. */
  #forEachInTurn(visit: (entry: SymbolEntry, repeated: boolean) => void): void {
    const { names } = this.#read();
    const order = orderOf(names);
    const repeated = new Uint8Array(names.length);
    let before = -1;
    const texts: (string | undefined)[] = new Array(names.length);
    const decoder = new TextDecoder();
    let next = 0;
    this.strings.forEachChunk((bytes, base) => {
      // One call for all names of the chunk is far faster than one a name; it will do where characters are bytes.
      const text = decoder.decode(bytes);
      const ascii = text.length === bytes.length;
      while (next < order.length) {
        const index = order[next] as number;
        const at = (names[index] as number) - base;
        if (at >= bytes.length) return;
        next++;
        if (at < 0) continue;
        const name = ascii ? text.slice(at, text.indexOf('\0', at)) : decodeText(bytes, at, bytes.indexOf(0, at));
        texts[index] = name;
        if (names[index] === before) repeated[index] = 1;
        before = names[index] as number;
      }
    });
    for (let index = 0; index < texts.length; index++) {
      const name = texts[index];
      if (name !== undefined) visit(this.#entry(index, name), repeated[index] === 1);
    }
  }
}

/** Ascending values with a coarse index, for many questions: a binary search in them misses the processor's cache at each step. */
class Blocks {
  readonly #values: Float64Array;
  readonly #low: number;
  readonly #size: number;
  /** For each block of values the first index behind those of the blocks before it. */
  readonly #firsts: Int32Array;

  constructor(values: Float64Array) {
    this.#values = values;
    this.#low = values[0] ?? 0;
    const span = (values.at(-1) ?? 0) - this.#low;
    this.#size = 2 ** Math.ceil(Math.log2(Math.max(1, span / Math.max(1, values.length * 2))));
    const count = Math.floor(span / this.#size) + 1;
    this.#firsts = new Int32Array(count + 1);
    let index = 0;
    for (let block = 0; block < count; block++) {
      const start = this.#low + block * this.#size;
      while (index < values.length && (values[index] as number) < start) index++;
      this.#firsts[block] = index;
    }
    this.#firsts[count] = values.length;
  }

  lastAtOrBelow(wanted: number): number {
    const block = Math.floor((wanted - this.#low) / this.#size);
    if (block < 0) return -1;
    if (block >= this.#firsts.length - 1) return this.#values.length - 1;
    return lastAtOrBelow(this.#values, wanted, this.#firsts[block], this.#firsts[block + 1]);
  }
}

/**
 * The last index whose value is not above `wanted`, in ascending values; -1 when there is
 * none. `from` and `to`: where the first value above it is known to lie.
 */
function lastAtOrBelow(values: Float64Array, wanted: number, from: number = 0, to: number = values.length): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] as number) <= wanted) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function entryOf(name: string, address: number, size: number, binding: number, origin: string): SymbolEntry {
  const version = name.indexOf('@', 1);
  const plain = version < 0 ? name : name.slice(0, version);
  return { name: plain, address: virtualAddress(address), size, binding, origin };
}

function reachOf({ addresses, sizes }: Columns): Float64Array {
  const reach = new Float64Array(addresses.length);
  let furthest = 0;
  for (let index = 0; index < reach.length; index++) {
    furthest = Math.max(furthest, (addresses[index] as number) + (sizes[index] as number));
    reach[index] = furthest;
  }
  return reach;
}

/**
 * Which of several names for the same address is shown, by the first of these rules that
 * tells them apart: one that other files can see (global or weak) before a local one; one
 * without a leading underscore (`bind` before `__bind`; the `_Z` and `_R` of a mangled
 * name don't count); global before weak; the larger size; the shorter name; the
 * alphabet. So the choice depends on nothing but the symbols.
 */
export function preferredAlias(symbols: readonly SymbolEntry[]): SymbolEntry | undefined {
  let best: SymbolEntry | undefined;
  for (const symbol of symbols) if (best === undefined || compareAliases(symbol, best) < 0) best = symbol;
  return best;
}

function compareAliases(a: SymbolEntry, b: SymbolEntry): number {
  const local = (symbol: SymbolEntry): number => (symbol.binding === STB_LOCAL ? 1 : 0);
  const internal = (symbol: SymbolEntry): number => (/^_(?![ZR])/.test(symbol.name) ? 1 : 0);
  const weak = (symbol: SymbolEntry): number => (symbol.binding === STB_WEAK ? 1 : 0);
  return (
    local(a) - local(b) ||
    internal(a) - internal(b) ||
    weak(a) - weak(b) ||
    b.size - a.size ||
    a.name.length - b.name.length ||
    (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  );
}
