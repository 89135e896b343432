/** join(): prints an array of strings (char *argv[]). */
import { describe } from '../../types/layout.ts';
import { noneType, type Type, uint64 } from '../../types/model.ts';
import { emitEvent, spanOf } from '../lower/events.ts';
import { shifted } from '../lower/place.ts';
import { isIntegral, isUnknown } from '../sema/scope.ts';
import type { Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

/** As bpftrace: the first 16 strings. */
const maxArguments = 16;

export const joinFunction: BuiltinFunction = {
  name: 'join',
  signature: 'join(array [, delimiter])',
  about: 'prints the strings of a NULL-terminated array of pointers, at most 16',
  arity: [1, 2],
  statementOnly: true,
  type: (sema, call) => {
    const type = sema.expr(call.args[0] as Expr);
    if (!isUnknown(type) && !isIntegral(type) && type.kind !== 'pointer') {
      sema.error(
        'argument-type',
        `join() only supports int or pointer arguments (${describe(type)} provided)`,
        call.args[0]?.span ?? call.span,
      );
    }
    const delimiter = call.args[1];
    if (delimiter && delimiter.node !== 'type') sema.expr(delimiter);
    if (delimiter && sema.literalText(delimiter) === undefined)
      sema.error('literal-expected', 'join() takes a literal delimiter', delimiter.span);
    return noneType;
  },
  statement: (low, call) => {
    const argument = call.args[0] as Expr;
    const own = low.typeOf(argument);
    const delimiter = call.args[1]?.node === 'string' ? call.args[1].value : ' ';
    const { b } = low;
    const argSize = Math.min(low.assets.config.maxStrlen, 1024);
    const space = own.kind === 'pointer' ? own.space : low.probe.userMemory ? ('user' as const) : ('either' as const);
    const type: Type = { kind: 'array', of: { kind: 'int', size: 1, signed: false }, length: maxArguments * argSize };
    const array = low.scalar(argument);
    emitEvent(
      low,
      [
        {
          type,
          room: maxArguments * argSize,
          into: (to) => {
            for (let i = 0; i < maxArguments; i++) b.store(to.base, to.offset + i * argSize, 1, { imm: 0 });
            const end = b.label();
            for (let i = 0; i < maxArguments; i++) {
              const pointer = low.readScalar({ kind: 'memory', address: array, offset: 8 * i, space }, uint64);
              b.branch('eq', pointer, { imm: 0 }, end);
              low.readString(
                shifted(to, i * argSize),
                { kind: 'memory', address: pointer, offset: 0, space },
                { imm: argSize },
              );
            }
            b.place(end);
          },
        },
      ],
      (args, size) => ({
        kind: 'join',
        delimiter,
        count: maxArguments,
        argSize,
        offset: args[0]?.offset ?? 8,
        size,
        span: spanOf(call),
      }),
    );
  },
};
