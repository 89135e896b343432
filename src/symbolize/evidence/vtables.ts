/**
 * Virtual tables. Itanium C++ ABI 2.5.2: offset to top, address of the typeinfo, then
 * (where objects' vptrs point) the addresses of the virtual functions; a class has one
 * table for itself and one for each further base that has one of its own.
 */
import type { Class, Classes } from './classes.ts';
import type { Program } from './program.ts';
import { WordMap } from './words.ts';

export interface Vtable {
  readonly index: number;
  /** Where vptrs point: that of the first slot. */
  readonly address: number;
  /** Index of the class. */
  readonly type: number;
  /** Where in the object the base lies that the table is for; 0 for the primary table. */
  readonly offset: number;
  /** For each slot the function's index, -1 for none (pure, imported, without bounds). */
  readonly slots: readonly number[];
}

const mostOffset = 1 << 24;
const mostSlots = 4096;
/** Offset to top and typeinfo, before them offsets of virtual bases and of calls. */
const mostPrefix = 512;

export class Vtables {
  readonly all: Vtable[] = [];
  readonly #byType: Map<number, Vtable[]> = new Map();
  readonly #byAddress: WordMap = new WordMap();
  /** For each function its places in tables, as a linked list. */
  readonly #first: Int32Array;
  readonly #next: number[] = [];
  /** Of each place its table and slot. */
  readonly #tables: number[] = [];
  readonly #slots: number[] = [];
  /** The tables' addresses, ascending. */
  #sorted: Float64Array | undefined;

  constructor(program: Program, classes: Classes) {
    const { pointers } = program;
    this.#first = new Int32Array(program.functionCount).fill(-1);
    pointers.forEach((word, value) => {
      const type = classes.at(value);
      if (type !== undefined) this.#add(program, word, type);
    });
    for (const word of boundTypeinfos(program)) {
      const type = classes.atPointer(word);
      if (type !== undefined && type.address === 0) this.#add(program, word, type);
    }
  }

  /** Takes the word that refers to a typeinfo for part of a table, if it looks like one. */
  #add(program: Program, word: number, type: Class): void {
    const { image, pointers } = program;
    const toTop = image.i64(word - 8);
    if (pointers.isOffset(word) || pointers.nameAt(word - 8) !== undefined) return;
    if (toTop === undefined || pointers.at(word - 8) !== 0 || toTop > 0 || toTop < -mostOffset) return;
    const start = word + 8;
    const slots: number[] = [];
    let functions = 0;
    for (let at = start; slots.length < mostSlots; at += 8) {
      if (at > start && program.isReferenced(at)) break;
      const value = pointers.at(at);
      // Another object's pointer to its own table: what stands before it is no table's typeinfo.
      if (/^_ZT[VISC]/.test(pointers.nameAt(at) ?? '')) break;
      const index = value === 0 ? -1 : program.functionStarting(value);
      if (index >= 0) functions++;
      else if (value === 0 ? pointers.nameAt(at) === undefined && !isGap(program, at) : !image.isCode(value)) break;
      slots.push(index);
    }
    if (slots.length === 0 || (functions === 0 && pointers.nameAt(start) === undefined)) return;
    const table: Vtable = {
      index: this.all.length,
      address: start,
      type: type.index,
      offset: toTop === 0 ? 0 : -toTop,
      slots: slots.slice(),
    };
    this.all.push(table);
    this.#byAddress.set(start, table.index);
    const others = this.#byType.get(type.index);
    if (others === undefined) this.#byType.set(type.index, [table]);
    else others.push(table);
    for (let slot = 0; slot < slots.length; slot++) {
      const index = slots[slot] as number;
      if (index < 0) continue;
      this.#next.push(this.#first[index] as number);
      this.#first[index] = this.#tables.length;
      this.#tables.push(table.index);
      this.#slots.push(slot);
    }
  }

  /** The tables of a class, several for one offset where it is built up inside of others. */
  of(type: number): readonly Vtable[] {
    return this.#byType.get(type) ?? none;
  }

  /** The table that vptrs of that value point to. */
  at(address: number): Vtable | undefined {
    const index = this.#byAddress.get(address);
    return index < 0 ? undefined : this.all[index];
  }

  /** Whether a class's group of tables starts at an address: its symbol's, before what stands in front of the first slots. */
  isGroup(address: number): boolean {
    if (this.#sorted === undefined) {
      this.#sorted = Float64Array.from(this.all, (table) => table.address).sort();
    }
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sorted[middle] as number) <= address) low = middle + 1;
      else high = middle;
    }
    return (this.#sorted[low] ?? Infinity) - address <= mostPrefix;
  }

  has(type: number): boolean {
    return this.#byType.has(type);
  }

  /** Whether some table holds a function. */
  holds(index: number): boolean {
    return (this.#first[index] as number) >= 0;
  }

  /** The first of the places that `placesOf` gives. */
  placeOf(index: number): Place | undefined {
    const at = this.#first[index] as number;
    return at < 0 ? undefined : this.#placeAt(at);
  }

  #placeAt(at: number): Place {
    return { table: this.all[this.#tables[at] as number] as Vtable, slot: this.#slots[at] as number };
  }

  /** All places that a function has in tables. */
  placesOf(index: number): Place[] {
    const found: Place[] = [];
    for (let at = this.#first[index] as number; at >= 0; at = this.#next[at] as number) {
      found.push(this.#placeAt(at));
    }
    return found;
  }
}

export interface Place {
  readonly table: Vtable;
  readonly slot: number;
}

const none: readonly Vtable[] = [];

/** GCC leaves the destructors' slots of a class empty that is never made by itself; functions follow. */
function isGap({ image, pointers }: Program, at: number): boolean {
  if (image.i64(at) !== 0) return false;
  const next = pointers.at(at + 8);
  if (next !== 0) return image.isCode(next);
  return image.i64(at + 8) === 0 && image.isCode(pointers.at(at + 16));
}

function boundTypeinfos(program: Program): number[] {
  const words: number[] = [];
  program.pointers.forEachBound((word, name) => {
    if (name.startsWith('_ZTI')) words.push(word);
  });
  return words;
}
