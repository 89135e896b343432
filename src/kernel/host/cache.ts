/**
 * What was worked out of large files, kept in the user's cache folder, so that it is
 * worked out once. Each kind has a folder of its own, which is bounded: those unused for
 * longest go first. Runs at the same time do each other no harm: a file is written
 * beside and renamed, whole or not at all; of two that write the same, the later one
 * stays. Whoever reads checks what he gets: the bytes say themselves whether they are whole.
 */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** What another run writes right now is left alone for so long, in milliseconds; what is older was left by one that died. */
const writingTime = 10 * 60_000;
let written = 0;

export class Cache {
  readonly #kind: string;
  readonly #maxBytes: number;

  /** `maxBytes`: what all files of the kind take at most. */
  constructor(kind: string, maxBytes: number) {
    this.#kind = kind;
    this.#maxBytes = maxBytes;
  }

  /** $XDG_CACHE_HOME/insitu/KIND or ~/.cache/insitu/KIND. */
  get folder(): string {
    const base = process.env['XDG_CACHE_HOME'] || join(process.env['HOME'] || homedir(), '.cache');
    return join(base, 'insitu', this.#kind);
  }

  /** The bytes under a key (letters, digits, `-`); undefined when there are none that can be read. */
  read(key: string): Uint8Array | undefined {
    if (!isKey(key)) return undefined;
    const path = join(this.folder, key);
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(path);
    } catch {
      return undefined;
    }
    try {
      // The time of use decides which go first.
      utimesSync(path, new Date(), new Date());
    } catch {}
    return bytes;
  }

  /** A cache that cannot be written (no home, full disk) costs time at the next run, nothing else. */
  write(key: string, bytes: Uint8Array): void {
    if (!isKey(key) || bytes.length > this.#maxBytes) return;
    const temporary = join(this.folder, `${key}.${process.pid}.${written++}`);
    try {
      mkdirSync(this.folder, { recursive: true, mode: 0o700 });
      writeFileSync(temporary, bytes, { mode: 0o600, flag: 'wx' });
      renameSync(temporary, join(this.folder, key));
    } catch {
      remove(temporary);
      return;
    }
    this.#prune();
  }

  #prune(): void {
    const now = Date.now();
    const files: { readonly path: string; readonly size: number; readonly used: number }[] = [];
    let total = 0;
    for (const name of readdirSync(this.folder)) {
      const path = join(this.folder, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat === undefined) continue;
      const { size, mtimeMs } = stat;
      if (!isKey(name) && now - mtimeMs > writingTime) remove(path);
      else {
        total += size;
        if (isKey(name)) files.push({ path, size, used: mtimeMs });
      }
    }
    files.sort((a, b) => a.used - b.used);
    for (const file of files) {
      if (total <= this.#maxBytes) return;
      remove(file.path);
      total -= file.size;
    }
  }
}

/** Indexes of symbol tables: 17 bytes a symbol (workerd's is 3 MB). */
export const symbolTables: Cache = new Cache('symbols', 256 << 20);

/** What is being written has a dot in its name. */
const isKey = (name: string): boolean => /^[\w-]{1,200}$/.test(name);

/** Another run may have been faster, or the folder may be another user's. */
function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {}
}
