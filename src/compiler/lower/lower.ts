/**
 * From the typed syntax tree to IR, one BPF program (a probe block in one context) at
 * a time. A scalar expression becomes a register; anything bigger is written to a
 * place. This file holds the state of a program being lowered and the memory it works
 * with; statements, expressions, maps and events have files of their own.
 */
import { invariant } from '../../base/errors.ts';
import type { Span } from '../../diag/source.ts';
import { sizeOf } from '../../types/layout.ts';
import { type AddressSpace, int64, type Type, uint64 } from '../../types/model.ts';
import type { ProgramVariable } from '../../types/source.ts';
import {
  FunctionBuilder,
  type IrFunction,
  type Label,
  type Operand,
  type Reg,
  type Slot,
  type Unit,
} from '../ir/ir.ts';
import type { ProbeContext } from '../probes/context.ts';
import type { VariableInfo } from '../sema/scope.ts';
import type { BlockFacts, SemaOptions } from '../sema/sema.ts';
import type * as Ast from '../syntax/ast.ts';
import { stateBytes } from '../unwind/layout.ts';
import { Walker } from '../unwind/walker.ts';
import { type Assets, scratchLevels } from './assets.ts';
import { bpfHelper } from './bpfhelper.ts';
import { emitEvent } from './events.ts';
import { type Kept, keepArguments, recallArguments } from './kept.ts';
import { align8, isScalarType, roomOf } from './layout.ts';
import { type DirectPlace, type Place, shifted } from './place.ts';

/** Longest run of bytes copied or cleared by instructions rather than by a helper. */
const inlineBytes = 128;
/** Part of the BPF stack (512 bytes in all) for small values that live as long as one statement. */
const stackBytes = 128;

/** Reads of a program that are tried again: the rest would make it too long. */
const mostRetries = 200;
/** From this one on a scalar is read by a function, which is shared: it takes a call, but is tried again in any case. */
const sharedRetries = 80;

/** Header of a program's scratch memory: u64 in use, u64 set by `return` inside a loop. */
const scratchHeader = { busy: 0, returned: 8, size: 16 } as const;

type Storage = { readonly kind: 'register'; readonly reg: Reg } | { readonly kind: 'scratch'; readonly offset: number };

/** How expressions and statements are lowered; handed in, since they call one another. */
export interface Lowerings {
  readonly scalar: (low: Lower, expr: Ast.Expr) => Reg;
  readonly into: (low: Lower, expr: Ast.Expr, to: DirectPlace, type: Type) => void;
  readonly place: (low: Lower, expr: Ast.Expr) => Place;
  readonly condition: (low: Lower, expr: Ast.Expr, to: Label, when: boolean) => void;
  readonly statements: (low: Lower, body: readonly Ast.Statement[]) => void;
}

export interface LoopLabels {
  /** Where `break` and `continue` go. */
  readonly breakTo: Label;
  readonly continueTo: Label;
}

/** The function being built: main, or the body of a loop that the kernel calls back. */
interface Frame {
  readonly builder: FunctionBuilder;
  readonly context: Reg;
  readonly scratch: Reg;
  /** Where `return` goes. */
  readonly exit: Label;
  /** Stack address of {context, scratch}, handed to callbacks. */
  environment: Reg | undefined;
  loop: LoopLabels | undefined;
  readBuffer: Slot | undefined;
}

export class Lower {
  readonly assets: Assets;
  readonly probe: ProbeContext;
  readonly facts: BlockFacts;
  readonly options: SemaOptions;
  readonly unitName: string;
  readonly #lowerings: Lowerings;
  #frame!: Frame;
  readonly #functions: (IrFunction | undefined)[] = [];
  readonly #storage = new Map<VariableInfo, Storage>();
  #walker: number | undefined;
  #scratchTop: number = scratchHeader.size;
  #scratchSize = 0;
  #scratchBase: { readonly map: number } | undefined;
  readonly #hasLoops: boolean;
  #environmentSlot: Slot | undefined;
  #stackSlot: Slot | undefined;
  #stackTop = 0;
  /** Where in scratch memory a test's return value is kept. */
  #result: number | undefined;

  constructor(
    assets: Assets,
    probe: ProbeContext,
    facts: BlockFacts,
    options: SemaOptions,
    unitName: string,
    hasLoops: boolean,
    lowerings: Lowerings,
  ) {
    this.#lowerings = lowerings;
    this.assets = assets;
    this.probe = probe;
    this.facts = facts;
    this.options = options;
    this.unitName = unitName;
    this.#hasLoops = hasLoops;
  }

  #kept: { readonly kept: Kept; readonly place: DirectPlace } | undefined;

  /** Where an argument of the call that has returned is; undefined where it is still in its own place. */
  keptPlace(variable: ProgramVariable): DirectPlace | undefined {
    const offset = this.#kept?.kept.slots.get(variable);
    if (this.#kept === undefined || offset === undefined) return undefined;
    return { kind: 'direct', base: this.#frame.scratch, offset: this.#kept.place.offset + offset };
  }

  /** Lowers the program that keeps arguments at the entry for another one at the return. */
  keeper(kept: Kept, first: () => void): void {
    this.#open();
    first();
    keepArguments(this, kept);
    this.b.place(this.exitLabel);
  }

  /** Lowers a block behind what `first` builds; call finish() when all programs of the script have been lowered. */
  block(block: Ast.ProbeBlock, kept: Kept | undefined, first: () => void): void {
    const { builder, exit } = this.#open();
    this.#leaveAtEnd();
    first();
    if (this.probe.provider === 'test') this.#result = this.scratch(8).offset;
    if (kept !== undefined) this.#kept = { kept, place: recallArguments(this, kept) };
    if (block.predicate) {
      builder.span = block.predicate.span;
      this.condition(block.predicate, exit, false);
    }
    this.#lowerings.statements(this, block.body);
    builder.span = undefined;
    builder.place(exit);
  }

  #open(): Frame {
    const builder = new FunctionBuilder(this.unitName, ['pointer']);
    const scratch = builder.reg('pointer');
    const exit = builder.label();
    this.#functions.push(undefined);
    const context = builder.reg('pointer');
    this.#frame = { builder, context, scratch, exit, environment: undefined, loop: undefined, readBuffer: undefined };
    this.#layOutVariables();
    return this.#frame;
  }

  /** Builds a program that comes from no block of the script; call finish() as after block(). */
  custom(build: () => void): void {
    this.#open();
    build();
    this.b.place(this.exitLabel);
  }

  /** What the program returns: only a test's value is looked at. */
  setResult(value: Reg): void {
    if (this.#result !== undefined) this.b.store(this.#frame.scratch, this.#result, 8, value);
  }

  /** An iterator runs the program once more behind its last object. */
  #leaveAtEnd(): void {
    const { iterator } = this.probe;
    if (iterator === undefined) return;
    const object = this.readScalar({ kind: 'context', offset: iterator.object }, uint64);
    this.b.branch('eq', object, { imm: 0 }, this.exitLabel);
  }

  /** The finished unit: prologue and epilogue are added now that the scratch size is known. */
  finish(): Unit {
    const { builder, context, scratch } = this.#frame;
    const usesScratch = this.#scratchSize > 0;
    const result = this.#result === undefined ? { imm: 0 } : builder.load(scratch, this.#result, 8);
    if (usesScratch) builder.store(scratch, scratchHeader.busy, 8, { imm: 0 });
    builder.return(result);
    builder.prepend(() => {
      builder.mov(context, builder.parameter(0));
      if (usesScratch) this.#claimScratch();
      if (this.#result !== undefined) builder.store(scratch, this.#result, 8, { imm: 0 });
      if (this.#environmentSlot !== undefined) {
        const environment = builder.slotAddress(this.#environmentSlot);
        builder.store(environment, 0, 8, context);
        builder.store(environment, 8, 8, scratch);
      }
    });
    this.#functions[0] = builder.finish();
    return { name: this.unitName, functions: this.#functions.map((fn) => fn as IrFunction) };
  }

  /**
   * Finds a free scratch memory of this CPU. A program can be interrupted (or, in a
   * preemptible kernel, preempted) by another one on the same CPU, so each takes one
   * by an atomic exchange and gives it back at its end.
   */
  #claimScratch(): void {
    const { builder: b, scratch } = this.#frame;
    const map = (this.#scratchBase as { map: number }).map;
    const stride = this.assets.scratchStride;
    const claimed = b.label();
    const cpu = b.call(bpfHelper.get_smp_processor_id, []);
    const masked = b.alu('and', cpu, { imm: this.assets.cpus - 1 });
    const offset = b.alu('mul', masked, { imm: stride });
    for (let level = 0; level < scratchLevels; level++) {
      const base = b.mapValue(map, level * this.assets.cpus * stride);
      b.push({ op: 'alu', operator: 'add', dst: scratch, left: base, right: offset });
      const one = b.const(1);
      const old = b.reg();
      b.push({
        op: 'atomic',
        operator: 'xchg',
        base: scratch,
        offset: scratchHeader.busy,
        size: 8,
        value: one,
        dst: old,
      });
      b.branch('eq', old, { imm: 0 }, claimed);
    }
    this.count(this.assets.globals.scratchBusy);
    b.return({ imm: 0 });
    b.place(claimed);
    if (this.#hasLoops) b.store(scratch, scratchHeader.returned, 8, { imm: 0 });
  }

  // ---------------------------------------------------------------- the function being built

  get b(): FunctionBuilder {
    return this.#frame.builder;
  }
  get context(): Reg {
    return this.#frame.context;
  }
  get exitLabel(): Label {
    return this.#frame.exit;
  }
  get loop(): LoopLabels | undefined {
    return this.#frame.loop;
  }

  typeOf(expr: Ast.Expr): Type {
    const type = this.facts.types.get(expr);
    invariant(type, `an expression (${expr.node}) has no type`);
    return type;
  }

  /** Makes the enclosing loops end and the probe return (`return`, `exit()` in a loop). */
  markReturned(): void {
    this.useScratch();
    this.b.store(this.#frame.scratch, scratchHeader.returned, 8, { imm: 1 });
  }

  /** Ends the probe from wherever the code is. */
  leave(): void {
    if (this.loop) {
      this.markReturned();
      this.b.jump(this.loop.breakTo);
    } else {
      this.b.jump(this.exitLabel);
    }
  }

  /** After a loop: leaves the probe, or the outer loop, when the body returned. */
  leaveIfReturned(): void {
    this.useScratch();
    const returned = this.b.load(this.#frame.scratch, scratchHeader.returned, 8);
    const to = this.#frame.loop ? this.#frame.loop.breakTo : this.exitLabel;
    this.b.branch('ne', returned, { imm: 0 }, to);
  }

  /** Stack address of what a callback needs to go on with this program's work. */
  environment(): Reg {
    this.useScratch();
    const frame = this.#frame;
    if (frame.environment !== undefined) return frame.environment;
    this.#environmentSlot ??= frame.builder.newSlot(16, 8, 'environment');
    return frame.builder.slotAddress(this.#environmentSlot);
  }

  /**
   * Builds a function that the kernel calls back, with the given parameters of which
   * number `environmentIndex` is environment(). The body gets the parameters' registers.
   * It ends by returning 0 (go on); `break` returns 1.
   */
  callback(
    name: string,
    parameters: number,
    environmentIndex: number,
    body: (parameters: readonly Reg[]) => void,
  ): Reg {
    const index = this.#functions.length;
    this.#functions.push(undefined);
    const outer = this.#frame;
    const classes = Array.from({ length: parameters }, (_, i) =>
      i === environmentIndex ? ('pointer' as const) : ('scalar' as const),
    );
    const builder = new FunctionBuilder(
      `${name}_${index}`,
      name === 'each' ? classes.map(() => 'pointer' as const) : classes,
    );
    builder.span = outer.builder.span;
    const environment = builder.parameter(environmentIndex);
    const context = builder.load(environment, 0, 8, 'pointer');
    const scratch = builder.load(environment, 8, 8, 'pointer');
    const loop = { breakTo: builder.label(), continueTo: builder.label() };
    this.#frame = { builder, context, scratch, exit: loop.breakTo, environment, loop, readBuffer: undefined };
    body(Array.from({ length: parameters }, (_, i) => builder.parameter(i)));
    builder.place(loop.continueTo);
    builder.return({ imm: 0 });
    builder.place(loop.breakTo);
    builder.return({ imm: 1 });
    this.#functions[index] = builder.finish();
    this.#frame = outer;
    const dst = this.b.reg('pointer');
    this.b.push({ op: 'function', dst, function: index });
    return dst;
  }

  readonly #globals: Map<string, number> = new Map();
  #inGlobal = false;

  /**
   * Index of a global function, made when it is first asked for: the verifier looks at it
   * once, by itself, however often it is called. It gets and gives numbers, and has neither
   * context nor scratch memory.
   */
  globalFunction(name: string, parameters: number, build: (parameters: readonly Reg[]) => Operand): number {
    const known = this.#globals.get(name);
    if (known !== undefined) return known;
    const index = this.#functions.length;
    this.#globals.set(name, index);
    this.#functions.push(undefined);
    const outer = this.#frame;
    const within = this.#inGlobal;
    const retries = this.#retries;
    this.#inGlobal = true;
    // What is read in it is always tried again: it is there once.
    this.#retries = 0;
    const builder = new FunctionBuilder(
      name,
      Array.from({ length: parameters }, () => 'scalar' as const),
    );
    const none = builder.reg('pointer');
    const exit = builder.label();
    this.#frame = {
      builder,
      context: none,
      scratch: none,
      exit,
      environment: undefined,
      loop: undefined,
      readBuffer: undefined,
    };
    builder.return(build(Array.from({ length: parameters }, (_, i) => builder.parameter(i))));
    this.#functions[index] = { ...builder.finish(), global: true };
    this.#frame = outer;
    this.#inGlobal = within;
    this.#retries = retries;
    return index;
  }

  /** Index of the function that takes a user stack: (limit, pid) → offset of its state, or minus errno. */
  unwinder(): number {
    if (this.#walker !== undefined) return this.#walker;
    const { unwinding } = this.assets;
    invariant(unwinding, 'nothing is unwound');
    const walker = new Walker({
      maps: this.assets.walkerMaps(),
      layout: unwinding.layout,
      findVma: unwinding.findVma,
      cpus: this.assets.cpus,
      levels: scratchLevels,
      stride: stateBytes(unwinding.frames),
      frames: unwinding.frames,
      first: this.#functions.length,
    });
    this.#walker = walker.entry;
    this.#functions.push(...walker.functions());
    return this.#walker;
  }

  withSpan<T>(span: Span, build: () => T): T {
    const before = this.b.span;
    this.b.span = span;
    const result = build();
    this.b.span = before;
    return result;
  }

  // ---------------------------------------------------------------- memory

  /** Takes `bytes` of scratch memory until release(); the place is 8-byte aligned. */
  scratch(bytes: number): DirectPlace {
    const offset = this.#scratchTop;
    this.#scratchTop += align8(bytes);
    this.#scratchSize = Math.max(this.#scratchSize, this.#scratchTop);
    this.#scratchBase = { map: this.assets.scratch(this.#scratchSize) };
    return { kind: 'direct', base: this.#frame.scratch, offset };
  }

  /** Address of this run's scratch memory, in the function being built. */
  scratchBase(): Reg {
    this.useScratch();
    return this.#frame.scratch;
  }

  useScratch(): void {
    if (this.#scratchSize === 0) {
      this.#scratchSize = scratchHeader.size;
      this.#scratchBase = { map: this.assets.scratch(scratchHeader.size) };
    }
  }

  /** Memory for a value while one statement runs: the stack when it is small, else scratch. */
  temporary(bytes: number): DirectPlace {
    const room = align8(bytes);
    if (this.#hasLoops || this.#stackTop + room > stackBytes) return this.scratch(bytes);
    const offset = this.#stackTop;
    this.#stackTop += room;
    this.#stackSlot ??= this.b.newSlot(stackBytes, 8, 'temporaries');
    return { kind: 'direct', base: this.b.slotAddress(this.#stackSlot), offset };
  }

  /** Gives back temporaries taken while `build` ran. */
  scoped<T>(build: () => T): T {
    const scratchTop = this.#scratchTop;
    const stackTop = this.#stackTop;
    const result = build();
    this.#scratchTop = scratchTop;
    this.#stackTop = stackTop;
    return result;
  }

  #layOutVariables(): void {
    for (const info of new Set(this.facts.variables.values())) {
      const scalar = isScalarType(info.type);
      if (info.element === 'address') this.#storage.set(info, { kind: 'scratch', offset: this.scratch(8).offset });
      else if (scalar && !this.#hasLoops && info.addressed !== true) {
        this.#storage.set(info, { kind: 'register', reg: this.b.reg() });
      } else {
        const place = this.scratch(roomOf(info.type, this.assets.stored));
        this.#storage.set(info, { kind: 'scratch', offset: place.offset });
      }
    }
  }

  #variable(node: Ast.Variable): { info: VariableInfo; storage: Storage } {
    const info = this.facts.variables.get(node);
    const storage = info && this.#storage.get(info);
    invariant(info && storage, `variable $${node.name} has no storage`);
    return { info, storage };
  }

  /** Where the element is that a loop's variable stands for; undefined for other variables. */
  elementOf(node: Ast.Variable): Place | undefined {
    const { storage, info } = this.#variable(node);
    if (info.element !== 'address') return undefined;
    invariant(storage.kind === 'scratch', 'an element whose address is in no memory');
    return { kind: 'memory', address: this.b.load(this.#frame.scratch, storage.offset, 8), offset: 0, space: 'user' };
  }

  /** Makes a loop's variable stand for another element. */
  setElement(node: Ast.Variable, place: Place): void {
    const { storage, info } = this.#variable(node);
    invariant(storage.kind === 'scratch', 'an element whose address is in no memory');
    const to: DirectPlace = { kind: 'direct', base: this.#frame.scratch, offset: storage.offset };
    if (info.element === 'address') {
      invariant(place.kind === 'memory', 'an element of the tracing program');
      const { address, offset } = place;
      this.b.store(to.base, to.offset, 8, offset === 0 ? address : this.b.alu('add', address, { imm: offset }));
    } else if (isScalarType(info.type)) this.b.store(to.base, to.offset, 8, this.readScalar(place, info.type));
    else this.copy(to, place, sizeOf(info.type));
  }

  /** Value of a scalar variable. */
  readVariable(node: Ast.Variable): Reg {
    const element = this.elementOf(node);
    if (element !== undefined) return this.readScalar(element, this.typeOf(node));
    const { storage } = this.#variable(node);
    if (storage.kind === 'scratch') return this.b.load(this.#frame.scratch, storage.offset, 8);
    // A copy: `$x++ + $x` must not see the later value in the earlier operand.
    const copy = this.b.reg();
    this.b.mov(copy, storage.reg);
    return copy;
  }

  writeVariable(node: Ast.Variable, value: Reg): void {
    const { storage, info } = this.#variable(node);
    const stored = this.narrowed(value, info.type);
    if (storage.kind === 'scratch') this.b.store(this.#frame.scratch, storage.offset, 8, stored);
    else this.b.mov(storage.reg, stored);
  }

  /** Memory of a variable that is bigger than a register. */
  variablePlace(node: Ast.Variable): DirectPlace {
    const { storage } = this.#variable(node);
    invariant(storage.kind === 'scratch', `$${node.name} is not in memory`);
    return { kind: 'direct', base: this.#frame.scratch, offset: storage.offset };
  }

  /** Where a variable is whose address is taken. */
  addressOfVariable(node: Ast.Variable): Reg {
    const { storage, info } = this.#variable(node);
    invariant(storage.kind === 'scratch', `$${node.name} is not in memory`);
    if (info.element === 'address') return this.b.load(this.#frame.scratch, storage.offset, 8);
    return this.plain(this.addressOf({ kind: 'direct', base: this.#frame.scratch, offset: storage.offset }));
  }

  /** A pointer that the verifier follows, as a plain number. */
  plain(pointer: Reg): Reg {
    const place = this.scratch(8);
    this.b.store(place.base, place.offset, 8, pointer);
    return this.b.load(place.base, place.offset, 8);
  }

  variableInfo(node: Ast.Variable): VariableInfo {
    return this.#variable(node).info;
  }

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
      if (this.#retries >= sharedRetries && !this.#inGlobal) return this.#readShared(place, size);
    }
    const frame = this.#frame;
    frame.readBuffer ??= this.b.newSlot(8, 8, 'read');
    const buffer = this.b.slotAddress(frame.readBuffer);
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
    const address = from.offset === 0 ? from.address : this.b.alu('add', from.address, { imm: from.offset });
    const result = this.#readBySpace(address, from.space, size, false, (space) =>
      this.b.call(space === 'user' ? bpfHelper.probe_read_user : bpfHelper.probe_read_kernel, [
        this.addressOf(to),
        size,
        address,
      ]),
    );
    this.#countFailure(result, 'probe_read', from.space);
  }

  /** Whether a read may wait for a page (decided by compile()), and whether one does. */
  maySleep: boolean = false;
  sleeps: boolean = false;
  #retries = 0;

  /**
   * A read of the process's memory. Where the program may sleep, one that fails is tried
   * again after its pages have been asked for: bpf_probe_read_user never waits for them.
   */
  #readUser(address: Reg, size: Operand, text: boolean, read: () => Reg): Reg {
    const first = read();
    if (!this.maySleep || this.#retries >= mostRetries) return first;
    this.#retries++;
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
    const { span } = b;
    if (this.options.reportReads && span !== undefined) {
      const what = space === 'either' ? helper : helper.replace('read', `read_${space}`);
      emitEvent(this, [{ type: int64, scalar: () => result }], ([code], size) => ({
        kind: 'runtime_error',
        what,
        offset: code?.offset ?? 0,
        size,
        span: [span.start, span.end],
      }));
    }
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

  // ---------------------------------------------------------------- shorthands for builtins

  scalar(expr: Ast.Expr): Reg {
    return this.#lowerings.scalar(this, expr);
  }

  into(expr: Ast.Expr, to: DirectPlace, type: Type): void {
    this.#lowerings.into(this, expr, to, type);
  }

  statements(body: readonly Ast.Statement[]): void {
    this.#lowerings.statements(this, body);
  }

  /** Where the value of an expression is: in the memory it names, or in memory of its own. */
  place(expr: Ast.Expr): Place {
    return this.#lowerings.place(this, expr);
  }

  /** Jumps to `to` when the expression is true (`when`) or false (`!when`); else goes on. */
  condition(expr: Ast.Expr, to: Label, when: boolean): void {
    this.#lowerings.condition(this, expr, to, when);
  }

  /** The value of an expression in memory of its own, as `type`. */
  materialize(expr: Ast.Expr, type: Type): DirectPlace {
    if (expr.node === 'variable' && !isScalarType(type)) {
      const info = this.variableInfo(expr);
      if (info.element === undefined && roomOf(info.type, this.assets.stored) === roomOf(type, this.assets.stored))
        return this.variablePlace(expr);
    }
    const place = this.temporary(roomOf(type, this.assets.stored));
    this.#lowerings.into(this, expr, place, type);
    return place;
  }

  /** Number of the CPU that runs the program, masked to the table sizes. */
  cpu(): Reg {
    const cpu = this.b.call(bpfHelper.get_smp_processor_id, []);
    return this.b.alu('and', cpu, { imm: this.assets.cpus - 1 });
  }

  constantOf(expr: Ast.Expr | Ast.TypeExpr | undefined): bigint | undefined {
    return expr === undefined || expr.node === 'type' ? undefined : this.facts.constants.get(expr);
  }
}

/** The largest access that fits and is aligned: the verifier insists on it on the stack. */
function stepAt(size: number, offset: number): 1 | 2 | 4 | 8 {
  for (const step of [8, 4, 2] as const) if (size >= step && offset % step === 0) return step;
  return 1;
}
