/** What a layer of symbols answers, and functions that a list holds, such as those of Go's table or of DWARF. */
import type { VirtualAddress } from '../../base/numbers.ts';
import { decodeText } from '../../bytes/cursor.ts';
import type { Pattern } from '../../bytes/search.ts';
import { STB_GLOBAL } from '../../debuginfo/elf/constants.ts';
import { preferredAlias, type SymbolEntry } from './table.ts';

/** Functions by name and by address. */
export interface FunctionTable {
  readonly count: number;
  /** Of those that cover an address and start nearest below it, the one to show. */
  best(address: VirtualAddress): SymbolEntry | undefined;
  /** Those of exactly that name. */
  named(pattern: Pattern): SymbolEntry[];
  /** Calls back with every one whose name may contain all the patterns. */
  forEachWith(patterns: readonly [Pattern, ...Pattern[]], visit: (entry: SymbolEntry) => void): void;
  /** Calls back with every one, by address; `repeated` where one of the same name is known to have come, or to come. */
  forEach(visit: (entry: SymbolEntry, repeated: boolean) => void): void;
}

/** A table over functions that lie in memory. */
export class ListedFunctions implements FunctionTable {
  /** By address. */
  readonly #entries: readonly SymbolEntry[];

  constructor(
    functions: Iterable<{ readonly name: string; readonly address: VirtualAddress; readonly size: number }>,
    origin: string,
  ) {
    this.#entries = Array.from(functions, ({ name, address, size }) => ({
      name,
      address,
      size,
      binding: STB_GLOBAL,
      origin,
    })).sort((a, b) => a.address - b.address);
  }

  get count(): number {
    return this.#entries.length;
  }

  best(address: VirtualAddress): SymbolEntry | undefined {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle]?.address as number) <= address) low = middle + 1;
      else high = middle;
    }
    const nearest = this.#entries[low - 1];
    const found: SymbolEntry[] = [];
    for (let at = low - 1; at >= 0 && this.#entries[at]?.address === nearest?.address; at--) {
      const entry = this.#entries[at] as SymbolEntry;
      if (address < entry.address + entry.size) found.push(entry);
    }
    return preferredAlias(found);
  }

  named(pattern: Pattern): SymbolEntry[] {
    const name = text(pattern);
    return this.#entries.filter((entry) => entry.name === name);
  }

  forEachWith(patterns: readonly [Pattern, ...Pattern[]], visit: (entry: SymbolEntry) => void): void {
    const wanted = patterns.map(text);
    for (const entry of this.#entries) if (wanted.every((part) => entry.name.includes(part))) visit(entry);
  }

  forEach(visit: (entry: SymbolEntry, repeated: boolean) => void): void {
    const seen = new Set<string>();
    for (const entry of this.#entries) {
      visit(entry, seen.has(entry.name));
      seen.add(entry.name);
    }
  }
}

function text(pattern: Pattern): string {
  return decodeText(pattern.bytes, 0, pattern.bytes.length);
}
