/**
 * kprobe, kretprobe: one kprobe_multi link for many functions (Linux 5.18 with FPROBE),
 * else a perf event of the kprobe source each.
 */
import { MachineError } from '../../base/errors.ts';
import type { ProbeSpec } from '../../program/program.ts';
import { onlineCpus } from '../host/machine.ts';
import { linkKprobeMulti } from '../sys/bpf.ts';
import { CallError } from '../sys/errno.ts';
import { type Attach, attachOne, type Placed, type Workbench } from './bench.ts';
import { linkEvent } from './event.ts';
import { eventSourceType, RETPROBE } from './source.ts';

type KprobeSpec = Extract<ProbeSpec, { kind: 'kprobe' | 'kretprobe' }>;
type Kprobe = Placed<KprobeSpec>;

const isKprobe = (probe: Placed): probe is Kprobe => probe.spec.kind === 'kprobe' || probe.spec.kind === 'kretprobe';

export const attachKprobes: Attach = (probes, bench) => {
  const groups = new Map<string, Kprobe[]>();
  const alone: Kprobe[] = [];
  for (const probe of probes) {
    if (!isKprobe(probe)) continue;
    if (probe.program.multi !== 'kprobe') {
      alone.push(probe);
      continue;
    }
    const key = `${probe.spec.kind} ${probe.spec.program}`;
    const group = groups.get(key);
    if (group) group.push(probe);
    else groups.set(key, [probe]);
  }
  for (const group of groups.values()) attachTogether(group, bench);
  attachEach(alone, bench);
};

/** One link for all; halving finds those that it cannot take. */
function attachTogether(group: readonly Kprobe[], bench: Workbench): void {
  const [first] = group;
  if (first === undefined) return;
  try {
    bench.keep(
      linkKprobeMulti(first.program.fd, {
        symbols: group.map(({ spec }) => spec.symbol),
        cookies: group.map(({ spec }) => spec.name),
        atReturn: first.spec.kind === 'kretprobe',
      }),
      group.length,
      first.spec,
    );
  } catch (error) {
    if (!(error instanceof CallError) || error.code === 'EPERM' || error.code === 'ENOMEM') throw error;
    if (group.length === 1) {
      bench.failed(first, explained(first.spec.symbol, error));
      return;
    }
    const middle = group.length >> 1;
    attachTogether(group.slice(0, middle), bench);
    attachTogether(group.slice(middle), bench);
  }
}

function attachEach(probes: readonly Kprobe[], bench: Workbench): void {
  if (probes.length === 0) return;
  const type = eventSourceType('kprobe');
  for (const probe of probes) {
    const { spec } = probe;
    attachOne(probe, bench, () => {
      if (type === undefined) {
        throw new MachineError('this kernel was built without kprobes (CONFIG_KPROBES, CONFIG_KPROBE_EVENTS)', {
          code: 'E_NO_KPROBES',
          hints: ['tracepoints and rawtracepoints work: insitu -l "tracepoint:*" lists them'],
        });
      }
      try {
        return linkEvent(probe, {
          type,
          config: spec.kind === 'kretprobe' ? RETPROBE : 0,
          text: spec.module === undefined || spec.module === 'vmlinux' ? spec.symbol : `${spec.module}:${spec.symbol}`,
          offset: spec.offset,
          cpu: onlineCpus()[0] ?? 0,
        });
      } catch (cause) {
        throw cause instanceof CallError ? explained(spec.symbol, cause) : cause;
      }
    });
  }
}

function explained(symbol: string, cause: CallError): MachineError {
  switch (cause.code) {
    case 'ENOENT':
    case 'ESRCH':
      return new MachineError(`the kernel has no function ${symbol}`, { code: 'E_NO_SYMBOL', cause });
    // arch_prepare_kprobe() (arch/x86/kernel/kprobes/core.c) says EILSEQ for the middle of an instruction.
    case 'EILSEQ':
      return new MachineError(`no instruction of ${symbol} starts at that offset`, { code: cause.code, cause });
    case 'EINVAL':
      return new MachineError(`the kernel lets nobody probe ${symbol}, or not at that offset`, {
        code: 'EINVAL',
        cause,
      });
    case 'EADDRNOTAVAIL':
      return new MachineError(`several functions are called ${symbol}`, { code: 'EADDRNOTAVAIL', cause });
    default:
      return cause;
  }
}
