/**
 * What tells one file's content from another's without reading all of it: the key under
 * which things worked out of a file are kept. Equal build-ids mean equal programs, but
 * not equal files (a stripped copy has the same one), and not every file has one.
 */
import { crc32 } from '../../bytes/crc32.ts';
import type { ElfFile } from './elf.ts';

const samples = 64;
const sampleSize = 4096;
const mostHeaderBytes = 1 << 20;

/**
 * `BUILDID-…` (`none-…` without one): the build-id, and a checksum of the file's size,
 * its headers, all of the section headers, and 64 pages spread evenly over it.
 */
export function fingerprint(elf: ElfFile): string {
  const { reader, header } = elf;
  const { sectionHeaders, programHeaders } = header;
  let crc = 0;
  let fnv = 0x811c9dc5;
  const add = (bytes: Uint8Array): void => {
    crc = crc32(bytes, crc);
    for (let at = 0; at < bytes.length; at++) fnv = Math.imul(fnv ^ (bytes[at] as number), 0x01000193);
  };
  add(new Uint8Array(new Float64Array([reader.size]).buffer));
  for (const { offset, count, entrySize } of [programHeaders, sectionHeaders]) {
    add(reader.read(offset, Math.min(count * entrySize, mostHeaderBytes)));
  }
  const step = Math.max(sampleSize, Math.floor((reader.size - sampleSize) / (samples - 1)));
  // Past the reader's cache: these pages are not asked for again.
  const page = new Uint8Array(sampleSize);
  for (let offset = 0; offset < reader.size; offset += step) add(page.subarray(0, reader.readInto(page, offset)));
  const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
  return `${elf.buildId() || 'none'}-${hex(crc)}${hex(fnv)}`;
}
