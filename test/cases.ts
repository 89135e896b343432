/**
 * End-to-end cases as text. A case begins with `== its name`; then lines of `key: value`,
 * where a value that is empty goes on in the following lines that begin with two spaces:
 *
 *     program:    the script
 *     arguments:  positional parameters, split at spaces
 *     options:    options of the tracer, split at spaces
 *     trigger:    a shell command that is run once the probes are attached; when it has
 *                 ended, the tracer gets SIGINT
 *     needs:      what of the machine (see insitu.ts)
 *     status:     the exit status, 0 when not given
 *     output:     standard output, whole, without empty lines at its start and end
 *     matches:    a regular expression that standard output holds (may stand repeatedly)
 *     errors:     a regular expression that standard error holds
 *     differs:    of test/differential: why another tracer prints something else
 *
 * Lines that begin with # are comments.
 */
import type { Need } from './insitu.ts';

export interface Case {
  readonly name: string;
  readonly line: number;
  readonly program: string;
  readonly arguments: readonly string[];
  readonly options: readonly string[];
  readonly trigger: string | undefined;
  readonly needs: readonly Need[];
  readonly status: number;
  readonly output: string | undefined;
  readonly matches: readonly RegExp[];
  readonly errors: readonly RegExp[];
  readonly differs: string | undefined;
}

const keys = [
  'program',
  'arguments',
  'options',
  'trigger',
  'needs',
  'status',
  'output',
  'matches',
  'errors',
  'differs',
];

/** Reads the cases of one file; throws with the line where the text is wrong. */
export function readCases(text: string): Case[] {
  const cases: Case[] = [];
  let values = new Map<string, string[]>();
  let name = '';
  let started = 0;
  const finish = (): void => {
    if (name !== '') cases.push(makeCase(name, started, values));
    values = new Map();
  };
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] as string;
    if (line.startsWith('== ')) {
      finish();
      name = line.slice(3);
      started = at + 1;
      continue;
    }
    if (line.startsWith('#') || line === '') continue;
    const [, key = '', value = ''] = /^(\w+):\s*(.*)$/.exec(line) ?? [];
    if (!keys.includes(key) || name === '') throw new Error(`line ${at + 1} is no part of a case: ${line}`);
    const block: string[] = [];
    if (value === '') {
      while (/^( {2}|$)/.test(lines[at + 1] ?? 'end')) block.push((lines[++at] as string).slice(2));
    }
    const list = values.get(key);
    const whole = value === '' ? block.join('\n').trimEnd() : value;
    if (list === undefined) values.set(key, [whole]);
    else list.push(whole);
  }
  finish();
  return cases;
}

function makeCase(name: string, line: number, values: ReadonlyMap<string, readonly string[]>): Case {
  const one = (key: string): string | undefined => values.get(key)?.[0];
  const list = (key: string): readonly string[] => (one(key) ?? '').split(/\s+/).filter((word) => word !== '');
  const program = one('program');
  if (program === undefined) throw new Error(`case '${name}' has no program`);
  return {
    name,
    line,
    program,
    arguments: list('arguments'),
    options: list('options'),
    trigger: one('trigger'),
    needs: list('needs') as readonly Need[],
    status: Number(one('status') ?? 0),
    output: one('output'),
    matches: (values.get('matches') ?? []).map((text) => new RegExp(text, 'm')),
    differs: one('differs'),
    errors: (values.get('errors') ?? []).map((text) => new RegExp(text, 'm')),
  };
}
