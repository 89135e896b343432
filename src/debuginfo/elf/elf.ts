/**
 * One ELF file (executable, library, separate debug file), read lazily through a
 * FileReader: opening it reads the file header and the program headers, everything else
 * when asked. Specification: gABI (System V ABI, chapters 4 and 5) and elf(5).
 *
 * The way between virtual addresses and file offsets goes through the program headers
 * alone. That is what the kernel does when it maps a file (fs/binfmt_elf.c, elf_map) and
 * when it places a uprobe (a uprobe is an inode and a file offset); section headers are
 * for linkers, and a file may lack them.
 */
import { MachineError } from '../../base/errors.ts';
import { lazy } from '../../base/lazy.ts';
import { type FileOffset, fileOffset, type VirtualAddress, virtualAddress } from '../../base/numbers.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import { Cursor, cStringAt, decodeText } from '../../bytes/cursor.ts';
import type { FileReader } from '../../bytes/file.ts';
import {
  ELFCOMPRESS_ZLIB,
  ELFCOMPRESS_ZSTD,
  PF_X,
  PT_DYNAMIC,
  PT_INTERP,
  PT_LOAD,
  PT_NOTE,
  SHF_COMPRESSED,
  SHT_NOBITS,
  SHT_NOTE,
} from './constants.ts';
import { type DynamicSection, readDynamic } from './dynamic.ts';
import { badElf, noFileBytes, noSegment, notExecutable, truncatedElf, unsupportedElf } from './errors.ts';
import { type ElfHeader, readHeader, readSections, readSegments, type Section, type Segment } from './header.ts';
import { findBuildId } from './note.ts';

/** How a section's bytes are packed, and how many they are when unpacked. */
export interface Packing {
  readonly method: 'none' | 'zlib' | 'zstd';
  /** Where the (packed) bytes start in the file. */
  readonly offset: FileOffset;
  /** How many bytes that are in the file. */
  readonly size: number;
  /** How many bytes when unpacked. */
  readonly unpackedSize: number;
}

/** Unpacks a compressed section; `unpackedSize` is what the file says. Passed in, because it is an effect of the host. */
export type Inflate = (packed: Uint8Array, method: 'zlib' | 'zstd', unpackedSize: number) => Uint8Array;

export interface DebugLink {
  /** File name without folder. */
  readonly name: string;
  /** CRC-32 of the whole debug file. */
  readonly crc: number;
}

/** Notes and dynamic sections are small; a size beyond this is not believed. */
const mostNoteBytes = 1 << 20;
const mostDynamicBytes = 1 << 20;
const mostStringBytes = 64 << 10;
/** No section that insitu wants whole is as large as this. */
const mostSectionBytes = 1 << 30;

export class ElfFile {
  readonly path: string;
  readonly reader: FileReader;
  readonly header: ElfHeader;
  readonly segments: readonly Segment[];
  readonly #sections: () => { readonly sections: readonly Section[]; readonly problem: MachineError | undefined };

  private constructor(path: string, reader: FileReader, header: ElfHeader, segments: readonly Segment[]) {
    this.path = path;
    this.reader = reader;
    this.header = header;
    this.segments = segments;
    this.#sections = lazy(() => readSections(path, reader, header));
  }

  /** Reads file header and program headers. Fails with E_NOT_ELF, E_TRUNCATED_ELF or E_BAD_ELF. */
  static open(path: string, reader: FileReader): Result<ElfFile, MachineError> {
    const header = readHeader(path, reader);
    if (!header.ok) return header;
    const segments = readSegments(path, reader, header.value);
    if (!segments.ok) return segments;
    return ok(new ElfFile(path, reader, header.value, segments.value));
  }

  /** The sections that could be read; see `problem`. */
  get sections(): readonly Section[] {
    return this.#sections().sections;
  }

  /** Why `sections` is not all of them, undefined when it is. */
  get problem(): MachineError | undefined {
    return this.#sections().problem;
  }

  /** The first section of that name. */
  section(name: string): Section | undefined {
    return this.sections.find((section) => section.name === name);
  }

  /**
   * The place in the file of the byte that is mapped at `address`: what a uprobe is
   * attached at. With `executable`, only segments with PF_X count. Fails with
   * E_NO_SEGMENT, E_NOT_EXECUTABLE, E_NO_FILE_BYTES (.bss), E_TRUNCATED_ELF (the byte
   * lies behind the end of the file).
   */
  toFileOffset(address: VirtualAddress, which: 'executable' | 'any' = 'executable'): Result<FileOffset, MachineError> {
    let refusal: MachineError | undefined;
    // From the last to the first: where segments overlap, the loader maps the later over the earlier.
    for (let index = this.segments.length - 1; index >= 0; index--) {
      const segment = this.segments[index] as Segment;
      const within = address - segment.address;
      if (segment.type !== PT_LOAD || !(within >= 0 && within < segment.memorySize)) continue;
      if (which === 'executable' && (segment.flags & PF_X) === 0) {
        refusal ??= notExecutable(this.path, address, describe(segment));
        continue;
      }
      if (within >= segment.fileSize) {
        refusal ??= noFileBytes(this.path, address);
        continue;
      }
      const offset = segment.offset + within;
      if (!Number.isSafeInteger(offset))
        return fail(badElf(this.path, `its segment at ${describe(segment)} is out of reach`));
      if (offset >= this.reader.size) {
        return fail(
          truncatedElf(
            this.path,
            `segment at ${describe(segment)}`,
            segment.offset,
            segment.fileSize,
            this.reader.size,
          ),
        );
      }
      return ok(fileOffset(offset));
    }
    return fail(refusal ?? noSegment(this.path, address, this.#describeSegments(which)));
  }

  /**
   * The virtual address of a byte of the file: the way back from a process mapping.
   * Executable segments are asked first, since the same byte may be mapped twice
   * (as data and as code). undefined when no PT_LOAD segment holds that byte.
   */
  toVirtualAddress(offset: FileOffset): VirtualAddress | undefined {
    let answer: VirtualAddress | undefined;
    for (const segment of this.segments) {
      const within = offset - segment.offset;
      if (segment.type !== PT_LOAD || !(within >= 0 && within < segment.fileSize)) continue;
      const address = segment.address + within;
      if (!Number.isSafeInteger(address)) continue;
      if ((segment.flags & PF_X) !== 0) return virtualAddress(address);
      answer ??= virtualAddress(address);
    }
    return answer;
  }

  #describeSegments(which: 'executable' | 'any'): string {
    const wanted = this.segments.filter(
      (segment) => segment.type === PT_LOAD && (which === 'any' || (segment.flags & PF_X) !== 0),
    );
    if (wanted.length === 0) return `The file has no ${which === 'any' ? 'loadable' : 'executable'} segment.`;
    const shown = wanted.slice(0, 4).map(describe).join(', ');
    const kind = which === 'any' ? 'loadable' : 'executable';
    return `Its ${kind} addresses are ${shown}${wanted.length > 4 ? ` and ${wanted.length - 4} more` : ''}.`;
  }

  /** How a section is packed. Fails when its header is not all there or names an unknown method. */
  packing(section: Section): Result<Packing, MachineError> {
    if (section.type === SHT_NOBITS) {
      return ok({ method: 'none', offset: section.offset, size: 0, unpackedSize: 0 });
    }
    const plain: Packing = { method: 'none', offset: section.offset, size: section.size, unpackedSize: section.size };
    if ((section.flags & SHF_COMPRESSED) !== 0) {
      const wide = this.header.class === 64;
      const length = wide ? 24 : 12;
      const bytes = this.reader.read(section.offset, length);
      if (bytes.length < length || section.size < length) return fail(this.#cut(section));
      const cursor = new Cursor(bytes, this.header.littleEndian);
      const type = cursor.u32();
      if (wide) cursor.skip(4);
      const unpackedSize = wide ? cursor.u64number() : cursor.u32();
      const method = type === ELFCOMPRESS_ZLIB ? 'zlib' : type === ELFCOMPRESS_ZSTD ? 'zstd' : undefined;
      if (method === undefined) {
        return fail(unsupportedElf(this.path, `section ${section.name} is compressed by an unknown method (${type})`));
      }
      return ok({ method, offset: fileOffset(section.offset + length), size: section.size - length, unpackedSize });
    }
    if (section.name.startsWith('.zdebug')) {
      // GNU's older way: "ZLIB", the size as 8 big-endian bytes, then the packed bytes.
      const bytes = this.reader.read(section.offset, 12);
      if (bytes.length === 12 && decodeText(bytes, 0, 4) === 'ZLIB') {
        const unpackedSize = new Cursor(bytes, false, 4).u64number();
        return ok({ method: 'zlib', offset: fileOffset(section.offset + 12), size: section.size - 12, unpackedSize });
      }
    }
    return ok(plain);
  }

  /**
   * A section's bytes, unpacked; empty for SHT_NOBITS. Fails with E_TRUNCATED_ELF, with
   * E_BAD_ELF when what comes out of `inflate` is not as promised, with
   * E_UNSUPPORTED_ELF for a compressed section where no `inflate` is given.
   */
  contents(section: Section, inflate?: Inflate): Result<Uint8Array, MachineError> {
    const packing = this.packing(section);
    if (!packing.ok) return packing;
    const { method, offset, size, unpackedSize } = packing.value;
    if (size > mostSectionBytes || unpackedSize > mostSectionBytes) {
      if (offset + size > this.reader.size) return fail(this.#cut(section));
      return fail(badElf(this.path, `section ${section.name} claims ${unpackedSize} bytes`));
    }
    const bytes = this.reader.read(offset, size);
    if (bytes.length < size) return fail(this.#cut(section));
    if (method === 'none') return ok(bytes);
    if (inflate === undefined) {
      return fail(unsupportedElf(this.path, `section ${section.name} is compressed (${method})`));
    }
    try {
      const unpacked = inflate(bytes, method, unpackedSize);
      if (unpacked.length === unpackedSize) return ok(unpacked);
      return fail(
        badElf(this.path, `section ${section.name} unpacks to ${unpacked.length} bytes, not ${unpackedSize}`),
      );
    } catch (cause) {
      if (cause instanceof MachineError) return fail(cause);
      return fail(badElf(this.path, `section ${section.name} can't be unpacked (${(cause as Error).message})`));
    }
  }

  #cut(section: Section): MachineError {
    return truncatedElf(this.path, `section ${section.name}`, section.offset, section.size, this.reader.size);
  }

  /** The build-id as hex digits, '' when there is none. */
  readonly buildId: () => string = lazy(() => {
    const search = (offset: number, size: number, alignment: number): string | undefined =>
      findBuildId(this.reader.read(offset, Math.min(size, mostNoteBytes)), this.header.littleEndian, alignment);
    for (const segment of this.segments) {
      const found = segment.type === PT_NOTE ? search(segment.offset, segment.fileSize, segment.alignment) : undefined;
      if (found !== undefined) return found;
    }
    // In a separate debug file the segments' offsets are those of the file that it belongs to.
    for (const section of this.sections) {
      const found = section.type === SHT_NOTE ? search(section.offset, section.size, section.alignment) : undefined;
      if (found !== undefined) return found;
    }
    return '';
  });

  /** What the file needs at run time; undefined for a static file, or when the section can't be read. */
  readonly dynamic: () => DynamicSection | undefined = lazy(() => {
    const segment = this.segments.find((one) => one.type === PT_DYNAMIC);
    if (segment === undefined) return undefined;
    const bytes = this.reader.read(segment.offset, Math.min(segment.fileSize, mostDynamicBytes));
    if (bytes.length === 0) return undefined;
    return readDynamic(bytes, this.header.littleEndian, this.header.class === 64, (table, offset, tableSize) => {
      if (offset >= tableSize) return undefined;
      const place = this.toFileOffset(virtualAddress(table + offset), 'any');
      return place.ok ? this.stringAt(place.value, tableSize - offset) : undefined;
    });
  });

  /** PT_INTERP: the dynamic loader's path; '' when there is none. */
  get interpreter(): string {
    const segment = this.segments.find((one) => one.type === PT_INTERP);
    return segment === undefined ? '' : (this.stringAt(segment.offset, segment.fileSize) ?? '');
  }

  /** .gnu_debuglink: the name and checksum of a separate debug file; undefined when there is none. */
  debugLink(): DebugLink | undefined {
    const section = this.section('.gnu_debuglink');
    if (section === undefined || section.size > 4096) return undefined;
    const bytes = this.reader.read(section.offset, section.size);
    const name = cStringAt(bytes, 0);
    if (name === undefined || name === '' || name.includes('/')) return undefined;
    // The checksum starts at the next multiple of four behind the name's zero byte.
    const cursor = new Cursor(bytes, this.header.littleEndian, (bytes.indexOf(0) + 4) & ~3);
    return cursor.remaining < 4 ? undefined : { name, crc: cursor.u32() };
  }

  /** The zero-terminated string at a place in the file, at most `limit` bytes; undefined when there is no end to it. */
  stringAt(offset: number, limit: number): string | undefined {
    let size = 256;
    for (;;) {
      const wanted = Math.min(size, limit, mostStringBytes);
      const bytes = this.reader.read(offset, wanted);
      const end = bytes.indexOf(0);
      if (end >= 0) return decodeText(bytes, 0, end);
      if (bytes.length < size || size >= mostStringBytes) return undefined;
      size *= 16;
    }
  }
}

function describe(segment: Segment): string {
  return `0x${segment.address.toString(16)}-0x${(segment.address + segment.memorySize).toString(16)}`;
}
