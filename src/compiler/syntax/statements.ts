/** Statements and blocks, and how to go on after a broken one. */
import type { Assign, AssignOperator, Block, BlockExpr, Expr, If, Let, MapAccess, Statement, Variable } from './ast.ts';
import { failAssignment, parseExpression } from './expressions.ts';
import { atForeignKeyword, checkForeignStatement } from './foreign.ts';
import { type BlockParts, make, type Parser } from './parser.ts';
import { unwind, unwindProbe } from './report.ts';
import { describeToken, type Token, type TokenKind, wordHints } from './token.ts';
import { parseType } from './types.ts';

const assignOperators: Readonly<Partial<Record<TokenKind, true>>> = {
  '=': true,
  '+=': true,
  '-=': true,
  '*=': true,
  '/=': true,
  '%=': true,
  '<<=': true,
  '>>=': true,
  '&=': true,
  '|=': true,
  '^=': true,
};

const statementWords: ReadonlySet<string> = new Set([
  'if',
  'for',
  'while',
  'unroll',
  'let',
  'return',
  'break',
  'continue',
]);

/**
 * `{ … }`. When a value is wanted, the last expression, if no `;` follows it, is the
 * value; otherwise it is one more statement. `what` names the block: `the body of the loop`.
 */
export function parseBlock(p: Parser, what: string, wantsValue: boolean): BlockParts {
  const open = p.peek();
  if (open.kind !== '{') p.failExpected("'{'", `to begin ${what}`);
  p.next();
  p.open.push(open.start);
  p.enter();
  const depth = p.depth;
  const { inPredicate, inCondition, chain } = p;
  p.inPredicate = false;
  p.inCondition = false;
  const body: Statement[] = [];
  let value: Expr | undefined;
  for (;;) {
    const token = p.peek();
    if (token.kind === '}') {
      p.next();
      break;
    }
    if (token.kind === 'end' || p.looksLikeProbe(token)) unclosed(p, token, open);
    if (token.kind === ';') {
      p.next();
      continue;
    }
    const { taken } = p;
    try {
      p.chain = 0;
      const item = parseItem(p, wantsValue);
      if ('value' in item) value = item.value;
      else body.push(item.statement);
    } catch (reason) {
      if (reason !== unwind) throw reason;
      p.depth = depth;
      p.inPredicate = false;
      p.inCondition = false;
      recover(p, taken);
    }
  }
  p.leave();
  p.inPredicate = inPredicate;
  p.inCondition = inCondition;
  p.chain = chain;
  noteIndent(p, open);
  p.open.pop();
  return { body: make(body), value, span: p.span(open.start) };
}

/** A closing brace that is further left than the line of its opening one closes, by the writer's mind, an outer block. */
function noteIndent(p: Parser, open: Token): void {
  const close = p.end - 1;
  if (p.suspect !== undefined || !p.firstOnLine(close)) return;
  if (p.line(open.start) !== p.line(close) && p.indent(close) < p.indent(open.start)) p.suspect = open.start;
}

/** Reports the missing brace once for all open blocks, and leaves the probe. */
function unclosed(p: Parser, token: Token, open: Token): never {
  const brace = p.suspect ?? open.start;
  const line = p.line(brace);
  const hints = [`the '{' in line ${line} has no '}'`];
  if (p.suspect === undefined && p.open.length > 1) {
    const lines = [...new Set(p.open.map((offset) => p.line(offset)))];
    hints[0] =
      lines.length > 1
        ? `blocks are open since the lines ${lines.join(', ')}`
        : `${p.open.length} blocks are open since line ${line}`;
  }
  const found = token.kind === 'end' ? describeToken(token, p.text) : 'the next probe';
  const place = token.kind === 'end' ? { start: p.end, end: p.end } : { start: token.start, end: token.end };
  p.error('unclosed-block', `expected '}' to close the '{' of line ${line}, found ${found}`, place, ...hints);
  throw unwindProbe;
}

/** Skips to where a statement can begin: after a `;`, before the `}` of this block, at a keyword or an assignment on a new line. */
function recover(p: Parser, before: number): void {
  let depth = 0;
  for (;;) {
    const token = p.peek();
    if (token.kind === 'end') return;
    if (depth === 0) {
      if (token.kind === '}') return;
      if (token.kind === ';') {
        p.next();
        return;
      }
      if (p.taken > before && beginsLineOfCode(p, token)) return;
    }
    if (p.looksLikeProbe(token)) return;
    if (token.kind === '{') depth++;
    else if (token.kind === '}') depth--;
    p.next();
    if (depth === 0 && token.kind === '}') return;
  }
}

function beginsLineOfCode(p: Parser, token: Token): boolean {
  if (!p.firstOnLine(token.start)) return false;
  if (token.kind === 'identifier') return statementWords.has(token.text) || p.peek(1).kind === '(';
  if (token.kind === 'variable') return assignOperators[p.peek(1).kind] === true;
  return token.kind === 'map';
}

type Item = { readonly statement: Statement } | { readonly value: Expr };

/** One statement with its end, or the value of the block. */
function parseItem(p: Parser, wantsValue: boolean): Item {
  const token = p.peek();
  if (token.kind === 'identifier') {
    const statement = parseKeyword(p, token, wantsValue);
    if (statement !== undefined) return statement;
  }
  if (token.kind === '{') {
    const block = parseBlock(p, 'the block', true);
    if (block.value === undefined) return { statement: make({ node: 'block', span: block.span, body: block.body }) };
    const expr: BlockExpr = make({ node: 'block_expr', span: block.span, body: block.body, value: block.value });
    if (wantsValue && p.at('}')) return { value: expr };
    return { statement: asStatement(block.body, block.value, block.span) };
  }
  if (token.kind === '#') failDirective(p, token);

  const expr = parseExpression(p);
  if (assignOperators[p.peek().kind]) {
    const statement = parseAssign(p, expr, token);
    endStatement(p, 'the assignment');
    return { statement };
  }
  if (wantsValue && p.at('}')) return { value: expr };
  const statement: Statement = make({ node: 'expr', span: p.span(token.start), expr });
  endStatement(p, expr.node === 'call' ? `the call of '${expr.name}'` : 'the expression', expr);
  return { statement };
}

function asStatement(body: readonly Statement[], value: Expr, span: BlockParts['span']): Block {
  const last: Statement = make({ node: 'expr', span: value.span, expr: value });
  return make({ node: 'block', span, body: make([...body, last]) });
}

function failDirective(p: Parser, token: Token): never {
  const line = p.text.indexOf('\n', token.start);
  const end = line < 0 ? p.text.length : line;
  const word = p.peek(1);
  p.stream.rewind(end);
  p.end = end;
  p.fail(
    'misplaced-directive',
    `'#${word.kind === 'identifier' ? word.text : ''}' cannot stand inside a block`,
    { start: token.start, end: token.start + p.text.slice(token.start, end).trimEnd().length },
    'move it above the first probe',
  );
}

/** Statements that begin with a word of their own; undefined when this is none. */
function parseKeyword(p: Parser, token: Token, wantsValue: boolean): Item | undefined {
  const after = p.peek(1).kind;
  switch (token.text) {
    case 'let': {
      const statement = parseLet(p);
      endStatement(p, 'the declaration');
      return { statement };
    }
    case 'if':
      return parseIf(p, wantsValue);
    case 'while':
      return { statement: parseWhile(p) };
    case 'for':
      return { statement: parseFor(p) };
    case 'unroll':
      return { statement: parseUnroll(p) };
    case 'break':
    case 'continue': {
      p.next();
      const statement: Statement = make({ node: token.text, span: p.span(token.start) });
      endStatement(p, `'${token.text}'`);
      return { statement };
    }
    case 'return': {
      p.next();
      const value = p.at(';') || p.at('}') ? undefined : parseExpression(p);
      const statement: Statement = make({ node: 'return', span: p.span(token.start), value });
      endStatement(p, "'return'");
      return { statement };
    }
    case '_':
      if (after === '=') {
        const target = make({ node: 'discard' as const, span: make({ start: token.start, end: token.end }) });
        p.next();
        p.next();
        const value = parseExpression(p);
        const statement: Statement = make({ node: 'assign', span: p.span(token.start), operator: '=', target, value });
        endStatement(p, 'the assignment');
        return { statement };
      }
      return undefined;
    case 'else':
      return p.fail(
        'misplaced-else',
        "'else' without an 'if' before it",
        { start: token.start, end: token.end },
        "there is no ';' between the '}' of the if and 'else'",
      );
    case 'import':
    case 'macro':
      if (after === 'string' || after === 'identifier') {
        return p.fail(
          'misplaced-declaration',
          `'${token.text}' cannot stand inside a block`,
          { start: token.start, end: token.end },
          'move it above the first probe',
        );
      }
      return undefined;
    default:
      return failForeign(p, token);
  }
}

/** What other languages have; undefined when the word is an ordinary name here. */
function failForeign(p: Parser, token: Token): undefined {
  if (atForeignKeyword(p, token)) {
    if (!token.text.startsWith('el')) throw unwind;
    // The rest of it is an ordinary if: goes on with its parts.
    p.next();
    parseIfParts(p, token, false);
    throw unwind;
  }
  checkForeignStatement(p, token);
  return undefined;
}

/** The `;` after a statement; only before `}` it may be missing. */
function endStatement(p: Parser, what: string, expr?: Expr): void {
  if (p.take(';')) return;
  const token = p.peek();
  if (token.kind === '}' || token.kind === 'end') return;
  const hints = wordHints(token);
  if (token.kind === '=' || assignOperators[token.kind]) hints.push('assign in a statement of its own');
  if (token.kind === '{' && expr?.node === 'call') hints.push("the name before '(' is no statement that has a body");
  if (token.kind === ':' && expr?.node === 'identifier')
    hints.push("a probe cannot stand inside a block: is a '}' missing above?");
  p.error(
    'expected-token',
    `expected ';' after ${what}, found ${describeToken(token, p.text)}`,
    p.place(token),
    ...hints,
  );
  // What follows may well be the next statement: only when it can't be, it is skipped.
  if (hints.length === 0 && beginsStatement(p, token)) return;
  throw unwind;
}

function beginsStatement(p: Parser, token: Token): boolean {
  if (token.kind === 'variable' || token.kind === 'map') return true;
  return token.kind === 'identifier' && (statementWords.has(token.text) || p.peek(1).kind === '(');
}

function parseAssign(p: Parser, expr: Expr, first: Token): Assign {
  const token = p.next();
  const operator = token.kind as AssignOperator;
  const target = assignable(p, expr, { start: first.start, end: token.start });
  const value = parseExpression(p);
  if (assignOperators[p.peek().kind]) {
    const next = p.peek();
    p.fail(
      'chained-assignment',
      'an assignment has no value of its own',
      { start: next.start, end: next.end },
      'assign in two statements',
    );
  }
  return make({ node: 'assign', span: p.span(first.start), operator, target, value });
}

function assignable(p: Parser, expr: Expr, around: { start: number; end: number }): Assign['target'] {
  switch (expr.node) {
    case 'variable':
    case 'map':
    case 'field':
    case 'index':
      return expr;
    case 'identifier':
      return p.fail(
        'invalid-target',
        `'${expr.name}' cannot be assigned to`,
        expr.span,
        `variables begin with $, maps with @: $${expr.name} = ...`,
      );
    case 'positional':
      return p.fail(
        'invalid-target',
        'a parameter of the command line cannot be assigned to',
        expr.span,
        'store it in a variable first: $x = $1',
      );
    default: {
      const end = around.start + p.text.slice(around.start, around.end).trimEnd().length;
      const hint =
        expr.node === 'unary' && expr.operator === '*'
          ? ["a script reads the traced program's memory, it does not write it"]
          : [];
      return p.fail(
        'invalid-target',
        'only a variable or a map can be assigned to',
        { start: around.start, end },
        ...hint,
      );
    }
  }
}

function parseVariable(p: Parser, where: string, ...hints: string[]): Variable {
  const token = p.peek();
  if (token.kind !== 'variable') {
    if (token.kind === 'identifier' && hints.length === 0) hints.push(`variables begin with $: $${token.text}`);
    p.failExpected('a variable', where, ...hints);
  }
  p.next();
  return make({ node: 'variable', span: p.span(token.start), name: token.text });
}

function parseLet(p: Parser): Let {
  const start = p.next().start;
  if (p.at('map')) {
    p.fail(
      'misplaced-declaration',
      'a map is not declared inside a block',
      { start, end: p.peek().end },
      'move it above the first probe: let @name = lruhash(100);',
    );
  }
  const variable = parseVariable(p, "after 'let'");
  const type = p.take(':') ? parseType(p, "after ':'") : undefined;
  const value = p.take('=') ? parseExpression(p) : undefined;
  return make({ node: 'let', span: p.span(start), variable, type, value });
}

// ------------------------------------------------------------------ if, loops

/** A condition; after a broken one goes on with the body, if one is there. */
function parseCondition(p: Parser, what: string): Expr {
  const start = p.peek().start;
  const { depth } = p;
  p.inCondition = true;
  try {
    if (p.at('{')) p.fail('expected-expression', `expected a condition after '${what}', found '{'`, p.place(p.peek()));
    const condition = parseExpression(p);
    if (p.at('=')) failAssignment(p, p.peek());
    p.inCondition = false;
    return condition;
  } catch (reason) {
    p.inCondition = false;
    if (reason !== unwind) throw reason;
    p.depth = depth;
    for (let token = p.peek(); token.kind !== '{'; token = p.peek()) {
      if (token.kind === 'end' || token.kind === ';' || token.kind === '}') throw unwind;
      p.next();
    }
    return make({ node: 'bool', span: p.span(start), value: false });
  }
}

/** The body of an if or a loop. One statement without braces is reported and read as the body. */
function parseBody(p: Parser, what: string, wantsValue: boolean): BlockParts {
  const token = p.peek();
  if (token.kind === '{' || token.kind === ')' || token.kind === 'end' || token.kind === '}')
    return parseBlock(p, `the body of '${what}'`, wantsValue);
  p.error(
    'expected-token',
    `expected '{' to begin the body of '${what}', found ${describeToken(token, p.text)}`,
    { start: token.start, end: token.end },
    `the body of '${what}' stands in braces, also when it is one statement`,
    ...wordHints(token),
  );
  if (token.kind === ';') return { body: [], value: undefined, span: p.span(token.start) };
  p.enter();
  const item = parseItem(p, false);
  p.leave();
  return { body: 'statement' in item ? [item.statement] : [], value: undefined, span: p.span(token.start) };
}

interface Branch {
  readonly start: number;
  readonly condition: Expr;
  readonly block: BlockParts;
}

/** All of `if … else if … else …` after the first word. */
function parseIfParts(
  p: Parser,
  first: Token,
  wantsValue: boolean,
): { branches: Branch[]; otherwise: BlockParts | undefined } {
  const branches: Branch[] = [];
  let start = first.start;
  let otherwise: BlockParts | undefined;
  for (;;) {
    const condition = parseCondition(p, branches.length === 0 ? 'if' : 'else if');
    const block = parseBody(p, branches.length === 0 ? 'if' : 'else if', wantsValue);
    branches.push({ start, condition, block });
    const word = p.peek();
    if (word.kind !== 'identifier') break;
    if (/^(?:elif|elseif|elsif)$/.test(word.text) && p.peek(1).kind !== '=') {
      p.error(
        'unknown-keyword',
        `there is no '${word.text}' in this language`,
        { start: word.start, end: word.end },
        "write 'else if'",
      );
      p.next();
    } else if (word.text !== 'else') break;
    else {
      p.next();
      if (!p.atWord('if')) {
        otherwise = parseBody(p, 'else', wantsValue);
        break;
      }
      p.next();
    }
    p.link();
    start = word.text === 'else' ? p.end - 2 : word.start;
  }
  return { branches, otherwise };
}

function parseIf(p: Parser, wantsValue: boolean): Item {
  const first = p.next();
  const { branches, otherwise } = parseIfParts(p, first, wantsValue);
  if (
    wantsValue &&
    p.at('}') &&
    otherwise?.value !== undefined &&
    branches.every((branch) => branch.block.value !== undefined)
  ) {
    return { value: choice(p, branches, otherwise) };
  }
  p.take(';');
  const end = otherwise?.span.end ?? branches.at(-1)?.block.span.end ?? p.end;
  let rest = otherwise === undefined ? undefined : statements(otherwise);
  for (let i = branches.length - 1; ; i--) {
    const { start, condition, block } = branches[i] as Branch;
    const statement: If = make({
      node: 'if',
      span: make({ start, end }),
      condition,
      then: statements(block),
      otherwise: rest,
    });
    if (i === 0) return { statement };
    rest = make([statement]);
  }
}

/** Where a value was possible but is not used, the last expression is a statement like the others. */
function statements(block: BlockParts): readonly Statement[] {
  if (block.value === undefined) return block.body;
  const last: Statement = make({ node: 'expr', span: block.value.span, expr: block.value });
  return make([...block.body, last]);
}

/** `if c { a } else { b }` as a value is `c ? { a } : { b }`. */
function choice(p: Parser, branches: readonly Branch[], last: BlockParts): Expr {
  let rest = blockValue(last);
  for (let i = branches.length - 1; i >= 0; i--) {
    const { start, condition, block } = branches[i] as Branch;
    rest = make({ node: 'ternary', span: p.span(start), condition, then: blockValue(block), otherwise: rest });
  }
  return rest;
}

function blockValue(block: BlockParts): Expr {
  const value = block.value as Expr;
  return block.body.length === 0 ? value : make({ node: 'block_expr', span: block.span, body: block.body, value });
}

/** `if` where a value is expected: every branch must have one. */
export function parseIfExpression(p: Parser): Expr {
  const first = p.next();
  const { inCondition } = p;
  const { branches, otherwise } = parseIfParts(p, first, true);
  p.inCondition = inCondition;
  if (otherwise?.value === undefined || branches.some((branch) => branch.block.value === undefined)) {
    p.fail(
      'block-without-value',
      "this 'if' has no value",
      { start: first.start, end: first.end },
      "an 'if' that is a value needs an else, and in each block a last expression without ';'",
    );
  }
  return choice(p, branches, otherwise);
}

function parseWhile(p: Parser): Statement {
  const start = p.next().start;
  const condition = parseCondition(p, 'while');
  const { body } = parseBody(p, 'while', false);
  p.take(';');
  return make({ node: 'while', span: p.span(start), condition, body });
}

function parseUnroll(p: Parser): Statement {
  const start = p.next().start;
  const count = parseCondition(p, 'unroll');
  const { body } = parseBody(p, 'unroll', false);
  p.take(';');
  return make({ node: 'unroll', span: p.span(start), count, body });
}

const forHint = 'loops are written: for ($kv : @map) { ... } and for ($i : 0..10) { ... }';

function parseFor(p: Parser): Statement {
  const start = p.next().start;
  const header = parseForHeader(p);
  const { body } = parseBody(p, 'for', false);
  p.take(';');
  const span = p.span(start);
  if (header === undefined) return make({ node: 'block', span, body });
  if ('container' in header)
    return make({ node: 'for_elements', span, variable: header.variable, container: header.container, body });
  const { variable, map, range } = header;
  if (map !== undefined) return make({ node: 'for_map', span, variable, map, body });
  return make({ node: 'for_range', span, variable, start: range.start, end: range.end, body });
}

/** What may be a container of the program; a map of the script is not. */
function isContainer(expr: Expr): boolean {
  switch (expr.node) {
    case 'field':
    case 'index':
    case 'call':
    case 'cast':
    case 'variable':
      return true;
    case 'unary':
      return expr.operator === '*';
    default:
      return false;
  }
}

type ForHeader = { readonly variable: Variable } & (
  | { readonly map: MapAccess; readonly range?: undefined }
  | { readonly map?: undefined; readonly range: { readonly start: Expr; readonly end: Expr } }
  | { readonly map?: undefined; readonly range?: undefined; readonly container: Expr }
);

/** `($x : …)`; undefined when it is broken but a body follows. */
function parseForHeader(p: Parser): ForHeader | undefined {
  const { depth } = p;
  try {
    const open = p.take('(');
    const variable = parseVariable(p, open ? "after 'for ('" : "after 'for'", forHint);
    if (!p.at(':')) p.failExpected("':'", `after '$${variable.name}'`, forHint);
    p.next();
    p.enter();
    const from = parseExpression(p);
    const to = p.take('..') ? parseExpression(p) : undefined;
    p.leave();
    if (open !== undefined) p.expect(')', to === undefined ? 'after the map' : 'after the range');
    if (to !== undefined) return { variable, range: { start: from, end: to } };
    if (isContainer(from)) return { variable, container: from };
    if (from.node !== 'map') p.fail('expected-token', 'expected a map or a range', from.span, forHint);
    if (from.keys.length > 0)
      p.fail('expected-token', 'a loop goes over a whole map, without keys', from.span, forHint);
    return { variable, map: from };
  } catch (reason) {
    if (reason !== unwind) throw reason;
    p.depth = depth;
    // The semicolons of C's `for (a; b; c)` don't end the statement.
    for (let token = p.peek(); token.kind !== '{'; token = p.peek()) {
      if (token.kind === 'end' || token.kind === '}' || (token.kind === ';' && p.breaksLineAfter(token))) throw unwind;
      p.next();
    }
    return undefined;
  }
}
