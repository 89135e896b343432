/**
 * Packages of split units (.dwp): which part of each section a unit has. DWARF 5, section
 * 7.3.5; version 2 is GNU's form of it, for DWARF 4 (gcc wiki, DebugFissionDWP).
 */
import { Cursor } from '../../bytes/cursor.ts';
import { isBadInput } from './form.ts';
import type { DebugSection, SectionPart } from './sections.ts';

/** Names of sections by their number in the table: DWARF 5's, and those of version 2. */
const names: Readonly<Record<2 | 5, readonly string[]>> = {
  2: ['', 'info', 'types', 'abbrev', 'line', 'loc', 'str_offsets', 'macinfo', 'macro'],
  5: ['', 'info', '', 'abbrev', 'line', 'loclists', 'str_offsets', 'macro', 'rnglists'],
};

/** More units than any program has. */
const mostUnits = 1 << 24;

/** The parts of the sections that belong to the unit of an id; undefined when the package has none. */
export function partsOfUnit(
  index: DebugSection,
  id: bigint,
  littleEndian: boolean,
): ReadonlyMap<string, SectionPart> | undefined {
  try {
    const cursor = new Cursor(index.all(), littleEndian);
    const version = cursor.u32() & 0xffff;
    const columns = cursor.u32();
    const units = cursor.u32();
    const slots = cursor.u32();
    if ((version !== 2 && version !== 5) || columns > 16 || units > mostUnits || slots > mostUnits * 2)
      return undefined;
    let row = 0;
    const indexes = cursor.offset + 8 * slots;
    for (let slot = 0; slot < slots && row === 0; slot++) {
      if (cursor.u64() === id) row = new Cursor(cursor.bytes, littleEndian, indexes + 4 * slot).u32();
    }
    if (row < 1 || row > units) return undefined;
    const table = indexes + 4 * slots;
    const at = (line: number, column: number): number =>
      new Cursor(cursor.bytes, littleEndian, table + 4 * (line * columns + column)).u32();
    const parts = new Map<string, SectionPart>();
    for (let column = 0; column < columns; column++) {
      const name = names[version][at(0, column)] ?? '';
      if (name !== '') parts.set(name, { offset: at(row, column), size: at(units + row, column) });
    }
    return parts;
  } catch (error) {
    if (isBadInput(error)) return undefined;
    throw error;
  }
}
