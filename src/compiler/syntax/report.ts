/** Counts what goes wrong while a script is read, and gives up when it is too much. */
import type { Diagnostics } from '../../diag/diagnostic.ts';
import type { Span } from '../../diag/source.ts';

/** Reported errors, after which the rest of the script is not read. */
const ERROR_LIMIT = 20;

/** Thrown to leave a broken construct. */
export const unwind: Error = new Error('leave a broken construct');
/** Thrown to leave a probe: its end is missing. */
export const unwindProbe: Error = new Error('leave a broken probe');
/** Thrown to leave the script: too much is wrong. */
export const unwindScript: Error = new Error('leave a broken script');

export class Report {
  readonly diagnostics: Diagnostics;
  /** End of the place of the last lexical error: what follows from it is not reported again. */
  badUntil = -1;
  #count = 0;

  constructor(diagnostics: Diagnostics) {
    this.diagnostics = diagnostics;
  }

  error(code: string, message: string, span: Span | undefined, ...hints: string[]): void {
    this.diagnostics.error(code, message, span, ...hints);
    if (++this.#count < ERROR_LIMIT) return;
    this.diagnostics.error(
      'too-many-errors',
      `${ERROR_LIMIT} errors are enough: the rest of the script was not read`,
      undefined,
    );
    throw unwindScript;
  }

  /** An error in the spelling of something, after which the grammar is likely to stumble at the same place. */
  lexical(code: string, message: string, span: Span, ...hints: string[]): void {
    this.badUntil = Math.max(this.badUntil, span.end);
    this.error(code, message, span, ...hints);
  }
}
