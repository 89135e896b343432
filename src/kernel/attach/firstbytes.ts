/**
 * Places in x86-64 code that a uprobe cannot stand at, told by their first bytes as the
 * kernel does (arch/x86/kernel/uprobes.c, is_prefix_bad): instructions with a lock or an
 * old segment prefix are not stepped over. One of them in a link of thousands fails the
 * whole link, and finding it by trying takes the kernel minutes.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { arch } from 'node:os';

/** es, cs, ss, ds, lock. */
const refusedPrefixes = new Set([0x26, 0x2e, 0x36, 0x3e, 0xf0]);
/** Prefixes that may come before others: operand and address size, fs, gs, repeat. */
const otherPrefixes = new Set([0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3]);
/** Bytes that prefixes take at most. */
const prefixBytes = 14;
/** Read at a time: functions lie close together. */
const windowBytes = 1 << 18;

/** Those of the file offsets that the kernel is sure to refuse; none when the file cannot be read. */
export function refusedPlaces(path: string, offsets: readonly number[]): ReadonlySet<number> {
  const refused = new Set<number>();
  if (arch() !== 'x64') return refused;
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return refused;
  }
  try {
    const bytes = new Uint8Array(windowBytes);
    let start = 0;
    let end = 0;
    for (const offset of [...offsets].sort((a, b) => a - b)) {
      if (offset + prefixBytes > end) {
        // A few places alone do not pay for a whole window.
        const wanted = offsets.length < 16 ? prefixBytes : windowBytes;
        start = offset;
        end = offset + readSync(fd, bytes, 0, wanted, offset);
      }
      for (let at = offset - start; at < Math.min(end - start, offset - start + prefixBytes); at++) {
        const byte = bytes[at] as number;
        if (refusedPrefixes.has(byte)) refused.add(offset);
        if (!otherPrefixes.has(byte)) break;
      }
    }
  } catch {
    // The kernel will say what is wrong with the file.
  } finally {
    closeSync(fd);
  }
  return refused;
}
