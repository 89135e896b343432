/** Integer arithmetic of the language: result types and values known at compile time. */
import { int64, intType, type Type, uint64 } from '../../types/model.ts';
import { promoted } from './scope.ts';

export const comparison = (operator: string): boolean =>
  operator === '==' ||
  operator === '!=' ||
  operator === '<' ||
  operator === '<=' ||
  operator === '>' ||
  operator === '>=' ||
  operator === '&&' ||
  operator === '||';

/**
 * The type of integer arithmetic, which is done in 64 bits: sums, differences and
 * products with a signed part are signed; quotients, remainders and bit operations
 * with an unsigned 64-bit part are unsigned; a shift has its left side's type.
 */
export function arithmeticType(operator: string, left: Type, right: Type): Type {
  const a = promoted(left);
  const b = promoted(right);
  if (operator === '<<' || operator === '>>') return a;
  if (operator === '+' || operator === '-' || operator === '*') return a.signed || b.signed ? int64 : uint64;
  return a.signed && b.signed ? int64 : uint64;
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
      return bool(left < right);
    case '<=':
      return bool(left <= right);
    case '>':
      return bool(left > right);
    case '>=':
      return bool(left >= right);
    default:
      return undefined;
  }
}

/** A number as given on the command line: decimal, hex, octal, signed. */
export function parseInteger(text: string): bigint | undefined {
  const match = /^([+-]?)(0x[0-9a-f]+|0[0-7]+|\d+)$/i.exec(text.trim());
  if (!match) return undefined;
  const digits = match[2] as string;
  const value = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
  if (value > 0xffffffffffffffffn) return undefined;
  return match[1] === '-' ? -value : value;
}
