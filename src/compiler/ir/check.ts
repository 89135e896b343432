/**
 * Checks that a Unit is well formed: what lowering promises and emit relies on. For
 * tests and for `-d ir`; a complaint here is a bug in insitu, never a user's mistake.
 */
import { helperName } from '../../bpf/helpers.ts';
import type { Instruction, IrFunction, Unit } from './ir.ts';
import { destination, uses } from './operands.ts';
import { printInstruction } from './print.ts';

const fits32 = (value: number): boolean => Number.isInteger(value) && value >= -0x8000_0000 && value <= 0x7fff_ffff;

/** Every complaint as a line of text; none for a well-formed unit. `maps` is the number of maps where known. */
export function checkUnit(unit: Unit, maps: number = Number.MAX_SAFE_INTEGER): string[] {
  const complaints: string[] = [];
  if (unit.functions.length === 0) complaints.push(`unit ${unit.name} has no function`);
  for (const fn of unit.functions) {
    const complain = (at: number, what: string): void => {
      const instruction = fn.code[at];
      const text = instruction === undefined ? '' : `: ${printInstruction(instruction, fn, {}, unit)}`;
      complaints.push(`${unit.name}, ${fn.name}, instruction ${at}${text}: ${what}`);
    };
    if (fn.parameters.length > 5) complain(-1, 'more than five parameters');
    const before = complaints.length;
    checkShapes(unit, fn, maps, complain);
    // The data flow is only worth looking at when labels and registers are in order.
    if (complaints.length === before) checkAssigned(fn, complain);
  }
  return complaints;
}

type Complain = (at: number, what: string) => void;

function checkShapes(unit: Unit, fn: IrFunction, maps: number, complain: Complain): void {
  const placed = new Int32Array(fn.labels);
  for (const instruction of fn.code)
    if (instruction.op === 'label' && instruction.label < fn.labels) placed[instruction.label]!++;
  const registers = new Int32Array(16);
  for (const [at, instruction] of fn.code.entries()) {
    const count = uses(instruction, registers);
    const dst = destination(instruction);
    for (let i = 0; i < count; i++)
      if (fn.registers[registers[i] as number] === undefined) complain(at, 'reads a register that does not exist');
    if (dst !== undefined && fn.registers[dst] === undefined) complain(at, 'writes a register that does not exist');
    const what = shapeProblem(unit, fn, instruction, placed, maps);
    if (what !== undefined) complain(at, what);
  }
  const last = fn.code.at(-1);
  if (last?.op !== 'return' && last?.op !== 'jump') complain(fn.code.length - 1, 'the function runs off its end');
}

function shapeProblem(
  unit: Unit,
  fn: IrFunction,
  instruction: Instruction,
  placed: Int32Array,
  maps: number,
): string | undefined {
  const isPointer = (reg: number): boolean => fn.registers[reg] === 'pointer';
  const badImmediate = (value: unknown): boolean =>
    typeof value === 'object' && !fits32((value as { imm: number }).imm);
  switch (instruction.op) {
    case 'const':
      return BigInt.asIntN(64, instruction.value) === instruction.value
        ? undefined
        : 'the constant is not a signed 64-bit number';
    case 'mov':
      return isPointer(instruction.src) && !isPointer(instruction.dst)
        ? 'a pointer goes into a scalar register'
        : undefined;
    case 'alu':
      return badImmediate(instruction.right) ? 'the immediate does not fit 32 bits' : undefined;
    case 'load':
    case 'store':
    case 'atomic':
      if (!isPointer(instruction.base)) return 'the base is not a pointer';
      if (instruction.offset < -0x8000 || instruction.offset > 0x7fff) return 'the offset does not fit 16 bits';
      return instruction.op === 'store' && badImmediate(instruction.value)
        ? 'the immediate does not fit 32 bits'
        : undefined;
    case 'slot': {
      const slot = fn.slots[instruction.slot];
      if (slot === undefined) return 'there is no such slot';
      return instruction.offset < 0 || instruction.offset >= slot.size ? 'the offset lies outside the slot' : undefined;
    }
    case 'map':
    case 'map_value':
      return instruction.map < 0 || instruction.map >= maps ? 'there is no such map' : undefined;
    case 'function':
      return instruction.function <= 0 || unit.functions[instruction.function] === undefined
        ? 'there is no such callback'
        : undefined;
    case 'call':
      if (instruction.function !== undefined) {
        if (unit.functions[instruction.function]?.global !== true) return 'there is no such global function';
      } else if (instruction.kfunc === undefined && helperName(instruction.helper) === undefined)
        return 'there is no such helper';
      if (instruction.args.length > 5) return 'more than five arguments';
      return instruction.args.some(badImmediate) ? 'an immediate does not fit 32 bits' : undefined;
    case 'label':
      return placed[instruction.label] === 1 ? undefined : 'the label is placed twice';
    case 'jump':
      return placed[instruction.to] === 1 ? undefined : 'the target is not placed';
    case 'branch':
      if (badImmediate(instruction.right)) return 'the immediate does not fit 32 bits';
      return placed[instruction.to] === 1 ? undefined : 'the target is not placed';
    case 'return':
      return badImmediate(instruction.value) ? 'the immediate does not fit 32 bits' : undefined;
    default:
      return undefined;
  }
}

/** Every register must have a value on every way to its use: the verifier refuses anything else. */
function checkAssigned(fn: IrFunction, complain: Complain): void {
  const words = (fn.registers.length + 31) >> 5;
  const labels = new Int32Array(fn.labels);
  for (const [at, instruction] of fn.code.entries()) if (instruction.op === 'label') labels[instruction.label] = at;
  /** Per label the registers that have a value on all ways found so far. */
  const known = new Map<number, Int32Array>();
  const registers = new Int32Array(16);
  const entry = new Int32Array(words);
  for (const reg of fn.parameters) entry[reg >> 5]! |= 1 << (reg & 31);
  const work: { at: number; set: Int32Array }[] = [{ at: 0, set: entry }];
  const complained = new Set<number>();
  const reach = (label: number, set: Int32Array): void => {
    const at = labels[label] as number;
    const old = known.get(at);
    if (old === undefined) {
      known.set(at, set.slice());
      work.push({ at, set: set.slice() });
      return;
    }
    let changed = false;
    for (let word = 0; word < words; word++) {
      const both = (old[word] as number) & (set[word] as number);
      if (both !== old[word]) {
        old[word] = both;
        changed = true;
      }
    }
    if (changed) work.push({ at, set: old.slice() });
  };
  for (let task = work.pop(); task !== undefined; task = work.pop()) {
    const set = task.set;
    for (let at = task.at; at < fn.code.length; at++) {
      const instruction = fn.code[at] as Instruction;
      if (instruction.op === 'label' && at !== task.at) {
        reach(instruction.label, set);
        break;
      }
      const count = uses(instruction, registers);
      for (let i = 0; i < count; i++) {
        const reg = registers[i] as number;
        if (((set[reg >> 5] as number) >>> (reg & 31)) & 1 || complained.has(at)) continue;
        complained.add(at);
        complain(at, `%${reg} has no value on some way here`);
      }
      const dst = destination(instruction);
      if (dst !== undefined) set[dst >> 5]! |= 1 << (dst & 31);
      if (instruction.op === 'jump' || instruction.op === 'branch') reach(instruction.to, set);
      if (instruction.op === 'jump' || instruction.op === 'return') break;
    }
  }
}
