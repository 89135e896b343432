/** Name indexes of debugging information, kept by build-id and content. */
import type { EntryFile } from '../../debuginfo/dwarf/entry.ts';
import { buildNameIndex, makeNameIndex, NameIndex } from '../../debuginfo/dwarf/nameindex.ts';
import { fingerprint } from '../../debuginfo/elf/fingerprint.ts';
import { Cache } from './cache.ts';

const cache = new Cache('types', 512 << 20);

/** The index of a file: the kept one, or one that is made now and kept. */
export function keptNameIndex(file: EntryFile): NameIndex {
  const key = fingerprint(file.sections.elf);
  const kept = cache.read(key);
  const index = kept === undefined ? undefined : NameIndex.read(kept);
  if (index !== undefined) return index;
  const bytes = buildNameIndex(file);
  cache.write(key, bytes);
  return NameIndex.read(bytes) ?? makeNameIndex(file);
}
