/** kptr, uptr, is_err: what kind of address a pointer is. */
import { type AddressSpace, boolType, type Type } from '../../types/model.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

/** Errors that a kernel function may give in place of a pointer are -1 … -4095 (linux/err.h, MAX_ERRNO). */
const mostErrno = 4095;

function addressArgument(sema: Sema, call: Call): Type {
  return sema.integerArgument(call, 0, true);
}

const marks = (name: string, space: AddressSpace): BuiltinFunction => ({
  name,
  signature: `${name}(pointer)`,
  about: `the pointer, as one into ${space} memory`,
  arity: [1, 1],
  type: (sema, call) => {
    const type = addressArgument(sema, call);
    return type.kind === 'pointer' ? { ...type, space } : type;
  },
  scalar: (low, call) => low.scalar(call.args[0] as Expr),
});

export const pointerFunctions: readonly BuiltinFunction[] = [
  marks('kptr', 'kernel'),
  marks('uptr', 'user'),
  {
    name: 'is_err',
    signature: 'is_err(pointer)',
    about: 'whether a pointer is an error number of the kernel in disguise (IS_ERR)',
    arity: [1, 1],
    type: (sema, call) => {
      addressArgument(sema, call);
      return boolType;
    },
    scalar: (low, call) => {
      const { b } = low;
      const value = low.scalar(call.args[0] as Expr);
      const result = b.const(1);
      const error = b.label();
      b.branch('uge', value, { imm: -mostErrno }, error);
      b.push({ op: 'const', dst: result, value: 0n });
      b.place(error);
      return result;
    },
  },
];
