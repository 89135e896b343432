/** What a provider of probes is to the compiler. */
import type { Diagnostics } from '../../diag/diagnostic.ts';
import type { Target } from '../../target/target.ts';
import type { AttachPointSyntax } from '../syntax/ast.ts';
import type { ProbeContext } from './context.ts';

export interface ExpandOptions {
  readonly target: Target;
  readonly diagnostics: Diagnostics;
  readonly parameters: readonly string[];
  readonly pid: number | undefined;
  readonly missing: 'error' | 'warn' | 'ignore';
  /** The block uses `args`: every tracepoint needs a compilation of its own. */
  readonly usesArgs: boolean;
  /** The block uses `retval`. */
  readonly usesResult: boolean;
  /** The block uses `arg0`, `arg1` …: every place of a usdt probe with arguments of its own needs a compilation of its own. */
  readonly usesNumbered: boolean;
}

/** Gives the contexts of one attach point; complains into options.diagnostics. */
export type Provider = (point: AttachPointSyntax, rest: string, options: ExpandOptions) => readonly ProbeContext[];
