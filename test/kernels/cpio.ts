/** Writer of a cpio archive of the "newc" kind, as the kernel unpacks an initramfs (Documentation/driver-api/early-userspace/buffer-format.rst). */
import { closeSync, lstatSync, openSync, readFileSync, readlinkSync, writeSync } from 'node:fs';

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;

export class CpioWriter {
  readonly #fd: number;
  readonly #known = new Set<string>();
  #inode = 1;

  constructor(path: string) {
    this.#fd = openSync(path, 'w');
  }

  #entry(name: string, mode: number, data: Uint8Array): void {
    const path = Buffer.from(`${name.replace(/^\//, '')}\0`);
    const fields = [this.#inode++, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, path.length, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
    const pad = (length: number): Buffer => Buffer.alloc(-length & 3);
    const head = Buffer.concat([Buffer.from(header), path, pad(header.length + path.length)]);
    writeSync(this.#fd, head);
    for (let at = 0; at < data.length; ) at += writeSync(this.#fd, data, at);
    writeSync(this.#fd, pad(data.length));
  }

  /** The folder and those above it. */
  folder(path: string): void {
    if (path === '/' || path === '' || this.#known.has(path)) return;
    this.folder(path.slice(0, path.lastIndexOf('/')));
    this.#known.add(path);
    this.#entry(path, S_IFDIR | 0o755, new Uint8Array());
  }

  /** A file with this text or these bytes. */
  file(path: string, content: string | Uint8Array, mode = 0o644): void {
    if (this.#known.has(path)) return;
    this.folder(path.slice(0, path.lastIndexOf('/')));
    this.#known.add(path);
    this.#entry(path, S_IFREG | mode, typeof content === 'string' ? Buffer.from(content) : content);
  }

  link(path: string, target: string): void {
    if (this.#known.has(path)) return;
    this.folder(path.slice(0, path.lastIndexOf('/')));
    this.#known.add(path);
    this.#entry(path, S_IFLNK | 0o777, Buffer.from(target));
  }

  /** A file, link or folder (without what is in it) as it is here; under another name where one is given. */
  copy(path: string, as: string = path): void {
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) this.link(as, readlinkSync(path));
    else if (stat.isDirectory()) this.folder(as);
    else if (stat.isFile()) this.file(as, readFileSync(path), stat.mode & 0o777);
  }

  close(): void {
    this.#entry('TRAILER!!!', 0, new Uint8Array());
    closeSync(this.#fd);
  }
}
