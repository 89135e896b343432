/** IR as text, for `-d ir` and for reading a failed test. */
import { helperName } from '../../bpf/helpers.ts';
import type { AluOperator, Condition, Instruction, IrFunction, Operand, RegClass, Unit } from './ir.ts';

const ALU: Readonly<Record<AluOperator, string>> = {
  add: '+',
  sub: '-',
  mul: '*',
  udiv: 'u/',
  sdiv: 's/',
  umod: 'u%',
  smod: 's%',
  and: '&',
  or: '|',
  xor: '^',
  shl: '<<',
  lshr: 'u>>',
  ashr: 's>>',
};

const CONDITION: Readonly<Record<Condition, string>> = {
  eq: '==',
  ne: '!=',
  ult: 'u<',
  ule: 'u<=',
  ugt: 'u>',
  uge: 'u>=',
  slt: 's<',
  sle: 's<=',
  sgt: 's>',
  sge: 's>=',
  set: '&',
};

/** `mapName(i)` gives the map of Program.maps[i] a name. */
export interface PrintOptions {
  readonly mapName?: (map: number) => string | undefined;
}

const signed = (value: number): string => (value < 0 ? ` - ${-value}` : value > 0 ? ` + ${value}` : '');

/** One instruction without indentation and comment. */
export function printInstruction(
  instruction: Instruction,
  fn: IrFunction,
  options: PrintOptions = {},
  unit?: Unit,
): string {
  // Pointers are %pN and scalars %N, so that a class that does not fit stands out.
  const reg = (index: number): string => ((fn.registers[index] as RegClass) === 'pointer' ? `%p${index}` : `%${index}`);
  const operand = (value: Operand): string => (typeof value === 'number' ? reg(value) : String(value.imm));
  const map = (index: number): string => options.mapName?.(index) ?? `#${index}`;
  const place = (base: number, offset: number, size: number): string => `u${size * 8}[${reg(base)}${signed(offset)}]`;
  switch (instruction.op) {
    case 'const':
      return `${reg(instruction.dst)} = ${instruction.value}`;
    case 'mov':
      return `${reg(instruction.dst)} = ${reg(instruction.src)}`;
    case 'alu':
      return `${reg(instruction.dst)} = ${reg(instruction.left)} ${ALU[instruction.operator]} ${operand(instruction.right)}`;
    case 'neg':
      return `${reg(instruction.dst)} = -${reg(instruction.src)}`;
    case 'extend':
      return `${reg(instruction.dst)} = (${instruction.signed ? 's' : 'u'}${instruction.bits}) ${reg(instruction.src)}`;
    case 'bswap':
      return `${reg(instruction.dst)} = bswap${instruction.bits} ${reg(instruction.src)}`;
    case 'load':
      return `${reg(instruction.dst)} = ${place(instruction.base, instruction.offset, instruction.size)}`;
    case 'store':
      return `${place(instruction.base, instruction.offset, instruction.size)} = ${operand(instruction.value)}`;
    case 'atomic': {
      const result = instruction.dst === undefined ? '' : `${reg(instruction.dst)} = `;
      const at = place(instruction.base, instruction.offset, instruction.size);
      return `${result}atomic_${instruction.operator} ${at}, ${reg(instruction.value)}`;
    }
    case 'slot': {
      const slot = fn.slots[instruction.slot];
      return `${reg(instruction.dst)} = &${slot?.name ?? '?'}.${instruction.slot}${signed(instruction.offset)}`;
    }
    case 'map':
      return `${reg(instruction.dst)} = map ${map(instruction.map)}`;
    case 'map_value':
      return `${reg(instruction.dst)} = &map ${map(instruction.map)}[0]${signed(instruction.offset)}`;
    case 'kernel_variable':
      return `${reg(instruction.dst)} = kernel variable ${instruction.name}`;
    case 'function':
      return `${reg(instruction.dst)} = &${unit?.functions[instruction.function]?.name ?? `function ${instruction.function}`}`;
    case 'call': {
      const result = instruction.dst === undefined ? '' : `${reg(instruction.dst)} = `;
      const name = instruction.kfunc ?? helperName(instruction.helper) ?? `helper#${instruction.helper}`;
      return `${result}${name}(${instruction.args.map(operand).join(', ')})`;
    }
    case 'label':
      return `L${instruction.label}:`;
    case 'jump':
      return `goto L${instruction.to}`;
    case 'branch': {
      const bits = instruction.bits === 32 ? ' (32)' : '';
      const test = `${reg(instruction.left)} ${CONDITION[instruction.condition]} ${operand(instruction.right)}`;
      return `if ${test}${bits} goto L${instruction.to}`;
    }
    case 'return':
      return `return ${operand(instruction.value)}`;
  }
}

function printFunction(fn: IrFunction, options: PrintOptions, unit: Unit): string {
  const parameters = fn.parameters.map((reg) =>
    (fn.registers[reg] as RegClass) === 'pointer' ? `%p${reg}` : `%${reg}`,
  );
  const lines = [`function ${fn.name}(${parameters.join(', ')})`];
  for (const [index, slot] of fn.slots.entries()) {
    lines.push(`  slot ${slot.name}.${index}: ${slot.size} bytes, aligned to ${slot.align}`);
  }
  for (const instruction of fn.code) {
    const text = printInstruction(instruction, fn, options, unit);
    const line = instruction.op === 'label' ? text : `  ${text}`;
    lines.push(instruction.comment === undefined ? line : `${line.padEnd(48)} ; ${instruction.comment}`);
  }
  return lines.join('\n');
}

/** A whole unit; ends with a newline. */
export function printUnit(unit: Unit, options: PrintOptions = {}): string {
  return `unit ${unit.name}\n\n${unit.functions.map((fn) => printFunction(fn, options, unit)).join('\n\n')}\n`;
}
