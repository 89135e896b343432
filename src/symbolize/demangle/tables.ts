/**
 * The fixed vocabulary of the Itanium C++ ABI: builtin types (5.1.5.2), operators
 * (5.1.3) and standard abbreviations (5.1.10). Spelling is that of GNU c++filt.
 */
import { BUILTIN, Node } from './node.ts';

/** How a literal of the type is printed: bare with a suffix, as a word, in brackets, or behind a cast. */
export const LITERAL_CAST = 0;
export const LITERAL_INT = 1;
export const LITERAL_UNSIGNED = 2;
export const LITERAL_LONG = 3;
export const LITERAL_UNSIGNED_LONG = 4;
export const LITERAL_LONG_LONG = 5;
export const LITERAL_UNSIGNED_LONG_LONG = 6;
export const LITERAL_BOOL = 7;
export const LITERAL_FLOAT = 8;
export const LITERAL_SUFFIX: readonly string[] = ['', '', 'u', 'l', 'ul', 'll', 'ull'];

const builtin = (text: string, style: number): Node => new Node(BUILTIN, null, null, text, style, null);

export const VOID: Node = builtin('void', LITERAL_CAST);
export const NULLPTR: Node = builtin('decltype(nullptr)', LITERAL_CAST);

/** By the letter's character code. */
export const BUILTINS: readonly (Node | undefined)[] = (() => {
  const table: (Node | undefined)[] = new Array<Node | undefined>(128).fill(undefined);
  const set = (letter: string, node: Node): void => {
    table[letter.charCodeAt(0)] = node;
  };
  set('v', VOID);
  set('w', builtin('wchar_t', LITERAL_CAST));
  set('b', builtin('bool', LITERAL_BOOL));
  set('c', builtin('char', LITERAL_CAST));
  set('a', builtin('signed char', LITERAL_CAST));
  set('h', builtin('unsigned char', LITERAL_CAST));
  set('s', builtin('short', LITERAL_CAST));
  set('t', builtin('unsigned short', LITERAL_CAST));
  set('i', builtin('int', LITERAL_INT));
  set('j', builtin('unsigned int', LITERAL_UNSIGNED));
  set('l', builtin('long', LITERAL_LONG));
  set('m', builtin('unsigned long', LITERAL_UNSIGNED_LONG));
  set('x', builtin('long long', LITERAL_LONG_LONG));
  set('y', builtin('unsigned long long', LITERAL_UNSIGNED_LONG_LONG));
  set('n', builtin('__int128', LITERAL_CAST));
  set('o', builtin('unsigned __int128', LITERAL_CAST));
  set('f', builtin('float', LITERAL_FLOAT));
  set('d', builtin('double', LITERAL_FLOAT));
  set('e', builtin('long double', LITERAL_FLOAT));
  set('g', builtin('__float128', LITERAL_FLOAT));
  set('z', builtin('...', LITERAL_CAST));
  return table;
})();

/** Behind `D`, by the second letter's character code. */
export const D_BUILTINS: readonly (Node | undefined)[] = (() => {
  const table: (Node | undefined)[] = new Array<Node | undefined>(128).fill(undefined);
  const set = (letter: string, node: Node): void => {
    table[letter.charCodeAt(0)] = node;
  };
  set('d', builtin('decimal64', LITERAL_CAST));
  set('e', builtin('decimal128', LITERAL_CAST));
  set('f', builtin('decimal32', LITERAL_CAST));
  set('h', builtin('half', LITERAL_FLOAT));
  set('i', builtin('char32_t', LITERAL_CAST));
  set('s', builtin('char16_t', LITERAL_CAST));
  set('u', builtin('char8_t', LITERAL_CAST));
  set('a', builtin('auto', LITERAL_CAST));
  set('c', builtin('decltype(auto)', LITERAL_CAST));
  set('n', NULLPTR);
  return table;
})();

export const makeBuiltin: (text: string, style: number) => Node = builtin;

export interface Operator {
  readonly code: string;
  readonly text: string;
  /** Number of operands in an expression; 0 also for those with a grammar of their own. */
  readonly operands: number;
}

/** Sorted by code for reading; looked up by code number. */
export const OPERATORS: readonly Operator[] = [
  { code: 'aN', text: '&=', operands: 2 },
  { code: 'aS', text: '=', operands: 2 },
  { code: 'aa', text: '&&', operands: 2 },
  { code: 'ad', text: '&', operands: 1 },
  { code: 'an', text: '&', operands: 2 },
  { code: 'at', text: 'alignof ', operands: 1 },
  { code: 'aw', text: 'co_await ', operands: 1 },
  { code: 'az', text: 'alignof ', operands: 1 },
  { code: 'cc', text: 'const_cast', operands: 2 },
  { code: 'cl', text: '()', operands: 2 },
  { code: 'cm', text: ',', operands: 2 },
  { code: 'co', text: '~', operands: 1 },
  { code: 'dV', text: '/=', operands: 2 },
  { code: 'dX', text: '[...]=', operands: 3 },
  { code: 'da', text: 'delete[] ', operands: 1 },
  { code: 'dc', text: 'dynamic_cast', operands: 2 },
  { code: 'de', text: '*', operands: 1 },
  { code: 'di', text: '=', operands: 2 },
  { code: 'dl', text: 'delete ', operands: 1 },
  { code: 'ds', text: '.*', operands: 2 },
  { code: 'dt', text: '.', operands: 2 },
  { code: 'dv', text: '/', operands: 2 },
  { code: 'dx', text: ']=', operands: 2 },
  { code: 'eO', text: '^=', operands: 2 },
  { code: 'eo', text: '^', operands: 2 },
  { code: 'eq', text: '==', operands: 2 },
  { code: 'fL', text: '...', operands: 3 },
  { code: 'fR', text: '...', operands: 3 },
  { code: 'fl', text: '...', operands: 2 },
  { code: 'fr', text: '...', operands: 2 },
  { code: 'ge', text: '>=', operands: 2 },
  { code: 'gs', text: '::', operands: 1 },
  { code: 'gt', text: '>', operands: 2 },
  { code: 'ix', text: '[]', operands: 2 },
  { code: 'lS', text: '<<=', operands: 2 },
  { code: 'le', text: '<=', operands: 2 },
  { code: 'li', text: 'operator"" ', operands: 1 },
  { code: 'ls', text: '<<', operands: 2 },
  { code: 'lt', text: '<', operands: 2 },
  { code: 'mI', text: '-=', operands: 2 },
  { code: 'mL', text: '*=', operands: 2 },
  { code: 'mi', text: '-', operands: 2 },
  { code: 'ml', text: '*', operands: 2 },
  { code: 'mm', text: '--', operands: 1 },
  { code: 'na', text: 'new[]', operands: 3 },
  { code: 'ne', text: '!=', operands: 2 },
  { code: 'ng', text: '-', operands: 1 },
  { code: 'nt', text: '!', operands: 1 },
  { code: 'nw', text: 'new', operands: 3 },
  { code: 'nx', text: 'noexcept', operands: 1 },
  { code: 'oR', text: '|=', operands: 2 },
  { code: 'oo', text: '||', operands: 2 },
  { code: 'or', text: '|', operands: 2 },
  { code: 'pL', text: '+=', operands: 2 },
  { code: 'pl', text: '+', operands: 2 },
  { code: 'pm', text: '->*', operands: 2 },
  { code: 'pp', text: '++', operands: 1 },
  { code: 'ps', text: '+', operands: 1 },
  { code: 'pt', text: '->', operands: 2 },
  { code: 'qu', text: '?', operands: 3 },
  { code: 'rM', text: '%=', operands: 2 },
  { code: 'rS', text: '>>=', operands: 2 },
  { code: 'rc', text: 'reinterpret_cast', operands: 2 },
  { code: 'rm', text: '%', operands: 2 },
  { code: 'rs', text: '>>', operands: 2 },
  { code: 'sP', text: 'sizeof...', operands: 1 },
  { code: 'sZ', text: 'sizeof...', operands: 1 },
  { code: 'sc', text: 'static_cast', operands: 2 },
  { code: 'ss', text: '<=>', operands: 2 },
  { code: 'st', text: 'sizeof ', operands: 1 },
  { code: 'sz', text: 'sizeof ', operands: 1 },
  { code: 'te', text: 'typeid ', operands: 1 },
  { code: 'ti', text: 'typeid ', operands: 1 },
  { code: 'tr', text: 'throw', operands: 0 },
  { code: 'tw', text: 'throw ', operands: 1 },
];

/** Index in OPERATORS by both letters (7 bits each), -1 where there is none. */
export const OPERATOR_INDEX: Int8Array = (() => {
  const table = new Int8Array(1 << 14).fill(-1);
  OPERATORS.forEach((operator, index) => {
    table[(operator.code.charCodeAt(0) << 7) | operator.code.charCodeAt(1)] = index;
  });
  return table;
})();

export const operatorIndex = (code: string): number =>
  OPERATOR_INDEX[(code.charCodeAt(0) << 7) | code.charCodeAt(1)] as number;

/** A standard abbreviation: `short` is the source's word, `full` what it stands for, `own` the class's own name. */
export interface Abbreviation {
  readonly short: string;
  readonly full: string;
  readonly own: string;
}

const TRAITS = 'std::char_traits<char>';
export const ABBREVIATIONS: Readonly<Record<string, Abbreviation | undefined>> = {
  a: { short: 'std::allocator', full: 'std::allocator', own: 'allocator' },
  b: { short: 'std::basic_string', full: 'std::basic_string', own: 'basic_string' },
  s: { short: 'std::string', full: `std::basic_string<char, ${TRAITS}, std::allocator<char> >`, own: 'basic_string' },
  i: { short: 'std::istream', full: `std::basic_istream<char, ${TRAITS} >`, own: 'basic_istream' },
  o: { short: 'std::ostream', full: `std::basic_ostream<char, ${TRAITS} >`, own: 'basic_ostream' },
  d: { short: 'std::iostream', full: `std::basic_iostream<char, ${TRAITS} >`, own: 'basic_iostream' },
};
