/**
 * What was found out about places in a file, the latest kept: two ways in each set, as in
 * a processor's cache, so that a million different places cost little more than looking
 * each of them up. A value is kept when its place is met for the second time: what a
 * garbage collector need not move costs least.
 */
const leastSets = 128;

export class PlaceCache<Value> {
  readonly #mostSets: number;
  /** Place of each entry, -1 for none; the later one of a set first. */
  #places = new Float64Array(leastSets * 2).fill(-1);
  #values: (Value | undefined)[] = new Array(leastSets * 2).fill(undefined);
  #shift = 32 - Math.log2(leastSets);
  #added = 0;

  /** `capacity`: how many entries at most, about. */
  constructor(capacity: number) {
    this.#mostSets = Math.max(leastSets, 2 ** Math.ceil(Math.log2(Math.max(1, capacity / 2))));
  }

  get(place: number): Value | undefined {
    const at = this.#setOf(place);
    if (this.#places[at] === place) return this.#values[at];
    return this.#places[at + 1] === place ? this.#values[at + 1] : undefined;
  }

  set(place: number, value: Value): void {
    // Counts what is met again too: then it is soon large enough for all of it.
    if (++this.#added > this.#places.length / 2 && this.#places.length < this.#mostSets * 2) this.#grow();
    const at = this.#setOf(place);
    if (this.#places[at] === place) this.#values[at] = value;
    else if (this.#places[at + 1] === place) this.#values[at + 1] = value;
    else this.#put(at, place, undefined);
  }

  #put(at: number, place: number, value: Value | undefined): void {
    this.#places[at + 1] = this.#places[at] as number;
    this.#places[at] = place;
    if (value === undefined && this.#values[at] === undefined && this.#values[at + 1] === undefined) return;
    this.#values[at + 1] = this.#values[at];
    this.#values[at] = value;
  }

  /** Index of the first entry of the place's set. */
  #setOf(place: number): number {
    return (Math.imul(place ^ (place / 2 ** 32), 0x9e3779b1) >>> this.#shift) * 2;
  }

  #grow(): void {
    const places = this.#places;
    const values = this.#values;
    const length = Math.min(places.length * 4, this.#mostSets * 2);
    this.#places = new Float64Array(length).fill(-1);
    this.#values = new Array(length).fill(undefined);
    this.#shift = 32 - Math.log2(length / 2);
    this.#added = 0;
    // The later ones last, so that they stay the later ones.
    for (let at = places.length - 1; at >= 0; at--) {
      if (places[at] !== -1) this.#put(this.#setOf(places[at] as number), places[at] as number, values[at]);
    }
  }
}
