/** pid and tid, as the tracer's pid namespace counts them or, when asked for, as the machine's own. */
import { uint32 } from '../../types/model.ts';
import { taskNumber } from '../lower/task.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call } from '../syntax/ast.ts';
import type { BuiltinFunction, BuiltinVariable } from './builtin.ts';

export { currentPid, half } from '../lower/task.ts';

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
