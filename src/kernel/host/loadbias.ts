/** Where a process has mapped a file. */
import { statSync } from 'node:fs';
import { parseMaps } from '../../debuginfo/text/maps.ts';
import type { Binary } from '../../target/target.ts';
import { processMaps } from './processes.ts';

/** What to add to a virtual address of the file; undefined where the process has not mapped it. */
export function loadBias(binary: Binary, pid: number): bigint | undefined {
  const own = statSync(binary.path, { bigint: true, throwIfNoEntry: false });
  for (const mapping of parseMaps(processMaps(pid) ?? '')) {
    const same = mapping.path === binary.path || (own !== undefined && mapping.inode === String(own.ino));
    if (!same || !mapping.permissions.includes('x')) continue;
    const address = binary.addressAt(mapping.offset);
    if (address !== undefined) return BigInt(mapping.start - address);
  }
  return undefined;
}
