/**
 * The checker: gives every expression a type and every name a meaning, for one probe
 * block in one context at a time. Types of maps and variables are inferred over the
 * whole script: passes are repeated until nothing grows any more, and only the last
 * one's complaints count. Findings lie in side tables; the syntax tree is not touched.
 */
import { nearest } from '../../base/near.ts';
import type { Diagnostics } from '../../diag/diagnostic.ts';
import type { Span } from '../../diag/source.ts';
import type { Config } from '../../program/program.ts';
import type { Target } from '../../target/target.ts';
import { describe, fieldNames, findField, sameType, sizeOf } from '../../types/layout.ts';
import { boolType, type Field, int64, type Type, uint64 } from '../../types/model.ts';
import type { Builtins } from '../builtins/builtin.ts';
import type { ProbeContext } from '../probes/context.ts';
import type * as Ast from '../syntax/ast.ts';
import { stringBytes } from '../syntax/literals.ts';
import { aggregateValue, arithmeticType, comparison, evaluate, parseInteger } from './arithmetic.ts';
import type { Names } from './names.ts';
import {
  isIntegral,
  isScalar,
  isUnknown,
  join,
  type MapInfo,
  promoted,
  Scope,
  unchanged,
  unknownType,
  type VariableInfo,
} from './scope.ts';
import { resolveTypeExpr } from './typeexpr.ts';

/** What one analysis of one block leaves behind for lowering. */
export interface BlockFacts {
  readonly types: Map<Ast.Expr, Type>;
  readonly variables: Map<Ast.Variable, VariableInfo>;
  /** What a builtin noted about its own call: a parsed format, a constant. */
  readonly notes: Map<Ast.Node, unknown>;
  /** Values of expressions known at compile time. */
  readonly constants: Map<Ast.Expr, bigint>;
}

export interface SemaOptions {
  readonly target: Target;
  readonly config: Config;
  readonly names: Names;
  readonly builtins: Builtins;
  readonly parameters: readonly string[];
  readonly pid: number | undefined;
  readonly childPid: number | undefined;
  readonly unsafe: boolean;
}

/** Most copies of a body that unroll makes. */
const maxUnroll = 100n;

export class Sema {
  readonly options: SemaOptions;
  readonly maps: Map<string, MapInfo>;
  /** Variables by the node that declared them, kept from pass to pass. */
  readonly #declared = new Map<string, VariableInfo>();
  diagnostics: Diagnostics;
  changed = false;
  /** True while the script tells which of its parameters are there (`$#`). */
  readonly countsParameters: boolean;

  probe!: ProbeContext;
  facts!: BlockFacts;
  #scope!: Scope;
  #loops = 0;
  #variant = '';

  constructor(options: SemaOptions, maps: Map<string, MapInfo>, diagnostics: Diagnostics, countsParameters: boolean) {
    this.options = options;
    this.maps = maps;
    this.diagnostics = diagnostics;
    this.countsParameters = countsParameters;
  }

  get target(): Target {
    return this.options.target;
  }
  get config(): Config {
    return this.options.config;
  }
  get builtins(): Builtins {
    return this.options.builtins;
  }

  error(code: string, message: string, span: Span, ...hints: string[]): void {
    this.diagnostics.error(code, message, span, ...hints);
  }
  warning(code: string, message: string, span: Span, ...hints: string[]): void {
    this.diagnostics.warning(code, message, span, ...hints);
  }

  /** Analyses a block; `variant` tells the copies of one block apart. */
  block(block: Ast.ProbeBlock, probe: ProbeContext, variant: string): BlockFacts {
    this.probe = probe;
    this.#variant = variant;
    this.facts = { types: new Map(), variables: new Map(), notes: new Map(), constants: new Map() };
    this.#scope = new Scope();
    this.#loops = 0;
    if (block.predicate) this.condition(block.predicate);
    this.#statements(block.body);
    return this.facts;
  }

  // ---------------------------------------------------------------- statements

  #statements(body: readonly Ast.Statement[]): void {
    for (const statement of body) this.#statement(statement);
  }

  #scoped(body: readonly Ast.Statement[]): void {
    const outer = this.#scope;
    this.#scope = new Scope(outer);
    this.#statements(body);
    this.#scope = outer;
  }

  #loop(body: readonly Ast.Statement[]): void {
    this.#loops++;
    this.#scoped(body);
    this.#loops--;
  }

  #statement(statement: Ast.Statement): void {
    switch (statement.node) {
      case 'expr':
        this.#expressionStatement(statement.expr);
        return;
      case 'assign':
        this.#assign(statement);
        return;
      case 'let':
        this.#let(statement);
        return;
      case 'if':
        this.condition(statement.condition);
        this.#scoped(statement.then);
        if (statement.otherwise) this.#scoped(statement.otherwise);
        return;
      case 'while':
        this.condition(statement.condition);
        this.#needsLoop(statement.span, 'while');
        this.#loop(statement.body);
        return;
      case 'unroll': {
        this.expr(statement.count);
        const count = this.constant(statement.count);
        if (count === undefined) {
          this.error(
            'unroll-count',
            'unroll() takes a number that is known when the script is compiled',
            statement.count.span,
          );
        } else if (count < 1n || count > maxUnroll) {
          this.error(
            'unroll-count',
            `unroll() takes a number from 1 to ${maxUnroll}, not ${count}`,
            statement.count.span,
          );
        }
        this.#scoped(statement.body);
        return;
      }
      case 'for_range': {
        for (const bound of [statement.start, statement.end]) {
          const type = this.expr(bound);
          if (!isUnknown(type) && !isIntegral(type)) {
            this.error('range-type', `a range goes from integer to integer, not ${describe(type)}`, bound.span);
          }
        }
        this.#needsLoop(statement.span, 'for');
        const outer = this.#scope;
        this.#scope = new Scope(outer);
        this.#declare(statement.variable, int64, true);
        this.#loop(statement.body);
        this.#scope = outer;
        return;
      }
      case 'for_map': {
        const map = this.mapInfo(statement.map);
        this.#needsLoop(statement.span, 'for');
        if (statement.map.keys.length > 0) {
          this.error('for-map', `a loop goes over a whole map: write @${map.name} without a key`, statement.map.span);
        }
        if (map.keys !== undefined && map.keys.length === 0) {
          this.error('for-map', `@${map.name} has no keys: there is nothing to go over`, statement.map.span);
        }
        if (map.value.kind === 'aggregate') {
          this.error(
            'for-map',
            `a loop over @${map.name}, which holds ${map.value.aggregate}() values, is not understood by this version`,
            statement.map.span,
            `print(@${map.name}) shows it`,
          );
        }
        const keys = map.keys ?? [];
        const key: Type = keys.length === 1 ? (keys[0] as Type) : { kind: 'tuple', elements: keys };
        const outer = this.#scope;
        this.#scope = new Scope(outer);
        const value = map.value.kind === 'aggregate' ? aggregateValue(map.value) : map.value;
        this.#declare(statement.variable, { kind: 'tuple', elements: [key, value] }, true);
        this.#loop(statement.body);
        this.#scope = outer;
        return;
      }
      case 'break':
      case 'continue':
        if (this.#loops === 0) {
          this.error('outside-loop', `${statement.node} only makes sense in a while or for loop`, statement.span);
        }
        return;
      case 'return':
        if (statement.value) this.expr(statement.value);
        return;
      case 'block':
        this.#scoped(statement.body);
        return;
    }
  }

  #needsLoop(span: Span, what: string): void {
    const { major, minor, release } = this.target.features.kernel;
    if (major < 5 || (major === 5 && minor < 17)) {
      this.error(
        'kernel-too-old',
        `${what} loops need the bpf_loop helper of kernel 5.17; this is ${release}`,
        span,
        'unroll(N) { … } works on every kernel',
      );
    }
  }

  #expressionStatement(expr: Ast.Expr): void {
    if (expr.node === 'call') {
      const builtin = this.builtins.functions.get(expr.name);
      const type = this.expr(expr);
      if (builtin && !builtin.statementOnly && type.kind !== 'none') {
        if (type.kind === 'aggregate') {
          this.error(
            'aggregate-unassigned',
            `${expr.name}() should be assigned to a map`,
            expr.span,
            `write @name = ${expr.name}(…)`,
          );
        } else {
          this.warning('discarded-value', 'Return value discarded.', expr.span);
        }
      }
      return;
    }
    this.expr(expr);
    if (!(expr.node === 'unary' && expr.operator.length > 1)) {
      this.warning('no-effect', 'this statement has no effect', expr.span);
    }
  }

  #let(statement: Ast.Let): void {
    const { variable } = statement;
    const existing = this.#scope.here(variable.name);
    if (existing) {
      this.error('redeclared', `Variable $${variable.name} was already declared in this block.`, statement.span);
    } else if (this.#scope.find(variable.name)) {
      this.warning('shadowed', `Variable $${variable.name} shadows one of an outer block.`, statement.span);
    }
    const fixed = statement.type ? this.resolveType(statement.type) : undefined;
    if (statement.type && fixed === undefined) return;
    const valueType = statement.value ? this.expr(statement.value) : undefined;
    this.#declare(variable, fixed ?? (valueType ? valueType : unknownType), fixed !== undefined);
    const info = this.facts.variables.get(variable) as VariableInfo;
    if (valueType && statement.value) this.#assignTo(info, valueType, statement.value, statement.span);
  }

  #declare(node: Ast.Variable, type: Type, fixed: boolean): VariableInfo {
    const id = `${this.#variant}:${node.span.start}`;
    let info = this.#declared.get(id);
    if (info === undefined) {
      info = { name: node.name, type, fixed, span: node.span };
      this.#declared.set(id, info);
      this.changed = true;
    } else if (fixed && !unchanged(info.type, type)) {
      info.type = type;
      this.changed = true;
    }
    this.#scope.declare(info);
    this.facts.variables.set(node, info);
    return info;
  }

  #assignTo(info: VariableInfo, type: Type, value: Ast.Expr, span: Span): void {
    if (isUnknown(type)) return;
    if (type.kind === 'none' || type.kind === 'void') {
      this.error('no-value', `this has no value that could be assigned to $${info.name}`, value.span);
      return;
    }
    if (type.kind === 'aggregate') {
      this.error(
        'aggregate-in-variable',
        `${type.aggregate}() can only be assigned to a map`,
        span,
        `write @${info.name} = ${type.aggregate}(…)`,
      );
      return;
    }
    const joined = join(info.type, type);
    if (joined === undefined || (info.fixed && !this.#fits(info.type, type))) {
      this.error(
        'type-mismatch',
        `Type mismatch for $${info.name}: trying to assign value of type '${describe(type)}' when variable already has a type '${describe(info.type)}'`,
        span,
      );
      return;
    }
    if (!info.fixed && !unchanged(joined, info.type)) {
      info.type = joined;
      this.changed = true;
    }
  }

  /** Whether a value of `type` may go into a place declared as `place`. */
  #fits(place: Type, type: Type): boolean {
    if (isIntegral(place) && isIntegral(type)) return true;
    if (place.kind === 'string' && type.kind === 'string') return type.size <= place.size;
    if (place.kind === 'pointer' && type.kind === 'pointer') return true;
    return sameType(place, type);
  }

  #assign(statement: Ast.Assign): void {
    const { target, operator } = statement;
    if (target.node === 'discard') {
      this.expr(statement.value);
      return;
    }
    if (target.node === 'map') {
      this.#assignMap(statement, target);
      return;
    }
    const type = this.expr(statement.value);
    if (target.node === 'field' || target.node === 'index') {
      this.error(
        'assign-to-memory',
        'memory of the traced program cannot be written: insitu only reads',
        target.span,
        'assign to a $variable or a @map',
      );
      return;
    }
    if (operator !== '=') {
      const info = this.#variable(target);
      if (info === undefined) return;
      this.#compound(operator, info.type, type, statement);
      return;
    }
    const known = this.#scope.find(target.name);
    const info = known ?? this.#declare(target, type, false);
    this.facts.variables.set(target, info);
    this.facts.types.set(target, info.type);
    if (type.kind === 'none' && !isUnknown(type)) info.type = unknownType;
    this.#assignTo(info, type, statement.value, statement.span);
  }

  #compound(operator: string, place: Type, value: Type, statement: Ast.Assign): void {
    if (isUnknown(place) || isUnknown(value)) return;
    const plain = operator.slice(0, -1);
    const pointerStep = place.kind === 'pointer' && isIntegral(value) && (plain === '+' || plain === '-');
    if (!pointerStep && !(isIntegral(place) && isIntegral(value))) {
      this.error(
        'type-mismatch',
        `Type mismatch for '${operator}': '${describe(place)}' with '${describe(value)}'`,
        statement.span,
      );
    }
    this.#divisor(plain, statement.value);
  }

  /** Maps are changed in place by 64-bit instructions, and so have 64 bits. */
  #widen(info: MapInfo): void {
    if (info.value.kind !== 'int' || info.value.size === 8) return;
    info.value = int64;
    this.changed = true;
  }

  #assignMap(statement: Ast.Assign, target: Ast.MapAccess): void {
    const info = this.#mapKeys(target);
    const { value, operator } = statement;
    const type = this.expr(value);
    if (isUnknown(type)) return;
    if (operator !== '=') {
      if (info.value.kind === 'aggregate') {
        this.error(
          'aggregate-arithmetic',
          `@${info.name} holds ${info.value.aggregate}() values: '${operator}' does not apply`,
          statement.span,
        );
        return;
      }
      if (isUnknown(info.value)) this.#joinMapValue(info, type, statement.span);
      this.#compound(operator, info.value, type, statement);
      this.#widen(info);
      this.facts.types.set(target, info.value);
      return;
    }
    if (type.kind === 'none' || type.kind === 'void') {
      this.error('no-value', `this has no value that could be assigned to @${info.name}`, value.span);
      return;
    }
    const copied = value.node === 'map' ? this.maps.get(value.name)?.value : undefined;
    if (copied?.kind === 'aggregate') {
      this.error(
        'aggregate-copy',
        `Map value '${copied.aggregate}_t' cannot be assigned from one map to another. The function that returns this type must be called directly e.g. \`@${info.name} = ${copied.aggregate}(…)\`.`,
        statement.span,
      );
      return;
    }
    this.#joinMapValue(info, type, statement.span);
    this.facts.types.set(target, info.value);
  }

  #joinMapValue(info: MapInfo, type: Type, span: Span): void {
    const joined = join(info.value, type);
    if (joined === undefined) {
      this.error(
        'type-mismatch',
        `Type mismatch for @${info.name}: trying to assign value of type '${describe(type)}' when map already has a type '${describe(info.value)}'`,
        span,
      );
      return;
    }
    if (!unchanged(joined, info.value)) {
      info.value = joined;
      this.changed = true;
    }
  }

  // ---------------------------------------------------------------- maps

  /** The map of that name, made at its first mention. */
  mapInfo(node: Ast.MapAccess): MapInfo {
    let info = this.maps.get(node.name);
    if (info === undefined) {
      info = { name: node.name, keys: undefined, value: unknownType, span: node.nameSpan };
      this.maps.set(node.name, info);
      this.changed = true;
    }
    return info;
  }

  /** Types the keys of an access and joins them with those of other accesses. */
  #mapKeys(node: Ast.MapAccess): MapInfo {
    const info = this.mapInfo(node);
    const written = node.keys.map((key) => this.expr(key));
    if (written.some(isUnknown)) return info;
    for (const [index, type] of written.entries()) {
      if (
        type.kind === 'none' ||
        type.kind === 'aggregate' ||
        type.kind === 'struct' ||
        type.kind === 'union' ||
        type.kind === 'timestamp' ||
        type.kind === 'void'
      ) {
        this.error(
          'bad-key',
          `a value of type '${describe(type)}' cannot be a map key`,
          (node.keys[index] as Ast.Expr).span,
        );
        return info;
      }
    }
    // `@m[(a, b)]` and `@m[a, b]` are the same key.
    const only = written.length === 1 ? written[0] : undefined;
    const flat = only?.kind === 'tuple' ? only.elements : written;
    const types = flat;
    if (info.keys === undefined) {
      info.keys = types;
      this.changed = true;
      return info;
    }
    const known = info.keys;
    const joined = known.length === types.length ? known.map((type, i) => join(type, types[i] as Type)) : [undefined];
    if (joined.includes(undefined)) {
      const spell = (list: readonly Type[]): string =>
        list.length === 1 ? describe(list[0] as Type) : `(${list.map(describe).join(',')})`;
      this.error(
        'key-mismatch',
        types.length === 0
          ? `@${info.name} is used elsewhere with a key ('${spell(known)}'), here without`
          : known.length === 0
            ? `@${info.name} is used elsewhere without a key, here with one ('${spell(types)}')`
            : `Argument mismatch for @${info.name}: trying to access with arguments: '${spell(types)}' when map expects arguments: '${spell(known)}'`,
        node.span,
      );
      return info;
    }
    for (const [index, type] of joined.entries()) {
      if (!unchanged(type as Type, known[index] as Type)) this.changed = true;
    }
    info.keys = joined as Type[];
    return info;
  }

  /** A map argument of a builtin (`clear(@m)`); with `keyed` also `@m[k]`. */
  mapArgument(call: Ast.Call, index: number, keyed: boolean): MapInfo | undefined {
    const argument = call.args[index];
    if (argument?.node !== 'map') {
      this.error(
        'map-expected',
        `${call.name}() takes a map (@name)`,
        argument?.span ?? call.span,
        this.builtins.functions.get(call.name)?.signature ?? '',
      );
      return undefined;
    }
    if (argument.keys.length > 0 && !keyed) {
      this.error(
        'map-expected',
        `${call.name}() takes a whole map: write @${argument.name} without a key`,
        argument.span,
      );
      return undefined;
    }
    const info = argument.keys.length > 0 ? this.#mapKeys(argument) : this.mapInfo(argument);
    this.facts.types.set(argument, info.value);
    return info;
  }

  /** Types the keys of an access that a builtin acts on without reading a value. */
  mapAccess(node: Ast.MapAccess): MapInfo {
    return this.#mapKeys(node);
  }

  // ---------------------------------------------------------------- expressions

  /** A value used as a truth: integers, pointers, bools, strings are refused no earlier than bpftrace does. */
  condition(expr: Ast.Expr): void {
    const type = this.expr(expr);
    if (isUnknown(type)) return;
    if (!isScalar(type)) {
      this.error(
        'bad-condition',
        `a value of type '${describe(type)}' is neither true nor false`,
        expr.span,
        'compare it with something',
      );
    }
  }

  /** The type of an expression, worked out once a pass. */
  expr(expr: Ast.Expr): Type {
    const type = this.#expr(expr);
    this.facts.types.set(expr, type);
    return type;
  }

  #expr(expr: Ast.Expr): Type {
    switch (expr.node) {
      case 'integer':
        this.facts.constants.set(expr, expr.value);
        return expr.unsigned || expr.value > 0x7fffffffffffffffn ? uint64 : int64;
      case 'bool':
        this.facts.constants.set(expr, expr.value ? 1n : 0n);
        return boolType;
      case 'string':
        return { kind: 'string', size: this.#literalSize(expr) };
      case 'positional':
        return this.#positional(expr);
      case 'identifier':
        return this.#identifier(expr);
      case 'variable': {
        const info = this.#variable(expr);
        return info ? info.type : unknownType;
      }
      case 'map': {
        const info = this.#mapKeys(expr);
        if (isUnknown(info.value)) {
          this.error(
            'undefined-map',
            `Undefined map: @${info.name}`,
            expr.span,
            'a map gets its type where it is assigned to',
          );
        }
        return info.value.kind === 'aggregate' ? aggregateValue(info.value) : info.value;
      }
      case 'call':
        return this.#call(expr);
      case 'unary':
        return this.#unary(expr);
      case 'binary':
        return this.#binary(expr);
      case 'ternary':
        return this.#ternary(expr);
      case 'field':
        return this.#field(expr);
      case 'index':
        return this.#index(expr);
      case 'cast':
        return this.#cast(expr);
      case 'tuple': {
        const elements = expr.elements.map((element) => this.expr(element));
        if (elements.some(isUnknown)) return unknownType;
        for (const [index, type] of elements.entries()) {
          if (type.kind === 'none' || type.kind === 'aggregate' || type.kind === 'struct' || type.kind === 'union') {
            this.error(
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
      case 'block_expr':
        this.error(
          'not-supported',
          `${expr.node === 'record' ? 'records' : 'block expressions'} are not understood by this version`,
          expr.span,
        );
        return unknownType;
    }
  }

  #literalSize(expr: Ast.StringLiteral): number {
    const bytes = stringBytes(expr.value).length;
    if (bytes + 1 > this.config.maxStrlen) {
      this.error(
        'string-too-long',
        `String is too long (over ${this.config.maxStrlen} bytes): ${expr.value.slice(0, 20)}…`,
        expr.span,
        'config max_strlen sets the limit',
      );
    }
    return bytes + 1;
  }

  /** The text of a string that is known at compile time: a literal, or `str($1)` / `$1`. */
  literalText(expr: Ast.Expr | Ast.TypeExpr | undefined): string | undefined {
    if (expr?.node === 'string') return expr.value;
    if (expr?.node === 'positional' && typeof expr.index === 'number')
      return this.options.parameters[expr.index - 1] ?? '';
    if (expr?.node === 'call' && expr.name === 'str' && expr.args.length === 1) {
      const inner = expr.args[0];
      if (inner?.node === 'positional' || inner?.node === 'string') return this.literalText(inner);
    }
    return undefined;
  }

  #positional(expr: Ast.PositionalParameter): Type {
    const { parameters } = this.options;
    if (expr.index === 'count') {
      this.facts.constants.set(expr, BigInt(parameters.length));
      return int64;
    }
    const text = parameters[expr.index - 1];
    if (text === undefined) {
      if (!this.countsParameters) {
        this.error(
          'missing-parameter',
          `the script needs a value for its parameter $${expr.index}, and ${parameters.length === 0 ? 'none was given' : `only ${parameters.length} given`}`,
          expr.span,
          'parameters follow the script on the command line: insitu script.bt VALUE …',
        );
      }
      this.facts.constants.set(expr, 0n);
      return int64;
    }
    const value = parseInteger(text);
    if (value === undefined) {
      this.error(
        'parameter-not-number',
        `$${expr.index} is used as a number, but '${text}' was given`,
        expr.span,
        `str($${expr.index}) is its text`,
      );
      return int64;
    }
    this.facts.constants.set(expr, value);
    return value > 0x7fffffffffffffffn ? uint64 : int64;
  }

  #identifier(expr: Ast.Identifier): Type {
    const builtin = this.builtins.variables.get(expr.name);
    if (builtin) return builtin.type(this, expr);
    const constant = this.options.names.constant(expr.name);
    if (constant) {
      this.facts.constants.set(expr, constant.value);
      return constant.type;
    }
    const fn = this.builtins.functions.get(expr.name);
    if (fn) {
      if (fn.arity[0] === 0) {
        // `exit`, `ustack`, `kstack` and the like may stand without parentheses.
        const call: Ast.Call = { node: 'call', name: expr.name, nameSpan: expr.span, args: [], span: expr.span };
        const type = fn.type(this, call);
        this.facts.notes.set(expr, call);
        this.facts.types.set(call, type);
        return type;
      }
      this.error('call-expected', `${expr.name} is a function`, expr.span, fn.signature);
      return unknownType;
    }
    const candidates = [...this.builtins.variables.keys(), ...this.builtins.functions.keys()];
    const near = nearest(expr.name, candidates, 2);
    const constants = near.length > 0 ? [] : nearest(expr.name, this.options.names.candidates(expr.name), 2);
    const found = [...near, ...constants];
    this.error(
      'unknown-identifier',
      `Unknown identifier: '${expr.name}'`,
      expr.span,
      ...(found.length > 0
        ? [`did you mean ${found.map((n) => `'${n}'`).join(' or ')}?`]
        : ['variables start with $, maps with @']),
    );
    return unknownType;
  }

  /** Whether a bare word is a builtin or a constant. */
  knowsIdentifier(name: string): boolean {
    return (
      this.builtins.variables.has(name) ||
      this.builtins.functions.has(name) ||
      this.options.names.constant(name) !== undefined
    );
  }

  #variable(node: Ast.Variable): VariableInfo | undefined {
    const info = this.#scope.find(node.name);
    if (info === undefined) {
      const near = nearest(node.name, [...this.#scope.all()], 1)[0];
      this.error(
        'undefined-variable',
        `Undefined or undeclared variable: $${node.name}`,
        node.span,
        ...(near === undefined
          ? ['a variable is seen in the block that first assigns it, and in the blocks inside']
          : [`did you mean '$${near}'?`]),
      );
      return undefined;
    }
    this.facts.variables.set(node, info);
    this.facts.types.set(node, info.type);
    return info;
  }

  #call(call: Ast.Call): Type {
    const builtin = this.builtins.functions.get(call.name);
    if (builtin === undefined) {
      for (const argument of call.args) if (argument.node !== 'type') this.expr(argument);
      const near = nearest(call.name, [...this.builtins.functions.keys()], 2);
      this.error(
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
      this.error(
        'argument-count',
        `${call.name}() requires ${wanted} argument${wanted === '1' ? '' : 's'} (${call.args.length} provided)`,
        call.span,
        builtin.signature,
      );
      return unknownType;
    }
    return builtin.type(this, call);
  }

  /** Types an argument and checks that it is an integer (or pointer, with `pointers`). */
  integerArgument(call: Ast.Call, index: number, pointers = false): Type {
    const argument = call.args[index];
    if (argument === undefined || argument.node === 'type') {
      this.error('argument-type', `${call.name}() takes an integer here`, argument?.span ?? call.span);
      return unknownType;
    }
    const type = this.expr(argument);
    if (isUnknown(type) || isIntegral(type) || (pointers && type.kind === 'pointer')) return type;
    const name = this.builtins.functions.get(call.name)?.signature ?? '';
    this.error(
      'argument-type',
      `${call.name}() only supports ${pointers ? 'integers and pointers' : 'integers'} (${describe(type)} provided)`,
      argument.span,
      name,
    );
    return unknownType;
  }

  #unary(expr: Ast.Unary): Type {
    const { operator, operand } = expr;
    if (operator === '++pre' || operator === '--pre' || operator === 'post++' || operator === 'post--') {
      return this.#increment(expr);
    }
    const type = this.expr(operand);
    if (isUnknown(type)) return unknownType;
    switch (operator) {
      case '*':
        if (type.kind === 'pointer') {
          const to = type.to();
          if (to.kind === 'void' || to.kind === 'function') {
            this.error(
              'deref',
              `Can not dereference type '${describe(type)}'. It has no size: cast it first`,
              expr.span,
              'for example *(uint32 *)$p',
            );
            return unknownType;
          }
          return decayed(to);
        }
        // Compatible with bpftrace: an integer is dereferenced as a pointer to itself.
        if (type.kind === 'int') return type;
        this.error('deref', `Can not dereference type '${describe(type)}'. It's not a pointer.`, expr.span);
        return unknownType;
      case '&':
        this.error(
          'address-of',
          "the address of a value is not available: '&' is not understood by this version",
          expr.span,
        );
        return unknownType;
      case '!':
        if (!isScalar(type)) this.#badOperand(operator, type, expr);
        return boolType;
      case '-':
      case '+':
      case '~': {
        if (!isIntegral(type)) {
          this.#badOperand(operator, type, expr);
          return unknownType;
        }
        const value = this.facts.constants.get(operand);
        if (value !== undefined) {
          const result = operator === '-' ? -value : operator === '+' ? value : ~value;
          this.facts.constants.set(expr, BigInt.asIntN(64, result));
        }
        if (operator === '~') return uint64;
        return operator === '-' ? int64 : promoted(type);
      }
    }
  }

  #badOperand(operator: string, type: Type, expr: Ast.Expr): void {
    this.error(
      'operand-type',
      `The ${operator} operator can not be used on expressions of type '${describe(type)}'`,
      expr.span,
    );
  }

  #increment(expr: Ast.Unary): Type {
    const { operand } = expr;
    const sign = expr.operator.replace(/pre|post/, '');
    if (operand.node === 'map') {
      const info = this.#mapKeys(operand);
      if (isUnknown(info.value)) this.#joinMapValue(info, int64, expr.span);
      this.#widen(info);
      this.facts.types.set(operand, info.value);
      if (info.value.kind !== 'int' && info.value.kind !== 'pointer') {
        this.error(
          'operand-type',
          `${sign} needs an integer: @${info.name} holds '${describe(info.value)}'`,
          expr.span,
        );
      }
      return info.value;
    }
    if (operand.node !== 'variable') {
      this.expr(operand);
      this.error('operand-type', `${sign} applies to a $variable or a @map`, expr.span);
      return unknownType;
    }
    const info = this.#variable(operand);
    if (info === undefined) return unknownType;
    if (!isUnknown(info.type) && info.type.kind !== 'int' && info.type.kind !== 'pointer') {
      this.error('operand-type', `${sign} needs an integer: $${info.name} is '${describe(info.type)}'`, expr.span);
    }
    return info.type;
  }

  #divisor(operator: string, right: Ast.Expr): void {
    if ((operator === '/' || operator === '%') && this.facts.constants.get(right) === 0n) {
      this.error('division-by-zero', 'division by zero', right.span);
    }
  }

  #binary(expr: Ast.Binary): Type {
    const { operator } = expr;
    const left = this.expr(expr.left);
    const right = this.expr(expr.right);
    if (isUnknown(left) || isUnknown(right)) return comparison(operator) ? boolType : unknownType;
    if (operator === '&&' || operator === '||') {
      if (!isScalar(left)) this.#badOperand(operator, left, expr.left);
      if (!isScalar(right)) this.#badOperand(operator, right, expr.right);
      return boolType;
    }
    if (comparison(operator)) {
      this.#compare(expr, left, right);
      this.#fold(expr, boolType);
      return boolType;
    }
    if (isIntegral(left) && isIntegral(right)) {
      this.#divisor(operator, expr.right);
      const type = arithmeticType(operator, left, right);
      this.#fold(expr, type);
      return type;
    }
    if (left.kind === 'pointer' || right.kind === 'pointer') {
      if (left.kind === 'pointer' && isIntegral(right) && (operator === '+' || operator === '-')) return left;
      if (right.kind === 'pointer' && isIntegral(left) && operator === '+') return right;
      if (left.kind === 'pointer' && right.kind === 'pointer' && operator === '-') return int64;
      if (
        isScalar(left) &&
        isScalar(right) &&
        (operator === '&' ||
          operator === '|' ||
          operator === '>>' ||
          operator === '<<' ||
          operator === '%' ||
          operator === '/')
      )
        return uint64;
    }
    this.error(
      'operand-type',
      `The ${operator} operator can not be used on expressions of types '${describe(left)}' and '${describe(right)}'`,
      expr.span,
      ...(left.kind === 'string' && operator === '+' ? ['printf("%s%s", a, b) joins strings when printing'] : []),
    );
    return unknownType;
  }

  #compare(expr: Ast.Binary, left: Type, right: Type): void {
    if (isScalar(left) && isScalar(right)) return;
    const equality = expr.operator === '==' || expr.operator === '!=';
    if (equality && left.kind === 'probe_name' && expr.right.node === 'string') return;
    if (equality && right.kind === 'probe_name' && expr.left.node === 'string') return;
    if (equality && left.kind === 'string' && right.kind === 'string') return;
    if (
      equality &&
      left.kind === right.kind &&
      (left.kind === 'buffer' ||
        left.kind === 'inet' ||
        left.kind === 'tuple' ||
        left.kind === 'array' ||
        left.kind === 'probe_name') &&
      sameType(left, right)
    )
      return;
    this.error(
      'type-mismatch',
      left.kind === right.kind || (isScalar(left) && isScalar(right))
        ? `values of type '${describe(left)}' cannot be compared by '${expr.operator}'`
        : `Type mismatch for '${expr.operator}': comparing ${describe(left)} with ${describe(right)}`,
      expr.span,
    );
  }

  #fold(expr: Ast.Binary, type: Type): void {
    const left = this.facts.constants.get(expr.left);
    const right = this.facts.constants.get(expr.right);
    if (left === undefined || right === undefined) return;
    const signed = type.kind !== 'int' || type.signed;
    const value = evaluate(expr.operator, left, right, signed);
    if (value !== undefined)
      this.facts.constants.set(expr, signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value));
  }

  /** The value of an expression known at compile time (after expr() has seen it). */
  constant(expr: Ast.Expr | Ast.TypeExpr | undefined): bigint | undefined {
    return expr === undefined || expr.node === 'type' ? undefined : this.facts.constants.get(expr);
  }

  #ternary(expr: Ast.Ternary): Type {
    this.condition(expr.condition);
    const then = expr.then ? this.expr(expr.then) : this.expr(expr.condition);
    const otherwise = this.expr(expr.otherwise);
    if (then.kind === 'none' && otherwise.kind === 'none') return isUnknown(then) ? unknownType : then;
    if (isUnknown(then) || isUnknown(otherwise)) return unknownType;
    const joined =
      isIntegral(then) && isIntegral(otherwise) && !sameType(then, otherwise)
        ? arithmeticType('+', then, otherwise)
        : join(then, otherwise);
    if (joined === undefined) {
      this.error(
        'type-mismatch',
        `Ternary operator must return the same type: have '${describe(then)}' and '${describe(otherwise)}'`,
        expr.span,
      );
      return unknownType;
    }
    if (joined.kind === 'aggregate' || joined.kind === 'struct' || joined.kind === 'union') {
      this.error('type-mismatch', `Ternary return type unsupported '${describe(joined)}'`, expr.span);
      return unknownType;
    }
    return joined;
  }

  #field(expr: Ast.FieldAccess): Type {
    const { object, name } = expr;
    if (object.node === 'identifier' && object.name === 'args') return this.#argument(expr);
    const type = this.expr(object);
    if (isUnknown(type)) return unknownType;
    if (type.kind === 'tuple') {
      const element = /^\d+$/.test(name) ? type.elements[Number(name)] : undefined;
      if (element === undefined) {
        this.error(
          'tuple-index',
          `Invalid tuple index: ${name}. Found ${type.elements.length} elements in tuple.`,
          expr.nameSpan,
        );
        return unknownType;
      }
      return element;
    }
    let composite: Type = type;
    if (type.kind === 'pointer') {
      composite = type.to();
      if (!expr.arrow && (composite.kind === 'struct' || composite.kind === 'union')) {
        this.error(
          'field-access',
          `Can not access field '${name}' on type '${describe(type)}'. Try dereferencing it first, or using '->'`,
          expr.span,
        );
        return unknownType;
      }
    } else if (expr.arrow && (type.kind === 'struct' || type.kind === 'union')) {
      this.error(
        'field-access',
        `Can not dereference type '${describe(type)}'. It's not a pointer.`,
        expr.span,
        "use '.'",
      );
      return unknownType;
    }
    if (composite.kind !== 'struct' && composite.kind !== 'union') {
      this.error(
        'field-access',
        `Can not access field '${name}' on expression of type '${describe(type)}'`,
        expr.span,
        ...(type.kind === 'int' ? ['cast it to a pointer to a struct first: ((struct NAME *)value)->field'] : []),
      );
      return unknownType;
    }
    const found = findField(composite, name);
    if (found === undefined) {
      const near = nearest(name, fieldNames(composite), 2);
      this.error(
        'unknown-field',
        `Struct/union of type '${describe(composite)}' does not contain a field named '${name}'`,
        expr.nameSpan,
        ...(near.length > 0 ? [`did you mean ${near.map((n) => `'${n}'`).join(' or ')}?`] : []),
      );
      return unknownType;
    }
    this.facts.notes.set(expr, found);
    const space = type.kind === 'pointer' ? type.space : this.#spaceOf(object);
    return withSpace(decayed(found.field.type), space);
  }

  /** Where the bytes of a composite value came from, for the pointers inside it. */
  #spaceOf(expr: Ast.Expr): 'user' | 'kernel' | 'either' {
    if (expr.node === 'field' || expr.node === 'index') {
      const type = this.facts.types.get(expr.object);
      if (type?.kind === 'pointer') return type.space;
      return this.#spaceOf(expr.object);
    }
    if (expr.node === 'unary' && expr.operator === '*') {
      const type = this.facts.types.get(expr.operand);
      if (type?.kind === 'pointer') return type.space;
    }
    return 'either';
  }

  #argument(expr: Ast.FieldAccess): Type {
    const { tracepoint, provider, parameters } = this.probe;
    const declared: readonly Field[] | undefined = tracepoint?.fields ?? parameters;
    if (declared === undefined) {
      const uprobe = provider === 'uprobe' || provider === 'uretprobe';
      this.error(
        'no-args',
        `The args builtin can not be used with '${provider}' probes`,
        expr.object.span,
        uprobe
          ? 'arg0, arg1 … are the arguments by position, retval is the return value'
          : provider === 'rawtracepoint'
            ? 'the names of its arguments come from BTF, which this kernel lacks: arg0, arg1 … are the arguments by position'
            : 'args is there in tracepoints, raw tracepoints, fentry and fexit',
      );
      return unknownType;
    }
    const field = declared.find((f) => f.name === expr.name);
    if (field === undefined) {
      const names = declared.map((f) => f.name).filter((name) => !name.startsWith('common_'));
      const near = nearest(expr.name, names, 2);
      this.error(
        'unknown-field',
        `${tracepoint ? `tracepoint:${tracepoint.category}:${tracepoint.event}` : this.probe.attachments[0]?.name} does not have a field named '${expr.name}'`,
        expr.nameSpan,
        near.length > 0 ? `did you mean ${near.map((n) => `'${n}'`).join(' or ')}?` : `its fields: ${names.join(', ')}`,
      );
      return unknownType;
    }
    this.facts.notes.set(expr, field);
    if (field.dataLoc && (field.type.kind === 'array' || field.type.kind === 'string')) {
      return { kind: 'string', size: this.config.maxStrlen };
    }
    return decayed(field.type);
  }

  #index(expr: Ast.Index): Type {
    const type = this.expr(expr.object);
    const index = this.expr(expr.index);
    if (isUnknown(type) || isUnknown(index)) return unknownType;
    if (!isIntegral(index)) {
      this.error(
        'index-type',
        `The array index operator [] only accepts integer indices, not '${describe(index)}'`,
        expr.index.span,
      );
      return unknownType;
    }
    if (type.kind === 'array') {
      const value = this.facts.constants.get(expr.index);
      if (value !== undefined && (value < 0n || value >= BigInt(type.length)) && type.length > 0) {
        this.error(
          'index-range',
          `the index ${value} is out of bounds for array of size ${type.length}`,
          expr.index.span,
        );
      }
      return withSpace(decayed(type.of), this.#spaceOf(expr.object));
    }
    if (type.kind === 'pointer') {
      const to = type.to();
      if (sizeOf(to) === 0) {
        this.error('deref', `'${describe(type)}' cannot be indexed: what it points to has no size`, expr.span);
        return unknownType;
      }
      return withSpace(decayed(to), type.space);
    }
    this.error(
      'index-type',
      `The array index operator [] can only be used on arrays and pointers, found '${describe(type)}'`,
      expr.span,
    );
    return unknownType;
  }

  #cast(expr: Ast.Cast): Type {
    const operand = this.expr(expr.operand);
    const type = this.resolveType(expr.type);
    if (type === undefined || isUnknown(operand)) return type ?? unknownType;
    const space = operand.kind === 'pointer' ? operand.space : this.probe.userMemory ? 'user' : 'either';
    switch (type.kind) {
      case 'int':
      case 'bool':
      case 'enum': {
        if (!isScalar(operand)) break;
        const value = this.facts.constants.get(expr.operand);
        if (value !== undefined && type.kind === 'int') {
          const bits = type.size * 8;
          this.facts.constants.set(expr, type.signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value));
        }
        return type;
      }
      case 'pointer':
        if (!isScalar(operand)) break;
        return { ...type, space };
      case 'string':
        if (operand.kind === 'string') return type;
        break;
      case 'struct':
      case 'union':
        this.error(
          'cast',
          `Cannot cast to '${describe(type)}'`,
          expr.span,
          `cast to a pointer: (${describe(type)} *)…`,
        );
        return unknownType;
      default:
        break;
    }
    this.error('cast', `Cannot cast from '${describe(operand)}' to '${describe(type)}'`, expr.span);
    return unknownType;
  }

  /** The type that a written type means; complains and gives undefined when there is none. */
  resolveType(type: Ast.TypeExpr): Type | undefined {
    return resolveTypeExpr(type, this, this.options.names);
  }
}

/** An array of signed characters reads as a string; its bytes may fill it without a NUL. */
export function decayed(type: Type): Type {
  if (type.kind === 'array' && type.of.kind === 'int' && type.of.size === 1 && type.of.signed && type.length > 0) {
    return { kind: 'string', size: type.length + 1 };
  }
  return type;
}

/** Pointers found in memory of a known space point into the same space unless they say otherwise. */
function withSpace(type: Type, space: 'user' | 'kernel' | 'either'): Type {
  if (type.kind !== 'pointer' || space === 'either') return type;
  if (space === 'user') return { ...type, space: 'user' };
  return type.space === 'either' ? { ...type, space } : type;
}
