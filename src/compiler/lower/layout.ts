/** How values are laid out in events, map keys and map values, and the Schemas that say so. */
import { invariant } from '../../base/errors.ts';
import { histogramBuckets, lhistBuckets } from '../../program/histogram.ts';
import { type Schema, schemaSize } from '../../program/schema.ts';
import { sizeOf } from '../../types/layout.ts';
import type { AggregateType, CompositeType, Type } from '../../types/model.ts';

export const align8 = (size: number): number => (size + 7) & ~7;

/** Nesting of structs inside structs that a printed record shows. */
const recordDepth = 4;

export interface SchemaOptions {
  /** Stacks are written whole into the value (events), or by id (anything that is kept). */
  readonly stacks: 'inline' | { readonly map: (kind: 'ustack' | 'kstack', limit: number) => number };
  /** User stacks are taken by insitu's own unwinder. */
  readonly unwound?: boolean;
  /** The script asks for the number of frames of stacks that were kept. */
  readonly counted?: boolean;
}

/** The schema of a value of that type. */
export function schemaOf(type: Type, options: SchemaOptions, depth = 0): Schema {
  switch (type.kind) {
    case 'int':
      return { kind: 'int', size: type.size, signed: type.signed };
    case 'bool':
      return { kind: 'bool' };
    case 'float':
      return { kind: 'float', size: type.size === 4 ? 4 : 8 };
    case 'enum':
      return {
        kind: 'enum',
        size: type.size,
        signed: type.signed,
        name: type.name,
        members: type.members.map((member) => [String(member.value), member.name] as const),
      };
    case 'pointer':
      return type.space === 'user' && type.to().kind === 'function' ? { kind: 'code' } : { kind: 'pointer' };
    case 'function':
      return { kind: 'pointer' };
    case 'string':
      return { kind: 'string', size: type.size, ...(type.typeName ? { typeName: true } : {}) };
    case 'buffer':
      return { kind: 'buffer', size: type.size };
    case 'array':
      if (type.of.kind === 'int' && type.of.size === 1 && type.of.signed && !type.numbers)
        return { kind: 'string', size: type.length };
      return { kind: 'array', of: schemaOf(type.of, options, depth), length: type.length };
    case 'tuple': {
      let offset = 0;
      const elements = type.elements.map((element) => {
        const at = offset;
        const schema = schemaOf(element, options, depth);
        offset += roomOf(element, options);
        return { offset: at, schema };
      });
      return { kind: 'tuple', size: offset, elements };
    }
    case 'struct':
    case 'union':
      return recordSchema(type, options, depth);
    case 'inet':
      return { kind: 'inet' };
    case 'mac_address':
      return { kind: 'mac_address' };
    case 'unavailable':
      return { kind: 'unavailable', reason: type.reason };
    case 'ustack':
    case 'kstack':
      return {
        kind: type.kind,
        mode: type.mode,
        limit: type.limit,
        ...(options.unwound === true && type.kind === 'ustack' ? { unwound: true } : {}),
        ...(options.stacks === 'inline'
          ? { form: 'inline' }
          : {
              form: 'id',
              stacks: options.stacks.map(type.kind, type.limit),
              ...(options.counted === true ? { counted: true } : {}),
            }),
      };
    case 'usym':
      return { kind: 'usym' };
    case 'ksym':
      return { kind: 'ksym' };
    case 'timestamp':
      return { kind: 'timestamp', format: type.format, clock: type.clock };
    case 'cgroup_path':
      return { kind: 'cgroup_path', pattern: type.pattern };
    case 'probe_name':
    case 'username':
    case 'strerror':
    case 'signal_name':
    case 'syscall_name':
      return { kind: type.kind };
    case 'aggregate':
      return aggregateSchema(type);
    case 'void':
    case 'none':
      throw new Error('insitu bug: a value without a type has no schema');
  }
}

function recordSchema(type: CompositeType, options: SchemaOptions, depth: number): Schema {
  if (depth >= recordDepth) return { kind: 'array', of: { kind: 'int', size: 1, signed: false }, length: type.size };
  return { kind: 'record', name: type.name, size: type.size, fields: recordFields(type, options, depth, 0) };
}

type RecordField = Extract<Schema, { kind: 'record' }>['fields'][number];

/** The members; those of a struct or union without a name are seen in what is around it, a base class is one of its name. */
function recordFields(type: CompositeType, options: SchemaOptions, depth: number, start: number): RecordField[] {
  return type.fields().flatMap((field): RecordField[] => {
    const { name, type: of, bits, base, virtualBase } = field;
    if (of.kind === 'void' || of.kind === 'none') return [];
    const offset = start + field.offset;
    const composite = of.kind === 'struct' || of.kind === 'union';
    if (base && composite) {
      // An empty one lies where the first member does.
      if (of.fields().length === 0) return [];
      const schema: Schema =
        virtualBase === undefined
          ? schemaOf(of, options, depth + 1)
          : { kind: 'unavailable', reason: 'virtual base, elsewhere in the object' };
      return [{ name: lastName(of.name), offset, schema }];
    }
    if (name === '' && composite && depth < recordDepth) return recordFields(of, options, depth + 1, offset);
    return [{ name, offset, schema: schemaOf(of, options, depth + 1), ...(bits ? { bits } : {}) }];
  });
}

/** `Base<ns::X>` of `ns::Base<ns::X>`. */
function lastName(name: string): string {
  const before = /^[^<]*/.exec(name)?.[0] ?? '';
  return name.slice(before.lastIndexOf('::') < 0 ? 0 : before.lastIndexOf('::') + 2);
}

/** Whether a value of the schema holds a pointer to code, which is named by the process it belongs to. */
export function holdsCode(schema: Schema): boolean {
  switch (schema.kind) {
    case 'code':
    case 'callable':
      return true;
    case 'array':
      return holdsCode(schema.of);
    case 'tuple':
      return schema.elements.some((element) => holdsCode(element.schema));
    case 'record':
      return schema.fields.some((field) => holdsCode(field.schema));
    case 'checked':
    case 'within':
    case 'elements':
    case 'pointed':
      return holdsCode(schema.of);
    case 'case':
      return schema.cases.some(([, , of]) => of !== null && holdsCode(of));
    default:
      return false;
  }
}

function aggregateSchema(type: AggregateType): Schema {
  switch (type.aggregate) {
    case 'hist': {
      const bits = type.hist?.bits ?? 0;
      return { kind: 'hist', bits, buckets: histogramBuckets(bits) };
    }
    case 'lhist': {
      const bounds = type.lhist;
      invariant(bounds, 'lhist without bounds');
      return {
        kind: 'lhist',
        min: String(bounds.min),
        max: String(bounds.max),
        step: String(bounds.step),
        buckets: lhistBuckets(bounds.min, bounds.max, bounds.step),
      };
    }
    case 'tseries': {
      const series = type.tseries;
      invariant(series, 'tseries without its intervals');
      const { interval, count, combine } = series;
      return { kind: 'tseries', signed: type.signed, interval: String(interval), combine, buckets: count };
    }
    default:
      return { kind: 'aggregate', aggregate: type.aggregate, signed: type.signed };
  }
}

/**
 * Bytes set aside for a value: a multiple of 8, so that every value starts aligned and
 * scalars can be stored whole. Long strings have a byte more than they show: by it a
 * cut string is known.
 */
export function roomOf(type: Type, options: SchemaOptions): number {
  if (type.kind === 'string') return type.size > 16 ? align8(type.size + 1) : align8(type.size);
  if (type.kind === 'tuple') return type.elements.reduce((sum, element) => sum + roomOf(element, options), 0);
  if (type.kind === 'struct' || type.kind === 'union') return align8(sizeOf(type));
  return align8(schemaSize(schemaOf(type, options)));
}

/** Values that fit a register. */
export function isScalarType(type: Type): boolean {
  switch (type.kind) {
    case 'int':
    case 'bool':
    case 'enum':
    case 'pointer':
      return true;
    case 'ksym':
    case 'timestamp':
    case 'probe_name':
    case 'username':
    case 'strerror':
    case 'signal_name':
    case 'syscall_name':
    case 'cgroup_path':
      return true;
    default:
      return false;
  }
}
