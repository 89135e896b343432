/** Statements: scopes, assignments, loops. */
import type { Span } from '../../diag/source.ts';
import { isComposed } from '../../types/containers.ts';
import { describe, sameType } from '../../types/layout.ts';
import { int64, type Type } from '../../types/model.ts';
import type * as Ast from '../syntax/ast.ts';
import { aggregateValue, arithmeticType, fitsIn } from './arithmetic.ts';
import { elementOf } from './decay.ts';
import { containerAt } from './elements.ts';
import { joinMapValue, mapKeys, widen, widenVariable } from './mapuse.ts';
import { checkDivisor, warnConversion } from './operators.ts';
import { isIntegral, isUnknown, join, Scope, unchanged, unknownType, type VariableInfo } from './scope.ts';
import type { Sema } from './sema.ts';

/** Most copies of a body that unroll makes. */
const maxUnroll = 100n;

export function checkStatements(sema: Sema, body: readonly Ast.Statement[]): void {
  for (const statement of body) checkStatement(sema, statement);
}

function checkScoped(sema: Sema, body: readonly Ast.Statement[]): void {
  const outer = sema.scope;
  sema.scope = new Scope(outer);
  checkStatements(sema, body);
  sema.scope = outer;
}

/** The value of `{ statements; value }`, in a scope of its own. */
export function checkBlockValue(sema: Sema, block: Ast.BlockExpr): Type {
  const outer = sema.scope;
  sema.scope = new Scope(outer);
  checkStatements(sema, block.body);
  const type = sema.expr(block.value);
  sema.scope = outer;
  return type;
}

function checkLoop(sema: Sema, body: readonly Ast.Statement[]): void {
  sema.loops++;
  checkScoped(sema, body);
  sema.loops--;
}

function checkStatement(sema: Sema, statement: Ast.Statement): void {
  switch (statement.node) {
    case 'expr':
      checkExpression(sema, statement.expr);
      return;
    case 'assign':
      checkAssign(sema, statement);
      return;
    case 'let':
      declareLet(sema, statement);
      return;
    case 'if':
      sema.condition(statement.condition);
      {
        // What is decided when the script is compiled leaves the other branch out, unseen.
        const decided = sema.constant(statement.condition);
        if (decided !== 0n) checkScoped(sema, statement.then);
        if (statement.otherwise && (decided === undefined || decided === 0n)) checkScoped(sema, statement.otherwise);
      }
      return;
    case 'while':
      sema.condition(statement.condition);
      sema.needsLoop(statement.span, 'a while loop');
      checkLoop(sema, statement.body);
      return;
    case 'unroll': {
      sema.expr(statement.count);
      const count = sema.constant(statement.count);
      if (count === undefined) {
        sema.error(
          'unroll-count',
          'unroll() takes a number that is known when the script is compiled',
          statement.count.span,
        );
      } else if (count < 1n || count > maxUnroll) {
        sema.error(
          'unroll-count',
          `unroll() takes a number from 1 to ${maxUnroll}, not ${count}`,
          statement.count.span,
        );
      }
      checkScoped(sema, statement.body);
      return;
    }
    case 'for_range': {
      for (const bound of [statement.start, statement.end]) {
        const type = sema.expr(bound);
        if (!isUnknown(type) && !isIntegral(type)) {
          sema.error('range-type', `a range goes from integer to integer, not ${describe(type)}`, bound.span);
        }
      }
      sema.needsLoop(statement.span, 'a for loop');
      const outer = sema.scope;
      sema.scope = new Scope(outer);
      sema.declare(statement.variable, int64, true);
      checkLoop(sema, statement.body);
      sema.scope = outer;
      return;
    }
    case 'for_map': {
      const map = sema.mapInfo(statement.map);
      sema.needsLoop(statement.span, 'a for loop');
      if (statement.map.keys.length > 0) {
        sema.error('for-map', `a loop goes over a whole map: write @${map.name} without a key`, statement.map.span);
      }
      if (map.keys !== undefined && map.keys.length === 0) {
        sema.error('for-map', `@${map.name} has no keys: there is nothing to go over`, statement.map.span);
      }
      if (map.value.kind === 'aggregate' && aggregateValue(map.value).kind === 'aggregate') {
        sema.error(
          'for-map',
          `a loop over @${map.name}: ${map.value.aggregate}() values are no single numbers`,
          statement.map.span,
          `print(@${map.name}) shows it`,
        );
      }
      const keys = map.keys ?? [];
      const key: Type = keys.length === 1 ? (keys[0] as Type) : { kind: 'tuple', elements: keys };
      const outer = sema.scope;
      sema.scope = new Scope(outer);
      const value = map.value.kind === 'aggregate' ? aggregateValue(map.value) : map.value;
      sema.declare(statement.variable, { kind: 'tuple', elements: [key, value] }, true);
      checkLoop(sema, statement.body);
      sema.scope = outer;
      return;
    }
    case 'for_elements':
      checkForElements(sema, statement);
      return;
    case 'break':
    case 'continue':
      if (sema.loops === 0) {
        sema.error('outside-loop', `${statement.node} only makes sense in a while or for loop`, statement.span);
      }
      return;
    case 'return':
      if (statement.value) sema.expr(statement.value);
      return;
    case 'block':
      checkScoped(sema, statement.body);
      return;
  }
}

function checkForElements(sema: Sema, statement: Ast.ForElements): void {
  const { container: expr, variable } = statement;
  const type = sema.expr(expr);
  sema.needsLoop(statement.span, 'a for loop');
  const copy = expr.node === 'variable' && type.kind !== 'pointer' && sema.scope.find(expr.name)?.element === undefined;
  const container = copy ? undefined : containerAt(sema, expr, type);
  if (container === undefined && !isUnknown(type)) {
    sema.error(
      'for-container',
      copy && containerAt(sema, expr, type) !== undefined
        ? 'a loop goes over a container in the memory of the program, and this is a copy of it'
        : `a loop goes over a map (@name), a range (0..10) or a container of the program, not '${describe(type)}'`,
      expr.span,
      ...(copy ? ['name it where it is: for ($x : args.NAME)'] : []),
    );
  }
  const outer = sema.scope;
  sema.scope = new Scope(outer);
  const info = sema.declare(variable, container === undefined ? unknownType : elementOf(container.content.of), true);
  if (container !== undefined) {
    info.element = isComposed(container.content) ? 'copy' : 'address';
    sema.facts.notes.set(statement, container);
  }
  checkLoop(sema, statement.body);
  sema.scope = outer;
}

function checkExpression(sema: Sema, expr: Ast.Expr): void {
  if (expr.node === 'call') {
    const builtin = sema.builtins.functions.get(expr.name);
    const type = sema.expr(expr);
    if (builtin && !builtin.statementOnly && type.kind !== 'none') {
      if (type.kind === 'aggregate') {
        sema.error(
          'aggregate-unassigned',
          `${expr.name}() should be assigned to a map`,
          expr.span,
          `write @name = ${expr.name}(…)`,
        );
      } else {
        sema.warning('discarded-value', 'Return value discarded.', expr.span);
      }
    }
    return;
  }
  sema.expr(expr);
  if (!hasEffect(expr)) sema.warning('no-effect', 'this statement has no effect', expr.span);
}

/** Whether an expression does something besides having a value: calls, `++`, `--`. */
function hasEffect(expr: Ast.Expr): boolean {
  switch (expr.node) {
    case 'call':
    case 'block_expr':
      return true;
    case 'unary':
      return expr.operator.length > 1 || hasEffect(expr.operand);
    case 'binary':
      return hasEffect(expr.left) || hasEffect(expr.right);
    case 'ternary':
      return [expr.condition, expr.then, expr.otherwise].some((part) => part !== undefined && hasEffect(part));
    case 'cast':
      return hasEffect(expr.operand);
    default:
      return false;
  }
}

function declareLet(sema: Sema, statement: Ast.Let): void {
  const { variable } = statement;
  const existing = sema.scope.here(variable.name);
  if (existing) {
    sema.error('redeclared', `Variable $${variable.name} was already declared in this block.`, statement.span);
  } else if (sema.scope.find(variable.name)) {
    sema.error(
      'shadowed',
      `Variable $${variable.name} was already declared. Variable shadowing is not allowed.`,
      statement.span,
      'give one of them another name',
    );
  }
  const fixed = statement.type ? sema.resolveType(statement.type) : undefined;
  if (statement.type && fixed === undefined) return;
  const valueType = statement.value ? sema.expr(statement.value) : undefined;
  sema.declare(variable, fixed ?? (valueType ? valueType : unknownType), fixed !== undefined);
  const info = sema.facts.variables.get(variable) as VariableInfo;
  if (valueType && statement.value) assignTo(sema, info, valueType, statement.value, statement.span);
}

export function assignTo(sema: Sema, info: VariableInfo, type: Type, value: Ast.Expr, span: Span): void {
  if (isUnknown(type)) return;
  if (type.kind === 'none' || type.kind === 'void') {
    sema.error('no-value', `this has no value that could be assigned to $${info.name}`, value.span);
    return;
  }
  if (type.kind === 'aggregate') {
    sema.error(
      'aggregate-in-variable',
      `${type.aggregate}() can only be assigned to a map`,
      span,
      `write @${info.name} = ${type.aggregate}(…)`,
    );
    return;
  }
  const joined = join(info.type, type);
  const constant = sema.constant(value);
  if (joined === undefined || (info.fixed && !fits(info.type, type, constant))) {
    sema.error(
      'type-mismatch',
      `Type mismatch for $${info.name}: trying to assign value of type '${describe(type)}' when variable already has a type '${describe(info.type)}'`,
      span,
    );
    return;
  }
  if (!info.fixed && !unchanged(joined, info.type)) {
    info.type = joined;
    sema.changed = true;
  }
  if (constant === undefined) checkConversion(sema, value, type, info.type);
}

/** Warns of an assignment that may lose bits or the sign. */
function checkConversion(sema: Sema, value: Ast.Expr, from: Type, to: Type): void {
  if (from.kind !== 'int' || to.kind !== 'int') return;
  const loses = from.signed === to.signed ? from.size > to.size : from.signed ? true : from.size >= to.size;
  if (loses) warnConversion(sema, value, from, to);
}

/** Whether a value of `type` (that `constant`, when it is known) may go into a place declared as `place`. */
function fits(place: Type, type: Type, constant: bigint | undefined): boolean {
  if (place.kind === 'int' && type.kind === 'int' && constant !== undefined) return fitsIn(constant, place);
  if (place.kind === 'bool' || type.kind === 'bool') return sameType(place, type);
  if (isIntegral(place) && isIntegral(type)) return true;
  if (place.kind === 'string' && type.kind === 'string') return type.size <= place.size;
  if (place.kind === 'pointer' && type.kind === 'pointer') return true;
  return sameType(place, type);
}

function checkAssign(sema: Sema, statement: Ast.Assign): void {
  const { target, operator } = statement;
  if (target.node === 'discard') {
    sema.expr(statement.value);
    return;
  }
  if (target.node === 'map') {
    assignMap(sema, statement, target);
    return;
  }
  const type = sema.expr(statement.value);
  if (target.node === 'field' || target.node === 'index') {
    sema.error(
      'assign-to-memory',
      'memory of the traced program cannot be written: insitu only reads',
      target.span,
      'assign to a $variable or a @map',
    );
    return;
  }
  if (operator !== '=') {
    const info = sema.variable(target);
    if (info === undefined) return;
    if (info.element !== undefined) refuseElement(sema, info.name, target.span);
    checkCompound(sema, operator, info.type, type, statement);
    if (isIntegral(info.type) && isIntegral(type))
      widenVariable(sema, info, arithmeticType(operator.slice(0, -1), info.type, type));
    return;
  }
  const known = sema.scope.find(target.name);
  if (known?.element !== undefined) refuseElement(sema, known.name, target.span);
  const info = known ?? sema.declare(target, type, false);
  sema.facts.variables.set(target, info);
  sema.facts.types.set(target, info.type);
  if (type.kind === 'none' && !isUnknown(type)) info.type = unknownType;
  assignTo(sema, info, type, statement.value, statement.span);
}

/** The variable of a loop over a container of the program stands for the element itself. */
export function refuseElement(sema: Sema, name: string, span: Span): void {
  sema.error(
    'assign-to-memory',
    `$${name} stands for an element of the program's container, and insitu only reads`,
    span,
    'assign to a variable of another name',
  );
}

function checkCompound(sema: Sema, operator: string, place: Type, value: Type, statement: Ast.Assign): void {
  if (isUnknown(place) || isUnknown(value)) return;
  const plain = operator.slice(0, -1);
  const pointerStep = place.kind === 'pointer' && isIntegral(value) && (plain === '+' || plain === '-');
  if (!pointerStep && !(isIntegral(place) && isIntegral(value))) {
    sema.error(
      'type-mismatch',
      `Type mismatch for '${operator}': '${describe(place)}' with '${describe(value)}'`,
      statement.span,
    );
  }
  checkDivisor(sema, plain, statement.value);
}

function assignMap(sema: Sema, statement: Ast.Assign, target: Ast.MapAccess): void {
  const info = mapKeys(sema, target);
  const { value, operator } = statement;
  const type = sema.expr(value);
  if (isUnknown(type)) return;
  if (operator !== '=') {
    if (info.value.kind === 'aggregate') {
      sema.error(
        'aggregate-arithmetic',
        `@${info.name} holds ${info.value.aggregate}() values: '${operator}' does not apply`,
        statement.span,
      );
      return;
    }
    if (isUnknown(info.value)) joinMapValue(sema, info, type, statement.span);
    checkCompound(sema, operator, info.value, type, statement);
    widen(sema, info);
    sema.facts.types.set(target, info.value);
    return;
  }
  if (type.kind === 'none' || type.kind === 'void') {
    sema.error('no-value', `this has no value that could be assigned to @${info.name}`, value.span);
    return;
  }
  const copied = value.node === 'map' ? sema.maps.get(value.name)?.value : undefined;
  if (copied?.kind === 'aggregate') {
    sema.error(
      'aggregate-copy',
      `Map value '${copied.aggregate}_t' cannot be assigned from one map to another. The function that returns this type must be called directly e.g. \`@${info.name} = ${copied.aggregate}(…)\`.`,
      statement.span,
    );
    return;
  }
  joinMapValue(sema, info, type, statement.span);
  if (sema.constant(value) === undefined) checkConversion(sema, value, type, info.value);
  sema.facts.types.set(target, info.value);
}
