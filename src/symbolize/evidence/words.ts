const filterBits = 22;
const filterMask = (1 << filterBits) - 1;

/** A number for some of a program's words, by address: asked for every reference, where most have none. */
export class WordMap {
  /** One bit for each 8-byte word, folded: whether any number may be known of it. */
  readonly #bits: Uint8Array = new Uint8Array(1 << (filterBits - 3));
  readonly #numbers: Map<number, number> = new Map();

  set(address: number, number: number): void {
    const word = (address >>> 3) & filterMask;
    this.#bits[word >>> 3] = (this.#bits[word >>> 3] as number) | (1 << (word & 7));
    this.#numbers.set(address, number);
  }

  /** The number at an address, -1 when there is none. */
  get(address: number): number {
    const word = (address >>> 3) & filterMask;
    if ((((this.#bits[word >>> 3] as number) >>> (word & 7)) & 1) === 0) return -1;
    return this.#numbers.get(address) ?? -1;
  }
}
