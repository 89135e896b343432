/** The pid namespace that this process is in (pid_namespaces(7)). */
import { statSync } from 'node:fs';
import { lazy } from '../../base/lazy.ts';
import type { PidNamespace } from '../../target/target.ts';

/** PROC_PID_INIT_INO: the machine's first namespace has this inode on every machine. */
const firstInode = 0xeffffffc;

/** undefined in the machine's first namespace, where the kernel's numbers are everybody's. */
export const pidNamespace: () => PidNamespace | undefined = lazy(() => {
  try {
    const { dev, ino } = statSync('/proc/self/ns/pid');
    return ino === firstInode ? undefined : { device: dev, inode: ino };
  } catch {
    return undefined;
  }
});
