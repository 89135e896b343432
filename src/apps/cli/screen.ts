/** Text on a terminal: headings, and tables that are shown anew in the same place (console_codes(4)). */
import { isatty } from 'node:tty';
import { useColor } from './failure.ts';
import type { Output } from './output.ts';

/** A heading, bold where standard output is a terminal. */
export function bold(path: string | undefined): (word: string) => string {
  return path === undefined && useColor(1) ? (word) => `\x1b[1m${word}\x1b[0m` : (word) => word;
}

/** True where tables are shown anew in place. */
export function refreshes(path: string | undefined): boolean {
  return path === undefined && isatty(1);
}

/** A terminal that has no size is as large as the smallest. */
const size = (): { readonly rows: number; readonly columns: number } => ({
  rows: process.stdout.rows || 24,
  columns: process.stdout.columns || 80,
});

/** Characters of a line, without those that colour it. */
const shownWidth = (line: string): number => line.replace(/\x1b\[[0-9;]*m/g, '').length;

/**
 * Writes a text over what the terminal shows, line by line, so that nothing flickers; cut
 * to its size, with a word on what is left out.
 */
export function showInPlace(output: Output, text: string): void {
  const { rows, columns } = size();
  const lines = text.replace(/\n$/, '').split('\n');
  const shown = lines.slice(0, lines.length > rows - 1 ? rows - 2 : rows - 1);
  const more = lines.length - shown.length;
  if (more > 0) shown.push(`… ${more} more lines: at the end all are shown`);
  const cut = shown.map((line) => (shownWidth(line) > columns ? `${line.slice(0, columns - 1)}…` : line));
  output.write(`\x1b[H${cut.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`);
  output.rest();
}

/** Empties the terminal: what follows stands at its top. */
export function clear(output: Output): void {
  output.write('\x1b[2J\x1b[H');
}
