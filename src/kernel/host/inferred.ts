/**
 * Inferred names of the stripped programs of this machine, kept in the user's cache
 * folder by build-id: a large program is looked through once. The folder is bounded;
 * files are written beside and renamed, so that runs at the same time do no harm, and a
 * damaged one is made anew.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import { nameFunctions } from '../../symbolize/evidence/index.ts';
import { encodeNames, StoredNames } from '../../symbolize/evidence/store.ts';

/** Bytes that all cached names take at most. */
const maxBytes = 512 << 20;

/** $XDG_CACHE_HOME/insitu/names or ~/.cache/insitu/names. */
function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(process.env['HOME'] || homedir(), '.cache'), 'insitu', 'names');
}

/**
 * The inferred names of a program; undefined when there are none (not a kind of file
 * that names can be inferred in). `onSlow` is told before a program is looked through.
 */
export function inferredNames(elf: ElfFile, onSlow?: (path: string) => void): StoredNames | undefined {
  const buildId = elf.buildId();
  const path = buildId === '' ? undefined : join(cacheFolder(), buildId);
  const cached = path === undefined ? undefined : read(path);
  if (cached !== undefined) return cached;
  onSlow?.(elf.path);
  const names = nameFunctions(elf);
  if (!names.ok) return undefined;
  const bytes = encodeNames(names.value);
  if (path !== undefined) write(path, bytes);
  return StoredNames.read(bytes);
}

function read(path: string): StoredNames | undefined {
  try {
    const names = StoredNames.read(readFileSync(path));
    // The time of use decides which go first.
    if (names !== undefined) utimesSync(path, new Date(), new Date());
    return names;
  } catch {
    return undefined;
  }
}

/** A cache that cannot be written (no home, full disk) costs time at the next run, nothing else. */
function write(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.${process.pid}`;
  try {
    mkdirSync(cacheFolder(), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, bytes, { mode: 0o600 });
    renameSync(temporary, path);
    prune();
  } catch {
    rmSync(temporary, { force: true });
  }
}

function prune(): void {
  const folder = cacheFolder();
  const files = readdirSync(folder).map((name) => ({ path: join(folder, name), ...pick(join(folder, name)) }));
  let total = files.reduce((sum, file) => sum + file.size, 0);
  for (const file of files.sort((a, b) => a.used - b.used)) {
    if (total <= maxBytes) return;
    rmSync(file.path, { force: true });
    total -= file.size;
  }
}

function pick(path: string): { readonly size: number; readonly used: number } {
  const { size, mtimeMs } = statSync(path);
  return { size, used: mtimeMs };
}
