/** begin, end, self: programs that the tracer itself runs, through BPF_PROG_TEST_RUN. */
import type { LoadedBpf } from '../load/load.ts';
import { progTestRun } from '../sys/bpf.ts';
import type { Attach } from './bench.ts';

/** Nothing to attach: the session runs these when it starts, ends, or gets the signal. */
export const keepForTestRun: Attach = () => {};

/** Runs a RAW_TRACEPOINT program once, in this process. */
export function runProgram(program: LoadedBpf): void {
  progTestRun(program.fd);
}
