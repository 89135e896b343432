/**
 * The memory that an ELF file becomes when it is loaded: bytes and words by virtual
 * address. gABI chapter 5, "Program Header" (PT_LOAD) and "Dynamic Section".
 *
 * Made for going through much of a file: each segment is read once, whole, when it is
 * first asked for. 64-bit little-endian files whose addresses lie below 4 GiB, which
 * all programs and libraries do: an address then fits a Uint32Array.
 */
import type { MachineError } from '../../base/errors.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import { decodeText } from '../../bytes/cursor.ts';
import { DT_NULL, PF_W, PF_X, PT_DYNAMIC, PT_LOAD, SHF_ALLOC, SHT_NOBITS, SHT_REL, SHT_RELA } from './constants.ts';
import type { ElfFile } from './elf.ts';
import { badElf, unsupportedElf } from './errors.ts';
import type { Section, Segment } from './header.ts';

/** One loadable segment, or a piece of it. */
export class Part {
  readonly address: number;
  /** Behind the last byte that the file holds. */
  readonly end: number;
  /** Behind the last byte in memory (.bss lies between). */
  readonly memoryEnd: number;
  readonly executable: boolean;
  readonly writable: boolean;
  /** For the loader or for unwinding alone: no code is in it, and nothing that code refers to. */
  readonly auxiliary: boolean;
  readonly #read: () => Uint8Array;
  #bytes: Uint8Array | undefined;
  #view: DataView | undefined;

  constructor(place: Place, flags: number, read: () => Uint8Array) {
    this.address = place.address;
    this.end = place.address + place.size;
    this.memoryEnd = place.address + Math.max(place.size, place.memorySize);
    this.executable = (flags & PF_X) !== 0;
    this.writable = (flags & PF_W) !== 0;
    this.auxiliary = place.auxiliary;
    this.#read = read;
  }

  /** The bytes in the file; fewer than `end - address` where the file could not be read. */
  get bytes(): Uint8Array {
    this.#bytes ??= this.#read();
    return this.#bytes;
  }

  get view(): DataView {
    const { bytes } = this;
    this.#view ??= new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return this.#view;
  }

  /** Gives the bytes back; they are read again when they are asked for again. */
  release(): void {
    this.#bytes = undefined;
    this.#view = undefined;
  }
}

interface Place {
  readonly address: number;
  readonly size: number;
  readonly memorySize: number;
  readonly auxiliary: boolean;
}

/** Such sections are read once, when a program is looked through, and take up to a third of it. */
const isAuxiliary = ({ name, type }: Section): boolean =>
  type === SHT_RELA || type === SHT_REL || ['.eh_frame', '.eh_frame_hdr', '.gcc_except_table'].includes(name);
/** Smaller ones are no reason for a part of their own. */
const leastOwnPart = 256 << 10;

/** A segment in pieces: what is auxiliary in it, and what lies between. */
function pieces(elf: ElfFile, segment: Segment, size: number): Place[] {
  const { address, offset, memorySize, flags } = segment;
  const found: Place[] = [];
  let from: number = address;
  const add = (to: number, auxiliary: boolean): void => {
    if (to > from) found.push({ address: from, size: to - from, memorySize: 0, auxiliary });
    from = to;
  };
  const own = elf.sections.filter((section) => isAuxiliary(section) && section.size >= leastOwnPart);
  for (const section of own.sort((a, b) => a.address - b.address)) {
    const end = section.address + section.size;
    const isHere =
      (section.flags & SHF_ALLOC) !== 0 &&
      section.type !== SHT_NOBITS &&
      section.address - address === section.offset - offset;
    if (!isHere || section.address < from || end > address + size || (flags & (PF_W | PF_X)) !== 0) continue;
    add(section.address, false);
    add(end, true);
  }
  const rest = address + size - from;
  const place: Place = { address: from, size: rest, memorySize: address + memorySize - from, auxiliary: false };
  return rest > 0 || found.length === 0 ? [...found, place] : found;
}

/** No program has more code and data in one segment. */
const mostPartBytes = 2 ** 31 - 1;
const mostDynamicBytes = 1 << 20;
const mostTextBytes = 64 << 10;

export class Image {
  readonly elf: ElfFile;
  /** In ascending order of address; they do not overlap. */
  readonly parts: readonly Part[];
  readonly #dynamic: ReadonlyMap<number, number>;
  /** Where the last address lay that was asked for. */
  #last: Part | undefined;

  private constructor(elf: ElfFile, parts: readonly Part[], dynamic: ReadonlyMap<number, number>) {
    this.elf = elf;
    this.parts = parts;
    this.#dynamic = dynamic;
  }

  /** Reads no segment yet. Fails with E_UNSUPPORTED_ELF (32-bit, big-endian, addresses from 4 GiB on) or E_BAD_ELF. */
  static of(elf: ElfFile): Result<Image, MachineError> {
    const { header, path, reader } = elf;
    if (header.class !== 64 || !header.littleEndian) {
      return fail(unsupportedElf(path, 'it is not a 64-bit little-endian file'));
    }
    const parts: Part[] = [];
    for (const segment of elf.segments) {
      if (segment.type !== PT_LOAD || segment.memorySize === 0) continue;
      const size = Math.min(segment.fileSize, segment.memorySize, Math.max(0, reader.size - segment.offset));
      if (!(segment.address + Math.max(size, segment.memorySize) <= 2 ** 32)) {
        return fail(unsupportedElf(path, 'its addresses go beyond 4 GiB'));
      }
      if (size > mostPartBytes) return fail(badElf(path, `a segment claims ${size} bytes`));
      for (const place of pieces(elf, segment, size)) {
        const offset = segment.offset + place.address - segment.address;
        parts.push(new Part(place, segment.flags, () => reader.read(offset, place.size)));
      }
    }
    parts.sort((a, b) => a.address - b.address);
    for (let index = 1; index < parts.length; index++) {
      if ((parts[index - 1] as Part).memoryEnd > (parts[index] as Part).address) {
        return fail(badElf(path, 'its segments overlap'));
      }
    }
    const entries = new Map<number, number>();
    const dynamic = elf.segments.find((one) => one.type === PT_DYNAMIC);
    if (dynamic !== undefined) {
      const bytes = reader.read(dynamic.offset, Math.min(dynamic.fileSize, mostDynamicBytes));
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      for (let at = 0; at + 16 <= bytes.length; at += 16) {
        const tag = view.getUint32(at, true);
        if (tag === DT_NULL) break;
        const value = view.getUint32(at + 12, true) * 2 ** 32 + view.getUint32(at + 8, true);
        if (!entries.has(tag)) entries.set(tag, value);
      }
    }
    return ok(new Image(elf, parts, entries));
  }

  /** The value of an entry of the dynamic section (DT_RELA …; its low 32 bits are looked at), undefined when there is none. */
  dynamic(tag: number): number | undefined {
    return this.#dynamic.get(tag >>> 0);
  }

  /** The segment that an address lies in. */
  partAt(address: number): Part | undefined {
    const last = this.#last;
    if (last !== undefined && address >= last.address && address < last.memoryEnd) return last;
    for (const part of this.parts) {
      if (address < part.address) return undefined;
      if (address >= part.memoryEnd) continue;
      this.#last = part;
      return part;
    }
    return undefined;
  }

  isCode(address: number): boolean {
    const part = this.partAt(address);
    return part?.executable === true && address < part.end;
  }

  /** A 32-bit word; undefined outside of what the file holds. */
  u32(address: number): number | undefined {
    const part = this.partAt(address);
    if (part === undefined) return undefined;
    const at = address - part.address;
    return at + 4 <= part.bytes.length ? part.view.getUint32(at, true) : undefined;
  }

  i32(address: number): number | undefined {
    const word = this.u32(address);
    return word === undefined ? undefined : word | 0;
  }

  /** A 64-bit word as it lies in the file, signed; exact within ±2^53. */
  i64(address: number): number | undefined {
    const low = this.u32(address);
    const high = this.i32(address + 4);
    return low === undefined || high === undefined ? undefined : high * 2 ** 32 + low;
  }

  /** Bytes at an address, no more than the segment has there. */
  bytesAt(address: number, length: number): Uint8Array {
    const part = this.partAt(address);
    if (part === undefined) return new Uint8Array(0);
    const at = address - part.address;
    return part.bytes.subarray(at, at + length);
  }

  /** The zero-terminated text at an address; undefined when it has no end within `limit` bytes. */
  textAt(address: number, limit: number = mostTextBytes): string | undefined {
    const part = this.partAt(address);
    if (part === undefined) return undefined;
    const at = address - part.address;
    const end = part.bytes.indexOf(0, at);
    return end < 0 || end - at > limit ? undefined : decodeText(part.bytes, at, end);
  }
}
