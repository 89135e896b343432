/**
 * Location lists: which expression holds at which addresses. .debug_loc of DWARF 2 to 4
 * (DWARF 4, section 2.6.2; GNU's split form of it), .debug_loclists of DWARF 5 (section
 * 2.6.2 and 7.7.3).
 */
import { Cursor } from '../../bytes/cursor.ts';
import * as dw from './constants.ts';
import { isBadInput, readSized } from './form.ts';
import type { Unit } from './unit.ts';

export interface LocationRange {
  readonly start: number;
  /** One past the last address; Infinity for the default location. */
  readonly end: number;
  readonly expression: Uint8Array;
}

/** No variable moves as often. */
const mostRanges = 65_536;

/** The list at an offset of the unit's location section; what could be read of it, where it is damaged. */
export function readLocationList(unit: Unit, offset: number): LocationRange[] {
  const { version } = unit.format;
  const section = unit.sections.get(version >= 5 ? 'loclists' : 'loc');
  for (let length = 1024; ; length *= 16) {
    const bytes = section.read(offset, length);
    const ranges: LocationRange[] = [];
    try {
      const cursor = new Cursor(bytes, unit.sections.littleEndian);
      if (version >= 5) readNew(unit, cursor, ranges);
      else if (unit.skeleton !== undefined) readSplit(unit, cursor, ranges);
      else readOld(unit, cursor, ranges);
      return ranges;
    } catch (error) {
      if (!isBadInput(error)) throw error;
      if (bytes.length < length) return ranges;
    }
  }
}

function readOld(unit: Unit, cursor: Cursor, ranges: LocationRange[]): void {
  const { addressSize } = unit.format;
  let base = unit.root().lowAddress;
  while (ranges.length < mostRanges) {
    const start = readSized(cursor, addressSize);
    const end = readSized(cursor, addressSize);
    if (start === 0 && end === 0) return;
    if (start === (addressSize === 8 ? 2 ** 64 : 0xffffffff)) {
      base = end;
      continue;
    }
    const expression = cursor.take(cursor.u16()).slice();
    ranges.push({ start: base + start, end: base + end, expression });
  }
}

/** GNU's lists of split units of DWARF 4: DW_LLE_GNU_… with indexes into .debug_addr. */
function readSplit(unit: Unit, cursor: Cursor, ranges: LocationRange[]): void {
  let base = unit.root().lowAddress;
  while (ranges.length < mostRanges) {
    const kind = cursor.u8();
    if (kind === 0) return;
    let start = 0;
    let end = 0;
    if (kind === 1) {
      base = unit.addressAt(cursor.uleb128());
      continue;
    }
    if (kind === 2) {
      start = unit.addressAt(cursor.uleb128());
      end = unit.addressAt(cursor.uleb128());
    } else if (kind === 3) {
      start = unit.addressAt(cursor.uleb128());
      end = start + cursor.u32();
    } else if (kind === 4) {
      start = base + cursor.u32();
      end = base + cursor.u32();
    } else return;
    ranges.push({ start, end, expression: cursor.take(cursor.u16()).slice() });
  }
}

function readNew(unit: Unit, cursor: Cursor, ranges: LocationRange[]): void {
  const { addressSize } = unit.format;
  let base = unit.root().lowAddress;
  const add = (start: number, end: number): void => {
    ranges.push({ start, end, expression: cursor.take(cursor.uleb128()).slice() });
  };
  while (ranges.length < mostRanges) {
    switch (cursor.u8()) {
      case dw.DW_LLE_end_of_list:
        return;
      case dw.DW_LLE_base_addressx:
        base = unit.addressAt(cursor.uleb128());
        break;
      case dw.DW_LLE_startx_endx: {
        const start = unit.addressAt(cursor.uleb128());
        add(start, unit.addressAt(cursor.uleb128()));
        break;
      }
      case dw.DW_LLE_startx_length: {
        const start = unit.addressAt(cursor.uleb128());
        add(start, start + cursor.uleb128());
        break;
      }
      case dw.DW_LLE_offset_pair: {
        const start = base + cursor.uleb128();
        add(start, base + cursor.uleb128());
        break;
      }
      case dw.DW_LLE_default_location:
        add(0, Number.POSITIVE_INFINITY);
        break;
      case dw.DW_LLE_base_address:
        base = readSized(cursor, addressSize);
        break;
      case dw.DW_LLE_start_end: {
        const start = readSized(cursor, addressSize);
        add(start, readSized(cursor, addressSize));
        break;
      }
      case dw.DW_LLE_start_length: {
        const start = readSized(cursor, addressSize);
        add(start, start + cursor.uleb128());
        break;
      }
      default:
        return;
    }
  }
}
