/**
 * x86-64 instructions, as far as naming functions needs them: how long each is, its
 * opcode, and its operands where they can hold an address or `this`. Intel SDM volume 2,
 * chapter 2 (formats, REX, VEX, EVEX) and appendix A (opcode maps).
 *
 * Why not a full disassembler (iced-x86, Capstone): those are WebAssembly with a call
 * and an object for each instruction. Envoy has 16 million instructions; iced-x86 1.21
 * takes 400 ns each from JavaScript, this decoder under 20. Its lengths are tested
 * against objdump over whole programs.
 */

/** Opcode maps: the number of a two-byte opcode is 0x100 + its byte, and so on. */
export const MAP_0F = 0x100;
export const MAP_0F38 = 0x200;
export const MAP_0F3A = 0x300;

export const RAX = 0;
export const RDX = 2;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;
/** No register (or, as a base, an address relative to the instruction: see `ripRelative`). */
export const NONE = -1;

const MODRM = 1;
const IMM8 = 2;
const IMM16 = 4;
/** 32 bits, 16 with the operand-size prefix. */
const IMMZ = 8;
/** 32 bits whatever the prefixes: relative branches. */
const REL32 = 16;
const MOFFS = 32;
const BAD = 64;
/** As IMMZ, 64 bits with REX.W. */
const IMMV = 128;

const shapes: Uint8Array = new Uint8Array(0x400);

/** Ranges of opcodes and their shape, from appendix A; what is not listed has no operand bytes. */
const table: readonly (readonly [from: number, to: number, shape: number])[] = [
  [0x27, 0x27, BAD],
  [0x2f, 0x2f, BAD],
  [0x37, 0x37, BAD],
  [0x3f, 0x3f, BAD],
  [0x60, 0x61, BAD],
  [0x63, 0x63, MODRM],
  [0x68, 0x68, IMMZ],
  [0x69, 0x69, MODRM | IMMZ],
  [0x6a, 0x6a, IMM8],
  [0x6b, 0x6b, MODRM | IMM8],
  [0x70, 0x7f, IMM8],
  [0x80, 0x80, MODRM | IMM8],
  [0x81, 0x81, MODRM | IMMZ],
  [0x82, 0x82, BAD],
  [0x83, 0x83, MODRM | IMM8],
  [0x84, 0x8f, MODRM],
  [0x9a, 0x9a, BAD],
  [0xa0, 0xa3, MOFFS],
  [0xa8, 0xa8, IMM8],
  [0xa9, 0xa9, IMMZ],
  [0xb0, 0xb7, IMM8],
  [0xb8, 0xbf, IMMV],
  [0xc0, 0xc1, MODRM | IMM8],
  [0xc2, 0xc2, IMM16],
  [0xc6, 0xc6, MODRM | IMM8],
  [0xc7, 0xc7, MODRM | IMMZ],
  [0xc8, 0xc8, IMM16 | IMM8],
  [0xca, 0xca, IMM16],
  [0xcd, 0xcd, IMM8],
  [0xce, 0xce, BAD],
  [0xd0, 0xd3, MODRM],
  [0xd4, 0xd6, BAD],
  [0xd8, 0xdf, MODRM],
  [0xe0, 0xe7, IMM8],
  [0xe8, 0xe9, REL32],
  [0xea, 0xea, BAD],
  [0xeb, 0xeb, IMM8],
  [0xf6, 0xf7, MODRM],
  [0xfe, 0xff, MODRM],
  [0x100, 0x103, MODRM],
  [0x104, 0x104, BAD],
  [0x10a, 0x10a, BAD],
  [0x10c, 0x10c, BAD],
  [0x10d, 0x10d, MODRM],
  [0x10f, 0x10f, MODRM | IMM8],
  [0x110, 0x123, MODRM],
  [0x124, 0x127, BAD],
  [0x128, 0x12f, MODRM],
  [0x136, 0x136, BAD],
  [0x139, 0x139, BAD],
  [0x13b, 0x13f, BAD],
  [0x140, 0x16f, MODRM],
  [0x170, 0x173, MODRM | IMM8],
  [0x174, 0x176, MODRM],
  [0x178, 0x17f, MODRM],
  [0x180, 0x18f, REL32],
  [0x190, 0x19f, MODRM],
  [0x1a3, 0x1a3, MODRM],
  [0x1a4, 0x1a4, MODRM | IMM8],
  [0x1a5, 0x1a5, MODRM],
  [0x1ab, 0x1ab, MODRM],
  [0x1ac, 0x1ac, MODRM | IMM8],
  [0x1ad, 0x1b9, MODRM],
  [0x1ba, 0x1ba, MODRM | IMM8],
  [0x1bb, 0x1c1, MODRM],
  [0x1c2, 0x1c2, MODRM | IMM8],
  [0x1c3, 0x1c3, MODRM],
  [0x1c4, 0x1c6, MODRM | IMM8],
  [0x1c7, 0x1c7, MODRM],
  [0x1d0, 0x1ff, MODRM],
  [0x200, 0x2ff, MODRM],
  [0x300, 0x3ff, MODRM | IMM8],
];
for (let row = 0; row < 0x40; row += 8) {
  shapes.fill(MODRM, row, row + 4);
  shapes[row + 4] = IMM8;
  shapes[row + 5] = IMMZ;
  shapes[row + 6] = BAD;
  shapes[row + 7] = BAD;
}
for (const [from, to, shape] of table) shapes.fill(shape, from, to + 1);

/** One decoder is used for all instructions: `decode` sets the fields anew. */
export class Decoder {
  /** Bytes of the instruction. */
  length: number = 0;
  /** Opcode byte, plus MAP_0F … for the other maps. */
  opcode: number = 0;
  /** The ModRM byte, -1 when there is none. */
  modrm: number = -1;
  /** ModRM's reg field with REX.R. */
  reg: number = 0;
  /** ModRM's rm field with REX.B, when it names a register; NONE for memory. */
  rm: number = NONE;
  /** Base register of a memory operand, NONE without. */
  base: number = NONE;
  /** Index register of a memory operand, NONE without. */
  index: number = NONE;
  /** Displacement of a memory operand, 0 when there is none. */
  displacement: number = 0;
  /** The memory operand counts from the end of the instruction. */
  ripRelative: boolean = false;
  /** The immediate operand's low 32 bits, signed; 0 when there is none. */
  immediate: number = 0;
  /** 8 bytes: REX.W. */
  wide: boolean = false;
  /** The low three bits of the opcode with REX.B: the register of push, pop and mov-immediate. */
  opcodeRegister: number = 0;
  /** Prefix 0xf3 or 0xf2, 0 for none. */
  repeat: number = 0;
  operandSize: boolean = false;

  /** Reads the instruction at `at`. false when the bytes are none, or go on past `end`. */
  decode(bytes: Uint8Array, at: number, end: number): boolean {
    let pos = at;
    let rex = 0;
    let vex = false;
    this.operandSize = false;
    this.repeat = 0;
    let addressSize = false;
    let opcode: number;
    // Past `end` a byte reads as whatever follows it; the check of the whole length at the end is enough.
    for (;;) {
      opcode = bytes[pos++] as number;
      if (opcode === 0x66) this.operandSize = true;
      else if (opcode === 0xf2 || opcode === 0xf3) this.repeat = opcode;
      else if (opcode === 0x67) addressSize = true;
      else if ((opcode & 0xf0) === 0x40) {
        // REX counts only right before the opcode.
        rex = opcode;
        opcode = bytes[pos++] as number;
        break;
      } else if (opcode !== 0x2e && opcode !== 0x36 && opcode !== 0x3e && opcode !== 0x26) {
        if (opcode !== 0x64 && opcode !== 0x65 && opcode !== 0xf0) break;
      }
      if (pos - at > 14) return false;
    }
    if (opcode === 0x0f) {
      opcode = bytes[pos++] as number;
      if (opcode === 0x38) opcode = MAP_0F38 | (bytes[pos++] as number);
      else if (opcode === 0x3a) opcode = MAP_0F3A | (bytes[pos++] as number);
      else opcode |= MAP_0F;
    } else if (opcode === 0xc5) {
      vex = true;
      const second = bytes[pos++] as number;
      rex = (second & 0x80) === 0 ? 4 : 0;
      opcode = MAP_0F | (bytes[pos++] as number);
    } else if (opcode === 0xc4 || opcode === 0x62) {
      vex = true;
      const second = bytes[pos++] as number;
      const third = bytes[pos++] as number;
      const map = second & (opcode === 0x62 ? 7 : 0x1f);
      if (opcode === 0x62) pos++;
      rex = ((~second >>> 5) & 7) | ((third >>> 4) & 8);
      opcode = (map === 3 ? MAP_0F3A : map === 2 || map > 3 ? MAP_0F38 : MAP_0F) | (bytes[pos++] as number);
      if (map === 0 || map > 7) return false;
    }
    const shape = shapes[opcode] as number;
    if ((shape & BAD) !== 0) return false;
    this.opcode = opcode;
    this.wide = (rex & 8) !== 0;
    this.opcodeRegister = (opcode & 7) | ((rex & 1) << 3);
    this.modrm = -1;
    this.rm = NONE;
    this.base = NONE;
    this.index = NONE;
    this.ripRelative = false;
    this.displacement = 0;
    this.immediate = 0;
    let immediateShape = shape;
    if ((shape & MODRM) !== 0) {
      const modrm = bytes[pos++] as number;
      this.modrm = modrm;
      this.reg = ((modrm >>> 3) & 7) | ((rex & 4) << 1);
      const mod = modrm >>> 6;
      const rm = modrm & 7;
      if (mod === 3) this.rm = rm | ((rex & 1) << 3);
      else {
        let base = rm;
        if (rm === 4) {
          const sib = bytes[pos++] as number;
          base = sib & 7;
          const index = ((sib >>> 3) & 7) | ((rex & 2) << 2);
          if (index !== 4) this.index = index;
          if (base === 5 && mod === 0) {
            this.displacement = readI32(bytes, pos);
            pos += 4;
          } else this.base = base | ((rex & 1) << 3);
        } else if (rm === 5 && mod === 0) {
          this.ripRelative = true;
          this.displacement = readI32(bytes, pos);
          pos += 4;
        } else this.base = base | ((rex & 1) << 3);
        if (mod === 1) this.displacement = ((bytes[pos++] as number) << 24) >> 24;
        else if (mod === 2) {
          this.displacement = readI32(bytes, pos);
          pos += 4;
        }
      }
      if (opcode === 0xf6 && (modrm & 0x30) === 0) immediateShape |= IMM8;
      else if (opcode === 0xf7 && (modrm & 0x30) === 0) immediateShape |= IMMZ;
    }
    if ((immediateShape & ~MODRM) !== 0) {
      if ((immediateShape & IMM16) !== 0) pos += 2;
      if ((immediateShape & IMM8) !== 0) {
        this.immediate = ((bytes[pos] as number) << 24) >> 24;
        pos++;
      } else if ((immediateShape & (IMMZ | IMMV)) !== 0) {
        if (this.operandSize && !this.wide && !vex) {
          this.immediate = (((bytes[pos] as number) | ((bytes[pos + 1] as number) << 8)) << 16) >> 16;
          pos += 2;
        } else {
          this.immediate = readI32(bytes, pos);
          pos += (immediateShape & IMMV) !== 0 && this.wide ? 8 : 4;
        }
      } else if ((immediateShape & REL32) !== 0) {
        this.immediate = readI32(bytes, pos);
        pos += 4;
      } else if ((immediateShape & MOFFS) !== 0) pos += addressSize ? 4 : 8;
    }
    this.length = pos - at;
    return pos <= end && pos <= bytes.length;
  }
}

function readI32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}
