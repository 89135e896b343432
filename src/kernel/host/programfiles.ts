/**
 * Program files by wildcard (`/lib/x86*`, `libc.so*`) over the folders of a process's root,
 * or, with a process and `*`, all that it has mapped to run. Each file once, whatever
 * links lead to it; what is no ELF file is left out.
 */
import { closeSync, openSync, readdirSync, readSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { parseMaps } from '../../debuginfo/text/maps.ts';
import { rootOf } from './paths.ts';
import { processMaps } from './processes.ts';

/** A path's part as a regular expression: `*`, `?`, `[…]`, none of which matches a leading dot by accident. */
function partPattern(part: string): RegExp {
  const source = part.replace(/\[(!?)([^\]]+)\]|[\s\S]/g, (one, not: string | undefined, set: string | undefined) => {
    if (set !== undefined) return `[${not === '!' ? '^' : ''}${set.replace(/[\\\]^]/g, '\\$&')}]`;
    return one === '*' ? '.*' : one === '?' ? '.' : one.replace(/[\\^$.|+()[\]{}]/g, '\\$&');
  });
  return new RegExp(`^${part.startsWith('.') ? '' : '(?!\\.)'}${source}$`, 's');
}

const isGlob = (part: string): boolean => /[*?[]/.test(part);

function folderNames(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function isProgram(path: string): boolean {
  let fd: number | undefined;
  try {
    if (!statSync(path).isFile()) return false;
    fd = openSync(path, 'r');
    const start = Buffer.alloc(4);
    return readSync(fd, start, 0, 4, 0) === 4 && start.toString('latin1') === '\x7fELF';
  } catch {
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function expand(root: string, pattern: string): string[] {
  let found = [root];
  for (const part of pattern.split('/').filter((one) => one !== '')) {
    if (!isGlob(part)) {
      found = found.map((folder) => `${folder}/${part}`);
      continue;
    }
    const wanted = partPattern(part);
    found = found.flatMap((folder) =>
      folderNames(folder === '' ? '/' : folder)
        .filter((name) => wanted.test(name))
        .map((name) => `${folder}/${name}`),
    );
  }
  return found;
}

/** The program files that a pattern with wildcards means, as they can be opened here. */
export function programFiles(glob: string, pid: number | undefined): readonly string[] {
  const root = rootOf(pid);
  const paths =
    !glob.includes('/') && pid !== undefined
      ? mappedPrograms(pid, partPattern(glob)).map((path) => root + path)
      : expand(root, isAbsolute(glob) ? glob : resolve(process.cwd(), glob));
  const files = new Map<string, string>();
  for (const path of paths) {
    if (!isProgram(path)) continue;
    const { dev, ino } = statSync(path);
    if (!files.has(`${dev} ${ino}`)) files.set(`${dev} ${ino}`, root === '' ? realpathSync(path) : path);
  }
  return [...files.values()];
}

function mappedPrograms(pid: number, wanted: RegExp): string[] {
  const mapped = parseMaps(processMaps(pid) ?? '').filter(
    (one) => one.path.startsWith('/') && one.permissions.includes('x'),
  );
  return [...new Set(mapped.map((one) => one.path))].filter((path) =>
    wanted.test(path.slice(path.lastIndexOf('/') + 1)),
  );
}
