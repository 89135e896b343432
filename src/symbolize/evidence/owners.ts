/**
 * Whose function it is that several virtual tables hold: the class that declares or last
 * overrides it. A class inherits its bases' functions, so the owner is found by climbing
 * from each holder to the bases whose own table has the same function in the same slot.
 */
import type { Base, Class, Classes } from './classes.ts';
import type { Place, Vtable, Vtables } from './vtables.ts';

export interface Owner {
  /** Index of the class. */
  readonly type: number;
  readonly slot: number;
  /** Where in the object the table's base lies. */
  readonly offset: number;
  /** Bases without a table of their own, any of which may be the owner instead; the nearest first. */
  readonly absent: readonly number[];
  /** How many tables hold the function. */
  readonly holders: number;
  /** Whether the holders agree without looking for a common ancestor. */
  readonly direct: boolean;
}

const mostDepth = 64;
const none: readonly number[] = [];

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
      const absent = this.absentBases(first.table.type, first.table.offset);
      return { type: first.table.type, slot: first.slot, offset: first.table.offset, absent, holders, direct: true };
    }
    const { slot } = first;
    if (tops.some((top) => top.slot !== slot)) return undefined;
    const common = this.#commonAncestor(tops.map((top) => top.table));
    if (common < 0) return undefined;
    // An ancestor with a table of its own has another function there, or none: this one is several alike, folded into one.
    if (this.#vtables.has(common)) {
      return { type: first.table.type, slot, offset: first.table.offset, absent: none, holders, direct: false };
    }
    return { type: common, slot, offset: 0, absent: this.absentBases(common, 0), holders, direct: false };
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

  /** The bases at a place in the object, upwards, as long as they have no table of their own. */
  absentBases(type: number, offset: number): readonly number[] {
    const found: number[] = [];
    let at = offset;
    for (let one = this.#baseAt(type, at); one !== undefined; one = this.#baseAt(one.type, at)) {
      if (this.#vtables.has(one.type) || found.includes(one.type)) break;
      found.push(one.type);
      at -= one.offset;
    }
    return found.length === 0 ? none : found;
  }

  /** The direct base whose part of the object holds the vptr at `offset`. */
  #baseAt(type: number, offset: number): Base | undefined {
    let best: Base | undefined;
    for (const base of (this.#classes.all[type] as Class).bases) {
      if (base.virtual || base.offset > offset || base.offset < (best?.offset ?? 0)) continue;
      // Of several at one offset all but one are empty; the one with tables, or bases, is not.
      if (base.offset === best?.offset && !this.#isPolymorphic(base.type)) continue;
      best = base;
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
      if (offset === undefined || base.virtual)
        this.#collect(base.type, offset === undefined ? undefined : 0, into, depth + 1);
      else if (base.offset <= offset) this.#collect(base.type, offset - base.offset, into, depth + 1);
    }
  }
}
