/** The signals that end a run: its child hears of them too. */

/** What a signal ends. */
export interface Stoppable {
  signalChild(signal: NodeJS.Signals): void;
  stop(): void;
}

/** Ends the trace on a signal; the answer says how many have come. */
export function stopOnSignals(running: Stoppable): () => number {
  let asked = 0;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
    process.on(signal, () => {
      running.signalChild(signal);
      running.stop();
      // Someone who asks again does not want to wait for maps to be printed.
      if (++asked > 1) process.exit(1);
    });
  }
  return () => asked;
}
