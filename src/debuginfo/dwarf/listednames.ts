/**
 * Names by the tables that compilers, linkers and gdb put into a file, `.debug_names` and
 * `.gdb_index`, in place of an index over all of it. A table tells in which units a name
 * is; those units, and those that it does not cover, are gone through as for the index, so
 * that what is found is what the index would have. What a table does not list (there are
 * kinds of names that each leaves out) is not found here. One that does not fit the file
 * is not used any more, and told.
 */
import { lazy } from '../../base/lazy.ts';
import { SHT_NOBITS } from '../elf/constants.ts';
import * as dw from './constants.ts';
import { DebugNames } from './debugnames.ts';
import type { EntryFile } from './entry.ts';
import { isBadInput } from './form.ts';
import { GdbIndex } from './gdbindex.ts';
import { type FoundName, hashOf, indexWhole, type NameKind, type Plans, place } from './nameindex.ts';
import { type NameTable, WrongTable } from './nametable.ts';
import { Scopes } from './scopes.ts';
import { DebugSection } from './sections.ts';
import type { Unit } from './unit.ts';

const tagsOf: Readonly<Record<NameKind, ReadonlySet<number>>> = {
  struct: new Set([dw.DW_TAG_structure_type, dw.DW_TAG_class_type]),
  union: new Set([dw.DW_TAG_union_type]),
  enum: new Set([dw.DW_TAG_enumeration_type]),
  typedef: new Set([dw.DW_TAG_typedef, dw.DW_TAG_base_type]),
  variable: new Set([dw.DW_TAG_variable]),
  enumerator: new Set([dw.DW_TAG_enumerator]),
};

const typeKinds: readonly NameKind[] = ['struct', 'union', 'enum', 'typedef'];

/** When more than this, or this part of the file, was gone through, the index should be made. */
const fewBytes = 4 << 20;
const smallPart = 1 / 4;

/** Where definitions are (as indexWhole tells), by the hashes of their names. */
type UnitNames = ReadonlyMap<number, number>;

const keyOf = (first: number, second: number): number => first * 2 ** 20 + (second & 0xfffff);

export class ListedNames {
  readonly #file: EntryFile;
  readonly #onNote: ((note: string) => void) | undefined;
  readonly #plans: Plans = new WeakMap();
  readonly #scopes: Scopes = new Scopes();
  readonly #units: Map<Unit, UnitNames> = new Map();
  #tables: readonly NameTable[] | undefined;
  /** Bytes of units that may still be gone through. */
  #left = 0;

  /** `onNote` is told which table is used, and what is wrong with one. */
  constructor(file: EntryFile, onNote?: (note: string) => void) {
    this.#file = file;
    this.#onNote = onNote;
  }

  /**
   * The first definition of a name, as far as a table leads to it; undefined where an index
   * may find one. `absent`: the name is that of another kind of type, and tables have all types of a name.
   */
  find(kind: NameKind, name: string): FoundName | 'absent' | undefined {
    this.#tables ??= this.#open();
    for (const table of this.#tables) {
      try {
        const found = this.#findBy(table, kind, name);
        if (found !== undefined) return found;
        const isOther = (other: NameKind): boolean => other !== kind && this.#findBy(table, other, name) !== undefined;
        if (typeKinds.includes(kind) && typeKinds.some(isOther)) return 'absent';
      } catch (error) {
        this.#refuse(table.section, error);
        this.#tables = this.#tables.filter((one) => one !== table);
      }
    }
    return undefined;
  }

  #open(): NameTable[] {
    const file = this.#file;
    const { elf } = file.sections;
    this.#left = Math.max(fewBytes, file.sections.get('info').size * smallPart);
    const tables: NameTable[] = [];
    const attempt = (section: string, open: () => NameTable): void => {
      try {
        if (file.shared() !== undefined) throw new WrongTable('the file shares entries with another one');
        const table = open();
        tables.push(table);
        const others = this.#file.allUnits().length - table.covered.size;
        this.#onNote?.(
          `${section} tells where names are${others === 0 ? '' : `; ${others} units that it does not cover are gone through`}`,
        );
      } catch (error) {
        this.#refuse(section, error);
      }
    };
    const names = file.sections.get('names');
    if (names.size > 0) attempt('.debug_names', () => new DebugNames(file, names));
    const index = elf.section('.gdb_index');
    if (index !== undefined && index.type !== SHT_NOBITS && tables.length === 0) {
      attempt('.gdb_index', () => new GdbIndex(file, new DebugSection(elf.reader, index.offset, index.size)));
    }
    return tables;
  }

  #refuse(section: string, error: unknown): void {
    if (!(error instanceof WrongTable) && !isBadInput(error)) throw error;
    this.#onNote?.(`${section} is not used: ${error instanceof WrongTable ? error.message : 'it is damaged'}`);
  }

  readonly #text: () => Uint8Array = lazy(() => this.#file.sections.get('str').all());

  #findBy(table: NameTable, kind: NameKind, name: string): FoundName | undefined {
    const listed = new Set(table.units(tagsOf[kind], name, lastPart(name)));
    if (listed.size === 0) return undefined;
    const { first, second } = hashOf(kind, name);
    for (const [number, unit] of this.#file.allUnits().entries()) {
      if (!listed.has(unit) && table.covered.has(unit)) continue;
      const names = this.#namesOf(unit, number);
      if (names === undefined) return undefined;
      const found = names.get(keyOf(first, second));
      if (found !== undefined) return place(found);
    }
    return undefined;
  }

  #namesOf(unit: Unit, number: number): UnitNames | undefined {
    const known = this.#units.get(unit);
    if (known !== undefined) return known;
    this.#left -= unit.end - unit.start;
    if (this.#left < 0) return undefined;
    const names = new Map<number, number>();
    const sink = {
      add(first: number, second: number, offset: number): void {
        const key = keyOf(first, second);
        if (!names.has(key)) names.set(key, offset);
      },
    };
    this.#units.set(unit, names);
    try {
      indexWhole(this.#file, unit, number, sink, this.#plans, this.#text(), this.#scopes);
    } catch (error) {
      if (!isBadInput(error)) throw error;
    }
    return names;
  }
}

/** The last part of a name: what stands behind the last `::` that is not within brackets. */
export function lastPart(name: string): string {
  let depth = 0;
  for (let at = name.length - 1; at > 0; at--) {
    const char = name[at] as string;
    if ('>)]}'.includes(char)) depth++;
    else if ('<([{'.includes(char)) depth--;
    else if (depth === 0 && char === ':' && name[at - 1] === ':') return name.slice(at + 1);
  }
  return name;
}
