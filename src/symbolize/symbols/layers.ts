/**
 * Where the names of a binary come from: layer after layer, each opened when it is first
 * needed, each able to say what it found and where it looked.
 *
 *   1. --symbols FILE, a build with symbols that the user has
 *   2. .symtab of the file itself
 *   3. .dynsym
 *   4. .gnu_debugdata, a small symbol table packed by xz ("MiniDebugInfo" in GDB's manual)
 *   5. the debug file by build-id, 6. the one that .gnu_debuglink names
 *   7. debuginfod servers, asked only where nothing before has a symbol table
 *   8. .gopclntab and 9. DWARF's own functions, where there is no symbol table at all
 */
import type { MachineError } from '../../base/errors.ts';
import { lazy } from '../../base/lazy.ts';
import { bytesReader } from '../../bytes/file.ts';
import { unpackXz } from '../../bytes/xz.ts';
import { LineIndex } from '../../debuginfo/dwarf/index.ts';
import { DwarfSections } from '../../debuginfo/dwarf/sections.ts';
import { SHT_DYNSYM, SHT_NOBITS, SHT_SYMTAB } from '../../debuginfo/elf/constants.ts';
import { ElfFile, type Inflate } from '../../debuginfo/elf/elf.ts';
import type { Section } from '../../debuginfo/elf/header.ts';
import { GoFunctions } from '../../debuginfo/go/pclntab.ts';
import {
  type Attempt,
  type DebugFiles,
  type DebugSearch,
  findByBuildId,
  findByLink,
  findSupplementary,
  openDebugFile,
} from './debugfile.ts';
import { type FunctionTable, ListedFunctions } from './functions.ts';
import type { SymbolKind } from './scan.ts';
import { openSymbolsFile } from './symbolsfile.ts';
import { SymbolTable, type TableCache } from './table.ts';

export interface LayersOptions {
  /** How to find separate debug files; without it there is no search. */
  readonly debugFiles?: DebugFiles | undefined;
  /** Unpacks compressed sections (zlib, zstd). */
  readonly inflate?: Inflate | undefined;
  /** Where indexes of symbol tables are kept; without it they are made anew. */
  readonly tables?: TableCache | undefined;
}

/** What one layer has to say, for `insitu symbols --explain`. */
export interface LayerReport {
  readonly layer: string;
  readonly found: boolean;
  /** What it holds, or why it has nothing. */
  readonly detail: string;
  /** Places outside the file that were looked at. */
  readonly attempts: readonly Attempt[];
}

/** .gnu_debugdata holds a symbol table, no more. */
const mostMiniBytes = 256 << 20;
const nothing: DebugSearch = { file: undefined, attempts: [] };

export class Layers {
  readonly elf: ElfFile;
  readonly #options: LayersOptions;
  readonly #opened: ElfFile[] = [];
  #symbolsProblem: MachineError | undefined;
  #miniProblem = '';
  #serverReason = '';

  constructor(elf: ElfFile, options: LayersOptions) {
    this.elf = elf;
    this.#options = options;
  }

  /** The file of --symbols, where it belongs to this binary. */
  readonly symbolsFile: () => ElfFile | undefined = lazy(() => {
    const { debugFiles } = this.#options;
    if (debugFiles?.symbols === undefined) return undefined;
    const file = openSymbolsFile(this.elf, debugFiles.symbols, debugFiles);
    if (!file.ok) {
      this.#symbolsProblem = file.error;
      return undefined;
    }
    return this.#keep(file.value);
  });

  /** Why the file of --symbols is not used for this binary; undefined when it is, or there is none. */
  get symbolsProblem(): MachineError | undefined {
    this.symbolsFile();
    return this.#symbolsProblem;
  }

  /** The ELF file within .gnu_debugdata. */
  readonly mini: () => ElfFile | undefined = lazy(() => {
    const section = this.elf.section('.gnu_debugdata');
    if (section === undefined || section.type === SHT_NOBITS) {
      this.#miniProblem = 'the file has no such section';
      return undefined;
    }
    const packed = this.elf.contents(section, this.#options.inflate);
    const bytes = packed.ok ? unpackXz(packed.value, mostMiniBytes) : packed;
    const file = bytes.ok ? ElfFile.open(`${this.elf.path}:.gnu_debugdata`, bytesReader(bytes.value)) : bytes;
    if (file.ok) return file.value;
    this.#miniProblem = `it can't be read: ${file.error.message}`;
    return undefined;
  });

  readonly #byBuildId: () => DebugSearch = lazy(() => this.#search(findByBuildId));
  readonly #byLink: () => DebugSearch = lazy(() => this.#search(findByLink));

  #search(find: (elf: ElfFile, files: DebugFiles) => DebugSearch): DebugSearch {
    const { debugFiles } = this.#options;
    const found = debugFiles === undefined ? nothing : find(this.elf, debugFiles);
    if (found.file !== undefined) this.#keep(found.file);
    return found;
  }

  readonly #fromServer: () => DebugSearch = lazy(() => {
    const { debugFiles } = this.#options;
    const buildId = this.elf.buildId();
    const servers = debugFiles?.servers;
    if (debugFiles === undefined || servers === undefined) return nothing;
    if (buildId === '') {
      this.#serverReason = 'the file has no build-id';
      return nothing;
    }
    const fetched = servers.fetch(buildId);
    if (!('path' in fetched)) {
      this.#serverReason = fetched.reason;
      return nothing;
    }
    const found = openDebugFile(fetched.path, debugFiles);
    if (found.file !== undefined) this.#keep(found.file);
    return found;
  });

  #keep(file: ElfFile): ElfFile {
    this.#opened.push(file);
    return file;
  }

  /** The separate debug file, on this machine. */
  readonly localDebugFile: () => ElfFile | undefined = lazy(() => this.#byBuildId().file ?? this.#byLink().file);

  /** The separate debug file that names come from: not looked for where the file has its own .symtab. */
  readonly debugFile: () => ElfFile | undefined = lazy(() => {
    if (symtab(this.elf) !== undefined) return undefined;
    const local = this.localDebugFile();
    if (local !== undefined || this.symbolsFile() !== undefined || this.mini() !== undefined) return local;
    return this.go() === undefined ? this.#fromServer().file : undefined;
  });

  /** True when some layer has a whole symbol table. */
  get #hasTable(): boolean {
    return [this.elf, this.symbolsFile(), this.debugFile(), this.mini()].some(
      (file) => file !== undefined && symtab(file) !== undefined,
    );
  }

  /** True when nothing names the functions that the file does not export. */
  get stripped(): boolean {
    return !this.#hasTable && this.go() === undefined && this.lines() === undefined;
  }

  /** The symbol tables of all layers, those that cost least first. */
  tables(kind: SymbolKind): SymbolTable[] {
    const found: [ElfFile, Section | undefined, string?][] = [];
    found.push([this.elf, symtab(this.elf)]);
    // A debug file's own .dynsym has no contents (SHT_NOBITS).
    found.push([this.elf, this.elf.sections.find((section) => section.type === SHT_DYNSYM)]);
    const others: [ElfFile | undefined, string][] = [
      [this.symbolsFile(), '--symbols'],
      [this.debugFile(), 'debug file'],
      [symtab(this.elf) === undefined ? this.mini() : undefined, '.gnu_debugdata'],
    ];
    for (const [file, origin] of others) if (file !== undefined) found.push([file, symtab(file), origin]);
    const cache = this.#options.tables;
    return found.flatMap(([file, section, origin]) =>
      section === undefined ? [] : [new SymbolTable(file, section, kind, { origin, cache })],
    );
  }

  /** All that knows functions: the symbol tables, or, where there is none, Go's and DWARF's own lists. */
  functions(): FunctionTable[] {
    const tables: FunctionTable[] = this.tables('function');
    if (this.#hasTable) return tables;
    const go = this.go();
    if (go !== undefined) tables.push(new ListedFunctions(go.functions(), '.gopclntab'));
    else {
      const lines = this.lines();
      if (lines !== undefined) tables.push(new ListedFunctions(lines.functions(), 'DWARF'));
    }
    return tables;
  }

  readonly go: () => GoFunctions | undefined = lazy(() => GoFunctions.open(this.elf));

  /** The sections of debugging information, from the first layer that has them; undefined where none has. */
  readonly debugSections: () => DwarfSections | undefined = lazy(() => {
    const { debugFiles, inflate } = this.#options;
    const candidates = [() => this.elf, this.symbolsFile, this.debugFile, this.localDebugFile];
    for (const candidate of candidates) {
      const file = candidate();
      if (file === undefined || !hasDwarf(file)) continue;
      return new DwarfSections(
        file,
        inflate,
        (name, buildId) => {
          const found = debugFiles === undefined ? undefined : findSupplementary(file, debugFiles, name, buildId);
          return found === undefined ? undefined : this.#keep(found);
        },
        (path) => this.#openSplit(path),
      );
    }
    return undefined;
  });

  readonly #splitFiles: Map<string, ElfFile | undefined> = new Map();

  /** A file with the rest of units (.dwo, .dwp); each is opened once. */
  #openSplit(path: string): ElfFile | undefined {
    if (!this.#splitFiles.has(path)) {
      const reader = this.#options.debugFiles?.open(path);
      const file = reader === undefined ? undefined : ElfFile.open(path, reader);
      this.#splitFiles.set(path, file?.ok ? this.#keep(file.value) : undefined);
    }
    return this.#splitFiles.get(path);
  }

  /** Source lines; undefined where no layer has debugging information. */
  readonly lines: () => LineIndex | undefined = lazy(() => {
    const sections = this.debugSections();
    return sections === undefined ? undefined : new LineIndex(sections);
  });

  /** What each layer has, in order. Opens them all, servers included where they would be asked. */
  explain(): LayerReport[] {
    const reports: LayerReport[] = [];
    const report = (layer: string, found: boolean, detail: string, attempts: readonly Attempt[] = []): void => {
      reports.push({ layer, found, detail, attempts });
    };
    const named = this.#options.debugFiles?.symbols;
    if (named !== undefined) {
      const file = this.symbolsFile();
      const problem = this.#symbolsProblem?.message ?? '';
      report('--symbols', file !== undefined, file === undefined ? problem : counted(file), [
        { path: named.path, problem: file === undefined ? 'refused' : undefined },
      ]);
    }
    const own = symtab(this.elf);
    report('.symtab', own !== undefined, own === undefined ? 'the file is stripped of it' : counted(this.elf));
    const dynamic = this.elf.sections.find((section) => section.type === SHT_DYNSYM);
    report(
      '.dynsym',
      dynamic !== undefined,
      dynamic === undefined
        ? 'the file has no such section'
        : functionsIn(new SymbolTable(this.elf, dynamic, 'function').count),
    );
    const mini = this.mini();
    report('.gnu_debugdata', mini !== undefined, mini === undefined ? this.#miniProblem : counted(mini));
    const buildId = this.elf.buildId();
    const { file: byId, attempts: placesById } = this.#byBuildId();
    const noId = buildId === '' ? 'the file has no build-id' : `no file for ${buildId}`;
    report('build-id', byId !== undefined, byId === undefined ? noId : counted(byId), placesById);
    const link = this.elf.debugLink();
    const { file: byLink, attempts: placesByLink } = this.#byLink();
    const noLink = link === undefined ? 'the file has no such section' : `no file ${link.name} that belongs to it`;
    report('.gnu_debuglink', byLink !== undefined, byLink === undefined ? noLink : counted(byLink), placesByLink);
    this.#explainServers(report);
    const go = this.go();
    report(
      '.gopclntab',
      go !== undefined,
      go === undefined ? 'not a Go program' : `${functionsIn(go.count)}, with lines`,
    );
    const lines = this.lines();
    report(
      'DWARF',
      lines !== undefined,
      lines === undefined
        ? 'no debugging information, so no source lines and no inlined functions'
        : `${lines.unitCount} units in ${lines.elf.path}`,
    );
    return reports;
  }

  #explainServers(
    report: (layer: string, found: boolean, detail: string, attempts?: readonly Attempt[]) => void,
  ): void {
    const servers = this.#options.debugFiles?.servers;
    if (servers === undefined) {
      report('debuginfod', false, 'DEBUGINFOD_URLS is not set');
      return;
    }
    // A look at debugFile asks the servers where they are needed.
    const file = this.debugFile();
    const { file: fetched } = this.#asked() ? this.#fromServer() : nothing;
    const reason = this.#asked() ? this.#serverReason : 'not asked: a layer above has symbols';
    report(
      'debuginfod',
      fetched !== undefined && fetched === file,
      fetched === undefined ? reason : counted(fetched),
      fetched === undefined
        ? servers.urls.map((path) => ({ path, problem: reason }))
        : [{ path: fetched.path, problem: undefined }],
    );
  }

  /** Whether the servers are needed at all. */
  #asked(): boolean {
    return (
      symtab(this.elf) === undefined &&
      this.localDebugFile() === undefined &&
      this.symbolsFile() === undefined &&
      this.mini() === undefined &&
      this.go() === undefined
    );
  }

  /** Closes what was opened besides the file itself. */
  close(): void {
    for (const file of this.#opened) file.reader.close?.();
  }
}

function symtab(file: ElfFile): Section | undefined {
  return file.sections.find((section) => section.type === SHT_SYMTAB);
}

function hasDwarf(file: ElfFile): boolean {
  const section = file.section('.debug_info') ?? file.section('.zdebug_info');
  return section !== undefined && section.type !== SHT_NOBITS && section.size > 0;
}

const functionsIn = (count: number): string => `${count} ${count === 1 ? 'function' : 'functions'}`;

function counted(file: ElfFile): string {
  const section = symtab(file);
  if (section === undefined) return 'no symbol table in it';
  return functionsIn(new SymbolTable(file, section, 'function').count);
}
