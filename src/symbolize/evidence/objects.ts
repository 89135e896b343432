/**
 * What a function does to the object that it was given: which virtual tables it stores
 * into it, and which functions it calls on it. Constructors and destructors store their
 * class's table (Itanium C++ ABI 2.5.3); a store to another object is an inlined
 * construction and says nothing about the function itself.
 *
 * The registers are followed in the order of the code; behind a jump they are as they were
 * at the branches to that place. `this` comes in
 * rdi and lives on in registers that calls preserve, and in the function's own frame.
 */
import { ET_EXEC } from '../../debuginfo/elf/constants.ts';
import type { Program } from './program.ts';
import type { Vtable, Vtables } from './vtables.ts';
import { Decoder, MAP_0F, NONE, RAX, RBP, RDI, RSI, RSP } from './x86.ts';

export interface Store {
  readonly table: Vtable;
  /** Where in the object. */
  readonly offset: number;
  /** How many calls came before. */
  readonly calls: number;
}

export interface ThisCall {
  readonly target: number;
  /** The register that it was passed in: rdi, or rsi. */
  readonly register: number;
  /** What was passed: the object plus this. */
  readonly offset: number;
  readonly isJump: boolean;
  /** How many stores of tables to the object came before. */
  readonly stores: number;
}

/** A call on what a member of the object points to. */
export interface MemberCall {
  readonly target: number;
  readonly register: number;
  /** Where in the object the pointer lies. */
  readonly member: number;
}

export interface ObjectUse {
  readonly stores: readonly Store[];
  readonly calls: readonly ThisCall[];
  readonly memberCalls: readonly MemberCall[];
  /** It returns the object's address: as a function does that makes an object for its caller, and a constructor not. */
  readonly returnsObject: boolean;
  /** How often it reads the object's members, and writes them (tables not counted). */
  readonly reads: number;
  readonly writes: number;
}

const NOTHING = 0;
const THIS = 1;
const CONSTANT = 2;
/** Loaded from the object; the value is where from. */
const LOADED = 3;

/** Registers that a call does not preserve: rax, rcx, rdx, rsi, rdi, r8 to r11. */
const clobbered = [0, 1, 2, 6, 7, 8, 9, 10, 11];

/** The registers that an object comes in. */
const objectRegisters = [RDI, RSI];

/** Functions are long where much is inlined; their beginnings tell. */
const mostBytes = 16 << 10;

export class Objects {
  readonly #program: Program;
  readonly #vtables: Vtables;
  readonly #one: Decoder = new Decoder();
  readonly #kind: Uint8Array = new Uint8Array(16);
  readonly #value: Float64Array = new Float64Array(16);
  /** The two halves of the SSE registers, 0 when not known to be constants. */
  readonly #low: Float64Array = new Float64Array(32);
  readonly #high: Float64Array = new Float64Array(32);

  constructor(program: Program, vtables: Vtables) {
    this.#program = program;
    this.#vtables = vtables;
  }

  /** Follows `this` through a function; it comes in `register`. What stands behind the instruction at `last` is not read. */
  read(index: number, register: number = RDI, last: number = Infinity): ObjectUse {
    const stores: Store[] = [];
    const calls: ThisCall[] = [];
    const memberCalls: MemberCall[] = [];
    const { bounds, image, pointers } = this.#program;
    const start = bounds.starts[index] as number;
    const part = image.partAt(start);
    if (part === undefined) return { stores, calls, memberCalls, returnsObject: false, reads: 0, writes: 0 };
    const one = this.#one;
    const kind = this.#kind.fill(NOTHING);
    const value = this.#value;
    this.#low.fill(0);
    this.#high.fill(0);
    /** Where in the frame the object's address has been put: offset from rbp or rsp → offset within the object. */
    let frame: Map<number, number> | undefined;
    const slotOf = (one: Decoder): number => one.displacement * 2 + (one.base === RSP ? 1 : 0);
    kind[register] = THIS;
    value[register] = 0;
    const fixed = image.elf.header.type === ET_EXEC;
    const { bytes } = part;
    const size = Math.min(bounds.sizes[index] as number, mostBytes);
    const end = start - part.address + size;
    let made = 0;
    let reads = 0;
    let writes = 0;
    let returnsObject = false;
    const store = (offset: number, pointer: number): void => {
      const table = this.#vtables.at(pointer);
      if (table !== undefined) stores.push({ table, offset, calls: made });
    };
    /** For each place that a branch leads to, the registers that hold the object's address there, a bit each. */
    let branches: Map<number, number> | undefined;
    /** The last of them where a register does. */
    let lastHeld = 0;
    const branch = (to: number): void => {
      let holders = 0;
      for (let one = 0; one < 16; one++) if (kind[one] === THIS && value[one] === 0) holders |= 1 << one;
      if (holders !== 0 && to > lastHeld) lastHeld = to;
      branches ??= new Map();
      branches.set(to, (branches.get(to) ?? 0xffff) & holders);
    };
    let afterJump = false;
    const stop = Math.min(end, last - part.address + 1);
    for (let at = start - part.address; at < stop; ) {
      if (!one.decode(bytes, at, end)) break;
      if (afterJump) {
        const holders = branches?.get(at) ?? 0;
        for (let one = 0; holders >>> one !== 0; one++) {
          if (((holders >>> one) & 1) === 0) continue;
          kind[one] = THIS;
          value[one] = 0;
        }
      }
      afterJump = one.opcode === 0xe9 || one.opcode === 0xeb || one.opcode === 0xc3;
      at += one.length;
      const next = at + part.address;
      const { opcode, rm, reg, base } = one;
      // What a memory operand's address is known to be: relative to the instruction, or to `this`.
      const memory = one.ripRelative ? next + one.displacement : 0;
      const onObject = base >= 0 && one.index === NONE && kind[base] === THIS;
      const offset = onObject ? (value[base] as number) + one.displacement : 0;
      if (opcode === 0xe9 || opcode === 0xeb || (opcode & 0x1f0) === 0x180 || (opcode & 0x3f0) === 0x70) {
        // Backwards leads to what has been read.
        const to = at + one.immediate;
        if (to > at && to < end) branch(to);
      }
      if (opcode === 0xc3 && kind[RAX] === THIS && value[RAX] === 0) returnsObject = true;
      if (onObject && opcode !== 0x8d) {
        if (isStore(opcode)) writes++;
        else if (opcode !== 0xff) reads++;
      }
      if (
        opcode === 0xe8 ||
        opcode === 0xe9 ||
        (opcode === 0xff && one.modrm >= 0 && (reg & 6) !== 0 && (reg & 1) === 0)
      ) {
        const isJump = opcode === 0xe9 || (opcode === 0xff && reg === 4);
        if (opcode === 0xff && reg !== 2 && reg !== 4) continue;
        // A call through the GOT is told by its word where that is bound to a library's function.
        const through = one.ripRelative ? pointers.at(memory) || memory : 0;
        const target = opcode === 0xff ? through : next + one.immediate;
        const inside = isJump && target >= start && target < start + size;
        const passed = kind[RDI] === THIS ? RDI : kind[RSI] === THIS ? RSI : NONE;
        if (!inside && passed !== NONE && target !== 0) {
          calls.push({ target, register: passed, offset: value[passed] as number, isJump, stores: stores.length });
        }
        for (const one of objectRegisters) {
          if (inside || kind[one] !== LOADED || target === 0) continue;
          memberCalls.push({ target, register: one, member: value[one] as number });
        }
        if (!isJump) {
          made++;
          for (let one = 0; one < clobbered.length; one++) kind[clobbered[one] as number] = NOTHING;
          // Nothing of the object is left, here or where a branch leads to: the rest tells nothing of it.
          if (lastHeld < at && (frame === undefined || frame.size === 0) && !holdsObject(kind)) break;
        }
        continue;
      }
      if (opcode === 0x89 || opcode === 0x8b) {
        const to = opcode === 0x89 ? rm : reg;
        const from = opcode === 0x89 ? reg : rm;
        if (to >= 0 && from >= 0) {
          kind[to] = one.wide || kind[from] === CONSTANT ? (kind[from] as number) : NOTHING;
          value[to] = value[from] as number;
        } else if (opcode === 0x89) {
          if (onObject && one.wide && kind[reg] === CONSTANT) store(offset, value[reg] as number);
          else if ((base === RBP || base === RSP) && one.index === NONE && !onObject) {
            if (one.wide && kind[reg] === THIS) {
              frame ??= new Map();
              frame.set(slotOf(one), value[reg] as number);
            } else frame?.delete(slotOf(one));
          }
        } else {
          const kept =
            frame !== undefined && one.wide && (base === RBP || base === RSP) && one.index === NONE && !onObject
              ? frame.get(slotOf(one))
              : undefined;
          const loaded = one.ripRelative ? pointers.at(memory) : 0;
          kind[reg] = kept !== undefined ? THIS : loaded !== 0 ? CONSTANT : onObject && one.wide ? LOADED : NOTHING;
          value[reg] = kept ?? (onObject ? offset : loaded);
        }
        continue;
      }
      if (opcode === 0x8d) {
        if (one.ripRelative) {
          kind[reg] = CONSTANT;
          value[reg] = memory;
        } else if (base >= 0 && one.index === NONE && kind[base] !== NOTHING && kind[base] !== LOADED) {
          const sum = (value[base] as number) + one.displacement;
          kind[reg] = kind[base] as number;
          value[reg] = sum;
        } else kind[reg] = NOTHING;
        continue;
      }
      if (opcode === 0x83 || opcode === 0x81) {
        if (rm >= 0) {
          const operation = (one.modrm >>> 3) & 7;
          if (operation === 0 && kind[rm] !== LOADED) value[rm] = (value[rm] as number) + one.immediate;
          else if (operation !== 7) kind[rm] = NOTHING;
        }
        continue;
      }
      if ((opcode & 0x3f8) === 0xb8) {
        const to = one.opcodeRegister;
        kind[to] = one.wide ? NOTHING : CONSTANT;
        value[to] = one.immediate >>> 0;
        continue;
      }
      // A table in the middle of a class's group: a number, and the group's address from the GOT added to it.
      if (opcode === 0x03 && one.ripRelative && kind[reg] === CONSTANT) {
        const group = pointers.at(memory);
        kind[reg] = group !== 0 ? CONSTANT : NOTHING;
        value[reg] = group + (value[reg] as number);
        continue;
      }
      if (opcode === 0xc7) {
        if (rm >= 0) {
          kind[rm] = fixed ? CONSTANT : NOTHING;
          value[rm] = one.immediate >>> 0;
        } else if (fixed && onObject && one.wide) store(offset, one.immediate >>> 0);
        continue;
      }
      if (
        opcode >= MAP_0F &&
        opcode < MAP_0F + 0x100 &&
        this.#readVector(opcode - MAP_0F, memory, onObject, offset, store)
      ) {
        continue;
      }
      if ((opcode & 0x3f8) === 0x58) kind[one.opcodeRegister] = NOTHING;
      else if (one.modrm >= 0) {
        // Instructions whose destination is the reg field: loads, and arithmetic with the direction bit.
        const toRegister =
          opcode >= MAP_0F
            ? isGeneral(opcode)
            : opcode === 0x63 || opcode === 0x69 || opcode === 0x6b || (opcode < 0x40 && (opcode & 2) !== 0);
        if (toRegister) {
          if ((opcode & 0x38) !== 0x38 || opcode >= 0x40) kind[reg] = NOTHING;
        } else if (rm >= 0 && opcode < MAP_0F && writesOperand(opcode, one.modrm)) kind[rm] = NOTHING;
      }
    }
    return { stores, calls, memberCalls, returnsObject, reads, writes };
  }

  /** SSE moves, by which compilers store two pointers at once. Returns whether it was one. */
  #readVector(
    opcode: number,
    memory: number,
    onObject: boolean,
    offset: number,
    store: (offset: number, pointer: number) => void,
  ): boolean {
    const one = this.#one;
    const low = this.#low;
    const high = this.#high;
    const { reg, rm } = one;
    const { pointers } = this.#program;
    switch (opcode) {
      case 0x6e: // movq xmm, r64
        low[reg] = rm >= 0 && one.wide && this.#kind[rm] === CONSTANT ? (this.#value[rm] as number) : 0;
        high[reg] = 0;
        return true;
      case 0x7e: // movq xmm, m64 (f3); movq r64, xmm
        if (one.repeat === 0xf3) {
          low[reg] = memory !== 0 ? pointers.at(memory) : 0;
          high[reg] = 0;
        } else if (rm >= 0) this.#kind[rm] = NOTHING;
        return true;
      case 0x6c: // punpcklqdq
        high[reg] = rm >= 0 ? (low[rm] as number) : memory !== 0 ? pointers.at(memory) : 0;
        return true;
      case 0x16: // movhps xmm, m64
        high[reg] = memory !== 0 ? pointers.at(memory) : 0;
        return true;
      case 0x10:
      case 0x28:
      case 0x6f: // movups, movaps, movdqa, movdqu xmm, m128
        low[reg] = rm >= 0 ? (low[rm] as number) : memory !== 0 ? pointers.at(memory) : 0;
        high[reg] = rm >= 0 ? (high[rm] as number) : memory !== 0 ? pointers.at(memory + 8) : 0;
        return true;
      case 0x11:
      case 0x29:
      case 0x7f: // the same, to memory
        if (onObject) {
          if (low[reg] !== 0) store(offset, low[reg] as number);
          if (high[reg] !== 0) store(offset + 8, high[reg] as number);
        }
        return true;
      case 0xd6: // movq m64, xmm
      case 0x13: // movlps m64, xmm
        if (onObject && low[reg] !== 0) store(offset, low[reg] as number);
        return true;
      case 0x17: // movhps m64, xmm
        if (onObject && high[reg] !== 0) store(offset, high[reg] as number);
        return true;
      case 0x57:
      case 0xef: // xorps, pxor
        low[reg] = 0;
        high[reg] = 0;
        return true;
      default:
        return false;
    }
  }
}

/** Whether a register holds an address in the object, or what was loaded from it. */
function holdsObject(kind: Uint8Array): boolean {
  for (let one = 0; one < 16; one++) if (kind[one] === THIS || kind[one] === LOADED) return true;
  return false;
}

/** Moves whose memory operand is the destination. */
function isStore(opcode: number): boolean {
  if (opcode < MAP_0F) return opcode === 0x88 || opcode === 0x89 || opcode === 0xc6 || opcode === 0xc7;
  const byte = opcode - MAP_0F;
  return byte === 0x11 || byte === 0x13 || byte === 0x17 || byte === 0x29 || byte === 0x7f || byte === 0xd6;
}

/** Two-byte opcodes that write a general register in the reg field: cmov, movzx, movsx, imul, bsf and bsr. */
function isGeneral(opcode: number): boolean {
  const byte = opcode & 0xff;
  if (opcode >= 0x200) return false;
  return (byte & 0xf0) === 0x40 || byte === 0xaf || byte === 0xb6 || byte === 0xb7 || (byte >= 0xb8 && byte <= 0xbf);
}

/** One-byte opcodes that write their rm operand. */
function writesOperand(opcode: number, modrm: number): boolean {
  if (opcode < 0x40) return (opcode & 0x38) !== 0x38;
  if (opcode === 0x84 || opcode === 0x85) return false;
  const extension = (modrm >>> 3) & 7;
  if (opcode === 0xf6 || opcode === 0xf7) return extension === 2 || extension === 3;
  if (opcode === 0xff || opcode === 0xfe) return extension < 2;
  return (
    opcode === 0x86 ||
    opcode === 0x87 ||
    opcode === 0x8f ||
    opcode === 0xc0 ||
    opcode === 0xc1 ||
    (opcode & 0xfc) === 0xd0
  );
}
