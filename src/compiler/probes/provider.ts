/** What a provider of probes is to the compiler. */
import type { Diagnostics } from '../../diag/diagnostic.ts';
import type { Target } from '../../target/target.ts';
import type { AttachPointSyntax } from '../syntax/ast.ts';
import type { ProbeContext } from './context.ts';

/** Which processes a script is about. */
export interface Scope {
  /** -p, or the process of -c; none: all. */
  readonly pids: readonly number[];
  /** What they start, too (--follow). */
  readonly children: boolean;
  /** Also for probes of the whole kernel, which -c alone leaves open. */
  readonly everywhere: boolean;
}

export interface ExpandOptions {
  readonly target: Target;
  readonly diagnostics: Diagnostics;
  readonly parameters: readonly string[];
  /** The process in whose eyes the names of files are meant, and that probes on it are limited to. */
  readonly pid: number | undefined;
  readonly missing: 'error' | 'warn' | 'ignore';
  /** --unsafe: places that may break the traced program are allowed. */
  readonly unsafe: boolean;
  /** The block uses `args`: every tracepoint needs a compilation of its own. */
  readonly usesArgs: boolean;
  /** The block asks for variables of the program, whose addresses depend on where it is loaded. */
  readonly usesGlobals: boolean;
  /** Copies of a function that were inlined into others are places of its probe too (config probe_inline). */
  readonly inlined: boolean;
  /** The block calls what is there only for programs whose arguments have types. */
  readonly usesTyped: boolean;
  /** The block uses `retval`. */
  readonly usesResult: boolean;
  /** The block uses `arg0`, `arg1` …: every place of a usdt probe with arguments of its own needs a compilation of its own. */
  readonly usesNumbered: boolean;
}

/** Gives the contexts of one attach point; complains into options.diagnostics. */
export type Provider = (point: AttachPointSyntax, rest: string, options: ExpandOptions) => readonly ProbeContext[];
