/**
 * One run of `insitu calls`: its program loaded, attached to the places of the traced
 * functions, watched, so that the probes never take more of the machine than they may,
 * and read: records of calls as they end, and the statistics.
 */
import type { TextSpec } from '../answers/calls/functions.ts';
import type { FunctionStats, Losses } from '../answers/calls/report.ts';
import { MachineError } from '../base/errors.ts';
import { type CallsOptions, callsProgram } from '../compiler/calls/program.ts';
import { attachUprobes } from '../kernel/attach/uprobe.ts';
import { hasUprobeMulti } from '../kernel/host/features.ts';
import { kernelAtLeast, kernelVersion } from '../kernel/host/machine.ts';
import { processCpuTime } from '../kernel/host/processes.ts';
import { type LoadedMap, type LoadedProgram, loadProgram } from '../kernel/load/load.ts';
import { mapArray, readElement, readMap } from '../kernel/ring/map.ts';
import { RingReader } from '../kernel/ring/ring.ts';
import { mapDelete, rawTracepointOpen } from '../kernel/sys/bpf.ts';
import { closeFd } from '../kernel/sys/bpfcall.ts';
import type { Mapping } from '../kernel/sys/memory.ts';
import { closeOnThread } from '../kernel/sys/native.ts';
import {
  budgetWindow,
  controlAt,
  cookieBits,
  cookieOf,
  FrameFlag,
  frameBytes,
  functionAt,
  Site,
  type SiteKind,
  siteBegins,
  statsAt,
  statsBytes,
  threadAt,
} from '../program/calls.ts';
import type { ProbeSpec } from '../program/program.ts';
import { type CallRecord, readFrame } from './callrecords.ts';
import { measureProbes, type ProbeCosts, stepsOver } from './probecosts.ts';
import { mappedUnwinder } from './unwinders.ts';

/** A place of a function in its file. */
export interface CallSite {
  readonly kind: SiteKind;
  /** File offset. */
  readonly offset: number;
  /** It is the function's first instruction, too. */
  readonly begins: boolean;
  /** Of a conditional jump. */
  readonly condition: number;
  /** The first bytes of the instruction there, which tell what stepping over it costs. */
  readonly bytes: Uint8Array;
}

/** A function to be traced. */
export interface CalledFunction {
  readonly path: string;
  /** As messages name it. */
  readonly name: string;
  readonly sites: readonly CallSite[];
  /** In place of `sites` once something in the process may unwind stacks; undefined: its ends cannot be told. */
  readonly carefulSites: readonly CallSite[] | undefined;
  /** Of arguments, mostTexts at most. */
  readonly texts: readonly TextSpec[];
  readonly resultText: TextSpec | undefined;
  /** Bytes from the return address to the first argument on the stack that is wanted, 0 for none. */
  readonly stackWords: number;
}

export interface CallsRunOptions {
  readonly functions: readonly CalledFunction[];
  readonly pids: readonly number[];
  /** Records a second. */
  readonly rate: number;
  /** Each so many-th outermost call has a record. */
  readonly sample: number;
  readonly depth: number;
  /** Nanoseconds: shorter calls have no record. */
  readonly least: number;
  /** Share of the processes' running time that the probes may take (see #judge). */
  readonly overhead: number;
  /** False: a perf event for each place, as on kernels before 6.10. */
  readonly uprobeMulti: boolean;
  /** Told of functions that cannot be probed. */
  readonly onFailed: (name: string, reason: string) => void;
}

/** Why and when a function lost its probes. */
export interface Removal {
  /** Milliseconds since the start. */
  readonly after: number;
  /** Calls a second at that time. */
  readonly rate: number;
}

/** Milliseconds between looks at the ring buffer, and at the load. */
const lookEvery = 20;
const judgeEvery = 200;
/** Share of one CPU that processes are taken to run at least. */
const leastRunning = 0.25;
/** Nanoseconds that probes may take beyond their share: a program that starts calls much. */
const burst = 500_000_000;

export class CallsRun {
  readonly #options: CallsRunOptions;
  readonly #loaded: LoadedProgram;
  readonly #multi: boolean;
  readonly #control: Mapping;
  readonly #stats: Mapping;
  readonly #ring: RingReader;
  /** Texts in a frame. */
  readonly #texts: number;
  readonly #costs: ProbeCosts;
  /** Nanoseconds that the places of a call cost the target. */
  #costOf: readonly number[] = [];
  /** A library that unwinds stacks, when it has come and its coming has not been told. */
  #unwinder: string | undefined;
  /** Nothing but leaves may have uretprobes: something unwinds stacks. */
  #careful = false;
  /** Links of the present generation. */
  #links: number[] = [];
  /** By function, where a link holds one place. */
  #linksOf: Map<number, number[]> = new Map();
  readonly #others: number[] = [];
  readonly #closing: Promise<void>[] = [];
  /** That of cookies that count; 0 is that of the measuring. */
  #generation = 1;
  readonly #failed: Set<number> = new Set();
  readonly removed: Map<number, Removal> = new Map();
  readonly #started: number = performance.now();
  #judged: number = performance.now();
  #before: number[];
  #ran = 0;
  /** Nanoseconds that the probes have taken beyond their share. */
  #debt = 0;
  #records: CallRecord[] = [];
  #endedThreads: number[] = [];
  #wake: () => void = () => {};
  #finished = false;
  #open = true;

  /** Loads and attaches; throws with nothing left behind. */
  constructor(options: CallsRunOptions) {
    this.#options = options;
    const { functions } = options;
    // Before 6.10 a link's process filter let only the one thread through.
    this.#multi = options.uprobeMulti && hasUprobeMulti() && kernelAtLeast(6, 10);
    const any = functions.some(({ texts, resultText }) => texts.length > 0 || resultText !== undefined);
    this.#texts = any ? 1 + functions.reduce((most, { texts }) => Math.max(most, texts.length), 0) : 0;
    const wanted: CallsOptions = {
      kernel: kernelVersion(),
      functions: functions.length,
      texts: this.#texts,
      // Uprobes may sleep since Linux 6.0.
      sleepable: any && kernelAtLeast(6, 0),
    };
    const cleanup: (() => void)[] = [];
    try {
      this.#loaded = loadProgram(callsProgram(wanted), { uprobeMultiPrograms: this.#multi ? [0] : [] });
      cleanup.push(() => this.#loaded.close());
      this.#control = mapArray(this.#map('control'));
      cleanup.push(() => this.#control.close());
      this.#stats = mapArray(this.#map('stats'));
      cleanup.push(() => this.#stats.close());
      const events = this.#map('events');
      this.#ring = new RingReader(events.fd, events.spec.maxEntries, (view, offset, size) =>
        this.#take(view, offset, size),
      );
      cleanup.push(() => this.#ring.close());
      cleanup.push(() => {
        for (const fd of [...this.#links, ...this.#others]) closeFd(fd);
      });
      this.#describe();
      this.#setControl();
      this.#costs = measureProbes(this.#program(0).fd, this.#multi, (fd) => this.#closeLater(fd));
      this.#before = functions.map(() => 0);
      this.#others.push(rawTracepointOpen(this.#program(1).fd, 'sched_process_exit'));
      this.#attach();
      this.#ran = this.#cpuTime();
      if (this.#failed.size === functions.length) {
        throw new MachineError('none of the functions can be probed', { code: 'E_NOT_PROBED' });
      }
    } catch (error) {
      for (const undo of cleanup.reverse()) undo();
      throw error;
    }
  }

  /** Functions whose probes were attached. */
  get attached(): number {
    return this.#options.functions.length - this.#failed.size;
  }

  /** Nanoseconds that one traced call costs the target about. */
  costOf(fn: number): number {
    return this.#costOf[fn] ?? 0;
  }

  #map(name: string): LoadedMap {
    const map = this.#loaded.maps.find(({ spec }) => spec.name === name);
    if (map === undefined) throw new Error(`insitu bug: no map ${name}`);
    return map;
  }

  #program(index: number): LoadedProgram['programs'][number] {
    const program = this.#loaded.programs[index];
    if (program === undefined) throw new Error(`insitu bug: no program ${index}`);
    return program;
  }

  /** The places of a function that count now. */
  #sites({ sites, carefulSites }: CalledFunction): readonly CallSite[] {
    return this.#careful ? (carefulSites ?? []) : sites;
  }

  /**
   * Looks for a library that unwinds stacks and that the processes did not have before: from then
   * on no return address is changed.
   */
  #lookForUnwinders(): void {
    const { functions, pids } = this.#options;
    if (this.#careful || functions.every(({ sites, carefulSites }) => sites === carefulSites)) return;
    const found = pids.map(mappedUnwinder).find((name) => name !== undefined);
    if (found === undefined) return;
    this.#careful = true;
    for (const [fn, { name, carefulSites }] of functions.entries()) {
      if (carefulSites !== undefined || this.#failed.has(fn)) continue;
      this.#failed.add(fn);
      this.#options.onFailed(name, 'its code cannot be followed to where it returns');
    }
    this.#describe();
    for (const fds of this.#linksOf.values()) {
      for (const fd of fds) this.#closeLater(fd);
      this.#links = this.#links.filter((fd) => !fds.includes(fd));
    }
    this.#linksOf = new Map();
    this.#attach();
    // Until the kernel has let go of them, uretprobes still do what they do.
    void Promise.all(this.#closing).then(() => {
      this.#unwinder = found;
    });
  }

  /** Writes `calls_functions`. */
  #describe(): void {
    const mapping = mapArray(this.#map('functions'));
    const view = new DataView(mapping.buffer);
    for (const [index, called] of this.#options.functions.entries()) {
      const { stackWords, texts, resultText } = called;
      const at = index * functionAt.size;
      const flags = this.#sites(called).some(({ kind }) => kind === Site.uretprobe) ? FrameFlag.uretprobe : 0;
      view.setUint32(at + functionAt.flags, flags, true);
      view.setUint32(at + functionAt.stackWords, stackWords, true);
      for (const [slot, spec] of [resultText, ...texts].entries()) {
        for (const [byte, value] of (spec ?? []).entries()) {
          view.setUint8(at + functionAt.texts + 8 * slot + byte, value);
        }
      }
    }
    mapping.close();
  }

  #setControl(): void {
    const { rate, sample, depth, least } = this.#options;
    const set = (offset: number, value: number): void => this.#setNumber(offset, value);
    set(controlAt.generation, this.#generation);
    set(controlAt.budget, (rate * budgetWindow) / 1e9);
    set(controlAt.sample, sample);
    set(controlAt.depth, depth);
    set(controlAt.least, least);
  }

  #setNumber(offset: number, value: number): void {
    new BigUint64Array(this.#control.buffer, offset, 1)[0] = BigInt(value);
  }

  #number(offset: number): number {
    return Number(new DataView(this.#control.buffer).getBigUint64(offset, true));
  }

  /** Attaches all functions that are still traced, as a new generation, and lets the old links go. */
  #attach(): void {
    const generation = this.#generation + 1;
    const { functions, pids } = this.#options;
    const links: number[] = [];
    const program = this.#program(0);
    this.#costOf = functions.map((called) => costOf(this.#sites(called), this.#costs));
    const placed = functions.flatMap((called, fn) => {
      const { path, name } = called;
      if (this.removed.has(fn) || this.#failed.has(fn)) return [];
      return this.#sites(called).flatMap(({ kind, begins, condition, offset }) =>
        pids.map((pid) => ({
          spec: {
            kind: kind === Site.uretprobe ? 'uretprobe' : 'uprobe',
            program: 0,
            name: cookieOf(generation, kind + (begins ? siteBegins : 0), condition, fn),
            path,
            offset,
            symbol: name,
            pid,
          } as Extract<ProbeSpec, { kind: 'uprobe' | 'uretprobe' }>,
          program,
          title: name,
        })),
      );
    });
    const fnOf = ({ name }: { readonly name: number }): number => name % 2 ** cookieBits.function;
    attachUprobes(placed, {
      keep: (fd, _probes, spec) => {
        links.push(fd);
        if (spec !== undefined) this.#linksOf.set(fnOf(spec), [...(this.#linksOf.get(fnOf(spec)) ?? []), fd]);
      },
      read: () => {},
      failed: ({ spec }, error) => {
        const fn = fnOf(spec);
        if (this.#failed.has(fn)) return;
        this.#failed.add(fn);
        this.#options.onFailed(functions[fn]?.name ?? '', error.message);
      },
    });
    this.#generation = generation;
    this.#setNumber(controlAt.generation, generation);
    for (const fd of this.#links) this.#closeLater(fd);
    this.#links = links;
    // A function with a place that cannot be probed is left out whole: calls without an end are none.
    if ([...this.#failed].some((fn) => placed.some(({ spec }) => fnOf(spec) === fn))) this.#attach();
  }

  #closeLater(fd: number): void {
    this.#closing.push(closeOnThread(fd));
  }

  /** Takes the probes of functions away. */
  #remove(fns: readonly number[]): void {
    if (this.#multi) {
      this.#attach();
      return;
    }
    for (const fn of fns) {
      for (const fd of this.#linksOf.get(fn) ?? []) {
        this.#links = this.#links.filter((one) => one !== fd);
        this.#closeLater(fd);
      }
    }
  }

  #cpuTime(): number {
    return this.#options.pids.reduce((sum, pid) => sum + (processCpuTime(pid) ?? 0), 0);
  }

  /**
   * Looks at what the probes cost now, against the time that the processes have run, at most
   * one CPU's, so that a busy thread among idle ones is looked after too, and at least a
   * quarter of that, as nobody feels what a few calls of an idle process cost. Once they have
   * taken more than their share, and a burst besides, the functions that cost most lose theirs.
   */
  #judge(): readonly number[] {
    const now = performance.now();
    const passed = (now - this.#judged) * 1e6;
    this.#judged = now;
    const ran = this.#cpuTime();
    const running = Math.min(passed, Math.max(leastRunning * passed, ran - this.#ran));
    this.#ran = ran;
    const view = new DataView(this.#stats.buffer);
    const loads: { fn: number; share: number; rate: number }[] = [];
    let share = 0;
    for (let fn = 0; fn < this.#before.length; fn++) {
      const calls = Number(view.getBigUint64(fn * statsBytes + statsAt.calls, true));
      const more = calls - (this.#before[fn] as number);
      if (more === 0) continue;
      this.#before[fn] = calls;
      // What one that has lost its probes was still called until then is past.
      if (this.removed.has(fn)) continue;
      const own = (more * (this.#costOf[fn] as number)) / running;
      share += own;
      loads.push({ fn, share: own, rate: (more / passed) * 1e9 });
    }
    this.#debt = Math.max(0, this.#debt + (share - this.#options.overhead) * running);
    if (this.#debt <= burst) return [];
    // Without those probes their callers run faster, and may cost too much in their turn.
    this.#debt = 0.9 * burst;
    const gone: number[] = [];
    for (const { fn, share: own, rate } of loads.sort((a, b) => b.share - a.share)) {
      if (share <= this.#options.overhead / 2) break;
      share -= own;
      this.removed.set(fn, { after: now - this.#started, rate });
      gone.push(fn);
    }
    if (gone.length > 0) this.#remove(gone);
    return gone;
  }

  #take(view: DataView, offset: number, size: number): void {
    if (size === 8) this.#endedThreads.push(view.getUint32(offset, true));
    else this.#records.push(readFrame(view, offset, this.#texts));
  }

  /** What has come since the last look: calls that have ended, and functions that have lost their probes. */
  look(): {
    readonly records: readonly CallRecord[];
    readonly removed: readonly number[];
    /** A library that unwinds stacks and has come: return addresses are not changed any more. */
    readonly unwinder: string | undefined;
  } {
    this.#ring.drain();
    const records = this.#records;
    this.#records = [];
    for (const tid of this.#endedThreads) {
      const key = new Uint8Array(Uint32Array.of(tid).buffer);
      const value = readElement(this.#map('threads'), key);
      if (value !== undefined) records.push(...this.#openFrames(value, true));
      mapDelete(this.#map('threads').fd, key);
    }
    this.#endedThreads = [];
    const due = !this.#finished && performance.now() - this.#judged >= judgeEvery;
    if (due) this.#lookForUnwinders();
    const unwinder = this.#unwinder;
    this.#unwinder = undefined;
    return { records, removed: due ? this.#judge() : [], unwinder };
  }

  /** Resolves after a while, or when `wake` is called. */
  pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, lookEvery);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  wake(): void {
    this.#wake();
  }

  /** Stops tracing; gives the calls that have not ended. */
  finish(): readonly CallRecord[] {
    this.#finished = true;
    // No cookie has that one.
    this.#setNumber(controlAt.generation, 2 ** 32);
    const { records } = this.look();
    const { values, count, layout } = readMap(this.#map('threads'));
    const open: CallRecord[] = [...records];
    for (let i = 0; i < count; i++) {
      open.push(...this.#openFrames(values.subarray(i * layout.size, (i + 1) * layout.size), false));
    }
    return open;
  }

  /** Frames of a thread that are still there, innermost first. */
  #openFrames(value: Uint8Array, threadEnded: boolean): CallRecord[] {
    const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
    const frameSize = frameBytes(this.#texts);
    const pidTgid = view.getBigUint64(threadAt.pidTgid, true);
    const name = value.subarray(threadAt.comm, threadAt.comm + 16);
    const zero = name.indexOf(0);
    const comm = Buffer.from(zero < 0 ? name : name.subarray(0, zero)).toString('latin1');
    const frames: CallRecord[] = [];
    for (let index = view.getUint32(threadAt.depth, true) - 1; index >= 0; index--) {
      const frame = readFrame(view, threadAt.frames + index * frameSize, this.#texts);
      frames.push({
        ...frame,
        comm,
        tid: Number(pidTgid & 0xffff_ffffn),
        pid: Number(pidTgid >> 32n),
        how: threadEnded ? 'thread ended' : 'open',
      });
    }
    return frames.filter(({ shown }) => shown);
  }

  stats(fn: number): FunctionStats {
    const at = fn * statsBytes;
    const view = new DataView(this.#stats.buffer);
    const number = (offset: number): number => Number(view.getBigUint64(at + offset, true));
    return {
      calls: number(statsAt.calls),
      ended: number(statsAt.ended),
      total: number(statsAt.total),
      self: number(statsAt.self),
      gone: number(statsAt.gone),
      jumped: number(statsAt.jumped),
      histogram: new Uint32Array(this.#stats.buffer.slice(at + statsAt.histogram, at + statsBytes)),
    };
  }

  /** Calls so far, of all functions. */
  get calls(): number {
    const view = new DataView(this.#stats.buffer);
    let sum = 0;
    for (let fn = 0; fn < this.#options.functions.length; fn++) {
      sum += Number(view.getBigUint64(fn * statsBytes, true));
    }
    return sum;
  }

  losses(): Omit<Losses, 'orphans'> {
    return {
      lost: this.#number(controlAt.lost),
      hidden: this.#number(controlAt.hidden),
      unmatched: this.#number(controlAt.unmatched),
      tooDeep: this.#number(controlAt.tooDeep),
      noThread: this.#number(controlAt.noThread),
      otherStack: this.#number(controlAt.otherStack),
    };
  }

  /** Lets go of everything; resolves when the kernel has. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    for (const fd of [...this.#links, ...this.#others]) this.#closeLater(fd);
    await Promise.all(this.#closing);
    this.#ring.close();
    this.#control.close();
    this.#stats.close();
    this.#loaded.close();
  }
}

/** One call passes its entry and one of the places where it ends: the dearest, to be sure. */
function costOf(sites: readonly CallSite[], costs: ProbeCosts): number {
  const one = ({ kind, bytes }: CallSite): number =>
    kind === Site.uretprobe ? costs.uretprobe : stepsOver(bytes) ? costs.step : costs.emulated;
  const entry = sites.filter(({ kind }) => kind === Site.entry).map(one);
  const ends = sites.filter(({ kind }) => kind !== Site.entry).map(one);
  return Math.max(0, ...entry) + Math.max(0, ...ends);
}
