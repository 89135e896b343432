/**
 * The unwinder over a saved stack: what compiler/unwind/walker.ts does inside BPF, in
 * TypeScript, by the same tables. It says what the right answer is when both are given
 * the same registers, memory and mappings.
 */
import { defaultFrames, Register, RuleKind, Saved, type StackEnd } from '../../program/unwind.ts';
import { type Rule, readRule } from './rules.ts';
import { ruleAt, type UnwindTable } from './table.ts';

export interface SavedMapping {
  readonly start: bigint;
  readonly end: bigint;
  /** Where in the file it starts. */
  readonly offset: number;
  /** The file's table; `jit` for memory without a file, undefined where nothing is known. */
  readonly table: UnwindTable | 'jit' | undefined;
}

export interface SavedStack {
  /** By DWARF number, 16 is rip. */
  readonly registers: readonly bigint[];
  /** The word at an address; undefined where there is no memory. */
  readonly read: (address: bigint) => bigint | undefined;
  /** Executable ones. */
  readonly mappings: readonly SavedMapping[];
  /** What a return address stands for that return probes have put in that place of the stack; undefined: itself. */
  readonly returnTo?: (pc: bigint, slot: bigint) => bigint | undefined;
}

export interface WalkedStack {
  /** Innermost first. */
  readonly frames: readonly bigint[];
  readonly end: StackEnd;
  /** Frame pointers were followed where rules may exist. */
  readonly guessed: boolean;
}

/** As in the walker: a frame pointer further up than this is none. */
const largestFrame = 1n << 23n;
/** mov $15,%rax; syscall (the first eight bytes). */
const signalReturn = 0x0f0000000fc0c748n;
/** ucontext.uc_mcontext.gregs by DWARF number, from rsp of the signal frame. */
const signalOffsets = [144, 136, 152, 128, 112, 104, 120, 160, 40, 48, 56, 64, 72, 80, 88, 96, 168] as const;
const word = (value: bigint): bigint => BigInt.asUintN(64, value);

type Step =
  | { readonly end: StackEnd }
  | {
      readonly cfa: bigint;
      readonly pc: bigint;
      readonly rbp: bigint;
      readonly rbx: bigint;
      readonly injected?: boolean;
    };

class Walk {
  readonly #saved: SavedStack;
  #registers: bigint[];
  /** What to take off the pc before a look-up. */
  #adjust = 0n;
  #innermost = true;
  /** The last step followed a frame pointer where rules may exist: in what way the stack ends when that led nowhere. */
  #guessing: StackEnd | undefined;
  guessed = false;

  constructor(saved: SavedStack) {
    this.#saved = saved;
    this.#registers = [...saved.registers];
  }

  run(limit: number): WalkedStack {
    const frames: bigint[] = [];
    for (;;) {
      if (frames.length >= limit) return { frames, end: 'depth', guessed: this.guessed };
      const pc = this.#registers[Register.rip] as bigint;
      const look = word(pc - this.#adjust);
      const mapping = this.#saved.mappings.find((one) => look >= one.start && look < one.end);
      if (mapping === undefined) return { frames, end: this.#guessing ?? 'no mapping', guessed: this.guessed };
      frames.push(pc);
      const end = this.#step(pc, look, mapping);
      if (end !== undefined) return { frames, end, guessed: this.guessed };
    }
  }

  #read(address: bigint): bigint | undefined {
    return this.#saved.read(address);
  }

  /** Goes to the caller; why there is none, when there is none. */
  #step(pc: bigint, look: bigint, mapping: SavedMapping): StackEnd | undefined {
    const { table } = mapping;
    let rule: Rule | undefined;
    if (table !== undefined && table !== 'jit') {
      const offset = Number(look - mapping.start) + mapping.offset;
      rule = readRule(table.rules, ruleAt(table.blocks, offset));
    }
    const kind = rule?.kind ?? RuleKind.none;
    if (kind === RuleKind.end) return 'complete';
    if (kind === RuleKind.signal) return this.#signal();
    const linked = table === 'jit' || kind === RuleKind.linked;
    const byRule = rule !== undefined && kind !== RuleKind.none && kind !== RuleKind.unsupported && !linked;
    if (!byRule && !linked && this.#read(pc) === signalReturn) return this.#signal();
    const next = byRule ? this.#byRule(rule as Rule, look) : this.#byFramePointer(kind, table);
    if ('end' in next) return next.end;
    this.#guessing = byRule || linked ? undefined : table === undefined ? 'not indexed' : 'no rule';
    if (this.#guessing !== undefined) this.guessed = true;
    if (next.pc === 0n) return 'complete';
    if (next.cfa <= (this.#registers[Register.rsp] as bigint)) return 'no progress';
    this.#registers[Register.rip] = this.#saved.returnTo?.(next.pc, next.cfa - 8n) ?? next.pc;
    this.#registers[Register.rsp] = next.cfa;
    this.#registers[Register.rbp] = next.rbp;
    this.#registers[Register.rbx] = next.rbx;
    this.#adjust = next.injected === true ? 0n : 1n;
    this.#innermost = false;
    return undefined;
  }

  #byRule(rule: Rule, look: bigint): Step {
    const kept = rule.base === Register.rbx || rule.base === Register.rbp || rule.base === Register.rsp;
    if (!kept && !this.#innermost) return { end: 'unsupported rule' };
    let cfa = word((this.#registers[rule.base] as bigint) + BigInt(rule.offset));
    let pc: bigint | undefined;
    if (rule.kind === RuleKind.deref) {
      const inner = this.#read(cfa);
      if (inner === undefined) return { end: 'page not present' };
      cfa = word(inner + BigInt(rule.extra));
    } else if (rule.kind === RuleKind.plt) {
      if ((look & 15n) >= BigInt(rule.extra)) cfa = word(cfa + 8n);
    } else if (rule.kind === RuleKind.returnRegister) {
      if (!this.#innermost) return { end: 'unsupported rule' };
      pc = this.#registers[rule.extra & 15];
    }
    pc ??= this.#read(word(cfa - 8n));
    const own = this.#registers[Register.rbp] as bigint;
    const restore = (saved: number, offset: number, value: bigint): bigint | undefined => {
      if (saved === Saved.same) return value;
      return this.#read(word((saved === Saved.cfa ? cfa : own) + BigInt(offset)));
    };
    const rbp = restore(rule.rbpSaved, rule.rbpOffset, own);
    const rbx = restore(rule.rbxSaved, rule.rbxOffset, this.#registers[Register.rbx] as bigint);
    if (pc === undefined || rbp === undefined || rbx === undefined) return { end: 'page not present' };
    return { cfa, pc, rbp, rbx, injected: rule.kind === RuleKind.injected };
  }

  #byFramePointer(kind: number, table: SavedMapping['table']): Step {
    const rbp = this.#registers[Register.rbp] as bigint;
    if (rbp === 0n) return { end: table === undefined ? 'not indexed' : 'complete' };
    const failed = {
      end: kind === RuleKind.unsupported ? 'unsupported rule' : table === undefined ? 'not indexed' : 'no rule',
    } as const;
    if (word(rbp - (this.#registers[Register.rsp] as bigint)) > largestFrame || (rbp & 7n) !== 0n) return failed;
    const pc = this.#read(word(rbp + 8n));
    const next = this.#read(rbp);
    if (pc === undefined || next === undefined) return failed;
    return { cfa: word(rbp + 16n), pc, rbp: next, rbx: this.#registers[Register.rbx] as bigint };
  }

  #signal(): StackEnd | undefined {
    const rsp = this.#registers[Register.rsp] as bigint;
    const registers: bigint[] = [];
    for (const offset of signalOffsets) {
      const value = this.#read(word(rsp + BigInt(offset)));
      if (value === undefined) return 'page not present';
      registers.push(value);
    }
    this.#registers = registers;
    this.#adjust = 0n;
    this.#innermost = true;
    this.#guessing = undefined;
    return undefined;
  }
}

/** Unwinds a saved stack, at most `limit` frames of it. */
export function walkStack(saved: SavedStack, limit: number = defaultFrames): WalkedStack {
  return new Walk(saved).run(limit);
}
