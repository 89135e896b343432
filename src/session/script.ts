/** From a script's text to a Program for this machine. */
import { type CompileResult, compile } from '../compiler/compile.ts';
import type { Diagnostic } from '../diag/diagnostic.ts';
import { renderAll } from '../diag/render.ts';
import { Source } from '../diag/source.ts';
import { constant, constantNames } from '../kernel/host/constants/index.ts';
import type { DebugFileOptions } from '../kernel/host/debugfiles.ts';
import { createHostTarget } from '../kernel/host/target.ts';
import type { Target } from '../target/target.ts';
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
  /** Limits probes on programs to this process; its end ends the trace. */
  readonly pid?: number | undefined;
  /** Allows system() and what else changes the machine. */
  readonly unsafe?: boolean | undefined;
  /** Folders for `#include`. */
  readonly includeFolders?: readonly string[] | undefined;
  /** Headers included before the script. */
  readonly includes?: readonly string[] | undefined;
  /** Where debug files are looked for besides /usr/lib/debug, and a build with symbols (--symbols). */
  readonly debugFiles?: DebugFileOptions | undefined;
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
    pid: options.pid,
    btf: environment['BPFTRACE_BTF'],
    constants: { constant, constantNames },
    debugFiles: options.debugFiles,
  });
  const result = compile(source, target, {
    readImport: (path, folder) => readImport(path, folder ?? options.folder, options.includeFolders ?? []),
    parameters: options.parameters ?? [],
    named: options.named ?? new Map(),
    unsafe: options.unsafe ?? false,
    environment,
    readC: (text, script, machine, diagnostics) =>
      readDefinitions(text, script, machine, diagnostics, options.includes ?? []),
    ...(options.pid === undefined ? {} : { pid: options.pid }),
    ...(childPid === undefined ? {} : { childPid }),
  });
  return { source: result.source, target, result };
}
