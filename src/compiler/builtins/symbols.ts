/** usym, ksym: names of code addresses; kaddr, uaddr: addresses of names. */
import { intType, pointerTo, type Type, uint64 } from '../../types/model.ts';
import type { BuiltinFunction } from './builtin.ts';
import { currentPid } from './pids.ts';

export const symbolFunctions: readonly BuiltinFunction[] = [
  {
    name: 'usym',
    signature: 'usym(address)',
    about: 'name of a code address of the process',
    arity: [1, 1],
    type: (sema, call) => {
      sema.integerArgument(call, 0, true);
      return { kind: 'usym' };
    },
    into: (low, call, to) => {
      const address = call.args[0];
      if (address === undefined || address.node === 'type') return;
      low.assets.needsUserSymbols = true;
      const value = low.scalar(address);
      low.b.store(to.base, to.offset, 8, value);
      low.b.store(to.base, to.offset + 8, 8, currentPid(low));
    },
  },
  {
    name: 'ksym',
    signature: 'ksym(address)',
    about: 'name of a kernel address',
    arity: [1, 1],
    type: (sema, call) => {
      sema.integerArgument(call, 0, true);
      return { kind: 'ksym' };
    },
    scalar: (low, call) => low.scalar(call.args[0] as Exclude<(typeof call.args)[0], { node: 'type' }>),
  },
  {
    name: 'kaddr',
    signature: 'kaddr("name")',
    about: 'address of a kernel symbol',
    arity: [1, 1],
    type: (sema, call) => {
      const argument = call.args[0];
      if (argument && argument.node !== 'type') sema.expr(argument);
      const name = sema.literalText(argument);
      if (name === undefined) {
        sema.error('literal-expected', 'kaddr() takes a literal name', argument?.span ?? call.span);
        return uint64;
      }
      const address = sema.target.kernelSymbol(name);
      if (address === undefined) {
        sema.error(
          'unknown-symbol',
          `the kernel has no symbol '${name}'`,
          argument?.span ?? call.span,
          '/proc/kallsyms lists what it tells',
        );
      } else {
        sema.facts.notes.set(call, address);
      }
      return uint64;
    },
    scalar: (low, call) => low.b.const(low.facts.notes.get(call) as bigint),
  },
  {
    name: 'uaddr',
    signature: 'uaddr("name")',
    about: 'address of a variable or function of the probed program',
    arity: [1, 1],
    type: (sema, call) => {
      const argument = call.args[0];
      if (argument && argument.node !== 'type') sema.expr(argument);
      const name = sema.literalText(argument);
      const attachment = sema.probe.attachments.find((a) => a.spec.kind === 'uprobe' || a.spec.kind === 'uretprobe');
      if (name === undefined || attachment === undefined || !('path' in attachment.spec)) {
        sema.error(
          name === undefined ? 'literal-expected' : 'wrong-probe',
          name === undefined
            ? 'uaddr() takes a literal name'
            : `uaddr() can only be used in uprobes: it looks in the probed file`,
          argument?.span ?? call.span,
        );
        return uint64;
      }
      const binary = sema.target.binary(attachment.spec.path, sema.options.pid);
      if (!binary.ok) return uint64;
      const object = binary.value.object(name);
      const found = object ?? binary.value.find(name)[0];
      if (found === undefined) {
        const near = binary.value.near(name).slice(0, 3);
        sema.error(
          'unknown-symbol',
          `${binary.value.path} has no symbol '${name}'`,
          argument?.span ?? call.span,
          ...(near.length > 0 ? [`did you mean ${near.join(', ')}?`] : []),
        );
        return uint64;
      }
      if (binary.value.positionIndependent) {
        sema.error(
          'position-independent',
          `${binary.value.path} is position-independent: the address of '${name}' differs from process to process`,
          call.span,
          'this version gives addresses only in executables that are linked at a fixed address',
        );
        return uint64;
      }
      sema.facts.notes.set(call, BigInt(found.address));
      const size = object?.size;
      const to: Type = size === 1 || size === 2 || size === 4 || size === 8 ? intType(size, false) : uint64;
      return pointerTo(to, 'user');
    },
    scalar: (low, call) => low.b.const(low.facts.notes.get(call) as bigint),
  },
];
