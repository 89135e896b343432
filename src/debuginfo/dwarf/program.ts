/**
 * What the debugging information of a file says of its types, functions and variables,
 * as the compiler asks for it (types/source.ts). Opening reads nothing; a function is
 * found through .debug_aranges and its unit, a type by name through the name index.
 */
import { lazy } from '../../base/lazy.ts';
import { Lru } from '../../base/lru.ts';
import { nearest } from '../../base/near.ts';
import { argumentLocations, type CallingConvention, resultLocation, rustArgumentLocations } from '../../types/abi.ts';
import { type Computation, constant, type Location, sum, unavailable } from '../../types/location.ts';
import type { EnumType, FunctionType, Type } from '../../types/model.ts';
import type { ProgramFunction, ProgramTypes, ProgramVariable, TypeKeyword } from '../../types/source.ts';
import type { ThreadLocals } from '../elf/threadlocal.ts';
import * as dw from './constants.ts';
import { declare } from './declare.ts';
import { type Entry, EntryFile, isBlockForm } from './entry.ts';
import { readLocation, type Surroundings } from './expression.ts';
import { isBadInput } from './form.ts';
import { type CodeEntry, covers, lowest, readFunctions } from './functions.ts';
import { ListedNames } from './listednames.ts';
import { readLocationList } from './locations.ts';
import { type FoundName, type NameIndex, type NameIndexes, type NameKind, qualifiedName } from './nameindex.ts';
import { NameSearch } from './namesearch.ts';
import type { DwarfSections } from './sections.ts';
import { TypeReader } from './types.ts';
import type { Unit } from './unit.ts';
import { UnitMap } from './unitmap.ts';
import { constantValue, entryAddress, inlinedAt, locationAt, variablesIn } from './variables.ts';

export interface ProgramOptions {
  readonly convention: CallingConvention;
  /** The canonical frame address at an instruction, by the call frame information. */
  readonly frameAddress: (address: number) => Computation | undefined;
  /** Where thread-local variables are, as the file itself (not its debug file) tells. */
  readonly threadLocals: () => ThreadLocals | undefined;
  readonly indexes: NameIndexes;
  /** Told of tables of names in the file (ListedNames). */
  readonly onNote?: ((note: string) => void) | undefined;
}

/** Units whose functions are kept. */
const keptUnits = 16;
/** Names that are looked for before an index is made. */
const mostSearched = 8;

export class DwarfTypes implements ProgramTypes {
  readonly file: EntryFile;
  readonly reader: TypeReader;
  readonly #options: ProgramOptions;
  readonly #map: UnitMap;

  constructor(sections: DwarfSections, options: ProgramOptions) {
    this.file = new EntryFile(sections);
    this.#options = options;
    this.#search = new NameSearch(this.file);
    this.#listed = new ListedNames(this.file, options.onNote);
    this.#map = new UnitMap(sections, () => this.file.units());
    this.reader = new TypeReader(
      (tag, name) => this.#definition(tag, name),
      (name) => this.global(name),
    );
  }

  readonly #kept: () => NameIndex | undefined = lazy(() => this.#options.indexes.kept(this.file));
  readonly #made: () => NameIndex = lazy(() => this.#options.indexes.make(this.file));
  readonly #search: NameSearch;
  readonly #listed: ListedNames;
  #searched = 0;

  #index(): NameIndex {
    return this.#kept() ?? this.#made();
  }

  // ---------------------------------------------------------------- names

  /** What a name may mean. A few names are looked for without an index: that takes less than to make one. */
  #places(kind: NameKind, name: string): readonly FoundName[] {
    if (this.#kept() === undefined && this.#searched < mostSearched) {
      const listed = this.#listed.find(kind, name);
      if (listed !== undefined) return listed === 'absent' ? [] : [listed];
      this.#searched++;
      const found = this.#search.find(kind, name);
      if (found !== 'unknown') return found === undefined ? [] : [found];
      // The index will be made for this name, and is there for the next.
      this.#searched = mostSearched;
    }
    return this.#index().find(kind, name);
  }

  /** The entry that defines a name. */
  entry(kind: NameKind, name: string): Entry | undefined {
    for (const place of this.#places(kind, name)) {
      const entry = this.#at(place);
      if (entry !== undefined && (kind === 'enumerator' || qualifiedName(entry, this.reader.scopes) === name)) {
        return entry;
      }
    }
    return undefined;
  }

  /** All entries that the name index has of a kind. */
  *entries(kind: NameKind): Generator<Entry, void, void> {
    for (const place of this.#index().all(kind)) {
      const entry = this.#at(place);
      if (entry !== undefined) yield entry;
    }
  }

  #at({ offset, section, split }: FoundName): Entry | undefined {
    if (section === 'shared') return this.file.shared()?.at(offset);
    const unit = split === undefined ? undefined : this.file.units()[split];
    const file = unit === undefined ? this.file : this.file.split(unit)?.file;
    return section === 'types' ? file?.atType(offset) : file?.at(offset);
  }

  #definition(tag: number, name: string): Entry | undefined {
    const kind = tag === dw.DW_TAG_union_type ? 'union' : tag === dw.DW_TAG_enumeration_type ? 'enum' : 'struct';
    return this.entry(kind, name);
  }

  find(keyword: TypeKeyword, name: string): Type | undefined {
    const entry = this.entry(keyword, name);
    return entry === undefined ? undefined : this.reader.of(entry);
  }

  findEnumerator(name: string): { readonly value: bigint; readonly type: EnumType } | undefined {
    const entry = this.entry('enumerator', name);
    const type = entry === undefined ? undefined : this.reader.of(entry);
    if (type?.kind !== 'enum') return undefined;
    const last = name.slice(name.lastIndexOf(':') + 1);
    const member = type.members.find((one) => one.name === last || one.name.endsWith(`::${last}`));
    return member === undefined ? undefined : { value: member.value, type };
  }

  findFunction(): FunctionType | undefined {
    return undefined;
  }

  *names(keyword: TypeKeyword): Generator<string, void, void> {
    for (const entry of this.entries(keyword)) yield qualifiedName(entry, this.reader.scopes);
  }

  // ---------------------------------------------------------------- variables

  global(name: string): ProgramVariable | undefined {
    const entry = this.entry('variable', name) ?? this.#staticOf(name);
    if (entry === undefined) return undefined;
    const last = name.slice(name.lastIndexOf('::') < 0 ? 0 : name.lastIndexOf('::') + 2);
    return {
      name,
      type: this.reader.ofAttribute(entry),
      declaration: declare(entry, last, this.reader.scopes),
      location: this.#globalLocation(entry),
    };
  }

  nearGlobals(name: string): readonly string[] {
    const names = new Set<string>();
    for (const entry of this.entries('variable')) names.add(qualifiedName(entry, this.reader.scopes));
    const within = [...names].filter((one) => one.endsWith(`::${name}`)).slice(0, 3);
    return within.length > 0 ? within : nearest(name, names, 3);
  }

  #globalLocation(entry: Entry): Location {
    const expression = entry.block(dw.DW_AT_location);
    if (expression === undefined) return constantValue(entry) ?? unavailable('optimized out');
    return this.#inThread(readLocation(expression, { unit: entry.unit }));
  }

  /** Thread-local variables by what the file itself says of where its block is. */
  #inThread(location: Location): Location {
    if (location.kind !== 'memory' || location.address.op !== 'thread') return location;
    const locals = this.#options.threadLocals();
    const { offset } = location.address;
    if (locals?.fromThreadPointer !== undefined) {
      return { kind: 'memory', address: { op: 'thread', offset: locals.fromThreadPointer + offset } };
    }
    if (locals?.moduleSlot === undefined && locals?.distance !== undefined) {
      const { slot, of } = locals.distance;
      return { kind: 'memory', address: { op: 'thread', offset: offset - of, distance: slot } };
    }
    if (locals?.moduleSlot === undefined)
      return unavailable("the library does not tell its thread-local variables' place");
    return { kind: 'memory', address: { op: 'thread', offset, module: locals.moduleSlot } };
  }

  /** A static variable of a function. Functions are not in the name index: their units are gone through. */
  #staticOf(name: string): Entry | undefined {
    const split = /^(.*)::([^:]+)$/s.exec(name);
    if (split === null) return undefined;
    const [, owner = '', variable = ''] = split;
    for (const unit of this.file.units()) {
      try {
        const { file, unit: whole } = this.file.split(unit) ?? { file: this.file, unit };
        for (const { entry, inlined } of this.#functionsOf(whole)) {
          const found = inlined ? undefined : file.at(entry);
          if (found === undefined || qualifiedName(found, this.reader.scopes) !== owner) continue;
          const inside = findStatic(found, variable, 0);
          if (inside !== undefined) return inside;
        }
      } catch (error) {
        if (!isBadInput(error)) throw error;
      }
    }
    return undefined;
  }

  // ---------------------------------------------------------------- functions

  functionAt(address: number, symbol: string): ProgramFunction | undefined {
    const entry = this.functionEntry(address);
    return entry === undefined ? undefined : this.#function(entry, address, symbol);
  }

  inlinedCopies(name: string): readonly number[] {
    const found = new Set<number>();
    for (const unit of this.file.units()) {
      try {
        const { file, unit: whole } = this.file.split(unit) ?? { file: this.file, unit };
        const visit = (one: CodeEntry): void => {
          for (const child of one.children) {
            const entry = file.at(child.entry);
            if (entry !== undefined && this.#isNamed(entry, name)) found.add(entryAddress(entry) ?? lowest(child));
            visit(child);
          }
        };
        for (const one of this.#functionsOf(whole)) visit(one);
      } catch (error) {
        if (!isBadInput(error)) throw error;
      }
    }
    return [...found].sort((a, b) => a - b);
  }

  #isNamed(entry: Entry, name: string): boolean {
    const named = entry.originWith(dw.DW_AT_name);
    const last = name.slice(name.lastIndexOf('::') < 0 ? 0 : name.lastIndexOf('::') + 2);
    return named !== undefined && named.name === last && qualifiedName(entry, this.reader.scopes) === name;
  }

  functionAround(address: number): ProgramFunction | undefined {
    const around = this.#around(address);
    if (around === undefined) return undefined;
    const entry = inlinedAt(around, address) ?? around;
    const parameters = [...entry.children()]
      .filter((child) => child.tag === dw.DW_TAG_formal_parameter)
      .map((child) => this.#variable(child, around, address));
    const type = this.reader.ofAttribute(entry);
    const location = unavailable('the function has not returned yet');
    const result = { name: 'retval', type, declaration: declare(entry, 'retval', this.reader.scopes), location };
    return { name: entry.originWith(dw.DW_AT_name)?.name ?? '', parameters, result };
  }

  variablesAt(address: number): readonly ProgramVariable[] {
    const entry = this.#around(address);
    if (entry === undefined) return [];
    const byName = new Map<string, ProgramVariable>();
    for (const { entry: one } of variablesIn(entry, address)) {
      const variable = this.#variable(one, entry, address);
      if (variable.name === '') continue;
      byName.delete(variable.name);
      byName.set(variable.name, variable);
    }
    return [...byName.values()];
  }

  #variable(entry: Entry, owner: Entry, address: number): ProgramVariable {
    const name = entry.originWith(dw.DW_AT_name)?.name ?? '';
    const frameAddress = (): Computation | undefined => this.#options.frameAddress(address);
    return {
      name,
      type: this.reader.ofAttribute(entry),
      declaration: declare(entry, name, this.reader.scopes),
      location: this.#inThread(locationAt(entry, owner, address, frameAddress)),
    };
  }

  /** The subprogram that an instruction belongs to. */
  #around(address: number): Entry | undefined {
    for (const unit of this.#map.at(address)) {
      try {
        const { file, unit: whole } = this.file.split(unit) ?? { file: this.file, unit };
        for (const one of this.#functionsOf(whole)) {
          if (!one.inlined && covers(one, address)) return file.at(one.entry);
        }
      } catch (error) {
        if (!isBadInput(error)) throw error;
      }
    }
    return undefined;
  }

  readonly #unitFunctions: Lru<Unit, readonly CodeEntry[]> = new Lru(keptUnits);

  /** The functions of a unit: a wildcard asks for many of one. Throws on damaged input. */
  #functionsOf(unit: Unit): readonly CodeEntry[] {
    let functions = this.#unitFunctions.get(unit);
    if (functions === undefined) {
      functions = readFunctions(unit, this.#map.isCode);
      this.#unitFunctions.set(unit, functions);
    }
    return functions;
  }

  /** The subprogram whose code begins at an address. */
  functionEntry(address: number): Entry | undefined {
    for (const unit of this.#map.at(address)) {
      try {
        const { file, unit: whole } = this.file.split(unit) ?? { file: this.file, unit };
        for (const { entry, ranges, inlined } of this.#functionsOf(whole)) {
          if (!inlined && ranges[0] === address) return file.at(entry);
        }
      } catch (error) {
        if (!isBadInput(error)) throw error;
      }
    }
    return undefined;
  }

  #function(entry: Entry, address: number, symbol: string): ProgramFunction {
    const { convention } = this.#options;
    const { scopes } = this.reader;
    const returned = this.reader.ofAttribute(entry);
    // Go's results are parameters too.
    const children = [...entry.children()].filter(
      (child) => child.tag === dw.DW_TAG_formal_parameter && !child.flag(dw.DW_AT_variable_parameter),
    );
    const types = children.map((child) => this.reader.ofAttribute(child));
    const locations = lazy(() => this.#entryLocations(entry, children, types, returned, address, symbol));
    const parameters = children.map((child, index): ProgramVariable => {
      const name = child.originWith(dw.DW_AT_name)?.name ?? '';
      return {
        name,
        type: types[index] as Type,
        declaration: declare(child, name, scopes),
        get location() {
          return locations()[index] as Location;
        },
      };
    });
    const result = {
      name: 'retval',
      type: returned,
      declaration: declare(entry, 'retval', scopes),
      location: resultLocation(returned, convention),
    };
    return { name: entry.originWith(dw.DW_AT_name)?.name ?? '', parameters, result };
  }

  /**
   * Where the parameters are before the first instruction. What DWARF says of that place
   * counts; where it says nothing of it the calling convention does, as long as the
   * function keeps to it: others can call it, or all that DWARF says agrees with it.
   */
  #entryLocations(
    entry: Entry,
    children: readonly Entry[],
    types: readonly Type[],
    returned: Type,
    address: number,
    symbol: string,
  ): Location[] {
    const { convention } = this.#options;
    const rust = entry.unit.root().language === dw.DW_LANG_Rust;
    const byConvention = (rust ? rustArgumentLocations : argumentLocations)(types, returned, convention);
    const told = children.map((child) => entryLocation(child, entry, address, convention));
    const changed = /\.(isra|constprop|part)\b/.test(symbol);
    const external = entry.originWith(dw.DW_AT_external) !== undefined;
    const agrees = told.every(
      (one, index) => one === undefined || one === 'later' || one === 'nowhere' || alike(one, byConvention[index]),
    );
    return told.map((one, index): Location => {
      const expected = byConvention[index] as Location;
      if (one === undefined) return expected;
      // Callers in the same file need not even pass it.
      if (one === 'nowhere') return unavailable('optimized out');
      if (one === 'later') return !changed && (external || agrees) ? expected : unavailable('optimized out');
      return one;
    });
  }
}

/** A variable with a place of its own in a function or the blocks in it. */
function findStatic(scope: Entry, name: string, depth: number): Entry | undefined {
  for (const child of scope.children()) {
    if (child.tag === dw.DW_TAG_variable && child.originWith(dw.DW_AT_name)?.name === name) {
      const [first] = child.block(dw.DW_AT_location) ?? [];
      if (first === dw.DW_OP_addr || first === dw.DW_OP_addrx || first === dw.DW_OP_const8u) return child;
    } else if (child.tag === dw.DW_TAG_lexical_block && depth < 64) {
      const found = findStatic(child, name, depth + 1);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** Whether two places are the same, as far as both are whole registers or places on the stack. */
function alike(told: Location, expected: Location | undefined): boolean {
  if (told.kind === 'register') return expected?.kind === 'register' && expected.register === told.register;
  return told.kind !== 'value' && told.kind !== 'bytes';
}

/**
 * Where a parameter is before the function's first instruction, as its location says.
 * undefined: it tells where it will be in the frame that the function is about to make;
 * `later`: it tells only of places further on; `nowhere`: it tells nothing.
 */
function entryLocation(
  child: Entry,
  owner: Entry,
  address: number,
  convention: CallingConvention,
): Location | 'later' | 'nowhere' | undefined {
  const size = child.unit.format.addressSize;
  const around: Surroundings = {
    unit: child.unit,
    size,
    frameAddress: () => sum({ op: 'register', register: convention.stackPointer }, constant(convention.stackArguments)),
    frameBase: () => {
      const base = owner.block(dw.DW_AT_frame_base);
      // The frame pointer will be two words below the canonical frame address.
      if (base?.length === 1 && base[0] === dw.DW_OP_reg0 + 6 && convention.stackArguments === 8) {
        return sum({ op: 'register', register: convention.stackPointer }, constant(-8));
      }
      if (base?.length === 1 && base[0] === dw.DW_OP_call_frame_cfa) return around.frameAddress?.();
      return undefined;
    },
    entryRegister: (register): Computation => ({ op: 'register', register }),
  };
  const attribute = child.attribute(dw.DW_AT_location);
  if (attribute === undefined) {
    return constantValue(child) ?? 'nowhere';
  }
  if (!isBlockForm(attribute.form)) {
    const list = child.unit.locationList(attribute.form, attribute.value);
    const ranges = list === undefined ? [] : readLocationList(child.unit, list);
    const range = ranges.find(({ start, end }) => start <= address && address < end);
    if (range === undefined) return ranges.length > 0 ? 'later' : 'nowhere';
    return readLocation(range.expression, around);
  }
  const expression = child.block(dw.DW_AT_location) ?? new Uint8Array(0);
  const [first = 0] = expression;
  const inFrame =
    first === dw.DW_OP_fbreg || first === dw.DW_OP_breg0 + 6 || first === dw.DW_OP_breg0 + convention.stackPointer;
  if (!inFrame) return readLocation(expression, around);
  const location = readLocation(expression, around);
  if (first !== dw.DW_OP_fbreg || location.kind !== 'memory') return undefined;
  return isInCallersFrame(location.address, convention) ? location : undefined;
}

/** True for a place above the return address: what the caller has put there. */
function isInCallersFrame(address: Computation, convention: CallingConvention): boolean {
  if (address.op !== 'binary' || address.operator !== 'add') return false;
  const { left, right } = address;
  return (
    left.op === 'register' &&
    left.register === convention.stackPointer &&
    right.op === 'constant' &&
    right.value >= BigInt(convention.stackArguments)
  );
}
