/**
 * Probes: attach points, predicate, body. An attach point is read as raw text, since
 * paths, mangled names, wildcards and addresses are no tokens of the language. It ends
 * - at white space, `,` or `{` outside of quotes; brackets that close on the same line
 *   (`foo(int, char)`, `map<int, int>`) are part of it, with what they hold;
 * - at `/`, where the provider's targets hold no slash: `kprobe:f/pid == 1/`. Paths do:
 *   for uprobe, uretprobe, usdt and iter a predicate needs white space before it.
 */
import type { AttachPointSyntax, Expr, ProbeBlock } from './ast.ts';
import { failAssignment, parseExpression } from './expressions.ts';
import { isSpace, isWordPart, isWordStart } from './lexer.ts';
import { looksLikeProbeAt, make, type Parser } from './parser.ts';
import { unwind, unwindProbe } from './report.ts';
import { parseBlock } from './statements.ts';
import { describeToken, wordHints } from './token.ts';

/** Providers whose targets may hold a slash. */
const holdsSlash = /^(?:uprobe|u|uretprobe|ur|usdt|U|iter|it)$/;
/** Providers with targets, all of them without slash. */
const holdsNoSlash =
  /^(?:begin|end|BEGIN|END|self|test|bench|interval|i|profile|p|hardware|h|software|s|fentry|f|fexit|fr|kfunc|kretfunc|kprobe|k|kretprobe|kr|rawtracepoint|rt|tracepoint|t|watchpoint|w|asyncwatchpoint|aw)$/;

/** One probe; undefined when too much of it is broken. Reading starts and ends raw. */
export function parseProbe(p: Parser): ProbeBlock | undefined {
  const start = p.lexer.at;
  p.end = start;
  p.depth = 0;
  p.chain = 0;
  p.open.length = 0;
  p.suspect = undefined;
  p.inPredicate = false;
  p.inCondition = false;
  try {
    const attachPoints = parseAttachPoints(p);
    const predicate = p.at('/') ? parsePredicate(p) : undefined;
    if (!p.at('{')) failNoBody(p, attachPoints, predicate);
    const { body } = parseBlock(p, 'the body of the probe', false);
    return make({ node: 'probe', span: p.span(start), attachPoints, predicate, body });
  } catch (reason) {
    if (reason === unwindProbe) return undefined;
    if (reason !== unwind) throw reason;
    p.resumeRaw();
    skipToItem(p);
    return undefined;
  } finally {
    p.resumeRaw();
  }
}

function parseAttachPoints(p: Parser): readonly AttachPointSyntax[] {
  const points: AttachPointSyntax[] = [];
  for (;;) {
    p.lexer.skipTrivia();
    points.push(parseAttachPoint(p));
    p.lexer.skipTrivia();
    if (p.text[p.lexer.at] !== ',') break;
    p.lexer.at++;
    p.end = p.lexer.at;
    p.lexer.skipTrivia();
    const next = p.text[p.lexer.at];
    if (next === '{' || next === '/' || next === undefined)
      p.failExpected('one more probe', "after ','", "no ',' stands after the last probe");
  }
  p.stream.rewind(p.lexer.at);
  return make(points);
}

function parseAttachPoint(p: Parser): AttachPointSyntax {
  const { text } = p;
  const start = p.lexer.at;
  let at = start;
  let label: string | undefined;
  if (isWordStart(text.charCodeAt(at))) {
    let end = at + 1;
    while (isWordPart(text.charCodeAt(end))) end++;
    if (text[end] === '=' && isWordStart(text.charCodeAt(end + 1))) {
      label = text.slice(at, end);
      at = end + 1;
    }
  }
  const providerStart = at;
  while (isWordPart(text.charCodeAt(at)) || text[at] === '*' || text[at] === '?') at++;
  const provider = text.slice(providerStart, at);
  const providerSpan = make({ start: providerStart, end: at });
  if (provider === '') {
    p.stream.rewind(start);
    p.failExpected(
      'a probe',
      '',
      'a probe is written: provider:target { ... }, for example kprobe:vfs_read { ... } or BEGIN { ... }',
    );
  }
  if (statementWords.has(provider)) {
    p.fail(
      provider === 'else' ? 'misplaced-else' : 'misplaced-statement',
      `'${provider}' stands where a probe is expected`,
      providerSpan,
      "statements stand in a probe's block; is there a '}' too many before it?",
    );
  }
  const colon = text[at] === ':';
  if (colon) at++;
  const restStart = at;
  if (colon) at = scanTarget(p, at, holdsNoSlash.test(provider));
  p.lexer.at = at;
  p.end = at;
  return make({
    span: p.span(start),
    label,
    provider,
    providerSpan,
    rest: text.slice(restStart, at),
    restSpan: make({ start: restStart, end: at }),
  });
}

/** What begins statements, and is no provider. */
const statementWords: ReadonlySet<string> = new Set(['if', 'else', 'while', 'for', 'unroll', 'return', 'let']);

const partners: Readonly<Record<string, string>> = { '(': ')', '<': '>', '[': ']' };

/** The offset where the text after `provider:` ends. */
function scanTarget(p: Parser, from: number, slashEnds: boolean): number {
  const { text } = p;
  const newline = text.indexOf('\n', from);
  const line = newline < 0 ? text.length : newline;
  let at = from;
  let brackets = true;
  while (at < text.length) {
    const char = text[at] as string;
    if (char === '"') {
      const close = closingQuote(text, at, line);
      if (close < 0) {
        p.report.lexical('unterminated-string', "this name has no closing '\"'", { start: at, end: line });
        return line;
      }
      at = close + 1;
    } else if (brackets && at > from && partners[char] !== undefined) {
      // Without a partner it is a plain character: `operator<`, and so are all after it.
      const close = closingBracket(text, at, line);
      brackets = close >= 0;
      at = brackets ? close + 1 : at + 1;
    } else if (isSpace(text.charCodeAt(at)) || char === ',' || char === '{' || (char === '/' && slashEnds)) return at;
    else at++;
  }
  return at;
}

function closingQuote(text: string, open: number, line: number): number {
  for (let at = open + 1; at < line; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at;
  }
  return -1;
}

function closingBracket(text: string, open: number, line: number): number {
  const expected: string[] = [];
  for (let at = open; at < line; at++) {
    const char = text[at] as string;
    if (char === '{' || char === '"') return -1;
    const partner = partners[char];
    if (partner !== undefined) expected.push(partner);
    else if (char === expected.at(-1)) {
      expected.pop();
      if (expected.length === 0) return at;
    }
  }
  return -1;
}

function parsePredicate(p: Parser): Expr {
  const open = p.next();
  p.inPredicate = true;
  p.inCondition = true;
  let predicate: Expr | undefined;
  try {
    if (p.at('/') || p.at('{')) {
      p.fail(
        'expected-expression',
        `expected a condition after '/', found ${describeToken(p.peek(), p.text)}`,
        p.place(p.peek()),
      );
    }
    predicate = parseExpression(p);
    if (p.at('=')) failAssignment(p, p.peek());
    if (p.take('/') === undefined) {
      const token = p.peek();
      p.error(
        'unclosed-predicate',
        `expected '/' to close the predicate, found ${describeToken(token, p.text)}`,
        p.place(token),
        `the predicate that began${p.line(open.start) === p.line(token.start) ? '' : ` in line ${p.line(open.start)}`} with '/' ends with '/' before the '{'`,
        ...wordHints(token),
      );
      if (token.kind !== '{') throw unwind;
    }
    return predicate;
  } catch (reason) {
    if (reason !== unwind) throw reason;
    // The body may be sound: goes on there.
    p.depth = 0;
    for (let token = p.peek(); token.kind !== '{'; token = p.peek()) {
      if (token.kind === 'end' || p.looksLikeProbe(token)) throw unwind;
      p.next();
    }
    return predicate ?? make({ node: 'bool', span: p.span(open.start), value: false });
  } finally {
    p.inPredicate = false;
    p.inCondition = false;
  }
}

function failNoBody(p: Parser, points: readonly AttachPointSyntax[], predicate: Expr | undefined): never {
  const token = p.peek();
  const found = describeToken(token, p.text);
  const last = points.at(-1) as AttachPointSyntax;
  if (predicate !== undefined) {
    p.fail(
      'expected-token',
      `expected '{' after the predicate, found ${found}`,
      p.place(token),
      "if the predicate holds a '/', write brackets around the division",
    );
  }
  const hints: string[] = [];
  const raw = p.text.slice(last.span.start, last.span.end);
  if (token.kind === ':') hints.push("a probe is written without spaces around ':'");
  else if (
    holdsSlash.test(last.provider) &&
    /[^/]\/[^/:]*$/.test(last.rest) &&
    token.kind !== 'end' &&
    p.text.slice(p.end).match(/^[^{\n]*\/\s*\{/)
  ) {
    hints.push("put a space before the predicate's first '/'");
  } else if (token.kind !== 'end' && looksLikeProbeAt(p.text, token.start))
    hints.push("several probes with one body are separated by ','");
  else if (last.rest !== '' && token.kind !== 'end') hints.push('a name with spaces stands in double quotes');
  else if (last.rest === '' && /^(?:begin|end)$/i.test(last.provider))
    hints.push('what the probe does stands in braces: { ... }');
  else if (last.rest === '') hints.push(`'${raw}' stands where a probe is expected: provider:target { ... }`);
  p.fail(
    'expected-token',
    `expected '{' or a predicate after the probe '${clip(raw)}', found ${found}`,
    p.place(token),
    ...hints,
  );
}

const clip = (text: string): string => (text.length > 60 ? `${text.slice(0, 57)}...` : text);

/** After a broken head: skips to the next line that begins something. */
export function skipToItem(p: Parser): void {
  const { text } = p;
  for (;;) {
    const newline = text.indexOf('\n', p.lexer.at);
    p.lexer.at = newline < 0 ? text.length : newline + 1;
    let at = p.lexer.at;
    while (text[at] === ' ' || text[at] === '\t') at++;
    if (at >= text.length || beginsItem(text, at)) break;
  }
  p.end = p.lexer.at;
}

/** Whether something of the top level seems to begin at an offset, the first of its line apart from white space. */
function beginsItem(text: string, at: number): boolean {
  if (looksLikeProbeAt(text, at)) return true;
  return /^(?:macro\s+[A-Za-z_]|(?:struct|union|enum)\s+\w+\s*\{|config\s*=|import\s*"|let\s+@|#\s*[a-z])/.test(
    text.slice(at, at + 200),
  );
}
