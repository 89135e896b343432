/**
 * Where a kernel function's arguments are in the context of programs that get them one
 * by one (raw tracepoints, fentry, fexit): 8 bytes each, a struct of more in several.
 */
import { sizeOf } from '../../types/layout.ts';
import type { Field, FunctionType, Type } from '../../types/model.ts';

const slots = (type: Type): number => Math.max(1, Math.ceil(sizeOf(type) / 8));

export interface Parameters {
  readonly fields: readonly Field[];
  /** Bytes of all arguments: where fexit has the return value. */
  readonly size: number;
}

/** The parameters as fields of the context, without the first `skipped`. */
export function parametersOf(prototype: FunctionType, skipped = 0): Parameters {
  const fields: Field[] = [];
  let offset = 0;
  for (const { name, type } of prototype.parameters().slice(skipped)) {
    fields.push({ name, type, offset });
    offset += 8 * slots(type);
  }
  return { fields, size: offset };
}
