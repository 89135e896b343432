/**
 * Attribute values by their form. DWARF 5, section 7.5.6; DWARF 2 to 4 where they
 * differ (DW_FORM_ref_addr is as wide as an address in DWARF 2).
 *
 * A value is read as one plain number, whose meaning the form tells: the constant or
 * address itself, an offset into a section, an index into a table of a unit, and for
 * strings and blocks that stand in place, their position.
 */
import { type Cursor, EndOfBytes, OverlongNumber } from '../../bytes/cursor.ts';
import * as dw from './constants.ts';

/** What the sizes of some forms depend on. */
export interface UnitFormat {
  readonly version: number;
  readonly addressSize: number;
  /** 4 in the 32-bit format, 8 in the 64-bit one. */
  readonly offsetSize: 4 | 8;
}

/** A form that the specification doesn't have: what follows it can't be read. */
export class UnknownForm extends Error {
  constructor(form: number, at: number) {
    super(`unknown form 0x${form.toString(16)} of an attribute at offset ${at}`);
    this.name = 'UnknownForm';
  }
}

/** True for what the readers throw on damaged input; everything else is a bug. */
export function isBadInput(error: unknown): boolean {
  return error instanceof EndOfBytes || error instanceof OverlongNumber || error instanceof UnknownForm;
}

/** Bytes that a value takes in every case; -1 where that depends on the value. */
export function fixedFormSize(form: number, format: UnitFormat): number {
  switch (form) {
    case dw.DW_FORM_flag_present:
    case dw.DW_FORM_implicit_const:
      return 0;
    case dw.DW_FORM_data1:
    case dw.DW_FORM_ref1:
    case dw.DW_FORM_flag:
    case dw.DW_FORM_strx1:
    case dw.DW_FORM_addrx1:
      return 1;
    case dw.DW_FORM_data2:
    case dw.DW_FORM_ref2:
    case dw.DW_FORM_strx2:
    case dw.DW_FORM_addrx2:
      return 2;
    case dw.DW_FORM_strx3:
    case dw.DW_FORM_addrx3:
      return 3;
    case dw.DW_FORM_data4:
    case dw.DW_FORM_ref4:
    case dw.DW_FORM_ref_sup4:
    case dw.DW_FORM_strx4:
    case dw.DW_FORM_addrx4:
      return 4;
    case dw.DW_FORM_data8:
    case dw.DW_FORM_ref8:
    case dw.DW_FORM_ref_sig8:
    case dw.DW_FORM_ref_sup8:
      return 8;
    case dw.DW_FORM_data16:
      return 16;
    case dw.DW_FORM_addr:
      return format.addressSize;
    case dw.DW_FORM_ref_addr:
      return format.version <= 2 ? format.addressSize : format.offsetSize;
    case dw.DW_FORM_strp:
    case dw.DW_FORM_line_strp:
    case dw.DW_FORM_sec_offset:
    case dw.DW_FORM_strp_sup:
    case dw.DW_FORM_GNU_ref_alt:
    case dw.DW_FORM_GNU_strp_alt:
      return format.offsetSize;
    default:
      return -1;
  }
}

/** An unsigned number of 1 to 8 bytes. */
export function readSized(cursor: Cursor, size: number): number {
  switch (size) {
    case 1:
      return cursor.u8();
    case 2:
      return cursor.u16();
    case 3: {
      const [a, b, c] = cursor.take(3) as unknown as [number, number, number];
      return cursor.littleEndian ? a | (b << 8) | (c << 16) : (a << 16) | (b << 8) | c;
    }
    case 4:
      return cursor.u32();
    case 8:
      return cursor.u64number();
    default:
      cursor.skip(size);
      return 0;
  }
}

/** Reads values one after another; `form` and `value` are those of the last one. */
export class FormReader {
  readonly #cursor: Cursor;
  readonly #format: UnitFormat;
  /** The last value's form; what DW_FORM_indirect named, where it was that. */
  form: number = 0;
  value: number = 0;

  constructor(cursor: Cursor, format: UnitFormat) {
    this.#cursor = cursor;
    this.#format = format;
  }

  /** Reads a value of a form into `value`, and steps over it. Throws UnknownForm. */
  read(form: number, constant: number): void {
    const cursor = this.#cursor;
    this.form = form;
    switch (form) {
      case dw.DW_FORM_flag_present:
        this.value = 1;
        return;
      case dw.DW_FORM_implicit_const:
        this.value = constant;
        return;
      case dw.DW_FORM_udata:
      case dw.DW_FORM_ref_udata:
      case dw.DW_FORM_strx:
      case dw.DW_FORM_addrx:
      case dw.DW_FORM_loclistx:
      case dw.DW_FORM_rnglistx:
      case dw.DW_FORM_GNU_addr_index:
      case dw.DW_FORM_GNU_str_index:
        this.value = cursor.uleb128();
        return;
      case dw.DW_FORM_sdata:
        this.value = cursor.sleb128();
        return;
      case dw.DW_FORM_string: {
        this.value = cursor.offset;
        const end = cursor.bytes.indexOf(0, cursor.offset);
        cursor.skip(end < 0 ? cursor.remaining + 1 : end + 1 - cursor.offset);
        return;
      }
      case dw.DW_FORM_block1:
        this.#block(cursor.u8());
        return;
      case dw.DW_FORM_block2:
        this.#block(cursor.u16());
        return;
      case dw.DW_FORM_block4:
        this.#block(cursor.u32());
        return;
      case dw.DW_FORM_block:
      case dw.DW_FORM_exprloc:
        this.#block(cursor.uleb128());
        return;
      case dw.DW_FORM_indirect: {
        const actual = cursor.uleb128();
        // Neither may follow: the one would go on for ever, the other has its value elsewhere.
        if (actual === dw.DW_FORM_indirect || actual === dw.DW_FORM_implicit_const) {
          throw new UnknownForm(actual, cursor.offset);
        }
        this.read(actual, 0);
        return;
      }
      case dw.DW_FORM_data16:
        this.#block(16);
        return;
      default: {
        const size = fixedFormSize(form, this.#format);
        if (size < 0) throw new UnknownForm(form, cursor.offset);
        this.value = readSized(cursor, size);
      }
    }
  }

  #block(length: number): void {
    this.value = this.#cursor.offset;
    this.#cursor.skip(length);
  }
}
