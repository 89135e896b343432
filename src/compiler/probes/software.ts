/** software:EVENT:COUNT and hardware:EVENT:COUNT (perf_event_open(2)). */
import { nearest } from '../../base/near.ts';
import type { Provider } from './provider.ts';

export const events: Readonly<Record<'software' | 'hardware', Readonly<Record<string, string>>>> = {
  software: {
    'cpu-clock': 'cpu-clock',
    cpu: 'cpu-clock',
    'task-clock': 'task-clock',
    'page-faults': 'page-faults',
    faults: 'page-faults',
    'context-switches': 'context-switches',
    cs: 'context-switches',
    'cpu-migrations': 'cpu-migrations',
    'minor-faults': 'minor-faults',
    'major-faults': 'major-faults',
    'alignment-faults': 'alignment-faults',
    'emulation-faults': 'emulation-faults',
    dummy: 'dummy',
    'bpf-output': 'bpf-output',
  },
  hardware: {
    'cpu-cycles': 'cpu-cycles',
    cycles: 'cpu-cycles',
    instructions: 'instructions',
    'cache-references': 'cache-references',
    'cache-misses': 'cache-misses',
    'branch-instructions': 'branch-instructions',
    branches: 'branch-instructions',
    'branch-misses': 'branch-misses',
    'bus-cycles': 'bus-cycles',
    'frontend-stalls': 'frontend-stalls',
    'backend-stalls': 'backend-stalls',
    'ref-cycles': 'ref-cycles',
  },
};

/** Samples are taken every so many events where the script does not say. */
const defaultCounts: Readonly<Record<string, string>> = {
  'cpu-clock': '1000000',
  'task-clock': '1000000',
  'page-faults': '100',
  'context-switches': '1000',
  'minor-faults': '100',
  'cpu-cycles': '1000000',
  instructions: '1000000',
  'cache-references': '1000000',
  'cache-misses': '1000000',
  'branch-instructions': '100000',
  'branch-misses': '100000',
  'bus-cycles': '100000',
  'ref-cycles': '1000000',
};

export const software =
  (kind: 'software' | 'hardware'): Provider =>
  (point, rest, options) => {
    const [name = '', written, ...more] = rest.split(':');
    const count = written === undefined ? undefined : plainNumber(written);
    const event = events[kind][name];
    if (event === undefined) {
      const near = nearest(name, Object.keys(events[kind]), 2);
      options.diagnostics.error(
        'unknown-event',
        `${kind} has no event '${name}'`,
        point.span,
        near.length > 0 ? `did you mean ${near.join(' or ')}?` : `events: ${Object.keys(events[kind]).join(', ')}`,
      );
      return [];
    }
    if (more.length > 0 || (count !== undefined && count !== '' && !/^[1-9]\d*$/.test(count))) {
      options.diagnostics.error(
        'probe-form',
        `${kind}:${rest} is no probe`,
        point.span,
        `${kind}:${name}:100 fires at every 100th event`,
      );
      return [];
    }
    return [
      {
        provider: kind,
        programType: 'PERF_EVENT',
        attachments: [
          { spec: { kind, event, count: count ? count : (defaultCounts[event] ?? '1') }, name: `${kind}:${rest}` },
        ],
        span: point.span,
        shortName: kernelShort(event),
        registers: true,
        userMemory: false,
        hasProcess: true,
      },
    ];
  };

/** `1e6` and `1_000` as digits; other text as it is. */
function plainNumber(text: string): string {
  const digits = text.replace(/(?<=\d)_(?=\d)/g, '');
  const scientific = /^(\d+)e(\d{1,2})$/.exec(digits);
  return scientific === null
    ? digits
    : String(BigInt(scientific[1] as string) * 10n ** BigInt(scientific[2] as string));
}

const kernelShort = (event: string): string => event.replace(/-/g, '_');
