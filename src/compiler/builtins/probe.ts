/** probe: the full name of the probe that fired; func: the probed function. */
import { uint8, uint64 } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { align8 } from '../lower/layout.ts';
import type { Lower } from '../lower/lower.ts';
import { loadRegister, registersOf } from '../lower/registers.ts';
import type { ProviderName } from '../probes/context.ts';
import { stringBytes } from '../syntax/literals.ts';
import { functionAddress } from './arguments.ts';
import type { BuiltinVariable } from './builtin.ts';
import { currentPid } from './pids.ts';

/** Probes that are the tracer's own are called special. */
function probeType(provider: ProviderName): string {
  return provider === 'begin' || provider === 'end' || provider === 'self' ? 'special' : provider;
}

/**
 * Where the processor keeps its privilege: bits 0 and 1 of cs, 3 in user space (Intel SDM
 * vol. 3, 5.5); the mode in pstate, EL0 is 0 (Arm ARM, SPSR_EL1.M).
 */
const privilege = {
  x86_64: { register: 'cs', mask: 3, user: 3 },
  arm64: { register: 'pstate', mask: 15, user: 0 },
} as const;

function usermode(low: Lower): Reg {
  const { provider, registers, userMemory } = low.probe;
  const { b } = low;
  if (provider === 'begin' || provider === 'end' || provider === 'self' || (userMemory && registers)) return b.const(1);
  if (provider !== 'profile' && provider !== 'interval' && provider !== 'software' && provider !== 'hardware')
    return b.const(0);
  // The context of perf events begins with the registers (struct bpf_perf_event_data).
  const { register, mask, user } = privilege[low.options.target.arch];
  const level = b.alu('and', loadRegister(low, register), { imm: mask });
  const result = b.const(0);
  const kernel = b.label();
  b.branch('ne', level, { imm: user }, kernel);
  b.push({ op: 'const', dst: result, value: 1n });
  b.place(kernel);
  return result;
}

export const probeVariables: readonly BuiltinVariable[] = [
  {
    name: 'ctx',
    about: 'what an iterator stands at: the kernel’s struct bpf_iter__… ',
    type: (sema, node) => {
      const { iterator, provider } = sema.probe;
      if (iterator === undefined) {
        sema.error(
          'no-ctx',
          `The ctx builtin can not be used with '${provider}' probes`,
          node.span,
          'it is there in iter probes',
        );
        return uint64;
      }
      return iterator.type;
    },
    scalar: (low) => {
      const dst = low.b.reg('pointer');
      low.b.mov(dst, low.context);
      return dst;
    },
  },
  {
    name: 'probe',
    about: 'full name of the probe',
    type: () => ({ kind: 'probe_name' }),
    scalar: (low) => {
      const [only, ...more] = low.probe.attachments;
      if (only && more.length === 0 && low.probe.mayBeShared !== true)
        return low.b.const(low.assets.probeName(only.name));
      // Each attachment carries its name's number as its cookie.
      return low.b.call(bpfHelper.get_attach_cookie, [low.context]);
    },
  },
  {
    name: 'probetype',
    about: 'kind of the probe: tracepoint, uprobe, special (begin, end, self) …',
    type: (sema, node) => {
      const name = probeType(sema.probe.provider);
      sema.facts.notes.set(node, name);
      return { kind: 'string', size: name.length + 1 };
    },
    into: (low, _node, to) => {
      const bytes = stringBytes(`${probeType(low.probe.provider)}\0`);
      low.writeBytes(to, bytes, align8(bytes.length));
    },
  },
  {
    name: 'usermode',
    about: '1 when the CPU was in the code of the program, 0 in the kernel',
    type: () => uint8,
    scalar: usermode,
  },
  {
    name: 'func',
    about: 'name of the probed function',
    type: (sema, node) => {
      const { provider } = sema.probe;
      if (
        provider !== 'uprobe' &&
        provider !== 'uretprobe' &&
        provider !== 'usdt' &&
        provider !== 'kprobe' &&
        provider !== 'kretprobe' &&
        provider !== 'fentry' &&
        provider !== 'fexit'
      ) {
        sema.error('no-func', `The func builtin can not be used with '${provider}' probes`, node.span);
      }
      return provider.startsWith('k') || provider.startsWith('f') ? { kind: 'ksym' } : { kind: 'usym' };
    },
    scalar: (low) =>
      low.probe.provider !== 'kprobe'
        ? functionAddress(low)
        : loadRegister(low, registersOf(low.options.target).instruction),
    into: (low, _node, to) => {
      low.assets.needsUserSymbols = true;
      const address =
        low.probe.provider === 'uretprobe'
          ? functionAddress(low)
          : loadRegister(low, registersOf(low.options.target).instruction);
      low.b.store(to.base, to.offset, 8, address);
      low.b.store(to.base, to.offset + 8, 8, currentPid(low));
    },
  },
];
