/**
 * The parser's state and its ways of saying what is wrong. The grammar stands in
 * types.ts, expressions.ts, statements.ts, probes.ts and preamble.ts, each a set of
 * functions over this state; parse.ts is the entry.
 *
 * An error is reported where it is found, then `unwind` is thrown up to the nearest
 * place that knows how to go on (a statement, a probe); nothing is thrown out of parse.
 */
import type { Diagnostics } from '../../diag/diagnostic.ts';
import type { Source, Span } from '../../diag/source.ts';
import type { Expr, Statement } from './ast.ts';
import { isWordPart, isWordStart, Lexer } from './lexer.ts';
import { TokenStream } from './macro.ts';
import { Report, unwind, unwindScript } from './report.ts';
import { describeToken, type Token, type TokenKind, wordHints } from './token.ts';

/** Levels of brackets, blocks and prefix operators within each other. */
const NESTING_LIMIT = 200;
/** Operators in a row without brackets: `a + b + c …`, `a.b.c …`; each makes the tree one level deeper. */
const CHAIN_LIMIT = 500;

/** What stands between braces: statements, and the expression at the end that no `;` follows, if a value is wanted. */
export interface BlockParts {
  readonly body: readonly Statement[];
  readonly value: Expr | undefined;
  readonly span: Span;
}

/** The rules that call each other in a circle across files. */
export interface Rules {
  readonly expression: (p: Parser) => Expr;
  readonly block: (p: Parser, what: string, wantsValue: boolean) => BlockParts;
  readonly ifExpression: (p: Parser) => Expr;
}

/** Finishes a node or a list of nodes. */
export const make = <const Value extends object>(value: Value): Value => Object.freeze(value);

export class Parser {
  readonly source: Source;
  readonly diagnostics: Diagnostics;
  readonly report: Report;
  readonly lexer: Lexer;
  readonly stream: TokenStream;
  readonly rules: Rules;
  /** Typedef names that the script itself declares. */
  readonly typedefs: Set<string> = new Set();
  /** End of the last token taken. */
  end = 0;
  /** How many tokens were taken. */
  taken = 0;
  /** In a predicate, a `/` before `{` closes it. */
  inPredicate = false;
  /** Directly in a predicate or in the condition of an if or while, not in brackets within. */
  inCondition = false;
  depth = 0;
  chain = 0;
  /** Offsets of the braces open now. */
  readonly open: number[] = [];
  /** A brace whose partner seems to be missing, judged by indentation. */
  suspect: number | undefined;

  constructor(source: Source, diagnostics: Diagnostics, rules: Rules) {
    this.source = source;
    this.diagnostics = diagnostics;
    this.rules = rules;
    this.report = new Report(diagnostics);
    this.lexer = new Lexer(source.text, this.report);
    this.stream = new TokenStream(this.lexer, this.report);
  }

  get text(): string {
    return this.source.text;
  }

  // ---------------------------------------------------------------- tokens

  peek(ahead = 0): Token {
    return this.stream.peek(ahead);
  }

  next(): Token {
    const token = this.stream.next();
    this.taken++;
    this.end = token.end;
    return token;
  }

  at(kind: TokenKind): boolean {
    return this.stream.peek().kind === kind;
  }

  atWord(word: string): boolean {
    const token = this.stream.peek();
    return token.kind === 'identifier' && token.text === word;
  }

  /** Takes the next token when it is of that kind. */
  take(kind: TokenKind): Token | undefined {
    return this.stream.peek().kind === kind ? this.next() : undefined;
  }

  takeWord(word: string): boolean {
    if (!this.atWord(word)) return false;
    this.next();
    return true;
  }

  /** Takes a token of that kind, or fails with `expected ')' after the arguments, found …`. */
  expect(kind: TokenKind, after: string, ...hints: string[]): Token {
    const token = this.peek();
    if (token.kind === kind) return this.next();
    this.failExpected(`'${kind}'`, after, ...hints);
  }

  span(start: number): Span {
    return make({ start, end: Math.max(start, this.end) });
  }

  /** The offset where raw reading goes on after the last token taken. */
  resumeRaw(): number {
    this.stream.rewind(this.end);
    return this.end;
  }

  // ---------------------------------------------------------------- complaints

  /** Reports, unless the trouble comes from a lexical error just before, and goes on. */
  error(code: string, message: string, span: Span, ...hints: string[]): void {
    if (this.stream.exhausted) throw unwindScript;
    if (span.start <= this.report.badUntil) return;
    this.report.error(code, message, span, ...hints);
  }

  /** Reports and leaves the construct. */
  fail(code: string, message: string, span: Span, ...hints: string[]): never {
    this.error(code, message, span, ...hints);
    throw unwind;
  }

  /** `expected X after Y, found Z`, at the next token. */
  failExpected(what: string, after: string, ...hints: string[]): never {
    const token = this.peek();
    const found = describeToken(token, this.text);
    this.fail(
      'expected-token',
      `expected ${what}${after === '' ? '' : ` ${after}`}, found ${found}`,
      this.place(token),
      ...hints,
      ...wordHints(token),
    );
  }

  /** Where to point for something missing before a token: at the token, or, when that is on a later line, behind the last one. */
  place(token: Token): Span {
    if (token.kind !== 'end' && !this.breaksLine(token)) return { start: token.start, end: token.end };
    const end = Math.min(this.end, token.start);
    return { start: end, end };
  }

  /** A line break stands between the last token taken and this one. */
  breaksLine(token: Token): boolean {
    const newline = this.text.indexOf('\n', this.end);
    return newline >= 0 && newline < token.start;
  }

  /** Nothing but white space follows a token on its line. */
  breaksLineAfter(token: Token): boolean {
    return /[ \t\r]*(?:\n|$)/y.test(this.text.slice(token.end, token.end + 80));
  }

  // ---------------------------------------------------------------- limits

  enter(): void {
    if (++this.depth <= NESTING_LIMIT) return;
    const token = this.peek();
    this.fail(
      'too-deep',
      `more than ${NESTING_LIMIT} levels of nesting`,
      { start: token.start, end: token.end },
      'store parts in variables',
    );
  }

  leave(): void {
    this.depth--;
  }

  /** One more operator in a row. */
  link(): void {
    if (++this.chain <= CHAIN_LIMIT) return;
    const token = this.peek();
    this.fail(
      'too-long',
      `more than ${CHAIN_LIMIT} operators in one statement`,
      { start: token.start, end: token.end },
      'store parts in variables',
    );
  }

  // ---------------------------------------------------------------- places in the text

  line(offset: number): number {
    return this.source.position(offset).line;
  }

  /** Only white space stands before it on its line. */
  firstOnLine(offset: number): boolean {
    const text = this.text;
    for (let at = offset - 1; at >= 0; at--) {
      const code = text.charCodeAt(at);
      if (code === 10) return true;
      if (code !== 32 && code !== 9 && code !== 13) return false;
    }
    return true;
  }

  /** Columns of white space that the line of an offset begins with. */
  indent(offset: number): number {
    const start = this.text.lastIndexOf('\n', offset - 1) + 1;
    let at = start;
    while (this.text.charCodeAt(at) === 32 || this.text.charCodeAt(at) === 9) at++;
    return at - start;
  }

  /** Whether a probe seems to begin at a token: `kprobe:f`, `BEGIN {` at the start of a line. */
  looksLikeProbe(token: Token): boolean {
    return token.kind === 'identifier' && this.firstOnLine(token.start) && looksLikeProbeAt(this.text, token.start);
  }
}

const providers =
  /^(?:begin|end|BEGIN|END|self|test|bench|interval|i|profile|p|hardware|h|software|s|iter|it|fentry|f|fexit|fr|kfunc|kretfunc|kprobe|k|kretprobe|kr|rawtracepoint|rt|tracepoint|t|uprobe|u|uretprobe|ur|usdt|U|watchpoint|w|asyncwatchpoint|aw)$/;

/** `word:` without a space after the colon, for a known provider; BEGIN and END before `{`, `/` or `,`. */
export function looksLikeProbeAt(text: string, offset: number): boolean {
  if (!isWordStart(text.charCodeAt(offset))) return false;
  let at = offset + 1;
  while (isWordPart(text.charCodeAt(at)) && at - offset < 24) at++;
  const word = text.slice(offset, at);
  if (!providers.test(word)) return false;
  if (text[at] === ':') return !/[\s:]/.test(text[at + 1] ?? ' ');
  if (!/^(?:begin|end)$/i.test(word)) return false;
  while (/\s/.test(text[at] ?? '')) at++;
  return text[at] === '{' || text[at] === '/' || text[at] === ',';
}
