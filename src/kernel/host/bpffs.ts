/** Where objects of the kernel get names: bpffs (bpf(2), BPF_OBJ_PIN). */
import { mkdirSync, statfsSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import { errnoMessage } from '../sys/errno.ts';
import { tryMount } from '../sys/process.ts';

const place = '/sys/fs/bpf';
/** BPF_FS_MAGIC of linux/magic.h. */
const magic = 0xcafe4a11;

/**
 * Path of bpffs; mounts it where it is not, as most systems do at boot. Throws when it
 * cannot be had, with the command that would do it.
 */
export function bpffs(): string {
  if (isBpffs()) return place;
  let reason: string;
  try {
    mkdirSync(place, { recursive: true });
    const result = tryMount('bpf', place);
    if (result === 0 && isBpffs()) return place;
    reason = result < 0 ? errnoMessage(-result) : 'it is still no BPF file system';
  } catch (error) {
    reason = (error as Error).message;
  }
  throw new MachineError(`no BPF file system is mounted at ${place}, and mounting it failed: ${reason}`, {
    code: 'E_NO_BPFFS',
    hints: [`as root on the host: mount -t bpf none ${place}`],
  });
}

function isBpffs(): boolean {
  try {
    return statfsSync(place).type === magic;
  } catch {
    return false;
  }
}
