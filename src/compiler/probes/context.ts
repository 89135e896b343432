/** What an expanded probe means for the code in its block: where it runs and what it can see. */
import type { Span } from '../../diag/source.ts';
import type { BpfProgramType, ProbeSpec } from '../../program/program.ts';
import type { TracepointFormat } from '../../target/target.ts';
import type { UsdtArgument } from './usdtargs.ts';

/** An attach point without the numbers that compile() gives it at the end. */
export type Attachment = ProbeSpec extends infer Spec
  ? Spec extends ProbeSpec
    ? { readonly spec: Omit<Spec, 'program' | 'name'>; readonly name: string }
    : never
  : never;

export type ProviderName =
  | 'begin' | 'end' | 'self' | 'tracepoint' | 'rawtracepoint' | 'uprobe' | 'uretprobe' | 'usdt'
  | 'interval' | 'profile' | 'software' | 'hardware' | 'kprobe' | 'kretprobe';

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
  /** Where a usdt probe's arguments are. */
  readonly usdtArguments?: readonly UsdtArgument[];
  /** The context starts with the user's or kernel's registers (struct pt_regs). */
  readonly registers: boolean;
  /** Integers that are cast to pointers point into user memory (a user-space probe). */
  readonly userMemory: boolean;
  /** Runs in some process, so that user stacks mean something. */
  readonly hasProcess: boolean;
}
