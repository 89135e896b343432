/** watchpoint: breakpoint events of perf (perf_event_open(2), PERF_TYPE_BREAKPOINT), for each thread or each CPU. */
import { MachineError } from '../../base/errors.ts';
import type { ProbeSpec } from '../../program/program.ts';
import { CallError } from '../sys/errno.ts';
import { type PerfEvent, PerfType } from '../sys/perf.ts';
import { type Attach, attachOne } from './bench.ts';
import { eventPlaces, linkEvent } from './event.ts';

type WatchpointSpec = Extract<ProbeSpec, { kind: 'watchpoint' }>;

/** HW_BREAKPOINT_* of linux/hw_breakpoint.h. */
const modeBits: Readonly<Record<string, number>> = { r: 1, w: 2, x: 4 };
/** The length that the kernel wants of a place in code: sizeof(long). */
const codeLength = 8;

export const attachWatchpoints: Attach = (probes, bench) => {
  for (const probe of probes) {
    const { spec } = probe;
    if (spec.kind !== 'watchpoint') continue;
    const event: PerfEvent = {
      type: PerfType.BREAKPOINT,
      config: 0,
      period: 1n,
      breakpoint: {
        address: BigInt(spec.address),
        length: spec.mode === 'x' ? codeLength : spec.length,
        mode: [...spec.mode].reduce((bits, letter) => bits | (modeBits[letter] ?? 0), 0),
      },
    };
    for (const place of eventPlaces(spec)) {
      const attach = (): number => linkEvent(probe, { ...event, ...place });
      if (!attachOne(probe, bench, () => explained(spec, attach))) break;
    }
  }
};

function explained(spec: WatchpointSpec, attach: () => number): number {
  try {
    return attach();
  } catch (cause) {
    if (!(cause instanceof CallError)) throw cause;
    const say = (message: string, ...hints: string[]): MachineError =>
      new MachineError(message, { code: cause.code, hints, cause });
    switch (cause.code) {
      case 'ENOENT':
      case 'EOPNOTSUPP':
      case 'ENODEV':
        throw say(
          'this machine has no hardware breakpoints (CONFIG_HAVE_HW_BREAKPOINT), or hides them',
          'virtual machines may have none',
        );
      case 'ENOSPC':
        throw say(
          'all debug registers of the processor are in use',
          'x86-64 has four, for all watchpoints of a thread together',
        );
      case 'EINVAL':
        throw say(
          `the processor cannot watch ${spec.length} bytes at 0x${BigInt(spec.address).toString(16)} for '${spec.mode}'`,
        );
      case 'ESRCH':
        throw say(`there is no process ${spec.pid}`);
      default:
        throw cause;
    }
  }
}
