/** is_str, is_ptr and the like: questions about types, answered when the script is compiled. */
import { boolType, type Type } from '../../types/model.ts';
import type { Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

const question = (name: string, about: string, holds: (type: Type, argument: Expr) => boolean): BuiltinFunction => ({
  name,
  signature: `${name}(expression)`,
  about,
  arity: [1, 1],
  type: (sema, call) => {
    const argument = call.args[0] as Expr;
    sema.facts.constants.set(call, holds(sema.expr(argument), argument) ? 1n : 0n);
    return boolType;
  },
  scalar: (low, call) => low.b.const(low.constantOf(call) ?? 0n),
});

export const typeFunctions: readonly BuiltinFunction[] = [
  question('is_array', 'whether it is an array', (type) => type.kind === 'array'),
  question('is_integer', 'whether it is an integer', (type) => type.kind === 'int'),
  question('is_unsigned_integer', 'whether it is an unsigned integer', (type) => type.kind === 'int' && !type.signed),
  question('is_ptr', 'whether it is a pointer', (type) => type.kind === 'pointer'),
  question('is_str', 'whether it is a string', (type) => type.kind === 'string'),
  question(
    'is_literal',
    'whether it is written as a literal',
    (_type, { node }) => node === 'integer' || node === 'string' || node === 'bool',
  ),
];
