/**
 * The .debug_* sections of a file, opened when first asked for and read piecemeal: a
 * plain section through the file's reader, a compressed one (SHF_COMPRESSED, or GNU's
 * older .zdebug_*) unpacked once and kept.
 */
import type { MachineError } from '../../base/errors.ts';
import { lazy } from '../../base/lazy.ts';
import { cStringAt, decodeText } from '../../bytes/cursor.ts';
import { bytesReader, type FileReader } from '../../bytes/file.ts';
import { SHT_NOBITS } from '../elf/constants.ts';
import type { ElfFile, Inflate } from '../elf/elf.ts';

/** A part of a file, or of unpacked bytes, with offsets counted from its own start. */
export class DebugSection {
  readonly size: number;
  readonly #reader: FileReader;
  readonly #base: number;

  constructor(reader: FileReader, base: number, size: number) {
    this.#reader = reader;
    this.#base = base;
    this.size = Math.max(0, Math.min(size, reader.size - base));
  }

  /** Up to `length` bytes from `offset`; fewer at the section's end. */
  read(offset: number, length: number): Uint8Array {
    if (!(offset >= 0 && offset < this.size)) return new Uint8Array(0);
    return this.#reader.read(this.#base + offset, Math.min(length, this.size - offset));
  }

  all(): Uint8Array {
    return this.read(0, this.size);
  }

  /** The zero-terminated string at an offset; '' when it lies outside or has no end within a mebibyte. */
  string(offset: number): string {
    for (let length = 128; length <= 1 << 20; length *= 16) {
      const bytes = this.read(offset, length);
      const end = bytes.indexOf(0);
      if (end >= 0) return decodeText(bytes, 0, end);
      if (bytes.length < length) break;
    }
    return '';
  }
}

/** Opens the file that several debug files share (dwz puts it there), by name and build-id. */
export type OpenSupplementary = (name: string, buildId: string) => ElfFile | undefined;

/** Where in a section of a package a unit's part is. */
export interface SectionPart {
  readonly offset: number;
  readonly size: number;
}

/** Opens files that the rest of a unit may be in (.dwo, .dwp), by path; undefined when there is none. */
export type OpenSplit = (path: string) => ElfFile | undefined;

/** Of the sections of a split unit: those of the file that has its skeleton, and its parts of a package's. */
interface SplitOf {
  readonly skeleton: DwarfSections;
  readonly parts: ReadonlyMap<string, SectionPart> | undefined;
}

/** What a split unit leaves in the file that is loaded. */
const withSkeleton: ReadonlySet<string> = new Set(['addr', 'line', 'line_str', 'ranges', 'aranges']);

const empty: DebugSection = new DebugSection(bytesReader(new Uint8Array(0)), 0, 0);

export class DwarfSections {
  readonly elf: ElfFile;
  readonly littleEndian: boolean;
  /** Why a section could not be had, in the order found. */
  readonly problems: MachineError[] = [];
  /** The sections of the file that .gnu_debugaltlink names; undefined where there is none, or no way to it. */
  readonly supplementary: () => DwarfSections | undefined;
  readonly #inflate: Inflate | undefined;
  readonly openSplit: OpenSplit | undefined;
  readonly #split: SplitOf | undefined;
  readonly #opened: Map<string, DebugSection> = new Map();

  constructor(
    elf: ElfFile,
    inflate?: Inflate,
    openSupplementary?: OpenSupplementary,
    openSplit?: OpenSplit,
    split?: SplitOf,
  ) {
    this.openSplit = openSplit;
    this.#split = split;
    this.elf = elf;
    this.littleEndian = elf.header.littleEndian;
    this.#inflate = inflate;
    this.supplementary = lazy(() => {
      const link = openSupplementary === undefined ? undefined : this.#supplementaryLink();
      const file = link === undefined ? undefined : openSupplementary?.(link.name, link.buildId);
      return file === undefined ? undefined : new DwarfSections(file, inflate);
    });
  }

  /** The sections of a split unit in a file of its own, or in a package. */
  splitSections(elf: ElfFile, parts: ReadonlyMap<string, SectionPart> | undefined): DwarfSections {
    return new DwarfSections(elf, this.#inflate, undefined, undefined, { skeleton: this, parts });
  }

  /** The section `.debug_<name>`; an empty one where there is none. */
  get(name: string): DebugSection {
    let section = this.#opened.get(name);
    if (section === undefined) {
      section = this.#open(name);
      this.#opened.set(name, section);
    }
    return section;
  }

  #open(name: string): DebugSection {
    const split = this.#split;
    if (split !== undefined && withSkeleton.has(name)) return split.skeleton.get(name);
    const suffix = split === undefined || name === 'cu_index' ? '' : '.dwo';
    const section = this.elf.section(`.debug_${name}${suffix}`) ?? this.elf.section(`.zdebug_${name}${suffix}`);
    if (section === undefined || section.type === SHT_NOBITS) return empty;
    const packing = this.elf.packing(section);
    if (packing.ok && packing.value.method === 'none') {
      return this.#part(name, this.elf.reader, section.offset, section.size);
    }
    const contents = packing.ok ? this.elf.contents(section, this.#inflate) : packing;
    if (contents.ok) return this.#part(name, bytesReader(contents.value), 0, contents.value.length);
    this.problems.push(contents.error);
    return empty;
  }

  /** All of a section, or, in a package, the unit's part of it. Strings are shared by all. */
  #part(name: string, reader: FileReader, offset: number, size: number): DebugSection {
    const part = name === 'str' ? undefined : this.#split?.parts?.get(name);
    if (part === undefined) return new DebugSection(reader, offset, size);
    return new DebugSection(reader, offset + part.offset, Math.min(part.size, Math.max(0, size - part.offset)));
  }

  #supplementaryLink(): { readonly name: string; readonly buildId: string } | undefined {
    const section = this.elf.section('.gnu_debugaltlink');
    if (section === undefined || section.type === SHT_NOBITS || section.size > 8192) return undefined;
    const bytes = this.elf.reader.read(section.offset, section.size);
    const name = cStringAt(bytes, 0);
    if (name === undefined) return undefined;
    let buildId = '';
    for (const byte of bytes.subarray(bytes.indexOf(0) + 1)) buildId += byte.toString(16).padStart(2, '0');
    return { name, buildId };
  }
}
