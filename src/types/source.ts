/** Where named C types come from: BTF, DWARF, a script's declarations. */
import type { EnumType, FunctionType, Type } from './model.ts';

export type TypeKeyword = 'struct' | 'union' | 'enum' | 'typedef';

export interface TypeSource {
  /**
   * The type that `keyword name` (or a plain typedef / base type name) denotes, with
   * typedefs, const and volatile already stripped; undefined when there is none.
   */
  find(keyword: TypeKeyword, name: string): Type | undefined;
  /** The enumerator of that name in any enum, with the enum it belongs to. */
  findEnumerator(name: string): { readonly value: bigint; readonly type: EnumType } | undefined;
  /** The prototype of a kernel function (BTF FUNC), undefined when unknown. */
  findFunction(name: string): FunctionType | undefined;
  /** Names of all functions with a known prototype, where they can be listed. */
  functionNames?(): Iterable<string>;
  /** Names of all types of that keyword, for listings and for near-name hints. */
  names(keyword: TypeKeyword): Iterable<string>;
}
