/** What this kernel can do beyond 5.15, found out by asking it, each at most once. */
import { existsSync } from 'node:fs';
import { lazy } from '../../base/lazy.ts';
import type { Features } from '../../target/target.ts';
import { AttachType, closeFd, linkUprobeMulti, type ProgramAttributes, ProgramRefusal, progLoad } from '../sys/bpf.ts';
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

/** BPF_TRACE_UPROBE_MULTI (Linux 6.6): the kernel looks at the path, a directory, and not at the attach type. */
export const hasUprobeMulti: () => boolean = lazy(() => {
  let fd: number;
  try {
    fd = progLoad({
      type: 'KPROBE',
      name: 'in_probe',
      code: returnZero,
      license: 'GPL',
      expectedAttachType: AttachType.TRACE_UPROBE_MULTI,
      log: { level: 0, size: 0 },
    }).fd;
  } catch (error) {
    if (error instanceof ProgramRefusal) return false;
    throw error;
  }
  try {
    closeFd(linkUprobeMulti(fd, { path: '/', offsets: [0], cookies: [0], atReturn: false }));
    return true;
  } catch (error) {
    return error instanceof CallError && error.code === 'EBADF';
  } finally {
    closeFd(fd);
  }
});

/** bpf_loop (Linux 5.17): a call with wrong arguments is refused for them, not for the helper's number. */
export const hasBpfLoop: () => boolean = lazy(() => {
  const code = Uint8Array.of(0x85, 0, 0, 0, 181, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);
  const refusal = tryProgram({ type: 'RAW_TRACEPOINT', code });
  return refusal !== undefined && !/(invalid|unknown) func/.test(refusal.log);
});

/** fentry and fexit: a kernel that has no place for them, or forbids them, takes no such program. */
export const hasFentry: () => boolean = lazy(() => {
  const found = kernelFunctionId('vfs_read');
  if (found === undefined) return false;
  const tracing = { expectedAttachType: AttachType.TRACE_FENTRY, attachBtfId: found.id };
  return tryProgram({ type: 'TRACING', code: returnZero, ...tracing }) === undefined;
});

/** CONFIG_KPROBE_EVENTS: there is a perf event source for them. */
export const hasKprobes: () => boolean = lazy(() => existsSync('/sys/bus/event_source/devices/kprobe/type'));

/** The same as Target.features; nothing is asked before a member is read. */
export const hostFeatures: Features = {
  get kernel() {
    return kernelVersion();
  },
  get uprobeMulti() {
    return hasUprobeMulti();
  },
  get bpfLoop() {
    return hasBpfLoop();
  },
  get kprobes() {
    return hasKprobes();
  },
};
