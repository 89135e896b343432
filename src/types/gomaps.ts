/** Go's maps (internal/runtime/maps since 1.24, runtime/map.go before), by the types that the linker makes for them. */
import type { Content, Measure } from './content.ts';
import { alignOf, findField, sizeOf } from './layout.ts';
import type { CompositeType, Field, Type } from './model.ts';

/** What of a printer's line is asked for here. */
interface Line {
  readonly type: CompositeType;
  measure(key: string): Measure | undefined;
}

const member = (type: Type | undefined, name: string): Field | undefined =>
  type?.kind === 'struct' ? findField(type, name)?.field : undefined;

const pointed = (type: Type | undefined): Type | undefined => (type?.kind === 'pointer' ? type.to() : undefined);

/** Slots in a group, and in a bucket. */
const slots = 8;

export function goGroups(line: Line): Content | undefined {
  const directory = line.measure('directory');
  const tables = line.measure('tables');
  const count = line.measure('count');
  if (directory === undefined || tables === undefined || count === undefined) return undefined;
  const table = pointed(pointed(member(line.type, 'dirPtr')?.type));
  const groups = member(table, 'groups');
  const index = member(table, 'index');
  const data = member(groups?.type, 'data');
  const mask = member(groups?.type, 'lengthMask');
  const array = member(pointed(data?.type), 'slots')?.type;
  if (groups === undefined || index === undefined || data === undefined || mask === undefined) return undefined;
  if (array?.kind !== 'array' || array.of.kind !== 'struct' || array.length !== slots) return undefined;
  return {
    kind: 'groups',
    directory,
    tables,
    count,
    data: groups.offset + data.offset,
    mask: groups.offset + mask.offset,
    index: index.offset,
    slot: sizeOf(array.of),
    of: slotPair(array.of),
  };
}

export function goBuckets(line: Line): Content | undefined {
  const first = line.measure('first');
  const old = line.measure('old');
  const order = line.measure('order');
  const flags = line.measure('flags');
  const count = line.measure('count');
  if (first === undefined || old === undefined || order === undefined || flags === undefined || count === undefined) {
    return undefined;
  }
  const bucket = pointed(member(line.type, 'buckets')?.type);
  const keys = member(bucket, 'keys');
  const values = member(bucket, 'values');
  const overflow = member(bucket, 'overflow');
  if (keys?.type.kind !== 'array' || values?.type.kind !== 'array' || overflow === undefined) return undefined;
  const [key, value] = [keys.type.of, values.type.of];
  return {
    kind: 'buckets',
    first,
    old,
    order,
    flags,
    count,
    key: { offset: keys.offset, of: key },
    value: { offset: values.offset, of: value },
    overflow: overflow.offset,
    of: pairType(key, value),
  };
}

/** A slot as a pair, whatever the linker calls it. */
const slotPair = (slot: CompositeType): CompositeType => ({
  ...slot,
  name: slot.name === '' ? 'slot' : slot.name,
  variants: () => pairContent(slot.fields()),
});

const pairContent = (fields: readonly Field[]): Content | undefined =>
  fields.length === 2 ? { kind: 'tuple', members: fields.map(({ offset, type: of }) => ({ offset, of })) } : undefined;

/** A pair of two types, laid out as C does. */
export function pairType(first: Type, second: Type): CompositeType {
  const place = Math.ceil(sizeOf(first) / alignOf(second)) * alignOf(second);
  const most = Math.max(alignOf(first), alignOf(second));
  const fields: readonly Field[] = [
    { name: 'first', type: first, offset: 0 },
    { name: 'second', type: second, offset: place },
  ];
  return {
    kind: 'struct',
    name: 'pair',
    size: Math.ceil((place + sizeOf(second)) / most) * most,
    fields: () => fields,
    variants: () => pairContent(fields),
  };
}
