/** What `insitu --help` and `insitu COMMAND --help` print, from the tables of words.ts. */
import {
  type CommandName,
  type CommandWord,
  commands,
  type Example,
  notes,
  type OptionWord,
  options,
} from './words.ts';

/** Where the texts of options begin. */
const optionColumn = 21;

/** Words in lines that are at most `width` characters long, each after `indent` spaces. */
function wrapped(text: string, indent: number, width: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((one) => `${' '.repeat(indent)}${one}\n`).join('');
}

/** `-p, --pid PID[,PID]`. */
export function spelled({ words, value }: OptionWord): string {
  return `${words.join(', ')}${value === undefined ? '' : ` ${value}`}`;
}

function optionText(option: OptionWord, width: number): string {
  const head = `    ${spelled(option)}`;
  const text = wrapped(option.text, optionColumn, width);
  return head.length + 2 <= optionColumn ? head.padEnd(optionColumn) + text.slice(optionColumn) : `${head}\n${text}`;
}

const exampleText = ({ line, text }: Example, width: number): string => `    ${line}\n${wrapped(text, 8, width)}`;

const section = (title: string, text: string): string => `${title}:\n${text}`;

/** `width`: characters in a line, as far as words can be parted. */
export function help(command: CommandName | undefined, width: number): string {
  const one = commands.find(({ name }) => name === command && name !== 'run');
  return one === undefined ? wholeHelp(width) : commandHelp(one, width);
}

function wholeHelp(width: number): string {
  const [script, ...others] = commands as readonly [CommandWord, ...CommandWord[]];
  const usages = others.flatMap(({ usage, summary }) =>
    usage.map((line, at) => [line, at === 0 ? summary : ''] as const),
  );
  const column = Math.max(...usages.map(([line]) => line.length)) + 13;
  return [
    'insitu - sees through a running process, in the bpftrace language\n',
    section('USAGE', script.usage.map((line) => `    insitu ${line}\n`).join('')),
    section(
      'COMMANDS',
      `${usages
        .map(([line, summary]) => `${`    insitu ${line}`.padEnd(column)}${summary}`.trimEnd())
        .join('\n')}\n${wrapped('insitu COMMAND --help tells the options of one', 4, width)}`,
    ),
    section(
      'OPTIONS',
      options
        .filter(({ of }) => of.includes('run'))
        .map((option) => optionText(option, width))
        .join(''),
    ),
    section('PARAMETERS', script.text.map((text) => wrapped(text, 4, width)).join('')),
    ...notes.map(({ title, text }) => section(title, wrapped(text, 4, width))),
    section(
      'EXAMPLES',
      [...script.examples, ...others.flatMap(({ examples }) => examples.slice(0, 1))]
        .map((example) => exampleText(example, width))
        .join(''),
    ),
  ].join('\n');
}

function commandHelp({ name, usage, summary, text, examples }: CommandWord, width: number): string {
  return [
    `insitu ${name} - ${summary}\n`,
    section('USAGE', usage.map((line) => `    insitu ${line}\n`).join('')),
    text.map((one) => wrapped(one, 4, width)).join('\n'),
    section(
      'OPTIONS',
      options
        .filter(({ of }) => of.includes(name))
        .map((option) => optionText(option, width))
        .join(''),
    ),
    section('EXAMPLES', examples.map((example) => exampleText(example, width)).join('')),
  ].join('\n');
}
