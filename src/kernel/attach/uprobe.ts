/**
 * uprobe, uretprobe, usdt: one uprobe_multi link for all places of a program in a file
 * (Linux 6.6), else a perf event each, many of them on threads. The cookie is the index of the probe's name.
 */
import { statSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import type { ProbeSpec } from '../../program/program.ts';
import { onlineCpus } from '../host/machine.ts';
import { linkUprobeMulti } from '../sys/bpf.ts';
import { CallError } from '../sys/errno.ts';
import type { PerfEvent } from '../sys/perf.ts';
import { type Attach, attachOne, attachOnThreads, manyAlone, type Placed, type Workbench } from './bench.ts';
import { linkEvent, linkEventOnThread } from './event.ts';
import { refusedPlaces } from './firstbytes.ts';
import { COUNTER, eventSourceType, RETPROBE } from './source.ts';

type UprobeSpec = Extract<ProbeSpec, { kind: 'uprobe' | 'uretprobe' | 'usdt' }>;
type Uprobe = Placed<UprobeSpec>;

const uprobeKinds = new Set<string>(['uprobe', 'uretprobe', 'usdt']);
const isUprobe = (probe: Placed): probe is Uprobe => uprobeKinds.has(probe.spec.kind);

export const attachUprobes: Attach = async (probes, bench) => {
  const groups = new Map<string, Uprobe[]>();
  let last: Uprobe[] = [];
  for (const probe of probes) {
    if (!isUprobe(probe)) continue;
    // Mostly it is the one before, and there may be tens of thousands.
    if (last[0] === undefined || !sameLink(last[0].spec, probe.spec)) {
      const { kind, program, path, pid } = probe.spec;
      const key = `${kind} ${program} ${pid ?? ''} ${path}`;
      last = groups.get(key) ?? [];
      groups.set(key, last);
    }
    last.push(probe);
  }
  for (const group of groups.values()) {
    const first = group[0] as Uprobe;
    const unusable = whyUnusable(first.spec.path, first.spec.pid);
    if (unusable) {
      for (const probe of group) bench.failed(probe, unusable);
    } else if (first.program.multi === 'uprobe') {
      attachTogether(withoutRefused(group, bench), bench);
    } else if (group.length < manyAlone || eventSourceType('uprobe') === undefined) {
      for (const probe of group) attachOne(probe, bench, () => attachAlone(probe));
    } else {
      await attachOnThreads(group, bench, attachAlone, (probe) => linkEventOnThread(probe, eventOf(probe.spec)));
    }
  }
};

const sameLink = (one: UprobeSpec, other: UprobeSpec): boolean =>
  one.kind === other.kind && one.program === other.program && one.pid === other.pid && one.path === other.path;

/** Leaves out, and tells, what the kernel is sure to refuse. */
function withoutRefused(group: readonly Uprobe[], bench: Workbench): readonly Uprobe[] {
  const { path } = (group[0] as Uprobe).spec;
  const refused = refusedPlaces(
    path,
    group.map(({ spec }) => spec.offset),
  );
  if (refused.size === 0) return group;
  return group.filter((probe) => {
    if (!refused.has(probe.spec.offset)) return true;
    const place = `file offset 0x${probe.spec.offset.toString(16)} of ${path}`;
    const message = `${place} cannot be probed: its first instruction has a prefix (lock, or a segment) that the kernel does not step over`;
    bench.failed(probe, new MachineError(message, { code: 'ENOTSUPP' }));
    return false;
  });
}

/** Why no place in a file can be probed, in words; the kernel answers EBADF, EINVAL, ESRCH for the whole link. */
function whyUnusable(path: string, pid: number | undefined): MachineError | undefined {
  try {
    if (!statSync(path).isFile()) return new MachineError(`${path} is not a file`, { code: 'E_NOT_A_FILE' });
  } catch (cause) {
    const { code = 'EIO' } = cause as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : (cause as Error).message;
    return new MachineError(`${path}: ${reason}`, { code, cause });
  }
  if (pid !== undefined && statSync(`/proc/${pid}`, { throwIfNoEntry: false }) === undefined) {
    return new MachineError(`there is no process ${pid}`, { code: 'ESRCH' });
  }
  return undefined;
}

/**
 * One link for all. The kernel refuses a link for one bad place in it without saying
 * which: halving finds it, and attaches the others in a few links.
 */
function attachTogether(group: readonly Uprobe[], bench: Workbench): void {
  const [first] = group;
  if (first === undefined) return;
  const { path, pid, kind } = first.spec;
  try {
    bench.keep(
      linkUprobeMulti(first.program.fd, {
        path,
        offsets: group.map((probe) => probe.spec.offset),
        cookies: group.map((probe) => probe.spec.name),
        ...(group.some(({ spec }) => spec.semaphore !== undefined)
          ? { counters: group.map(({ spec }) => spec.semaphore ?? 0) }
          : {}),
        atReturn: kind === 'uretprobe',
        ...(pid === undefined ? {} : { pid }),
      }),
      group.length,
    );
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    if (error.code === 'EPERM' || error.code === 'ENOMEM') throw error;
    if (group.length === 1) {
      bench.failed(first, explained(first.spec, error));
      return;
    }
    const middle = group.length >> 1;
    attachTogether(group.slice(0, middle), bench);
    attachTogether(group.slice(middle), bench);
  }
}

function attachAlone(probe: Uprobe): number {
  try {
    return linkEvent(probe, eventOf(probe.spec));
  } catch (error) {
    throw error instanceof CallError ? explained(probe.spec, error) : error;
  }
}

function eventOf(spec: UprobeSpec): PerfEvent {
  const type = eventSourceType('uprobe');
  if (type === undefined) {
    throw new MachineError('this kernel was built without uprobes (CONFIG_UPROBE_EVENTS)', { code: 'E_NO_UPROBES' });
  }
  return {
    type,
    config: (spec.kind === 'uretprobe' ? RETPROBE : 0) + (spec.semaphore ?? 0) * COUNTER,
    text: spec.path,
    offset: spec.offset,
    // A process's event needs no CPU, everybody's takes one and sees all.
    ...(spec.pid === undefined ? { cpu: onlineCpus()[0] ?? 0 } : { pid: spec.pid }),
  };
}

function explained(spec: UprobeSpec, cause: CallError): MachineError {
  const place = `file offset 0x${spec.offset.toString(16)} of ${spec.path}`;
  switch (cause.code) {
    case 'EINVAL':
      return new MachineError(
        `${place} cannot be probed: it is beyond the file's end, or no instruction starts there`,
        {
          code: 'EINVAL',
          cause,
        },
      );
    case 'ENOTSUPP':
    case 'EOPNOTSUPP':
      return new MachineError(`${place} cannot be probed: the kernel does not step over that instruction`, {
        code: cause.code,
        cause,
      });
    case 'EIO':
      return new MachineError(`${place} cannot be probed: the file cannot be mapped`, { code: 'EIO', cause });
    default:
      return cause;
  }
}
