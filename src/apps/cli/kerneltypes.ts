/** Types of the kernel as C declares them, from BTF: what -lv shows of arguments, and `-lv 'struct NAME'`. */
import { Glob } from '../../symbolize/symbols/glob.ts';
import type { Target } from '../../target/target.ts';
import { describe } from '../../types/layout.ts';
import type { Field, Type } from '../../types/model.ts';

/** A type as C writes it, integers as BTF calls them. */
export function spell(type: Type): string {
  switch (type.kind) {
    case 'int': {
      const word = { 1: 'char', 2: 'short', 4: 'int', 8: 'long' }[type.size];
      return type.signed ? word : `unsigned ${word}`;
    }
    case 'pointer': {
      const to = spell(type.to());
      return to.endsWith('*') ? `${to}*` : `${to} *`;
    }
    default:
      return describe(type);
  }
}

export type TypeWord = 'struct' | 'union' | 'enum';

/** The kernel's types whose names match a pattern, a line each, or with `whole` their declarations. */
export function* kernelTypes(target: Target, word: TypeWord, pattern: string, whole: boolean): Generator<string> {
  const types = target.kernelTypes();
  if (types === undefined) return;
  const glob = new Glob(pattern);
  for (const name of [...new Set(types.names(word))].filter((one) => one !== '' && glob.matches(one)).sort()) {
    const type = types.find(word, name);
    if (!whole || type === undefined) {
      yield `vmlinux: ${word} ${name}`;
      continue;
    }
    yield `vmlinux: ${word} ${name} {`;
    if (type.kind === 'enum') for (const { name: member, value } of type.members) yield `\t${member} = ${value},`;
    if (type.kind === 'struct' || type.kind === 'union') yield* members(type.fields(), '\t');
    yield '};';
  }
}

function* members(fields: readonly Field[], indent: string): Generator<string> {
  for (const { name, type, bits } of fields) {
    if (name === '' && (type.kind === 'struct' || type.kind === 'union')) {
      yield `${indent}${type.kind} {`;
      yield* members(type.fields(), `${indent}\t`);
      yield `${indent}};`;
    } else yield `${indent}${declared(type, name)}${bits === undefined ? '' : `:${bits.width}`};`;
  }
}

/** `int x`, `char name[16]`, `struct x *next`. */
function declared(type: Type, name: string): string {
  let dimensions = '';
  let element = type;
  for (; element.kind === 'array'; element = element.of) dimensions += `[${element.length}]`;
  const spelled = spell(element);
  return `${spelled}${spelled.endsWith('*') ? '' : ' '}${name}${dimensions}`;
}
