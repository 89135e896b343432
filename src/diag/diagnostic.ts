/** What is wrong with a script: collected, never thrown one at a time. */
import type { Span } from './source.ts';

export type Severity = 'error' | 'warning';

export interface Diagnostic {
  readonly severity: Severity;
  /** Stable and short, for tests and for programs: `undefined-variable`. */
  readonly code: string;
  readonly message: string;
  readonly span: Span | undefined;
  readonly hints: readonly string[];
}

/** Collects diagnostics; a pass goes on after an error as far as it makes sense. */
export class Diagnostics {
  readonly items: Diagnostic[] = [];

  error(code: string, message: string, span: Span | undefined, ...hints: string[]): void {
    this.add({ severity: 'error', code, message, span, hints });
  }

  warning(code: string, message: string, span: Span | undefined, ...hints: string[]): void {
    this.add({ severity: 'warning', code, message, span, hints });
  }

  /** Adds one, unless the same complaint about the same place is there already. */
  add(item: Diagnostic): void {
    const twin = this.items.some(
      (other) =>
        other.code === item.code &&
        other.message === item.message &&
        other.span?.start === item.span?.start &&
        other.span?.end === item.span?.end,
    );
    if (!twin) this.items.push(item);
  }

  get hasErrors(): boolean {
    return this.items.some((item) => item.severity === 'error');
  }
}
