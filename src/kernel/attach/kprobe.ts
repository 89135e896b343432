/** kprobe, kretprobe: a perf event of the kprobe source, one each. */
import { MachineError } from '../../base/errors.ts';
import { onlineCpus } from '../host/machine.ts';
import { CallError } from '../sys/errno.ts';
import { type Attach, attachOne } from './bench.ts';
import { linkEvent } from './event.ts';
import { eventSourceType, RETPROBE } from './source.ts';

export const attachKprobes: Attach = (probes, bench) => {
  const type = eventSourceType('kprobe');
  for (const probe of probes) {
    const { spec } = probe;
    if (spec.kind !== 'kprobe' && spec.kind !== 'kretprobe') continue;
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
};

function explained(symbol: string, cause: CallError): MachineError {
  switch (cause.code) {
    case 'ENOENT':
      return new MachineError(`the kernel has no function ${symbol}`, { code: 'E_NO_SYMBOL', cause });
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
