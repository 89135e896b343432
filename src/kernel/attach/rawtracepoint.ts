/** rawtracepoint: BPF_RAW_TRACEPOINT_OPEN; a TRACING program (tp_btf) knows its tracepoint since it was loaded. */
import { MachineError } from '../../base/errors.ts';
import { rawTracepointOpen } from '../sys/bpf.ts';
import { CallError } from '../sys/errno.ts';
import { type Attach, attachOne } from './bench.ts';

export const attachRawTracepoints: Attach = (probes, bench) => {
  for (const probe of probes) {
    const { spec, program } = probe;
    if (spec.kind !== 'rawtracepoint') continue;
    attachOne(probe, bench, () => {
      if (program.refusal) throw program.refusal;
      try {
        return rawTracepointOpen(program.fd, program.spec.type === 'TRACING' ? undefined : spec.event);
      } catch (cause) {
        if (!(cause instanceof CallError) || cause.code !== 'ENOENT') throw cause;
        throw new MachineError(`this kernel has no raw tracepoint ${spec.event}`, { code: 'E_NO_TRACEPOINT', cause });
      }
    });
  }
};
