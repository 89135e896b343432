/** Types of keys and values of maps, joined over all their uses. */
import type { Span } from '../../diag/source.ts';
import { describe } from '../../types/layout.ts';
import { int64, type Type } from '../../types/model.ts';
import type * as Ast from '../syntax/ast.ts';
import { isUnknown, join, type MapInfo, promoted, unchanged, type VariableInfo } from './scope.ts';
import type { Sema } from './sema.ts';

/**
 * An address is the same key as a number and as a pointer: whether debug information
 * gives `retval` a pointer's type, a script that compares it with `arg0` cannot know.
 */
function joinKeys(first: Type, second: Type): Type | undefined {
  if (first.kind === 'pointer' && second.kind === 'int') return first;
  if (first.kind === 'int' && second.kind === 'pointer') return second;
  return join(first, second);
}

/** Types the keys of an access and joins them with those of other accesses. */
export function mapKeys(sema: Sema, node: Ast.MapAccess): MapInfo {
  const info = sema.mapInfo(node);
  const written = node.keys.map((key) => sema.expr(key));
  if (written.some(isUnknown)) return info;
  for (const [index, type] of written.entries()) {
    if (type.kind === 'none' || type.kind === 'aggregate' || type.kind === 'timestamp' || type.kind === 'void') {
      sema.error(
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
    sema.changed = true;
    return info;
  }
  const known = info.keys;
  const joined = known.length === types.length ? known.map((type, i) => joinKeys(type, types[i] as Type)) : [undefined];
  if (joined.includes(undefined)) {
    const spell = (list: readonly Type[]): string =>
      list.length === 1 ? describe(list[0] as Type) : `(${list.map(describe).join(',')})`;
    sema.error(
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
    if (!unchanged(type as Type, known[index] as Type)) sema.changed = true;
  }
  info.keys = joined as Type[];
  return info;
}

export function joinMapValue(sema: Sema, info: MapInfo, type: Type, span: Span): void {
  const joined = join(info.value, type);
  if (joined === undefined) {
    sema.error(
      'type-mismatch',
      `Type mismatch for @${info.name}: trying to assign value of type '${describe(type)}' when map already has a type '${describe(info.value)}'`,
      span,
    );
    return;
  }
  if (!unchanged(joined, info.value)) {
    info.value = joined;
    sema.changed = true;
  }
}

/** A variable without a declared type that arithmetic is done on gets 64 bits, as the arithmetic has. */
export function widenVariable(sema: Sema, info: VariableInfo, result: Type): void {
  if (info.fixed || info.type.kind !== 'int' || result.kind !== 'int') return;
  const joined = join(info.type, promoted(result)) as Type;
  if (unchanged(joined, info.type)) return;
  info.type = joined;
  sema.changed = true;
}

/** Maps are changed in place by 64-bit instructions, and so have 64 bits; a name plus one is a number. */
export function widen(sema: Sema, info: MapInfo): void {
  if (info.value.kind !== 'enum' && (info.value.kind !== 'int' || info.value.size === 8)) return;
  info.value = int64;
  sema.changed = true;
}
