/**
 * From the typed syntax tree to IR, one BPF program (a probe block in one context) at
 * a time. A scalar expression becomes a register; anything bigger is written to a
 * place. This file holds the state of a program being lowered; memory, statements,
 * expressions, maps and events have files of their own.
 */
import { invariant } from '../../base/errors.ts';
import type { Span } from '../../diag/source.ts';
import { sizeOf } from '../../types/layout.ts';
import { int64, type Type, uint64 } from '../../types/model.ts';
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
import { Memory } from './memory.ts';
import type { DirectPlace, Place } from './place.ts';

/** Part of the BPF stack (512 bytes in all) for small values that live as long as one statement. */
const stackBytes = 128;

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

export class Lower extends Memory {
  readonly facts: BlockFacts;
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
    super(assets, probe, options);
    this.#lowerings = lowerings;
    this.facts = facts;
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

  get inGlobal(): boolean {
    return this.#inGlobal;
  }
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
    const retries = this.retries;
    this.#inGlobal = true;
    // What is read in it is always tried again: it is there once.
    this.retries = 0;
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
    this.retries = retries;
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

  readBuffer(): Reg {
    this.#frame.readBuffer ??= this.b.newSlot(8, 8, 'read');
    return this.b.slotAddress(this.#frame.readBuffer);
  }

  tellFailedRead(what: string, result: Reg): void {
    const { span } = this.b;
    if (!this.options.reportReads || span === undefined) return;
    emitEvent(this, [{ type: int64, scalar: () => result }], ([code], size) => ({
      kind: 'runtime_error',
      what,
      offset: code?.offset ?? 0,
      size,
      span: [span.start, span.end],
    }));
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
