/**
 * Go's own table of functions and lines, .gopclntab, which a Go program needs at run time
 * and keeps when it is stripped (-ldflags='-s -w'). Format: the Go sources
 * runtime/symtab.go (pcHeader, _func) and debug/gosym; versions of Go 1.16, 1.18 and
 * 1.20 (which later ones kept), told apart by the header's magic number.
 */
import { lazy } from '../../base/lazy.ts';
import { type VirtualAddress, virtualAddress } from '../../base/numbers.ts';
import { cStringAt } from '../../bytes/cursor.ts';
import type { ElfFile } from '../elf/elf.ts';

const magic116 = 0xfffffffa;
const magic118 = 0xfffffff0;
const magic120 = 0xfffffff1;

export interface GoFunction {
  readonly name: string;
  readonly address: VirtualAddress;
  /** Up to the next function: padding is part of it. */
  readonly size: number;
}

/** How a function uses the stack. */
export interface GoFrame extends GoFunction {
  /** Go's own traceback ends here: the function is a stack's first, or sets rsp as it likes. */
  readonly endsStack: boolean;
  /** From one offset in the function to another, how many bytes rsp lies below where it was at the start. */
  readonly stack: () => Iterable<readonly [from: number, depth: number, to: number]>;
}

export interface GoLine {
  readonly function: string;
  /** '' where the table tells none. */
  readonly file: string;
  /** From 1; 0 where the table tells none. */
  readonly line: number;
}

/** More functions than any program has; a higher count is damage. */
const mostFunctions = 4_000_000;
/** The word of runtime.moduledata (from Go 1.16 on) that holds the start of the code. */
const moduleTextWord = 22;
/** abi.FuncFlagTopFrame and abi.FuncFlagSPWrite (internal/abi/symtab.go). */
const topFrameFlag = 1;
const stackPointerFlag = 2;

export class GoFunctions {
  /** Which Go wrote the table: '1.16', '1.18' or '1.20' and later. */
  readonly format: '1.16' | '1.18' | '1.20';
  readonly count: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #little: boolean;
  readonly #text: number;
  readonly #quantum: number;
  readonly #names: number;
  readonly #units: number;
  readonly #files: number;
  readonly #values: number;
  readonly #functions: number;
  readonly #wordSize: number;

  private constructor(bytes: Uint8Array, little: boolean, text: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#little = little;
    const magic = this.#u32(0);
    this.format = magic === magic120 ? '1.20' : magic === magic118 ? '1.18' : '1.16';
    this.#quantum = bytes[6] as number;
    this.#wordSize = bytes[7] as number;
    const word = (index: number): number => this.#word(8 + index * this.#wordSize);
    this.count = word(0);
    // From Go 1.18 on, functions start relative to the code's start; since 1.26 the header leaves that empty.
    const relative = this.format !== '1.16';
    this.#text = relative ? word(2) || text : 0;
    const [names, units, files, values, functions] = relative ? [3, 4, 5, 6, 7] : [2, 3, 4, 5, 6];
    this.#names = word(names as number);
    this.#units = word(units as number);
    this.#files = word(files as number);
    this.#values = word(values as number);
    this.#functions = word(functions as number);
  }

  /** The table of a Go program; undefined where there is none that can be read. */
  static open(elf: ElfFile): GoFunctions | undefined {
    const section = elf.section('.gopclntab') ?? elf.section('.data.rel.ro.gopclntab');
    if (section === undefined || section.size < 72 || section.size > 1 << 30) return undefined;
    const head = elf.reader.read(section.offset, 8);
    const little = elf.header.littleEndian;
    const magic = head.length < 8 ? 0 : new DataView(head.buffer, head.byteOffset, 8).getUint32(0, little);
    const wordSize = head[7];
    const known = magic === magic116 || magic === magic118 || magic === magic120;
    if (!known || head[4] !== 0 || head[5] !== 0 || (wordSize !== 4 && wordSize !== 8)) return undefined;
    const contents = elf.contents(section);
    if (!contents.ok) return undefined;
    const table = new GoFunctions(contents.value, little, codeStart(elf));
    return table.count > 0 && table.count <= mostFunctions ? table : undefined;
  }

  #u32(at: number): number {
    return at >= 0 && at + 4 <= this.#bytes.length ? this.#view.getUint32(at, this.#little) : 0;
  }

  #word(at: number): number {
    if (this.#wordSize === 4) return this.#u32(at);
    const [low, high] = this.#little ? [at, at + 4] : [at + 4, at];
    return this.#u32(high) * 0x1_0000_0000 + this.#u32(low);
  }

  /** Addresses of all functions, ascending, and one more: the end of the last. */
  readonly #starts: () => Float64Array = lazy(() => {
    const step = this.format === '1.16' ? 2 * this.#wordSize : 8;
    const room = Math.max(0, Math.floor((this.#bytes.length - this.#functions) / step));
    const starts = new Float64Array(Math.min(this.count, room) + 1);
    for (let index = 0; index < starts.length; index++) {
      const at = this.#functions + index * step;
      starts[index] = this.format === '1.16' ? this.#word(at) : this.#text + this.#u32(at);
    }
    return starts;
  });

  /** Where the function's own record is. */
  #record(index: number): number {
    if (this.format === '1.16') {
      return this.#functions + this.#word(this.#functions + (2 * index + 1) * this.#wordSize);
    }
    return this.#functions + this.#u32(this.#functions + index * 8 + 4);
  }

  /** A field of the record behind the function's start, by number: 0 is the name. */
  #field(index: number, field: number): number {
    return this.#u32(this.#record(index) + (this.format === '1.16' ? this.#wordSize : 4) + field * 4);
  }

  #name(index: number): string {
    return cStringAt(this.#bytes, this.#names + this.#field(index, 0)) ?? '';
  }

  /** All functions, by address. */
  *functions(): Generator<GoFunction, void, void> {
    const starts = this.#starts();
    for (let index = 0; index + 1 < starts.length; index++) {
      const address = starts[index] as number;
      const size = (starts[index + 1] as number) - address;
      const name = this.#name(index);
      if (name !== '' && size > 0) yield { name, address: virtualAddress(address), size };
    }
  }

  /** All functions with their use of the stack, by address. */
  *frames(): Generator<GoFrame, void, void> {
    const starts = this.#starts();
    for (let index = 0; index + 1 < starts.length; index++) {
      const address = starts[index] as number;
      const size = (starts[index + 1] as number) - address;
      if (size <= 0) continue;
      const table = this.#field(index, 3);
      yield {
        name: this.#name(index),
        address: virtualAddress(address),
        size,
        endsStack: (this.#flags(index) & (topFrameFlag | stackPointerFlag)) !== 0,
        stack: () => this.#steps(table),
      };
    }
  }

  /** abi.FuncFlag…, from Go 1.18 on. */
  #flags(index: number): number {
    if (this.format === '1.16') return 0;
    return (this.#field(index, this.format === '1.18' ? 8 : 9) >>> 8) & 0xff;
  }

  /** Function, file and line of an instruction; undefined outside Go's code. */
  at(address: VirtualAddress): GoLine | undefined {
    const starts = this.#starts();
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] as number) <= address) low = middle + 1;
      else high = middle;
    }
    const index = low - 1;
    if (index < 0 || index + 1 >= starts.length) return undefined;
    const within = address - (starts[index] as number);
    const file = this.#valueAt(this.#field(index, 4), within);
    const line = this.#valueAt(this.#field(index, 5), within);
    return { function: this.#name(index), file: this.#file(this.#field(index, 7), file), line: Math.max(0, line) };
  }

  /** The path of a unit's file. */
  #file(unit: number, file: number): string {
    if (file < 0) return '';
    const offset = this.#u32(this.#units + (unit + file) * 4);
    return offset === 0xffffffff ? '' : (cStringAt(this.#bytes, this.#files + offset) ?? '');
  }

  /** The value at an address within its function; -1 where the table tells nothing. */
  #valueAt(table: number, within: number): number {
    for (const [from, value, to] of this.#steps(table)) if (within >= from && within < to) return value;
    return -1;
  }

  *#steps(table: number): Generator<readonly [from: number, value: number, to: number], void, void> {
    if (table === 0) return;
    let at = this.#values + table;
    const number = (): number => {
      let value = 0;
      for (let scale = 1; at < this.#bytes.length; scale *= 128) {
        const byte = this.#bytes[at++] as number;
        value += (byte & 0x7f) * scale;
        if ((byte & 0x80) === 0 || scale > 2 ** 35) break;
      }
      return value;
    };
    let value = -1;
    for (let covered = 0, first = true; at < this.#bytes.length; first = false) {
      const step = number();
      if (step === 0 && !first) break;
      value += step % 2 === 0 ? step / 2 : -(step + 1) / 2;
      const from = covered;
      covered += number() * this.#quantum;
      yield [from, value, covered];
    }
  }
}

/** Where Go's code starts: what its module data says, else the start of .text. */
function codeStart(elf: ElfFile): number {
  const text = elf.section('.text')?.address ?? 0;
  const module = elf.section('.go.module');
  // A position-independent program's module data is filled in when it is loaded.
  if (module === undefined || elf.header.class !== 64) return text;
  const bytes = elf.reader.read(module.offset + moduleTextWord * 8, 8);
  if (bytes.length < 8) return text;
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  const start = Number(view.getBigUint64(0, elf.header.littleEndian));
  return start === 0 ? text : start;
}
