/**
 * Entries of .debug_info one at a time: their attributes by name, their children, and
 * where references lead, also into type units (DW_FORM_ref_sig8) and into the file that
 * dwz shares among several (.gnu_debugaltlink). DWARF 5, sections 2.2 and 7.5.
 */
import { lazy } from '../../base/lazy.ts';
import { Lru } from '../../base/lru.ts';
import { Cursor } from '../../bytes/cursor.ts';
import type { Abbreviation } from './abbrev.ts';
import * as dw from './constants.ts';
import { FormReader, fixedFormSize, isBadInput } from './form.ts';
import { partsOfUnit } from './package.ts';
import type { DwarfSections } from './sections.ts';
import { readUnits, type Unit } from './unit.ts';

export interface Attribute {
  readonly form: number;
  /** As FormReader gives it: a number, an offset, an index, or where in the unit's bytes a block starts. */
  readonly value: number;
  /** Where in the unit's bytes the value starts, and one past its end. */
  readonly start: number;
  readonly end: number;
  /** The value where the abbreviation holds it (DW_FORM_implicit_const). */
  readonly implicit: boolean;
}

/** Entries nest as deep as blocks in a source; deeper ones are damage. */
const deepest = 1024;
/** A reference may lead to a reference: an inlined constructor's to its declaration takes three. */
const mostReferences = 16;

export class Entry {
  readonly unit: Unit;
  /** In the unit's section. */
  readonly offset: number;
  readonly tag: number;
  readonly hasChildren: boolean;
  readonly #file: EntryFile;
  readonly #attributes: ReadonlyMap<number, Attribute>;
  /** One past its attributes, in the unit's bytes. */
  readonly #end: number;

  constructor(
    file: EntryFile,
    unit: Unit,
    offset: number,
    abbreviation: Abbreviation,
    attributes: ReadonlyMap<number, Attribute>,
    end: number,
  ) {
    this.#file = file;
    this.unit = unit;
    this.offset = offset;
    this.tag = abbreviation.tag;
    this.hasChildren = abbreviation.hasChildren;
    this.#attributes = attributes;
    this.#end = end;
  }

  get file(): EntryFile {
    return this.#file;
  }

  attribute(name: number): Attribute | undefined {
    return this.#attributes.get(name);
  }

  has(name: number): boolean {
    return this.#attributes.has(name);
  }

  /** A string attribute; '' where there is none. */
  text(name: number): string {
    const attribute = this.#attributes.get(name);
    if (attribute === undefined) return '';
    return this.unit.string(attribute.form, attribute.value, this.#file.bytesOf(this.unit));
  }

  /** DW_AT_name. */
  get name(): string {
    return this.text(dw.DW_AT_name);
  }

  get linkageName(): string {
    return this.text(dw.DW_AT_linkage_name) || this.text(dw.DW_AT_MIPS_linkage_name);
  }

  /** True when a flag is there and set. */
  flag(name: number): boolean {
    return (this.#attributes.get(name)?.value ?? 0) !== 0;
  }

  /** A constant; undefined where there is none, or an expression in its place. Exact below 2^53; signed as its form is. */
  number(name: number): number | undefined {
    const attribute = this.#attributes.get(name);
    if (attribute === undefined || !isConstantForm(attribute.form)) return undefined;
    return attribute.value;
  }

  /** A constant of up to 64 bits, exact; `signed` says how to read forms that don't tell. */
  integer(name: number, signed: boolean): bigint | undefined {
    const attribute = this.#attributes.get(name);
    if (attribute === undefined) return undefined;
    if (attribute.implicit) return BigInt(attribute.value);
    const cursor = new Cursor(this.#file.bytesOf(this.unit), this.unit.sections.littleEndian, attribute.start);
    switch (attribute.form) {
      case dw.DW_FORM_sdata:
        return cursor.sleb128big();
      case dw.DW_FORM_udata:
        return cursor.uleb128big();
      case dw.DW_FORM_data1:
        return BigInt(signed ? cursor.i8() : cursor.u8());
      case dw.DW_FORM_data2:
        return BigInt(signed ? cursor.i16() : cursor.u16());
      case dw.DW_FORM_data4:
        return BigInt(signed ? cursor.i32() : cursor.u32());
      case dw.DW_FORM_data8:
        return signed ? cursor.i64() : cursor.u64();
      default:
        return undefined;
    }
  }

  /** The bytes of a block or expression; undefined where the attribute is none. */
  block(name: number): Uint8Array | undefined {
    const attribute = this.#attributes.get(name);
    if (attribute === undefined || !isBlockForm(attribute.form)) return undefined;
    return this.#file.bytesOf(this.unit).subarray(attribute.value, attribute.end);
  }

  /** Where a reference leads; undefined where it leads nowhere that can be read. */
  reference(name: number): Entry | undefined {
    const attribute = this.#attributes.get(name);
    return attribute === undefined ? undefined : this.#file.follow(this, attribute);
  }

  /**
   * The entry itself, and what DW_AT_abstract_origin and DW_AT_specification lead to: an
   * attribute that is not here may be there.
   */
  *origins(): Generator<Entry, void, void> {
    let here: Entry | undefined = this;
    for (let left = mostReferences; here !== undefined && left > 0; left--) {
      yield here;
      here = here.reference(dw.DW_AT_abstract_origin) ?? here.reference(dw.DW_AT_specification);
    }
  }

  /** The first of the origins that has an attribute. */
  originWith(name: number): Entry | undefined {
    for (const entry of this.origins()) if (entry.has(name)) return entry;
    return undefined;
  }

  /** Its children, in order. Ends early at damage. */
  *children(): Generator<Entry, void, void> {
    if (!this.hasChildren) return;
    const file = this.#file;
    for (let at = this.#end; ; ) {
      const child = file.readAt(this.unit, this.unit.start + at);
      if (child === undefined) return;
      yield child;
      const next = child.#afterChildren();
      if (next === undefined) return;
      at = next;
    }
  }

  /** Where in the unit's bytes the entry behind its children is; undefined at damage. */
  #afterChildren(): number | undefined {
    if (!this.hasChildren) return this.#end;
    const sibling = this.#attributes.get(dw.DW_AT_sibling);
    if (sibling !== undefined) {
      const at = this.unit.reference(sibling.form, sibling.value) - this.unit.start;
      if (at > this.#end && at < this.unit.end - this.unit.start) return at;
    }
    return this.#file.skipChildren(this.unit, this.#end);
  }

  /** Equal for the same entry, different for others of one file. */
  get key(): string {
    return `${this.unit.section === this.#file.sections.get('types') ? 't' : ''}${this.offset}`;
  }
}

export function isConstantForm(form: number): boolean {
  switch (form) {
    case dw.DW_FORM_data1:
    case dw.DW_FORM_data2:
    case dw.DW_FORM_data4:
    case dw.DW_FORM_data8:
    case dw.DW_FORM_sdata:
    case dw.DW_FORM_udata:
    case dw.DW_FORM_implicit_const:
      return true;
    default:
      return false;
  }
}

export function isBlockForm(form: number): boolean {
  switch (form) {
    case dw.DW_FORM_block:
    case dw.DW_FORM_block1:
    case dw.DW_FORM_block2:
    case dw.DW_FORM_block4:
    case dw.DW_FORM_exprloc:
    case dw.DW_FORM_data16:
      return true;
    default:
      return false;
  }
}

/** Units whose bytes are kept, as long as they are small. */
const keptUnits = 64;

/** The rest of a skeleton unit, in a file of its own. */
interface SplitUnit {
  readonly file: EntryFile;
  readonly unit: Unit;
}

/** The entries of one file. */
export class EntryFile {
  readonly sections: DwarfSections;
  readonly #bytes: Lru<Unit, Uint8Array> = new Lru(keptUnits);

  constructor(sections: DwarfSections) {
    this.sections = sections;
  }

  /** All units of .debug_info, in order. */
  readonly units: () => readonly Unit[] = lazy(() => readUnits(this.sections));

  readonly #starts: () => Float64Array = lazy(() => Float64Array.from(this.units(), ({ start }) => start));

  readonly #splits: Map<Unit, SplitUnit | undefined> = new Map();

  /** Where a skeleton's entries are; undefined for a unit that has its own, or whose file is not there. */
  split(unit: Unit): SplitUnit | undefined {
    if (!this.#splits.has(unit)) this.#splits.set(unit, this.#openSplit(unit));
    return this.#splits.get(unit);
  }

  #openSplit(skeleton: Unit): SplitUnit | undefined {
    const { openSplit } = this.sections;
    const { splitName, splitId, compilationFolder } = skeleton.root();
    if (splitName === '' || openSplit === undefined) return undefined;
    const { path } = this.sections.elf;
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    const base = splitName.slice(splitName.lastIndexOf('/') + 1);
    const paths = [splitName.startsWith('/') ? splitName : `${compilationFolder}/${splitName}`, `${folder}${base}`];
    for (const one of [...paths, `${path}.dwp`]) {
      const elf = openSplit(one);
      if (elf === undefined) continue;
      const all = this.sections.splitSections(elf, undefined);
      const index = all.get('cu_index');
      const parts = index.size === 0 ? undefined : partsOfUnit(index, splitId, all.littleEndian);
      if (index.size > 0 && parts === undefined) continue;
      const file = new EntryFile(parts === undefined ? all : this.sections.splitSections(elf, parts));
      const unit = file.units().find((each) => each.type !== dw.DW_UT_type && each.type !== dw.DW_UT_split_type);
      if (unit === undefined) continue;
      for (const each of file.allUnits()) each.skeleton = skeleton;
      // A .dwo of another compilation is of no use.
      if (unit.root().splitId === splitId) return { file, unit };
    }
    return undefined;
  }

  /** Units of .debug_types, which DWARF 4 has for types. */
  readonly typeSectionUnits: () => readonly Unit[] = lazy(() => readUnits(this.sections, 'types'));

  /** All units, those of .debug_types last. */
  readonly allUnits: () => readonly Unit[] = lazy(() => [...this.units(), ...this.typeSectionUnits()]);

  /** Type units, of DWARF 5 in .debug_info and of DWARF 4 in .debug_types, by signature. */
  readonly #typeUnits: () => ReadonlyMap<bigint, Unit> = lazy(() => {
    const found = new Map<bigint, Unit>();
    for (const unit of this.allUnits()) {
      if (unit.type === dw.DW_UT_type || unit.type === dw.DW_UT_split_type) found.set(unit.signature, unit);
    }
    return found;
  });

  /** The file that this one shares entries with (dwz). */
  readonly shared: () => EntryFile | undefined = lazy(() => {
    const sections = this.sections.supplementary();
    return sections === undefined ? undefined : new EntryFile(sections);
  });

  /** A unit's bytes. */
  bytesOf(unit: Unit): Uint8Array {
    let bytes = this.#bytes.get(unit);
    if (bytes === undefined) {
      bytes = unit.bytes();
      this.#bytes.set(unit, bytes);
    }
    return bytes;
  }

  /** The unit that an offset of .debug_info lies in. */
  unitAt(offset: number): Unit | undefined {
    const starts = this.#starts();
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] as number) <= offset) low = middle + 1;
      else high = middle;
    }
    const unit = this.units()[low - 1];
    return unit !== undefined && offset < unit.end ? unit : undefined;
  }

  /** The entry at an offset of .debug_info; undefined where there is none that can be read. */
  at(offset: number): Entry | undefined {
    const unit = this.unitAt(offset);
    return unit === undefined ? undefined : this.readAt(unit, offset);
  }

  /** The entry at an offset of .debug_types. */
  atType(offset: number): Entry | undefined {
    const unit = this.typeSectionUnits().find(({ start, end }) => start <= offset && offset < end);
    return unit === undefined ? undefined : this.readAt(unit, offset);
  }

  follow(from: Entry, { form, value, start }: Attribute): Entry | undefined {
    switch (form) {
      case dw.DW_FORM_ref_sig8: {
        // Its value as a number is rounded: the signature is read again.
        const signature = new Cursor(this.bytesOf(from.unit), this.sections.littleEndian, start).u64();
        const unit = this.#typeUnits().get(signature);
        return unit === undefined ? undefined : this.readAt(unit, unit.start + unit.typeOffset);
      }
      case dw.DW_FORM_GNU_ref_alt:
      case dw.DW_FORM_ref_sup4:
      case dw.DW_FORM_ref_sup8:
        return this.shared()?.at(value);
      case dw.DW_FORM_ref_addr:
        return this.at(value);
      default: {
        const offset = from.unit.reference(form, value);
        return offset < from.unit.start || offset >= from.unit.end ? undefined : this.readAt(from.unit, offset);
      }
    }
  }

  /** The entry at an offset of a unit's section; undefined at a null entry and at damage. */
  readAt(unit: Unit, offset: number): Entry | undefined {
    try {
      unit.root();
      const bytes = this.bytesOf(unit);
      const cursor = unit.cursorAt(bytes, offset);
      const abbreviation = unit.abbreviations().get(cursor.uleb128());
      if (abbreviation === undefined) return undefined;
      const reader = new FormReader(cursor, unit.format);
      const attributes = new Map<number, Attribute>();
      for (const { name, form, constant } of abbreviation.attributes) {
        const start = cursor.offset;
        reader.read(form, constant);
        const implicit = form === dw.DW_FORM_implicit_const;
        attributes.set(name, { form: reader.form, value: reader.value, start, end: cursor.offset, implicit });
      }
      return new Entry(this, unit, offset, abbreviation, attributes, cursor.offset);
    } catch (error) {
      if (isBadInput(error)) return undefined;
      throw error;
    }
  }

  /** From the first child on, where the list of children ends; undefined at damage. */
  skipChildren(unit: Unit, from: number): number | undefined {
    try {
      const cursor = unit.cursorAt(this.bytesOf(unit), unit.start + from);
      const abbreviations = unit.abbreviations();
      const reader = new FormReader(cursor, unit.format);
      for (let depth = 1; depth <= deepest; ) {
        const code = cursor.uleb128();
        if (code === 0) {
          if (--depth === 0) return cursor.offset;
          continue;
        }
        const abbreviation = abbreviations.get(code);
        if (abbreviation === undefined) return undefined;
        skipAttributes(unit, abbreviation, cursor, reader);
        if (abbreviation.hasChildren) depth++;
      }
      return undefined;
    } catch (error) {
      if (isBadInput(error)) return undefined;
      throw error;
    }
  }
}

/** Steps over an entry's attributes, and by DW_AT_sibling over its children too. */
function skipAttributes(unit: Unit, abbreviation: Abbreviation, cursor: Cursor, reader: FormReader): void {
  if (abbreviation.fixedSize >= 0) {
    cursor.skip(abbreviation.fixedSize);
    return;
  }
  for (const { form, constant } of abbreviation.attributes) {
    const size = fixedFormSize(form, unit.format);
    if (size >= 0) cursor.skip(size);
    else reader.read(form, constant);
  }
}
