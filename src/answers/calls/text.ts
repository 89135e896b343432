/** Call trees and the summary as text for a screen. */
import { durationText } from '../sockets/report.ts';
import type { CallsReport, FunctionRow, ShownCall } from './report.ts';

export interface Style {
  readonly color: boolean;
  /** Columns of the screen; undefined: lines are left whole. */
  readonly width: number | undefined;
  /** Rows that the summary may take; undefined: mostRows. */
  readonly rows?: number | undefined;
  /** Each function's times as a table of their own (-v). */
  readonly histograms?: boolean;
}

/** Alike calls one after the other of which the first ones are shown. */
const mostAlike = 3;
const mostRows = 40;
const mostName = 60;

const paint = (style: Style, code: string, text: string): string =>
  style.color && text !== '' ? `\x1b[${code}m${text}\x1b[0m` : text;
const [bold, dim, red, yellow] = ['1', '2', '31', '33'];

/** A line cut to the screen; escape sequences take no room. */
function fitted(line: string, { width }: Style): string {
  if (width === undefined) return line;
  let shown = 0;
  for (let at = 0; at < line.length; at++) {
    if (line[at] === '\x1b') {
      at = line.indexOf('m', at);
      continue;
    }
    if (++shown === width && /[^\x1b]/.test(line.slice(at + 1).replace(/\x1b\[\d*m/g, ''))) {
      return `${line.slice(0, at)}…${line.includes('\x1b') ? '\x1b[0m' : ''}`;
    }
  }
  return line;
}

const timeColor = (nanoseconds: number): string => (nanoseconds >= 1e8 ? red : nanoseconds >= 1e6 ? yellow : '');

function timeColumn(nanoseconds: number, style: Style, sign = ''): string {
  const text = `${sign}${durationText(nanoseconds)}`.padStart(10);
  const color = timeColor(nanoseconds);
  return color === '' ? text : paint(style, color, text);
}

const ends: Readonly<Record<ShownCall['end'], string>> = {
  returned: '',
  jumped: 'ended by a tail call',
  gone: 'unwound: exception or longjmp',
  open: 'has not returned',
  'thread ended': 'did not return: the thread ended',
  'probes removed': 'its probes were removed',
};

function callLine(call: ShownCall, prefix: string, style: Style): string {
  const name = style.width === undefined ? call.function : shortened(call.function, mostName);
  const result = call.result === undefined ? '' : ` = ${call.result.name === 'rax' ? 'rax ' : ''}${call.result.text}`;
  const end = ends[call.end];
  const notes = [...(call.tailCalled ? ['tail-called'] : []), ...(end === '' ? [] : [end])].join('; ');
  let list = call.arguments.map((one) => (one.name === '' ? one.text : `${one.name}=${one.text}`)).join(', ');
  // On a narrow screen the arguments give way, not the result.
  const others = 12 + prefix.length + name.length + 2 + result.length + (notes === '' ? 0 : 2 + notes.length);
  const room = style.width === undefined ? list.length : Math.max(1, style.width - others);
  if (list.length > room) list = `${list.slice(0, room - 1)}…`;
  // What was found unwound was seen to be gone only at the next call.
  const sign = call.end === 'gone' ? '<' : call.end === 'open' || call.end === 'thread ended' ? '>' : '';
  const painted = call.end === 'gone' ? paint(style, red, notes) : paint(style, dim, notes);
  return `${timeColumn(call.duration, style, sign)}  ${paint(style, dim, prefix)}${paint(style, bold, name)}(${list})${result}${notes === '' ? '' : `  ${painted}`}`;
}

/** The lines of a call and what it called; `most` of them, and how many more there are. */
export function callText(call: ShownCall, style: Style, most = 60): string {
  const lines: string[] = [];
  addLines(call, '', '', lines, style);
  const shown = lines.slice(0, most).map((line) => fitted(line, style));
  const left = lines.length - shown.length;
  if (left > 0) shown.push(`${''.padStart(10)}  ${paint(style, dim, `… ${left} more lines (--json has all)`)}`);
  return `${shown.join('\n')}\n`;
}

function addLines(call: ShownCall, first: string, others: string, lines: string[], style: Style): void {
  lines.push(callLine(call, first, style));
  const rows: { line: (prefix: string) => void; deeper: (first: string, others: string) => void }[] = [];
  const blank = ''.padStart(10);
  const note = (text: string, nanoseconds?: number): void => {
    const time = nanoseconds === undefined ? blank : timeColumn(nanoseconds, style);
    const add = (prefix: string): void => {
      lines.push(`${time}  ${paint(style, dim, `${prefix}${text}`)}`);
    };
    rows.push({ line: add, deeper: (start) => add(start) });
  };
  for (let at = 0; at < call.calls.length; ) {
    const child = call.calls[at] as ShownCall;
    let to = at + 1;
    while (call.calls[to]?.function === child.function) to++;
    const alike = to - at > mostAlike + 1 ? mostAlike : to - at;
    for (const one of call.calls.slice(at, at + alike)) {
      rows.push({ line: () => {}, deeper: (start, rest) => addLines(one, start, rest, lines, style) });
    }
    const folded = call.calls.slice(at + alike, to);
    if (folded.length > 0) {
      note(
        `… ${folded.length} more calls of ${child.function}`,
        folded.reduce((sum, { duration }) => sum + duration, 0),
      );
    }
    at = to;
  }
  if (call.hidden > 0)
    note(`… ${call.hidden.toLocaleString('en-US')} ${call.hidden === 1 ? 'call' : 'calls'} not shown`);
  for (const [index, row] of rows.entries()) {
    const last = index === rows.length - 1;
    row.deeper(`${others}${last ? '└─ ' : '├─ '}`, `${others}${last ? '   ' : '│  '}`);
  }
}

/** Whose call it is: `12:34:56.123456 server[1234], thread 1240`. */
export function callHead(call: ShownCall, clock: string, style: Style): string {
  const thread = call.tid === call.pid ? '' : `, thread ${call.tid}`;
  return `${paint(style, dim, `${clock} ${call.comm}[${call.pid}]${thread}`)}\n`;
}

const blocks = '▁▂▃▄▅▆▇█';

/** Counts by the power of two that times begin with. */
function byPower(histogram: FunctionRow['histogram']): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { from, count } of histogram) {
    const power = Math.floor(Math.log2(Math.max(1, from)));
    counts.set(power, (counts.get(power) ?? 0) + count);
  }
  return counts;
}

/** Counts by powers of two, from the first that there are to the last, with the ends: `1µs ▂█▃ 8µs`. */
export function sparkline({ histogram }: Pick<FunctionRow, 'histogram'>): string {
  if (histogram.length === 0) return '';
  const counts = byPower(histogram);
  const low = Math.min(...counts.keys());
  const high = Math.max(...counts.keys());
  const most = Math.max(...counts.values());
  let bars = '';
  for (let power = low; power <= high; power++) {
    const count = counts.get(power) ?? 0;
    bars += count === 0 ? ' ' : blocks[Math.min(7, Math.floor((count / most) * 7.999))];
  }
  const short = (power: number): string => durationText(2 ** power).replace(/\.0| /g, '');
  return `${short(low)} ${bars} ${short(high + 1)}`;
}

/** A name of at most so many characters: first without template arguments; then its end, which tells more than its namespaces. */
export function shortened(name: string, most: number): string {
  if (name.length <= most) return name;
  let depth = 0;
  let out = '';
  for (const [at, char] of [...name].entries()) {
    // `->`, `operator<`, `operator>` open and close nothing.
    const opens = char === '<' && !/operator<?$/.test(name.slice(0, at));
    const closes = char === '>' && depth > 0 && name[at - 1] !== '-';
    if (opens && depth++ === 0) out += '<…';
    if (closes) depth--;
    if (depth === 0) out += char;
  }
  const short = depth === 0 ? out : name;
  return short.length <= most ? short : `…${short.slice(1 - most)}`;
}

function summary({ functions, probeCost }: CallsReport, style: Style): string {
  const rows = functions.slice(0, Math.max(1, Math.min(mostRows, style.rows ?? mostRows)));
  const headings = ['calls', 'total', 'self', 'p50', 'p99', 'function', 'times by powers of 2'];
  const time = (value: number | undefined): string => (value === undefined ? '' : durationText(value));
  const cells = rows.map((row) => [
    `${row.removed === undefined ? '' : '≥ '}${row.calls.toLocaleString('en-US')}`,
    row.ended === 0 ? '' : time(row.total),
    row.ended === 0 ? '' : time(row.self),
    time(row.p50),
    time(row.p99),
    shortened(row.name, mostName),
    sparkline(row),
  ]);
  const nameColumn = 5;
  const widths = headings.map((heading, at) =>
    Math.max(heading.length, ...cells.map((row) => (row[at] as string).length)),
  );
  // On a narrow screen the name gives way, not the numbers.
  const others = widths.reduce((sum, width, at) => sum + (at === nameColumn ? 0 : width), 0) + 2 * headings.length;
  const most = Math.max(20, style.width === undefined ? mostName : style.width - others);
  widths[nameColumn] = Math.min(widths[nameColumn] as number, most);
  const cut = (text: string): string => shortened(text, most);
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) =>
        at < nameColumn
          ? cell.padStart(widths[at] as number)
          : (at === nameColumn ? cut(cell) : cell).padEnd(widths[at] as number),
      )
      .join('  ')
      .trimEnd();
  const out = [`  ${paint(style, bold, line(headings))}`];
  for (const [index, row] of cells.entries()) {
    const { unwound, calls, ended, removed } = rows[index] as FunctionRow;
    out.push(fitted(`  ${line(row)}`, style));
    const notes = [
      ...(unwound > 0 && removed === undefined ? [`${unwound.toLocaleString('en-US')} unwound`] : []),
      ...(calls > ended && removed === undefined ? [`${(calls - ended).toLocaleString('en-US')} without an end`] : []),
    ];
    if (notes.length > 0) out.push(paint(style, dim, `  ${''.padStart(widths[0] as number)}  ${notes.join(', ')}`));
  }
  const more = functions.length - rows.length;
  if (more > 0) out.push(`  … and ${more} more functions (--json has all)`);
  const cost = `A traced call costs the program about ${durationText(probeCost)} here: the times of its callers have it in them.`;
  out.push(fitted(`  ${paint(style, dim, cost)}`, style));
  return `${out.join('\n')}\n`;
}

/** Columns of the longest bar. */
const barColumns = 40;

/** Times by powers of two, a line each, from the first that there are to the last. */
function histogramText({ name, histogram }: FunctionRow): string {
  const counts = byPower(histogram);
  const powers = [...counts.keys()];
  const most = Math.max(...counts.values());
  const lines: string[] = [`  ${name}\n`];
  for (let power = Math.min(...powers); power <= Math.max(...powers); power++) {
    const count = counts.get(power) ?? 0;
    const bar = '█'.repeat(count === 0 ? 0 : Math.max(1, Math.round((barColumns * count) / most)));
    const range = `${durationText(2 ** power).padStart(8)} to ${durationText(2 ** (power + 1)).padEnd(8)}`;
    lines.push(`  ${range} ${count.toLocaleString('en-US').padStart(10)} ${bar}`.trimEnd(), '\n');
  }
  return lines.join('');
}

/** All of the report; `clock` gives the wall clock of a time. */
export function reportText(
  report: CallsReport,
  style: Style,
  clock: (start: number) => string,
  trees: boolean,
): string {
  const out: string[] = [];
  const section = (title: string, text: string): void => {
    if (text !== '') out.push(`${paint(style, bold, title)}\n${text}`);
  };
  if (trees) {
    section(
      'LONGEST CALLS',
      report.longest.map((call) => callHead(call, clock(call.start), style) + callText(call, style, 40)).join('\n'),
    );
  }
  const called = report.functions.length;
  const seconds = report.duration >= 10 ? report.duration.toFixed(0) : report.duration.toFixed(1);
  const all = report.functions.reduce((sum, { calls }) => sum + calls, 0);
  section(
    `FUNCTIONS  ${all.toLocaleString('en-US')} calls in ${seconds} s; ${called} of ${report.traced} functions were called`,
    called === 0 ? '' : summary(report, style),
  );
  if (called === 0) out.push(`No calls in ${seconds} s of ${report.traced} functions that were watched.\n`);
  if (style.histograms === true) {
    const timed = report.functions.filter(({ histogram }) => histogram.length > 0);
    section('TIMES', timed.map(histogramText).join('\n'));
  }
  section('NOT SEEN', report.unseen.map((line) => `  ${line}\n`).join(''));
  return out.join('\n');
}
