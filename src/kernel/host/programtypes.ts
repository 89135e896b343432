/** The types of a program file of this machine, by its debugging information. */
import { realpathSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import type { DwarfTypes } from '../../debuginfo/dwarf/program.ts';
import { demangleBoth } from '../../symbolize/demangle/index.ts';
import { type ElfBinary, openBinary } from '../../symbolize/symbols/binary.ts';
import { type DebugFileOptions, hostDebugFiles } from './debugfiles.ts';
import { HostFile } from './file.ts';
import { inflate } from './inflate.ts';
import { nameIndexes } from './nameindex.ts';
import { resolvePath } from './paths.ts';

/** Opens a program's types. Throws a MachineError where there is no such file, or no debugging information for it. */
export function openTypes(
  name: string,
  debugFiles: DebugFileOptions,
  onNote?: (path: string, note: string) => void,
): { readonly binary: ElfBinary; readonly types: DwarfTypes } {
  const path = resolvePath(name, { pid: undefined });
  if (!path.ok) throw path.error;
  const real = realpathSync(path.value);
  const file = HostFile.open(real);
  if (!file.ok) throw file.error;
  const binary = openBinary(real, file.value, {
    demangle: demangleBoth,
    inflate,
    debugFiles: hostDebugFiles(debugFiles),
    nameIndexes,
    onNote,
  });
  if (!binary.ok) throw binary.error;
  const types = binary.value.ownTypes();
  if (types !== undefined) return { binary: binary.value, types };
  const { buildId } = binary.value;
  throw new MachineError(`${path.value} has no debugging information`, {
    code: 'E_NO_DEBUG_INFO',
    hints: [
      buildId === '' ? 'it has no build-id either' : `its build-id is ${buildId}`,
      'debug files come in packages …-dbg and …-dbgsym, or from DEBUGINFOD_URLS; --debuginfo DIR names a folder',
      'compile with -g to have it in the file itself',
    ],
  });
}
