/** buf(): bytes from memory. */
import { describe } from '../../types/layout.ts';
import type { Type } from '../../types/model.ts';
import { shifted } from '../lower/place.ts';
import { isIntegral, isUnknown } from '../sema/scope.ts';
import type { Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

export const bufFunction: BuiltinFunction = {
  name: 'buf',
  signature: 'buf(pointer [, length])',
  about: 'bytes at a pointer (at most max_strlen), printed by %r',
  arity: [1, 2],
  type: (sema, call): Type => {
    const argument = call.args[0] as Expr;
    const type = sema.expr(argument);
    const max = sema.config.maxStrlen;
    if (call.args.length > 1) sema.integerArgument(call, 1);
    const length = sema.constant(call.args[1]);
    if (length !== undefined && (length < 1n || length > BigInt(max))) {
      sema.error(
        'bad-length',
        `buf() length must be from 1 to ${max} (config max_strlen), not ${length}`,
        (call.args[1] as Expr).span,
      );
    }
    if (isUnknown(type)) return { kind: 'buffer', size: max };
    if (type.kind === 'array') return { kind: 'buffer', size: Number(length ?? BigInt(Math.min(max, type.length))) };
    if (type.kind === 'string') return { kind: 'buffer', size: Number(length ?? BigInt(Math.min(max, type.size))) };
    if (!isIntegral(type) && type.kind !== 'pointer') {
      sema.error(
        'argument-type',
        `buf() expects an integer or a pointer type as first argument (${describe(type)} provided)`,
        argument.span,
      );
    } else if (call.args.length === 1) {
      sema.error('argument-count', 'buf() needs a length for a pointer', call.span, 'buf(pointer, length)');
    }
    return { kind: 'buffer', size: length === undefined ? max : Math.max(1, Math.min(max, Number(length))) };
  },
  into: (low, call, to) => {
    const type = low.typeOf(call);
    if (type.kind !== 'buffer') return;
    const argument = call.args[0] as Expr;
    const own = low.typeOf(argument);
    const { b } = low;
    const length = call.args[1] as Expr | undefined;
    const constant = low.constantOf(length);
    const from =
      own.kind === 'array' || own.kind === 'string'
        ? low.place(argument)
        : {
            kind: 'memory' as const,
            address: low.scalar(argument),
            offset: 0,
            space: own.kind === 'pointer' ? own.space : low.probe.userMemory ? ('user' as const) : ('either' as const),
          };
    if (!to.raw) low.clear(to, (4 + type.size + 7) & ~7);
    const data = shifted(to, 4);
    if (length === undefined || constant !== undefined) {
      b.store(to.base, to.offset, 4, { imm: type.size });
      low.readMemory(data, from, { imm: type.size });
      return;
    }
    const wanted = b.reg();
    b.mov(wanted, low.scalar(length));
    const fine = b.label();
    b.branch('ule', wanted, { imm: type.size }, fine);
    b.push({ op: 'const', dst: wanted, value: BigInt(type.size) });
    b.place(fine);
    b.store(to.base, to.offset, 4, wanted);
    low.readMemory(data, from, wanted);
  },
};
