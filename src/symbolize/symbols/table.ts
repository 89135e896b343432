/**
 * An index over one symbol table (.symtab or .dynsym) in typed arrays sorted by address:
 * 17 bytes a symbol, names left in the file. gABI chapter 4, "Symbol Table"; a name's
 * version (`memcpy@@GLIBC_2.14`, as some linkers write it into .symtab) is not part of it.
 */
import { type VirtualAddress, virtualAddress } from '../../base/numbers.ts';
import { decodeText } from '../../bytes/cursor.ts';
import type { Pattern } from '../../bytes/search.ts';
import { SHF_EXECINSTR, STB_LOCAL, STB_WEAK } from '../../debuginfo/elf/constants.ts';
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import type { Section } from '../../debuginfo/elf/header.ts';
import type { FunctionTable } from './functions.ts';
import { entryCount, type SymbolKind, scanSymbols } from './scan.ts';
import { StringTable } from './strings.ts';

/** One symbol, with its name read. */
export interface SymbolEntry {
  readonly name: string;
  readonly address: VirtualAddress;
  readonly size: number;
  readonly binding: number;
}

/** The symbols of a table, one array for each of their parts. */
interface Columns {
  readonly addresses: Float64Array;
  readonly sizes: Uint32Array;
  /** Offsets into the string table. */
  readonly names: Uint32Array;
  readonly bindings: Uint8Array;
}

export class SymbolTable implements FunctionTable {
  readonly strings: StringTable;
  readonly #elf: ElfFile;
  readonly #section: Section;
  readonly #kind: SymbolKind;
  /** In the file's order until a look-up by address sorts them. */
  #columns: Columns | undefined;
  /** For each symbol, the highest end among it and all before it; there when the columns are sorted. */
  #reach: Float64Array | undefined;

  /**
   * The symbols of one kind that are defined in the file; others, and those with an
   * address beyond 2^53, are left out. A table that is cut off gives what is there.
   */
  constructor(elf: ElfFile, section: Section, kind: SymbolKind) {
    const names = elf.sections[section.link];
    this.strings = new StringTable(elf.reader, names?.offset ?? 0, names?.size ?? 0);
    this.#elf = elf;
    this.#section = section;
    this.#kind = kind;
  }

  /** How many symbols of the wanted kind there are. */
  get count(): number {
    return this.#read().addresses.length;
  }

  #read(): Columns {
    this.#columns ??= readColumns(this.#elf, this.#section, this.#kind);
    return this.#columns;
  }

  #sorted(): { readonly columns: Columns; readonly reach: Float64Array } {
    if (this.#reach === undefined) {
      this.#columns = sortColumns(this.#read());
      this.#reach = reachOf(this.#columns);
    }
    return { columns: this.#read(), reach: this.#reach };
  }

  #entry(index: number, name?: string): SymbolEntry {
    const { addresses, sizes, names, bindings } = this.#read();
    return entryOf(
      name ?? this.strings.at(names[index] as number),
      addresses[index] as number,
      sizes[index] as number,
      bindings[index] as number,
    );
  }

  /**
   * The symbols that cover an address and start nearest below it: one, or several
   * aliases. A symbol covers its st_size bytes; one without a size reaches to the next
   * symbol, or the section's end, where no symbol with a size covers the address.
   */
  covering(address: VirtualAddress): SymbolEntry[] {
    const { columns, reach } = this.#sorted();
    const { addresses, sizes } = columns;
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
    this.#scan(
      (name) => offsets.has(name),
      (name, address, size, binding) => found.push(entryOf(this.strings.at(name), address, size, binding)),
    );
    return found;
  }

  /** Calls back with every symbol whose name may contain all the patterns. The first should be the rarest. */
  forEachWith(patterns: readonly [Pattern, ...Pattern[]], visit: (entry: SymbolEntry) => void): void {
    const hits = this.strings.stringsWith(patterns);
    if (hits.length === 0) return;
    const starts = Float64Array.from(hits, (hit) => hit.start);
    this.#scan(
      (name) => name <= (hits[lastAtOrBelow(starts, name)]?.last ?? -1),
      (name, address, size, binding) => {
        const hit = hits[lastAtOrBelow(starts, name)];
        visit(entryOf(name === hit?.start ? hit.text : this.strings.at(name), address, size, binding));
      },
    );
  }

  /** Goes through the columns where they have been read, else through the file: a search by name needs no index. */
  #scan(
    isWanted: (name: number) => boolean,
    visit: (name: number, address: number, size: number, binding: number) => void,
  ): void {
    if (this.#columns === undefined) {
      scanSymbols(this.#elf, this.#section, this.#kind, isWanted, visit);
      return;
    }
    const { addresses, sizes, names, bindings } = this.#columns;
    for (let index = 0; index < names.length; index++) {
      const name = names[index] as number;
      if (!isWanted(name)) continue;
      visit(name, addresses[index] as number, sizes[index] as number, bindings[index] as number);
    }
  }

  /** Calls back with every symbol, in the order of the string table, so that the file is read once from front to back. */
  forEach(visit: (entry: SymbolEntry) => void): void {
    const { names } = this.#read();
    const order = orderOf(names);
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
        visit(this.#entry(index, name));
      }
    });
  }
}

function readColumns(elf: ElfFile, section: Section, kind: SymbolKind): Columns {
  const total = entryCount(elf, section);
  const addresses = new Float64Array(total);
  const sizes = new Uint32Array(total);
  const names = new Uint32Array(total);
  const bindings = new Uint8Array(total);
  let count = 0;
  scanSymbols(elf, section, kind, undefined, (name, address, size, binding) => {
    addresses[count] = address;
    sizes[count] = size;
    names[count] = name;
    bindings[count] = binding;
    count++;
  });
  return {
    addresses: addresses.slice(0, count),
    sizes: sizes.slice(0, count),
    names: names.slice(0, count),
    bindings: bindings.slice(0, count),
  };
}

function sortColumns({ addresses, sizes, names, bindings }: Columns): Columns {
  const count = addresses.length;
  const sorted: Columns = {
    addresses: new Float64Array(count),
    sizes: new Uint32Array(count),
    names: new Uint32Array(count),
    bindings: new Uint8Array(count),
  };
  const order = orderOf(addresses);
  for (let to = 0; to < count; to++) {
    const from = order[to] as number;
    sorted.addresses[to] = addresses[from] as number;
    sorted.sizes[to] = sizes[from] as number;
    sorted.names[to] = names[from] as number;
    sorted.bindings[to] = bindings[from] as number;
  }
  return sorted;
}

/** The last index whose value is not above `wanted`, in ascending values; -1 when there is none. */
function lastAtOrBelow(values: Float64Array, wanted: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] as number) <= wanted) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function entryOf(name: string, address: number, size: number, binding: number): SymbolEntry {
  const version = name.indexOf('@', 1);
  return { name: version < 0 ? name : name.slice(0, version), address: virtualAddress(address), size, binding };
}

/** The indices of the values in ascending order of value; equal ones keep their order. */
function orderOf(values: Float64Array | Uint32Array): Float64Array {
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
