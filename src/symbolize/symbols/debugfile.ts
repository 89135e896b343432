/**
 * Separate debug files: where a distribution puts the symbols that it stripped from a
 * binary. Rules: GDB's manual, "Debugging Information in Separate Files" (by build-id:
 * `.build-id/xx/yyyy.debug` below the debug folder; by .gnu_debuglink: next to the
 * binary, in `.debug`, or below the debug folder under the binary's own path). Every
 * place that was looked at is kept, with what was found there.
 */
import type { MachineError } from '../../base/errors.ts';
import { crc32 } from '../../bytes/crc32.ts';
import type { FileReader } from '../../bytes/file.ts';
import { ElfFile } from '../../debuginfo/elf/elf.ts';
import type { SymbolsFile } from './symbolsfile.ts';

/** Opens files for the search; undefined when there is none at that path. An effect of the host. */
export interface DebugFiles {
  open(path: string): FileReader | undefined;
  /** Folders to look below, `/usr/lib/debug` when absent. */
  readonly roots?: readonly string[];
  /** A build of the same program that has symbols, named by the user (--symbols). */
  readonly symbols?: SymbolsFile | undefined;
  /** Servers that know debug files by build-id (DEBUGINFOD_URLS); absent when there are none. */
  readonly servers?: DebugServers | undefined;
}

export interface DebugServers {
  readonly urls: readonly string[];
  /** The debug file of a build-id, in a local copy; else why there is none. May take seconds. */
  fetch(buildId: string): { readonly path: string } | { readonly reason: string };
}

/** One place that was looked at. */
export interface Attempt {
  readonly path: string;
  /** What was wrong with it; undefined when it is the file. */
  readonly problem: string | undefined;
}

export interface DebugSearch {
  readonly file: ElfFile | undefined;
  /** In order; the last one is the file, if there is one. */
  readonly attempts: readonly Attempt[];
}

const chunkSize = 1 << 20;
const defaultRoots = ['/usr/lib/debug'];

/** Looks for the debug file by build-id, in the debug folders and below `.build-id` next to the binary. */
export function findByBuildId(elf: ElfFile, files: DebugFiles): DebugSearch {
  const buildId = elf.buildId();
  if (!/^[0-9a-f]{4,}$/.test(buildId)) return { file: undefined, attempts: [] };
  const name = `.build-id/${buildId.slice(0, 2)}/${buildId.slice(2)}.debug`;
  return search(
    (files.roots ?? defaultRoots).map((root) => `${root}/${name}`),
    files,
    (file) => (file.buildId() === buildId ? undefined : 'it has another build-id'),
  );
}

/** Looks for the file that .gnu_debuglink names, and checks its build-id or checksum. */
export function findByLink(elf: ElfFile, files: DebugFiles): DebugSearch {
  const link = elf.debugLink();
  if (link === undefined) return { file: undefined, attempts: [] };
  const buildId = elf.buildId();
  const folder = elf.path.slice(0, elf.path.lastIndexOf('/') + 1);
  const roots = files.roots ?? defaultRoots;
  const paths = [`${folder}${link.name}`, `${folder}.debug/${link.name}`];
  if (folder.startsWith('/')) paths.push(...roots.map((root) => `${root}${folder}${link.name}`));
  // A folder that the user named may hold the files as they are.
  if (files.roots !== undefined) paths.push(...roots.map((root) => `${root}/${link.name}`));
  return search(
    paths.filter((path) => path !== elf.path),
    files,
    (file) => {
      const own = file.buildId();
      // Equal build-ids settle it; the checksum needs the whole file.
      if (own !== '' && buildId !== '') return own === buildId ? undefined : 'it has another build-id';
      return checksum(file.reader) === link.crc ? undefined : 'its checksum is not the one in .gnu_debuglink';
    },
  );
}

/** Opens the file that debug files share (.gnu_debugaltlink, made by dwz); checked by build-id. */
export function findSupplementary(elf: ElfFile, files: DebugFiles, name: string, buildId: string): ElfFile | undefined {
  const folder = elf.path.slice(0, elf.path.lastIndexOf('/') + 1);
  const base = name.slice(name.lastIndexOf('/') + 1);
  const paths = [
    name.startsWith('/') ? name : `${folder}${name}`,
    ...(files.roots ?? defaultRoots).flatMap((root) => [
      `${root}/.build-id/${buildId.slice(0, 2)}/${buildId.slice(2)}.debug`,
      `${root}/.dwz/${base}`,
    ]),
  ];
  return search(paths, files, (file) => (file.buildId() === buildId ? undefined : 'it has another build-id')).file;
}

/** Opens a debug file that is known to be the right one. */
export function openDebugFile(path: string, files: DebugFiles): DebugSearch {
  return search([path], files, () => undefined);
}

function search(
  paths: readonly string[],
  files: DebugFiles,
  problemWith: (file: ElfFile) => string | undefined,
): DebugSearch {
  const attempts: Attempt[] = [];
  for (const path of new Set(paths)) {
    const reader = files.open(path);
    if (reader === undefined) {
      attempts.push({ path, problem: 'no such file' });
      continue;
    }
    const file = ElfFile.open(path, reader);
    const problem = file.ok ? problemWith(file.value) : brief(file.error);
    attempts.push({ path, problem });
    if (file.ok && problem === undefined) return { file: file.value, attempts };
    reader.close?.();
  }
  return { file: undefined, attempts };
}

function brief(error: MachineError): string {
  return error.code === 'E_NOT_ELF' ? 'not an ELF file' : error.message;
}

function checksum(reader: FileReader): number {
  let crc = 0;
  for (let offset = 0; offset < reader.size; offset += chunkSize) crc = crc32(reader.read(offset, chunkSize), crc);
  return crc;
}
