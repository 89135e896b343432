/** Where the kernel's trace events are described: tracefs (Documentation/trace/ftrace.rst). */
import { existsSync, mkdirSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import { errnoMessage } from '../sys/errno.ts';
import { tryMount } from '../sys/process.ts';

const places = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];
let found: string | undefined;

/**
 * Path of tracefs; mounts it at /sys/kernel/tracing when it is nowhere, as most
 * minimal systems and containers leave it. It stays mounted: other tracers use it too.
 * Throws when it cannot be had, with the command that would do it.
 */
export function tracefs(): string {
  if (found !== undefined) return found;
  found = places.find((place) => existsSync(`${place}/events`));
  if (found !== undefined) return found;
  const target = places[0] as string;
  let reason: string;
  try {
    if (!existsSync(target)) mkdirSync(target);
    const result = tryMount('tracefs', target);
    if (result === 0 && existsSync(`${target}/events`)) {
      found = target;
      return found;
    }
    reason = result < 0 ? errnoMessage(-result) : 'it has no events';
  } catch (error) {
    reason = (error as Error).message;
  }
  throw new MachineError(`tracefs is not mounted, and mounting it at ${target} failed: ${reason}`, {
    code: 'E_NO_TRACEFS',
    hints: [`as root on the host: mount -t tracefs none ${target}`],
  });
}
