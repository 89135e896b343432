/** Shorthands for writing the unwinder's functions, and what more than one of them knows. */
import { FunctionBuilder, type Operand, type Reg } from '../ir/ir.ts';
import { stateAt } from './layout.ts';

/** Kernel offsets in struct pt_regs of arch/x86, by DWARF number. */
export const registerOffsets: readonly number[] = [
  80, 96, 88, 40, 104, 112, 32, 152, 72, 64, 56, 48, 24, 16, 8, 0, 128,
];

/** Odd, with well spread bits: 2^64 divided by the golden ratio. */
export const spread: bigint = 0x9e3779b97f4a7c15n;

export type Build = (f: Writer) => void;

/** Shorthands over a FunctionBuilder. */
export class Writer {
  readonly b: FunctionBuilder;
  /** The state's address. */
  s!: Reg;

  constructor(name: string, parameters: readonly ('pointer' | 'scalar')[]) {
    this.b = new FunctionBuilder(name, parameters);
  }

  get(offset: number, size: 1 | 2 | 4 | 8 = 8): Reg {
    return this.b.load(this.s, offset, size);
  }
  put(offset: number, value: Operand | number): void {
    this.b.store(this.s, offset, 8, value as Operand);
  }
  assign(dst: Reg, value: Reg | { readonly imm: number }): void {
    if (typeof value === 'number') this.b.mov(dst, value);
    else this.b.push({ op: 'const', dst, value: BigInt(value.imm) });
  }
  register(number: number): Reg {
    return this.get(stateAt.registers + 8 * number);
  }
  putRegister(number: number, value: Operand): void {
    this.put(stateAt.registers + 8 * number, value);
  }
  plus(left: Reg, imm: number): Reg {
    return imm === 0 ? left : this.b.alu('add', left, { imm });
  }
  when(condition: 'eq' | 'ne' | 'ult' | 'ule' | 'ugt' | 'uge', left: Reg, right: Operand, then: Build): void {
    const inverse = { eq: 'ne', ne: 'eq', ult: 'uge', ule: 'ugt', ugt: 'ule', uge: 'ult' } as const;
    const over = this.b.label();
    this.b.branch(inverse[condition], left, right, over);
    then(this);
    this.b.place(over);
  }
  /** Sign-extends the low `bits`. */
  signed(value: Reg, bits: 8 | 16 | 32): Reg {
    const dst = this.b.reg();
    this.b.push({ op: 'extend', dst, src: value, bits, signed: true });
    return dst;
  }
}
