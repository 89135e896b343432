/** Types as their source writes them: `const char *`, `int (*)(struct x *, size_t)`, with typedefs' own names. */
import * as dw from './constants.ts';
import type { Entry } from './entry.ts';
import { isC, type Scopes } from './scopes.ts';
import { lengthOf } from './types.ts';

const deepest = 32;

/** A declaration of `name` (or, with '', the type alone) with the type that an entry's DW_AT_type names. */
export function declare(holder: Entry, name: string, scopes: Scopes): string {
  const type = holder.originWith(dw.DW_AT_type)?.reference(dw.DW_AT_type);
  return declareType(type, name, scopes);
}

/** The same for the type itself; undefined is void. */
export function declareType(type: Entry | undefined, name: string, scopes: Scopes): string {
  return spell(type, name, scopes, 0).trimEnd();
}

const joined = (type: string, name: string): string => (name === '' ? type : `${type} ${name}`);

/** C declarations are read from the inside: `inner` is what has been written of this one so far. */
function spell(type: Entry | undefined, inner: string, scopes: Scopes, depth: number): string {
  if (type === undefined) return joined('void', inner);
  if (depth > deepest) return joined('…', inner);
  const target = (): Entry | undefined => type.reference(dw.DW_AT_type);
  const onward = (text: string): string => spell(target(), text, scopes, depth + 1);
  switch (type.tag) {
    case dw.DW_TAG_pointer_type:
      return onward(wrapped(target(), `*${inner}`));
    case dw.DW_TAG_reference_type:
      return onward(wrapped(target(), `&${inner}`));
    case dw.DW_TAG_rvalue_reference_type:
      return onward(wrapped(target(), `&&${inner}`));
    case dw.DW_TAG_ptr_to_member_type: {
      const owner = type.reference(dw.DW_AT_containing_type);
      const pointer = `${owner === undefined ? '' : scopes.qualified(owner)}::*${inner}`;
      return onward(wrapped(target(), pointer));
    }
    case dw.DW_TAG_const_type:
      return qualified('const', target(), inner, onward);
    case dw.DW_TAG_volatile_type:
      return qualified('volatile', target(), inner, onward);
    case dw.DW_TAG_restrict_type:
      return onward(joined('restrict', inner));
    case dw.DW_TAG_atomic_type:
      return qualified('_Atomic', target(), inner, onward);
    case dw.DW_TAG_array_type: {
      let dimensions = '';
      for (const child of type.children()) {
        if (child.tag !== dw.DW_TAG_subrange_type) continue;
        const length = lengthOf(child);
        dimensions += `[${length === 0 && !child.has(dw.DW_AT_count) ? '' : length}]`;
      }
      return onward(`${inner}${dimensions === '' ? '[]' : dimensions}`);
    }
    case dw.DW_TAG_subroutine_type:
      return onward(`${inner}(${parameters(type, scopes, depth)})`);
    default:
      return joined(typeName(type, scopes), inner);
  }
}

/** const before a pointer's star belongs to the pointer, else to what stands before the name. */
function qualified(word: string, target: Entry | undefined, inner: string, onward: (text: string) => string): string {
  const isPointer = target?.tag === dw.DW_TAG_pointer_type || target?.tag === dw.DW_TAG_ptr_to_member_type;
  return isPointer ? onward(joined(` ${word}`, inner)) : `${word} ${onward(inner)}`;
}

/** A pointer to a function or an array needs brackets. */
function wrapped(target: Entry | undefined, text: string): string {
  let here = target;
  for (
    let left = 8;
    left > 0 && (here?.tag === dw.DW_TAG_const_type || here?.tag === dw.DW_TAG_volatile_type);
    left--
  ) {
    here = here.reference(dw.DW_AT_type);
  }
  return here?.tag === dw.DW_TAG_subroutine_type || here?.tag === dw.DW_TAG_array_type ? `(${text})` : text;
}

function parameters(type: Entry, scopes: Scopes, depth: number): string {
  const list: string[] = [];
  for (const child of type.children()) {
    if (child.tag === dw.DW_TAG_formal_parameter) {
      if (!child.flag(dw.DW_AT_artificial)) list.push(spell(child.reference(dw.DW_AT_type), '', scopes, depth + 1));
    } else if (child.tag === dw.DW_TAG_unspecified_parameters) list.push('...');
  }
  if (list.length === 0) return isC(type.unit) ? 'void' : '';
  return list.map((one) => one.trimEnd()).join(', ');
}

const keywords: Readonly<Record<number, string>> = {
  [dw.DW_TAG_structure_type]: 'struct',
  [dw.DW_TAG_class_type]: 'class',
  [dw.DW_TAG_union_type]: 'union',
  [dw.DW_TAG_enumeration_type]: 'enum',
};

/** A type's own name, in C with its keyword. */
export function typeName(type: Entry, scopes: Scopes): string {
  const keyword = keywords[type.tag];
  const name = scopes.qualified(type);
  if (keyword === undefined) return name === '' ? '…' : name;
  if (name === '') return `${keyword} {…}`;
  return isC(type.unit) ? `${keyword} ${name}` : name;
}
