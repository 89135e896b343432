/**
 * The table of one file: rows in the form of program/unwind.ts, made from .eh_frame and
 * .debug_frame, and the rules that they number. It is the same for every process and run;
 * the rules get the numbers of a run when it is put into use (`renumbered`).
 */
import type { MachineError } from '../../base/errors.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import { crc32 } from '../../bytes/crc32.ts';
import { EM_X86_64, PF_X, PT_GNU_EH_FRAME, PT_LOAD } from '../../debuginfo/elf/constants.ts';
import type { ElfFile, Inflate } from '../../debuginfo/elf/elf.ts';
import { unsupportedElf } from '../../debuginfo/elf/errors.ts';
import type { Segment } from '../../debuginfo/elf/header.ts';
import { directoryBytes, entriesPerBlock, mostRules, pageBits, rowsPerBlock } from '../../program/unwind.ts';
import { type FrameCounts, FrameReader, type FrameSection } from './cfi.ts';
import { readGoRows } from './go.ts';
import { linkedRule, packRule, RuleSet } from './rules.ts';

/** Words of a block. */
const blockWords = rowsPerBlock;
const pageMask = 2 ** pageBits - 1;
const lowMask = 0xffff;
/** Up to so many bytes between two functions are padding, where nothing runs. */
const mostPadding = 15;
/** So much code without call frame information is V8's builtins. */
const builtinBytes = 1 << 20;
/** Sections larger than this are not believed. */
const mostSectionBytes = 1 << 30;
/** Entries that are read in one go. */
const batch = 4096;

export type RuleWords = readonly [a: number, b: number, c: number, d: number];

export interface UnwindTable {
  /** Four words a rule, by the file's own numbers. */
  readonly rules: Int32Array;
  /** Blocks of 4096 words, the directory first. */
  readonly blocks: Uint32Array;
  readonly counts: FrameCounts & { readonly rows: number; readonly cutRows: number };
}

/** Makes the table of a file. Fails with E_UNSUPPORTED_ELF for another machine's file. */
export function buildTable(elf: ElfFile, inflate?: Inflate): Result<UnwindTable, MachineError> {
  const steps = buildTableInSteps(elf, inflate);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** The same, in steps of some milliseconds, so that somebody else can have a turn. */
export function* buildTableInSteps(
  elf: ElfFile,
  inflate?: Inflate,
): Generator<undefined, Result<UnwindTable, MachineError>, void> {
  const { header } = elf;
  if (header.class !== 64 || !header.littleEndian || header.machine !== EM_X86_64) {
    return fail(unsupportedElf(elf.path, 'it is not an x86-64 file'));
  }
  const rules = new RuleSet(mostRules);
  const rows = new Rows(elf.segments, elf.reader.size);
  const counts: FrameCounts = { functions: 0, damaged: 0, unsupported: 0 };
  // Go's own table counts most, then .eh_frame; .debug_frame tells of the others (hand-written code).
  let known = readGoRows(elf, rules, rows.sink);
  counts.functions += known.size;
  const sections = frameSections(elf, inflate);
  for (const [index, section] of sections.entries()) {
    const reader = new FrameReader(section, rules);
    reader.known = known;
    if (index + 1 < sections.length) known = reader.starts = new Set(known);
    while (reader.read(rows.sink, batch)) yield;
    counts.functions += reader.counts.functions;
    counts.damaged += reader.counts.damaged;
    counts.unsupported += reader.counts.unsupported;
  }
  yield;
  const sorted = rows.sorted();
  linkGaps(sorted, rules.add(...packRule(linkedRule)));
  const packed = packRows(sorted);
  return ok({
    rules: rules.words.slice(),
    blocks: packed.blocks,
    counts: { ...counts, rows: packed.rows, cutRows: packed.cut },
  });
}

/**
 * Functions compiled by a C compiler never lack their information for a mebibyte on end:
 * such a stretch is V8's builtins (in node, workerd and Envoy 1.6 to 2.2 MB), made as its
 * compiler makes code at run time, with frames that are linked by rbp.
 */
function linkGaps(sorted: Float64Array, linked: number): void {
  if (linked < 0) return;
  for (let i = 0; i + 1 < sorted.length; i++) {
    const value = sorted[i] as number;
    if (value % ruleScale !== 0) continue;
    const offset = Math.floor(value / ruleScale);
    if (Math.floor((sorted[i + 1] as number) / ruleScale) - offset >= builtinBytes) sorted[i] = value + linked;
  }
}

function frameSections(elf: ElfFile, inflate: Inflate | undefined): FrameSection[] {
  const sections: FrameSection[] = [];
  const eh = findEhFrame(elf);
  if (eh !== undefined && eh.size <= mostSectionBytes) {
    const place = elf.toFileOffset(eh.address as never, 'any');
    if (place.ok) {
      sections.push({ kind: 'eh_frame', bytes: elf.reader.read(place.value, eh.size), address: eh.address });
    }
  }
  const debug = elf.section('.debug_frame') ?? elf.section('.zdebug_frame');
  if (debug !== undefined) {
    const bytes = elf.contents(debug, inflate);
    if (bytes.ok) sections.push({ kind: 'debug_frame', bytes: bytes.value, address: 0 });
  }
  return sections;
}

/** By its section, else by the pointer in .eh_frame_hdr, which is pcrel|sdata4 in every linker's output. */
function findEhFrame(elf: ElfFile): { readonly address: number; readonly size: number } | undefined {
  const section = elf.section('.eh_frame');
  if (section !== undefined && section.address !== 0) return { address: section.address, size: section.size };
  const header = elf.segments.find((segment) => segment.type === PT_GNU_EH_FRAME);
  if (header === undefined) return undefined;
  const bytes = elf.reader.read(header.offset, 8);
  if (bytes.length < 8 || bytes[0] !== 1 || bytes[1] !== 0x1b) return undefined;
  const address = header.address + 4 + new DataView(bytes.buffer, bytes.byteOffset, 8).getInt32(4, true);
  const holder = elf.segments.find(
    (one) => one.type === PT_LOAD && address >= one.address && address < one.address + one.fileSize,
  );
  return holder === undefined ? undefined : { address, size: holder.address + holder.fileSize - address };
}

/** A row in one number, so that sorting needs no comparison function: offset, rule. */
const ruleScale = 2 ** 14;

/** Rows as they come, by offset in the file. */
class Rows {
  #packed: Float64Array = new Float64Array(1 << 14);
  #count = 0;
  #segment: Segment | undefined;
  readonly #segments: readonly Segment[];
  #last = -1;

  /** Rows for code that a file of this size holds; a damaged header may promise gigabytes. */
  constructor(segments: readonly Segment[], fileBytes: number) {
    this.#segments = segments
      .filter((one) => one.type === PT_LOAD && (one.flags & PF_X) !== 0 && one.offset < fileBytes)
      .map((one) => ({ ...one, fileSize: Math.min(one.fileSize, fileBytes - one.offset) }));
  }

  readonly sink = (address: number, rule: number): void => {
    let segment = this.#segment;
    if (segment === undefined || address < segment.address || address > segment.address + segment.fileSize) {
      segment = this.#segments.find((one) => address >= one.address && address <= one.address + one.fileSize);
      if (segment === undefined) return;
      this.#segment = segment;
    }
    const offset = address - segment.address + segment.offset;
    if (offset >= 2 ** 32) return;
    // Of two rows at one place within a function the later one holds.
    if (offset === this.#last && rule !== 0) this.#count--;
    if (this.#count === this.#packed.length) {
      const larger = new Float64Array(2 * this.#count);
      larger.set(this.#packed);
      this.#packed = larger;
    }
    this.#packed[this.#count++] = offset * ruleScale + rule;
    this.#last = rule === 0 ? -1 : offset;
  };

  /** Ascending, one a place. */
  sorted(): Float64Array {
    return this.#packed.subarray(0, this.#count).sort();
  }
}

interface Packed {
  readonly blocks: Uint32Array;
  readonly rows: number;
  /** Rows that found no room: a page holds no more than a block. */
  readonly cut: number;
}

/** Sorted rows as blocks, equal neighbours as one. */
function packRows(sorted: Float64Array): Packed {
  const offsets = new Float64Array(sorted.length + 1);
  const rules = new Uint16Array(sorted.length + 1);
  let count = 0;
  for (let i = 0; i < sorted.length; i++) {
    const value = sorted[i] as number;
    const offset = Math.floor(value / ruleScale);
    const rule = value % ruleScale;
    if (rule === 0) {
      const next = i + 1 < sorted.length ? Math.floor((sorted[i + 1] as number) / ruleScale) : Number.POSITIVE_INFINITY;
      if (next - offset <= mostPadding) continue;
    }
    if (count > 0 && offsets[count - 1] === offset) count--;
    if (count > 0 && rules[count - 1] === rule) continue;
    offsets[count] = offset;
    rules[count++] = rule;
  }
  const pages = count === 0 ? 0 : Math.floor((offsets[count - 1] as number) / 2 ** pageBits) + 1;
  const directoryBlocks = Math.max(1, Math.ceil(pages / entriesPerBlock));
  // Room for a row at the start of each page, and for what is left over at the ends of blocks.
  const worst = directoryBlocks + pages + Math.ceil((2 * (count + pages)) / rowsPerBlock) + 1;
  const blocks = new Uint32Array(worst * blockWords);
  let block = directoryBlocks;
  let used = 0;
  let row = 0;
  let holds = 0;
  let cut = 0;
  let total = 0;
  for (let page = 0; page < pages; page++) {
    const pageEnd = (page + 1) * 2 ** pageBits;
    let last = row;
    while (last < count && (offsets[last] as number) < pageEnd) last++;
    const lead = row < last && offsets[row] === page * 2 ** pageBits ? 0 : 1;
    let rows = last - row + lead;
    if (rows > rowsPerBlock) {
      cut += rows - rowsPerBlock;
      rows = rowsPerBlock;
    }
    if (lead === 1 && last === row && holds === 0) rows = 0;
    if (used + rows > rowsPerBlock) {
      block++;
      used = 0;
    }
    const entry = page * (directoryBytes / 4);
    blocks[entry] = block;
    blocks[entry + 1] = used | (rows << 16);
    let at = block * blockWords + used;
    if (rows > 0 && lead === 1) blocks[at++] = holds << 16;
    for (let i = row; i < row + rows - lead; i++) {
      blocks[at++] = ((offsets[i] as number) & pageMask) | ((rules[i] as number) << 16);
    }
    // Behind rows that found no room nothing is known.
    if (last - row + lead > rows && rows > 0) blocks[at - 1] = (blocks[at - 1] as number) & lowMask;
    used += rows;
    total += rows;
    if (last > row) holds = rules[last - 1] as number;
    row = last;
  }
  return { blocks: blocks.slice(0, (block + 1) * blockWords), rows: total, cut };
}

/** A table of given rows: from an offset in the file on the rule of four words holds; ascending. */
export function tableOfRows(rows: readonly (readonly [offset: number, ...words: RuleWords])[]): UnwindTable {
  const rules = new RuleSet(mostRules);
  const packed = Float64Array.from(rows, ([offset, ...words]) => {
    const rule = rules.add(...words);
    return offset * ruleScale + rule;
  });
  const { blocks, rows: count, cut } = packRows(packed.sort());
  const counts = { functions: 0, damaged: 0, unsupported: 0, rows: count, cutRows: cut };
  return { rules: rules.words.slice(), blocks, counts };
}

/** The rows of a table from one offset to before another, with the one that holds at the start. */
export function rowsBetween(table: UnwindTable, from: number, to: number): [offset: number, ...words: RuleWords][] {
  const rows: [number, ...RuleWords][] = [];
  let last = -1;
  for (let offset = from; offset < to; offset++) {
    const rule = ruleAt(table.blocks, offset);
    if (rule === last) continue;
    last = rule;
    const [a = 0, b = 0, c = 0, d = 0] = table.rules.subarray(4 * rule, 4 * rule + 4);
    rows.push([offset, a, b, c, d]);
  }
  return rows;
}

/** The number of the rule that holds at an offset in the file; 0 when there is none. */
export function ruleAt(blocks: Uint32Array, offset: number): number {
  const page = Math.floor(offset / 2 ** pageBits);
  const directoryEnd = (blocks[0] ?? 0) * blockWords;
  const entry = page * (directoryBytes / 4);
  if (entry + 1 >= directoryEnd) return 0;
  const place = blocks[entry + 1] as number;
  const low = offset & pageMask;
  let base = (blocks[entry] as number) * blockWords + (place & 0xffff);
  let length = place >>> 16;
  if (length === 0) return 0;
  while (length > 1) {
    const half = length >>> 1;
    if (((blocks[base + half] as number) & lowMask) <= low) base += half;
    length -= half;
  }
  return (blocks[base] as number) >>> 16;
}

/** The blocks with other rule numbers: `numbers[own number]`. */
export function renumbered(blocks: Uint32Array, numbers: Uint16Array): Uint32Array {
  const copy = blocks.slice();
  const first = (blocks[0] ?? 0) * blockWords;
  for (let i = first; i < copy.length; i++) {
    const row = copy[i] as number;
    copy[i] = (row & lowMask) | ((numbers[row >>> 16] ?? 0) << 16);
  }
  return copy;
}

const MAGIC = 0x54575549; // IUWT
/** Grows with every change of the rules or of this layout. */
const FORMAT = 4;
const headWords = 10;

/** A table as bytes, for a file: ten words of head (magic, format, rules, words of blocks, crc32, counts), rules, blocks. */
export function encodeTable({ rules, blocks, counts }: UnwindTable): Uint8Array {
  const words = new Uint32Array(headWords + rules.length + blocks.length);
  words.set(rules, headWords);
  words.set(blocks, headWords + rules.length);
  const bytes = new Uint8Array(words.buffer);
  const sum = crc32(bytes.subarray(4 * headWords));
  const { functions, damaged, unsupported, rows, cutRows } = counts;
  words.set([MAGIC, FORMAT, rules.length, blocks.length, sum, functions, damaged, unsupported, rows, cutRows]);
  return bytes;
}

/** A table back from bytes; undefined for bytes that are damaged, cut, or of another format. */
export function decodeTable(bytes: Uint8Array): UnwindTable | undefined {
  if (bytes.length < 4 * headWords || bytes.length % 4 !== 0) return undefined;
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
  const [
    magic,
    format,
    rules = 0,
    blocks = 0,
    sum,
    functions = 0,
    damaged = 0,
    unsupported = 0,
    rows = 0,
    cutRows = 0,
  ] = words;
  if (magic !== MAGIC || format !== FORMAT || words.length !== headWords + rules + blocks) return undefined;
  if (crc32(aligned.subarray(4 * headWords)) !== sum) return undefined;
  const rest = words.subarray(headWords);
  return {
    rules: new Int32Array(rest.buffer, rest.byteOffset, rules),
    blocks: rest.subarray(rules),
    counts: { functions, damaged, unsupported, rows, cutRows },
  };
}
