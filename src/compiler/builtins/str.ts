/** str(): text from memory. */
import { describe } from '../../types/layout.ts';
import type { Type } from '../../types/model.ts';
import { copyValue } from '../lower/copy.ts';
import { roomOf } from '../lower/layout.ts';
import type { Lower } from '../lower/lower.ts';
import type { DirectPlace, Place } from '../lower/place.ts';
import { isIntegral, isUnknown } from '../sema/scope.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Expr } from '../syntax/ast.ts';
import { stringBytes } from '../syntax/literals.ts';
import type { BuiltinFunction } from './builtin.ts';

/**
 * Strings of str() take config max_strlen characters and one byte more, which is not
 * NUL exactly when the text goes on (Schema kind string).
 */
const textType = (length: number): Type => ({ kind: 'string', size: length + 1 });

function intoText(low: Lower, call: Call, to: DirectPlace): void {
  const type = low.typeOf(call);
  const literal = low.facts.notes.get(call);
  const room = roomOf(type, low.assets.stored);
  const length = call.args[1];
  const argument = call.args[0] as Expr;
  let from: Place | undefined;
  if (typeof literal === 'string') {
    const bytes = stringBytes(`${literal}\0`);
    if (length === undefined || low.constantOf(length) !== undefined) {
      low.writeBytes(to, bytes, room);
      return;
    }
    const text = low.temporary(room);
    low.writeBytes(text, bytes, room);
    from = text;
  }
  const own = typeof literal === 'string' ? type : low.typeOf(argument);
  if (own.kind === 'string' && call.args.length === 1) {
    copyValue(low, low.materialize(argument, own), own, to, type);
    return;
  }
  if (!to.raw) low.clear(to, room);
  from ??=
    own.kind === 'array'
      ? low.place(argument)
      : own.kind === 'string'
        ? low.materialize(argument, own)
        : {
            kind: 'memory',
            address: low.scalar(argument),
            offset: 0,
            space: own.kind === 'pointer' ? own.space : low.probe.userMemory ? 'user' : 'either',
          };
  const size = type.kind === 'string' ? type.size : room;
  const limit =
    own.kind === 'array'
      ? Math.min(size, own.length + 1)
      : own.kind === 'string'
        ? Math.min(size, roomOf(own, low.assets.stored))
        : Math.min(room, size + 1);
  if (length === undefined || length.node === 'type') {
    low.readString(to, from, { imm: limit });
    return;
  }
  const { b } = low;
  const wanted = b.reg();
  if (argument.node === 'string' && low.constantOf(length) !== undefined) b.mov(wanted, low.b.const(limit));
  else b.mov(wanted, low.scalar(length));
  const fine = b.label();
  b.branch('ule', wanted, { imm: limit }, fine);
  b.push({ op: 'const', dst: wanted, value: BigInt(limit) });
  b.place(fine);
  if (to.raw) b.store(to.base, to.offset, 1, { imm: 0 });
  low.readString(to, from, wanted);
}

/** The text of `$1`, or of `$1 + n`: what is left of it behind its first n characters. */
function parameterText(sema: Sema, expr: Expr): string | undefined {
  if (expr.node === 'positional' && typeof expr.index === 'number')
    return sema.options.parameters[expr.index - 1] ?? '';
  if (expr.node !== 'binary' || expr.operator !== '+') return undefined;
  const text = parameterText(sema, expr.left);
  if (text === undefined || expr.right.node !== 'integer') return undefined;
  if (expr.right.value > BigInt(text.length)) {
    sema.error(
      'parameter-offset',
      `cannot use offset that exceeds string size (${expr.right.value} > ${text.length})`,
      expr.span,
    );
  }
  return text.slice(Number(expr.right.value));
}

export const strFunction: BuiltinFunction = {
  name: 'str',
  signature: 'str(pointer [, length])',
  about: 'the NUL-terminated text at a pointer, at most length - 1 (max_strlen) characters',
  arity: [1, 2],
  type: (sema, call) => {
    const argument = call.args[0] as Expr;
    const max = sema.config.maxStrlen;
    if (call.args.length > 1) {
      sema.integerArgument(call, 1);
      const length = sema.constant(call.args[1]);
      if (length !== undefined && length < 0n)
        sema.error('bad-length', `str() cannot take ${length} characters`, (call.args[1] as Expr).span);
    }
    const parameter = parameterText(sema, argument);
    if (parameter !== undefined) {
      const limit = Number(sema.constant(call.args[1]) ?? BigInt(max));
      const text = parameter.slice(0, Math.max(0, limit));
      sema.facts.notes.set(call, text);
      return { kind: 'string', size: stringBytes(text).length + 1 };
    }
    const type = sema.expr(argument);
    if (isUnknown(type)) return textType(max);
    const bound = sema.constant(call.args[1]);
    if (type.kind === 'string') {
      // Of a literal the first characters, of anything else one less and the NUL.
      const wanted = bound === undefined ? type.size : Number(bound) + (argument.node === 'string' ? 1 : 0);
      const size = Math.min(type.size, Math.max(1, wanted));
      return { kind: 'string', size };
    }
    if (type.kind === 'array' && type.of.kind === 'int' && type.of.size === 1)
      return { kind: 'string', size: Math.min(max, type.length) + 1 };
    if (!isIntegral(type) && type.kind !== 'pointer') {
      sema.error(
        'argument-type',
        `str() expects an integer or a pointer type as first argument (${describe(type)} provided)`,
        argument.span,
      );
    }
    const length = sema.constant(call.args[1]);
    const limit = length !== undefined && length > 0n && length < BigInt(max) ? Number(length) : max;
    return textType(limit);
  },
  into: (low, call, to) => {
    intoText(low, call, to);
  },
};
