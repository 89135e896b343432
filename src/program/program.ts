/**
 * The compiled Program: the only contract between compiler and runtime. Plain,
 * serialisable data; the same source and Target give the same Program on any machine.
 */
import type { Schema } from './schema.ts';

/** BPF map types that the compiler asks for, by kernel name without BPF_MAP_TYPE_. */
export type MapKind =
  | 'HASH'
  | 'ARRAY'
  | 'PERCPU_HASH'
  | 'PERCPU_ARRAY'
  | 'LRU_HASH'
  | 'LRU_PERCPU_HASH'
  | 'STACK_TRACE'
  | 'ARRAY_OF_MAPS'
  | 'PERF_EVENT_ARRAY'
  | 'RINGBUF';

/**
 * What a map is for. user: a script's `@map`. scratch: big values of running programs.
 * globals: values that the runtime sets before start or reads (see GlobalLayout).
 * kept: arguments of functions that have not returned yet.
 * followed: tgids (of the machine's first namespace) of the processes that --follow has found.
 * calls: what `insitu calls` keeps (program/calls.ts), by name.
 * packets: rings of perf events by CPU, which packets are copied into.
 * constants: read-only bytes (string literals, zeros), frozen after `initial` is written.
 */
export type MapRole =
  | 'user'
  | 'events'
  | 'stacks'
  | 'scratch'
  | 'globals'
  | 'constants'
  | 'kept'
  | 'followed'
  | 'calls'
  | 'packets'
  | UnwindRole;

/**
 * Maps of the unwinder (program/unwind.ts). unwind_state: what it works with. unwind_rules,
 * unwind_tables (by file number), unwind_files (by inode), unwind_processes (by process
 * id): filled by the runtime. unwind_cache: rules found lately. unwind_notes: what the
 * runtime is asked to look at; unwind_asked: when that was, by process id; unwind_saved:
 * sums of the pieces of stacks that it was handed last, by memory and address.
 */
export type UnwindRole =
  | 'unwind_state'
  | 'unwind_rules'
  | 'unwind_tables'
  | 'unwind_files'
  | 'unwind_processes'
  | 'unwind_cache'
  | 'unwind_notes'
  | 'unwind_asked'
  | 'unwind_saved';

export interface MapSpec {
  readonly role: MapRole;
  /** For role user the script's name without `@`. */
  readonly name: string;
  readonly kind: MapKind;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** BPF_F_* flags for BPF_MAP_CREATE: BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BPF_F_RDONLY_PROG … */
  readonly flags: number;
  /** First value of element 0 (globals, constants), base64 in JSON. */
  readonly initial?: Uint8Array;
  readonly user?: UserMap;
  /** Of an ARRAY_OF_MAPS: what its elements are, ARRAYs of any number of elements. */
  readonly innerValueSize?: number;
}

export interface UserMap {
  /**
   * How keys are read and shown: one schema per written key (`@[pid, comm]` has a
   * tuple of two, flattened here with offsets); empty for a map without keys.
   */
  readonly keys: readonly { readonly offset: number; readonly schema: Schema }[];
  readonly value: Schema;
  /**
   * `hash`: a keyed BPF map, per CPU when kind says so. `array`: one element of an
   * ARRAY; with `cpus` > 1 that element holds one value per CPU, `stride` bytes apart,
   * which the reader adds up. An array value has never been set while its `set` flag
   * (u64 at `setOffset` in the element) is 0.
   */
  readonly storage:
    | { readonly kind: 'hash' }
    | { readonly kind: 'array'; readonly cpus: number; readonly stride: number; readonly setOffset: number };
}

/** Where an instruction names something that only has a number at load time. */
export type Relocation =
  /** BPF_PSEUDO_MAP_FD in the two-slot ld_imm64 at `insn`. */
  | { readonly insn: number; readonly kind: 'map_fd'; readonly map: number }
  /** BPF_PSEUDO_MAP_VALUE: address of byte `offset` of element 0. */
  | { readonly insn: number; readonly kind: 'map_value'; readonly map: number; readonly offset: number }
  /** BPF_PSEUDO_BTF_ID: a per-CPU variable of the kernel, by its name in BTF. */
  | { readonly insn: number; readonly kind: 'kernel_variable'; readonly name: string }
  /** BPF_PSEUDO_KFUNC_CALL: a function of the kernel, by its name in BTF. */
  | { readonly insn: number; readonly kind: 'kfunc'; readonly name: string };

/** Kernel program types, by name without BPF_PROG_TYPE_. */
export type BpfProgramType = 'KPROBE' | 'TRACEPOINT' | 'PERF_EVENT' | 'RAW_TRACEPOINT' | 'TRACING';

export interface TracingTarget {
  readonly as: 'fentry' | 'fexit' | 'iter' | 'tp_btf';
  /** A function's name; of iter what is gone through (`task`), of tp_btf the tracepoint. */
  readonly name: string;
  /** The module that the function is in, undefined for the kernel itself or when any will do. */
  readonly module?: string;
  /** Id of the BPF program that the function is in. */
  readonly program?: number;
}

export interface BpfProgram {
  /** At most 15 characters of [A-Za-z0-9_.] reach the kernel. */
  readonly name: string;
  readonly type: BpfProgramType;
  /** 8 bytes an instruction, as the kernel takes them; relocated fields are 0. */
  readonly code: Uint8Array;
  readonly relocations: readonly Relocation[];
  /** Per instruction slot: start and end offset of the script text it came from; -1 -1 when none. */
  readonly spans: Int32Array;
  /** .BTF bytes, func_info and line_info records as BPF_PROG_LOAD takes them; absent without debug info. */
  readonly btf?: { readonly btf: Uint8Array; readonly funcInfo: Uint8Array; readonly lineInfo: Uint8Array };
  /** For TRACING: what of the kernel it is made for; the kernel wants to know when it is loaded. */
  readonly attachTo?: TracingTarget;
  /** For uprobes: may be loaded as sleepable (BPF_F_SLEEPABLE). */
  readonly sleepable?: boolean;
}

/** Perf events of one process's threads. */
export interface OfProcess {
  readonly pid?: number;
  /** And of the processes that it starts from now on. */
  readonly children?: boolean;
}

/** One event source to attach a program to. All of a script's probes, in the script's order. */
export type ProbeSpec = {
  /** Index into Program.programs. */
  readonly program: number;
  /** Index into Program.probeNames: also the bpf_cookie where the link has one. */
  readonly name: number;
} & (
  | { readonly kind: 'begin' | 'end' }
  | { readonly kind: 'self'; readonly signal: string }
  /** Run by the session when it is asked for tests or benchmarks. */
  | { readonly kind: 'test' | 'bench'; readonly title: string }
  | { readonly kind: 'tracepoint'; readonly category: string; readonly event: string }
  | { readonly kind: 'rawtracepoint'; readonly event: string }
  | {
      readonly kind: 'uprobe' | 'uretprobe' | 'usdt';
      /** As the tracer sees it (may start with /proc/PID/root). */
      readonly path: string;
      /** Where in the file: what the kernel takes. */
      readonly offset: number;
      /** Function it came from, '' for a bare address; of usdt `provider:name`. */
      readonly symbol: string;
      /** usdt: where in the file the counter is that the kernel raises while the probe is attached. */
      readonly semaphore?: number;
      /** Only this process; undefined: all. */
      readonly pid?: number;
      /** Runs for another probe of the script: it keeps arguments at the entry. Not counted as attached. */
      readonly serves?: true;
    }
  | ({ readonly kind: 'interval' | 'profile'; readonly periodNs?: string; readonly frequencyHz?: number } & OfProcess)
  | ({ readonly kind: 'software' | 'hardware'; readonly event: string; readonly count: string } & OfProcess)
  | { readonly kind: 'fentry' | 'fexit'; readonly module: string | undefined; readonly symbol: string }
  /** `address` in decimal; `mode`: letters of `rwx`. Without `pid` the kernel's address. */
  | ({
      readonly kind: 'watchpoint';
      readonly address: string;
      readonly length: 1 | 2 | 4 | 8;
      readonly mode: string;
    } & OfProcess)
  /** `pin`: where in bpffs the iterator is put for others to read, instead of being read at once. */
  | { readonly kind: 'iter'; readonly object: string; readonly pin?: string; readonly pid?: number }
  | {
      readonly kind: 'kprobe' | 'kretprobe';
      readonly module: string | undefined;
      readonly symbol: string;
      readonly offset: number;
    }
);

/** Part of a printf format. */
export type FormatPiece =
  | { readonly text: string }
  | {
      /** `d i u x X o p c s r` …; `r` family: `r`, `rx`, `rh`. */
      readonly conversion: string;
      /** Among `-`, `0`, `+`, space, `#`. */
      readonly flags: string;
      readonly width: number | undefined;
      readonly precision: number | undefined;
      /** `hh`, `h`, `l`, `ll`, `j`, `z` or ''. */
      readonly length: string;
      /** Index of the argument. */
      readonly argument: number;
    };

export interface EventArgument {
  /** From the start of the record. */
  readonly offset: number;
  readonly schema: Schema;
}

/**
 * What the runtime does with an event record. A record starts with u32 index into
 * Program.events, u32 process (where a schema `code` wants it, else 0); arguments follow, each aligned to 8 bytes.
 */
export type EventSpec = { readonly size: number; readonly span: readonly [start: number, end: number] } & (
  | {
      readonly kind: 'printf' | 'errorf' | 'warnf' | 'system' | 'cat';
      readonly format: readonly FormatPiece[];
      readonly args: readonly EventArgument[];
    }
  | { readonly kind: 'print_value'; readonly value: EventArgument }
  | {
      readonly kind: 'print_map';
      /** Index into Program.maps. */
      readonly map: number;
      /** 0 for all / no division. */
      readonly top: number;
      readonly div: number;
    }
  | { readonly kind: 'clear' | 'zero'; readonly map: number }
  | { readonly kind: 'time'; readonly format: string }
  | {
      readonly kind: 'join';
      readonly delimiter: string;
      readonly count: number;
      readonly argSize: number;
      readonly offset: number;
    }
  /** The watchpoints of the address, u64 at offset, are removed. */
  | { readonly kind: 'unwatch'; readonly offset: number }
  /**
   * The tree of an object: u64 address; `parts` parts of `partBytes` bytes of it from `seen`
   * on, for each an i64 from `status` on that is negative where it could not be read.
   */
  | {
      readonly kind: 'object';
      readonly address: number;
      readonly status: number;
      readonly seen: number;
      readonly parts: number;
      readonly partBytes: number;
      /** Objects behind pointers, how many deep. */
      readonly depth: number;
    }
  /** exit code: i32 at offset. */
  | { readonly kind: 'exit'; readonly offset: number }
  /** A helper failed at run time: i32 errno at offset; `what` names the helper. */
  | { readonly kind: 'runtime_error'; readonly what: string; readonly offset: number }
);

/**
 * A call of skboutput(): packets that go to a file. A record in the ring of `packets` has
 * u32 index into Program.packets, u32 bytes of the packet that follow, u32 bytes that were
 * asked for, 4 bytes of nothing, u64 CLOCK_BOOTTIME nanoseconds, and the packet.
 */
export interface PacketSpec {
  readonly path: string;
  /** Bytes at the packet's start that are left out. */
  readonly offset: number;
}

/** Byte offsets in the value of the `globals` map (an mmapable ARRAY of one element). Counters start at 0. */
export interface GlobalsLayout {
  /** u64: CLOCK_BOOTTIME nanoseconds at the start of tracing, for `elapsed`. Set by the runtime. */
  readonly startNs: number;
  /** u64: what CLOCK_BOOTTIME lacks to the nanoseconds since 1970, for tseries(). Set by the runtime. */
  readonly wallClock: number;
  /** u64: what CLOCK_BOOTTIME lacks to CLOCK_TAI, for nsecs(sw_tai). Set by the runtime. */
  readonly taiClock: number;
  /** u32 tgid of the tracer, u32 of the -c child; set by the runtime, 0 when none. */
  readonly selfPid: number;
  readonly childPid: number;
  /** u64: reads of traced memory that failed (page not present, bad address). */
  readonly failedReads: number;
  /** u64: runs of a probe given up because its scratch memory was in use by interrupted probes. */
  readonly scratchBusy: number;
  /** u64: processes that --follow had no room for. */
  readonly notFollowed: number;
  /** u64: loops ended at the kernel's limit of iterations. */
  readonly loopLimit: number;
  /** u64: return probes skipped because the function's arguments had not been kept. */
  readonly notKept: number;
  /** u64: bit 32 is set once exit() was called, with its code below; its record may have found no room. */
  readonly exit: number;
  /** u64[lostSlots], one per CPU (index cpu & (slots-1)), 64 bytes apart: event records that found no room. */
  readonly lost: number;
  readonly lostSlots: number;
  /** u64 per user map, in the order of Program.maps with role user: updates that found the map full. */
  readonly mapFull: number;
  /** u64 per StackEnd, by number (room for `endNumbers`): user stacks that ended so. */
  readonly stackEnds: number;
  /** u64: user stacks for which frame pointers were followed where rules may exist. */
  readonly stackGuesses: number;
  /** u64: user stacks that found no room to be kept. */
  readonly stacksFull: number;
  readonly size: number;
}

export interface Config {
  readonly maxStrlen: number;
  /** Of whole values: how deep contents within contents are followed, how many elements, how many bytes of a text. */
  readonly maxValueDepth: number;
  readonly maxValueElements: number;
  readonly maxValueBytes: number;
  readonly maxMapKeys: number;
  readonly maxProbes: number;
  readonly maxBpfProgs: number;
  readonly maxCatBytes: number;
  readonly onStackLimit: number;
  readonly perfRbPages: number;
  readonly printMapsOnExit: boolean;
  /** Probes of a function are also where it was inlined into others. */
  readonly probeInline: boolean;
  readonly cppDemangle: boolean;
  readonly lazySymbolication: boolean;
  readonly showDebugInfo: boolean;
  readonly strTruncTrailer: string;
  readonly stackMode: 'bpftrace' | 'perf' | 'raw' | 'build_id';
  /** How user stacks are walked: by call frame information (auto: where that can be done), or frame pointers. */
  readonly ustackUnwind: 'auto' | 'fp' | 'cfi';
  readonly missingProbes: 'error' | 'warn' | 'ignore';
  readonly unstableTseries: 'error' | 'warn' | 'enable';
  readonly unstableDwUstack: 'error' | 'warn' | 'enable';
  readonly cacheUserSymbols: 'PER_PID' | 'PER_PROGRAM' | 'NONE';
  readonly license: string;
  readonly logSize: number;
}

export interface Program {
  readonly config: Config;
  readonly maps: readonly MapSpec[];
  readonly programs: readonly BpfProgram[];
  readonly probes: readonly ProbeSpec[];
  /** Attached before them, and not counted among them: what keeps the `followed` map. */
  readonly followers: readonly ProbeSpec[];
  /** Full probe names, as the `probe` builtin prints them. */
  readonly probeNames: readonly string[];
  readonly events: readonly EventSpec[];
  readonly packets: readonly PacketSpec[];
  readonly globals: GlobalsLayout;
  /** True when user addresses will have to be named (stacks, usym): the runtime then follows mappings. */
  readonly needsUserSymbols: boolean;
  /** True when user stacks are unwound by tables, which the runtime then provides. */
  readonly unwinds: boolean;
  /** True when system(), signal() … are used (only with --unsafe). */
  readonly unsafe: boolean;
}
