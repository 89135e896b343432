/**
 * Diagnostics as text, in bpftrace's shape: `script.bt:3:5-9: ERROR: message`, the
 * source line, a line of `~` under the place, `HINT: …` lines. Columns count from 1,
 * the second is the one behind the place. A place over several lines shows these
 * without marks: `script.bt:3-5: ERROR: message`.
 */
import type { Diagnostic } from './diagnostic.ts';
import type { Source, Span } from './source.ts';

export interface RenderOptions {
  /** With ANSI colours: errors red, warnings yellow, hints cyan. */
  readonly color: boolean;
}

/** A tab takes this many columns, so that the marks stay under their text on any terminal. */
const TAB = '    ';
/** Lines with more columns than this are cut around the place. */
const WIDTH = 160;
/** Columns kept before the place when a line is cut. */
const BEFORE = 60;
/** Of a place over more lines than this, the middle is left out. */
const LINES = 8;

const reset = '\x1b[0m';

/** One diagnostic, as lines that each end in a newline. */
export function renderDiagnostic(diagnostic: Diagnostic, source: Source, options: RenderOptions): string {
  const word = diagnostic.severity === 'error' ? 'ERROR' : 'WARNING';
  const paint = (text: string, code: string): string => (options.color ? `\x1b[${code}m${text}${reset}` : text);
  const shade = diagnostic.severity === 'error' ? '31' : '33';
  const lines: string[] = [];
  const { span } = diagnostic;
  const message = printable(diagnostic.message);
  if (span === undefined) lines.push(paint(`${word}: ${message}`, shade));
  else {
    const start = source.position(span.start);
    const last = trimmedEnd(source, span);
    const end = source.position(last);
    if (start.line === end.line) {
      lines.push(paint(`${start.name}:${start.line}:${start.column}-${end.column}: ${word}: ${message}`, shade));
      lines.push(...frame(source.lineAt(span.start), start.column - 1, end.column - 1));
    } else {
      lines.push(paint(`${start.name}:${start.line}-${end.line}: ${word}: ${message}`, shade));
      const touched = source.linesOf({ start: span.start, end: last }).map((line) => cut(printable(line), 0).text);
      if (touched.length > LINES) touched.splice(LINES / 2, touched.length - LINES, '...');
      lines.push(...touched);
    }
  }
  for (const hint of diagnostic.hints) {
    for (const part of hint.split('\n')) lines.push(paint(`HINT: ${printable(part)}`, '36'));
  }
  return `${lines.join('\n')}\n`;
}

/** All of them, in order of their places; those without a place come last. */
export function renderAll(diagnostics: readonly Diagnostic[], source: Source, options: RenderOptions): string {
  const place = (item: Diagnostic): number => item.span?.start ?? Number.MAX_SAFE_INTEGER;
  return [...diagnostics]
    .sort((a, b) => place(a) - place(b))
    .map((item) => renderDiagnostic(item, source, options))
    .join('');
}

/** White space at the end of a place is no part of what is meant. */
function trimmedEnd(source: Source, span: Span): number {
  let end = Math.min(span.end, source.text.length);
  while (end > span.start && /\s/.test(source.text[end - 1] ?? '')) end--;
  return end > span.start ? end : Math.min(span.start, source.text.length);
}

/** The source line and the marks under its columns from `start` to `end` (in UTF-16 units). */
function frame(line: string, start: number, end: number): string[] {
  const before = width(printable(line.slice(0, start)));
  const marked = width(printable(line.slice(start, end)));
  const { text, offset } = cut(printable(line), before);
  const column = before - offset;
  const room = Math.max(1, width(text) - column);
  // Between two characters something is missing: there is nothing to underline.
  const marks = marked === 0 ? '^' : '~'.repeat(Math.min(marked, room));
  return [text, ' '.repeat(column) + marks];
}

/** Cuts a long line around a column; `offset` is what the columns move to the left by. */
function cut(line: string, column: number): { text: string; offset: number } {
  if (line.length <= WIDTH && width(line) <= WIDTH) return { text: line, offset: 0 };
  const characters = [...line];
  let at = 0;
  let first = 0;
  while (first < characters.length && at < column - BEFORE) at += width(characters[first++] as string);
  const lead = first > 0 ? '...' : '';
  let last = first;
  let used = lead.length;
  while (last < characters.length && used < WIDTH - 3) used += width(characters[last++] as string);
  const tail = last < characters.length ? '...' : '';
  return { text: lead + characters.slice(first, last).join('') + tail, offset: at - lead.length };
}

/** Tabs become spaces; control characters, which could command a terminal, become `?`. */
function printable(text: string): string {
  return text.replaceAll('\t', TAB).replace(/[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '?');
}

/** Columns that a text takes on a terminal: 0 for combining marks, 2 for wide characters. */
function width(text: string): number {
  let columns = 0;
  for (const char of text) {
    const code = char.codePointAt(0) as number;
    if (code < 0x300) columns++;
    else if (/\p{Mn}|\p{Me}|\u200b|\u200d|\ufe0f/u.test(char)) continue;
    else if (isWide(code)) columns += 2;
    else columns++;
  }
  return columns;
}

/** East Asian Wide and Fullwidth (Unicode Annex 11), and pictographs, by their blocks. */
function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}
