/** `insitu sockets`: who listens, with which options, whom it accepts, each with the code that did it. */
import { isatty } from 'node:tty';
import { readEvent } from '../../answers/sockets/event.ts';
import { SocketOptions } from '../../answers/sockets/options.ts';
import { errorNaming, makeReport } from '../../answers/sockets/report.ts';
import { openSocketsScript, type Scope, socketCallsScript } from '../../answers/sockets/script.ts';
import { Sockets } from '../../answers/sockets/table.ts';
import { callText, reportText } from '../../answers/sockets/text.ts';
import type { MachineError } from '../../base/errors.ts';
import { constant } from '../../kernel/host/constants/index.ts';
import { type Trace, type TraceOptions, trace } from '../../session/index.ts';
import { clockText } from './clock.ts';
import { complain } from './failure.ts';
import { debugFilesOf, type SocketsOptions } from './options.ts';
import { notifyAttached, Output } from './output.ts';
import { stopOnSignals } from './stop.ts';

/** How often --watch shows the tables anew, in milliseconds. */
const refreshAfter = 1000;

/** Follows sockets until the process, the command or a signal ends it; gives the exit status. */
export async function sockets(options: SocketsOptions): Promise<number> {
  const errorName = errorNaming(constant);
  const table = new Sockets(new SocketOptions(constant));
  const scope: Scope = { pids: options.pids, child: options.command !== undefined, self: process.pid };
  const shared: Omit<TraceOptions, 'script'> = {
    debugFiles: debugFilesOf(options),
    onWarning: (message) => complain(`WARNING: ${message}\n`),
  };
  const output = new Output(options.output, 'line');
  const show = (): void => {
    const report = makeReport(table, errorName);
    output.write(options.format === 'json' ? `${JSON.stringify(report)}\n` : reportText(report));
    output.rest();
  };
  process.on('SIGUSR1', show);
  const running = await trace({
    ...shared,
    script: socketCallsScript(scope),
    name: 'sockets',
    command: options.command,
    ...(options.pids.length === 0 ? {} : { pids: options.pids }),
  });
  let lost = 0;
  let timer: NodeJS.Timeout | undefined;
  const asked = stopOnSignals(running);
  try {
    if (options.command === undefined) await look(table, scope, shared);
    if (options.watch) {
      timer = setInterval(() => {
        if (options.output === undefined && isatty(1)) output.write('\x1b[2J\x1b[H');
        show();
      }, refreshAfter);
    }
    for await (const batch of running.batches()) {
      for (const event of batch) {
        if (event.type === 'attached_probes') notifyAttached();
        if (event.type === 'lost_events') lost += event.count;
        if (event.type !== 'value') continue;
        const read = readEvent(event.value, running.wording);
        const call = read && table.take(read);
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
    // What is open still has its present options and counts.
    if (options.command === undefined || asked() > 0) await look(table, scope, shared);
    show();
    if (lost > 0) complain(`WARNING: ${lost} events were lost: calls are missing above\n`);
    output.close();
  } finally {
    clearInterval(timer);
    running.close();
  }
  return 0;
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
  const seen = new Set<string>();
  let at = 0;
  try {
    for await (const event of running) {
      if (event.type !== 'value') continue;
      const read = readEvent(event.value, running.wording);
      if (read === undefined) continue;
      at = read.at;
      seen.add(`${read.pid}:${read.fd}`);
      table.take(read);
    }
  } finally {
    running.close();
  }
  if (at > 0) table.settle(seen, scope.pids, at);
}
