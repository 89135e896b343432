/**
 * The pointers in a program's data, as the dynamic loader will make them: from RELA, REL
 * and RELR relocations, or, in a program linked for a fixed address, from the words
 * themselves. gABI chapter 4 "Relocation" and chapter 5 (DT_RELR), the x86-64 psABI
 * table 4.9, AAELF64 section 5.7.
 */
import { cStringAt } from '../../bytes/cursor.ts';
import { EM_AARCH64, EM_X86_64, ET_EXEC } from './constants.ts';
import type { Image, Part } from './image.ts';

const DT_PLTRELSZ = 2;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const DT_RELA = 7;
const DT_RELASZ = 8;
const DT_STRSZ = 10;
const DT_REL = 17;
const DT_RELSZ = 18;
const DT_PLTREL = 20;
const DT_JMPREL = 23;
const DT_RELRSZ = 35;
const DT_RELR = 36;

const relative: Readonly<Record<number, readonly number[]>> = {
  [EM_X86_64]: [8, 37], // R_X86_64_RELATIVE, _IRELATIVE
  [EM_AARCH64]: [1027, 1032], // R_AARCH64_RELATIVE, _IRELATIVE
};
const symbolic: Readonly<Record<number, readonly number[]>> = {
  [EM_X86_64]: [1, 6, 7], // R_X86_64_64, _GLOB_DAT, _JUMP_SLOT
  [EM_AARCH64]: [257, 1025, 1026], // R_AARCH64_ABS64, _GLOB_DAT, _JUMP_SLOT
};
const copies: Readonly<Record<number, number>> = { [EM_X86_64]: 5, [EM_AARCH64]: 1024 };

const mostTableBytes = 1 << 29;

/** The words of one segment: the address that each holds, 0 when it is no pointer. */
interface Words {
  readonly address: number;
  readonly values: Uint32Array;
}

export class Pointers {
  readonly #words: Words[] = [];
  /** Word address → dynamic symbol that the loader binds it to. */
  readonly #bound: Map<number, number> = new Map();
  /** Words of the global offset table that are bound to symbols: code reads them, no object lies there. */
  readonly #offsets: Set<number> = new Set();
  readonly #image: Image;
  readonly #symbols: Uint8Array;
  readonly #symbolView: DataView;
  readonly #strings: Uint8Array;
  /** How many relocations of each table there were. */
  readonly counts: { rela: number; rel: number; relr: number; jump: number } = { rela: 0, rel: 0, relr: 0, jump: 0 };
  /** Objects of libraries that the loader copies into this program's .bss: address → name. */
  readonly copied: Map<number, string> = new Map();

  constructor(image: Image) {
    this.#image = image;
    const { elf } = image;
    const strings = image.dynamic(DT_STRTAB);
    const symbols = image.dynamic(DT_SYMTAB);
    this.#strings = strings === undefined ? new Uint8Array(0) : image.bytesAt(strings, image.dynamic(DT_STRSZ) ?? 0);
    // The table's length is nowhere told; it ends where its strings start, in every linker's layout, or is bounded by the segment.
    const length =
      strings !== undefined && symbols !== undefined && strings > symbols ? strings - symbols : mostTableBytes;
    this.#symbols = symbols === undefined ? new Uint8Array(0) : image.bytesAt(symbols, length);
    this.#symbolView = new DataView(this.#symbols.buffer, this.#symbols.byteOffset, this.#symbols.byteLength);
    if (elf.header.type === ET_EXEC) {
      for (const part of image.parts) if (!part.executable && !part.auxiliary) this.#readWords(part);
    }
    this.#readTable(image.dynamic(DT_RELA), image.dynamic(DT_RELASZ), true, 'rela');
    this.#readTable(image.dynamic(DT_REL), image.dynamic(DT_RELSZ), false, 'rel');
    this.#readTable(image.dynamic(DT_JMPREL), image.dynamic(DT_PLTRELSZ), image.dynamic(DT_PLTREL) === DT_RELA, 'jump');
    this.#readRelr(image.dynamic(DT_RELR), image.dynamic(DT_RELRSZ));
  }

  /** A fixed-address program's words that point into it are taken for pointers. */
  #readWords(part: Part): void {
    const { view, bytes } = part;
    const words = this.#wordsOf(part.address);
    if (words === undefined) return;
    const low = this.#image.parts[0]?.address ?? 0;
    const high = this.#image.parts.at(-1)?.memoryEnd ?? 0;
    const skew = (8 - (part.address & 7)) & 7;
    for (let at = skew; at + 8 <= bytes.length; at += 8) {
      const value = view.getUint32(at, true);
      if (value < low || value >= high || view.getUint32(at + 4, true) !== 0) continue;
      if (value > 0 && this.#image.partAt(value) !== undefined) words.values[(at - skew) >>> 3] = value;
    }
  }

  #wordsOf(address: number): Words | undefined {
    for (const words of this.#words) {
      if (address >= words.address && address < words.address + words.values.length * 8) return words;
    }
    const part = this.#image.partAt(address);
    if (part === undefined || address >= part.end) return undefined;
    const start = (part.address + 7) & ~7;
    const words = { address: start >>> 0, values: new Uint32Array((part.end - (start >>> 0)) >>> 3) };
    this.#words.push(words);
    return words;
  }

  #set(address: number, value: number): void {
    if ((address & 7) !== 0 || !(value > 0 && value < 2 ** 32)) return;
    const words = this.#wordsOf(address);
    if (words !== undefined) words.values[(address - words.address) >>> 3] = value;
  }

  #readTable(
    table: number | undefined,
    size: number | undefined,
    withAddend: boolean,
    kind: 'rela' | 'rel' | 'jump',
  ): void {
    if (table === undefined || size === undefined) return;
    const bytes = this.#image.bytesAt(table, Math.min(size, mostTableBytes));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const entry = withAddend ? 24 : 16;
    const machine = this.#image.elf.header.machine;
    const [relativeType, indirectType] = relative[machine] ?? [];
    const [absolute, ...bindings] = symbolic[machine] ?? [];
    for (let at = 0; at + entry <= bytes.length; at += entry) {
      const address = view.getUint32(at, true);
      if (view.getUint32(at + 4, true) !== 0) continue;
      this.counts[kind]++;
      const type = view.getUint32(at + 8, true);
      const addend = withAddend
        ? view.getInt32(at + 20, true) * 2 ** 32 + view.getUint32(at + 16, true)
        : type === relativeType || type === absolute
          ? (this.#image.i64(address) ?? 0)
          : 0;
      if (type === relativeType || type === indirectType) this.#set(address, addend);
      else if (type === absolute || bindings.includes(type)) {
        const symbol = view.getUint32(at + 12, true);
        this.#bound.set(address, symbol);
        if (type !== absolute) this.#offsets.add(address);
        const value = this.symbolAddress(symbol);
        this.#set(address, value === 0 ? 0 : value + addend);
      } else if (type === copies[machine]) {
        this.copied.set(address, this.symbolName(view.getUint32(at + 12, true)));
      }
    }
  }

  /** DT_RELR: an even word is an address to relocate, an odd one a bitmap over the 63 words that follow the last. */
  #readRelr(table: number | undefined, size: number | undefined): void {
    if (table === undefined || size === undefined) return;
    const bytes = this.#image.bytesAt(table, Math.min(size, mostTableBytes));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const relocate = (address: number): void => {
      this.counts.relr++;
      this.#set(address, this.#image.i64(address) ?? 0);
    };
    let next = 0;
    for (let at = 0; at + 8 <= bytes.length; at += 8) {
      const low = view.getUint32(at, true);
      const high = view.getUint32(at + 4, true);
      if ((low & 1) === 0) {
        if (high !== 0) continue;
        relocate(low);
        next = low + 8;
        continue;
      }
      for (let bit = 1; bit < 64; bit++) {
        if (((bit < 32 ? low >>> bit : high >>> (bit - 32)) & 1) !== 0) relocate(next + (bit - 1) * 8);
      }
      next += 63 * 8;
    }
  }

  /** The address that the word at `address` holds once loaded; 0 when it is no pointer into this file. */
  at(address: number): number {
    for (const words of this.#words) {
      const index = (address - words.address) / 8;
      if (index >= 0 && index < words.values.length) return words.values[index] ?? 0;
    }
    return 0;
  }

  /** The name of the dynamic symbol that the loader binds the word at `address` to. */
  nameAt(address: number): string | undefined {
    const symbol = this.#bound.get(address);
    return symbol === undefined ? undefined : this.symbolName(symbol);
  }

  /** Whether a word is one of the global offset table's that is bound to a symbol. */
  isOffset(address: number): boolean {
    return this.#offsets.has(address);
  }

  /** Calls back with every word that points into this file, in ascending order within a segment. */
  forEach(visit: (address: number, value: number) => void): void {
    for (const { address, values } of this.#words) {
      for (let index = 0; index < values.length; index++) {
        const value = values[index] as number;
        if (value !== 0) visit(address + index * 8, value);
      }
    }
  }

  /** Calls back with every word that is bound to a dynamic symbol. */
  forEachBound(visit: (address: number, name: string) => void): void {
    for (const [address, symbol] of this.#bound) visit(address, this.symbolName(symbol));
  }

  /** How many dynamic symbols there can be. */
  get symbolCount(): number {
    return Math.floor(this.#symbols.length / 24);
  }

  /** st_value of a dynamic symbol that this file defines, else 0. */
  symbolAddress(symbol: number): number {
    const at = symbol * 24;
    if (!(at >= 0 && at + 24 <= this.#symbols.length) || this.#symbolView.getUint16(at + 6, true) === 0) return 0;
    return this.#symbolView.getUint32(at + 12, true) === 0 ? this.#symbolView.getUint32(at + 8, true) : 0;
  }

  /** A dynamic symbol's name, '' when there is none. */
  symbolName(symbol: number): string {
    const at = symbol * 24;
    if (!(at >= 0 && at + 24 <= this.#symbols.length)) return '';
    return cStringAt(this.#strings, this.#symbolView.getUint32(at, true)) ?? '';
  }
}
