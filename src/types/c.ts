/**
 * The names that C itself gives to its arithmetic types (C11 6.7.2), with the sizes of
 * the LP64 data model that Linux uses on x86-64 and arm64.
 */
import { boolType, intType, type Type, voidType } from './model.ts';

const WORDS = new Set([
  'void',
  'char',
  'short',
  'int',
  'long',
  'float',
  'double',
  'signed',
  'unsigned',
  '_Bool',
  'bool',
]);

/** True for a word that only occurs in names of C's own types (`bool` included). */
export const isBaseTypeWord = (word: string): boolean => WORDS.has(word);

/**
 * The type of a specifier list such as `unsigned long`, `long long unsigned int`,
 * `char`, in any order of the words; undefined when the words are something else.
 * `charSigned` says whether a plain `char` is signed (the kernel is built with
 * -funsigned-char since 6.2).
 */
export function baseType(words: readonly string[], charSigned: boolean): Type | undefined {
  if (words.length === 0 || words.length > 5) return undefined;
  let longs = 0;
  let base = '';
  let sign = '';
  let short = false;
  for (const word of words) {
    if (word === 'long') longs++;
    else if (word === 'short' && !short) short = true;
    else if ((word === 'signed' || word === 'unsigned') && sign === '') sign = word;
    else if (WORDS.has(word) && !/^(short|signed|unsigned)$/.test(word) && base === '') base = word;
    else return undefined;
  }
  const plain = sign === '' && longs === 0 && !short;
  switch (base) {
    case 'void':
      return plain ? voidType : undefined;
    case '_Bool':
    case 'bool':
      return plain ? boolType : undefined;
    case 'float':
      return plain ? { kind: 'float', size: 4 } : undefined;
    case 'double':
      if (sign !== '' || short || longs > 1) return undefined;
      return { kind: 'float', size: longs === 1 ? 16 : 8 };
    case 'char':
      if (longs > 0 || short) return undefined;
      return intType(1, sign === '' ? charSigned : sign === 'signed');
    default:
      if (longs > 2 || (short && longs > 0)) return undefined;
      return intType(short ? 2 : longs > 0 ? 8 : 4, sign !== 'unsigned');
  }
}
