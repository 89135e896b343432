/**
 * Makes a Program live: maps with their first contents, programs with their
 * relocations applied (Documentation/bpf/verifier.rst; BPF_PSEUDO_* in linux/bpf.h).
 * All file descriptors belong to the LoadedProgram; nothing is pinned, so that the
 * kernel lets go of everything when they are closed, by whatever end of the process.
 */
import { readFileSync } from 'node:fs';
import { invariant, MachineError } from '../../base/errors.ts';
import { bpf_flag, bpf_pseudo } from '../../bpf/constants.ts';
import type { BpfProgram, MapSpec, ProbeSpec, Program, TracingTarget } from '../../program/program.ts';
import { programFunctionId } from '../host/bpfprograms.ts';
import { hasKprobeMulti, hasUprobeMulti } from '../host/features.ts';
import { kernelFunctionId, kernelVariableId, tracepointTypeId } from '../host/kerneltypes.ts';
import { kernelAtLeast, requireKernel } from '../host/machine.ts';
import { requirePrivileges } from '../host/privilege.ts';
import {
  AttachType,
  BPF_F_SLEEPABLE,
  btfLoad,
  mapCreate,
  mapFreeze,
  mapUpdate,
  type ProgramAttributes,
  ProgramRefusal,
  progLoad,
} from '../sys/bpf.ts';
import { closeFd } from '../sys/bpfcall.ts';
import { CallError } from '../sys/errno.ts';
import { moduleBtf, objectFd } from '../sys/objects.ts';

export interface LoadOptions {
  /** Verifier log to keep of programs that load: 1 what it does, 2 with states. 0 or absent: none. */
  readonly verifierLog?: number;
  /** False takes the perf-event way for uprobes although the kernel has uprobe_multi. */
  readonly uprobeMulti?: boolean;
  /** Programs (by index) for uprobe_multi links that have no probes in Program.probes: their maker attaches them. */
  readonly uprobeMultiPrograms?: readonly number[];
  /** The same for kprobes and kprobe_multi. */
  readonly kprobeMulti?: boolean;
}

/** Links that take many functions at once. */
export type MultiLink = 'uprobe' | 'kprobe';

export interface LoadedMap {
  readonly spec: MapSpec;
  readonly fd: number;
}

export interface LoadedBpf {
  readonly spec: BpfProgram;
  /** -1 with `refusal`. */
  readonly fd: number;
  /** Why this kernel has no such probe: its programs are refused before anybody looks at them. */
  readonly refusal?: MachineError;
  /** Loaded for BPF_TRACE_UPROBE_MULTI or BPF_TRACE_KPROBE_MULTI: attaches through such links only. */
  readonly multi: MultiLink | undefined;
  /** The verifier's log when it was asked for. */
  readonly log: string;
}

/** The verifier refused a program: a bug in insitu or a limit of the kernel, never the script's mistake as such. */
export class VerifierError extends MachineError {
  /** Index into Program.programs. */
  readonly program: number;
  /** Index of the instruction that the log ends at, undefined when the log names none. */
  readonly insn: number | undefined;
  /** The whole log. */
  readonly log: string;
  /** What the verifier said last, without its statistics. */
  readonly complaint: string;
  constructor(program: number, name: string, refusal: ProgramRefusal) {
    const complaint = lastComplaint(refusal.log);
    super(`the kernel refused program ${name}: ${complaint || refusal.message}`, {
      code: refusal.code,
      hints: refusal.hints,
      cause: refusal,
    });
    this.name = 'VerifierError';
    this.program = program;
    this.insn = failingInstruction(refusal.log);
    this.log = refusal.log;
    this.complaint = complaint;
  }
}

/** Lines of the log that only describe state or cost. */
const bookkeeping = /^(processed \d|verification time|stack depth|max_states|mark_precise:|from \d+ to|\s*;|$)/;
const instruction = /^(\d+): (?:\([0-9a-f]{2}\)|\(bpf)/;

/** The last line that complains: `R1 type=scalar expected=fp`. */
export function lastComplaint(log: string): string {
  const lines = log.split('\n');
  for (let i = lines.length - 1; i >= 0; i--) {
    const line = lines[i] as string;
    if (bookkeeping.test(line) || instruction.test(line) || /^\d+: R\d/.test(line)) continue;
    return line.trim();
  }
  return '';
}

/** Number of the instruction that the log was at when it ended. */
export function failingInstruction(log: string): number | undefined {
  const lines = log.split('\n');
  for (let i = lines.length - 1; i >= 0; i--) {
    const found = instruction.exec(lines[i] as string) ?? /\binsn (\d+)\b/.exec(lines[i] as string);
    if (found) return Number(found[1]);
  }
  return undefined;
}

export class LoadedProgram {
  readonly program: Program;
  readonly maps: readonly LoadedMap[];
  readonly programs: readonly LoadedBpf[];
  #open = true;

  constructor(program: Program, maps: readonly LoadedMap[], programs: readonly LoadedBpf[]) {
    this.program = program;
    this.maps = maps;
    this.programs = programs;
  }

  /** The one map of a role (events, globals …). */
  map(role: MapSpec['role']): LoadedMap | undefined {
    return this.maps.find((map) => map.spec.role === role);
  }

  /** Closes programs and maps. Links hold their program: close the Attachment first. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const program of this.programs) if (program.refusal === undefined) closeFd(program.fd);
    for (const map of this.maps) closeFd(map.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Creates a Program's maps and loads its programs, all or nothing. */
export function loadProgram(program: Program, options: LoadOptions = {}): LoadedProgram {
  requireKernel();
  requirePrivileges();
  const maps: LoadedMap[] = [];
  const programs: LoadedBpf[] = [];
  const btfs = new BtfCache();
  try {
    for (const spec of program.maps) maps.push(createMap(spec));
    const multi = multiPrograms(program, options);
    for (const [index, spec] of program.programs.entries()) {
      programs.push(loadOne(program, index, spec, maps, btfs, multi.get(index), options));
    }
    return new LoadedProgram(program, maps, programs);
  } catch (error) {
    new LoadedProgram(program, maps, programs).close();
    throw error;
  } finally {
    btfs.close(); // the programs hold what they use
  }
}

/** The kernel keeps no stacks with more frames than a sysctl says. */
function requireStackFrames(frames: number): void {
  let most: number;
  try {
    most = Number(readFileSync('/proc/sys/kernel/perf_event_max_stack', 'latin1'));
  } catch {
    return;
  }
  if (frames <= most) return;
  throw new MachineError(`the kernel takes stacks of at most ${most} frames here, not ${frames}`, {
    code: 'E_STACK_FRAMES',
    hints: [`sysctl -w kernel.perf_event_max_stack=${frames} lets it take more (while no trace runs)`],
  });
}

/** A map like those that an ARRAY_OF_MAPS holds: an ARRAY of any number of elements (BPF_F_INNER_MAP, Linux 5.10). */
export function createInnerMap(name: string, valueSize: number, maxEntries: number): number {
  return mapCreate({ kind: 'ARRAY', name, keySize: 4, valueSize, maxEntries, flags: bpf_flag.BPF_F_INNER_MAP });
}

function createMap(spec: MapSpec): LoadedMap {
  const innerFd = spec.innerValueSize === undefined ? undefined : createInnerMap('in_inner', spec.innerValueSize, 1);
  if (spec.kind === 'STACK_TRACE') requireStackFrames(spec.valueSize / 8);
  const fd = mapCreate({
    ...(innerFd === undefined ? {} : { innerFd }),
    kind: spec.kind,
    name: mapName(spec),
    keySize: spec.keySize,
    valueSize: spec.valueSize,
    maxEntries: spec.maxEntries,
    flags: spec.flags,
  });
  if (innerFd !== undefined) closeFd(innerFd);
  try {
    if (spec.initial) {
      invariant(spec.initial.length <= spec.valueSize, `initial value of map ${spec.name} is too long`);
      const value = new Uint8Array(spec.valueSize);
      value.set(spec.initial);
      mapUpdate(fd, new Uint8Array(spec.keySize), value);
    }
    if (spec.role === 'constants') mapFreeze(fd);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return { spec, fd };
}

/** `in_` marks insitu's objects among everybody's (bpftool map). */
function mapName(spec: MapSpec): string {
  return `in_${spec.role === 'user' ? spec.name : spec.role}`;
}

/** Programs whose probes can all be attached by one kind of multi link, where the kernel has that. */
function multiPrograms(program: Program, options: LoadOptions): ReadonlyMap<number, MultiLink> {
  const wanted: (MultiLink | 'none' | undefined)[] = [];
  const counts: number[] = program.programs.map(() => 0);
  for (const probe of program.probes) {
    const { program: index } = probe;
    const link = multiLinkFor(probe) ?? 'none';
    wanted[index] = wanted[index] === undefined || wanted[index] === link ? link : 'none';
    counts[index] = (counts[index] as number) + 1;
  }
  const multi = new Map<number, MultiLink>();
  for (const index of options.uprobeMultiPrograms ?? []) multi.set(index, 'uprobe');
  for (const [index, link] of wanted.entries()) {
    if (link === 'uprobe' && options.uprobeMulti !== false && hasUprobeMulti()) multi.set(index, link);
    // A single kprobe needs none, and works on functions that ftrace does not know.
    const several = (counts[index] as number) > 1;
    if (link === 'kprobe' && several && options.kprobeMulti !== false && hasKprobeMulti()) multi.set(index, link);
  }
  return multi;
}

function multiLinkFor(probe: ProbeSpec): MultiLink | undefined {
  switch (probe.kind) {
    case 'uprobe':
    case 'uretprobe':
    case 'usdt':
      // Before 6.10 the link's process filter let only the one thread through.
      return probe.pid === undefined || kernelAtLeast(6, 10) ? 'uprobe' : undefined;
    case 'kprobe':
    case 'kretprobe':
      return probe.offset === 0 && probe.module === undefined ? 'kprobe' : undefined;
    default:
      return undefined;
  }
}

/** A copy of the code in which map references are file descriptors. */
export function relocate(spec: BpfProgram, maps: readonly LoadedMap[]): Uint8Array {
  const code = spec.code.slice();
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  for (const relocation of spec.relocations) {
    const at = relocation.insn * 8;
    if (relocation.kind === 'kernel_variable' || relocation.kind === 'kfunc') {
      const { kind, name } = relocation;
      const id = kind === 'kfunc' ? kernelFunctionId(name, 'vmlinux')?.id : kernelVariableId(name);
      if (id === undefined) {
        const what = kind === 'kfunc' ? 'function' : 'variable';
        throw new MachineError(`the kernel has no ${what} ${name} (in BTF)`, { code: 'E_NO_BTF_TYPE' });
      }
      const source = kind === 'kfunc' ? bpf_pseudo.BPF_PSEUDO_KFUNC_CALL : bpf_pseudo.BPF_PSEUDO_BTF_ID;
      code[at + 1] = ((code[at + 1] as number) & 0x0f) | (source << 4);
      view.setInt32(at + 4, id, true);
      continue;
    }
    const map = maps[relocation.map];
    invariant(
      map !== undefined && code[at] === 0x18,
      `bad relocation at instruction ${relocation.insn} of ${spec.name}`,
    );
    const source = relocation.kind === 'map_fd' ? bpf_pseudo.BPF_PSEUDO_MAP_FD : bpf_pseudo.BPF_PSEUDO_MAP_VALUE;
    code[at + 1] = ((code[at + 1] as number) & 0x0f) | (source << 4);
    view.setInt32(at + 4, map.fd, true);
    if (relocation.kind === 'map_value') view.setInt32(at + 12, relocation.offset, true);
  }
  return code;
}

function loadOne(
  program: Program,
  index: number,
  spec: BpfProgram,
  maps: readonly LoadedMap[],
  btfs: BtfCache,
  multi: MultiLink | undefined,
  options: LoadOptions,
): LoadedBpf {
  const tracing = spec.attachTo === undefined ? undefined : tracingAttributes(spec.attachTo);
  if (tracing instanceof MachineError) return { spec, fd: -1, refusal: tracing, multi, log: '' };
  const base: ProgramAttributes = {
    type: spec.type,
    name: spec.name,
    code: relocate(spec, maps),
    license: program.config.license,
    flags: spec.sleepable === true ? BPF_F_SLEEPABLE : 0,
    ...(multi === undefined ? {} : { expectedAttachType: multiTypes[multi] }),
    ...tracing,
    ...(options.verifierLog ? { log: { level: options.verifierLog, size: program.config.logSize } } : {}),
  };
  const btfFd = spec.btf === undefined ? undefined : btfs.load(spec.btf.btf);
  try {
    const attributes =
      btfFd === undefined || spec.btf === undefined
        ? base
        : { ...base, btf: { fd: btfFd, funcInfo: spec.btf.funcInfo, lineInfo: spec.btf.lineInfo } };
    return { spec, multi, ...loadWithOrWithoutLines(attributes, base) };
  } catch (error) {
    if (!(error instanceof ProgramRefusal)) throw error;
    const refusal = spec.attachTo && tracingRefusal(spec.attachTo, error);
    if (refusal === undefined) throw new VerifierError(index, spec.name, error);
    return { spec, fd: -1, refusal, multi, log: error.log };
  } finally {
    if (tracing?.attachBtfFd !== undefined) closeFd(tracing.attachBtfFd);
  }
}

const multiTypes = { uprobe: AttachType.TRACE_UPROBE_MULTI, kprobe: AttachType.TRACE_KPROBE_MULTI } as const;

const tracingTypes = {
  fentry: AttachType.TRACE_FENTRY,
  fexit: AttachType.TRACE_FEXIT,
  iter: AttachType.TRACE_ITER,
  tp_btf: AttachType.TRACE_RAW_TP,
} as const;

/** What the kernel wants to know of a TRACING program's function; or why there is no such function. */
function tracingAttributes(target: TracingTarget): Partial<ProgramAttributes> | MachineError {
  if (target.program !== undefined) return programAttributes(target, target.program);
  if (target.as === 'tp_btf') {
    const attachBtfId = tracepointTypeId(target.name);
    if (attachBtfId !== undefined) return { expectedAttachType: tracingTypes.tp_btf, attachBtfId };
    return new MachineError(`the kernel has no raw tracepoint ${target.name} (in BTF)`, { code: 'E_NO_BTF_TYPE' });
  }
  const name = target.as === 'iter' ? `bpf_iter_${target.name}` : target.name;
  const found = kernelFunctionId(name, target.module);
  if (found === undefined) {
    const where = target.module === undefined ? 'the kernel' : `module ${target.module}`;
    return new MachineError(`${where} has no function ${name} (in BTF)`, { code: 'E_NO_BTF_TYPE' });
  }
  const attributes = { expectedAttachType: tracingTypes[target.as], attachBtfId: found.id };
  if (found.module === undefined) return attributes;
  const attachBtfFd = moduleBtf(found.module);
  if (attachBtfFd !== undefined) return { ...attributes, attachBtfFd };
  return new MachineError(`module ${found.module} is not loaded`, { code: 'E_NO_BTF_TYPE' });
}

/** The same for a function of a BPF program. */
function programAttributes({ as, name }: TracingTarget, program: number): Partial<ProgramAttributes> | MachineError {
  const id = programFunctionId(program, name);
  const fd = id === undefined ? undefined : objectFd('PROG', program);
  if (id === undefined || fd === undefined) {
    return new MachineError(`BPF program ${program} has no function ${name}, or has gone`, { code: 'E_NO_BTF_TYPE' });
  }
  // attach_prog_fd and attach_btf_obj_fd are the same field.
  return { expectedAttachType: tracingTypes[as], attachBtfId: id, attachBtfFd: fd };
}

/**
 * Whether the kernel refused a TRACING program for what it attaches to, not for what it
 * does: the verifier then has looked at no instruction.
 */
function tracingRefusal({ as, name }: TracingTarget, error: ProgramRefusal): MachineError | undefined {
  if (failingInstruction(error.log) !== undefined) return undefined;
  const complaint = lastComplaint(error.log);
  const reason = complaint === '' ? `the kernel answers ${error.code}` : complaint;
  const hints =
    as === 'iter'
      ? ['iterators came with Linux 5.8, and need BTF']
      : [
          'this kernel may lack CONFIG_FUNCTION_TRACER and CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS, or forbid it',
          'tracepoints and raw tracepoints need neither',
        ];
  return new MachineError(`this kernel takes no ${as} program for ${name}: ${reason}`, {
    code: error.code,
    hints,
    cause: error,
  });
}

/**
 * BTF objects of one load; programs usually share theirs. Line information only makes
 * complaints better: when the kernel refuses the BTF, programs load without.
 */
class BtfCache {
  readonly #fds = new Map<Uint8Array, number | undefined>();

  load(bytes: Uint8Array): number | undefined {
    if (this.#fds.has(bytes)) return this.#fds.get(bytes);
    let fd: number | undefined;
    try {
      fd = btfLoad(bytes);
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
    }
    this.#fds.set(bytes, fd);
    return fd;
  }

  close(): void {
    for (const fd of this.#fds.values()) if (fd !== undefined) closeFd(fd);
  }
}

function loadWithOrWithoutLines(attributes: ProgramAttributes, bare: ProgramAttributes): { fd: number; log: string } {
  try {
    return progLoad(attributes);
  } catch (error) {
    // The verifier proper answers EACCES, E2BIG …, EINVAL with a log of instructions;
    // func_info and line_info are checked before it, and complained about in one line.
    const aboutLines = error instanceof ProgramRefusal && failingInstruction(error.log) === undefined;
    if (attributes === bare || !aboutLines) throw error;
    return progLoad(bare);
  }
}
