/**
 * Variables that are in scope at an instruction: parameters and locals of the function
 * and of what was inlined there, of the blocks around it; inner ones hide outer ones of
 * the same name. DWARF 5, sections 3.3 and 4.1.
 */
import { type Computation, constant, type Location, unavailable } from '../../types/location.ts';
import * as dw from './constants.ts';
import { type Entry, isBlockForm } from './entry.ts';
import { readComputation, readLocation, type Surroundings } from './expression.ts';
import { readLocationList } from './locations.ts';

/** A variable with the place where its name stands. */
export interface Scoped {
  readonly entry: Entry;
  readonly parameter: boolean;
}

const deepest = 64;

/** Variables of a subprogram at an address, the outermost scope first. */
export function variablesIn(subprogram: Entry, address: number): Scoped[] {
  const found: Scoped[] = [];
  collect(subprogram, address, found, 0);
  return found;
}

function collect(scope: Entry, address: number, found: Scoped[], depth: number): void {
  if (depth > deepest) return;
  const inner: Entry[] = [];
  for (const child of scope.children()) {
    switch (child.tag) {
      case dw.DW_TAG_formal_parameter:
      case dw.DW_TAG_variable:
        if (!child.flag(dw.DW_AT_declaration)) {
          found.push({ entry: child, parameter: child.tag === dw.DW_TAG_formal_parameter });
        }
        break;
      case dw.DW_TAG_lexical_block:
      case dw.DW_TAG_inlined_subroutine:
        if (holds(child, address)) inner.push(child);
        break;
    }
  }
  for (const one of inner) collect(one, address, found, depth + 1);
}

/** Whether a block's code has an address; a block that says nothing of its code lies in all of its function's. */
function holds(block: Entry, address: number): boolean {
  const ranges = block.attribute(dw.DW_AT_ranges);
  const { unit } = block;
  if (ranges !== undefined) {
    const list = unit.rangesOf(ranges.form, ranges.value, unit.root().lowAddress);
    for (let at = 0; at + 1 < list.length; at += 2) {
      if (address >= (list[at] as number) && address < (list[at + 1] as number)) return true;
    }
    return false;
  }
  const low = block.attribute(dw.DW_AT_low_pc);
  const high = block.attribute(dw.DW_AT_high_pc);
  if (low === undefined || high === undefined) return true;
  const start = unit.address(low.form, low.value);
  return address >= start && address < unit.endOf(high.form, high.value, start);
}

/** Where a block or an inlined copy is entered: DW_AT_entry_pc, else its first instruction; undefined where only ranges tell. */
export function entryAddress(entry: Entry): number | undefined {
  const { unit } = entry;
  const at = entry.attribute(dw.DW_AT_entry_pc);
  const low = entry.attribute(dw.DW_AT_low_pc);
  if (at !== undefined) {
    const value = unit.address(at.form, at.value);
    if (!Number.isNaN(value)) return value;
    // As a constant it counts from the start.
    if (low !== undefined) return unit.address(low.form, low.value) + at.value;
  }
  return low === undefined ? undefined : unit.address(low.form, low.value);
}

/** The inlined copy that begins at an address; undefined when none does. */
export function inlinedAt(scope: Entry, address: number, depth = 0): Entry | undefined {
  if (depth > deepest) return undefined;
  for (const child of scope.children()) {
    if (child.tag !== dw.DW_TAG_lexical_block && child.tag !== dw.DW_TAG_inlined_subroutine) continue;
    const inner = inlinedAt(child, address, depth + 1);
    if (inner !== undefined) return inner;
    if (child.tag === dw.DW_TAG_inlined_subroutine && entryAddress(child) === address) return child;
  }
  return undefined;
}

/** Where a variable is at an instruction of its function. `frameAddress` is the canonical frame address there. */
export function locationAt(
  entry: Entry,
  subprogram: Entry,
  address: number,
  frameAddress: () => Computation | undefined,
): Location {
  const around: Surroundings = {
    unit: entry.unit,
    frameAddress,
    frameBase: () => {
      const base = subprogram.block(dw.DW_AT_frame_base);
      return base === undefined ? undefined : readComputation(base, { unit: subprogram.unit, frameAddress });
    },
  };
  const holder = entry.has(dw.DW_AT_location) ? entry : undefined;
  const attribute = holder?.attribute(dw.DW_AT_location);
  if (attribute === undefined) {
    const value = entry.originWith(dw.DW_AT_const_value);
    return (value === undefined ? undefined : constantValue(value)) ?? unavailable('optimized out');
  }
  if (isBlockForm(attribute.form)) return readLocation(entry.block(dw.DW_AT_location) ?? new Uint8Array(0), around);
  const list = entry.unit.locationList(attribute.form, attribute.value);
  const ranges = list === undefined ? [] : readLocationList(entry.unit, list);
  const range = ranges.find(({ start, end }) => start <= address && address < end);
  if (range !== undefined) return readLocation(range.expression, around);
  return unavailable(ranges.length === 0 ? 'optimized out' : 'not available here: it has no place at this instruction');
}

/** DW_AT_const_value: the value itself. */
export function constantValue(entry: Entry): Location | undefined {
  const block = entry.block(dw.DW_AT_const_value);
  if (block !== undefined) return { kind: 'bytes', bytes: block.slice() };
  const value = entry.integer(dw.DW_AT_const_value, true);
  return value === undefined ? undefined : { kind: 'value', value: constant(value) };
}
