/** mount(2), clock_gettime(2). */
import { addressOf, systemCall, trySystemCall } from './native.ts';

const cString = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);

/** Mounts a file system without a device; gives 0 or minus errno. */
export function tryMount(type: string, target: string): number {
  return trySystemCall('mount', addressOf(cString('none')), addressOf(cString(target)), addressOf(cString(type)), 0, 0);
}

export const Clock = { REALTIME: 0, MONOTONIC: 1, BOOTTIME: 7, TAI: 11 } as const;

/** clock_gettime(2) in nanoseconds. */
export function clockNanoseconds(clock: number): bigint {
  const time = new BigInt64Array(2);
  systemCall('clock_gettime', 'clock_gettime', clock, addressOf(time));
  return (time[0] as bigint) * 1_000_000_000n + (time[1] as bigint);
}

/** pidfd_open(2): a descriptor that has input once the process has ended. Throws ESRCH, or EINVAL for a thread's id. */
export function pidfdOpen(pid: number): number {
  return systemCall(`pidfd_open(${pid})`, 'pidfd_open', pid, 0);
}
