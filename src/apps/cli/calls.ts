/** `insitu calls`: the calls of some functions, as trees with arguments, results and times, and in numbers. */
import { isatty } from 'node:tty';
import {
  type CallsReport,
  functionRow,
  Longest,
  type ShownCall,
  showCall,
  type Traced,
  unseenText,
} from '../../answers/calls/report.ts';
import { callHead, callText, reportText, type Style } from '../../answers/calls/text.ts';
import { type Call, CallTrees } from '../../answers/calls/tree.ts';
import { MachineError } from '../../base/errors.ts';
import { type HeldChild, holdCommand } from '../../kernel/host/child.ts';
import { processExecutable } from '../../kernel/host/processes.ts';
import { createHostTarget } from '../../kernel/host/target.ts';
import { Clock, clockNanoseconds } from '../../kernel/sys/process.ts';
import { findFunctions } from '../../session/calledfunctions.ts';
import { CallsRun } from '../../session/calls.ts';
import { ProcessWatch } from '../../session/end.ts';
import { mayUnwind } from '../../session/unwinders.ts';
import { clockText } from './clock.ts';
import { complain } from './failure.ts';
import { type CallsOptions, debugFilesOf } from './options.ts';
import { notifyAttached, Output } from './output.ts';
import { refreshes, showInPlace } from './screen.ts';
import { stopOnSignals } from './stop.ts';

/** How often --watch shows the numbers anew, and how often the progress is told, in milliseconds. */
const refreshAfter = 1000;
const tellAfter = 250;
/** Milliseconds that a -c child has to end by itself after a signal. */
const childGrace = 2000;
/** Lines of one tree with --events. */
const mostLines = 200;

/** Follows calls until the process, the command, a time or a signal ends it; gives the exit status. */
export async function calls(patterns: readonly string[], options: CallsOptions): Promise<number> {
  const warn = (message: string): void => complain(`WARNING: ${message}\n`);
  const watched: ProcessWatch[] = [];
  let child: HeldChild | undefined;
  let run: CallsRun | undefined;
  try {
    for (const pid of options.pids) watched.push(new ProcessWatch(pid));
    if (options.command !== undefined) child = await holdCommand(options.command, { onWarning: warn });
    const pid = options.pids[0];
    const program = pid === undefined ? (child?.command[0] ?? '') : programOf(pid);
    const target = createHostTarget({
      pid,
      debugFiles: debugFilesOf(options),
      onSlow: (path) => complain(`${path} has no symbols: inferring names (kept for the next run)\n`),
    });
    const processes = options.pids.map((one) => ({ pid: one, program: programOf(one) }));
    const unwinds = mayUnwind(target, child === undefined ? processes : [{ pid: undefined, program }]);
    const { functions, unfollowed } = findFunctions({
      ...{ target, patterns, program, pid },
      uretprobes: (binary) => !unwinds(binary),
    });
    for (const name of unfollowed.slice(0, 3))
      warn(`${name} is left out: its code cannot be followed to where it returns`);
    if (unfollowed.length > 3) warn(`${unfollowed.length - 3} more functions are left out for the same reason`);
    let failed = 0;
    run = new CallsRun({
      functions,
      pids: child === undefined ? options.pids : [child.pid],
      ...{ rate: options.rate, sample: options.sample, depth: options.depth },
      ...{ least: options.least, overhead: options.overhead },
      uprobeMulti: !options.withoutFeatures.has('uprobe_multi'),
      onFailed: (name, reason) => {
        if (++failed <= 3) warn(`${name} is left out: ${reason}`);
      },
    });
    if (failed > 3) warn(`${failed - 3} more functions cannot be probed`);
    return await new Session(run, functions, child, watched, options).follow();
  } catch (error) {
    for (const watch of watched) watch.close();
    child?.kill('SIGKILL');
    await run?.close();
    throw error;
  }
}

function programOf(pid: number): string {
  const program = processExecutable(pid);
  if (program !== undefined) return program;
  throw new MachineError(`process ${pid} runs no program file that can be read`, {
    code: 'ESRCH',
    hints: ['a kernel thread has none; for the processes of others insitu must run as root'],
  });
}

class Session {
  readonly #run: CallsRun;
  readonly #functions: readonly Traced[];
  readonly #child: HeldChild | undefined;
  readonly #watched: readonly ProcessWatch[];
  readonly #options: CallsOptions;
  readonly #output: Output;
  readonly #style: Style;
  readonly #trees = new CallTrees();
  readonly #began: number = performance.now();
  readonly #wallClock: bigint = clockNanoseconds(Clock.REALTIME) - clockNanoseconds(Clock.MONOTONIC);
  readonly #longest = new Longest(now);
  #childSignalled = false;
  #childEnded = false;
  #ended = false;
  #seconds = 0;
  #progress = '';

  constructor(
    run: CallsRun,
    functions: readonly Traced[],
    child: HeldChild | undefined,
    watched: readonly ProcessWatch[],
    options: CallsOptions,
  ) {
    this.#run = run;
    this.#functions = functions;
    this.#child = child;
    this.#watched = watched;
    this.#options = options;
    this.#output = new Output(options.output, 'line');
    const screen = options.output === undefined && isatty(1);
    const wish = process.env['BPFTRACE_COLOR'];
    const color = wish === 'always' || (wish !== 'never' && screen && process.env['NO_COLOR'] === undefined);
    // With --watch all has to be on the screen at once: title, headings, what was not seen.
    const rows = screen && options.watch ? process.stdout.rows - 8 : undefined;
    const width = screen ? process.stdout.columns : undefined;
    this.#style = { color, width, rows, histograms: options.verbose && !options.watch };
  }

  async follow(): Promise<number> {
    const { duration, watch, events } = this.#options;
    const stop = (): void => {
      this.#ended = true;
      this.#run.wake();
    };
    stopOnSignals({
      stop,
      signalChild: (signal) => {
        this.#childSignalled = true;
        this.#child?.kill(signal);
      },
    });
    process.on('SIGUSR1', () => this.#show(this.#options.events === false));
    this.#release(stop);
    notifyAttached();
    const timer = duration === undefined ? undefined : setTimeout(stop, duration / 1e6);
    let [shownAt, toldAt] = [performance.now(), performance.now()];
    try {
      while (!this.#ended) {
        await this.#run.pause();
        this.#look(events);
        const at = performance.now();
        if (watch && at - shownAt >= refreshAfter) {
          shownAt = at;
          if (this.#options.format === 'text' && refreshes(this.#options.output)) {
            this.#clearProgress();
            showInPlace(this.#output, this.#text(false));
          } else this.#show(false);
        } else if (at - toldAt >= tellAfter && !watch) {
          toldAt = at;
          this.#tell();
        }
        this.#output.rest();
      }
      this.#clearProgress();
      this.#seconds = (performance.now() - this.#began) / 1000;
      for (const call of this.#run.finish()) this.#take(call, events);
      this.#trees.rest();
      this.#show(!events);
      this.#output.close();
    } finally {
      clearTimeout(timer);
      this.#clearProgress();
      for (const watchOne of this.#watched) watchOne.close();
      await this.#run.close();
      await this.#endChild();
    }
    return 0;
  }

  /** Lets the command run; the end of the last process ends the run. */
  #release(stop: () => void): void {
    let living = this.#watched.length;
    for (const watch of this.#watched) {
      watch.onEnd(() => {
        if (--living === 0) stop();
      });
    }
    void this.#child?.exited.then(() => {
      this.#childEnded = true;
      stop();
    });
    this.#child?.start();
  }

  /** The end of this process would kill the child: one that was sent a signal may end in its own way. */
  async #endChild(): Promise<void> {
    if (this.#child === undefined || this.#childEnded) return;
    if (!this.#childSignalled) this.#child.kill('SIGTERM');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, childGrace);
    });
    await Promise.race([this.#child.exited, late]);
    clearTimeout(timer);
  }

  #look(events: boolean): void {
    const { records, removed, unwinder } = this.#run.look();
    for (const record of records) this.#take(record, events);
    if (unwinder !== undefined) {
      this.#clearProgress();
      complain(
        `WARNING: the process has loaded ${unwinder}, which unwinds stacks: return addresses are left alone from now on; calls that are open now may be shown as unwound\n`,
      );
    }
    if (removed.length === 0) return;
    const [first] = removed;
    const name = this.#functions[first as number]?.name ?? '';
    const rate = Math.round(this.#run.removed.get(first as number)?.rate ?? 0).toLocaleString('en-US');
    const more = removed.length > 1 ? `, and ${removed.length - 1} more` : '';
    this.#clearProgress();
    complain(
      `WARNING: the probes cost the program too much (--overhead): ${name}, called ${rate} times a second${more} lost theirs\n`,
    );
  }

  #take(call: Call, events: boolean): void {
    const tree = this.#trees.take(call);
    if (tree === undefined) return;
    this.#longest.take(tree);
    if (!events) return;
    const shown = showCall(tree, this.#functions, new Set(this.#run.removed.keys()), now());
    this.#clearProgress();
    this.#output.write(
      this.#options.format === 'json'
        ? `${JSON.stringify({ type: 'call', data: shown })}\n`
        : callHead(shown, this.#clock(shown.start), this.#style) + callText(shown, this.#style, mostLines),
    );
  }

  #report(): CallsReport {
    const removed = new Set(this.#run.removed.keys());
    let cost = 0;
    const rows = this.#functions.flatMap((traced, fn) => {
      const stats = this.#run.stats(fn);
      cost += stats.calls * this.#run.costOf(fn);
      return stats.calls === 0 ? [] : [functionRow(traced, { ...stats, removed: this.#run.removed.get(fn) })];
    });
    rows.sort((a, b) => b.total - a.total || b.calls - a.calls);
    return {
      functions: rows,
      traced: this.#run.attached,
      longest: this.#longest.all().map((node): ShownCall => showCall(node, this.#functions, removed, now())),
      probeCost: Math.round(cost / Math.max(1, this.#run.calls)),
      duration: this.#seconds || (performance.now() - this.#began) / 1000,
      unseen: unseenText({ ...this.#run.losses(), orphans: this.#trees.orphans }, rows, this.#options),
    };
  }

  #show(trees: boolean): void {
    const text = this.#text(trees);
    this.#clearProgress();
    this.#output.write(text);
    this.#output.rest();
  }

  #text(trees: boolean): string {
    const report = this.#report();
    return this.#options.format === 'json'
      ? `${JSON.stringify({ type: 'calls', data: report })}\n`
      : reportText(report, this.#style, (start) => this.#clock(start), trees);
  }

  #clock(start: number): string {
    const zone = (seconds: number): { offset: number } => ({
      offset: -new Date(seconds * 1000).getTimezoneOffset() * 60,
    });
    return clockText(BigInt(Math.round(start)) + this.#wallClock, zone);
  }

  /** On a terminal, one line that says that something happens. */
  #tell(): void {
    if (this.#options.quiet || !isatty(2)) return;
    const seconds = Math.round((performance.now() - this.#began) / 1000);
    const count = this.#run.calls.toLocaleString('en-US');
    const text = `${count} calls of ${this.#run.attached} functions in ${seconds} s; Ctrl-C ends`;
    complain(`\r\x1b[K${text}`);
    this.#progress = text;
  }

  #clearProgress(): void {
    if (this.#progress === '') return;
    complain('\r\x1b[K');
    this.#progress = '';
  }
}

function now(): number {
  return Number(clockNanoseconds(Clock.MONOTONIC));
}
