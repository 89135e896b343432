/**
 * Names that are not the script's own variables: C types and constants, from the
 * script's declarations and headers first, then the uapi constants, then kernel BTF.
 */

import type { Target } from '../../target/target.ts';
import type { Type } from '../../types/model.ts';
import type { TypeKeyword, TypeSource } from '../../types/source.ts';
import { literalType } from './arithmetic.ts';

export interface Names {
  constant(name: string): { readonly value: bigint; readonly type: Type } | undefined;
  /** Constant names that share a beginning with `name`, for hints. */
  candidates(name: string): string[];
  type(keyword: TypeKeyword, name: string): Type | undefined;
  /** Of the script's own declarations only. */
  ownType(keyword: TypeKeyword, name: string): Type | undefined;
  typeNames(keyword: TypeKeyword): Iterable<string>;
}

export interface CNames {
  readonly types: TypeSource;
  macroValue(name: string): bigint | undefined;
}

/** What a script brings: declarations of its own, or only headers, which are read when nothing else knows a name. */
export type ScriptDefinitions = { readonly own: CNames } | { readonly headers: () => CNames };

export function createNames(target: Target, definitions: ScriptDefinitions | undefined): Names {
  const c = definitions && 'own' in definitions ? definitions.own : undefined;
  const headers = definitions && 'headers' in definitions ? definitions.headers : undefined;
  const number = (value: bigint): { value: bigint; type: Type } => ({
    value,
    type: literalType(value),
  });
  return {
    constant(name) {
      const macro = c?.macroValue(name);
      if (macro !== undefined) return number(macro);
      const own = c?.types.findEnumerator(name);
      if (own) return own;
      const uapi = target.constant(name);
      if (uapi !== undefined) return number(uapi);
      // Only names that look like enumerators are worth a search through kernel BTF.
      if (!/^[A-Za-z_][A-Za-z0-9_]{2,}$/.test(name)) return undefined;
      const kernel = target.kernelTypes()?.findEnumerator(name);
      if (kernel) return kernel;
      const macroOfHeader = headers?.().macroValue(name);
      return macroOfHeader !== undefined ? number(macroOfHeader) : headers?.().types.findEnumerator(name);
    },
    candidates(name) {
      const prefix = name.slice(0, 2);
      const found: string[] = [];
      for (const candidate of target.constantNames()) if (candidate.startsWith(prefix)) found.push(candidate);
      return found;
    },
    ownType: (keyword, name) => c?.types.find(keyword, name),
    type: (keyword, name) =>
      c?.types.find(keyword, name) ??
      target.kernelTypes()?.find(keyword, name) ??
      headers?.().types.find(keyword, name),
    *typeNames(keyword) {
      if (c) yield* c.types.names(keyword);
      const kernel = target.kernelTypes();
      if (kernel) yield* kernel.names(keyword);
    },
  };
}
