/** Registers of the probed code in a program's context (struct pt_regs of arch/x86 and arch/arm64). */
import type { Reg } from '../ir/ir.ts';
import type { Lower } from './lower.ts';

export interface Registers {
  /** Byte offset in pt_regs by name. */
  readonly offsets: Readonly<Record<string, number>>;
  readonly arguments: readonly string[];
  readonly result: string;
  readonly stack: string;
  readonly instruction: string;
  /** Bytes between the stack pointer and the first argument on the stack, at a function's entry. */
  readonly stackArguments: number;
}

const x86: Registers = {
  offsets: {
    r15: 0,
    r14: 8,
    r13: 16,
    r12: 24,
    bp: 32,
    bx: 40,
    r11: 48,
    r10: 56,
    r9: 64,
    r8: 72,
    ax: 80,
    cx: 88,
    dx: 96,
    si: 104,
    di: 112,
    orig_ax: 120,
    ip: 128,
    cs: 136,
    flags: 144,
    sp: 152,
    ss: 160,
  },
  arguments: ['di', 'si', 'dx', 'cx', 'r8', 'r9'],
  result: 'ax',
  stack: 'sp',
  instruction: 'ip',
  stackArguments: 8,
};

const arm64: Registers = {
  offsets: {
    ...Object.fromEntries(Array.from({ length: 31 }, (_, i) => [`r${i}`, 8 * i])),
    sp: 248,
    pc: 256,
    pstate: 264,
  },
  arguments: ['r0', 'r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7'],
  result: 'r0',
  stack: 'sp',
  instruction: 'pc',
  stackArguments: 0,
};

export const registersOf = (target: { readonly arch: 'x86_64' | 'arm64' }): Registers =>
  target.arch === 'x86_64' ? x86 : arm64;

/** Loads a register of the probed code. */
export function loadRegister(low: Lower, name: string): Reg {
  return low.b.load(low.context, registersOf(low.options.target).offsets[name] as number, 8);
}
