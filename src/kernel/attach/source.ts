/** The perf event sources that exist only where the kernel was built with them: uprobe, kprobe. */
import { readFileSync } from 'node:fs';
import { lazy } from '../../base/lazy.ts';

const types = { uprobe: lazy(() => readType('uprobe')), kprobe: lazy(() => readType('kprobe')) };

/** The number that perf_event_attr.type takes for a source; undefined when this kernel has none. */
export const eventSourceType = (source: 'uprobe' | 'kprobe'): number | undefined => types[source]();

function readType(source: 'uprobe' | 'kprobe'): number | undefined {
  try {
    return Number(readFileSync(`/sys/bus/event_source/devices/${source}/type`, 'latin1'));
  } catch {
    return undefined;
  }
}

/** perf_event_attr.config of a probe at a function's return (/sys/bus/event_source/devices/uprobe/format/retprobe). */
export const RETPROBE = 1;

/** The unit of ref_ctr_offset, the upper half of a uprobe's config (…/uprobe/format/ref_ctr_offset: 32-63). */
export const COUNTER: number = 2 ** 32;
