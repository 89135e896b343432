/**
 * Whose function it is that several virtual tables hold: the class that declares or last
 * overrides it. A class inherits its bases' functions, so the owner is found by climbing
 * from each holder to the bases whose own table has the same function in the same slot.
 */
import type { Class, Classes } from './classes.ts';
import type { Place, Vtable, Vtables } from './vtables.ts';

export interface Owner {
  /** Index of the class. */
  readonly type: number;
  readonly slot: number;
  /** Where in the object the table's base lies. */
  readonly offset: number;
  /** A base without a table of its own that may be the owner instead; -1 when there is none. */
  readonly base: number;
  /** How many tables hold the function. */
  readonly holders: number;
  /** Whether the holders agree without looking for a common ancestor. */
  readonly direct: boolean;
}

const mostDepth = 64;

export class Owners {
  readonly #classes: Classes;
  readonly #vtables: Vtables;

  constructor(classes: Classes, vtables: Vtables) {
    this.#classes = classes;
    this.#vtables = vtables;
  }

  /** The owner of a function; undefined when no table holds it, or unrelated classes share it. */
  of(index: number): Owner | undefined {
    const places = this.#vtables.placesOf(index);
    const tops: Place[] = [];
    for (const place of places) {
      for (const top of this.#climb(place, index, 0)) {
        if (!tops.some((one) => one.table.type === top.table.type && one.slot === top.slot)) tops.push(top);
      }
    }
    const [first] = tops;
    if (first === undefined) return undefined;
    const holders = places.length;
    if (tops.length === 1) {
      const base = this.absentBase(first.table);
      return { type: first.table.type, slot: first.slot, offset: first.table.offset, base, holders, direct: true };
    }
    const { slot } = first;
    if (tops.some((top) => top.slot !== slot)) return undefined;
    const common = this.#commonAncestor(tops.map((top) => top.table));
    return common < 0 ? undefined : { type: common, slot, offset: 0, base: -1, holders, direct: false };
  }

  /** The places furthest up that still hold the function. */
  #climb(place: Place, index: number, depth: number): Place[] {
    const { table, slot } = place;
    const found: Place[] = [];
    if (depth < mostDepth) this.#above(table.type, table.offset, slot, index, depth, found);
    return found.length === 0 ? [place] : found;
  }

  #above(type: number, offset: number, slot: number, index: number, depth: number, found: Place[]): void {
    if (depth >= mostDepth) return;
    for (const base of (this.#classes.all[type] as Class).bases) {
      const within = base.virtual ? 0 : offset - base.offset;
      if (within < 0) continue;
      const tables = this.#vtables.of(base.type);
      const same = tables.find((table) => table.offset === within && table.slots[slot] === index);
      if (same !== undefined) found.push(...this.#climb({ table: same, slot }, index, depth + 1));
      else if (tables.length === 0) this.#above(base.type, within, slot, index, depth + 1, found);
    }
  }

  /** The nearest base of a table that has no table of its own, -1 when there is none. */
  absentBase(table: Vtable): number {
    const base = this.#baseAt(table.type, table.offset);
    return base >= 0 && !this.#vtables.has(base) ? base : -1;
  }

  /** The direct base whose part of the object holds the vptr at `offset`. */
  #baseAt(type: number, offset: number): number {
    let best = -1;
    let nearest = -1;
    for (const base of (this.#classes.all[type] as Class).bases) {
      if (base.virtual || base.offset > offset || base.offset < nearest) continue;
      // Of several at one offset all but one are empty; the one with tables, or bases, is not.
      if (base.offset === nearest && best >= 0 && !this.#isPolymorphic(base.type)) continue;
      nearest = base.offset;
      best = base.type;
    }
    return best;
  }

  #isPolymorphic(type: number): boolean {
    return this.#vtables.has(type) || (this.#classes.all[type] as Class).bases.length > 0;
  }

  /** The lowest class that all tables' classes derive from (at the tables' offsets), -1 when there is no one such class. */
  #commonAncestor(tables: readonly Vtable[]): number {
    let common: Set<number> | undefined;
    for (const table of tables) {
      const chain = new Set<number>();
      this.#collect(table.type, table.offset, chain, 0);
      common = common === undefined ? chain : new Set([...common].filter((type) => chain.has(type)));
      if (common.size === 0) return -1;
    }
    const candidates = [...(common ?? [])];
    const lowest = candidates.filter((type) => {
      for (const other of candidates) {
        if (other === type) continue;
        const above = new Set<number>();
        this.#collect(other, undefined, above, 0);
        if (above.has(type)) return false;
      }
      return true;
    });
    return lowest.length === 1 ? (lowest[0] as number) : -1;
  }

  /** A class and its bases that reach to the vptr at `offset` (all of them without an offset). */
  #collect(type: number, offset: number | undefined, into: Set<number>, depth: number): void {
    if (depth > mostDepth || into.has(type)) return;
    into.add(type);
    for (const base of (this.#classes.all[type] as Class).bases) {
      if (offset === undefined || base.virtual) this.#collect(base.type, offset === undefined ? undefined : 0, into, depth + 1);
      else if (base.offset <= offset) this.#collect(base.type, offset - base.offset, into, depth + 1);
    }
  }
}
