/** argN, retval, reg(): what the registers hold. */
import { nearest } from '../../base/near.ts';
import type { Span } from '../../diag/source.ts';
import { type Field, type Type, uint64 } from '../../types/model.ts';
import type { ProgramVariable } from '../../types/source.ts';
import type { Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { copyValue } from '../lower/copy.ts';
import { isScalarType, roomOf } from '../lower/layout.ts';
import { placeOfVariable } from '../lower/locations.ts';
import type { Lower } from '../lower/lower.ts';
import { loadRegister, registersOf } from '../lower/registers.ts';
import { decayed } from '../sema/decay.ts';
import { typeOfVariable } from '../sema/members.ts';
import type { Sema } from '../sema/sema.ts';
import type { Expr, Identifier } from '../syntax/ast.ts';
import type { BuiltinFunction, BuiltinVariable } from './builtin.ts';
import { readUsdtArgument, usdtArgumentType } from './usdtargument.ts';

/** A function's arguments by number go this far; sys/sdt.h has two more. */
const lastOfFunction = 9;
const lastArgument = 11;

function checkRegisters(sema: Sema, what: string, span: Span): boolean {
  const { provider, registers } = sema.probe;
  if (registers || (what.startsWith('arg') && provider === 'rawtracepoint')) return true;
  sema.error(
    'no-registers',
    `The ${what} builtin can not be used with '${provider}' probes`,
    span,
    provider === 'tracepoint' || provider === 'fentry' || provider === 'fexit'
      ? `${provider} probes have args.NAME`
      : 'it is there in uprobes and kprobes',
  );
  return false;
}

export const argumentVariables: readonly BuiltinVariable[] = Array.from({ length: lastArgument + 1 }, (_, n) => ({
  name: `arg${n}`,
  about: `argument ${n} of the function, as a number`,
  type: (sema, node) => {
    if (sema.probe.provider === 'usdt') return usdtArgumentType(sema, node, n);
    if (n > lastOfFunction)
      sema.error('no-argument', `arguments by number are arg0 to arg${lastOfFunction}`, node.span);
    else if (
      checkRegisters(sema, `arg${n}`, node.span) &&
      (sema.probe.provider === 'uretprobe' || sema.probe.provider === 'kretprobe')
    ) {
      sema.error(
        'no-args',
        `arg${n} is gone when a function returns`,
        node.span,
        'keep it in a map at the entry: @a[tid] = arg0',
      );
    }
    return uint64;
  },
  scalar: (low) => {
    if (low.probe.provider === 'usdt') return readUsdtArgument(low, n);
    if (low.probe.provider === 'rawtracepoint') return low.readScalar({ kind: 'context', offset: 8 * n }, uint64);
    const registers = registersOf(low.options.target);
    const name = registers.arguments[n];
    if (name !== undefined) return loadRegister(low, name);
    const stack = loadRegister(low, registers.stack);
    const offset = registers.stackArguments + 8 * (n - registers.arguments.length);
    return low.readScalar(
      { kind: 'memory', address: stack, offset, space: low.probe.userMemory ? 'user' : 'kernel' },
      uint64,
    );
  },
}));

export const retvalVariable: BuiltinVariable = {
  name: 'retval',
  about: 'return value of the function, as a number',
  type: (sema, node) => {
    const { provider, returns } = sema.probe;
    const result = sema.probe.function?.result;
    // Written in assembler, or said to return nothing: the register is there all the same.
    if (result !== undefined && provider === 'uretprobe')
      return result.type.kind === 'void' ? uint64 : typeOfVariable(result);
    if (returns !== undefined) {
      if (returns.type.kind !== 'void') return decayed(returns.type);
      sema.error('no-retval', 'the function returns nothing', node.span);
    } else if (provider !== 'uretprobe' && provider !== 'kretprobe') {
      sema.error(
        'no-retval',
        `The retval builtin can not be used with '${provider}' probes`,
        node.span,
        'it is there in uretprobes, kretprobes and fexit',
      );
    }
    return uint64;
  },
  place: (low, node) => {
    const result = low.probe.function?.result;
    return result === undefined ? low.materialize(node, low.typeOf(node)) : placeOfVariable(low, result);
  },
  into: (low, node, to) => {
    const result = low.probe.function?.result as ProgramVariable;
    const type = low.typeOf(node);
    copyValue(low, placeOfVariable(low, result), type, to, type);
  },
  scalar: (low, node) => {
    const { returns } = low.probe;
    const result = low.probe.function?.result;
    if (result !== undefined && result.type.kind !== 'void')
      return low.readScalar(placeOfVariable(low, result), low.typeOf(node));
    if (returns !== undefined) return low.readScalar({ kind: 'context', offset: returns.offset }, returns.type);
    return loadRegister(low, registersOf(low.options.target).result);
  },
};

/** How each argument lies in `args` as a whole: in a place of its own, as records do. */
function argumentFields(list: readonly ProgramVariable[]): readonly Field[] {
  const fields: Field[] = [];
  let offset = 0;
  for (const variable of list) {
    const type = typeOfVariable(variable);
    fields.push({ name: variable.name, type, offset });
    offset += roomOf(type, { stacks: 'inline' });
  }
  return fields;
}

/**
 * `args` of a tracepoint or a function of the kernel: all that it is given, each as by
 * itself, and the text of what lies in a tracepoint's record as text. What every tracepoint's
 * record begins with is not there for BPF programs.
 */
function wholeContext(sema: Sema, node: Identifier, declared: readonly Field[]): Type {
  const { span } = node;
  let size = 0;
  const fields: Field[] = [];
  const parts: Expr[] = [];
  for (const { name, type, dataLoc } of declared) {
    if (sema.probe.tracepoint !== undefined && name.startsWith('common_')) continue;
    const part: Expr = { node: 'field', object: node, name, nameSpan: span, arrow: false, span };
    const isText = dataLoc === true && type.kind === 'array' && type.of.kind === 'int' && type.of.size === 1;
    const whole: Expr = isText ? { node: 'call', name: 'str', nameSpan: span, args: [part], span } : part;
    const own = sema.expr(whole);
    fields.push({ name, type: own, offset: size });
    parts.push(whole);
    size += roomOf(own, { stacks: 'inline' });
  }
  sema.facts.notes.set(node, parts);
  return { kind: 'struct', name: '', size, fields: () => fields };
}

export const argsVariable: BuiltinVariable = {
  name: 'args',
  about: 'the arguments by name; as a whole, all of them',
  type: (sema, node) => {
    const list = sema.probe.function?.arguments;
    if (list !== undefined) {
      const fields = argumentFields(list);
      const last = fields.at(-1);
      const size = last === undefined ? 0 : last.offset + roomOf(last.type, { stacks: 'inline' });
      return { kind: 'struct', name: '', size, fields: () => fields };
    }
    const { provider, tracepoint, parameters } = sema.probe;
    const declared = tracepoint?.fields ?? parameters;
    if (declared !== undefined) return wholeContext(sema, node, declared);
    sema.error(
      sema.probe.function ? 'no-debug-info' : 'no-args',
      sema.probe.function
        ? `the arguments of ${sema.probe.function.name} have no names: its file has no debugging information for it`
        : `args as a whole can not be used with '${provider}' probes`,
      node.span,
      'args.NAME is one of them; -lv lists their names',
    );
    return uint64;
  },
  into: (low, node, to) => {
    const type = low.typeOf(node);
    if (type.kind !== 'struct') return;
    const parts = low.facts.notes.get(node) as readonly Expr[] | undefined;
    if (parts !== undefined) {
      for (const [index, { type: own, offset }] of type.fields().entries()) {
        const part = parts[index] as Expr;
        const place = { ...to, offset: to.offset + offset };
        low.scoped(() => {
          if (isScalarType(own)) low.b.store(place.base, place.offset, 8, low.scalar(part));
          else low.into(part, place, own);
        });
      }
      return;
    }
    const list = low.probe.function?.arguments ?? [];
    for (const [index, field] of type.fields().entries()) {
      const variable = list[index] as ProgramVariable;
      if (field.type.kind === 'unavailable') continue;
      const place = { ...to, offset: to.offset + field.offset };
      low.scoped(() => {
        const from = placeOfVariable(low, variable);
        if (isScalarType(field.type)) low.b.store(place.base, place.offset, 8, low.readScalar(from, field.type));
        else copyValue(low, from, field.type, place, field.type);
      });
    }
  },
};

export const regFunction: BuiltinFunction = {
  name: 'reg',
  signature: 'reg("name")',
  about: 'a register of the probed code',
  arity: [1, 1],
  type: (sema, call) => {
    const argument = call.args[0];
    if (argument && argument.node !== 'type') sema.expr(argument);
    checkRegisters(sema, 'reg()', call.span);
    const name = sema.literalText(argument);
    const { offsets } = registersOf(sema.target);
    if (name === undefined || !(name in offsets)) {
      const near = nearest(name ?? '', Object.keys(offsets), 3);
      sema.error(
        'unknown-register',
        `'${name ?? ''}' is not a valid register on this architecture (${sema.target.arch})`,
        argument?.span ?? call.span,
        `registers: ${(near.length > 0 ? near : Object.keys(offsets)).join(', ')}`,
      );
      return uint64;
    }
    sema.facts.notes.set(call, name);
    return uint64;
  },
  scalar: (low, call) => loadRegister(low, low.facts.notes.get(call) as string),
};

/** Address of the probed function at its return. */
export const functionAddress = (low: Lower): Reg => low.b.call(bpfHelper.get_func_ip, [low.context]);
