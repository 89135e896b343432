/**
 * From the name of a program or library in a script to the file: a path, a program in
 * PATH, a library by its soname or short name (`libc`, `c`, `libssl.so.3`). With a
 * process given, what that process has mapped goes first, and files are reached through
 * its root folder, so that names mean what they mean inside of its container.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { MachineError } from '../../base/errors.ts';
import { lazy } from '../../base/lazy.ts';
import { nearest } from '../../base/near.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import { type Mapping, parseMaps } from '../../debuginfo/text/maps.ts';
import { type CachedLibrary, parseLdCache } from './ldcache.ts';
import { machineArch } from './machine.ts';
import { processMaps } from './processes.ts';

/** Folders that the dynamic loader searches by default, besides those in its cache. */
const LIBRARY_FOLDERS: Readonly<Record<'x86_64' | 'arm64', readonly string[]>> = {
  x86_64: [
    '/lib/x86_64-linux-gnu',
    '/usr/lib/x86_64-linux-gnu',
    '/lib64',
    '/usr/lib64',
    '/lib',
    '/usr/lib',
    '/usr/local/lib',
  ],
  arm64: [
    '/lib/aarch64-linux-gnu',
    '/usr/lib/aarch64-linux-gnu',
    '/lib64',
    '/usr/lib64',
    '/lib',
    '/usr/lib',
    '/usr/local/lib',
  ],
};
/** execvp(3)'s own when PATH is not set. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface PathOptions {
  /** The process in whose eyes the name is meant. */
  readonly pid?: number | undefined;
  /** Where relative paths start, the current folder when absent. */
  readonly cwd?: string | undefined;
  /** Value of PATH. */
  readonly path?: string | undefined;
}

interface MappedFile {
  readonly path: string;
  /** A path to open it under, also when it is gone from its folder. */
  readonly reached: () => string;
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true;

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Whether the name can only be a library's: `libc`, `libssl.so.3`. */
const looksLikeLibrary = (name: string): boolean => /^lib./.test(name) || /\.so(\.|$)/.test(name);

/** `libc`, `c` or `libc.so.6` → how well a soname answers to it; 0 for not at all. */
export function libraryMatch(name: string, soname: string): number {
  if (soname === name) return 3;
  if (/\.so(\.|$)/.test(name)) return soname.startsWith(`${name}.`) ? 2 : 0;
  const [stem = ''] = soname.split('.so');
  if (!/\.so(\.[\w.]+)?$/.test(soname)) return 0;
  return stem === name ? 2 : stem === `lib${name}` ? 1 : 0;
}

/** `libfoo.so.10` after `libfoo.so.9`: numbers in names compare as numbers. */
const byVersion = lazy(() => new Intl.Collator('en', { numeric: true }));

function bestLibrary(name: string, libraries: readonly CachedLibrary[]): CachedLibrary | undefined {
  let best: CachedLibrary | undefined;
  let score = 0;
  for (const library of libraries) {
    const match = libraryMatch(name, library.soname);
    if (match === 0 || match < score) continue;
    if (match > score || (best !== undefined && byVersion().compare(library.soname, best.soname) > 0)) best = library;
    score = match;
  }
  return best;
}

/** Files that a process has mapped with the right to execute, in the order of their addresses. */
function mappedFiles(pid: number): MappedFile[] {
  const files = new Map<string, MappedFile>();
  for (const mapping of parseMaps(processMaps(pid) ?? '')) {
    const { path } = mapping;
    if (!path.startsWith('/') || !mapping.permissions.includes('x') || files.has(path)) continue;
    files.set(path, { path, reached: () => reachMapped(pid, mapping) });
  }
  return [...files.values()];
}

/**
 * A path under which a mapped file can be opened. The kernel writes paths as seen from
 * this process's root where it can (chroot), otherwise from the other mount namespace's.
 */
function reachMapped(pid: number, mapping: Mapping): string {
  const byRange = `/proc/${pid}/map_files/${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
  if (mapping.deleted) return byRange;
  const places = [...new Set([`${rootOf(pid)}${mapping.path}`, mapping.path])].filter(isFile);
  const same = places.find((place) => String(statSync(place, { bigint: true }).ino) === mapping.inode);
  // Overlay file systems may show another inode number in maps than in stat(2).
  return same ?? places[0] ?? byRange;
}

/** What stands before a path of that process: '' when it sees the same files as this one. */
export function rootOf(pid: number | undefined): string {
  if (pid === undefined) return '';
  try {
    const sameNamespace = readlinkSync(`/proc/${pid}/ns/mnt`) === readlinkSync('/proc/self/ns/mnt');
    if (sameNamespace && readlinkSync(`/proc/${pid}/root`) === readlinkSync('/proc/self/root')) return '';
  } catch {
    return '';
  }
  return `/proc/${pid}/root`;
}

function cachedLibraries(root: string): CachedLibrary[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(`${root}/etc/ld.so.cache`);
  } catch {
    return [];
  }
  return parseLdCache(bytes, machineArch());
}

function folderLibraries(root: string): CachedLibrary[] {
  const folders = [
    ...(process.env['LD_LIBRARY_PATH'] ?? '').split(':').filter(isAbsolute),
    ...LIBRARY_FOLDERS[machineArch()],
  ];
  return folders.flatMap((folder) =>
    listFolder(root + folder)
      .filter((file) => /\.so(\.|$)/.test(file))
      .map((file) => ({ soname: file, path: `${folder}/${file}` })),
  );
}

/** ELF's first bytes: /usr/lib also has linker scripts under the names of libraries. */
function isElf(path: string): boolean {
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r');
    const start = Buffer.alloc(4);
    return readSync(fd, start, 0, 4, 0) === 4 && start.toString('latin1') === '\x7fELF';
  } catch {
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function findLibrary(name: string, root: string): string | undefined {
  const cached = bestLibrary(name, cachedLibraries(root));
  if (cached !== undefined && existsSync(root + cached.path)) return root + cached.path;
  const inFolders = folderLibraries(root).filter((library) => libraryMatch(name, library.soname) > 0);
  const found = bestLibrary(
    name,
    inFolders.filter((library) => isElf(root + library.path)),
  );
  return found === undefined ? undefined : root + found.path;
}

function findProgram(name: string, root: string, path: string): string | undefined {
  for (const folder of path.split(':')) {
    if (folder !== '' && isFile(join(root + folder, name))) return join(root + folder, name);
  }
  return undefined;
}

/**
 * The file that a script means by `name`; the path may lead through /proc/PID/root.
 * Fails with ENOENT and near names.
 */
export function resolvePath(name: string, options: PathOptions): Result<string, MachineError> {
  const { pid } = options;
  const cwd = options.cwd ?? process.cwd();
  const searched = options.path ?? process.env['PATH'] ?? DEFAULT_PATH;
  if (name === '') return fail(new MachineError('a file name is missing', { code: 'ENOENT' }));
  if (pid !== undefined && !existsSync(`/proc/${pid}`)) {
    return fail(new MachineError(`there is no process ${pid}`, { code: 'ESRCH' }));
  }
  const root = rootOf(pid);
  if (name.includes('/')) {
    const path = isAbsolute(name) ? root + name : resolve(cwd, name);
    if (existsSync(path)) return ok(path);
    // A program that was replaced or removed while it runs.
    const mapped = pid === undefined ? undefined : mappedFiles(pid).find((file) => file.path === name);
    if (mapped !== undefined) return ok(mapped.reached());
    if (isAbsolute(name) && root !== '' && existsSync(name)) return ok(name);
    return fail(missingPath(name, path));
  }
  if (pid !== undefined) {
    const mapped = mappedFiles(pid);
    const found =
      mapped.find((file) => basename(file.path) === name) ??
      mapped.find((file) => libraryMatch(name, basename(file.path)) > 0);
    if (found !== undefined) return ok(found.reached());
  }
  const local = resolve(cwd, name);
  const found = looksLikeLibrary(name)
    ? (findLibrary(name, root) ?? findProgram(name, root, searched))
    : (findProgram(name, root, searched) ?? (isFile(local) ? local : undefined) ?? findLibrary(name, root));
  if (found !== undefined) return ok(found);
  if (isFile(local)) return ok(local);
  return fail(missingName(name, root, searched, cwd));
}

function missingPath(name: string, path: string): MachineError {
  let folder = dirname(path);
  const hints: string[] = [];
  if (existsSync(folder)) {
    const near = nearest(basename(path), listFolder(folder), 3).map((file) => join(dirname(name), file));
    if (near.length > 0) hints.push(`Did you mean ${near.join(' or ')}?`);
  } else {
    while (!existsSync(folder)) folder = dirname(folder);
    hints.push(`There is no folder ${dirname(path)}; ${folder} is there.`);
  }
  return new MachineError(`there is no file ${name}`, { code: 'ENOENT', hints });
}

function missingName(name: string, root: string, searched: string, cwd: string): MachineError {
  const library = looksLikeLibrary(name);
  const candidates = new Set<string>();
  if (library) {
    for (const { soname } of [...cachedLibraries(root), ...folderLibraries(root)]) {
      candidates.add(soname);
      candidates.add(soname.split('.so')[0] ?? soname);
    }
  } else {
    for (const folder of searched.split(':'))
      if (folder !== '') for (const file of listFolder(root + folder)) candidates.add(file);
    for (const file of listFolder(cwd)) candidates.add(file);
  }
  const near = nearest(name, candidates, 3);
  const hints = near.length > 0 ? [`Did you mean ${near.join(' or ')}?`] : [];
  const where = library
    ? "in the dynamic loader's cache or folders"
    : 'in PATH, in the current folder or among the libraries';
  hints.push('A path (with a /) names any file.');
  return new MachineError(`there is no ${library ? 'library' : 'program or library'} ${name} ${where}`, {
    code: 'ENOENT',
    hints,
  });
}
