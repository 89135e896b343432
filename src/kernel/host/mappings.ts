/**
 * Follows the executable mappings of all processes, so that the addresses of one that
 * lived five milliseconds can still be named (perf_event_open(2): mmap2, comm, task).
 *
 * A dummy software event on each CPU carries no samples, only these side-band records.
 * They wait in a small ring a CPU until drained: before addresses are named, or when a
 * ring is half full. What finds no room there is counted.
 */
import { openPerfRing, type PerfRing } from '../ring/perf.ts';
import { PERF_COUNT_SW_DUMMY, PERF_FORMAT_LOST, type PerfEvent, PerfType } from '../sys/perf.ts';
import { type Watch, watchFd } from '../sys/poll.ts';
import { Clock, clockNanoseconds } from '../sys/process.ts';
import { kernelAtLeast, onlineCpus } from './machine.ts';
import { decodeSideband, type TaskEvent } from './sideband.ts';

export type { TaskEvent } from './sideband.ts';

const PERF_SAMPLE_TIME = 1 << 2;
/** 512 KiB: what some 500 processes leave that start and end while the tracer gets no processor; perf_event_mlock_kb allows as much. */
const mostPages = 128;

export class MappingTracker {
  readonly #rings: SidebandRing[] = [];
  readonly #watches: Watch[] = [];
  readonly #sink: (event: TaskEvent) => void;
  /** Events newer than the drain that met them: another CPU's older ones come first. */
  #pending: TaskEvent[] = [];
  #draining = false;

  /** Starts following; `sink` gets all events in the order of their time, from drain() or a full ring. */
  constructor(sink: (event: TaskEvent) => void) {
    this.#sink = sink;
    try {
      for (const cpu of onlineCpus()) this.#rings.push(new SidebandRing(cpu));
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

/** The ring of a CPU. */
class SidebandRing {
  readonly #ring: PerfRing;
  /** Lost records: those that other records tell of, and those that have been handed on. */
  #recorded = 0;
  #told = 0;

  constructor(cpu: number) {
    const event = (bytes: number): PerfEvent => ({
      type: PerfType.SOFTWARE,
      config: PERF_COUNT_SW_DUMMY,
      sampleType: PERF_SAMPLE_TIME,
      readFormat: countsLost() ? PERF_FORMAT_LOST : 0,
      flags: ['mmap', 'mmap2', 'comm', 'commExec', 'task', 'sampleIdAll', 'watermark', 'useClockid'],
      wakeupWatermark: bytes / 2,
      clockid: Clock.MONOTONIC,
      cpu,
    });
    this.#ring = openPerfRing(event, `process mappings on CPU ${cpu}`, mostPages);
  }

  get fd(): number {
    return this.#ring.fd;
  }

  /** Appends what there is. */
  drain(events: TaskEvent[]): void {
    let time = 0;
    const full = this.#ring.drain((record) => {
      const event = decodeSideband(record, 0);
      if (event === undefined) return;
      time = event.time;
      if (event.kind === 'lost') {
        this.#recorded += event.count;
        this.#tellLost(events, time, this.#recorded);
      } else events.push(event);
    });
    if (full && countsLost()) this.#tellLost(events, time, this.#ring.lost());
  }

  #tellLost(events: TaskEvent[], time: number, lost: number): void {
    if (lost <= this.#told) return;
    events.push({ kind: 'lost', time, pid: 0, count: lost - this.#told });
    this.#told = lost;
  }

  close(): void {
    this.#ring.close();
  }
}

const countsLost = (): boolean => kernelAtLeast(6, 0);
