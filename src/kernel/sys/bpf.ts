/**
 * bpf(2), one function a command (union bpf_attr in linux/bpf.h).
 *
 * File descriptors are numbers here; who opened one closes it with `closeFd` (bpfcall.ts). All of
 * them are close-on-exec, as the kernel makes them. Failures are CallErrors.
 */
import { MachineError } from '../../base/errors.ts';
import type { BpfProgramType, MapKind } from '../../program/program.ts';
import { attr, bpf, Command, clearAttr, cString, ENOENT, setAddress, setName, setPointer, tryBpf } from './bpfcall.ts';
import { CallError } from './errno.ts';
import { addressOf, addressOfKept, systemCallOnThread, withoutSignals } from './native.ts';

/** enum bpf_map_type. */
const mapTypes: Record<MapKind, number> = {
  HASH: 1,
  ARRAY: 2,
  PERF_EVENT_ARRAY: 4,
  PERCPU_HASH: 5,
  PERCPU_ARRAY: 6,
  STACK_TRACE: 7,
  LRU_HASH: 9,
  LRU_PERCPU_HASH: 10,
  ARRAY_OF_MAPS: 12,
  RINGBUF: 27,
};

/** enum bpf_prog_type. */
const programTypes: Record<BpfProgramType, number> = {
  KPROBE: 2,
  TRACEPOINT: 5,
  PERF_EVENT: 7,
  RAW_TRACEPOINT: 17,
  TRACING: 26,
};

/** enum bpf_attach_type, the members in use. */
export const AttachType = {
  TRACE_RAW_TP: 23,
  TRACE_FENTRY: 24,
  TRACE_FEXIT: 25,
  TRACE_ITER: 28,
  PERF_EVENT: 41,
  TRACE_KPROBE_MULTI: 42,
  TRACE_UPROBE_MULTI: 48,
  TRACE_KPROBE_SESSION: 56,
} as const;

/** BPF_PROG_LOAD: prog_flags. */
export const BPF_F_SLEEPABLE: number = 1 << 4;
/** MAP_*: flags of BPF_MAP_UPDATE_ELEM. */
export const BPF_ANY = 0;

// Maps -----------------------------------------------------------------------

export interface MapAttributes {
  readonly kind: MapKind;
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags?: number;
  /** Of an ARRAY_OF_MAPS: a map like the ones it will hold. */
  readonly innerFd?: number;
}

/** BPF_MAP_CREATE; gives the file descriptor. */
export function mapCreate(map: MapAttributes): number {
  clearAttr();
  attr.setUint32(0, mapTypes[map.kind], true);
  attr.setUint32(4, map.keySize, true);
  attr.setUint32(8, map.valueSize, true);
  attr.setUint32(12, map.maxEntries, true);
  attr.setUint32(16, map.flags ?? 0, true);
  attr.setUint32(20, map.innerFd ?? 0, true);
  setName(28, map.name);
  return bpf(
    'MAP_CREATE',
    72,
    `${map.kind} map ${map.name}, ${map.maxEntries} × ${map.keySize}+${map.valueSize} bytes`,
  );
}

function setElement(fd: number, key: Uint8Array | undefined, value: Uint8Array | undefined, flags: number): void {
  clearAttr();
  attr.setUint32(0, fd, true);
  if (key) setPointer(8, key);
  if (value) setPointer(16, value);
  attr.setUint32(24, flags, true);
}

/** BPF_MAP_UPDATE_ELEM. The value of a per-CPU map is possible CPUs × size rounded up to 8. */
export function mapUpdate(fd: number, key: Uint8Array, value: Uint8Array, flags: number = BPF_ANY): void {
  setElement(fd, key, value, flags);
  bpf('MAP_UPDATE_ELEM', 32);
}

/** BPF_MAP_LOOKUP_ELEM into `value`, which must have room for the whole value (all CPUs); false: no such key. */
export function mapLookup(fd: number, key: Uint8Array, value: Uint8Array): boolean {
  setElement(fd, key, value, 0);
  const result = tryBpf('MAP_LOOKUP_ELEM', 32);
  if (result === -ENOENT) return false;
  if (result < 0) throw new CallError('BPF_MAP_LOOKUP_ELEM', -result);
  return true;
}

/** BPF_MAP_DELETE_ELEM; false: there was no such key. */
export function mapDelete(fd: number, key: Uint8Array): boolean {
  setElement(fd, key, undefined, 0);
  const result = tryBpf('MAP_DELETE_ELEM', 32);
  if (result === -ENOENT) return false;
  if (result < 0) throw new CallError('BPF_MAP_DELETE_ELEM', -result);
  return true;
}

/** BPF_MAP_GET_NEXT_KEY: writes the key after `key` (the first for undefined) to `next`; false at the end. */
export function mapNextKey(fd: number, key: Uint8Array | undefined, next: Uint8Array): boolean {
  setElement(fd, key, next, 0);
  const result = tryBpf('MAP_GET_NEXT_KEY', 32);
  if (result === -ENOENT) return false;
  if (result < 0) throw new CallError('BPF_MAP_GET_NEXT_KEY', -result);
  return true;
}

export interface Batch {
  /** Elements that were written to `keys` and `values`. */
  readonly count: number;
  /** True when the map has no more after these. */
  readonly last: boolean;
}

/**
 * BPF_MAP_LOOKUP_BATCH, or BPF_MAP_LOOKUP_AND_DELETE_BATCH with `remove`. `position` is
 * where the batch before ended (undefined: start) and receives where this one ended;
 * 4 bytes for a hash (its bucket), the key size for an array. Throws ENOSPC when one
 * bucket has more elements than `room`, EINVAL before Linux 5.6 and for kinds without it.
 */
export function mapLookupBatch(
  fd: number,
  position: Uint8Array | undefined,
  next: Uint8Array,
  keys: Uint8Array,
  values: Uint8Array,
  room: number,
  remove = false,
): Batch {
  clearAttr();
  if (position) setPointer(0, position);
  setPointer(8, next);
  setPointer(16, keys);
  setPointer(24, values);
  attr.setUint32(32, room, true);
  attr.setUint32(36, fd, true);
  const command = remove ? 'MAP_LOOKUP_AND_DELETE_BATCH' : 'MAP_LOOKUP_BATCH';
  const result = tryBpf(command, 56);
  if (result < 0 && result !== -ENOENT) throw new CallError(`BPF_${command}`, -result);
  return { count: attr.getUint32(32, true), last: result === -ENOENT };
}

/** BPF_MAP_FREEZE: no more writes from user space; lets the verifier take the contents for constants. */
export function mapFreeze(fd: number): void {
  clearAttr();
  attr.setUint32(0, fd, true);
  bpf('MAP_FREEZE', 4);
}

// Programs and BTF -----------------------------------------------------------

export interface ProgramAttributes {
  readonly type: BpfProgramType;
  readonly name: string;
  /** 8 bytes an instruction, relocated. */
  readonly code: Uint8Array;
  readonly license: string;
  readonly flags?: number;
  readonly expectedAttachType?: number;
  readonly attachBtfId?: number;
  /** The BTF of the module that attachBtfId counts in; absent: the kernel's. */
  readonly attachBtfFd?: number;
  readonly btf?: { readonly fd: number; readonly funcInfo: Uint8Array; readonly lineInfo: Uint8Array };
  /** `level` 1: what the verifier does, 2: each state, 4: statistics. `size`: most bytes of log to take. */
  readonly log?: { readonly level: number; readonly size: number };
}

/** The verifier (or BPF_PROG_LOAD before it) said no. `log` is what it wrote, '' when nothing. */
export class ProgramRefusal extends MachineError {
  readonly program: string;
  readonly errno: number;
  readonly log: string;
  constructor(program: string, cause: CallError, log: string) {
    super(cause.message, { code: cause.code, hints: cause.hints, cause });
    this.name = 'ProgramRefusal';
    this.program = program;
    this.errno = cause.errno;
    this.log = log;
  }
}

const FUNC_INFO_SIZE = 8;
const LINE_INFO_SIZE = 16;

function setProgram(program: ProgramAttributes, log: Uint8Array | undefined, level: number): void {
  clearAttr();
  attr.setUint32(0, programTypes[program.type], true);
  attr.setUint32(4, program.code.length / 8, true);
  setPointer(8, program.code);
  setPointer(16, cString(program.license));
  if (log) {
    attr.setUint32(24, level, true);
    attr.setUint32(28, log.length, true);
    setPointer(32, log);
  }
  attr.setUint32(44, program.flags ?? 0, true);
  setName(48, program.name);
  attr.setUint32(68, program.expectedAttachType ?? 0, true);
  if (program.btf) {
    attr.setUint32(72, program.btf.fd, true);
    attr.setUint32(76, FUNC_INFO_SIZE, true);
    setPointer(80, program.btf.funcInfo);
    attr.setUint32(88, program.btf.funcInfo.length / FUNC_INFO_SIZE, true);
    attr.setUint32(92, LINE_INFO_SIZE, true);
    setPointer(96, program.btf.lineInfo);
    attr.setUint32(104, program.btf.lineInfo.length / LINE_INFO_SIZE, true);
  }
  attr.setUint32(108, program.attachBtfId ?? 0, true);
  attr.setUint32(112, program.attachBtfFd ?? 0, true);
}

/** Milliseconds for which a load that is interrupted is tried again. */
const loadPatience = 10_000;
const EAGAIN = 11;
const ENOSPC = 28;
const firstLogSize = 64 * 1024;
const mostLogSize = 16 * 1024 * 1024;

export interface LoadedProgramFd {
  readonly fd: number;
  /** The verifier's log, '' unless asked for. */
  readonly log: string;
}

/**
 * BPF_PROG_LOAD. Loads without a log first (a log costs several times the verification),
 * and when that is refused once more with one, which the ProgramRefusal then carries.
 */
export function progLoad(program: ProgramAttributes): LoadedProgramFd {
  const what = `BPF_PROG_LOAD (${program.type} program ${program.name}, ${program.code.length / 8} instructions)`;
  if (program.log === undefined) {
    const fd = tryLoad(program, undefined, 0);
    if (fd >= 0) return { fd, log: '' };
  }
  const level = program.log?.level ?? 1;
  const limit = program.log?.size ?? mostLogSize;
  let size = Math.min(firstLogSize, limit);
  for (;;) {
    const log = new Uint8Array(size);
    const result = tryLoad(program, log, level);
    // The log keeps its end (5.15: its start) when it is too long, and the load fails for that alone.
    if (result === -ENOSPC && size < limit) {
      size = Math.min(size * 8, limit);
      continue;
    }
    const end = log.indexOf(0);
    const text = new TextDecoder().decode(log.subarray(0, end < 0 ? log.length : end));
    if (result >= 0) return { fd: result, log: text };
    // ENOSPC about a log longer than its limit hides what the verifier thought of the program.
    const verdict = result === -ENOSPC ? tryLoad(program, undefined, 0) : result;
    if (verdict >= 0) return { fd: verdict, log: text };
    throw new ProgramRefusal(program.name, new CallError(what, -verdict), text);
  }
}

function tryLoad(program: ProgramAttributes, log: Uint8Array | undefined, level: number): number {
  const load = (): number => {
    setProgram(program, log, level);
    return tryBpf('PROG_LOAD', 120);
  };
  const result = load();
  if (result !== -EAGAIN) return result;
  // A signal came during verification. A profiler's come faster than a large program is verified.
  return withoutSignals(() => {
    const end = performance.now() + loadPatience;
    for (;;) {
      const again = load();
      if (again !== -EAGAIN || performance.now() > end) return again;
    }
  });
}

/** BPF_BTF_LOAD; the error's message ends with the last line of the kernel's log. */
export function btfLoad(bytes: Uint8Array): number {
  const set = (log: Uint8Array | undefined): void => {
    clearAttr();
    setPointer(0, bytes);
    attr.setUint32(16, bytes.length, true);
    if (log) {
      setPointer(8, log);
      attr.setUint32(20, log.length, true);
      attr.setUint32(24, 1, true);
    }
  };
  set(undefined);
  const fd = tryBpf('BTF_LOAD', 28);
  if (fd >= 0) return fd;
  const log = new Uint8Array(firstLogSize);
  set(log);
  const result = tryBpf('BTF_LOAD', 28);
  if (result >= 0) return result;
  const text = new TextDecoder().decode(log).replace(/\0.*/s, '').trimEnd();
  throw new CallError(`BPF_BTF_LOAD${text && `: ${text.slice(text.lastIndexOf('\n') + 1)}`}`, -result);
}

/**
 * BPF_PROG_TEST_RUN of a RAW_TRACEPOINT program with `context` as its arguments (u64
 * each); gives what the program returned.
 */
export function progTestRun(fd: number, context?: Uint8Array): number {
  clearAttr();
  attr.setUint32(0, fd, true);
  if (context && context.length > 0) {
    attr.setUint32(40, context.length, true);
    setPointer(48, context);
  }
  bpf('PROG_TEST_RUN', 80);
  return attr.getUint32(4, true);
}

// Links ----------------------------------------------------------------------

/** BPF_LINK_CREATE on a perf event's file descriptor (Linux 5.15). */
export function linkPerfEvent(programFd: number, eventFd: number, cookie: number): number {
  clearAttr();
  attr.setUint32(0, programFd, true);
  attr.setUint32(4, eventFd, true);
  attr.setUint32(8, AttachType.PERF_EVENT, true);
  setAddress(16, cookie);
  return bpf('LINK_CREATE', 24, 'perf event');
}

/** The same on a thread of the pool; -1 when it failed. */
export function linkPerfEventOnThread(programFd: number, eventFd: number, cookie: number): Promise<number> {
  const own = new DataView(new ArrayBuffer(24));
  own.setUint32(0, programFd, true);
  own.setUint32(4, eventFd, true);
  own.setUint32(8, AttachType.PERF_EVENT, true);
  own.setBigUint64(16, BigInt(cookie), true);
  return systemCallOnThread([own], 'bpf', [Command.LINK_CREATE, addressOfKept(own), own.byteLength]);
}

export interface UprobeMulti {
  readonly path: string;
  readonly offsets: readonly number[];
  /** One an offset. */
  readonly cookies: readonly number[];
  /** ref_ctr_offsets: where in the file a counter is raised for each offset, 0 for none. */
  readonly counters?: readonly number[];
  /** Probe at the function's return. */
  readonly atReturn: boolean;
  /** Only this process; undefined: all. */
  readonly pid?: number;
}

const BPF_F_UPROBE_MULTI_RETURN = 1;

function u64Array(values: readonly number[]): Uint8Array {
  const words = new Uint32Array(values.length * 2);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    words[2 * i] = value % 2 ** 32;
    words[2 * i + 1] = Math.floor(value / 2 ** 32);
  }
  return new Uint8Array(words.buffer);
}

/** BPF_LINK_CREATE with BPF_TRACE_UPROBE_MULTI (Linux 6.6): one link for all offsets in a file. */
export function linkUprobeMulti(programFd: number, probes: UprobeMulti): number {
  clearAttr();
  attr.setUint32(0, programFd, true);
  attr.setUint32(8, AttachType.TRACE_UPROBE_MULTI, true);
  setPointer(16, cString(probes.path));
  setPointer(24, u64Array(probes.offsets));
  if (probes.counters) setPointer(32, u64Array(probes.counters));
  setPointer(40, u64Array(probes.cookies));
  attr.setUint32(48, probes.offsets.length, true);
  attr.setUint32(52, probes.atReturn ? BPF_F_UPROBE_MULTI_RETURN : 0, true);
  attr.setUint32(56, probes.pid ?? 0, true);
  return bpf('LINK_CREATE', 64, `uprobe_multi, ${probes.offsets.length} functions in ${probes.path}`);
}

export interface KprobeMulti {
  readonly symbols: readonly string[];
  /** One per symbol, for bpf_get_attach_cookie. */
  readonly cookies: readonly number[];
  /** Fires when the functions return. */
  readonly atReturn: boolean;
  /** For a program loaded for TRACE_KPROBE_SESSION, which runs at entry and return. */
  readonly session?: boolean;
}

const BPF_F_KPROBE_MULTI_RETURN = 1;

/** BPF_LINK_CREATE with one kprobe_multi link for all functions (Linux 5.18). */
export function linkKprobeMulti(programFd: number, probes: KprobeMulti): number {
  const names = probes.symbols.map(cString);
  const pointers = new BigUint64Array(names.map((name) => BigInt(addressOf(name))));
  clearAttr();
  attr.setUint32(0, programFd, true);
  attr.setUint32(8, probes.session === true ? AttachType.TRACE_KPROBE_SESSION : AttachType.TRACE_KPROBE_MULTI, true);
  attr.setUint32(16, probes.atReturn ? BPF_F_KPROBE_MULTI_RETURN : 0, true);
  attr.setUint32(20, names.length, true);
  setPointer(24, pointers);
  setPointer(40, u64Array(probes.cookies));
  return bpf('LINK_CREATE', 48, `kprobe_multi, ${names.length} functions`);
}

/** BPF_LINK_CREATE of an iterator; with `pid` over that process alone (Linux 6.1, iterators over tasks). */
export function linkIterator(programFd: number, pid?: number): number {
  clearAttr();
  attr.setUint32(0, programFd, true);
  attr.setUint32(8, AttachType.TRACE_ITER, true);
  if (pid === undefined) return bpf('LINK_CREATE', 16, 'iterator');
  // union bpf_iter_link_info: task.tid, task.pid, task.pid_fd
  const info = new Uint32Array([0, pid, 0, 0]);
  setPointer(16, info);
  attr.setUint32(24, info.byteLength, true);
  return bpf('LINK_CREATE', 32, `iterator over process ${pid}`);
}

/** BPF_ITER_CREATE: a file that goes once through everything when it is read. */
export function iteratorCreate(linkFd: number): number {
  clearAttr();
  attr.setUint32(0, linkFd, true);
  return bpf('ITER_CREATE', 8);
}

/** BPF_OBJ_PIN: gives a link (or map, program) a name in bpffs, which keeps it alive. */
export function pinObject(fd: number, path: string): void {
  clearAttr();
  setPointer(0, cString(path));
  attr.setUint32(8, fd, true);
  bpf('OBJ_PIN', 16, path);
}

/** BPF_RAW_TRACEPOINT_OPEN; `name` undefined for a program with attach_btf_id. Gives a link. */
export function rawTracepointOpen(programFd: number, name: string | undefined): number {
  clearAttr();
  if (name !== undefined) setPointer(0, cString(name));
  attr.setUint32(8, programFd, true);
  return bpf('RAW_TRACEPOINT_OPEN', 16, name);
}
