/**
 * One run of a Program: load → BEGIN → attach → events → END → maps, as an AsyncIterable.
 *
 * Everything happens when the next batch is asked for: records wait in the kernel's
 * ring buffer, and a consumer that is slow loses events (which are counted), never
 * memory. What a record asks for (a map to print, to clear; a command to run) is done
 * in the order of the records, so that output has the script's order.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, read, readSync } from 'node:fs';
import { invariant, type MachineError } from '../base/errors.ts';
import type { RunMode } from '../compiler/compile.ts';
import { Attachment, attachProbes } from '../kernel/attach/attach.ts';
import type { ChildExit, HeldChild } from '../kernel/host/child.ts';
import type { FeatureName } from '../kernel/host/features.ts';
import { type LoadedProgram, loadProgram } from '../kernel/load/load.ts';
import { mapArray } from '../kernel/ring/map.ts';
import { RingReader } from '../kernel/ring/ring.ts';
import { mapNextKey } from '../kernel/sys/bpf.ts';
import type { Mapping } from '../kernel/sys/memory.ts';
import { type Watch, watchFd } from '../kernel/sys/poll.ts';
import { Clock, clockNanoseconds } from '../kernel/sys/process.ts';
import type { Program } from '../program/program.ts';
import { type StackEnd, stackEnds } from '../program/unwind.ts';
import { errorText, formattingOf, type Wording } from '../render/index.ts';
import type { Names } from '../render/names.ts';
import {
  anyUnfinished,
  type DroppedEvent,
  type EventDecoder,
  type ExploreEvent,
  eventDecoder,
  eventStacks,
  type FinishedStack,
  holdsSomething,
  type ObjectEvent,
  type StackPlace,
  selectEntries,
  type TraceEvent,
} from '../values/index.ts';
import type { ProcessWatch } from './end.ts';
import { ScriptMaps } from './maps.ts';
import { MachineNames, type UserNames } from './names.ts';
import { PacketFiles } from './packets.ts';

/** Milliseconds between looks for processes that are still followed, once the first ones have ended. */
const followInterval = 50;
/** Bytes of records that one batch takes at most. */
const batchBytes = 1 << 20;
/** Probes of which it is told one by one what they missed. */
const missedNames = 4;
/** Milliseconds after which the event loop has its turn. */
const breathAfter = 50;

/** What provides the unwinder's tables. */
export interface Unwinding {
  /** Finishes the stack of an id. */
  finish(id: bigint): FinishedStack | undefined;
  /** Finishes all that wait; how many ended how, by the number of the StackEnd, and with guesses. */
  finished(): { readonly ends: readonly number[]; readonly guesses: number };
  close(): void;
}

export interface TraceParts {
  /** Started for -c; ends the run when it ends, and is ended with it. */
  readonly child?: HeldChild | undefined;
  /** The processes of -p; the end of the last one ends the run. The trace closes them. */
  readonly watched?: readonly ProcessWatch[] | undefined;
  /** Run the script's tests or benchmarks, and end. */
  readonly mode?: RunMode | undefined;
  /** Features of the kernel to do without. */
  readonly withoutFeatures?: ReadonlySet<FeatureName> | undefined;
  /** Told how far attaching and detaching are, about once a second, when they take longer. */
  readonly onProgress?: ((what: 'attached' | 'detached', done: number, all: number) => void) | undefined;
  /**
   * Milliseconds that records wait in the kernel after the first of them has come. The
   * kernel wakes this process only when nothing else waits (kernel/bpf/ringbuf.c,
   * bpf_ringbuf_commit()): each event is then cheaper for the traced, and is seen later.
   */
  readonly gather?: number | undefined;
  /** Names for user addresses, when the program needs them. The trace closes it. */
  readonly userNames?: UserNames | undefined;
  /** Provides the unwinder's tables, when the program has one. The trace closes it. */
  readonly unwindTables?: ((loaded: LoadedProgram) => Unwinding) | undefined;
  /** Looks into a process, when the program asks for it. */
  readonly explore?: ((request: ExploreEvent, names: Names) => ObjectEvent) | undefined;
  /** Probes that could not be attached and are not required. */
  readonly onMissing?: ((title: string, error: MachineError) => void) | undefined;
  /** 1 or 2: keep what the verifier says of programs that load. */
  readonly verifierLog?: number | undefined;
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

export class Trace implements AsyncIterable<TraceEvent> {
  readonly program: Program;
  /** What renderers need for names and clocks. */
  readonly wording: Wording;
  /** n after exit(n), else 0. */
  exitCode = 0;
  /** How the child ended, once it has. */
  childEnd: ChildExit | undefined;
  readonly #parts: TraceParts;
  readonly #loaded: LoadedProgram;
  /** Of begin, end and the like alone, until attach(). */
  #attachment: Attachment;
  readonly #maps: ScriptMaps;
  /** Absent, as the globals, when no probe has anything to say. */
  readonly #ring: RingReader | undefined;
  readonly #ringFd: number | undefined;
  readonly #globals: Mapping | undefined;
  readonly #decoders: readonly EventDecoder[];
  readonly #tables: Unwinding | undefined;
  /** Where records have stacks that may be unfinished, by event. */
  readonly #stacks: readonly (readonly StackPlace[])[];
  readonly #packets: PacketFiles | undefined;
  #watch: Watch | undefined;
  /** Ends the wait for records. */
  #wake: (() => void) | undefined;
  #pending: TraceEvent[] = [];
  #lost = 0;
  #stopping = false;
  /** After exit(): what probes still say is not heard, until END. */
  #deaf = false;
  #started = false;
  /** Code of an exit() that a test called. */
  #trialExit: number | undefined;
  #followTimer: NodeJS.Timeout | undefined;
  #childSignalled = false;
  #ending = false;
  #open = true;
  /** What the record handler threw; told when the ring buffer has been left in order. */
  #failure: { readonly error: unknown } | undefined;

  /** Loads, runs BEGIN and attaches; rejects with nothing left behind. */
  static async start(program: Program, parts: TraceParts): Promise<Trace> {
    const trace = new Trace(program, parts);
    try {
      trace.#attachment = await attachProbes(trace.#loaded, {
        ...(parts.onMissing === undefined ? {} : { onMissing: parts.onMissing }),
        onProgress: (done, all) => parts.onProgress?.('attached', done, all),
      });
    } catch (error) {
      parts.child?.kill('SIGKILL');
      trace.close();
      throw error;
    }
    return trace;
  }

  /** Loads; throws with nothing left behind. BEGIN has run when this returns. */
  private constructor(program: Program, parts: TraceParts) {
    this.program = program;
    this.#parts = parts;
    const cleanup: (() => void)[] = [() => parts.child?.kill('SIGKILL'), () => parts.userNames?.close()];
    try {
      const { withoutFeatures } = parts;
      this.#loaded = loadProgram(program, {
        ...(parts.verifierLog === undefined ? {} : { verifierLog: parts.verifierLog }),
        uprobeMulti: withoutFeatures?.has('uprobe_multi') !== true,
        kprobeMulti: withoutFeatures?.has('kprobe_multi') !== true,
      });
      cleanup.push(() => this.#loaded.close());
      this.#maps = new ScriptMaps(this.#loaded);
      const names = new MachineNames(program, parts.userNames, (map, id, count) => this.#maps.stack(map, id, count));
      this.wording = { names, trailer: program.config.strTruncTrailer };
      const formatting = formattingOf(this.wording);
      this.#decoders = program.events.map((spec) => eventDecoder(spec, formatting));
      this.#stacks = program.events.map((spec) => (program.unwinds ? eventStacks(spec) : []));
      const globals = this.#loaded.map('globals');
      if (globals !== undefined) {
        this.#globals = mapArray(globals);
        cleanup.push(() => this.#globals?.close());
        this.#setGlobals(this.#globals);
      }
      const events = this.#loaded.map('events');
      if (events !== undefined) {
        this.#ring = new RingReader(events.fd, events.spec.maxEntries, (view, offset, size) =>
          this.#take(view, offset, size),
        );
        cleanup.push(() => this.#ring?.close());
        this.#ringFd = events.fd;
      }
      this.#tables = parts.unwindTables?.(this.#loaded);
      this.#maps.finish = (id) => this.#tables?.finish(id);
      cleanup.push(() => this.#tables?.close());
      const packets = this.#loaded.map('packets');
      if (packets !== undefined) this.#packets = new PacketFiles(program, packets);
      cleanup.push(() => this.#packets?.close());
      // BEGIN comes before any other event, as scripts set up in it what their probes use.
      this.#attachment = new Attachment(this.#loaded, [], 0);
      this.#attachment.run('begin');
    } catch (error) {
      for (const undo of cleanup.reverse()) undo();
      throw error;
    }
  }

  /** Number of probes that are attached. */
  get attached(): number {
    return this.#attachment.attached;
  }

  /** Signals that the script has `self:signal:` probes for. */
  get signals(): readonly string[] {
    return this.#attachment.signals;
  }

  /** What the verifier said of each program, by name, when it was asked to. */
  get verifierLogs(): readonly { readonly name: string; readonly log: string }[] {
    return this.#loaded.programs.map(({ spec, log }) => ({ name: spec.name, log }));
  }

  /** Runs the probes of a signal that this process got. */
  runSignal(signal: string): void {
    if (this.#open) this.#attachment.runSignal(signal);
  }

  /** Ends the run: END is run, what is left is handed out, and the iteration ends. May be called at any time. */
  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#wake?.();
  }

  /** Hands out all maps as they are now, between two records. */
  printMaps(): void {
    if (!this.#open || this.#stopping) return;
    this.#pending.push(...this.#filledMaps());
    this.#wake?.();
  }

  /** Sends a signal to the child, if it runs. */
  signalChild(signal: NodeJS.Signals): void {
    if (this.childEnd !== undefined) return;
    this.#childSignalled = true;
    this.#parts.child?.kill(signal);
  }

  /** Resolves when there is no child that runs, or after so many milliseconds. */
  async childGone(milliseconds: number): Promise<void> {
    const { child } = this.#parts;
    if (child === undefined || this.childEnd !== undefined) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, milliseconds);
    });
    await Promise.race([child.exited, late]);
    clearTimeout(timer);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TraceEvent, void, void> {
    for await (const batch of this.batches()) yield* batch;
  }

  /** The events in the groups in which they came from the kernel; to be iterated once. */
  async *batches(): AsyncGenerator<readonly TraceEvent[], void, void> {
    invariant(!this.#started, 'a trace is iterated once');
    this.#started = true;
    try {
      const { mode = 'trace' } = this.#parts;
      if (mode === 'trace') yield [{ type: 'attached_probes', count: this.attached }];
      this.#release();
      this.#packets?.watch((error) => {
        this.#failure ??= { error };
        this.#wake?.();
      });
      if (mode !== 'trace') yield* this.#runTrials(mode);
      const iterates = this.program.probes.some(({ kind }) => kind === 'iter');
      if (iterates) void this.#iterate();
      const over = !iterates && this.#nothingMore();
      let breathed = performance.now();
      while (!this.#stopping) {
        // Where events come without a pause, signals and timers of this process want their turn too.
        if (performance.now() - breathed > breathAfter) {
          await new Promise((resolve) => setImmediate(resolve));
          breathed = performance.now();
        }
        const more = this.#drain(batchBytes);
        if (this.#pending.length > 0) yield this.#takePending();
        else if (over && !more) this.stop();
        else if (!more && !this.#stopping) {
          await this.#wait();
          if (this.#parts.gather !== undefined && !this.#stopping) await pause(this.#parts.gather);
        }
      }
      await this.#attachment.detach((done, all) => this.#parts.onProgress?.('detached', done, all));
      this.#drain();
      this.#packets?.finish();
      this.#deaf = false;
      this.#ending = true;
      this.#attachment.run('end');
      this.#drain();
      if (this.#pending.length > 0) yield this.#takePending();
      yield this.#last();
    } finally {
      this.close();
    }
  }

  /** Runs the script's tests or benchmarks, one after the other, and ends the run. */
  *#runTrials(mode: 'test' | 'bench'): Generator<readonly TraceEvent[], void, void> {
    const trials = this.program.probes.flatMap((probe) => (probe.kind === mode ? [{ probe, name: probe.title }] : []));
    yield [{ type: mode === 'test' ? 'tests' : 'benchmarks', count: trials.length }];
    const failed: string[] = [];
    for (const { probe, name } of trials) {
      if (this.#stopping) break;
      if (mode === 'bench') {
        // What a benchmark prints would cost more than it does.
        const result = this.#attachment.bench(probe, () => {
          this.#drain();
          this.#pending = [];
        });
        yield [{ type: 'benchmark_result', name, ...result }];
        continue;
      }
      yield [{ type: 'test_started', name }];
      this.#trialExit = undefined;
      const start = process.hrtime.bigint();
      const returned = this.#attachment.test(probe);
      const durationNs = Number(process.hrtime.bigint() - start);
      this.#drain();
      const passed = returned === 0 && (this.#trialExit ?? 0) === 0;
      if (!passed) failed.push(name);
      yield [...this.#takePending(), { type: 'test_result', name, passed, durationNs }];
    }
    if (mode === 'test') {
      yield [{ type: 'tests_ended', passed: trials.length - failed.length, failed }];
      if (failed.length > 0) this.exitCode = 1;
    }
    this.stop();
  }

  /** Lets go of everything; the iteration does it when it ends, also early. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#watch?.close();
    clearInterval(this.#followTimer);
    this.#attachment.close();
    this.#ring?.close();
    this.#globals?.close();
    this.#tables?.close();
    this.#packets?.close();
    this.#loaded.close();
    // A child that was sent a signal is left to do as it does at that signal.
    if (!this.#childSignalled) this.signalChild('SIGTERM');
    for (const watch of this.#parts.watched ?? []) watch.close();
    this.#parts.userNames?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #setGlobals({ buffer }: Mapping): void {
    const { globals } = this.program;
    const view = new DataView(buffer);
    const now = clockNanoseconds(Clock.BOOTTIME);
    view.setBigUint64(globals.startNs, now, true);
    view.setBigUint64(globals.wallClock, clockNanoseconds(Clock.REALTIME) - now, true);
    view.setBigUint64(globals.taiClock, clockNanoseconds(Clock.TAI) - now, true);
    view.setUint32(globals.selfPid, process.pid, true);
    view.setUint32(globals.childPid, this.#parts.child?.pid ?? 0, true);
  }

  /** Lets the child run; from here on the end of a process ends the run. */
  #release(): void {
    const { child, watched = [] } = this.#parts;
    let living = watched.length + (child === undefined ? 0 : 1);
    const ended = (): void => {
      living--;
      if (living === 0) this.#stopWithFollowed();
    };
    child?.exited.then((end) => {
      this.childEnd = end;
      ended();
    });
    child?.start();
    for (const watch of watched) watch.onEnd(ended);
  }

  /** Ends the run once all processes that --follow has found have ended. */
  #stopWithFollowed(): void {
    const followed = this.#loaded.map('followed');
    const key = new Uint8Array(4);
    if (followed === undefined || !mapNextKey(followed.fd, undefined, key)) {
      this.stop();
      return;
    }
    this.#followTimer = setInterval(() => {
      if (this.#open && mapNextKey(followed.fd, undefined, key)) return;
      clearInterval(this.#followTimer);
      this.stop();
    }, followInterval);
  }

  /**
   * Reads the iterators to their end, on pool threads, while the records that their
   * programs write are taken out. A script that has nothing else to wait for ends then.
   */
  async #iterate(): Promise<void> {
    const bytes = new Uint8Array(4096);
    for (const fd of this.#attachment.iterators) {
      for (let more = true; more && !this.#stopping; ) more = await readSome(fd, bytes);
    }
    if (this.#nothingMore()) this.stop();
  }

  /** Whether all that the script asks for has happened, but END; a child that was started runs to its end. */
  #nothingMore(): boolean {
    return this.#parts.child === undefined && this.program.probes.every(({ kind }) => atOnce.includes(kind));
  }

  /** Resolves when there are records, or the run is to end. */
  #wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
      this.#watch ??= this.#ringFd === undefined ? keepAlive() : this.#watchRing(this.#ringFd);
    });
  }

  #watchRing(fd: number): Watch {
    return watchFd(fd, () => {
      if (this.#wake !== undefined) this.#wake();
      else {
        // The consumer is busy: the descriptor stays readable, and would call for ever.
        this.#watch?.close();
        this.#watch = undefined;
      }
    });
  }

  /** Takes records out of the ring buffer; true when there may be more. */
  #drain(limit?: number): boolean {
    const more = this.#ring?.drain(limit) ?? false;
    this.#packets?.drain();
    if (this.#failure !== undefined) throw this.#failure.error;
    const lost = this.#readLost();
    if (lost > this.#lost) {
      this.#pending.push({ type: 'lost_events', count: lost - this.#lost });
      this.#lost = lost;
    }
    if (lost > 0 && !more) this.#lookForExit();
    return more;
  }

  /** Ends the run when the record of an exit() was among the lost ones. */
  #lookForExit(): void {
    if (this.#globals === undefined || this.#stopping) return;
    const view = new DataView(this.#globals.buffer);
    const { exit } = this.program.globals;
    if (view.getUint32(exit + 4, true) !== 0) this.#act({ type: 'exit', code: view.getInt32(exit, true) });
  }

  /** Records that found no room since the start, on all CPUs. */
  #readLost(): number {
    if (this.#globals === undefined) return 0;
    const { lost, lostSlots } = this.program.globals;
    const view = new DataView(this.#globals.buffer);
    let sum = 0;
    for (let slot = 0; slot < lostSlots; slot++) sum += Number(view.getBigUint64(lost + slot * 64, true));
    return sum;
  }

  #takePending(): readonly TraceEvent[] {
    const batch = this.#pending;
    this.#pending = [];
    return batch;
  }

  #take(view: DataView, offset: number, size: number): void {
    if (this.#failure !== undefined || this.#deaf) return;
    try {
      const event = view.getUint32(offset, true);
      const decoder = this.#decoders[event];
      invariant(decoder !== undefined, 'a record names an event that the program does not have');
      this.#parts.userNames?.expire();
      const stacks = this.#stacks[event] ?? [];
      if (anyUnfinished(view, offset, stacks)) {
        const copy = new DataView(view.buffer.slice(view.byteOffset + offset, view.byteOffset + offset + size));
        this.#maps.finishStacks(copy, 0, stacks);
        this.#act(decoder(copy, 0));
      } else this.#act(decoder(view, offset));
    } catch (error) {
      this.#failure = { error };
    }
  }

  /** Hands an event on, or does what it asks for. */
  #act(event: TraceEvent): void {
    switch (event.type) {
      case 'exit':
        if (this.#parts.mode !== undefined && this.#parts.mode !== 'trace') {
          this.#trialExit ??= event.code;
          return;
        }
        // The first one counts, as probes on other CPUs may call exit() before they are stopped; but END has the last word.
        if (!this.#stopping || this.#ending) {
          this.exitCode = event.code;
          this.#deaf = true;
        }
        this.stop();
        return;
      case 'print_map': {
        const map = this.#maps.read(event.map);
        this.#pending.push({ type: 'map', map: selectEntries(map, event.top, event.div) });
        return;
      }
      case 'clear':
        this.#maps.clear(event.map);
        return;
      case 'zero':
        this.#maps.zero(event.map);
        return;
      case 'unwatch':
        this.#attachment.unwatch(event.address);
        return;
      case 'explore':
        this.#pending.push(
          this.#parts.explore?.(event, this.wording.names) ?? {
            type: 'object',
            address: event.address,
            object: undefined,
          },
        );
        return;
      case 'system':
        this.#pending.push({ type: 'system_output', text: runCommand(event.text) });
        return;
      case 'cat': {
        const read = readStart(event.text, this.program.config.maxCatBytes);
        if (typeof read === 'string') this.#pending.push({ type: 'cat_output', text: read });
        else
          this.#pending.push({
            type: 'dropped',
            what: 'file',
            name: event.text,
            count: 1,
            reason: errorText(Math.abs(read)),
          });
        return;
      }
      default:
        this.#pending.push(event);
    }
  }

  /** What the programs counted because they could not do it. */
  #dropped(): TraceEvent[] {
    if (this.#globals === undefined) return this.#missed();
    const { failedReads, scratchBusy, loopLimit, notKept, mapFull, notFollowed, stackGuesses, stacksFull } =
      this.program.globals;
    const view = new DataView(this.#globals.buffer);
    const events: TraceEvent[] = [];
    const tell = (what: DroppedEvent['what'], offset: number, name?: string, more = 0): void => {
      const count = Number(view.getBigUint64(offset, true)) + more;
      if (count > 0) events.push({ type: 'dropped', what, count, ...(name === undefined ? {} : { name }) });
    };
    const packets = this.#packets?.lost ?? 0;
    if (packets > 0) events.push({ type: 'dropped', what: 'packets', count: packets });
    tell('reads', failedReads);
    tell('runs', scratchBusy);
    events.push(...this.#missed());
    tell('loops', loopLimit);
    tell('returns', notKept);
    tell('processes', notFollowed);
    const finished = this.#tables?.finished();
    events.push(...this.#stacksCutShort(view, finished?.ends ?? []));
    tell('guesses', stackGuesses, undefined, finished?.guesses);
    tell('stack_map', stacksFull);
    const { userNames } = this.#parts;
    userNames?.drain();
    if (userNames !== undefined && userNames.lost > 0)
      events.push({ type: 'dropped', what: 'mappings', count: userNames.lost });
    const userMaps = this.program.maps.filter((map) => map.role === 'user');
    for (const [index, map] of userMaps.entries()) tell('map', mapFull + 8 * index, map.name);
    return events;
  }

  /** Runs that the kernel left out, and of which probes: the one that missed most comes first. */
  #missed(): TraceEvent[] {
    const counts = new Map<string, number>();
    let all = 0;
    for (const { probes, count } of this.#attachment.missed()) {
      const [first = '', ...others] = probes;
      const name = others.length === 0 ? first : `${first} and ${others.length} more in one program`;
      counts.set(name, (counts.get(name) ?? 0) + count);
      all += count;
    }
    if (all === 0) return [];
    const sorted = [...counts].sort(([, a], [, b]) => b - a);
    const named = sorted.slice(0, missedNames).map(([name, count]) => `${count} ${name}`);
    if (sorted.length > named.length) named.push('others');
    return [{ type: 'dropped', what: 'missed', count: all, reason: named.join(', ') }];
  }

  /** Stacks that end early, and why; not those that were asked to be short, or have no user part. */
  #stacksCutShort(view: DataView, finished: readonly number[]): TraceEvent[] {
    const counted = (index: number): number =>
      Number(view.getBigUint64(this.program.globals.stackEnds + 8 * index, true)) + (finished[index] ?? 0);
    const counts = stackEnds.flatMap((end, index) => (end === 'unfinished' ? [] : [{ end, count: counted(index) }]));
    const early = counts.filter(({ end, count }) => count > 0 && !asExpected.includes(end));
    const count = early.reduce((sum, one) => sum + one.count, 0);
    if (count === 0) return [];
    const all = counts.reduce((sum, one) => sum + one.count, 0);
    return [
      {
        type: 'dropped',
        what: 'stacks',
        count,
        reason: `of ${all}: ${early.map((one) => `${one.count} ${one.end}`).join(', ')}`,
      },
    ];
  }

  /** The end, and the maps that hold something. */
  #last(): readonly TraceEvent[] {
    const events: TraceEvent[] = [...this.#dropped(), { type: 'end' }];
    if (this.program.config.printMapsOnExit) events.push(...this.#filledMaps());
    return events;
  }

  #filledMaps(): TraceEvent[] {
    return [...this.#maps.all()].filter(holdsSomething).map((map) => ({ type: 'map', map }));
  }
}

const asExpected: readonly StackEnd[] = ['complete', 'depth', 'no user registers'];

/** Kinds that have run when the iterators have been read. */
const atOnce: readonly string[] = ['iter', 'begin', 'end', 'test'];

/** Reads on in an iterator's file; false at its end. The kernel pauses (EAGAIN) after a million objects. */
function readSome(fd: number, bytes: Uint8Array): Promise<boolean> {
  return new Promise((resolve, reject) => {
    read(fd, bytes, 0, bytes.length, null, (error, count) => {
      if (error === null) resolve(count > 0);
      else if (error.code === 'EAGAIN') resolve(true);
      else if (error.code === 'EBADF') resolve(false);
      else reject(error);
    });
  });
}

/** Keeps Node from ending while there is nothing but signals to wait for. */
function keepAlive(): Watch {
  const timer = setInterval(() => {}, 2 ** 31 - 1);
  return { close: () => clearInterval(timer) };
}

/** Output of a shell command; its errors go where ours go. */
function runCommand(command: string): string {
  const { stdout } = spawnSync('/bin/sh', ['-c', command], { stdio: ['inherit', 'pipe', 'inherit'] });
  return stdout?.toString() ?? '';
}

/** The first bytes of a file, or why they cannot be read (an errno); a file in /proc may not know its size. */
function readStart(path: string, limit: number): string | number {
  const bytes = Buffer.alloc(limit);
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno ?? 0;
  }
  try {
    let length = 0;
    for (let count = 1; count > 0 && length < limit; length += count)
      count = readSync(fd, bytes, length, limit - length, null);
    return bytes.toString('utf8', 0, length);
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno ?? 0;
  } finally {
    closeSync(fd);
  }
}
