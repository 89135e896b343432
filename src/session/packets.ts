/** The files of skboutput(): packets come through a ring of perf events a CPU, and are written in pcap form. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { MachineError } from '../base/errors.ts';
import { onlineCpus } from '../kernel/host/machine.ts';
import type { LoadedMap } from '../kernel/load/load.ts';
import { openPerfRing, type PerfRing } from '../kernel/ring/perf.ts';
import { mapUpdate } from '../kernel/sys/bpf.ts';
import { PERF_COUNT_SW_BPF_OUTPUT, PerfType } from '../kernel/sys/perf.ts';
import { type Watch, watchFd } from '../kernel/sys/poll.ts';
import { Clock, clockNanoseconds } from '../kernel/sys/process.ts';
import type { Program } from '../program/program.ts';
import { errorText, pcapHeader, pcapRecord } from '../render/index.ts';

const PERF_RECORD_LOST = 2;
const PERF_RECORD_SAMPLE = 9;
const PERF_SAMPLE_RAW = 1 << 10;

/** Pages of a CPU's ring: config perf_rb_pages, or 1 MiB; a record may be 64 KiB. */
const pages = { usual: 256, least: 32 };
/** Bytes of a record before the packet (PacketSpec). */
const headSize = 24;

interface Packet {
  readonly path: string;
  /** CLOCK_BOOTTIME nanoseconds. */
  readonly time: bigint;
  readonly bytes: Uint8Array;
  /** Bytes that were asked for. */
  readonly length: number;
}

export class PacketFiles {
  /** Packets that found no room in the rings. */
  lost = 0;
  readonly #program: Program;
  #pending: Packet[] = [];
  readonly #files = new Map<string, number>();
  readonly #rings: PerfRing[] = [];
  readonly #watches: Watch[] = [];
  /** What CLOCK_BOOTTIME lacks to the time since 1970. */
  readonly #wallClock: bigint;

  /** Makes the files, empty ones, and lets packets into the map. */
  constructor(program: Program, map: LoadedMap) {
    this.#program = program;
    this.#wallClock = clockNanoseconds(Clock.REALTIME) - clockNanoseconds(Clock.BOOTTIME);
    try {
      for (const { path } of program.packets) if (!this.#files.has(path)) this.#files.set(path, createFile(path));
      const most = Math.max(pages.least, 2 ** Math.ceil(Math.log2(program.config.perfRbPages || pages.usual)));
      for (const cpu of onlineCpus()) {
        const ring = openPerfRing(
          () => ({
            type: PerfType.SOFTWARE,
            config: PERF_COUNT_SW_BPF_OUTPUT,
            sampleType: PERF_SAMPLE_RAW,
            period: 1n,
            flags: ['watermark'],
            wakeupWatermark: 1,
            cpu,
          }),
          `packets on CPU ${cpu}`,
          most,
          pages.least,
        );
        this.#rings.push(ring);
        mapUpdate(map.fd, Uint8Array.of(cpu, cpu >> 8, 0, 0), new Uint8Array(Int32Array.of(ring.fd).buffer));
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Also drains whenever there are packets; `failed` gets what that throws. */
  watch(failed: (error: unknown) => void): void {
    for (const ring of this.#rings) {
      const drain = (): void => {
        try {
          this.drain();
        } catch (error) {
          failed(error);
        }
      };
      this.#watches.push(watchFd(ring.fd, drain));
    }
  }

  /** Writes what has come, in the order of time; what is newer than that waits for other CPUs' older ones. */
  drain(): void {
    const now = clockNanoseconds(Clock.BOOTTIME);
    for (const ring of this.#rings) ring.drain((record) => this.#take(record));
    this.#write(now);
  }

  #write(until: bigint): void {
    const packets = this.#pending.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
    const newer = packets.findIndex(({ time }) => time > until);
    this.#pending = newer < 0 ? [] : packets.splice(newer);
    for (const { path, time, bytes, length } of packets)
      write(path, this.#files.get(path) as number, pcapRecord(time + this.#wallClock, bytes, length));
  }

  #take(record: DataView): void {
    const kind = record.getUint32(0, true);
    if (kind === PERF_RECORD_LOST) this.lost += Number(record.getBigUint64(16, true));
    if (kind !== PERF_RECORD_SAMPLE) return;
    // struct perf_event_header, u32 size of what follows, and that.
    const at = 12;
    const packet = this.#program.packets[record.getUint32(at, true)];
    if (packet === undefined) return;
    const bytes = record.getUint32(at + 4, true);
    const wanted = record.getUint32(at + 8, true);
    const time = record.getBigUint64(at + 16, true);
    const left = Math.min(packet.offset, bytes);
    const body = new Uint8Array(record.buffer, at + headSize + left, bytes - left).slice();
    this.#pending.push({ path: packet.path, time, bytes: body, length: wanted - left });
  }

  /** Writes all that has come: nothing more will. */
  finish(): void {
    this.drain();
    this.#write(2n ** 64n);
  }

  close(): void {
    for (const watch of this.#watches.splice(0)) watch.close();
    for (const ring of this.#rings.splice(0)) ring.close();
    for (const fd of this.#files.values()) closeSync(fd);
    this.#files.clear();
  }
}

function createFile(path: string): number {
  let fd: number;
  try {
    fd = openSync(path, 'w', 0o644);
  } catch (cause) {
    throw failure(path, cause);
  }
  write(path, fd, pcapHeader());
  return fd;
}

function write(path: string, fd: number, bytes: Uint8Array): void {
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
  } catch (cause) {
    throw failure(path, cause);
  }
}

function failure(path: string, cause: unknown): MachineError {
  const { code = '', errno = 0 } = cause as NodeJS.ErrnoException;
  return new MachineError(`skboutput() cannot write to ${path}: ${errorText(Math.abs(errno))}`, { code, cause });
}
