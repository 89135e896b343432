/** Instruction selection: one IR instruction after the other as BPF, with registers and stack places filled in. */
import { invariant, unreachable } from '../../base/errors.ts';
import type { Assembler } from '../../bpf/assembler.ts';
import { bpf_pseudo } from '../../bpf/constants.ts';
import {
  Alu,
  Atomic,
  CALL,
  Class,
  EXIT,
  FRAME_POINTER,
  GOTO,
  Jump,
  MOV_K,
  MOV_X,
  Mode,
  Size,
  SOURCE_X,
  sizeBits,
} from '../../bpf/insn.ts';
import type { AluOperator, Condition, Instruction, Operand, Reg } from '../ir/ir.ts';
import type { Allocation } from './allocate.ts';
import { type Flow, isFrameAccess, type Liveness } from './flow.ts';
import { fitsImmediate, isCommutative } from './fold.ts';
import type { SimpleFunction } from './simplify.ts';
import type { Frame } from './stack.ts';

/** What a ld_imm64 or a call stands for until load time. */
export type LoadNote =
  | { readonly kind: 'map_fd'; readonly map: number }
  | { readonly kind: 'map_value'; readonly map: number; readonly offset: number }
  | { readonly kind: 'kernel_variable' | 'kfunc'; readonly name: string };

const ALU: Readonly<Record<AluOperator, number>> = {
  add: Alu.ADD,
  sub: Alu.SUB,
  mul: Alu.MUL,
  udiv: Alu.DIV,
  sdiv: Alu.DIV,
  umod: Alu.MOD,
  smod: Alu.MOD,
  and: Alu.AND,
  or: Alu.OR,
  xor: Alu.XOR,
  shl: Alu.LSH,
  lshr: Alu.RSH,
  ashr: Alu.ARSH,
};

const CONDITION: Readonly<Record<Condition, number>> = {
  eq: Jump.JEQ,
  ne: Jump.JNE,
  ult: Jump.JLT,
  ule: Jump.JLE,
  ugt: Jump.JGT,
  uge: Jump.JGE,
  slt: Jump.JSLT,
  sle: Jump.JSLE,
  sgt: Jump.JSGT,
  sge: Jump.JSGE,
  set: Jump.JSET,
};

const ATOMIC = { add: Atomic.ADD, and: Atomic.AND, or: Atomic.OR, xor: Atomic.XOR, xchg: Atomic.XCHG } as const;

const R0 = 0;
const isReg = (operand: Operand): operand is Reg => typeof operand === 'number';

export interface SelectInput {
  readonly assembler: Assembler<LoadNote>;
  readonly fn: SimpleFunction;
  readonly flow: Flow;
  readonly live: Liveness;
  readonly allocation: Allocation;
  readonly frame: Frame;
  /** Label of each function of the unit. */
  readonly functions: readonly number[];
  /** Linux 6.6: sign-extending moves. */
  readonly signedMoves: boolean;
}

class Selector {
  readonly #in: SelectInput;
  readonly #asm: Assembler<LoadNote>;
  readonly #labels: number[];
  /** Code for the end of the function: a jump goes through it to put a checked value back on the stack. */
  readonly #detours: {
    readonly label: number;
    readonly machine: number;
    readonly reg: number;
    readonly block: number;
    readonly from: Instruction;
  }[] = [];

  constructor(input: SelectInput) {
    this.#in = input;
    this.#asm = input.assembler;
    this.#labels = input.flow.blocks.map(() => input.assembler.label());
  }

  run(): void {
    const { flow, fn, allocation } = this.#in;
    this.#span(flow.code[0]);
    const moves: Move[] = [];
    for (const [index, reg] of fn.parameters.entries()) {
      if (this.#in.live.ranges[reg] === undefined) continue;
      if (allocation.isSpilled(reg)) this.#store(index + 1, reg);
      else moves.push({ from: index + 1, to: allocation.registerAt(-1, reg) });
    }
    this.#moveAll(moves, -1);
    for (const [index, block] of flow.blocks.entries()) {
      this.#asm.place(this.#labels[index] as number);
      for (let at = block.start; at < block.end; at++) {
        if (allocation.left[at]) continue;
        const instruction = flow.code[at] as Instruction;
        this.#span(instruction);
        const reloads = allocation.reloads(at);
        for (let i = 0; i < reloads.length; i += 2) this.#reload(reloads[i] as number, reloads[i + 1] as number);
        this.#select(instruction, at, index);
      }
    }
    for (const detour of this.#detours) {
      this.#span(detour.from);
      this.#asm.place(detour.label);
      this.#store(detour.machine, detour.reg);
      this.#asm.jump(GOTO, 0, 0, 0, this.#labels[detour.block] as number);
    }
  }

  #span(instruction: Instruction | undefined): void {
    this.#asm.span(instruction?.span?.start ?? -1, instruction?.span?.end ?? -1);
  }

  #mov(to: number, from: number): void {
    if (to !== from) this.#asm.emit(MOV_X, to, from, 0, 0);
  }

  #alu(operation: number, dst: number, right: number | { readonly imm: number }, offset = 0): void {
    if (typeof right === 'number') this.#asm.emit(Class.ALU64 | operation | SOURCE_X, dst, right, offset, 0);
    else this.#asm.emit(Class.ALU64 | operation, dst, 0, offset, right.imm);
  }

  #const(dst: number, value: bigint): void {
    if (fitsImmediate(value)) this.#asm.emit(MOV_K, dst, 0, 0, Number(value));
    // A 32-bit move clears the upper half.
    else if (value >= 0n && value <= 0xffff_ffffn) this.#asm.emit(Class.ALU | Alu.MOV, dst, 0, 0, Number(value) | 0);
    else this.#asm.load64(dst, 0, Number(BigInt.asIntN(32, value)), Number(value >> 32n));
  }

  #place(reg: number): number {
    const place = this.#in.frame.spills.get(reg);
    invariant(place !== undefined, `register %${reg} has no place on the stack`);
    return place;
  }

  #store(machine: number, reg: number): void {
    this.#asm.emit(Class.STX | Mode.MEM | Size.DW, FRAME_POINTER, machine, this.#place(reg), 0);
  }

  #reload(reg: number, machine: number): void {
    const again = this.#in.allocation.recompute(reg);
    if (again !== undefined) this.#compute(again, machine);
    else this.#asm.emit(Class.LDX | Mode.MEM | Size.DW, machine, FRAME_POINTER, this.#place(reg), 0);
  }

  /** The instructions without operands, which may be run anywhere. */
  #compute(instruction: Instruction, dst: number): void {
    switch (instruction.op) {
      case 'const':
        this.#const(dst, instruction.value);
        return;
      case 'slot':
        this.#mov(dst, FRAME_POINTER);
        this.#alu(Alu.ADD, dst, { imm: (this.#in.frame.slots[instruction.slot] as number) + instruction.offset });
        return;
      case 'map':
        this.#asm.load64(dst, bpf_pseudo.BPF_PSEUDO_MAP_FD, 0, 0, { kind: 'map_fd', map: instruction.map });
        return;
      case 'map_value': {
        const { map, offset } = instruction;
        this.#asm.load64(dst, bpf_pseudo.BPF_PSEUDO_MAP_VALUE, 0, 0, { kind: 'map_value', map, offset });
        return;
      }
      case 'kernel_variable':
        this.#asm.load64(dst, bpf_pseudo.BPF_PSEUDO_BTF_ID, 0, 0, { kind: 'kernel_variable', name: instruction.name });
        return;
      case 'function':
        this.#asm.loadLabel(dst, bpf_pseudo.BPF_PSEUDO_FUNC, this.#in.functions[instruction.function] as number);
        return;
      default:
        throw new Error(`insitu bug: ${instruction.op} cannot be computed again`);
    }
  }

  #read(at: number, reg: number): number {
    const machine = this.#in.allocation.registerAt(at, reg);
    invariant(machine >= 0, `register %${reg} has no machine register in instruction ${at}`);
    return machine;
  }

  /** Runs `write` with the machine register of a result, and stores it when it lives on the stack. */
  #write(at: number, reg: number, write: (machine: number) => void): void {
    const machine = this.#read(at, reg);
    write(machine);
    if (this.#in.allocation.isSpilled(reg)) this.#store(machine, reg);
  }

  #select(instruction: Instruction, at: number, block: number): void {
    const { allocation } = this.#in;
    switch (instruction.op) {
      case 'const':
        if (allocation.registerAt(at, instruction.dst) < 0) {
          const place = this.#place(instruction.dst);
          this.#asm.emit(Class.ST | Mode.MEM | Size.DW, FRAME_POINTER, 0, place, Number(instruction.value));
          return;
        }
        this.#write(at, instruction.dst, (dst) => this.#const(dst, instruction.value));
        return;
      case 'slot':
      case 'map':
      case 'map_value':
      case 'kernel_variable':
      case 'function':
        this.#write(at, instruction.dst, (dst) => this.#compute(instruction, dst));
        return;
      case 'mov':
        if (allocation.registerAt(at, instruction.dst) < 0) {
          this.#store(this.#read(at, instruction.src), instruction.dst);
          return;
        }
        this.#write(at, instruction.dst, (dst) => this.#mov(dst, this.#read(at, instruction.src)));
        return;
      case 'alu':
        this.#write(at, instruction.dst, (dst) => this.#arithmetic(instruction, at, dst));
        return;
      case 'neg':
        this.#write(at, instruction.dst, (dst) => {
          this.#mov(dst, this.#read(at, instruction.src));
          this.#asm.emit(Class.ALU64 | Alu.NEG, dst, 0, 0, 0);
        });
        return;
      case 'extend':
        this.#write(at, instruction.dst, (dst) => this.#extend(instruction, dst, this.#read(at, instruction.src)));
        return;
      case 'bswap':
        this.#write(at, instruction.dst, (dst) => {
          this.#mov(dst, this.#read(at, instruction.src));
          // "to big endian" on a little-endian machine.
          this.#asm.emit(Class.ALU | Alu.END | SOURCE_X, dst, 0, 0, instruction.bits);
        });
        return;
      case 'load':
        this.#write(at, instruction.dst, (dst) => {
          const { base, offset } = this.#address(instruction, at);
          this.#asm.emit(Class.LDX | Mode.MEM | sizeBits(instruction.size), dst, base, offset, 0);
        });
        return;
      case 'store': {
        const { base, offset } = this.#address(instruction, at);
        const bits = Mode.MEM | sizeBits(instruction.size);
        if (isReg(instruction.value))
          this.#asm.emit(Class.STX | bits, base, this.#read(at, instruction.value), offset, 0);
        else this.#asm.emit(Class.ST | bits, base, 0, offset, instruction.value.imm);
        return;
      }
      case 'atomic': {
        const { base, offset } = this.#address(instruction, at);
        const opcode = Class.STX | Mode.ATOMIC | sizeBits(instruction.size);
        const operation = ATOMIC[instruction.operator];
        const value = this.#read(at, instruction.value);
        if (instruction.dst === undefined) {
          this.#asm.emit(opcode, base, value, offset, operation);
          return;
        }
        this.#write(at, instruction.dst, (dst) => {
          this.#mov(dst, value);
          this.#asm.emit(opcode, base, dst, offset, operation | Atomic.FETCH);
        });
        return;
      }
      case 'call':
        this.#arguments(instruction.args, at);
        if (instruction.kfunc !== undefined) {
          const note = { kind: 'kfunc', name: instruction.kfunc } as const;
          this.#asm.emit(CALL, 0, bpf_pseudo.BPF_PSEUDO_KFUNC_CALL, 0, 0, note);
        } else if (instruction.function === undefined) this.#asm.emit(CALL, 0, 0, 0, instruction.helper);
        else this.#asm.jump(CALL, 0, bpf_pseudo.BPF_PSEUDO_CALL, 0, this.#in.functions[instruction.function] as number);
        if (instruction.dst === undefined) return;
        if (allocation.registerAt(at, instruction.dst) < 0) {
          this.#store(R0, instruction.dst);
          return;
        }
        this.#write(at, instruction.dst, (dst) => this.#mov(dst, R0));
        return;
      case 'jump':
        this.#asm.jump(GOTO, 0, 0, 0, this.#labels[this.#in.flow.labelBlock[instruction.to] as number] as number);
        return;
      case 'branch':
        this.#branch(instruction, at, block);
        return;
      case 'return':
        this.#give(R0, instruction.value, at);
        this.#asm.emit(EXIT, 0, 0, 0, 0);
        return;
      case 'label':
        throw new Error('insitu bug: a label is left among the instructions');
      default:
        unreachable(instruction, 'instruction');
        return;
    }
  }

  #address(
    instruction: Extract<Instruction, { op: 'load' | 'store' | 'atomic' }>,
    at: number,
  ): { base: number; offset: number } {
    const { fn, frame } = this.#in;
    if (!isFrameAccess(instruction, fn.frameSlot))
      return { base: this.#read(at, instruction.base), offset: instruction.offset };
    const slot = frame.slots[fn.frameSlot[instruction.base] as number] as number;
    return { base: FRAME_POINTER, offset: slot + (fn.frameOffset[instruction.base] as number) + instruction.offset };
  }

  #arithmetic(instruction: Extract<Instruction, { op: 'alu' }>, at: number, dst: number): void {
    const { operator } = instruction;
    const operation = ALU[operator];
    const offset = operator === 'sdiv' || operator === 'smod' ? 1 : 0;
    const left = this.#read(at, instruction.left);
    if (!isReg(instruction.right)) {
      this.#mov(dst, left);
      this.#alu(operation, dst, instruction.right, offset);
      return;
    }
    const right = this.#read(at, instruction.right);
    if (dst === right && dst !== left) {
      invariant(isCommutative(operator), `${operator} overwrites its right side`);
      this.#alu(operation, dst, left, offset);
      return;
    }
    this.#mov(dst, left);
    this.#alu(operation, dst, right, offset);
  }

  #extend(instruction: Extract<Instruction, { op: 'extend' }>, dst: number, src: number): void {
    const { bits, signed } = instruction;
    if (signed && this.#in.signedMoves) {
      this.#asm.emit(MOV_X, dst, src, bits, 0);
      return;
    }
    if (signed) {
      this.#mov(dst, src);
      this.#alu(Alu.LSH, dst, { imm: 64 - bits });
      this.#alu(Alu.ARSH, dst, { imm: 64 - bits });
      return;
    }
    if (bits === 32) {
      this.#asm.emit(Class.ALU | Alu.MOV | SOURCE_X, dst, src, 0, 0);
      return;
    }
    this.#mov(dst, src);
    this.#alu(Alu.AND, dst, { imm: 2 ** bits - 1 });
  }

  /** Puts the arguments into r1 to r5: registers first, as one simultaneous move, then the rest. */
  #arguments(args: readonly Operand[], at: number): void {
    const moves: Move[] = [];
    for (const [index, argument] of args.entries()) {
      if (!isReg(argument)) continue;
      const from = this.#in.allocation.registerAt(at, argument);
      if (from >= 0) moves.push({ from, to: index + 1 });
    }
    // r0 is free: no argument goes there, and a call overwrites it.
    this.#moveAll(moves, R0);
    for (const [index, argument] of args.entries()) {
      if (isReg(argument) && this.#in.allocation.registerAt(at, argument) >= 0) continue;
      this.#give(index + 1, argument, at);
    }
  }

  /** Puts an operand into a machine register, from wherever it is. */
  #give(machine: number, operand: Operand, at: number): void {
    if (!isReg(operand)) {
      this.#const(machine, BigInt(operand.imm));
      return;
    }
    const from = this.#in.allocation.registerAt(at, operand);
    if (from >= 0) this.#mov(machine, from);
    else this.#reload(operand, machine);
  }

  /** Moves that happen at once: one that overwrites another's source waits; a circle is opened through `spare` (-1: any register that takes no part). */
  #moveAll(moves: readonly Move[], spare: number): void {
    const open = moves.filter((move) => move.from !== move.to);
    while (open.length > 0) {
      const ready = open.findIndex((move) => !open.some((other) => other !== move && other.from === move.to));
      if (ready >= 0) {
        const [move] = open.splice(ready, 1) as [Move];
        this.#mov(move.to, move.from);
        continue;
      }
      const taken = new Set(moves.flatMap((move) => [move.from, move.to]));
      let free = spare;
      for (let machine = 0; free < 0; machine++) if (!taken.has(machine)) free = machine;
      const circle = open[0] as Move;
      this.#mov(free, circle.from);
      for (const [index, move] of open.entries())
        if (move.from === circle.from) open[index] = { from: free, to: move.to };
    }
  }

  #branch(instruction: Extract<Instruction, { op: 'branch' }>, at: number, block: number): void {
    const { live, allocation, fn, flow } = this.#in;
    const target = flow.labelBlock[instruction.to] as number;
    const left = this.#read(at, instruction.left);
    const opcode = (instruction.bits === 32 ? Class.JMP32 : Class.JMP) | CONDITION[instruction.condition];
    // The verifier learns a bound for the register, but until Linux 6.9 not for the stack
    // place that it was loaded from: the checked value is put back there.
    const learns = instruction.condition !== 'eq' && instruction.condition !== 'ne' && instruction.condition !== 'set';
    const { left: reg } = instruction;
    const putBack =
      learns && allocation.isSpilled(reg) && allocation.recompute(reg) === undefined && fn.registers[reg] !== 'pointer';
    let label = this.#labels[target] as number;
    if (putBack && live.liveIn(target, reg)) {
      label = this.#asm.label();
      this.#detours.push({ label, machine: left, reg, block: target, from: instruction });
    }
    if (isReg(instruction.right)) this.#asm.jump(opcode | SOURCE_X, left, this.#read(at, instruction.right), 0, label);
    else this.#asm.jump(opcode, left, 0, instruction.right.imm, label);
    if (putBack && live.liveIn(block + 1, reg)) this.#store(left, reg);
  }
}

interface Move {
  readonly from: number;
  readonly to: number;
}

export function select(input: SelectInput): void {
  new Selector(input).run();
}
