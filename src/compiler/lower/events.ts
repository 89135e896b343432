/** Event records: reserved in the ring buffer, filled in place, submitted; a full buffer is counted. */
import type { EventArgument, EventSpec } from '../../program/program.ts';
import { type Schema, schemaSize } from '../../program/schema.ts';
import { int32, type Type } from '../../types/model.ts';
import type { ProgramVariable } from '../../types/source.ts';
import type { Operand, Reg } from '../ir/ir.ts';
import { typeOfVariable } from '../sema/members.ts';
import type * as Ast from '../syntax/ast.ts';
import { bpfHelper } from './bpfhelper.ts';
import { type CaptureLimits, captureOf, checkedCapture } from './capture.ts';
import { align8, holdsCode, isScalarType, roomOf, schemaOf } from './layout.ts';
import { placeOfVariable } from './locations.ts';
import type { Lower } from './lower.ts';
import { type DirectPlace, shifted } from './place.ts';

export interface EventValue {
  readonly type: Type;
  /** Fills a scalar's register, before the record is reserved. */
  readonly scalar?: () => Reg;
  /** Writes bigger values into the record. */
  readonly into?: (to: DirectPlace) => void;
  /** Bytes in the record, and how they are read; by default what the type tells. */
  readonly room?: number;
  readonly schema?: Schema;
}

/** The value of an expression, for an event. */
export function eventValue(low: Lower, expr: Ast.Expr): EventValue {
  const type = low.typeOf(expr);
  if (low.probe.userMemory) {
    const whole = wholeValue(low, expr, type);
    if (whole !== undefined) return whole;
  }
  if (isScalarType(type)) return { type, scalar: () => low.scalar(expr) };
  return { type, into: (to) => low.into(expr, to, type) };
}

/** A composite value of the program, with what its library types hold; undefined for others. */
function wholeValue(low: Lower, expr: Ast.Expr, type: Type): EventValue | undefined {
  const { maxValueDepth, maxValueElements, maxValueBytes } = low.assets.config;
  const { printers } = low.options;
  const limits = { printers, depth: maxValueDepth, elements: maxValueElements, bytes: maxValueBytes };
  if (type.kind !== 'struct' && type.kind !== 'union' && type.kind !== 'array') return undefined;
  if (expr.node === 'identifier' && expr.name === 'args') return wholeArguments(low, limits, type);
  const read = isRead(low, expr);
  if (!read && !printers.hasContent(type)) return undefined;
  const capture = read ? checkedCapture(type, limits) : captureOf(type, limits);
  const { size: room, schema, write } = capture;
  return { type, room, schema, into: (to) => low.scoped(() => write(low, low.place(expr), to)) };
}

/** Whether a value lies in the memory of the program, and not in a variable or a map. */
function isRead(low: Lower, expr: Ast.Expr): boolean {
  switch (expr.node) {
    case 'field':
      if (expr.object.node === 'identifier' && (expr.object.name === 'args' || expr.object.name === 'vars')) {
        const { location, type } = low.facts.notes.get(expr) as ProgramVariable;
        if (low.keptPlace(low.facts.notes.get(expr) as ProgramVariable) !== undefined) return false;
        return location.kind === 'memory' || (type.kind === 'pointer' && type.reference === true);
      }
      return low.typeOf(expr.object).kind === 'pointer' || isRead(low, expr.object);
    case 'index':
      return low.typeOf(expr.object).kind === 'pointer' || isRead(low, expr.object);
    case 'unary':
      return expr.operator === '*';
    case 'variable':
      return low.variableInfo(expr).element === 'address';
    case 'call':
      return expr.name === 'global';
    default:
      return false;
  }
}

/** `args` as a whole: each argument as by itself. */
function wholeArguments(low: Lower, limits: CaptureLimits, type: Type): EventValue | undefined {
  const list = low.probe.function?.arguments;
  if (list === undefined || type.kind !== 'struct') return undefined;
  let size = 0;
  const parts = list.map((variable) => {
    const own = typeOfVariable(variable);
    const capture = captureOf(own, limits, 1);
    const at = size;
    size += Math.max(8, capture.size);
    return { variable, own, capture, at };
  });
  const fields = parts.map(({ variable, capture, at }) => ({
    name: variable.name,
    offset: at,
    schema: capture.schema,
  }));
  return {
    type,
    room: size,
    schema: { kind: 'record', name: '', size, fields },
    into: (to) => {
      for (const { variable, own, capture, at } of parts) {
        const place = shifted(to, at);
        if (own.kind === 'unavailable') continue;
        low.scoped(() => {
          const from = placeOfVariable(low, variable);
          if (isScalarType(own)) low.b.store(place.base, place.offset, 8, low.readScalar(from, own));
          else capture.write(low, from, place);
        });
      }
    },
  };
}

/** A stack written straight into the record has its frames in it; one that was kept has an id. */
function isInline(low: Lower, expr: Ast.Expr | undefined): boolean {
  if (expr === undefined) return false;
  const kind = low.typeOf(expr).kind;
  return (kind === 'ustack' || kind === 'kstack') && (expr.node === 'call' || expr.node === 'identifier');
}

/** Probes that fire once, or as often as the script says. */
const isRare = ({ probe }: Lower): boolean =>
  ['begin', 'end', 'self', 'interval', 'test', 'bench'].includes(probe.provider);

/**
 * Emits one record. `build` gets the places of the values in it and gives the event's
 * description, which the runtime finds by the index in the record's first word.
 */
export function emitEvent(
  low: Lower,
  values: readonly (EventValue & { readonly expr?: Ast.Expr })[],
  build: (args: readonly EventArgument[], size: number) => EventSpec,
): void {
  const { b } = low;
  let offset = 8;
  const args = values.map((value): EventArgument => {
    const inline = isInline(low, value.expr);
    const schema = value.schema ?? schemaOf(value.type, inline ? low.assets.inline : low.assets.stored);
    const at = offset;
    offset += value.room ?? (inline ? align8(schemaSize(schema)) : roomOf(value.type, low.assets.stored));
    if (schema.kind === 'ustack' || schema.kind === 'usym') low.assets.needsUserSymbols = true;
    return { offset: at, schema };
  });
  const index = low.assets.event(build(args, offset));
  let start: Operand = { imm: index };
  if (args.some(({ schema }) => holdsCode(schema))) {
    low.assets.needsUserSymbols = true;
    const process = b.alu('lshr', b.call(bpfHelper.get_current_pid_tgid, []), { imm: 32 });
    start = b.alu('or', b.alu('shl', process, { imm: 32 }), { imm: index });
  }
  const scalars = values.map((value) => value.scalar?.());
  const lost = b.label();
  const done = b.label();
  const ring = low.assets.ring(offset, !isRare(low));
  const record = b.call(bpfHelper.ringbuf_reserve, [b.map(ring), { imm: offset }, { imm: 0 }], 'pointer');
  b.branch('eq', record, { imm: 0 }, lost);
  b.store(record, 0, 8, start);
  for (const [i, value] of values.entries()) {
    const at = (args[i] as EventArgument).offset;
    const scalar = scalars[i];
    if (scalar !== undefined) b.store(record, at, 8, scalar);
    else value.into?.({ kind: 'direct', base: record, offset: at, raw: true });
  }
  b.call(bpfHelper.ringbuf_submit, [record, { imm: 0 }]);
  b.jump(done);
  b.place(lost);
  const slot = b.alu('shl', low.cpu(), { imm: 6 });
  const counter = b.alu('add', b.mapValue(low.assets.globalsMap, low.assets.globals.lost), slot);
  b.push({ op: 'atomic', operator: 'add', base: counter, offset: 0, size: 8, value: b.const(1) });
  b.place(done);
}

/** Tells of something that went wrong at the expression that is being lowered; `code` as a helper returned it. */
export function emitRuntimeError(low: Lower, what: string, code?: Reg): void {
  const span = low.b.span ?? low.probe.span;
  emitEvent(low, [{ type: int32, scalar: () => code ?? low.b.const(0) }], (args, size) => ({
    kind: 'runtime_error',
    what,
    offset: args[0]?.offset ?? 8,
    size,
    span: [span.start, span.end],
  }));
}

/** Start and end of a node, as events keep it. */
export const spanOf = (node: Ast.Node): readonly [number, number] => [node.span.start, node.span.end];
