/** What is said when something goes wrong: what, where, what to do. Always on standard error. */
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { MachineError } from '../../base/errors.ts';
import { UsageError } from './options.ts';

/** Writes to standard error; there is nobody to tell when that fails. */
export function complain(text: string): void {
  try {
    writeSync(2, text);
  } catch {}
}

/** Says how far attaching and detaching are, when they take over a second. */
export function tellProgress(what: 'attached' | 'detached', done: number, all: number): void {
  complain(`${what === 'attached' ? 'Attached' : 'Detached'} ${done} of ${all} probes …\n`);
}

/** BPFTRACE_COLOR: always, never, or auto, which is in colour where `fd`, standard error, is a terminal. */
export function useColor(fd = 2): boolean {
  const wish = process.env['BPFTRACE_COLOR'];
  if (wish === 'always') return true;
  return wish !== 'never' && isatty(fd) && process.env['NO_COLOR'] === undefined;
}

/** Tells an error that ended the run. `verbose` adds what caused it. */
export function tell(error: unknown, verbose: boolean): void {
  if (error instanceof UsageError || error instanceof MachineError) {
    const cause = verbose && error.cause instanceof Error ? [`CAUSE: ${error.cause.message}`] : [];
    complain(`${[`ERROR: ${error.message}`, ...error.hints.map((hint) => `HINT: ${hint}`), ...cause].join('\n')}\n`);
    return;
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  complain(`ERROR: insitu itself has failed; this is a bug in insitu, not in your script\n${stack}\n`);
}
