/** signal, signal_thread, override, write_user: what changes the traced program; only with --unsafe. */
import { noneType, type Type } from '../../types/model.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import type { Lower } from '../lower/lower.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

function needsUnsafe(sema: Sema, call: Call): void {
  if (sema.options.unsafe) return;
  sema.error('unsafe', `${call.name}() is an unsafe function being used in safe mode`, call.span, '--unsafe allows it');
}

const lastSignal = 64n;

/** Types the signal argument: a name (`SIGKILL`, `KILL`) or a number. */
function signalArgument(sema: Sema, call: Call): void {
  const argument = call.args[0] as Expr;
  const type = sema.expr(argument);
  const name = sema.literalText(argument);
  if (name !== undefined && type.kind === 'string') {
    const long = name.startsWith('SIG') ? name : `SIG${name}`;
    const number = sema.target.constant(long);
    if (number === undefined || number < 1n || number > lastSignal)
      sema.error('unknown-signal', `Invalid string for signal: ${name}`, argument.span);
    else sema.facts.notes.set(call, Number(number));
    return;
  }
  sema.integerArgument(call, 0);
  const value = sema.constant(argument);
  if (value !== undefined && (value < 1n || value > lastSignal)) {
    sema.error(
      'unknown-signal',
      `${call.name}() accepts a string literal or an integer between 1 and ${lastSignal} (inclusive)`,
      argument.span,
    );
  }
}

const sends = (name: string, helper: number, about: string): BuiltinFunction => ({
  name,
  signature: `${name}("SIGNAL" or number)`,
  about,
  arity: [1, 1],
  statementOnly: true,
  type: (sema, call): Type => {
    needsUnsafe(sema, call);
    const { provider } = sema.probe;
    if (provider === 'begin' || provider === 'end' || provider === 'self' || provider === 'iter') {
      sema.error(
        'wrong-probe',
        `${name}() can not be used with '${provider}' probes: there is nobody to send it to`,
        call.span,
      );
    }
    signalArgument(sema, call);
    return noneType;
  },
  statement: (low, call) => {
    low.assets.unsafe = true;
    const number = low.facts.notes.get(call);
    const signal = typeof number === 'number' ? low.b.const(number) : low.scalar(call.args[0] as Expr);
    low.b.call(helper, [signal]);
  },
});

/** write_user(destination, source, length): bpf_probe_write_user. */
function writeUser(low: Lower, call: Call): void {
  const { b } = low;
  low.assets.unsafe = true;
  const [destination, source, length] = call.args as [Expr, Expr, Expr];
  const type = low.typeOf(source);
  const size = Number(low.constantOf(length) ?? 0n);
  low.scoped(() => {
    const bytes = type.kind === 'pointer' || type.kind === 'int' ? low.scratch(size) : low.materialize(source, type);
    if (type.kind === 'pointer') {
      low.readMemory(
        bytes,
        { kind: 'memory', address: low.scalar(source), offset: 0, space: type.space },
        { imm: size },
      );
    } else if (type.kind === 'int') {
      b.store(bytes.base, bytes.offset, 8, low.scalar(source));
    }
    b.call(bpfHelper.probe_write_user, [low.scalar(destination), low.addressOf(bytes), { imm: size }]);
  });
}

export const unsafeFunctions: readonly BuiltinFunction[] = [
  sends('signal', bpfHelper.send_signal, 'sends a signal to the process (--unsafe)'),
  sends('signal_thread', bpfHelper.send_signal_thread, 'sends a signal to the thread (--unsafe)'),
  {
    name: 'override',
    signature: 'override(value)',
    about: 'the probed kernel function is not run and returns the value (--unsafe)',
    arity: [1, 1],
    statementOnly: true,
    type: (sema, call) => {
      needsUnsafe(sema, call);
      if (sema.probe.provider !== 'kprobe') {
        sema.error(
          'wrong-probe',
          `override() can not be used with '${sema.probe.provider}' probes, only with kprobe`,
          call.span,
        );
      }
      sema.integerArgument(call, 0, true);
      return noneType;
    },
    statement: (low, call) => {
      low.assets.unsafe = true;
      low.b.call(bpfHelper.override_return, [low.context, low.scalar(call.args[0] as Expr)]);
    },
  },
  {
    name: 'write_user',
    signature: 'write_user(destination, source, length)',
    about: 'writes into the memory of the process (--unsafe)',
    arity: [3, 3],
    statementOnly: true,
    type: (sema, call) => {
      needsUnsafe(sema, call);
      sema.integerArgument(call, 0, true);
      sema.expr(call.args[1] as Expr);
      sema.integerArgument(call, 2);
      const length = sema.constant(call.args[2]);
      if (length === undefined || length < 1n || length > BigInt(sema.config.maxStrlen)) {
        sema.error(
          'literal-expected',
          `write_user() takes a length from 1 to ${sema.config.maxStrlen} that is known when the script is compiled`,
          (call.args[2] as Expr).span,
        );
      }
      const type = sema.facts.types.get(call.args[1] as Expr);
      if (type?.kind === 'int' && (length ?? 0n) > 8n)
        sema.error('argument-type', 'a number has at most 8 bytes', (call.args[1] as Expr).span);
      return noneType;
    },
    statement: writeUser,
  },
];
