/**
 * Control groups: their numbers and paths. The kernel's number of a cgroup is the inode of
 * its folder (kernfs_id of fs/kernfs, on 64-bit machines), in every hierarchy.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { lazy } from '../../base/lazy.ts';

interface Hierarchy {
  /** `unified` for version 2, else the name of the folder it is mounted on (`cpu`, `memory` …). */
  readonly name: string;
  readonly root: string;
}

/** Number of the cgroup whose folder that is; undefined when there is no such folder. */
export function cgroupId(path: string): bigint | undefined {
  try {
    const stat = statSync(path, { bigint: true });
    return stat.isDirectory() ? stat.ino : undefined;
  } catch {
    return undefined;
  }
}

/** Mounted hierarchies, version 2 first (proc(5), mountinfo: fields 5 and those behind ` - `). */
const hierarchies: () => readonly Hierarchy[] = lazy(() => {
  const found: Hierarchy[] = [];
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [mount = '', filesystem = ''] = line.split(' - ');
    const root = (mount.split(' ')[4] ?? '').replaceAll('\\040', ' ');
    if (filesystem.startsWith('cgroup2 ')) found.unshift({ name: 'unified', root });
    else if (filesystem.startsWith('cgroup ')) found.push({ name: root.slice(root.lastIndexOf('/') + 1), root });
  }
  return found;
});

/** Folder below `root` with that number, as a path from `root` on; undefined when there is none. */
function search(root: string, id: bigint): string | undefined {
  const waiting = ['/'];
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    if (cgroupId(join(root, path)) === id) return path;
    try {
      for (const entry of readdirSync(join(root, path), { withFileTypes: true }))
        if (entry.isDirectory()) waiting.push(join(path, entry.name));
    } catch {
      // It has been removed in the meantime.
    }
  }
  return undefined;
}

const matches = (name: string, pattern: string): boolean =>
  pattern === '' ||
  new RegExp(
    `^${pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
  ).test(name);

/** `hierarchy:path` in every hierarchy whose name matches the pattern, joined by commas; undefined when nowhere. */
export function cgroupPath(id: bigint, pattern: string): string | undefined {
  const found = hierarchies()
    .filter(({ name }) => matches(name, pattern))
    .flatMap(({ name, root }) => {
      const path = search(root, id);
      return path === undefined ? [] : [`${name}:${path}`];
    });
  return found.length === 0 ? undefined : found.join(',');
}
