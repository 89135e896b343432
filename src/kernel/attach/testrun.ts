/** begin, end, self, test, bench: programs that the tracer itself runs, through BPF_PROG_TEST_RUN. */
import type { LoadedBpf } from '../load/load.ts';
import { progTestRun } from '../sys/bpf.ts';
import { closeFd } from '../sys/bpfcall.ts';
import { enableRunTimes, runTimes } from '../sys/objects.ts';
import type { Attach } from './bench.ts';

/** Nothing to attach: the session runs these when it starts, ends, or gets the signal. */
export const keepForTestRun: Attach = () => {};

/** Runs a RAW_TRACEPOINT program once, in this process; gives what it returned. */
export function runProgram(program: LoadedBpf): number {
  return progTestRun(program.fd);
}

/** A benchmark has run long enough after so many nanoseconds, or milliseconds of the clock with all around it. */
const enough = { nanoseconds: 20_000_000, clock: 1000 } as const;
const batch = 1000;

/** The mean time of a run in nanoseconds, as the kernel measures it, over how many runs. `between` is called now and then. */
export function timeProgram(program: LoadedBpf, between: () => void): { average: number; iterations: number } {
  const stats = enableRunTimes();
  try {
    for (let i = 0; i < batch; i++) progTestRun(program.fd); // caches and the branch predictor warm up
    const before = runTimes(program.fd);
    const start = performance.now();
    for (;;) {
      for (let i = 0; i < batch; i++) progTestRun(program.fd);
      between();
      const now = runTimes(program.fd);
      const iterations = now.count - before.count;
      const nanoseconds = now.nanoseconds - before.nanoseconds;
      if (nanoseconds >= enough.nanoseconds || performance.now() - start >= enough.clock) {
        return { average: Math.round(nanoseconds / Math.max(1, iterations)), iterations };
      }
    }
  } finally {
    closeFd(stats);
  }
}
