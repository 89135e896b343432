/** Abbreviation tables: which attributes, in which forms, the entries of a unit have. DWARF 5, section 7.5.3. */
import type { Cursor } from '../../bytes/cursor.ts';
import { DW_FORM_implicit_const } from './constants.ts';
import { fixedFormSize, type UnitFormat } from './form.ts';

export interface AttributeSpec {
  /** DW_AT_… */
  readonly name: number;
  /** DW_FORM_… */
  readonly form: number;
  /** The value, where the form is DW_FORM_implicit_const. */
  readonly constant: number;
}

export interface Abbreviation {
  /** DW_TAG_… */
  readonly tag: number;
  readonly hasChildren: boolean;
  readonly attributes: readonly AttributeSpec[];
  /** Bytes that all attributes take together; -1 where that depends on their values. */
  readonly fixedSize: number;
}

/** Attributes of one name and form are one object: a file has thousands of tables, and few such pairs. */
const specs = new Map<number, AttributeSpec>();

function specOf(name: number, form: number): AttributeSpec {
  const key = name * 0x10000 + form;
  let spec = specs.get(key);
  if (spec === undefined) {
    spec = { name, form, constant: 0 };
    // Damaged tables may name any.
    if (specs.size < 4096) specs.set(key, spec);
  }
  return spec;
}

/** Reads the table that the cursor stands at, up to its end mark. */
export function readAbbreviations(cursor: Cursor, format: UnitFormat): Map<number, Abbreviation> {
  const table = new Map<number, Abbreviation>();
  for (let code = cursor.uleb128(); code !== 0; code = cursor.uleb128()) {
    const tag = cursor.uleb128();
    const hasChildren = cursor.u8() !== 0;
    const attributes: AttributeSpec[] = [];
    let fixedSize = 0;
    for (;;) {
      const name = cursor.uleb128();
      const form = cursor.uleb128();
      const constant = form === DW_FORM_implicit_const ? cursor.sleb128() : 0;
      if (name === 0 && form === 0) break;
      const size = fixedFormSize(form, format);
      fixedSize = fixedSize < 0 || size < 0 ? -1 : fixedSize + size;
      attributes.push(form === DW_FORM_implicit_const ? { name, form, constant } : specOf(name, form));
    }
    table.set(code, { tag, hasChildren, attributes, fixedSize });
    // A section that is cut off after a whole table has no end mark.
    if (cursor.remaining === 0) break;
  }
  return table;
}
