/** strerror, signal_name, syscall_name: numbers that are shown by name. */
import type { NamedNumberType } from '../../types/model.ts';
import type { Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

const named = (name: NamedNumberType['kind'], about: string): BuiltinFunction => ({
  name,
  signature: `${name}(n)`,
  about,
  arity: [1, 1],
  type: (sema, call) => {
    sema.integerArgument(call, 0);
    return { kind: name };
  },
  scalar: (low, call) => low.scalar(call.args[0] as Expr),
});

export const nameFunctions: readonly BuiltinFunction[] = [
  named('strerror', 'text of an errno'),
  named('signal_name', 'name of a signal'),
  named('syscall_name', 'name of a system call'),
];
