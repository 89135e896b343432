/** What the dynamic loader will map beside a program: its interpreter and, one after the other, the libraries it needs (ld.so(8)). */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { lazy } from '../../base/lazy.ts';
import { ElfFile } from '../../debuginfo/elf/elf.ts';
import { HostFile } from './file.ts';
import { parseLdCache } from './ldcache.ts';
import { machineArch } from './machine.ts';

/** More than any program has. */
const mostFiles = 1024;

/** Paths of libraries by soname, as ldconfig(8) found them. */
const cached: () => ReadonlyMap<string, string> = lazy(() => {
  try {
    const libraries = parseLdCache(readFileSync('/etc/ld.so.cache'), machineArch());
    return new Map(libraries.reverse().map(({ soname, path }) => [soname, path]));
  } catch {
    return new Map();
  }
});

/** A program that a word of a command line may mean; undefined for other words. */
export function programOf(word: string): string | undefined {
  const paths = word.includes('/')
    ? [word]
    : (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, word));
  return paths.find((path) => {
    const status = statSync(path, { throwIfNoEntry: false });
    return status?.isFile() === true && (status.mode & 0o111) !== 0;
  });
}

/** The program itself and what it needs, as far as that can be found; of a script its interpreter and what that needs. */
export function withNeeded(program: string): readonly string[] {
  const paths = new Set<string>([program]);
  for (const path of paths) {
    const needed = neededBy(path);
    if (needed === undefined) paths.delete(path);
    for (const one of needed ?? interpreters(path)) if (paths.size < mostFiles) paths.add(one);
  }
  return [...paths];
}

/** What a script's first line names (execve(2)); with env(1) also the program that it looks for. */
function interpreters(path: string): string[] {
  const file = HostFile.open(path);
  if (!file.ok) return [];
  const start = Buffer.from(file.value.read(0, Math.min(256, file.value.size))).toString('latin1');
  file.value.close();
  const [, interpreter = '', argument = ''] = /^#![ \t]*([^ \t\n]+)[ \t]*([^\n]*)/.exec(start) ?? [];
  if (interpreter === '' || interpreter === path) return [];
  const words = basename(interpreter) === 'env' ? argument.split(/[ \t]+/) : [];
  const named = words.find((word) => word !== '' && !word.startsWith('-') && !word.includes('='));
  return [interpreter, (named === undefined ? undefined : programOf(named)) ?? []].flat();
}

function neededBy(path: string): string[] | undefined {
  const file = HostFile.open(path);
  if (!file.ok) return undefined;
  try {
    const elf = ElfFile.open(path, file.value);
    if (!elf.ok) return undefined;
    const dynamic = elf.value.dynamic();
    const folders = (dynamic?.runpath || dynamic?.rpath || '')
      .split(':')
      .filter((folder) => folder !== '')
      .map((folder) => folder.replace(/\$ORIGIN|\$\{ORIGIN\}/g, dirname(path)));
    const found = (dynamic?.needed ?? []).flatMap((name) => {
      const own = [...folders.map((folder) => join(folder, name)), ...(name.includes('/') ? [name] : [])].find(
        existsSync,
      );
      return own ?? cached().get(name) ?? [];
    });
    const { interpreter } = elf.value;
    return interpreter === '' ? found : [interpreter, ...found];
  } finally {
    file.value.close();
  }
}
