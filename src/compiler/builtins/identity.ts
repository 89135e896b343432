/** Who runs: pid, tid, uid, gid, comm, cpu, curtask, rand and the like. */
import { boolType, pointerTo, type Type, uint32, uint64, voidType } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import type { Lower } from '../lower/lower.ts';
import { unknownType } from '../sema/scope.ts';
import type { BuiltinFunction, BuiltinVariable } from './builtin.ts';
import { commFunction, commVariable } from './comm.ts';
import { half, pidFunctions, pidVariables } from './pids.ts';

const number = (name: string, about: string, type: Type, scalar: (low: Lower) => Reg): BuiltinVariable => ({
  name,
  about,
  type: () => type,
  scalar,
});

export const identityVariables: readonly BuiltinVariable[] = [
  ...pidVariables,
  number('uid', 'user id', uint64, (low) => half(low, bpfHelper.get_current_uid_gid, false)),
  number('gid', 'group id', uint64, (low) => half(low, bpfHelper.get_current_uid_gid, true)),
  number('cpu', 'number of the CPU', uint32, (low) => low.b.call(bpfHelper.get_smp_processor_id, [])),
  number('numaid', 'number of the NUMA node', uint32, (low) => low.b.call(bpfHelper.get_numa_node_id, [])),
  number('ncpus', 'number of CPUs', uint64, (low) => low.b.const(low.options.target.cpus)),
  number('rand', 'a random number of 32 bits', uint32, (low) => {
    const dst = low.b.reg();
    low.b.push({ op: 'extend', dst, src: low.b.call(bpfHelper.get_prandom_u32, []), bits: 32, signed: false });
    return dst;
  }),
  number('default_str_length', 'length of texts where none is given (config max_strlen)', uint64, (low) =>
    low.b.const(low.options.config.maxStrlen),
  ),
  number('cgroup', 'id of the cgroup', uint64, (low) => low.b.call(bpfHelper.get_current_cgroup_id, [])),
  number('jiffies', 'ticks of the kernel', uint64, (low) => low.b.call(bpfHelper.jiffies64, [])),
  {
    name: 'cpid',
    about: 'pid of the -c child',
    type: (sema, node) => {
      if (sema.options.childPid === undefined) sema.error('no-child', 'cpid is there only with -c', node.span);
      return uint32;
    },
    scalar: (low) => low.b.const(low.options.childPid ?? 0),
  },
  {
    name: 'has_cpid',
    about: 'whether there is a -c child',
    type: (sema, node) => {
      sema.facts.constants.set(node, sema.options.childPid === undefined ? 0n : 1n);
      return boolType;
    },
    scalar: (low) => low.b.const(low.options.childPid === undefined ? 0 : 1),
  },
  {
    name: 'curtask',
    about: 'the kernel’s struct task_struct of the thread',
    type: (sema) => pointerTo(() => sema.target.kernelTypes()?.find('struct', 'task_struct') ?? voidType, 'kernel'),
    scalar: (low) => low.b.call(bpfHelper.get_current_task, []),
  },
  commVariable,
  {
    name: 'username',
    about: 'name of the user',
    type: () => ({ kind: 'username' }),
    scalar: (low) => half(low, bpfHelper.get_current_uid_gid, false),
  },
  {
    name: 'args',
    about: 'the probe’s arguments by name: args.NAME',
    type: (sema, node) => {
      sema.error('args-alone', 'args is used with a field: args.NAME', node.span);
      return unknownType;
    },
  },
];

export const identityFunctions: readonly BuiltinFunction[] = [...pidFunctions, commFunction];
