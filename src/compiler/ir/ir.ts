/**
 * The intermediate representation: what a BPF program does, before registers.
 *
 * A Unit is one BPF program: a main function, the static functions that helpers call back
 * (bpf_loop, bpf_for_each_map_elem), and global functions, which the verifier looks at once,
 * by themselves, however often they are called. A function is a list of instructions over
 * virtual registers. Virtual registers are 64 bits wide and may be assigned more than
 * once; a jump may go backwards. Emit allocates machine registers, spills, and turns
 * labels into offsets when the instruction count is final.
 *
 * Values: an integer narrower than 64 bits is held sign- or zero-extended to 64 bits
 * according to its type (lowering's duty, by `extend`).
 */
import type { Span } from '../../diag/source.ts';

export type Reg = number & { readonly irReg: unique symbol };
export type Label = number & { readonly irLabel: unique symbol };
/** Index into IrFunction.slots. */
export type Slot = number & { readonly irSlot: unique symbol };

/** A 32-bit signed immediate or a register. */
export type Operand = Reg | { readonly imm: number };

/**
 * What a register may hold, which decides where it may be spilled: a `scalar` anywhere,
 * a `pointer` (context, map value, stack, ring buffer record) on the BPF stack only.
 */
export type RegClass = 'scalar' | 'pointer';

export type AluOperator =
  | 'add'
  | 'sub'
  | 'mul'
  /** x / 0 = 0, x % 0 = x as BPF defines; sdiv, smod truncate toward zero, INT64_MIN / -1 wraps. */
  | 'udiv'
  | 'sdiv'
  | 'umod'
  | 'smod'
  | 'and'
  | 'or'
  | 'xor'
  /** Shift counts are taken modulo 64. */
  | 'shl'
  | 'lshr'
  | 'ashr';

export type Condition = 'eq' | 'ne' | 'ult' | 'ule' | 'ugt' | 'uge' | 'slt' | 'sle' | 'sgt' | 'sge' | 'set';

export type MemorySize = 1 | 2 | 4 | 8;

export type Instruction = { readonly span?: Span | undefined; readonly comment?: string } & (
  | { readonly op: 'const'; readonly dst: Reg; readonly value: bigint }
  | { readonly op: 'mov'; readonly dst: Reg; readonly src: Reg }
  /** 64-bit arithmetic. */
  | {
      readonly op: 'alu';
      readonly operator: AluOperator;
      readonly dst: Reg;
      readonly left: Reg;
      readonly right: Operand;
    }
  | { readonly op: 'neg'; readonly dst: Reg; readonly src: Reg }
  /** Takes the low `bits` of src and sign- or zero-extends them to 64. */
  | {
      readonly op: 'extend';
      readonly dst: Reg;
      readonly src: Reg;
      readonly bits: 8 | 16 | 32;
      readonly signed: boolean;
    }
  /** Reverses the low bits/8 bytes, zero-extended. */
  | { readonly op: 'bswap'; readonly dst: Reg; readonly src: Reg; readonly bits: 16 | 32 | 64 }
  /** Zero-extending load. */
  | { readonly op: 'load'; readonly dst: Reg; readonly base: Reg; readonly offset: number; readonly size: MemorySize }
  | {
      readonly op: 'store';
      readonly base: Reg;
      readonly offset: number;
      readonly size: MemorySize;
      readonly value: Operand;
    }
  /** Locked; with dst the old value is fetched (xchg always fetches). size 4 or 8. */
  | {
      readonly op: 'atomic';
      readonly operator: 'add' | 'and' | 'or' | 'xor' | 'xchg';
      readonly base: Reg;
      readonly offset: number;
      readonly size: 4 | 8;
      readonly value: Reg;
      readonly dst?: Reg;
    }
  /** Address of a stack slot. */
  | { readonly op: 'slot'; readonly dst: Reg; readonly slot: Slot; readonly offset: number }
  /** The map itself, as helpers take it; index into Program.maps. */
  | { readonly op: 'map'; readonly dst: Reg; readonly map: number }
  /** Address of byte `offset` of element 0 of an array map. */
  | { readonly op: 'map_value'; readonly dst: Reg; readonly map: number; readonly offset: number }
  /** A per-CPU variable of the kernel, as bpf_per_cpu_ptr takes it. */
  | { readonly op: 'kernel_variable'; readonly dst: Reg; readonly name: string }
  /** Address of a function of this unit, for a helper's callback argument. */
  | { readonly op: 'function'; readonly dst: Reg; readonly function: number }
  /**
   * A helper by its number (BPF_FUNC_*), with `function` a global function of this unit,
   * whose arguments and result are scalars, or with `kfunc` a function of the kernel; at most 5 arguments.
   */
  | {
      readonly op: 'call';
      readonly helper: number;
      readonly function?: number;
      readonly kfunc?: string;
      readonly args: readonly Operand[];
      readonly dst?: Reg;
    }
  | { readonly op: 'label'; readonly label: Label }
  | { readonly op: 'jump'; readonly to: Label }
  /** Jumps when the comparison holds, else falls through; 64-bit compare, or of the low 32 bits. */
  | {
      readonly op: 'branch';
      readonly condition: Condition;
      readonly bits: 32 | 64;
      readonly left: Reg;
      readonly right: Operand;
      readonly to: Label;
    }
  /** Ends the function; r0 = value. */
  | { readonly op: 'return'; readonly value: Operand }
);

export interface StackSlot {
  readonly size: number;
  /** 1, 2, 4 or 8. */
  readonly align: number;
  readonly name: string;
}

export interface IrFunction {
  readonly name: string;
  /** Registers that hold the arguments r1, r2 … at entry. For main: [context]. */
  readonly parameters: readonly Reg[];
  readonly registers: readonly RegClass[];
  readonly slots: readonly StackSlot[];
  readonly code: readonly Instruction[];
  readonly labels: number;
  /** Called with scalars, verified by itself. */
  readonly global?: boolean;
}

export interface Unit {
  readonly name: string;
  /** functions[0] is main. */
  readonly functions: readonly IrFunction[];
  /** A per-CPU region of scratch memory where scalars may be spilled when the stack is full. */
  readonly spill?: { readonly map: number };
}

/** Builds one function: allocates registers, labels and slots, and appends instructions under the current span. */
export class FunctionBuilder {
  readonly name: string;
  readonly #registers: RegClass[] = [];
  readonly #slots: StackSlot[] = [];
  readonly #code: Instruction[] = [];
  readonly #parameters: Reg[] = [];
  #labels = 0;
  /** Put on every instruction appended from now on. */
  span: Span | undefined;

  constructor(name: string, parameters: readonly RegClass[]) {
    this.name = name;
    for (const cls of parameters) this.#parameters.push(this.reg(cls));
  }

  parameter(index: number): Reg {
    const reg = this.#parameters[index];
    if (reg === undefined) throw new Error(`insitu bug: function ${this.name} has no parameter ${index}`);
    return reg;
  }

  reg(cls: RegClass = 'scalar'): Reg {
    this.#registers.push(cls);
    return (this.#registers.length - 1) as Reg;
  }

  classOf(reg: Reg): RegClass {
    return this.#registers[reg] ?? 'scalar';
  }

  label(): Label {
    return this.#labels++ as Label;
  }

  newSlot(size: number, align: number, name: string): Slot {
    this.#slots.push({ size, align, name });
    return (this.#slots.length - 1) as Slot;
  }

  push(instruction: Instruction): void {
    this.#code.push(this.span === undefined || instruction.span ? instruction : { ...instruction, span: this.span });
  }

  /** Runs `build` and moves what it appends to the start of the function. */
  prepend(build: () => void): void {
    const from = this.#code.length;
    build();
    this.#code.unshift(...this.#code.splice(from));
  }

  const(value: bigint | number): Reg {
    const dst = this.reg();
    this.push({ op: 'const', dst, value: BigInt.asIntN(64, BigInt(value)) });
    return dst;
  }
  mov(dst: Reg, src: Reg): void {
    this.push({ op: 'mov', dst, src });
  }
  alu(operator: AluOperator, left: Reg, right: Operand | number): Reg {
    const pointer =
      this.classOf(left) === 'pointer' || (typeof right === 'number' && this.classOf(right as Reg) === 'pointer');
    const dst = this.reg(pointer && (operator === 'add' || operator === 'sub') ? 'pointer' : 'scalar');
    this.push({ op: 'alu', operator, dst, left, right: right as Operand });
    return dst;
  }
  load(base: Reg, offset: number, size: MemorySize, cls: RegClass = 'scalar'): Reg {
    const at = this.#near(base, offset);
    const dst = this.reg(cls);
    this.push({ op: 'load', dst, ...at, size });
    return dst;
  }
  store(base: Reg, offset: number, size: MemorySize, value: Operand): void {
    this.push({ op: 'store', ...this.#near(base, offset), size, value });
  }
  /** The place by an offset that an instruction has room for (16 bits). */
  #near(base: Reg, offset: number): { readonly base: Reg; readonly offset: number } {
    if (offset >= -0x8000 && offset <= 0x7fff) return { base, offset };
    return { base: this.alu('add', base, { imm: offset }), offset: 0 };
  }
  slotAddress(slot: Slot, offset = 0): Reg {
    const dst = this.reg('pointer');
    this.push({ op: 'slot', dst, slot, offset });
    return dst;
  }
  map(map: number): Reg {
    const dst = this.reg('pointer');
    this.push({ op: 'map', dst, map });
    return dst;
  }
  mapValue(map: number, offset: number): Reg {
    const dst = this.reg('pointer');
    this.push({ op: 'map_value', dst, map, offset });
    return dst;
  }
  call(helper: number, args: readonly Operand[], cls: RegClass = 'scalar'): Reg {
    const dst = this.reg(cls);
    this.push({ op: 'call', helper, args, dst });
    return dst;
  }
  /** Calls a global function of the unit by its index. */
  callFunction(index: number, args: readonly Operand[]): Reg {
    const dst = this.reg();
    this.push({ op: 'call', helper: -1, function: index, args, dst });
    return dst;
  }
  /** Calls a function that the kernel offers to BPF programs (kfunc) by its name in BTF. */
  callKernel(kfunc: string, args: readonly Operand[], cls: RegClass = 'scalar'): Reg {
    const dst = this.reg(cls);
    this.push({ op: 'call', helper: -1, kfunc, args, dst });
    return dst;
  }
  place(label: Label): void {
    this.push({ op: 'label', label });
  }
  jump(to: Label): void {
    this.push({ op: 'jump', to });
  }
  branch(condition: Condition, left: Reg, right: Operand, to: Label, bits: 32 | 64 = 64): void {
    this.push({ op: 'branch', condition, bits, left, right, to });
  }
  return(value: Operand): void {
    this.push({ op: 'return', value });
  }

  finish(): IrFunction {
    return {
      name: this.name,
      parameters: this.#parameters,
      registers: this.#registers,
      slots: this.#slots,
      code: this.#code,
      labels: this.#labels,
    };
  }
}
