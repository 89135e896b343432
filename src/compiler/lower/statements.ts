/** Statements. Loops become functions that the kernel calls back (bpf_loop), so that any bound verifies. */
import { invariant } from '../../base/errors.ts';
import type { Container } from '../../types/containers.ts';
import type { Type } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import type * as Ast from '../syntax/ast.ts';
import { assignAggregate } from './aggregates.ts';
import { bpfHelper } from './bpfhelper.ts';
import { forElements } from './contents.ts';
import { copyValue } from './copy.ts';
import { arithmetic, operand, stepOf } from './expressions.ts';
import { isScalarType, roomOf } from './layout.ts';
import { loop, maxLoops, unknown } from './loop.ts';
import type { Lower } from './lower.ts';
import { addToMap, aggregateAt, assetOf, assignMap, changeMap } from './maps.ts';
import { shifted } from './place.ts';

export function lowerStatements(low: Lower, body: readonly Ast.Statement[]): void {
  for (const statement of body) low.withSpan(statement.span, () => low.scoped(() => lowerStatement(low, statement)));
}

function lowerStatement(low: Lower, statement: Ast.Statement): void {
  const { b } = low;
  switch (statement.node) {
    case 'expr':
      expression(low, statement.expr);
      return;
    case 'assign':
      assign(low, statement);
      return;
    case 'let':
      if (statement.value) assignVariable(low, statement.variable, statement.value);
      else clearVariable(low, statement.variable);
      return;
    case 'if': {
      const decided = low.facts.constants.get(statement.condition);
      if (decided !== undefined) {
        lowerStatements(low, decided !== 0n ? statement.then : (statement.otherwise ?? []));
        return;
      }
      const otherwise = b.label();
      low.condition(statement.condition, otherwise, false);
      lowerStatements(low, statement.then);
      if (statement.otherwise) {
        const done = b.label();
        b.jump(done);
        b.place(otherwise);
        lowerStatements(low, statement.otherwise);
        b.place(done);
      } else {
        b.place(otherwise);
      }
      return;
    }
    case 'unroll': {
      const count = Number(low.constantOf(statement.count) ?? 0n);
      for (let i = 0; i < count; i++) lowerStatements(low, statement.body);
      return;
    }
    case 'while':
      loop(low, b.const(maxLoops), (_index) => {
        const { loop: labels } = low;
        invariant(labels, 'a loop body outside a loop');
        low.condition(statement.condition, labels.breakTo, false);
        lowerStatements(low, statement.body);
      });
      return;
    case 'for_range': {
      const start = low.temporary(8);
      const first = low.scalar(statement.start);
      b.store(start.base, start.offset, 8, first);
      const end = low.scalar(statement.end);
      const count = b.const(0);
      const empty = b.label();
      b.branch('sle', end, first, empty);
      b.push({ op: 'alu', operator: 'sub', dst: count, left: end, right: first });
      b.place(empty);
      const from = start.offset;
      loop(low, unknown(low, count), (index) => {
        const base = low.scratchBase();
        low.writeVariable(statement.variable, low.b.alu('add', low.b.load(base, from, 8), index));
        lowerStatements(low, statement.body);
      });
      return;
    }
    case 'for_map':
      forMap(low, statement);
      return;
    case 'for_elements':
      forElements(low, statement.container, low.facts.notes.get(statement) as Container, statement.variable, () =>
        lowerStatements(low, statement.body),
      );
      return;
    case 'break':
      b.jump((low.loop as NonNullable<typeof low.loop>).breakTo);
      return;
    case 'continue':
      b.jump((low.loop as NonNullable<typeof low.loop>).continueTo);
      return;
    case 'return':
      if (statement.value && isScalarType(low.typeOf(statement.value))) low.setResult(low.scalar(statement.value));
      low.leave();
      return;
    case 'block':
      lowerStatements(low, statement.body);
      return;
  }
}

function expression(low: Lower, expr: Ast.Expr): void {
  const call =
    expr.node === 'call'
      ? expr
      : expr.node === 'identifier'
        ? (low.facts.notes.get(expr) as Ast.Call | undefined)
        : undefined;
  if (call) {
    const builtin = low.options.builtins.functions.get(call.name);
    if (builtin?.statement) {
      builtin.statement(low, call);
      return;
    }
  }
  if (expr.node === 'ternary' && low.typeOf(expr).kind === 'none') {
    const decided = low.facts.constants.get(expr.condition);
    if (decided !== undefined) {
      const side = decided !== 0n ? expr.then : expr.otherwise;
      if (side) expression(low, side);
      return;
    }
    const otherwise = low.b.label();
    const done = low.b.label();
    low.condition(expr.condition, otherwise, false);
    if (expr.then) expression(low, expr.then);
    low.b.jump(done);
    low.b.place(otherwise);
    expression(low, expr.otherwise);
    low.b.place(done);
    return;
  }
  if (expr.node === 'block_expr') {
    lowerStatements(low, expr.body);
    expression(low, expr.value);
    return;
  }
  const type = low.typeOf(expr);
  if (type.kind === 'none') return;
  if (isScalarType(type) || type.kind === 'aggregate') low.scalar(expr);
  else low.materialize(expr, type);
}

function clearVariable(low: Lower, node: Ast.Variable): void {
  const { type } = low.variableInfo(node);
  if (isScalarType(type)) low.writeVariable(node, low.b.const(0));
  else if (type.kind !== 'none') low.clear(low.variablePlace(node), roomOf(type, low.assets.stored));
}

function assignVariable(low: Lower, node: Ast.Variable, value: Ast.Expr): void {
  const { type } = low.variableInfo(node);
  if (isScalarType(type)) {
    low.writeVariable(node, low.scalar(value));
    return;
  }
  const own = low.typeOf(value);
  const direct = value.node === 'variable' && low.variableInfo(value).element === undefined;
  if (direct || value.node === 'string' || value.node === 'map') {
    low.into(value, low.variablePlace(node), type);
    return;
  }
  // Built apart first: the variable may be part of its own new value.
  const place = low.materialize(value, type);
  copyValue(
    low,
    place,
    own.kind === 'tuple' || own.kind === 'string' || own.kind === 'struct' ? type : own,
    low.variablePlace(node),
    type,
  );
}

function assign(low: Lower, statement: Ast.Assign): void {
  const { target, value, operator } = statement;
  if (target.node === 'discard') {
    expression(low, value);
    return;
  }
  if (target.node === 'map') {
    assignToMap(low, target, operator, value);
    return;
  }
  invariant(target.node === 'variable', 'assignment to memory reached lowering');
  if (operator === '=') {
    assignVariable(low, target, value);
    return;
  }
  const { type } = low.variableInfo(target);
  const left = low.readVariable(target);
  low.writeVariable(target, arithmetic(low, operator.slice(0, -1), left, type, operand(low, value), low.typeOf(value)));
}

function assignToMap(low: Lower, target: Ast.MapAccess, operator: string, value: Ast.Expr): void {
  const type = assetOf(low, target).info.value;
  if (operator === '=') {
    if (type.kind === 'aggregate') {
      invariant(value.node === 'call', 'an aggregation that is no call');
      assignAggregate(low, target, value, type);
    } else {
      assignMap(low, target, value);
    }
    return;
  }
  const plain = operator.slice(0, -1);
  const size = stepOf(type);
  if (plain === '+' || plain === '-') {
    const amount = low.scalar(value);
    const scaled = size === 1 ? amount : low.b.alu('mul', amount, { imm: size });
    const signed = low.b.reg();
    if (plain === '-') low.b.push({ op: 'neg', dst: signed, src: scaled });
    addToMap(low, target, plain === '-' ? signed : scaled);
    return;
  }
  const right = low.scalar(value);
  changeMap(low, target, (old) => arithmetic(low, plain, old, type, right, low.typeOf(value)));
}

function forMap(low: Lower, statement: Ast.ForMap): void {
  const { b } = low;
  const asset = assetOf(low, statement.map);
  const pair = low.variableInfo(statement.variable).type;
  invariant(pair.kind === 'tuple' && asset.storage.kind === 'hash', 'a loop over something that is no map with keys');
  const [keyType, valueType] = pair.elements as readonly [Type, Type];
  const environment = low.environment();
  const callback = low.callback('each', 4, 3, ([, key, value]) => {
    const to = low.variablePlace(statement.variable);
    low.copy(to, { kind: 'direct', base: key as Reg, offset: 0 }, asset.keySize);
    const valuePlace = shifted(to, roomOf(keyType, low.assets.stored));
    const own = asset.info.value;
    if (own.kind === 'aggregate')
      low.b.store(valuePlace.base, valuePlace.offset, 8, aggregateAt(low, asset, own, key as Reg));
    else low.copy(valuePlace, { kind: 'direct', base: value as Reg, offset: 0 }, roomOf(valueType, low.assets.stored));
    lowerStatements(low, statement.body);
  });
  b.call(bpfHelper.for_each_map_elem, [b.map(asset.index), callback, environment, { imm: 0 }]);
  low.leaveIfReturned();
}
