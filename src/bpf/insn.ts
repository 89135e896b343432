/**
 * BPF instructions: 64-bit words of opcode, two register numbers, a 16-bit offset and a
 * 32-bit immediate. The specification is Documentation/bpf/standardization/
 * instruction-set.rst (RFC 9669); the register fields below are those of a
 * little-endian machine, dst in the low half of the second byte.
 */

/** Instruction classes: the low three bits of the opcode. */
export const Class = { LD: 0, LDX: 1, ST: 2, STX: 3, ALU: 4, JMP: 5, JMP32: 6, ALU64: 7 } as const;

/** Bit 3 of arithmetic and jump opcodes: the second operand is the immediate (K) or src (X). */
export const SOURCE_X = 0x08;

/** Operation of ALU and ALU64 opcodes, in the high four bits. */
export const Alu = {
  ADD: 0x00,
  SUB: 0x10,
  MUL: 0x20,
  DIV: 0x30,
  OR: 0x40,
  AND: 0x50,
  LSH: 0x60,
  RSH: 0x70,
  NEG: 0x80,
  MOD: 0x90,
  XOR: 0xa0,
  MOV: 0xb0,
  ARSH: 0xc0,
  END: 0xd0,
} as const;

/** Operation of JMP and JMP32 opcodes, in the high four bits. */
export const Jump = {
  JA: 0x00,
  JEQ: 0x10,
  JGT: 0x20,
  JGE: 0x30,
  JSET: 0x40,
  JNE: 0x50,
  JSGT: 0x60,
  JSGE: 0x70,
  CALL: 0x80,
  EXIT: 0x90,
  JLT: 0xa0,
  JLE: 0xb0,
  JSLT: 0xc0,
  JSLE: 0xd0,
} as const;

/** Mode of load and store opcodes, in the high three bits. MEMSX from Linux 6.6. */
export const Mode = { IMM: 0x00, ABS: 0x20, IND: 0x40, MEM: 0x60, MEMSX: 0x80, ATOMIC: 0xc0 } as const;

/** Size of load and store opcodes, in bits 3 and 4. */
export const Size = { W: 0x00, H: 0x08, B: 0x10, DW: 0x18 } as const;

/** imm of an atomic instruction. and, or, xor, xchg, cmpxchg and FETCH from Linux 5.12. */
export const Atomic = { ADD: 0x00, OR: 0x40, AND: 0x50, XOR: 0xa0, FETCH: 0x01, XCHG: 0xe1, CMPXCHG: 0xf1 } as const;

/** r10: the read-only frame pointer. */
export const FRAME_POINTER = 10;
/** Bytes of one instruction slot; ld_imm64 takes two. */
export const SLOT_BYTES = 8;
/** Bytes of stack that a program and the functions below it have together. */
export const STACK_BYTES = 512;

export const LD_IMM64: number = Class.LD | Mode.IMM | Size.DW;
export const CALL: number = Class.JMP | Jump.CALL;
export const EXIT: number = Class.JMP | Jump.EXIT;
export const GOTO: number = Class.JMP | Jump.JA;
/** `gotol`: the offset is in imm. From Linux 6.6. */
export const GOTO_FAR: number = Class.JMP32 | Jump.JA;
export const MOV_X: number = Class.ALU64 | Alu.MOV | SOURCE_X;
export const MOV_K: number = Class.ALU64 | Alu.MOV;

/** Size bits for an access of 1, 2, 4 or 8 bytes. */
export const sizeBits = (bytes: 1 | 2 | 4 | 8): number =>
  bytes === 8 ? Size.DW : bytes === 4 ? Size.W : bytes === 2 ? Size.H : Size.B;

/** Number of conditional jumps in a program. */
export function conditionalJumps(code: Uint8Array): number {
  let count = 0;
  for (let at = 0; at < code.length; at += SLOT_BYTES) {
    const opcode = code[at] as number;
    const jumps = (opcode & 7) === Class.JMP || (opcode & 7) === Class.JMP32;
    const operation = opcode & 0xf0;
    if (jumps && operation !== Jump.JA && operation !== Jump.CALL && operation !== Jump.EXIT) count++;
    if (opcode === LD_IMM64) at += SLOT_BYTES;
  }
  return count;
}

export interface Insn {
  readonly opcode: number;
  readonly dst: number;
  readonly src: number;
  readonly offset: number;
  readonly imm: number;
}

/** Writes one slot at `index` (in slots). */
export function encodeInsn(code: DataView, index: number, insn: Insn): void {
  const at = index * SLOT_BYTES;
  code.setUint8(at, insn.opcode);
  code.setUint8(at + 1, (insn.src << 4) | insn.dst);
  code.setInt16(at + 2, insn.offset, true);
  code.setInt32(at + 4, insn.imm, true);
}

/** Reads the slot at `index` (in slots). */
export function decodeInsn(code: DataView, index: number): Insn {
  const at = index * SLOT_BYTES;
  const registers = code.getUint8(at + 1);
  return {
    opcode: code.getUint8(at),
    dst: registers & 15,
    src: registers >> 4,
    offset: code.getInt16(at + 2, true),
    imm: code.getInt32(at + 4, true),
  };
}
