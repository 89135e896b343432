/**
 * Memory that a program works with: reads of whatever can be read, by the address space,
 * and what is written to memory of its own. A read of traced memory that fails gives
 * zeros and is counted.
 */
import { sizeOf } from '../../types/layout.ts';
import type { AddressSpace, Type } from '../../types/model.ts';
import type { FunctionBuilder, Operand, Reg } from '../ir/ir.ts';
import type { ProbeContext } from '../probes/context.ts';
import type { SemaOptions } from '../sema/sema.ts';
import type { Assets } from './assets.ts';
import { bpfHelper } from './bpfhelper.ts';
import { align8 } from './layout.ts';
import { type DirectPlace, type Place, shifted } from './place.ts';

/** Longest run of bytes copied or cleared by instructions rather than by a helper. */
const inlineBytes = 128;
/** Reads of a program that are tried again: the rest would make it too long. */
const mostRetries = 200;
/** From this one on a scalar is read by a function, which is shared: it takes a call, but is tried again in any case. */
const sharedRetries = 80;

/** Lower without what it knows of scripts. */
export abstract class Memory {
  readonly assets: Assets;
  readonly probe: ProbeContext;
  readonly options: SemaOptions;

  constructor(assets: Assets, probe: ProbeContext, options: SemaOptions) {
    this.assets = assets;
    this.probe = probe;
    this.options = options;
  }

  /** The function being built, and its register with the context. */
  abstract get b(): FunctionBuilder;
  abstract get context(): Reg;
  /** Address of 8 bytes of stack for what is read. */
  abstract readBuffer(): Reg;
  /** Tells of a read that failed, where the user wants to hear of each (-k). */
  abstract tellFailedRead(what: string, result: Reg): void;
  /** A function of the unit that the verifier looks at once; see lower.ts. */
  abstract globalFunction(name: string, parameters: number, build: (parameters: readonly Reg[]) => Operand): number;
  /** Whether such a function is being built. */
  abstract get inGlobal(): boolean;

  /** A register holding the address of a direct place. */
  addressOf(place: DirectPlace): Reg {
    if (place.offset === 0) {
      const copy = this.b.reg('pointer');
      this.b.mov(copy, place.base);
      return copy;
    }
    return this.b.alu('add', place.base, { imm: place.offset });
  }

  /** Cuts a value to an integer type's width and extends it to 64 bits again. */
  narrowed(value: Reg, type: Type): Reg {
    if ((type.kind !== 'int' && type.kind !== 'enum') || type.size === 8) return value;
    const dst = this.b.reg();
    this.b.push({ op: 'extend', dst, src: value, bits: (type.size * 8) as 8 | 16 | 32, signed: type.signed });
    return dst;
  }

  /** Reads a scalar of that type. A read of traced memory that fails gives 0 and is counted. */
  readScalar(place: Place, type: Type, bits?: { readonly offset: number; readonly width: number }): Reg {
    const size = type.kind === 'bool' ? 1 : (sizeOf(type) as 1 | 2 | 4 | 8);
    const value = this.#readBytes(place, size);
    const signed = (type.kind === 'int' || type.kind === 'enum') && type.signed;
    if (bits) {
      const left = this.b.alu('shl', value, { imm: 64 - bits.offset - bits.width });
      return this.b.alu(signed ? 'ashr' : 'lshr', left, { imm: 64 - bits.width });
    }
    if (!signed || size === 8) return value;
    const dst = this.b.reg();
    this.b.push({ op: 'extend', dst, src: value, bits: (size * 8) as 8 | 16 | 32, signed: true });
    return dst;
  }

  #readBytes(place: Place, size: 1 | 2 | 4 | 8): Reg {
    if (place.kind === 'direct') return this.b.load(place.base, place.offset, size);
    // Pointers that the verifier knows the type of allow no arithmetic: they are read as the numbers they are.
    const typed = this.probe.attachTo !== undefined;
    if (place.kind === 'context' && place.offset % size === 0 && !typed)
      return this.b.load(this.context, place.offset, size);
    if (place.kind === 'memory' && place.space === 'user' && this.maySleep && !this.options.reportReads) {
      if (this.retries >= sharedRetries && !this.inGlobal) return this.#readShared(place, size);
    }
    const buffer = this.readBuffer();
    this.b.store(buffer, 0, 8, { imm: 0 });
    this.readMemory({ kind: 'direct', base: buffer, offset: 0 }, place, { imm: size });
    return this.b.load(buffer, 0, 8);
  }

  #readShared(place: Place & { kind: 'memory' }, size: 1 | 2 | 4 | 8): Reg {
    const read = this.globalFunction(`read_${size}`, 1, ([address]) =>
      this.#readBytes({ kind: 'memory', address: address as Reg, offset: 0, space: 'user' }, size),
    );
    const { address, offset } = place;
    return this.b.callFunction(read, [offset === 0 ? address : this.b.alu('add', address, { imm: offset })]);
  }

  /** Copies `size` bytes from any place to a direct one. */
  copy(to: DirectPlace, from: Place, size: number): void {
    if (size === 0) return;
    if (from.kind !== 'direct' || size > inlineBytes) {
      this.readMemory(to, from, { imm: size });
      return;
    }
    for (let at = 0; at < size; ) {
      const step = stepAt(size - at, (to.offset + at) | (from.offset + at));
      const value = this.b.load(from.base, from.offset + at, step);
      this.b.store(to.base, to.offset + at, step, value);
      at += step;
    }
  }

  /**
   * Reads by helper; fills `to` with zeros and counts when the memory cannot be read.
   * `size` may be a register bounded by the room at `to`.
   */
  readMemory(to: DirectPlace, from: Place, size: Operand): void {
    if (from.kind === 'direct' || from.kind === 'context') {
      const base = from.kind === 'direct' ? from.base : this.context;
      const source = this.b.alu('add', base, { imm: from.offset });
      this.b.call(bpfHelper.probe_read_kernel, [this.addressOf(to), size, source]);
      return;
    }
    this.tryReadSized(to, from, size);
  }

  /** Whether a read may wait for a page (decided by compile()), and whether one does. */
  maySleep: boolean = false;
  sleeps: boolean = false;
  /** Reads that are tried again so far. */
  protected retries: number = 0;

  /**
   * A read of the process's memory. Where the program may sleep, one that fails is tried
   * again after its pages have been asked for: bpf_probe_read_user never waits for them.
   */
  #readUser(address: Reg, size: Operand, text: boolean, read: () => Reg): Reg {
    const first = read();
    if (!this.maySleep || this.retries >= mostRetries) return first;
    this.retries++;
    this.sleeps = true;
    const b = this.b;
    const result = b.reg();
    const fine = b.label();
    b.mov(result, first);
    b.branch('sge', result, { imm: 0 }, fine);
    const slot = b.newSlot(8, 8, 'page');
    const touch = (at: Reg): void => void b.call(bpfHelper.copy_from_user, [b.slotAddress(slot), { imm: 1 }, at]);
    touch(address);
    // A text may go on in the next page, other values end in one.
    if (text) touch(b.alu('add', b.alu('or', address, { imm: 4095 }), { imm: 1 }));
    else if (typeof size === 'object' && size.imm > 1) touch(b.alu('add', address, { imm: size.imm - 1 }));
    else if (typeof size !== 'object') touch(b.alu('add', address, size));
    b.mov(result, read());
    b.place(fine);
    return result;
  }

  /** Runs the user or the kernel variant of a read, by the space or, where that is open, by the address. */
  #readBySpace(
    address: Reg,
    space: AddressSpace,
    size: Operand,
    text: boolean,
    run: (space: 'user' | 'kernel') => Reg,
  ): Reg {
    const read = (which: 'user' | 'kernel'): Reg =>
      which === 'user' ? this.#readUser(address, size, text, () => run('user')) : run('kernel');
    if (space !== 'either') return read(space);
    const b = this.b;
    const kernel = b.label();
    const done = b.label();
    const result = b.reg();
    // Kernel addresses are the upper half: negative as signed numbers.
    b.branch('slt', address, { imm: 0 }, kernel);
    b.mov(result, read('user'));
    b.jump(done);
    b.place(kernel);
    b.mov(result, read('kernel'));
    b.place(done);
    return result;
  }

  /** Counts a read of traced memory that failed, and does what else is to be done then; -k tells of it at once. */
  #countFailure(result: Reg, helper: 'probe_read' | 'probe_read_str', space: AddressSpace, andThen?: () => void): void {
    const b = this.b;
    const fine = b.label();
    b.branch('sge', result, { imm: 0 }, fine);
    this.count(this.assets.globals.failedReads);
    andThen?.();
    this.tellFailedRead(space === 'either' ? helper : helper.replace('read', `read_${space}`), result);
    b.place(fine);
  }

  /** Reads a few bytes; gives a negative errno where that fails, which is counted. */
  tryRead(to: DirectPlace, from: Place, size: number): Reg {
    return this.tryReadSized(to, from, { imm: size });
  }

  /** The same; `size` may be a register, bounded by the room at `to`. */
  tryReadSized(to: DirectPlace, from: Place, size: Operand): Reg {
    if (from.kind !== 'memory') {
      this.readMemory(to, from, size);
      return this.b.const(0);
    }
    const address = from.offset === 0 ? from.address : this.b.alu('add', from.address, { imm: from.offset });
    const result = this.#readBySpace(address, from.space, size, false, (space) =>
      this.b.call(space === 'user' ? bpfHelper.probe_read_user : bpfHelper.probe_read_kernel, [
        this.addressOf(to),
        size,
        address,
      ]),
    );
    this.#countFailure(result, 'probe_read', from.space);
    return result;
  }

  /** Adds one to a counter in the globals map. */
  count(offset: number): void {
    const base = this.b.mapValue(this.assets.globalsMap, offset);
    const one = this.b.const(1);
    this.b.push({ op: 'atomic', operator: 'add', base, offset: 0, size: 8, value: one });
  }

  /**
   * Reads a NUL-terminated string of at most `size` bytes with its NUL. `size` may be a
   * register, whose value must be bounded by the room at `to`.
   */
  readString(to: DirectPlace, from: Place, size: Operand): Reg {
    const b = this.b;
    if (from.kind !== 'memory') {
      const base = from.kind === 'direct' ? from.base : this.context;
      const source = b.alu('add', base, { imm: from.offset });
      return b.call(bpfHelper.probe_read_kernel_str, [this.addressOf(to), size, source]);
    }
    const address = from.offset === 0 ? from.address : b.alu('add', from.address, { imm: from.offset });
    const result = this.#readBySpace(address, from.space, size, true, (space) =>
      b.call(space === 'user' ? bpfHelper.probe_read_user_str : bpfHelper.probe_read_kernel_str, [
        this.addressOf(to),
        size,
        address,
      ]),
    );
    this.#countFailure(result, 'probe_read_str', from.space, () => b.store(to.base, to.offset, 1, { imm: 0 }));
    return result;
  }

  /** Fills with zeros. */
  clear(to: DirectPlace, size: number): void {
    if (size <= inlineBytes) {
      for (let at = 0; at < size; ) {
        const step = stepAt(size - at, to.offset + at);
        this.b.store(to.base, to.offset + at, step, { imm: 0 });
        at += step;
      }
      return;
    }
    const { map, offset } = this.assets.zeros(size);
    const source = this.b.mapValue(map, offset);
    this.b.call(bpfHelper.probe_read_kernel, [this.addressOf(to), { imm: size }, source]);
  }

  /** Writes constant bytes, then zeros up to `room` unless the place is raw. */
  writeBytes(to: DirectPlace, bytes: Uint8Array, room: number): void {
    const size = Math.min(room, align8(bytes.length));
    const padded = new Uint8Array(size);
    padded.set(bytes.subarray(0, size));
    if (size > inlineBytes) {
      const { map, offset } = this.assets.literal(padded);
      const source = this.b.mapValue(map, offset);
      this.b.call(bpfHelper.probe_read_kernel, [this.addressOf(to), { imm: size }, source]);
    } else {
      const view = new DataView(padded.buffer);
      for (let at = 0; at + 8 <= size; at += 8) {
        const word = view.getBigInt64(at, true);
        const small = BigInt.asIntN(32, word) === word;
        this.b.store(to.base, to.offset + at, 8, small ? { imm: Number(word) } : this.b.const(word));
      }
    }
    if (!to.raw && room > size) this.clear(shifted(to, size), room - size);
  }
}

/** The largest access that fits and is aligned: the verifier insists on it on the stack. */
function stepAt(size: number, offset: number): 1 | 2 | 4 | 8 {
  for (const step of [8, 4, 2] as const) if (size >= step && offset % step === 0) return step;
  return 1;
}
