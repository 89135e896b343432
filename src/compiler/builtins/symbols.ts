/** usym, ksym: names of code addresses; kaddr, uaddr: addresses of names. */
import { uint64 } from '../../types/model.ts';
import type { BuiltinFunction } from './builtin.ts';
import { currentPid } from './pids.ts';

export const symbolFunctions: readonly BuiltinFunction[] = [
  {
    name: 'usym',
    signature: 'usym(address)',
    about: 'name of a code address of the process',
    arity: [1, 1],
    type: (sema, call) => {
      sema.integerArgument(call, 0, true);
      return { kind: 'usym' };
    },
    into: (low, call, to) => {
      const address = call.args[0];
      if (address === undefined || address.node === 'type') return;
      low.assets.needsUserSymbols = true;
      const value = low.scalar(address);
      low.b.store(to.base, to.offset, 8, value);
      low.b.store(to.base, to.offset + 8, 8, currentPid(low));
    },
  },
  {
    name: 'ksym',
    signature: 'ksym(address)',
    about: 'name of a kernel address',
    arity: [1, 1],
    type: (sema, call) => {
      sema.integerArgument(call, 0, true);
      return { kind: 'ksym' };
    },
    scalar: (low, call) => low.scalar(call.args[0] as Exclude<(typeof call.args)[0], { node: 'type' }>),
  },
  {
    name: 'kaddr',
    signature: 'kaddr("name")',
    about: 'address of a kernel symbol',
    arity: [1, 1],
    type: (sema, call) => {
      const argument = call.args[0];
      if (argument && argument.node !== 'type') sema.expr(argument);
      const name = sema.literalText(argument);
      if (name === undefined) {
        sema.error('literal-expected', 'kaddr() takes a literal name', argument?.span ?? call.span);
        return uint64;
      }
      const address = sema.target.kernelSymbol(name);
      if (address === undefined) {
        sema.error(
          'unknown-symbol',
          `the kernel has no symbol '${name}'`,
          argument?.span ?? call.span,
          '/proc/kallsyms lists what it tells',
        );
      } else {
        sema.facts.notes.set(call, address);
      }
      return uint64;
    },
    scalar: (low, call) => low.b.const(low.facts.notes.get(call) as bigint),
  },
];
