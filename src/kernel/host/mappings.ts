/**
 * Follows the executable mappings of all processes, so that the addresses of one that
 * lived five milliseconds can still be named (perf_event_open(2): mmap2, comm, task).
 *
 * A dummy software event on each CPU carries no samples, only these side-band records.
 * They wait in a small ring a CPU until drained: before addresses are named, or when a
 * ring is half full.
 */
import { closeFd } from '../sys/bpf.ts';
import { CallError } from '../sys/errno.ts';
import { type Mapping, mapMemory } from '../sys/memory.ts';
import { PERF_COUNT_SW_DUMMY, PerfType, perfEventOpen } from '../sys/perf.ts';
import { type Watch, watchFd } from '../sys/poll.ts';
import { Clock, clockNanoseconds } from '../sys/process.ts';
import { onlineCpus, pageSize } from './machine.ts';
import { decodeSideband, type TaskEvent } from './sideband.ts';

export type { TaskEvent } from './sideband.ts';

const PERF_SAMPLE_TIME = 1 << 2;
/** 512 KiB: what some 500 processes leave that start and end while the tracer gets no processor; perf_event_mlock_kb allows as much. */
const mostPages = 128;

/** Offsets in struct perf_event_mmap_page, in 8-byte words. */
const dataHead = 1024 / 8;
const dataTail = 1032 / 8;

export class MappingTracker {
  readonly #rings: PerfRing[] = [];
  readonly #watches: Watch[] = [];
  readonly #sink: (event: TaskEvent) => void;
  /** Events newer than the drain that met them: another CPU's older ones come first. */
  #pending: TaskEvent[] = [];
  #draining = false;

  /** Starts following; `sink` gets all events in the order of their time, from drain() or a full ring. */
  constructor(sink: (event: TaskEvent) => void) {
    this.#sink = sink;
    try {
      for (const cpu of onlineCpus()) this.#rings.push(openRing(cpu));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Also drains by itself whenever a ring is half full. Keeps the process alive until close(). */
  watch(): void {
    if (this.#watches.length > 0) return;
    for (const ring of this.#rings) this.#watches.push(watchFd(ring.fd, () => this.drain()));
  }

  /** Hands on what happened until now; nothing while it does so already, as the order of time is kept. */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      this.#drain();
    } finally {
      this.#draining = false;
    }
  }

  #drain(): void {
    // What carries an older time than this is in its ring by now.
    const now = Number(clockNanoseconds(Clock.MONOTONIC));
    const events = this.#pending;
    for (const ring of this.#rings) ring.drain(events);
    events.sort((a, b) => a.time - b.time);
    const newer = events.findIndex((event) => event.time > now);
    this.#pending = newer < 0 ? [] : events.splice(newer);
    for (const event of events) this.#sink(event);
  }

  close(): void {
    for (const watch of this.#watches.splice(0)) watch.close();
    for (const ring of this.#rings.splice(0)) ring.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

class PerfRing {
  readonly fd: number;
  readonly #mapping: Mapping;
  readonly #positions: BigInt64Array;
  readonly #data: Uint8Array;
  readonly #scratch = new DataView(new ArrayBuffer(1 << 16));

  constructor(fd: number, mapping: Mapping) {
    this.fd = fd;
    this.#mapping = mapping;
    this.#positions = new BigInt64Array(mapping.buffer, 0, pageSize() / 8);
    this.#data = new Uint8Array(mapping.buffer, pageSize());
  }

  /** Appends all records, and frees their room. */
  drain(events: TaskEvent[]): void {
    const head = Number(Atomics.load(this.#positions, dataHead));
    let tail = Number(Atomics.load(this.#positions, dataTail));
    if (head === tail) return;
    while (tail < head) {
      this.#copy(tail, 8);
      const size = this.#scratch.getUint16(6, true);
      this.#copy(tail, size);
      const event = decodeSideband(this.#scratch, 0);
      if (event) events.push(event);
      tail += size;
    }
    Atomics.store(this.#positions, dataTail, BigInt(head));
  }

  /** Copies a record out of the ring, where its end may have wrapped around to the start. */
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

/** Opens the ring of a CPU, smaller ones when perf_event_mlock_kb and RLIMIT_MEMLOCK are used up. */
function openRing(cpu: number): PerfRing {
  for (let pages = mostPages; ; pages /= 2) {
    const bytes = pages * pageSize();
    const fd = perfEventOpen(
      {
        type: PerfType.SOFTWARE,
        config: PERF_COUNT_SW_DUMMY,
        sampleType: PERF_SAMPLE_TIME,
        flags: ['mmap', 'mmap2', 'comm', 'commExec', 'task', 'sampleIdAll', 'watermark', 'useClockid'],
        wakeupWatermark: bytes / 2,
        clockid: Clock.MONOTONIC,
        cpu,
      },
      `process mappings on CPU ${cpu}`,
    );
    try {
      return new PerfRing(fd, mapMemory(fd, pageSize() + bytes, 0, true));
    } catch (error) {
      closeFd(fd);
      if (!(error instanceof CallError) || error.code !== 'EPERM' || pages === 1) throw error;
    }
  }
}
