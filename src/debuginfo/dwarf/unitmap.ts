/** From an address to the units that cover it: .debug_aranges, else what the units say themselves. */
import { lazy } from '../../base/lazy.ts';
import { PF_X, PT_LOAD } from '../elf/constants.ts';
import * as dw from './constants.ts';
import { isBadInput } from './form.ts';
import { onlyCode } from './functions.ts';
import { readAddressRanges } from './ranges.ts';
import type { DwarfSections } from './sections.ts';
import type { Unit } from './unit.ts';

/** Units of one address that are looked at: inline code of the linker's leavings may claim the same. */
const mostUnits = 8;

export class UnitMap {
  readonly #sections: DwarfSections;
  readonly #units: () => readonly Unit[];
  readonly #fromLines: ((unit: Unit) => readonly number[]) | undefined;

  /** `fromLines` tells the ranges of a unit that has none of its own. */
  constructor(sections: DwarfSections, units: () => readonly Unit[], fromLines?: (unit: Unit) => readonly number[]) {
    this.#sections = sections;
    this.#units = units;
    this.#fromLines = fromLines;
  }

  /** Executable addresses of the file; DWARF speaks also of functions that are not in it. */
  readonly isCode: (address: number) => boolean = (address) =>
    this.#sections.elf.segments.some(
      (segment) =>
        segment.type === PT_LOAD &&
        (segment.flags & PF_X) !== 0 &&
        address >= segment.address &&
        address < segment.address + segment.memorySize,
    );

  /** Ranges of units, by start. `reach` is the furthest end so far. */
  readonly #ranges: () => { starts: Float64Array; ends: Float64Array; reach: Float64Array; units: readonly Unit[] } =
    lazy(() => {
      const listed = readAddressRanges(this.#sections.get('aranges'), this.#sections.littleEndian);
      const rows: { readonly start: number; readonly end: number; readonly unit: Unit }[] = [];
      for (const unit of this.#units()) {
        const code = onlyCode(listed.get(unit.start) ?? this.#rangesOf(unit), this.isCode);
        for (let at = 0; at < code.length; at += 2) {
          rows.push({ start: code[at] as number, end: code[at + 1] as number, unit });
        }
      }
      rows.sort((a, b) => a.start - b.start);
      let furthest = 0;
      return {
        starts: Float64Array.from(rows, ({ start }) => start),
        ends: Float64Array.from(rows, ({ end }) => end),
        reach: Float64Array.from(rows, ({ end }) => {
          furthest = Math.max(furthest, end);
          return furthest;
        }),
        units: rows.map(({ unit }) => unit),
      };
    });

  #rangesOf(unit: Unit): readonly number[] {
    try {
      const { ranges, tag } = unit.root();
      if (ranges.length > 0 || tag === dw.DW_TAG_partial_unit) return ranges;
      return this.#fromLines?.(unit) ?? [];
    } catch (error) {
      if (isBadInput(error)) return [];
      throw error;
    }
  }

  /** The units that cover an address, the one that starts nearest first. */
  at(address: number): Unit[] {
    const { starts, ends, reach, units } = this.#ranges();
    const found: Unit[] = [];
    for (
      let at = lastAtOrBelow(starts, address);
      at >= 0 && (reach[at] as number) > address && found.length < mostUnits;
      at--
    ) {
      const unit = units[at] as Unit;
      if ((ends[at] as number) > address && !found.includes(unit)) found.push(unit);
    }
    return found;
  }
}

/** The last index whose value is not above `wanted`, in ascending values; -1 when there is none. */
export function lastAtOrBelow(values: Float64Array, wanted: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] as number) <= wanted) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
