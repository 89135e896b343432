/**
 * The unwinder inside BPF: global functions that a program which takes user stacks calls.
 *
 *     unwind(limit, pid)     claims a state, fills it, steps; gives its number or -errno
 *     unwind_step(state)     one frame; 0: there is another one
 *     unwind_mapping(state)  which file the pc lies in
 *     unwind_search(file, offset)   the rule there, by two look-ups and a binary search
 *     unwind_return(state, slot)    what a return probe took from the stack
 *     unwind_save(state)     hands a stack that lacked rules to user space
 *     unwind_sum(state)      tells one piece of its memory from another
 *
 * Each is verified by itself, so that a loop over steps costs the verifier nothing; all
 * state lies in a map, so that they take scalars only. The search has no branches that
 * depend on what it compares: kernels from 6.8 on would follow every way through it.
 *
 * Formats: program/unwind.ts. The rules' meaning: DWARF 5 section 6.4. The pc of a frame
 * that called is looked up one byte before its return address, which may belong to
 * another function; that of the interrupted frame, and of one below a signal frame, as
 * it is (DWARF 5, section 6.4.4).
 */
import {
  blockBytes,
  cacheBits,
  endNumber,
  entriesPerBlock,
  guessedFlag,
  jitFile,
  pageBits,
  Register,
  RuleKind,
  ruleBits,
  Saved,
  type StackEnd,
  volatileBase,
} from '../../program/unwind.ts';
import type { IrFunction, Label, Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { chunkBelow, chunkBytes, type KernelLayout, stateAt } from './layout.ts';
import { findMapping, vmaCallback } from './mapping.ts';
import { saveStack, sumOfPiece } from './save.ts';
import { registerOffsets, spread, Writer } from './writer.ts';

export interface WalkerMaps {
  readonly state: number;
  readonly rules: number;
  readonly cache: number;
  readonly tables: number;
  readonly files: number;
  readonly processes: number;
  readonly asked: number;
  readonly saved: number;
  readonly notes: number;
}

export interface WalkerOptions {
  readonly maps: WalkerMaps;
  readonly layout: KernelLayout;
  /** bpf_find_vma (Linux 5.17). */
  readonly findVma: boolean;
  readonly cpus: number;
  readonly levels: number;
  /** Bytes from one state to the next. */
  readonly stride: number;
  /** Most frames that any stack of the script takes. */
  readonly frames: number;
  /** Index in the unit of the first of the functions. */
  readonly first: number;
  /** For tests: registers, mm and mappings are in the state already. */
  readonly prepared?: boolean;
}

/** Bytes of the instructions of a signal's return: mov $15,%rax; syscall (the first eight). */
const signalReturn = 0x0f0000000fc0c748n;
const EBUSY = 16;
/** A frame pointer further up than this is none. */
const largestFrame = 1 << 23;
const codeSegmentOffset = 136;
const userCode32 = 0x23;
/** Offsets from rsp of a signal frame's registers: ucontext.uc_mcontext.gregs, by DWARF number. */
const signalOffsets = [144, 136, 152, 128, 112, 104, 120, 160, 40, 48, 56, 64, 72, 80, 88, 96, 168] as const;
const signalBytes = 176;

export class Walker {
  readonly #o: WalkerOptions;

  constructor(options: WalkerOptions) {
    this.#o = options;
  }

  /** Index in the unit of `unwind`. */
  get entry(): number {
    return this.#o.first;
  }

  /** The functions, in the order of their indices. */
  functions(): IrFunction[] {
    return [
      this.#unwind(),
      this.#step(),
      findMapping(this.#stateful('unwind_mapping', 1), this.#o, this.#index('vma')),
      this.#search(),
      this.#return(),
      vmaCallback(this.#o.layout),
      ...(this.#o.prepared === true
        ? []
        : [
            saveStack(this.#stateful('unwind_save', 1), this.#o, { vma: this.#index('vma'), sum: this.#index('sum') }),
            sumOfPiece(this.#stateful('unwind_sum', 1)),
          ]),
    ];
  }

  #index(which: 'step' | 'mapping' | 'search' | 'return' | 'vma' | 'save' | 'sum'): number {
    return this.#o.first + { step: 1, mapping: 2, search: 3, return: 4, vma: 5, save: 6, sum: 7 }[which];
  }

  /** A function whose first argument is a state's offset in the map of states. */
  #stateful(name: string, parameters: number): Writer {
    const f = new Writer(
      name,
      Array.from({ length: parameters }, () => 'scalar' as const),
    );
    const { b } = f;
    const { maps, stride, cpus, levels } = this.#o;
    const inside = b.label();
    const state = b.parameter(0);
    b.branch('ule', state, { imm: stride * (cpus * levels - 1) }, inside);
    b.return({ imm: 1 });
    b.place(inside);
    f.s = b.alu('add', b.mapValue(maps.state, 0), state);
    return f;
  }

  #unwind(): IrFunction {
    const { maps, layout, cpus, levels, stride, frames } = this.#o;
    const f = new Writer('unwind', ['scalar', 'scalar']);
    const { b } = f;
    const limit = b.parameter(0);
    const pid = b.parameter(1);
    const offset = b.reg();
    const claimed = b.label();
    const cpu = b.alu('and', b.call(bpfHelper.get_smp_processor_id, []), { imm: cpus - 1 });
    const byCpu = b.alu('mul', cpu, { imm: stride });
    f.s = b.reg('pointer');
    for (let level = 0; level < levels; level++) {
      f.assign(offset, b.alu('add', byCpu, { imm: level * cpus * stride }));
      b.push({
        op: 'alu',
        operator: 'add',
        dst: f.s,
        left: b.mapValue(maps.state, level * cpus * stride),
        right: byCpu,
      });
      const old = b.reg();
      b.push({ op: 'atomic', operator: 'xchg', base: f.s, offset: stateAt.busy, size: 8, value: b.const(1), dst: old });
      b.branch('eq', old, { imm: 0 }, claimed);
    }
    b.return({ imm: -EBUSY });
    b.place(claimed);
    f.put(stateAt.count, { imm: 0 });
    f.put(stateAt.limit, limit);
    f.put(stateAt.flags, { imm: 0 });
    f.put(stateAt.hash, { imm: 0 });
    f.put(stateAt.adjust, { imm: 0 });
    f.put(stateAt.innermost, { imm: 1 });
    f.put(stateAt.mapSize, { imm: 0 });
    f.put(stateAt.chunkAddress, { imm: -8 * chunkBytes });
    f.put(stateAt.pid, pid);
    f.put(stateAt.guessed, { imm: 0 });
    f.put(stateAt.returnInstance, { imm: 0 });
    f.put(stateAt.lacking, { imm: 0 });
    f.put(stateAt.end, { imm: endNumber('no user registers') });
    const done = b.label();
    if (this.#o.prepared !== true) {
      f.put(stateAt.trampoline, { imm: 1 });
      const task = b.call(bpfHelper.get_current_task_btf, [], 'pointer');
      const mm = b.load(task, layout.task.mm, 8, 'pointer');
      const registers = b.call(bpfHelper.task_pt_regs, [task], 'pointer');
      const segment = b.load(registers, codeSegmentOffset, 8);
      b.branch('eq', b.alu('and', segment, { imm: 3 }), { imm: 0 }, done);
      b.branch('eq', segment, { imm: userCode32 }, done);
      for (const [number, at] of registerOffsets.entries()) f.putRegister(number, b.load(registers, at, 8));
      f.put(stateAt.executablePages, b.load(mm, layout.mm.execVm, 8));
      f.put(stateAt.vdso, b.load(mm, layout.mm.vdso, 8));
      if (layout.mm.xolArea !== undefined) {
        const area = b.load(mm, layout.mm.xolArea, 8, 'pointer');
        f.when('ne', area, { imm: 0 }, () => f.put(stateAt.trampoline, b.load(area, layout.xolVaddr, 8)));
      }
      // The pointer's value, to tell one program of a process from the next: read as a number.
      const address = b.alu('add', b.call(bpfHelper.get_current_task, []), { imm: layout.task.mm });
      const word = b.alu('add', f.s, { imm: stateAt.mm });
      b.call(bpfHelper.probe_read_kernel, [word, { imm: 8 }, address]);
      b.branch('eq', f.get(stateAt.mm), { imm: 0 }, done);
    }
    const round = b.label();
    const index = b.reg();
    f.assign(index, { imm: 0 });
    b.place(round);
    const more = b.callFunction(this.#index('step'), [offset]);
    b.branch('ne', more, { imm: 0 }, done);
    b.push({ op: 'alu', operator: 'add', dst: index, left: index, right: { imm: 1 } });
    b.branch('ule', index, { imm: frames }, round);
    b.place(done);
    if (this.#o.prepared !== true) {
      f.when('ne', f.get(stateAt.lacking), { imm: 0 }, () => b.callFunction(this.#index('save'), [offset]));
    }
    b.return(offset);
    return { ...f.b.finish(), global: true };
  }

  #step(): IrFunction {
    const { maps, frames } = this.#o;
    const f = this.#stateful('unwind_step', 1);
    const { b } = f;
    const ends = new Map<StackEnd, Label>();
    const end = (why: StackEnd): Label => {
      const label = ends.get(why) ?? b.label();
      ends.set(why, label);
      return label;
    };

    // The frame itself.
    const count = f.get(stateAt.count);
    b.branch('uge', count, f.get(stateAt.limit), end('depth'));
    b.branch('uge', count, { imm: frames }, end('depth'));
    const pc = f.register(Register.rip);
    const look = b.alu('sub', pc, f.get(stateAt.adjust));
    const inMapping = b.reg();
    f.assign(inMapping, b.alu('sub', look, f.get(stateAt.mapStart)));
    f.when('uge', inMapping, f.get(stateAt.mapSize), () => {
      const unknown = b.callFunction(this.#index('mapping'), [b.parameter(0)]);
      b.branch('ne', unknown, { imm: 0 }, end('no mapping'));
      f.assign(inMapping, b.alu('sub', look, f.get(stateAt.mapStart)));
    });
    b.store(b.alu('add', f.s, b.alu('shl', count, { imm: 3 })), stateAt.frames, 8, pc);
    f.put(stateAt.count, f.plus(count, 1));
    const mixed = b.alu('mul', b.alu('xor', f.get(stateAt.hash), pc), b.const(spread));
    f.put(stateAt.hash, b.alu('xor', mixed, b.alu('lshr', mixed, { imm: 32 })));

    // Its rule.
    const rule = b.reg();
    f.assign(rule, { imm: 0 });
    const file = f.get(stateAt.file);
    const kind = b.reg();
    const byFramePointer = b.label();
    const linked = b.label();
    const offset = b.alu('add', inMapping, f.get(stateAt.mapOffset));
    f.assign(kind, { imm: RuleKind.none });
    b.branch('ule', file, { imm: jitFile }, byFramePointer);
    const place = b.alu('or', b.alu('shl', file, { imm: 32 }), offset);
    const mixedPlace = b.alu('mul', place, b.const(spread));
    const slot = b.alu('lshr', mixedPlace, { imm: 64 - cacheBits });
    const cached = b.alu('add', b.mapValue(maps.cache, 0), b.alu('shl', slot, { imm: 3 }));
    const known = b.label();
    const entry = b.load(cached, 0, 8);
    f.assign(rule, b.alu('and', entry, { imm: 2 ** ruleBits - 1 }));
    b.branch('eq', b.alu('lshr', entry, { imm: ruleBits }), place, known);
    const found = b.callFunction(this.#index('search'), [file, offset]);
    f.assign(rule, b.alu('and', found, { imm: 2 ** ruleBits - 1 }));
    b.store(cached, 0, 8, b.alu('or', b.alu('shl', place, { imm: ruleBits }), rule));
    b.place(known);
    const words = b.alu('add', b.mapValue(maps.rules, 0), b.alu('shl', rule, { imm: 4 }));
    f.assign(kind, b.load(words, 0, 1));
    const base = b.load(words, 1, 1);
    const cfa = b.reg();
    const next = { pc: b.reg(), rbp: b.reg() };
    const usual = b.label();
    const callerKnown = b.label();
    const signal = b.label();
    const adjust = b.reg();
    f.assign(adjust, { imm: 1 });
    b.branch('eq', kind, { imm: RuleKind.end }, end('complete'));
    b.branch('eq', kind, { imm: RuleKind.signal }, signal);
    b.branch('eq', kind, { imm: RuleKind.none }, byFramePointer);
    b.branch('eq', kind, { imm: RuleKind.unsupported }, byFramePointer);
    f.when('uge', base, { imm: volatileBase }, () => {
      b.branch('eq', f.get(stateAt.innermost), { imm: 0 }, end('unsupported rule'));
    });
    const atBase = b.alu('add', f.s, b.alu('shl', b.alu('and', base, { imm: 15 }), { imm: 3 }));
    f.assign(cfa, b.alu('add', b.load(atBase, stateAt.registers, 8), f.signed(b.load(words, 4, 4), 32)));
    b.branch('eq', kind, { imm: RuleKind.register }, usual);
    const extra = f.signed(b.load(words, 12, 2), 16);
    f.when('eq', kind, { imm: RuleKind.deref }, () => {
      this.#read(f, cfa, cfa, end('page not present'));
      f.assign(cfa, b.alu('add', cfa, extra));
      b.jump(usual);
    });
    f.when('eq', kind, { imm: RuleKind.plt }, () => {
      const inEntry = b.alu('and', look, { imm: 15 });
      b.branch('ult', inEntry, extra, usual);
      f.assign(cfa, f.plus(cfa, 8));
      b.jump(usual);
    });
    b.branch('eq', kind, { imm: RuleKind.linked }, linked);
    f.when('eq', kind, { imm: RuleKind.injected }, () => {
      f.assign(adjust, { imm: 0 });
      b.jump(usual);
    });
    // The return address is in a register (vfork).
    b.branch('eq', f.get(stateAt.innermost), { imm: 0 }, end('unsupported rule'));
    const holder = b.alu('add', f.s, b.alu('shl', b.alu('and', extra, { imm: 15 }), { imm: 3 }));
    f.assign(next.pc, b.load(holder, stateAt.registers, 8));
    const restored = b.label();
    b.jump(restored);

    b.place(usual);
    this.#read(f, f.plus(cfa, -8), next.pc, end('page not present'));
    b.place(restored);
    f.assign(next.rbp, f.register(Register.rbp));
    const rbx = b.reg();
    f.assign(rbx, f.register(Register.rbx));
    const own = b.reg();
    f.assign(own, next.rbp);
    this.#restore(f, words, 2, 8, cfa, own, next.rbp, end('page not present'));
    this.#restore(f, words, 3, 10, cfa, own, rbx, end('page not present'));
    f.putRegister(Register.rbx, rbx);
    f.put(stateAt.guessed, { imm: 0 });
    b.jump(callerKnown);

    // No rule: by the frame pointer, which code made at run time is known to keep.
    b.place(byFramePointer);
    const isCertain = b.label();
    const guess = b.label();
    const certain = b.reg();
    f.assign(certain, { imm: 0 });
    f.assign(next.rbp, f.register(Register.rbp));
    const mayGuess = b.label();
    b.branch('ne', file, { imm: jitFile }, mayGuess);
    b.place(linked);
    f.assign(certain, { imm: 1 });
    f.assign(next.rbp, f.register(Register.rbp));
    b.jump(guess);
    b.place(mayGuess);
    const bytes = b.reg();
    const noBytes = b.label();
    const word = b.alu('add', f.s, { imm: stateAt.word });
    const failed = b.call(bpfHelper.probe_read_user, [word, { imm: 8 }, pc]);
    b.branch('ne', failed, { imm: 0 }, noBytes);
    f.assign(bytes, f.get(stateAt.word));
    b.branch('eq', bytes, b.const(signalReturn), signal);
    b.place(noBytes);
    b.place(guess);
    const isFrame = b.label();
    b.branch('ne', next.rbp, { imm: 0 }, isFrame);
    // The first frame of a chain, unless the code has none, which nobody knows yet.
    b.branch('eq', file, { imm: 0 }, end('not indexed'));
    b.jump(end('complete'));
    b.place(isFrame);
    const sp = f.register(Register.rsp);
    const notAFrame = b.label();
    b.branch('ugt', b.alu('sub', next.rbp, sp), { imm: largestFrame }, notAFrame);
    b.branch('ne', b.alu('and', next.rbp, { imm: 7 }), { imm: 0 }, notAFrame);
    this.#read(f, f.plus(next.rbp, 8), next.pc, notAFrame);
    f.assign(cfa, b.alu('add', next.rbp, { imm: 16 }));
    this.#read(f, next.rbp, next.rbp, notAFrame);
    b.branch('ne', certain, { imm: 0 }, isCertain);
    f.put(stateAt.flags, { imm: guessedFlag });
    f.put(stateAt.guessed, { imm: 1 });
    b.branch('ne', file, { imm: 0 }, callerKnown);
    f.put(stateAt.guessed, { imm: 2 });
    b.jump(callerKnown);
    b.place(notAFrame);
    b.branch('eq', kind, { imm: RuleKind.unsupported }, end('unsupported rule'));
    b.branch('eq', file, { imm: 0 }, end('not indexed'));
    b.jump(end('no rule'));
    b.place(isCertain);
    f.put(stateAt.guessed, { imm: 0 });
    b.jump(callerKnown);

    // The kernel's frame below a signal handler: everything is in it.
    b.place(signal);
    f.put(stateAt.chunkAddress, { imm: -8 * chunkBytes });
    const saved = b.alu('add', f.s, { imm: stateAt.chunk });
    const unread = b.call(bpfHelper.probe_read_user, [saved, { imm: signalBytes }, f.register(Register.rsp)]);
    b.branch('ne', unread, { imm: 0 }, end('page not present'));
    for (const [number, at] of signalOffsets.entries()) f.putRegister(number, f.get(stateAt.chunk + at));
    f.put(stateAt.adjust, { imm: 0 });
    f.put(stateAt.innermost, { imm: 1 });
    f.put(stateAt.guessed, { imm: 0 });
    b.return({ imm: 0 });

    // On to the caller.
    b.place(callerKnown);
    b.branch('eq', next.pc, { imm: 0 }, end('complete'));
    b.branch('ule', cfa, f.register(Register.rsp), end('no progress'));
    f.when('eq', next.pc, f.get(stateAt.trampoline), () => {
      const real = b.callFunction(this.#index('return'), [b.parameter(0), f.plus(cfa, -8)]);
      f.when('ne', real, { imm: 0 }, () => f.assign(next.pc, real));
    });
    f.putRegister(Register.rip, next.pc);
    f.putRegister(Register.rsp, cfa);
    f.putRegister(Register.rbp, next.rbp);
    f.put(stateAt.adjust, adjust);
    f.put(stateAt.innermost, { imm: 0 });
    b.return({ imm: 0 });

    for (const [why, label] of ends) {
      b.place(label);
      if (why === 'no mapping') {
        // What a guess led to is no frame.
        const honest = b.label();
        b.branch('eq', f.get(stateAt.guessed), { imm: 0 }, honest);
        f.put(stateAt.end, { imm: endNumber('no rule') });
        const indexed = b.label();
        b.branch('eq', f.get(stateAt.guessed), { imm: 1 }, indexed);
        f.put(stateAt.end, { imm: endNumber('not indexed') });
        b.place(indexed);
        b.return({ imm: 1 });
        b.place(honest);
      }
      f.put(stateAt.end, { imm: endNumber(why) });
      b.return({ imm: 1 });
    }
    return { ...f.b.finish(), global: true };
  }

  /** dst = the word at an address of the process: out of the chunk of the stack that was read, else with a new chunk. */
  #read(f: Writer, address: Reg, dst: Reg, failed: Label): void {
    const { b } = f;
    const inside = b.label();
    const done = b.label();
    const at = b.reg();
    const wanted = b.reg();
    f.assign(wanted, address);
    f.assign(at, b.alu('sub', wanted, f.get(stateAt.chunkAddress)));
    b.branch('ule', at, { imm: chunkBytes - 8 }, inside);
    const start = b.alu('sub', wanted, { imm: chunkBelow });
    const chunk = b.alu('add', f.s, { imm: stateAt.chunk });
    const outside = b.call(bpfHelper.probe_read_user, [chunk, { imm: chunkBytes }, start]);
    f.put(stateAt.chunkAddress, start);
    f.assign(at, { imm: chunkBelow });
    b.branch('eq', outside, { imm: 0 }, inside);
    // It goes beyond the stack's end, or over a page that is not there.
    f.put(stateAt.chunkAddress, { imm: -8 * chunkBytes });
    const word = b.alu('add', f.s, { imm: stateAt.word });
    const lacking = b.call(bpfHelper.probe_read_user, [word, { imm: 8 }, wanted]);
    b.branch('ne', lacking, { imm: 0 }, failed);
    f.assign(dst, f.get(stateAt.word));
    b.jump(done);
    b.place(inside);
    f.assign(dst, b.load(b.alu('add', f.s, at), stateAt.chunk, 8));
    b.place(done);
  }

  /** A register that the frame has saved, as its rule says. */
  #restore(f: Writer, rule: Reg, how: number, where: number, cfa: Reg, rbp: Reg, dst: Reg, failed: Label): void {
    const { b } = f;
    const kept = b.label();
    const saved = b.load(rule, how, 1);
    b.branch('eq', saved, { imm: Saved.same }, kept);
    const from = b.reg();
    f.assign(from, rbp);
    f.when('eq', saved, { imm: Saved.cfa }, () => f.assign(from, cfa));
    this.#read(f, b.alu('add', from, f.signed(b.load(rule, where, 2), 16)), dst, failed);
    b.place(kept);
  }

  #search(): IrFunction {
    const { maps } = this.#o;
    const f = new Writer('unwind_search', ['scalar', 'scalar']);
    const { b } = f;
    const none = b.label();
    const key = b.newSlot(4, 4, 'key');
    const lookUp = (map: Reg, index: Reg): Reg => {
      const at = b.slotAddress(key);
      b.store(at, 0, 4, index);
      const value = b.call(bpfHelper.map_lookup_elem, [map, at], 'pointer');
      b.branch('eq', value, { imm: 0 }, none);
      return value;
    };
    const table = lookUp(b.map(maps.tables), b.parameter(0));
    const offset = b.parameter(1);
    const page = b.alu('lshr', offset, { imm: pageBits });
    const directory = lookUp(table, b.alu('udiv', page, { imm: entriesPerBlock }));
    // Shift counts and masks stand for divisions by powers of two, whose bounds the verifier keeps.
    const entry = b.alu('add', directory, b.alu('shl', b.alu('and', page, { imm: entriesPerBlock - 1 }), { imm: 3 }));
    const block = b.load(entry, 0, 4);
    const base = b.reg();
    const length = b.reg();
    f.assign(base, b.load(entry, 4, 2));
    f.assign(length, b.load(entry, 6, 2));
    b.branch('eq', length, { imm: 0 }, none);
    const rows = lookUp(table, block);
    const low = b.alu('and', offset, { imm: 2 ** pageBits - 1 });
    const found = b.label();
    const rowMask = blockBytes - 4;
    for (let round = 0; round < 12; round++) {
      b.branch('ule', length, { imm: 1 }, found);
      const half = b.alu('lshr', length, { imm: 1 });
      const middle = b.alu('add', base, half);
      const at = b.alu('add', rows, b.alu('and', b.alu('shl', middle, { imm: 2 }), { imm: rowMask }));
      // All ones when the row lies behind the place.
      const behind = b.alu('ashr', b.alu('sub', low, b.load(at, 0, 2)), { imm: 63 });
      const step = b.alu('and', half, b.alu('xor', behind, { imm: -1 }));
      f.assign(base, b.alu('add', base, step));
      f.assign(length, b.alu('sub', length, half));
    }
    b.place(found);
    const at = b.alu('add', rows, b.alu('and', b.alu('shl', base, { imm: 2 }), { imm: rowMask }));
    b.return(b.load(at, 2, 2));
    b.place(none);
    b.return({ imm: 0 });
    return { ...f.b.finish(), global: true };
  }

  /** The address that a function returns to whose place on the stack a return probe has taken; 0: unknown. */
  #return(): IrFunction {
    const { layout } = this.#o;
    const f = this.#stateful('unwind_return', 2);
    const { b } = f;
    if (layout.task.utask === undefined) {
      b.return({ imm: 0 });
      return { ...f.b.finish(), global: true };
    }
    const none = b.label();
    const slot = b.parameter(1);
    const word = b.alu('add', f.s, { imm: stateAt.word });
    const instance = b.reg();
    const readWord = (address: Reg): Reg => {
      const failed = b.call(bpfHelper.probe_read_kernel, [word, { imm: 8 }, address]);
      b.branch('ne', failed, { imm: 0 }, none);
      return f.get(stateAt.word);
    };
    f.assign(instance, f.get(stateAt.returnInstance));
    f.when('eq', instance, { imm: 0 }, () => {
      const task = b.call(bpfHelper.get_current_task, []);
      const utask = readWord(b.alu('add', task, { imm: layout.task.utask as number }));
      b.branch('eq', utask, { imm: 0 }, none);
      f.assign(instance, readWord(f.plus(utask, layout.utaskReturns)));
    });
    const round = b.label();
    const index = b.reg();
    f.assign(index, { imm: 0 });
    b.place(round);
    b.branch('eq', instance, { imm: 0 }, none);
    const stack = readWord(f.plus(instance, layout.returns.stack));
    const address = readWord(f.plus(instance, layout.returns.address));
    const next = readWord(f.plus(instance, layout.returns.next));
    f.assign(instance, next);
    const other = b.label();
    b.branch('ne', stack, slot, other);
    // One function may have several, when another one jumped to it: the last of them holds the address.
    b.branch('eq', address, f.get(stateAt.trampoline), other);
    f.put(stateAt.returnInstance, instance);
    b.return(address);
    b.place(other);
    b.push({ op: 'alu', operator: 'add', dst: index, left: index, right: { imm: 1 } });
    b.branch('ult', index, { imm: 64 }, round);
    b.place(none);
    b.return({ imm: 0 });
    return { ...f.b.finish(), global: true };
  }
}
