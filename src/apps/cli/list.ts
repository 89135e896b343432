/** `-l`: probes that there are on this machine, or in a script, one a line. */
import { statSync } from 'node:fs';
import type { MachineError } from '../../base/errors.ts';
import type { Result } from '../../base/result.ts';
import { providerOf } from '../../compiler/probes/expand.ts';
import { iteratorObjects } from '../../compiler/probes/iter.ts';
import { rawTracepointPrototype, rawTracepoints } from '../../compiler/probes/rawtracepoint.ts';
import { events } from '../../compiler/probes/software.ts';
import { renderAll } from '../../diag/render.ts';
import { hasFentry } from '../../kernel/host/features.ts';
import { createHostTarget } from '../../kernel/host/target.ts';
import { compileScript } from '../../session/index.ts';
import { Glob } from '../../symbolize/symbols/glob.ts';
import type { Binary, Target } from '../../target/target.ts';
import type { Field, Type } from '../../types/model.ts';
import type { ProgramVariable, TypeSource } from '../../types/source.ts';
import { complain } from './failure.ts';
import { kernelTypes, spell, type TypeWord } from './kerneltypes.ts';
import { debugFilesOf, type RunOptions, type ScriptPlace } from './options.ts';
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

/** The files that the path of a pattern means, by the name that they are listed under. */
function binaries(target: Target, path: string, options: RunOptions): (readonly [shown: string, binary: Binary])[] {
  if (!/[*?[]/.test(path)) {
    const binary = must(target.binary(path, options.pids[0]));
    // A path is listed as it was written, a short name as what it means.
    return [[path.includes('/') ? path : binary.path, binary]];
  }
  return target.programFiles(path, options.pids[0]).flatMap((file) => {
    const binary = target.binary(file, options.pids[0]);
    return binary.ok ? [[binary.value.path, binary.value] as const] : [];
  });
}

const functions = (prefix: string): Lister =>
  function* (target, pattern, options) {
    // The path may hold no colon: BINARY[:FUNCTION].
    const colon = pattern.indexOf(':');
    const path = colon < 0 ? pattern : pattern.slice(0, colon);
    const at = path.lastIndexOf('@');
    if (at > 0) {
      yield* sourceLines(
        target,
        prefix,
        path.slice(0, at),
        path.slice(at + 1),
        pattern.slice(path.length + 1),
        options,
      );
      return;
    }
    for (const [shown, binary] of binaries(target, path, options)) {
      const name = colon < 0 ? '*' : pattern.slice(colon + 1);
      // As in a probe: `uprobe:BIN:"NAME"`, `uprobe:BIN:cpp:"NAME"`.
      const wanted = /^(?:cpp:)?"(.*)"$/.exec(name)?.[1] ?? name;
      const inferred = wanted.startsWith('~') ? binary.inferred(wanted.slice(1)) : undefined;
      const names = inferred === undefined ? binary.names(wanted) : new Set(inferred.map(({ name }) => name));
      for (const name of names) yield `${prefix}:${shown}:${name}`;
    }
  };

/** Lines with code of a source file: BINARY@FILE[:LINE]. */
function* sourceLines(
  target: Target,
  prefix: string,
  path: string,
  file: string,
  line: string,
  options: RunOptions,
): Generator<string, void, void> {
  if (prefix !== 'uprobe') return;
  for (const [shown, binary] of binaries(target, path, options)) {
    const lines = new Set((binary.sourceLines(file) ?? []).map((one) => one.line));
    for (const one of lines)
      if (line === '' || line === '*' || line === String(one)) yield `uprobe:${shown}@${file}:${one}`;
  }
}

/** BINARY[:PROVIDER][:NAME]. */
const tracePoints: Lister = function* (target, pattern, options) {
  const [path = '', ...rest] = pattern.split(':');
  const [provider, name] = rest.length > 1 ? rest : ['*', rest[0] ?? '*'];
  const glob = new Glob(`${provider}:${name}`);
  for (const [shown, binary] of binaries(target, path, options)) {
    const names = new Set(binary.usdt().map((one) => `${one.provider}:${one.name}`));
    for (const full of [...names].sort()) if (glob.matches(full)) yield `usdt:${shown}:${full}`;
  }
};

/** Names below a module: `vfs_*` means `vmlinux:vfs_*`. */
const below = (prefix: string, names: (target: Target) => Iterable<string>): Lister =>
  function* (target, pattern) {
    const glob = new Glob(pattern.replace(/^vmlinux:/, ''));
    for (const name of names(target)) if (glob.matches(name)) yield `${prefix}:vmlinux:${name}`;
  };

/** `bpf:[ID:]NAME` means functions of BPF programs that run, other patterns those of the kernel. */
const kernelAndPrograms = (kind: 'fentry' | 'fexit'): Lister =>
  function* (target, pattern, options) {
    if (!pattern.startsWith('bpf:')) {
      yield* below(kind, typedFunctions)(target, pattern, options);
      return;
    }
    const glob = new Glob(/^bpf:[^:]*$/.test(pattern) ? pattern.replace('bpf:', '*:') : pattern.slice(4));
    for (const { id, functions } of target.bpfPrograms()) {
      for (const name of functions) if (glob.matches(`${id}:${name}`)) yield `${kind}:bpf:${id}:${name}`;
    }
  };

/** Kernel functions whose arguments BTF tells; none where the kernel takes no such programs. */
function typedFunctions(target: Target): readonly string[] {
  if (!hasFentry()) return [];
  const traceable = new Set(target.kernelFunctions());
  return [...new Set(target.kernelTypes()?.functionNames?.() ?? [])].filter((name) => traceable.has(name)).sort();
}

function typesOf<Value>(target: Target, ask: (types: TypeSource) => readonly Value[]): readonly Value[] {
  const types = target.kernelTypes();
  return types === undefined ? [] : ask(types);
}

/** Functions that kprobes could take; none where the kernel has no kprobes. */
const kernelFunctions = (target: Target): readonly string[] =>
  target.features.kprobes ? target.kernelFunctions() : [];

const units = (kind: 'interval' | 'profile'): Lister => named(kind, () => ['hz:', 'ms:', 's:', 'us:']);

const listers: Readonly<Record<string, Lister>> = {
  fentry: kernelAndPrograms('fentry'),
  fexit: kernelAndPrograms('fexit'),
  hardware: named('hardware', () =>
    Object.keys(events.hardware)
      .sort()
      .map((name) => `${name}:`),
  ),
  interval: units('interval'),
  iter: named('iter', (target) => typesOf(target, iteratorObjects)),
  kprobe: named('kprobe', kernelFunctions),
  kretprobe: named('kretprobe', kernelFunctions),
  profile: units('profile'),
  rawtracepoint: below('rawtracepoint', (target) => typesOf(target, rawTracepoints)),
  self: named('self', () => ['signal:SIGUSR1']),
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
const everywhere = ['fentry', 'hardware', 'iter', 'kprobe', 'rawtracepoint', 'software', 'tracepoint'] as const;

/** Lists what matches; gives the exit status. */
export function list(pattern: string | undefined, script: string | undefined, options: RunOptions): number {
  if (script !== undefined) return listScript({ kind: 'text', text: script }, options);
  if (pattern !== undefined && statSync(pattern, { throwIfNoEntry: false })?.isFile() === true) {
    return listScript({ kind: 'file', path: pattern }, options);
  }
  const target = createHostTarget({
    pid: options.pids[0],
    traceableFunctions: options.traceableFunctions,
    debugFiles: debugFilesOf(options),
  });
  const output = new Output(undefined, 'full');
  const type = /^(struct|union|enum)\s+(\S+)$/.exec(pattern?.trim() ?? '');
  if (type !== null) {
    for (const line of kernelTypes(target, type[1] as TypeWord, type[2] as string, options.verbose))
      output.write(`${line}\n`);
  }
  for (const one of type === null ? patterns(pattern) : []) {
    for (const probe of probes(target, one, options)) {
      output.write(`${probe}\n`);
      if (options.verbose) for (const line of details(target, probe, options)) output.write(`    ${line}\n`);
    }
  }
  output.close();
  return 0;
}

/** `kprobe:tcp*,tracepoint:sched:*`: commas outside of brackets and quotes part patterns. */
function patterns(text: string | undefined): readonly (string | undefined)[] {
  if (text === undefined) return [undefined];
  const parts = text.match(/(?:"[^"]*"|\([^)]*\)|<[^>]*>|\[[^\]]*\]|[^,])+/g) ?? [];
  return parts.map((one) => one.trim()).filter((one) => one !== '');
}

function* probes(target: Target, pattern: string | undefined, options: RunOptions): Generator<string, void, void> {
  const colon = pattern?.indexOf(':') ?? -1;
  if (pattern === undefined || colon < 0) {
    const glob = new Glob(pattern ?? '*');
    for (const kind of everywhere) {
      for (const probe of listers[kind]?.(target, '*', options) ?? []) {
        if (glob.matches(probe) || glob.matches(probe.slice(probe.lastIndexOf(':') + 1))) yield probe;
      }
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
    if (!wanted) continue;
    // `*:sched_switch` leaves the category open too.
    const open = kind === 'tracepoint' && kind !== only && !rest.includes(':');
    yield* lister(target, open ? `*:${rest}` : rest, options);
  }
}

/** What a probe's `args` (of an iterator its `ctx`) hold, as declarations. */
function details(target: Target, probe: string, options: RunOptions): readonly string[] {
  const [kind, category = '', event = ''] = probe.split(':');
  switch (kind) {
    case 'tracepoint': {
      const format = must(target.tracepoint(category, event));
      return (format?.fields ?? [])
        .filter(({ name }) => !name.startsWith('common_'))
        .map(({ declaration }) => declaration);
    }
    case 'rawtracepoint':
      return declarations(rawTracepointPrototype(target.kernelTypes(), event)?.parameters().slice(1));
    case 'kprobe':
      return declarations(
        target
          .kernelTypes()
          ?.findFunction(event === '' ? category : event)
          ?.parameters(),
      );
    case 'fentry':
    case 'fexit': {
      const prototype = target.kernelTypes()?.findFunction(event);
      const returns =
        prototype === undefined || kind === 'fentry' ? [] : [{ name: 'retval', type: prototype.returns() }];
      return declarations([...(prototype?.parameters() ?? []), ...returns]);
    }
    case 'uprobe':
    case 'uretprobe':
      if (/@[^/@]*$/.test(category)) return lineDetails(target, category, Number(event), options);
      return programDetails(must(target.binary(category, options.pids[0])), probe.split(':').slice(2).join(':'), kind);
    case 'iter': {
      const type = target.kernelTypes()?.find('struct', `bpf_iter__${category}`);
      return type?.kind === 'struct' ? declarations(type.fields().flatMap(membersOf)) : [];
    }
    default:
      return [];
  }
}

/** Variables in scope where a line begins, and why those that are nowhere are so. */
function lineDetails(target: Target, place: string, line: number, options: RunOptions): readonly string[] {
  const at = place.lastIndexOf('@');
  const binary = must(target.binary(place.slice(0, at), options.pids[0]));
  const [address] = binary.sourcePlaces(place.slice(at + 1), line, undefined);
  return address === undefined ? [] : (binary.types()?.variablesAt(address) ?? []).map(declared);
}

const declared = ({ declaration, location }: ProgramVariable): string =>
  location.kind === 'unavailable' ? `${declaration}  <${location.reason}>` : declaration;

/** Arguments and result of a program's function, as its source declares them. */
function programDetails(binary: Binary, name: string, kind: 'uprobe' | 'uretprobe'): readonly string[] {
  const symbol = binary.find(name)[0];
  const found = symbol === undefined ? undefined : binary.types()?.functionAt(symbol.address, symbol.name);
  if (found === undefined) return [];
  const { parameters, result } = found;
  const lines = parameters.map(declared);
  return kind === 'uretprobe' && result.type.kind !== 'void' ? [...lines, result.declaration] : lines;
}

/** The kernel wraps each pointer of an iterator's context in a union without a name. */
function membersOf(field: Field): readonly Field[] {
  const { name, type } = field;
  return name === '' && (type.kind === 'union' || type.kind === 'struct')
    ? type.fields().filter((one) => one.name !== '')
    : [field];
}

function declarations(list: readonly { readonly name: string; readonly type: Type }[] = []): readonly string[] {
  return list.map(({ name, type }) => `${spell(type)} ${name}`);
}

/** The probes of a script, as they would be attached. */
function listScript(place: ScriptPlace, options: RunOptions): number {
  const { result, source, target } = compileScript({
    ...readScript(place),
    pids: options.pids,
    mode: options.mode,
    probeFilter: options.probeFilter,
    includeFolders: options.includeFolders,
    unsafe: true,
  });
  if (!result.ok) {
    complain(renderAll(result.diagnostics, source, { color: false }));
    return 1;
  }
  const output = new Output(undefined, 'full');
  for (const spec of result.program.probes) {
    const probe = result.program.probeNames[spec.name] ?? '';
    if ('serves' in spec) continue;
    output.write(`${probe}\n`);
    if (options.verbose) for (const line of details(target, probe, options)) output.write(`    ${line}\n`);
  }
  output.close();
  return 0;
}
