/**
 * The command line: words in, a Command out. The options are bpftrace 0.26's (see its
 * manual page); options may stand before or after the script, as with getopt_long.
 * Behind `--` stand the script's own parameters, `--name=value` and positional ones.
 */
import { nearest } from '../../base/near.ts';
import type { Shell } from './completion.ts';
import { type CommandName, commands, type OptionWord, options as optionWords } from './words.ts';

/** Where debug files are looked for, besides the usual places. */
export interface DebugFileWords {
  /** Folders of --debuginfo. */
  readonly debuginfo: readonly string[];
  readonly symbols: string | undefined;
  readonly symbolsForce: boolean;
  /** Another build of the program, for its types (--types). */
  readonly types: string | undefined;
  /** Files of --names. */
  readonly names: readonly string[];
}

/** The same as kernel/host takes it. */
export function debugFilesOf({ debuginfo, symbols, symbolsForce, types, names }: DebugFileWords): {
  readonly folders: readonly string[];
  readonly symbols: string | undefined;
  readonly symbolsForce: boolean;
  readonly types: string | undefined;
  readonly names: readonly string[];
} {
  return { folders: debuginfo, symbols, symbolsForce, types, names };
}

/** Of `insitu symbols`. */
export interface SymbolsOptions extends DebugFileWords {
  readonly output: string | undefined;
  readonly format: 'text' | 'json';
  readonly verbose: boolean;
  /** Tell of each layer of names. */
  readonly explain: boolean;
}

/** Of `insitu object`. */
export interface ObjectOptions extends DebugFileWords {
  readonly output: string | undefined;
  readonly format: 'text' | 'json';
  readonly verbose: boolean;
  readonly depth: number;
  /** Of each object, as far as nothing tells its size. */
  readonly bytes: number;
}

/** Of `insitu types`. */
export interface TypesOptions extends DebugFileWords {
  readonly output: string | undefined;
  readonly verbose: boolean;
}

export interface RunOptions extends DebugFileWords {
  readonly parameters: readonly string[];
  /** `--name=value` behind `--`; true for `--name` alone. */
  readonly named: ReadonlyMap<string, string | true>;
  readonly pids: readonly number[];
  /** Trace what the processes of -p or -c start, too. */
  readonly follow: boolean;
  readonly mode: 'trace' | 'test' | 'bench';
  readonly probeFilter: RegExp | undefined;
  readonly traceableFunctions: string | undefined;
  readonly withoutFeatures: ReadonlySet<Feature>;
  readonly command: string | undefined;
  readonly output: string | undefined;
  readonly format: 'text' | 'json';
  readonly buffering: 'none' | 'line' | 'full';
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly warnings: boolean;
  readonly unsafe: boolean;
  readonly reportReads: boolean;
  readonly dryRun: boolean;
  readonly debug: readonly DebugOutput[];
  readonly includeFolders: readonly string[];
  readonly includes: readonly string[];
  /** A file with printers of library types (--printers). */
  readonly printers: string | undefined;
  readonly unwind: 'auto' | 'fp' | 'cfi' | undefined;
  /** What is made of maps keyed by stacks at the end; undefined for nothing. */
  readonly profile: ProfileOptions | undefined;
}

/** Files to write: undefined, or a path. */
export interface ProfileOptions {
  /** Ends with .svg, .html or .htm. */
  readonly flame: string | undefined;
  /** `-`: standard output. */
  readonly folded: string | undefined;
  readonly pprof: string | undefined;
  readonly speedscope: string | undefined;
  /** The map, with `@`; undefined: each, and of a flame graph the first. */
  readonly map: string | undefined;
}

/** Of `insitu memory`. */
export interface MemoryOptions extends DebugFileWords {
  readonly output: string | undefined;
  readonly format: 'text' | 'json';
  readonly verbose: boolean;
}

/** Of `insitu code`. */
export type CodeOptions = MemoryOptions;

/** Of `insitu doctor`. */
export type DoctorOptions = MemoryOptions;

/** Of `insitu sockets`. */
export interface SocketsOptions extends DebugFileWords {
  readonly pids: readonly number[];
  readonly command: string | undefined;
  readonly output: string | undefined;
  readonly format: 'text' | 'json';
  readonly verbose: boolean;
  /** Each call as it happens. */
  readonly events: boolean;
  /** The tables anew each second. */
  readonly watch: boolean;
}

/** Of `insitu calls`. */
export interface CallsOptions extends DebugFileWords {
  readonly pids: readonly number[];
  readonly command: string | undefined;
  readonly output: string | undefined;
  readonly format: 'text' | 'json';
  readonly verbose: boolean;
  readonly quiet: boolean;
  /** Each outermost call with what is below it, as it ends. */
  readonly events: boolean;
  readonly watch: boolean;
  /** Levels of calls that are shown. */
  readonly depth: number;
  /** Calls a second that are shown one by one. */
  readonly rate: number;
  /** Each so many-th outermost call is shown. */
  readonly sample: number;
  /** Nanoseconds after which tracing ends; undefined: with the process. */
  readonly duration: number | undefined;
  /** Nanoseconds: shorter calls are only counted. */
  readonly least: number;
  readonly withoutFeatures: ReadonlySet<Feature>;
  /** Share of the traced processes' running time that the probes may take; Infinity: as much as they do. */
  readonly overhead: number;
}

/** What --no-feature takes. */
export type Feature = 'uprobe_multi' | 'kprobe_multi' | 'kprobe_session';

export type DebugOutput = 'ast' | 'types' | 'ir' | 'bpf' | 'verifier';

/** Where the script's text comes from. */
export type ScriptPlace =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'stdin' };

export type Command =
  | { readonly kind: 'run'; readonly script: ScriptPlace; readonly options: RunOptions }
  | { readonly kind: 'format'; readonly script: ScriptPlace; readonly output: string | undefined }
  | {
      readonly kind: 'list';
      /** A pattern, several with commas, or a script's file. */
      readonly pattern: string | undefined;
      /** Of -e: its probes are listed. */
      readonly script: string | undefined;
      readonly options: RunOptions;
    }
  | {
      readonly kind: 'symbols';
      readonly what: string;
      readonly pattern: string | undefined;
      readonly options: SymbolsOptions;
    }
  | { readonly kind: 'object'; readonly pid: number; readonly address: number; readonly options: ObjectOptions }
  | {
      readonly kind: 'types';
      readonly file: string;
      readonly type: string | undefined;
      readonly options: TypesOptions;
    }
  | {
      readonly kind: 'memory';
      readonly pid: number;
      readonly address: number | undefined;
      readonly options: MemoryOptions;
    }
  | { readonly kind: 'code'; readonly what: string; readonly wanted: string; readonly options: CodeOptions }
  | { readonly kind: 'doctor'; readonly what: string | undefined; readonly options: DoctorOptions }
  | { readonly kind: 'sockets'; readonly options: SocketsOptions }
  | { readonly kind: 'calls'; readonly patterns: readonly string[]; readonly options: CallsOptions }
  | { readonly kind: 'learn'; readonly path: string; readonly options: SymbolsOptions }
  | { readonly kind: 'completion'; readonly shell: Shell; readonly output: string | undefined }
  /** Of everything, or of one command. */
  | { readonly kind: 'help'; readonly command: CommandName | undefined }
  | { readonly kind: 'info' | 'version' };

/** A mistake on the command line. */
export class UsageError extends Error {
  readonly hints: readonly string[];
  constructor(message: string, ...hints: string[]) {
    super(message);
    this.name = 'UsageError';
    this.hints = hints;
  }
}

/** Each spelling of an option. */
const words: Readonly<Record<string, OptionWord>> = Object.fromEntries(
  optionWords.flatMap((option) => option.words.map((word) => [word, option])),
);

/** bpftrace's stage names that mean one of ours. */
const stages: Readonly<Record<string, readonly DebugOutput[]>> = {
  ast: ['ast'],
  types: ['types'],
  ir: ['ir'],
  codegen: ['ir'],
  bpf: ['bpf'],
  verifier: ['verifier'],
  all: ['ast', 'types', 'ir', 'bpf', 'verifier'],
};

/** Splits the words into options with values and the rest. */
function split(argv: readonly string[]): {
  readonly given: ReadonlyMap<string, readonly string[]>;
  readonly rest: readonly string[];
  readonly named: ReadonlyMap<string, string | true>;
} {
  const named = new Map<string, string | true>();
  const given = new Map<string, string[]>();
  const rest: string[] = [];
  const give = (name: string, value: string): void => {
    const values = given.get(name);
    if (values === undefined) given.set(name, [value]);
    else values.push(value);
  };
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string;
    if (word === '--') {
      for (const own of argv.slice(i + 1)) {
        const [, name, value] = /^--([^=]+)(?:=([\s\S]*))?$/.exec(own) ?? [];
        if (name === undefined) rest.push(own);
        else named.set(name, value ?? true);
      }
      break;
    }
    // A lone `-` is stdin; `-5` is a parameter, as no option is a digit.
    if (!word.startsWith('-') || word === '-' || /^-\d/.test(word)) {
      rest.push(word);
      continue;
    }
    if (word.startsWith('--')) {
      const equals = word.indexOf('=');
      const name = equals < 0 ? word : word.slice(0, equals);
      const option = words[name];
      if (option === undefined) throw unknown(name);
      if (option.value === undefined) {
        if (equals >= 0) throw new UsageError(`option ${name} takes no value`);
        give(option.name, '');
      } else if (equals >= 0) give(option.name, word.slice(equals + 1));
      else give(option.name, valueAfter(name, option.value, argv[++i]));
      continue;
    }
    // Short options may be joined: `-qe 'BEGIN …'`, `-p123`.
    for (let at = 1; at < word.length; at++) {
      const name = `-${word[at]}`;
      const option = words[name];
      if (option === undefined) throw unknown(word.length === 2 ? name : word, name);
      if (option.value === undefined) {
        give(option.name, '');
        continue;
      }
      give(option.name, at + 1 < word.length ? word.slice(at + 1) : valueAfter(name, option.value, argv[++i]));
      break;
    }
  }
  return { given, rest, named };
}

function valueAfter(name: string, what: string, value: string | undefined): string {
  if (value === undefined) throw new UsageError(`option ${name} needs a value`, `write: ${name} ${what}`);
  return value;
}

function unknown(word: string, letter: string = word): UsageError {
  const near = nearest(word, Object.keys(words), 2);
  return new UsageError(
    letter === word ? `unknown option ${word}` : `unknown option ${letter} in ${word}`,
    near.length > 0 ? `did you mean ${near.join(' or ')}?` : '`insitu --help` lists the options',
  );
}

/** Throws where an option does not belong to the command, with those that it belongs to. */
function checkOptions(given: ReadonlyMap<string, readonly string[]>, command: CommandName): void {
  for (const { name, words: spellings, of } of optionWords) {
    if (!given.has(name) || of.includes(command)) continue;
    const places = of.map((one) => (one === 'run' ? 'scripts' : `insitu ${one}`));
    throw new UsageError(`${spellings.at(-1)} belongs to: ${places.join(', ')}`);
  }
}

/** One of the allowed words, or a UsageError that lists them. */
function choice<Word extends string>(option: string, value: string, allowed: readonly Word[]): Word {
  const found = allowed.find((word) => word === value);
  if (found === undefined) throw new UsageError(`${option} takes ${allowed.join(', ')}, not '${value}'`);
  return found;
}

const features = ['uprobe_multi', 'kprobe_multi', 'kprobe_session'] as const;

const featuresOf = (given: ReadonlyMap<string, readonly string[]>): ReadonlySet<Feature> =>
  new Set(
    (given.get('no-feature') ?? []).flatMap((names) =>
      names.split(',').map((one) => choice('--no-feature', one, features)),
    ),
  );

function processId(text: string): number {
  const pid = Number(text);
  if (!/^\d+$/.test(text) || pid < 1 || pid > 2 ** 22) {
    throw new UsageError(
      `-p takes a process id, not '${text}'`,
      'a pid is a number from 1 to 4194304; several with commas',
    );
  }
  return pid;
}

function runMode(given: ReadonlyMap<string, readonly string[]>): 'trace' | 'test' | 'bench' {
  const modes = (['test', 'bench'] as const).filter((name) => given.has(name));
  const named = given.get('mode')?.map((name) => choice('--mode', name, ['test', 'bench'] as const)) ?? [];
  const [mode, other] = new Set<'test' | 'bench'>([...modes, ...named]);
  if (other !== undefined) throw new UsageError('--test and --bench exclude each other');
  return mode ?? 'trace';
}

function expression(option: string, text: string | undefined): RegExp | undefined {
  if (text === undefined) return undefined;
  try {
    return new RegExp(text);
  } catch (error) {
    throw new UsageError(`${option} takes a regular expression: ${(error as Error).message}`);
  }
}

function profileOptions(last: (name: string) => string | undefined): ProfileOptions | undefined {
  const [flame, folded, pprof, speedscope] = ['flame', 'folded', 'pprof', 'speedscope'].map(last);
  const map = last('flame-map');
  if (flame !== undefined && !/\.(svg|html?)$/.test(flame)) {
    throw new UsageError(`--flame takes a file that ends with .svg or .html, not '${flame}'`);
  }
  if ([flame, folded, pprof, speedscope].every((path) => path === undefined)) {
    if (map === undefined) return undefined;
    throw new UsageError('--flame-map needs something to write', 'write: --flame FILE.svg --flame-map @NAME');
  }
  return { flame, folded, pprof, speedscope, map: map === undefined ? undefined : `@${map.replace(/^@/, '')}` };
}

/** What is made of a script's maps has no meaning where no script runs. */
function needsRun(given: ReadonlyMap<string, readonly string[]>): void {
  const instead = (['list', 'fmt', 'dry-run'] as const).find((name) => given.has(name));
  const option = ['flame', 'folded', 'pprof', 'speedscope', 'flame-map'].find((name) => given.has(name));
  if (instead === undefined || option === undefined) return;
  const words = { list: '-l', fmt: '--fmt', 'dry-run': '--dry-run' };
  throw new UsageError(
    `--${option} writes the maps of a script that runs; ${words[instead]} runs none`,
    "for example: insitu --flame cpu.svg -e 'profile:hz:99 { @[ustack] = count(); }'",
  );
}

function callPatterns(
  patterns: readonly string[],
  { pids, command }: Pick<CallsOptions, 'pids' | 'command'>,
): readonly string[] {
  const form = "write: insitu calls 'PATTERN' -p PID, or -c 'COMMAND'";
  if (patterns.length === 0) throw new UsageError('calls of which functions?', form);
  if (pids.length === 0 && command === undefined) throw new UsageError('calls in which process?', form);
  return patterns;
}

function callLimits(
  last: (name: string) => string | undefined,
): Pick<CallsOptions, 'depth' | 'rate' | 'sample' | 'duration' | 'least' | 'overhead'> {
  const number = (name: string, fallback: number, least: number, most: number): number => {
    const text = last(name) ?? String(fallback);
    const value = Number(text.replace(/%$/, ''));
    if (!/^\d+(\.\d+)?%?$/.test(text) || value < least || value > most) {
      throw new UsageError(`--${name} takes a number from ${least} to ${most}, not '${text}'`);
    }
    return value;
  };
  const duration = last('duration');
  const least = last('min');
  const overhead = number('overhead', 20, 0.1, 100);
  return {
    depth: Math.floor(number('depth', 128, 1, 128)),
    rate: Math.floor(number('rate', 1000, 0, 1_000_000)),
    sample: Math.floor(number('sample', 1, 1, 1_000_000_000)),
    duration: duration === undefined ? undefined : nanoseconds('--duration', duration, 's'),
    least: least === undefined ? 0 : nanoseconds('--min', least),
    // What is reckoned for several threads may come to more than all of one CPU's time.
    overhead: overhead === 100 ? Number.POSITIVE_INFINITY : overhead / 100,
  };
}

/** `10ms`, `1.5s`, `2m`; a bare number counts `unit`, where there is one. */
function nanoseconds(option: string, text: string, unit = ''): number {
  const [, digits = '', own = ''] = /^(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)?$/.exec(text) ?? [];
  const size = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 6e10, h: 3.6e12 }[own || unit];
  if (digits === '' || size === undefined) {
    throw new UsageError(
      `${option} takes a time, not '${text}'`,
      `write: ${option} 500us, ${option} 10ms, ${option} 2s`,
    );
  }
  return Math.round(Number(digits) * size);
}

/** Reads the command line. Throws UsageError. */
export function parseCommand(argv: readonly string[]): Command {
  const { given, rest, named } = split(argv);
  const subcommand = commands.find(({ name }) => name === argv[0] && name !== 'run')?.name;
  if (given.has('help')) return { kind: 'help', command: subcommand };
  if (given.has('version')) return { kind: 'version' };
  checkOptions(given, subcommand ?? 'run');
  if (given.has('info')) return { kind: 'info' };
  needsRun(given);
  const last = (name: string): string | undefined => given.get(name)?.at(-1);

  const debugFiles: DebugFileWords = {
    debuginfo: (given.get('debuginfo') ?? []).flatMap((folders) => folders.split(':').filter((one) => one !== '')),
    symbols: last('symbols'),
    symbolsForce: given.has('symbols-force'),
    types: last('types'),
    names: given.get('names') ?? [],
  };
  if (debugFiles.symbolsForce && debugFiles.symbols === undefined) {
    throw new UsageError('--symbols-force needs --symbols', 'write: --symbols FILE --symbols-force');
  }
  const format = choice('-f', last('format') ?? (given.has('json') ? 'json' : 'text'), ['text', 'json']);
  if (argv[0] === 'symbols') {
    const [, what, pattern, more] = rest;
    if (what === 'learn' && pattern !== undefined) {
      if (more !== undefined)
        throw new UsageError('symbols learn takes one program', `first: symbols learn ${pattern}`);
      const options = { ...debugFiles, output: last('output'), format, verbose: given.has('verbose'), explain: false };
      return { kind: 'learn', path: pattern, options };
    }
    if (what === undefined) throw new UsageError('symbols of what?', 'write: insitu symbols FILE|PID|kernel [REGEX]');
    if (more !== undefined) {
      throw new UsageError('symbols takes one expression', 'put it in quotes, so that the shell leaves it whole');
    }
    const options = { ...debugFiles, output: last('output'), format, verbose: given.has('verbose') };
    return { kind: 'symbols', what, pattern, options: { ...options, explain: given.has('explain') } };
  }
  if (argv[0] === 'object') {
    const [, pid, address, more] = rest;
    if (pid !== undefined && !/^\d+$/.test(pid)) {
      throw new UsageError(
        `object looks into a running process, and '${pid}' is not a process id`,
        'write: insitu object PID 0xADDRESS',
        'a script prints the objects that its probes see by object(pointer) or object(pointer, depth), and runs as any other: insitu FILE.bt',
      );
    }
    if (pid === undefined || address === undefined || more !== undefined) {
      throw new UsageError('object of what?', 'write: insitu object PID 0xADDRESS, or object(pointer) in a script');
    }
    if (!/^0x[0-9a-f]{1,13}$|^\d{1,15}$/i.test(address)) throw new UsageError(`'${address}' is not an address`);
    const number = (name: string, fallback: number, most: number): number => {
      const text = last(name) ?? String(fallback);
      if (!/^\d+$/.test(text) || Number(text) > most) throw new UsageError(`--${name} takes a number up to ${most}`);
      return Number(text);
    };
    const options = { ...debugFiles, output: last('output'), format, verbose: given.has('verbose') };
    const limits = { depth: number('depth', 2, 16), bytes: number('bytes', 512, 65_536) };
    return { kind: 'object', pid: Number(pid), address: Number(address), options: { ...options, ...limits } };
  }
  if (argv[0] === 'memory') {
    const [, pid, address, more] = rest;
    if (pid === undefined || more !== undefined || !/^\d+$/.test(pid)) {
      throw new UsageError('memory of which process?', 'write: insitu memory PID [0xADDRESS]');
    }
    if (address !== undefined && !/^0x[0-9a-f]{1,13}$|^\d{1,15}$/i.test(address)) {
      throw new UsageError(`'${address}' is not an address`, 'an address is written 0x7f12…');
    }
    const options = { ...debugFiles, output: last('output'), format, verbose: given.has('verbose') };
    return { kind: 'memory', pid: Number(pid), address: address === undefined ? undefined : Number(address), options };
  }
  if (argv[0] === 'doctor') {
    const [, what, more] = rest;
    if (more !== undefined)
      throw new UsageError(`doctor takes one program, not also '${more}'`, 'write: insitu doctor [FILE|PID]');
    return {
      kind: 'doctor',
      what,
      options: { ...debugFiles, output: last('output'), format, verbose: given.has('verbose') },
    };
  }
  if (argv[0] === 'code') {
    const [, what, wanted, more] = rest;
    if (what === undefined || wanted === undefined || more !== undefined) {
      throw new UsageError(
        more === undefined ? 'code of which function?' : `code takes one function, not also '${more}'`,
        'write: insitu code FILE|PID FUNCTION[+OFFSET]|0xADDRESS',
        ...(more === undefined ? [] : ['a name with spaces stands in quotes']),
      );
    }
    const options = { ...debugFiles, output: last('output'), format, verbose: given.has('verbose') };
    return { kind: 'code', what, wanted, options };
  }
  if (argv[0] === 'types') {
    const [, file, ...words] = rest;
    if (file === undefined) throw new UsageError('types of what?', 'write: insitu types FILE [TYPE]');
    const options = { ...debugFiles, output: last('output'), verbose: given.has('verbose') };
    return { kind: 'types', file, type: words.length === 0 ? undefined : words.join(' '), options };
  }
  if (argv[0] === 'completion') {
    const shell = choice('completion', rest[1] ?? '', ['bash', 'zsh', 'fish'] as const);
    return { kind: 'completion', shell, output: last('output') };
  }

  const pids = [...new Set((given.get('pid') ?? []).flatMap((list) => list.split(',')).map(processId))];
  const command = last('cmd');
  if (command?.trim() === '') throw new UsageError('-c needs a command', "write: -c 'program argument …'");
  if (command !== undefined && pids.length > 0) {
    throw new UsageError('-p and -c exclude each other', 'trace a process that runs (-p), or start one (-c)');
  }
  if (argv[0] === 'sockets') {
    if (rest.length > 1)
      throw new UsageError(`sockets takes no '${rest[1]}'`, "write: insitu sockets [-p PID | -c 'COMMAND']");
    const options = { ...debugFiles, pids, command, output: last('output'), format, verbose: given.has('verbose') };
    return { kind: 'sockets', options: { ...options, events: given.has('events'), watch: given.has('watch') } };
  }
  if (argv[0] === 'calls') {
    const options = { ...debugFiles, pids, command, output: last('output'), format, verbose: given.has('verbose') };
    const flags = { events: given.has('events'), watch: given.has('watch'), quiet: given.has('quiet') };
    return {
      kind: 'calls',
      patterns: callPatterns(rest.slice(1), options),
      options: { ...options, ...flags, ...callLimits(last), withoutFeatures: featuresOf(given) },
    };
  }
  const follow = given.has('follow');
  if (follow && command === undefined && pids.length === 0) {
    throw new UsageError('--follow needs a process to follow', "write: -p PID --follow, or -c 'COMMAND' --follow");
  }
  const debug = (given.get('debug') ?? []).flatMap((names) =>
    names.split(',').flatMap((name) => stages[choice('-d', name, Object.keys(stages))] ?? []),
  );
  const unwind = last('unwind');
  const run = (parameters: readonly string[]): RunOptions => ({
    parameters,
    named,
    pids,
    follow,
    mode: runMode(given),
    probeFilter: expression('--probe-filter', last('probe-filter')),
    traceableFunctions: last('traceable-functions'),
    withoutFeatures: featuresOf(given),
    command,
    output: last('output'),
    ...debugFiles,
    format,
    buffering: choice('-B', last('buffering') ?? 'line', ['none', 'line', 'full']),
    quiet: given.has('quiet'),
    verbose: given.has('verbose'),
    warnings: !given.has('no-warnings'),
    unsafe: given.has('unsafe'),
    reportReads: given.has('warnings'),
    dryRun: given.has('dry-run'),
    debug,
    includeFolders: given.get('I') ?? [],
    includes: given.get('include') ?? [],
    printers: last('printers'),
    unwind: unwind === undefined ? undefined : choice('--unwind', unwind, ['auto', 'fp', 'cfi'] as const),
    profile: profileOptions(last),
  });

  if (given.has('list')) {
    if (rest.length > 1) {
      throw new UsageError(
        '-l takes one pattern',
        "put it in quotes, so that the shell leaves it whole: -l 'uprobe:*'",
      );
    }
    return { kind: 'list', pattern: rest[0], script: last('e'), options: run([]) };
  }
  const scriptCommand = (script: ScriptPlace, parameters: readonly string[]): Command =>
    given.has('fmt')
      ? { kind: 'format', script, output: last('output') }
      : { kind: 'run', script, options: run(parameters) };
  const text = last('e');
  if (text !== undefined) return scriptCommand({ kind: 'text', text }, rest);
  const [path, ...parameters] = rest;
  if (path === undefined) {
    throw new UsageError('no script given', 'insitu -e \'BEGIN { printf("hello\\n") }\'', '`insitu --help` tells more');
  }
  const script: ScriptPlace = path === '-' ? { kind: 'stdin' } : { kind: 'file', path };
  return scriptCommand(script, parameters);
}
