/** Integer arithmetic of the language: result types and values known at compile time. */
import { type IntType, int64, intType, type Type, uint64 } from '../../types/model.ts';
import type * as Ast from '../syntax/ast.ts';
import { isUnsigned, promoted } from './scope.ts';

export const comparison = (operator: string): boolean =>
  operator === '==' ||
  operator === '!=' ||
  operator === '<' ||
  operator === '<=' ||
  operator === '>' ||
  operator === '>=' ||
  operator === '&&' ||
  operator === '||';

/** The smallest type that holds a literal: `1` is a uint8, `-1` an int8, `300` a uint16. */
export function literalType(value: bigint): IntType {
  for (const size of [1, 2, 4] as const) {
    const type = intType(size, value < 0n);
    if (fitsIn(value, type)) return type;
  }
  return intType(8, value < 0n);
}

/** Whether an integer type holds a value. */
export const fitsIn = (value: bigint, type: IntType): boolean =>
  (type.signed ? BigInt.asIntN(type.size * 8, value) : BigInt.asUintN(type.size * 8, value)) === value;

/** Numbers and signs of numbers as written, whose type is the smallest that holds them. */
export function isLiteral(expr: Ast.Expr): boolean {
  switch (expr.node) {
    case 'integer':
    case 'positional':
      return true;
    case 'unary':
      return (expr.operator === '-' || expr.operator === '+') && isLiteral(expr.operand);
    case 'binary':
      return isLiteral(expr.left) && isLiteral(expr.right) && !comparison(expr.operator);
    default:
      return false;
  }
}

/** A uint64 beside a signed integer: the arithmetic is signed, and numbers from 2^63 on change their meaning. */
export function mixesSigns(left: Type, right: Type): boolean {
  const wide = (type: Type): boolean => type.kind === 'int' && type.size === 8 && !type.signed;
  const signed = (type: Type): boolean => type.kind === 'int' && type.signed;
  return (wide(left) && signed(right)) || (wide(right) && signed(left));
}

/**
 * The type of integer arithmetic, which is done in 64 bits: signed, unless a uint64 meets
 * another unsigned integer. Differences are unsigned between two uint64 only; a shift has
 * its left side's type.
 */
export function arithmeticType(operator: string, left: Type, right: Type): Type {
  const a = promoted(left);
  const b = promoted(right);
  if (operator === '<<' || operator === '>>') return a;
  if (operator === '-') return a.signed || b.signed ? int64 : uint64;
  if (a.signed && b.signed) return int64;
  return isUnsigned(left) && isUnsigned(right) ? uint64 : int64;
}

/** The number that a map of aggregations reads as in an expression. */
export function aggregateValue(type: Type & { kind: 'aggregate' }): Type {
  switch (type.aggregate) {
    case 'count':
      return uint64;
    case 'sum':
    case 'min':
    case 'max':
    case 'avg':
      return intType(8, type.signed);
    default:
      return type;
  }
}

/** C arithmetic in 64 bits on exact integers; undefined where it has no value. */
export function evaluate(operator: string, left: bigint, right: bigint, signed: boolean): bigint | undefined {
  const wrap = (value: bigint): bigint => (signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value));
  const a = wrap(left);
  const b = wrap(right);
  const bool = (value: boolean): bigint => (value ? 1n : 0n);
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return b === 0n ? undefined : a / b;
    case '%':
      return b === 0n ? undefined : a % b;
    case '<<':
      return a << (b & 63n);
    case '>>':
      return a >> (b & 63n);
    case '&':
      return a & b;
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '==':
      return bool(BigInt.asUintN(64, left) === BigInt.asUintN(64, right));
    case '!=':
      return bool(BigInt.asUintN(64, left) !== BigInt.asUintN(64, right));
    case '<':
      return bool(a < b);
    case '<=':
      return bool(a <= b);
    case '>':
      return bool(a > b);
    case '>=':
      return bool(a >= b);
    default:
      return undefined;
  }
}

/** A number as given on the command line: decimal, hex, octal, scientific, signed, `_` between digits. */
export function parseInteger(text: string): bigint | undefined {
  const match = /^([+-]?)(0x[0-9a-f_]+|0b[01_]+|0[0-7_]+|\d[\d_]*(?:e(\d{1,2}))?)$/i.exec(text.trim());
  if (!match) return undefined;
  const digits = (match[2] as string)
    .replaceAll('_', '')
    .replace(/e\d+$/i, (tail) => (/^0x/i.test(match[2] ?? '') ? tail : ''));
  const exponent = BigInt(match[3] ?? 0);
  const value = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits) * 10n ** exponent;
  if (value > 0xffffffffffffffffn) return undefined;
  return match[1] === '-' ? -value : value;
}
