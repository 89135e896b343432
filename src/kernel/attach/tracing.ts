/** fentry, fexit: programs that were loaded for one function; opening the link is all that is left. */
import { MachineError } from '../../base/errors.ts';
import { rawTracepointOpen } from '../sys/bpf.ts';
import { CallError } from '../sys/errno.ts';
import { type Attach, attachOne } from './bench.ts';

export const attachTracing: Attach = (probes, bench) => {
  for (const probe of probes) {
    const { spec, program } = probe;
    if (spec.kind !== 'fentry' && spec.kind !== 'fexit') continue;
    attachOne(probe, bench, () => {
      if (program.refusal) throw program.refusal;
      try {
        return rawTracepointOpen(program.fd, undefined);
      } catch (cause) {
        if (!(cause instanceof CallError)) throw cause;
        throw explained(spec.symbol, cause);
      }
    });
  }
};

function explained(symbol: string, cause: CallError): MachineError {
  switch (cause.code) {
    case 'EBUSY':
      return new MachineError(`${symbol} is traced or patched by somebody else`, { code: 'EBUSY', cause });
    case 'ENOTSUPP':
    case 'EOPNOTSUPP':
    case 'EINVAL':
      return new MachineError(
        `the kernel has no place for a probe in ${symbol} (it was built without ftrace, or marked notrace)`,
        {
          code: cause.code,
          cause,
        },
      );
    default:
      return cause;
  }
}
