/**
 * What the compiler may ask of a machine. kernel/host implements it for the machine it
 * runs on, fixed.ts for tests. Every answer is lazy: a script that names no tracepoint
 * never reads tracefs.
 */
import type { MachineError } from '../base/errors.ts';
import type { FileOffset, VirtualAddress } from '../base/numbers.ts';
import type { Result } from '../base/result.ts';
import type { Field } from '../types/model.ts';
import type { ProgramTypes, TypeSource } from '../types/source.ts';

export interface TracepointFormat {
  readonly id: number;
  readonly category: string;
  readonly event: string;
  /** All fields with offsets in the record, the 4 common_ ones included; syscall arguments are 8 bytes wide and their pointers user pointers. */
  readonly fields: readonly (Field & { readonly declaration: string })[];
}

export interface Features {
  readonly kernel: { readonly major: number; readonly minor: number; readonly release: string };
  readonly uprobeMulti: boolean;
  readonly kprobeMulti: boolean;
  readonly bpfLoop: boolean;
  readonly kprobes: boolean;
}

export interface FunctionSymbol {
  /** As in the symbol table (mangled). */
  readonly name: string;
  /** Demangled, '' when it is the same. */
  readonly demangled: string;
  readonly address: VirtualAddress;
  readonly size: number;
  /** Where the name comes from: `.symtab`, `.dynsym`, `debug file` … */
  readonly origin?: string;
}

/** A trace point that a program's source defines (sys/sdt.h); one name may stand at many places. */
export interface UsdtProbe {
  readonly provider: string;
  readonly name: string;
  readonly address: VirtualAddress;
  /** Of the counter that tells the program that somebody traces, undefined when there is none. */
  readonly semaphore: VirtualAddress | undefined;
  /** As the assembler writes them: `-4@%edi 8@-16(%rbp)`. */
  readonly arguments: string;
}

/** What is known of an address in code: beginnings, undefined when they cannot be told. */
export interface CodePlace {
  readonly function: VirtualAddress | undefined;
  readonly instruction: VirtualAddress | undefined;
}

/** An instruction that leaves a function: returns, or jumps to another function (`condition`: the low 4 bits of jcc). */
export type FunctionExit =
  | { readonly address: VirtualAddress; readonly kind: 'ret' | 'jump' }
  | { readonly address: VirtualAddress; readonly kind: 'conditional'; readonly condition: number };

export interface FunctionExits {
  /** Where a probe at the function's begin stands best: arguments and stack are as they were at its first byte. */
  readonly entry: VirtualAddress;
  readonly exits: readonly FunctionExit[];
  /** It calls no other function, and jumps to none. */
  readonly leaf: boolean;
}

/** An executable or library as a probe target. */
export interface Binary {
  /** Where the file is read from and attached to (may be below /proc/PID/root). */
  readonly path: string;
  /** Functions of exactly that name, mangled, demangled, or demangled without the parameter list. */
  find(name: string): readonly FunctionSymbol[];
  /** Functions one of whose names matches the glob (`*`, `?`, `[…]`). */
  match(glob: string): readonly FunctionSymbol[];
  /** Their names alone, each once, by address: the quick way for lists. */
  names(glob: string): Iterable<string>;
  /**
   * Functions of a stripped program whose inferred name (without its `~`) matches a
   * pattern in which `*` and `?` are wildcards; their name has the `~`.
   */
  inferred(pattern: string): readonly FunctionSymbol[];
  /** The function that covers an address. */
  at(address: VirtualAddress): FunctionSymbol | undefined;
  /** Where the function and the instruction begin that the address lies in. */
  codeAt(address: VirtualAddress): CodePlace;
  /** Where the function leaves that begins at an address; undefined when its code cannot be followed. */
  exits(address: VirtualAddress): FunctionExits | undefined;
  /** Whether exceptions may pass through its code: it has landing pads, or needs a library that unwinds. */
  readonly unwindable: boolean;
  /**
   * Whether exceptions (C++) or panics (Rust) that somebody catches may pass through its code. Other than
   * `unwindable` it leaves out code that only cleans up when a thread is cancelled, as libc has it, and Go.
   */
  readonly throws: boolean;
  /** Whether it is written in Go, whose runtime moves the stacks of goroutines, and reads the return addresses on them. */
  readonly movesStacks: boolean;
  /** Libraries that it needs, by soname. */
  readonly needed: readonly string[];
  /** Through the program headers. Fails when no executable segment (no segment at all, with `any`) has that address. */
  toFileOffset(address: VirtualAddress, which?: 'executable' | 'any'): Result<FileOffset, MachineError>;
  /**
   * Where the code of a source line (and column) begins: once in its function, and once in each
   * place that it was inlined into. A relative `file` is the end of a path. Empty where
   * debugging information has no code for it.
   */
  sourcePlaces(file: string, line: number, column: number | undefined): readonly VirtualAddress[];
  /** Lines of a source file that have code, with their columns, ascending; undefined without debugging information. */
  sourceLines(file: string): readonly { readonly line: number; readonly column: number }[] | undefined;
  /** The virtual address of a byte in the file that is mapped for execution. */
  addressAt(offset: FileOffset): VirtualAddress | undefined;
  /** All trace points of the file. */
  usdt(): readonly UsdtProbe[];
  /** An object (global variable) by name. */
  object(name: string): { readonly address: VirtualAddress; readonly size: number } | undefined;
  /** Types and functions as the file's debugging information describes them; undefined when it has none. */
  types(): ProgramTypes | undefined;
  /** True when there is neither .symtab nor a debug file. */
  readonly stripped: boolean;
  readonly positionIndependent: boolean;
  /** Hex, '' when none. */
  readonly buildId: string;
  /** What the binary says of itself ("envoy version …"), undefined when it says nothing recognisable. */
  version(): string | undefined;
  /** Names like the one asked for, best first, for "did you mean". */
  near(name: string): readonly string[];
}

/** A BPF program that is loaded, with the functions in it, its own and those that it calls. */
export interface RunningProgram {
  readonly id: number;
  readonly functions: readonly string[];
}

/** A pid namespace by the device and inode of its file in /proc/PID/ns. */
export interface PidNamespace {
  readonly device: number;
  readonly inode: number;
}

export interface Target {
  readonly arch: 'x86_64' | 'arm64';
  /** Number of possible CPUs (size of a per-CPU value). */
  readonly cpus: number;
  readonly features: Features;
  /** Kernel BTF, undefined when there is none. */
  kernelTypes(): TypeSource | undefined;
  /** Fails with what is missing (tracefs) or undefined inside when there is no such event. */
  tracepoint(category: string, event: string): Result<TracepointFormat | undefined, MachineError>;
  /** `category:event` of all tracepoints. */
  tracepoints(): Result<readonly string[], MachineError>;
  /** Functions that kprobe/fentry could attach to. */
  kernelFunctions(): readonly string[];
  /** Whether programs of a type may call a function of the kernel that is made for BPF (kfunc). */
  kfuncAllowed(name: string, type: 'KPROBE' | 'TRACEPOINT' | 'PERF_EVENT' | 'RAW_TRACEPOINT' | 'TRACING'): boolean;
  /** Number of the cgroup with that folder, undefined when there is none. */
  cgroupId(path: string): bigint | undefined;
  /** BPF programs that others may attach to. */
  bpfPrograms(): readonly RunningProgram[];
  /** Address of a kernel symbol. */
  kernelSymbol(name: string): bigint | undefined;
  /** A macro constant of the uapi headers (AF_INET, O_CREAT …). */
  constant(name: string): bigint | undefined;
  /** All names of such constants, for hints. */
  constantNames(): Iterable<string>;
  /** Text of a header, `<…>` or `"…"`, from -I, the script's folder and the system's include folders. */
  header(
    path: string,
    system: boolean,
    from: string | undefined,
  ): { readonly path: string; readonly text: string } | undefined;
  /** A file by path, program name (PATH), or library short name (libc → the system's libc.so.6). */
  binary(name: string, pid: number | undefined): Result<Binary, MachineError>;
  /** Paths of the program files that a path with wildcards means; with `*` and a process, of all that it has mapped to run. */
  programFiles(glob: string, pid: number | undefined): readonly string[];
  /** The tracer's own pid namespace, undefined when it is the machine's first one. */
  pidNamespace(): PidNamespace | undefined;
  processExists(pid: number): boolean;
  /** What to add to a virtual address of a file to have its address in a process; undefined where it is not mapped. */
  loadBias(binary: Binary, pid: number): bigint | undefined;
}
