/**
 * Inferred names of the stripped programs of this machine, kept in the user's cache
 * folder by build-id and content: a large program is looked through once.
 */
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import { fingerprint } from '../../debuginfo/elf/fingerprint.ts';
import { nameFunctions } from '../../symbolize/evidence/index.ts';
import { encodeNames, StoredNames } from '../../symbolize/evidence/store.ts';
import { Cache } from './cache.ts';

const cache = new Cache('names', 512 << 20);

/**
 * The inferred names of a program; undefined when there are none (not a kind of file
 * that names can be inferred in). `onSlow` is told before a program is looked through.
 */
export function inferredNames(elf: ElfFile, onSlow?: (path: string) => void): StoredNames | undefined {
  const key = fingerprint(elf);
  const kept = cache.read(key);
  const cached = kept === undefined ? undefined : StoredNames.read(kept);
  if (cached !== undefined) return cached;
  onSlow?.(elf.path);
  const names = nameFunctions(elf);
  if (!names.ok) return undefined;
  const bytes = encodeNames(names.value);
  cache.write(key, bytes);
  return StoredNames.read(bytes);
}
