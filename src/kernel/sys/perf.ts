/** perf_event_open(2) (struct perf_event_attr in linux/perf_event.h). */
import { CallError } from './errno.ts';
import { addressOf, addressOfKept, systemCallOnThread, trySystemCall } from './native.ts';

/** enum perf_type_id; uprobe and kprobe have numbers given at boot (/sys/bus/event_source/devices/…/type). */
export const PerfType = { HARDWARE: 0, SOFTWARE: 1, TRACEPOINT: 2, BREAKPOINT: 5 } as const;
/** enum perf_sw_ids, the members in use by insitu itself. */
export const PERF_COUNT_SW_CPU_CLOCK = 0;
export const PERF_COUNT_SW_DUMMY = 9;
export const PERF_COUNT_SW_BPF_OUTPUT = 10;
/** enum perf_event_read_format: records that found no room (Linux 6.0). */
export const PERF_FORMAT_LOST: number = 1 << 4;

/** Bit positions of the flags in perf_event_attr. */
const flagBits = {
  disabled: 0,
  inherit: 1,
  mmap: 8,
  comm: 9,
  freq: 10,
  task: 13,
  watermark: 14,
  sampleIdAll: 18,
  mmap2: 23,
  commExec: 24,
  useClockid: 25,
  inheritThread: 35,
} as const;

export type PerfFlag =
  | 'disabled'
  | 'inherit'
  | 'inheritThread'
  | 'mmap'
  | 'comm'
  | 'freq'
  | 'task'
  | 'watermark'
  | 'sampleIdAll'
  | 'mmap2'
  | 'commExec'
  | 'useClockid';

export interface PerfEvent {
  readonly type: number;
  readonly config: number;
  /** sample_period, or sample_freq with flag `freq`. */
  readonly period?: bigint;
  readonly sampleType?: number;
  /** What read(2) of the event gives behind its value. */
  readonly readFormat?: number;
  readonly flags?: readonly PerfFlag[];
  readonly wakeupWatermark?: number;
  /** clock_gettime's number, with flag `useClockid`. */
  readonly clockid?: number;
  /** uprobe_path or kprobe_func. */
  readonly text?: string;
  /** probe_offset. */
  readonly offset?: number;
  /** bp_type (bits of HW_BREAKPOINT_R, W, X), bp_addr, bp_len. */
  readonly breakpoint?: { readonly mode: number; readonly address: bigint; readonly length: number };
  /** One process; undefined: all, which needs a CPU. */
  readonly pid?: number;
  /** One CPU; undefined: any, which needs a process. */
  readonly cpu?: number;
}

const PERF_FLAG_FD_CLOEXEC = 8;
/** PERF_ATTR_SIZE_VER7, the one with sig_data (Linux 5.13). */
const attrSize = 128;

/** struct perf_event_attr of an event, and the text that it points to. */
function attributesOf(event: PerfEvent): { readonly attr: DataView; readonly text: Uint8Array | undefined } {
  const attr = new DataView(new ArrayBuffer(attrSize));
  attr.setUint32(0, event.type, true);
  attr.setUint32(4, attrSize, true);
  attr.setBigUint64(8, BigInt(event.config), true);
  attr.setBigUint64(16, event.period ?? 0n, true);
  attr.setBigUint64(24, BigInt(event.sampleType ?? 0), true);
  attr.setBigUint64(32, BigInt(event.readFormat ?? 0), true);
  let flags = 0n;
  for (const flag of event.flags ?? []) flags |= 1n << BigInt(flagBits[flag]);
  attr.setBigUint64(40, flags, true);
  attr.setUint32(48, event.wakeupWatermark ?? 0, true);
  const text = event.text === undefined ? undefined : new TextEncoder().encode(`${event.text}\0`);
  if (text !== undefined) {
    attr.setBigUint64(56, BigInt(addressOfKept(text)), true);
    attr.setBigUint64(64, BigInt(event.offset ?? 0), true);
  }
  if (event.breakpoint !== undefined) {
    attr.setUint32(52, event.breakpoint.mode, true);
    attr.setBigUint64(56, event.breakpoint.address, true);
    attr.setBigUint64(64, BigInt(event.breakpoint.length), true);
  }
  attr.setInt32(92, event.clockid ?? 0, true);
  return { attr, text };
}

/** Opens an event; gives the file descriptor, or minus errno. */
export function tryPerfEventOpen(event: PerfEvent): number {
  const { attr, text } = attributesOf(event);
  if (text !== undefined) addressOf(text); // held until the call
  return trySystemCall('perf_event_open', addressOf(attr), event.pid ?? -1, event.cpu ?? -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/** The same on a thread of the pool; -1 when it failed. */
export function perfEventOpenOnThread(event: PerfEvent): Promise<number> {
  const { attr, text } = attributesOf(event);
  const words = [addressOfKept(attr), event.pid ?? -1, event.cpu ?? -1, -1, PERF_FLAG_FD_CLOEXEC];
  return systemCallOnThread(text === undefined ? [attr] : [attr, text], 'perf_event_open', words);
}

/** Opens an event; `what` names it in the CallError. */
export function perfEventOpen(event: PerfEvent, what: string): number {
  const fd = tryPerfEventOpen(event);
  if (fd < 0) throw new CallError(`perf_event_open (${what})`, -fd);
  return fd;
}
