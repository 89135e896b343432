/**
 * The three tables of an ELF file: file header, program headers (what is mapped where
 * in memory) and section headers (what the linker calls the parts). gABI chapter 4
 * "ELF Header", "Sections", chapter 5 "Program Header"; Linux's elf(5) for the extended
 * numbering. Both classes and both byte orders are read.
 */
import type { MachineError } from '../../base/errors.ts';
import { type FileOffset, fileOffset, type VirtualAddress, virtualAddress } from '../../base/numbers.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import { Cursor } from '../../bytes/cursor.ts';
import type { FileReader } from '../../bytes/file.ts';
import { ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFDATA2MSB, PN_XNUM, SHN_XINDEX } from './constants.ts';
import { badElf, notElf, truncatedElf } from './errors.ts';

export interface ElfHeader {
  readonly class: 32 | 64;
  readonly littleEndian: boolean;
  /** ET_EXEC, ET_DYN … */
  readonly type: number;
  /** EM_X86_64 … */
  readonly machine: number;
  readonly entry: VirtualAddress;
  readonly programHeaders: { readonly offset: FileOffset; readonly count: number; readonly entrySize: number };
  readonly sectionHeaders: { readonly offset: FileOffset; readonly count: number; readonly entrySize: number };
  /** Index of the section that holds the sections' names; 0 when there is none. */
  readonly sectionNames: number;
}

/** A program header. Sizes in bytes. */
export interface Segment {
  /** PT_LOAD … */
  readonly type: number;
  /** PF_R, PF_W, PF_X. */
  readonly flags: number;
  readonly offset: FileOffset;
  readonly address: VirtualAddress;
  readonly fileSize: number;
  readonly memorySize: number;
  readonly alignment: number;
}

/** A section header. Sizes in bytes. */
export interface Section {
  readonly index: number;
  readonly name: string;
  /** SHT_SYMTAB … */
  readonly type: number;
  /** SHF_ALLOC … (the low 53 bits). */
  readonly flags: number;
  readonly address: VirtualAddress;
  readonly offset: FileOffset;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly alignment: number;
  readonly entrySize: number;
}

const sectionSize = { 32: 40, 64: 64 } as const;
const segmentSize = { 32: 32, 64: 56 } as const;
/** More of either than any real file has; a higher count is a lie that costs memory. */
const mostHeaders = 200_000;

/** Reads the file header, extended numbering included. */
export function readHeader(path: string, reader: FileReader): Result<ElfHeader, MachineError> {
  const bytes = reader.read(0, 64);
  const magic = bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
  if (!magic) return fail(notElf(path, reader.size, bytes));
  const classByte = bytes[4];
  const order = bytes[5];
  const wide = classByte === ELFCLASS64;
  if (bytes.length < (wide ? 64 : 52)) return fail(truncatedElf(path, 'ELF header', 0, wide ? 64 : 52, reader.size));
  if (!wide && classByte !== ELFCLASS32)
    return fail(badElf(path, `its class is ${classByte}, not 1 (32 bits) or 2 (64)`));
  if (order !== ELFDATA2LSB && order !== ELFDATA2MSB)
    return fail(badElf(path, `its byte order is ${order}, not 1 or 2`));

  const cursor = new Cursor(bytes, order === ELFDATA2LSB, 16);
  const word = (): number => (wide ? cursor.u64number() : cursor.u32());
  const type = cursor.u16();
  const machine = cursor.u16();
  cursor.skip(4); // e_version
  const entry = word();
  const phoff = word();
  const shoff = word();
  cursor.skip(4); // e_flags
  cursor.skip(2); // e_ehsize
  const phentsize = cursor.u16();
  let phnum = cursor.u16();
  const shentsize = cursor.u16();
  let shnum = cursor.u16();
  let shstrndx = cursor.u16();

  const header = (sections: number, names: number, segments: number): ElfHeader => ({
    class: wide ? 64 : 32,
    littleEndian: order === ELFDATA2LSB,
    type,
    machine,
    entry: virtualAddress(entry),
    programHeaders: { offset: fileOffset(phoff), count: segments, entrySize: phentsize },
    sectionHeaders: { offset: fileOffset(shoff), count: sections, entrySize: shentsize },
    sectionNames: names,
  });
  const extended = phnum === PN_XNUM || shstrndx === SHN_XINDEX || (shnum === 0 && shoff !== 0);
  if (extended) {
    // The numbers that did not fit into 16 bits are in fields of section header 0.
    const first = shoff === 0 ? undefined : readSections(path, reader, header(1, 0, 0)).sections[0];
    if (first !== undefined) {
      if (phnum === PN_XNUM) phnum = first.info;
      if (shstrndx === SHN_XINDEX) shstrndx = first.link;
      if (shnum === 0) shnum = first.size;
    } else if (phnum === PN_XNUM) {
      return fail(badElf(path, 'the number of its program headers is in a section header that is not there'));
    }
  }
  return ok(header(shoff === 0 ? 0 : shnum, shstrndx, phoff === 0 ? 0 : phnum));
}

/** Reads the program headers. */
export function readSegments(path: string, reader: FileReader, header: ElfHeader): Result<Segment[], MachineError> {
  const { offset, count, entrySize } = header.programHeaders;
  if (count === 0) return ok([]);
  if (entrySize < segmentSize[header.class])
    return fail(badElf(path, `a program header of ${entrySize} bytes is too short`));
  if (count > mostHeaders) return fail(badElf(path, `it claims to have ${count} program headers`));
  const bytes = reader.read(offset, count * entrySize);
  if (bytes.length < count * entrySize) {
    return fail(truncatedElf(path, 'program headers', offset, count * entrySize, reader.size));
  }
  const cursor = new Cursor(bytes, header.littleEndian);
  const wide = header.class === 64;
  const word = (): number => (wide ? cursor.u64number() : cursor.u32());
  const segments: Segment[] = [];
  for (let index = 0; index < count; index++) {
    cursor.offset = index * entrySize;
    const type = cursor.u32();
    let flags = wide ? cursor.u32() : 0;
    const start = word();
    const address = word();
    word(); // p_paddr
    const fileSize = word();
    const memorySize = word();
    if (!wide) flags = cursor.u32();
    const alignment = word();
    segments.push({
      type,
      flags,
      offset: fileOffset(start),
      address: virtualAddress(address),
      fileSize,
      memorySize,
      alignment,
    });
  }
  return ok(segments);
}

/** Reads the section headers that are there; `problem` tells why some or all are not. Names are '' where they can't be read. */
export function readSections(
  path: string,
  reader: FileReader,
  header: ElfHeader,
): { readonly sections: Section[]; readonly problem: MachineError | undefined } {
  const { offset, entrySize } = header.sectionHeaders;
  let count = header.sectionHeaders.count;
  if (count === 0) return { sections: [], problem: undefined };
  if (entrySize < sectionSize[header.class]) {
    return { sections: [], problem: badElf(path, `a section header of ${entrySize} bytes is too short`) };
  }
  let problem: MachineError | undefined;
  if (count > mostHeaders) {
    problem = badElf(path, `it claims to have ${count} sections`);
    count = mostHeaders;
  }
  const bytes = reader.read(offset, count * entrySize);
  if (bytes.length < count * entrySize) {
    problem ??= truncatedElf(path, 'section headers', offset, count * entrySize, reader.size);
    count = Math.floor(bytes.length / entrySize);
  }
  const cursor = new Cursor(bytes, header.littleEndian);
  const wide = header.class === 64;
  const word = (): number => (wide ? cursor.u64number() : cursor.u32());
  const nameOffsets: number[] = [];
  const sections: { -readonly [Key in keyof Section]: Section[Key] }[] = [];
  for (let index = 0; index < count; index++) {
    cursor.offset = index * entrySize;
    nameOffsets.push(cursor.u32());
    sections.push({
      index,
      name: '',
      type: cursor.u32(),
      flags: word(),
      address: virtualAddress(word()),
      offset: fileOffset(word()),
      size: word(),
      link: cursor.u32(),
      info: cursor.u32(),
      alignment: word(),
      entrySize: word(),
    });
  }
  const table = header.sectionNames === 0 ? undefined : sections[header.sectionNames];
  if (table !== undefined) {
    const names = reader.read(table.offset, Math.min(table.size, 16 << 20));
    if (names.length < table.size)
      problem ??= truncatedElf(path, 'section names', table.offset, table.size, reader.size);
    for (const section of sections) section.name = sectionName(names, nameOffsets[section.index] as number);
  }
  return { sections, problem };
}

function sectionName(names: Uint8Array, offset: number): string {
  let name = '';
  // A name longer than this is no name; without the limit a hostile table costs sections × table size.
  for (let at = offset; at < Math.min(names.length, offset + 256) && names[at] !== 0; at++) {
    name += String.fromCharCode(names[at] as number);
  }
  return name;
}
