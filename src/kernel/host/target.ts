/**
 * The machine that insitu runs on, as the compiler sees it (target/target.ts). Making
 * one reads nothing; every answer is read when it is first asked for, and kept.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import { lazy } from '../../base/lazy.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import { ET_EXEC } from '../../debuginfo/elf/constants.ts';
import { Kallsyms } from '../../debuginfo/text/kallsyms.ts';
import { parseTracepoint } from '../../debuginfo/text/tracepoint.ts';
import { demangleBoth } from '../../symbolize/demangle/index.ts';
import { type BinaryOptions, openBinary } from '../../symbolize/symbols/binary.ts';
import type { Binary, Target, TracepointFormat } from '../../target/target.ts';
import { runningPrograms } from './bpfprograms.ts';
import { symbolTables } from './cache.ts';
import { cgroupId } from './cgroups.ts';
import { type DebugFileOptions, hostDebugFiles } from './debugfiles.ts';
import { type FeatureName, hostFeatures, kfuncAllowed } from './features.ts';
import { HostFile } from './file.ts';
import { findHeader, kernelHeaderFolders } from './headers.ts';
import { inferredNames } from './inferred.ts';
import { inflate } from './inflate.ts';
import { openKernelTypes } from './kerneltypes.ts';
import { openLearnt } from './learntnames.ts';
import { loadBias } from './loadbias.ts';
import { machineArch, possibleCpus } from './machine.ts';
import { nameIndexes } from './nameindex.ts';
import { resolvePath } from './paths.ts';
import { pidNamespace } from './pidnamespace.ts';
import { processExists } from './processes.ts';
import { programFiles } from './programfiles.ts';
import { openTypes } from './programtypes.ts';
import { tracefs } from './tracefs.ts';
import { vmlinuxSymbol } from './vmlinux.ts';

/** Macros by name. */
export interface ConstantTable {
  constant(name: string): bigint | undefined;
  constantNames(): Iterable<string>;
}

export interface HostTargetOptions {
  /** Folders of -I, in order. */
  readonly includeDirs?: readonly string[];
  /** Folder of the script file, undefined for -e and stdin. */
  readonly scriptDir?: string | undefined;
  /** -p: names of files mean what they mean to this process, unless a probe names another. */
  readonly pid?: number | undefined;
  /** Where debug files are looked for besides /usr/lib/debug. */
  readonly debugFiles?: DebugFileOptions | undefined;
  /** Told before a large program without symbols is looked through for names, which may take seconds. */
  readonly onSlow?: ((path: string) => void) | undefined;
  /** Told, file and note, of the tables of names in debugging information. */
  readonly onNote?: ((path: string, note: string) => void) | undefined;
  /** Macro constants of the uapi headers (host/constants); none when absent. */
  readonly constants?: ConstantTable | undefined;
  /** --no-feature. */
  readonly withoutFeatures?: ReadonlySet<FeatureName> | undefined;
  /** A file that lists the kernel's traceable functions, as available_filter_functions does (--traceable-functions). */
  readonly traceableFunctions?: string | undefined;
  /** A file with BTF in place of /sys/kernel/btf/vmlinux (BPFTRACE_BTF). */
  readonly btf?: string | undefined;
  /** The running kernel's vmlinux file, for symbols that kallsyms lacks (BPFTRACE_VMLINUX). */
  readonly vmlinux?: string | undefined;
  /** Folders with the kernel's sources and of its build, for headers (BPFTRACE_KERNEL_SOURCE, _BUILD). */
  readonly kernelFolders?: readonly string[] | undefined;
}

/** A Target that answers for this machine. Opened binaries stay open as long as it is in use. */
export function createHostTarget(options: HostTargetOptions = {}): Target {
  // A mistake in a file that the user named is told before anything is traced.
  if ((options.debugFiles?.names ?? []).length > 0) openLearnt(options.debugFiles?.names);
  const headerFolders = [...(options.includeDirs ?? []), ...kernelHeaderFolders(options.kernelFolders ?? [])];
  const kernelTypes = lazy(() => openKernelTypes(options.btf));
  const formats = new Map<string, Result<TracepointFormat | undefined, MachineError>>();
  const binaries = new Map<string, Result<Binary, MachineError>>();
  const binaryOptions: BinaryOptions = {
    demangle: demangleBoth,
    inflate,
    debugFiles: hostDebugFiles(options.debugFiles),
    nameIndexes,
    onNote: options.onNote,
    typesFrom: lazy(() => {
      const { types, ...others } = options.debugFiles ?? {};
      return types === undefined ? undefined : openTypes(types, others, options.onNote).binary;
    }),
    infer: (elf) => inferredNames(elf, { names: options.debugFiles?.names, onSlow: options.onSlow }),
    tables: symbolTables,
  };
  return {
    arch: machineArch(),
    get cpus() {
      return possibleCpus();
    },
    features: hostFeatures(options.withoutFeatures),
    kernelTypes,
    tracepoint(category, event) {
      const name = `${category}:${event}`;
      let format = formats.get(name);
      if (format === undefined) {
        format = readTracepoint(category, event, kernelTypes);
        formats.set(name, format);
      }
      return format;
    },
    tracepoints: lazy(readTracepoints),
    kernelFunctions: lazy(() => readKernelFunctions(options.traceableFunctions)),
    kfuncAllowed,
    cgroupId,
    bpfPrograms: lazy(runningPrograms),
    kernelSymbol: (name) =>
      kallsyms().addressOf(name) ??
      (options.vmlinux === undefined ? undefined : vmlinuxSymbol(options.vmlinux, name, kallsyms())),
    constant: (name) => options.constants?.constant(name),
    constantNames: () => options.constants?.constantNames() ?? [],
    header: (path, system, from) => findHeader(path, system, from, headerFolders, options.scriptDir),
    binary(name, pid) {
      const path = resolvePath(name, { pid: pid ?? options.pid });
      if (!path.ok) return path;
      let binary = binaries.get(path.value);
      if (binary === undefined) {
        const file = HostFile.open(path.value);
        binary = file.ok ? openProgram(path.value, file.value, binaryOptions) : file;
        if (file.ok && !binary.ok) file.value.close();
        binaries.set(path.value, binary);
      }
      return binary;
    },
    programFiles: (glob, pid) => programFiles(glob, pid ?? options.pid),
    pidNamespace,
    processExists,
    loadBias,
  };
}

/** Opens a program file. Fails also where the symbols that the user gave for a stripped executable are another build's. */
function openProgram(path: string, file: HostFile, options: BinaryOptions): Result<Binary, MachineError> {
  const binary = openBinary(path, file, options);
  if (!binary.ok || options.debugFiles?.symbols === undefined) return binary;
  const { elf, layers, stripped } = binary.value;
  const executable = elf.interpreter !== '' || elf.header.type === ET_EXEC;
  const problem = executable && stripped ? layers.symbolsProblem : undefined;
  if (problem === undefined) return binary;
  layers.close();
  return fail(problem);
}

/** The kernel's symbols as they were when they were first asked for. */
const kallsyms: () => Kallsyms = lazy(() => {
  try {
    return new Kallsyms(readFileSync('/proc/kallsyms'));
  } catch {
    // A kernel without CONFIG_KALLSYMS has no names to give.
    return new Kallsyms(new Uint8Array(0));
  }
});

function machineError(error: unknown, what: string): MachineError {
  if (error instanceof MachineError) return error;
  const { code = 'EIO', message } = error as NodeJS.ErrnoException;
  const hints = code === 'EACCES' || code === 'EPERM' ? ['Run insitu as root.'] : [];
  return new MachineError(`${what}: ${message}`, { code, hints, cause: error });
}

function readTracepoint(
  category: string,
  event: string,
  types: Target['kernelTypes'],
): Result<TracepointFormat | undefined, MachineError> {
  try {
    const root = tracefs();
    // Names become a part of a path.
    if (!/^[\w.-]+$/.test(category) || !/^[\w.-]+$/.test(event)) return ok(undefined);
    const text = readFileSync(`${root}/events/${category}/${event}/format`, 'latin1');
    return parseTracepoint(text, category, types);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return ok(undefined);
    return fail(machineError(error, `can't read the format of tracepoint ${category}:${event}`));
  }
}

function readTracepoints(): Result<readonly string[], MachineError> {
  try {
    const root = tracefs();
    try {
      return ok(
        readFileSync(`${root}/available_events`, 'latin1')
          .split('\n')
          .filter((name) => name !== '')
          .sort(),
      );
    } catch {
      return ok(scanTracepoints(`${root}/events`));
    }
  } catch (error) {
    return fail(machineError(error, "can't list the tracepoints"));
  }
}

function scanTracepoints(folder: string): string[] {
  const names: string[] = [];
  for (const category of readdirSync(folder, { withFileTypes: true })) {
    if (!category.isDirectory()) continue;
    for (const event of readdirSync(`${folder}/${category.name}`, { withFileTypes: true })) {
      if (event.isDirectory()) names.push(`${category.name}:${event.name}`);
    }
  }
  return names.sort();
}

/**
 * What ftrace says it can instrument; where that list is refused (lockdown) or missing,
 * all code symbols but the compiler's fragments and BPF programs.
 */
function readKernelFunctions(list: string | undefined): readonly string[] {
  try {
    const text = readFileSync(list ?? `${tracefs()}/available_filter_functions`, 'latin1');
    const names = new Set<string>();
    for (const line of text.split('\n')) {
      const [name = ''] = line.split(' ');
      if (name !== '' && !name.startsWith('__ftrace_invalid_address__')) names.add(name);
    }
    if (names.size > 0 || list !== undefined) return [...names];
  } catch (error) {
    if (list !== undefined) throw machineError(error, `can't read the list of traceable functions`);
    // kallsyms has them too.
  }
  return kallsyms()
    .functionNames()
    .filter((name) => !/^(?:__pfx_|__cfi_|__probestub_|bpf_prog_[0-9a-f]{16})|\.cold(?:\.|$)/.test(name));
}
