/** bswap(): byte order. */
import { describe } from '../../types/layout.ts';
import { intType, uint64 } from '../../types/model.ts';
import { isUnknown } from '../sema/scope.ts';
import type { Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

export const bswapFunction: BuiltinFunction = {
  name: 'bswap',
  signature: 'bswap(n)',
  about: 'reverses the bytes of an integer, as wide as its type',
  arity: [1, 1],
  type: (sema, call) => {
    const argument = call.args[0] as Expr;
    const type = sema.expr(argument);
    if (isUnknown(type)) return uint64;
    if (type.kind !== 'int') {
      sema.error('argument-type', `bswap() only supports integers (${describe(type)} provided)`, argument.span);
      return uint64;
    }
    sema.facts.notes.set(call, type.size);
    return intType(type.size, false);
  },
  scalar: (low, call) => {
    const value = low.scalar(call.args[0] as Expr);
    const size = low.facts.notes.get(call) as 1 | 2 | 4 | 8;
    if (size === 1) return value;
    const dst = low.b.reg();
    low.b.push({ op: 'bswap', dst, src: value, bits: (size * 8) as 16 | 32 | 64 });
    return dst;
  },
};
