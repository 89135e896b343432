/** Runs a script: its events to the output, its end by a signal, exit() or a process's end. */
import { readFileSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import { explainRefusal } from '../../compiler/emit/verifier.ts';
import { describeNamed } from '../../compiler/syntax/named.ts';
import { renderAll } from '../../diag/render.ts';
import { AttachError } from '../../kernel/attach/attach.ts';
import { VerifierError } from '../../kernel/load/load.ts';
import {
  type Compiled,
  createRenderer,
  type Diagnostic,
  ScriptError,
  type Source,
  type Trace,
  trace,
} from '../../session/index.ts';
import { type Printer, parsePrinters } from '../../types/printers.ts';
import { complain, tellProgress, useColor } from './failure.ts';
import { debugFilesOf, type RunOptions, type ScriptPlace } from './options.ts';
import { notifyAttached, Output, say } from './output.ts';
import type { ProfileFiles } from './profile.ts';
import { readScript } from './script.ts';
import { childGrace, stopOnSignals } from './stop.ts';

/** Runs until the script's end; gives the exit status. */
export async function run(place: ScriptPlace, options: RunOptions): Promise<number> {
  const text = readScript(place);
  const printers = options.printers === undefined ? [] : readPrinters(options.printers);
  const color = useColor();
  let compiled: Compiled | undefined;
  let running: Trace;
  try {
    running = await trace({
      ...text,
      parameters: options.parameters,
      named: options.named,
      pids: options.pids,
      follow: options.follow,
      mode: options.mode,
      probeFilter: options.probeFilter,
      traceableFunctions: options.traceableFunctions,
      withoutFeatures: options.withoutFeatures,
      command: options.command,
      unsafe: options.unsafe,
      printers,
      reportReads: options.reportReads,
      includeFolders: options.includeFolders,
      includes: options.includes,
      debugFiles: debugFilesOf(options),
      unwind: options.unwind,
      verifierLog: options.debug.includes('verifier'),
      onWarning: (message) => options.warnings && complain(`WARNING: ${message}\n`),
      ...(options.verbose ? { onNote: (note: string) => complain(`${note}\n`) } : {}),
      ...(options.quiet ? {} : { onProgress: tellProgress }),
      onCompiled(outcome) {
        compiled = outcome;
        if (options.named.has('help')) throw new HelpAsked();
        inform(outcome, options, color);
      },
    });
  } catch (error) {
    if (error instanceof HelpAsked) {
      say(describeNamed(text.name, compiled?.result.named ?? []));
      return 0;
    }
    if (error instanceof ScriptError) {
      complain(renderAll(error.diagnostics, error.source, { color }));
      return 1;
    }
    const diagnostic = compiled && placed(error, compiled);
    if (compiled === undefined || diagnostic === undefined) throw error;
    complain(renderAll([diagnostic], compiled.source, { color }));
    if (options.verbose && error instanceof VerifierError) complain(`${error.log}\n`);
    return 1;
  }
  return await follow(running, compiled as Compiled, place, options);
}

/** `-- --help` was given: the script's parameters are shown instead of a run. */
class HelpAsked extends Error {}

/** A user's own printers of library types. */
function readPrinters(path: string): readonly Printer[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new MachineError(`can't read ${path}: ${(cause as Error).message}`, { code: 'ENOENT', cause });
  }
  return parsePrinters(text, (line, message) => {
    throw new MachineError(`${path}:${line}: ${message}`, { code: 'E_BAD_PRINTER' });
  });
}

/** Prints what -d asks for and the warnings. */
function inform({ result, source }: Compiled, options: RunOptions, color: boolean): void {
  const stages = options.debug.filter((stage) => stage !== 'verifier');
  if (stages.length > 0) {
    const output = new Output(undefined, 'line');
    for (const stage of result.ok ? stages : stages.filter((name) => name === 'ast')) {
      if (stages.length > 1) output.write(`--- ${stage}\n`);
      output.write(`${result.dump(stage).trimEnd()}\n`);
    }
    output.close();
  }
  if (!result.ok) return;
  if (options.warnings && result.warnings.length > 0) complain(renderAll(result.warnings, source, { color }));
}

/** The place in the script of what the kernel refused; undefined when it has none. */
function placed(error: unknown, { result, source }: Compiled): Diagnostic | undefined {
  if (!result.ok || !(error instanceof MachineError)) return undefined;
  const base = { severity: 'error', code: error.code, message: error.message, hints: error.hints } as const;
  if (error instanceof VerifierError) {
    const spans = result.program.programs[error.program]?.spans ?? new Int32Array();
    const refusal = explainRefusal(error.log, spans, source);
    const hints = [
      `the verifier says: ${refusal.kernel || error.message}`,
      ...(refusal.ofKernel
        ? []
        : ["the script passed insitu's own checks, so this is a bug in insitu or a limit of this kernel"]),
      '-v shows all that the verifier says',
    ];
    return {
      ...base,
      message: refusal.ofKernel ? refusal.complaint : `the kernel refused this: ${refusal.complaint || error.message}`,
      hints: [...refusal.hints, ...error.hints, ...hints],
      span: refusal.span,
    };
  }
  if (error instanceof AttachError) {
    const start = source.text.indexOf(error.title);
    return { ...base, span: start < 0 ? undefined : { start, end: start + error.title.length } };
  }
  return undefined;
}

/** Opens the files of --flame, --folded, --pprof and --speedscope. */
async function profileFiles({ profile }: RunOptions, running: Trace): Promise<ProfileFiles | undefined> {
  if (profile === undefined) return undefined;
  return new (await import('./profile.ts')).ProfileFiles(profile, running.program);
}

/** What a profile is called: the script's file, or its text. */
function titleOf(place: ScriptPlace, { name, text }: Source): string {
  if (place.kind === 'file') return name;
  const line = text.trim().replace(/\s+/g, ' ');
  return line.length > 100 ? `${line.slice(0, 99)}…` : line;
}

/** Writes the events of a trace until it ends. */
async function follow(running: Trace, { source }: Compiled, place: ScriptPlace, options: RunOptions): Promise<number> {
  const output = new Output(options.output, options.buffering);
  const rendered = { wording: running.wording, source };
  const render = createRenderer(options.format, { ...rendered, write: (text) => output.write(text), error: complain });
  // A test's output belongs to its result, and is only worth a look when it has failed.
  let gathered: string | undefined;
  const gather = (text: string): void => {
    gathered = (gathered ?? '') + text;
  };
  const renderInTest = createRenderer('text', { ...rendered, write: gather, error: gather });
  stopOnSignals(running);
  for (const signal of running.signals) process.on(signal, () => running.runSignal(signal));
  if (!running.signals.includes('SIGUSR1')) process.on('SIGUSR1', () => running.printMaps());

  if (options.debug.includes('verifier')) {
    for (const { name, log } of running.verifierLogs) output.write(`--- verifier: ${name}\n${log}\n`);
  }
  if (options.dryRun) {
    running.close();
    output.close();
    return 0;
  }
  let profile: ProfileFiles | undefined;
  let ended = false;
  try {
    profile = await profileFiles(options, running);
    for await (const batch of running.batches()) {
      for (const event of batch) {
        ended ||= event.type === 'end';
        // Folded stacks on standard output are then alone there.
        if (profile !== undefined && options.quiet && event.type === 'end') continue;
        if (ended && event.type === 'map' && profile?.take(event.map, running.wording) && options.quiet) continue;
        if (event.type === 'attached_probes') {
          if (!options.quiet) render(event);
          notifyAttached();
        } else if (event.type === 'test_result') {
          const wanted = !event.passed || options.format === 'json';
          render(wanted ? { ...event, output: gathered ?? '' } : event);
          gathered = undefined;
        } else if (gathered !== undefined) renderInTest(event);
        else {
          render(event);
          if (event.type === 'test_started') gathered = '';
        }
      }
      output.rest();
    }
    output.close();
    await profile?.write(titleOf(place, source));
  } finally {
    profile?.discard();
    running.close();
  }
  await running.childGone(childGrace);
  if (options.verbose && running.childEnd !== undefined) {
    const { code, signal } = running.childEnd;
    complain(signal === null ? `Child exited with code: ${code}\n` : `Child was ended by signal: ${signal}\n`);
  }
  return running.exitCode & 0xff;
}
