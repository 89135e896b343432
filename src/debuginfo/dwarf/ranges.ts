/**
 * Lists of address ranges: .debug_ranges (DWARF 4, section 2.17.3), .debug_rnglists
 * (DWARF 5, section 2.17.3), and the table from addresses to units, .debug_aranges
 * (section 6.1.2). Ranges are pairs of a start and an end that is one past the last byte.
 */
import { Cursor } from '../../bytes/cursor.ts';
import * as dw from './constants.ts';
import { readSized, type UnitFormat } from './form.ts';
import type { DebugSection } from './sections.ts';

/** No function is in as many pieces. */
const mostRanges = 1 << 20;

/** Reads with a window that grows: nothing tells a list's length beforehand. */
function windowed(section: DebugSection, offset: number, read: (bytes: Uint8Array) => number[] | undefined): number[] {
  for (let length = 256; ; length *= 8) {
    const bytes = section.read(offset, length);
    const list = read(bytes);
    if (list !== undefined) return list;
    if (bytes.length < length) return [];
  }
}

/** A list of .debug_ranges. An empty one where it has no end. */
export function readRanges(
  section: DebugSection,
  offset: number,
  format: UnitFormat,
  littleEndian: boolean,
  base: number,
): number[] {
  const { addressSize } = format;
  return windowed(section, offset, (bytes) => {
    const cursor = new Cursor(bytes, littleEndian);
    const ranges: number[] = [];
    let from = base;
    while (cursor.remaining >= 2 * addressSize && ranges.length < mostRanges) {
      const start = readSized(cursor, addressSize);
      const end = readSized(cursor, addressSize);
      if (start === 0 && end === 0) return ranges;
      // The largest address announces a new base.
      if (start === (addressSize === 8 ? 2 ** 64 : 0xffffffff)) from = end;
      else if (end > start) ranges.push(from + start, from + end);
    }
    return ranges.length >= mostRanges ? ranges : undefined;
  });
}

/** A list of .debug_rnglists. `addressAt` reads .debug_addr. */
export function readRangeLists(
  section: DebugSection,
  offset: number,
  format: UnitFormat,
  littleEndian: boolean,
  base: number,
  addressAt: (index: number) => number,
): number[] {
  const { addressSize } = format;
  return windowed(section, offset, (bytes) => {
    const cursor = new Cursor(bytes, littleEndian);
    const ranges: number[] = [];
    const add = (start: number, end: number): void => {
      if (end > start) ranges.push(start, end);
    };
    let from = base;
    // The longest entry: a kind and two addresses or numbers of ten bytes.
    while (cursor.remaining > 20 || bytes.length === section.size - offset) {
      if (cursor.remaining === 0 || ranges.length >= mostRanges) return ranges;
      switch (cursor.u8()) {
        case dw.DW_RLE_end_of_list:
          return ranges;
        case dw.DW_RLE_base_addressx:
          from = addressAt(cursor.uleb128());
          break;
        case dw.DW_RLE_startx_endx: {
          const start = addressAt(cursor.uleb128());
          add(start, addressAt(cursor.uleb128()));
          break;
        }
        case dw.DW_RLE_startx_length: {
          const start = addressAt(cursor.uleb128());
          add(start, start + cursor.uleb128());
          break;
        }
        case dw.DW_RLE_offset_pair: {
          const start = from + cursor.uleb128();
          add(start, from + cursor.uleb128());
          break;
        }
        case dw.DW_RLE_base_address:
          from = readSized(cursor, addressSize);
          break;
        case dw.DW_RLE_start_end: {
          const start = readSized(cursor, addressSize);
          add(start, readSized(cursor, addressSize));
          break;
        }
        case dw.DW_RLE_start_length: {
          const start = readSized(cursor, addressSize);
          add(start, start + cursor.uleb128());
          break;
        }
        default:
          return ranges;
      }
    }
    return undefined;
  });
}

/** What .debug_aranges says: for each unit's offset in .debug_info, its ranges. Ends at the first set that is damaged. */
export function readAddressRanges(section: DebugSection, littleEndian: boolean): Map<number, number[]> {
  const units = new Map<number, number[]>();
  for (let offset = 0; offset < section.size; ) {
    const head = new Cursor(section.read(offset, 32), littleEndian);
    if (head.remaining < 32) break;
    let length = head.u32();
    const offsetSize = length === 0xffffffff ? 8 : 4;
    if (offsetSize === 8) length = head.u64number();
    const next = offset + head.offset + length;
    const version = head.u16();
    const unit = readSized(head, offsetSize);
    const addressSize = head.u8();
    const segmentSize = head.u8();
    if (!(next > offset) || next > section.size) break;
    if (version === 2 && segmentSize === 0 && (addressSize === 4 || addressSize === 8)) {
      // The pairs start at a multiple of their own size, counted from the set's start.
      const start = Math.ceil(head.offset / (2 * addressSize)) * 2 * addressSize;
      const cursor = new Cursor(section.read(offset, next - offset), littleEndian, start);
      const ranges = units.get(unit) ?? [];
      while (cursor.remaining >= 2 * addressSize) {
        const from = readSized(cursor, addressSize);
        const size = readSized(cursor, addressSize);
        if (from === 0 && size === 0) break;
        if (size > 0) ranges.push(from, from + size);
      }
      units.set(unit, ranges);
    }
    offset = next;
  }
  return units;
}
