/** What is known of variables and maps, and how types of several assignments join. */
import type { Span } from '../../diag/source.ts';
import { sameType } from '../../types/layout.ts';
import { type IntType, int64, intType, type Type, uint64 } from '../../types/model.ts';
import { joinRecords } from './record.ts';

/** Stands for a type that is not known (yet); complaints about it have been made or will be. */
export const unknownType: Type = Object.freeze({ kind: 'none' });

export const isUnknown = (type: Type): boolean => type === unknownType;

export interface VariableInfo {
  readonly name: string;
  /** Grows while types are inferred; final when lowering begins. */
  type: Type;
  /** Declared by `let $x: type`: the type does not change. */
  readonly fixed: boolean;
  /**
   * The variable of a loop over a container of the program: it holds the element's address
   * and stands for what is there; or a copy, where elements have no address.
   */
  element?: 'address' | 'copy';
  /** Its address is taken: it must be in memory. */
  addressed?: boolean;
  readonly span: Span;
}

export interface MapInfo {
  readonly name: string;
  /** Undefined while no use has told. */
  keys: readonly Type[] | undefined;
  value: Type;
  readonly span: Span;
  /** From `let @m = lruhash(n)`. */
  declared?: { readonly kind: string; readonly maxEntries: number };
}

export class Scope {
  readonly parent: Scope | undefined;
  readonly #names = new Map<string, VariableInfo>();

  constructor(parent?: Scope) {
    this.parent = parent;
  }

  find(name: string): VariableInfo | undefined {
    return this.#names.get(name) ?? this.parent?.find(name);
  }

  here(name: string): VariableInfo | undefined {
    return this.#names.get(name);
  }

  declare(info: VariableInfo): void {
    this.#names.set(info.name, info);
  }

  *all(): Iterable<string> {
    yield* this.#names.keys();
    if (this.parent) yield* this.parent.all();
  }
}

export const isIntegral = (type: Type): boolean => type.kind === 'int' || type.kind === 'bool' || type.kind === 'enum';

/** Integers, pointers and what converts to them without a cast. */
export const isScalar = (type: Type): boolean => isIntegral(type) || type.kind === 'pointer';

/** Values that are true or false: a string is true when it is not empty. */
export const isTruth = (type: Type): boolean => isScalar(type) || type.kind === 'string';

/** The integer type that an integral value takes part in arithmetic with. */
export function promoted(type: Type): IntType {
  if (type.kind === 'int' && type.size === 8 && !type.signed) return uint64;
  if (type.kind === 'enum' && type.size === 8 && !type.signed) return uint64;
  return int64;
}

/** Of integers without a sign, and of truths. */
export const isUnsigned = (type: Type): boolean =>
  type.kind === 'bool' || ((type.kind === 'int' || type.kind === 'enum') && !type.signed);

/**
 * The type of a place that takes values of both types, undefined when there is none:
 * the longer of two strings, the smallest integer that holds both (int64 for int64 and
 * uint64), element by element for tuples and records.
 */
export function join(first: Type, second: Type): Type | undefined {
  if (isUnknown(first)) return second;
  if (isUnknown(second)) return first;
  if (first.kind === 'int' && second.kind === 'int') {
    if (first.signed === second.signed) return first.size >= second.size ? first : second;
    const [signed, unsigned] = first.signed ? [first, second] : [second, first];
    if (signed.size > unsigned.size) return signed;
    return unsigned.size === 8 ? int64 : intType((unsigned.size * 2) as 2 | 4 | 8, true);
  }
  if (isIntegral(first) && isIntegral(second)) {
    if (sameType(first, second)) return first;
    return first.kind === 'bool' || second.kind === 'bool' ? undefined : promoted(first);
  }
  if (first.kind === 'string' && second.kind === 'string') return first.size >= second.size ? first : second;
  if (first.kind === 'buffer' && second.kind === 'buffer') return first.size >= second.size ? first : second;
  if (first.kind === 'pointer' && second.kind === 'pointer') {
    if (first.space === second.space) return first;
    return { ...first, space: 'either' };
  }
  if (first.kind === 'tuple' && second.kind === 'tuple') {
    if (first.elements.length !== second.elements.length) return undefined;
    const elements: Type[] = [];
    for (const [index, element] of first.elements.entries()) {
      const joined = join(element, second.elements[index] as Type);
      if (joined === undefined) return undefined;
      elements.push(joined);
    }
    return { kind: 'tuple', elements };
  }
  if (first.kind === 'struct' && second.kind === 'struct' && first.record && second.record)
    return joinRecords(first, second, join);
  if (first.kind === 'aggregate' && second.kind === 'aggregate') {
    if (first.aggregate !== second.aggregate || !sameHistogram(first, second)) return undefined;
    return first.signed ? first : second;
  }
  if ((first.kind === 'ustack' || first.kind === 'kstack') && first.kind === second.kind) {
    return first.mode === second.mode ? (first.limit >= second.limit ? first : second) : undefined;
  }
  if (first.kind === 'array' && second.kind === 'array') {
    return first.length === second.length && sameType(first.of, second.of) ? first : undefined;
  }
  if (first.kind === second.kind && first.kind !== 'struct' && first.kind !== 'union') return first;
  return sameType(first, second) ? first : undefined;
}

function sameHistogram(a: Type & { kind: 'aggregate' }, b: Type & { kind: 'aggregate' }): boolean {
  if (a.hist?.bits !== b.hist?.bits) return false;
  if (a.tseries?.interval !== b.tseries?.interval || a.tseries?.count !== b.tseries?.count) return false;
  if (a.tseries?.combine !== b.tseries?.combine) return false;
  if (a.lhist === undefined || b.lhist === undefined) return a.lhist === b.lhist;
  return a.lhist.min === b.lhist.min && a.lhist.max === b.lhist.max && a.lhist.step === b.lhist.step;
}

/** Whether two (final) types of a place are equal; for the fixpoint. */
export function unchanged(a: Type, b: Type): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind) return false;
  switch (a.kind) {
    case 'string':
    case 'buffer':
      return a.size === (b as typeof a).size;
    case 'int':
      return a.size === (b as typeof a).size && a.signed === (b as typeof a).signed;
    case 'pointer':
      return a.space === (b as typeof a).space;
    case 'tuple': {
      const other = b as typeof a;
      return (
        a.elements.length === other.elements.length &&
        a.elements.every((e, i) => unchanged(e, other.elements[i] as Type))
      );
    }
    case 'none':
      return isUnknown(a) === isUnknown(b);
    default:
      return sameType(a, b);
  }
}
