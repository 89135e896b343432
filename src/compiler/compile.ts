/**
 * Text in, Program out. The passes, in order:
 *
 * 1. parse: text to syntax tree, with what it imports; then calls of macros and getopt() are replaced.
 * 2. config: the config block and the environment.
 * 3. C definitions: what the script declares or includes; only when it does.
 * 4. probes: attach points to contexts (this asks the Target for symbols and formats).
 * 5. sema: types and names, over all blocks and contexts, again until nothing grows.
 * 6. lower: one IR unit for each block and context.
 * 7. emit: IR to instructions; after all units are lowered, because the size of the
 *    shared scratch memory is only known then.
 */
import { conditionalJumps } from '../bpf/insn.ts';
import { type Diagnostic, Diagnostics } from '../diag/diagnostic.ts';
import type { Source, Span } from '../diag/source.ts';
import type { BpfProgram, Config, ProbeSpec, Program } from '../program/program.ts';
import type { Target } from '../target/target.ts';
import { type Printer, Printers } from '../types/printers.ts';
import { argumentVariables } from './builtins/arguments.ts';
import { builtins } from './builtins/table.ts';
import { resolveConfig } from './config.ts';
import { disassembleProgram } from './emit/dump.ts';
import { emit } from './emit/emit.ts';
import type { Unit } from './ir/ir.ts';
import { printUnit } from './ir/print.ts';
import { Assets, type Unwinding } from './lower/assets.ts';
import { lowerCondition } from './lower/conditions.ts';
import { lowerInto, lowerScalar, placeOf } from './lower/expressions.ts';
import { buildExit, buildFork, exitContext, followLayout, forkContext, leaveOthers } from './lower/follow.ts';
import { layOutKept, wantedAtReturn } from './lower/kept.ts';
import { Lower, type Lowerings } from './lower/lower.ts';
import { lowerStatements } from './lower/statements.ts';
import type { ProbeContext } from './probes/context.ts';
import { expandBlock } from './probes/expand.ts';
import type { Scope } from './probes/provider.ts';
import { calls, mentions, usesLoops } from './sema/mentions.ts';
import { createNames, type ScriptDefinitions } from './sema/names.ts';
import { printTypes } from './sema/print.ts';
import { isUnknown, type MapInfo, unknownType } from './sema/scope.ts';
import { type BlockFacts, Sema, type SemaOptions } from './sema/sema.ts';
import type { ProbeBlock, Script } from './syntax/ast.ts';
import { expandMacros } from './syntax/hygiene.ts';
import { type ImportReader, parseWithImports } from './syntax/imports.ts';
import { type NamedParameter, resolveNamed } from './syntax/named.ts';
import { printScript } from './syntax/print.ts';
import { unwinderLayout } from './unwind/layout.ts';
import { withWayOut } from './wayout.ts';

export interface CompileOptions {
  /** $1, $2 … */
  readonly parameters?: readonly string[];
  /** `--name=value` behind `--`, for getopt(); true for `--name` alone. */
  readonly named?: ReadonlyMap<string, string | true>;
  /** -p: the processes that the script is about. */
  readonly pids?: readonly number[];
  /** Pid of the -c child, which probes on programs are limited to. */
  readonly childPid?: number;
  /** --follow: also what those start. */
  readonly follow?: boolean;
  /** Probes of other names are left out, begin and end apart (--probe-filter). */
  readonly probeFilter?: RegExp;
  /** Whether the script's tests or benchmarks are to be run; else they are left out. */
  readonly mode?: RunMode;
  readonly unsafe?: boolean;
  /** A user's own printers of library types; they come before the table's. */
  readonly printers?: readonly Printer[];
  /** Tell of each read of traced memory that fails when it happens, not only of their number at the end. */
  readonly reportReads?: boolean;
  /** Wins over config ustack_unwind. */
  readonly unwind?: Config['ustackUnwind'];
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Include BTF line information. Default true. */
  readonly debugInfo?: boolean;
  /** Finds what `import "path"` names; without it a script can import nothing. */
  readonly readImport?: ImportReader;
  /** Reads the script's C declarations and headers; without it they are left to kernel types. */
  readonly readC?: (
    source: Source,
    script: Script,
    target: Target,
    diagnostics: Diagnostics,
  ) => ScriptDefinitions | undefined;
}

export type { ImportedFile, ImportReader } from './syntax/imports.ts';

/** trace: attach and wait. test, bench: run the probes of that kind. */
export type RunMode = 'trace' | 'test' | 'bench';

export type DebugStage = 'ast' | 'types' | 'ir' | 'bpf';

export type CompileResult =
  | {
      readonly ok: true;
      /** The script's text, and behind it what it imports: spans are offsets into this. */
      readonly source: Source;
      /** What the script asks for with getopt(). */
      readonly named: readonly NamedParameter[];
      readonly program: Program;
      readonly warnings: readonly Diagnostic[];
      dump(stage: DebugStage): string;
    }
  | {
      readonly ok: false;
      readonly source: Source;
      readonly named: readonly NamedParameter[];
      readonly diagnostics: readonly Diagnostic[];
      dump(stage: DebugStage): string;
    };

const lowerings: Lowerings = {
  scalar: lowerScalar,
  into: lowerInto,
  place: placeOf,
  condition: lowerCondition,
  statements: lowerStatements,
};

/** Types settle in a few passes; more would mean that two uses keep outgrowing each other. */
const maxPasses = 12;
/** Instructions that a program may have before the verifier's own limit (a million visited) comes near. */
const maxInstructions = 60_000;
/** Branches that the verifier keeps in mind at once are at most 8,192 (BPF_COMPLEXITY_LIMIT_JMP_SEQ). */
const maxBranches = 7_500;

const argumentNames = argumentVariables.map(({ name }) => name);

/** A program of the script: a block in a context, or what keeps arguments for one. */
interface Lowered {
  readonly low: Lower;
  readonly block: ProbeBlock;
  readonly context: ProbeContext;
}

interface Variant {
  readonly block: ProbeBlock;
  readonly context: ProbeContext;
  readonly id: string;
}

export function compile(main: Source, target: Target, options: CompileOptions = {}): CompileResult {
  const diagnostics = new Diagnostics();
  const { source, script: written } = parseWithImports(main, options.readImport, diagnostics);
  const named = resolveNamed(expandMacros(written, diagnostics), options.named ?? new Map(), diagnostics);
  const { script } = named;
  const failed = (): CompileResult => ({
    ok: false,
    source,
    named: named.parameters,
    diagnostics: diagnostics.items.map(withWayOut),
    dump: () => printScript(script),
  });
  const given = resolveConfig(script, options.environment ?? {}, diagnostics);
  const config = options.unwind === undefined ? given : { ...given, ustackUnwind: options.unwind };
  if (diagnostics.hasErrors) return failed();
  if (script.probes.length === 0) {
    diagnostics.error('no-probes', 'the script has no probes', undefined, 'for example: BEGIN { printf("hello\\n"); }');
    return failed();
  }
  const definitions = options.readC?.(source, script, target, diagnostics);
  const variants = chosen(expandAll(script, target, options, config, diagnostics), options, diagnostics);
  const semaOptions: SemaOptions = {
    target,
    config,
    names: createNames(target, definitions),
    builtins,
    printers: new Printers(options.printers),
    parameters: options.parameters ?? [],
    pid: options.pids?.[0],
    childPid: options.childPid,
    reportReads: options.reportReads ?? false,
    unsafe: options.unsafe ?? false,
  };
  const analysed = analyse(script, variants, semaOptions, diagnostics);
  if (diagnostics.hasErrors) return failed();
  checkLimits(variants, config, diagnostics);
  if (diagnostics.hasErrors) return failed();

  const unwinding = unwindingOf(analysed.facts, target, config);
  const assets = new Assets(config, target.cpus, analysed.maps.values(), unwinding, analysed.countsStacks);
  const lowered: Lowered[] = [];
  for (const [index, { block, context }] of variants.entries()) {
    const facts = analysed.facts[index] as BlockFacts;
    const make = (of: ProbeContext, name: string): Lower =>
      Object.assign(
        new Lower(assets, of, facts, semaOptions, name, usesLoops(block) || facts.loops === true, lowerings),
        {
          maySleep: maySleep(block, of, target),
        },
      );
    const limit = (one: Lower): void => {
      if (context.processes !== undefined) leaveOthers(one, context.processes);
    };
    const low = make(context, `${context.shortName}_${index}`);
    const wanted = wantedAtReturn(context, facts, target);
    const kept = wanted === undefined ? undefined : layOutKept(low, index, wanted);
    if (kept !== undefined && context.function?.entry !== undefined) {
      // Before the return probe, so that no call returns whose entry was not seen.
      const entry: ProbeContext = { ...context, provider: 'uprobe', attachments: [context.function.entry] };
      const keeper = make(entry, `keep_${index}`);
      keeper.keeper(kept, () => limit(keeper));
      lowered.push({ low: keeper, block, context: entry });
    }
    low.block(block, kept, () => limit(low));
    lowered.push({ low, block, context });
  }
  const followers = lowerFollowers(variants, assets, semaOptions, diagnostics);
  if (diagnostics.hasErrors) return failed();
  const units = [...lowered.map(({ low }) => low), ...followers].map((low) => low.finish());
  const programs = units.map((unit, index) => {
    const span = lowered[index]?.block.span;
    const context = lowered[index]?.context ?? (followers[index - lowered.length] as Lower).probe;
    const emitted = emitProgram(unit, context, span, source, target, options, diagnostics);
    return emitted !== undefined && lowered[index]?.low.sleeps ? { ...emitted, sleepable: true } : emitted;
  });
  if (diagnostics.hasErrors) return failed();
  const { kept: own, numbers } = withoutTwins(programs as BpfProgram[], lowered);
  if (own.length - followers.length > config.maxBpfProgs) {
    tooManyPrograms(own.length - followers.length, variants, config, diagnostics);
    return failed();
  }
  const numberOf = mentions(script, 'probe')
    ? (name: string): number => assets.probeName(name)
    : (name: string): number => assets.probeTitle(name);
  const probesOf = (contexts: readonly ProbeContext[], first: number): ProbeSpec[] =>
    contexts.flatMap(({ attachments }, index) => {
      const program = numbers[first + index] as number;
      return attachments.map(({ spec, name }): ProbeSpec => ({ ...spec, program, name: numberOf(name) }));
    });
  const program: Program = {
    config,
    maps: assets.finish(),
    programs: own,
    probes: probesOf(
      lowered.map(({ context }) => context),
      0,
    ),
    followers: probesOf(
      followers.map(({ probe }) => probe),
      lowered.length,
    ),
    probeNames: assets.probeNames,
    events: assets.events,
    packets: assets.packets,
    globals: assets.globals,
    needsUserSymbols: assets.needsUserSymbols,
    unwinds: assets.maps.some(({ role }) => role === 'unwind_state'),
    unsafe: assets.unsafe,
  };
  return {
    ok: true,
    source,
    named: named.parameters,
    program,
    warnings: diagnostics.items,
    dump(stage) {
      switch (stage) {
        case 'ast':
          return printScript(script);
        case 'types':
          return printTypes(
            analysed.maps.values(),
            variants.map((variant, i) => ({ context: variant.context, facts: analysed.facts[i] as BlockFacts })),
          );
        case 'ir':
          return units.map((unit) => printUnit(unit)).join('\n');
        case 'bpf':
          return program.programs.map((p) => disassembleProgram(p, program, source)).join('\n');
      }
    },
  };
}

/** How the script's user stacks are unwound: by tables where it takes any and the kernel lets us. */
function unwindingOf(facts: readonly BlockFacts[], target: Target, config: Config): Unwinding | undefined {
  let frames = 0;
  for (const { types } of facts) {
    for (const type of types.values()) if (type.kind === 'ustack') frames = Math.max(frames, type.limit);
  }
  if (frames === 0 || config.ustackUnwind === 'fp') return undefined;
  const layout = unwinderLayout(target);
  if (typeof layout === 'string') return undefined;
  const { major, minor } = target.features.kernel;
  const since = (wantMajor: number, wantMinor: number): boolean =>
    major > wantMajor || (major === wantMajor && minor >= wantMinor);
  return { layout, findVma: since(5, 17), allocates: since(6, 1), frames };
}

function expandAll(
  script: Script,
  target: Target,
  options: CompileOptions,
  config: Config,
  diagnostics: Diagnostics,
): Variant[] {
  return script.probes.flatMap((block, blockIndex) => {
    const contexts = expandBlock(block, {
      target,
      diagnostics,
      parameters: options.parameters ?? [],
      scope: scopeOf(options),
      missing: config.missingProbes,
      unsafe: options.unsafe ?? false,
      usesArgs: mentions(block, 'args') || mentions(block, 'vars'),
      usesGlobals: calls(block, 'global') || calls(block, 'uaddr'),
      usesResult: mentions(block, 'retval'),
      usesTyped: calls(block, 'skboutput') || calls(block, 'socket_cookie'),
      inlined: config.probeInline,
      usesNumbered: argumentNames.some((name) => mentions(block, name)),
    });
    return contexts.map((context, i): Variant => ({ block, context, id: `${blockIndex}.${i}` }));
  });
}

/** The processes that the script is about. */
function scopeOf({ pids = [], childPid, follow = false }: CompileOptions): Scope {
  const own = pids.length > 0 || childPid === undefined ? pids : [childPid];
  return { pids: [...new Set(own)], children: follow, everywhere: pids.length > 0 || follow };
}

/** Without the probes that this run leaves out. */
function chosen(variants: readonly Variant[], options: CompileOptions, diagnostics: Diagnostics): readonly Variant[] {
  const { mode = 'trace', probeFilter } = options;
  const always = ['begin', 'end'];
  const kept = variants.flatMap((variant) => {
    const { context } = variant;
    if (always.includes(context.provider)) return [variant];
    if (['test', 'bench'].includes(context.provider) && context.provider !== mode) return [];
    if (probeFilter === undefined) return [variant];
    const attachments = context.attachments.filter(({ name }) => probeFilter.test(name));
    return attachments.length === 0 ? [] : [{ ...variant, context: { ...context, attachments } }];
  });
  if (diagnostics.hasErrors || variants.length === 0 || kept.length === variants.length) return kept;
  const ofMode = (one: Variant): boolean =>
    mode === 'trace' ? !always.includes(one.context.provider) : one.context.provider === mode;
  if (kept.some(ofMode) || (probeFilter === undefined && kept.length > 0)) return kept;
  if (probeFilter !== undefined) {
    diagnostics.error(
      'no-probes',
      `no probe's name matches ${probeFilter.source}`,
      undefined,
      '-l SCRIPT lists the probes of a script',
    );
  } else {
    const kind = variants[0]?.context.provider ?? 'test';
    diagnostics.error('no-probes', `the script has only ${kind} probes, which run with --${kind}`, undefined);
  }
  return kept;
}

/** The programs that keep the map of followed processes, where the script needs it. */
function lowerFollowers(
  variants: readonly Variant[],
  assets: Assets,
  options: SemaOptions,
  diagnostics: Diagnostics,
): readonly Lower[] {
  const processes = variants.map(({ context }) => context.processes).find((one) => one?.children === true);
  if (processes === undefined) return [];
  const layout = followLayout(options.target.kernelTypes());
  if (layout === undefined) {
    diagnostics.error('no-btf', "--follow needs the kernel's type information (BTF)", undefined);
    return [];
  }
  const facts: BlockFacts = {
    types: new Map(),
    variables: new Map(),
    notes: new Map(),
    constants: new Map(),
    texts: new Map(),
  };
  const build = (context: ProbeContext, body: (low: Lower) => void): Lower => {
    const low = new Lower(assets, context, facts, options, context.shortName, false, lowerings);
    low.custom(() => body(low));
    return low;
  };
  return [
    build(forkContext, (low) => buildFork(low, processes, layout)),
    build(exitContext, (low) => buildExit(low, layout)),
  ];
}

interface Analysis {
  readonly facts: readonly BlockFacts[];
  readonly maps: ReadonlyMap<string, MapInfo>;
  readonly countsStacks: boolean;
}

function analyse(
  script: Script,
  variants: readonly Variant[],
  options: SemaOptions,
  diagnostics: Diagnostics,
): Analysis {
  const maps = new Map<string, MapInfo>();
  for (const node of script.preamble) {
    if (node.node === 'map_declaration') declareMap(node, maps, diagnostics);
  }
  const counts = mentions(script, '$#');
  const sema = new Sema(options, maps, new Diagnostics(), counts);
  let facts: BlockFacts[] = [];
  for (let pass = 0; pass < maxPasses; pass++) {
    sema.diagnostics = new Diagnostics();
    sema.changed = false;
    sema.pass = pass;
    facts = variants.map(({ block, context, id }) => sema.block(block, context, id));
    if (sema.changed) continue;
    if (!sema.stuck && [...maps.values()].some(({ value }) => isUnknown(value))) sema.stuck = true;
    else if (sema.diagnostics.hasErrors || !sema.settleUnassigned()) break;
  }
  for (const { name, span } of sema.unassigned)
    sema.warning('never-assigned', `Variable $${name} was never assigned to.`, span);
  for (const item of sema.diagnostics.items) diagnostics.add(item);
  const { countsStacks } = sema;
  if (diagnostics.hasErrors) return { facts, maps, countsStacks };
  for (const info of maps.values()) {
    if (isUnknown(info.value) && info.declared && info.keys === undefined) {
      diagnostics.warning('unused-map', `Unused map: @${info.name}`, info.span);
      maps.delete(info.name);
    } else if (isUnknown(info.value)) {
      diagnostics.error(
        'undefined-map',
        `Undefined map: @${info.name}`,
        info.span,
        'a map gets its type where it is assigned to',
      );
    } else if (info.keys === undefined) {
      info.keys = [];
    }
    if (info.declared?.kind.startsWith('percpu') && info.value.kind !== 'aggregate' && !isUnknown(info.value)) {
      diagnostics.error(
        'map-kind',
        `@${info.name} is declared as ${info.declared.kind}, and holds plain values, of which there is one for all CPUs`,
        info.span,
        `write ${info.declared.kind.replace('percpu', '')}(…); count(), sum() and the others are kept per CPU`,
      );
    }
  }
  return { facts, maps, countsStacks };
}

const mapKinds = ['hash', 'lruhash', 'percpuhash', 'percpulruhash'];

function declareMap(
  node: {
    readonly name: string;
    readonly kind: string;
    readonly kindSpan: Span;
    readonly maxEntries: bigint;
    readonly span: Span;
  },
  maps: Map<string, MapInfo>,
  diagnostics: Diagnostics,
): void {
  if (!mapKinds.includes(node.kind)) {
    diagnostics.error(
      'unknown-map-kind',
      `Invalid bpf map type: ${node.kind}`,
      node.kindSpan,
      `map types: ${mapKinds.join(', ')}`,
    );
    return;
  }
  if (node.maxEntries < 1n || node.maxEntries > 1n << 26n) {
    diagnostics.error('map-size', `a map takes 1 to ${1 << 26} keys, not ${node.maxEntries}`, node.span);
    return;
  }
  maps.set(node.name, {
    name: node.name,
    keys: undefined,
    value: unknownType,
    span: node.span,
    declared: { kind: node.kind, maxEntries: Number(node.maxEntries) },
  });
}

function checkLimits(variants: readonly Variant[], config: Config, diagnostics: Diagnostics): void {
  const probes = variants.reduce((sum, { context }) => sum + context.attachments.length, 0);
  if (probes > config.maxProbes) {
    diagnostics.error(
      'too-many-probes',
      `Can't attach to ${probes} probes because it exceeds the current limit of ${config.maxProbes} probes.`,
      variants[0]?.context.span,
      'the limit is config max_probes (or BPFTRACE_MAX_PROBES); many probes cost start-up time and slow the traced program',
    );
  }
  // Those of one attach point may turn out to be the same; others do not.
  const least = variants.filter(({ context }) => context.mayBeShared !== true).length;
  if (least > config.maxBpfProgs) tooManyPrograms(least, variants, config, diagnostics);
}

function tooManyPrograms(count: number, variants: readonly Variant[], config: Config, diagnostics: Diagnostics): void {
  diagnostics.error(
    'too-many-programs',
    `the script needs ${count} BPF programs, more than the limit of ${config.maxBpfProgs}`,
    variants[0]?.context.span,
    'the limit is config max_bpf_progs',
  );
}

/**
 * One program for all places of an attach point for which it came out the same, so that one
 * link attaches them: functions whose arguments lie in the same registers and have the same
 * types. `numbers` says for each program which one of those kept stands for it.
 */
function withoutTwins(
  programs: readonly BpfProgram[],
  lowered: readonly Lowered[],
): { readonly kept: readonly BpfProgram[]; readonly numbers: readonly number[] } {
  const kept: BpfProgram[] = [];
  const known = new Map<string, number>();
  const blocks = new Map<ProbeBlock, number>();
  const numbers = programs.map((program, index) => {
    const { block, context } = lowered[index] ?? {};
    if (block === undefined || context?.mayBeShared !== true) return kept.push(program) - 1;
    if (!blocks.has(block)) blocks.set(block, blocks.size);
    const about = [blocks.get(block), context.provider, context.span, program.sleepable, program.relocations];
    const key = `${JSON.stringify(about)} ${program.code.join(',')}`;
    const twin = known.get(key);
    if (twin !== undefined) return twin;
    known.set(key, kept.length);
    return kept.push(program) - 1;
  });
  return { kept, numbers };
}

/**
 * Whether a program may wait for pages of the process: those of uprobes may, since Linux
 * 6.6 also many at a time. Stack maps are not for such programs.
 */
function maySleep(block: ProbeBlock, { provider }: ProbeContext, target: Target): boolean {
  if (provider !== 'uprobe' && provider !== 'uretprobe' && provider !== 'usdt') return false;
  const { major, minor } = target.features.kernel;
  if (!target.features.uprobeMulti || major < 6 || (major === 6 && minor < 6)) return false;
  return !['ustack', 'kstack', 'stack'].some((name) => mentions(block, name) || calls(block, name));
}

function emitProgram(
  unit: Unit,
  context: ProbeContext,
  span: Span | undefined,
  source: Source,
  target: Target,
  options: CompileOptions,
  diagnostics: Diagnostics,
): BpfProgram | undefined {
  const result = emit(unit, { kernel: target.features.kernel, ...(options.debugInfo === false ? {} : { source }) });
  if (!result.ok) {
    diagnostics.error(
      'too-complex',
      result.error.message,
      result.error.span ?? span,
      'split the work over several probes',
    );
    return undefined;
  }
  const { code, relocations, spans, btf } = result.value;
  if (code.length / 8 > maxInstructions) {
    diagnostics.error(
      'too-large',
      `this probe needs ${code.length / 8} instructions, more than the kernel's verifier is sure to follow (${maxInstructions})`,
      span,
      'unroll less, or use a loop',
    );
    return undefined;
  }
  const branches = conditionalJumps(code);
  if (branches > maxBranches) {
    diagnostics.error(
      'too-large',
      `this probe branches at ${branches} places, more than the kernel's verifier is sure to follow (${maxBranches})`,
      span,
      'unroll less, or use a loop',
    );
    return undefined;
  }
  return {
    name: unit.name.slice(0, 15),
    type: context.programType,
    ...(context.attachTo ? { attachTo: context.attachTo } : {}),
    code,
    relocations,
    spans,
    ...(btf ? { btf } : {}),
  };
}
