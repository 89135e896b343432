/** The files behind `import "path"`. */
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import type { ImportedFile, ImportReader } from '../compiler/compile.ts';

/**
 * Looks for `path` beside the importing file (in the working folder when that is no
 * file), then in the folders of -I. A folder gives its *.bt files in the order of their names.
 */
export function readImport(
  path: string,
  folder: string | undefined,
  includeFolders: readonly string[],
): ReturnType<ImportReader> {
  const places = isAbsolute(path) ? [path] : [folder ?? '.', ...includeFolders].map((one) => join(one, path));
  for (const place of places) {
    const stat = statSync(place, { throwIfNoEntry: false });
    if (stat === undefined) continue;
    try {
      if (!stat.isDirectory()) return { files: [readFile(place)] };
      const names = readdirSync(place).filter((name) => name.endsWith('.bt'));
      if (names.length === 0) return { reason: 'this folder holds no *.bt file', hints: [`looked in ${place}`] };
      return { files: names.sort().map((name) => readFile(join(place, name))) };
    } catch (cause) {
      return { reason: (cause as Error).message, hints: [] };
    }
  }
  return { reason: 'there is no such file', hints: [`looked for ${places.join(', ')}`, 'name its folder with -I DIR'] };
}

function readFile(path: string): ImportedFile {
  const id = realpathSync(path);
  return { name: path, id, folder: dirname(id), text: readFileSync(path, 'utf8') };
}
