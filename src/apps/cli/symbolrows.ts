/** Functions as `insitu symbols` shows them: a table, or one JSON object a line. */
import type { Output } from './output.ts';

export interface SymbolRow {
  /** Demangled; inferred ones with their `~`. */
  readonly name: string;
  /** '' where the name is not mangled. */
  readonly mangled: string;
  readonly address: number | bigint;
  /** undefined where no file has a byte for it. */
  readonly offset: number | undefined;
  /** undefined where nothing tells. */
  readonly size: number | undefined;
  readonly section: string;
  /** Which layer tells the name, of an inferred one its grade. */
  readonly origin: string;
  readonly source: { readonly file: string; readonly line: number; readonly column: number } | undefined;
  /** What an inferred name was inferred from. */
  readonly inferred:
    | { readonly grade: string; readonly rule: string; readonly evidence: readonly string[] }
    | undefined;
}

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

/** Writes the functions of one file or of what stands for it; `title` stands above a table. */
export function writeRows(
  output: Output,
  file: string,
  rows: readonly SymbolRow[],
  format: 'text' | 'json',
  title: string | undefined,
): void {
  if (format === 'json') {
    for (const row of rows) output.write(`${JSON.stringify({ type: 'symbol', data: dataOf(file, row) })}\n`);
    return;
  }
  if (rows.length === 0) return;
  if (title !== undefined) output.write(`${title}:\n`);
  const widths = { address: 7, section: 7, origin: 4 };
  for (const { address, section, origin } of rows) {
    widths.address = Math.max(widths.address, hex(address).length);
    widths.section = Math.max(widths.section, section.length);
    widths.origin = Math.max(widths.origin, origin.length);
  }
  const line = (address: string, offset: string, size: string, section: string, origin: string, name: string): string =>
    `${address.padEnd(widths.address)}  ${offset.padEnd(widths.address)}  ${size.padStart(7)}  ` +
    `${section.padEnd(widths.section)}  ${origin.padEnd(widths.origin)}  ${name}\n`;
  output.write(line('ADDRESS', 'OFFSET', 'SIZE', 'SECTION', 'FROM', 'NAME'));
  for (const row of rows) {
    const mangled = row.mangled === '' ? '' : `  [${row.mangled}]`;
    const source = row.source === undefined ? '' : `  ${row.source.file}:${row.source.line}`;
    const evidence = row.inferred === undefined ? '' : `  (${row.inferred.evidence.join('; ')})`;
    output.write(
      line(
        hex(row.address),
        row.offset === undefined ? '-' : hex(row.offset),
        row.size === undefined ? '-' : String(row.size),
        row.section,
        row.origin,
        `${row.name}${mangled}${source}${evidence}`,
      ),
    );
  }
}

function dataOf(file: string, row: SymbolRow): Record<string, unknown> {
  return {
    file,
    name: row.name,
    mangled: row.mangled === '' ? row.name : row.mangled,
    address: hex(row.address),
    ...(row.offset === undefined ? {} : { offset: hex(row.offset) }),
    ...(row.size === undefined ? {} : { size: row.size }),
    section: row.section,
    from: row.origin,
    ...(row.source === undefined ? {} : { source: row.source }),
    ...(row.inferred ?? {}),
  };
}
