/**
 * Inferred names as bytes, so that a program is looked through once: little-endian
 *
 *   u32 magic, u32 format, u32 count, u32 bytes of names, u32 crc32 of all that follows
 *   u32[count] address, u32[count] size, u32[count + 1] start of each name, u8[count] rule
 *   names in UTF-8, the name and its evidence apart by a NUL
 *
 * The rule is its place in `rules`; a change of the rules is a new format.
 */
import { type VirtualAddress, virtualAddress } from '../../base/numbers.ts';
import { crc32 } from '../../bytes/crc32.ts';
import type { InferredName } from './index.ts';
import { ruleNumber, rules } from './rules.ts';

const MAGIC = 0x54495349; // ISIT
/** Grows with every change of this layout, and of what rules find. */
const LAYOUT = 4;
/** Other rules give other names. */
const FORMAT = (crc32(new TextEncoder().encode(JSON.stringify(rules))) ^ LAYOUT) >>> 0;
const HEAD = 20;
const chunkBytes = 1 << 20;

/** The names of one program, as bytes. Names are taken one by one: there are hundreds of thousands. */
export function encodeNames(names: Iterable<InferredName>): Uint8Array {
  const encoder = new TextEncoder();
  let columns = new Uint32Array(3 << 12);
  let kinds = new Uint8Array(1 << 12);
  // Tens of megabytes: put together once, at the end.
  const full: Uint8Array[] = [];
  let texts = new Uint8Array(chunkBytes);
  let inTexts = 0;
  let count = 0;
  let used = 0;
  for (const one of names) {
    if (count === kinds.length) {
      columns = enlarged(columns, new Uint32Array(columns.length * 2));
      kinds = enlarged(kinds, new Uint8Array(kinds.length * 2));
    }
    const text = `${one.name}\0${one.evidence.slice(1).join('\n')}`;
    // UTF-8 takes three bytes for a UTF-16 unit at most.
    if (inTexts + text.length * 3 > texts.length) {
      full.push(texts.subarray(0, inTexts));
      texts = new Uint8Array(Math.max(chunkBytes, text.length * 3));
      inTexts = 0;
    }
    columns.set([one.address, one.size, used], count * 3);
    kinds[count++] = ruleNumber[one.rule];
    const { written } = encoder.encodeInto(text, texts.subarray(inTexts));
    inTexts += written;
    used += written;
  }
  const bytes = new Uint8Array(HEAD + 4 * (3 * count + 1) + count + used);
  const view = new DataView(bytes.buffer);
  const starts = HEAD + 8 * count;
  const ruleAt = starts + 4 * (count + 1);
  for (let index = 0; index < count; index++) {
    view.setUint32(HEAD + 4 * index, columns[index * 3] as number, true);
    view.setUint32(HEAD + 4 * (count + index), columns[index * 3 + 1] as number, true);
    view.setUint32(starts + 4 * index, columns[index * 3 + 2] as number, true);
  }
  view.setUint32(starts + 4 * count, used, true);
  bytes.set(kinds.subarray(0, count), ruleAt);
  full.push(texts.subarray(0, inTexts));
  let textAt = ruleAt + count;
  for (const chunk of full) {
    bytes.set(chunk, textAt);
    textAt += chunk.length;
  }
  for (const [at, value] of [MAGIC, FORMAT, count, used, crc32(bytes.subarray(HEAD))].entries()) {
    view.setUint32(4 * at, value, true);
  }
  return bytes;
}

const decoder = new TextDecoder();

function enlarged<Column extends Uint32Array | Uint8Array>(old: Column, larger: Column): Column {
  larger.set(old);
  return larger;
}

/** Names read back from bytes; a name is decoded when it is asked for. */
export class StoredNames {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly count: number;

  private constructor(bytes: Uint8Array, count: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.count = count;
  }

  /** Undefined for bytes that are damaged, cut, or of another format. */
  static read(bytes: Uint8Array): StoredNames | undefined {
    if (bytes.length < HEAD) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const word = (at: number): number => view.getUint32(4 * at, true);
    const count = word(2);
    if (word(0) !== MAGIC || word(1) !== FORMAT) return undefined;
    if (bytes.length !== HEAD + 4 * (3 * count + 1) + count + word(3)) return undefined;
    return crc32(bytes.subarray(HEAD)) === word(4) ? new StoredNames(bytes, count) : undefined;
  }

  #address(index: number): number {
    return this.#view.getUint32(HEAD + 4 * index, true);
  }

  /** The name of the function whose bytes hold an address. */
  at(address: VirtualAddress): InferredName | undefined {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#address(middle) <= address) low = middle + 1;
      else high = middle;
    }
    const found = low === 0 ? undefined : this.#get(low - 1);
    return found !== undefined && address < found.address + found.size ? found : undefined;
  }

  *[Symbol.iterator](): Generator<InferredName> {
    for (let index = 0; index < this.count; index++) {
      const name = this.#get(index);
      if (name !== undefined) yield name;
    }
  }

  #get(index: number): InferredName | undefined {
    const starts = HEAD + 8 * this.count;
    const ruleAt = starts + 4 * (this.count + 1);
    const textAt = ruleAt + this.count;
    const rule = rules[this.#view.getUint8(ruleAt + index)];
    if (rule === undefined) return undefined;
    const from = this.#view.getUint32(starts + 4 * index, true);
    const to = this.#view.getUint32(starts + 4 * index + 4, true);
    const text = decoder.decode(this.#bytes.subarray(textAt + from, textAt + to));
    const [name = '', evidence = ''] = text.split('\0');
    return {
      address: virtualAddress(this.#address(index)),
      size: this.#view.getUint32(HEAD + 4 * (this.count + index), true),
      name,
      grade: rule.grade,
      rule: rule.id,
      evidence: [rule.reason, ...(evidence === '' ? [] : evidence.split('\n'))],
    };
  }
}
