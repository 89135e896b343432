/**
 * `insitu symbols BIN|PID|kernel [REGEX]`: the functions of a program, of a process or of
 * the kernel, or, without an expression, a first look: what it is, and where its names
 * come from. `--explain` tells of every layer of names, what it has or why it has nothing.
 */
import { realpathSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
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
import { type BinaryOptions, type ElfBinary, openBinary } from '../../symbolize/symbols/binary.ts';
import type { LayerReport } from '../../symbolize/symbols/layers.ts';
import { complain } from './failure.ts';
import { describe, overview } from './firstlook.ts';
import { kernelSymbols } from './kernelsymbols.ts';
import { type MadeCode, madeCode } from './madecode.ts';
import { debugFilesOf, type SymbolsOptions, UsageError } from './options.ts';
import { Output } from './output.ts';
import { type SymbolRow, writeRows } from './symbolrows.ts';

/** A file to look at, and what to call it. */
interface Place {
  readonly path: string;
  readonly open: () => ElfBinary;
}

interface Places {
  readonly files: readonly Place[];
  /** Of a process. */
  readonly made: MadeCode | undefined;
}

/** Does what is asked; gives the exit status: 1 when nothing matches. */
export function symbols(what: string, pattern: string | undefined, options: SymbolsOptions): number {
  const regex = pattern === undefined ? undefined : parseRegex(pattern);
  const output = new Output(options.output, 'full');
  const shown = what === 'kernel' ? kernelSymbols(output, regex, options) : symbolsOf(output, what, regex, options);
  output.close();
  if (regex === undefined || shown > 0) return 0;
  complain(`no function of ${what} matches ${pattern}\n`);
  return 1;
}

function symbolsOf(output: Output, what: string, regex: RegExp | undefined, options: SymbolsOptions): number {
  const { files, made } = findPlaces(what, options);
  let shown = 0;
  for (const { path, open } of files) {
    let binary: ElfBinary;
    try {
      binary = open();
    } catch (error) {
      // One file of a process that can't be read says nothing of the others.
      if (made === undefined || !(error instanceof MachineError)) throw error;
      complain(`WARNING: ${path}: ${error.message}\n`);
      continue;
    }
    try {
      const problem = binary.layers.symbolsProblem;
      // One file of symbols belongs to one file of a process; the others need not complain.
      if (problem !== undefined && made === undefined) throw problem;
      if (regex !== undefined) shown += list(output, binary, regex, options, made === undefined ? undefined : path);
      else if (options.format === 'json')
        output.write(`${JSON.stringify({ type: 'binary', data: describe(binary) })}\n`);
      else output.write(overview(binary));
      if (options.explain) explain(output, binary.path, binary.layers.explain(), options);
    } finally {
      binary.close();
    }
  }
  if (made === undefined) return shown;
  const [map, dump] = made.reports;
  if (regex !== undefined) {
    const rows = made.rows(regex);
    writeRows(output, '[jit]', rows, options.format, '[jit]');
    shown += rows.length;
  } else if (options.format === 'text' && (map?.found || dump?.found)) {
    const has = made.reports.filter(({ found }) => found).map(({ layer, detail }) => `${layer}: ${detail}`);
    output.write(`[jit]\n  ${'kind:'.padEnd(16)}code made at run time\n  ${'symbols:'.padEnd(16)}${has.join('; ')}\n`);
  }
  if (options.explain) explain(output, '[jit]', made.reports, options);
  return shown;
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
function findPlaces(what: string, options: SymbolsOptions): Places {
  const binaryOptions: BinaryOptions = {
    demangle: demangleBoth,
    inflate,
    tables: symbolTables,
    infer: (elf: ElfFile) =>
      // The vdso exports all that it has.
      elf.path === '[vdso]'
        ? undefined
        : inferredNames(elf, {
            names: options.names,
            onSlow: (path) => complain(`${path} has no symbols: inferring names (kept for the next run)\n`),
          }),
    debugFiles: hostDebugFiles({
      ...debugFilesOf(options),
      onMessage: (message) => complain(`WARNING: ${message}\n`),
    }),
  };
  if (/^\d+$/.test(what)) return filesOfProcess(Number(what), binaryOptions);
  const path = resolvePath(what, { pid: undefined });
  if (!path.ok) throw path.error;
  const open = (): ElfBinary => {
    // Where it really is: debug files lie below that path.
    const real = realpathSync(path.value);
    const file = HostFile.open(real);
    if (!file.ok) throw file.error;
    const binary = openBinary(real, file.value, binaryOptions);
    if (!binary.ok) throw binary.error;
    return binary.value;
  };
  return { files: [{ path: path.value, open }], made: undefined };
}

function filesOfProcess(pid: number, options: BinaryOptions): Places {
  const maps = processFiles.maps(pid);
  if (maps === undefined || maps === '') {
    throw new MachineError(`there is no process ${pid}`, {
      code: 'ESRCH',
      hints: [`for a file of that name write: insitu symbols ./${pid}`],
    });
  }
  const seen = new Set<string>();
  const mappings = parseMaps(maps);
  const files = mappings.flatMap((mapping): Place[] => {
    const { path, permissions } = mapping;
    if (!permissions.includes('x') || !/^\/|^\[vdso\]$/.test(path) || /\/jit-\d+\.dump$/.test(path)) return [];
    if (seen.has(path)) return [];
    seen.add(path);
    const open = (): ElfBinary => {
      const reader = processFiles.open(pid, mapping);
      if (reader === undefined) throw new MachineError(`it can't be opened`, { code: 'ENOENT' });
      const binary = openBinary(path, reader, options);
      if (!binary.ok) throw binary.error;
      return binary.value;
    };
    return [{ path, open }];
  });
  return { files, made: madeCode(pid, mappings) };
}

/** Writes the functions that match; gives their number. */
function list(
  output: Output,
  binary: ElfBinary,
  regex: RegExp,
  options: SymbolsOptions,
  title: string | undefined,
): number {
  const sections = binary.elf.sections.filter((section) => section.address !== 0 && section.size > 0);
  const rowOf = (
    symbol: ReturnType<ElfBinary['search']>[number],
    inferred: SymbolRow['inferred'],
    origin: string,
  ): SymbolRow => {
    const { address, size } = symbol;
    const offset = binary.toFileOffset(address, 'any');
    // Where something is inlined at the very start, the outermost frame is the function itself.
    const source = binary.source(address)?.frames.at(-1);
    const section = sections.find((one) => address >= one.address && address < one.address + one.size);
    return {
      name: symbol.demangled || symbol.name,
      mangled: symbol.demangled === '' ? '' : symbol.name,
      address,
      offset: offset.ok ? offset.value : undefined,
      size,
      section: section?.name ?? '',
      origin,
      source:
        source === undefined || source.file === ''
          ? undefined
          : { file: source.file, line: source.line, column: source.column },
      inferred,
    };
  };
  // Inferred names come after those that somebody wrote.
  const rows = binary.search(regex).map((symbol) => rowOf(symbol, undefined, symbol.origin ?? ''));
  for (const symbol of binary.searchInferred(regex)) {
    const { grade, rule, evidence } = symbol;
    rows.push(rowOf(symbol, { grade, rule, evidence }, grade));
  }
  writeRows(output, binary.path, rows, options.format, title);
  return rows.length;
}

function explain(output: Output, file: string, reports: readonly LayerReport[], options: SymbolsOptions): void {
  for (const report of reports) {
    if (options.format === 'json') {
      output.write(`${JSON.stringify({ type: 'layer', data: { file, ...report } })}\n`);
      continue;
    }
    output.write(`  ${report.layer.padEnd(16)}${report.found ? 'yes' : 'no '}  ${report.detail}\n`);
    for (const { path, problem } of report.attempts) {
      output.write(`  ${''.padEnd(21)}${path}${problem === undefined ? '' : `: ${problem}`}\n`);
    }
  }
}
