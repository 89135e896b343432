/**
 * From an address to source lines and inlined functions, out of a file's DWARF
 * (versions 2 to 5; specification: "DWARF Debugging Information Format Version 5",
 * 2017, and its predecessors). Made for look-ups by address: opening reads nothing, the
 * first question reads the unit headers and .debug_aranges, and each question no more
 * than the units that hold the address.
 */
import type { MachineError } from '../../base/errors.ts';
import { lazy } from '../../base/lazy.ts';
import { Lru } from '../../base/lru.ts';
import { type VirtualAddress, virtualAddress } from '../../base/numbers.ts';
import { Cursor } from '../../bytes/cursor.ts';
import type { ElfFile, Inflate } from '../elf/elf.ts';
import * as dw from './constants.ts';
import { FormReader, isBadInput } from './form.ts';
import { type CodeEntry, covers, lowest, readFunctions } from './functions.ts';
import { type LineTable, readLineTable } from './line.ts';
import { DwarfSections, type OpenSupplementary } from './sections.ts';
import { readUnits, type Unit } from './unit.ts';
import { lastAtOrBelow, UnitMap } from './unitmap.ts';

/** One function that an address belongs to. */
export interface SourceFrame {
  /** Its name as the linker knows it (mangled), else as the source has it; '' where DWARF tells none. */
  readonly function: string;
  /** '' where unknown. */
  readonly file: string;
  /** From 1; 0 where unknown. */
  readonly line: number;
  /** From 1; 0 where unknown. */
  readonly column: number;
  /** True when it was inlined into the frame that follows. */
  readonly inlined: boolean;
}

export interface SourcePlace {
  /** Innermost first; at least one. Every frame but the first tells the line of the call. */
  readonly frames: readonly SourceFrame[];
}

export interface LineIndexOptions {
  /** Unpacks compressed sections; without it they count as absent. */
  readonly inflate?: Inflate | undefined;
  /** Opens the file of .gnu_debugaltlink (dwz), into which names may lead. */
  readonly supplementary?: OpenSupplementary | undefined;
}

/** What has been read of a unit. */
interface Loaded {
  readonly lines: LineTable | undefined;
  readonly functions: readonly CodeEntry[];
  readonly starts: Float64Array;
  /** For each function the furthest end among it and all before. */
  readonly reach: Float64Array;
}

/** Units whose tables are kept. */
const keptUnits = 128;
const keptNames = 65_536;
/** A name may be behind this many references (an inlined constructor's: three). */
const mostReferences = 16;

export class LineIndex {
  readonly elf: ElfFile;
  readonly #sections: DwarfSections;
  readonly #loaded: Lru<Unit, Loaded> = new Lru(keptUnits);
  readonly #names: Lru<number, string> = new Lru(keptNames);
  readonly #map: UnitMap;

  constructor(sections: DwarfSections) {
    this.elf = sections.elf;
    this.#sections = sections;
    this.#map = new UnitMap(
      sections,
      () => this.#units(),
      (unit) => this.#lineTable(unit)?.ranges ?? [],
    );
  }

  /** True when the file has debugging information at all. */
  get present(): boolean {
    return this.#sections.get('info').size > 0;
  }

  /** Sections that could not be read, as far as they have been asked for. */
  get problems(): readonly MachineError[] {
    return this.#sections.problems;
  }

  /** How many units there are. */
  get unitCount(): number {
    return this.#units().length;
  }

  /** What compiled the file, as its units say (DW_AT_producer), without the options; each once. */
  readonly producers: () => readonly string[] = lazy(() => {
    const found = new Set<string>();
    // Units of one program are mostly alike; a few tell the compilers in it.
    const units = this.#units();
    const step = Math.max(1, Math.floor(units.length / 64));
    for (let at = 0; at < units.length; at += step) {
      const producer = attempt(() => units[at]?.root().producer) ?? '';
      const [name = ''] = producer.split(/ -[a-zA-Z]/, 1);
      if (name !== '') found.add(name);
    }
    return [...found];
  });

  /** Where in the source an instruction comes from; undefined where DWARF says nothing of its address. */
  at(address: VirtualAddress): SourcePlace | undefined {
    let best: SourcePlace | undefined;
    for (const unit of this.#map.at(address)) {
      const loaded = this.#load(unit);
      const chain = chainAt(loaded, address);
      const line = loaded.lines?.at(address);
      if (chain.length > 0) return { frames: this.#frames(unit, loaded, chain, line) };
      // Assembler sources have lines, but no functions.
      if (line !== undefined) best ??= { frames: [{ function: '', ...line, inlined: false }] };
    }
    return best;
  }

  /** Addresses at which a line of a source file begins; `isFile` says which paths are meant. Reads every line table. */
  addressesOf(isFile: (path: string) => boolean, line: number, column?: number): number[] {
    const found = new Set<number>();
    for (const unit of this.#units()) {
      const table = this.#lineTable(unit);
      for (const address of table?.addressesOf(isFile, line, column) ?? []) found.add(address);
    }
    return [...found].sort((a, b) => a - b);
  }

  /** Lines of a source file at which a statement begins, with their columns. Reads every line table. */
  linesOf(isFile: (path: string) => boolean): { readonly line: number; readonly column: number }[] {
    return this.#units().flatMap((unit) => this.#lineTable(unit)?.linesOf(isFile) ?? []);
  }

  /** All functions with code of their own, unit by unit; of those in several pieces, the first piece. */
  *functions(): Generator<{ readonly name: string; readonly address: VirtualAddress; readonly size: number }> {
    for (const unit of this.#units()) {
      for (const { entry, ranges } of attempt(() => readFunctions(unit, this.#map.isCode)) ?? []) {
        const name = this.#nameOf(unit, entry);
        const [start = 0, end = 0] = ranges;
        if (name !== '') yield { name, address: virtualAddress(start), size: end - start };
      }
    }
  }

  /** Innermost first. `chain` is outermost first. */
  #frames(
    unit: Unit,
    loaded: Loaded,
    chain: readonly CodeEntry[],
    line: { readonly file: string; readonly line: number; readonly column: number } | undefined,
  ): SourceFrame[] {
    const frames: SourceFrame[] = [];
    let place = line ?? { file: '', line: 0, column: 0 };
    for (let at = chain.length - 1; at >= 0; at--) {
      const entry = chain[at] as CodeEntry;
      frames.push({ function: this.#nameOf(unit, entry.entry), ...place, inlined: entry.inlined });
      place = { file: loaded.lines?.file(entry.callFile) ?? '', line: entry.callLine, column: entry.callColumn };
    }
    return frames;
  }

  /** The units of .debug_info with code or with entries that others refer to, by offset. */
  readonly #units: () => readonly Unit[] = lazy(() =>
    readUnits(this.#sections).filter(({ type }) => type !== dw.DW_UT_type && type !== dw.DW_UT_split_type),
  );

  readonly #unitStarts: () => Float64Array = lazy(() => Float64Array.from(this.#units(), ({ start }) => start));

  #load(unit: Unit): Loaded {
    let loaded = this.#loaded.get(unit);
    if (loaded === undefined) {
      const functions = attempt(() => readFunctions(unit, this.#map.isCode)) ?? [];
      let furthest = 0;
      const starts = Float64Array.from(functions, lowest);
      const reach = Float64Array.from(functions, ({ ranges }) => {
        for (let at = 1; at < ranges.length; at += 2) furthest = Math.max(furthest, ranges[at] as number);
        return furthest;
      });
      loaded = { lines: this.#lineTable(unit), functions, starts, reach };
      this.#loaded.set(unit, loaded);
    }
    return loaded;
  }

  #lineTable(unit: Unit): LineTable | undefined {
    return attempt(() => {
      const { lineProgram, compilationFolder } = unit.root();
      if (lineProgram < 0) return undefined;
      const readString = (form: number, value: number, bytes: Uint8Array): string => unit.string(form, value, bytes);
      return readLineTable(this.#sections, lineProgram, compilationFolder, readString, this.#map.isCode);
    });
  }

  /** The name of the function whose entry is at an offset. */
  #nameOf(unit: Unit, entry: number): string {
    let name = this.#names.get(entry);
    if (name === undefined) {
      name = attempt(() => this.#readName(unit, entry)) ?? '';
      this.#names.set(entry, name);
    }
    return name;
  }

  readonly #supplementary: () => LineIndex | undefined = lazy(() => {
    const sections = this.#sections.supplementary();
    return sections === undefined ? undefined : new LineIndex(sections);
  });

  /** The name of the entry at an offset of .debug_info; '' when it has none. */
  nameOf(entry: number): string {
    const unit = this.#unitWith(entry);
    return unit === undefined ? '' : this.#nameOf(unit, entry);
  }

  /** Follows DW_AT_abstract_origin and DW_AT_specification to the best name: the linker's, else the source's. */
  #readName(unit: Unit, entry: number): string {
    let plain = '';
    let here: Unit | undefined = unit;
    let offset = entry;
    for (let left = mostReferences; here !== undefined && left > 0; left--) {
      const found = readNames(here, offset);
      if (found.linkage !== '') return found.linkage;
      if (plain === '') plain = found.plain;
      if (found.supplementary >= 0) {
        const theirs = this.#supplementary()?.nameOf(found.supplementary) ?? '';
        return theirs === '' ? plain : theirs;
      }
      if (found.next < 0) break;
      offset = found.next;
      here = this.#unitWith(offset);
    }
    return plain;
  }

  /** The unit that an entry lies in. */
  #unitWith(offset: number): Unit | undefined {
    const unit = this.#units()[lastAtOrBelow(this.#unitStarts(), offset)];
    return unit !== undefined && offset < unit.end ? unit : undefined;
  }
}

/** An index over the DWARF in a file. Reads nothing yet. */
export function createLineIndex(elf: ElfFile, options: LineIndexOptions = {}): LineIndex {
  return new LineIndex(new DwarfSections(elf, options.inflate, options.supplementary));
}

/** What a reader gives; undefined where it met damaged input. */
function attempt<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (isBadInput(error)) return undefined;
    throw error;
  }
}

/** The function at an address and those inlined there, outermost first; empty when there is none. */
function chainAt({ functions, starts, reach }: Loaded, address: number): CodeEntry[] {
  const chain: CodeEntry[] = [];
  for (let at = lastAtOrBelow(starts, address); at >= 0 && (reach[at] as number) > address; at--) {
    const one = functions[at] as CodeEntry;
    if (!covers(one, address)) continue;
    for (let inner: CodeEntry | undefined = one; inner !== undefined; ) {
      chain.push(inner);
      inner = inner.children.find((child) => covers(child, address));
    }
    break;
  }
  return chain;
}

interface Names {
  readonly linkage: string;
  readonly plain: string;
  /** Where the entry that it refers to is; -1 when to none. */
  readonly next: number;
  /** The same, in the file of .gnu_debugaltlink. */
  readonly supplementary: number;
}

function readNames(unit: Unit, entry: number): Names {
  unit.root();
  // An entry is short; a window spares reading its unit.
  for (let length = 128; ; length *= 16) {
    const bytes = unit.sections.get('info').read(entry, length);
    try {
      return readNamesIn(unit, bytes);
    } catch (error) {
      if (!isBadInput(error) || bytes.length < length) throw error;
    }
  }
}

function readNamesIn(unit: Unit, bytes: Uint8Array): Names {
  const cursor = new Cursor(bytes, unit.sections.littleEndian);
  const reader = new FormReader(cursor, unit.format);
  const abbreviation = unit.abbreviations().get(cursor.uleb128());
  let linkage = '';
  let plain = '';
  let next = -1;
  let supplementary = -1;
  for (const { name, form, constant } of abbreviation?.attributes ?? []) {
    reader.read(form, constant);
    switch (name) {
      case dw.DW_AT_linkage_name:
      case dw.DW_AT_MIPS_linkage_name:
        linkage = unit.string(reader.form, reader.value, bytes);
        break;
      case dw.DW_AT_name:
        plain = unit.string(reader.form, reader.value, bytes);
        break;
      case dw.DW_AT_abstract_origin:
      case dw.DW_AT_specification:
        if (reader.form === dw.DW_FORM_GNU_ref_alt || reader.form === dw.DW_FORM_ref_sup4) supplementary = reader.value;
        else if (reader.form === dw.DW_FORM_ref_sup8) supplementary = reader.value;
        else next = unit.reference(reader.form, reader.value);
        break;
    }
  }
  return { linkage, plain, next, supplementary };
}
