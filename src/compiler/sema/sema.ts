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
import { describe, sizeOf } from '../../types/layout.ts';
import { type CompositeType, int64, type Type } from '../../types/model.ts';
import type { Printers } from '../../types/printers.ts';
import type { Builtins } from '../builtins/builtin.ts';
import type { ProbeContext } from '../probes/context.ts';
import type * as Ast from '../syntax/ast.ts';
import { typeOfExpression } from './expressions.ts';
import { mapKeys } from './mapuse.ts';
import type { Names } from './names.ts';
import {
  isIntegral,
  isTruth,
  isUnknown,
  type MapInfo,
  Scope,
  unchanged,
  unknownType,
  type VariableInfo,
} from './scope.ts';
import { checkStatements } from './statements.ts';
import { resolveTypeExpr } from './typeexpr.ts';

/** What one analysis of one block leaves behind for lowering. */
export interface BlockFacts {
  readonly types: Map<Ast.Expr, Type>;
  readonly variables: Map<Ast.Variable, VariableInfo>;
  /** What a builtin noted about its own call: a parsed format, a constant. */
  readonly notes: Map<Ast.Node, unknown>;
  /** Values of expressions known at compile time. */
  readonly constants: Map<Ast.Expr, bigint>;
  /** Set where an expression takes a loop: the search for an element. */
  loops?: true;
  /** Strings of a library (std::string), which stand for their text: their own type. */
  readonly texts: Map<Ast.Expr, CompositeType>;
}

export interface SemaOptions {
  readonly target: Target;
  readonly config: Config;
  readonly names: Names;
  readonly builtins: Builtins;
  readonly printers: Printers;
  readonly parameters: readonly string[];
  readonly pid: number | undefined;
  readonly childPid: number | undefined;
  /** -k: reads of traced memory that fail are told of when they happen. */
  readonly reportReads: boolean;
  readonly unsafe: boolean;
}

export class Sema {
  readonly options: SemaOptions;
  readonly maps: Map<string, MapInfo>;
  /** Variables by the node that declared them, kept from pass to pass. */
  readonly declared: Map<string, VariableInfo> = new Map();
  /** Variables that are declared and never get a value. */
  readonly unassigned: VariableInfo[] = [];
  diagnostics: Diagnostics;
  changed: boolean = false;
  /**
   * Nothing grows any more and types are still missing, as in `@x = @x + 1`, where each
   * waits for the other: from now on an operator takes the type of the operand that is known.
   */
  stuck: boolean = false;
  /** Number of the pass over the script, from 0. */
  pass: number = 0;
  /** True while the script tells which of its parameters are there (`$#`). */
  readonly countsParameters: boolean;

  probe!: ProbeContext;
  /** The script asks for the number of frames of stacks that were kept. */
  countsStacks = false;
  /** The block that is analysed. */
  current!: Ast.ProbeBlock;
  facts!: BlockFacts;
  /** Variables that are seen at the statement that is looked at, and how many loops it is in. */
  scope!: Scope;
  loops: number = 0;
  /** Tells the copies of one block apart. */
  variant: string = '';

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
    this.current = block;
    this.variant = variant;
    this.facts = { types: new Map(), variables: new Map(), notes: new Map(), constants: new Map(), texts: new Map() };
    this.scope = new Scope();
    this.loops = 0;
    if (block.predicate) this.condition(block.predicate);
    checkStatements(this, block.body);
    return this.facts;
  }

  // ---------------------------------------------------------------- statements

  declare(node: Ast.Variable, type: Type, fixed: boolean): VariableInfo {
    const id = `${this.variant}:${node.name}:${node.span.start}`;
    let info = this.declared.get(id);
    if (info === undefined) {
      info = { name: node.name, type, fixed, span: node.span };
      this.declared.set(id, info);
      this.changed = true;
    } else if (fixed && !unchanged(info.type, type)) {
      info.type = type;
      this.changed = true;
    }
    this.scope.declare(info);
    this.facts.variables.set(node, info);
    return info;
  }

  /** Gives variables that nothing was ever assigned to a type; true when there were any. */
  settleUnassigned(): boolean {
    let found = false;
    for (const info of this.declared.values()) {
      if (!isUnknown(info.type)) continue;
      info.type = int64;
      this.unassigned.push(info);
      found = true;
    }
    return found;
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
    const info = argument.keys.length > 0 ? mapKeys(this, argument) : this.mapInfo(argument);
    this.facts.types.set(argument, info.value);
    return info;
  }

  /** Types the keys of an access that a builtin acts on without reading a value. */
  mapAccess(node: Ast.MapAccess): MapInfo {
    return mapKeys(this, node);
  }

  // ---------------------------------------------------------------- expressions

  /** A value used as a truth: integers, pointers, bools, strings are refused no earlier than bpftrace does. */
  condition(expr: Ast.Expr): void {
    const type = this.expr(expr);
    if (isUnknown(type)) return;
    if (!isTruth(type)) {
      this.error(
        'bad-condition',
        `a value of type '${describe(type)}' is neither true nor false`,
        expr.span,
        'compare it with something',
      );
    }
  }

  /** A feature that bpftrace calls unstable: refused, warned of or taken as config unstable_NAME says. */
  unstable(feature: 'tseries' | 'dw_ustack', span: Span): void {
    const setting = feature === 'tseries' ? this.config.unstableTseries : this.config.unstableDwUstack;
    if (setting === 'enable') return;
    if (setting === 'error')
      this.error('unstable', `${feature} is not enabled`, span, `set it in the config: unstable_${feature}=enable`);
    else {
      const how = `To prevent this warning you must explicitly enable it in the config e.g. unstable_${feature}=enable`;
      // Once for the script, at no place in it.
      this.diagnostics.warning('unstable', `Script is using an unstable feature: ${feature}. ${how}`, undefined);
    }
  }

  /** Complains where the kernel cannot run a loop that is called back. */
  needsLoop(span: Span, what: string): void {
    this.facts.loops = true;
    const { major, minor, release } = this.target.features.kernel;
    if (major < 5 || (major === 5 && minor < 17)) {
      this.error(
        'kernel-too-old',
        `${what} needs the bpf_loop helper of kernel 5.17; this is ${release}`,
        span,
        'unroll(N) { … } works on every kernel',
      );
    }
  }

  /** The type of an expression, worked out once a pass. */
  expr(expr: Ast.Expr): Type {
    if ((expr as Ast.Node).node === 'type') {
      this.error('type-as-value', 'a type stands where a value is wanted', expr.span, 'sizeof(TYPE) is its size');
      return unknownType;
    }
    let type = typeOfExpression(this, expr);
    if (type.kind === 'struct' && this.probe.userMemory && this.options.printers.contentOf(type)?.kind === 'text') {
      this.facts.texts.set(expr, type);
      type = { kind: 'string', size: this.config.maxStrlen + 1 };
    }
    this.facts.types.set(expr, type);
    return type;
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
    if (expr?.node === 'identifier' || expr?.node === 'call') {
      const note = this.facts.notes.get(expr);
      if (typeof note === 'string' && this.facts.types.get(expr)?.kind === 'string') return note;
    }
    if (expr?.node === 'field') {
      const words = this.typeinfo(expr.object);
      if (words && expr.name in words) return words[expr.name as keyof typeof words];
    }
    return undefined;
  }

  /** What a call of typeinfo() says. */
  typeinfo(expr: Ast.Expr): { readonly base_type: string; readonly full_type: string } | undefined {
    if (expr.node !== 'call' || expr.name !== 'typeinfo') return undefined;
    return this.facts.notes.get(expr) as { readonly base_type: string; readonly full_type: string } | undefined;
  }

  /** Size in bytes as declared: an array of characters in C, which reads as a string, has no room for a NUL of ours. */
  declaredSize(expr: Ast.Expr): number {
    const type = this.facts.types.get(expr) ?? unknownType;
    const isMember = expr.node === 'field' || expr.node === 'index' || (expr.node === 'unary' && expr.operator === '*');
    return type.kind === 'string' && isMember && !ownsText(this, expr) ? type.size - 1 : sizeOf(type);
  }

  /** Whether a bare word is a builtin or a constant. */
  knowsIdentifier(name: string): boolean {
    return (
      this.builtins.variables.has(name) ||
      this.builtins.functions.has(name) ||
      this.options.names.constant(name) !== undefined
    );
  }

  variable(node: Ast.Variable): VariableInfo | undefined {
    const info = this.scope.find(node.name);
    if (info === undefined) {
      const near = nearest(node.name, [...this.scope.all()], 1)[0];
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

  /** The value of an expression known at compile time (after expr() has seen it). */
  constant(expr: Ast.Expr | Ast.TypeExpr | undefined): bigint | undefined {
    return expr === undefined || expr.node === 'type' ? undefined : this.facts.constants.get(expr);
  }

  /** The type that a written type means; complains and gives undefined when there is none. */
  resolveType(type: Ast.TypeExpr): Type | undefined {
    return resolveTypeExpr(type, this, this.options.names);
  }
}

/** Whether a string in a value is one of the language's own (in a tuple, a record), not an array of characters. */
function ownsText(sema: Sema, expr: Ast.Expr): boolean {
  if (expr.node !== 'field' && expr.node !== 'index') return false;
  const type = sema.facts.types.get(expr.object);
  return type?.kind === 'tuple' || (type?.kind === 'struct' && type.record === true);
}
