/**
 * The units of .debug_info: their headers (DWARF 5, section 7.5.1; the shorter ones of
 * DWARF 2 to 4), their first entry, and what values of their attributes mean: strings,
 * addresses, references, ranges.
 */
import { lazy } from '../../base/lazy.ts';
import { Lru } from '../../base/lru.ts';
import { Cursor, decodeText, EndOfBytes } from '../../bytes/cursor.ts';
import { type Abbreviation, readAbbreviations } from './abbrev.ts';
import * as dw from './constants.ts';
import { FormReader, isBadInput, readSized, type UnitFormat } from './form.ts';
import { readRangeLists, readRanges } from './ranges.ts';
import type { DebugSection, DwarfSections } from './sections.ts';

interface Header extends UnitFormat {
  /** Where in .debug_info the header starts, and one past the unit's last byte. */
  readonly start: number;
  readonly end: number;
  /** Where its first entry starts. */
  readonly entries: number;
  readonly abbreviations: number;
  /** DW_UT_…; DW_UT_compile in the versions before 5. */
  readonly type: number;
  /** Of a type unit its signature, of a split or skeleton unit its dwo id; 0 for others. */
  readonly signature: bigint;
  /** Of a type unit: where in it the type is, counted from the unit's start. */
  readonly typeOffset: number;
}

/** What the first entry says of the whole unit; 0 and -1 stand for absent. */
export interface RootEntry {
  readonly tag: number;
  readonly name: string;
  readonly compilationFolder: string;
  readonly producer: string;
  readonly language: number;
  /** Offset into .debug_line; -1 without a line table. */
  readonly lineProgram: number;
  readonly lowAddress: number;
  /** Pairs of start and end (one past). */
  readonly ranges: readonly number[];
  /** Where the rest of the unit is, of a skeleton; '' for others. */
  readonly splitName: string;
  /** GNU's id of the split unit, where DWARF 4 has it in an attribute; 0n for none. */
  readonly splitId: bigint;
}

const mostUnitBytes = 512 << 20;

export class Unit {
  readonly sections: DwarfSections;
  /** The section that its offsets count in: .debug_info, or .debug_types of DWARF 4. */
  readonly section: DebugSection;
  readonly format: UnitFormat;
  readonly start: number;
  readonly end: number;
  readonly entries: number;
  readonly type: number;
  readonly signature: bigint;
  readonly typeOffset: number;
  /** Of a split unit: its skeleton, which has what depends on addresses. */
  skeleton: Unit | undefined;
  readonly #abbreviationsAt: number;
  readonly #tables: Lru<string, ReadonlyMap<number, Abbreviation>>;
  // Not by lazy(): a file has thousands of units, most of which are never looked at.
  #abbreviations: ReadonlyMap<number, Abbreviation> | undefined;
  #root: RootEntry | undefined;
  #stringOffsetsBase = 0;
  #addressBase = 0;
  #rangeListsBase = 0;
  #gnuRangesBase = 0;
  #locationListsBase = 0;

  constructor(
    sections: DwarfSections,
    section: DebugSection,
    header: Header,
    tables: Lru<string, ReadonlyMap<number, Abbreviation>>,
  ) {
    this.sections = sections;
    this.section = section;
    this.format = header;
    this.start = header.start;
    this.end = header.end;
    this.entries = header.entries;
    this.type = header.type;
    this.signature = header.signature;
    this.typeOffset = header.typeOffset;
    this.#abbreviationsAt = header.abbreviations;
    this.#tables = tables;
    if (header.version >= 5) {
      // Where a unit of its own base attributes is read before they are: right behind the tables' headers.
      this.#stringOffsetsBase = header.offsetSize === 8 ? 16 : 8;
      this.#addressBase = header.offsetSize === 8 ? 16 : 8;
      this.#rangeListsBase = header.offsetSize === 8 ? 20 : 12;
      this.#locationListsBase = this.#rangeListsBase;
    }
  }

  /** The unit's abbreviations. Throws on damaged input. */
  abbreviations(): ReadonlyMap<number, Abbreviation> {
    if (this.#abbreviations !== undefined) return this.#abbreviations;
    const { version, addressSize, offsetSize } = this.format;
    const key = `${this.#abbreviationsAt} ${version} ${addressSize} ${offsetSize}`;
    let table = this.#tables.get(key);
    if (table === undefined) {
      table = this.#readAbbreviations();
      this.#tables.set(key, table);
    }
    this.#abbreviations = table;
    return table;
  }

  /** Lets go of its abbreviations: of a file that is gone through once, they would be most of what is kept. */
  release(): void {
    this.#abbreviations = undefined;
  }

  #readAbbreviations(): ReadonlyMap<number, Abbreviation> {
    const section = this.sections.get('abbrev');
    // Nothing tells how long a table is: most are short.
    for (let length = 8192; ; length *= 16) {
      const bytes = section.read(this.#abbreviationsAt, length);
      try {
        return readAbbreviations(new Cursor(bytes, this.sections.littleEndian), this.format);
      } catch (error) {
        if (!(error instanceof EndOfBytes) || bytes.length < length) throw error;
      }
    }
  }

  /** The unit's bytes, header included; offsets in the cursor count from `start`. Kept while the unit is in use. */
  bytes(): Uint8Array {
    return this.section.read(this.start, Math.min(this.end - this.start, mostUnitBytes));
  }

  cursorAt(bytes: Uint8Array, offset: number): Cursor {
    return new Cursor(bytes, this.sections.littleEndian, offset - this.start);
  }

  /** The unit's first entry. Throws on damaged input. */
  root(): RootEntry {
    if (this.#root !== undefined) return this.#root;
    const { section } = this;
    const length = this.end - this.start;
    // It stands at the front, so that the rest of the unit can stay unread.
    for (let wanted = 512; ; wanted *= 16) {
      const bytes = section.read(this.start, Math.min(wanted, length));
      try {
        this.#root = this.#readRoot(bytes);
        return this.#root;
      } catch (error) {
        if (!(error instanceof EndOfBytes) || wanted >= length || bytes.length < Math.min(wanted, length)) throw error;
      }
    }
  }

  #readRoot(bytes: Uint8Array): RootEntry {
    const cursor = this.cursorAt(bytes, this.entries);
    const abbreviation = this.abbreviations().get(cursor.uleb128());
    const reader = new FormReader(cursor, this.format);
    const found = new Map<number, { readonly form: number; readonly value: number }>();
    let splitId = 0n;
    for (const { name, form, constant } of abbreviation?.attributes ?? []) {
      const at = cursor.offset;
      reader.read(form, constant);
      found.set(name, { form: reader.form, value: reader.value });
      if (name === dw.DW_AT_GNU_dwo_id && cursor.offset - at === 8) {
        splitId = new Cursor(bytes, this.sections.littleEndian, at).u64();
      }
    }
    // The bases first: strings, addresses and ranges count from them.
    this.#stringOffsetsBase = found.get(dw.DW_AT_str_offsets_base)?.value ?? this.#stringOffsetsBase;
    this.#addressBase =
      found.get(dw.DW_AT_addr_base)?.value ?? found.get(dw.DW_AT_GNU_addr_base)?.value ?? this.#addressBase;
    this.#rangeListsBase = found.get(dw.DW_AT_rnglists_base)?.value ?? this.#rangeListsBase;
    this.#gnuRangesBase = found.get(dw.DW_AT_GNU_ranges_base)?.value ?? 0;
    this.#locationListsBase = found.get(dw.DW_AT_loclists_base)?.value ?? this.#locationListsBase;
    const text = (name: number): string => {
      const attribute = found.get(name);
      return attribute === undefined ? '' : this.string(attribute.form, attribute.value, bytes);
    };
    const low = found.get(dw.DW_AT_low_pc);
    const own = low === undefined ? 0 : this.address(low.form, low.value);
    const lowAddress = this.skeleton === undefined ? own : this.skeleton.root().lowAddress;
    const high = found.get(dw.DW_AT_high_pc);
    const ranges = found.get(dw.DW_AT_ranges);
    const all = lazy((): readonly number[] => {
      if (ranges !== undefined) return this.rangesOf(ranges.form, ranges.value, lowAddress);
      if (low === undefined || high === undefined) return [];
      return [lowAddress, this.endOf(high.form, high.value, lowAddress)];
    });
    return {
      tag: abbreviation?.tag ?? 0,
      // Texts are read when they are asked for: most units are only asked for their language.
      get name() {
        return text(dw.DW_AT_name);
      },
      get compilationFolder() {
        return text(dw.DW_AT_comp_dir);
      },
      get producer() {
        return text(dw.DW_AT_producer);
      },
      language: found.get(dw.DW_AT_language)?.value ?? 0,
      lineProgram: found.get(dw.DW_AT_stmt_list)?.value ?? -1,
      lowAddress,
      get ranges() {
        return all();
      },
      splitName: text(dw.DW_AT_dwo_name) || text(dw.DW_AT_GNU_dwo_name),
      splitId: this.signature || splitId,
    };
  }

  /** DW_AT_high_pc: an address, or, as a constant, the length behind `low`. */
  endOf(form: number, value: number, low: number): number {
    return isAddressForm(form) ? this.address(form, value) : low + value;
  }

  /** A string attribute; '' where it can't be had. `bytes` are the unit's, for strings that stand in place. */
  string(form: number, value: number, bytes: Uint8Array): string {
    const { sections, format } = this;
    switch (form) {
      case dw.DW_FORM_string: {
        const end = bytes.indexOf(0, value);
        return end < 0 ? '' : decodeText(bytes, value, end);
      }
      case dw.DW_FORM_strp:
        return sections.get('str').string(value);
      case dw.DW_FORM_strp_sup:
      case dw.DW_FORM_GNU_strp_alt:
        return sections.supplementary()?.get('str').string(value) ?? '';
      case dw.DW_FORM_line_strp:
        return sections.get('line_str').string(value);
      case dw.DW_FORM_strx:
      case dw.DW_FORM_strx1:
      case dw.DW_FORM_strx2:
      case dw.DW_FORM_strx3:
      case dw.DW_FORM_strx4:
      case dw.DW_FORM_GNU_str_index: {
        const at = this.#stringOffsetsBase + value * format.offsetSize;
        const offset = numberAt(sections.get('str_offsets'), at, format.offsetSize, sections.littleEndian);
        return offset === undefined ? '' : sections.get('str').string(offset);
      }
      default:
        return '';
    }
  }

  /** An address attribute; NaN where it can't be had. */
  address(form: number, value: number): number {
    if (form === dw.DW_FORM_addr) return value;
    if (!isAddressForm(form)) return Number.NaN;
    return this.addressAt(value);
  }

  /** The address of an index into .debug_addr; NaN where there is none. */
  addressAt(index: number): number {
    if (this.skeleton !== undefined) return this.skeleton.addressAt(index);
    const { addressSize } = this.format;
    const at = this.#addressBase + index * addressSize;
    return numberAt(this.sections.get('addr'), at, addressSize, this.sections.littleEndian) ?? Number.NaN;
  }

  /** Where in .debug_info a reference leads; -1 for those into other files or to types by signature. */
  reference(form: number, value: number): number {
    switch (form) {
      case dw.DW_FORM_ref1:
      case dw.DW_FORM_ref2:
      case dw.DW_FORM_ref4:
      case dw.DW_FORM_ref8:
      case dw.DW_FORM_ref_udata:
        return this.start + value;
      case dw.DW_FORM_ref_addr:
        return value;
      default:
        return -1;
    }
  }

  /** Where in .debug_loclists (before DWARF 5: .debug_loc) a location list starts; undefined where nothing tells. */
  locationList(form: number, value: number): number | undefined {
    if (form !== dw.DW_FORM_loclistx) return value;
    const { sections, format } = this;
    const at = this.#locationListsBase + value * format.offsetSize;
    const offset = numberAt(sections.get('loclists'), at, format.offsetSize, sections.littleEndian);
    return offset === undefined ? undefined : offset + this.#locationListsBase;
  }

  /** Pairs of start and end that DW_AT_ranges lists. `base` is the unit's lowest address. */
  rangesOf(form: number, value: number, base: number): number[] {
    const { sections, format } = this;
    if (format.version < 5) {
      if (this.skeleton !== undefined) return this.skeleton.rangesOf(form, value, base);
      return readRanges(sections.get('ranges'), this.#gnuRangesBase + value, format, sections.littleEndian, base);
    }
    const section = sections.get('rnglists');
    let offset: number | undefined = value;
    if (form === dw.DW_FORM_rnglistx) {
      const entry = this.#rangeListsBase + value * format.offsetSize;
      offset = numberAt(section, entry, format.offsetSize, sections.littleEndian);
      if (offset !== undefined) offset += this.#rangeListsBase;
    }
    if (offset === undefined) return [];
    return readRangeLists(section, offset, format, sections.littleEndian, base, (index) => this.addressAt(index));
  }
}

export function isAddressForm(form: number): boolean {
  return (
    form === dw.DW_FORM_addr ||
    form === dw.DW_FORM_addrx ||
    form === dw.DW_FORM_GNU_addr_index ||
    (form >= dw.DW_FORM_addrx1 && form <= dw.DW_FORM_addrx4)
  );
}

function numberAt(section: DebugSection, offset: number, size: number, littleEndian: boolean): number | undefined {
  const bytes = section.read(offset, size);
  return bytes.length < size ? undefined : readSized(new Cursor(bytes, littleEndian), size);
}

/** Reads the header of the unit that starts at an offset; the cursor stands there. undefined where there is none that can be read. */
function readHeader(cursor: Cursor, kind: 'info' | 'types', start: number): Header | undefined {
  const before = start - cursor.offset;
  try {
    let length = cursor.u32();
    const wide = length === 0xffffffff;
    if (wide) length = cursor.u64number();
    else if (length >= 0xfffffff0) return undefined;
    const end = before + cursor.offset + length;
    const offsetSize = wide ? 8 : 4;
    const version = cursor.u16();
    if (version < 2 || version > 5) return { ...skipped, start, end, version };
    let type = dw.DW_UT_compile;
    let abbreviations: number;
    let addressSize: number;
    if (version >= 5) {
      type = cursor.u8();
      addressSize = cursor.u8();
      abbreviations = readSized(cursor, offsetSize);
    } else {
      if (kind === 'types') type = dw.DW_UT_type;
      abbreviations = readSized(cursor, offsetSize);
      addressSize = cursor.u8();
    }
    const ofType = type === dw.DW_UT_type || type === dw.DW_UT_split_type;
    const signed = ofType || type === dw.DW_UT_skeleton || type === dw.DW_UT_split_compile;
    const signature = signed ? cursor.u64() : 0n;
    const typeOffset = ofType ? readSized(cursor, offsetSize) : 0;
    if (addressSize !== 4 && addressSize !== 8) return { ...skipped, start, end, version };
    const entries = before + cursor.offset;
    return { start, end, version, type, abbreviations, addressSize, offsetSize, entries, signature, typeOffset };
  } catch (error) {
    if (isBadInput(error)) return undefined;
    throw error;
  }
}

/** A unit of a version that is not known: stepped over. */
const skipped = {
  type: -1,
  abbreviations: 0,
  addressSize: 8,
  offsetSize: 4,
  entries: 0,
  signature: 0n,
  typeOffset: 0,
} as const;

const pieceBytes = 1 << 16;
/** Of a type unit, in the form with offsets of 64 bits. */
const mostHeaderBytes = 40;

/** All units of .debug_info (or of DWARF 4's .debug_types) that can be read, in order. */
export function readUnits(sections: DwarfSections, kind: 'info' | 'types' = 'info'): Unit[] {
  const section = sections.get(kind);
  const tables = new Lru<string, ReadonlyMap<number, Abbreviation>>(64);
  const units: Unit[] = [];
  // Units are mostly short: one piece of the section has many headers.
  let cursor = new Cursor(section.read(0, pieceBytes), sections.littleEndian);
  let pieceAt = 0;
  for (let offset = 0; offset < section.size; ) {
    if (offset + mostHeaderBytes > pieceAt + cursor.bytes.length) {
      cursor = new Cursor(section.read(offset, pieceBytes), sections.littleEndian);
      pieceAt = offset;
    }
    cursor.offset = offset - pieceAt;
    const header = readHeader(cursor, kind, offset);
    if (header === undefined || !(header.end > offset)) break;
    if (header.type >= 0) units.push(new Unit(sections, section, header, tables));
    offset = header.end;
  }
  return units;
}
