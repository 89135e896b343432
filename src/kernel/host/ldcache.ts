/**
 * /etc/ld.so.cache: which library file belongs to which soname, as ldconfig(8) wrote it
 * (glibc, sysdeps/generic/dl-cache.h). The older format "ld.so-1.7.0" may stand in front
 * of the one that is read here.
 */

export interface CachedLibrary {
  /** `libc.so.6` */
  readonly soname: string;
  /** `/lib/x86_64-linux-gnu/libc.so.6` */
  readonly path: string;
}

const OLD_MAGIC = 'ld.so-1.7.0';
const MAGIC = 'glibc-ld.so.cache1.1';
const HEADER_SIZE = 48;
const ENTRY_SIZE = 24;
/** FLAG_ELF_LIBC6 with the machine's FLAG_…LIB64 (dl-cache.h). */
const FLAGS = { x86_64: 0x0303, arm64: 0x0a03 } as const;

/** The libraries of one machine type, in the cache's order; none when the bytes are no such cache. */
export function parseLdCache(bytes: Uint8Array, arch: 'x86_64' | 'arm64'): CachedLibrary[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (offset: number, length: number): string =>
    Buffer.from(bytes.buffer, bytes.byteOffset + offset, length).toString('latin1');
  let start = 0;
  if (bytes.length >= 16 && text(0, OLD_MAGIC.length) === OLD_MAGIC) {
    start = Math.ceil((16 + 12 * view.getUint32(12, true)) / 8) * 8;
  }
  if (bytes.length < start + HEADER_SIZE || text(start, MAGIC.length) !== MAGIC) return [];
  const string = (offset: number): string => {
    const from = start + offset;
    const end = bytes.indexOf(0, from);
    return end < 0 || from >= bytes.length ? '' : text(from, end - from);
  };
  const libraries: CachedLibrary[] = [];
  const count = view.getUint32(start + 20, true);
  for (let index = 0; index < count; index++) {
    const at = start + HEADER_SIZE + index * ENTRY_SIZE;
    if (at + ENTRY_SIZE > bytes.length) break;
    if (view.getUint32(at, true) !== FLAGS[arch]) continue;
    const soname = string(view.getUint32(at + 4, true));
    const path = string(view.getUint32(at + 8, true));
    if (soname !== '' && path.startsWith('/')) libraries.push({ soname, path });
  }
  return libraries;
}
