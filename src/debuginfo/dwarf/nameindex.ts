/**
 * From a name to the entry that defines it: types, enumerators and variables of a file,
 * by name with namespaces and classes. Made by going once through .debug_info (functions'
 * bodies are stepped over where DW_AT_sibling tells their end), and kept as bytes, so
 * that the next run needs no more than a look-up. Names are kept as hashes of 64 bits;
 * who asks compares the name of the entry that is found.
 */
import { invariant } from '../../base/errors.ts';
import { Cursor } from '../../bytes/cursor.ts';
import type { Abbreviation } from './abbrev.ts';
import * as dw from './constants.ts';
import type { Entry, EntryFile } from './entry.ts';
import { FormReader, fixedFormSize, isBadInput, type UnitFormat } from './form.ts';
import { isC, isScope, Scopes } from './scopes.ts';
import type { Unit } from './unit.ts';

/** What a name is looked for among. Classes are structs, base types are typedefs: C++ and C write both without a keyword. */
export type NameKind = 'struct' | 'union' | 'enum' | 'typedef' | 'variable' | 'enumerator';

const kinds: readonly NameKind[] = ['struct', 'union', 'enum', 'typedef', 'variable', 'enumerator'];
const kindOfTag: Readonly<Record<number, NameKind>> = {
  [dw.DW_TAG_structure_type]: 'struct',
  [dw.DW_TAG_class_type]: 'struct',
  [dw.DW_TAG_union_type]: 'union',
  [dw.DW_TAG_enumeration_type]: 'enum',
  [dw.DW_TAG_typedef]: 'typedef',
  [dw.DW_TAG_base_type]: 'typedef',
  [dw.DW_TAG_variable]: 'variable',
  [dw.DW_TAG_enumerator]: 'enumerator',
};

/** An entry that a name may mean. */
export interface FoundName {
  readonly offset: number;
  /** The section that the offset counts in; `shared`: .debug_info of the file that dwz shares among several. */
  readonly section: 'info' | 'types' | 'shared';
  /** In the split file of the unit of this number; undefined for the file itself. */
  readonly split?: number;
}

/** "IDN" and the version: what is kept of another one is made anew. */
const magic = 0x34_4e_44_49;
const headerSize = 16;
const rowSize = 17;

/** Two hashes of 32 bits (FNV-1a, and the same with another multiplier) of a text that goes on. */
class NameHash {
  first = 0x811c9dc5;
  second = 0x9747b28c;

  byte(value: number): void {
    this.first = Math.imul(this.first ^ value, 0x01000193);
    this.second = Math.imul(this.second ^ value, 0x85ebca6b);
    this.second ^= this.second >>> 15;
  }

  /** Up to a NUL or the end. */
  text(bytes: Uint8Array, at: number): void {
    let { first, second } = this;
    for (let i = at; i < bytes.length; i++) {
      const value = bytes[i] as number;
      if (value === 0) break;
      first = Math.imul(first ^ value, 0x01000193);
      second = Math.imul(second ^ value, 0x85ebca6b);
      second ^= second >>> 15;
    }
    this.first = first;
    this.second = second;
  }
}

/** Two hashes of 32 bits of a name with its namespaces and classes. */
export function hashOf(kind: NameKind, name: string): { readonly first: number; readonly second: number } {
  const hash = new NameHash();
  hash.byte(kinds.indexOf(kind));
  hash.text(new TextEncoder().encode(name), 0);
  return { first: hash.first >>> 0, second: hash.second >>> 0 };
}

/** Takes the definitions of a unit: the hashes of the name, where it is (`place`), and its kind by number. */
export interface NameSink {
  add(first: number, second: number, offset: number, kind: number): void;
}

/** Rows as they are gathered: the first definition of each name counts. */
class Rows implements NameSink {
  first: Uint32Array = new Uint32Array(1024);
  second: Uint32Array = new Uint32Array(1024);
  /** As placed() gives it. */
  offsets: Float64Array = new Float64Array(1024);
  kinds: Uint8Array = new Uint8Array(1024);
  count = 0;
  #slots: Int32Array = new Int32Array(4096).fill(-1);

  add(first: number, second: number, offset: number, kind: number): void {
    const mask = this.#slots.length - 1;
    let slot = (first ^ Math.imul(second, 0x9e3779b1)) & mask;
    for (let row = this.#slots[slot] as number; row >= 0; row = this.#slots[slot] as number) {
      if (this.first[row] === first && this.second[row] === second) return;
      slot = (slot + 1) & mask;
    }
    if (this.count === this.first.length) this.#grow();
    const row = this.count++;
    this.first[row] = first;
    this.second[row] = second;
    this.offsets[row] = offset;
    this.kinds[row] = kind;
    this.#slots[slot] = row;
    if (this.count * 2 > this.#slots.length) this.#rehash();
  }

  #grow(): void {
    const grown = <A extends Uint32Array | Float64Array | Uint8Array>(make: (size: number) => A, from: A): A => {
      const to = make(from.length * 2);
      to.set(from);
      return to;
    };
    this.first = grown((size) => new Uint32Array(size), this.first);
    this.second = grown((size) => new Uint32Array(size), this.second);
    this.offsets = grown((size) => new Float64Array(size), this.offsets);
    this.kinds = grown((size) => new Uint8Array(size), this.kinds);
  }

  #rehash(): void {
    const slots = new Int32Array(this.#slots.length * 4).fill(-1);
    const mask = slots.length - 1;
    for (let row = 0; row < this.count; row++) {
      let slot = ((this.first[row] as number) ^ Math.imul(this.second[row] as number, 0x9e3779b1)) & mask;
      while ((slots[slot] as number) >= 0) slot = (slot + 1) & mask;
      slots[slot] = row;
    }
    this.#slots = slots;
  }
}

/** Where in an entry of a shape the attributes are that the index wants. -1: not there; -2: not at a fixed place. */
interface Plan {
  readonly tag: number;
  readonly kind: number;
  readonly hasChildren: boolean;
  readonly attributes: Abbreviation['attributes'];
  readonly fixedSize: number;
  readonly nameForm: number;
  readonly nameAt: number;
  readonly siblingForm: number;
  readonly siblingAt: number;
  /** Known from the abbreviation alone: an entry that only declares. */
  readonly declares: boolean;
  readonly located: boolean;
  readonly enumClass: boolean;
  /** It completes a declaration elsewhere, which may lie in a namespace. */
  readonly specifies: boolean;
}

function planOf({ tag, hasChildren, attributes, fixedSize }: Abbreviation, format: UnitFormat): Plan {
  let at = 0;
  let nameAt = -1;
  let nameForm = 0;
  let siblingAt = -1;
  let siblingForm = 0;
  let declares = false;
  let located = false;
  let enumClass = false;
  let specifies = false;
  for (const { name, form } of attributes) {
    if (name === dw.DW_AT_name) {
      nameAt = at < 0 ? -2 : at;
      nameForm = form;
    } else if (name === dw.DW_AT_sibling) {
      siblingAt = at < 0 ? -2 : at;
      siblingForm = form;
    } else if (name === dw.DW_AT_declaration) declares = true;
    else if (name === dw.DW_AT_enum_class) enumClass = true;
    else if (name === dw.DW_AT_specification) specifies = true;
    else if (name === dw.DW_AT_location || name === dw.DW_AT_const_value) located = true;
    const size = fixedFormSize(form, format);
    at = at < 0 || size < 0 ? -1 : at + size;
  }
  const kind = kindOfTag[tag];
  return {
    tag,
    kind: kind === undefined ? -1 : kinds.indexOf(kind),
    hasChildren,
    attributes,
    fixedSize,
    nameForm,
    nameAt,
    siblingForm,
    siblingAt,
    declares,
    located,
    enumClass,
    specifies,
  };
}

/** Shapes of entries, by the table of abbreviations that they are of. */
export type Plans = WeakMap<ReadonlyMap<number, Abbreviation>, (Plan | undefined)[]>;

/** Goes through a file's units. Damaged ones give what could be read of them. */
export function buildNameIndex(file: EntryFile): Uint8Array {
  const rows = new Rows();
  const plans: Plans = new WeakMap();
  const shared = file.shared();
  for (const one of shared === undefined ? [file] : [file, shared]) {
    const scopes = new Scopes();
    const text = one.sections.get('str').all();
    for (const [number, unit] of one.allUnits().entries()) {
      indexWhole(one, unit, number, rows, plans, text, scopes, one === shared);
      unit.release();
    }
  }
  return encode(rows);
}

/**
 * Goes through a unit and what is split from it. `number` is the unit's among the file's
 * (units, then those of .debug_types). What is damaged gives what could be read of it.
 */
export function indexWhole(
  file: EntryFile,
  unit: Unit,
  number: number,
  rows: NameSink,
  plans: Plans,
  text: Uint8Array,
  scopes: Scopes,
  shared: boolean = false,
): void {
  try {
    indexUnit(file, unit, rows, plans, text, shared, scopes, 0);
    const split = shared ? undefined : file.split(unit)?.file;
    if (split === undefined) return;
    const itsText = split.sections.get('str').all();
    const itsScopes = new Scopes();
    for (const one of split.allUnits()) {
      indexUnit(split, one, rows, plans, itsText, false, itsScopes, splitBase + number * splitStep);
    }
  } catch (error) {
    if (!isBadInput(error)) throw error;
  }
}

const deepest = 256;

/** Goes through one unit. Throws on damaged input, with what came before it told. */
export function indexUnit(
  file: EntryFile,
  unit: Unit,
  rows: NameSink,
  allPlans: Plans,
  text: Uint8Array,
  shared: boolean,
  scopes: Scopes,
  base: number,
): void {
  unit.root();
  const abbreviations = unit.abbreviations();
  let plans = allPlans.get(abbreviations);
  if (plans === undefined) {
    plans = [];
    allPlans.set(abbreviations, plans);
  }
  const flat = isC(unit);
  const bytes = file.bytesOf(unit);
  const cursor = unit.cursorAt(bytes, unit.entries);
  const reader = new FormReader(cursor, unit.format);
  const { littleEndian } = unit.sections;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const hash = new NameHash();
  /** For each open scope the hashes of its name with `::`, per kind; undefined in functions. */
  const stack: (Scope | undefined)[] = [];
  let scope: Scope | undefined = topScope;

  while (cursor.remaining > 0) {
    const at = cursor.offset;
    const code = cursor.uleb128();
    if (code === 0) {
      if (stack.length === 0) break;
      scope = stack.pop();
      continue;
    }
    let plan = plans[code];
    if (plan === undefined) {
      const abbreviation = abbreviations.get(code);
      if (abbreviation === undefined) break;
      plan = planOf(abbreviation, unit.format);
      plans[code] = plan;
    }
    const start = cursor.offset;
    let nameAt = plan.nameAt < 0 ? -1 : start + plan.nameAt;
    let { nameForm } = plan;
    let sibling = -1;
    if (plan.fixedSize >= 0) {
      cursor.offset = start + plan.fixedSize;
      if (plan.siblingAt >= 0 && plan.siblingForm === dw.DW_FORM_ref4 && start + plan.siblingAt + 4 <= bytes.length) {
        sibling = view.getUint32(start + plan.siblingAt, littleEndian);
      }
    } else {
      for (const { name, form, constant } of plan.attributes) {
        const valueAt = cursor.offset;
        reader.read(form, constant);
        if (name === dw.DW_AT_name) {
          nameAt = valueAt;
          nameForm = reader.form;
        } else if (name === dw.DW_AT_sibling) sibling = unit.reference(reader.form, reader.value) - unit.start;
      }
    }

    if (scope !== undefined && plan.kind >= 0 && !plan.declares) {
      const wanted = plan.kind !== variableKind || plan.located;
      if (wanted && (plan.specifies || nameAt < 0))
        indexDefinition(file, unit, at, plan.kind, rows, shared, scopes, base);
      else if (wanted) {
        hash.first = scope.first[plan.kind] as number;
        hash.second = scope.second[plan.kind] as number;
        if (hashName(hash, unit, nameForm, nameAt, bytes, view, text)) {
          const offset = plan.tag === dw.DW_TAG_enumerator ? scope.entry : unit.start + at;
          rows.add(hash.first >>> 0, hash.second >>> 0, placed(file, unit, offset, shared, base), plan.kind);
        }
      }
    }

    if (!plan.hasChildren) continue;
    const enters = goesInto(plan.tag, flat);
    if (!enters && sibling > cursor.offset && sibling < bytes.length) {
      cursor.offset = sibling;
      continue;
    }
    if (stack.length >= deepest) break;
    stack.push(scope);
    if (!enters) scope = undefined;
    else if (scope !== undefined && plan.tag === dw.DW_TAG_enumeration_type) {
      // C's enumerators are seen around their enumeration, those of an enum class in it.
      const around = plan.enumClass
        ? innerScope(scope, (one) => hashName(one, unit, nameForm, nameAt, bytes, view, text))
        : scope;
      scope = { ...around, entry: unit.start + at };
    } else if (scope !== undefined && plan.specifies && isScope(plan.tag)) {
      const entry = file.readAt(unit, unit.start + at);
      const whole = new TextEncoder().encode(entry === undefined ? '' : scopes.qualified(entry));
      scope = innerScope(topScope, (one) => {
        one.text(whole, 0);
        return whole.length > 0;
      });
    } else if (scope !== undefined && isScope(plan.tag)) {
      scope = innerScope(scope, (one) => {
        if (nameAt >= 0) return hashName(one, unit, nameForm, nameAt, bytes, view, text);
        if (plan.tag !== dw.DW_TAG_namespace) return false;
        one.text(anonymous, 0);
        return true;
      });
    }
  }
}

/** Names of this scope start with these hashes. */
interface Scope {
  readonly first: Int32Array;
  readonly second: Int32Array;
  /** The enumeration that enumerators are in. */
  readonly entry: number;
}

const topScope: Scope = (() => {
  const first = new Int32Array(kinds.length);
  const second = new Int32Array(kinds.length);
  for (let kind = 0; kind < kinds.length; kind++) {
    const hash = new NameHash();
    hash.byte(kind);
    first[kind] = hash.first;
    second[kind] = hash.second;
  }
  return { first, second, entry: 0 };
})();

const anonymous = new TextEncoder().encode('(anonymous namespace)');
const colon = 0x3a;
const variableKind = kinds.indexOf('variable');

function innerScope(outer: Scope, name: (hash: NameHash) => boolean): Scope {
  const first = new Int32Array(kinds.length);
  const second = new Int32Array(kinds.length);
  for (let kind = 0; kind < kinds.length; kind++) {
    const hash = new NameHash();
    hash.first = outer.first[kind] as number;
    hash.second = outer.second[kind] as number;
    // Members of a struct without a name are seen in what is around it.
    if (!name(hash)) return outer;
    hash.byte(colon);
    hash.byte(colon);
    first[kind] = hash.first;
    second[kind] = hash.second;
  }
  return { first, second, entry: 0 };
}

/** Whether an entry's children may have names that are seen from outside. */
function goesInto(tag: number, flat: boolean): boolean {
  switch (tag) {
    case dw.DW_TAG_compile_unit:
    case dw.DW_TAG_partial_unit:
    case dw.DW_TAG_type_unit:
    case dw.DW_TAG_namespace:
    case dw.DW_TAG_enumeration_type:
      return true;
    case dw.DW_TAG_structure_type:
    case dw.DW_TAG_class_type:
    case dw.DW_TAG_union_type:
      return !flat;
    default:
      return false;
  }
}

/** Adds a name to a hash; false for a name that is empty or can't be had. */
function hashName(
  hash: NameHash,
  unit: Unit,
  form: number,
  at: number,
  bytes: Uint8Array,
  view: DataView,
  text: Uint8Array,
): boolean {
  if (form === dw.DW_FORM_string) {
    if (bytes[at] === 0 || at >= bytes.length) return false;
    hash.text(bytes, at);
    return true;
  }
  if (form === dw.DW_FORM_strp && unit.format.offsetSize === 4 && at + 4 <= bytes.length) {
    const offset = view.getUint32(at, unit.sections.littleEndian);
    if (offset >= text.length || text[offset] === 0) return false;
    hash.text(text, offset);
    return true;
  }
  const reader = new FormReader(new Cursor(bytes, unit.sections.littleEndian, at), unit.format);
  reader.read(form, 0);
  const name = unit.string(reader.form, reader.value, bytes);
  if (name === '') return false;
  hash.text(new TextEncoder().encode(name), 0);
  return true;
}

/** What completes a declaration elsewhere: a static member, a variable of a namespace, a class in a type unit. */
function indexDefinition(
  file: EntryFile,
  unit: Unit,
  at: number,
  kind: number,
  rows: NameSink,
  shared: boolean,
  scopes: Scopes,
  base: number,
): void {
  const offset = unit.start + at;
  const entry = file.readAt(unit, offset);
  const name = entry === undefined ? '' : qualifiedName(entry, scopes);
  if (name === '') return;
  const { first, second } = hashOf(kinds[kind] as NameKind, name);
  rows.add(first, second, placed(file, unit, offset, shared, base), kind);
}

/** Offsets of .debug_types are kept above those of .debug_info, those of the shared file below 0. */
const typesBase = 2 ** 50;
/** Those of split units each in a range of its own: .debug_types of DWARF 4 in its upper half. */
const splitBase = 2 ** 51;
const splitStep = 2 ** 34;

function placed(file: EntryFile, unit: Unit, offset: number, shared: boolean, base: number): number {
  if (shared) return -1 - offset;
  const ofTypes = unit.section === file.sections.get('types');
  if (base > 0) return base + offset + (ofTypes ? splitStep / 2 : 0);
  return ofTypes ? typesBase + offset : offset;
}

/** Name with namespaces and classes, where the declaration has it. */
export function qualifiedName(entry: Entry, scopes: Scopes): string {
  for (const origin of entry.origins()) if (origin.has(dw.DW_AT_name)) return scopes.qualified(origin);
  return '';
}

function encode(rows: Rows): Uint8Array {
  const { count } = rows;
  const order = Uint32Array.from({ length: count }, (_, row) => row).sort(
    (a, b) => (rows.first[a] as number) - (rows.first[b] as number),
  );
  const bytes = new Uint8Array(headerSize + count * rowSize);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setUint32(4, count, true);
  const columns = columnsOf(bytes, count);
  for (const [at, row] of order.entries()) {
    columns.offsets[at] = rows.offsets[row] as number;
    columns.first[at] = rows.first[row] as number;
    columns.second[at] = rows.second[row] as number;
    columns.kinds[at] = rows.kinds[row] as number;
  }
  return bytes;
}

interface Columns {
  readonly offsets: Float64Array;
  readonly first: Uint32Array;
  readonly second: Uint32Array;
  readonly kinds: Uint8Array;
}

function columnsOf(bytes: Uint8Array, count: number): Columns {
  const { buffer, byteOffset } = bytes;
  const at = byteOffset + headerSize;
  return {
    offsets: new Float64Array(buffer, at, count),
    first: new Uint32Array(buffer, at + 8 * count, count),
    second: new Uint32Array(buffer, at + 12 * count, count),
    kinds: new Uint8Array(buffer, at + 16 * count, count),
  };
}

export class NameIndex {
  readonly #columns: Columns;

  private constructor(columns: Columns) {
    this.#columns = columns;
  }

  /** Over bytes that buildNameIndex made; undefined when they are something else. */
  static read(bytes: Uint8Array): NameIndex | undefined {
    if (bytes.length < headerSize) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const count = view.getUint32(4, true);
    if (view.getUint32(0, true) !== magic || bytes.length !== headerSize + count * rowSize) return undefined;
    // The columns want to lie at multiples of 8.
    return new NameIndex(columnsOf(bytes.byteOffset % 8 === 0 ? bytes : bytes.slice(), count));
  }

  get size(): number {
    return this.#columns.kinds.length;
  }

  /** Entries whose name has the hash of this one: mostly one. */
  find(kind: NameKind, name: string): FoundName[] {
    const { first, second, kinds: kindColumn, offsets } = this.#columns;
    const wanted = hashOf(kind, name);
    let low = 0;
    let high = first.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((first[middle] as number) < wanted.first) low = middle + 1;
      else high = middle;
    }
    const found: FoundName[] = [];
    for (let row = low; row < first.length && first[row] === wanted.first; row++) {
      if (second[row] !== wanted.second || kinds[kindColumn[row] as number] !== kind) continue;
      found.push(place(offsets[row] as number));
    }
    return found;
  }

  /** All entries of a kind, in the order of the file. */
  all(kind: NameKind): FoundName[] {
    const { kinds: kindColumn, offsets } = this.#columns;
    const found: FoundName[] = [];
    for (let row = 0; row < kindColumn.length; row++) {
      if (kinds[kindColumn[row] as number] === kind) found.push(place(offsets[row] as number));
    }
    return found.sort((a, b) => a.offset - b.offset);
  }
}

/** What a number that a NameSink is told stands for. */
export function place(offset: number): FoundName {
  if (offset < 0) return { offset: -1 - offset, section: 'shared' };
  if (offset >= splitBase) {
    const split = Math.floor((offset - splitBase) / splitStep);
    const within = offset - splitBase - split * splitStep;
    return within >= splitStep / 2
      ? { offset: within - splitStep / 2, section: 'types', split }
      : { offset: within, section: 'info', split };
  }
  return offset >= typesBase ? { offset: offset - typesBase, section: 'types' } : { offset, section: 'info' };
}

/** Where a file's index comes from. */
export interface NameIndexes {
  /** One that was made before; undefined where there is none. */
  kept(file: EntryFile): NameIndex | undefined;
  make(file: EntryFile): NameIndex;
}

/** Makes the index of a file, for use at once. */
export function makeNameIndex(file: EntryFile): NameIndex {
  const index = NameIndex.read(buildNameIndex(file));
  invariant(index !== undefined, 'a name index that cannot be read');
  return index;
}
