/**
 * Line number programs (.debug_line), run into tables that are searched by address:
 * DWARF 5, section 6.2; the older headers of versions 2 to 4.
 */
import { Cursor, EndOfBytes } from '../../bytes/cursor.ts';
import * as dw from './constants.ts';
import { FormReader, isBadInput, readSized, type UnitFormat } from './form.ts';
import type { DwarfSections } from './sections.ts';

export interface SourceLine {
  /** Path of the source file, '' where the table has none for it. */
  readonly file: string;
  /** From 1; 0 for code that belongs to no line. */
  readonly line: number;
  /** From 1; 0 where unknown. */
  readonly column: number;
}

/** Rows of instructions without a gap: from the first row's address to `end`. */
interface Sequence {
  readonly start: number;
  readonly end: number;
  /** First row and one past the last, in the table's columns. */
  readonly from: number;
  readonly to: number;
}

interface SourceFile {
  readonly name: string;
  readonly folder: number;
}

/** How a string of a header's form is had; the unit's own strings offsets count there. */
export type ReadString = (form: number, value: number, bytes: Uint8Array) => string;

/** Real programs stay far below. */
const mostRows = 1 << 24;

class Rows {
  addresses: Float64Array = new Float64Array(256);
  files: Uint32Array = new Uint32Array(256);
  lines: Uint32Array = new Uint32Array(256);
  columns: Uint32Array = new Uint32Array(256);
  statements: Uint8Array = new Uint8Array(256);
  count: number = 0;

  add(address: number, file: number, line: number, column: number, statement: boolean): void {
    if (this.count === this.addresses.length) this.#grow();
    const at = this.count++;
    this.addresses[at] = address;
    this.files[at] = file;
    this.lines[at] = line;
    this.columns[at] = column;
    this.statements[at] = statement ? 1 : 0;
  }

  #grow(): void {
    const size = this.addresses.length * 2;
    const grown = <Column extends Float64Array | Uint32Array | Uint8Array>(column: Column, empty: Column): Column => {
      empty.set(column);
      return empty;
    };
    this.addresses = grown(this.addresses, new Float64Array(size));
    this.files = grown(this.files, new Uint32Array(size));
    this.lines = grown(this.lines, new Uint32Array(size));
    this.columns = grown(this.columns, new Uint32Array(size));
    this.statements = grown(this.statements, new Uint8Array(size));
  }
}

/** A unit's line table. */
export class LineTable {
  readonly #rows: Rows;
  /** By start. */
  readonly #sequences: readonly Sequence[];
  /** For each sequence the furthest end among it and all before. */
  readonly #reach: readonly number[];
  readonly #folders: readonly string[];
  readonly #files: readonly (SourceFile | undefined)[];
  readonly #compilationFolder: string;

  constructor(
    rows: Rows,
    sequences: readonly Sequence[],
    folders: readonly string[],
    files: readonly (SourceFile | undefined)[],
    compilationFolder: string,
  ) {
    this.#rows = rows;
    this.#sequences = sequences.slice().sort((a, b) => a.start - b.start);
    let reach = 0;
    this.#reach = this.#sequences.map(({ end }) => {
      reach = Math.max(reach, end);
      return reach;
    });
    this.#folders = folders;
    this.#files = files;
    this.#compilationFolder = compilationFolder;
  }

  /** The line of the instruction at an address; undefined where the table says nothing of it. */
  at(address: number): SourceLine | undefined {
    const row = this.#rowAt(address);
    if (row < 0) return undefined;
    return {
      file: this.file(this.#rows.files[row] as number),
      line: this.#rows.lines[row] as number,
      column: this.#rows.columns[row] as number,
    };
  }

  #rowAt(address: number): number {
    let low = 0;
    let high = this.#sequences.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sequences[middle]?.start as number) <= address) low = middle + 1;
      else high = middle;
    }
    for (let at = low - 1; at >= 0 && (this.#reach[at] as number) > address; at--) {
      const sequence = this.#sequences[at] as Sequence;
      if (address < sequence.end) return this.#rowIn(sequence, address);
    }
    return -1;
  }

  /** The last row at or below an address: of several rows for one address, the last one counts. */
  #rowIn(sequence: Sequence, address: number): number {
    const { addresses } = this.#rows;
    let low = sequence.from;
    let high = sequence.to;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((addresses[middle] as number) <= address) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /**
   * Addresses at which a statement of a file's line begins (is_stmt), in a column when one is
   * given, ascending, each once. `isFile` is asked once a file.
   */
  addressesOf(isFile: (path: string) => boolean, line: number, column?: number): number[] {
    const wanted = this.#files.map((_, index) => isFile(this.file(index)));
    if (!wanted.includes(true)) return [];
    const { files, lines, columns, statements, addresses } = this.#rows;
    const found = new Set<number>();
    for (const { from, to } of this.#sequences) {
      for (let at = from; at < to; at++) {
        if (lines[at] !== line || statements[at] !== 1 || !wanted[files[at] as number]) continue;
        if (column === undefined || columns[at] === column) found.add(addresses[at] as number);
      }
    }
    return [...found].sort((a, b) => a - b);
  }

  /** Lines of a file at which a statement begins, and those of its columns, ascending. */
  linesOf(isFile: (path: string) => boolean): { readonly line: number; readonly column: number }[] {
    const wanted = this.#files.map((_, index) => isFile(this.file(index)));
    if (!wanted.includes(true)) return [];
    const { files, lines, columns, statements } = this.#rows;
    const found = new Map<string, { line: number; column: number }>();
    for (const { from, to } of this.#sequences) {
      for (let at = from; at < to; at++) {
        const [line = 0, column = 0] = [lines[at], columns[at]];
        if (statements[at] === 1 && line > 0 && wanted[files[at] as number])
          found.set(`${line}:${column}`, { line, column });
      }
    }
    return [...found.values()].sort((a, b) => a.line - b.line || a.column - b.column);
  }

  /** The ranges that the table covers, as pairs of start and end. */
  get ranges(): number[] {
    return this.#sequences.flatMap(({ start, end }) => [start, end]);
  }

  /** A source file's path: as far as the table tells it, with the compilation's folder before a relative one. */
  file(index: number): string {
    const file = this.#files[index];
    if (file === undefined) return '';
    if (file.name.startsWith('/')) return file.name;
    const folder = this.#folders[file.folder] ?? '';
    const parts = [folder, file.name];
    if (!folder.startsWith('/') && folder !== this.#compilationFolder) parts.unshift(this.#compilationFolder);
    return parts.filter((part) => part !== '').join('/');
  }
}

/**
 * Runs the program at an offset of .debug_line. What is damaged ends the program; the
 * sequences before it stay. undefined where not even its header can be read. A sequence
 * that starts where `isCode` says no belongs to a function that the linker threw away.
 */
export function readLineTable(
  sections: DwarfSections,
  offset: number,
  compilationFolder: string,
  readString: ReadString,
  isCode: (address: number) => boolean,
): LineTable | undefined {
  const section = sections.get('line');
  const head = new Cursor(section.read(offset, 12), sections.littleEndian);
  try {
    let length = head.u32();
    const offsetSize = length === 0xffffffff ? 8 : 4;
    if (offsetSize === 8) length = head.u64number();
    const bytes = section.read(offset, head.offset + length);
    const cursor = new Cursor(bytes, sections.littleEndian, head.offset);
    return new Program(cursor, offsetSize, compilationFolder, readString, isCode).run();
  } catch (error) {
    if (isBadInput(error)) return undefined;
    throw error;
  }
}

class Program {
  readonly #cursor: Cursor;
  readonly #compilationFolder: string;
  readonly #isCode: (address: number) => boolean;
  readonly #readString: ReadString;
  readonly #format: UnitFormat;
  readonly #minimumInstruction: number;
  readonly #operationsPerInstruction: number;
  readonly #startsAsStatement: boolean;
  readonly #lineBase: number;
  readonly #lineRange: number;
  readonly #opcodeBase: number;
  readonly #operandCounts: readonly number[];
  readonly #folders: string[] = [];
  readonly #files: (SourceFile | undefined)[] = [];
  readonly #rows = new Rows();
  readonly #sequences: Sequence[] = [];

  constructor(
    cursor: Cursor,
    offsetSize: 4 | 8,
    compilationFolder: string,
    readString: ReadString,
    isCode: (address: number) => boolean,
  ) {
    this.#cursor = cursor;
    this.#compilationFolder = compilationFolder;
    this.#readString = readString;
    this.#isCode = isCode;
    const version = cursor.u16();
    if (version < 2 || version > 5) throw new EndOfBytes(cursor.offset, 0, cursor.length);
    let addressSize = 8;
    if (version >= 5) {
      addressSize = cursor.u8();
      cursor.skip(1); // segment_selector_size
    }
    this.#format = { version, addressSize, offsetSize };
    const headerLength = readSized(cursor, offsetSize);
    const start = cursor.offset + headerLength;
    this.#minimumInstruction = cursor.u8();
    this.#operationsPerInstruction = version >= 4 ? Math.max(1, cursor.u8()) : 1;
    this.#startsAsStatement = cursor.u8() !== 0;
    this.#lineBase = cursor.i8();
    this.#lineRange = Math.max(1, cursor.u8());
    this.#opcodeBase = cursor.u8();
    this.#operandCounts = [0, ...cursor.take(Math.max(0, this.#opcodeBase - 1))];
    if (version >= 5) this.#readTables();
    else this.#readOldTables();
    cursor.offset = start;
  }

  /** Versions 2 to 4: files count from 1, folder 0 is the compilation's. */
  #readOldTables(): void {
    const cursor = this.#cursor;
    this.#folders.push(this.#compilationFolder);
    for (let name = cursor.cString(); name !== ''; name = cursor.cString()) this.#folders.push(name);
    this.#files.push(undefined);
    for (let name = cursor.cString(); name !== ''; name = cursor.cString()) this.#addFile(name);
  }

  /** A file's entry behind its name: folder, time, size. */
  #addFile(name: string): void {
    const folder = this.#cursor.uleb128();
    this.#cursor.uleb128();
    this.#cursor.uleb128();
    this.#files.push({ name, folder });
  }

  /** Version 5: both tables describe their own columns, and count from 0. */
  #readTables(): void {
    for (const { name } of this.#readEntries()) this.#folders.push(name);
    for (const file of this.#readEntries()) this.#files.push(file);
  }

  #readEntries(): SourceFile[] {
    const cursor = this.#cursor;
    const formats: { readonly content: number; readonly form: number }[] = [];
    for (let left = cursor.u8(); left > 0; left--) formats.push({ content: cursor.uleb128(), form: cursor.uleb128() });
    const count = cursor.uleb128();
    const entries: SourceFile[] = [];
    // Entries without a column would take no bytes: a count of them could be anything.
    if (formats.length === 0) return entries;
    const reader = new FormReader(cursor, this.#format);
    for (let left = count; left > 0; left--) {
      let name = '';
      let folder = 0;
      const before = cursor.offset;
      for (const { content, form } of formats) {
        reader.read(form, 0);
        if (content === dw.DW_LNCT_path) name = this.#readString(reader.form, reader.value, cursor.bytes);
        else if (content === dw.DW_LNCT_directory_index) folder = reader.value;
      }
      if (cursor.offset === before) return entries;
      entries.push({ name, folder });
    }
    return entries;
  }

  run(): LineTable {
    try {
      this.#execute();
    } catch (error) {
      if (!isBadInput(error)) throw error;
    }
    return new LineTable(this.#rows, this.#sequences, this.#folders, this.#files, this.#compilationFolder);
  }

  #execute(): void {
    const cursor = this.#cursor;
    const rows = this.#rows;
    const base = this.#opcodeBase;
    const operations = this.#operationsPerInstruction;
    let address = 0;
    let operation = 0;
    let file = 1;
    let line = 1;
    let column = 0;
    let statement = this.#startsAsStatement;
    let first = 0;
    const advance = (by: number): void => {
      if (operations === 1) {
        address += this.#minimumInstruction * by;
        return;
      }
      address += this.#minimumInstruction * Math.floor((operation + by) / operations);
      operation = (operation + by) % operations;
    };
    while (cursor.remaining > 0 && rows.count < mostRows) {
      const opcode = cursor.u8();
      if (opcode >= base) {
        const adjusted = opcode - base;
        advance(Math.floor(adjusted / this.#lineRange));
        line += this.#lineBase + (adjusted % this.#lineRange);
        rows.add(address, file, line, column, statement);
        continue;
      }
      switch (opcode) {
        case 0: {
          const length = cursor.uleb128();
          const next = cursor.offset + length;
          const extended = length > 0 ? cursor.u8() : 0;
          if (extended === dw.DW_LNE_end_sequence) {
            this.#endSequence(first, address);
            first = rows.count;
            address = 0;
            operation = 0;
            file = 1;
            line = 1;
            column = 0;
            statement = this.#startsAsStatement;
          } else if (extended === dw.DW_LNE_set_address) {
            address = readSized(cursor, length - 1);
            operation = 0;
          } else if (extended === dw.DW_LNE_define_file) {
            this.#addFile(cursor.cString());
          }
          cursor.offset = next;
          break;
        }
        case dw.DW_LNS_copy:
          rows.add(address, file, line, column, statement);
          break;
        case dw.DW_LNS_advance_pc:
          advance(cursor.uleb128());
          break;
        case dw.DW_LNS_advance_line:
          line += cursor.sleb128();
          break;
        case dw.DW_LNS_set_file:
          file = cursor.uleb128();
          break;
        case dw.DW_LNS_set_column:
          column = cursor.uleb128();
          break;
        case dw.DW_LNS_negate_stmt:
          statement = !statement;
          break;
        case dw.DW_LNS_const_add_pc:
          advance(Math.floor((255 - base) / this.#lineRange));
          break;
        case dw.DW_LNS_fixed_advance_pc:
          address += cursor.u16();
          operation = 0;
          break;
        default:
          for (let left = this.#operandCounts[opcode] ?? 0; left > 0; left--) cursor.uleb128();
      }
    }
  }

  #endSequence(first: number, end: number): void {
    const rows = this.#rows;
    const start = rows.addresses[first];
    if (rows.count > first && start !== undefined && end > start && this.#isCode(start)) {
      this.#sequences.push({ start, end, from: first, to: rows.count });
    } else {
      rows.count = first;
    }
  }
}
