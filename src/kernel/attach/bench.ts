/** What the files of the probe kinds share: a probe to attach, and where links and failures go. */
import { MachineError } from '../../base/errors.ts';
import type { ProbeSpec } from '../../program/program.ts';
import type { LoadedBpf } from '../load/load.ts';
import { closeFd } from '../sys/bpfcall.ts';

/** A probe with what it takes to attach it. */
export interface Placed<Spec extends ProbeSpec = ProbeSpec> {
  readonly spec: Spec;
  readonly program: LoadedBpf;
  /** The probe's full name, for messages. */
  readonly title: string;
}

/** Where a kind's file puts what it made, and says what it could not make. */
export interface Workbench {
  /** Takes over a link (or event) that goes when the attachment is closed; it holds that many probes, of which `spec` is one. */
  keep(fd: number, probes?: number, spec?: ProbeSpec): void;
  /** Takes over a file that is read to its end, once, when the run begins. */
  read(fd: number): void;
  /** A probe could not be attached: throws, or remembers it when missing probes are allowed. */
  failed(probe: Placed, error: MachineError): void;
}

/** Attaches all probes of a kind; `probes` is never empty. */
export type Attach = (probes: readonly Placed[], bench: Workbench) => void | Promise<void>;

/** Runs `attach` for one probe and keeps what it gives; a MachineError counts as that probe's failure. */
export function attachOne(probe: Placed, bench: Workbench, attach: () => number): boolean {
  let fd: number;
  try {
    fd = attach();
  } catch (error) {
    if (!(error instanceof MachineError)) throw error;
    bench.failed(probe, error);
    return false;
  }
  bench.keep(fd, 1, probe.spec);
  return true;
}

/** Threads that attach at a time: all of libuv's pool. */
const attachers = 4;
/** So many probes pay for waking them. */
export const manyAlone = 32;

/**
 * As attachOne for each probe, in their order, while threads attach the next ones. What a
 * thread could not attach is tried again by `attach`, which knows the reason.
 */
export async function attachOnThreads<P extends Placed>(
  probes: readonly P[],
  bench: Workbench,
  attach: (probe: P) => number,
  onThread: (probe: P) => Promise<number | undefined>,
): Promise<void> {
  const made: (number | null | undefined)[] = [];
  let started = 0;
  let told = 0;
  let stopped = false;
  const tell = (): void => {
    for (; told < probes.length && made[told] !== undefined; told++) {
      const probe = probes[told] as P;
      const link = made[told];
      made[told] = null;
      if (typeof link === 'number') bench.keep(link, 1, probe.spec);
      else attachOne(probe, bench, () => attach(probe));
    }
  };
  const work = async (): Promise<void> => {
    while (started < probes.length && !stopped) {
      const index = started++;
      try {
        made[index] = (await onThread(probes[index] as P)) ?? null;
        if (!stopped) tell();
      } catch (error) {
        stopped = true;
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: attachers }, work));
  const failed = ended.find((one) => one.status === 'rejected');
  if (failed === undefined) return;
  for (const link of made) if (typeof link === 'number') closeFd(link);
  throw failed.reason;
}
