/**
 * comm: the name of the running thread, or of any process by its number. The latter comes
 * from kernel functions for BPF programs (kernel/bpf/helpers.c: bpf_task_from_pid, Linux
 * 6.2), which the kernel offers by kind of program; numbers are those of its first pid
 * namespace.
 */
import { findField } from '../../types/layout.ts';
import { type CompositeType, int32, type Type } from '../../types/model.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { emitEvent, spanOf } from '../lower/events.ts';
import type { Lower } from '../lower/lower.ts';
import type { DirectPlace } from '../lower/place.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Expr } from '../syntax/ast.ts';
import type { BuiltinFunction, BuiltinVariable } from './builtin.ts';

/** TASK_COMM_LEN. */
const nameSize = 16;
/** Of a process's name: bpftrace leaves room for the longer names that kernel threads may have one day. */
const processNameSize = 64;

function ownName(low: Lower, to: DirectPlace): void {
  // Before Linux 6.6 the helper (strscpy) leaves what follows the NUL as it was.
  if (!to.raw) low.clear(to, nameSize);
  low.b.call(bpfHelper.get_current_comm, [low.addressOf(to), { imm: nameSize }]);
}

export const commVariable: BuiltinVariable = {
  name: 'comm',
  about: 'name of the thread (at most 15 characters)',
  type: () => ({ kind: 'string', size: nameSize }),
  into: (low, _node, to) => ownName(low, to),
};

const kfuncs = { find: 'bpf_task_from_pid', release: 'bpf_task_release' } as const;

function checkProcess(sema: Sema, call: Call): Type {
  sema.integerArgument(call, 0);
  const { programType, provider } = sema.probe;
  const lacking = Object.values(kfuncs).find((name) => !sema.target.kfuncAllowed(name, programType));
  if (lacking !== undefined) {
    const there = sema.target.kernelTypes()?.findFunction(lacking) !== undefined;
    const why = there
      ? `this kernel lets no ${programType} program call ${lacking}`
      : `this kernel has no ${lacking} (Linux 6.2, with BTF)`;
    sema.error(
      'not-supported',
      `comm(PID) can not be used with '${provider}' probes here: ${why}`,
      call.span,
      ...(there ? ['it works in iter, fentry and fexit, from Linux 6.12 in tracepoint, interval and profile'] : []),
      'comm without a number is the name of the thread that runs',
    );
  }
  return { kind: 'string', size: processNameSize };
}

function processName(low: Lower, call: Call, to: DirectPlace): void {
  const { b } = low;
  const task = low.options.target.kernelTypes()?.find('struct', 'task_struct') as CompositeType;
  const offset = findField(task, 'comm')?.offset ?? 0;
  const number = b.reg();
  b.push({ op: 'extend', dst: number, src: low.scalar(call.args[0] as Expr), bits: 32, signed: true });
  const missing = b.label();
  const done = b.label();
  if (!to.raw) low.clear(to, processNameSize);
  const found = b.callKernel(kfuncs.find, [number], 'pointer');
  b.branch('eq', found, { imm: 0 }, missing);
  b.call(bpfHelper.probe_read_kernel_str, [low.addressOf(to), { imm: nameSize }, b.alu('add', found, { imm: offset })]);
  b.callKernel(kfuncs.release, [found]);
  b.jump(done);
  b.place(missing);
  low.writeBytes(to, new TextEncoder().encode('N/A\0'), nameSize);
  emitEvent(low, [{ type: int32, scalar: () => number }], (args, size) => ({
    kind: 'warnf',
    format: [
      { text: 'No such process (pid=' },
      { conversion: 'd', flags: '', width: undefined, precision: undefined, length: '', argument: 0 },
      { text: ')' },
    ],
    args,
    size,
    span: spanOf(call),
  }));
  b.place(done);
}

export const commFunction: BuiltinFunction = {
  name: 'comm',
  signature: 'comm([pid])',
  about: 'name of the thread, or of a process by its number (of the first pid namespace)',
  arity: [0, 1],
  type: (sema, call) => (call.args.length > 0 ? checkProcess(sema, call) : { kind: 'string', size: nameSize }),
  into: (low, call, to) => (call.args.length > 0 ? processName(low, call, to) : ownName(low, to)),
};
