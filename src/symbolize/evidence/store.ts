/**
 * Inferred names as bytes, so that a program is looked through once. Most names are put
 * together from a class's name, long and met again and again, and a member's: each part is
 * kept once, and a name is the numbers of its parts. Little-endian, in this order:
 *
 *   u32 magic, u32 format, u32 count, u32 strings, u32 parts, u32 bytes of strings,
 *   u32 bytes of evidence, u32 crc32 of all that follows
 *   u32[count] address, u32[count] size
 *   u32[count + 1] where a name's parts start, u32[count + 1] where its evidence starts
 *   u32[parts] the string that a part is, u32[strings + 1] where a string starts
 *   u8[count] rule; strings in UTF-8; evidence in UTF-8, a sentence a line
 *
 * The rule is its place in `rules`; a change of the rules is a new format.
 */
import { type VirtualAddress, virtualAddress } from '../../base/numbers.ts';
import { crc32 } from '../../bytes/crc32.ts';
import type { InferredName, NameInParts } from './index.ts';
import { type Grade, ruleNumber, rules } from './rules.ts';

const MAGIC = 0x54495349; // ISIT
/** Grows with every change of this layout, and of what rules find. */
const LAYOUT = 7;
/** Other rules give other names. */
const FORMAT = (crc32(new TextEncoder().encode(JSON.stringify(rules))) ^ LAYOUT) >>> 0;
const HEAD_WORDS = 8;
const HEAD = HEAD_WORDS * 4;
/** No real name has as many parts, or is as long. */
const mostParts = 256;
const mostText = 1 << 20;

/** Numbers that become more: in pieces, as what a growing array leaves behind would lie about until it is collected. */
class Numbers {
  readonly #full: Uint32Array[] = [];
  #last = new Uint32Array(1 << 14);
  #used = 0;

  get length(): number {
    return this.#full.length * this.#last.length + this.#used;
  }

  push(value: number): void {
    if (this.#used === this.#last.length) {
      this.#full.push(this.#last);
      this.#last = new Uint32Array(this.#last.length);
      this.#used = 0;
    }
    this.#last[this.#used++] = value;
  }

  get pieces(): readonly Uint32Array[] {
    return [...this.#full, this.#last.subarray(0, this.#used)];
  }
}

/** Texts one behind the other, and where each starts. */
class Texts {
  readonly starts: Numbers = new Numbers();
  /** Bytes in all. */
  length = 0;
  readonly #encoder = new TextEncoder();
  readonly #full: Uint8Array[] = [];
  #last = new Uint8Array(1 << 18);
  #used = 0;

  add(text: string): void {
    this.starts.push(this.length);
    // UTF-8 takes three bytes for a UTF-16 unit at most.
    if (this.#used + text.length * 3 > this.#last.length) {
      this.#full.push(this.#last.subarray(0, this.#used));
      this.#last = new Uint8Array(Math.max(1 << 18, text.length * 3));
      this.#used = 0;
    }
    const { written } = this.#encoder.encodeInto(text, this.#last.subarray(this.#used));
    this.#used += written;
    this.length += written;
  }

  get pieces(): readonly Uint8Array[] {
    return [...this.#full, this.#last.subarray(0, this.#used)];
  }
}

/** The names of one program, as bytes. Names are taken one by one: there are hundreds of thousands. */
export function encodeNames(names: Iterable<NameInParts>): Uint8Array {
  const [addresses, sizes, kinds, partStarts, parts] = Array.from({ length: 5 }, () => new Numbers()) as [
    Numbers,
    Numbers,
    Numbers,
    Numbers,
    Numbers,
  ];
  const strings = new Texts();
  const evidence = new Texts();
  const known = new Map<string, number>();
  for (const one of names) {
    addresses.push(one.address);
    sizes.push(one.size);
    kinds.push(ruleNumber[one.rule]);
    partStarts.push(parts.length);
    for (const part of one.parts.length > mostParts ? [one.parts.join('')] : one.parts) {
      let number = known.get(part);
      if (number === undefined) {
        number = known.size;
        known.set(part, number);
        strings.add(part);
      }
      parts.push(number);
    }
    evidence.add(one.proof.join('\n'));
  }
  const count = addresses.length;
  partStarts.push(parts.length);
  strings.starts.push(strings.length);
  evidence.starts.push(evidence.length);
  const columns = [addresses, sizes, partStarts, evidence.starts, parts, strings.starts];
  const words = columns.reduce((sum, column) => sum + column.length, HEAD_WORDS);
  const bytes = new Uint8Array(4 * words + count + strings.length + evidence.length);
  const view = new Uint32Array(bytes.buffer, 0, words);
  let at = HEAD_WORDS;
  for (const piece of columns.flatMap((column) => column.pieces)) {
    view.set(piece, at);
    at += piece.length;
  }
  at *= 4;
  for (const piece of [kinds, strings, evidence].flatMap((column): readonly ArrayLike<number>[] => column.pieces)) {
    bytes.set(piece, at);
    at += piece.length;
  }
  const sum = crc32(bytes.subarray(HEAD));
  view.set([MAGIC, FORMAT, count, known.size, parts.length, strings.length, evidence.length, sum]);
  return bytes;
}

const decoder = new TextDecoder();

/** Texts read back; each is decoded when it is asked for. */
class StoredTexts {
  readonly starts: Uint32Array;
  readonly #bytes: Uint8Array;

  constructor(starts: Uint32Array, bytes: Uint8Array) {
    this.starts = starts;
    this.#bytes = bytes;
  }

  at(index: number): string {
    const start = this.starts[index] as number;
    return decoder.decode(this.#bytes.subarray(start, Math.min(this.starts[index + 1] as number, start + mostText)));
  }
}

/** Names read back from bytes; a name is decoded when it is asked for. */
export class StoredNames {
  readonly count: number;
  readonly #addresses: Uint32Array;
  readonly #sizes: Uint32Array;
  readonly #rules: Uint8Array;
  readonly #partStarts: Uint32Array;
  readonly #parts: Uint32Array;
  readonly #strings: StoredTexts;
  /** Those that have been decoded. */
  readonly #known: string[] = [];
  readonly #evidence: StoredTexts;

  private constructor(bytes: Uint8Array, head: readonly number[]) {
    const [, , count = 0, strings = 0, parts = 0, stringBytes = 0] = head;
    let at = bytes.byteOffset + HEAD;
    const words = (length: number): Uint32Array => {
      const column = new Uint32Array(bytes.buffer, at, length);
      at += 4 * length;
      return column;
    };
    this.count = count;
    this.#addresses = words(count);
    this.#sizes = words(count);
    this.#partStarts = words(count + 1);
    const evidenceStarts = words(count + 1);
    this.#parts = words(parts);
    const stringStarts = words(strings + 1);
    at -= bytes.byteOffset;
    this.#rules = bytes.subarray(at, at + count);
    this.#strings = new StoredTexts(stringStarts, bytes.subarray(at + count, at + count + stringBytes));
    this.#evidence = new StoredTexts(evidenceStarts, bytes.subarray(at + count + stringBytes));
  }

  /** Undefined for bytes that are damaged, cut, or of another format. */
  static read(kept: Uint8Array): StoredNames | undefined {
    if (kept.length < HEAD) return undefined;
    // Views want their place in the buffer to be a multiple of their element's size.
    const bytes = kept.byteOffset % 4 === 0 ? kept : kept.slice();
    const head = Array.from(new Uint32Array(bytes.buffer, bytes.byteOffset, HEAD_WORDS));
    const [magic, format, count = 0, strings = 0, parts = 0, stringBytes = 0, evidenceBytes = 0, sum] = head;
    if (magic !== MAGIC || format !== FORMAT) return undefined;
    const words = HEAD_WORDS + 4 * count + 2 + parts + strings + 1;
    if (bytes.length !== 4 * words + count + stringBytes + evidenceBytes) return undefined;
    if (crc32(bytes.subarray(HEAD)) !== sum) return undefined;
    const names = new StoredNames(bytes, head);
    const inOrder =
      ascend(names.#partStarts, parts) &&
      ascend(names.#strings.starts, stringBytes) &&
      ascend(names.#evidence.starts, evidenceBytes);
    return inOrder ? names : undefined;
  }

  /** The name of the function whose bytes hold an address. */
  at(address: VirtualAddress): InferredName | undefined {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#addresses[middle] as number) <= address) low = middle + 1;
      else high = middle;
    }
    const index = low - 1;
    if (index < 0 || address >= (this.#addresses[index] as number) + (this.#sizes[index] as number)) return undefined;
    return this.#get(index);
  }

  /** How many names of each grade there are. */
  counts(): Record<Grade, number> {
    const counts = { sure: 0, likely: 0, hint: 0 };
    for (const number of this.#rules) {
      const rule = rules[number];
      if (rule !== undefined) counts[rule.grade]++;
    }
    return counts;
  }

  /** Those whose name (without `~`) satisfies a test, in the order of their addresses. */
  *find(test: (name: string) => boolean): Generator<InferredName> {
    for (let index = 0; index < this.count; index++) {
      const name = this.#name(index);
      const found = test(name) ? this.#get(index) : undefined;
      if (found !== undefined) yield found;
    }
  }

  [Symbol.iterator](): Generator<InferredName> {
    return this.find(() => true);
  }

  #name(index: number): string {
    const start = this.#partStarts[index] as number;
    const end = Math.min(this.#partStarts[index + 1] as number, start + mostParts);
    let name = '';
    for (let at = start; at < end && name.length < mostText; at++) {
      const part = this.#parts[at] as number;
      this.#known[part] ??= this.#strings.at(part);
      name += this.#known[part];
    }
    return name;
  }

  #get(index: number): InferredName | undefined {
    const rule = rules[this.#rules[index] as number];
    if (rule === undefined) return undefined;
    const proof = this.#evidence.at(index);
    return {
      address: virtualAddress(this.#addresses[index] as number),
      size: this.#sizes[index] as number,
      name: this.#name(index),
      grade: rule.grade,
      rule: rule.id,
      evidence: [rule.reason, ...(proof === '' ? [] : proof.split('\n'))],
    };
  }
}

/** Whether places are in order, none behind the end of what they are places in. */
function ascend(starts: Uint32Array, end: number): boolean {
  for (let index = 0; index < starts.length; index++) {
    if ((starts[index] as number) > (starts[index + 1] ?? end)) return false;
  }
  return true;
}
