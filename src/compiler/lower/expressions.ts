/** Expressions: scalars to registers, the rest to places. */
import { invariant } from '../../base/errors.ts';
import { describe, type FoundField, sizeOf, type VirtualStep } from '../../types/layout.ts';
import {
  type CompositeType,
  type Field,
  intType,
  type TupleType,
  type Type,
  uint8,
  uint64,
} from '../../types/model.ts';
import type { ProgramVariable } from '../../types/source.ts';
import type { AluOperator, Operand, Reg } from '../ir/ir.ts';
import { arithmeticType, comparison } from '../sema/arithmetic.ts';
import type { KeyedAccess } from '../sema/elements.ts';
import { memberOf } from '../sema/record.ts';
import type * as Ast from '../syntax/ast.ts';
import { stringBytes } from '../syntax/literals.ts';
import { elementOfContent, pointedByContent, textInto } from './contents.ts';
import { copyValue } from './copy.ts';
import { emitRuntimeError } from './events.ts';
import { align8, isScalarType, roomOf } from './layout.ts';
import { placeOfLocation, placeOfVariable } from './locations.ts';
import type { Lower } from './lower.ts';
import { assetOf, lookup, lowerKey, readAggregate, readMapInto, readMapScalar, stepMap } from './maps.ts';
import { type DirectPlace, type Place, shifted } from './place.ts';
import { concatInto } from './text.ts';

// ------------------------------------------------------------------ scalars

/** The value of a scalar expression, extended to 64 bits. */
export function lowerScalar(low: Lower, expr: Ast.Expr): Reg {
  return low.withSpan(expr.span, () => scalar(low, expr));
}

function scalar(low: Lower, expr: Ast.Expr): Reg {
  const constant = low.facts.constants.get(expr);
  if (constant !== undefined) return low.b.const(constant);
  switch (expr.node) {
    case 'identifier': {
      const builtin = low.options.builtins.variables.get(expr.name);
      if (builtin?.scalar) return builtin.scalar(low, expr);
      const call = low.facts.notes.get(expr) as Ast.Call | undefined;
      if (call) return scalar(low, call);
      break;
    }
    case 'call': {
      const builtin = low.options.builtins.functions.get(expr.name);
      if (builtin?.scalar) return builtin.scalar(low, expr);
      const variable = builtin ? undefined : (low.facts.notes.get(expr) as Ast.Identifier | undefined);
      if (variable) return scalar(low, variable);
      break;
    }
    case 'variable':
      return low.readVariable(expr);
    case 'map': {
      const type = assetOf(low, expr).info.value;
      return type.kind === 'aggregate' ? readAggregate(low, expr, type) : readMapScalar(low, expr);
    }
    case 'unary':
      return unary(low, expr);
    case 'binary':
      return binary(low, expr);
    case 'ternary':
      return ternary(low, expr);
    case 'block_expr':
      low.statements(expr.body);
      return lowerScalar(low, expr.value);
    case 'cast':
      return cast(low, expr);
    case 'field': {
      const found = low.facts.notes.get(expr) as FoundField | Field | undefined;
      const bits = found === undefined ? undefined : 'field' in found ? found.field.bits : found.bits;
      return low.readScalar(placeOf(low, expr), low.typeOf(expr), bits);
    }
    case 'index':
      return low.readScalar(placeOf(low, expr), low.typeOf(expr));
    default:
      break;
  }
  throw new Error(`insitu bug: no scalar lowering for ${expr.node} of type ${describe(low.typeOf(expr))}`);
}

function unary(low: Lower, expr: Ast.Unary): Reg {
  const { b } = low;
  const { operand, operator } = expr;
  switch (operator) {
    case '-': {
      const dst = b.reg();
      b.push({ op: 'neg', dst, src: lowerScalar(low, operand) });
      return dst;
    }
    case '+':
      return lowerScalar(low, operand);
    case '~':
      return b.alu('xor', lowerScalar(low, operand), { imm: -1 });
    case '!':
      return truth(low, expr);
    case '*':
      return low.readScalar(placeOf(low, expr), low.typeOf(expr));
    case '&':
      return addressOf(low, operand);
    default:
      return step(low, expr);
  }
}

/** Where a value is, as a plain number; 0 for a key that its map does not have. */
function addressOf(low: Lower, operand: Ast.Expr): Reg {
  const { b } = low;
  if (operand.node === 'variable') return low.addressOfVariable(operand);
  if (operand.node === 'map') {
    const asset = assetOf(low, operand);
    if (asset.storage.kind === 'array') return low.plain(b.mapValue(asset.index, 0));
    return low.scoped(() => {
      const found = lookup(low, asset, lowerKey(low, operand));
      const address = b.const(0);
      const missing = b.label();
      b.branch('eq', found, { imm: 0 }, missing);
      b.mov(address, low.plain(found));
      b.place(missing);
      return address;
    });
  }
  const place = placeOf(low, operand);
  if (place.kind === 'memory')
    return place.offset === 0 ? place.address : b.alu('add', place.address, { imm: place.offset });
  const base = place.kind === 'direct' ? place.base : low.context;
  return low.plain(b.alu('add', base, { imm: place.offset }));
}

/** What one `++` adds: 1, or the size of what a pointer points to. */
export function stepOf(type: Type): number {
  return type.kind === 'pointer' ? Math.max(1, sizeOf(type.to())) : 1;
}

function step(low: Lower, expr: Ast.Unary): Reg {
  const { operand, operator } = expr;
  const amount = operator.includes('++') ? 1 : -1;
  const before = operator.startsWith('post');
  if (operand.node === 'map') return stepMap(low, operand, amount * stepOf(low.typeOf(operand)), before);
  invariant(operand.node === 'variable', 'a step of something that is no variable');
  const old = low.readVariable(operand);
  const value = low.narrowed(
    low.b.alu('add', old, { imm: amount * stepOf(low.variableInfo(operand).type) }),
    low.variableInfo(operand).type,
  );
  low.writeVariable(operand, value);
  return before ? old : value;
}

const aluOperators: Readonly<Record<string, readonly [signed: AluOperator, unsigned: AluOperator]>> = {
  '+': ['add', 'add'],
  '-': ['sub', 'sub'],
  '*': ['mul', 'mul'],
  '/': ['sdiv', 'udiv'],
  '%': ['smod', 'umod'],
  '&': ['and', 'and'],
  '|': ['or', 'or'],
  '^': ['xor', 'xor'],
  '<<': ['shl', 'shl'],
  '>>': ['ashr', 'lshr'],
};

/** `left operator right` on values that are in registers. */
export function arithmetic(
  low: Lower,
  operator: string,
  left: Reg,
  leftType: Type,
  right: Operand,
  rightType: Type,
): Reg {
  const pair = aluOperators[operator];
  invariant(pair, `no arithmetic for ${operator}`);
  if (leftType.kind === 'pointer' || rightType.kind === 'pointer')
    return pointerArithmetic(low, operator, left, leftType, right, rightType, pair[1]);
  const type = arithmeticType(operator, leftType, rightType);
  const signed = type.kind === 'int' && type.signed;
  if ((operator === '/' || operator === '%') && typeof right !== 'object')
    return divide(low, signed ? pair[0] : pair[1], left, right);
  return low.b.alu(signed ? pair[0] : pair[1], left, right as Reg);
}

/** A division by a value that may be 0: then it is told, and the result is 1. */
function divide(low: Lower, operator: AluOperator, left: Reg, right: Reg): Reg {
  const { b } = low;
  const result = b.const(1);
  const fine = b.label();
  const done = b.label();
  b.branch('ne', right, { imm: 0 }, fine);
  emitRuntimeError(low, 'divide');
  b.jump(done);
  b.place(fine);
  b.push({ op: 'alu', operator, dst: result, left, right });
  b.place(done);
  return result;
}

function pointerArithmetic(
  low: Lower,
  operator: string,
  left: Reg,
  leftType: Type,
  right: Operand,
  rightType: Type,
  alu: AluOperator,
): Reg {
  const { b } = low;
  if (leftType.kind === 'pointer' && rightType.kind === 'pointer') {
    const bytes = b.alu(alu, left, right as Reg);
    return operator === '-' ? b.alu('sdiv', bytes, { imm: stepOf(leftType) }) : bytes;
  }
  if (operator !== '+' && operator !== '-') return b.alu(alu, left, right as Reg);
  const size = stepOf(leftType.kind === 'pointer' ? leftType : rightType);
  if (leftType.kind === 'pointer') {
    const scaled =
      typeof right === 'object' ? { imm: right.imm * size } : size === 1 ? right : b.alu('mul', right, { imm: size });
    return b.alu(alu, left, scaled as Reg);
  }
  return b.alu('add', size === 1 ? left : b.alu('mul', left, { imm: size }), right as Reg);
}

/** A constant that fits an instruction's immediate, else a register. */
export function operand(low: Lower, expr: Ast.Expr): Operand {
  const constant = low.facts.constants.get(expr);
  if (constant !== undefined && BigInt.asIntN(32, constant) === constant) return { imm: Number(constant) };
  return lowerScalar(low, expr);
}

function binary(low: Lower, expr: Ast.Binary): Reg {
  if (comparison(expr.operator)) return truth(low, expr);
  const left = lowerScalar(low, expr.left);
  const right = operand(low, expr.right);
  return arithmetic(low, expr.operator, left, low.typeOf(expr.left), right, low.typeOf(expr.right));
}

/** 0 or 1. */
function truth(low: Lower, expr: Ast.Expr): Reg {
  const { b } = low;
  const no = b.label();
  const dst = b.const(0);
  low.condition(expr, no, false);
  b.push({ op: 'const', dst, value: 1n });
  b.place(no);
  return dst;
}

/** The side of a ternary that is taken, where that is known when the script is compiled. */
function decidedSide(low: Lower, expr: Ast.Ternary): Ast.Expr | undefined {
  const decided = low.facts.constants.get(expr.condition);
  if (decided === undefined || expr.then === undefined) return undefined;
  return decided !== 0n ? expr.then : expr.otherwise;
}

function ternary(low: Lower, expr: Ast.Ternary): Reg {
  const { b } = low;
  const side = decidedSide(low, expr);
  if (side) return lowerScalar(low, side);
  const dst = b.reg();
  const otherwise = b.label();
  const done = b.label();
  if (expr.then === undefined) {
    b.mov(dst, lowerScalar(low, expr.condition));
    b.branch('ne', dst, { imm: 0 }, done);
  } else {
    low.condition(expr.condition, otherwise, false);
    b.mov(dst, lowerScalar(low, expr.then));
    b.jump(done);
  }
  b.place(otherwise);
  b.mov(dst, lowerScalar(low, expr.otherwise));
  b.place(done);
  return dst;
}

function cast(low: Lower, expr: Ast.Cast): Reg {
  const type = low.typeOf(expr);
  const own = low.typeOf(expr.operand);
  if (own.kind === 'array' && type.kind === 'int') return low.readScalar(placeOf(low, expr.operand), type);
  const value = truthOf(low, expr.operand);
  if (type.kind === 'bool') {
    const dst = low.b.const(0);
    const zero = low.b.label();
    low.b.branch('eq', value, { imm: 0 }, zero);
    low.b.push({ op: 'const', dst, value: 1n });
    low.b.place(zero);
    return dst;
  }
  const distance = low.facts.notes.get(expr) as number | undefined;
  if (type.kind === 'pointer' && distance !== undefined) {
    // A null pointer stays one.
    const dst = low.b.reg();
    const done = low.b.label();
    low.b.mov(dst, value);
    low.b.branch('eq', dst, { imm: 0 }, done);
    low.b.push({ op: 'alu', operator: 'add', dst, left: dst, right: { imm: distance } });
    low.b.place(done);
    return dst;
  }
  return low.narrowed(value, type);
}

/** A value that is 0 exactly when the expression is false: of a string its first character. */
export function truthOf(low: Lower, expr: Ast.Expr): Reg {
  return low.typeOf(expr).kind === 'string' ? low.readScalar(placeOf(low, expr), uint8) : lowerScalar(low, expr);
}

// ------------------------------------------------------------------ places

/** Where the value of an expression that names memory is. */
export function placeOf(low: Lower, expr: Ast.Expr): Place {
  switch (expr.node) {
    case 'unary': {
      invariant(expr.operator === '*', 'only * makes a place');
      const type = low.typeOf(expr.operand);
      if (type.kind === 'struct') return pointedByContent(low, placeOf(low, expr.operand), type);
      const space = type.kind === 'pointer' ? type.space : low.probe.userMemory ? 'user' : 'either';
      return { kind: 'memory', address: lowerScalar(low, expr.operand), offset: 0, space };
    }
    case 'field':
      return fieldPlace(low, expr);
    case 'index': {
      const type = low.typeOf(expr.object);
      if (type.kind === 'tuple')
        return elementPlace(low, expr.object, type, Number(low.facts.constants.get(expr.index)));
      if (type.kind === 'struct') {
        return elementOfContent(low, expr, low.facts.notes.get(expr) as KeyedAccess);
      }
      const size = type.kind === 'pointer' ? stepOf(type) : type.kind === 'array' ? sizeOf(type.of) : 1;
      const base: Place =
        type.kind === 'pointer'
          ? { kind: 'memory', address: lowerScalar(low, expr.object), offset: 0, space: type.space }
          : placeOf(low, expr.object);
      const constant = low.facts.constants.get(expr.index);
      const bytes = constant === undefined ? undefined : Number(constant) * size;
      if (bytes !== undefined && Math.abs(bytes) < 2 ** 15 && (base.kind === 'memory' || bytes >= 0))
        return shifted(base, bytes);
      return indexed(low, base, lowerScalar(low, expr.index), size, lengthOf(type));
    }
    case 'variable':
      return low.elementOf(expr) ?? low.variablePlace(expr);
    case 'cast':
      return isPlain(low, expr) ? placeOf(low, expr.operand) : low.materialize(expr, low.typeOf(expr));
    case 'call': {
      const builtin = low.options.builtins.functions.get(expr.name);
      return builtin?.place?.(low, expr) ?? low.materialize(expr, low.typeOf(expr));
    }
    case 'identifier': {
      const builtin = low.options.builtins.variables.get(expr.name);
      return builtin?.place?.(low, expr) ?? low.materialize(expr, low.typeOf(expr));
    }
    default: {
      // A value that has to be computed: give it memory.
      return low.materialize(expr, low.typeOf(expr));
    }
  }
}

function elementPlace(low: Lower, tuple: Ast.Expr, type: TupleType, index: number): Place {
  const before = type.elements.slice(0, index);
  const offset = before.reduce((sum, element) => sum + roomOf(element, low.assets.stored), 0);
  return shifted(placeOf(low, tuple), offset);
}

/** Number of elements, undefined behind a pointer. */
function lengthOf(type: Type): number | undefined {
  return type.kind === 'array' ? type.length : type.kind === 'string' ? type.size : undefined;
}

/** A cast that leaves the bytes where and as they are. */
function isPlain(low: Lower, expr: Ast.Cast): boolean {
  return low.typeOf(expr.operand).kind === low.typeOf(expr).kind;
}

function indexed(low: Lower, base: Place, index: Reg, size: number, length: number | undefined): Place {
  const { b } = low;
  if (base.kind === 'memory') {
    const bytes = size === 1 ? index : b.alu('mul', index, { imm: size });
    return { ...base, address: b.alu('add', base.address, bytes) };
  }
  // The program's own memory: what lies outside of the array is told, and reads as zeros.
  invariant(length !== undefined && length > 0, 'an index into memory of unknown length');
  const at = b.reg('pointer');
  const inside = b.label();
  const done = b.label();
  b.branch('ult', index, { imm: length }, inside);
  emitRuntimeError(low, 'index');
  const zeros = low.assets.zeros(align8(size));
  b.mov(at, b.mapValue(zeros.map, zeros.offset));
  b.jump(done);
  b.place(inside);
  const bytes = size === 1 ? index : b.alu('mul', index, { imm: size });
  const own = base.kind === 'direct' ? base.base : low.context;
  b.mov(at, b.alu('add', b.alu('add', own, { imm: base.offset }), bytes));
  b.place(done);
  if (base.kind === 'direct') return { kind: 'direct', base: at, offset: 0 };
  // A context cannot be loaded from at a variable offset: read it as kernel memory.
  return { kind: 'memory', address: at, offset: 0, space: 'kernel' };
}

function fieldPlace(low: Lower, expr: Ast.FieldAccess): Place {
  const note = low.facts.notes.get(expr);
  if (expr.object.node === 'identifier' && expr.object.name === 'vars') {
    return placeOfVariable(low, note as ProgramVariable);
  }
  if (expr.object.node === 'identifier' && expr.object.name === 'args') {
    if (low.probe.function) return placeOfVariable(low, note as ProgramVariable);
    const field = note as Field;
    const atEntry = low.probe.parameterLocations?.get(field);
    if (atEntry !== undefined) return placeOfLocation(low, atEntry, sizeOf(field.type));
    if (!field.dataLoc) return { kind: 'context', offset: field.offset };
    const location = low.b.load(low.context, field.offset, 4);
    const offset = low.b.alu('and', location, { imm: 0xffff });
    return { kind: 'memory', address: low.b.alu('add', low.context, offset), offset: 0, space: 'kernel' };
  }
  const type = low.typeOf(expr.object);
  if (type.kind === 'tuple') return elementPlace(low, expr.object, type, Number(expr.name));
  const { offset, field, through = [] } = note as FoundField;
  let object: Place =
    type.kind === 'pointer'
      ? { kind: 'memory', address: lowerScalar(low, expr.object), offset: 0, space: type.space }
      : placeOf(low, expr.object);
  const { smart } = note as { readonly smart?: CompositeType };
  if (smart !== undefined) object = pointedByContent(low, object, smart);
  for (const step of through) object = virtualBase(low, object, step);
  const place = shifted(object, offset);
  if (field.type.kind !== 'pointer' || !field.type.reference) return place;
  return { kind: 'memory', address: low.readScalar(place, uint64), offset: 0, space: field.type.space };
}

/** The virtual base of an object: its vtable has the base's distance from it. */
function virtualBase(low: Lower, object: Place, { offset, slot }: VirtualStep): Place {
  const { b } = low;
  const inner = shifted(object, offset);
  invariant(inner.kind === 'memory', 'a virtual base of a copied object');
  const address = inner.offset === 0 ? inner.address : b.alu('add', inner.address, { imm: inner.offset });
  const vtable = low.readScalar(inner, uint64);
  const distance = low.readScalar({ kind: 'memory', address: vtable, offset: slot, space: inner.space }, uint64);
  return { ...inner, address: b.alu('add', address, distance), offset: 0 };
}

// ------------------------------------------------------------------ values in memory

/**
 * Writes the value of an expression, as `type` (its own, or a larger one of the same
 * kind), at a place of roomOf(type) bytes. All of the room is written, except behind
 * the NUL of strings in raw places.
 */
export function lowerInto(low: Lower, expr: Ast.Expr, to: DirectPlace, type: Type): void {
  low.withSpan(expr.span, () => into(low, expr, to, type));
}

function into(low: Lower, expr: Ast.Expr, to: DirectPlace, type: Type): void {
  const { b } = low;
  const own = low.typeOf(expr);
  if (own.kind === 'unavailable') return;
  const library = low.facts.texts.get(expr);
  if (library !== undefined && type.kind === 'string') {
    textInto(low, placeOf(low, expr), library, to, type);
    return;
  }
  if (isScalarType(type) || (isScalarType(own) && own.kind !== 'none')) {
    b.store(to.base, to.offset, 8, lowerScalar(low, expr));
    return;
  }
  switch (expr.node) {
    case 'string':
    case 'positional': {
      const text = expr.node === 'string' ? expr.value : String(low.facts.notes.get(expr));
      low.writeBytes(to, stringBytes(`${text}\0`), roomOf(type, low.assets.stored));
      return;
    }
    case 'identifier': {
      const builtin = low.options.builtins.variables.get(expr.name);
      const call = low.facts.notes.get(expr) as Ast.Call | undefined;
      if (builtin?.into) builtin.into(low, expr, sized(low, to, own, type));
      else if (call) into(low, call, to, type);
      else throw new Error(`insitu bug: ${expr.name} has no value`);
      return;
    }
    case 'call': {
      const builtin = low.options.builtins.functions.get(expr.name);
      if (builtin === undefined) {
        into(low, low.facts.notes.get(expr) as Ast.Identifier, to, type);
        return;
      }
      invariant(builtin?.into, `${expr.name}() has no value in memory`);
      builtin.into(low, expr, sized(low, to, own, type));
      return;
    }
    case 'tuple': {
      invariant(type.kind === 'tuple', 'a tuple goes where a tuple is');
      let offset = 0;
      for (const [index, element] of expr.elements.entries()) {
        const elementType = type.elements[index] as Type;
        lowerInto(low, element, { kind: 'direct', base: to.base, offset: to.offset + offset }, elementType);
        offset += roomOf(elementType, low.assets.stored);
      }
      return;
    }
    case 'ternary': {
      const side = decidedSide(low, expr);
      if (side) {
        lowerInto(low, side, to, type);
        return;
      }
      const otherwise = b.label();
      const done = b.label();
      low.condition(expr.condition, otherwise, false);
      lowerInto(low, expr.then ?? expr.condition, to, type);
      b.jump(done);
      b.place(otherwise);
      lowerInto(low, expr.otherwise, to, type);
      b.place(done);
      return;
    }
    case 'map':
      readMapInto(low, expr, to, type);
      return;
    case 'block_expr':
      low.statements(expr.body);
      lowerInto(low, expr.value, to, type);
      return;
    case 'record': {
      invariant(type.kind === 'struct', 'a record goes where a record is');
      for (const { name, value } of expr.fields) {
        const field = memberOf(type, name);
        invariant(field, `a record without its member ${name}`);
        lowerInto(low, value, { kind: 'direct', base: to.base, offset: to.offset + field.offset }, field.type);
      }
      return;
    }
    case 'cast':
      castInto(low, expr, own, to, type);
      return;
    case 'binary':
      concatInto(low, expr.left, expr.right, to, type);
      return;
    default:
      break;
  }
  const place = placeOf(low, expr);
  if (own.kind === 'string' && place.kind === 'direct' && isCharArray(low, expr)) {
    // The byte behind the array is not its NUL: it belongs to the next member.
    if (!to.raw) low.clear(to, roomOf(type, low.assets.stored));
    low.readString(to, place, { imm: own.size });
    return;
  }
  copyValue(low, place, own, to, type);
}

/** Whether a string is the bytes of an array of characters (see decayed()), not a value with a NUL of its own. */
function isCharArray(low: Lower, expr: Ast.Expr): boolean {
  if (expr.node === 'field') {
    const note = low.facts.notes.get(expr) as FoundField | undefined;
    return note !== undefined && 'field' in note && note.field.type.kind === 'array';
  }
  if (expr.node !== 'index') return false;
  const object = low.typeOf(expr.object);
  return object.kind === 'array' && object.of.kind === 'array';
}

/** A cast to a type that is bigger than a register: a string, an array of integers. */
function castInto(low: Lower, expr: Ast.Cast, own: Type, to: DirectPlace, type: Type): void {
  const from = low.typeOf(expr.operand);
  if (own.kind === 'array' && isScalarType(from)) {
    const size = sizeOf(own) as 1 | 2 | 4 | 8;
    low.b.store(to.base, to.offset, 8, low.narrowed(lowerScalar(low, expr.operand), intType(size, false)));
    return;
  }
  if (own.kind === 'array' && from.kind === 'string') {
    // The characters as numbers: the room behind the last one is zero.
    copyValue(low, low.materialize(expr.operand, from), own, to, type);
    return;
  }
  if (own.kind === 'string') {
    lowerInto(low, expr.operand, to, type);
    return;
  }
  copyValue(low, placeOf(low, expr.operand), own, to, type);
}

/** A value of a smaller type of the same kind leaves zeros behind it. */
function sized(low: Lower, to: DirectPlace, own: Type, type: Type): DirectPlace {
  const rest = roomOf(type, low.assets.stored) - roomOf(own, low.assets.stored);
  if (rest > 0 && !to.raw) low.clear(shifted(to, roomOf(own, low.assets.stored)), rest);
  return to;
}
