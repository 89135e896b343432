/** Types as written, and how a cast is told from an expression in brackets. */
import type { Expr, TypeExpr } from './ast.ts';
import { make, type Parser } from './parser.ts';
import type { Token } from './token.ts';

/** Words that C spells integer types with, several in a row. */
const cWords: ReadonlySet<string> = new Set([
  'unsigned',
  'signed',
  'long',
  'short',
  'int',
  'char',
  'double',
  'float',
  '_Bool',
]);
const qualifiers: ReadonlySet<string> = new Set(['const', 'volatile', 'restrict', '__restrict']);
const tagged: ReadonlySet<string> = new Set(['struct', 'union', 'enum']);

const named =
  /^(?:u?int(?:8|16|32|64)|[us](?:8|16|32|64)|__[us](?:8|16|32|64)|__(?:be|le)(?:16|32|64)|bool|void|string|buffer|inet|uint|ulong|ushort|uchar|[A-Za-z_]\w*_t)$/;

const isQualifier = (token: Token): boolean => token.kind === 'identifier' && qualifiers.has(token.text);

/** A word that names a type by itself: `uint8`, `int`, `u32`, `string`, anything ending in `_t`, a typedef of the script. */
export function isTypeWord(p: Parser, word: string): boolean {
  return cWords.has(word) || named.test(word) || p.typedefs.has(word);
}

/** A struct, union or enum with its tag, at `ahead`. */
export function atTaggedType(p: Parser, ahead = 0): boolean {
  const token = p.peek(ahead);
  return token.kind === 'identifier' && tagged.has(token.text) && p.peek(ahead + 1).kind === 'identifier';
}

/** For the arguments of sizeof and its like: a type by its words or its shape (`name *`). */
export function atTypeArgument(p: Parser): boolean {
  const token = p.peek();
  if (token.kind !== 'identifier') return false;
  if (tagged.has(token.text) || qualifiers.has(token.text)) return true;
  if (token.text === 'typeof' && p.peek(1).kind === '(') return true;
  const next = p.peek(1).kind;
  if (isTypeWord(p, token.text)) return next !== '(' && next !== '.' && next !== '->';
  return next === '*' && starsThenClose(p, 1);
}

/** From `ahead` on: one or more `*` (and qualifiers), then `)`. */
function starsThenClose(p: Parser, ahead: number): boolean {
  let at = ahead;
  while (at < ahead + 32 && (p.peek(at).kind === '*' || isQualifier(p.peek(at)))) at++;
  return at > ahead && p.peek(at).kind === ')';
}

/** `[4][2]`, `[]` from `ahead` on; the number of tokens, 0 when the brackets hold something else. */
function dimensionTokens(p: Parser, ahead: number): number {
  let at = ahead;
  while (at < ahead + 32 && p.peek(at).kind === '[') {
    if (p.peek(at + 1).kind === ']') at += 2;
    else if (p.peek(at + 1).kind === 'integer' && p.peek(at + 2).kind === ']') at += 3;
    else return 0;
  }
  return at - ahead;
}

/**
 * Whether the `(` that comes next opens a cast. It does
 * - before struct, union, enum, const, volatile and typeof;
 * - before `name *…)`;
 * - before `(name)` or `(name[N])` with the name of a type (isTypeWord), if an operand follows;
 * - before `(name)` with any other name, if what follows can only begin an operand
 *   (a name, variable, map, literal, `!`, `~` or `(`): without a cast that would be an
 *   error. So `(x) - 1`, `(x) * $a` and `(x) & $a` are arithmetic.
 * Directly in a condition the last rule does not hold: `if (x) print(1)` lacks braces.
 */
export function atCast(p: Parser): boolean {
  const first = p.peek(1);
  if (first.kind !== 'identifier') return false;
  if (tagged.has(first.text)) return p.peek(2).kind === 'identifier';
  if (qualifiers.has(first.text)) return true;
  if (first.text === 'typeof') return p.peek(2).kind === '(';
  let at = 2;
  const known = isTypeWord(p, first.text);
  if (cWords.has(first.text)) {
    for (let word = p.peek(at); word.kind === 'identifier' && cWords.has(word.text) && at < 8; word = p.peek(at)) at++;
  }
  const kind = p.peek(at).kind;
  if (kind === '*') return starsThenClose(p, at);
  if (kind === '[') {
    const length = dimensionTokens(p, at);
    if (length === 0 || p.peek(at + length).kind !== ')') return false;
    return (
      p.peek(at + 1).kind === ']' ||
      (known ? beginsOperand(p.peek(at + length + 1)) : onlyBeginsOperand(p.peek(at + length + 1)))
    );
  }
  if (kind !== ')') return false;
  const after = p.peek(at + 1);
  if (known) return beginsOperand(after);
  return (!p.inCondition || p.inPredicate) && onlyBeginsOperand(after);
}

function onlyBeginsOperand(token: Token): boolean {
  switch (token.kind) {
    case 'identifier':
      return !/^(?:and|or|not|then|else)$/.test(token.text);
    case 'variable':
    case 'map':
    case 'integer':
    case 'string':
    case 'positional':
    case '!':
    case '~':
    case '(':
      return true;
    default:
      return false;
  }
}

function beginsOperand(token: Token): boolean {
  switch (token.kind) {
    case '-':
    case '+':
    case '*':
    case '&':
    case '++':
    case '--':
    case '{':
      return true;
    default:
      return onlyBeginsOperand(token);
  }
}

/** A type: words, `*`s and dimensions. `what` says whose type it is, for messages. */
export function parseType(p: Parser, what: string): TypeExpr {
  const start = p.peek().start;
  while (isQualifier(p.peek())) p.next();
  const first = p.peek();
  if (first.kind !== 'identifier')
    p.failExpected('a type', what, 'types are bool, int8 ... int64, uint8 ... uint64, string[N], struct NAME, NAME *');

  let keyword: TypeExpr['keyword'];
  let name: string;
  let typeOf: Expr | TypeExpr | undefined;
  p.next();
  if (tagged.has(first.text)) {
    keyword = first.text as 'struct' | 'union' | 'enum';
    const tag = p.peek();
    if (tag.kind !== 'identifier') p.failExpected('a name', `after '${first.text}'`);
    p.next();
    name = tag.text;
  } else if (first.text === 'typeof' && p.at('(')) {
    p.next();
    p.enter();
    name = 'typeof';
    typeOf = atTypeArgument(p) ? parseType(p, "after 'typeof('") : p.rules.expression(p);
    p.leave();
    p.expect(')', "to close 'typeof('");
  } else if (cWords.has(first.text)) {
    const words = [first.text];
    for (
      let word = p.peek();
      word.kind === 'identifier' && (cWords.has(word.text) || qualifiers.has(word.text));
      word = p.peek()
    ) {
      if (cWords.has(word.text) && words.length < 5) words.push(word.text);
      p.next();
    }
    name = words.join(' ');
  } else name = first.text;

  while (isQualifier(p.peek())) p.next();
  let pointers = 0;
  for (;;) {
    if (p.take('*')) pointers++;
    else if (pointers > 0 && isQualifier(p.peek())) p.next();
    else break;
  }
  const dimensions: (number | null)[] = [];
  while (p.at('[')) {
    p.next();
    const size = p.take('integer');
    if (size !== undefined && size.value > 0x7fffffffn) {
      p.error('integer-too-large', `an array of ${size.text} elements is too large`, {
        start: size.start,
        end: size.end,
      });
    }
    dimensions.push(size === undefined ? null : Number(size.value & 0x7fffffffn));
    p.expect(']', size === undefined ? "or a number after '['" : 'after the size of the array');
  }
  const span = p.span(start);
  const base = { node: 'type' as const, span, keyword, name, pointers, dimensions: make(dimensions) };
  return make(typeOf === undefined ? base : { ...base, typeOf });
}
