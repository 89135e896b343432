/** The manual page, insitu(1), from the tables of words.ts (man(7) has the macros). */
import { spelled } from './help.ts';
import { commands, notes, options } from './words.ts';

/** Text for troff: no letter of it is an escape, no line begins with a control character. */
const escaped = (text: string): string =>
  text.replace(/\\/g, '\\e').replace(/-/g, '\\-').replace(/'/g, '\\(aq').replace(/^\./, '\\&.');

/** What the page tells that no table has. */
const environment: readonly (readonly [name: string, text: string])[] = [
  ['NO_COLOR', 'when it is set, nothing is coloured'],
  ['BPFTRACE_COLOR', 'auto, always or never: whether errors are coloured'],
  ['DEBUGINFOD_URLS', 'servers that are asked for debug files'],
  ['XDG_CACHE_HOME', 'the folder in which insitu keeps indexes and inferred names, in a folder insitu (~/.cache)'],
];

/** insitu(1). `version`: of the package. */
export function manual(version: string): string {
  const [script, ...others] = commands;
  const lines: string[] = [
    `.\\" Generated from src/apps/cli/words.ts by tools/gen-manual.mjs.`,
    `.TH INSITU 1 "" "insitu ${version}" "User Commands"`,
    '.SH NAME',
    'insitu \\- sees through a running process, in the bpftrace language',
    '.SH SYNOPSIS',
  ];
  for (const line of commands.flatMap(({ usage }) => usage)) lines.push('.B insitu', escaped(line), '.br');
  const paragraphs = (texts: readonly string[]): void => {
    for (const text of texts) lines.push('.PP', escaped(text));
  };
  const listed = (entries: readonly (readonly [head: string, text: string])[]): void => {
    for (const [head, text] of entries) lines.push('.TP', `.B ${escaped(head)}`, escaped(text));
  };
  const ofCommand = (name: string): readonly (readonly [string, string])[] =>
    options
      .filter(({ of }) => (of as readonly string[]).includes(name))
      .map((option) => [spelled(option), option.text]);
  lines.push('.SH DESCRIPTION');
  paragraphs([
    'insitu traces running programs: which system calls they make, which of their functions run, with what arguments, and by way of which code. It runs scripts in the language of bpftrace, and answers common questions by commands of its own. It needs Linux 5.15 or newer and root.',
    ...(script?.text ?? []),
  ]);
  lines.push('.SH OPTIONS');
  listed(ofCommand('run'));
  lines.push('.SH COMMANDS');
  for (const { name, usage, text } of others) {
    lines.push('.SS', ...usage.map((line) => `insitu ${escaped(line)}`).slice(0, 1));
    paragraphs([...usage.slice(1).map((line) => `insitu ${line}`), ...text]);
    const own = options.filter(({ of }) => of.includes(name) && !of.includes('run'));
    if (own.length > 0) listed(own.map((option) => [spelled(option), option.text]));
    const shared = options.filter(({ of }) => of.includes(name) && of.includes('run'));
    paragraphs([`It also takes ${shared.map(({ words }) => words.at(-1)).join(', ')}.`]);
  }
  for (const { title, text } of notes) {
    lines.push(`.SH ${title}`);
    paragraphs([text]);
  }
  lines.push('.SH ENVIRONMENT');
  listed(environment);
  lines.push('.SH EXAMPLES');
  for (const { line, text } of commands.flatMap(({ examples }) => examples))
    lines.push('.PP', `${escaped(text)}:`, '.PP', '.nf', '.RS', escaped(line), '.RE', '.fi');
  lines.push('.SH SEE ALSO', 'bpftrace(8), perf(1), strace(1), gdb(1)');
  return `${lines.join('\n')}\n`;
}
