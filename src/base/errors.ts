/**
 * The machine's channel for what goes wrong: a file, a kernel, a process or a
 * permission was not as needed. (A user's mistake in a script is a Diagnostic, a bug
 * in insitu is an assertion.)
 */
export interface MachineErrorDetails {
  /** Stable, upper-case, for programs: `ENOENT`, `E_NOT_ELF`, `E_NO_CAPABILITY` … */
  readonly code: string;
  /** What to do about it, as one or more sentences; printed on `HINT:` lines. */
  readonly hints?: readonly string[];
  readonly cause?: unknown;
}

export class MachineError extends Error {
  readonly code: string;
  readonly hints: readonly string[];
  constructor(message: string, details: MachineErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'MachineError';
    this.code = details.code;
    this.hints = details.hints ?? [];
  }
}

/** Reached only through a bug in insitu: says so, instead of a wrong answer. */
export function unreachable(value: never, what: string): never {
  throw new Error(`insitu bug: unexpected ${what}: ${JSON.stringify(value)}`);
}

/** Asserts an invariant of insitu's own code. */
export function invariant(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`insitu bug: ${what}`);
}
