/**
 * npm run conformance: docs/CONFORMANCE.md, each name of the language and the command line
 * (test/checklist.txt) with the tests whose script or command line uses it as what it is.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCases } from '../cases.ts';
import { constructsOf } from './constructs.ts';
import { scan } from './scan.ts';

/** Most tests that are listed of a name. */
const most = 5;

/** How a test knows what is right. */
type Expectation = 'output' | 'matches' | 'assertions' | 'bpftrace 0.17' | 'errors';

interface Use {
  readonly where: string;
  readonly expectation: Expectation;
  readonly constructs: ReadonlySet<string>;
}

interface Section {
  readonly title: string;
  readonly names: { readonly name: string; readonly construct: string }[];
}

/** What the names of a section are, unless a line says. */
const kinds: Readonly<Record<string, string>> = {
  'Command line': 'flag',
  Environment: 'environment',
  Config: 'config',
  Probes: 'probe',
  Syntax: 'syntax',
  'Builtins and functions': 'name',
  printf: 'format',
  'Map values': 'map',
};

export function readChecklist(text: string): Section[] {
  const sections: Section[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('## ')) sections.push({ title: line.slice(3), names: [] });
    else if (line !== '' && !line.startsWith('# ')) {
      const [name = '', construct] = line.split(/\t+/);
      const section = sections.at(-1) as Section;
      section.names.push({ name, construct: construct ?? `${kinds[section.title]}:${name}` });
    }
  }
  return sections;
}

/** Flags as they are written on a command line: `--output=x` is `--output`. */
const flagsOf = (words: readonly string[]): string[] =>
  words.filter((word) => /^-/.test(word)).map((word) => `flag:${word.split('=')[0]}`);

/** The cases of a folder: each a script with its options, and what it must print. */
function caseUses(root: string, folder: string): Use[] {
  const path = join(root, 'test', folder);
  return readdirSync(path)
    .filter((name) => name.endsWith('.txt'))
    .flatMap((file) =>
      readCases(readFileSync(join(path, file), 'utf8')).map((one): Use => {
        const flags = flagsOf(['-e', ...one.options, ...one.arguments]);
        const constructs = new Set([...(constructsOf(one.program, 'mistakes') ?? []), ...flags]);
        const expectation =
          folder === 'differential'
            ? 'bpftrace 0.17'
            : one.output !== undefined
              ? 'output'
              : one.matches.length > 0
                ? 'matches'
                : 'errors';
        return { where: `${folder}/${file}: ${one.name}`, expectation, constructs };
      }),
    );
}

/** Calls whose words are a command line of the tracer, and those whose words are another program's. */
const tracers: readonly string[] = ['insitu', 'Running', 'parseOptions'];
const others: readonly string[] = ['execFileSync', 'execFile', 'spawn', 'spawnSync', 'exec', 'symbols', 'nm', 'gcc'];

/** Whether a literal is an option of the tracer: on its command line, or a long one that is on nobody else's. */
const isOption = (value: string, calls: readonly string[]): boolean =>
  /^-/.test(value) &&
  (calls.some((name) => tracers.includes(name)) ||
    (/^--\w/.test(value) && !calls.some((name) => others.includes(name))));

/** The tests of a file of TypeScript, by their titles. */
function codeUses(root: string, file: string): Use[] {
  const text = readFileSync(join(root, file), 'utf8');
  const { literals, words } = scan(text);
  const byTest = new Map<string, Set<string>>();
  for (const { value, calls, test } of literals) {
    const found = byTest.get(test ?? '') ?? new Set<string>();
    byTest.set(test ?? '', found);
    for (const construct of (/[{]/.test(value) && constructsOf(value)) || []) found.add(construct);
    if (isOption(value, calls)) for (const flag of flagsOf([value])) found.add(flag);
    if (/^(?:__)?BPFTRACE_\w+$/.test(value)) found.add(`environment:${value}`);
  }
  for (const word of words) {
    // Keys of an environment, `BPFTRACE_BTF: path`, are no literals: they count for the file.
    if (!/^(?:__)?BPFTRACE_\w+$/.test(word)) continue;
    const found = byTest.get('') ?? new Set<string>();
    byTest.set('', found.add(`environment:${word}`));
  }
  return [...byTest].map(([title, constructs]) => ({
    where: title === '' ? file : `${file}: ${title.replace(/\s+/g, ' ')}`,
    expectation: 'assertions',
    constructs,
  }));
}

export function readUses(root: string): Use[] {
  const files = ['test', 'src/apps', 'src/kernel/attach'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .map((name) => join(folder, String(name)))
      .filter((name) => name.endsWith('.test.ts') && !/generator|reference|fuzz|conformance/.test(name)),
  );
  return [
    ...caseUses(root, 'cases'),
    ...files.sort().flatMap((file) => codeUses(root, file)),
    ...caseUses(root, 'differential'),
  ];
}

const cell = (text: string): string => text.replaceAll('|', '\\|');

/** The page, and the names that no test covers with an expected value. */
export function makePage(
  root: string,
  head: string,
): { readonly page: string; readonly without: string[]; readonly count: number } {
  const sections = readChecklist(readFileSync(join(root, 'test', 'checklist.txt'), 'utf8'));
  const uses = readUses(root);
  const without: string[] = [];
  let page = head;
  let count = 0;
  for (const { title, names } of sections) {
    page += `\n## ${title}\n\n| name | tests with an expected value | other tests |\n| --- | --- | --- |\n`;
    for (const { name, construct } of names) {
      count++;
      const found = uses.filter(({ constructs }) => constructs.has(construct));
      // What is right for a renamed variable is the error that tells its new name.
      const valued = found.filter(({ expectation }) => expectation !== 'errors' || name.endsWith('(renamed)'));
      if (valued.length === 0) without.push(`${title}: ${name} (${construct})`);
      const listed = valued.slice(0, most).map(({ where, expectation }) => `${cell(where)} (${expectation})`);
      const rest = valued.length > most ? [`and ${valued.length - most} more`] : [];
      const errors = found.length - valued.length;
      page += `| \`${cell(name)}\` | ${[...listed, ...rest].join('; ') || '**none**'} | ${errors > 0 ? `${errors} of errors` : ''} |\n`;
    }
  }
  return { page, without, count };
}

/** With `check` it only says which names lack a test. */
export function run(root: string, check: boolean): number {
  const head = readFileSync(join(root, 'test', 'conformance', 'head.md'), 'utf8');
  const { page, without, count } = makePage(root, head);
  if (!check) writeFileSync(join(root, 'docs', 'CONFORMANCE.md'), page);
  process.stdout.write(`${count} names, ${without.length} without a test that has an expected value\n`);
  for (const name of without) process.stdout.write(`  ${name}\n`);
  return check && without.length > 0 ? 1 : 0;
}
