/** A perf event and a BPF link on it: what tracepoints, timers, counters and single uprobes share. */
import { closeFd, linkPerfEvent } from '../sys/bpf.ts';
import { type PerfEvent, perfEventOpen } from '../sys/perf.ts';
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
