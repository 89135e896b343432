/** signal, signal_thread, override, write_user: what changes the traced program; only with --unsafe. */
import { describe, sizeOf } from '../../types/layout.ts';
import { boolType, noneType, type Type } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { isScalarType } from '../lower/layout.ts';
import type { Lower } from '../lower/lower.ts';
import type { DirectPlace } from '../lower/place.ts';
import { isUnknown } from '../sema/scope.ts';
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

/** How many bytes of a source there are to write; undefined for pointers, which tell nothing. */
function sourceBytes(type: Type): number | undefined {
  if (type.kind === 'pointer' || isUnknown(type)) return undefined;
  if (type.kind === 'int' || type.kind === 'enum' || type.kind === 'bool') return 8;
  return type.kind === 'string' ? type.size : sizeOf(type);
}

function checkWriteUser(sema: Sema, call: Call): Type {
  needsUnsafe(sema, call);
  const [, source, length] = call.args as [Expr, Expr, Expr];
  sema.integerArgument(call, 0, true);
  const type = sema.expr(source);
  sema.integerArgument(call, 2);
  const bytes = sema.constant(length);
  const most = sema.config.maxStrlen;
  const there = sourceBytes(type);
  if (bytes === undefined || bytes < 1n || bytes > BigInt(most)) {
    sema.error(
      'literal-expected',
      `write_user() takes a length from 1 to ${most} that is known when the script is compiled`,
      length.span,
    );
  } else if (there !== undefined && bytes > BigInt(there)) {
    const what = type.kind === 'int' ? 'a number' : describe(type);
    sema.error('argument-type', `${what} has at most ${there} bytes to write, not ${bytes}`, length.span);
  }
  return boolType;
}

/** Whether bpf_probe_write_user could write. */
function writeUser(low: Lower, call: Call): Reg {
  const { b } = low;
  low.assets.unsafe = true;
  const [destination, source, length] = call.args as [Expr, Expr, Expr];
  const type = low.typeOf(source);
  const size = Number(low.constantOf(length) ?? 0n);
  const done = b.reg();
  low.scoped(() => {
    let bytes: DirectPlace;
    if (type.kind === 'pointer') {
      bytes = low.scratch(size);
      const from = { kind: 'memory', address: low.scalar(source), offset: 0, space: type.space } as const;
      low.readMemory(bytes, from, { imm: size });
    } else if (isScalarType(type)) {
      bytes = low.scratch(8);
      b.store(bytes.base, bytes.offset, 8, low.scalar(source));
    } else {
      bytes = low.materialize(source, type);
    }
    const failed = b.label();
    const result = b.call(bpfHelper.probe_write_user, [low.scalar(destination), low.addressOf(bytes), { imm: size }]);
    b.push({ op: 'const', dst: done, value: 0n });
    b.branch('ne', result, { imm: 0 }, failed);
    b.push({ op: 'const', dst: done, value: 1n });
    b.place(failed);
  });
  return done;
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
    about: 'writes into the memory of the process; whether that could be done (--unsafe)',
    arity: [3, 3],
    statementOnly: true,
    type: checkWriteUser,
    scalar: writeUser,
  },
];
