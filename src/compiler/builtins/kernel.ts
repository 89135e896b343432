/**
 * What only the kernel has: cgroups, sockets, paths of open files, per-CPU
 * variables, functions made for BPF.
 */
import { boolType, noneType, pointerTo, type Type, uint64 } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { emitEvent, spanOf } from '../lower/events.ts';
import { roomOf } from '../lower/layout.ts';
import type { Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';
import { literal, needsTyped, ofTyped, only, typedPointer } from './typedpointer.ts';

const isKfunc = (name: string, allowed: boolean): BuiltinFunction => ({
  name,
  signature: `${name}("function")`,
  about: allowed
    ? 'whether a kernel function may be called from this probe'
    : 'whether the kernel has a function, by BTF',
  arity: [1, 1],
  type: (sema, call) => {
    const wanted = literal(sema, call, 0);
    const exists = wanted !== undefined && sema.target.kernelTypes()?.findFunction(wanted) !== undefined;
    const answer = exists && (!allowed || sema.target.kfuncAllowed(wanted, sema.probe.programType));
    sema.facts.constants.set(call, answer ? 1n : 0n);
    return boolType;
  },
  scalar: (low, call) => low.b.const(low.constantOf(call) ?? 0n),
});

export const kernelFunctions: readonly BuiltinFunction[] = [
  isKfunc('kfunc_exist', false),
  isKfunc('kfunc_allowed', true),
  {
    name: 'cgroupid',
    signature: 'cgroupid("path")',
    about: 'id of the cgroup with that folder, looked up when the script is compiled',
    arity: [1, 1],
    type: (sema, call) => {
      const path = literal(sema, call, 0);
      if (path === undefined) return uint64;
      const id = sema.target.cgroupId(path);
      if (id === undefined)
        sema.error('no-cgroup', `there is no cgroup with the folder ${path}`, (call.args[0] as Expr).span);
      else sema.facts.constants.set(call, id);
      return uint64;
    },
    scalar: (low, call) => low.b.const(low.constantOf(call) ?? 0n),
  },
  {
    name: 'cgroup_path',
    signature: 'cgroup_path(id [, "hierarchy"])',
    about: 'path of a cgroup in the hierarchies whose name matches',
    arity: [1, 2],
    type: (sema, call) => {
      sema.integerArgument(call, 0);
      return { kind: 'cgroup_path', pattern: call.args.length > 1 ? (literal(sema, call, 1) ?? '') : '' };
    },
    scalar: (low, call) => low.scalar(call.args[0] as Expr),
  },
  {
    name: 'path',
    signature: 'path(struct path [, size])',
    about: 'path of an open file or folder',
    arity: [1, 2],
    type: (sema, call): Type => {
      only(sema, call, ['fentry', 'fexit', 'iter']);
      sema.facts.notes.set(call, needsTyped(sema, call, 0, 'path'));
      if (call.args.length > 1) sema.integerArgument(call, 1);
      const size = sema.constant(call.args[1]) ?? BigInt(sema.config.maxStrlen);
      if (call.args.length > 1 && (sema.constant(call.args[1]) === undefined || size < 1n || size > 65536n))
        sema.error('literal-expected', 'path() takes a size that is known when the script is compiled', call.span);
      return { kind: 'string', size: Math.max(1, Math.min(65536, Number(size))) };
    },
    into: (low, call, to) => {
      const type = low.typeOf(call);
      if (type.kind !== 'string') return;
      const { b } = low;
      low.clear(to, roomOf(type, low.assets.stored));
      const done = b.label();
      const pointer = typedPointer(low, low.facts.notes.get(call) as Expr, done);
      b.call(bpfHelper.d_path, [pointer, low.addressOf(to), { imm: type.size }]);
      b.place(done);
    },
  },
  {
    name: 'socket_cookie',
    signature: 'socket_cookie(struct sock *)',
    about: 'the number that the kernel gives a socket for its whole life',
    arity: [1, 1],
    type: (sema, call) => {
      only(sema, call, ['fentry', 'fexit', 'rawtracepoint']);
      sema.facts.notes.set(call, needsTyped(sema, call, 0, 'sock', true));
      return uint64;
    },
    scalar: (low, call) =>
      ofTyped(low, low.facts.notes.get(call) as Expr, 0, (socket) => low.b.call(bpfHelper.get_socket_cookie, [socket])),
  },
  {
    name: 'percpu_kaddr',
    signature: 'percpu_kaddr("variable" [, cpu])',
    about: 'address of a per-CPU variable of the kernel, of this CPU or another',
    arity: [1, 2],
    type: (sema, call) => {
      const name = literal(sema, call, 0);
      if (call.args.length > 1) sema.integerArgument(call, 1);
      if (name !== undefined) {
        const known = sema.target.kernelTypes()?.hasVariable?.(name) ?? false;
        if (!known) sema.error('unknown-symbol', `Could not resolve variable "${name}" from BTF`, call.span);
        else if (sema.target.kernelSymbol(name) === undefined) {
          sema.error(
            'unknown-symbol',
            `the kernel does not tell where the variable "${name}" is`,
            call.span,
            '/proc/kallsyms names variables on kernels with CONFIG_KALLSYMS_ALL',
          );
        }
        sema.facts.notes.set(call, name);
      }
      return pointerTo(uint64, 'kernel');
    },
    scalar: (low, call) => {
      const { b } = low;
      const variable = b.reg('pointer');
      b.push({ op: 'kernel_variable', dst: variable, name: String(low.facts.notes.get(call)) });
      const cpu = call.args[1] as Expr | undefined;
      if (cpu === undefined) return low.plain(b.call(bpfHelper.this_cpu_ptr, [variable], 'pointer'));
      return low.plain(b.call(bpfHelper.per_cpu_ptr, [variable, low.scalar(cpu)], 'pointer'));
    },
  },
  {
    name: 'unwatch',
    signature: 'unwatch(address)',
    about: 'removes the watchpoints of an address',
    arity: [1, 1],
    statementOnly: true,
    type: (sema, call) => {
      sema.integerArgument(call, 0, true);
      return noneType;
    },
    statement: (low, call) => {
      const address = { type: uint64, scalar: (): Reg => low.scalar(call.args[0] as Expr) };
      emitEvent(low, [address], (args, size) => ({
        kind: 'unwatch',
        offset: args[0]?.offset ?? 8,
        size,
        span: spanOf(call),
      }));
    },
  },
];
