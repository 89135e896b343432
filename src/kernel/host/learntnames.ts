/**
 * What was learnt from programs with symbols: the files that insitu brings along (folder
 * `names`, made by tools/learn-libraries.mjs) and those that the user names (--names).
 * Either may be packed with gzip.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { MachineError } from '../../base/errors.ts';
import { crc32 } from '../../bytes/crc32.ts';
import { Learnt } from '../../symbolize/evidence/learnt.ts';

/** No file of names is larger when unpacked. */
const mostBytes = 1 << 30;

export interface LearntFiles {
  /** Stands for the files' contents in the name of what is made of them. */
  readonly key: string;
  /** The user's files first. */
  load(): readonly Learnt[];
}

const loaded = new Map<string, Learnt>();

/** Reads the user's files, so that a mistake in one is told at once; raises a MachineError for it. */
export function openLearnt(paths: readonly string[] = []): LearntFiles {
  const own = paths.map((path) => read(resolve(path)));
  const shipped = shippedFiles();
  const key = [...paths.map((path) => path && resolve(path)), ...shipped].map((path) => `${path} ${stamp(path)}`);
  return {
    key: crc32(new TextEncoder().encode(key.join('\n')))
      .toString(16)
      .padStart(8, '0'),
    load: () => [...own, ...shipped.map(read)],
  };
}

/** The folder stands beside dist, wherever in it this file is. */
function shippedFiles(): string[] {
  for (let folder = dirname(ownPath()), depth = 0; depth < 6; folder = dirname(folder), depth++) {
    const names = join(folder, 'names');
    if (!existsSync(join(folder, 'package.json')) || !existsSync(names)) continue;
    return readdirSync(names)
      .filter((name) => name.endsWith('.names.gz'))
      .sort()
      .map((name) => join(names, name));
  }
  return [];
}

/** In the bundle a CommonJS script, else a module. */
function ownPath(): string {
  return typeof __filename === 'string' ? __filename : new URL(import.meta.url).pathname;
}

function stamp(path: string): string {
  const { size, mtimeMs } = statSync(path);
  return `${size} ${mtimeMs}`;
}

function read(path: string): Learnt {
  const key = `${path} ${existsSync(path) ? stamp(path) : ''}`;
  const known = loaded.get(key);
  if (known !== undefined) return known;
  const parsed = Learnt.parse(unpack(path), path);
  if (!parsed.ok) throw parsed.error;
  loaded.set(key, parsed.value);
  return parsed.value;
}

function unpack(path: string): string {
  try {
    const bytes = readFileSync(path);
    const packed = bytes[0] === 0x1f && bytes[1] === 0x8b;
    return (packed ? gunzipSync(bytes, { maxOutputLength: mostBytes }) : bytes).toString('utf8');
  } catch (error) {
    const { code = 'E_BAD_NAMES', message } = error as NodeJS.ErrnoException;
    throw new MachineError(`can't read the names in ${path}: ${message}`, {
      code,
      cause: error,
      hints: ['a file of names is made by: insitu symbols learn BUILD > FILE'],
    });
  }
}
