/** What the files of the probe kinds share: a probe to attach, and where links and failures go. */
import { MachineError } from '../../base/errors.ts';
import type { ProbeSpec } from '../../program/program.ts';
import type { LoadedBpf } from '../load/load.ts';

/** A probe with what it takes to attach it. */
export interface Placed<Spec extends ProbeSpec = ProbeSpec> {
  readonly spec: Spec;
  readonly program: LoadedBpf;
  /** The probe's full name, for messages. */
  readonly title: string;
}

/** Where a kind's file puts what it made, and says what it could not make. */
export interface Workbench {
  /** Takes over a link (or event) that goes when the attachment is closed; it holds that many probes. */
  keep(fd: number, probes?: number, spec?: ProbeSpec): void;
  /** Takes over a file that is read to its end, once, when the run begins. */
  read(fd: number): void;
  /** A probe could not be attached: throws, or remembers it when missing probes are allowed. */
  failed(probe: Placed, error: MachineError): void;
}

/** Attaches all probes of a kind; `probes` is never empty. */
export type Attach = (probes: readonly Placed[], bench: Workbench) => void;

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
