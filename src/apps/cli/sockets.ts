/** `insitu sockets`: who listens, with which options, whom it accepts, each with the code that did it. */
import { isatty } from 'node:tty';
import { readEvent, StackLines } from '../../answers/sockets/event.ts';
import { SocketOptions } from '../../answers/sockets/options.ts';
import { errorNaming, makeReport } from '../../answers/sockets/report.ts';
import { openSocketsScript, type Scope, socketCallsScript } from '../../answers/sockets/script.ts';
import { Sockets } from '../../answers/sockets/table.ts';
import { callText, reportText } from '../../answers/sockets/text.ts';
import type { MachineError } from '../../base/errors.ts';
import { constant } from '../../kernel/host/constants/index.ts';
import { containerOf } from '../../kernel/host/containers.ts';
import { type Trace, type TraceOptions, trace } from '../../session/index.ts';
import { clockText } from './clock.ts';
import { complain, tell, tellProgress } from './failure.ts';
import { debugFilesOf, type SocketsOptions } from './options.ts';
import { notifyAttached, Output } from './output.ts';
import { bold, clear, refreshes, showInPlace } from './screen.ts';
import { childGrace, stopOnSignals } from './stop.ts';

/** Milliseconds that a call may be told late: a server under load then wakes this process less often. */
const gatherFor = 20;
/** How often --watch shows the tables anew, in milliseconds. */
const refreshAfter = 1000;

/** Follows sockets until the process, the command or a signal ends it; gives the exit status. */
export async function sockets(options: SocketsOptions): Promise<number> {
  const errorName = errorNaming(constant);
  const table = new Sockets(new SocketOptions(constant));
  const scope: Scope = {
    pids: options.pids,
    child: options.command !== undefined,
    self: process.pid,
    events: options.events,
  };
  const shared: Omit<TraceOptions, 'script'> = {
    debugFiles: debugFilesOf(options),
    onWarning: (message) => complain(`WARNING: ${message}\n`),
    onProgress: tellProgress,
  };
  const output = new Output(options.output, 'line');
  const title = bold(options.output);
  const text = (): string => {
    const report = makeReport(table, errorName, containerOf);
    return options.format === 'json' ? `${JSON.stringify(report)}\n` : reportText(report, title);
  };
  const show = (): void => {
    output.write(text());
    output.rest();
  };
  /** Looks at what is open, for its present options and counts; of a command, at the processes that have sockets. */
  const renew = async (): Promise<void> => {
    const pids = options.command === undefined ? scope.pids : [...table.processes()];
    if (options.command === undefined || pids.length > 0) await look(table, { ...scope, pids }, shared);
  };
  let showing: Promise<void> | undefined;
  /** One at a time: a slow look must not be overtaken by the next. */
  const showAnew = (how: () => void): void => {
    showing ??= renew()
      .then(how)
      .catch((error: unknown) => tell(error, false))
      .finally(() => {
        showing = undefined;
      });
  };
  process.on('SIGUSR1', () => showAnew(show));
  const running = await trace({
    ...shared,
    script: socketCallsScript(scope),
    name: 'sockets',
    command: options.command,
    gather: gatherFor,
    ...(options.pids.length === 0 ? {} : { pids: options.pids }),
  });
  const stacks = new StackLines();
  let lost = 0;
  let timer: NodeJS.Timeout | undefined;
  // What is open still is told with its present options and counts.
  stopOnSignals(running, renew);
  try {
    if (options.command === undefined) await renew();
    const inPlace = options.watch && options.format === 'text' && refreshes(options.output);
    if (inPlace) clear(output);
    const refresh = inPlace ? () => showInPlace(output, text()) : show;
    // What is open already is told at once: much may not happen for a long time.
    if (options.watch || (options.command === undefined && !options.events)) refresh();
    else if (isatty(2)) complain(`Following ${followed(options)}; Ctrl-C ends it, with the tables\n`);
    if (options.watch) timer = setInterval(() => showAnew(refresh), refreshAfter);
    for await (const batch of running.batches()) {
      for (const event of batch) {
        if (event.type === 'attached_probes') notifyAttached();
        if (event.type === 'lost_events') lost += event.count;
        if (event.type !== 'value') continue;
        const read = readEvent(event.value, running.wording, stacks);
        const call = read && table.take(read);
        // Asked while it lives, for when it has gone.
        if (read !== undefined) containerOf(read.pid);
        if (call === undefined || !options.events) continue;
        const { names } = running.wording;
        const clock = clockText(names.wallClock('monotonic', call.at), names.timeZone);
        output.write(
          options.format === 'json'
            ? `${JSON.stringify({ type: 'call', data: call })}\n`
            : callText(call, errorName, clock),
        );
      }
      output.rest();
    }
    clearInterval(timer);
    await showing;
    if (inPlace) clear(output);
    show();
    if (lost > 0) complain(`WARNING: ${lost} events were lost: calls are missing above\n`);
    output.close();
  } finally {
    clearInterval(timer);
    running.close();
  }
  await running.childGone(childGrace);
  return 0;
}

/** What is followed, in words. */
function followed({ command, pids }: SocketsOptions): string {
  if (command !== undefined) return `the sockets of ${command}`;
  return pids.length === 0 ? 'the sockets of this machine' : `the sockets of process ${pids.join(', ')}`;
}

/** Reads the sockets that are open now, without touching their processes. */
async function look(table: Sockets, scope: Scope, shared: Omit<TraceOptions, 'script'>): Promise<void> {
  let running: Trace;
  try {
    running = await trace({ ...shared, script: openSocketsScript(scope), name: 'open sockets' });
  } catch (error) {
    complain(`WARNING: sockets that are open already are not shown: ${(error as MachineError).message}\n`);
    return;
  }
  const stacks = new StackLines();
  const seen = new Set<string>();
  // CLOCK_MONOTONIC, as the events have it.
  const at = Number(process.hrtime.bigint());
  try {
    for await (const event of running) {
      if (event.type !== 'value') continue;
      const read = readEvent(event.value, running.wording, stacks);
      if (read === undefined) continue;
      seen.add(`${read.pid}:${read.fd}`);
      table.take(read);
    }
  } finally {
    running.close();
  }
  table.settle(seen, new Set(scope.pids), at);
}
