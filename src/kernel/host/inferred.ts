/**
 * Inferred names of the stripped programs of this machine, kept in the user's cache
 * folder by build-id, content, and what was learnt from other programs: a large program
 * is looked through once.
 */
import { setFlagsFromString } from 'node:v8';
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import { fingerprint } from '../../debuginfo/elf/fingerprint.ts';
import { nameFunctions } from '../../symbolize/evidence/index.ts';
import { encodeNames, StoredNames } from '../../symbolize/evidence/store.ts';
import { Cache } from './cache.ts';
import { openLearnt } from './learntnames.ts';

const cache = new Cache('names', 512 << 20);

export interface InferOptions {
  /** Files of names learnt from other programs (--names). */
  readonly names?: readonly string[] | undefined;
  /** Told before a program is looked through, which may take seconds. */
  readonly onSlow?: ((path: string) => void) | undefined;
}

/**
 * The inferred names of a program; undefined when there are none (not a kind of file
 * that names can be inferred in). Raises a MachineError for a file of names that is none.
 */
export function inferredNames(elf: ElfFile, options: InferOptions = {}): StoredNames | undefined {
  const learnt = openLearnt(options.names);
  const key = `${fingerprint(elf)}-${learnt.key}`;
  const kept = cache.read(key);
  const cached = kept === undefined ? undefined : StoredNames.read(kept);
  if (cached !== undefined) return cached;
  options.onSlow?.(elf.path);
  const bytes = withLittleInlining(() => {
    const names = nameFunctions(elf, { learnt: learnt.load() });
    return names.ok ? encodeNames(names.value.inParts()) : undefined;
  });
  if (bytes === undefined) return undefined;
  cache.write(key, bytes);
  return StoredNames.read(bytes);
}

/**
 * Each rule is one long loop that runs once: what V8 inlines into it, it compiles again and
 * again as the loop goes on. Without it (the smallest functions are inlined all the same) the
 * compiler's threads have half the work.
 */
function withLittleInlining<Value>(work: () => Value): Value {
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=0');
  try {
    return work();
  } finally {
    // V8's own default.
    setFlagsFromString('--max-inlined-bytecode-size-cumulative=920');
  }
}
