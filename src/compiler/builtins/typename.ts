/** typename(): the class that an object was made as, by its vtable. */
import { describe } from '../../types/layout.ts';
import { uint64 } from '../../types/model.ts';
import type { Place } from '../lower/place.ts';
import { isScalar, isUnknown } from '../sema/scope.ts';
import type { Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

/** Room for the mangled name of a class: templates' are long. */
const size = 256;

export const typenameFunction: BuiltinFunction = {
  name: 'typename',
  signature: 'typename(pointer)',
  about: 'the class of a C++ object with virtual functions, the most derived one, also in a stripped program',
  arity: [1, 1],
  type: (sema, call) => {
    const argument = call.args[0] as Expr;
    const type = sema.expr(argument);
    if (!isUnknown(type) && !isScalar(type)) {
      sema.error(
        'argument-type',
        `typename() takes a pointer to an object, not '${describe(type)}'`,
        argument.span,
        'its address says it: typename(&object)',
      );
    }
    return { kind: 'string', size, typeName: true };
  },
  // Itanium C++ ABI, sections 2.5.2 and 2.9.5: the word before a vtable's address point is
  // the typeinfo, whose second word is its name.
  into: (low, call, to) => {
    const user = (address: ReturnType<typeof low.scalar>, offset: number): Place => ({
      kind: 'memory',
      address,
      offset,
      space: 'user',
    });
    const object = low.scalar(call.args[0] as Expr);
    const vtable = low.readScalar(user(object, 0), uint64);
    const typeinfo = low.readScalar(user(vtable, -8), uint64);
    const name = low.readScalar(user(typeinfo, 8), uint64);
    low.clear(to, size);
    low.readString(to, user(name, 0), { imm: size });
  },
};
