/**
 * The library: a script in, typed events out.
 *
 *     import { trace } from 'insitu';
 *     for await (const event of await trace({ script: 'BEGIN { printf("hello\\n"); exit(); }' })) {
 *       console.log(event);
 *     }
 *
 * Ending the iteration early (break, throw) ends the trace. The process needs the
 * rights to trace; nothing of a trace outlives it.
 */
import type { HeldChild } from '../kernel/host/child.ts';
import { ProcessWatch } from './end.ts';
import type { ProcessNames } from './processes.ts';
import { type Compiled, compileScript, ScriptError, type ScriptOptions } from './script.ts';
import { Trace } from './trace.ts';
import type { UnwindTables } from './unwind.ts';

export { MachineError } from '../base/errors.ts';
export type { CompileResult, DebugStage } from '../compiler/compile.ts';
export type { Diagnostic } from '../diag/diagnostic.ts';
export type { Source } from '../diag/source.ts';
export type { ChildExit } from '../kernel/host/child.ts';
export type { Program } from '../program/program.ts';
export { createRenderer, type OutputFormat, type Renderer, valueText } from '../render/index.ts';
export type * from '../values/index.ts';
export { type Compiled, compileScript, ScriptError, type ScriptOptions } from './script.ts';
export { Trace } from './trace.ts';

export interface TraceOptions extends ScriptOptions {
  /** Starts this command, held before its first instruction until everything is attached; its end ends the trace. */
  readonly command?: string | undefined;
  /** Sees the compiled script, right or wrong, before anything is loaded. What it throws, `trace` rejects with. */
  readonly onCompiled?: ((compiled: Compiled) => void) | undefined;
  /** Something that does not stop the trace: a probe that is missing, a lack of the machine. */
  readonly onWarning?: ((message: string) => void) | undefined;
  /** Milliseconds that events may come later, for the sake of those that are traced (TraceParts.gather). */
  readonly gather?: number | undefined;
  /** Told how far attaching and detaching are, about once a second, when they take longer. */
  readonly onProgress?: ((what: 'attached' | 'detached', done: number, all: number) => void) | undefined;
  /** Keep what the kernel's verifier says (Trace.verifierLogs). */
  readonly verifierLog?: boolean | undefined;
}

/**
 * Compiles, loads and attaches a script on this machine. When the promise resolves, all
 * probes are attached and BEGIN has run. Rejects with a ScriptError (the script) or a
 * MachineError (the machine), with nothing left behind.
 */
export async function trace(options: TraceOptions): Promise<Trace> {
  const { pids = [], command } = options;
  const onWarning = options.onWarning ?? (() => {});
  const watched: ProcessWatch[] = [];
  let child: HeldChild | undefined;
  let names: ProcessNames | undefined;
  try {
    for (const pid of pids) watched.push(new ProcessWatch(pid));
    // Parts that many scripts do without are loaded when they are needed.
    if (command !== undefined)
      child = await (await import('../kernel/host/child.ts')).holdCommand(command, { onWarning });
    const compiled = compileScript(options, child?.pid);
    options.onCompiled?.(compiled);
    const { result, source } = compiled;
    if (!result.ok) throw new ScriptError(result.diagnostics, source);
    const { program } = result;
    if (program.probes.some(({ kind }) => kind === 'uretprobe')) {
      const { uretprobeWarnings } = await import('./unwinders.ts');
      for (const warning of uretprobeWarnings(program, compiled.target)) onWarning(warning);
    }
    let tables: UnwindTables | undefined;
    const unwinding = program.unwinds ? await import('./unwind.ts') : undefined;
    if (program.needsUserSymbols) {
      const { ProcessNames } = await import('./processes.ts');
      names = new ProcessNames({
        demangle: program.config.cppDemangle,
        showSource: program.config.showDebugInfo,
        pids: pids.length > 0 || child === undefined ? pids : [child.pid],
        debugFiles: { onMessage: onWarning, ...options.debugFiles },
        onEvent: (event) => tables?.follow(event),
        onSlow: (path) => onWarning(`${path} has no symbols: inferring names (kept for the next run)`),
      });
    }
    const asksForObjects = program.events.some(({ kind }) => kind === 'object');
    return await Trace.start(program, {
      explore: asksForObjects ? (await import('./objects.ts')).exploreObject : undefined,
      child,
      watched,
      userNames: names,
      unwindTables:
        unwinding &&
        ((loaded) => {
          tables = new unwinding.UnwindTables(loaded, names as ProcessNames);
          const targets = child === undefined ? pids : [...pids, child.pid];
          // The command may be a wrapper (env, setarch …) of another one; a uprobe's program may be started later.
          const probed = program.probes.flatMap((probe) => ('path' in probe ? [probe.path] : []));
          tables.prepare(targets, [...(child?.command ?? []), ...probed]);
          if (targets.length === 0) tables.prepareAll();
          return tables;
        }),
      onMissing: (title, error) => onWarning(`${title}: ${error.message}`),
      verifierLog: options.verifierLog === true ? 1 : undefined,
      mode: options.mode,
      withoutFeatures: options.withoutFeatures,
      onProgress: options.onProgress,
      gather: options.gather,
    });
  } catch (error) {
    names?.close();
    for (const watch of watched) watch.close();
    child?.kill('SIGKILL');
    throw error;
  }
}
