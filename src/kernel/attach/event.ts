/** A perf event and a BPF link on it: what tracepoints, timers, counters and single uprobes share. */
import { readdirSync } from 'node:fs';
import type { OfProcess } from '../../program/program.ts';
import { onlineCpus } from '../host/machine.ts';
import { linkPerfEvent, linkPerfEventOnThread } from '../sys/bpf.ts';
import { closeFd } from '../sys/bpfcall.ts';
import { type PerfEvent, type PerfFlag, perfEventOpen, perfEventOpenOnThread } from '../sys/perf.ts';
import type { Placed } from './bench.ts';

/**
 * Opens an event and links the probe's program to it, the probe's name index as
 * cookie. Gives the link, which keeps the event alive.
 */
export function linkEvent(probe: Placed, event: PerfEvent): number {
  const fd = perfEventOpen(event, probe.title);
  try {
    return linkPerfEvent(probe.program.fd, fd, probe.spec.name);
  } finally {
    closeFd(fd);
  }
}

/** The same on a thread of the pool; undefined when it failed, for what reason linkEvent tells. */
export async function linkEventOnThread(probe: Placed, event: PerfEvent): Promise<number | undefined> {
  const fd = await perfEventOpenOnThread(event);
  if (fd < 0) return undefined;
  try {
    const link = await linkPerfEventOnThread(probe.program.fd, fd, probe.spec.name);
    return link < 0 ? undefined : link;
  } finally {
    closeFd(fd);
  }
}

/**
 * Where to open an event that is not one of a CPU: every CPU, for all processes, or the
 * threads of one process, with those that they start, and with `children` its children.
 */
export function eventPlaces({ pid, children }: OfProcess): readonly Partial<PerfEvent>[] {
  if (pid === undefined) return onlineCpus().map((cpu) => ({ cpu }));
  let threads: readonly number[] = [pid];
  try {
    threads = readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    // It has ended: the kernel says so.
  }
  const flags: readonly PerfFlag[] = children === true ? ['inherit'] : ['inherit', 'inheritThread'];
  return threads.map((thread) => ({ pid: thread, flags }));
}
