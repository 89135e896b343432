/** Text in, Program out: the list of passes stands here, in order. */
import type { Diagnostic } from '../diag/diagnostic.ts';
import type { Source } from '../diag/source.ts';
import type { Program } from '../program/program.ts';
import type { Target } from '../target/target.ts';

export interface CompileOptions {
  /** $1, $2 … */
  readonly parameters?: readonly string[];
  /** -p: the process that pid-filtered probes are limited to. */
  readonly pid?: number;
  /** Pid of the -c child. */
  readonly childPid?: number;
  readonly unsafe?: boolean;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Include BTF line information. Default true. */
  readonly debugInfo?: boolean;
}

export type DebugStage = 'ast' | 'types' | 'ir' | 'bpf';

export type CompileResult =
  | { readonly ok: true; readonly program: Program; readonly warnings: readonly Diagnostic[]; dump(stage: DebugStage): string }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[]; dump(stage: 'ast'): string };

export type Compile = (source: Source, target: Target, options: CompileOptions) => CompileResult;
