/**
 * The symbolizer's way to the files of a process (proc(5), proc_pid_map_files(5)): those
 * it has mapped, the kernel's vdso, and the map that a JIT compiler writes for perf.
 */
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { lazy } from '../../base/lazy.ts';
import { bytesReader, type FileReader } from '../../bytes/file.ts';
import { type Mapping, parseMaps } from '../../debuginfo/text/maps.ts';
import type { ProcessFiles } from '../../symbolize/symbols/symbolizer.ts';
import { HostFile } from './file.ts';
import { namespacePids, processExists, processMaps } from './processes.ts';

export const processFiles: ProcessFiles = {
  maps: processMaps,
  open(pid, mapping) {
    if (mapping.path === '[vdso]') {
      const image = vdsoImage();
      return image === undefined ? undefined : bytesReader(image);
    }
    // The link leads to the file itself, also when another has taken its name, or in another mount namespace.
    const range = `${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
    const mapped = openFile(`/proc/${pid}/map_files/${range}`);
    if (mapped !== undefined) return mapped;
    const alive = processExists(pid);
    for (const path of [`/proc/${pid}/root${mapping.path}`, mapping.path]) {
      // Overlay file systems may tell another inode in maps than in stat(2): a live process's own path needs no proof.
      const own = alive && path.startsWith('/proc/') && !mapping.deleted;
      if (!own && !isInode(path, mapping)) continue;
      const file = openFile(path);
      if (file !== undefined) return file;
    }
    return undefined;
  },
  perfMap(pid) {
    // Inside a pid namespace the compiler knows itself by its number there.
    const numbers = new Set([namespacePids(pid).at(-1) ?? pid, pid]);
    for (const number of numbers) {
      const file = openFile(`/proc/${pid}/root/tmp/perf-${number}.map`) ?? openFile(`/tmp/perf-${number}.map`);
      if (file !== undefined) return file;
    }
    return undefined;
  },
};

function openFile(path: string): FileReader | undefined {
  const file = HostFile.open(path);
  return file.ok ? file.value : undefined;
}

function isInode(path: string, mapping: Mapping): boolean {
  try {
    return String(statSync(path, { bigint: true }).ino) === mapping.inode;
  } catch {
    return false;
  }
}

/** The vdso that the kernel maps into every process of this architecture, read from this one's memory. */
const vdsoImage: () => Uint8Array | undefined = lazy(() => {
  let fd: number | undefined;
  try {
    const mapping = parseMaps(readFileSync('/proc/self/maps', 'utf8')).find((one) => one.path === '[vdso]');
    if (mapping === undefined) return undefined;
    const image = new Uint8Array(mapping.end - mapping.start);
    fd = openSync('/proc/self/mem', 'r');
    return image.subarray(0, readSync(fd, image, 0, image.length, mapping.start));
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
});
