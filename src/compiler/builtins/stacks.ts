/** ustack, kstack: call stacks. */

import { bpf_flag } from '../../bpf/constants.ts';
import { defaultFrames, endNumber, endNumbers } from '../../program/unwind.ts';
import type { StackType, Type } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import { scratchLevels, type Unwinding } from '../lower/assets.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import type { Lower } from '../lower/lower.ts';
import type { DirectPlace } from '../lower/place.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Expr } from '../syntax/ast.ts';
import { stateAt, stateBytes, unwinderLayout } from '../unwind/layout.ts';
import type { BuiltinFunction } from './builtin.ts';
import { currentPid } from './pids.ts';

/** sysctl kernel.perf_event_max_stack allows more; its default is 127. */
const maxFrames = 1024;
const modes = ['bpftrace', 'perf', 'raw', 'build_id'] as const;

function stackType(kind: 'ustack' | 'kstack', sema: Sema, call: Call): Type {
  let mode: StackType['mode'] = sema.config.stackMode;
  let limit = defaultFrames;
  for (const argument of call.args) {
    if (argument.node === 'identifier' && (modes as readonly string[]).includes(argument.name)) {
      mode = argument.name as StackType['mode'];
      continue;
    }
    if (argument.node === 'type') continue;
    if (argument.node === 'identifier') {
      sema.error('stack-mode', `unknown stack mode '${argument.name}'`, argument.span, `modes are ${modes.join(', ')}`);
      continue;
    }
    sema.expr(argument);
    const frames = sema.constant(argument);
    if (frames === undefined)
      sema.error('literal-expected', `${call.name}() takes a number of frames known at compile time`, argument.span);
    else if (frames < 1n || frames > BigInt(maxFrames)) {
      sema.error('stack-limit', `${call.name}() takes 1 to ${maxFrames} frames, not ${frames}`, argument.span);
    } else limit = Number(frames);
  }
  if (kind === 'ustack' && sema.config.ustackUnwind === 'cfi') {
    const layout = unwinderLayout(sema.target);
    if (typeof layout === 'string') {
      const hint = 'frame pointers are the other way: config ustack_unwind = fp, or --unwind fp';
      sema.error(
        'no-unwinder',
        `user stacks can't be unwound by call frame information here: ${layout}`,
        call.span,
        hint,
      );
    }
  }
  return { kind, mode, limit };
}

/**
 * Frames of the tracer itself on top of the kernel's stack (the skip count of
 * BPF_F_SKIP_FIELD_MASK): a program at a function's entry or return is called by a
 * trampoline, and the walk begins in the program. Elsewhere it begins at the event.
 */
const ownFrames = (low: Lower): number => (low.probe.provider === 'fentry' || low.probe.provider === 'fexit' ? 2 : 0);

function writeStack(low: Lower, type: StackType, to: DirectPlace): void {
  const { b } = low;
  const user = type.kind === 'ustack';
  const flags = user ? bpf_flag.BPF_F_USER_STACK : ownFrames(low);
  if (user) low.assets.needsUserSymbols = true;
  if (user && low.assets.unwinding !== undefined) {
    writeUnwound(low, type, to);
    return;
  }
  // Kernel stacks are the same in all processes, also as keys.
  b.store(to.base, to.offset, 4, user ? currentPid(low) : { imm: 0 });
  if (to.raw) {
    const buffer = low.addressOf({ kind: 'direct', base: to.base, offset: to.offset + 8 });
    const bytes = b.call(bpfHelper.get_stack, [low.context, buffer, { imm: 8 * type.limit }, { imm: flags }]);
    b.store(to.base, to.offset + 4, 4, bytes);
    return;
  }
  const id = b.call(bpfHelper.get_stackid, [
    low.context,
    b.map(low.assets.stackMap(type.kind, type.limit)),
    { imm: flags },
  ]);
  if (low.assets.stored.counted !== true) {
    b.store(to.base, to.offset + 4, 4, id);
    return;
  }
  b.store(to.base, to.offset + 4, 2, id);
  b.store(to.base, to.offset + 6, 2, walkedFrames(low, type, flags));
}

/** Number of frames that the kernel finds here. */
function walkedFrames(low: Lower, type: StackType, flags: number): Reg {
  const { b } = low;
  return low.scoped(() => {
    const size = 8 * type.limit;
    const buffer = low.addressOf(low.scratch(size));
    const bytes = b.call(bpfHelper.get_stack, [low.context, buffer, { imm: size }, { imm: flags }]);
    const fine = b.label();
    const count = b.reg();
    b.mov(count, bytes);
    b.branch('sge', count, { imm: 0 }, fine);
    b.push({ op: 'const', dst: count, value: 0n });
    b.place(fine);
    return b.alu('lshr', count, { imm: 3 });
  });
}

/** A user stack by insitu's own unwinder; the form is that of Schema's `unwound`. */
function writeUnwound(low: Lower, type: StackType, to: DirectPlace): void {
  const { b, assets } = low;
  const unwinding = assets.unwinding as Unwinding;
  const stride = stateBytes(unwinding.frames);
  const pid = currentPid(low);
  b.store(to.base, to.offset, 4, pid);
  const offset = b.callFunction(low.unwinder(), [{ imm: type.limit }, pid]);
  const claimed = b.label();
  const done = b.label();
  b.branch('ule', offset, { imm: stride * (assets.cpus * scratchLevels - 1) }, claimed);
  b.store(to.base, to.offset + 4, 4, { imm: endNumber('busy') << 16 });
  if (!to.raw) b.store(to.base, to.offset + 8, 8, { imm: 0 });
  low.count(assets.globals.stackEnds + 8 * endNumber('busy'));
  b.jump(done);
  b.place(claimed);
  const state = b.alu('add', b.mapValue(assets.walkerMaps().state, 0), offset);
  const count = b.load(state, stateAt.count, 8);
  const end = b.alu('and', b.load(state, stateAt.end, 8), { imm: endNumbers - 1 });
  const flags = b.load(state, stateAt.flags, 1);
  b.store(to.base, to.offset + 4, 2, count);
  b.store(to.base, to.offset + 6, 1, end);
  b.store(to.base, to.offset + 7, 1, flags);
  const counters = b.alu('add', b.mapValue(assets.globalsMap, assets.globals.stackEnds), b.alu('shl', end, { imm: 3 }));
  const one = b.const(1);
  b.push({ op: 'atomic', operator: 'add', base: counters, offset: 0, size: 8, value: one });
  const certain = b.label();
  b.branch('eq', flags, { imm: 0 }, certain);
  low.count(assets.globals.stackGuesses);
  b.place(certain);
  const release = b.label();
  const frames = b.alu('add', state, { imm: stateAt.frames });
  if (to.raw) {
    // One more than there are: behind an unfinished one stands its id.
    const words = b.reg();
    const full = b.label();
    b.mov(words, count);
    b.branch('uge', words, { imm: type.limit }, full);
    b.push({ op: 'alu', operator: 'add', dst: words, left: words, right: { imm: 1 } });
    b.place(full);
    b.branch('ugt', words, { imm: type.limit }, release);
    const into = low.addressOf({ kind: 'direct', base: to.base, offset: to.offset + 8 });
    b.call(bpfHelper.probe_read_kernel, [into, b.alu('shl', words, { imm: 3 }), frames]);
  } else {
    b.store(to.base, to.offset + 8, 8, b.load(state, stateAt.hash, 8));
    // What user space finishes, it keeps: there is no room to be taken from others.
    b.branch('eq', end, { imm: endNumber('unfinished') }, release);
    const map = assets.stackMap('ustack', type.limit);
    const key = b.alu('add', state, { imm: stateAt.hash });
    const known = b.call(bpfHelper.map_lookup_elem, [b.map(map), key], 'pointer');
    b.branch('ne', known, { imm: 0 }, release);
    const failed = b.call(bpfHelper.map_update_elem, [b.map(map), key, frames, { imm: 0 }]);
    b.branch('eq', failed, { imm: 0 }, release);
    low.count(assets.globals.stacksFull);
  }
  b.place(release);
  b.store(state, stateAt.busy, 8, { imm: 0 });
  b.place(done);
}

/** Whether a stack is asked for on the spot: it is walked for what is asked, and not kept. */
export const isTaken = (expr: Expr): boolean => expr.node === 'call' || expr.node === 'identifier';

/** Number of frames of a stack. */
export function countFrames(low: Lower, expr: Expr, type: StackType): Reg {
  const { b } = low;
  const user = type.kind === 'ustack';
  const unwound = user && low.assets.unwinding !== undefined;
  if (isTaken(expr) && !unwound) return walkedFrames(low, type, user ? bpf_flag.BPF_F_USER_STACK : ownFrames(low));
  return low.scoped(() => {
    const place = low.materialize(expr, type);
    return b.load(place.base, place.offset + (unwound ? 4 : 6), 2);
  });
}

const stack = (kind: 'ustack' | 'kstack', about: string): BuiltinFunction => ({
  name: kind,
  signature: `${kind}([mode] [, frames])`,
  about,
  arity: [0, 2],
  type: (sema, call) => stackType(kind, sema, call),
  into: (low, call, to) => {
    const type = low.typeOf(call);
    if (type.kind === 'ustack' || type.kind === 'kstack') writeStack(low, type, to);
  },
});

/** User stacks here are unwound by call frame information anyway, where the kernel lets us (config ustack_unwind). */
const dwarfStack: BuiltinFunction = {
  ...stack('ustack', 'call stack of the process by its call frame information, as ustack'),
  name: 'dw_ustack',
  signature: 'dw_ustack([mode] [, frames])',
  type: (sema, call) => {
    sema.unstable('dw_ustack', call.span);
    return stackType('ustack', sema, call);
  },
};

export const stackFunctions: readonly BuiltinFunction[] = [
  stack('ustack', 'call stack of the process'),
  stack('kstack', 'call stack of the kernel'),
  dwarfStack,
];
