/**
 * Numbers of the task that runs, as the tracer's pid namespace counts them or as the
 * machine's own. A task that is in another namespace than the tracer (in a container
 * inside of the tracer's) has the number 0 there: bpf_get_ns_current_pid_tgid knows none.
 */
import type { Reg } from '../ir/ir.ts';
import { bpfHelper } from './bpfhelper.ts';
import type { Lower } from './lower.ts';

/** Low or high half of a helper's 64-bit pair. */
export function half(low: Lower, helper: number, upper: boolean): Reg {
  const { b } = low;
  const pair = b.call(helper, []);
  if (upper) return b.alu('lshr', pair, { imm: 32 });
  const dst = b.reg();
  b.push({ op: 'extend', dst, src: pair, bits: 32, signed: false });
  return dst;
}

/** Offsets in struct bpf_pidns_info: the kernel's pid is a thread, its tgid a process. */
const members = { tid: 0, pid: 4 } as const;

export function taskNumber(low: Lower, which: 'pid' | 'tid', space: 'own' | 'init'): Reg {
  const namespace = low.options.target.pidNamespace();
  if (space === 'init' || namespace === undefined) return half(low, bpfHelper.get_current_pid_tgid, which === 'pid');
  const { b } = low;
  const place = low.temporary(8);
  b.store(place.base, place.offset, 8, { imm: 0 });
  b.call(bpfHelper.get_ns_current_pid_tgid, [
    b.const(namespace.device),
    b.const(namespace.inode),
    low.addressOf(place),
    { imm: 8 },
  ]);
  return b.load(place.base, place.offset + members[which], 4);
}

/** Number of the process that runs, as stacks and symbols need it: the tracer's own count. */
export const currentPid = (low: Lower): Reg => taskNumber(low, 'pid', 'own');
