/** What a value in memory is in an expression. */
import type { AddressSpace, Type } from '../../types/model.ts';

/** A C++ reference stands for what it refers to. */
export function referred(type: Type): Type {
  return type.kind === 'pointer' && type.reference ? decayed(type.to()) : decayed(type);
}

/** An array of signed characters reads as a string; its bytes may fill it without a NUL. */
export function decayed(type: Type): Type {
  if (
    type.kind === 'array' &&
    !type.numbers &&
    type.of.kind === 'int' &&
    type.of.size === 1 &&
    type.of.signed &&
    type.length > 0
  ) {
    return { kind: 'string', size: type.length + 1 };
  }
  return type;
}

/** Pointers found in memory of a known space point into the same space unless they say otherwise. */
export function withSpace(type: Type, space: AddressSpace): Type {
  if (type.kind !== 'pointer' || space === 'either') return type;
  if (space === 'user') return { ...type, space: 'user' };
  return type.space === 'either' ? { ...type, space } : type;
}

/** An element of a container of the program. */
export const elementOf = (type: Type): Type => withSpace(decayed(type), 'user');
