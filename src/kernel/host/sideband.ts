/** Side-band records of perf (enum perf_event_type in linux/perf_event.h) as typed events. */

/** What happened to a task. Times are CLOCK_MONOTONIC nanoseconds, bpf_ktime_get_ns's clock. */
export type TaskEvent = { readonly time: number; readonly pid: number } & (
  | {
      /** An executable mapping was made. */
      readonly kind: 'map';
      readonly address: number;
      readonly length: number;
      /** Bytes into the file. */
      readonly offset: number;
      /** As the process sees it; `[vdso]`, `//anon` and the like for what is no file. */
      readonly path: string;
      readonly device: { readonly major: number; readonly minor: number };
      readonly inode: number;
    }
  /** The process began another program: all its mappings are gone. */
  | { readonly kind: 'exec'; readonly comm: string }
  /** A thread took a name. */
  | { readonly kind: 'comm'; readonly tid: number; readonly comm: string }
  /** A process (not a thread) came into being, with its parent's mappings. */
  | { readonly kind: 'fork'; readonly parent: number }
  /** The process's first thread ended. */
  | { readonly kind: 'exit' }
  /** `count` records found no room: what is known of any process may be out of date. pid is 0. */
  | { readonly kind: 'lost'; readonly count: number }
);

const PERF_RECORD_LOST = 2;
const PERF_RECORD_COMM = 3;
const PERF_RECORD_EXIT = 4;
const PERF_RECORD_FORK = 7;
const PERF_RECORD_MMAP2 = 10;
const PERF_RECORD_MISC_COMM_EXEC = 1 << 13;

/** Bytes of struct sample_id with sample_type PERF_SAMPLE_TIME. */
const sampleIdSize = 8;

const utf8 = new TextDecoder();

/** Decodes the record at `offset` (its header's size says how long it is); undefined for kinds of no interest. */
export function decodeSideband(view: DataView, offset: number): TaskEvent | undefined {
  const size = view.getUint16(offset + 6, true);
  const u32 = (at: number): number => view.getUint32(offset + at, true);
  const u64 = (at: number): number => u32(at) + u32(at + 4) * 2 ** 32;
  const time = u64(size - sampleIdSize);
  const text = (at: number): string => {
    const bytes = new Uint8Array(view.buffer, view.byteOffset + offset + at, size - sampleIdSize - at);
    const end = bytes.indexOf(0);
    return utf8.decode(end < 0 ? bytes : bytes.subarray(0, end));
  };
  const pid = u32(8);
  switch (u32(0)) {
    case PERF_RECORD_MMAP2:
      return {
        kind: 'map',
        time,
        pid,
        address: u64(16),
        length: u64(24),
        offset: u64(32),
        device: { major: u32(40), minor: u32(44) },
        inode: u64(48),
        path: text(72),
      };
    case PERF_RECORD_COMM: {
      const misc = view.getUint16(offset + 4, true);
      if ((misc & PERF_RECORD_MISC_COMM_EXEC) !== 0) return { kind: 'exec', time, pid, comm: text(16) };
      return { kind: 'comm', time, pid, tid: u32(12), comm: text(16) };
    }
    case PERF_RECORD_FORK:
      return pid === u32(12) ? undefined : { kind: 'fork', time, pid, parent: u32(12) };
    case PERF_RECORD_EXIT:
      return pid === u32(16) ? { kind: 'exit', time, pid } : undefined;
    case PERF_RECORD_LOST:
      return { kind: 'lost', time, pid: 0, count: u64(16) };
    default:
      return undefined;
  }
}
