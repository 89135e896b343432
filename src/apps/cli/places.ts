/** The program files that a word of the command line means: a file, or what a process has mapped. */
import { realpathSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import { type Mapping, parseMaps } from '../../debuginfo/text/maps.ts';
import { symbolTables } from '../../kernel/host/cache.ts';
import { hostDebugFiles } from '../../kernel/host/debugfiles.ts';
import { HostFile } from '../../kernel/host/file.ts';
import { inferredNames } from '../../kernel/host/inferred.ts';
import { inflate } from '../../kernel/host/inflate.ts';
import { resolvePath } from '../../kernel/host/paths.ts';
import { processFiles } from '../../kernel/host/processfiles.ts';
import { demangleBoth } from '../../symbolize/demangle/index.ts';
import { type BinaryOptions, type ElfBinary, openBinary } from '../../symbolize/symbols/binary.ts';
import { complain } from './failure.ts';
import { type MadeCode, madeCode } from './madecode.ts';
import { type DebugFileWords, debugFilesOf } from './options.ts';

/** A file to look at, and what to call it. */
export interface Place {
  readonly path: string;
  /** Of a process: the first of its mappings that is executable. */
  readonly mapping: Mapping | undefined;
  readonly open: () => ElfBinary;
}

export interface Places {
  readonly files: readonly Place[];
  /** Of a process. */
  readonly made: MadeCode | undefined;
}

/** The file, or the files that the process has mapped for execution. */
export function findPlaces(what: string, options: DebugFileWords): Places {
  const binaryOptions: BinaryOptions = {
    demangle: demangleBoth,
    inflate,
    tables: symbolTables,
    infer: (elf: ElfFile) =>
      // The vdso exports all that it has.
      elf.path === '[vdso]'
        ? undefined
        : inferredNames(elf, {
            names: options.names,
            onSlow: (path) => complain(`${path} has no symbols: inferring names (kept for the next run)\n`),
          }),
    debugFiles: hostDebugFiles({
      ...debugFilesOf(options),
      onMessage: (message) => complain(`WARNING: ${message}\n`),
    }),
  };
  if (/^\d+$/.test(what)) return filesOfProcess(Number(what), binaryOptions);
  const path = resolvePath(what, { pid: undefined });
  if (!path.ok) throw path.error;
  const open = (): ElfBinary => {
    // Where it really is: debug files lie below that path.
    const real = realpathSync(path.value);
    const file = HostFile.open(real);
    if (!file.ok) throw file.error;
    const binary = openBinary(real, file.value, binaryOptions);
    if (!binary.ok) throw binary.error;
    return binary.value;
  };
  return { files: [{ path: path.value, mapping: undefined, open }], made: undefined };
}

function filesOfProcess(pid: number, options: BinaryOptions): Places {
  const maps = processFiles.maps(pid);
  if (maps === undefined || maps === '') {
    throw new MachineError(`there is no process ${pid}`, {
      code: 'ESRCH',
      hints: [`for a file of that name write: insitu symbols ./${pid}`],
    });
  }
  const seen = new Set<string>();
  const mappings = parseMaps(maps);
  const files = mappings.flatMap((mapping): Place[] => {
    const { path, permissions } = mapping;
    if (!permissions.includes('x') || !/^\/|^\[vdso\]$/.test(path) || /\/jit-\d+\.dump$/.test(path)) return [];
    if (seen.has(path)) return [];
    seen.add(path);
    const open = (): ElfBinary => {
      const reader = processFiles.open(pid, mapping);
      if (reader === undefined) throw new MachineError(`it can't be opened`, { code: 'ENOENT' });
      const binary = openBinary(path, reader, options);
      if (!binary.ok) throw binary.error;
      return binary.value;
    };
    return [{ path, mapping, open }];
  });
  return { files, made: madeCode(pid, mappings) };
}
