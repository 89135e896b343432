/** Types of records, `(name = value, …)`. */
import type { CompositeType, Field, Type } from '../../types/model.ts';
import { roomOf } from '../lower/layout.ts';

/** A record is a struct without a name whose members have 8-byte places. */
export function recordOf(members: readonly { readonly name: string; readonly type: Type }[]): CompositeType {
  const fields: Field[] = [];
  let size = 0;
  for (const { name, type } of members) {
    fields.push({ name, type, offset: size });
    size += roomOf(type, { stacks: 'inline' });
  }
  return { kind: 'struct', name: '', size, fields: () => fields, record: true };
}

/** The member of that name. */
export const memberOf = (record: CompositeType, name: string): Field | undefined =>
  record.fields().find((field) => field.name === name);

/** The record that takes both: the members in the first one's order, `join`ed; undefined when there is none. */
export function joinRecords(
  first: CompositeType,
  second: CompositeType,
  join: (a: Type, b: Type) => Type | undefined,
): CompositeType | undefined {
  if (first.fields().length !== second.fields().length) return undefined;
  const members: { name: string; type: Type }[] = [];
  for (const { name, type } of first.fields()) {
    const other = memberOf(second, name);
    const joined = other && join(type, other.type);
    if (joined === undefined) return undefined;
    members.push({ name, type: joined });
  }
  return recordOf(members);
}
