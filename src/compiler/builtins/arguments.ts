/** argN, retval, reg(): what the registers hold (struct pt_regs of arch/x86 and arch/arm64). */
import { nearest } from '../../base/near.ts';
import type { Span } from '../../diag/source.ts';
import { uint64 } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import type { Lower } from '../lower/lower.ts';
import type { Sema } from '../sema/sema.ts';
import type { BuiltinFunction, BuiltinVariable } from './builtin.ts';

interface Registers {
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
    r15: 0, r14: 8, r13: 16, r12: 24, bp: 32, bx: 40, r11: 48, r10: 56, r9: 64, r8: 72, ax: 80, cx: 88,
    dx: 96, si: 104, di: 112, orig_ax: 120, ip: 128, cs: 136, flags: 144, sp: 152, ss: 160,
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
    sp: 248, pc: 256, pstate: 264,
  },
  arguments: ['r0', 'r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7'],
  result: 'r0',
  stack: 'sp',
  instruction: 'pc',
  stackArguments: 0,
};

export const registersOf = (target: { readonly arch: 'x86_64' | 'arm64' }): Registers => (target.arch === 'x86_64' ? x86 : arm64);

/** Loads a register of the probed code. */
export function loadRegister(low: Lower, name: string): Reg {
  return low.b.load(low.context, registersOf(low.options.target).offsets[name] as number, 8);
}

const lastArgument = 9;

function checkRegisters(sema: Sema, what: string, span: Span): boolean {
  const { provider, registers } = sema.probe;
  if (registers || (what.startsWith('arg') && provider === 'rawtracepoint')) return true;
  sema.error(
    'no-registers',
    `The ${what} builtin can not be used with '${provider}' probes`,
    span,
    provider === 'tracepoint' ? 'tracepoints have args.NAME' : 'it is there in uprobes and kprobes',
  );
  return false;
}

export const argumentVariables: readonly BuiltinVariable[] = Array.from({ length: lastArgument + 1 }, (_, n) => ({
  name: `arg${n}`,
  about: `argument ${n} of the function, as a number`,
  type: (sema, node) => {
    if (checkRegisters(sema, `arg${n}`, node.span) && (sema.probe.provider === 'uretprobe' || sema.probe.provider === 'kretprobe')) {
      sema.error('no-args', `arg${n} is gone when a function returns`, node.span, 'keep it in a map at the entry: @a[tid] = arg0');
    }
    return uint64;
  },
  scalar: (low) => {
    if (low.probe.provider === 'rawtracepoint') return low.b.load(low.context, 8 * n, 8);
    const registers = registersOf(low.options.target);
    const name = registers.arguments[n];
    if (name !== undefined) return loadRegister(low, name);
    const stack = loadRegister(low, registers.stack);
    const offset = registers.stackArguments + 8 * (n - registers.arguments.length);
    return low.readScalar({ kind: 'memory', address: stack, offset, space: low.probe.userMemory ? 'user' : 'kernel' }, uint64);
  },
}));

export const retvalVariable: BuiltinVariable = {
  name: 'retval',
  about: 'return value of the function, as a number',
  type: (sema, node) => {
    const { provider } = sema.probe;
    if (provider !== 'uretprobe' && provider !== 'kretprobe') {
      sema.error('no-retval', `The retval builtin can not be used with '${provider}' probes`, node.span, 'it is there in uretprobes and kretprobes');
    }
    return uint64;
  },
  scalar: (low) => loadRegister(low, registersOf(low.options.target).result),
};

export const regFunction: BuiltinFunction = {
  name: 'reg',
  signature: 'reg("name")',
  about: 'a register of the probed code',
  arity: [1, 1],
  type: (sema, call) => {
    const argument = call.args[0];
    if (argument && argument.node !== 'type') sema.expr(argument);
    checkRegisters(sema, 'reg()', call.span);
    const name = sema.literalText(argument);
    const { offsets } = registersOf(sema.target);
    if (name === undefined || !(name in offsets)) {
      const near = nearest(name ?? '', Object.keys(offsets), 3);
      sema.error('unknown-register', `'${name ?? ''}' is not a valid register on this architecture (${sema.target.arch})`, argument?.span ?? call.span, `registers: ${(near.length > 0 ? near : Object.keys(offsets)).join(', ')}`);
      return uint64;
    }
    sema.facts.notes.set(call, name);
    return uint64;
  },
  scalar: (low, call) => loadRegister(low, low.facts.notes.get(call) as string),
};

/** Address of the probed function at its return. */
export const functionAddress = (low: Lower): Reg => low.b.call(bpfHelper.get_func_ip, [low.context]);
