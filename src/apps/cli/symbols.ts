/**
 * `insitu symbols BIN|PID|kernel [REGEX]`: the functions of a program, of a process or of
 * the kernel, or, without an expression, a first look: what it is, and where its names
 * come from. `--explain` tells of every layer of names, what it has or why it has nothing.
 */
import { MachineError } from '../../base/errors.ts';
import type { ElfBinary } from '../../symbolize/symbols/binary.ts';
import type { LayerReport } from '../../symbolize/symbols/layers.ts';
import { complain } from './failure.ts';
import { describe, overview } from './firstlook.ts';
import { kernelSymbols } from './kernelsymbols.ts';
import { type SymbolsOptions, UsageError } from './options.ts';
import { Output } from './output.ts';
import { findPlaces } from './places.ts';
import { type SymbolRow, writeRows } from './symbolrows.ts';

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
      if (options.explain) explain(output, binary.path, binary.explain(), options);
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
