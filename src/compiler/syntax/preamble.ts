/** What may stand at the top level beside probes: config, import, macro, map declarations, C declarations. */
import type { CDefinitions, ConfigAssign, ImportStatement, MacroDefinition, MapDeclaration } from './ast.ts';
import { isSpace } from './lexer.ts';
import { make, type Parser } from './parser.ts';
import { unwind } from './report.ts';
import { parseBlock } from './statements.ts';
import { describeToken, type Token, wordHints } from './token.ts';

/** `struct x { … };` and its like, as text. Reading starts and ends raw, at the keyword. */
export function parseCDefinition(p: Parser): CDefinitions {
  const { text } = p;
  const start = p.lexer.at;
  const isTypedef = /typedef\b/y.test(text.slice(start, start + 8));
  let depth = 0;
  let open = start;
  let at = start;
  let end = -1;
  while (at < text.length) {
    const char = text[at] as string;
    if (char === '/' && (text[at + 1] === '/' || text[at + 1] === '*')) {
      const close = text[at + 1] === '/' ? text.indexOf('\n', at) : text.indexOf('*/', at + 2);
      if (close < 0) break;
      at = close + (text[at + 1] === '/' ? 1 : 2);
      continue;
    }
    if (char === '"' || char === "'") {
      for (at++; at < text.length && text[at] !== char && text[at] !== '\n'; at++) if (text[at] === '\\') at++;
    } else if (char === '{') {
      if (depth++ === 0) open = at;
    } else if (char === '}') {
      if (--depth <= 0) {
        end = endOfDefinition(text, at + 1, isTypedef);
        if (end >= 0) break;
      }
    } else if (char === ';' && depth === 0) {
      end = at + 1;
      break;
    }
    at++;
  }
  const word = /\w+/y.exec(text.slice(start, start + 8))?.[0] ?? '';
  if (end < 0) {
    p.lexer.at = text.length;
    p.end = text.length;
    const what = depth > 0 ? `'}' to close the '{' of line ${p.line(open)}` : `';' at the end of this ${word}`;
    p.fail(
      'unclosed-declaration',
      `expected ${what}, found the end of the script`,
      depth > 0 ? { start: open, end: open + 1 } : { start, end: start + word.length },
    );
  }
  p.lexer.at = end;
  p.end = end;
  p.stream.rewind(end);
  const body = text.slice(start, end);
  if (isTypedef) {
    const name = /([A-Za-z_]\w*)\s*(?:\[[^\]]*\]\s*)*;$/.exec(body)?.[1];
    if (name !== undefined) p.typedefs.add(name);
  }
  // The language lets the last semicolon be missing, C does not.
  return make({ node: 'c', span: p.span(start), text: body.endsWith(';') ? body : `${body};` });
}

/** Where a declaration ends after its outermost `}`; -1 when declarators follow, up to a `;`. */
function endOfDefinition(text: string, from: number, isTypedef: boolean): number {
  let at = from;
  while (at < text.length && isSpace(text.charCodeAt(at))) at++;
  if (text[at] === ';') return at + 1;
  if (isTypedef || text.startsWith('__attribute__', at) || text.startsWith('__packed', at)) return -1;
  return from;
}

/** `config = { name = value; … }` */
export function parseConfig(p: Parser): ConfigAssign[] {
  p.next();
  p.expect('=', "after 'config'");
  const open = p.expect('{', "after 'config ='");
  const out: ConfigAssign[] = [];
  for (;;) {
    const token = p.peek();
    if (token.kind === '}') {
      p.next();
      break;
    }
    if (token.kind === 'end') {
      const line = p.line(open.start);
      p.fail(
        'unclosed-block',
        `expected '}' to close the '{' of line ${line}, found the end of the script`,
        p.place(token),
        `the '{' in line ${line} has no '}'`,
      );
    }
    if (p.take(';')) continue;
    out.push(parseConfigAssign(p));
    if (!p.at('}') && p.take(';') === undefined) {
      const next = p.peek();
      p.error('expected-token', `expected ';' after the value, found ${describeToken(next, p.text)}`, p.place(next));
      if (next.kind !== 'identifier') throw unwind;
    }
  }
  p.take(';');
  return out;
}

function parseConfigAssign(p: Parser): ConfigAssign {
  const name = p.peek();
  if (name.kind !== 'identifier') p.failExpected('the name of a setting', 'in the config block');
  p.next();
  p.expect('=', `after '${name.text}'`);
  const value = p.peek();
  if (value.kind !== 'identifier' && value.kind !== 'integer' && value.kind !== 'string') {
    p.failExpected('a number, a word or a string', `after '${name.text} ='`);
  }
  p.next();
  return make({
    span: p.span(name.start),
    name: name.text,
    nameSpan: make({ start: name.start, end: name.end }),
    value: value.kind === 'integer' ? value.value : value.text,
    valueSpan: make({ start: value.start, end: value.end }),
  });
}

/** `import "path";` */
export function parseImport(p: Parser): ImportStatement {
  const start = p.next().start;
  const path = p.peek();
  if (path.kind !== 'string') p.failExpected('a file name in double quotes', "after 'import'");
  p.next();
  endDeclaration(p, 'the import');
  return make({ node: 'import', span: p.span(start), path: path.text });
}

/** `let @name = kind(entries);` */
export function parseMapDeclaration(p: Parser): MapDeclaration {
  const start = p.next().start;
  const name = p.peek();
  if (name.kind !== 'map') {
    const hints =
      name.kind === 'variable'
        ? ['variables are declared inside of probes']
        : ['maps are declared so: let @name = lruhash(100);'];
    p.failExpected('a map', "after 'let'", ...hints);
  }
  p.next();
  p.expect('=', `after '@${name.text}'`, 'maps are declared so: let @name = lruhash(100);');
  const kind = p.peek();
  if (kind.kind !== 'identifier')
    p.failExpected('the kind of the map', "after '='", 'the kinds are hash, lruhash, percpuhash and percpulruhash');
  p.next();
  p.expect('(', `after '${kind.text}'`, `how many entries it holds at most stands in brackets: ${kind.text}(100)`);
  const entries = p.peek();
  if (entries.kind !== 'integer') p.failExpected('the greatest number of entries', `after '${kind.text}('`);
  p.next();
  p.expect(')', 'after the number of entries');
  endDeclaration(p, 'the declaration of the map');
  return make({
    node: 'map_declaration',
    span: p.span(start),
    name: name.text,
    kind: kind.text,
    kindSpan: make({ start: kind.start, end: kind.end }),
    maxEntries: entries.value,
  });
}

function endDeclaration(p: Parser, what: string): void {
  if (p.take(';')) return;
  const token = p.peek();
  p.error('expected-token', `expected ';' after ${what}, found ${describeToken(token, p.text)}`, p.place(token));
}

/** `macro name($a, @b, c) { … }` */
export function parseMacroDefinition(p: Parser): MacroDefinition {
  const start = p.next().start;
  const name = p.peek();
  if (name.kind !== 'identifier') p.failExpected('a name', "after 'macro'");
  p.next();
  p.expect('(', `after 'macro ${name.text}'`, `a macro without parameters is written: macro ${name.text}() { ... }`);
  const parameters: MacroDefinition['parameters'][number][] = [];
  if (!p.at(')')) {
    do parameters.push(parseParameter(p));
    while (p.take(','));
  }
  p.expect(')', 'after the parameters');
  const { body, value } = parseBlock(p, 'the body of the macro', true);
  return make({ node: 'macro', span: p.span(start), name: name.text, parameters: make(parameters), body, value });
}

function parseParameter(p: Parser): MacroDefinition['parameters'][number] {
  const token: Token = p.peek();
  const span = make({ start: token.start, end: token.end });
  switch (token.kind) {
    case 'variable':
      p.next();
      return make({ node: 'variable', span, name: token.text });
    case 'map':
      p.next();
      return make({ node: 'map', span, name: token.text, keys: make([]), nameSpan: span });
    case 'identifier':
      p.next();
      return make({ node: 'identifier', span, name: token.text });
    default:
      return p.failExpected(
        'a parameter',
        'of the macro',
        'parameters are $variable, @map or a plain name for any expression',
        ...wordHints(token),
      );
  }
}
