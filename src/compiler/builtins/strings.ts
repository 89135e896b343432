/** strncmp, strlen: questions about text. Strings are zero-padded in memory, so that bytes behind a NUL compare equal. */
import { describe } from '../../types/layout.ts';
import { type Type, uint64 } from '../../types/model.ts';
import { compareBytes, mostSteps } from '../lower/compare.ts';
import { isUnknown } from '../sema/scope.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

function textArgument(sema: Sema, call: Call, index: number): Type {
  const argument = call.args[index] as Expr;
  const type = sema.expr(argument);
  if (!isUnknown(type) && type.kind !== 'string') {
    sema.error(
      'argument-type',
      `${call.name}() takes strings (${describe(type)} provided)`,
      argument.span,
      'str(pointer) reads one',
    );
  }
  return type;
}

export const stringFunctions: readonly BuiltinFunction[] = [
  {
    name: 'strncmp',
    signature: 'strncmp(a, b, n)',
    about: '0 when the first n characters of two strings are equal, else 1',
    arity: [3, 3],
    type: (sema, call) => {
      textArgument(sema, call, 0);
      textArgument(sema, call, 1);
      sema.integerArgument(call, 2);
      const count = sema.constant(call.args[2]);
      if (count === undefined || count < 0n) {
        sema.error(
          'literal-expected',
          'strncmp() takes a number of characters known at compile time',
          (call.args[2] as Expr).span,
        );
      }
      if (count !== undefined && count > BigInt(mostSteps))
        sema.error('too-long', `strncmp() compares at most ${mostSteps} characters`, (call.args[2] as Expr).span);
      return uint64;
    },
    scalar: (low, call) => {
      const { b } = low;
      const [left, right] = call.args as [Expr, Expr];
      const types = [low.typeOf(left), low.typeOf(right)] as const;
      const type =
        types[0].kind === 'string' && types[1].kind === 'string' && types[0].size >= types[1].size
          ? types[0]
          : types[1];
      const size = type.kind === 'string' ? type.size : 0;
      const count = Math.min(Number(low.constantOf(call.args[2]) ?? 0n), size);
      return low.scoped(() => {
        const result = b.const(1);
        const differ = b.label();
        compareBytes(low, low.materialize(left, type), low.materialize(right, type), count, differ);
        b.push({ op: 'const', dst: result, value: 0n });
        b.place(differ);
        return result;
      });
    },
  },
];
