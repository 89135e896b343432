/**
 * What is mapped where in one process, kept up to date the way the kernel tells of it:
 * a new mapping replaces what lay there before (mmap with MAP_FIXED, and every
 * PERF_RECORD_MMAP2), munmap takes away, fork copies, exec starts anew.
 */
import { type FileOffset, fileOffset, type ProcessAddress } from '../../base/numbers.ts';
import { type Mapping, parseMaps } from '../../debuginfo/text/maps.ts';

/** More than the kernel allows a process by default (vm.max_map_count is 65,530). */
const mostMappings = 262_144;

export class ProcessMaps {
  /** By address, without overlap. */
  #mappings: Mapping[];

  constructor(mappings: Iterable<Mapping> = []) {
    this.#mappings = [];
    for (const mapping of mappings) this.add(mapping);
  }

  /** From the text of /proc/PID/maps. */
  static parse(text: string): ProcessMaps {
    return new ProcessMaps(parseMaps(text));
  }

  get mappings(): readonly Mapping[] {
    return this.#mappings;
  }

  /** The mapping that holds an address. */
  find(address: ProcessAddress): Mapping | undefined {
    const mapping = this.#mappings[this.#firstEndingAfter(address)];
    return mapping !== undefined && mapping.start <= address ? mapping : undefined;
  }

  /** Puts a mapping in; older ones keep what sticks out on either side of it. */
  add(mapping: Mapping): void {
    if (!(mapping.end > mapping.start)) return;
    const last = this.#mappings.at(-1);
    if (last === undefined || last.end <= mapping.start) {
      if (this.#mappings.length < mostMappings) this.#mappings.push(mapping);
    } else this.#replace(mapping.start, mapping.end, [mapping]);
  }

  /** Takes away what is mapped from `start` to before `end`. */
  remove(start: ProcessAddress, end: ProcessAddress): void {
    if (end > start) this.#replace(start, end, []);
  }

  /** After exec: nothing of the old program is left. */
  clear(): void {
    this.#mappings = [];
  }

  /** What a forked child starts with. Mappings are immutable, so that sharing them is safe. */
  copy(): ProcessMaps {
    const maps = new ProcessMaps();
    maps.#mappings = this.#mappings.slice();
    return maps;
  }

  #replace(start: ProcessAddress, end: ProcessAddress, by: readonly Mapping[]): void {
    const from = this.#firstEndingAfter(start);
    let to = from;
    const rests: Mapping[][] = [[], []];
    for (let old = this.#mappings[to]; old !== undefined && old.start < end; old = this.#mappings[++to]) {
      if (old.start < start) rests[0]?.push({ ...old, end: start });
      if (old.end > end) rests[1]?.push({ ...old, start: end, offset: offsetOf(old, end) });
    }
    this.#mappings.splice(from, to - from, ...(rests[0] ?? []), ...by, ...(rests[1] ?? []));
  }

  /** Index of the first mapping whose end lies above an address. */
  #firstEndingAfter(address: ProcessAddress): number {
    let low = 0;
    let high = this.#mappings.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#mappings[middle]?.end as number) > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** The place in the mapped file of the byte at an address within the mapping. */
export function offsetOf(mapping: Mapping, address: ProcessAddress): FileOffset {
  return fileOffset(address - mapping.start + mapping.offset);
}
