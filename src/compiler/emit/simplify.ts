/**
 * First step of emit: the same function with less to do. Constants and copies are
 * carried to their uses, operations that BPF lacks on the target kernel are written out,
 * and instructions whose result nobody reads are dropped.
 *
 * Carrying a copy to its uses is also what the verifier likes: a bound checked on a
 * register then holds for the very register that is used later.
 *
 * Two facts about a register written by one instruction alone make this simple: that
 * instruction stands on every way to each use (ir/check.ts refuses anything else), and so
 * its value at a use is the one of that instruction's last run.
 */
import { invariant } from '../../base/errors.ts';
import type { AluOperator, Instruction, IrFunction, Operand, Reg, RegClass } from '../ir/ir.ts';
import { destination, isPure, renameUses, uses } from '../ir/operands.ts';
import { fitsImmediate, foldAlu, foldCondition, foldExtend, foldSwap, isCommutative, mirrored } from './fold.ts';

export interface SimplifyOptions {
  /** Linux 6.12: signed division that the kernel guards against INT64_MIN / -1. */
  readonly signedDivision: boolean;
}

export interface SimpleFunction {
  readonly code: Instruction[];
  readonly registers: RegClass[];
  readonly parameters: readonly Reg[];
  readonly labels: number;
  /** Per register the slot whose address it holds for good, or -1; and the offset into that slot. */
  readonly frameSlot: Int32Array;
  readonly frameOffset: Int32Array;
}

const isReg = (operand: Operand): operand is Reg => typeof operand === 'number';
type Alu = Extract<Instruction, { op: 'alu' }>;
type Place = Pick<Instruction, 'span' | 'comment'>;

/** exponent when value is 2^exponent, else -1. */
function powerOfTwo(value: number): number {
  return value > 0 && Number.isInteger(Math.log2(value)) ? Math.log2(value) : -1;
}

class Simplifier {
  readonly out: Instruction[] = [];
  readonly registers: RegClass[];
  readonly #options: SimplifyOptions;
  readonly #fn: IrFunction;
  /** How many instructions write a register (parameters count as one); 2 stands for more. */
  readonly #writes: Uint8Array;
  readonly #constants: (bigint | undefined)[] = [];
  /** The register that this one is a copy of, -1 when none; valid while the versions agree. */
  readonly #copyOf: Int32Array;
  readonly #copyVersion: Int32Array;
  /** Counts the writes to a register so far, and block borders for those written more than once. */
  readonly #version: Int32Array;
  #block = 0;
  readonly #copyBlock: Int32Array;
  /** Bits that a load leaves non-zero at most; 0 when unknown. */
  readonly #width: Uint8Array;
  readonly frameSlot: Int32Array;
  readonly frameOffset: Int32Array;

  constructor(fn: IrFunction, options: SimplifyOptions) {
    this.#fn = fn;
    this.#options = options;
    this.registers = [...fn.registers];
    const count = fn.registers.length;
    this.#writes = new Uint8Array(count);
    this.#copyOf = new Int32Array(count).fill(-1);
    this.#copyVersion = new Int32Array(count);
    this.#copyBlock = new Int32Array(count);
    this.#version = new Int32Array(count);
    this.#width = new Uint8Array(count);
    this.frameSlot = new Int32Array(count).fill(-1);
    this.frameOffset = new Int32Array(count);
    for (const reg of fn.parameters) this.#writes[reg] = 1;
    for (const instruction of fn.code) {
      const dst = destination(instruction);
      if (dst !== undefined) this.#writes[dst] = Math.min(2, (this.#writes[dst] as number) + 1);
    }
  }

  run(): void {
    const rename = (reg: Reg): Reg => this.#source(reg);
    for (const instruction of this.#fn.code) this.#step(renameUses(instruction, rename));
  }

  /** The register to read instead of a copy. */
  #source(reg: Reg): Reg {
    const source = this.#copyOf[reg] as number;
    if (source < 0) return reg;
    if (this.#once(source)) return source as Reg;
    const same = this.#copyBlock[reg] === this.#block && this.#copyVersion[reg] === this.#version[source];
    return same ? (source as Reg) : reg;
  }

  #once(reg: number): boolean {
    return this.#writes[reg] === 1;
  }

  #constant(operand: Operand): bigint | undefined {
    return isReg(operand) ? this.#constants[operand] : BigInt(operand.imm);
  }

  /** The operand as an immediate when it is a constant that fits. */
  #immediate(operand: Operand): Operand {
    if (!isReg(operand)) return operand;
    const value = this.#constants[operand];
    return value !== undefined && fitsImmediate(value) ? { imm: Number(value) } : operand;
  }

  #push(instruction: Instruction): void {
    if (instruction.op === 'alu' && instruction.right === instruction.dst && instruction.left !== instruction.dst) {
      // BPF's left side is the destination: `a = b - a` would lose a before it is read.
      if (!isCommutative(instruction.operator)) {
        const result = this.#fresh();
        this.out.push({ ...instruction, dst: result });
        this.#push({ span: instruction.span, op: 'mov', dst: instruction.dst, src: result });
        return;
      }
    }
    this.out.push(instruction);
    const dst = destination(instruction);
    if (dst !== undefined) this.#version[dst] = (this.#version[dst] as number) + 1;
  }

  #fresh(): Reg {
    this.registers.push('scalar');
    return (this.registers.length - 1) as Reg;
  }

  #putConst(place: Place, dst: Reg, value: bigint): void {
    if (this.#once(dst)) this.#constants[dst] = value;
    this.#push({ ...place, op: 'const', dst, value });
  }

  #putMov(place: Place, dst: Reg, src: Reg): void {
    if (dst === src) return;
    this.#push({ ...place, op: 'mov', dst, src });
    if (!this.#once(dst)) return;
    // A copy of what is held as a pointer must be spilled like one.
    if (this.registers[dst] === 'pointer') this.registers[src] = 'pointer';
    this.#copyOf[dst] = src;
    this.#copyVersion[dst] = this.#version[src] as number;
    this.#copyBlock[dst] = this.#block;
    this.#width[dst] = this.#width[src] as number;
  }

  #putAlu(place: Place, operator: AluOperator, dst: Reg, left: Reg, right: Operand | number): void {
    const operand = typeof right === 'number' && !isReg(right as Operand) ? { imm: right } : (right as Operand);
    this.#push({ ...place, op: 'alu', operator, dst, left, right: operand });
  }

  #step(instruction: Instruction): void {
    switch (instruction.op) {
      case 'const':
        this.#putConst(instruction, instruction.dst, instruction.value);
        return;
      case 'mov': {
        const value = this.#constants[instruction.src];
        if (value !== undefined) {
          this.#putConst(instruction, instruction.dst, value);
          return;
        }
        const slot = this.frameSlot[instruction.src] as number;
        if (slot >= 0) this.#noteFrame(instruction.dst, slot, this.frameOffset[instruction.src] as number);
        this.#putMov(instruction, instruction.dst, instruction.src);
        return;
      }
      case 'alu':
        this.#alu(instruction);
        return;
      case 'neg': {
        const value = this.#constants[instruction.src];
        if (value !== undefined) {
          this.#putConst(instruction, instruction.dst, foldAlu('sub', 0n, value));
          return;
        }
        this.#push(instruction);
        return;
      }
      case 'extend': {
        const value = this.#constants[instruction.src];
        if (value !== undefined) {
          this.#putConst(instruction, instruction.dst, foldExtend(value, instruction.bits, instruction.signed));
          return;
        }
        const width = this.#width[instruction.src] as number;
        if (width > 0 && (instruction.signed ? width < instruction.bits : width <= instruction.bits)) {
          this.#putMov(instruction, instruction.dst, instruction.src);
          return;
        }
        this.#push(instruction);
        if (!instruction.signed) this.#noteWidth(instruction.dst, instruction.bits);
        return;
      }
      case 'bswap': {
        const value = this.#constants[instruction.src];
        if (value !== undefined) {
          this.#putConst(instruction, instruction.dst, foldSwap(value, instruction.bits));
          return;
        }
        this.#push(instruction);
        this.#noteWidth(instruction.dst, instruction.bits);
        return;
      }
      case 'load':
        this.#push(instruction);
        this.#noteWidth(instruction.dst, instruction.size * 8);
        return;
      case 'slot':
        this.#noteFrame(instruction.dst, instruction.slot, instruction.offset);
        this.#push(instruction);
        return;
      case 'store': {
        const value = this.#constant(instruction.value);
        if (value === undefined) {
          this.#push(instruction);
          return;
        }
        const cut = instruction.size === 8 ? value : BigInt.asIntN(instruction.size * 8, value);
        if (!fitsImmediate(cut)) {
          this.#push(instruction);
          return;
        }
        this.#push({ ...instruction, value: { imm: Number(cut) } });
        return;
      }
      case 'atomic':
        // xchg overwrites the register with the value, so that it needs one of its own.
        if (instruction.operator === 'xchg' && instruction.dst === undefined) {
          this.#push({ ...instruction, dst: this.#fresh() });
          return;
        }
        this.#push(instruction);
        return;
      case 'call':
        this.#push({ ...instruction, args: instruction.args.map((argument) => this.#immediate(argument)) });
        return;
      case 'return':
        this.#push({ ...instruction, value: this.#immediate(instruction.value) });
        return;
      case 'branch':
        this.#branch(instruction);
        return;
      case 'label':
        this.#block++;
        this.#push(instruction);
        return;
      default:
        this.#push(instruction);
        return;
    }
  }

  #noteWidth(dst: Reg, bits: number): void {
    if (bits < 64 && this.#once(dst)) this.#width[dst] = bits;
  }

  #noteFrame(dst: Reg, slot: number, offset: number): void {
    if (!this.#once(dst)) return;
    this.frameSlot[dst] = slot;
    this.frameOffset[dst] = offset;
  }

  #branch(branch: Extract<Instruction, { op: 'branch' }>): void {
    const left = this.#constant(branch.left);
    const right = this.#constant(branch.right);
    if (left !== undefined && right !== undefined) {
      if (foldCondition(branch.condition, branch.bits, left, right)) {
        this.#push({ span: branch.span, op: 'jump', to: branch.to });
      }
      return;
    }
    if (left !== undefined && fitsImmediate(left) && isReg(branch.right)) {
      this.#push({
        ...branch,
        condition: mirrored[branch.condition],
        left: branch.right,
        right: { imm: Number(left) },
      });
    } else {
      this.#push({ ...branch, right: this.#immediate(branch.right) });
    }
  }

  #alu(alu: Alu): void {
    const { operator, dst, left } = alu;
    const leftValue = this.#constants[left];
    const rightValue = this.#constant(alu.right);
    if (leftValue !== undefined && rightValue !== undefined) {
      this.#putConst(alu, dst, foldAlu(operator, leftValue, rightValue));
      return;
    }
    if (leftValue !== undefined && fitsImmediate(leftValue) && isReg(alu.right) && isCommutative(operator)) {
      this.#aluImmediate({ ...alu, left: alu.right }, Number(leftValue));
      return;
    }
    if (operator === 'and' && rightValue === 0xffff_ffffn) {
      this.#step({ span: alu.span, op: 'extend', dst, src: left, bits: 32, signed: false });
      return;
    }
    if (rightValue !== undefined && fitsImmediate(rightValue)) {
      this.#aluImmediate(alu, Number(rightValue));
      return;
    }
    if ((operator === 'sdiv' || operator === 'smod') && !this.#options.signedDivision) {
      invariant(isReg(alu.right), 'a division by an immediate was not recognised as one');
      this.#divideSigned(alu, alu.right);
      return;
    }
    this.#push(alu);
  }

  #aluImmediate(alu: Alu, imm: number): void {
    const { operator, dst, left } = alu;
    const power = powerOfTwo(imm);
    switch (operator) {
      case 'add':
      case 'sub': {
        if (imm === 0) {
          this.#putMov(alu, dst, left);
          return;
        }
        const slot = this.frameSlot[left] as number;
        if (slot >= 0) {
          const offset = (this.frameOffset[left] as number) + (operator === 'add' ? imm : -imm);
          // Only inside the slot: past it the address may belong to something else.
          if (offset >= 0 && offset < (this.#fn.slots[slot]?.size ?? 0)) {
            this.#noteFrame(dst, slot, offset);
            this.#push({ span: alu.span, op: 'slot', dst, slot: slot as never, offset });
            return;
          }
        }
        break;
      }
      case 'or':
      case 'xor':
        if (imm === 0) {
          this.#putMov(alu, dst, left);
          return;
        }
        break;
      case 'and':
        if (imm === 0) {
          this.#putConst(alu, dst, 0n);
          return;
        }
        if (imm === -1) {
          this.#putMov(alu, dst, left);
          return;
        }
        break;
      case 'shl':
      case 'lshr':
      case 'ashr':
        if ((imm & 63) === 0) {
          this.#putMov(alu, dst, left);
          return;
        }
        this.#putAlu(alu, operator, dst, left, { imm: imm & 63 });
        return;
      case 'mul':
        if (imm === 0) {
          this.#putConst(alu, dst, 0n);
          return;
        }
        if (imm === 1) {
          this.#putMov(alu, dst, left);
          return;
        }
        if (power > 0) {
          this.#putAlu(alu, 'shl', dst, left, { imm: power });
          return;
        }
        break;
      case 'udiv':
      case 'sdiv':
        if (imm === 0) {
          this.#putConst(alu, dst, 0n);
          return;
        }
        if (imm === 1) {
          this.#putMov(alu, dst, left);
          return;
        }
        if (operator === 'sdiv') {
          this.#divideSignedBy(alu, imm);
          return;
        }
        if (power > 0) {
          this.#putAlu(alu, 'lshr', dst, left, { imm: power });
          return;
        }
        break;
      case 'umod':
      case 'smod':
        if (imm === 0) {
          this.#putMov(alu, dst, left);
          return;
        }
        if (imm === 1) {
          this.#putConst(alu, dst, 0n);
          return;
        }
        if (operator === 'smod') {
          this.#divideSignedBy(alu, imm);
          return;
        }
        if (power > 0) {
          this.#putAlu(alu, 'and', dst, left, { imm: imm - 1 });
          return;
        }
        break;
    }
    this.#push({ ...alu, right: { imm } });
  }

  /** sdiv, smod by a constant other than 0 and 1. */
  #divideSignedBy(alu: Alu, imm: number): void {
    const { dst, left } = alu;
    const step = (operator: AluOperator, a: Reg, b: Operand, to: Reg = this.#fresh()): Reg => {
      this.#putAlu(alu, operator, to, a, b);
      return to;
    };
    if (imm === -1) {
      if (alu.operator === 'smod') {
        this.#putConst(alu, dst, 0n);
        return;
      }
      this.#push({ span: alu.span, op: 'neg', dst, src: left });
      return;
    }
    const magnitude = Math.abs(imm);
    const power = powerOfTwo(magnitude);
    if (power > 0) {
      // Rounding toward zero: a negative dividend gets divisor - 1 added first.
      const bias = step('lshr', step('ashr', left, { imm: 63 }), { imm: 64 - power });
      const sum = step('add', bias, left);
      if (alu.operator === 'sdiv') {
        const quotient = step('ashr', sum, { imm: power }, imm > 0 ? dst : this.#fresh());
        if (imm < 0) this.#push({ span: alu.span, op: 'neg', dst, src: quotient });
        return;
      }
      const whole = step('shl', step('ashr', sum, { imm: power }), { imm: power });
      step('sub', left, whole, dst);
      return;
    }
    if (this.#options.signedDivision) {
      this.#push({ ...alu, right: { imm } });
      return;
    }
    const sign = step('ashr', left, { imm: 63 });
    const size = step('sub', step('xor', left, sign), sign);
    const result = step(alu.operator === 'sdiv' ? 'udiv' : 'umod', size, { imm: magnitude });
    // The remainder has the dividend's sign, the quotient the product's.
    const negate = alu.operator === 'sdiv' && imm < 0 ? step('xor', sign, { imm: -1 }) : sign;
    step('sub', step('xor', result, negate), negate, dst);
  }

  /**
   * sdiv, smod for kernels that have none: the magnitudes are divided without sign and the
   * sign is put back, by x ^ s - s with s = x >> 63. INT64_MIN / -1 gives 2^63, that is
   * INT64_MIN; a zero divisor gives 0 and the dividend, as unsigned division does.
   */
  #divideSigned(alu: Alu, right: Reg): void {
    const step = (operator: AluOperator, a: Reg, b: Operand, to: Reg = this.#fresh()): Reg => {
      this.#putAlu(alu, operator, to, a, b);
      return to;
    };
    const leftSign = step('ashr', alu.left, { imm: 63 });
    const leftSize = step('sub', step('xor', alu.left, leftSign), leftSign);
    const rightSign = step('ashr', right, { imm: 63 });
    const rightSize = step('sub', step('xor', right, rightSign), rightSign);
    const result = step(alu.operator === 'sdiv' ? 'udiv' : 'umod', leftSize, rightSize);
    const sign = alu.operator === 'sdiv' ? step('xor', leftSign, rightSign) : leftSign;
    step('sub', step('xor', result, sign), sign, alu.dst);
  }
}

/** Drops pure instructions whose result has no use left, and results of calls and atomics that nobody reads. */
function dropUnread(code: Instruction[], registers: number, frameSlot: Int32Array): Instruction[] {
  const readers = new Int32Array(registers);
  const writers: (number[] | undefined)[] = [];
  const operands = new Int32Array(16);
  const isFrameBase = (instruction: Instruction, operand: number): boolean =>
    operand === 0 &&
    (instruction.op === 'load' || instruction.op === 'store' || instruction.op === 'atomic') &&
    (frameSlot[instruction.base] as number) >= 0;
  const count = (instruction: Instruction, by: 1 | -1, then?: (reg: number) => void): void => {
    const total = uses(instruction, operands);
    const mine = then === undefined ? operands : operands.slice(0, total);
    for (let i = 0; i < total; i++) {
      const reg = mine[i] as number;
      if (isFrameBase(instruction, i)) continue;
      readers[reg] = (readers[reg] as number) + by;
      if (readers[reg] === 0) then?.(reg);
    }
  };
  for (const [at, instruction] of code.entries()) {
    count(instruction, 1);
    const dst = destination(instruction);
    if (dst === undefined || !isPure(instruction)) continue;
    const list = writers[dst];
    if (list === undefined) writers[dst] = [at];
    else list.push(at);
  }
  const dead = new Uint8Array(code.length);
  const kill = (reg: number): void => {
    for (const at of writers[reg] ?? []) {
      if (dead[at]) continue;
      dead[at] = 1;
      count(code[at] as Instruction, -1, kill);
    }
  };
  for (let reg = 0; reg < registers; reg++) if (readers[reg] === 0) kill(reg);
  const kept: Instruction[] = [];
  for (const [at, instruction] of code.entries()) {
    if (dead[at]) continue;
    if (
      (instruction.op === 'call' || instruction.op === 'atomic') &&
      instruction.dst !== undefined &&
      readers[instruction.dst] === 0
    ) {
      if (instruction.op === 'call' || instruction.operator !== 'xchg') {
        const { dst: _, ...rest } = instruction;
        kept.push(rest);
        continue;
      }
    }
    kept.push(instruction);
  }
  return kept;
}

const grown = (array: Int32Array, length: number): Int32Array => {
  const result = new Int32Array(length).fill(-1);
  result.set(array);
  return result;
};

export function simplify(fn: IrFunction, options: SimplifyOptions): SimpleFunction {
  const simplifier = new Simplifier(fn, options);
  simplifier.run();
  const count = simplifier.registers.length;
  const frameSlot = grown(simplifier.frameSlot, count);
  return {
    code: dropUnread(simplifier.out, count, frameSlot),
    registers: simplifier.registers,
    parameters: fn.parameters,
    labels: fn.labels,
    frameSlot,
    frameOffset: grown(simplifier.frameOffset, count),
  };
}
