/** print(): a map, a key of a map, or any value. */

import type { EventArgument } from '../../program/program.ts';
import { describe } from '../../types/layout.ts';
import { noneType } from '../../types/model.ts';
import { emitEvent, eventValue, spanOf } from '../lower/events.ts';
import { assetOf, readStatsInto } from '../lower/maps.ts';
import type { DirectPlace } from '../lower/place.ts';
import { isUnknown } from '../sema/scope.ts';
import type { Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

/** The way out for what prints by itself, as object() does. */
const ownPrinting = (argument: Expr): string[] =>
  argument.node === 'call' && argument.name === 'object' ? ['object() prints by itself: write it without print()'] : [];

export const printFunction: BuiltinFunction = {
  name: 'print',
  signature: 'print(value), print(@map [, top [, div]])',
  about: 'prints a value, or a map with its largest `top` entries and values divided by `div`',
  arity: [1, 3],
  statementOnly: true,
  type: (sema, call) => {
    const argument = call.args[0] as Expr;
    if (argument.node === 'map' && argument.keys.length === 0) {
      sema.mapArgument(call, 0, false);
      for (const index of [1, 2]) {
        if (call.args.length <= index) continue;
        sema.integerArgument(call, index);
        const value = sema.constant(call.args[index]);
        if (value === undefined || value < 0n) {
          sema.error(
            'literal-expected',
            `print(): ${index === 1 ? 'top' : 'div'} is a number known at compile time`,
            (call.args[index] as Expr).span,
          );
        }
      }
      return noneType;
    }
    const type = sema.expr(argument);
    if (call.args.length > 1) {
      sema.error('argument-count', 'print() takes top and div only with a whole map', call.span, 'print(@map, top)');
    } else if (!isUnknown(type) && (type.kind === 'none' || type.kind === 'void' || type.kind === 'function')) {
      sema.error(
        'argument-type',
        `${describe(type)} type passed to print() is not printable`,
        argument.span,
        ...ownPrinting(argument),
      );
    } else if (
      type.kind === 'aggregate' &&
      (type.aggregate === 'hist' || type.aggregate === 'lhist' || type.aggregate === 'tseries')
    ) {
      sema.error(
        'argument-type',
        `Map type ${type.aggregate}_t cannot print the value of individual keys. You must print the whole map.`,
        argument.span,
      );
    } else if (type.kind === 'aggregate' && argument.node !== 'map') {
      sema.error('aggregate-unassigned', `${type.aggregate}() should be assigned to a map`, argument.span);
    }
    return noneType;
  },
  statement: (low, call) => {
    const argument = call.args[0] as Expr;
    if (argument.node === 'map') {
      const asset = assetOf(low, argument);
      if (argument.keys.length === 0) {
        const top = Number(low.constantOf(call.args[1]) ?? 0n);
        const div = Number(low.constantOf(call.args[2]) ?? 0n);
        emitEvent(low, [], (_args, size) => ({
          kind: 'print_map',
          map: asset.index,
          top,
          div,
          size,
          span: spanOf(call),
        }));
        return;
      }
      const type = asset.info.value;
      if (type.kind === 'aggregate' && type.aggregate === 'stats') {
        const value = { type, into: (to: DirectPlace) => readStatsInto(low, argument, type, to) };
        emitEvent(low, [value], (args, size) => ({
          kind: 'print_value',
          value: args[0] as EventArgument,
          size,
          span: spanOf(call),
        }));
        return;
      }
    }
    emitEvent(low, [{ ...eventValue(low, argument), expr: argument }], (args, size) => ({
      kind: 'print_value',
      value: args[0] as EventArgument,
      size,
      span: spanOf(call),
    }));
  },
};
