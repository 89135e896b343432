/** Variables of the program: from where they are (types/location.ts) to places and registers. */
import { invariant } from '../../base/errors.ts';
import type { Target } from '../../target/target.ts';
import { findField, sizeOf } from '../../types/layout.ts';
import type { Computation, Location } from '../../types/location.ts';
import { uint64 } from '../../types/model.ts';
import type { ProgramVariable } from '../../types/source.ts';
import type { Condition, Reg } from '../ir/ir.ts';
import { bpfHelper } from './bpfhelper.ts';
import { align8 } from './layout.ts';
import type { Lower } from './lower.ts';
import { type DirectPlace, type Place, shifted } from './place.ts';
import { registersOf } from './registers.ts';

/** Names in struct pt_regs by DWARF number. */
const numbered: Readonly<Record<'x86_64' | 'arm64', readonly string[]>> = {
  x86_64: 'ax dx cx bx si di bp sp r8 r9 r10 r11 r12 r13 r14 r15 ip'.split(' '),
  arm64: [...Array.from({ length: 31 }, (_, i) => `r${i}`), 'sp', 'pc'],
};

/** Byte offset of a DWARF register in the program's context. */
function offsetOf(low: Lower, register: number): number {
  const { arch } = low.options.target;
  const name = numbered[arch][register];
  invariant(name !== undefined, `register ${register} is not in pt_regs`);
  return registersOf(low.options.target).offsets[name] as number;
}

const conditions: Readonly<Record<string, Condition>> = {
  eq: 'eq',
  ne: 'ne',
  slt: 'slt',
  sle: 'sle',
  sgt: 'sgt',
  sge: 'sge',
};

/** Carries out a computation. */
export function lowerComputation(low: Lower, computation: Computation): Reg {
  const { b } = low;
  switch (computation.op) {
    case 'constant':
      return b.const(computation.value);
    case 'register':
      return b.load(low.context, offsetOf(low, computation.register), 8);
    case 'address':
      return b.alu('add', loadBias(low), b.const(computation.address));
    case 'thread':
      return threadAddress(low, computation);
    case 'read': {
      const address = lowerComputation(low, computation.from);
      return low.readScalar({ kind: 'memory', address, offset: 0, space: 'user' }, unsignedOf(computation.size));
    }
    case 'neg': {
      const dst = b.reg();
      b.push({ op: 'neg', dst, src: lowerComputation(low, computation.of) });
      return dst;
    }
    case 'not':
      return b.alu('xor', lowerComputation(low, computation.of), { imm: -1 });
    case 'extend': {
      const dst = b.reg();
      const src = lowerComputation(low, computation.of);
      b.push({ op: 'extend', dst, src, bits: computation.bits, signed: computation.signed });
      return dst;
    }
    case 'binary': {
      const left = lowerComputation(low, computation.left);
      const { operator, right } = computation;
      const condition = conditions[operator];
      if (condition !== undefined) {
        const no = b.label();
        const dst = b.const(1);
        b.branch(condition, left, lowerComputation(low, right), no);
        b.push({ op: 'const', dst, value: 0n });
        b.place(no);
        return dst;
      }
      const alu = operator as Exclude<typeof operator, 'eq' | 'ne' | 'slt' | 'sle' | 'sgt' | 'sge'>;
      if (right.op === 'constant' && BigInt.asIntN(32, right.value) === right.value) {
        return b.alu(alu, left, { imm: Number(right.value) });
      }
      return b.alu(alu, left, lowerComputation(low, right));
    }
  }
}

const unsignedOf = (size: 1 | 2 | 4 | 8): typeof uint64 => ({ ...uint64, size });

/** What to add to a virtual address of the probed file to have the address in the process. */
function loadBias(low: Lower): Reg {
  const { b } = low;
  const probed = low.probe.function;
  invariant(probed !== undefined, 'an address without a probed function');
  if (probed.fixed) return b.const(0);
  // At the return the instruction pointer is the caller's: that of the entry was kept.
  const kept = low.keptPlace(entryInstruction(low.options.target));
  const ip = low.readScalar(
    kept ?? { kind: 'context', offset: offsetOf(low, instructionOf(low.options.target)) },
    uint64,
  );
  return b.alu('sub', ip, b.const(probed.address));
}

const instructionOf = (target: { readonly arch: 'x86_64' | 'arm64' }): number => (target.arch === 'x86_64' ? 16 : 32);

const entryInstructions = new Map<string, ProgramVariable>();

/** Where the function began, as a variable that a return probe may want kept. */
export function entryInstruction(target: { readonly arch: 'x86_64' | 'arm64' }): ProgramVariable {
  let variable = entryInstructions.get(target.arch);
  if (variable === undefined) {
    const location = { kind: 'register', register: instructionOf(target) } as const;
    variable = { name: '', type: uint64, declaration: '', location };
    entryInstructions.set(target.arch, variable);
  }
  return variable;
}

/** The address of a thread-local variable. The thread pointer is in the kernel's task_struct (arch/x86: thread.fsbase). */
function threadAddress(low: Lower, { offset, module, distance }: Computation & { op: 'thread' }): Reg {
  const { b } = low;
  const task = b.call(bpfHelper.get_current_task, []);
  const pointer = low.readScalar(
    { kind: 'memory', address: task, offset: threadPointerOffset(low.options.target) ?? 0, space: 'kernel' },
    uint64,
  );
  if (module === undefined && distance === undefined) return b.alu('add', pointer, { imm: offset });
  // glibc's tcbhead_t: the vector of blocks is the second word; two words for each module.
  const user = (address: Reg, at: number): Place => ({ kind: 'memory', address, offset: at, space: 'user' });
  const slot = b.alu('add', loadBias(low), b.const(module ?? distance ?? 0));
  const number = low.readScalar(user(slot, 0), uint64);
  if (module === undefined) return b.alu('add', b.alu('add', pointer, number), { imm: offset });
  const vector = low.readScalar(user(pointer, 8), uint64);
  const entry = b.alu('add', vector, b.alu('shl', number, { imm: 4 }));
  return b.alu('add', low.readScalar(user(entry, 0), uint64), { imm: offset });
}

/** Where task_struct has the thread pointer; undefined where the kernel's types do not tell. */
export function threadPointerOffset(target: Target): number | undefined {
  const task = target.kernelTypes()?.find('struct', 'task_struct');
  const thread = task?.kind === 'struct' ? findField(task, 'thread') : undefined;
  const composite = thread?.field.type;
  const base = composite?.kind === 'struct' ? findField(composite, 'fsbase') : undefined;
  return thread === undefined || base === undefined ? undefined : thread.offset + base.offset;
}

/** Where a value of `size` bytes is; what is not in memory as one is put together in memory of the program's own. */
export function placeOfLocation(low: Lower, location: Location, size: number): Place {
  switch (location.kind) {
    case 'register':
      return { kind: 'context', offset: offsetOf(low, location.register) };
    case 'memory':
      return {
        kind: 'memory',
        address: lowerComputation(low, location.address),
        offset: 0,
        space: low.probe.userMemory ? 'user' : 'kernel',
      };
    default: {
      const to = low.temporary(Math.max(8, align8(size)));
      fill(low, location, to, size);
      return to;
    }
  }
}

/** Writes a value into memory; of parts that cannot be had it writes zeros. */
function fill(low: Lower, location: Location, to: DirectPlace, size: number): void {
  switch (location.kind) {
    case 'value': {
      const value = lowerComputation(low, location.value);
      if (size >= 8) {
        low.b.store(to.base, to.offset, 8, value);
        if (size > 8) low.clear(shifted(to, 8), align8(size) - 8);
        return;
      }
      // Little-endian: the low bytes come first.
      const room = low.temporary(8);
      low.b.store(room.base, room.offset, 8, value);
      low.copy(to, room, size);
      return;
    }
    case 'bytes': {
      const room = low.temporary(Math.max(8, align8(size)));
      low.writeBytes(room, location.bytes.subarray(0, size), align8(size));
      low.copy(to, room, size);
      return;
    }
    case 'pieces': {
      let at = 0;
      for (const piece of location.pieces) {
        const length = Math.min(piece.size, size - at);
        if (length <= 0) return;
        fill(low, piece.location, shifted(to, at), length);
        at += piece.size;
      }
      return;
    }
    case 'unavailable':
      low.clear(to, size);
      return;
    default:
      low.copy(to, placeOfLocation(low, location, size), size);
  }
}

/** Where a variable's value is; of a reference, what it refers to. */
export function placeOfVariable(low: Lower, variable: ProgramVariable): Place {
  const { type, location } = variable;
  const kept = low.keptPlace(variable);
  const place = kept ?? placeOfLocation(low, location, sizeOf(type));
  if (type.kind !== 'pointer' || !type.reference) return place;
  return { kind: 'memory', address: low.readScalar(place, uint64), offset: 0, space: 'user' };
}
