/**
 * For tests: a BPF machine after RFC 9669, for what the kernel cannot show, such as the
 * arguments a helper is given. A read of a register or stack byte without a value throws.
 */
import { decodeInsn, type Insn } from '../../src/bpf/insn.ts';

const CONTEXT = 0x1000_0000n;
const MAP = 0x2000_0000n;
const STACK_TOP = 0x3000_0200n;
const PSEUDO_MAP_VALUE = 2;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const MASK32 = 0xffff_ffffn;

function arithmetic(insn: Insn, bits: 32 | 64, a: bigint, b: bigint): bigint {
  const left = BigInt.asUintN(bits, a);
  const right = BigInt.asUintN(bits, b);
  const shift = right % BigInt(bits);
  const isSigned = insn.offset === 1;
  const s = (value: bigint): bigint => BigInt.asIntN(bits, value);
  switch (insn.opcode & 0xf0) {
    case 0x00:
      return left + right;
    case 0x10:
      return left - right;
    case 0x20:
      return left * right;
    case 0x30:
      if (right === 0n) return 0n;
      return isSigned ? s(left) / s(right) : left / right;
    case 0x40:
      return left | right;
    case 0x50:
      return left & right;
    case 0x60:
      return left << shift;
    case 0x70:
      return left >> shift;
    case 0x80:
      return -left;
    case 0x90:
      if (right === 0n) return left;
      return isSigned ? s(left) % s(right) : left % right;
    case 0xa0:
      return left ^ right;
    case 0xb0:
      return insn.offset === 0 ? right : BigInt.asIntN(insn.offset, right);
    case 0xc0:
      return s(left) >> shift;
    default:
      throw new Error(`unknown arithmetic 0x${insn.opcode.toString(16)}`);
  }
}

function jumps(opcode: number, a: bigint, b: bigint): boolean {
  const bits = (opcode & 7) === 5 ? 64 : 32;
  const left = BigInt.asUintN(bits, a);
  const right = BigInt.asUintN(bits, b);
  const s = (value: bigint): bigint => BigInt.asIntN(bits, value);
  switch (opcode & 0xf0) {
    case 0x10:
      return left === right;
    case 0x20:
      return left > right;
    case 0x30:
      return left >= right;
    case 0x40:
      return (left & right) !== 0n;
    case 0x50:
      return left !== right;
    case 0x60:
      return s(left) > s(right);
    case 0x70:
      return s(left) >= s(right);
    case 0xa0:
      return left < right;
    case 0xb0:
      return left <= right;
    case 0xc0:
      return s(left) < s(right);
    case 0xd0:
      return s(left) <= s(right);
    default:
      throw new Error(`unknown jump 0x${opcode.toString(16)}`);
  }
}

/** Runs from slot 0; `helper` gets the registers r1 to r5 (undefined: without a value). Gives r0. */
export function simulate(
  code: Uint8Array,
  context: readonly bigint[],
  memory: Uint8Array,
  mapOffsets: ReadonlyMap<number, number>,
  helper: (number: number, args: readonly (bigint | undefined)[]) => bigint,
): bigint {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  const contextBytes = new Uint8Array(BigUint64Array.from(context.map(u64)).buffer);
  const stack = new Uint8Array(512);
  const written = new Uint8Array(512);
  const registers: (bigint | undefined)[] = new Array(11).fill(undefined);
  registers[1] = CONTEXT;
  registers[10] = STACK_TOP;
  const get = (reg: number): bigint => {
    const value = registers[reg];
    if (value === undefined) throw new Error(`r${reg} has no value`);
    return value;
  };
  const region = (address: bigint, size: number): { bytes: Uint8Array; at: number } => {
    for (const [start, bytes] of [
      [CONTEXT, contextBytes],
      [MAP, memory],
      [STACK_TOP - 512n, stack],
    ] as const) {
      const at = Number(address - start);
      if (at >= 0 && at + size <= bytes.length) return { bytes, at };
    }
    throw new Error(`no memory at 0x${address.toString(16)}`);
  };
  const read = (address: bigint, size: number): bigint => {
    const { bytes, at } = region(address, size);
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) {
      if (bytes === stack && !written[at + i]) throw new Error(`stack byte r10 ${at + i - 512} has no value`);
      value = (value << 8n) | BigInt(bytes[at + i] as number);
    }
    return value;
  };
  const write = (address: bigint, size: number, value: bigint): void => {
    const { bytes, at } = region(address, size);
    for (let i = 0; i < size; i++) {
      bytes[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
      if (bytes === stack) written[at + i] = 1;
    }
  };
  const atomic = (insn: Insn, size: number): void => {
    const address = get(insn.dst) + BigInt(insn.offset);
    const old = read(address, size);
    const value = get(insn.src);
    const results: Record<number, bigint> = {
      0: old + value,
      64: old | value,
      80: old & value,
      160: old ^ value,
      224: value,
    };
    write(address, size, u64(results[insn.imm & 0xf0] as bigint));
    if (insn.imm & 1) registers[insn.src] = old;
  };

  for (let slot = 0, steps = 0; ; slot++) {
    if (steps++ > 1_000_000) throw new Error('the program does not end');
    const insn = decodeInsn(view, slot);
    const cls = insn.opcode & 7;
    const source = insn.opcode & 8 ? undefined : BigInt(insn.imm);
    const size = [4, 2, 1, 8][(insn.opcode >> 3) & 3] as number;
    if (insn.opcode === 0x18) {
      const high = decodeInsn(view, slot + 1).imm;
      if (insn.src === PSEUDO_MAP_VALUE) registers[insn.dst] = MAP + BigInt(mapOffsets.get(slot) as number);
      else registers[insn.dst] = (BigInt(high >>> 0) << 32n) | BigInt(insn.imm >>> 0);
      slot++;
    } else if (cls === 7 || cls === 4) {
      const operation = insn.opcode & 0xf0;
      if (operation === 0xd0) {
        const bytes = new DataView(new ArrayBuffer(8));
        bytes.setBigUint64(0, get(insn.dst), true);
        const { imm } = insn;
        registers[insn.dst] =
          imm === 64 ? bytes.getBigUint64(0) : BigInt(imm === 32 ? bytes.getUint32(0) : bytes.getUint16(0));
        continue;
      }
      const bits = cls === 7 ? 64 : 32;
      const left = operation === 0xb0 ? 0n : get(insn.dst);
      const result = arithmetic(insn, bits, left, source ?? (operation === 0x80 ? 0n : get(insn.src)));
      registers[insn.dst] = bits === 64 ? u64(result) : result & MASK32;
    } else if (cls === 5 || cls === 6) {
      const operation = insn.opcode & 0xf0;
      if (operation === 0x90) return get(0);
      if (operation === 0x80) {
        registers[0] = u64(helper(insn.imm, registers.slice(1, 6)));
        registers.fill(undefined, 1, 6);
      } else if (operation === 0x00) slot += cls === 6 ? insn.imm : insn.offset;
      else if (jumps(insn.opcode, get(insn.dst), source ?? get(insn.src))) slot += insn.offset;
    } else if (cls === 1) registers[insn.dst] = read(get(insn.src) + BigInt(insn.offset), size);
    else if (cls === 3 && (insn.opcode & 0xe0) === 0xc0) atomic(insn, size);
    else write(get(insn.dst) + BigInt(insn.offset), size, u64(cls === 2 ? BigInt(insn.imm) : get(insn.src)));
  }
}
