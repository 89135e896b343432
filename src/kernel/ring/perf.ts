/**
 * Rings of perf events (perf_event_open(2), struct perf_event_mmap_page): one for each
 * event, which is of one CPU. Behind a page with the two positions lie the data, in which
 * a record's end may have wrapped around to the start.
 */
import { readSync } from 'node:fs';
import { pageSize } from '../host/machine.ts';
import { closeFd } from '../sys/bpfcall.ts';
import { CallError } from '../sys/errno.ts';
import { type Mapping, mapMemory } from '../sys/memory.ts';
import { type PerfEvent, perfEventOpen } from '../sys/perf.ts';

/** Offsets in struct perf_event_mmap_page, in 8-byte words. */
const dataHead = 1024 / 8;
const dataTail = 1032 / 8;

/** A mapping's record with a path of PATH_MAX bytes. */
const longestSideband = 4096 + 256;

export class PerfRing {
  readonly fd: number;
  readonly #mapping: Mapping;
  readonly #positions: BigInt64Array;
  readonly #data: Uint8Array;
  /** A record's size has 16 bits. */
  readonly #scratch = new DataView(new ArrayBuffer(1 << 16));

  constructor(fd: number, mapping: Mapping) {
    this.fd = fd;
    this.#mapping = mapping;
    this.#positions = new BigInt64Array(mapping.buffer, 0, pageSize() / 8);
    this.#data = new Uint8Array(mapping.buffer, pageSize());
  }

  /**
   * Hands on all records, each from its struct perf_event_header at the view's start, and
   * frees their room. True when another one might have found no room.
   */
  drain(sink: (record: DataView) => void): boolean {
    const head = Number(Atomics.load(this.#positions, dataHead));
    let tail = Number(Atomics.load(this.#positions, dataTail));
    const full = head - tail > this.#data.length - longestSideband;
    if (head === tail) return false;
    while (tail < head) {
      this.#copy(tail, 8);
      const size = this.#scratch.getUint16(6, true);
      this.#copy(tail, size);
      sink(this.#scratch);
      tail += size;
    }
    Atomics.store(this.#positions, dataTail, BigInt(head));
    return full;
  }

  /**
   * Records that found no room so far, those included that no PERF_RECORD_LOST tells of
   * yet: it comes before the next one that finds room. Of an event that was opened with
   * PERF_FORMAT_LOST alone.
   */
  lost(): number {
    const valueAndLost = new BigUint64Array(2);
    readSync(this.fd, valueAndLost);
    return Number(valueAndLost[1]);
  }

  #copy(position: number, size: number): void {
    const start = position % this.#data.length;
    const first = Math.min(size, this.#data.length - start);
    const scratch = new Uint8Array(this.#scratch.buffer);
    scratch.set(this.#data.subarray(start, start + first));
    if (first < size) scratch.set(this.#data.subarray(0, size - first), first);
  }

  close(): void {
    this.#mapping.close();
    closeFd(this.fd);
  }
}

/**
 * Opens an event's ring of `most` pages (a power of two), or of fewer, `least` at the
 * fewest, when perf_event_mlock_kb and RLIMIT_MEMLOCK are used up.
 */
export function openPerfRing(
  event: (bytes: number) => PerfEvent,
  what: string,
  most: number,
  least: number = 1,
): PerfRing {
  for (let pages = most; ; pages /= 2) {
    const bytes = pages * pageSize();
    const fd = perfEventOpen(event(bytes), what);
    try {
      return new PerfRing(fd, mapMemory(fd, pageSize() + bytes, 0, true));
    } catch (error) {
      closeFd(fd);
      if (!(error instanceof CallError) || error.code !== 'EPERM' || pages <= least) throw error;
    }
  }
}
