/**
 * For tests: loads an emitted unit into the running kernel and runs it, and a second,
 * slow opinion on what a unit does, which works on the IR with bigints.
 */

import type { Emitted } from '../../src/compiler/emit/emit.ts';
import type { AluOperator, Condition, Instruction, IrFunction, Unit } from '../../src/compiler/ir/ir.ts';
import { btfLoad, mapCreate, mapLookup, mapUpdate, progLoad, progTestRun } from '../../src/kernel/sys/bpf.ts';
import { closeFd } from '../../src/kernel/sys/bpfcall.ts';

const PSEUDO_MAP_FD = 1;
const PSEUDO_MAP_VALUE = 2;

/** Loads as a raw tracepoint program; gives fd and the verifier's log. Throws ProgramRefusal. */
export function load(emitted: Emitted, maps: readonly number[], logLevel?: number): { fd: number; log: string } {
  const code = emitted.code.slice();
  const view = new DataView(code.buffer);
  for (const relocation of emitted.relocations) {
    if (relocation.kind === 'kernel_variable' || relocation.kind === 'kfunc')
      throw new Error('the tests name nothing of the kernel');
    const pseudo = relocation.kind === 'map_fd' ? PSEUDO_MAP_FD : PSEUDO_MAP_VALUE;
    code[relocation.insn * 8 + 1] = ((code[relocation.insn * 8 + 1] as number) & 15) | (pseudo << 4);
    view.setInt32(relocation.insn * 8 + 4, maps[relocation.map] as number, true);
    if (relocation.kind === 'map_value') view.setInt32(relocation.insn * 8 + 12, relocation.offset, true);
  }
  const btfFd = emitted.btf === undefined ? undefined : btfLoad(emitted.btf.btf);
  try {
    return progLoad({
      type: 'RAW_TRACEPOINT',
      name: 'emit_test',
      code,
      license: 'GPL',
      ...(logLevel === undefined ? {} : { log: { level: logLevel, size: 16 * 1024 * 1024 } }),
      ...(emitted.btf === undefined || btfFd === undefined
        ? {}
        : { btf: { fd: btfFd, funcInfo: emitted.btf.funcInfo, lineInfo: emitted.btf.lineInfo } }),
    });
  } finally {
    if (btfFd !== undefined) closeFd(btfFd);
  }
}

export interface Run {
  /** Lower 32 bits of what the program returned. */
  readonly result: number;
  /** The map's element afterwards. */
  readonly memory: Uint8Array;
}

/** Runs a unit in the kernel once per context, with one ARRAY map of one element of `size` bytes, zero at first. */
export function runInKernel(emitted: Emitted, contexts: readonly (readonly bigint[])[], size: number): Run[] {
  const map = mapCreate({ kind: 'ARRAY', name: 'emit_test', keySize: 4, valueSize: size, maxEntries: 1 });
  try {
    const { fd } = load(emitted, [map]);
    try {
      const key = new Uint8Array(4);
      return contexts.map((context) => {
        const memory = new Uint8Array(size);
        mapUpdate(map, key, memory);
        const words = BigUint64Array.from(context.map((value) => BigInt.asUintN(64, value)));
        const result = progTestRun(fd, new Uint8Array(words.buffer));
        mapLookup(map, key, memory);
        return { result, memory };
      });
    } finally {
      closeFd(fd);
    }
  } finally {
    closeFd(map);
  }
}

// The second opinion ------------------------------------------------------------

interface Pointer {
  readonly bytes: DataView;
  readonly offset: number;
}
type Value = bigint | Pointer;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const s64 = (value: bigint): bigint => BigInt.asIntN(64, value);

/** As ir.ts and RFC 9669 define it, on unsigned 64-bit values. */
const ARITHMETIC: Readonly<Record<AluOperator, (a: bigint, b: bigint) => bigint>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  udiv: (a, b) => (b === 0n ? 0n : a / b),
  sdiv: (a, b) => (b === 0n ? 0n : s64(a) / s64(b)),
  umod: (a, b) => (b === 0n ? a : a % b),
  smod: (a, b) => (b === 0n ? a : s64(a) % s64(b)),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => a << (b % 64n),
  lshr: (a, b) => a >> (b % 64n),
  ashr: (a, b) => s64(a) >> (b % 64n),
};

const COMPARISON: Readonly<Record<Condition, (a: bigint, b: bigint, bits: number) => boolean>> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  ult: (a, b) => a < b,
  ule: (a, b) => a <= b,
  ugt: (a, b) => a > b,
  uge: (a, b) => a >= b,
  slt: (a, b, bits) => BigInt.asIntN(bits, a) < BigInt.asIntN(bits, b),
  sle: (a, b, bits) => BigInt.asIntN(bits, a) <= BigInt.asIntN(bits, b),
  sgt: (a, b, bits) => BigInt.asIntN(bits, a) > BigInt.asIntN(bits, b),
  sge: (a, b, bits) => BigInt.asIntN(bits, a) >= BigInt.asIntN(bits, b),
  set: (a, b) => (a & b) !== 0n,
};

function readMemory(at: Pointer, size: number): bigint {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(at.bytes.getUint8(at.offset + i));
  return value;
}

function writeMemory(at: Pointer, size: number, value: bigint): void {
  for (let i = 0; i < size; i++) at.bytes.setUint8(at.offset + i, Number((value >> BigInt(8 * i)) & 0xffn));
}

const view = (size: number): DataView => new DataView(new ArrayBuffer(size));

/** Runs the main function; `helper(number, args)` gives a helper's result. Throws on what the verifier would refuse. */
export function interpret(
  unit: Unit,
  context: readonly bigint[],
  memory: Uint8Array,
  helper: (number: number, args: readonly bigint[]) => bigint,
): bigint {
  const mapValue = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  const contextBytes = view(context.length * 8);
  for (const [index, value] of context.entries()) contextBytes.setBigUint64(index * 8, u64(value), true);
  let budget = 1_000_000;

  const call = (fn: IrFunction, args: readonly Value[]): bigint => {
    const registers: (Value | undefined)[] = [];
    const slots = fn.slots.map((slot) => view(slot.size));
    const labels = new Map<number, number>();
    for (const [at, instruction] of fn.code.entries())
      if (instruction.op === 'label') labels.set(instruction.label, at);
    for (const [index, reg] of fn.parameters.entries()) registers[reg] = args[index] as Value;
    const get = (reg: number): Value => {
      const value = registers[reg];
      if (value === undefined) throw new Error(`%${reg} has no value`);
      return value;
    };
    const scalar = (operand: number | { readonly imm: number }): bigint => {
      const value = typeof operand === 'number' ? get(operand) : u64(BigInt(operand.imm));
      if (typeof value !== 'bigint') throw new Error('a pointer where a scalar should be');
      return value;
    };
    const pointer = (reg: number, offset: number): Pointer => {
      const value = get(reg);
      if (typeof value === 'bigint') throw new Error('a scalar where a pointer should be');
      return { bytes: value.bytes, offset: value.offset + offset };
    };
    for (let at = 0; ; at++) {
      if (budget-- <= 0) throw new Error('the program does not end');
      const i = fn.code[at] as Instruction;
      switch (i.op) {
        case 'const':
          registers[i.dst] = u64(i.value);
          break;
        case 'mov':
          registers[i.dst] = get(i.src);
          break;
        case 'alu': {
          const left = get(i.left);
          if (typeof left === 'bigint') registers[i.dst] = u64(ARITHMETIC[i.operator](left, scalar(i.right)));
          else
            registers[i.dst] = pointer(i.left, Number(s64(i.operator === 'sub' ? -scalar(i.right) : scalar(i.right))));
          break;
        }
        case 'neg':
          registers[i.dst] = u64(-scalar(i.src));
          break;
        case 'extend':
          registers[i.dst] = u64(
            i.signed ? BigInt.asIntN(i.bits, scalar(i.src)) : BigInt.asUintN(i.bits, scalar(i.src)),
          );
          break;
        case 'bswap': {
          const bytes = view(8);
          bytes.setBigUint64(0, scalar(i.src), true);
          registers[i.dst] =
            i.bits === 64 ? bytes.getBigUint64(0) : BigInt(i.bits === 32 ? bytes.getUint32(0) : bytes.getUint16(0));
          break;
        }
        case 'load':
          registers[i.dst] = readMemory(pointer(i.base, i.offset), i.size);
          break;
        case 'store':
          writeMemory(pointer(i.base, i.offset), i.size, scalar(i.value));
          break;
        case 'atomic': {
          const place = pointer(i.base, i.offset);
          const old = readMemory(place, i.size);
          writeMemory(
            place,
            i.size,
            i.operator === 'xchg' ? scalar(i.value) : ARITHMETIC[i.operator](old, scalar(i.value)),
          );
          if (i.dst !== undefined) registers[i.dst] = old;
          break;
        }
        case 'slot':
          registers[i.dst] = { bytes: slots[i.slot] as DataView, offset: i.offset };
          break;
        case 'map_value':
          registers[i.dst] = { bytes: mapValue, offset: i.offset };
          break;
        case 'call': {
          const result = helper(i.helper, i.args.map(scalar));
          if (i.dst !== undefined) registers[i.dst] = u64(result);
          break;
        }
        case 'branch': {
          const left = BigInt.asUintN(i.bits, scalar(i.left));
          const right = BigInt.asUintN(i.bits, scalar(i.right));
          if (COMPARISON[i.condition](left, right, i.bits)) at = labels.get(i.to) as number;
          break;
        }
        case 'jump':
          at = labels.get(i.to) as number;
          break;
        case 'return':
          return scalar(i.value);
        case 'label':
          break;
        case 'map':
        case 'function':
          throw new Error(`${i.op} is not for this interpreter`);
      }
    }
  };
  return call(unit.functions[0] as IrFunction, [{ bytes: contextBytes, offset: 0 }]);
}
