/** A map that forgets the entry unused for longest when it gets too large. */
export class Lru<Key, Value> {
  readonly capacity: number;
  readonly #entries: Map<Key, Value> = new Map();
  readonly #onForget: ((value: Value, key: Key) => void) | undefined;

  /** `onForget` is told of entries that are pushed out (not of deleted or replaced ones). */
  constructor(capacity: number, onForget?: (value: Value, key: Key) => void) {
    this.capacity = Math.max(1, capacity);
    this.#onForget = onForget;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The value of a key, which counts as used now. */
  get(key: Key): Value | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  set(key: Key, value: Value): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    while (this.#entries.size > this.capacity) {
      const [oldest] = this.#entries;
      if (oldest === undefined) return;
      this.#entries.delete(oldest[0]);
      this.#onForget?.(oldest[1], oldest[0]);
    }
  }

  delete(key: Key): void {
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }

  keys(): IterableIterator<Key> {
    return this.#entries.keys();
  }

  values(): IterableIterator<Value> {
    return this.#entries.values();
  }
}
