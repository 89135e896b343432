/** Fields, arguments of the probe, elements: what `.`, `->` and `[]` reach. */
import { nearest } from '../../base/near.ts';
import { describe, type FoundField, fieldNames, findField, sizeOf } from '../../types/layout.ts';
import { type CompositeType, type Field, int8, type Type } from '../../types/model.ts';
import type { ProgramVariable } from '../../types/source.ts';
import type { ProbedFunction } from '../probes/context.ts';
import type * as Ast from '../syntax/ast.ts';
import { decayed, referred, withSpace } from './decay.ts';
import { typeOfContainerIndex } from './elements.ts';
import { isIntegral, isUnknown, unknownType } from './scope.ts';
import type { BlockFacts, Sema } from './sema.ts';

export function typeOfField(sema: Sema, expr: Ast.FieldAccess): Type {
  const { object, name } = expr;
  if (object.node === 'identifier' && object.name === 'args') return typeOfArgument(sema, expr);
  if (object.node === 'identifier' && object.name === 'vars') return typeOfLocal(sema, expr);
  const type = sema.expr(object);
  if (isUnknown(type)) return unknownType;
  if (type.kind === 'tuple') {
    const element = /^\d+$/.test(name) ? type.elements[Number(name)] : undefined;
    if (element === undefined) {
      sema.error(
        'tuple-index',
        `Invalid tuple index: ${name}. Found ${type.elements.length} elements in tuple.`,
        expr.nameSpan,
      );
      return unknownType;
    }
    return element;
  }
  // `.` and `->` mean the same: a pointer is followed by either.
  const composite = type.kind === 'pointer' ? type.to() : type;
  if (composite.kind !== 'struct' && composite.kind !== 'union') {
    sema.error(
      'field-access',
      `Can not access field '${name}' on expression of type '${describe(type)}'`,
      expr.span,
      ...(type.kind === 'int' ? ['cast it to a pointer to a struct first: ((struct NAME *)value)->field'] : []),
    );
    return unknownType;
  }
  const content =
    sema.probe.userMemory && composite.kind === 'struct' ? sema.options.printers.contentOf(composite) : undefined;
  // A smart pointer stands for what it points to.
  const pointed = content?.kind === 'pointer' && content.of.kind === 'struct' ? findField(content.of, name) : undefined;
  if (pointed !== undefined) {
    sema.facts.notes.set(expr, { ...pointed, smart: composite });
    return withSpace(referred(pointed.field.type), 'user');
  }
  const found =
    findField(composite, name) ?? (sema.probe.userMemory ? memberOfContent(sema, composite, name) : undefined);
  if (found === undefined) {
    const near = nearest(name, fieldNames(composite), 2);
    sema.error(
      'unknown-field',
      `Struct/union of type '${describe(composite)}' does not contain a field named '${name}'`,
      expr.nameSpan,
      ...(near.length > 0 ? [`did you mean ${near.map((n) => `'${n}'`).join(' or ')}?`] : []),
    );
    return unknownType;
  }
  sema.facts.notes.set(expr, found);
  const space = type.kind === 'pointer' ? type.space : spaceOf(sema, object);
  return withSpace(referred(found.field.type), space);
}

/** `.0`, `.1` of a pair or tuple of a library, and the members of a class that another one only wraps. */
function memberOfContent(sema: Sema, composite: CompositeType, name: string): FoundField | undefined {
  const content = sema.options.printers.contentOf(composite);
  if (content?.kind === 'plain' && (content.of.kind === 'struct' || content.of.kind === 'union')) {
    const inner = findField(content.of, name) ?? memberOfContent(sema, content.of, name);
    return inner === undefined || inner.through !== undefined
      ? undefined
      : { field: inner.field, offset: content.offset + inner.offset };
  }
  const member = content?.kind === 'tuple' && /^\d+$/.test(name) ? content.members[Number(name)] : undefined;
  return member && { field: { name, type: member.of, offset: member.offset }, offset: member.offset };
}

/** Where the bytes of a composite value came from, for the pointers inside it. */
export function spaceOf(sema: Sema, expr: Ast.Expr): 'user' | 'kernel' | 'either' {
  if (expr.node === 'field' || expr.node === 'index') {
    const type = sema.facts.types.get(expr.object);
    if (type?.kind === 'pointer') return type.space;
    return spaceOf(sema, expr.object);
  }
  if (expr.node === 'variable') return sema.facts.variables.get(expr)?.element === undefined ? 'either' : 'user';
  if (expr.node === 'unary' && expr.operator === '*') {
    const type = sema.facts.types.get(expr.operand);
    if (type?.kind === 'pointer') return type.space;
  }
  return 'either';
}

/** The type of a variable of the program, as an expression sees it. */
export function typeOfVariable(variable: ProgramVariable): Type {
  const { location } = variable;
  return location.kind === 'unavailable' ? { kind: 'unavailable', reason: location.reason } : referred(variable.type);
}

/** The arguments of the program's function that a block mentions. */
export function argumentsOf(facts: BlockFacts, probed: ProbedFunction): readonly ProgramVariable[] {
  const list = probed.arguments ?? [];
  const whole = [...facts.types.keys()].some((expr) => expr.node === 'identifier' && expr.name === 'args');
  const mentioned = new Set<unknown>(facts.notes.values());
  return list.filter((one) => one.location.kind !== 'unavailable' && (whole || mentioned.has(one)));
}

function typeOfLocal(sema: Sema, expr: Ast.FieldAccess): Type {
  const probed = sema.probe.function;
  if (probed === undefined || sema.probe.provider !== 'uprobe') {
    sema.error(
      'no-vars',
      `The vars builtin can not be used with '${sema.probe.provider}' probes`,
      expr.object.span,
      'it is there in uprobes, also by line: uprobe:BIN@file.c:12',
    );
    return unknownType;
  }
  const list = probed.variables();
  const variable = list.find((one) => one.name === expr.name);
  if (variable === undefined) {
    const names = list.map(({ name }) => name);
    const near = nearest(expr.name, names, 2);
    sema.error(
      names.length === 0 ? 'no-debug-info' : 'unknown-field',
      names.length === 0
        ? `${probed.name} has no variables: its file has no debugging information for it`
        : `${probed.name} has no variable '${expr.name}' in scope`,
      expr.nameSpan,
      ...(near.length > 0
        ? [`did you mean ${near.map((n) => `'${n}'`).join(' or ')}?`]
        : names.length === 0
          ? []
          : [`in scope: ${names.join(', ')}`]),
    );
    return unknownType;
  }
  sema.facts.notes.set(expr, variable);
  return typeOfVariable(variable);
}

function typeOfProgramArgument(sema: Sema, expr: Ast.FieldAccess, probed: ProbedFunction): Type {
  const list = probed.arguments;
  if (list === undefined) {
    sema.error(
      'no-debug-info',
      `the arguments of ${probed.name} have no names: its file has no debugging information for it`,
      expr.object.span,
      'arg0, arg1 … are the arguments by position',
      'names and types come with a debug file (package …-dbg or …-dbgsym, --debuginfo DIR, DEBUGINFOD_URLS)',
    );
    return unknownType;
  }
  const variable = list.find((one) => one.name === expr.name);
  if (variable === undefined) {
    const names = list.map(({ name }) => name).filter((name) => name !== '');
    const near = nearest(expr.name, names, 2);
    sema.error(
      'unknown-field',
      `${probed.name} does not have an argument named '${expr.name}'`,
      expr.nameSpan,
      near.length > 0
        ? `did you mean ${near.map((n) => `'${n}'`).join(' or ')}?`
        : names.length === 0
          ? 'it takes no arguments'
          : `its arguments: ${names.join(', ')}`,
    );
    return unknownType;
  }
  sema.facts.notes.set(expr, variable);
  return typeOfVariable(variable);
}

function typeOfArgument(sema: Sema, expr: Ast.FieldAccess): Type {
  const probed = sema.probe.function;
  if (probed !== undefined) return typeOfProgramArgument(sema, expr, probed);
  const { tracepoint, provider, parameters } = sema.probe;
  const declared: readonly Field[] | undefined = tracepoint?.fields ?? parameters;
  if (declared === undefined) {
    const uprobe = provider === 'uprobe' || provider === 'uretprobe';
    sema.error(
      'no-args',
      `The args builtin can not be used with '${provider}' probes`,
      expr.object.span,
      uprobe
        ? 'arg0, arg1 … are the arguments by position, retval is the return value'
        : provider === 'rawtracepoint'
          ? 'the names of its arguments come from BTF, which this kernel lacks: arg0, arg1 … are the arguments by position'
          : 'args is there in tracepoints, raw tracepoints, fentry, fexit, and in kprobes at the start of a function that BTF describes',
    );
    return unknownType;
  }
  const field = declared.find((f) => f.name === expr.name);
  if (field === undefined) {
    const names = declared.map((f) => f.name).filter((name) => !name.startsWith('common_'));
    const near = nearest(expr.name, names, 2);
    sema.error(
      'unknown-field',
      `${tracepoint ? `tracepoint:${tracepoint.category}:${tracepoint.event}` : sema.probe.attachments[0]?.name} does not have a field named '${expr.name}'`,
      expr.nameSpan,
      near.length > 0 ? `did you mean ${near.map((n) => `'${n}'`).join(' or ')}?` : `its fields: ${names.join(', ')}`,
    );
    return unknownType;
  }
  sema.facts.notes.set(expr, field);
  if (field.dataLoc && (field.type.kind === 'array' || field.type.kind === 'string')) {
    return { kind: 'string', size: sema.config.maxStrlen };
  }
  return decayed(field.type);
}

/** `(1, "a")[1]`: the index is a number known at compile time. */
function typeOfElement(sema: Sema, expr: Ast.Index, elements: readonly Type[]): Type {
  const value = sema.facts.constants.get(expr.index);
  const element = value === undefined ? undefined : elements[Number(value)];
  if (element === undefined) {
    sema.error(
      'tuple-index',
      value === undefined
        ? 'the index of a tuple must be a number known at compile time'
        : `Invalid tuple index: ${value}. Found ${elements.length} elements in tuple.`,
      expr.index.span,
    );
    return unknownType;
  }
  return element;
}

export function typeOfIndex(sema: Sema, expr: Ast.Index): Type {
  const type = sema.expr(expr.object);
  const index = sema.expr(expr.index);
  if (isUnknown(type) || isUnknown(index)) return unknownType;
  const element = typeOfContainerIndex(sema, expr, type, index);
  if (element !== undefined) return element;
  if (!isIntegral(index)) {
    sema.error(
      'index-type',
      `The array index operator [] only accepts integer indices, not '${describe(index)}'`,
      expr.index.span,
    );
    return unknownType;
  }
  if (type.kind === 'tuple') return typeOfElement(sema, expr, type.elements);
  if (type.kind === 'array' || type.kind === 'string') {
    const length = type.kind === 'array' ? type.length : type.size;
    const value = sema.facts.constants.get(expr.index);
    if (value !== undefined && (value < 0n || value >= BigInt(length)) && length > 0) {
      sema.error('index-range', `the index ${value} is out of bounds for array of size ${length}`, expr.span);
    }
    if (type.kind === 'string') return int8;
    return withSpace(decayed(type.of), spaceOf(sema, expr.object));
  }
  if (type.kind === 'pointer') {
    const to = type.to();
    if (sizeOf(to) === 0) {
      sema.error('deref', `'${describe(type)}' cannot be indexed: what it points to has no size`, expr.span);
      return unknownType;
    }
    return withSpace(decayed(to), type.space);
  }
  sema.error(
    'index-type',
    `The array index operator [] can only be used on arrays and pointers, found '${describe(type)}'`,
    expr.span,
  );
  return unknownType;
}
