/** From a script's text to a Program for this machine. */
import { type CompileResult, compile, type RunMode } from '../compiler/compile.ts';
import type { Diagnostic } from '../diag/diagnostic.ts';
import { renderAll } from '../diag/render.ts';
import { Source } from '../diag/source.ts';
import { constant, constantNames } from '../kernel/host/constants/index.ts';
import type { DebugFileOptions } from '../kernel/host/debugfiles.ts';
import type { FeatureName } from '../kernel/host/features.ts';
import { createHostTarget } from '../kernel/host/target.ts';
import type { Target } from '../target/target.ts';
import type { Printer } from '../types/printers.ts';
import { readDefinitions } from './definitions.ts';
import { readImport } from './imports.ts';

export interface ScriptOptions {
  /** The script's text. */
  readonly script: string;
  /** What diagnostics call it: a path, or `stdin`. */
  readonly name?: string | undefined;
  /** Folder of the script's file, where its `#include "…"` are looked for. */
  readonly folder?: string | undefined;
  /** $1, $2 … */
  readonly parameters?: readonly string[] | undefined;
  /** `--name=value` for the script's getopt(); true for `--name` alone. */
  readonly named?: ReadonlyMap<string, string | true> | undefined;
  /** Limits probes to these processes; the end of the last one ends the trace. */
  readonly pids?: readonly number[] | undefined;
  /** Also to what those processes, or that of `command`, start; the end of the last one ends the trace. */
  readonly follow?: boolean | undefined;
  /** Leaves out probes of other names, begin and end apart. */
  readonly probeFilter?: RegExp | undefined;
  /** Runs the script's tests or benchmarks instead of waiting for events. */
  readonly mode?: RunMode | undefined;
  /** Features of the kernel to do without. */
  readonly withoutFeatures?: ReadonlySet<FeatureName> | undefined;
  /** A file that lists the kernel's traceable functions, in place of tracefs's own. */
  readonly traceableFunctions?: string | undefined;
  /** Allows system() and what else changes the machine. */
  readonly unsafe?: boolean | undefined;
  /** How more types of libraries are printed by what they hold: lines of types/printers.ts. */
  readonly printers?: readonly Printer[] | undefined;
  /** An event for each read of traced memory that fails; their number comes at the end in any case. */
  readonly reportReads?: boolean | undefined;
  /** Folders for `#include`. */
  readonly includeFolders?: readonly string[] | undefined;
  /** Headers included before the script. */
  readonly includes?: readonly string[] | undefined;
  /** Where debug files are looked for besides /usr/lib/debug, and a build with symbols (--symbols). */
  readonly debugFiles?: DebugFileOptions | undefined;
  /** Told what -v shows of how names were found in debugging information. */
  readonly onNote?: ((note: string) => void) | undefined;
  /** How user stacks are walked, whatever the script's config says (--unwind). */
  readonly unwind?: 'auto' | 'fp' | 'cfi' | undefined;
  /** Where BPFTRACE_… variables are looked up; the process's own unless given. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
}

/** The script is wrong: all that is, with places. */
export class ScriptError extends Error {
  readonly diagnostics: readonly Diagnostic[];
  readonly source: Source;
  constructor(diagnostics: readonly Diagnostic[], source: Source) {
    super(renderAll(diagnostics, source, { color: false }).trimEnd());
    this.name = 'ScriptError';
    this.diagnostics = diagnostics;
    this.source = source;
  }
}

/** A script for this machine, compiled or not (`result.ok`). */
export interface Compiled {
  readonly source: Source;
  readonly target: Target;
  readonly result: CompileResult;
}

/** Compiles for this machine. `childPid`: the process of -c. Nothing is loaded. */
export function compileScript(options: ScriptOptions, childPid?: number): Compiled {
  const source = new Source(options.name ?? 'stdin', options.script);
  const environment = options.environment ?? process.env;
  const target = createHostTarget({
    includeDirs: options.includeFolders ?? [],
    scriptDir: options.folder,
    pid: options.pids?.[0],
    withoutFeatures: options.withoutFeatures,
    traceableFunctions: options.traceableFunctions,
    btf: environment['BPFTRACE_BTF'],
    vmlinux: environment['BPFTRACE_VMLINUX'],
    kernelFolders: [environment['BPFTRACE_KERNEL_SOURCE'], environment['BPFTRACE_KERNEL_BUILD']].flatMap(
      (folder) => folder || [],
    ),
    constants: { constant, constantNames },
    debugFiles: options.debugFiles,
    onNote: (path, note) => options.onNote?.(`${path}: ${note}`),
  });
  const result = compile(source, target, {
    readImport: (path, folder) => readImport(path, folder ?? options.folder, options.includeFolders ?? []),
    parameters: options.parameters ?? [],
    named: options.named ?? new Map(),
    unsafe: options.unsafe ?? false,
    printers: options.printers ?? [],
    reportReads: options.reportReads ?? false,
    environment,
    readC: (text, script, machine, diagnostics) =>
      readDefinitions(text, script, machine, diagnostics, options.includes ?? []),
    ...(options.unwind === undefined ? {} : { unwind: options.unwind }),
    pids: options.pids ?? [],
    follow: options.follow ?? false,
    mode: options.mode ?? 'trace',
    ...(options.probeFilter === undefined ? {} : { probeFilter: options.probeFilter }),
    ...(childPid === undefined ? {} : { childPid }),
  });
  return { source: result.source, target, result };
}
