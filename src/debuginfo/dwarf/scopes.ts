/** Names with all that they lie in: namespaces, classes. DWARF has no way from an entry up, so a unit is gone through once. */
import { Lru } from '../../base/lru.ts';
import * as dw from './constants.ts';
import type { Entry, EntryFile } from './entry.ts';
import { FormReader, isBadInput } from './form.ts';
import type { Unit } from './unit.ts';

/** Tags of entries that others lie in by name. */
export function isScope(tag: number): boolean {
  switch (tag) {
    case dw.DW_TAG_namespace:
    case dw.DW_TAG_structure_type:
    case dw.DW_TAG_class_type:
    case dw.DW_TAG_union_type:
    case dw.DW_TAG_enumeration_type:
      return true;
    default:
      return false;
  }
}

/** What a scope without a name is called. */
export function scopeName(tag: number, name: string): string {
  if (name !== '') return name;
  return tag === dw.DW_TAG_namespace ? '(anonymous namespace)' : '';
}

const keptUnits = 32;
const deepest = 1024;

const languagesOfC: readonly number[] = [dw.DW_LANG_C89, dw.DW_LANG_C, dw.DW_LANG_C99, dw.DW_LANG_C11];
/** True for a unit in a language that has no namespaces. */
export const isC = (unit: Unit): boolean => languagesOfC.includes(unit.root().language);

export class Scopes {
  readonly #units: Lru<Unit, ReadonlyMap<number, string>> = new Lru(keptUnits);

  /** The name of an entry with its namespaces and classes; '' when it has no name. */
  qualified(entry: Entry): string {
    const { name } = entry;
    if (name === '') return '';
    // GCC puts a class in a type unit beside its namespace, where only a declaration is.
    const declared = isScope(entry.tag) ? (entry.reference(dw.DW_AT_specification) ?? entry) : entry;
    const scope = this.of(declared.file, declared.unit).get(declared.offset) ?? '';
    return scope === '' ? name : `${scope}::${name}`;
  }

  /** By the offset of each entry that lies in a namespace or class: what it lies in. */
  of(file: EntryFile, unit: Unit): ReadonlyMap<number, string> {
    let scopes = this.#units.get(unit);
    if (scopes === undefined) {
      scopes = readScopes(file, unit);
      this.#units.set(unit, scopes);
    }
    return scopes;
  }
}

function readScopes(file: EntryFile, unit: Unit): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  try {
    if (isC(unit)) return found;
    const bytes = file.bytesOf(unit);
    const cursor = unit.cursorAt(bytes, unit.entries);
    const abbreviations = unit.abbreviations();
    const reader = new FormReader(cursor, unit.format);
    const open: string[] = [];
    let scope = '';
    while (cursor.remaining > 0) {
      const at = unit.start + cursor.offset;
      const code = cursor.uleb128();
      if (code === 0) {
        if (open.length === 0) break;
        scope = open.pop() as string;
        continue;
      }
      const abbreviation = abbreviations.get(code);
      if (abbreviation === undefined) break;
      const { tag, hasChildren, attributes, fixedSize } = abbreviation;
      let name = '';
      let around = scope;
      if (isScope(tag) && hasChildren) {
        for (const attribute of attributes) {
          reader.read(attribute.form, attribute.constant);
          if (attribute.name === dw.DW_AT_name) name = unit.string(reader.form, reader.value, bytes);
          else if (attribute.name === dw.DW_AT_specification) {
            around = found.get(unit.reference(reader.form, reader.value)) ?? scope;
          }
        }
        name = scopeName(tag, name);
      } else if (fixedSize >= 0) cursor.skip(fixedSize);
      else for (const { form, constant } of attributes) reader.read(form, constant);
      if (scope !== '') found.set(at, scope);
      if (hasChildren) {
        if (open.length >= deepest) break;
        open.push(scope);
        // What lies in a function is not seen from outside, so it is called by its own name.
        if (tag === dw.DW_TAG_subprogram || tag === dw.DW_TAG_lexical_block) scope = '';
        else if (name !== '') scope = around === '' ? name : `${around}::${name}`;
      }
    }
  } catch (error) {
    if (!isBadInput(error)) throw error;
  }
  return found;
}
