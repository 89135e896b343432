/**
 * The Program behind `insitu calls`: one BPF program for all places of the traced functions,
 * made in IR without a script, as what it keeps (a stack of calls for each thread, see
 * program/calls.ts) is nothing that the language has.
 *
 *     calls(ctx)     at a place: begins a call, or ends one
 *     calls_leave(now, how, result, result2)   takes the innermost frame off the thread's stack
 *
 * A frame is known by where its return address lies. The stack grows down, so at the begin
 * or end of a call every frame that lies lower than the stack pointer has gone unseen: an
 * exception or longjmp() went through it. So has one at the very place of a call that begins,
 * unless a uretprobe is to tell of its end and it has jumped to the function (a tail call).
 */
import { bpf_flag } from '../../bpf/constants.ts';
import {
  budgetWindow,
  controlAt,
  FrameFlag,
  frameAt,
  frameBytes,
  functionAt,
  histogramBits,
  histogramBuckets,
  Leaving,
  mostFrames,
  mostThreads,
  Site,
  siteBegins,
  statsAt,
  statsBytes,
  textSlot,
  threadAt,
} from '../../program/calls.ts';
import type { BpfProgram, GlobalsLayout, MapSpec, Program } from '../../program/program.ts';
import { defaultConfig } from '../config.ts';
import { emit } from '../emit/emit.ts';
import type { IrFunction, Label, Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { takeText } from './text.ts';
import { maps, Writer } from './writer.ts';

export interface CallsOptions {
  readonly kernel: { readonly major: number; readonly minor: number };
  /** Functions that are traced. */
  readonly functions: number;
  /** Texts that a frame has room for: that of the result, and those of arguments; 0 for none. */
  readonly texts: number;
  /** The program may wait for pages (Linux 6.0). */
  readonly sleepable: boolean;
}

/** Offsets in struct pt_regs of arch/x86: arguments in their order, and others. */
const argumentRegisters = [112, 104, 96, 88, 72, 64] as const;
const [axAt, dxAt, flagsAt, spAt] = [80, 96, 144, 152];
/** A stack pointer that is this much higher is on another stack. */
const otherStackDistance = 1 << 20;
const ringBytes = 1 << 22;
const BPF_RB_NO_WAKEUP = 1;
const BPF_NOEXIST = 1;

/** The program with its maps; it has no probes: the runtime attaches it to places. */
export function callsProgram(options: CallsOptions): Program {
  const frame = frameBytes(options.texts);
  const threadSize = threadAt.frames + frame * mostFrames;
  const map = (role: 'calls', name: string, kind: MapSpec['kind'], valueSize: number, maxEntries: number): MapSpec => ({
    role,
    name,
    kind,
    keySize: kind === 'RINGBUF' ? 0 : 4,
    valueSize,
    maxEntries,
    flags: kind === 'ARRAY' ? bpf_flag.BPF_F_MMAPABLE : 0,
  });
  const specs: Record<keyof typeof maps, MapSpec> = {
    control: map('calls', 'control', 'ARRAY', controlAt.size, 1),
    functions: map('calls', 'functions', 'ARRAY', functionAt.size, options.functions),
    stats: map('calls', 'stats', 'ARRAY', statsBytes, options.functions),
    threads: map('calls', 'threads', 'HASH', threadSize, mostThreads),
    template: map('calls', 'template', 'ARRAY', threadSize, 1),
    events: map('calls', 'events', 'RINGBUF', 0, ringBytes),
  };
  return {
    config: defaultConfig,
    maps: Object.values(specs),
    programs: [
      compiled('calls', 'KPROBE', [siteFunction(options, frame), leaveFunction(options, frame)], options),
      compiled('calls_exit', 'RAW_TRACEPOINT', [exitFunction(frame)], { ...options, sleepable: false }),
    ],
    probes: [],
    followers: [],
    probeNames: [],
    events: [],
    packets: [],
    globals: unusedGlobals,
    needsUserSymbols: false,
    unwinds: false,
    unsafe: false,
  };
}

/** The program has none of the language's globals. */
const unusedGlobals: GlobalsLayout = {
  ...{ startNs: 0, wallClock: 0, taiClock: 0, selfPid: 0, childPid: 0, failedReads: 0, scratchBusy: 0, notFollowed: 0 },
  ...{ loopLimit: 0, notKept: 0, exit: 0, lost: 0, lostSlots: 0, mapFull: 0, stackEnds: 0, stackGuesses: 0 },
  ...{ stacksFull: 0, size: 0 },
};

function compiled(
  name: string,
  type: BpfProgram['type'],
  functions: readonly IrFunction[],
  { kernel, sleepable }: CallsOptions,
): BpfProgram {
  const emitted = emit({ name, functions }, { kernel });
  if (!emitted.ok) throw new Error(`insitu bug: ${emitted.error.message}`);
  const { code, relocations, spans, btf } = emitted.value;
  return { name, type, code, relocations, spans, ...(btf ? { btf } : {}), ...(sleepable ? { sleepable } : {}) };
}

function siteFunction({ texts, sleepable }: CallsOptions, frame: number): IrFunction {
  const f = new Writer('calls', ['pointer'], frame);
  const { b } = f;
  const context = b.parameter(0);
  const out = b.label();
  const now = b.call(bpfHelper.ktime_get_ns, []);
  const cookie = b.call(bpfHelper.get_attach_cookie, [context]);
  b.branch('ne', b.alu('lshr', cookie, { imm: 32 }), b.load(f.control(controlAt.generation), 0, 8), out);
  const kind = b.alu('and', b.alu('lshr', cookie, { imm: 28 }), { imm: 15 });
  const fn = b.alu('and', cookie, { imm: 0xffffff });
  const [threadKey, fnKey] = [b.newSlot(8, 8, 'thread'), b.newSlot(8, 8, 'function')];
  b.store(b.slotAddress(fnKey), 0, 4, fn);
  const pidTgid = f.threadKey(threadKey);
  const thread = b.reg('pointer');
  b.mov(thread, f.lookup(maps.threads, threadKey));
  const sp = b.reg();
  b.mov(sp, b.load(context, spAt as number, 8));
  const ends = b.label();
  const alsoBegins = b.alu('and', kind, { imm: siteBegins });
  const place = b.alu('and', kind, { imm: siteBegins - 1 });
  const begins = b.label();
  b.branch('ne', alsoBegins, { imm: 0 }, begins);
  b.branch('ne', place, { imm: Site.entry }, ends);

  // A call begins.
  b.place(begins);
  const stats = f.lookup(maps.stats, fnKey);
  b.branch('eq', stats, { imm: 0 }, out);
  f.bump(stats, statsAt.calls);
  const spec = f.lookup(maps.functions, fnKey);
  b.branch('eq', spec, { imm: 0 }, out);
  const there = b.label();
  b.branch('ne', thread, { imm: 0 }, there);
  const zero = b.newSlot(8, 8, 'zero');
  b.store(b.slotAddress(zero), 0, 4, { imm: 0 });
  const template = f.lookup(maps.template, zero);
  b.branch('eq', template, { imm: 0 }, out);
  b.call(bpfHelper.map_update_elem, [b.map(maps.threads), b.slotAddress(threadKey), template, { imm: BPF_NOEXIST }]);
  b.mov(thread, f.lookup(maps.threads, threadKey));
  f.when('eq', thread, { imm: 0 }, () => {
    f.count(controlAt.noThread);
    b.jump(out);
  });
  b.store(thread, threadAt.pidTgid, 8, pidTgid);
  b.place(there);
  const settled = b.label();
  unwindTo(f, thread, sp, now, true, settled);
  b.place(settled);
  begin(f, { context, thread, spec, fn, sp, texts, sleepable, out });
  b.branch('eq', place, { imm: Site.entry }, out);

  // A call ends.
  b.place(ends);
  const unmatched = b.label();
  const known = b.label();
  b.branch('ne', thread, { imm: 0 }, known);
  f.count(controlAt.unmatched);
  b.jump(out);
  b.place(known);
  f.when('eq', place, { imm: Site.conditional }, () => {
    const taken = b.label();
    conditionHolds(f, b.load(context, flagsAt as number, 8), b.alu('lshr', cookie, { imm: 24 }), taken, out);
    b.place(taken);
  });
  // The return has taken the address off the stack.
  f.when('eq', place, { imm: Site.uretprobe }, () => f.change(sp, 'sub', { imm: 8 }));
  const how = b.reg();
  f.assign(how, { imm: Leaving.returned });
  f.when('eq', place, { imm: Site.jump }, () => f.assign(how, { imm: Leaving.jumped }));
  f.when('eq', place, { imm: Site.conditional }, () => f.assign(how, { imm: Leaving.jumped }));
  unwindTo(f, thread, sp, now, false, unmatched);
  const top = f.frameOf(thread, f.innermost(thread, unmatched));
  b.branch('ne', b.load(top, frameAt.sp, 8), sp, unmatched);
  b.branch('ne', b.load(top, frameAt.fn, 4), fn, unmatched);
  f.when(
    'eq',
    how,
    { imm: Leaving.jumped },
    () => {
      b.store(thread, threadAt.jumpedAt, 8, sp);
    },
    () => {
      b.store(thread, threadAt.jumpedAt, 8, { imm: 0 });
    },
  );
  b.callFunction(1, [now, how, b.load(context, axAt as number, 8), b.load(context, dxAt as number, 8)]);
  b.jump(out);
  b.place(unmatched);
  // A jump within the function, with its frame still on the stack, ends nothing; nor does the end of a call that was too deep.
  b.branch('eq', how, { imm: Leaving.jumped }, out);
  b.branch('uge', b.load(thread, threadAt.depth, 4), { imm: mostFrames }, out);
  f.count(controlAt.unmatched);
  b.jump(out);
  b.place(out);
  b.return({ imm: 0 });
  return b.finish();
}

/**
 * Takes off the frames that lie lower than the stack pointer; at the begin of a call also
 * the one at that very place. Goes to `none` when there is no frame left.
 */
function unwindTo(f: Writer, thread: Reg, sp: Reg, now: Reg, begins: boolean, none: Label): void {
  const { b } = f;
  const round = b.label();
  const done = b.label();
  const count = b.reg();
  f.assign(count, { imm: 0 });
  b.place(round);
  const frame = f.frameOf(thread, f.innermost(thread, none));
  const at = b.load(frame, frameAt.sp, 8);
  b.branch('ugt', at, sp, done);
  const how = b.reg();
  f.assign(how, { imm: Leaving.gone });
  if (!begins) b.branch('eq', at, sp, done);
  else {
    f.when('eq', at, sp, () => {
      const byReturn = b.alu('and', b.load(frame, frameAt.flags, 4), { imm: FrameFlag.uretprobe });
      f.when('ne', byReturn, { imm: 0 }, () => {
        // A function that was jumped to finds the kernel's own page where the return address was.
        const word = b.slotAddress(b.newSlot(8, 8, 'return address'));
        b.call(bpfHelper.probe_read_user, [word, { imm: 8 }, sp]);
        f.when('eq', b.alu('and', b.load(word, 0, 8), { imm: 4095 }), { imm: 0 }, () => {
          b.store(thread, threadAt.jumpedAt, 8, sp);
          b.jump(done);
        });
      });
    });
  }
  f.when('ugt', b.alu('sub', sp, at), { imm: otherStackDistance }, () => {
    f.count(controlAt.otherStack);
    b.jump(done);
  });
  b.callFunction(1, [now, how, { imm: 0 }, { imm: 0 }]);
  f.change(count, 'add', { imm: 1 });
  b.branch('ule', count, { imm: mostFrames }, round);
  b.place(done);
}

interface Begin {
  readonly context: Reg;
  readonly thread: Reg;
  readonly spec: Reg;
  readonly fn: Reg;
  readonly sp: Reg;
  readonly texts: number;
  readonly sleepable: boolean;
  readonly out: Label;
}

function begin(f: Writer, { context, thread, spec, fn, sp, texts, sleepable, out }: Begin): void {
  const { b } = f;
  const depth = b.load(thread, threadAt.depth, 4);
  f.when('uge', depth, { imm: mostFrames }, () => {
    f.count(controlAt.tooDeep);
    b.jump(out);
  });
  const frame = f.frameOf(thread, depth);
  const flags = b.reg();
  f.assign(flags, b.alu('and', b.load(spec, functionAt.flags, 4), { imm: FrameFlag.uretprobe }));
  // Whether the function is active already.
  const index = b.reg();
  const [round, decided] = [b.label(), b.label()];
  f.assign(index, { imm: 0 });
  b.place(round);
  b.branch('uge', index, depth, decided);
  b.branch('uge', index, { imm: mostFrames }, decided);
  f.when('eq', b.load(f.frameOf(thread, index), frameAt.fn, 4), fn, () => {
    f.change(flags, 'or', { imm: FrameFlag.recursive });
    b.jump(decided);
  });
  f.change(index, 'add', { imm: 1 });
  b.jump(round);
  b.place(decided);
  f.when('eq', b.load(thread, threadAt.jumpedAt, 8), sp, () => f.change(flags, 'or', { imm: FrameFlag.jumpedTo }));
  b.store(thread, threadAt.jumpedAt, 8, { imm: 0 });

  const [hidden, shown] = [b.label(), b.label()];
  const outermost = b.label();
  const parent = b.reg('pointer');
  b.branch('eq', depth, { imm: 0 }, outermost);
  b.mov(parent, f.frameOf(thread, boundedBelow(f, depth)));
  const inherited = b.label();
  b.branch('eq', b.alu('and', b.load(parent, frameAt.flags, 4), { imm: FrameFlag.shown }), { imm: 0 }, hidden);
  f.when('uge', depth, b.load(f.control(controlAt.depth), 0, 8), () => {
    f.bump(parent, frameAt.hidden, b.const(1), 4);
    b.jump(hidden);
  });
  takeBudget(f, inherited);
  f.bump(parent, frameAt.hidden, b.const(1), 4);
  b.jump(hidden);
  b.place(inherited);
  b.jump(shown);

  b.place(outermost);
  const ordinal = b.load(thread, threadAt.outermost, 8);
  b.store(thread, threadAt.outermost, 8, b.alu('add', ordinal, { imm: 1 }));
  const skipped = b.label();
  b.branch('ne', b.alu('umod', ordinal, b.load(f.control(controlAt.sample), 0, 8)), { imm: 0 }, skipped);
  const granted = b.label();
  takeBudget(f, granted);
  b.place(skipped);
  f.count(controlAt.hidden);
  b.jump(hidden);
  b.place(granted);
  // Threads may change their names.
  b.call(bpfHelper.get_current_comm, [b.alu('add', thread, { imm: threadAt.comm }), { imm: 16 }]);

  b.place(shown);
  f.change(flags, 'or', { imm: FrameFlag.shown });
  for (const [number, register] of argumentRegisters.entries()) {
    b.store(frame, frameAt.words + 8 * number, 8, b.load(context, register, 8));
  }
  const above = b.load(spec, functionAt.stackWords, 4);
  f.when('ne', above, { imm: 0 }, () => {
    const words = b.alu('add', frame, { imm: frameAt.words + 48 });
    b.call(bpfHelper.probe_read_user, [words, { imm: 16 }, b.alu('add', sp, above)]);
  });
  if (texts > 0) {
    for (let text = 1; text < texts; text++) {
      takeText(f, {
        frame,
        spec,
        specAt: functionAt.texts + 8 * text,
        slotAt: frameAt.texts + textSlot * text,
        wordsAt: frameAt.words,
        words: 8,
        sleepable,
      });
    }
  }
  b.place(hidden);
  b.store(frame, frameAt.sp, 8, sp);
  b.store(frame, frameAt.below, 8, { imm: 0 });
  b.store(frame, frameAt.fn, 4, fn);
  b.store(frame, frameAt.flags, 4, flags);
  b.store(frame, frameAt.hidden, 4, { imm: 0 });
  b.store(frame, frameAt.depth, 4, depth);
  b.store(thread, threadAt.depth, 4, b.alu('add', depth, { imm: 1 }));
  // Last of all, so that what was done here is not in the call's time.
  b.store(frame, frameAt.entered, 8, b.call(bpfHelper.ktime_get_ns, []));
}

/** depth - 1, for a depth of 1 to mostFrames; said so that the verifier knows. */
function boundedBelow(f: Writer, depth: Reg): Reg {
  const { b } = f;
  const index = b.reg();
  b.mov(index, b.alu('sub', depth, { imm: 1 }));
  f.when('uge', index, { imm: mostFrames }, () => f.assign(index, { imm: 0 }));
  return index;
}

/** Goes to `granted` when there may be one more record in this second. */
function takeBudget(f: Writer, granted: Label): void {
  const { b } = f;
  const now = b.call(bpfHelper.ktime_get_ns, []);
  const control = f.control(0);
  f.when('ugt', b.alu('sub', now, b.load(control, controlAt.windowStart, 8)), { imm: budgetWindow }, () => {
    b.store(control, controlAt.windowStart, 8, now);
    b.store(control, controlAt.windowCount, 8, { imm: 0 });
  });
  const budget = b.load(control, controlAt.budget, 8);
  f.when('ult', b.load(control, controlAt.windowCount, 8), budget, () => {
    f.bump(control, controlAt.windowCount);
    b.jump(granted);
  });
}

/** Intel SDM volume 1, appendix B: condition codes; bits of rflags: CF 0, PF 2, ZF 6, SF 7, OF 11. */
function conditionHolds(f: Writer, flags: Reg, code: Reg, taken: Label, not: Label): void {
  const { b } = f;
  const bit = (at: number): Reg => b.alu('and', b.alu('lshr', flags, { imm: at }), { imm: 1 });
  const [carry, parity, zero, sign, overflow] = [bit(0), bit(2), bit(6), bit(7), bit(11)];
  const less = b.alu('xor', sign, overflow);
  const values: readonly Reg[] = [
    overflow,
    carry,
    zero,
    b.alu('or', carry, zero),
    sign,
    parity,
    less,
    b.alu('or', less, zero),
  ];
  const value = b.reg();
  f.assign(value, { imm: 0 });
  const which = b.alu('and', b.alu('lshr', code, { imm: 1 }), { imm: 7 });
  for (const [number, one] of values.entries()) f.when('eq', which, { imm: number }, () => b.mov(value, one));
  f.change(value, 'xor', b.alu('and', code, { imm: 1 }));
  b.branch('ne', value, { imm: 0 }, taken);
  b.jump(not);
}

/** Takes the innermost frame off: its time goes to the statistics and to the caller, its record to the ring buffer. */
function leaveFunction({ texts, sleepable }: CallsOptions, frameSize: number): IrFunction {
  const f = new Writer('calls_leave', ['scalar', 'scalar', 'scalar', 'scalar'], frameSize);
  const { b } = f;
  const [now, how, result, result2] = [0, 1, 2, 3].map((index) => b.parameter(index)) as [Reg, Reg, Reg, Reg];
  const out = b.label();
  const key = b.newSlot(8, 8, 'thread');
  const pidTgid = f.threadKey(key);
  const thread = f.lookup(maps.threads, key);
  b.branch('eq', thread, { imm: 0 }, out);
  const index = f.innermost(thread, out);
  const frame = f.frameOf(thread, index);
  b.store(thread, threadAt.depth, 4, index);
  const duration = b.reg();
  f.assign(duration, { imm: 0 });
  const entered = b.load(frame, frameAt.entered, 8);
  f.when('ugt', now, entered, () => b.mov(duration, b.alu('sub', now, entered)));
  const parent = b.reg('pointer');
  f.assign(parent, { imm: 0 });
  const alone = b.label();
  b.branch('eq', index, { imm: 0 }, alone);
  b.mov(parent, f.frameOf(thread, boundedBelow(f, index)));
  b.store(parent, frameAt.below, 8, b.alu('add', b.load(parent, frameAt.below, 8), duration));
  b.place(alone);

  const fnKey = b.newSlot(8, 8, 'function');
  b.store(b.slotAddress(fnKey), 0, 4, b.load(frame, frameAt.fn, 4));
  const stats = f.lookup(maps.stats, fnKey);
  b.branch('eq', stats, { imm: 0 }, out);
  const flags = b.load(frame, frameAt.flags, 4);
  f.bump(stats, statsAt.ended);
  const below = b.load(frame, frameAt.below, 8);
  f.when('ugt', duration, below, () => f.bump(stats, statsAt.self, b.alu('sub', duration, below)));
  f.when('eq', b.alu('and', flags, { imm: FrameFlag.recursive }), { imm: 0 }, () =>
    f.bump(stats, statsAt.total, duration),
  );
  f.when('eq', how, { imm: Leaving.gone }, () => f.bump(stats, statsAt.gone));
  f.when('eq', how, { imm: Leaving.jumped }, () => f.bump(stats, statsAt.jumped));
  const bucket = bucketOf(f, duration);
  f.bump(b.alu('add', stats, b.alu('shl', bucket, { imm: 2 })), statsAt.histogram, b.const(1), 4);

  b.branch('eq', b.alu('and', flags, { imm: FrameFlag.shown }), { imm: 0 }, out);
  const [short, written] = [b.label(), b.label()];
  b.branch('ult', duration, b.load(f.control(controlAt.least), 0, 8), short);
  b.store(frame, frameAt.left, 8, now);
  b.store(frame, frameAt.result, 8, result);
  b.store(frame, frameAt.result2, 8, result2);
  b.store(frame, frameAt.how, 4, how);
  b.store(frame, frameAt.tid, 4, pidTgid);
  b.store(frame, frameAt.pid, 4, b.alu('lshr', pidTgid, { imm: 32 }));
  for (const at of [0, 8]) b.store(frame, frameAt.comm + at, 8, b.load(thread, threadAt.comm + at, 8));
  if (texts > 0) {
    const specs = f.lookup(maps.functions, fnKey);
    b.branch('eq', specs, { imm: 0 }, out);
    f.when('eq', how, { imm: Leaving.returned }, () =>
      takeText(f, {
        frame,
        spec: specs,
        specAt: functionAt.texts,
        slotAt: frameAt.texts,
        wordsAt: frameAt.result,
        words: 2,
        sleepable,
      }),
    );
  }
  // The reader looks every few milliseconds: it need not be woken.
  const sent = b.call(bpfHelper.ringbuf_output, [
    b.map(maps.events),
    frame,
    { imm: frameSize },
    { imm: BPF_RB_NO_WAKEUP },
  ]);
  b.branch('eq', sent, { imm: 0 }, written);
  f.count(controlAt.lost);
  b.jump(written);
  b.place(short);
  f.when(
    'ne',
    parent,
    { imm: 0 },
    () => f.bump(parent, frameAt.hidden, b.const(1), 4),
    () => f.count(controlAt.hidden),
  );
  b.place(written);
  b.place(out);
  b.return({ imm: 0 });
  return { ...b.finish(), global: true };
}

/** The histogram's bucket of a duration (program/calls.ts, bucketStart). */
function bucketOf(f: Writer, value: Reg): Reg {
  const { b } = f;
  const rest = b.reg();
  const power = b.reg();
  const bucket = b.reg();
  b.mov(rest, value);
  f.assign(power, { imm: 0 });
  for (const shift of [32, 16, 8, 4, 2, 1]) {
    const skip = b.label();
    b.branch('eq', b.alu('lshr', rest, { imm: shift }), { imm: 0 }, skip);
    f.change(rest, 'lshr', { imm: shift });
    f.change(power, 'add', { imm: shift });
    b.place(skip);
  }
  b.mov(bucket, value);
  f.when('uge', power, { imm: histogramBits }, () => {
    const shift = b.alu('and', b.alu('sub', power, { imm: histogramBits }), { imm: 63 });
    const part = b.alu('and', b.alu('lshr', value, shift), { imm: (1 << histogramBits) - 1 });
    const base = b.alu('shl', b.alu('add', shift, { imm: 1 }), { imm: histogramBits });
    b.mov(bucket, b.alu('add', base, part));
  });
  f.when('ugt', bucket, { imm: histogramBuckets - 1 }, () => f.assign(bucket, { imm: histogramBuckets - 1 }));
  return bucket;
}

/** At sched_process_exit: a thread that had calls open is told of by a short record, its tid. */
function exitFunction(frame: number): IrFunction {
  const f = new Writer('calls_exit', ['pointer'], frame);
  const { b } = f;
  const out = b.label();
  const key = b.newSlot(8, 8, 'thread');
  const pidTgid = f.threadKey(key);
  const thread = f.lookup(maps.threads, key);
  b.branch('eq', thread, { imm: 0 }, out);
  const record = b.slotAddress(b.newSlot(8, 8, 'record'));
  b.store(record, 0, 8, pidTgid);
  b.call(bpfHelper.ringbuf_output, [b.map(maps.events), record, { imm: 8 }, { imm: BPF_RB_NO_WAKEUP }]);
  b.place(out);
  b.return({ imm: 0 });
  return b.finish();
}
