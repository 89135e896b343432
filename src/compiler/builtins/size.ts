/** sizeof, offsetof. */
import { describe, type FoundField, findField, sizeOf } from '../../types/layout.ts';
import { type Type, uint64 } from '../../types/model.ts';
import { isUnknown } from '../sema/scope.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Expr, TypeExpr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

/** A plain name is a type (`sizeof(pid_t)`) unless it is a value. */
export function typeOfArgument(sema: Sema, argument: Expr | TypeExpr): Type | undefined {
  if (argument.node === 'identifier' && !sema.knowsIdentifier(argument.name)) {
    return sema.resolveType({
      node: 'type',
      keyword: undefined,
      name: argument.name,
      pointers: 0,
      dimensions: [],
      span: argument.span,
    });
  }
  return argument.node === 'type' ? sema.resolveType(argument) : sema.expr(argument);
}

/** The path of names in offsetof's second argument, outermost first. */
function path(expr: Expr | TypeExpr | undefined): string[] | undefined {
  if (expr?.node === 'identifier') return [expr.name];
  if (expr?.node === 'type' && expr.keyword === undefined && expr.pointers === 0) return [expr.name];
  if (expr?.node === 'field') {
    const outer = path(expr.object);
    return outer && [...outer, expr.name];
  }
  return undefined;
}

function constant(sema: Sema, call: Call, value: number): Type {
  sema.facts.constants.set(call, BigInt(value));
  return uint64;
}

export const sizeFunctions: readonly BuiltinFunction[] = [
  {
    name: 'sizeof',
    signature: 'sizeof(type or expression)',
    about: 'size in bytes',
    arity: [1, 1],
    type: (sema, call) => {
      const type = typeOfArgument(sema, call.args[0] as Expr | TypeExpr);
      if (type === undefined || isUnknown(type)) return uint64;
      const argument = call.args[0] as Expr | TypeExpr;
      return constant(
        sema,
        call,
        argument.node === 'type' || argument.node === 'identifier' ? sizeOf(type) : sema.declaredSize(argument),
      );
    },
    scalar: (low, call) => low.b.const(low.constantOf(call) ?? 0n),
  },
  {
    name: 'offsetof',
    signature: 'offsetof(struct NAME, field)',
    about: 'offset of a field in bytes',
    arity: [2, 2],
    type: (sema, call) => {
      const first = typeOfArgument(sema, call.args[0] as Expr | TypeExpr);
      const names = path(call.args[1]);
      if (first === undefined || names === undefined) return uint64;
      let type: Type = first;
      let offset = 0;
      for (const name of names) {
        const found: FoundField | undefined =
          type.kind === 'struct' || type.kind === 'union' ? findField(type, name) : undefined;
        if (found === undefined) {
          sema.error(
            'unknown-field',
            `'${describe(type)}' has no field named '${name}'`,
            call.args[1]?.span ?? call.span,
          );
          return uint64;
        }
        offset += found.offset;
        type = found.field.type;
      }
      return constant(sema, call, offset);
    },
    scalar: (low, call) => low.b.const(low.constantOf(call) ?? 0n),
  },
];
