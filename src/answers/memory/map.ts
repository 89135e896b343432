/**
 * A process's memory as /proc/PID/smaps and the ELF files behind it tell: each mapping
 * with its file, the segment that it was mapped from, the sections that lie in it, and
 * how much of it is resident.
 */
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import { type Mapping, parseMaps } from '../../debuginfo/text/maps.ts';

const PT_LOAD = 1;
const SHF_ALLOC = 2;
const SHF_TLS = 0x400;
const SHT_NOBITS = 8;

/** Where a part of a file lies in the process; addresses are the process's, ends are one past the last byte. */
export interface Part {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

export interface MappedRange {
  readonly start: number;
  readonly end: number;
  /** As in maps: `r-xp`. */
  readonly permissions: string;
  /** '' for anonymous memory; `[heap]`, `[stack]` and the like are the kernel's. */
  readonly path: string;
  readonly deleted: boolean;
  /** Where in the file it begins, in bytes. */
  readonly offset: number;
  /** Bytes in memory, of them only this process's own, and swapped out (proc_pid_smaps(5): Rss, Private_*, Swap). */
  readonly resident: number;
  readonly own: number;
  readonly swapped: number;
  /** `LOAD 2 r-x`: number and flags of the program header that it was mapped from; '' without a file. */
  readonly segment: string;
  readonly sections: readonly Part[];
  /** What the file's addresses must be moved by to be the process's. */
  readonly bias: number | undefined;
}

/** `elfOf` opens the file behind a mapping, undefined where there is none or it is no ELF file. */
export function memoryMap(smaps: string, elfOf: (mapping: Mapping) => ElfFile | undefined): MappedRange[] {
  const sizes = smapsSizes(smaps);
  const ranges: MappedRange[] = [];
  let file: ElfFile | undefined;
  for (const mapping of parseMaps(smaps)) {
    const { start, end, permissions, path, deleted, offset } = mapping;
    const [resident, own, swapped] = sizes.get(start) ?? [0, 0, 0];
    const range = { start, end, permissions, path, deleted, offset, resident, own, swapped };
    const last = ranges.at(-1);
    if (path === '' && file !== undefined && last?.bias !== undefined && last.end === start) {
      // Zeroed data (.bss) goes on behind the file's last mapping, in memory without a file.
      const { segment, bias } = last;
      ranges.push({ ...range, segment, bias, sections: sectionsIn(file, bias, start, end) });
      continue;
    }
    file = path.startsWith('/') || path === '[vdso]' ? elfOf(mapping) : undefined;
    const place = file === undefined ? { segment: '', sections: [], bias: undefined } : placed(file, mapping);
    ranges.push({ ...range, ...place });
  }
  return ranges;
}

/** Rss, Private_Clean + Private_Dirty and Swap in bytes, by the start of the mapping. */
function smapsSizes(smaps: string): ReadonlyMap<number, readonly [number, number, number]> {
  const sizes = new Map<number, [number, number, number]>();
  let current: [number, number, number] | undefined;
  for (const line of smaps.split('\n')) {
    const head = /^([0-9a-f]+)-[0-9a-f]+ /.exec(line);
    if (head !== null) {
      current = [0, 0, 0];
      sizes.set(Number.parseInt(head[1] as string, 16), current);
      continue;
    }
    const [, name, kilobytes] = /^(\w+): +(\d+) kB$/.exec(line) ?? [];
    if (current === undefined || kilobytes === undefined) continue;
    const bytes = Number(kilobytes) * 1024;
    if (name === 'Rss') current[0] = bytes;
    else if (name === 'Private_Clean' || name === 'Private_Dirty') current[1] += bytes;
    else if (name === 'Swap') current[2] = bytes;
  }
  return sizes;
}

function placed(elf: ElfFile, mapping: Mapping): Pick<MappedRange, 'segment' | 'sections' | 'bias'> {
  const { start, end, offset, permissions } = mapping;
  // The loader maps whole pages (binfmt_elf.c, elf_map): the segment's start rounded down, its end rounded up.
  const loads = elf.segments.filter(({ type }) => type === PT_LOAD);
  const covers = loads.filter((one) => {
    const page = one.alignment > 0 ? Math.min(one.alignment, 4096) : 4096;
    const first = one.offset - (one.offset % page);
    return offset < one.offset + one.fileSize && offset + (end - start) > first;
  });
  const flagsOf = (flags: number): string => `${flags & 4 ? 'r' : '-'}${flags & 2 ? 'w' : '-'}${flags & 1 ? 'x' : '-'}`;
  // Two segments may share a page of the file; the one with the mapping's own rights is meant. RELRO takes the right to write.
  const segment = covers.find((one) => flagsOf(one.flags) === permissions.slice(0, 3)) ?? covers.at(-1);
  if (segment === undefined) return { segment: '', sections: [], bias: undefined };
  const bias = start - offset + segment.offset - segment.address;
  const name = `LOAD ${loads.indexOf(segment)} ${flagsOf(segment.flags)}`;
  return { segment: name, bias, sections: sectionsIn(elf, bias, start, end) };
}

/** Sections that lie, whole or in part, between two addresses of the process. */
function sectionsIn(elf: ElfFile, bias: number, start: number, end: number): Part[] {
  const parts: Part[] = [];
  for (const { name, type, flags, address, size } of elf.sections) {
    // .tbss is room in each thread's own block, none here.
    if (type === SHT_NOBITS && (flags & SHF_TLS) !== 0) continue;
    const from = address + bias;
    if ((flags & SHF_ALLOC) === 0 || size === 0 || from >= end || from + size <= start) continue;
    parts.push({ name, start: Math.max(from, start), end: Math.min(from + size, end) });
  }
  return parts.sort((a, b) => a.start - b.start);
}

/** The range and the section that an address lies in. */
export function placeOf(
  ranges: readonly MappedRange[],
  address: number,
): { readonly range: MappedRange; readonly section: Part | undefined } | undefined {
  const range = ranges.find(({ start, end }) => start <= address && address < end);
  return range && { range, section: range.sections.find(({ start, end }) => start <= address && address < end) };
}
