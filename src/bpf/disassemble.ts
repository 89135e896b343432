/**
 * Instructions as text, in the notation of the kernel's verifier log
 * (kernel/bpf/disasm.c), so that `-d bpf` and a refusal read alike.
 */
import { helperName } from './helpers.ts';
import { Alu, Atomic, Class, decodeInsn, type Insn, Jump, LD_IMM64, Mode, Size, SLOT_BYTES, SOURCE_X } from './insn.ts';

const ALU_SIGNS: Readonly<Record<number, string>> = {
  [Alu.ADD]: '+=',
  [Alu.SUB]: '-=',
  [Alu.MUL]: '*=',
  [Alu.DIV]: '/=',
  [Alu.OR]: '|=',
  [Alu.AND]: '&=',
  [Alu.LSH]: '<<=',
  [Alu.RSH]: '>>=',
  [Alu.MOD]: '%=',
  [Alu.XOR]: '^=',
  [Alu.MOV]: '=',
  [Alu.ARSH]: 's>>=',
};

const JUMP_SIGNS: Readonly<Record<number, string>> = {
  [Jump.JEQ]: '==',
  [Jump.JGT]: '>',
  [Jump.JGE]: '>=',
  [Jump.JSET]: '&',
  [Jump.JNE]: '!=',
  [Jump.JSGT]: 's>',
  [Jump.JSGE]: 's>=',
  [Jump.JLT]: '<',
  [Jump.JLE]: '<=',
  [Jump.JSLT]: 's<',
  [Jump.JSLE]: 's<=',
};

const SIZES: Readonly<Record<number, string>> = { [Size.W]: 'u32', [Size.H]: 'u16', [Size.B]: 'u8', [Size.DW]: 'u64' };
const SIGNED_SIZES: Readonly<Record<number, string>> = {
  [Size.W]: 's32',
  [Size.H]: 's16',
  [Size.B]: 's8',
  [Size.DW]: 's64',
};

const ATOMIC_NAMES: Readonly<Record<number, string>> = {
  [Atomic.ADD]: 'add',
  [Atomic.OR]: 'or',
  [Atomic.AND]: 'and',
  [Atomic.XOR]: 'xor',
};

const signed = (value: number): string => (value < 0 ? String(value) : `+${value}`);
const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;

/** What stands in a ld_imm64 of the given slot instead of its number, e.g. `map[events]`. */
export type ImmediateName = (slot: number) => string | undefined;

export interface DisassembleOptions {
  readonly nameOf?: ImmediateName;
}

function arithmetic(insn: Insn): string {
  const cls = insn.opcode & 7;
  const operation = insn.opcode & 0xf0;
  const letter = cls === Class.ALU64 ? 'r' : 'w';
  const dst = `${letter}${insn.dst}`;
  if (operation === Alu.NEG) return `${dst} = -${dst}`;
  if (operation === Alu.END) {
    const r = `r${insn.dst}`;
    if (cls === Class.ALU64) return `${r} = bswap${insn.imm} ${r}`;
    return `${r} = ${insn.opcode & SOURCE_X ? 'be' : 'le'}${insn.imm} ${r}`;
  }
  const sign = ALU_SIGNS[operation];
  if (sign === undefined) return `(unknown arithmetic ${hex(insn.opcode)})`;
  // offset 1 makes div and mod signed, 8, 16 or 32 makes mov sign-extend (Linux 6.6).
  const isDivision = operation === Alu.DIV || operation === Alu.MOD;
  const operator = isDivision && insn.offset === 1 ? `s${sign}` : sign;
  if ((insn.opcode & SOURCE_X) === 0) return `${dst} ${operator} ${insn.imm}`;
  const cast = operation === Alu.MOV && insn.offset !== 0 ? `(s${insn.offset})` : '';
  return `${dst} ${operator} ${cast}${letter}${insn.src}`;
}

function jump(insn: Insn): string {
  const cls = insn.opcode & 7;
  const operation = insn.opcode & 0xf0;
  if (operation === Jump.CALL) {
    if (insn.src === 1) return `call pc${signed(insn.imm)}`;
    if (insn.src === 2) return `call kernel-function#${insn.imm}`;
    return `call ${helperName(insn.imm) ?? 'unknown'}#${insn.imm}`;
  }
  if (operation === Jump.EXIT) return 'exit';
  if (operation === Jump.JA)
    return cls === Class.JMP32 ? `gotol pc${signed(insn.imm)}` : `goto pc${signed(insn.offset)}`;
  const sign = JUMP_SIGNS[operation];
  if (sign === undefined) return `(unknown jump ${hex(insn.opcode)})`;
  const letter = cls === Class.JMP32 ? 'w' : 'r';
  const right = insn.opcode & SOURCE_X ? `${letter}${insn.src}` : hex(insn.imm);
  return `if ${letter}${insn.dst} ${sign} ${right} goto pc${signed(insn.offset)}`;
}

function memory(insn: Insn): string {
  const cls = insn.opcode & 7;
  const mode = insn.opcode & 0xe0;
  const bits = insn.opcode & 0x18;
  const size = SIZES[bits] as string;
  if (cls === Class.LDX) {
    const type = mode === Mode.MEMSX ? (SIGNED_SIZES[bits] as string) : size;
    return `r${insn.dst} = *(${type} *)(r${insn.src} ${signed(insn.offset)})`;
  }
  const place = `(${size} *)(r${insn.dst} ${signed(insn.offset)})`;
  if (cls === Class.ST) return `*${place} = ${insn.imm}`;
  if (mode === Mode.MEM) return `*${place} = r${insn.src}`;
  const width = bits === Size.DW ? '64' : '';
  if (insn.imm === Atomic.CMPXCHG) return `r0 = atomic${width}_cmpxchg(${place}, r0, r${insn.src})`;
  if (insn.imm === Atomic.XCHG) return `r${insn.src} = atomic${width}_xchg(${place}, r${insn.src})`;
  const operation = insn.imm & ~Atomic.FETCH;
  const name = ATOMIC_NAMES[operation];
  if (mode !== Mode.ATOMIC || name === undefined) return `(unknown store ${hex(insn.opcode)} ${hex(insn.imm)})`;
  if (insn.imm & Atomic.FETCH) return `r${insn.src} = atomic${width}_fetch_${name}(${place}, r${insn.src})`;
  return `lock *${place} ${ALU_SIGNS[operation] as string} r${insn.src}`;
}

/** One instruction; `high` is the second slot's imm of a ld_imm64. */
export function formatInsn(insn: Insn, high = 0, name?: string): string {
  switch (insn.opcode & 7) {
    case Class.ALU:
    case Class.ALU64:
      return arithmetic(insn);
    case Class.JMP:
    case Class.JMP32:
      return jump(insn);
    case Class.LD: {
      if (insn.opcode !== LD_IMM64) return `(unknown load ${hex(insn.opcode)})`;
      if (name !== undefined) return `r${insn.dst} = ${name}`;
      if (insn.src === 4) return `r${insn.dst} = func[pc${signed(insn.imm)}]`;
      const value = (BigInt(high >>> 0) << 32n) | BigInt(insn.imm >>> 0);
      return `r${insn.dst} = 0x${value.toString(16)}`;
    }
    default:
      return memory(insn);
  }
}

export interface Line {
  /** Slot number, as the verifier counts. */
  readonly slot: number;
  readonly opcode: number;
  readonly text: string;
}

/** All instructions of a program; the second slot of a ld_imm64 has no line. */
export function disassemble(code: Uint8Array, options: DisassembleOptions = {}): Line[] {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  const slots = Math.floor(code.byteLength / SLOT_BYTES);
  const lines: Line[] = [];
  for (let slot = 0; slot < slots; slot++) {
    const insn = decodeInsn(view, slot);
    const wide = insn.opcode === LD_IMM64;
    const high = wide && slot + 1 < slots ? decodeInsn(view, slot + 1).imm : 0;
    lines.push({ slot, opcode: insn.opcode, text: formatInsn(insn, high, options.nameOf?.(slot)) });
    if (wide) slot++;
  }
  return lines;
}
