/** Types of operators, and values of expressions known at compile time. */
import { describe, sameType } from '../../types/layout.ts';
import { boolType, int64, pointerTo, type Type, uint64 } from '../../types/model.ts';
import { concatType } from '../lower/text.ts';
import type * as Ast from '../syntax/ast.ts';
import { arithmeticType, comparison, evaluate, isLiteral, literalType, mixesSigns } from './arithmetic.ts';
import { decayed, elementOf } from './decay.ts';
import { joinMapValue, mapKeys, widen, widenVariable } from './mapuse.ts';
import { spaceOf } from './members.ts';
import { isIntegral, isScalar, isTruth, isUnknown, isUnsigned, join, promoted, unknownType } from './scope.ts';
import type { Sema } from './sema.ts';

export function typeOfUnary(sema: Sema, expr: Ast.Unary): Type {
  const { operator, operand } = expr;
  if (operator === '++pre' || operator === '--pre' || operator === 'post++' || operator === 'post--') {
    return typeOfIncrement(sema, expr);
  }
  const type = sema.expr(operand);
  if (isUnknown(type)) {
    if (operator === '!') return boolType;
    return sema.stuck && (operator === '-' || operator === '+' || operator === '~') ? int64 : unknownType;
  }
  switch (operator) {
    case '*':
      if (type.kind === 'pointer') {
        const to = type.to();
        if (to.kind === 'void' || to.kind === 'function') {
          sema.error(
            'deref',
            `Can not dereference type '${describe(type)}'. It has no size: cast it first`,
            expr.span,
            'for example *(uint32 *)$p',
          );
          return unknownType;
        }
        return decayed(to);
      }
      if (type.kind === 'struct' && sema.probe.userMemory) {
        const content = sema.options.printers.contentOf(type);
        if (content?.kind === 'pointer' && content.of.kind !== 'void') return elementOf(content.of);
      }
      // Compatible with bpftrace: an integer is dereferenced as a pointer to itself.
      if (type.kind === 'int') return type;
      sema.error('deref', `Can not dereference type '${describe(type)}'. It's not a pointer.`, expr.span);
      return unknownType;
    case '&':
      return addressOf(sema, expr, type);
    case '!':
      if (!isScalar(type)) refuseOperand(sema, operator, type, expr);
      {
        const value = sema.facts.constants.get(operand);
        if (value !== undefined) sema.facts.constants.set(expr, value === 0n ? 1n : 0n);
      }
      return boolType;
    case '-':
    case '+':
    case '~': {
      if (!isIntegral(type)) {
        refuseOperand(sema, operator, type, expr);
        return unknownType;
      }
      const value = sema.facts.constants.get(operand);
      if (value !== undefined) {
        const result = operator === '-' ? -value : operator === '+' ? value : ~value;
        sema.facts.constants.set(expr, BigInt.asIntN(64, result));
      }
      if (operator === '~') return uint64;
      if (isLiteral(expr)) return literalType(sema.facts.constants.get(expr) ?? 0n);
      return promoted(type);
    }
  }
}

/** `&$x`, `&@m`, `&p->field`: where the value is. */
function addressOf(sema: Sema, expr: Ast.Unary, type: Type): Type {
  const { operand } = expr;
  if (operand.node === 'variable') {
    const info = sema.variable(operand);
    if (info?.element === 'address') return pointerTo(type, 'user');
    if (info) info.addressed = true;
    return pointerTo(type, 'kernel');
  }
  if (operand.node === 'map' && sema.maps.get(operand.name)?.value.kind !== 'aggregate')
    return pointerTo(type, 'kernel');
  if (operand.node === 'field' || operand.node === 'index' || (operand.node === 'unary' && operand.operator === '*')) {
    const space = spaceOf(sema, operand);
    if (space !== undefined) return pointerTo(type, space);
  }
  sema.error(
    'address-of',
    'the address-of operator (&) takes a variable, a map or a member of what a pointer points to',
    expr.span,
  );
  return unknownType;
}

function refuseOperand(sema: Sema, operator: string, type: Type, expr: Ast.Expr): void {
  sema.error(
    'operand-type',
    `The ${operator} operator can not be used on expressions of type '${describe(type)}'`,
    expr.span,
  );
}

function typeOfIncrement(sema: Sema, expr: Ast.Unary): Type {
  const { operand } = expr;
  const sign = expr.operator.replace(/pre|post/, '');
  if (operand.node === 'map') {
    const info = mapKeys(sema, operand);
    if (isUnknown(info.value)) joinMapValue(sema, info, int64, expr.span);
    widen(sema, info);
    sema.facts.types.set(operand, info.value);
    if (info.value.kind !== 'int' && info.value.kind !== 'pointer') {
      sema.error('operand-type', `${sign} needs an integer: @${info.name} holds '${describe(info.value)}'`, expr.span);
    }
    return info.value;
  }
  if (operand.node !== 'variable') {
    sema.expr(operand);
    sema.error('operand-type', `${sign} applies to a $variable or a @map`, expr.span);
    return unknownType;
  }
  const info = sema.variable(operand);
  if (info === undefined) return unknownType;
  if (info.element !== undefined) {
    sema.error('operand-type', `${sign} cannot change an element of the program's container`, expr.span);
    return unknownType;
  }
  if (info.type.kind === 'enum' && !info.fixed) {
    info.type = int64;
    sema.changed = true;
  }
  if (!isUnknown(info.type) && info.type.kind !== 'int' && info.type.kind !== 'pointer') {
    sema.error('operand-type', `${sign} needs an integer: $${info.name} is '${describe(info.type)}'`, expr.span);
  }
  widenVariable(sema, info, info.type);
  return info.type;
}

export function checkDivisor(sema: Sema, operator: string, right: Ast.Expr): void {
  if ((operator === '/' || operator === '%') && sema.facts.constants.get(right) === 0n) {
    sema.error('division-by-zero', 'division by zero', right.span);
  }
}

export function typeOfBinary(sema: Sema, expr: Ast.Binary): Type {
  const { operator } = expr;
  const left = sema.expr(expr.left);
  const right = sema.expr(expr.right);
  if (isUnknown(left) || isUnknown(right)) {
    if (comparison(operator)) return boolType;
    const known = isUnknown(left) ? right : left;
    return sema.stuck && isIntegral(known) ? arithmeticType(operator, known, known) : unknownType;
  }
  if (operator === '&&' || operator === '||') {
    if (!isTruth(left)) refuseOperand(sema, operator, left, expr.left);
    if (!isTruth(right)) refuseOperand(sema, operator, right, expr.right);
    const [first, second] = [sema.facts.constants.get(expr.left), sema.facts.constants.get(expr.right)];
    if (first !== undefined && second !== undefined) {
      const [a, b] = [first !== 0n, second !== 0n];
      sema.facts.constants.set(expr, (operator === '&&' ? a && b : a || b) ? 1n : 0n);
    }
    return boolType;
  }
  if (comparison(operator)) {
    checkComparison(sema, expr, left, right);
    checkSigns(sema, expr, left, right);
    foldConstants(sema, expr, boolType);
    return boolType;
  }
  if (operator === '+' && left.kind === 'string' && right.kind === 'string') return concatType(left, right, sema);
  if (isIntegral(left) && isIntegral(right)) {
    checkDivisor(sema, operator, expr.right);
    const type = arithmeticType(operator, left, right);
    checkSigns(sema, expr, left, right);
    foldConstants(sema, expr, type);
    return isLiteral(expr) ? literalType(sema.facts.constants.get(expr) ?? 0n) : type;
  }
  if (left.kind === 'pointer' || right.kind === 'pointer') {
    if (left.kind === 'pointer' && isIntegral(right) && (operator === '+' || operator === '-')) return left;
    if (right.kind === 'pointer' && isIntegral(left) && operator === '+') return right;
    if (left.kind === 'pointer' && right.kind === 'pointer' && operator === '-') return int64;
    if (
      isScalar(left) &&
      isScalar(right) &&
      (operator === '&' ||
        operator === '|' ||
        operator === '>>' ||
        operator === '<<' ||
        operator === '%' ||
        operator === '/')
    )
      return uint64;
  }
  sema.error(
    'operand-type',
    `The ${operator} operator can not be used on expressions of types '${describe(left)}' and '${describe(right)}'`,
    expr.span,
  );
  return unknownType;
}

/** Texts that are known when the script is compiled: what their comparison gives. */
function foldTexts(sema: Sema, expr: Ast.Binary): void {
  const [left, right] = [sema.literalText(expr.left), sema.literalText(expr.right)];
  if (left === undefined || right === undefined) return;
  if (expr.operator === '==' || expr.operator === '!=')
    sema.facts.constants.set(expr, (left === right) === (expr.operator === '==') ? 1n : 0n);
}

/** `typeinfo(a) == typeinfo(b)`. */
function foldTypes(sema: Sema, expr: Ast.Binary): boolean {
  const [left, right] = [sema.typeinfo(expr.left), sema.typeinfo(expr.right)];
  if (left === undefined || right === undefined) return false;
  sema.facts.constants.set(expr, (left.full_type === right.full_type) === (expr.operator === '==') ? 1n : 0n);
  return true;
}

/** Warns where a uint64 is taken as signed because of the other side. */
function checkSigns(sema: Sema, expr: Ast.Binary, left: Type, right: Type): void {
  const { operator } = expr;
  if (operator === '<<' || operator === '>>' || operator === '==' || operator === '!=' || !mixesSigns(left, right))
    return;
  warnConversion(sema, isUnsigned(left) ? expr.left : expr.right, uint64, int64);
}

/** Warns of an integer conversion that may change the value. */
export function warnConversion(sema: Sema, expr: Ast.Expr, from: Type, to: Type): void {
  sema.warning(
    'lossy-conversion',
    `Expression of type: ${describe(from)} being cast to type: ${describe(to)}. This may cause unexpected results. Use an explicit cast to suppress this warning.`,
    expr.span,
  );
}

function checkComparison(sema: Sema, expr: Ast.Binary, left: Type, right: Type): void {
  if (isScalar(left) && isScalar(right)) return;
  const equality = expr.operator === '==' || expr.operator === '!=';
  if (equality && left.kind === 'probe_name' && expr.right.node === 'string') return;
  if (equality && right.kind === 'probe_name' && expr.left.node === 'string') return;
  if (left.kind === 'string' && right.kind === 'string') {
    foldTexts(sema, expr);
    return;
  }
  if (equality && foldTypes(sema, expr)) return;
  if (
    equality &&
    left.kind === right.kind &&
    (left.kind === 'buffer' ||
      left.kind === 'inet' ||
      left.kind === 'tuple' ||
      left.kind === 'array' ||
      left.kind === 'ustack' ||
      left.kind === 'kstack' ||
      left.kind === 'struct' ||
      left.kind === 'mac_address' ||
      left.kind === 'probe_name') &&
    (sameType(left, right) || join(left, right) !== undefined)
  )
    return;
  sema.error(
    'type-mismatch',
    left.kind === right.kind || (isScalar(left) && isScalar(right))
      ? `values of type '${describe(left)}' cannot be compared by '${expr.operator}'`
      : `Type mismatch for '${expr.operator}': comparing ${describe(left)} with ${describe(right)}`,
    expr.span,
  );
}

function foldConstants(sema: Sema, expr: Ast.Binary, type: Type): void {
  const left = sema.facts.constants.get(expr.left);
  const right = sema.facts.constants.get(expr.right);
  if (left === undefined || right === undefined) return;
  const signed = comparison(expr.operator) ? comparesSigned(sema, expr) : type.kind !== 'int' || type.signed;
  const value = evaluate(expr.operator, left, right, signed);
  if (value !== undefined)
    sema.facts.constants.set(expr, signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value));
}

/** Whether the sides are compared as signed numbers; as lowering does it. */
function comparesSigned(sema: Sema, expr: Ast.Binary): boolean {
  const left = sema.facts.types.get(expr.left) ?? int64;
  const right = sema.facts.types.get(expr.right) ?? int64;
  if (left.kind === 'pointer' || right.kind === 'pointer') return false;
  return (promoted(left).signed && promoted(right).signed) || mixesSigns(left, right);
}
