/** assert, static_assert, assert_str, fail: what must hold, when the script is compiled or when it runs. */
import { describe } from '../../types/layout.ts';
import { noneType } from '../../types/model.ts';
import { emitEvent, spanOf } from '../lower/events.ts';
import { isUnknown } from '../sema/scope.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';
import { endTrace } from './exit.ts';
import { parseFormat } from './printf.ts';

/** The literal text of an argument, or a complaint. */
function text(sema: Sema, call: Call, index: number): string {
  const argument = call.args[index] as Expr;
  sema.expr(argument);
  const found = sema.literalText(argument);
  if (found === undefined) sema.error('literal-expected', `${call.name}() takes a literal message`, argument.span);
  return found ?? '';
}

/** The message of fail(): its arguments are known when the script is compiled. */
function failure(sema: Sema, call: Call): string {
  const [first, ...rest] = call.args as readonly Expr[];
  const format = parseFormat(text(sema, call, 0));
  if (typeof format === 'string') return format;
  const words = rest.map((argument) => {
    sema.expr(argument);
    const value = sema.literalText(argument) ?? sema.constant(argument);
    if (value === undefined) sema.error('literal-expected', 'fail() takes literals', argument.span);
    return String(value ?? '');
  });
  if (format.count !== words.length && first) {
    return `fail() has ${words.length} arguments for a format that takes ${format.count}`;
  }
  return format.pieces.map((piece) => ('text' in piece ? piece.text : words[piece.argument])).join('');
}

export const assertFunctions: readonly BuiltinFunction[] = [
  {
    name: 'assert',
    signature: 'assert(condition, "message")',
    about: 'ends tracing with an error and status 1 when the condition does not hold',
    arity: [2, 2],
    statementOnly: true,
    type: (sema, call) => {
      sema.condition(call.args[0] as Expr);
      sema.facts.notes.set(call, text(sema, call, 1));
      return noneType;
    },
    statement: (low, call) => {
      const holds = low.b.label();
      low.condition(call.args[0] as Expr, holds, true);
      const message = `assert failed: ${String(low.facts.notes.get(call))}`;
      emitEvent(low, [], (args, size) => ({
        kind: 'errorf',
        format: [{ text: message }],
        args,
        size,
        span: spanOf(call),
      }));
      endTrace(low, call, () => low.b.const(1));
      low.b.place(holds);
    },
  },
  {
    name: 'static_assert',
    signature: 'static_assert(condition, "message")',
    about: 'refuses the script when the condition, known at compile time, does not hold',
    arity: [2, 2],
    statementOnly: true,
    type: (sema, call) => {
      const condition = call.args[0] as Expr;
      sema.condition(condition);
      const message = text(sema, call, 1);
      const value = sema.constant(condition);
      if (value === undefined) {
        sema.error(
          'literal-expected',
          'static_assert() takes a condition that is known at compile time',
          condition.span,
          'assert() checks one while the script runs',
        );
      } else if (value === 0n) sema.error('static-assert', message, call.span);
      return noneType;
    },
    statement: () => {},
  },
  {
    name: 'assert_str',
    signature: 'assert_str(value)',
    about: 'refuses the script when the value is no string, array or pointer of characters',
    arity: [1, 1],
    statementOnly: true,
    type: (sema, call) => {
      const argument = call.args[0] as Expr;
      const type = sema.expr(argument);
      if (!isUnknown(type) && type.kind !== 'string' && type.kind !== 'array' && type.kind !== 'pointer') {
        sema.error(
          'argument-type',
          `string-like values must be either strings, arrays or pointers, not ${describe(type)}`,
          argument.span,
        );
      }
      return noneType;
    },
    statement: () => {},
  },
  {
    name: 'fail',
    signature: 'fail("format", literals…)',
    about: 'refuses the script where it is reached; behind a condition known at compile time it may not be',
    arity: [1, Number.POSITIVE_INFINITY],
    statementOnly: true,
    type: (sema, call) => {
      sema.error('fail', failure(sema, call), call.span);
      return noneType;
    },
    statement: () => {},
  },
];
