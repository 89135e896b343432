/** The signals that end a run: its child hears of them too. */

/** What a signal ends. */
export interface Stoppable {
  signalChild(signal: NodeJS.Signals): void;
  stop(): void;
}

/**
 * Milliseconds that a -c child has to end by itself once the trace is over: to say what it
 * says at a signal. The end of this process then kills it.
 */
export const childGrace = 2000;

/** Ends the trace on a signal, after what `before` does while its child still runs. */
export function stopOnSignals(running: Stoppable, before?: () => Promise<void>): void {
  let asked = 0;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
    const end = (): void => {
      running.signalChild(signal);
      running.stop();
    };
    process.on(signal, () => {
      asked++;
      if (before === undefined || asked > 1) end();
      else before().then(end, end);
      // Someone who asks again does not want to wait for maps to be printed.
      if (asked > 1) process.exit(1);
    });
  }
}
