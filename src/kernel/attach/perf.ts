/** software, hardware: perf events by name, on each CPU for all processes, or of one process (perf_event_open(2)). */
import { MachineError } from '../../base/errors.ts';
import { CallError } from '../sys/errno.ts';
import { PerfType } from '../sys/perf.ts';
import { type Attach, attachOne } from './bench.ts';
import { eventPlaces, linkEvent } from './event.ts';

/** enum perf_sw_ids, with perf's second names. */
const software: Readonly<Record<string, number>> = {
  'cpu-clock': 0,
  cpu: 0,
  'task-clock': 1,
  'page-faults': 2,
  faults: 2,
  'context-switches': 3,
  cs: 3,
  'cpu-migrations': 4,
  'minor-faults': 5,
  'major-faults': 6,
  'alignment-faults': 7,
  'emulation-faults': 8,
  dummy: 9,
  'bpf-output': 10,
};

/** enum perf_hw_id. */
const hardware: Readonly<Record<string, number>> = {
  'cpu-cycles': 0,
  cycles: 0,
  instructions: 1,
  'cache-references': 2,
  'cache-misses': 3,
  'branch-instructions': 4,
  branches: 4,
  'branch-misses': 5,
  'bus-cycles': 6,
  'frontend-stalls': 7,
  'backend-stalls': 8,
  'ref-cycles': 9,
};

export const attachPerfEvents: Attach = (probes, bench) => {
  for (const probe of probes) {
    const { spec } = probe;
    if (spec.kind !== 'software' && spec.kind !== 'hardware') continue;
    const config = (spec.kind === 'software' ? software : hardware)[spec.event];
    if (config === undefined) {
      const error = new MachineError(`perf has no ${spec.kind} event ${spec.event}`, { code: 'E_NO_PERF_EVENT' });
      bench.failed(probe, error);
      continue;
    }
    const type = spec.kind === 'software' ? PerfType.SOFTWARE : PerfType.HARDWARE;
    for (const place of eventPlaces(spec)) {
      const attach = (): number => linkEvent(probe, { type, config, period: BigInt(spec.count), ...place });
      if (!attachOne(probe, bench, () => explained(spec.kind, spec.event, attach))) break;
    }
  }
};

function explained(kind: 'software' | 'hardware', event: string, attach: () => number): number {
  try {
    return attach();
  } catch (cause) {
    const absent = cause instanceof CallError && ['ENOENT', 'EOPNOTSUPP', 'ENODEV'].includes(cause.code);
    if (!absent || kind === 'software') throw cause;
    throw new MachineError(`this machine has no hardware counter for ${event}`, {
      code: 'E_NO_HARDWARE_COUNTER',
      hints: [
        'virtual machines often have none: the hypervisor must pass the PMU through; software:cpu-clock works everywhere',
      ],
      cause,
    });
  }
}
