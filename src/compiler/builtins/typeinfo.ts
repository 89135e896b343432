/** typeinfo(): what a type is called, as a record that is known when the script is compiled. */
import { describe } from '../../types/layout.ts';
import type { Type } from '../../types/model.ts';
import { align8 } from '../lower/layout.ts';
import { shifted } from '../lower/place.ts';
import { literalType } from '../sema/arithmetic.ts';
import { memberOf, recordOf } from '../sema/record.ts';
import { isUnknown, unknownType } from '../sema/scope.ts';
import { stringBytes } from '../syntax/literals.ts';
import type { BuiltinFunction } from './builtin.ts';
import { typeOfArgument } from './size.ts';

/** The family of a type. */
function baseName(type: Type): string {
  switch (type.kind) {
    case 'enum':
      return 'int';
    case 'struct':
      return type.record ? 'record' : 'c_type';
    case 'union':
      return 'c_type';
    case 'usym':
    case 'ksym':
    case 'cgroup_path':
      return `${type.kind}_t`;
    case 'aggregate':
      return `${type.aggregate}_t`;
    default:
      return type.kind;
  }
}

/** What the members of typeinfo() are. */
export const typeWords = (type: Type): { readonly base_type: string; readonly full_type: string } => {
  const full =
    type.kind === 'ustack' || type.kind === 'kstack' ? `${type.kind}_${type.mode}_${type.limit}` : describe(type);
  return { base_type: baseName(type), full_type: full };
};

export const typeinfoFunction: BuiltinFunction = {
  name: 'typeinfo',
  signature: 'typeinfo(type or expression)',
  about: 'the name of a type: .base_type and .full_type',
  arity: [1, 1],
  type: (sema, call) => {
    const argument = call.args[0];
    const type = argument && typeOfArgument(sema, argument);
    if (type === undefined || isUnknown(type)) return unknownType;
    const words = typeWords(type);
    sema.facts.notes.set(call, words);
    const textType = (text: string): Type => ({ kind: 'string', size: stringBytes(text).length + 1 });
    return recordOf([
      { name: 'btf_id', type: literalType(0n) },
      { name: 'base_type', type: textType(words.base_type) },
      { name: 'full_type', type: textType(words.full_type) },
    ]);
  },
  into: (low, call, to) => {
    const type = low.typeOf(call);
    if (type.kind !== 'struct') return;
    const words = low.facts.notes.get(call) as ReturnType<typeof typeWords>;
    low.clear(to, type.size);
    for (const name of ['base_type', 'full_type'] as const) {
      const field = memberOf(type, name);
      if (field === undefined || field.type.kind !== 'string') continue;
      const bytes = stringBytes(`${words[name]}\0`);
      low.writeBytes(shifted(to, field.offset), bytes, align8(bytes.length));
    }
  },
};
