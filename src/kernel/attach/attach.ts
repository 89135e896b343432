/**
 * Attaches a LoadedProgram's probes to their event sources, all or nothing.
 *
 * Only links and file descriptors hold a probe in the kernel, never pins: whatever ends
 * the process ends the tracing. One file a probe kind, one table from kind to file.
 */
import { MachineError } from '../../base/errors.ts';
import type { ProbeSpec } from '../../program/program.ts';
import type { LoadedBpf, LoadedProgram } from '../load/load.ts';
import { closeFd } from '../sys/bpfcall.ts';
import { closeOnThread } from '../sys/native.ts';
import { missedHits, missedRuns } from '../sys/objects.ts';
import type { Attach, Placed, Workbench } from './bench.ts';
import { attachIterators } from './iter.ts';
import { attachKprobes } from './kprobe.ts';
import { attachPerfEvents } from './perf.ts';
import { attachRawTracepoints } from './rawtracepoint.ts';
import { keepForTestRun, runProgram, timeProgram } from './testrun.ts';
import { attachTimers } from './timer.ts';
import { attachTracepoints } from './tracepoint.ts';
import { attachTracing } from './tracing.ts';
import { attachUprobes } from './uprobe.ts';
import { attachWatchpoints } from './watchpoint.ts';

type ProbeKind = ProbeSpec['kind'];

/** A probe kind's half in the kernel. Adding a kind is one line here and one file. */
const kinds: Record<ProbeKind, Attach> = {
  begin: keepForTestRun,
  end: keepForTestRun,
  self: keepForTestRun,
  test: keepForTestRun,
  bench: keepForTestRun,
  tracepoint: attachTracepoints,
  rawtracepoint: attachRawTracepoints,
  uprobe: attachUprobes,
  uretprobe: attachUprobes,
  usdt: attachUprobes,
  interval: attachTimers,
  profile: attachTimers,
  software: attachPerfEvents,
  hardware: attachPerfEvents,
  kprobe: attachKprobes,
  kretprobe: attachKprobes,
  fentry: attachTracing,
  fexit: attachTracing,
  iter: attachIterators,
  watchpoint: attachWatchpoints,
};

export interface AttachOptions {
  /** Called for each probe that could not be attached, instead of failing, unless `missing` is 'error'. */
  readonly onMissing?: (title: string, error: MachineError) => void;
  /** What to do about probes that cannot be attached; the script's config unless given. */
  readonly missing?: 'error' | 'warn' | 'ignore';
  /** Called about once a second with the probes that are attached so far, and all. */
  readonly onProgress?: (done: number, all: number) => void;
}

/** A probe that could not be attached. */
export class AttachError extends MachineError {
  /** Index into Program.probes. */
  readonly probe: number;
  /** As the script names it. */
  readonly title: string;
  constructor(probe: number, title: string, cause: MachineError, hints: readonly string[] = []) {
    super(`cannot attach ${title}: ${cause.message}`, {
      code: cause.code,
      hints: [...cause.hints, ...hints],
      cause,
    });
    this.name = 'AttachError';
    this.probe = probe;
    this.title = title;
  }
}

/** What an attachment holds besides links that are only there to be closed. */
export interface Held {
  /** Files of iterators, to be read once. */
  readonly iterators?: readonly number[];
  /** Links of watchpoints, by the address. */
  readonly watchpoints?: ReadonlyMap<string, readonly number[]>;
  /** Links of kprobes, which count what they miss, with their program's index. */
  readonly kprobes?: ReadonlyMap<number, number>;
}

/** Runs of a program that the kernel left out. */
export interface Missed {
  /** Titles of the probes that the program serves. */
  readonly probes: readonly string[];
  readonly count: number;
}

/** Threads that close at a time: libuv's pool has four, and files want to be read too. */
const closers = 3;

export class Attachment {
  readonly #loaded: LoadedProgram;
  #fds: readonly number[];
  readonly #watchpoints: ReadonlyMap<string, readonly number[]>;
  readonly #kprobes: ReadonlyMap<number, number>;
  /** Hits that kprobes' links had missed when they were detached, by the program's index. */
  readonly #missedHits = new Map<number, number>();
  /** Files of iterators, to be read once; they close with the attachment. */
  readonly iterators: readonly number[];
  #open = true;
  /** Probes that are attached (begin, end and self count as such). */
  readonly attached: number;

  constructor(loaded: LoadedProgram, fds: readonly number[], attached: number, held: Held = {}) {
    const { iterators = [], watchpoints = new Map(), kprobes = new Map() } = held;
    this.#loaded = loaded;
    this.#watchpoints = watchpoints;
    this.#kprobes = kprobes;
    this.#fds = [...fds, ...iterators];
    this.iterators = iterators;
    this.attached = attached;
  }

  /** Kernel objects (links, events) that hold the probes. */
  get links(): number {
    return this.#fds.length;
  }

  /** Runs the begin or end probes, in the script's order. Before close() of the LoadedProgram. */
  run(kind: 'begin' | 'end'): void {
    for (const probe of this.#loaded.program.probes) if (probe.kind === kind) this.#runOne(probe);
  }

  /** Runs a test's program once; gives what it returned, as a signed number. */
  test(probe: ProbeSpec): number {
    return runProgram(programOf(this.#loaded, probe)) | 0;
  }

  /** Runs a benchmark's program for a while. */
  bench(probe: ProbeSpec, between: () => void): { readonly average: number; readonly iterations: number } {
    return timeProgram(programOf(this.#loaded, probe), between);
  }

  /** What the kernel has left out so far, of programs of which it left out anything; of links what they had when detached. */
  missed(): readonly Missed[] {
    const { program, programs } = this.#loaded;
    return programs.flatMap(({ fd, refusal }, index) => {
      const count = refusal === undefined ? missedRuns(fd) + (this.#missedHits.get(index) ?? 0) : 0;
      if (count === 0) return [];
      const served = [...program.followers, ...program.probes].filter((probe) => probe.program === index);
      return [{ probes: served.map(({ name, kind }) => program.probeNames[name] ?? kind), count }];
    });
  }

  /** Runs the probes of a signal that the tracer itself got (`self:signal:SIGUSR1`). */
  runSignal(signal: string): void {
    for (const probe of this.#loaded.program.probes) {
      if (probe.kind === 'self' && probe.signal === signal) this.#runOne(probe);
    }
  }

  /** Signals that self probes wait for. */
  get signals(): readonly string[] {
    const signals = new Set<string>();
    for (const probe of this.#loaded.program.probes) if (probe.kind === 'self') signals.add(probe.signal);
    return [...signals];
  }

  /** Detaches the watchpoints of an address; there may be none. */
  unwatch(address: bigint): void {
    const gone = (this.#watchpoints.get(String(address)) ?? []).filter((fd) => this.#fds.includes(fd));
    if (!this.#open) return;
    this.#fds = this.#fds.filter((fd) => !gone.includes(fd));
    for (const fd of gone) closeFd(fd);
  }

  #runOne(probe: ProbeSpec): void {
    runProgram(programOf(this.#loaded, probe));
  }

  /**
   * Detaches everything; begin, end and self can still be run. The kernel waits for its
   * own readers before it lets go: measured on Linux 6.18, 80 ms a tracepoint, 120 ms a
   * uprobe on a perf event, 0.2 ms a function of a uprobe_multi link, and the caller
   * waits with it. Prefer detach().
   */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const fd of this.#fds) closeFd(fd);
  }

  /**
   * As close(), on pool threads, so that the event loop runs on; `onProgress` is called about
   * once a second. More threads are no faster: the kernel lets go of perf events one by one.
   */
  async detach(onProgress?: (done: number, all: number) => void): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    for (const [fd, program] of this.#kprobes) {
      this.#missedHits.set(program, (this.#missedHits.get(program) ?? 0) + missedHits(fd));
    }
    const fds = [...this.#fds];
    let told = performance.now();
    const closeSome = async (): Promise<void> => {
      for (let fd = fds.pop(); fd !== undefined; fd = fds.pop()) {
        await closeOnThread(fd);
        if (onProgress === undefined || performance.now() - told < progressInterval) continue;
        told = performance.now();
        onProgress(this.#fds.length - fds.length, this.#fds.length);
      }
    };
    await Promise.all(Array.from({ length: closers }, closeSome));
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function programOf(loaded: LoadedProgram, probe: ProbeSpec): LoadedBpf {
  const program = loaded.programs[probe.program];
  if (program === undefined) throw new Error(`insitu bug: probe names program ${probe.program}, which is not there`);
  return program;
}

/** Milliseconds between words on the progress. */
const progressInterval = 1000;

const goOn = 'config = { missing_probes = "warn" } goes on without probes that cannot be attached';

/** Attaches all probes of a program; rejects with an AttachError with nothing left attached. */
export async function attachProbes(loaded: LoadedProgram, options: AttachOptions = {}): Promise<Attachment> {
  const missing = options.missing ?? loaded.program.config.missingProbes;
  const fds: number[] = [];
  const iterators: number[] = [];
  let failures = 0;
  let done = 0;
  let told = performance.now();
  const all = loaded.program.probes.length;
  const groups = new Map<Attach, Placed[]>();
  for (const spec of [...loaded.program.followers, ...loaded.program.probes]) {
    const attach = kinds[spec.kind];
    const placed = { spec, program: programOf(loaded, spec), title: loaded.program.probeNames[spec.name] ?? spec.kind };
    const group = groups.get(attach);
    if (group) group.push(placed);
    else groups.set(attach, [placed]);
  }
  const watchpoints = new Map<string, number[]>();
  const kprobes = new Map<number, number>();
  const bench: Workbench = {
    keep(fd, probes = 1, spec) {
      fds.push(fd);
      if (spec?.kind === 'watchpoint') watchpoints.set(spec.address, [...(watchpoints.get(spec.address) ?? []), fd]);
      if (spec?.kind === 'kprobe' || spec?.kind === 'kretprobe') kprobes.set(fd, spec.program);
      done += probes;
      if (options.onProgress === undefined || performance.now() - told < progressInterval) return;
      told = performance.now();
      options.onProgress(Math.min(done, all), all);
    },
    read: (fd) => void iterators.push(fd),
    failed(probe, error) {
      const { probes, followers } = loaded.program;
      if (missing === 'error' || followers.includes(probe.spec)) {
        throw new AttachError(probes.indexOf(probe.spec), probe.title, error, probes.length > 1 ? [goOn] : []);
      }
      failures++;
      if (missing === 'warn') options.onMissing?.(probe.title, error);
    },
  };
  try {
    for (const [attach, probes] of groups) await attach(probes, bench);
  } catch (error) {
    for (const fd of [...fds, ...iterators]) closeFd(fd);
    throw error;
  }
  const counted = loaded.program.probes.filter((probe) => !('serves' in probe)).length;
  return new Attachment(loaded, fds, counted - failures, { iterators, watchpoints, kprobes });
}
