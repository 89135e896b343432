/** C headers for #include: -I folders, the script's folder, the system's include folders. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { lazy } from '../../base/lazy.ts';
import { machineArch } from './machine.ts';

const triple = (): string => (machineArch() === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu');

function subfolders(folder: string): string[] {
  try {
    return readdirSync(folder)
      .sort((left, right) => right.localeCompare(left, 'en', { numeric: true }))
      .map((name) => join(folder, name));
  } catch {
    return [];
  }
}

/** The system's folders in the order of a C compiler; the compiler's own last, for stddef.h and the like. */
const systemFolders = lazy((): readonly string[] => [
  '/usr/local/include',
  `/usr/include/${triple()}`,
  '/usr/include',
  ...[...subfolders(`/usr/lib/gcc/${triple()}`), ...subfolders('/usr/lib/clang')].map((folder) =>
    join(folder, 'include'),
  ),
]);

/** Folders of a kernel's headers below that of its sources or of its build, in the order of the kernel's own Makefile. */
export function kernelHeaderFolders(folders: readonly string[]): readonly string[] {
  const arch = machineArch() === 'arm64' ? 'arch/arm64/include' : 'arch/x86/include';
  const below = [arch, `${arch}/generated`, 'include', `${arch}/uapi`, `${arch}/generated/uapi`, 'include/uapi'];
  return [...below, 'include/generated/uapi'].flatMap((folder) => folders.map((root) => join(root, folder)));
}

function read(path: string): { readonly path: string; readonly text: string } | undefined {
  try {
    return statSync(path).isFile() ? { path, text: readFileSync(path, 'utf8') } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The header that `#include <path>` (`system`) or `#include "path"` means; `from` is the
 * file with the #include, undefined for the script itself. Undefined when there is none.
 */
export function findHeader(
  path: string,
  system: boolean,
  from: string | undefined,
  includeDirs: readonly string[],
  scriptDir: string | undefined,
): { readonly path: string; readonly text: string } | undefined {
  if (path === '') return undefined;
  if (isAbsolute(path)) return read(path);
  const beside = from === undefined ? scriptDir : dirname(from);
  const first = system || beside === undefined ? [] : [beside];
  // bpftrace hands the script's folder to the C parser like one of -I.
  const own = scriptDir === undefined ? includeDirs : [...includeDirs, scriptDir];
  for (const folder of [...first, ...own]) {
    const found = read(join(folder, path));
    if (found !== undefined) return found;
  }
  for (const folder of systemFolders()) {
    const found = read(join(folder, path));
    if (found !== undefined) return found;
  }
  return undefined;
}
