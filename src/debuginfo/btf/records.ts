/**
 * BTF as bytes: header, type records, strings (kernel Documentation/bpf/btf.rst).
 * Records have no index in the file and differ in length, so that record n is found
 * by walking over all before it; the walk goes only as far as it is asked to, because
 * the kernel's 126,000 records take longer to walk than most scripts take to compile.
 */
import { MachineError } from '../../base/errors.ts';
import { fail, ok, type Result } from '../../base/result.ts';

/** enum BTF_KIND_* of include/uapi/linux/btf.h. */
export const BTF_KIND = {
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  FLOAT: 16,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
} as const;

const MAGIC = 0xeb9f;
const HEADER_SIZE = 24;
/** BTF_MAX_TYPE, BTF_MAX_NAME_OFFSET are below this too. */
const MAX_SECTION = 0x1000_0000;
/** Records walked over at a time. */
const STEP = 1024;

/** Length of a record in words (4 bytes) by kind: fixed (0: no such kind), and per vlen. */
const FIXED_WORDS = new Uint8Array(32);
FIXED_WORDS.set([0, 4, 3, 6, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 3, 3, 4, 3, 3]);
const WORDS_PER_ITEM = new Uint8Array(32);
WORDS_PER_ITEM.set([0, 0, 0, 0, 3, 3, 2, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 3]);

const broken = (what: string): MachineError =>
  new MachineError(`broken BTF: ${what}`, {
    code: 'E_BTF',
    hints: ['The type information is cut off or damaged, or was written for a newer format than version 1.'],
  });

/** Thrown by the lazy readers when a record turns out to be damaged. */
export const brokenRecord = (id: number, what: string): MachineError => broken(`type ${id}: ${what}`);

export class BtfRecords {
  /** The type section in 4-byte words. */
  readonly words: Uint32Array;
  readonly #strings: Uint8Array;
  /** Split BTF: its first record and string come after the last of this one. */
  readonly base: BtfRecords | undefined;
  readonly #firstId: number;
  readonly #firstString: number;
  /** Word position of each record walked over so far. */
  readonly #positions: Uint32Array;
  #count = 0;
  #next = 0;

  constructor(words: Uint32Array, strings: Uint8Array, base: BtfRecords | undefined) {
    this.words = words;
    this.#strings = strings;
    this.base = base;
    this.#firstId = base === undefined ? 1 : base.lastId() + 1;
    this.#firstString = base === undefined ? 0 : base.stringsEnd;
    this.#positions = new Uint32Array(Math.floor(words.length / 3) + 1);
  }

  /** First offset that is not a string of this BTF or of its base. */
  get stringsEnd(): number {
    return this.#firstString + this.#strings.length;
  }

  /** Id of the last record; walks over all of them. Throws E_BTF for a damaged one. */
  lastId(): number {
    while (this.#walk()) {
      // Each step indexes some thousand records more.
    }
    return this.#firstId + this.#count - 1;
  }

  /** True when some records were added to the index, false at the end. Throws E_BTF for a damaged record. */
  #walk(): boolean {
    const words = this.words;
    const positions = this.#positions;
    const fixedWords = FIXED_WORDS;
    const wordsPerItem = WORDS_PER_ITEM;
    const end = words.length;
    let at = this.#next;
    let count = this.#count;
    if (at >= end) return false;
    const stop = count + STEP;
    while (at < end && count < stop) {
      // Undefined beyond the end, which the shifts make kind 0.
      const info = words[at + 1] as number;
      const kind = (info >>> 24) & 31;
      const fixed = fixedWords[kind] as number;
      if (fixed === 0) throw brokenRecord(this.#firstId + count, at + 1 < end ? `unknown kind ${kind}` : 'cut off');
      positions[count++] = at;
      at += fixed + (wordsPerItem[kind] as number) * (info & 0xffff);
    }
    if (at > end) throw brokenRecord(this.#firstId + count - 1, 'longer than its section');
    this.#next = at;
    this.#count = count;
    return true;
  }

  /**
   * Where the record of that id lies: the records that own it and the word position.
   * Throws E_BTF when there is no such id.
   */
  locate(id: number): { readonly owner: BtfRecords; readonly position: number } {
    if (id < this.#firstId && this.base !== undefined && id > 0) return this.base.locate(id);
    const index = id - this.#firstId;
    while (index >= this.#count && this.#walk()) {
      // As far as the id needs.
    }
    const position = index < this.#count ? this.#positions[index] : undefined;
    if (position === undefined) throw broken(`there is no type ${id}`);
    return { owner: this, position };
  }

  /**
   * The first own record (not of the base) of one of the kinds (bit mask by kind) that
   * has that name, which must not be empty.
   */
  find(kinds: number, name: Uint8Array): number | undefined {
    const { words } = this;
    const positions = this.#positions;
    const strings = this.#strings;
    const firstString = this.#firstString;
    const { length } = name;
    const initial = name[0];
    // Runs over 126,000 records at start-up, before the compiler of V8 has warmed up: the
    // casts stand for checks of the index, which stays inside what #walk has seen.
    let index = 0;
    do {
      const count = this.#count;
      for (; index < count; index++) {
        const position = positions[index] as number;
        if (((kinds >>> (((words[position + 1] as number) >>> 24) & 31)) & 1) === 0) continue;
        const offset = words[position] as number;
        const start = offset - firstString;
        if (start >= 0 && (strings[start] !== initial || strings[start + length] !== 0)) continue;
        if (this.hasName(offset, name)) return this.#firstId + index;
      }
    } while (this.#walk());
    return undefined;
  }

  /** The first own ENUM or ENUM64 record that has an enumerator of that name, and which of them it is. */
  findEnumerator(name: Uint8Array): { readonly id: number; readonly item: number } | undefined {
    const { words } = this;
    const positions = this.#positions;
    let index = 0;
    do {
      const count = this.#count;
      for (; index < count; index++) {
        const position = positions[index] as number;
        const info = words[position + 1] as number;
        const kind = (info >>> 24) & 31;
        if (kind !== BTF_KIND.ENUM && kind !== BTF_KIND.ENUM64) continue;
        const width = kind === BTF_KIND.ENUM ? 2 : 3;
        const vlen = info & 0xffff;
        for (let item = 0; item < vlen; item++) {
          if (this.hasName(words[position + 3 + item * width] ?? 0, name)) return { id: this.#firstId + index, item };
        }
      }
    } while (this.#walk());
    return undefined;
  }

  /** Ids of all own records of the kinds (bit mask). */
  *ofKinds(kinds: number): Generator<number, void, void> {
    for (let index = 0; index < this.#count || this.#walk(); index++) {
      const kind = ((this.words[(this.#positions[index] ?? 0) + 1] ?? 0) >>> 24) & 31;
      if (((kinds >>> kind) & 1) !== 0) yield this.#firstId + index;
    }
  }

  /** Whether the string at that offset is `name`; compares bytes, decodes nothing. */
  hasName(offset: number, name: Uint8Array): boolean {
    if (offset < this.#firstString) return this.base?.hasName(offset, name) ?? false;
    const strings = this.#strings;
    const start = offset - this.#firstString;
    if (strings[start + name.length] !== 0) return false;
    for (let index = 0; index < name.length; index++) {
      if (strings[start + index] !== name[index]) return false;
    }
    return true;
  }

  /** The string at that offset. Throws E_BTF when it lies outside of the section or has no end. */
  string(offset: number): string {
    if (offset < this.#firstString && this.base !== undefined) return this.base.string(offset);
    const strings = this.#strings;
    const start = offset - this.#firstString;
    if (strings[start] === 0) return '';
    const end = strings.indexOf(0, start);
    if (start >= strings.length || end < 0) throw broken(`there is no string at ${offset}`);
    if (end - start > 64) return decoder.decode(strings.subarray(start, end));
    let text = '';
    for (let index = start; index < end; index++) {
      const code = strings[index] ?? 0;
      if (code > 127) return decoder.decode(strings.subarray(start, end));
      text += String.fromCharCode(code);
    }
    return text;
  }
}

const decoder = new TextDecoder();

/** Checks the header and makes the sections accessible; reads no record. Fails with code E_BTF. */
export function openRecords(bytes: Uint8Array, base: BtfRecords | undefined): Result<BtfRecords, MachineError> {
  if (bytes.length < HEADER_SIZE) return fail(broken(`${bytes.length} bytes are no BTF header`));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint16(0, true);
  if (magic === 0x9feb) return fail(broken('it is of a machine with the other byte order'));
  if (magic !== MAGIC) return fail(broken(`it begins with 0x${magic.toString(16)} instead of 0xeb9f`));
  const version = view.getUint8(2);
  if (version !== 1) return fail(broken(`version ${version}`));
  const headerSize = view.getUint32(4, true);
  const typeOffset = view.getUint32(8, true);
  const typeSize = view.getUint32(12, true);
  const stringOffset = view.getUint32(16, true);
  const stringSize = view.getUint32(20, true);
  if (headerSize < HEADER_SIZE || headerSize > bytes.length) return fail(broken(`a header of ${headerSize} bytes`));
  const room = bytes.length - headerSize;
  if (typeOffset > room || typeSize > room - typeOffset || typeSize > MAX_SECTION || typeSize % 4 !== 0) {
    return fail(broken(`a type section of ${typeSize} bytes at ${typeOffset} in ${room} bytes`));
  }
  if (stringOffset > room || stringSize > room - stringOffset || stringSize > MAX_SECTION) {
    return fail(broken(`a string section of ${stringSize} bytes at ${stringOffset} in ${room} bytes`));
  }
  const start = bytes.byteOffset + headerSize + typeOffset;
  const words =
    start % 4 === 0
      ? new Uint32Array(bytes.buffer, start, typeSize / 4)
      : new Uint32Array(
          new Uint8Array(bytes.subarray(headerSize + typeOffset, headerSize + typeOffset + typeSize)).buffer,
        );
  const strings = bytes.subarray(headerSize + stringOffset, headerSize + stringOffset + stringSize);
  if (base === undefined && stringSize > 0 && strings[0] !== 0) {
    return fail(broken('the first string is not the empty one'));
  }
  return ok(new BtfRecords(words, strings, base));
}
