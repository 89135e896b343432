/** ustack, kstack: call stacks. */

import { bpf_flag } from '../../bpf/constants.ts';
import type { StackType, Type } from '../../types/model.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import type { Lower } from '../lower/lower.ts';
import type { DirectPlace } from '../lower/place.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';
import { currentPid } from './pids.ts';

const defaultFrames = 127;
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
  b.store(to.base, to.offset, 4, currentPid(low));
  if (to.raw) {
    const buffer = low.addressOf({ kind: 'direct', base: to.base, offset: to.offset + 8 });
    const bytes = b.call(bpfHelper.get_stack, [low.context, buffer, { imm: 8 * type.limit }, { imm: flags }]);
    b.store(to.base, to.offset + 4, 4, bytes);
    return;
  }
  const id = b.call(bpfHelper.get_stackid, [low.context, b.map(low.assets.stackMap(type.limit)), { imm: flags }]);
  b.store(to.base, to.offset + 4, 4, id);
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

export const stackFunctions: readonly BuiltinFunction[] = [
  stack('ustack', 'call stack of the process'),
  stack('kstack', 'call stack of the kernel'),
];
