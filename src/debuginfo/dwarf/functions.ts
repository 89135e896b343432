/**
 * The functions of a unit, and what was inlined into them: DW_TAG_subprogram with code,
 * DW_TAG_inlined_subroutine with the place it was called from (DWARF 5, section 3.3).
 * Entries of all other kinds are stepped over.
 */
import * as dw from './constants.ts';
import { FormReader } from './form.ts';
import type { Unit } from './unit.ts';

/** A function with code, or one that was inlined into the function around it. */
export interface CodeEntry {
  /** Where its entry is in .debug_info: its name is read from there, or from what that refers to. */
  readonly entry: number;
  /** Pairs of start and end. */
  readonly ranges: readonly number[];
  readonly inlined: boolean;
  /** Index into the line table's files, line and column of the call; 0 for a function that was not inlined. */
  readonly callFile: number;
  readonly callLine: number;
  readonly callColumn: number;
  readonly children: CodeEntry[];
}

/** Entries may nest as deep as blocks in a source; deeper ones are damage. */
const deepest = 4096;

/** Functions of a unit with code at addresses that `isCode` accepts, by address. Throws on damaged input. */
export function readFunctions(unit: Unit, isCode: (address: number) => boolean): CodeEntry[] {
  const bytes = unit.bytes();
  const cursor = unit.cursorAt(bytes, unit.entries);
  const abbreviations = unit.abbreviations();
  const reader = new FormReader(cursor, unit.format);
  const base = unit.root().lowAddress;
  const functions: CodeEntry[] = [];
  /** For each open entry, the function that it lies in. */
  const stack: (CodeEntry | undefined)[] = [];
  let around: CodeEntry | undefined;

  while (cursor.remaining > 0) {
    const at = unit.start + cursor.offset;
    const code = cursor.uleb128();
    if (code === 0) {
      if (stack.length === 0) break;
      around = stack.pop();
      continue;
    }
    const abbreviation = abbreviations.get(code);
    // An entry of unknown shape: where the next one starts can't be told.
    if (abbreviation === undefined) break;
    const { tag, attributes, hasChildren, fixedSize } = abbreviation;
    let inside = around;
    if (tag === dw.DW_TAG_subprogram || tag === dw.DW_TAG_inlined_subroutine) {
      const found = readEntry(unit, reader, attributes, at, tag === dw.DW_TAG_inlined_subroutine, base, isCode);
      if (found !== undefined) {
        if (found.inlined && around !== undefined) around.children.push(found);
        else functions.push(found);
        inside = found;
      } else if (tag === dw.DW_TAG_subprogram) inside = undefined;
    } else if (tag === dw.DW_TAG_enumeration_type || tag === dw.DW_TAG_subroutine_type) {
      // Their children are of no interest, and there are many.
      let sibling = -1;
      for (const { name, form, constant } of attributes) {
        reader.read(form, constant);
        if (name === dw.DW_AT_sibling) sibling = unit.reference(reader.form, reader.value);
      }
      if (hasChildren && sibling > unit.start + cursor.offset && sibling < unit.end) {
        cursor.offset = sibling - unit.start;
        continue;
      }
    } else if (fixedSize >= 0) cursor.skip(fixedSize);
    else for (const { form, constant } of attributes) reader.read(form, constant);
    if (hasChildren) {
      if (stack.length >= deepest) break;
      stack.push(around);
      around = inside;
    }
  }
  return functions.sort((a, b) => lowest(a) - lowest(b));
}

/** The lowest address of a function's code. */
export function lowest({ ranges }: CodeEntry): number {
  let low = Number.POSITIVE_INFINITY;
  for (let at = 0; at < ranges.length; at += 2) low = Math.min(low, ranges[at] as number);
  return low;
}

/** Reads an entry's attributes; undefined when it has no code. */
function readEntry(
  unit: Unit,
  reader: FormReader,
  attributes: readonly { readonly name: number; readonly form: number; readonly constant: number }[],
  entry: number,
  inlined: boolean,
  base: number,
  isCode: (address: number) => boolean,
): CodeEntry | undefined {
  let low = Number.NaN;
  let highForm = 0;
  let high = 0;
  let rangesForm = 0;
  let ranges = 0;
  let callFile = 0;
  let callLine = 0;
  let callColumn = 0;
  for (const { name, form, constant } of attributes) {
    reader.read(form, constant);
    switch (name) {
      case dw.DW_AT_low_pc:
        low = unit.address(reader.form, reader.value);
        break;
      case dw.DW_AT_high_pc:
        highForm = reader.form;
        high = reader.value;
        break;
      case dw.DW_AT_ranges:
        rangesForm = reader.form;
        ranges = reader.value;
        break;
      case dw.DW_AT_call_file:
        callFile = reader.value;
        break;
      case dw.DW_AT_call_line:
        callLine = reader.value;
        break;
      case dw.DW_AT_call_column:
        callColumn = reader.value;
        break;
    }
  }
  let all: readonly number[];
  if (rangesForm !== 0) all = onlyCode(unit.rangesOf(rangesForm, ranges, base), isCode);
  else if (highForm !== 0 && isCode(low)) {
    const end = unit.endOf(highForm, high, low);
    all = end > low ? [low, end] : [];
  } else return undefined;
  if (all.length === 0) return undefined;
  return { entry, ranges: all, inlined, callFile, callLine, callColumn, children: [] };
}

/** The ranges whose start `isCode` accepts: of functions that the linker threw away, ranges stay that start at 0 or 1. */
export function onlyCode(ranges: readonly number[], isCode: (address: number) => boolean): readonly number[] {
  const kept: number[] = [];
  for (let at = 0; at + 1 < ranges.length; at += 2) {
    if (isCode(ranges[at] as number)) kept.push(ranges[at] as number, ranges[at + 1] as number);
  }
  return kept;
}

export function covers({ ranges }: CodeEntry, address: number): boolean {
  for (let at = 0; at < ranges.length; at += 2) {
    if (address >= (ranges[at] as number) && address < (ranges[at + 1] as number)) return true;
  }
  return false;
}
