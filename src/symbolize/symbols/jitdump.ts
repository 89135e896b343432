/**
 * Names of code that a just-in-time compiler made, from a jitdump file (jit-PID.dump).
 * Format: tools/perf/Documentation/jitdump-specification.txt of the Linux sources: a
 * header, then records that only ever get more. Code may move (V8 compacts its heap):
 * what was written last for an address counts.
 *
 * A process shows that it writes one by mapping it executable; that mapping is how the
 * file is found. Code is not kept, only where it is and what it is called.
 */
import type { ProcessAddress } from '../../base/numbers.ts';
import { Cursor, EndOfBytes } from '../../bytes/cursor.ts';
import type { FileReader } from '../../bytes/file.ts';
import type { MadeFunction } from './perfmap.ts';

const magic = 0x4a695444;
const headerSize = 40;
const JIT_CODE_LOAD = 0;
const JIT_CODE_MOVE = 1;
/** Longer ones are no names; the code behind them is stepped over unread. */
const mostNameBytes = 4096;
const mostEntries = 1_000_000;

export class JitDump {
  /** By start; entries do not overlap, except for what was written before the last sort. */
  #codes: MadeFunction[] = [];
  /** As written since. */
  #fresh: MadeFunction[] = [];
  readonly #byIndex: Map<number, MadeFunction> = new Map();
  #littleEndian = true;
  #consumed = 0;

  /** Takes in what the file has gained since the last call. */
  update(reader: FileReader): void {
    if (reader.size < this.#consumed) {
      this.#codes = [];
      this.#fresh = [];
      this.#byIndex.clear();
      this.#consumed = 0;
    }
    if (this.#consumed === 0 && !this.#readHeader(reader)) return;
    while (this.#byIndex.size < mostEntries) {
      const head = new Cursor(reader.read(this.#consumed, 16), this.#littleEndian);
      if (head.remaining < 16) return;
      const id = head.u32();
      const size = head.u32();
      // A record that is still being written waits for the next call.
      if (size < 16 || this.#consumed + size > reader.size) return;
      if (id === JIT_CODE_LOAD || id === JIT_CODE_MOVE) {
        const bytes = reader.read(this.#consumed + 16, Math.min(size - 16, 48 + mostNameBytes));
        try {
          this.#record(id, new Cursor(bytes, this.#littleEndian));
        } catch (error) {
          if (!(error instanceof EndOfBytes)) throw error;
        }
      }
      this.#consumed += size;
    }
  }

  #readHeader(reader: FileReader): boolean {
    const bytes = reader.read(0, headerSize);
    if (bytes.length < headerSize) return false;
    const first = new Cursor(bytes, true).u32();
    const swapped = new Cursor(bytes, false).u32();
    if (first !== magic && swapped !== magic) return false;
    this.#littleEndian = first === magic;
    const size = new Cursor(bytes, this.#littleEndian, 8).u32();
    if (size < headerSize) return false;
    this.#consumed = size;
    return true;
  }

  #record(id: number, cursor: Cursor): void {
    cursor.skip(8); // pid, tid
    cursor.skip(8); // vma: the same as code_addr in all writers
    if (id === JIT_CODE_LOAD) {
      const start = cursor.u64number();
      const size = cursor.u64number();
      const index = cursor.u64number();
      this.#add(index, { start, size, name: cursor.cString() });
      return;
    }
    const from = cursor.u64number();
    const start = cursor.u64number();
    const size = cursor.u64number();
    const index = cursor.u64number();
    const name = this.#byIndex.get(index)?.name ?? this.#find(from)?.name;
    if (name !== undefined) this.#add(index, { start, size, name });
  }

  #add(index: number, code: MadeFunction): void {
    this.#byIndex.set(index, code);
    this.#fresh.push(code);
  }

  /** All that is there by now, by address. */
  functions(): Iterable<MadeFunction> {
    this.#merge();
    return this.#codes;
  }

  /** The function that covers an address, and how far into it that is. */
  at(address: ProcessAddress): { readonly name: string; readonly offset: number } | undefined {
    const code = this.#find(address);
    return code === undefined ? undefined : { name: code.name, offset: address - code.start };
  }

  #find(address: number): MadeFunction | undefined {
    if (this.#fresh.length > 0) this.#merge();
    let low = 0;
    let high = this.#codes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#codes[middle]?.start as number) <= address) low = middle + 1;
      else high = middle;
    }
    const code = this.#codes[low - 1];
    return code !== undefined && address - code.start < code.size ? code : undefined;
  }

  /** Sorts in what is new: it replaces all that it overlaps. */
  #merge(): void {
    const order = new Map<MadeFunction, number>();
    const all = [...this.#codes, ...this.#fresh];
    for (const [at, code] of all.entries()) order.set(code, at);
    all.sort((a, b) => a.start - b.start || (order.get(a) as number) - (order.get(b) as number));
    const kept: MadeFunction[] = [];
    for (const code of all) {
      let keep = true;
      for (let last = kept.at(-1); last !== undefined && last.start + last.size > code.start; last = kept.at(-1)) {
        if ((order.get(last) as number) > (order.get(code) as number)) {
          keep = false;
          break;
        }
        kept.pop();
      }
      if (keep) kept.push(code);
    }
    this.#codes = kept;
    this.#fresh = [];
  }
}
