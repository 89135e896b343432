/**
 * Names that macros leave: `__FILE__` and `__func__` (or `__PRETTY_FUNCTION__`) of logging
 * and assertion macros become string literals whose addresses the function loads side by
 * side, or a record of such pointers that it refers to.
 */
import type { Program } from './program.ts';
import { ADDRESS, MEMORY } from './references.ts';

export const OTHER = 0;
/** A path of a source file, with or without `:line` behind. */
export const SOURCE = 1;
/** The same of a header: what is inlined from it stands in other functions. */
export const HEADER = 2;
/** A function's name alone. */
export const NAME = 3;
/** A function's name with its parameters. */
export const SIGNATURE = 4;

/** A format that starts with a name: `%s: out of memory`, as C programs use with `__func__`. */
export const FORMAT = 5;

/** One name that a function may have left of itself. */
export interface Mark {
  /** Index of the function. */
  readonly index: number;
  /** Address of the name's literal. */
  readonly name: number;
  /** Address of the file's literal, 0 when there is none. */
  readonly file: number;
  readonly kind: typeof NAME | typeof SIGNATURE;
  readonly header: boolean;
  /** Whether a record held both, the surest form. */
  readonly record: boolean;
}

/** Of a text that `isWanted` has asked for. */
const ASKED = 0x80;

/** How far apart the instructions stand that load file and name, in bytes, at most. */
const nearby = 40;
const mostText = 2048;
/** Texts of fewer bytes are alike by chance. */
const shortestText = 8;

const sourceFile = /^[\w.+\-/ ]*[\w+-]\.(?:c|cc|cpp|cxx|c\+\+|C|m|mm|rs|go)(?::\d+)?$/;
const headerFile = /^[\w.+\-/ ]*[\w+-]\.(?:h|hh|hpp|hxx|inc|inl|ipp|tcc)(?::\d+)?$/;
const formatFor = /^%s(?:\(\))?[: ]/;
const identifier = /^~?[A-Za-z_][A-Za-z0-9_]*$/;
const signature = /^[A-Za-z_~(][\w:<>,&*~[\] ()={}.+\-'"!|^%/]*\)(?: const)?(?: (?:&|&&|noexcept))*(?: \[.*\])?$/;

export class Literals {
  readonly marks: Mark[] = [];
  /** For each function the only source file it refers to: address of the literal, 0 for none, -1 for several. */
  readonly files: Float64Array;
  readonly #program: Program;
  /** The parts with data; for each byte, once it was asked for, 1 + the kind of the text there, and ASKED. */
  readonly #parts: readonly { readonly from: number; readonly to: number; readonly kinds: Uint8Array }[];
  readonly #isWanted: (hash: number) => boolean;
  /** Address of a text that was asked for → its hash. */
  readonly #hashes: Map<number, number> = new Map();
  /** Hash of a text that was asked for → the function that alone refers to it, -1 for several. */
  readonly #owners: Map<number, number> = new Map();

  /** What one function refers to, in the order of its code. */
  readonly #names: { readonly at: number; readonly target: number }[] = [];
  readonly #files: { readonly at: number; readonly target: number; readonly header: boolean }[] = [];
  readonly #formats: number[] = [];

  /** `isWanted` tells of which texts, by their hash, it shall be known who refers to them. */
  constructor(program: Program, isWanted: (hash: number) => boolean = () => false) {
    this.#program = program;
    this.#isWanted = isWanted;
    this.files = new Float64Array(program.functionCount);
    this.#parts = program.image.parts
      .filter((part) => !part.executable && !part.auxiliary)
      .map((part) => ({ from: part.address, to: part.end, kinds: new Uint8Array(part.end - part.address) }));
    for (let index = 0; index < program.functionCount; index++) this.#read(index);
  }

  text(address: number): string {
    return this.#program.image.textAt(address, mostText) ?? '';
  }

  /** Hash of each text that was asked for → the function that alone refers to it, -1 for several. */
  textOwners(): ReadonlyMap<number, number> {
    return this.#owners;
  }

  /** What the text at an address is. */
  kindOf(address: number): number {
    for (const { from, to, kinds } of this.#parts) {
      if (address < from || address >= to) continue;
      const at = address - from;
      if (kinds[at] === 0) kinds[at] = (1 + this.#classify(address)) | (this.#hashes.has(address) ? ASKED : 0);
      return ((kinds[at] as number) & ~ASKED) - 1;
    }
    return OTHER;
  }

  /** The hash of the text at an address, if it was asked for and has been met. */
  #hashAt(address: number): number | undefined {
    for (const { from, to, kinds } of this.#parts) {
      if (address < from || address >= to) continue;
      return ((kinds[address - from] as number) & ASKED) === 0 ? undefined : this.#hashes.get(address);
    }
    return undefined;
  }

  #classify(address: number): number {
    const part = this.#program.image.partAt(address);
    if (part === undefined) return OTHER;
    const { bytes } = part;
    const start = address - part.address;
    // A literal starts behind another's end, except where the linker shares tails.
    let end = start;
    let last = 0;
    let plain = true;
    let hash = 0x811c9dc5;
    for (; end < bytes.length && end - start < mostText; end++) {
      const byte = bytes[end] as number;
      if (byte === 0) break;
      if (byte < 0x20 || byte >= 0x7f) return OTHER;
      const isWord =
        (byte >= 0x30 && byte <= 0x39) ||
        (byte >= 0x41 && byte <= 0x5a) ||
        (byte >= 0x61 && byte <= 0x7a) ||
        byte === 0x5f;
      if (!isWord && !(byte === 0x7e && end === start)) plain = false;
      last = byte;
      hash = Math.imul(hash ^ byte, 0x01000193);
    }
    const length = end - start;
    if (length >= shortestText && bytes[end] === 0 && this.#isWanted(hash >>> 0)) this.#hashes.set(address, hash >>> 0);
    if (length > 3 && bytes[start] === 0x25 && bytes[start + 1] === 0x73)
      return formatFor.test(this.text(address)) ? FORMAT : OTHER;
    if (bytes[end] !== 0 || length < 2) return OTHER;
    // `CHECK(done_)`: names that end like this are variables.
    if (plain) return length < 120 && last !== 0x5f && identifier.test(this.text(address)) ? NAME : OTHER;
    if (length < 300 && length > 3) {
      // Names of files end in a letter or, with a line, a digit, and have a dot near the end.
      const text = this.text(address);
      if (last !== 0x29 && last !== 0x5d && text.includes('.')) {
        if (sourceFile.test(text)) return SOURCE;
        if (headerFile.test(text)) return HEADER;
      }
      if (text.startsWith('operator')) return OTHER;
    }
    if ((last === 0x29 || last === 0x5d || last === 0x74) && length > 4) {
      const text = this.text(address);
      if (text.includes('(') && signature.test(text)) return SIGNATURE;
    }
    return OTHER;
  }

  #read(index: number): void {
    const { references, pointers } = this.#program;
    const first = references.starts[index] as number;
    const stop = references.starts[index + 1] as number;
    const names = this.#names;
    const files = this.#files;
    const formats = this.#formats;
    if (names.length > 0) names.length = 0;
    if (files.length > 0) files.length = 0;
    if (formats.length > 0) formats.length = 0;
    for (let at = first; at < stop; at++) {
      const kind = references.kind[at] as number;
      if (kind !== ADDRESS && kind !== MEMORY) continue;
      const target = references.target[at] as number;
      const from = references.from[at] as number;
      const what = kind === ADDRESS ? this.kindOf(target) : OTHER;
      const hash = this.#hashAt(target);
      if (hash !== undefined) {
        const owner = this.#owners.get(hash);
        if (owner === undefined) this.#owners.set(hash, index);
        else if (owner !== index) this.#owners.set(hash, -1);
      }
      if (what === SOURCE || what === HEADER) files.push({ at: from, target, header: what === HEADER });
      else if (what === NAME || what === SIGNATURE) names.push({ at: from, target });
      else if (what === FORMAT) formats.push(from);
      else if ((target & 7) === 0 && pointers.at(target) !== 0) this.#readRecord(index, target);
    }
    let file = 0;
    for (const { target, header } of files) {
      if (header) continue;
      file = file === 0 || file === target ? target : -1;
    }
    this.files[index] = file;
    if (names.length === 0) return;
    if (files.length === 0) {
      for (const name of names) {
        if (this.kindOf(name.target) !== NAME || !formats.some((at) => Math.abs(at - name.at) <= nearby)) continue;
        this.marks.push({ index, name: name.target, file: 0, kind: NAME, header: false, record: false });
      }
      return;
    }
    for (const name of names) {
      let best: (typeof files)[number] | undefined;
      for (const one of files) {
        if (Math.abs(one.at - name.at) > nearby) continue;
        if (best === undefined || Math.abs(one.at - name.at) < Math.abs(best.at - name.at)) best = one;
      }
      if (best === undefined) continue;
      const kind = this.kindOf(name.target) === SIGNATURE ? SIGNATURE : NAME;
      this.marks.push({ index, name: name.target, file: best.target, kind, header: best.header, record: false });
    }
  }

  /** A record of pointers, of which one of the first three is a file and another a name. */
  #readRecord(index: number, address: number): void {
    const { pointers } = this.#program;
    let name = 0;
    let file = 0;
    for (let at = address; at < address + 32; at += 8) {
      if (at > address && at < address + 8) break;
      const target = pointers.at(at);
      if (target === 0) continue;
      const kind = this.kindOf(target);
      if (kind === SOURCE || kind === HEADER) {
        if (file !== 0) break;
        file = target;
      } else if (kind === SIGNATURE || kind === NAME) name = target;
    }
    if (name === 0 || file === 0) return;
    const kind = this.kindOf(name) === SIGNATURE ? SIGNATURE : NAME;
    this.marks.push({ index, name, file, kind, header: this.kindOf(file) === HEADER, record: true });
  }
}

/** The name in a signature: no return type, parameters or `[with T = …]`; undefined when it can't be told. */
export function nameInSignature(text: string): string | undefined {
  // From the right: the template's arguments, qualifiers, then the parameters' parenthesis.
  let end = text.length;
  const bound = text.indexOf(' [');
  if (bound >= 0 && text.endsWith(']')) end = bound;
  let at = text.lastIndexOf(')', end - 1);
  if (at < 0) return undefined;
  let depth = 0;
  for (; at >= 0; at--) {
    const char = text[at];
    if (char === ')') depth++;
    else if (char === '(' && --depth === 0) break;
  }
  if (at <= 0) return undefined;
  const head = text.slice(0, at);
  // The name starts behind the last blank outside of brackets.
  let nesting = 0;
  let start = 0;
  for (let from = head.length - 1; from >= 0; from--) {
    const char = head[from];
    if (char === '>' || char === ')' || char === '}') nesting++;
    else if (char === '<' || char === '(' || char === '{') nesting--;
    else if (nesting === 0 && (char === ' ' || char === '*' || char === '&')) {
      if (head.slice(0, from).endsWith('operator')) continue;
      start = from + 1;
      break;
    }
  }
  const name = head.slice(start);
  return name === '' || /^(?:if|for|while|sizeof|return|defined)$/.test(name) ? undefined : name;
}
