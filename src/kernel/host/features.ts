/** What this kernel can do beyond 5.15, found out by asking it, each at most once. */
import { existsSync } from 'node:fs';
import { lazy } from '../../base/lazy.ts';
import { bpf_pseudo } from '../../bpf/constants.ts';
import type { Features } from '../../target/target.ts';
import {
  AttachType,
  linkKprobeMulti,
  linkUprobeMulti,
  type ProgramAttributes,
  ProgramRefusal,
  progLoad,
} from '../sys/bpf.ts';
import { closeFd } from '../sys/bpfcall.ts';
import { CallError } from '../sys/errno.ts';
import { kernelFunctionId } from './kerneltypes.ts';
import { kernelVersion } from './machine.ts';

/** r0 = 0; exit */
const returnZero = Uint8Array.of(0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);

/** Loads a program for a look and closes it. */
function tryProgram(program: Omit<ProgramAttributes, 'license' | 'name'>): ProgramRefusal | undefined {
  try {
    closeFd(progLoad({ ...program, name: 'in_probe', license: 'GPL' }).fd);
    return undefined;
  } catch (error) {
    if (error instanceof ProgramRefusal) return error;
    throw error;
  }
}

/** Loads a program for a kind of link, tries to make one that cannot be, and gives the code of the refusal. */
function refusalOfLink(expectedAttachType: number, link: (programFd: number) => number): string | undefined {
  let fd: number;
  try {
    const base = { type: 'KPROBE', name: 'in_probe', code: returnZero, license: 'GPL' } as const;
    fd = progLoad({ ...base, expectedAttachType, log: { level: 0, size: 0 } }).fd;
  } catch (error) {
    if (error instanceof ProgramRefusal) return error.code;
    throw error;
  }
  try {
    closeFd(link(fd));
    return undefined;
  } catch (error) {
    if (error instanceof CallError) return error.code;
    throw error;
  } finally {
    closeFd(fd);
  }
}

/** BPF_TRACE_UPROBE_MULTI (Linux 6.6): the kernel looks at the path, a directory, and not at the attach type. */
export const hasUprobeMulti: () => boolean = lazy(() => {
  const refusal = refusalOfLink(AttachType.TRACE_UPROBE_MULTI, (fd) =>
    linkUprobeMulti(fd, { path: '/', offsets: [0], cookies: [0], atReturn: false }),
  );
  return refusal === undefined || refusal === 'EBADF';
});

/** A symbol that no kernel has: a kernel that knows the link looks it up (ESRCH), others know no such link. */
const noSymbol = { symbols: ['insitu_no_such_function'], cookies: [0], atReturn: false };

/** BPF_TRACE_KPROBE_MULTI (Linux 5.18, CONFIG_FPROBE). */
export const hasKprobeMulti: () => boolean = lazy(
  () => refusalOfLink(AttachType.TRACE_KPROBE_MULTI, (fd) => linkKprobeMulti(fd, noSymbol)) === 'ESRCH',
);

/** BPF_TRACE_KPROBE_SESSION (Linux 6.10): insitu tells of it and does not use it. */
export const hasKprobeSession: () => boolean = lazy(
  () =>
    refusalOfLink(AttachType.TRACE_KPROBE_SESSION, (fd) => linkKprobeMulti(fd, { ...noSymbol, session: true })) ===
    'ESRCH',
);

/** bpf_loop (Linux 5.17): a call with wrong arguments is refused for them, not for the helper's number. */
export const hasBpfLoop: () => boolean = lazy(() => {
  const code = Uint8Array.of(0x85, 0, 0, 0, 181, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);
  const refusal = tryProgram({ type: 'RAW_TRACEPOINT', code });
  return refusal !== undefined && !/(invalid|unknown) func/.test(refusal.log);
});

/** What the verifier says of a call that it would not take whatever the arguments are. */
const noSuchCall = /is not allowed|not supported|not found|unknown|cannot call|invalid (?:func|BPF_CALL)|reserved/i;
const kfuncs = new Map<string, boolean>();

/**
 * Whether programs of a type may call a kfunc (from Linux 5.18 by kind of program): one
 * that calls it without arguments is refused for these, or for the call.
 */
export function kfuncAllowed(name: string, type: ProgramAttributes['type']): boolean {
  const asked = `${type} ${name}`;
  const known = kfuncs.get(asked);
  if (known !== undefined) return known;
  const allowed = askKfunc(name, type);
  kfuncs.set(asked, allowed);
  return allowed;
}

function askKfunc(name: string, type: ProgramAttributes['type']): boolean {
  const id = kernelFunctionId(name, 'vmlinux')?.id;
  const iterator = type === 'TRACING' ? kernelFunctionId('bpf_iter_task')?.id : undefined;
  if (id === undefined || (type === 'TRACING' && iterator === undefined)) return false;
  const code = Uint8Array.of(0x85, bpf_pseudo.BPF_PSEUDO_KFUNC_CALL << 4, 0, 0, 0, 0, 0, 0, ...returnZero);
  new DataView(code.buffer).setInt32(4, id, true);
  const tracing = iterator === undefined ? {} : { expectedAttachType: AttachType.TRACE_ITER, attachBtfId: iterator };
  const refusal = tryProgram({ type, code, ...tracing });
  return refusal === undefined || (refusal.log !== '' && !noSuchCall.test(refusal.log));
}

/** fentry and fexit: a kernel that has no place for them, or forbids them, takes no such program. */
export const hasFentry: () => boolean = lazy(() => {
  const found = kernelFunctionId('vfs_read');
  if (found === undefined) return false;
  const tracing = { expectedAttachType: AttachType.TRACE_FENTRY, attachBtfId: found.id };
  return tryProgram({ type: 'TRACING', code: returnZero, ...tracing }) === undefined;
});

/** CONFIG_KPROBE_EVENTS: there is a perf event source for them. */
export const hasKprobes: () => boolean = lazy(() => existsSync('/sys/bus/event_source/devices/kprobe/type'));

/** CONFIG_UPROBE_EVENTS. */
export const hasUprobes: () => boolean = lazy(() => existsSync('/sys/bus/event_source/devices/uprobe/type'));

/** Programs that iterate over the kernel's objects (Linux 5.8). */
export const hasIterators: () => boolean = lazy(() => {
  const found = kernelFunctionId('bpf_iter_task');
  if (found === undefined) return false;
  const tracing = { expectedAttachType: AttachType.TRACE_ITER, attachBtfId: found.id };
  return tryProgram({ type: 'TRACING', code: returnZero, ...tracing }) === undefined;
});

/** Features that can be turned off, by the names that --no-feature takes. */
export const featureNames = ['uprobe_multi', 'kprobe_multi', 'kprobe_session'] as const;
export type FeatureName = (typeof featureNames)[number];

/** The same as Target.features, without those that are turned off; nothing is asked before a member is read. */
export const hostFeatures = (without: ReadonlySet<FeatureName> = new Set()): Features => ({
  get kernel() {
    return kernelVersion();
  },
  get uprobeMulti() {
    return !without.has('uprobe_multi') && hasUprobeMulti();
  },
  get kprobeMulti() {
    return !without.has('kprobe_multi') && hasKprobeMulti();
  },
  get bpfLoop() {
    return hasBpfLoop();
  },
  get kprobes() {
    return hasKprobes();
  },
});
