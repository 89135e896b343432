/** sizeof, offsetof. */
import { describe, type FoundField, findField, sizeOf } from '../../types/layout.ts';
import { pointerTo, type Type, uint64 } from '../../types/model.ts';
import { isUnknown, unknownType } from '../sema/scope.ts';
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

/** Where the member of a path of names lies; complains when there is none. */
function offsetOfPath(
  sema: Sema,
  call: Call,
  first: Type,
  names: readonly string[],
  place: Expr | TypeExpr,
): number | undefined {
  let type = first;
  let offset = 0;
  for (const name of names) {
    const found: FoundField | undefined =
      type.kind === 'struct' || type.kind === 'union' ? findField(type, name) : undefined;
    if (found === undefined) {
      sema.error('unknown-field', `'${describe(type)}' has no field named '${name}'`, place.span ?? call.span);
      return undefined;
    }
    offset += found.offset;
    type = found.field.type;
  }
  return offset;
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
      const composite = first.kind === 'pointer' ? first.to() : first;
      const offset = offsetOfPath(sema, call, composite, names, call.args[1] as Expr);
      if (offset === undefined) return uint64;
      return constant(sema, call, offset);
    },
    scalar: (low, call) => low.b.const(low.constantOf(call) ?? 0n),
  },
  {
    name: 'container_of',
    signature: 'container_of(pointer, struct NAME, field)',
    about: 'the struct that a pointer to one of its fields lies in',
    arity: [3, 3],
    type: (sema, call) => {
      const own = sema.integerArgument(call, 0, true);
      const wanted = typeOfArgument(sema, call.args[1] as Expr | TypeExpr);
      const names = path(call.args[2]);
      if (wanted === undefined || names === undefined) return unknownType;
      const composite = wanted.kind === 'pointer' ? wanted.to() : wanted;
      const offset = offsetOfPath(sema, call, composite, names, call.args[2] as Expr);
      sema.facts.notes.set(call, offset ?? 0);
      return pointerTo(composite, own.kind === 'pointer' ? own.space : 'either');
    },
    scalar: (low, call) =>
      low.b.alu('sub', low.scalar(call.args[0] as Expr), { imm: Number(low.facts.notes.get(call)) }),
  },
];
