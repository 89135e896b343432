/**
 * Types of a program from another build of it (--types): for one that was shipped without
 * debugging information. Functions are found by their names, also by inferred ones; where
 * arguments are is taken over, since callers and functions of both builds agree on it.
 * Addresses are not: they are the other build's.
 */
import { unavailable } from '../../types/location.ts';
import type { EnumType, FunctionType, Type } from '../../types/model.ts';
import type { ProgramFunction, ProgramTypes, ProgramVariable, TypeKeyword } from '../../types/source.ts';
import type { ElfBinary } from './binary.ts';

export class OtherTypes implements ProgramTypes {
  readonly #binary: ElfBinary;
  readonly #types: ProgramTypes;

  /** `types` are those of `binary`, the other build. */
  constructor(binary: ElfBinary, types: ProgramTypes) {
    this.#binary = binary;
    this.#types = types;
  }

  find(keyword: TypeKeyword, name: string): Type | undefined {
    return this.#types.find(keyword, name);
  }

  findEnumerator(name: string): { readonly value: bigint; readonly type: EnumType } | undefined {
    return this.#types.findEnumerator(name);
  }

  findFunction(name: string): FunctionType | undefined {
    return this.#types.findFunction(name);
  }

  names(keyword: TypeKeyword): Iterable<string> {
    return this.#types.names(keyword);
  }

  functionAt(_address: number, symbol: string): ProgramFunction | undefined {
    const found = this.#binary.find(symbol.replace(/^~/, ''))[0];
    return found === undefined ? undefined : this.#types.functionAt(found.address, found.name);
  }

  inlinedCopies(): readonly number[] {
    return [];
  }

  functionAround(): ProgramFunction | undefined {
    return undefined;
  }

  variablesAt(): readonly ProgramVariable[] {
    return [];
  }

  global(name: string): ProgramVariable | undefined {
    const found = this.#types.global(name);
    const location = unavailable('the types are of another build, which has it elsewhere');
    return found === undefined ? undefined : { ...found, location };
  }

  nearGlobals(name: string): readonly string[] {
    return this.#types.nearGlobals(name);
  }
}
