/**
 * An executable or library by its symbols: `Binary` of the target contract over an ELF
 * file. Symbol tables are indexed at the first question that needs them, names stay in
 * the file, demangling happens only for names that may match.
 *
 * Where the names come from is layers.ts's affair; what several layers know is told once.
 */
import type { MachineError } from '../../base/errors.ts';
import { lazy } from '../../base/lazy.ts';
import { type FileOffset, type VirtualAddress, virtualAddress } from '../../base/numbers.ts';
import { ok, type Result } from '../../base/result.ts';
import type { FileReader } from '../../bytes/file.ts';
import { textPattern } from '../../bytes/search.ts';
import type { SourcePlace } from '../../debuginfo/dwarf/index.ts';
import { makeNameIndex, type NameIndexes } from '../../debuginfo/dwarf/nameindex.ts';
import { DwarfTypes } from '../../debuginfo/dwarf/program.ts';
import { DT_STRSZ, DT_STRTAB, EM_AARCH64, EM_X86_64, ET_DYN, PF_X, PT_LOAD } from '../../debuginfo/elf/constants.ts';
import { ElfFile, type Inflate } from '../../debuginfo/elf/elf.ts';
import { catchesTypes, type FunctionBounds, readFunctionBounds } from '../../debuginfo/elf/frames.ts';
import { Image } from '../../debuginfo/elf/image.ts';
import { readThreadLocals } from '../../debuginfo/elf/threadlocal.ts';
import { readUsdtNotes } from '../../debuginfo/elf/usdt.ts';
import { RuleKind } from '../../program/unwind.ts';
import type { Binary, CodePlace, FunctionExits, FunctionSymbol, UsdtProbe } from '../../target/target.ts';
import { conventions } from '../../types/abi.ts';
import { type Computation, constant, sum } from '../../types/location.ts';
import type { ProgramTypes } from '../../types/source.ts';
import { readRule } from '../unwind/rules.ts';
import { buildTable, ruleAt, type UnwindTable } from '../unwind/table.ts';
import { functionExits } from './exits.ts';
import type { FunctionTable } from './functions.ts';
import { Glob } from './glob.ts';
import { type CodeBounds, codeAt, functionBounds } from './instructions.ts';
import { KeptNames } from './keptnames.ts';
import { type LayerReport, Layers, type LayersOptions } from './layers.ts';
import { anyForm, type Demangle, type Forms, formsOf, looksMangled, mangledPieces, mangledTest } from './names.ts';
import { nearNames } from './near.ts';
import { OtherTypes } from './othertypes.ts';
import { alternatives, requiredLiterals } from './regex.ts';
import { preferredAlias, type SymbolEntry, type SymbolTable } from './table.ts';
import { findVersion } from './version.ts';

export interface BinaryOptions extends LayersOptions {
  readonly demangle: Demangle;
  /** Names for a stripped program by other evidence than symbols; asked at the first address that no symbol covers. */
  readonly infer?: ((elf: ElfFile) => InferredNames | undefined) | undefined;
  /** Another build of a program without debugging information, which has it; undefined where none was named. */
  readonly typesFrom?: (() => ElfBinary | undefined) | undefined;
  /** The name index of debugging information, from where it is kept; made anew when absent. */
  readonly nameIndexes?: NameIndexes | undefined;
  /** Told, file and note, of tables of names in debugging information. */
  readonly onNote?: ((path: string, note: string) => void) | undefined;
}

/** Names that were inferred; shown with a leading `~`. */
export interface InferredNames {
  at(address: VirtualAddress): InferredFunction | undefined;
  /** How many there are of each grade. */
  counts(): Readonly<Record<InferredFunction['grade'], number>>;
  /** Those whose name (without the `~`) satisfies a test, by address. */
  find(test: (name: string) => boolean): Iterable<InferredFunction>;
}

export interface InferredFunction {
  readonly address: VirtualAddress;
  readonly size: number;
  /** Without the `~`. */
  readonly name: string;
  /** How far the name can be trusted, the rule that gave it, and what it was inferred from, a sentence each. */
  readonly grade: 'sure' | 'likely' | 'hint';
  readonly rule: string;
  readonly evidence: readonly string[];
}

/** The same as a symbol: its name has the `~`. */
export type InferredSymbol = FunctionSymbol & Pick<InferredFunction, 'grade' | 'rule' | 'evidence'>;

/** Opens a program file. Fails with E_NOT_ELF, E_TRUNCATED_ELF or E_BAD_ELF. */
export function openBinary(path: string, reader: FileReader, options: BinaryOptions): Result<ElfBinary, MachineError> {
  const elf = ElfFile.open(path, reader);
  return elf.ok ? ok(new ElfBinary(elf.value, options)) : elf;
}

const inferredLayer: LayerReport = { layer: 'inferred', found: false, detail: '', attempts: [] };
const noFunctions: FunctionBounds = { starts: new Uint32Array(0), sizes: new Uint32Array(0) };

class NamedFunction implements FunctionSymbol {
  readonly name: string;
  readonly address: VirtualAddress;
  readonly size: number;
  readonly origin: string;
  readonly #demangle: Demangle;
  #demangled: string | undefined;

  constructor(entry: SymbolEntry, demangle: Demangle) {
    this.name = entry.name;
    this.address = entry.address;
    this.size = entry.size;
    this.origin = entry.origin;
    this.#demangle = demangle;
  }

  get demangled(): string {
    if (this.#demangled === undefined) {
      const names = looksMangled(this.name) ? this.#demangle(this.name, { verbose: false }) : undefined;
      this.#demangled = names?.full ?? '';
    }
    return this.#demangled;
  }
}

/** Of x86-64; arm64's largest. */
const pageSize = 65_536;

export class ElfBinary implements Binary {
  readonly path: string;
  readonly elf: ElfFile;
  readonly layers: Layers;
  readonly #demangle: Demangle;
  /** Of searches; undefined where nothing can be kept. */
  readonly #keptNames: () => KeptNames | undefined;
  readonly #nameIndexes: NameIndexes;
  readonly #onNote: BinaryOptions['onNote'];
  readonly #inflate: Inflate | undefined;
  readonly #typesFrom: (() => ElfBinary | undefined) | undefined;
  readonly #inferred: () => InferredNames | undefined;

  constructor(elf: ElfFile, options: BinaryOptions) {
    this.#inferred = lazy(() => (this.stripped ? options.infer?.(elf) : undefined));
    this.path = elf.path;
    this.elf = elf;
    this.layers = new Layers(elf, options);
    this.#demangle = options.demangle;
    const { tables, demangle } = options;
    this.#keptNames = lazy(() =>
      tables === undefined || this.buildId === ''
        ? undefined
        : new KeptNames(demangle, tables, `${this.buildId}-demangled`),
    );
    this.#onNote = options.onNote;
    this.#nameIndexes = options.nameIndexes ?? { kept: () => undefined, make: makeNameIndex };
    this.#inflate = options.inflate;
    this.#typesFrom = options.typesFrom;
  }

  get stripped(): boolean {
    return this.layers.stripped;
  }

  get positionIndependent(): boolean {
    return this.elf.header.type === ET_DYN;
  }

  get buildId(): string {
    return this.elf.buildId();
  }

  /** Path of the separate debug file that is used, undefined when there is none. */
  get debugPath(): string | undefined {
    return this.layers.debugFile()?.path;
  }

  readonly #unwinding: () => UnwindTable | undefined = lazy(() => {
    const table = buildTable(this.elf, this.#inflate);
    return table.ok ? table.value : undefined;
  });

  /** The canonical frame address at an instruction, as far as it is a register and an offset. */
  readonly #frameAddress = (address: number): Computation | undefined => {
    const offset = this.elf.toFileOffset(virtualAddress(address));
    const table = offset.ok ? this.#unwinding() : undefined;
    if (table === undefined || !offset.ok) return undefined;
    const rule = readRule(table.rules, ruleAt(table.blocks, offset.value));
    if (rule.kind !== RuleKind.register) return undefined;
    return sum({ op: 'register', register: rule.base }, constant(rule.offset));
  };

  readonly types: () => ProgramTypes | undefined = lazy(() => {
    const own = this.ownTypes();
    const other = own === undefined ? this.#typesFrom?.() : undefined;
    const types = other === undefined || other === this ? undefined : other.ownTypes();
    return other === undefined || types === undefined ? own : new OtherTypes(other, types);
  });

  /** From the file's own debugging information, or its debug file's. */
  readonly ownTypes: () => DwarfTypes | undefined = lazy(() => {
    const sections = this.layers.debugSections();
    if (sections === undefined) return undefined;
    const convention = this.elf.header.machine === EM_AARCH64 ? conventions.arm64 : conventions.x86_64;
    const threadLocals = lazy(() => (this.elf.header.machine === EM_X86_64 ? readThreadLocals(this.elf) : undefined));
    return new DwarfTypes(sections, {
      convention,
      threadLocals,
      frameAddress: this.#frameAddress,
      indexes: this.#nameIndexes,
      onNote: (note) => this.#onNote?.(sections.elf.path, note),
    });
  });

  readonly #functions: () => readonly FunctionTable[] = lazy(() => this.layers.functions());
  readonly #objects: () => readonly SymbolTable[] = lazy(() => this.layers.tables('object'));

  /** How many functions the largest of the tables has: mostly the others' are among them. */
  get functionCount(): number {
    return this.#functions().reduce((most, table) => Math.max(most, table.count), 0);
  }

  find(name: string): readonly FunctionSymbol[] {
    if (name === '') return [];
    const found = new Found(this.#demangle);
    const exact = textPattern(name);
    for (const table of this.#functions()) for (const entry of table.named(exact)) found.add(entry);
    if (looksMangled(name)) return found.inOrder();

    const isWanted = (form: string): boolean => form === name;
    const [, scope, last] = /(?:^|(\w+)::)([A-Za-z]\w*)$/.exec(name) ?? [];
    const source = `${last?.length}${last}`;
    if (last === name) {
      // A function outside every namespace is mangled as _Z<length><name>, or _ZL for a static one.
      const start = new RegExp(`^_+ZL?${source}`);
      this.#collect(found, [source], (mangled) => start.test(mangled), isWanted);
    } else if (last !== undefined && last !== scope) {
      // The function's own name is spelled out with its length before it, in all manglings.
      this.#collect(found, [source, ...mangledPieces([name])], looksMangled, isWanted);
    } else {
      // Constructors (mangled as C1, C2 …), operators, template instances, names with parameters.
      this.#collect(found, mangledPieces([name]), looksMangled, isWanted);
    }
    // The parts that a compiler split off (`.cold`, `.part.0`) carry the function's name, but are not entered by its callers.
    const all = found.inOrder();
    const whole = all.filter((one) => one.name === name || !/\.[a-z]+[.0-9]*$/.test(one.name));
    return whole.length > 0 ? whole : all.filter((one) => !one.name.includes('.cold'));
  }

  match(glob: string): readonly FunctionSymbol[] {
    const found = new Found(this.#demangle);
    this.#visitMatching(glob, (entry) => found.add(entry));
    return found.inOrder();
  }

  names(glob: string): Iterable<string> {
    if (new Glob(glob).matchesAll) return this.#allNames();
    const names = new Set<string>();
    this.#visitMatching(glob, ({ name }) => void names.add(name));
    return names;
  }

  /** A hundred thousand names in a set would take longer than all the reading. */
  #allNames(): readonly string[] {
    const [first, ...others] = this.#functions();
    // Two plain lists, not one of entries: what is kept costs the garbage collector.
    const addresses: number[] = [];
    const texts: string[] = [];
    const names: string[] = [];
    first?.forEach((entry, repeated) => {
      if (others.length > 0) {
        addresses.push(entry.address);
        texts.push(entry.name);
      }
      if (!repeated) names.push(entry.name);
    });
    const more = new Set<string>();
    for (const table of others) {
      let at = 0;
      table.forEach(({ name, address }) => {
        while (at < addresses.length && (addresses[at] as number) < address) at++;
        for (let same = at; addresses[same] === address; same++) if (texts[same] === name) return;
        more.add(name);
      });
    }
    return more.size === 0 ? names : [...new Set([...names, ...more])];
  }

  #visitMatching(glob: string, visit: (entry: SymbolEntry) => void): void {
    const pattern = new Glob(glob);
    if (pattern.matchesAll) {
      for (const table of this.#functions()) table.forEach(visit);
      return;
    }
    const isWanted = (text: string): boolean => pattern.matches(text);
    const { literals } = pattern;
    const found = { add: visit, demangle: this.#demangle };
    this.#collect(found, mangledPieces(literals), mangledTest(glob, literals), isWanted, isWanted);
  }

  /** Functions one of whose names the expression matches somewhere. It may not have the flags g and y. */
  search(regex: RegExp): readonly FunctionSymbol[] {
    const found = new Found(this.#keptNames()?.demangle ?? this.#demangle);
    const isWanted = (text: string): boolean => regex.test(text);
    const literals = regex.ignoreCase ? [[]] : alternatives(regex.source).map(requiredLiterals);
    const pieces = literals.map((texts) => mangledPieces(texts));
    const forms = formsOf(regex.source);
    // One that says nothing of the name needs a look at all names, which then does for the others too.
    if (pieces.some(({ length }) => length === 0)) {
      const test = mangledTest('*', literals.length === 1 ? (literals[0] ?? []) : []);
      this.#collect(found, [], test, isWanted, isWanted, forms);
    } else {
      for (const [index, texts] of literals.entries()) {
        this.#collect(found, pieces[index] ?? [], mangledTest('*', texts), isWanted, isWanted, forms);
      }
    }
    return found.inOrder();
  }

  /**
   * Adds every function that contains all `pieces` and whose name satisfies `byName`, or
   * one of whose demangled forms satisfies `byForm` (asked only where `worthDemangling`).
   */
  #collect(
    found: Pick<Found, 'add' | 'demangle'>,
    pieces: readonly string[],
    worthDemangling: (name: string) => boolean,
    byForm: (form: string) => boolean,
    byName: (name: string) => boolean = () => false,
    forms?: Forms,
  ): void {
    const visit = (entry: SymbolEntry): void => {
      const { name } = entry;
      if (!pieces.every((piece) => name.includes(piece))) return;
      if (byName(name) || (worthDemangling(name) && anyForm(name, found.demangle, byForm, forms))) found.add(entry);
    };
    const [first, ...others] = pieces.map(textPattern);
    for (const table of this.#functions()) {
      if (first === undefined) table.forEach(visit);
      else table.forEachWith([first, ...others], visit);
    }
  }

  at(address: VirtualAddress): FunctionSymbol | undefined {
    let best: SymbolEntry | undefined;
    for (const table of this.#functions()) {
      const one = table.best(address);
      if (one === undefined) continue;
      // A symbol that says how far it goes is believed before one that does not; then the nearer start.
      const order = best === undefined ? 1 : Number(one.size > 0) - Number(best.size > 0) || one.address - best.address;
      if (order > 0) best = one;
      else if (order === 0) best = preferredAlias([best as SymbolEntry, one]);
    }
    if (best === undefined) return undefined;
    best.named ??= new NamedFunction(best, this.#demangle);
    return best.named;
  }

  /** What each layer of names has, in order; inferred names come last, where nothing else is. */
  explain(): LayerReport[] {
    const reports = this.layers.explain();
    if (!this.stripped) return [...reports, { ...inferredLayer, detail: 'not needed: a layer above has symbols' }];
    const counts = this.#inferred()?.counts();
    if (counts === undefined) return [...reports, { ...inferredLayer, detail: 'not from this kind of file' }];
    const { sure, likely, hint } = counts;
    const detail = `${sure} functions sure, ${likely} likely, hints for ${hint}`;
    return [...reports, { ...inferredLayer, found: sure + likely + hint > 0, detail }];
  }

  /** The inferred name of the function that covers an address, in a stripped program. */
  inferredAt(address: VirtualAddress): InferredFunction | undefined {
    return this.#inferred()?.at(address);
  }

  inferred(pattern: string): readonly FunctionSymbol[] {
    const source = pattern
      .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
      .replace(/\*/g, '[^]*')
      .replace(/\?/g, '[^]');
    return this.searchInferred(new RegExp(`^${source}$`));
  }

  /** Inferred names that the expression matches somewhere, with their `~`. */
  searchInferred(wanted: RegExp): readonly InferredSymbol[] {
    const found: InferredSymbol[] = [];
    // Only what looks at a text's edges can tell the name from the same with a `~` before it.
    const edges = /[\^\\(]/.test(wanted.source);
    const test = (name: string): boolean => wanted.test(`~${name}`) || (edges && wanted.test(name));
    for (const one of this.#inferred()?.find(test) ?? []) {
      const { address, size, grade, rule, evidence } = one;
      found.push({ name: `~${one.name}`, demangled: '', address, size, grade, rule, evidence });
    }
    return found;
  }

  /** Where in the source an instruction comes from, inlined functions included; undefined where nothing tells. */
  source(address: VirtualAddress): SourcePlace | undefined {
    const place = this.layers.lines()?.at(address);
    if (place !== undefined) return place;
    const line = this.layers.go()?.at(address);
    return line === undefined ? undefined : { frames: [{ ...line, column: 0, inlined: false }] };
  }

  sourcePlaces(file: string, line: number, column: number | undefined): readonly VirtualAddress[] {
    const index = this.layers.lines();
    const first = new Map<string, VirtualAddress>();
    for (const found of index?.addressesOf(isSource(file), line, column) ?? []) {
      const address = virtualAddress(found);
      const [inner, ...callers] = index?.at(address)?.frames ?? [];
      const copy = [
        this.at(address)?.address,
        inner?.function,
        ...callers.map((one) => `${one.file}:${one.line}:${one.column}`),
      ];
      const key = copy.join(' ');
      if (!first.has(key)) first.set(key, address);
    }
    return [...first.values()];
  }

  sourceLines(file: string): readonly { readonly line: number; readonly column: number }[] | undefined {
    return this.layers.lines()?.linesOf(isSource(file));
  }
  codeAt(address: VirtualAddress): CodePlace {
    return codeAt(this.elf, address, this.at(address), this.#frames);
  }

  /** The function around an address, as far as a symbol or call frame information tells where it ends. */
  boundsAt(address: VirtualAddress): CodeBounds | undefined {
    const known = this.at(address);
    return known !== undefined && known.size > 0 ? known : functionBounds(this.#frames(), address);
  }

  exits(address: VirtualAddress): FunctionExits | undefined {
    const known = this.at(address);
    const bounds = this.boundsAt(address);
    if (bounds === undefined || bounds.address !== address || this.elf.header.machine !== EM_X86_64) return undefined;
    const cold = `${known?.name}.cold`;
    return functionExits(this.elf, {
      bounds,
      partAt: (target) => {
        const part = this.at(target);
        return part !== undefined && (part.name === cold || part.name.startsWith(`${cold}.`)) ? part : undefined;
      },
    });
  }

  get needed(): readonly string[] {
    return this.elf.dynamic()?.needed ?? [];
  }

  get unwindable(): boolean {
    return (
      this.elf.sections.length === 0 ||
      this.movesStacks ||
      this.elf.sections.some(({ name }) => name === '.gcc_except_table') ||
      this.needed.some(isUnwinder)
    );
  }

  get movesStacks(): boolean {
    return this.elf.sections.some(({ name }) => name.endsWith('.gopclntab'));
  }

  get throws(): boolean {
    const cpp = this.needed.some((name) => isUnwinder(name) && !isGccUnwinder(name));
    // What passes a library of C++ may be caught by others; what nothing catches ends the program anyway.
    if (cpp && (this.elf.interpreter === '' || this.elf.dynamic()?.soname !== '')) return true;
    const image = Image.of(this.elf);
    if (!image.ok || !catchesTypes(image.value)) return false;
    // Rust with panic=abort catches too; it takes from libgcc what walks stacks, and not what throws.
    if (cpp || !this.needed.some(isGccUnwinder)) return true;
    return dynamicStrings(image.value).includes('\0_Unwind_RaiseException\0');
  }

  readonly #frames = lazy(() => {
    const image = Image.of(this.elf);
    return image.ok ? readFunctionBounds(image.value) : noFunctions;
  });

  toFileOffset(address: VirtualAddress, which: 'executable' | 'any' = 'executable'): Result<FileOffset, MachineError> {
    return this.elf.toFileOffset(address, which);
  }

  addressAt(offset: FileOffset): VirtualAddress | undefined {
    for (const segment of this.elf.segments) {
      if (segment.type !== PT_LOAD || (segment.flags & PF_X) === 0) continue;
      // A mapping starts at a page, which may lie before the segment.
      const before = segment.offset - offset;
      if (before < pageSize && before > -segment.fileSize) return virtualAddress(segment.address - before);
    }
    return undefined;
  }

  readonly usdt: () => readonly UsdtProbe[] = lazy(() => readUsdtNotes(this.elf));

  object(name: string): { readonly address: VirtualAddress; readonly size: number } | undefined {
    const pattern = textPattern(name);
    for (const table of this.#objects()) {
      const best = preferredAlias(table.named(pattern));
      if (best !== undefined) return { address: best.address, size: best.size };
    }
    return undefined;
  }

  /** The variable that covers an address; its name as the file has it. */
  objectAt(address: VirtualAddress): { readonly name: string; readonly address: VirtualAddress } | undefined {
    for (const table of this.#objects()) {
      const best = table.best(address);
      if (best !== undefined && (best.address === address || address < best.address + best.size)) return best;
    }
    return undefined;
  }

  readonly version: () => string | undefined = lazy(() => findVersion(this.elf, this.path));

  near(name: string): readonly string[] {
    return name === '' ? [] : nearNames(this.#functions(), name, this.#demangle);
  }

  /** Closes the file and what its layers opened; keeps the names that searches have met. */
  close(): void {
    this.#keptNames()?.save();
    this.elf.reader.close?.();
    this.layers.close();
  }
}

/** Whether a library is one that throws, or unwinds for those that do. */
export const isUnwinder = (name: string): boolean =>
  /(^|\/)lib(stdc\+\+|c\+\+|c\+\+abi|gcc_s|unwind)(?![a-z])/.test(name);

const isGccUnwinder = (name: string): boolean => /(^|\/)lib(gcc_s|unwind)(?![a-z])/.test(name);

/** DT_STRTAB: the names that a file imports and exports. */
function dynamicStrings(image: Image): string {
  const [table, size] = [image.dynamic(DT_STRTAB), image.dynamic(DT_STRSZ)];
  return table === undefined || size === undefined ? '' : new TextDecoder('latin1').decode(image.bytesAt(table, size));
}

/** Whether a path of debugging information is that of a source file that somebody has named, by the end of its path. */
function isSource(file: string): (path: string) => boolean {
  const wanted = normal(file);
  return (path) => {
    const whole = normal(path);
    return whole === wanted || (!wanted.startsWith('/') && whole.endsWith(`/${wanted}`));
  };
}

/** A path without `.`, `..` and empty parts. */
function normal(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..' && parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else if (part !== '.' && part !== '') parts.push(part);
  }
  return (path.startsWith('/') ? '/' : '') + parts.join('/');
}

/** Puts one in its place among those of the same address by name: mostly there are one or two. */
function insertByName(functions: FunctionSymbol[], one: FunctionSymbol): void {
  let at = functions.length;
  for (; at > 0; at--) {
    const before = functions[at - 1] as FunctionSymbol;
    if (before.address !== one.address || before.name < one.name) break;
    if (before.name === one.name) return;
  }
  if (at === functions.length) functions.push(one);
  else functions.splice(at, 0, one);
}

/** Functions found in several tables, each told once. */
class Found {
  readonly demangle: Demangle;
  readonly #functions: FunctionSymbol[] = [];

  constructor(demangle: Demangle) {
    this.demangle = demangle;
  }

  add(entry: SymbolEntry): void {
    this.#functions.push(new NamedFunction(entry, this.demangle));
  }

  /** By address, then name. */
  inOrder(): FunctionSymbol[] {
    const found = this.#functions;
    // Each table gives its functions by address: where the next one begins, the address falls.
    const starts = [0];
    for (let at = 1; at < found.length; at++) {
      if ((found[at] as FunctionSymbol).address < (found[at - 1] as FunctionSymbol).address) starts.push(at);
    }
    let ordered: FunctionSymbol[];
    if (starts.length === 1) ordered = found;
    else if (starts.length === 2) ordered = merged(found, starts[1] as number);
    else ordered = found.sort((a, b) => a.address - b.address);
    const told: FunctionSymbol[] = [];
    for (const one of ordered) insertByName(told, one);
    return told;
  }
}

/** By address, of a list whose parts before and from `middle` on are so. */
function merged(functions: readonly FunctionSymbol[], middle: number): FunctionSymbol[] {
  const all: FunctionSymbol[] = [];
  let [left, right] = [0, middle];
  while (left < middle && right < functions.length) {
    const [a, b] = [functions[left] as FunctionSymbol, functions[right] as FunctionSymbol];
    if (a.address <= b.address) left++;
    else right++;
    all.push(a.address <= b.address ? a : b);
  }
  for (; left < middle; left++) all.push(functions[left] as FunctionSymbol);
  for (; right < functions.length; right++) all.push(functions[right] as FunctionSymbol);
  return all;
}
