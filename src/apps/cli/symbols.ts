/**
 * `insitu symbols BIN|PID [REGEX]`: the functions of a program or of a process, or,
 * without an expression, a first look at the file: what it is, and where its names come
 * from. `--explain` tells of every layer of names, what it has or why it has nothing.
 */
import { realpathSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import { lazy } from '../../base/lazy.ts';
import type { VirtualAddress } from '../../base/numbers.ts';
import { EM_AARCH64, EM_X86_64, ET_EXEC, SHF_EXECINSTR } from '../../debuginfo/elf/constants.ts';
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import { parseMaps } from '../../debuginfo/text/maps.ts';
import { symbolTables } from '../../kernel/host/cache.ts';
import { hostDebugFiles } from '../../kernel/host/debugfiles.ts';
import { HostFile } from '../../kernel/host/file.ts';
import { inferredNames } from '../../kernel/host/inferred.ts';
import { inflate } from '../../kernel/host/inflate.ts';
import { resolvePath } from '../../kernel/host/paths.ts';
import { processFiles } from '../../kernel/host/processfiles.ts';
import { demangleBoth } from '../../symbolize/demangle/index.ts';
import { type ElfBinary, type InferredSymbol, openBinary } from '../../symbolize/symbols/binary.ts';
import { framePointers } from '../../symbolize/symbols/prologue.ts';
import type { FunctionSymbol } from '../../target/target.ts';
import { complain } from './failure.ts';
import { debugFilesOf, type SymbolsOptions, UsageError } from './options.ts';
import { Output } from './output.ts';

/** A file to look at, and what to call it. */
interface Place {
  readonly path: string;
  readonly open: () => ElfBinary;
}

/** Does what is asked; gives the exit status: 1 when nothing matches. */
export function symbols(what: string, pattern: string | undefined, options: SymbolsOptions): number {
  const regex = pattern === undefined ? undefined : parseRegex(pattern);
  const places = findPlaces(what, options);
  const output = new Output(options.output, 'full');
  let shown = 0;
  for (const { path, open } of places) {
    const binary = open();
    try {
      const problem = binary.layers.symbolsProblem;
      // One file of symbols belongs to one file of a process; the others need not complain.
      if (problem !== undefined && places.length === 1) throw problem;
      if (regex !== undefined) shown += list(output, binary, regex, options, places.length > 1 ? path : undefined);
      else if (options.format === 'json')
        output.write(`${JSON.stringify({ type: 'binary', data: describe(binary) })}\n`);
      else output.write(overview(binary));
      if (options.explain) explain(output, binary, options);
    } finally {
      binary.close();
    }
  }
  output.close();
  if (regex === undefined || shown > 0) return 0;
  complain(`no function of ${what} matches ${pattern}\n`);
  return 1;
}

function parseRegex(pattern: string): RegExp {
  try {
    return new RegExp(pattern);
  } catch (error) {
    const reason = (error as Error).message.replace(/^Invalid regular expression: /, '');
    throw new UsageError(`not a regular expression: ${reason}`, 'write a backslash before ( ) [ ] * + ? . | $ ^');
  }
}

/** The file, or the files that the process has mapped for execution. */
function findPlaces(what: string, options: SymbolsOptions): Place[] {
  const binaryOptions = {
    demangle: demangleBoth,
    inflate,
    tables: symbolTables,
    infer: (elf: ElfFile) =>
      inferredNames(elf, {
        names: options.names,
        onSlow: (path) => complain(`${path} has no symbols: inferring names (kept for the next run)\n`),
      }),
    debugFiles: hostDebugFiles({
      ...debugFilesOf(options),
      onMessage: (message) => complain(`WARNING: ${message}\n`),
    }),
  };
  if (/^\d+$/.test(what)) {
    const pid = Number(what);
    const maps = processFiles.maps(pid);
    if (maps === undefined || maps === '') {
      throw new MachineError(`there is no process ${pid}`, {
        code: 'ESRCH',
        hints: [`for a file of that name write: insitu symbols ./${what}`],
      });
    }
    const seen = new Set<string>();
    return parseMaps(maps).flatMap((mapping) => {
      const { path, permissions } = mapping;
      if (!permissions.includes('x') || !/^\/|^\[vdso\]$/.test(path) || seen.has(path)) return [];
      seen.add(path);
      const open = (): ElfBinary => {
        const reader = processFiles.open(pid, mapping);
        if (reader === undefined) throw new MachineError(`can't open ${path} of process ${pid}`, { code: 'ENOENT' });
        const binary = openBinary(path, reader, binaryOptions);
        if (!binary.ok) throw binary.error;
        return binary.value;
      };
      return [{ path, open }];
    });
  }
  const path = resolvePath(what, { pid: undefined });
  if (!path.ok) throw path.error;
  return [
    {
      path: path.value,
      open(): ElfBinary {
        // Where it really is: debug files lie below that path.
        const real = realpathSync(path.value);
        const file = HostFile.open(real);
        if (!file.ok) throw file.error;
        const binary = openBinary(real, file.value, binaryOptions);
        if (!binary.ok) throw binary.error;
        return binary.value;
      },
    },
  ];
}

const hex = (value: number): string => `0x${value.toString(16)}`;

/** One function as it is shown. */
interface Row {
  readonly name: string;
  /** '' where the name is not mangled. */
  readonly mangled: string;
  readonly address: VirtualAddress;
  /** undefined where the file has no byte for it. */
  readonly offset: number | undefined;
  readonly size: number;
  readonly section: string;
  readonly source: { readonly file: string; readonly line: number; readonly column: number } | undefined;
}

function rowOf(binary: ElfBinary, symbol: FunctionSymbol, sectionOf: (address: number) => string): Row {
  const offset = binary.toFileOffset(symbol.address, 'any');
  const place = binary.source(symbol.address)?.frames.at(-1);
  // Where something is inlined at the very start, the outermost frame is the function itself.
  const source = place === undefined || place.file === '' ? undefined : place;
  return {
    name: symbol.demangled || symbol.name,
    mangled: symbol.demangled === '' ? '' : symbol.name,
    address: symbol.address,
    offset: offset.ok ? offset.value : undefined,
    size: symbol.size,
    section: sectionOf(symbol.address),
    source: source === undefined ? undefined : { file: source.file, line: source.line, column: source.column },
  };
}

/** Writes the functions that match; gives their number. */
function list(
  output: Output,
  binary: ElfBinary,
  regex: RegExp,
  options: SymbolsOptions,
  title: string | undefined,
): number {
  // Inferred names come after those that somebody wrote.
  const found: (FunctionSymbol | InferredSymbol)[] = [...binary.search(regex), ...binary.searchInferred(regex)];
  const sections = binary.elf.sections.filter((section) => section.address !== 0 && section.size > 0);
  const sectionOf = (address: number): string =>
    sections.find((section) => address >= section.address && address < section.address + section.size)?.name ?? '';
  if (options.format === 'json') {
    for (const symbol of found) {
      const row = rowOf(binary, symbol, sectionOf);
      const data = {
        file: binary.path,
        name: row.name,
        mangled: row.mangled === '' ? row.name : row.mangled,
        address: hex(row.address),
        ...(row.offset === undefined ? {} : { offset: hex(row.offset) }),
        size: row.size,
        section: row.section,
        ...(row.source === undefined ? {} : { source: row.source }),
        ...('rule' in symbol ? { grade: symbol.grade, rule: symbol.rule, evidence: symbol.evidence } : {}),
      };
      output.write(`${JSON.stringify({ type: 'symbol', data })}\n`);
    }
    return found.length;
  }
  if (found.length === 0) return 0;
  if (title !== undefined) output.write(`${title}:\n`);
  const widest = found.reduce((most, { address }) => Math.max(most, address), 0);
  const width = Math.max(7, hex(widest).length);
  output.write(`${'ADDRESS'.padEnd(width)}  ${'OFFSET'.padEnd(width)}  ${'SIZE'.padStart(7)}  SECTION   NAME\n`);
  for (const symbol of found) {
    const row = rowOf(binary, symbol, sectionOf);
    const offset = row.offset === undefined ? '-' : hex(row.offset);
    const mangled = row.mangled === '' ? '' : `  [${row.mangled}]`;
    const source = row.source === undefined ? '' : `  ${row.source.file}:${row.source.line}`;
    output.write(
      `${hex(row.address).padEnd(width)}  ${offset.padEnd(width)}  ${String(row.size).padStart(7)}  ` +
        `${row.section.padEnd(8)}  ${row.name}${mangled}${source}\n`,
    );
  }
  return found.length;
}

/** What a file is, at a first look. */
interface Description {
  readonly file: string;
  readonly kind: string;
  readonly machine: string;
  readonly buildId: string;
  readonly stripped: boolean;
  readonly functions: number;
  readonly version: string | undefined;
  readonly compilers: readonly string[];
  readonly framePointers: { readonly sampled: number; readonly kept: number };
  readonly debugFile: string | undefined;
}

const machines: Readonly<Record<number, string>> = { [EM_X86_64]: 'x86-64', [EM_AARCH64]: 'arm64' };

function describe(binary: ElfBinary): Description {
  const { elf, layers } = binary;
  const named = [elf, layers.symbolsFile(), layers.debugFile(), layers.mini()].filter((file) => file !== undefined);
  const executable = elf.interpreter !== '' || elf.header.type === ET_EXEC;
  const library = elf.dynamic()?.soname !== undefined && elf.dynamic()?.soname !== '';
  const fixed = binary.positionIndependent ? 'position-independent' : 'at a fixed address';
  return {
    file: binary.path,
    kind: executable && !library ? `executable, ${fixed}` : 'shared library',
    machine: `${elf.header.class}-bit ${machines[elf.header.machine] ?? `machine ${elf.header.machine}`}`,
    buildId: binary.buildId,
    stripped: elf.sections.every((section) => section.name !== '.symtab'),
    functions: binary.functionCount,
    version: binary.version(),
    compilers: compilers(binary),
    framePointers: framePointers(elf, named, layers.go()?.functions()),
    debugFile: layers.symbolsFile()?.path ?? binary.debugPath ?? layers.localDebugFile()?.path,
  };
}

/** The texts of .comment, which compilers and linkers leave, else what DWARF or Go's table tell. */
function compilers(binary: ElfBinary): readonly string[] {
  const section = binary.elf.section('.comment');
  const contents = section === undefined ? undefined : binary.elf.contents(section, inflate);
  const found = new Set<string>();
  if (contents?.ok) {
    const text = new TextDecoder('latin1').decode(contents.value.subarray(0, 1 << 16));
    for (const one of text.split('\0')) if (/^[\x20-\x7e]+$/.test(one)) found.add(one);
  }
  if (binary.layers.go() !== undefined) found.add(`Go (function table of ${binary.layers.go()?.format})`);
  if (found.size === 0) for (const producer of binary.layers.lines()?.producers() ?? []) found.add(producer);
  return [...found];
}

function overview(binary: ElfBinary): string {
  const one = describe(binary);
  const { sampled, kept } = one.framePointers;
  const share = sampled === 0 ? 0 : kept / sampled;
  const frames =
    sampled === 0
      ? 'unknown: no function to look at'
      : share >= 0.8
        ? `kept (${kept} of ${sampled} functions looked at)`
        : share <= 0.2
          ? `omitted (${kept} of ${sampled} functions looked at keep one): stacks by frame pointers will be short`
          : `in part (${kept} of ${sampled} functions looked at): stacks may miss frames`;
  const code = binary.elf.sections.some((section) => (section.flags & SHF_EXECINSTR) !== 0);
  const names = one.stripped
    ? `stripped of .symtab; ${one.functions} functions have names`
    : `not stripped; ${one.functions} functions have names`;
  const attempts = lazy(() => binary.layers.explain().flatMap((report) => report.attempts));
  const lines: [string, string][] = [
    ['kind', `${one.kind}, ${one.machine}${code ? '' : ', without code'}`],
    ['build-id', one.buildId === '' ? 'none' : one.buildId],
    ['version', one.version ?? 'it tells none'],
    ['compiler', one.compilers.length === 0 ? 'not told' : one.compilers.join('; ')],
    ['frame pointers', frames],
    ['symbols', names],
    ['debug file', one.debugFile ?? 'none'],
  ];
  const rows = lines.map(([key, value]) => `  ${`${key}:`.padEnd(16)}${value}\n`);
  if (one.debugFile === undefined) {
    for (const { path, problem } of attempts()) rows.push(`  ${''.padEnd(16)}  ${path}: ${problem ?? 'found'}\n`);
  }
  return `${one.file}\n${rows.join('')}`;
}

function explain(output: Output, binary: ElfBinary, options: SymbolsOptions): void {
  for (const report of binary.layers.explain()) {
    if (options.format === 'json') {
      output.write(`${JSON.stringify({ type: 'layer', data: { file: binary.path, ...report } })}\n`);
      continue;
    }
    output.write(`  ${report.layer.padEnd(16)}${report.found ? 'yes' : 'no '}  ${report.detail}\n`);
    for (const { path, problem } of report.attempts) {
      output.write(`  ${''.padEnd(21)}${path}${problem === undefined ? '' : `: ${problem}`}\n`);
    }
  }
}
