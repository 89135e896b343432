/** interval, profile: the cpu-clock perf event, on one CPU or on each (a high-resolution timer in the kernel). */
import { readFileSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import { onlineCpus } from '../host/machine.ts';
import { CallError } from '../sys/errno.ts';
import { PERF_COUNT_SW_CPU_CLOCK, type PerfEvent, type PerfFlag, PerfType } from '../sys/perf.ts';
import { type Attach, attachOne } from './bench.ts';
import { eventPlaces, linkEvent } from './event.ts';

export const attachTimers: Attach = (probes, bench) => {
  for (const probe of probes) {
    const { spec } = probe;
    if (spec.kind !== 'interval' && spec.kind !== 'profile') continue;
    const places = spec.kind === 'interval' ? [{ cpu: onlineCpus()[0] ?? 0 }] : eventPlaces(spec);
    const byRate: readonly PerfFlag[] = spec.frequencyHz === undefined ? [] : ['freq'];
    const event: PerfEvent = {
      type: PerfType.SOFTWARE,
      config: PERF_COUNT_SW_CPU_CLOCK,
      period: spec.frequencyHz === undefined ? BigInt(spec.periodNs ?? '0') : BigInt(spec.frequencyHz),
    };
    for (const place of places) {
      const flags = [...byRate, ...(place.flags ?? [])];
      const attach = (): number => linkEvent(probe, { ...event, ...place, flags });
      if (!attachOne(probe, bench, () => withRateHint(spec.frequencyHz, attach))) break;
    }
  }
};

const rateLimit = '/proc/sys/kernel/perf_event_max_sample_rate';

/** Says which limit a frequency ran into: the kernel only answers EINVAL. */
function withRateHint(frequencyHz: number | undefined, attach: () => number): number {
  try {
    return attach();
  } catch (cause) {
    if (!(cause instanceof CallError) || cause.code !== 'EINVAL' || frequencyHz === undefined) throw cause;
    const limit = Number(readFileSync(rateLimit, 'latin1'));
    if (frequencyHz <= limit) throw cause;
    throw new MachineError(`${frequencyHz} Hz is more than the kernel allows (${limit} Hz)`, {
      code: 'E_SAMPLE_RATE',
      hints: [`raise it: echo ${frequencyHz} > ${rateLimit}`],
      cause,
    });
  }
}
