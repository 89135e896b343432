/**
 * pid and tid, as the tracer's pid namespace counts them or, when asked for, as the
 * machine's own. A task that is in another namespace than the tracer (in a container
 * inside of the tracer's) has the number 0 there: bpf_get_ns_current_pid_tgid knows none.
 */
import { uint32 } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import type { Lower } from '../lower/lower.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call } from '../syntax/ast.ts';
import type { BuiltinFunction, BuiltinVariable } from './builtin.ts';

type Which = 'pid' | 'tid';

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

function taskNumber(low: Lower, which: Which, space: 'own' | 'init'): Reg {
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

const words = ['curr_ns', 'init'] as const;

function checkNamespace(sema: Sema, call: Call): void {
  const [argument] = call.args;
  if (argument === undefined || (argument.node === 'identifier' && words.some((word) => word === argument.name)))
    return;
  sema.error(
    'bad-namespace',
    `Invalid PID namespace mode: ${call.name}() takes curr_ns or init`,
    argument.span,
    `${call.name}(curr_ns) counts as the tracer's own namespace does, ${call.name}(init) as the machine`,
  );
}

const about = { pid: 'process id (kernel: tgid)', tid: 'thread id (kernel: pid)' } as const;

export const pidVariables: readonly BuiltinVariable[] = (['pid', 'tid'] as const).map((name) => ({
  name,
  about: about[name],
  type: () => uint32,
  scalar: (low) => taskNumber(low, name, 'own'),
}));

export const pidFunctions: readonly BuiltinFunction[] = (['pid', 'tid'] as const).map((name) => ({
  name,
  signature: `${name}([curr_ns|init])`,
  about: about[name],
  arity: [0, 1],
  type: (sema, call) => {
    checkNamespace(sema, call);
    return uint32;
  },
  scalar: (low, call) => {
    const [argument] = call.args;
    return taskNumber(low, name, argument?.node === 'identifier' && argument.name === 'init' ? 'init' : 'own');
  },
}));
