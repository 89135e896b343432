/** What an expanded probe means for the code in its block: where it runs and what it can see. */
import type { Span } from '../../diag/source.ts';
import type { BpfProgramType, ProbeSpec, TracingTarget } from '../../program/program.ts';
import type { Binary, TracepointFormat } from '../../target/target.ts';
import type { Location } from '../../types/location.ts';
import type { Field, Type } from '../../types/model.ts';
import type { ProgramTypes, ProgramVariable } from '../../types/source.ts';
import type { UsdtArgument } from './usdtargs.ts';

/** An attach point without the numbers that compile() gives it at the end. */
export type Attachment = ProbeSpec extends infer Spec
  ? Spec extends ProbeSpec
    ? { readonly spec: Omit<Spec, 'program' | 'name'>; readonly name: string }
    : never
  : never;

export type ProviderName =
  | 'begin'
  | 'end'
  | 'self'
  | 'test'
  | 'bench'
  | 'tracepoint'
  | 'rawtracepoint'
  | 'uprobe'
  | 'uretprobe'
  | 'usdt'
  | 'fentry'
  | 'fexit'
  | 'iter'
  | 'watchpoint'
  | 'interval'
  | 'profile'
  | 'software'
  | 'hardware'
  | 'kprobe'
  | 'kretprobe';

/** What a block sees of the program's function that it is attached to. */
export interface ProbedFunction {
  /** What messages call it. */
  readonly name: string;
  /** Undefined where no debugging information tells. */
  readonly arguments: readonly ProgramVariable[] | undefined;
  readonly result: ProgramVariable | undefined;
  /** Locals and arguments in scope at the probed instruction. */
  readonly variables: () => readonly ProgramVariable[];
  /** Of a return probe: where the function is entered, to keep its arguments there. */
  readonly entry?: Attachment;
  /** Virtual address of the probed instruction: tells where in the process the file lies. */
  readonly address: number;
  /** The file is always loaded at its virtual addresses. */
  readonly fixed: boolean;
  readonly binary: Binary;
}

/** Which processes a program works for; in others it does nothing. */
export interface ProcessFilter {
  /** As the tracer's pid namespace counts. */
  readonly pids: readonly number[];
  /** And those that they have started since. */
  readonly children: boolean;
}

/** One compilation of a probe block: all attachments in it see the same context layout. */
export interface ProbeContext {
  readonly provider: ProviderName;
  readonly programType: BpfProgramType;
  readonly attachments: readonly Attachment[];
  readonly span: Span;
  /** For the names of programs in the kernel: letters, digits, `_`. */
  readonly shortName: string;
  /** Layout of `args`, for tracepoints. */
  readonly tracepoint?: TracepointFormat;
  /** What `args.NAME` are, for functions and raw tracepoints: fields of the context. */
  readonly parameters?: readonly Field[];
  /** Where they are when they are no fields: in the registers and on the stack with which a function of the kernel begins. */
  readonly parameterLocations?: ReadonlyMap<Field, Location>;
  /** Other places of the same attach point may turn out to share this one's program, which then tells them apart by cookie. */
  readonly mayBeShared?: boolean;
  /** What `retval` is, at the return of a function whose type is known. */
  readonly returns?: Field;
  /** A function of a program, as its debugging information describes it; only where the block asks. */
  readonly function?: ProbedFunction;
  /** Types of the probed program, which come before the kernel's. */
  readonly programTypes?: () => ProgramTypes | undefined;
  /** For TRACING programs. The verifier knows what their context's pointers point to, and allows no arithmetic on them. */
  readonly attachTo?: TracingTarget;
  /** What `ctx` points to, and where in it the pointer is that is 0 when an iterator has come to its end. */
  readonly iterator?: { readonly type: Type; readonly object: number };
  /** Where a usdt probe's arguments are. */
  readonly usdtArguments?: readonly UsdtArgument[];
  /** The context starts with the user's or kernel's registers (struct pt_regs). */
  readonly registers: boolean;
  /** Integers that are cast to pointers point into user memory (a user-space probe). */
  readonly userMemory: boolean;
  /** Only these processes matter, which the program itself has to look for. */
  readonly processes?: ProcessFilter;
  /** Runs in some process, so that user stacks mean something. */
  readonly hasProcess: boolean;
}
