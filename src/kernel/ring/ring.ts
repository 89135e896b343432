/**
 * Reader of a BPF ring buffer (Documentation/bpf/ringbuf.rst).
 *
 * Two positions count bytes for ever: the consumer's, in a page that we write, and the
 * producer's, in a page that only the kernel writes. Behind that lie the data, to be
 * mapped twice in a row so that no record is ever in two parts. A record is a u32 length
 * with two flag bits, a u32 for the kernel, and its bytes, aligned to 8.
 *
 * Of the data only a window is mapped, which moves on with the reader: mapping all of a
 * large buffer takes 0.2 ms a MiB at the start, and counts twice as our memory.
 */
import { pageSize } from '../host/machine.ts';
import { type Mapping, mapMemory } from '../sys/memory.ts';

const BUSY_BIT = 0x8000_0000 | 0;
const DISCARD_BIT = 0x4000_0000;
const HEADER_SIZE = 8;
/** Bytes after which the kernel is told that they are free again, within a long run. */
const publishEvery = 1 << 16;
/** Bytes of data that are mapped at a time; more where a record is longer. */
const windowSize = 1 << 20;

/**
 * Takes one record: `size` bytes of `view` from `offset`. The view is the shared memory
 * itself, valid until the function returns: copy what is to be kept.
 */
export type RecordSink = (view: DataView, offset: number, size: number) => void;

export class RingReader {
  readonly #fd: number;
  readonly #size: number;
  readonly #page: number;
  readonly #consumerPage: Mapping;
  readonly #producerPage: Mapping;
  readonly #consumer: BigInt64Array;
  readonly #producer: BigInt64Array;
  readonly #sink: RecordSink;
  #window!: Mapping;
  #lengths!: Int32Array;
  #view!: DataView;
  /** The part of the data that the window shows. */
  #start = 0;
  #end = 0;
  #position: number;
  #open = true;

  /** `size`: the map's max_entries. */
  constructor(fd: number, size: number, sink: RecordSink) {
    this.#fd = fd;
    this.#size = size;
    this.#sink = sink;
    this.#page = pageSize();
    const mapped: Mapping[] = [];
    try {
      mapped.push(mapMemory(fd, this.#page, 0, true), mapMemory(fd, this.#page, this.#page, false));
      [this.#consumerPage, this.#producerPage] = mapped as [Mapping, Mapping];
      this.#consumer = new BigInt64Array(this.#consumerPage.buffer, 0, 1);
      this.#producer = new BigInt64Array(this.#producerPage.buffer, 0, 1);
      this.#position = Number(Atomics.load(this.#consumer, 0));
      this.#openWindow(this.#position & (size - 1), Math.min(windowSize, 2 * size));
    } catch (error) {
      for (const mapping of mapped) mapping.close();
      throw error;
    }
  }

  /** Where a window of `length` bytes begins that shows what is at `at`: nothing lies behind the second copy. */
  #startFor(at: number, length: number): number {
    return Math.min(at - (at % this.#page), 2 * this.#size - length);
  }

  #openWindow(at: number, length: number): void {
    this.#start = this.#startFor(at, length);
    this.#window = mapMemory(this.#fd, length, 2 * this.#page + this.#start, false);
    this.#end = this.#start + length;
    this.#lengths = new Int32Array(this.#window.buffer);
    this.#view = new DataView(this.#window.buffer);
  }

  /** Moves the window so that it shows `bytes` from `at`. */
  #show(at: number, bytes: number): void {
    const length = this.#view.byteLength;
    if (bytes + this.#page > length && length < 2 * this.#size) {
      const pages = Math.ceil(bytes / this.#page) + 1;
      this.#window.close();
      this.#openWindow(at, Math.min(pages * this.#page, 2 * this.#size));
      return;
    }
    this.#start = this.#startFor(at, length);
    this.#end = this.#start + length;
    this.#window.move(2 * this.#page + this.#start);
  }

  /**
   * Hands on what is there, up to about `limit` bytes, so that a fast producer cannot
   * hold the caller for ever. True: the limit was reached and there may be more.
   */
  drain(limit: number = Number.POSITIVE_INFINITY): boolean {
    const end = this.#position + limit;
    const mask = this.#size - 1;
    let published = this.#position;
    try {
      while (this.#open) {
        const first = this.#position;
        const available = Math.min(Number(Atomics.load(this.#producer, 0)), published + publishEvery);
        while (this.#position < available) {
          const at = this.#position & mask;
          if (at < this.#start || at + HEADER_SIZE > this.#end) this.#show(at, HEADER_SIZE);
          const length = Atomics.load(this.#lengths, (at - this.#start) >>> 2);
          if ((length & BUSY_BIT) !== 0) break;
          const size = length & ~DISCARD_BIT;
          if (at + HEADER_SIZE + size > this.#end) this.#show(at, HEADER_SIZE + size);
          this.#position += (HEADER_SIZE + size + 7) & ~7;
          if ((length & DISCARD_BIT) === 0) this.#sink(this.#view, at + HEADER_SIZE - this.#start, size);
          if (!this.#open) return false; // closed by the sink
        }
        // A commit wakes the reader only when the published position is that record's own:
        // so publish, and look again before any wait.
        if (this.#position === first) return false;
        this.#publish();
        published = this.#position;
        if (published >= end) return true;
      }
      return false;
    } finally {
      if (this.#open && this.#position !== published) this.#publish(); // the sink threw
    }
  }

  #publish(): void {
    Atomics.store(this.#consumer, 0, BigInt(this.#position));
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#consumerPage.close();
    this.#producerPage.close();
    this.#window.close();
  }
}
