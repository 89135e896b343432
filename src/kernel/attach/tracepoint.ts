/**
 * tracepoint: a perf event of the tracepoint's number. One CPU's event sees the hits of all.
 * It has no period: programs run all the same, and irq_vectors:irq_work_exit refuses events
 * that sample (arch/x86/kernel/tracepoint.c, TRACE_EVENT_PERF_PERM).
 */
import { readFileSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import { onlineCpus } from '../host/machine.ts';
import { tracefs } from '../host/tracefs.ts';
import { PerfType } from '../sys/perf.ts';
import { type Attach, attachOne } from './bench.ts';
import { linkEvent } from './event.ts';

/** events/CATEGORY/EVENT/id of tracefs. */
function tracepointId(category: string, event: string): number {
  const path = `${tracefs()}/events/${category}/${event}/id`;
  try {
    return Number(readFileSync(path, 'latin1'));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new MachineError(`cannot read ${path}`, { code: (cause as NodeJS.ErrnoException).code ?? 'EIO', cause });
    }
    throw new MachineError(`this kernel has no tracepoint ${category}:${event}`, { code: 'E_NO_TRACEPOINT', cause });
  }
}

export const attachTracepoints: Attach = (probes, bench) => {
  for (const probe of probes) {
    const { spec } = probe;
    if (spec.kind !== 'tracepoint') continue;
    attachOne(probe, bench, () =>
      linkEvent(probe, {
        type: PerfType.TRACEPOINT,
        config: tracepointId(spec.category, spec.event),
        cpu: onlineCpus()[0] ?? 0,
      }),
    );
  }
};
