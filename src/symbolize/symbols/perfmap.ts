/**
 * Names of code that a just-in-time compiler made, from /tmp/perf-PID.map: one function a
 * line, `start size name`, both numbers in hex, the name to the line's end. Format:
 * tools/perf/Documentation/jit-interface.txt of the Linux sources. The file grows while
 * the process runs; where code moved, the later line counts.
 */
import type { ProcessAddress } from '../../base/numbers.ts';
import type { FileReader } from '../../bytes/file.ts';

/** A function that a compiler made at run time. */
export interface MadeFunction {
  /** Its address in the process. */
  readonly start: number;
  readonly size: number;
  readonly name: string;
}

const mostEntries = 1_000_000;
const chunkSize = 1 << 20;
/** How many overlapping entries a look-up goes back through. */
const mostSteps = 256;

export class PerfMap {
  /** By start; of equal ones the later line last. */
  #entries: MadeFunction[] = [];
  #sorted = true;
  #consumed = 0;

  /** What a forked child starts with; its own file, if it writes one, starts anew. */
  copy(): PerfMap {
    const map = new PerfMap();
    map.#entries = this.#entries.slice();
    map.#sorted = this.#sorted;
    map.#consumed = this.#consumed;
    return map;
  }

  /** Takes in what the file has gained since the last call. */
  update(reader: FileReader): void {
    if (reader.size < this.#consumed) {
      // Written anew, by another process of the same number.
      this.#entries = [];
      this.#consumed = 0;
    }
    const decoder = new TextDecoder();
    while (this.#consumed < reader.size && this.#entries.length < mostEntries) {
      const bytes = reader.read(this.#consumed, chunkSize);
      // A line that is still being written waits for the next call.
      const end = bytes.lastIndexOf(0x0a) + 1;
      if (end === 0) {
        if (bytes.length < chunkSize) return;
        this.#consumed += bytes.length;
        continue;
      }
      for (const row of decoder.decode(bytes.subarray(0, end)).split('\n')) this.#addLine(row);
      this.#consumed += end;
    }
  }

  #addLine(row: string): void {
    const match = /^(?:0x)?([0-9a-f]{1,16}) (?:0x)?([0-9a-f]{1,8}) (.+)$/i.exec(row);
    if (match === null || this.#entries.length >= mostEntries) return;
    const [, start = '', size = '', name = ''] = match;
    const entry = { start: Number.parseInt(start, 16), size: Number.parseInt(size, 16), name };
    if (entry.start < (this.#entries.at(-1)?.start ?? 0)) this.#sorted = false;
    this.#entries.push(entry);
  }

  /** All of them, by address, earlier lines for the same code included. */
  functions(): Iterable<MadeFunction> {
    return this.#inOrder();
  }

  /** By start; of equal ones the later line last: Array.prototype.sort is stable. */
  #inOrder(): readonly MadeFunction[] {
    if (!this.#sorted) this.#entries.sort((a, b) => a.start - b.start);
    this.#sorted = true;
    return this.#entries;
  }

  /** The function that covers an address, and how far into it that is. */
  at(address: ProcessAddress): { readonly name: string; readonly offset: number } | undefined {
    this.#inOrder();
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle]?.start as number) <= address) low = middle + 1;
      else high = middle;
    }
    for (let at = low - 1; at >= Math.max(0, low - mostSteps); at--) {
      const entry = this.#entries[at] as MadeFunction;
      const offset = address - entry.start;
      if (offset < entry.size) return { name: entry.name, offset };
    }
    return undefined;
  }
}
