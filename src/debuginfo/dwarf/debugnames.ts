/**
 * `.debug_names` (DWARF 5, section 6.1.1): hash tables from the last part of a name to the
 * entries that have it, one for each compilation or one for the whole file. clang makes
 * them (-gpubnames), lld and others join them, gdb-add-index adds one.
 */
import { Cursor } from '../../bytes/cursor.ts';
import { DW_FORM_implicit_const } from './constants.ts';
import type { EntryFile } from './entry.ts';
import { FormReader, type UnitFormat } from './form.ts';
import { type NameTable, WrongTable } from './nametable.ts';
import type { DebugSection } from './sections.ts';
import type { Unit } from './unit.ts';

const DW_IDX_compile_unit = 1;
const DW_IDX_type_unit = 2;
const DW_IDX_die_offset = 3;

interface Shape {
  /** DW_TAG_… */
  readonly tag: number;
  readonly attributes: readonly { readonly index: number; readonly form: number; readonly constant: number }[];
}

/** One of the section's tables. Places are offsets in the section. */
interface Index {
  readonly units: readonly Unit[];
  readonly typeUnits: readonly Unit[];
  /** Type units in other files, which stand behind those of this one. */
  readonly foreign: number;
  readonly bucketCount: number;
  readonly nameCount: number;
  readonly buckets: number;
  readonly hashes: number;
  readonly strings: number;
  readonly entryOffsets: number;
  readonly entries: number;
  readonly end: number;
  readonly format: UnitFormat;
  readonly shapes: ReadonlyMap<number, Shape>;
}

/** Of a section that is read at once, and of a table's list of units and its abbreviations. */
const mostBytes = 64 << 20;
const mostEntries = 1 << 16;

export class DebugNames implements NameTable {
  readonly section = '.debug_names';
  readonly covered: ReadonlySet<Unit>;
  readonly #file: EntryFile;
  readonly #names: DebugSection;
  readonly #indexes: readonly Index[];
  /** All of the section, where it is of many tables, each of which is asked for a name. */
  #bytes: Uint8Array | undefined;

  /** Throws WrongTable where it does not fit the file, and on damaged input. */
  constructor(file: EntryFile, names: DebugSection) {
    this.#file = file;
    this.#names = names;
    const byStart = new Map(file.units().map((unit) => [unit.start, unit]));
    const indexes: Index[] = [];
    for (let at = 0; at < names.size; ) {
      const index = this.#read(at, byStart);
      indexes.push(index);
      at = index.end;
      if (at < names.size && names.size <= mostBytes) this.#bytes ??= names.all();
    }
    this.#indexes = indexes;
    this.covered = new Set(indexes.flatMap(({ units, typeUnits }) => [...units, ...typeUnits]));
  }

  #cursor(offset: number, length: number): Cursor {
    const bytes = this.#bytes?.subarray(offset, offset + length) ?? this.#names.read(offset, length);
    return new Cursor(bytes, this.#file.sections.littleEndian);
  }

  #number(offset: number, size: number): number {
    const cursor = this.#cursor(offset, size);
    return size === 8 ? Number(cursor.u64()) : cursor.u32();
  }

  #read(start: number, byStart: ReadonlyMap<number, Unit>): Index {
    const head = this.#cursor(start, 48);
    let length = head.u32();
    const offsetSize = length === 0xffffffff ? 8 : 4;
    if (offsetSize === 8) length = Number(head.u64());
    const end = start + head.offset + length;
    if (length === 0 || end > this.#names.size) throw new WrongTable('it is cut off');
    const version = head.u16();
    if (version !== 5) throw new WrongTable(`it has version ${version}`);
    head.skip(2);
    const [unitCount, typeCount, foreign] = [head.u32(), head.u32(), head.u32()];
    const [bucketCount, nameCount, shapesSize, augmentation] = [head.u32(), head.u32(), head.u32(), head.u32()];
    if (bucketCount === 0 && nameCount > 0) throw new WrongTable('it has no hash table');
    const lists = start + head.offset + Math.ceil(augmentation / 4) * 4;
    const types = lists + unitCount * offsetSize;
    const buckets = types + typeCount * offsetSize + foreign * 8;
    const hashes = buckets + 4 * bucketCount;
    const strings = hashes + 4 * nameCount;
    const entryOffsets = strings + nameCount * offsetSize;
    const shapesAt = entryOffsets + nameCount * offsetSize;
    const entries = shapesAt + shapesSize;
    if (entries > end || buckets - lists > mostBytes || shapesSize > mostBytes) throw new WrongTable('it is cut off');
    const unitList = (at: number, count: number): Unit[] => {
      const list = this.#cursor(at, count * offsetSize);
      return Array.from({ length: count }, () => {
        const offset = offsetSize === 8 ? Number(list.u64()) : list.u32();
        const unit = byStart.get(offset);
        if (unit === undefined) throw new WrongTable(`.debug_info has no unit at 0x${offset.toString(16)}`);
        return unit;
      });
    };
    return {
      units: unitList(lists, unitCount),
      typeUnits: unitList(types, typeCount),
      foreign,
      bucketCount,
      nameCount,
      buckets,
      hashes,
      strings,
      entryOffsets,
      entries,
      end,
      format: { version, offsetSize, addressSize: 8 },
      shapes: readShapes(this.#cursor(shapesAt, shapesSize)),
    };
  }

  *units(tags: ReadonlySet<number>, name: string, last: string): Generator<Unit, void, void> {
    const found = new Set<Unit>();
    // gdb's have whole names, up to gdb 13.
    for (const wanted of new Set([last, name])) {
      for (const index of this.#indexes) {
        for (const row of this.#rows(index, wanted)) this.#entriesOf(index, row, tags, last, found);
      }
    }
    yield* found;
  }

  /** Numbers of a name in an index, from 0 on. */
  *#rows(index: Index, wanted: string): Generator<number, void, void> {
    const { bucketCount, nameCount, format } = index;
    if (bucketCount === 0) return;
    const text = new TextEncoder().encode(`${wanted}\0`);
    const hash = hashOf(text.subarray(0, -1));
    const bucket = hash % bucketCount;
    const first = this.#number(index.buckets + 4 * bucket, 4);
    if (first === 0) return;
    if (first > nameCount) throw new WrongTable(`a bucket begins with name ${first} of ${nameCount}`);
    for (let row = first - 1; row < nameCount; row++) {
      const here = this.#number(index.hashes + 4 * row, 4);
      if (here % bucketCount !== bucket) return;
      if (here !== hash) continue;
      const at = this.#number(index.strings + format.offsetSize * row, format.offsetSize);
      const there = this.#file.sections.get('str').read(at, text.length);
      if (there.length === text.length && there.every((byte, place) => byte === text[place])) yield row;
      // Another name may have the same hash, but no name another one than its own.
      else if (hashOf(new TextEncoder().encode(this.#file.sections.get('str').string(at))) !== here) {
        throw new WrongTable(`the name at 0x${at.toString(16)} of .debug_str is another one`);
      }
    }
  }

  /** The units of a name's entries. */
  #entriesOf(index: Index, row: number, tags: ReadonlySet<number>, last: string, found: Set<Unit>): void {
    const { offsetSize } = index.format;
    const start = index.entries + this.#number(index.entryOffsets + offsetSize * row, offsetSize);
    if (start >= index.end) throw new WrongTable('the entries of a name lie behind its end');
    let cursor = this.#cursor(start, Math.min(256, index.end - start));
    let base = start;
    for (let left = mostEntries; left > 0; left--) {
      if (cursor.remaining < 64 && base + cursor.length < index.end) {
        base += cursor.offset;
        cursor = this.#cursor(base, Math.min(4096, index.end - base));
      }
      const code = cursor.uleb128();
      if (code === 0) return;
      const shape = index.shapes.get(code);
      if (shape === undefined) throw new WrongTable(`an entry has the unknown abbreviation ${code}`);
      const reader = new FormReader(cursor, index.format);
      let unit = index.units.length === 1 ? index.units[0] : undefined;
      let foreign = false;
      let offset: number | undefined;
      for (const { index: what, form, constant } of shape.attributes) {
        reader.read(form, constant);
        const { value } = reader;
        if (what === DW_IDX_compile_unit) unit = index.units[value];
        else if (what === DW_IDX_type_unit) {
          unit = index.typeUnits[value];
          foreign = unit === undefined && value < index.typeUnits.length + index.foreign;
        } else if (what === DW_IDX_die_offset) offset = value;
      }
      // gdb up to 13 names the unit alone, and has one tag for all kinds of types.
      if (foreign || (offset !== undefined && !tags.has(shape.tag))) continue;
      if (unit === undefined) throw new WrongTable('an entry names no unit');
      if (offset !== undefined) this.#check(unit, offset, shape.tag, last);
      found.add(unit);
    }
  }

  /** What an entry says must be so, or the table is another file's. */
  #check(unit: Unit, offset: number, tag: number, last: string): void {
    const split = this.#file.split(unit);
    // What was split off may not be there.
    if (split === undefined && unit.root().splitName !== '') return;
    const { file, unit: whole } = split ?? { file: this.#file, unit };
    const entry = offset < whole.end - whole.start ? file.readAt(whole, whole.start + offset) : undefined;
    if (entry?.tag === tag) {
      for (const { name } of entry.origins()) if (name === last) return;
    }
    const at = `0x${(unit.start + offset).toString(16)}`;
    throw new WrongTable(`what it calls '${last}' is something else at ${at}`);
  }
}

function readShapes(cursor: Cursor): Map<number, Shape> {
  const shapes = new Map<number, Shape>();
  while (cursor.remaining > 0) {
    const code = cursor.uleb128();
    if (code === 0) break;
    const tag = cursor.uleb128();
    const attributes: { index: number; form: number; constant: number }[] = [];
    for (;;) {
      const index = cursor.uleb128();
      const form = cursor.uleb128();
      if (index === 0 && form === 0) break;
      const constant = form === DW_FORM_implicit_const ? cursor.sleb128() : 0;
      attributes.push({ index, form, constant });
    }
    shapes.set(code, { tag, attributes });
  }
  return shapes;
}

/** Bernstein's hash of the name without upper case (DWARF 5, section 6.1.1.4.5 and appendix). */
function hashOf(name: Uint8Array): number {
  let hash = 5381;
  for (const byte of name) {
    const folded = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
    hash = (Math.imul(hash, 33) + folded) >>> 0;
  }
  return hash;
}
