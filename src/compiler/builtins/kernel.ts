/**
 * What only the kernel has: cgroups, sockets, packets, paths of open files, per-CPU
 * variables, functions made for BPF.
 */
import { describe, type FoundField } from '../../types/layout.ts';
import { boolType, type Field, noneType, pointerTo, type Type, uint64 } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { emitEvent, spanOf } from '../lower/events.ts';
import { roomOf } from '../lower/layout.ts';
import type { Lower } from '../lower/lower.ts';
import type { ProviderName } from '../probes/context.ts';
import { isUnknown } from '../sema/scope.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

/** The literal text of an argument, or a complaint. */
function literal(sema: Sema, call: Call, index: number): string | undefined {
  const argument = call.args[index] as Expr;
  sema.expr(argument);
  const text = sema.literalText(argument);
  if (text === undefined) sema.error('literal-expected', `${call.name}() takes a literal text`, argument.span);
  return text;
}

function only(sema: Sema, call: Call, providers: readonly ProviderName[]): void {
  const { provider } = sema.probe;
  if (providers.includes(provider)) return;
  sema.error(
    'wrong-probe',
    `${call.name}() can not be used with '${provider}' probes`,
    call.span,
    `it is there in ${providers.join(', ')}`,
  );
}

/**
 * The address of an expression as a pointer whose type the verifier knows: a chain of
 * members that begins at an argument of the probe or at `ctx`. Undefined for anything else.
 */
function typedPointer(low: Lower, expr: Expr): Reg | undefined {
  const { b } = low;
  if (expr.node === 'identifier' && expr.name === 'ctx') return low.context;
  if (expr.node !== 'field') return undefined;
  const note = low.facts.notes.get(expr) as FoundField | Field | undefined;
  if (note === undefined) return undefined;
  const field = 'field' in note ? note.field : note;
  const isPointer = field.type.kind === 'pointer';
  const { object } = expr;
  const base = object.node === 'identifier' && object.name === 'args' ? low.context : typedPointer(low, object);
  if (base === undefined) return undefined;
  return isPointer ? b.load(base, note.offset, 8, 'pointer') : b.alu('add', base, { imm: note.offset });
}

function isTyped(expr: Expr): boolean {
  if (expr.node === 'identifier') return expr.name === 'ctx' || expr.name === 'args';
  return expr.node === 'field' && isTyped(expr.object);
}

function needsTyped(sema: Sema, call: Call, index: number, what: string): void {
  const argument = call.args[index] as Expr;
  const type = sema.expr(argument);
  if (isUnknown(type)) return;
  const composite = type.kind === 'pointer' ? type.to() : type;
  if (composite.kind !== 'struct' || composite.name !== what) {
    sema.error('argument-type', `${call.name}() takes a struct ${what} (${describe(type)} provided)`, argument.span);
  } else if (!isTyped(argument)) {
    sema.error(
      'argument-type',
      `${call.name}() takes what an argument of the probe leads to`,
      argument.span,
      'the kernel wants to see where the pointer comes from: write args.NAME… or ctx.NAME… in place of a variable',
    );
  }
}

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
    // Functions made for BPF programs are called bpf_…; the kernel offers none to programs of perf events.
    const kfunc = exists && /^bpf_/.test(wanted) && sema.probe.programType !== 'RAW_TRACEPOINT';
    sema.facts.constants.set(call, (allowed ? kfunc : exists) ? 1n : 0n);
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
      needsTyped(sema, call, 0, 'path');
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
      const pointer = typedPointer(low, call.args[0] as Expr) as Reg;
      const done = b.label();
      b.branch('eq', pointer, { imm: 0 }, done);
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
      only(sema, call, ['fentry', 'fexit']);
      needsTyped(sema, call, 0, 'sock');
      return uint64;
    },
    scalar: (low, call) => low.b.call(bpfHelper.get_socket_cookie, [typedPointer(low, call.args[0] as Expr) as Reg]),
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
    name: 'skboutput',
    signature: 'skboutput("file.pcap", struct sk_buff *, length, offset)',
    about: 'writes a packet to a file (not carried out by this version)',
    arity: [4, 4],
    type: (sema, call) => {
      literal(sema, call, 0);
      only(sema, call, ['fentry', 'fexit']);
      needsTyped(sema, call, 1, 'sk_buff');
      sema.integerArgument(call, 2);
      sema.integerArgument(call, 3);
      sema.error(
        'not-supported',
        'skboutput() is not carried out by this version: packets come through a perf buffer of their own',
        call.span,
        'buf(args.skb->data, length) gives the bytes',
      );
      return uint64;
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
