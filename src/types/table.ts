/** Types from plain lists: composites laid out as C lays them out, and a TypeSource over a table. */
import { alignOf, sizeOf } from './layout.ts';
import type { CompositeType, EnumType, Field, FunctionType, Type } from './model.ts';
import type { TypeKeyword, TypeSource } from './source.ts';

/** A struct or union with its members at their natural alignment (System V ABI). Bit-fields are not laid out. */
export function layOut(
  kind: 'struct' | 'union',
  name: string,
  members: readonly (readonly [name: string, type: Type])[],
): CompositeType {
  const fields: Field[] = [];
  let end = 0;
  let most = 1;
  for (const [member, type] of members) {
    const align = alignOf(type);
    const offset = kind === 'union' ? 0 : Math.ceil(end / align) * align;
    fields.push({ name: member, type, offset });
    end = Math.max(end, offset + sizeOf(type));
    most = Math.max(most, align);
  }
  return { kind, name, size: Math.ceil(end / most) * most, fields: () => fields };
}

/** What a type table is made of. Composites and enums are found by their own names. */
export interface TypeTable {
  readonly types?: readonly (CompositeType | EnumType)[];
  readonly typedefs?: Readonly<Record<string, Type>>;
  readonly functions?: readonly FunctionType[];
}

export function typeTable(table: TypeTable): TypeSource {
  const types = table.types ?? [];
  const typedefs = new Map(Object.entries(table.typedefs ?? {}));
  return {
    find: (keyword, name) =>
      keyword === 'typedef'
        ? typedefs.get(name)
        : types.find((type) => type.kind === keyword && type.name === name && name !== ''),
    findEnumerator(name) {
      for (const type of types) {
        const member = type.kind === 'enum' ? type.members.find((candidate) => candidate.name === name) : undefined;
        if (member !== undefined && type.kind === 'enum') return { value: member.value, type };
      }
      return undefined;
    },
    findFunction: (name) => table.functions?.find((type) => type.name === name),
    names: (keyword: TypeKeyword) =>
      keyword === 'typedef'
        ? [...typedefs.keys()]
        : types.filter((type) => type.kind === keyword && type.name !== '').map((type) => type.name),
  };
}
