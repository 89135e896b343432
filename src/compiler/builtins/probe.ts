/** probe: the full name of the probe that fired; func: the probed function. */
import { uint64 } from '../../types/model.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { loadRegister, registersOf } from '../lower/registers.ts';
import { functionAddress } from './arguments.ts';
import type { BuiltinVariable } from './builtin.ts';
import { currentPid } from './pids.ts';

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
      if (only && more.length === 0) return low.b.const(low.assets.probeName(only.name));
      // Each attachment carries its name's number as its cookie.
      return low.b.call(bpfHelper.get_attach_cookie, [low.context]);
    },
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
