/** What an instruction reads and writes: the one place that knows the shape of every op. */
import { unreachable } from '../../base/errors.ts';
import type { Instruction, Operand, Reg } from './ir.ts';

/** The register an instruction writes. */
export function destination(instruction: Instruction): Reg | undefined {
  switch (instruction.op) {
    case 'const':
    case 'mov':
    case 'alu':
    case 'neg':
    case 'extend':
    case 'bswap':
    case 'load':
    case 'slot':
    case 'map':
    case 'map_value':
    case 'kernel_variable':
    case 'function':
    case 'call':
    case 'atomic':
      return instruction.dst;
    case 'store':
    case 'label':
    case 'jump':
    case 'branch':
    case 'return':
      return undefined;
    default:
      return unreachable(instruction, 'instruction');
  }
}

const isReg = (operand: Operand): operand is Reg => typeof operand === 'number';

/** Writes the registers an instruction reads into `out` (a register may come twice); returns how many. */
export function uses(instruction: Instruction, out: Int32Array): number {
  let count = 0;
  switch (instruction.op) {
    case 'mov':
    case 'neg':
    case 'extend':
    case 'bswap':
      out[count++] = instruction.src;
      break;
    case 'alu':
    case 'branch':
      out[count++] = instruction.left;
      if (isReg(instruction.right)) out[count++] = instruction.right;
      break;
    case 'load':
      out[count++] = instruction.base;
      break;
    case 'store':
      out[count++] = instruction.base;
      if (isReg(instruction.value)) out[count++] = instruction.value;
      break;
    case 'atomic':
      out[count++] = instruction.base;
      out[count++] = instruction.value;
      break;
    case 'call':
      for (const argument of instruction.args) if (isReg(argument)) out[count++] = argument;
      break;
    case 'return':
      if (isReg(instruction.value)) out[count++] = instruction.value;
      break;
    case 'const':
    case 'slot':
    case 'map':
    case 'map_value':
    case 'kernel_variable':
    case 'function':
    case 'label':
    case 'jump':
      break;
    default:
      return unreachable(instruction, 'instruction');
  }
  return count;
}

/** The same instruction with every register it reads replaced; the same object when nothing changes. */
export function renameUses(instruction: Instruction, rename: (reg: Reg) => Reg): Instruction {
  const operand = (value: Operand): Operand => (isReg(value) ? rename(value) : value);
  switch (instruction.op) {
    case 'mov':
    case 'neg':
    case 'extend':
    case 'bswap': {
      const src = rename(instruction.src);
      return src === instruction.src ? instruction : { ...instruction, src };
    }
    case 'alu':
    case 'branch': {
      const left = rename(instruction.left);
      const right = operand(instruction.right);
      return left === instruction.left && right === instruction.right ? instruction : { ...instruction, left, right };
    }
    case 'load': {
      const base = rename(instruction.base);
      return base === instruction.base ? instruction : { ...instruction, base };
    }
    case 'store': {
      const base = rename(instruction.base);
      const value = operand(instruction.value);
      return base === instruction.base && value === instruction.value ? instruction : { ...instruction, base, value };
    }
    case 'atomic': {
      const base = rename(instruction.base);
      const value = rename(instruction.value);
      return base === instruction.base && value === instruction.value ? instruction : { ...instruction, base, value };
    }
    case 'call': {
      const args = instruction.args.map(operand);
      return args.every((argument, index) => argument === instruction.args[index])
        ? instruction
        : { ...instruction, args };
    }
    case 'return': {
      const value = operand(instruction.value);
      return value === instruction.value ? instruction : { ...instruction, value };
    }
    case 'const':
    case 'slot':
    case 'map':
    case 'map_value':
    case 'kernel_variable':
    case 'function':
    case 'label':
    case 'jump':
      return instruction;
    default:
      return unreachable(instruction, 'instruction');
  }
}

/** True when an instruction only computes its destination: nobody misses it when that is not read. */
export function isPure(instruction: Instruction): boolean {
  switch (instruction.op) {
    case 'const':
    case 'mov':
    case 'alu':
    case 'neg':
    case 'extend':
    case 'bswap':
    case 'load':
    case 'slot':
    case 'map':
    case 'map_value':
    case 'kernel_variable':
    case 'function':
      return true;
    default:
      return false;
  }
}
