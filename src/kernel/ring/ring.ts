/**
 * Reader of a BPF ring buffer (Documentation/bpf/ringbuf.rst).
 *
 * Two positions count bytes for ever: the consumer's, in a page that we write, and the
 * producer's, in a page that only the kernel writes. Behind that lie the data, mapped
 * twice in a row so that no record is ever in two parts. A record is a u32 length with
 * two flag bits, a u32 for the kernel, and its bytes, aligned to 8.
 */
import { pageSize } from '../host/machine.ts';
import { type Mapping, mapMemory } from '../sys/memory.ts';

const BUSY_BIT = 0x8000_0000 | 0;
const DISCARD_BIT = 0x4000_0000;
const HEADER_SIZE = 8;
/** Bytes after which the kernel is told that they are free again, within a long run. */
const publishEvery = 1 << 16;

/**
 * Takes one record: `size` bytes of `view` from `offset`. The view is the shared memory
 * itself, valid until the function returns: copy what is to be kept.
 */
export type RecordSink = (view: DataView, offset: number, size: number) => void;

export class RingReader {
  readonly #consumerPage: Mapping;
  readonly #dataPages: Mapping;
  readonly #consumer: BigInt64Array;
  readonly #producer: BigInt64Array;
  readonly #lengths: Int32Array;
  readonly #view: DataView;
  readonly #mask: number;
  readonly #sink: RecordSink;
  #position: number;
  #open = true;

  /** `size`: the map's max_entries. */
  constructor(fd: number, size: number, sink: RecordSink) {
    const page = pageSize();
    this.#sink = sink;
    this.#mask = size - 1;
    this.#consumerPage = mapMemory(fd, page, 0, true);
    try {
      this.#dataPages = mapMemory(fd, page + 2 * size, page, false);
    } catch (error) {
      this.#consumerPage.close();
      throw error;
    }
    this.#consumer = new BigInt64Array(this.#consumerPage.buffer, 0, 1);
    this.#producer = new BigInt64Array(this.#dataPages.buffer, 0, 1);
    this.#lengths = new Int32Array(this.#dataPages.buffer, page, (2 * size) / 4);
    this.#view = new DataView(this.#dataPages.buffer, page, 2 * size);
    this.#position = Number(Atomics.load(this.#consumer, 0));
  }

  /**
   * Hands on what is there, up to about `limit` bytes, so that a fast producer cannot
   * hold the caller for ever. True: the limit was reached and there may be more.
   */
  drain(limit: number = Number.POSITIVE_INFINITY): boolean {
    const end = this.#position + limit;
    let published = this.#position;
    try {
      while (this.#open) {
        const start = this.#position;
        const available = Math.min(Number(Atomics.load(this.#producer, 0)), published + publishEvery);
        while (this.#position < available) {
          const at = this.#position & this.#mask;
          const length = Atomics.load(this.#lengths, at >>> 2);
          if ((length & BUSY_BIT) !== 0) break;
          const size = length & ~DISCARD_BIT;
          this.#position += (HEADER_SIZE + size + 7) & ~7;
          if ((length & DISCARD_BIT) === 0) this.#sink(this.#view, at + HEADER_SIZE, size);
          if (!this.#open) return false; // closed by the sink
        }
        // A commit wakes the reader only when the published position is that record's own:
        // so publish, and look again before any wait.
        if (this.#position === start) return false;
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
    this.#dataPages.close();
  }
}
