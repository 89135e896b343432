/**
 * A FileReader over a file descriptor. Reads go through pread(2); small ones (headers,
 * single names) through a cache of pages, so that a look-up of one name costs no more
 * than one system call. Nothing is ever read whole.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import type { FileReader } from '../../bytes/file.ts';

const pageSize = 16 << 10;
const cachedPages = 32;

export class HostFile implements FileReader {
  readonly path: string;
  readonly size: number;
  readonly device: number;
  readonly inode: number;
  failure: Error | undefined;
  #fd: number;
  /** Page number → bytes, the least recently used first. */
  readonly #pages: Map<number, Uint8Array> = new Map();

  private constructor(path: string, fd: number, size: number, device: number, inode: number) {
    this.path = path;
    this.size = size;
    this.device = device;
    this.inode = inode;
    this.#fd = fd;
  }

  /** Opens a regular file for reading. Fails with the system's code (ENOENT, EACCES …) or E_NOT_A_FILE. */
  static open(path: string): Result<HostFile, MachineError> {
    let fd: number | undefined;
    try {
      fd = openSync(path, 'r');
      const stat = fstatSync(fd);
      if (!stat.isFile()) {
        closeSync(fd);
        const what = stat.isDirectory() ? 'a folder' : 'not a regular file';
        return fail(new MachineError(`${path} is ${what}`, { code: 'E_NOT_A_FILE', hints: ['Name a program file.'] }));
      }
      return ok(new HostFile(path, fd, stat.size, stat.dev, stat.ino));
    } catch (cause) {
      if (fd !== undefined) closeSync(fd);
      return fail(cannotOpen(path, cause as NodeJS.ErrnoException));
    }
  }

  read(offset: number, length: number): Uint8Array {
    if (!(offset >= 0 && length > 0 && offset < this.size)) return new Uint8Array(0);
    const wanted = Math.min(length, this.size - offset);
    const page = Math.floor(offset / pageSize);
    const within = offset - page * pageSize;
    if (within + wanted <= pageSize) return this.#page(page).subarray(within, within + wanted);
    return this.#pread(offset, wanted);
  }

  readInto(target: Uint8Array, offset: number): number {
    if (!(offset >= 0 && offset < this.size)) return 0;
    return this.#preadInto(target, Math.min(target.length, this.size - offset), offset);
  }

  indexOf(bytes: Uint8Array, wanted: Uint8Array, from: number): number {
    // Three times as fast as in JavaScript; it takes any Uint8Array.
    return Buffer.prototype.indexOf.call(bytes, wanted, from);
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#pages.clear();
  }

  #page(number: number): Uint8Array {
    let bytes = this.#pages.get(number);
    if (bytes !== undefined) {
      this.#pages.delete(number);
    } else {
      bytes = this.#pread(number * pageSize, Math.min(pageSize, this.size - number * pageSize));
      if (this.#pages.size >= cachedPages) {
        for (const oldest of this.#pages.keys()) {
          this.#pages.delete(oldest);
          break;
        }
      }
    }
    this.#pages.set(number, bytes);
    return bytes;
  }

  #pread(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const done = this.#preadInto(bytes, length, offset);
    return done === length ? bytes : bytes.subarray(0, done);
  }

  #preadInto(target: Uint8Array, length: number, offset: number): number {
    let done = 0;
    try {
      while (done < length) {
        const count = readSync(this.#fd, target, done, length - done, offset + done);
        if (count === 0) break;
        done += count;
      }
    } catch (cause) {
      this.failure = cause as Error;
    }
    return done;
  }
}

function cannotOpen(path: string, cause: NodeJS.ErrnoException): MachineError {
  const code = cause.code ?? 'EIO';
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such file',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    ENOTDIR: 'a part of the path is not a folder',
    ELOOP: 'too many symbolic links',
    EMFILE: 'too many files are open',
  };
  const hints =
    code === 'EACCES' || code === 'EPERM'
      ? ['Run insitu as root.']
      : code === 'EMFILE'
        ? ['Raise the limit with: ulimit -n 65536']
        : [];
  return new MachineError(`can't open ${path}: ${reasons[code] ?? cause.message}`, { code, hints, cause });
}
