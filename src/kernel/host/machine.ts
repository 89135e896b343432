/** Facts about the machine, each read at most once: CPUs, page size, kernel version. */
import { readFileSync } from 'node:fs';
import { arch, release } from 'node:os';
import { MachineError } from '../../base/errors.ts';
import { lazy } from '../../base/lazy.ts';

/** `0-3,8` → [0, 1, 2, 3, 8]. */
export function parseCpuList(text: string): number[] {
  const cpus: number[] = [];
  for (const part of text.trim().split(',')) {
    if (part === '') continue;
    const [first = '', last = first] = part.split('-');
    for (let cpu = Number(first); cpu <= Number(last); cpu++) cpus.push(cpu);
  }
  return cpus;
}

/** CPUs that can take events now. */
export const onlineCpus: () => readonly number[] = lazy(() =>
  parseCpuList(readFileSync('/sys/devices/system/cpu/online', 'latin1')),
);

/** Number of CPUs that can ever exist: how many values an element of a per-CPU map has. */
export const possibleCpus: () => number = lazy(
  () => parseCpuList(readFileSync('/sys/devices/system/cpu/possible', 'latin1')).length,
);

const AT_PAGESZ = 6n;

/** Bytes of a memory page, from the auxiliary vector (getauxval(3)). */
export const pageSize: () => number = lazy(() => {
  const bytes = readFileSync('/proc/self/auxv');
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    if (bytes.readBigUInt64LE(at) === AT_PAGESZ) return Number(bytes.readBigUInt64LE(at + 8));
  }
  return 4096;
});

export const machineArch: () => 'x86_64' | 'arm64' = () => (arch() === 'arm64' ? 'arm64' : 'x86_64');

export interface KernelVersion {
  readonly major: number;
  readonly minor: number;
  readonly release: string;
}

export const kernelVersion: () => KernelVersion = lazy(() => {
  const text = release();
  const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(text) ?? [];
  return { major: Number(major), minor: Number(minor), release: text };
});

export function kernelAtLeast(major: number, minor: number): boolean {
  const kernel = kernelVersion();
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor);
}

/** Throws when the kernel lacks what insitu stands on: links on perf events (5.15), ring buffer (5.8). */
export function requireKernel(): void {
  if (kernelAtLeast(5, 15)) return;
  throw new MachineError(`this kernel is ${kernelVersion().release}: insitu needs Linux 5.15 or newer`, {
    code: 'E_KERNEL_TOO_OLD',
    hints: ['links on perf events, which end a probe when insitu ends, came with Linux 5.15'],
  });
}
