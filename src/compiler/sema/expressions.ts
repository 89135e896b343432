/** Types of expressions: names, literals, calls, casts. */
import { nearest } from '../../base/near.ts';
import { baseOffset, describe, sameType, sizeOf } from '../../types/layout.ts';
import { boolType, int64, type Type } from '../../types/model.ts';
import type * as Ast from '../syntax/ast.ts';
import { stringBytes } from '../syntax/literals.ts';
import { aggregateValue, arithmeticType, literalType, parseInteger } from './arithmetic.ts';
import { mapKeys } from './mapuse.ts';
import { typeOfField, typeOfIndex } from './members.ts';
import { typeOfBinary, typeOfUnary } from './operators.ts';
import { recordOf } from './record.ts';
import { isIntegral, isScalar, isUnknown, join, unknownType } from './scope.ts';
import type { Sema } from './sema.ts';
import { checkBlockValue } from './statements.ts';

export function typeOfExpression(sema: Sema, expr: Ast.Expr): Type {
  switch (expr.node) {
    case 'integer':
      sema.facts.constants.set(expr, expr.value);
      return literalType(expr.value);
    case 'bool':
      sema.facts.constants.set(expr, expr.value ? 1n : 0n);
      return boolType;
    case 'string':
      return { kind: 'string', size: literalSize(sema, expr) };
    case 'positional':
      return typeOfPositional(sema, expr);
    case 'identifier':
      return typeOfIdentifier(sema, expr);
    case 'variable': {
      const info = sema.variable(expr);
      return info ? info.type : unknownType;
    }
    case 'map': {
      const info = mapKeys(sema, expr);
      if (isUnknown(info.value)) {
        sema.error(
          'undefined-map',
          `Undefined map: @${info.name}`,
          expr.span,
          'a map gets its type where it is assigned to',
        );
      }
      return info.value.kind === 'aggregate' ? aggregateValue(info.value) : info.value;
    }
    case 'call':
      return typeOfCall(sema, expr);
    case 'unary':
      return typeOfUnary(sema, expr);
    case 'binary':
      return typeOfBinary(sema, expr);
    case 'ternary':
      return typeOfTernary(sema, expr);
    case 'field':
      return typeOfField(sema, expr);
    case 'index':
      return typeOfIndex(sema, expr);
    case 'cast':
      return typeOfCast(sema, expr);
    case 'tuple': {
      const elements = expr.elements.map((element) => sema.expr(element));
      if (elements.some(isUnknown)) return unknownType;
      for (const [index, type] of elements.entries()) {
        const part = type.kind === 'struct' && type.record;
        if (
          !part &&
          (type.kind === 'none' || type.kind === 'aggregate' || type.kind === 'struct' || type.kind === 'union')
        ) {
          sema.error(
            'bad-tuple',
            `a value of type '${describe(type)}' cannot be part of a tuple`,
            (expr.elements[index] as Ast.Expr).span,
          );
          return unknownType;
        }
      }
      return { kind: 'tuple', elements: elements };
    }
    case 'record':
      return typeOfRecord(sema, expr);
    case 'block_expr':
      return checkBlockValue(sema, expr);
  }
}

function typeOfRecord(sema: Sema, expr: Ast.RecordExpr): Type {
  const fields: { name: string; type: Type }[] = [];
  for (const { name, value } of expr.fields) {
    const type = sema.expr(value);
    if (isUnknown(type)) return unknownType;
    if (type.kind === 'none' || type.kind === 'aggregate' || type.kind === 'ustack' || type.kind === 'kstack') {
      sema.error('bad-record', `a value of type '${describe(type)}' cannot be part of a record`, value.span);
      return unknownType;
    }
    if (fields.some((field) => field.name === name)) {
      sema.error('bad-record', `the record has two members called '${name}'`, expr.span);
    }
    fields.push({ name, type });
  }
  return recordOf(fields);
}

function literalSize(sema: Sema, expr: Ast.StringLiteral): number {
  const bytes = stringBytes(expr.value).length;
  if (bytes + 1 > sema.config.maxStrlen) {
    sema.error(
      'string-too-long',
      `String is too long (over ${sema.config.maxStrlen} bytes): ${expr.value.slice(0, 20)}…`,
      expr.span,
      'config max_strlen sets the limit',
    );
  }
  return bytes + 1;
}

function typeOfPositional(sema: Sema, expr: Ast.PositionalParameter): Type {
  const { parameters } = sema.options;
  if (expr.index === 'count') {
    sema.facts.constants.set(expr, BigInt(parameters.length));
    return int64;
  }
  const text = parameters[expr.index - 1];
  if (text === undefined) {
    if (!sema.countsParameters) {
      sema.warning(
        'missing-parameter',
        `Positional parameter $${expr.index} is empty or not provided.`,
        expr.span,
        'parameters follow the script on the command line: insitu script.bt VALUE …',
      );
    }
    sema.facts.constants.set(expr, 0n);
    return literalType(0n);
  }
  const value = parseInteger(text);
  if (value === undefined) {
    sema.facts.notes.set(expr, text);
    return { kind: 'string', size: stringBytes(text).length + 1 };
  }
  sema.facts.constants.set(expr, value);
  return literalType(value);
}

function typeOfIdentifier(sema: Sema, expr: Ast.Identifier): Type {
  const builtin = sema.builtins.variables.get(expr.name);
  if (builtin) return builtin.type(sema, expr);
  const constant = sema.options.names.constant(expr.name);
  if (constant) {
    sema.facts.constants.set(expr, constant.value);
    return constant.type;
  }
  const own = sema.probe.programTypes?.()?.findEnumerator(expr.name);
  if (own) {
    sema.facts.constants.set(expr, own.value);
    return own.type;
  }
  const fn = sema.builtins.functions.get(expr.name);
  if (fn) {
    if (fn.arity[0] === 0) {
      // `exit`, `ustack`, `kstack` and the like may stand without parentheses; what collects (`count`) may not.
      const call: Ast.Call = { node: 'call', name: expr.name, nameSpan: expr.span, args: [], span: expr.span };
      const type = fn.type(sema, call);
      if (type.kind !== 'aggregate') {
        sema.facts.notes.set(expr, call);
        sema.facts.types.set(call, type);
        return type;
      }
    }
    sema.error('call-expected', `${expr.name} is a function`, expr.span, fn.signature);
    return unknownType;
  }
  const candidates = [...sema.builtins.variables.keys(), ...sema.builtins.functions.keys()];
  const near = nearest(expr.name, candidates, 2);
  const constants = near.length > 0 ? [] : nearest(expr.name, sema.options.names.candidates(expr.name), 2);
  const found = [...near, ...constants];
  sema.error(
    'unknown-identifier',
    `Unknown identifier: '${expr.name}'`,
    expr.span,
    ...(found.length > 0
      ? [`did you mean ${found.map((n) => `'${n}'`).join(' or ')}?`]
      : ['variables start with $, maps with @']),
  );
  return unknownType;
}

function typeOfCall(sema: Sema, call: Ast.Call): Type {
  const builtin = sema.builtins.functions.get(call.name);
  if (builtin === undefined && call.args.length === 0 && sema.builtins.variables.has(call.name)) {
    // `pid()` is `pid`, as of every builtin without arguments.
    const meant: Ast.Identifier = { node: 'identifier', name: call.name, span: call.span };
    sema.facts.notes.set(call, meant);
    return sema.expr(meant);
  }
  if (builtin === undefined) {
    for (const argument of call.args) if (argument.node !== 'type') sema.expr(argument);
    const near = nearest(call.name, [...sema.builtins.functions.keys()], 2);
    sema.error(
      'unknown-function',
      `Unknown function: '${call.name}'`,
      call.nameSpan,
      ...(near.length > 0 ? [`did you mean ${near.map((n) => `'${n}'`).join(' or ')}?`] : []),
    );
    return unknownType;
  }
  const [min, max] = builtin.arity;
  if (call.args.length < min || call.args.length > max) {
    const wanted = min === max ? `${min}` : max === Number.POSITIVE_INFINITY ? `at least ${min}` : `${min} to ${max}`;
    sema.error(
      'argument-count',
      `${call.name}() requires ${wanted} argument${wanted === '1' ? '' : 's'} (${call.args.length} provided)`,
      call.span,
      builtin.signature,
    );
    return unknownType;
  }
  return builtin.type(sema, call);
}

function typeOfTernary(sema: Sema, expr: Ast.Ternary): Type {
  sema.condition(expr.condition);
  const decided = sema.facts.constants.get(expr.condition);
  if (decided !== undefined && expr.then) {
    // The side that is never taken need not make sense.
    const taken = decided !== 0n ? expr.then : expr.otherwise;
    const type = sema.expr(taken);
    const value = sema.facts.constants.get(taken);
    if (value !== undefined) sema.facts.constants.set(expr, value);
    return type;
  }
  const then = expr.then ? sema.expr(expr.then) : sema.expr(expr.condition);
  const otherwise = sema.expr(expr.otherwise);
  if (then.kind === 'none' && otherwise.kind === 'none') return isUnknown(then) ? unknownType : then;
  if (isUnknown(then) || isUnknown(otherwise)) {
    return sema.stuck ? (isUnknown(then) ? otherwise : then) : unknownType;
  }
  const joined =
    isIntegral(then) && isIntegral(otherwise) && !sameType(then, otherwise)
      ? arithmeticType('+', then, otherwise)
      : join(then, otherwise);
  if (joined === undefined) {
    sema.error(
      'type-mismatch',
      `Ternary operator must return the same type: have '${describe(then)}' and '${describe(otherwise)}'`,
      expr.span,
    );
    return unknownType;
  }
  if (joined.kind === 'aggregate' || joined.kind === 'struct' || joined.kind === 'union') {
    sema.error('type-mismatch', `Ternary return type unsupported '${describe(joined)}'`, expr.span);
    return unknownType;
  }
  return joined;
}

function typeOfCast(sema: Sema, expr: Ast.Cast): Type {
  const operand = sema.expr(expr.operand);
  const type = sema.resolveType(expr.type);
  if (type === undefined || isUnknown(operand)) return type ?? unknownType;
  const space = operand.kind === 'pointer' ? operand.space : sema.probe.userMemory ? 'user' : 'either';
  switch (type.kind) {
    case 'int':
    case 'bool':
    case 'enum': {
      if (type.kind === 'bool' && operand.kind === 'string') return type;
      if (type.kind === 'int' && operand.kind === 'array' && isIntegral(operand.of) && sizeOf(operand) === type.size)
        return type;
      if (!isScalar(operand) && !isNumber(operand)) break;
      castConstant(sema, expr, type);
      return type;
    }
    case 'pointer':
      if (!isScalar(operand)) break;
      noteDistance(sema, expr, operand, type);
      return { ...type, space };
    case 'string':
      if (operand.kind === 'string') return type;
      break;
    case 'array': {
      const array = castToArray(sema, expr, type, operand);
      if (array === undefined) break;
      return array;
    }
    case 'struct':
    case 'union':
      sema.error('cast', `Cannot cast to '${describe(type)}'`, expr.span, `cast to a pointer: (${describe(type)} *)…`);
      return unknownType;
    default:
      break;
  }
  sema.error('cast', `Cannot cast from '${describe(operand)}' to '${describe(type)}'`, expr.span);
  return unknownType;
}

/** A pointer to a class that is cast to one to its base or derived class points to that part, as static_cast does. */
function noteDistance(sema: Sema, expr: Ast.Cast, from: Type, to: Type): void {
  if (from.kind !== 'pointer' || to.kind !== 'pointer') return;
  const source = from.to();
  const target = to.to();
  if (source.kind !== 'struct' || target.kind !== 'struct') return;
  const up = baseOffset(source, target);
  const down = up === undefined ? baseOffset(target, source) : undefined;
  const distance = up ?? (down === undefined ? 0 : -down);
  if (distance !== 0) sema.facts.notes.set(expr, distance);
}

/** Values kept as a number that are cast to one: a name that user space gives them is left out. */
const isNumber = (type: Type): boolean => type.kind === 'ksym' || type.kind === 'timestamp' || type.kind === 'username';

function castConstant(sema: Sema, expr: Ast.Cast, type: Type): void {
  const value = sema.facts.constants.get(expr.operand);
  if (value === undefined) return;
  const written = expr.operand.node === 'integer' || expr.operand.node === 'positional';
  if (type.kind === 'enum' && written && !type.members.some((member) => member.value === value)) {
    sema.error(
      'enum-value',
      `Enum: ${type.name} doesn't contain a variant value of ${value}`,
      expr.span,
      `it has ${type.members
        .slice(0, 8)
        .map((member) => `${member.name} = ${member.value}`)
        .join(', ')}${type.members.length > 8 ? ' …' : ''}`,
    );
  }
  if (type.kind === 'bool') sema.facts.constants.set(expr, value === 0n ? 0n : 1n);
  if (type.kind === 'int') {
    const bits = type.size * 8;
    sema.facts.constants.set(expr, type.signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value));
  }
}

/** Casts of integers and strings to arrays of integers: of the same size, or the size left open (`[]`). */
function castToArray(sema: Sema, expr: Ast.Cast, type: Type & { kind: 'array' }, operand: Type): Type | undefined {
  const element = sizeOf(type.of);
  if (type.of.kind !== 'int') return undefined;
  // A literal takes the size that is asked for.
  const literal = sema.facts.constants.has(expr.operand) && expr.operand.node === 'integer';
  const wanted = type.length * element;
  const size =
    operand.kind === 'array' && isIntegral(operand.of)
      ? sizeOf(operand)
      : operand.kind === 'string'
        ? operand.size
        : isIntegral(operand)
          ? literal && wanted > 0
            ? wanted
            : sizeOf(operand)
          : undefined;
  if (size === undefined || size % element !== 0) return undefined;
  if (isIntegral(operand) && size !== 1 && size !== 2 && size !== 4 && size !== 8) return undefined;
  if (wanted > 0 && wanted !== size) return undefined;
  return { kind: 'array', of: type.of, length: size / element, numbers: true };
}
