/**
 * Going through the entries of a symbol table (.symtab, .dynsym) as they lie in the file.
 * gABI chapter 4, "Symbol Table": Elf64_Sym is 24 bytes, Elf32_Sym 16, with the same
 * fields in another order.
 */
import { SHN_UNDEF, STT_FUNC, STT_GNU_IFUNC, STT_OBJECT } from '../../debuginfo/elf/constants.ts';
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import type { Section } from '../../debuginfo/elf/header.ts';

export type SymbolKind = 'function' | 'object';

const chunkEntries = 16_384;
/** More than any real file has (Chromium with full symbols: 1.4 million). */
const mostEntries = 16_000_000;

/** How many entries a table has, of all kinds; no more than the file holds. */
export function entryCount(elf: ElfFile, section: Section): number {
  const there = Math.max(0, Math.min(section.size, elf.reader.size - section.offset));
  return Math.min(mostEntries, Math.floor(there / (elf.header.class === 64 ? 24 : 16)));
}

/**
 * Calls back with each symbol of a kind that is defined in the file, has a name (an
 * offset into the string table), and an address below 2^53.
 * A table that is cut off gives what is there.
 */
export function scanSymbols(
  elf: ElfFile,
  section: Section,
  kind: SymbolKind,
  visit: (name: number, address: number, size: number, binding: number) => void,
): void {
  const wide = elf.header.class === 64;
  const little = elf.header.littleEndian;
  const entrySize = wide ? 24 : 16;
  const [infoAt, indexAt, valueAt, sizeAt] = wide ? [4, 6, 8, 16] : [12, 14, 4, 8];
  const [type, otherType] = kind === 'function' ? [STT_FUNC, STT_GNU_IFUNC] : [STT_OBJECT, STT_OBJECT];
  // Where the halves of a 64-bit field lie.
  const [low, high] = little ? [0, 4] : [4, 0];

  const total = entryCount(elf, section);
  const buffer = new Uint8Array(Math.min(chunkEntries, total) * entrySize);
  const view = new DataView(buffer.buffer);
  for (let first = 0; first < total; first += chunkEntries) {
    const wanted = Math.min(chunkEntries, total - first) * entrySize;
    const length = elf.reader.readInto(buffer.subarray(0, wanted), section.offset + first * entrySize);
    for (let at = 0; at + entrySize <= length; at += entrySize) {
      const info = buffer[at + infoAt] as number;
      if ((info & 15) !== type && (info & 15) !== otherType) continue;
      const name = view.getUint32(at, little);
      if (name === 0 || view.getUint16(at + indexAt, little) === SHN_UNDEF) continue;
      let address: number;
      let size: number;
      if (wide) {
        const value = at + valueAt;
        address = view.getUint32(value + high, little) * 0x1_0000_0000 + view.getUint32(value + low, little);
        size = view.getUint32(at + sizeAt + low, little);
        if (view.getUint32(at + sizeAt + high, little) !== 0) size = 0xffffffff;
        if (address > Number.MAX_SAFE_INTEGER) continue;
      } else {
        address = view.getUint32(at + valueAt, little);
        size = view.getUint32(at + sizeAt, little);
      }
      visit(name, address, size, info >> 4);
    }
    if (length < wanted) return;
  }
}
