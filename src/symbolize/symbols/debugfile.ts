/**
 * Separate debug files: where a distribution puts the symbols that it stripped from a
 * binary. Rules: GDB's manual, "Debugging Information in Separate Files" (by build-id:
 * `.build-id/xx/yyyy.debug` below the debug folder; by .gnu_debuglink: next to the
 * binary, in `.debug`, or below the debug folder under the binary's own path).
 */
import { crc32 } from '../../bytes/crc32.ts';
import type { FileReader } from '../../bytes/file.ts';
import { ElfFile } from '../../debuginfo/elf/elf.ts';

/** Opens files for the search; undefined when there is none at that path. An effect of the host. */
export interface DebugFiles {
  open(path: string): FileReader | undefined;
  /** Folders to look below, `/usr/lib/debug` when absent. */
  readonly roots?: readonly string[];
}

const chunkSize = 1 << 20;

/** The debug file that belongs to `elf`, checked by build-id or checksum; undefined when none is there. */
export function findDebugFile(elf: ElfFile, files: DebugFiles): ElfFile | undefined {
  const roots = files.roots ?? ['/usr/lib/debug'];
  const buildId = elf.buildId();
  if (/^[0-9a-f]{4,}$/.test(buildId)) {
    for (const root of roots) {
      const path = `${root}/.build-id/${buildId.slice(0, 2)}/${buildId.slice(2)}.debug`;
      const found = openChecked(path, files, (file) => file.buildId() === buildId);
      if (found !== undefined) return found;
    }
  }
  const link = elf.debugLink();
  if (link === undefined) return undefined;
  const folder = elf.path.slice(0, elf.path.lastIndexOf('/') + 1);
  const paths = [`${folder}${link.name}`, `${folder}.debug/${link.name}`];
  if (folder.startsWith('/')) paths.push(...roots.map((root) => `${root}${folder}${link.name}`));
  for (const path of paths) {
    if (path === elf.path) continue;
    const found = openChecked(path, files, (file) => {
      const own = file.buildId();
      // Equal build-ids settle it; the checksum needs the whole file.
      if (own !== '' && buildId !== '') return own === buildId;
      return checksum(file.reader) === link.crc;
    });
    if (found !== undefined) return found;
  }
  return undefined;
}

function openChecked(path: string, files: DebugFiles, belongs: (file: ElfFile) => boolean): ElfFile | undefined {
  const reader = files.open(path);
  if (reader === undefined) return undefined;
  const file = ElfFile.open(path, reader);
  if (file.ok && belongs(file.value)) return file.value;
  reader.close?.();
  return undefined;
}

function checksum(reader: FileReader): number {
  let crc = 0;
  for (let offset = 0; offset < reader.size; offset += chunkSize) crc = crc32(reader.read(offset, chunkSize), crc);
  return crc;
}
