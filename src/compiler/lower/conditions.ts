/** Conditions: jumps that are taken when an expression is true, or false. */
import { invariant } from '../../base/errors.ts';
import type { Type } from '../../types/model.ts';
import type { Condition, Label } from '../ir/ir.ts';
import { comparison, mixesSigns } from '../sema/arithmetic.ts';
import { join, promoted } from '../sema/scope.ts';
import type * as Ast from '../syntax/ast.ts';
import { compareMemory, compareOrder, compareWithLiteral } from './compare.ts';
import { operand, truthOf } from './expressions.ts';
import { align8, isScalarType, roomOf } from './layout.ts';
import type { Lower } from './lower.ts';

const conditions: Readonly<Record<string, readonly [signed: Condition, unsigned: Condition]>> = {
  '==': ['eq', 'eq'],
  '!=': ['ne', 'ne'],
  '<': ['slt', 'ult'],
  '<=': ['sle', 'ule'],
  '>': ['sgt', 'ugt'],
  '>=': ['sge', 'uge'],
};

const opposite: Readonly<Record<string, string>> = {
  '==': '!=',
  '!=': '==',
  '<': '>=',
  '>=': '<',
  '>': '<=',
  '<=': '>',
};

/** Jumps to `to` when the expression is true (`when`) or false (`!when`); else goes on. */
export function lowerCondition(low: Lower, expr: Ast.Expr, to: Label, when: boolean): void {
  low.withSpan(expr.span, () => condition(low, expr, to, when));
}

function condition(low: Lower, expr: Ast.Expr, to: Label, when: boolean): void {
  const { b } = low;
  const constant = low.facts.constants.get(expr);
  if (constant !== undefined) {
    if ((constant !== 0n) === when) b.jump(to);
    return;
  }
  if (expr.node === 'unary' && expr.operator === '!') {
    lowerCondition(low, expr.operand, to, !when);
    return;
  }
  if (expr.node === 'binary' && (expr.operator === '&&' || expr.operator === '||')) {
    // `a && b` jumps on false, `a || b` on true, as soon as one side decides.
    if ((expr.operator === '||') === when) {
      lowerCondition(low, expr.left, to, when);
      lowerCondition(low, expr.right, to, when);
    } else {
      const past = b.label();
      lowerCondition(low, expr.left, past, !when);
      lowerCondition(low, expr.right, to, when);
      b.place(past);
    }
    return;
  }
  if (expr.node === 'binary' && comparison(expr.operator)) {
    compare(low, expr, to, when);
    return;
  }
  b.branch(when ? 'ne' : 'eq', truthOf(low, expr), { imm: 0 }, to);
}

function compare(low: Lower, expr: Ast.Binary, to: Label, when: boolean): void {
  const left = low.typeOf(expr.left);
  const right = low.typeOf(expr.right);
  const operator = when ? expr.operator : (opposite[expr.operator] as string);
  const literal = left.kind === 'probe_name' ? expr.right : right.kind === 'probe_name' ? expr.left : undefined;
  if (literal?.node === 'string') {
    const name = literal === expr.right ? expr.left : expr.right;
    low.b.branch(operator === '==' ? 'eq' : 'ne', low.scalar(name), { imm: low.assets.probeName(literal.value) }, to);
    return;
  }
  if (!isScalarType(left) || !isScalarType(right)) {
    compareValues(low, expr, left, right, operator, to);
    return;
  }
  const unsigned =
    left.kind === 'pointer' ||
    right.kind === 'pointer' ||
    ((!promoted(left).signed || !promoted(right).signed) && !mixesSigns(left, right));
  const pair = conditions[operator];
  invariant(pair, `no comparison for ${operator}`);
  low.b.branch(pair[unsigned ? 1 : 0], low.scalar(expr.left), operand(low, expr.right), to);
}

function compareValues(low: Lower, expr: Ast.Binary, left: Type, right: Type, operator: string, to: Label): void {
  const want = operator === '==' ? 'eq' : 'ne';
  low.scoped(() => {
    if (left.kind === 'string' && right.kind === 'string') {
      const equality = expr.operator === '==' || expr.operator === '!=';
      const literal = !equality
        ? undefined
        : expr.right.node === 'string'
          ? expr.right
          : expr.left.node === 'string'
            ? expr.left
            : undefined;
      if (literal) {
        const other = literal === expr.right ? expr.left : expr.right;
        const type = literal === expr.right ? left : right;
        const text = type.typeName ? mangledName(literal.value) : literal.value;
        compareWithLiteral(low, low.materialize(other, type), type.size, text, want, to);
        return;
      }
      const type: Type = left.size >= right.size ? left : right;
      if (expr.operator !== '==' && expr.operator !== '!=') {
        compareOrder(low, low.materialize(expr.left, type), low.materialize(expr.right, type), type.size, operator, to);
        return;
      }
      compareMemory(
        low,
        low.materialize(expr.left, type),
        low.materialize(expr.right, type),
        align8(type.size),
        want,
        to,
      );
      return;
    }
    const type = join(left, right) ?? left;
    const size = roomOf(type, low.assets.stored);
    compareMemory(low, low.materialize(expr.left, type), low.materialize(expr.right, type), size, want, to);
  });
}

/** `ns::Class` as a typeinfo has it; of templates the script writes the mangled name. */
function mangledName(name: string): string {
  if (!/^\w+(?:::\w+)*$/.test(name) || /^(?:N|St|\d)/.test(name)) return name;
  const parts = name.split('::').map((part) => `${part.length}${part}`);
  return parts.length === 1 ? (parts[0] as string) : `N${parts.join('')}E`;
}
