/** errno as names, sentences and typed errors (asm-generic/errno-base.h, errno.h, linux/errno.h). */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { MachineError } from '../../base/errors.ts';
import { lazy } from '../../base/lazy.ts';

const names = lazy(() => {
  const map = new Map<number, string>([
    // Not in the C library: kernel-internal numbers that bpf(2) lets through.
    [512, 'ERESTARTSYS'],
    [524, 'ENOTSUPP'],
  ]);
  for (const [name, number] of Object.entries(constants.errno)) if (!map.has(number)) map.set(number, name);
  return map;
});

/** `ENOENT` for 2. */
export function errnoName(errno: number): string {
  return names().get(errno) ?? `E${errno}`;
}

/** `no such file or directory` for 2; the name where there is no sentence. */
export function errnoMessage(errno: number): string {
  if (errno === 524) return 'operation not supported by this kernel';
  return getSystemErrorMap().get(-errno)?.[1] ?? errnoName(errno);
}

/** A system call that failed. `code` is the errno's name. */
export class CallError extends MachineError {
  readonly call: string;
  readonly errno: number;
  constructor(call: string, errno: number, hints: readonly string[] = permissionHints(errno)) {
    super(`${call}: ${errnoMessage(errno)} (${errnoName(errno)})`, { code: errnoName(errno), hints });
    this.name = 'CallError';
    this.call = call;
    this.errno = errno;
  }
}

/** Bits of CapEff that tracing needs (linux/capability.h). */
const capabilityBits = {
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_RESOURCE: 24,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;
export type Capability = keyof typeof capabilityBits;

/** Whether the process has a capability in its effective set (/proc/self/status, CapEff). */
export function hasCapability(capability: Capability): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0';
  return ((BigInt(`0x${mask}`) >> BigInt(capabilityBits[capability])) & 1n) === 1n;
}

/** Capabilities that are missing for tracing; CAP_SYS_ADMIN stands for all of them. */
export function missingCapabilities(): readonly Capability[] {
  if (hasCapability('CAP_SYS_ADMIN')) return [];
  return (['CAP_BPF', 'CAP_PERFMON'] as const).filter((capability) => !hasCapability(capability));
}

function permissionHints(errno: number): readonly string[] {
  if (errno !== constants.errno.EPERM && errno !== constants.errno.EACCES) return [];
  const missing = missingCapabilities();
  if (missing.length === 0) return [];
  return [`${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} missing: run insitu as root`];
}
