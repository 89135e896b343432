/** Expressions: C's operators and precedence (C11 6.5), and what the language adds. */
import type { BinaryOperator, Expr, RecordExpr, TypeExpr, UnaryOperator } from './ast.ts';
import { make, type Parser } from './parser.ts';
import { describeToken, type Token, type TokenKind, wordHints } from './token.ts';
import { atCast, atTaggedType, atTypeArgument, parseType } from './types.ts';

/** Higher binds tighter; all are left-associative. */
const precedence: Readonly<Partial<Record<TokenKind, number>>> = {
  '||': 1,
  '&&': 2,
  '|': 3,
  '^': 4,
  '&': 5,
  '==': 6,
  '!=': 6,
  '<': 7,
  '<=': 7,
  '>': 7,
  '>=': 7,
  '<<': 8,
  '>>': 8,
  '+': 9,
  '-': 9,
  '*': 10,
  '/': 10,
  '%': 10,
};

/** Functions whose arguments may be types by name alone. */
const takesTypes: ReadonlySet<string> = new Set(['sizeof', 'offsetof', 'typeof', 'typeinfo', 'container_of']);

const keywords: ReadonlySet<string> = new Set([
  'if',
  'else',
  'for',
  'while',
  'unroll',
  'let',
  'return',
  'break',
  'continue',
  'macro',
  'import',
]);

export function parseExpression(p: Parser): Expr {
  const start = p.peek().start;
  const condition = parseBinary(p, 1);
  if (!p.at('?')) return condition;
  p.next();
  p.enter();
  const inCondition = p.inCondition;
  p.inCondition = false;
  const then = p.at(':') ? undefined : parseExpression(p);
  p.expect(':', "after the first choice of '?'", 'a choice is written: condition ? value : value');
  const otherwise = parseExpression(p);
  p.inCondition = inCondition;
  p.leave();
  return make({ node: 'ternary', span: p.span(start), condition, then, otherwise });
}

function parseBinary(p: Parser, least: number): Expr {
  const start = p.peek().start;
  let left = parseUnary(p);
  for (;;) {
    const token = p.peek();
    const level = precedence[token.kind];
    if (level === undefined || level < least) return left;
    if (token.kind === '/' && p.inPredicate && p.peek(1).kind === '{') return left;
    p.link();
    p.next();
    const right = parseBinary(p, level + 1);
    left = make({ node: 'binary', span: p.span(start), operator: token.kind as BinaryOperator, left, right });
  }
}

const prefixes: Readonly<Partial<Record<TokenKind, UnaryOperator>>> = {
  '!': '!',
  '~': '~',
  '-': '-',
  '+': '+',
  '*': '*',
  '&': '&',
  '++': '++pre',
  '--': '--pre',
};

function parseUnary(p: Parser): Expr {
  const token = p.peek();
  const operator = prefixes[token.kind];
  if (operator !== undefined) {
    p.next();
    p.enter();
    const operand = parseUnary(p);
    p.leave();
    if (operator === '++pre' || operator === '--pre') checkCounter(p, operand, token);
    return make({ node: 'unary', span: p.span(token.start), operator, operand });
  }
  if (token.kind === '(' && atCast(p)) {
    p.next();
    const type = parseType(p, 'in the cast');
    p.expect(')', 'after the type of the cast');
    p.enter();
    const operand = parseUnary(p);
    p.leave();
    return make({ node: 'cast', span: p.span(token.start), type, operand });
  }
  if (token.kind === 'identifier' && token.text === 'comptime' && isOperandStart(p.peek(1))) {
    // Asks for evaluation at compile time, which constants get anyway.
    p.next();
    p.enter();
    const operand = parseUnary(p);
    p.leave();
    return operand;
  }
  return parsePostfix(p);
}

function isOperandStart(token: Token): boolean {
  return ['identifier', 'variable', 'map', 'integer', 'string', 'positional', '('].includes(token.kind);
}

function checkCounter(p: Parser, operand: Expr, token: Token): void {
  if (operand.node === 'variable' || operand.node === 'map') return;
  p.error(
    'invalid-target',
    `'${token.kind}' works on variables and maps only`,
    { start: token.start, end: token.end },
    'write the value to a variable first: $x = ...; $x++',
  );
}

function parsePostfix(p: Parser): Expr {
  const start = p.peek().start;
  let object = parsePrimary(p);
  for (;;) {
    const token = p.peek();
    switch (token.kind) {
      case '.':
      case '->': {
        p.link();
        const afterNumber = object.node === 'integer' && token.start === p.end;
        p.next();
        const name = p.peek();
        if (afterNumber && name.kind === 'integer' && name.start === p.end) {
          p.next();
          p.fail(
            'floating-point',
            'there are no floating-point numbers in the kernel',
            p.span(start),
            'count in a smaller unit: 1500 us instead of 1.5 ms',
          );
        }
        if (name.kind !== 'identifier' && (name.kind !== 'integer' || token.kind === '->')) {
          p.failExpected('the name of a field', `after '${token.kind}'`);
        }
        if (name.kind === 'integer' && !/^[0-9]+$/.test(name.text))
          p.failExpected('the number of an element', "after '.'");
        p.next();
        const nameSpan = make({ start: name.start, end: name.end });
        object = make({
          node: 'field',
          span: p.span(start),
          object,
          name: name.text,
          nameSpan,
          arrow: token.kind === '->',
        });
        break;
      }
      case '[': {
        p.link();
        p.next();
        const index = inBrackets(p);
        closeBracket(p, ']', token, 'the index');
        object = make({ node: 'index', span: p.span(start), object, index });
        break;
      }
      case '++':
      case '--': {
        p.link();
        p.next();
        checkCounter(p, object, token);
        object = make({
          node: 'unary',
          span: p.span(start),
          operator: token.kind === '++' ? 'post++' : 'post--',
          operand: object,
        });
        break;
      }
      default:
        return object;
    }
  }
}

/** An expression inside of brackets: the rules for the outermost level of conditions don't hold. */
function inBrackets(p: Parser): Expr {
  const inCondition = p.inCondition;
  p.inCondition = false;
  p.enter();
  const expr = parseExpression(p);
  p.leave();
  p.inCondition = inCondition;
  return expr;
}

function closeBracket(p: Parser, kind: ')' | ']', open: Token, after: string): void {
  if (p.take(kind)) return;
  const token = p.peek();
  const hints = token.kind === '=' ? ["to compare, write '=='"] : [];
  const place = p.line(open.start) === p.line(token.start) ? '' : ` of line ${p.line(open.start)}`;
  p.failExpected(`'${kind}'`, `after ${after}, to close the '${open.kind}'${place}`, ...hints);
}

function parsePrimary(p: Parser): Expr {
  const token = p.peek();
  switch (token.kind) {
    case 'integer':
      p.next();
      return make({
        node: 'integer',
        span: p.span(token.start),
        value: token.value,
        unsigned: token.unsigned,
        text: token.text,
      });
    case 'string': {
      p.next();
      let value = token.text;
      // Adjacent strings are one, as in C.
      if (p.at('string')) {
        const parts = [value];
        while (p.at('string')) parts.push(p.next().text);
        value = parts.join('');
      }
      return make({ node: 'string', span: p.span(token.start), value });
    }
    case 'variable':
      p.next();
      return make({ node: 'variable', span: p.span(token.start), name: token.text });
    case 'positional':
      p.next();
      return parsePositional(p, token);
    case 'map':
      return parseMap(p);
    case '(':
      return parseParenthesis(p);
    case '{': {
      p.enter();
      const { body, value, span } = p.rules.block(p, 'the block', true);
      p.leave();
      if (value === undefined) {
        p.fail(
          'block-without-value',
          'this block has no value',
          { start: Math.max(span.start, span.end - 1), end: span.end },
          "a block's value is its last expression, without a ';' after it",
        );
      }
      return make({ node: 'block_expr', span, body, value });
    }
    case 'identifier':
      return parseWord(p);
    default:
      p.fail(
        'expected-expression',
        `expected ${after(p)}, found ${describeToken(token, p.text)}`,
        p.place(token),
        ...operandHints(token),
      );
  }
}

function after(p: Parser): string {
  const char = p.text.slice(Math.max(0, p.end - 2), p.end);
  const last = /(?:[-+*/%<>=!&|^~?:,([]|&&|\|\||<<|>>|[<>=!]=)$/.exec(char)?.[0];
  return last === undefined ? 'a value' : `a value after '${last}'`;
}

function operandHints(token: Token): string[] {
  if (token.kind === '=') return ["to compare, write '=='"];
  if (token.kind === 'end') return [];
  return wordHints(token);
}

function parsePositional(p: Parser, token: Token): Expr {
  const span = p.span(token.start);
  if (token.text === '#') return make({ node: 'positional', span, index: 'count' });
  const index = token.text.length > 9 ? Number.NaN : Number(token.text);
  if (index === 0 || Number.isNaN(index)) {
    p.error(
      'invalid-positional',
      `'$${token.text}' is no parameter`,
      span,
      'the parameters are $1, $2 ...; their number is $#',
    );
  }
  return make({ node: 'positional', span, index: Math.max(1, index || 1) });
}

export function parseMap(p: Parser): Expr & { readonly node: 'map' } {
  const token = p.next();
  const nameSpan = p.span(token.start);
  const keys: Expr[] = [];
  const open = p.take('[');
  if (open !== undefined) {
    if (p.at(']'))
      p.failExpected('a key', `in '@${token.text}[...]'`, 'a map without keys is written without brackets');
    do keys.push(inBrackets(p));
    while (p.take(','));
    closeBracket(p, ']', open, `the ${keys.length > 1 ? 'keys' : 'key'}`);
  }
  return make({ node: 'map', span: p.span(token.start), name: token.text, keys: make(keys), nameSpan });
}

/** `(`: a tuple, a record, or an expression in brackets. */
function parseParenthesis(p: Parser): Expr {
  const open = p.next();
  if (p.take(')')) return make({ node: 'tuple', span: p.span(open.start), elements: make([]) });
  if (p.at('identifier') && p.peek(1).kind === '=') {
    if (p.inCondition) failAssignment(p, p.peek(1));
    return parseRecord(p, open);
  }
  const condition = p.inCondition;
  const first = inBrackets(p);
  if (p.at('=') && condition) failAssignment(p, p.peek());
  if (!p.at(',')) {
    closeBracket(p, ')', open, 'the expression');
    // The brackets belong to the span, so that an error about the whole shows all of it.
    return first;
  }
  const elements = [first];
  while (p.take(',')) {
    if (p.at(')')) break;
    elements.push(inBrackets(p));
  }
  closeBracket(p, ')', open, 'the elements');
  return make({ node: 'tuple', span: p.span(open.start), elements: make(elements) });
}

export function failAssignment(p: Parser, token: Token): never {
  p.fail(
    'assignment-in-condition',
    "'=' assigns; a condition compares",
    { start: token.start, end: token.end },
    "to compare, write '=='",
  );
}

function parseRecord(p: Parser, open: Token): Expr {
  const fields: RecordExpr['fields'][number][] = [];
  do {
    if (p.at(')')) break;
    const name = p.peek();
    if (name.kind !== 'identifier') p.failExpected('the name of a field', 'in the record');
    p.next();
    p.expect('=', `after '${name.text}'`, 'a record is written: (name = value, name = value)');
    fields.push(make({ name: name.text, value: inBrackets(p) }));
  } while (p.take(','));
  closeBracket(p, ')', open, 'the fields');
  return make({ node: 'record', span: p.span(open.start), fields: make(fields) });
}

function parseWord(p: Parser): Expr {
  const token = p.peek();
  if (keywords.has(token.text)) {
    if (token.text === 'if') return p.rules.ifExpression(p);
    p.fail('expected-expression', `expected ${after(p)}, found the keyword '${token.text}'`, p.place(token));
  }
  if (atTaggedType(p)) {
    p.fail(
      'expected-expression',
      `expected ${after(p)}, found a type`,
      { start: token.start, end: p.peek(1).end },
      'a cast is written with brackets around the type: (struct name *)value',
    );
  }
  p.next();
  if (token.text === 'true' || token.text === 'false') {
    return make({ node: 'bool', span: p.span(token.start), value: token.text === 'true' });
  }
  if (p.at('(')) return parseCall(p, token);
  return make({ node: 'identifier', span: p.span(token.start), name: token.text });
}

function parseCall(p: Parser, name: Token): Expr {
  const nameSpan = make({ start: name.start, end: name.end });
  const open = p.next();
  const args: (Expr | TypeExpr)[] = [];
  if (!p.at(')')) {
    do args.push(parseArgument(p, name.text));
    while (p.take(','));
  }
  if (!p.take(')')) {
    const token = p.peek();
    const hints =
      token.kind === '=' ? ["to compare, write '=='"] : isOperandStart(token) ? ["arguments are separated by ','"] : [];
    const place = p.line(open.start) === p.line(token.start) ? '' : ` in line ${p.line(open.start)}`;
    p.failExpected("',' or ')'", `in the call of '${name.text}'${place}`, ...hints);
  }
  return make({ node: 'call', span: p.span(name.start), name: name.text, nameSpan, args: make(args) });
}

function parseArgument(p: Parser, callee: string): Expr | TypeExpr {
  const type = takesTypes.has(callee) ? atTypeArgument(p) : atTaggedType(p);
  if (!type) return inBrackets(p);
  return parseType(p, `as an argument of '${callee}'`);
}
