/** A program as the rules see it: its memory, pointers, functions and what the code refers to. */
import type { FunctionBounds } from '../../debuginfo/elf/frames.ts';
import type { Image } from '../../debuginfo/elf/image.ts';
import type { Pointers } from '../../debuginfo/elf/relocations.ts';
import { CALL_THROUGH, JUMP_THROUGH, MEMORY, type References } from './references.ts';

/** Functions mostly start at multiples of 16. */
const leastBlockBits = 4;
/** Blocks a function; more would only be needed by a file whose headers put its functions gigabytes apart. */
const mostBlocks = 512;

export class Program {
  readonly image: Image;
  readonly pointers: Pointers;
  readonly bounds: FunctionBounds;
  readonly references: References;
  /** One bit for each 8-byte word of the image: whether data or code refers to it. */
  readonly #referenced: Uint8Array;
  /** For each block of code the last function that starts in it or before: asked millions of times, a binary search is too slow. */
  readonly #blocks: Int32Array;
  #referred: Int32Array | undefined;
  readonly #low: number;
  readonly #blockBits: number;

  constructor(image: Image, pointers: Pointers, bounds: FunctionBounds, references: References) {
    this.image = image;
    this.pointers = pointers;
    this.bounds = bounds;
    this.references = references;
    const { starts } = bounds;
    this.#low = starts[0] ?? 0;
    const span = (starts.at(-1) ?? 0) - this.#low;
    let bits = leastBlockBits;
    while (span / 2 ** bits > mostBlocks * starts.length) bits++;
    this.#blockBits = bits;
    this.#blocks = new Int32Array(starts.length === 0 ? 0 : (span >>> bits) + 1);
    for (let index = 0; index < starts.length; index++) {
      this.#blocks[((starts[index] as number) - this.#low) >>> bits] = index;
    }
    for (let block = 1; block < this.#blocks.length; block++) {
      if (this.#blocks[block] === 0) this.#blocks[block] = this.#blocks[block - 1] as number;
    }
    this.#referenced = new Uint8Array(((image.parts.at(-1)?.memoryEnd ?? 0) >>> 6) + 1);
    const mark = (address: number): void => {
      const at = address >>> 6;
      this.#referenced[at] = (this.#referenced[at] ?? 0) | (1 << ((address >>> 3) & 7));
    };
    pointers.forEach((_, value) => {
      mark(value);
    });
    const { target, kind } = references;
    for (let index = 0; index < target.length; index++) {
      const what = kind[index] as number;
      if (what < 2 || what === CALL_THROUGH || what === JUMP_THROUGH) mark(target[index] as number);
    }
  }

  get functionCount(): number {
    return this.bounds.starts.length;
  }

  /** Whether data or code refers to a word. */
  isReferenced(address: number): boolean {
    return (((this.#referenced[address >>> 6] ?? 0) >>> ((address >>> 3) & 7)) & 1) !== 0;
  }

  startOf(index: number): number {
    return this.bounds.starts[index] as number;
  }

  /** The function that starts at an address, -1 when none does. */
  functionStarting(address: number): number {
    const index = this.#lastAtOrBelow(address);
    return index >= 0 && this.bounds.starts[index] === address ? index : -1;
  }

  /** For each reference the function that starts at its target, -1 for none (what lies in memory is no function). */
  get referred(): Int32Array {
    if (this.#referred === undefined) {
      const { target, kind } = this.references;
      const found = new Int32Array(target.length);
      for (let at = 0; at < found.length; at++) {
        found[at] = kind[at] === MEMORY ? -1 : this.functionStarting(target[at] as number);
      }
      this.#referred = found;
    }
    return this.#referred;
  }

  /** The function whose bytes hold an address, -1 when none does. */
  functionAt(address: number): number {
    const index = this.#lastAtOrBelow(address);
    return index >= 0 && address < this.startOf(index) + (this.bounds.sizes[index] as number) ? index : -1;
  }

  /** The last function that starts at or below an address, -1 when none does. */
  #lastAtOrBelow(address: number): number {
    const { starts } = this.bounds;
    if (starts.length === 0 || address < this.#low) return -1;
    const block = (address - this.#low) >>> this.#blockBits;
    let index = block < this.#blocks.length ? (this.#blocks[block] as number) : starts.length - 1;
    while (index >= 0 && (starts[index] as number) > address) index--;
    return index;
  }
}
