/** Arithmetic on constants as BPF does it, and the algebra of operators and conditions. */
import type { AluOperator, Condition } from '../ir/ir.ts';

const MIN32 = -0x8000_0000n;
const MAX32 = 0x7fff_ffffn;
export const fitsImmediate = (value: bigint): boolean => value >= MIN32 && value <= MAX32;

const commutative: Readonly<Record<AluOperator, boolean>> = {
  add: true,
  mul: true,
  and: true,
  or: true,
  xor: true,
  sub: false,
  udiv: false,
  sdiv: false,
  umod: false,
  smod: false,
  shl: false,
  lshr: false,
  ashr: false,
};
export const isCommutative = (operator: AluOperator): boolean => commutative[operator];

/** The condition with its sides exchanged. */
export const mirrored: Readonly<Record<Condition, Condition>> = {
  eq: 'eq',
  ne: 'ne',
  set: 'set',
  ult: 'ugt',
  ule: 'uge',
  ugt: 'ult',
  uge: 'ule',
  slt: 'sgt',
  sle: 'sge',
  sgt: 'slt',
  sge: 'sle',
};

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const s64 = (value: bigint): bigint => BigInt.asIntN(64, value);

/** What BPF computes, on signed 64-bit values. */
export function foldAlu(operator: AluOperator, left: bigint, right: bigint): bigint {
  switch (operator) {
    case 'add':
      return s64(left + right);
    case 'sub':
      return s64(left - right);
    case 'mul':
      return s64(left * right);
    case 'udiv':
      return right === 0n ? 0n : s64(u64(left) / u64(right));
    case 'sdiv':
      return right === 0n ? 0n : s64(left / right);
    case 'umod':
      return right === 0n ? left : s64(u64(left) % u64(right));
    case 'smod':
      return right === 0n ? left : s64(left % right);
    case 'and':
      return left & right;
    case 'or':
      return left | right;
    case 'xor':
      return left ^ right;
    case 'shl':
      return s64(left << (right & 63n));
    case 'lshr':
      return s64(u64(left) >> (right & 63n));
    case 'ashr':
      return left >> (right & 63n);
  }
}

export function foldExtend(value: bigint, bits: number, signed: boolean): bigint {
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}

export function foldSwap(value: bigint, bits: number): bigint {
  let result = 0n;
  for (let byte = 0; byte < bits / 8; byte++) result = (result << 8n) | ((value >> BigInt(byte * 8)) & 0xffn);
  return s64(result);
}

export function foldCondition(condition: Condition, bits: 32 | 64, a: bigint, b: bigint): boolean {
  const left = BigInt.asIntN(bits, a);
  const right = BigInt.asIntN(bits, b);
  const uleft = BigInt.asUintN(bits, a);
  const uright = BigInt.asUintN(bits, b);
  switch (condition) {
    case 'eq':
      return left === right;
    case 'ne':
      return left !== right;
    case 'ult':
      return uleft < uright;
    case 'ule':
      return uleft <= uright;
    case 'ugt':
      return uleft > uright;
    case 'uge':
      return uleft >= uright;
    case 'slt':
      return left < right;
    case 'sle':
      return left <= right;
    case 'sgt':
      return left > right;
    case 'sge':
      return left >= right;
    case 'set':
      return (uleft & uright) !== 0n;
  }
}
