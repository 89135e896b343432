/**
 * Reading, clearing and zeroing the maps of a running Program: whole hashes by batch
 * look-ups, single elements, and arrays through shared memory.
 */
import { MachineError } from '../../base/errors.ts';
import type { MapKind } from '../../program/program.ts';
import { pageSize, possibleCpus } from '../host/machine.ts';
import type { LoadedMap } from '../load/load.ts';
import { mapDelete, mapLookup, mapLookupBatch, mapNextKey, mapUpdate } from '../sys/bpf.ts';
import { isUnsupported } from '../sys/bpfcall.ts';
import { type Mapping, mapMemory } from '../sys/memory.ts';

const perCpuKinds: ReadonlySet<MapKind> = new Set<MapKind>(['PERCPU_HASH', 'PERCPU_ARRAY', 'LRU_PERCPU_HASH']);

/** How an element's value comes out of a map. */
export interface ValueLayout {
  /** Values in it: possible CPUs for a per-CPU kind, else 1. */
  readonly cpus: number;
  /** Bytes from one CPU's value to the next: the size, rounded up to 8 for per-CPU kinds. */
  readonly stride: number;
  /** Bytes of the whole element. */
  readonly size: number;
}

export function valueLayout(kind: MapKind, valueSize: number): ValueLayout {
  if (!perCpuKinds.has(kind)) return { cpus: 1, stride: valueSize, size: valueSize };
  const stride = (valueSize + 7) & ~7;
  return { cpus: possibleCpus(), stride, size: stride * possibleCpus() };
}

/** All elements of a map, one after the other. */
export interface MapContents {
  readonly count: number;
  /** `count` × keySize bytes. */
  readonly keys: Uint8Array;
  /** `count` × layout.size bytes. */
  readonly values: Uint8Array;
  readonly layout: ValueLayout;
}

/** Bytes of one batch's values at most, unless a single hash bucket holds more. */
const batchBytes = 1 << 20;

/** Reads a hash, or with `remove` takes all out of it (each element once, while programs go on writing). */
export function readMap(map: LoadedMap, remove = false): MapContents {
  const { keySize, valueSize, kind, maxEntries } = map.spec;
  const layout = valueLayout(kind, valueSize);
  const contents = new Contents(keySize, layout);
  let room = Math.max(1, Math.min(maxEntries, Math.floor(batchBytes / layout.size)));
  let keys = new Uint8Array(room * keySize);
  let values = new Uint8Array(room * layout.size);
  let position: Uint8Array | undefined;
  for (;;) {
    const next = new Uint8Array(Math.max(4, keySize));
    try {
      const batch = mapLookupBatch(map.fd, position, next, keys, values, room, remove);
      contents.add(keys, values, batch.count);
      if (batch.last) return contents.done();
      position = next;
    } catch (error) {
      if (!(error instanceof MachineError)) throw error;
      if (error.code === 'ENOSPC' && room < maxEntries) {
        room = Math.min(room * 4, maxEntries);
        keys = new Uint8Array(room * keySize);
        values = new Uint8Array(room * layout.size);
      } else if (isUnsupported(error) && position === undefined) {
        return readOneByOne(map, layout, remove);
      } else throw error;
    }
  }
}

/** For kinds and kernels without batches. A key that is deleted meanwhile sends the walk back to the start. */
export function readOneByOne(map: LoadedMap, layout: ValueLayout, remove: boolean): MapContents {
  const { keySize, maxEntries } = map.spec;
  const contents = new Contents(keySize, layout);
  const seen = new Set<string>();
  const value = new Uint8Array(layout.size);
  let key = new Uint8Array(keySize);
  let next = new Uint8Array(keySize);
  let more = mapNextKey(map.fd, undefined, key);
  for (let steps = 0; more && steps < 4 * maxEntries; steps++) {
    more = mapNextKey(map.fd, key, next);
    const name = Buffer.from(key).toString('latin1');
    if (!seen.has(name)) {
      seen.add(name);
      if (mapLookup(map.fd, key, value)) contents.add(key, value, 1);
      if (remove) mapDelete(map.fd, key);
    }
    [key, next] = [next, key];
  }
  return contents.done();
}

class Contents {
  readonly #keySize: number;
  readonly #layout: ValueLayout;
  readonly #keys: Uint8Array[] = [];
  readonly #values: Uint8Array[] = [];
  #count = 0;

  constructor(keySize: number, layout: ValueLayout) {
    this.#keySize = keySize;
    this.#layout = layout;
  }

  add(keys: Uint8Array, values: Uint8Array, count: number): void {
    if (count === 0) return;
    this.#keys.push(keys.slice(0, count * this.#keySize));
    this.#values.push(values.slice(0, count * this.#layout.size));
    this.#count += count;
  }

  done(): MapContents {
    return { count: this.#count, keys: joined(this.#keys), values: joined(this.#values), layout: this.#layout };
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? (parts[0] as Uint8Array) : new Uint8Array(Buffer.concat(parts));
}

/** One element's value (all CPUs'), undefined when there is no such key. */
export function readElement(map: LoadedMap, key: Uint8Array): Uint8Array | undefined {
  const value = new Uint8Array(valueLayout(map.spec.kind, map.spec.valueSize).size);
  return mapLookup(map.fd, key, value) ? value : undefined;
}

/** Removes all elements of a hash. */
export function clearMap(map: LoadedMap): void {
  readMap(map, true);
}

/** Sets the values of all elements of a hash to zero and leaves the keys. */
export function zeroMap(map: LoadedMap): void {
  const { count, keys, layout } = readMap(map);
  const zeros = new Uint8Array(layout.size);
  const { keySize } = map.spec;
  for (let i = 0; i < count; i++) mapUpdate(map.fd, keys.subarray(i * keySize, (i + 1) * keySize), zeros);
}

/**
 * The elements of an ARRAY with BPF_F_MMAPABLE as shared memory, each rounded up to 8
 * bytes; what programs write is there at once. Not for frozen maps (read their
 * `initial` instead): a frozen map may not be mapped for writing.
 */
export function mapArray(map: LoadedMap): Mapping {
  const element = (map.spec.valueSize + 7) & ~7;
  const page = pageSize();
  return mapMemory(map.fd, Math.ceil((element * map.spec.maxEntries) / page) * page, 0, true);
}
