/** A script's maps as the kernel holds them: read whole, cleared, zeroed, by their index in Program.maps. */
import { invariant } from '../base/errors.ts';
import { Lru } from '../base/lru.ts';
import type { LoadedMap, LoadedProgram } from '../kernel/load/load.ts';
import { clearMap, readElement, readMap, zeroMap } from '../kernel/ring/map.ts';
import { mapUpdate } from '../kernel/sys/bpf.ts';
import {
  readMap as decodeMap,
  type FinishStack,
  finishStacks,
  type MapValue,
  type RawEntry,
  type StackPlace,
} from '../values/index.ts';

/** As many as the kernel keeps (compiler/lower/assets.ts). */
const mostFinished = 16384;

export class ScriptMaps {
  readonly #loaded: LoadedProgram;
  /** Frames that user space has found, by their key. */
  readonly #finished: Lru<bigint, BigUint64Array> = new Lru(mostFinished);
  /** Finishes stacks that the kernel could not. */
  finish: FinishStack | undefined;

  constructor(loaded: LoadedProgram) {
    this.#loaded = loaded;
  }

  /** Finishes stacks in bytes, in place; true when any was unfinished. */
  finishStacks(view: DataView, start: number, places: readonly StackPlace[]): boolean {
    const { finish } = this;
    if (finish === undefined) return false;
    return finishStacks(view, start, places, finish, (key, frames) => this.#finished.set(key, frames));
  }

  #map(index: number): LoadedMap {
    const map = this.#loaded.maps[index];
    invariant(map !== undefined, `the program has no map ${index}`);
    return map;
  }

  /** Everything in a script's map (index into Program.maps). */
  read(index: number): MapValue {
    const map = this.#map(index);
    return decodeMap(map.spec, isHash(map) ? hashEntries(map) : arrayEntry(map), (view, places) =>
      this.finishStacks(view, 0, places),
    );
  }

  /** Removes everything. */
  clear(index: number): void {
    const map = this.#map(index);
    if (isHash(map)) clearMap(map);
    else mapUpdate(map.fd, firstKey(map), new Uint8Array(map.spec.valueSize));
  }

  /** Sets every value to zero; keys stay. */
  zero(index: number): void {
    const map = this.#map(index);
    const storage = map.spec.user?.storage;
    if (storage?.kind !== 'array') {
      zeroMap(map);
      return;
    }
    const value = new Uint8Array(map.spec.valueSize);
    const before = readElement(map, firstKey(map));
    const { setOffset } = storage;
    if (before !== undefined) value.set(before.subarray(setOffset, setOffset + 8), setOffset);
    mapUpdate(map.fd, firstKey(map), value);
  }

  /** Frames under an id of a stack map, innermost first, at most `count`; undefined when they are gone. */
  stack(index: number, id: number | bigint, count?: number): (number | bigint)[] | undefined {
    const map = this.#map(index);
    const key = new Uint8Array(BigUint64Array.of(BigInt(id)).buffer, 0, map.spec.keySize);
    const value = readElement(map, key);
    const kept = value === undefined ? this.#finished.get(BigInt(id)) : new BigUint64Array(value.buffer);
    if (kept === undefined) return undefined;
    const frames: (number | bigint)[] = [];
    for (const address of kept.slice(0, count)) {
      if (address === 0n) break;
      frames.push(address <= Number.MAX_SAFE_INTEGER ? Number(address) : address);
    }
    return frames;
  }

  /** All of the script's maps, by name, as they are printed at the end. */
  *all(): Generator<MapValue, void, void> {
    const named = this.#loaded.maps
      .map((map, index) => ({ index, map }))
      .filter(({ map }) => map.spec.role === 'user')
      .sort((a, b) => (a.map.spec.name < b.map.spec.name ? -1 : 1));
    for (const { index } of named) yield this.read(index);
  }
}

const isHash = (map: LoadedMap): boolean => map.spec.user?.storage.kind === 'hash';

const firstKey = (map: LoadedMap): Uint8Array => new Uint8Array(map.spec.keySize);

function arrayEntry(map: LoadedMap): RawEntry[] {
  const value = readElement(map, firstKey(map));
  return value === undefined ? [] : [{ key: firstKey(map), value }];
}

function hashEntries(map: LoadedMap): RawEntry[] {
  const { count, keys, values, layout } = readMap(map);
  const { keySize } = map.spec;
  return Array.from({ length: count }, (_, i) => ({
    key: keys.subarray(i * keySize, (i + 1) * keySize),
    value: values.subarray(i * layout.size, (i + 1) * layout.size),
  }));
}
