/**
 * /proc/PID/maps: what is mapped where in a process. Format: proc_pid_maps(5); in paths
 * the kernel writes a newline as `\012` (fs/proc/task_mmu.c, seq_path).
 */
import { type FileOffset, fileOffset, type ProcessAddress, processAddress } from '../../base/numbers.ts';

export interface Mapping {
  readonly start: ProcessAddress;
  /** One past the last byte. */
  readonly end: ProcessAddress;
  /** As in maps: `r-xp`. */
  readonly permissions: string;
  /** Where in the file the mapping starts, in bytes. */
  readonly offset: FileOffset;
  /** `major:minor` in hex, as in maps; `00:00` for memory without a file. */
  readonly device: string;
  /** Decimal; a string, since overlay file systems use all 64 bits. `0` for memory without a file. */
  readonly inode: string;
  /** '' for anonymous memory; names in brackets such as `[vdso]` are the kernel's. Without ` (deleted)`. */
  readonly path: string;
  /** True when the file has been removed or replaced since. */
  readonly deleted: boolean;
  /** Hex, where known (from a perf event); '' otherwise. */
  readonly buildId: string;
}

const line = /^([0-9a-f]+)-([0-9a-f]+) ([-r][-w][-x][ps]) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) ([0-9]+) *(.*)$/;

/** The mappings of a maps file, in its order (by address). Lines of another form are left out. */
export function parseMaps(text: string): Mapping[] {
  const mappings: Mapping[] = [];
  for (const row of text.split('\n')) {
    const match = line.exec(row);
    if (match === null) continue;
    const [, start = '', end = '', permissions = '', offset = '', device = '', inode = '', name = ''] = match;
    const deleted = inode !== '0' && name.endsWith(' (deleted)');
    mappings.push({
      start: processAddress(Number.parseInt(start, 16)),
      end: processAddress(Number.parseInt(end, 16)),
      permissions,
      offset: fileOffset(Number.parseInt(offset, 16)),
      device,
      inode,
      path: (deleted ? name.slice(0, -' (deleted)'.length) : name).replaceAll('\\012', '\n'),
      deleted,
      buildId: '',
    });
  }
  return mappings;
}

/** A device number as maps writes it. */
export function deviceText(major: number, minor: number): string {
  return `${major.toString(16).padStart(2, '0')}:${minor.toString(16).padStart(2, '0')}`;
}
