/** The report and the single calls as text. */
import { bytesText, columns } from '../columns.ts';
import { type Connection, chain, durationText, type Listener, type Report } from './report.ts';
import type { Call, Descriptor } from './table.ts';

/** Connections shown; --json has all of them. */
const mostRows = 40;

/** `title` makes a heading of a word: on a terminal it may be bold. */
export function reportText(report: Report, title: (word: string) => string = (word) => word): string {
  const out: string[] = [];
  const section = (word: string, text: string): void => {
    if (text !== '') out.push(`${title(word)}\n${text}`);
  };
  const nothing = report.listeners.length === 0 && report.connections.length === 0;
  section(
    'FINDINGS',
    report.findings.map((line) => `  ${line}\n`).join('') || (nothing ? '  No sockets were used.\n' : ''),
  );
  const reference = (number: number | undefined): string => (number === undefined ? '' : `[${number}]`);
  const process = (row: { readonly comm: string; readonly pid: number }): string => `${row.comm}[${row.pid}]`;
  const yes = (flag: boolean): string => (flag ? 'yes' : 'no');
  /** A thread that is not the one that leads the process. */
  const thread = ({ pid, tid, thread: name }: Descriptor): string =>
    tid === 0 || tid === pid ? '' : `${name}[${tid}]`;
  const rows = [...report.listeners, ...report.connections];
  /** Columns that most machines have nothing for. */
  const rare: readonly (readonly [heading: string, cell: (row: Listener | Connection) => string])[] = [
    ...(rows.some((row) => thread(row) !== '') ? [['thread', thread] as const] : []),
    ...(rows.some(({ container }) => container !== '')
      ? [['container', (row: Listener | Connection) => row.container] as const]
      : []),
  ];
  const rareHeadings = rare.map(([heading]) => heading);
  const rareCells = (row: Listener | Connection): string[] => rare.map(([, cell]) => cell(row));
  if (report.listeners.length > 0) {
    section(
      'LISTENERS',
      columns(
        [
          'address',
          'proto',
          'process',
          ...rareHeadings,
          '>fd',
          '>backlog',
          'SO_REUSEADDR',
          'SO_REUSEPORT',
          '>accepted',
          '>empty accepts',
          'listen',
          'state',
        ],
        report.listeners.map((row) => [
          row.address,
          row.protocol,
          process(row),
          ...rareCells(row),
          String(row.fd),
          String(row.backlog),
          yes(row.reuseAddress),
          yes(row.reusePort),
          String(row.accepted),
          String(row.emptyAccepts),
          reference(row.listenedBy),
          row.open ? 'open' : 'closed',
        ]),
      ),
    );
  }
  if (report.connections.length > 0) {
    const shown = report.connections.slice(0, mostRows);
    const more = report.connections.length - shown.length;
    section(
      'CONNECTIONS',
      columns(
        [
          'local',
          'peer',
          'proto',
          'process',
          ...rareHeadings,
          '>fd',
          'how',
          'TCP_NODELAY',
          'keep-alive',
          '>received',
          '>sent',
          '>life time',
          'state',
        ],
        shown.map((row) => [
          row.local,
          row.peer,
          row.protocol,
          process(row),
          ...rareCells(row),
          String(row.fd),
          `${row.way === 'connected' && row.result !== 'ok' ? row.result : row.way}${reference(row.madeBy) && ` ${reference(row.madeBy)}`}`,
          `${yes(row.noDelay)}${reference(row.noDelayBy) && ` ${reference(row.noDelayBy)}`}`,
          yes(row.keepAlive),
          bytesText(row.received),
          bytesText(row.sent),
          row.lifetime === undefined ? '' : durationText(row.lifetime),
          row.open ? 'open' : 'closed',
        ]),
      ) + (more > 0 ? `  … and ${more} more (--json has all)\n` : ''),
    );
  }
  section(
    'CODE',
    report.code
      .map(
        ({ number, calls, frames }) =>
          `  [${number}] ${calls.join(', ')}\n${frames.map((frame) => `        ${frame}\n`).join('')}`,
      )
      .join(''),
  );
  section('NOT SEEN', report.unseen.map((line) => `  ${line}\n`).join(''));
  return out.join('\n');
}

/** One call, as strace would show it, and who made it. */
export function callText(call: Call, errorName: (ret: number) => string, clock: string): string {
  const { comm, pid, fd, ret, option, address, backlog } = call;
  const words = [String(call.call === 'accept' || call.call === 'socket' ? '' : fd)];
  if (option !== undefined) words.push(option.level, option.name, option.value);
  if (address !== undefined) words.push(address);
  if (backlog !== undefined) words.push(String(backlog));
  const result = ret < 0 ? `-1 ${errorName(ret)}` : String(ret);
  const maker = chain(call.stack);
  return `${clock} ${comm}[${pid}] ${call.call}(${words.filter((word) => word !== '').join(', ')}) = ${result}${maker === '' ? '' : `  ${maker}`}\n`;
}
