/** `-l`: probes that there are on this machine, or in a script, one a line. */
import { statSync } from 'node:fs';
import type { MachineError } from '../../base/errors.ts';
import type { Result } from '../../base/result.ts';
import { providerOf } from '../../compiler/probes/expand.ts';
import { events } from '../../compiler/probes/software.ts';
import { renderAll } from '../../diag/render.ts';
import { createHostTarget } from '../../kernel/host/target.ts';
import { compileScript } from '../../session/index.ts';
import { Glob } from '../../symbolize/symbols/glob.ts';
import type { Target } from '../../target/target.ts';
import { complain } from './failure.ts';
import type { RunOptions } from './options.ts';
import { Output } from './output.ts';
import { readScript } from './script.ts';

type Lister = (target: Target, pattern: string, options: RunOptions) => Iterable<string>;

/** Throws what a machine's answer says is wrong. */
function must<Value>(result: Result<Value, MachineError>): Value {
  if (!result.ok) throw result.error;
  return result.value;
}

const named = (prefix: string, names: (target: Target) => Iterable<string>): Lister =>
  function* (target, pattern) {
    const glob = new Glob(pattern);
    for (const name of names(target)) if (glob.matches(name)) yield `${prefix}:${name}`;
  };

const functions = (prefix: string): Lister =>
  function* (target, pattern, options) {
    // The path may hold no colon: BINARY[:FUNCTION].
    const colon = pattern.indexOf(':');
    const path = colon < 0 ? pattern : pattern.slice(0, colon);
    const binary = must(target.binary(path, options.pid));
    const names = new Set(binary.match(colon < 0 ? '*' : pattern.slice(colon + 1)).map((symbol) => symbol.name));
    for (const name of [...names].sort()) yield `${prefix}:${path}:${name}`;
  };

/** BINARY[:PROVIDER][:NAME]. */
const tracePoints: Lister = function* (target, pattern, options) {
  const [path = '', ...rest] = pattern.split(':');
  const binary = must(target.binary(path, options.pid));
  const [provider, name] = rest.length > 1 ? rest : ['*', rest[0] ?? '*'];
  const glob = new Glob(`${provider}:${name}`);
  const names = new Set(binary.usdt().map((one) => `${one.provider}:${one.name}`));
  for (const full of [...names].sort()) if (glob.matches(full)) yield `usdt:${path}:${full}`;
};

/** Functions that kprobes could take; none where the kernel has no kprobes. */
const kernelFunctions = (target: Target): readonly string[] =>
  target.features.kprobes ? target.kernelFunctions() : [];

const units = (kind: 'interval' | 'profile'): Lister => named(kind, () => ['hz:', 'ms:', 's:', 'us:']);

const listers: Readonly<Record<string, Lister>> = {
  hardware: named('hardware', () =>
    Object.keys(events.hardware)
      .sort()
      .map((name) => `${name}:`),
  ),
  interval: units('interval'),
  kprobe: named('kprobe', kernelFunctions),
  kretprobe: named('kretprobe', kernelFunctions),
  profile: units('profile'),
  software: named('software', () =>
    Object.keys(events.software)
      .sort()
      .map((name) => `${name}:`),
  ),
  tracepoint: named('tracepoint', (target) => must(target.tracepoints())),
  uprobe: functions('uprobe'),
  uretprobe: functions('uretprobe'),
  usdt: tracePoints,
};

/** Kinds that a pattern without a kind looks through. */
const everywhere = ['hardware', 'kprobe', 'software', 'tracepoint'] as const;

/** Lists what matches; gives the exit status. */
export function list(pattern: string | undefined, options: RunOptions): number {
  if (pattern !== undefined && statSync(pattern, { throwIfNoEntry: false })?.isFile() === true) {
    return listScript(pattern, options);
  }
  const target = createHostTarget({ pid: options.pid });
  const output = new Output(undefined, 'full');
  for (const probe of probes(target, pattern, options)) {
    output.write(`${probe}\n`);
    if (options.verbose) for (const line of details(target, probe)) output.write(`    ${line}\n`);
  }
  output.close();
  return 0;
}

function* probes(target: Target, pattern: string | undefined, options: RunOptions): Generator<string, void, void> {
  const colon = pattern?.indexOf(':') ?? -1;
  if (pattern === undefined || colon < 0) {
    const glob = new Glob(pattern ?? '*');
    for (const kind of everywhere) {
      for (const probe of listers[kind]?.(target, '*', options) ?? []) if (glob.matches(probe)) yield probe;
    }
    return;
  }
  const word = pattern.slice(0, colon);
  const only = providerOf(word);
  const kinds = new Glob(word);
  const rest = pattern.slice(colon + 1);
  for (const [kind, lister] of Object.entries(listers)) {
    // A wildcard for the kind means the kinds that need no file.
    const wanted = kind === only || (everywhere.some((name) => name === kind) && kinds.matches(kind));
    if (wanted) yield* lister(target, rest, options);
  }
}

/** What a probe's `args` hold, as declarations. */
function details(target: Target, probe: string): readonly string[] {
  const [kind, category = '', event = ''] = probe.split(':');
  if (kind !== 'tracepoint') return [];
  const format = must(target.tracepoint(category, event));
  return (format?.fields ?? []).filter(({ name }) => !name.startsWith('common_')).map(({ declaration }) => declaration);
}

/** The probes of a script, as they would be attached. */
function listScript(path: string, options: RunOptions): number {
  const { result, source } = compileScript({
    ...readScript({ kind: 'file', path }),
    pid: options.pid,
    includeFolders: options.includeFolders,
    unsafe: true,
  });
  if (!result.ok) {
    complain(renderAll(result.diagnostics, source, { color: false }));
    return 1;
  }
  const output = new Output(undefined, 'full');
  for (const { name } of result.program.probes) output.write(`${result.program.probeNames[name]}\n`);
  output.close();
  return 0;
}
