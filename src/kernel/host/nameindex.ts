/** Name indexes of debugging information, kept by build-id and content. */
import { buildNameIndex, makeNameIndex, NameIndex, type NameIndexes } from '../../debuginfo/dwarf/nameindex.ts';
import { fingerprint } from '../../debuginfo/elf/fingerprint.ts';
import { Cache } from './cache.ts';

const cache = new Cache('types', 512 << 20);

export const nameIndexes: NameIndexes = {
  kept(file) {
    const kept = cache.read(fingerprint(file.sections.elf));
    return kept === undefined ? undefined : NameIndex.read(kept);
  },
  /** Made and kept. */
  make(file) {
    const bytes = buildNameIndex(file);
    cache.write(fingerprint(file.sections.elf), bytes);
    return NameIndex.read(bytes) ?? makeNameIndex(file);
  },
};
