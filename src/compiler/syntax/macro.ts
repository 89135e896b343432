/**
 * The C preprocessor's macros (`#define`), applied to the tokens between lexer and
 * parser: object-like and function-like ones, with `#` and `##`, rescanned as C11
 * 6.10.3 says. Only the script's own definitions are known here; constants of system
 * headers are names that a later pass resolves.
 *
 * Apart from C: a word after `.`, `->`, `struct`, `union` or `enum` is never expanded,
 * so that a constant cannot take away the name of a kernel field.
 */
import { Diagnostics } from '../../diag/diagnostic.ts';
import type { Span } from '../../diag/source.ts';
import { Lexer } from './lexer.ts';
import { Report } from './report.ts';
import type { HideSet, Token, TokenKind } from './token.ts';

export interface MacroSource {
  readonly name: string;
  readonly parameters: readonly string[] | undefined;
  readonly body: string;
}

/** Tokens that expansion may make in one script; above it a macro multiplies itself out of hand. */
const EXPANSION_LIMIT = 50_000;
/** Uses of function-like macros in each other's arguments. */
const NESTING_LIMIT = 100;

export class TokenStream {
  readonly lexer: Lexer;
  readonly #report: Report;
  readonly #macros = new Map<string, MacroSource>();
  /** Ready for the parser; from #head on. */
  #ready: Token[] = [];
  #head = 0;
  /** Come out of an expansion and to be looked at again; last is next. */
  readonly #pending: Token[] = [];
  /** Read from the lexer ahead of need; last is next. */
  readonly #raw: Token[] = [];
  #previous: TokenKind = 'end';
  #previousText = '';
  #expanded = 0;
  readonly #depth: number;

  constructor(lexer: Lexer, report: Report, depth = 0) {
    this.lexer = lexer;
    this.#report = report;
    this.#depth = depth;
  }

  define(macro: MacroSource): void {
    this.#macros.set(macro.name, macro);
  }

  undefine(name: string): void {
    this.#macros.delete(name);
  }

  isDefined(name: string): boolean {
    return this.#macros.has(name);
  }

  /** Looks `ahead` tokens past the next one. */
  peek(ahead = 0): Token {
    while (this.#ready.length - this.#head <= ahead) {
      const token = this.#expandNext();
      this.#previous = token.kind;
      this.#previousText = token.text;
      this.#ready.push(token);
    }
    return this.#ready[this.#head + ahead] as Token;
  }

  next(): Token {
    const token = this.peek();
    this.#head++;
    if (this.#head === this.#ready.length) {
      this.#ready = [];
      this.#head = 0;
    }
    return token;
  }

  /** Takes over the definitions of another stream. */
  inherit(from: TokenStream): void {
    for (const macro of from.#macros.values()) this.define(macro);
  }

  /** Expansion was given up: what follows is no script any more. */
  get exhausted(): boolean {
    return this.#expanded > EXPANSION_LIMIT;
  }

  /** Drops what was looked at ahead; raw reading, or the next token, goes on at `offset`. */
  rewind(offset: number): void {
    this.#ready = [];
    this.#head = 0;
    this.#pending.length = 0;
    this.#raw.length = 0;
    this.#previous = 'end';
    this.lexer.at = offset;
  }

  #pull(): Token {
    return this.#pending.pop() ?? this.#raw.pop() ?? this.lexer.next();
  }

  #expandNext(): Token {
    for (;;) {
      const token = this.#pull();
      if (token.kind !== 'identifier' || this.#macros.size === 0) return token;
      const macro = this.#macros.get(token.text);
      if (macro === undefined || isHidden(token.hidden, token.text) || this.#isMemberName()) return token;
      if (!this.#expand(token, macro)) return token;
      if (this.exhausted) return { ...token, kind: 'end' };
    }
  }

  #isMemberName(): boolean {
    if (this.#previous === '.' || this.#previous === '->') return true;
    const word = this.#previousText;
    return this.#previous === 'identifier' && (word === 'struct' || word === 'union' || word === 'enum');
  }

  /** Puts the expansion of a macro in front; false when it is function-like and no argument list follows. */
  #expand(use: Token, macro: MacroSource): boolean {
    let place: Span = { start: use.start, end: use.end };
    let args: Token[][] | undefined;
    if (macro.parameters !== undefined) {
      const after = this.#pull();
      this.#push(after);
      if (after.kind !== '(') return false;
      const read = this.#arguments(use, macro, macro.parameters);
      if (read === undefined) return true;
      args = read.args;
      place = { start: use.start, end: Math.max(use.end, read.end) };
    }
    const hidden: HideSet = { name: macro.name, next: use.hidden };
    const body = this.#body(macro, place);
    const out = macro.parameters === undefined ? body : this.#substitute(body, macro.parameters, args ?? [], place);
    const joined = out.some((token) => token.kind === '##') ? paste(out, place) : out;
    if (this.exhausted) return true;
    this.#expanded += joined.length + 1;
    if (this.#expanded > EXPANSION_LIMIT) {
      this.#report.lexical(
        'macro-too-large',
        `the macro '${macro.name}' expands to more than ${EXPANSION_LIMIT} tokens`,
        place,
      );
      return true;
    }
    for (let i = joined.length - 1; i >= 0; i--) {
      const token = joined[i] as Token;
      this.#pending.push({ ...token, hidden: mergeHidden(hidden, token.hidden) });
    }
    return true;
  }

  #push(token: Token): void {
    // Back to where it came from: what lies in #raw comes after all that is pending.
    if (this.#pending.length > 0) this.#pending.push(token);
    else this.#raw.push(token);
  }

  #body(macro: MacroSource, place: Span): Token[] {
    const lexer = new Lexer(macro.body, this.#report, place);
    const tokens: Token[] = [];
    for (let token = lexer.next(); token.kind !== 'end'; token = lexer.next()) tokens.push(token);
    return tokens;
  }

  /** Reads `( … )`; undefined, with a diagnostic, when it does not end or has the wrong number of arguments. */
  #arguments(
    use: Token,
    macro: MacroSource,
    parameters: readonly string[],
  ): { args: Token[][]; end: number } | undefined {
    let end = this.#pull().end;
    const args: Token[][] = [[]];
    let depth = 0;
    for (;;) {
      const token = this.#pull();
      if (token.kind === 'end') {
        this.#push(token);
        this.#report.lexical('macro-arguments', `the arguments of '${macro.name}' have no closing ')'`, {
          start: use.start,
          end,
        });
        return undefined;
      }
      end = Math.max(end, token.end);
      if (token.kind === ')' && depth === 0) break;
      if (token.kind === ',' && depth === 0) {
        args.push([]);
        continue;
      }
      if (token.kind === '(' || token.kind === '[' || token.kind === '{') depth++;
      else if (token.kind === ')' || token.kind === ']' || token.kind === '}') depth--;
      (args.at(-1) as Token[]).push(token);
    }
    if (parameters.length === 0 && args.length === 1 && args[0]?.length === 0) args.length = 0;
    if (args.length !== parameters.length) {
      const count = (n: number): string => `${n} argument${n === 1 ? '' : 's'}`;
      this.#report.lexical(
        'macro-arguments',
        `the macro '${macro.name}' takes ${count(parameters.length)}, here it gets ${args.length}`,
        { start: use.start, end },
        `its definition: ${macro.name}(${parameters.join(', ')})`,
      );
      // An operand, so that the place where the macro stands is no second error.
      this.#pending.push({
        kind: 'integer',
        start: use.start,
        end,
        text: '0',
        value: 0n,
        unsigned: false,
        hidden: undefined,
      });
      return undefined;
    }
    return { args, end };
  }

  #substitute(body: readonly Token[], parameters: readonly string[], args: readonly Token[][], place: Span): Token[] {
    const out: Token[] = [];
    for (let i = 0; i < body.length; i++) {
      const token = body[i] as Token;
      const next = body[i + 1];
      if (token.kind === '#' && next?.kind === 'identifier' && parameters.includes(next.text)) {
        const argument = args[parameters.indexOf(next.text)] ?? [];
        const text = argument.length === 0 ? '' : this.lexer.text.slice(argument[0]?.start, argument.at(-1)?.end);
        out.push({ ...token, kind: 'string', text: text.replace(/\s+/g, ' '), ...place });
        i++;
        continue;
      }
      const index = token.kind === 'identifier' ? parameters.indexOf(token.text) : -1;
      if (index < 0) {
        out.push(token);
        continue;
      }
      const argument = args[index] ?? [];
      const pasted = next?.kind === '##' || body[i - 1]?.kind === '##';
      for (const part of pasted ? argument : this.#expandAll(argument)) out.push(part);
      if (out.length > EXPANSION_LIMIT) return out;
    }
    return out;
  }

  /** An argument's own macros are expanded before it is put in place. */
  #expandAll(tokens: readonly Token[]): Token[] {
    if (!tokens.some((token) => token.kind === 'identifier' && this.#macros.has(token.text))) return [...tokens];
    if (this.exhausted) return [...tokens];
    if (this.#depth >= NESTING_LIMIT) {
      const place = { start: tokens[0]?.start ?? 0, end: tokens.at(-1)?.end ?? 0 };
      this.#report.lexical(
        'macro-too-large',
        `macros are used in each other's arguments more than ${NESTING_LIMIT} levels deep`,
        place,
      );
      this.#expanded = EXPANSION_LIMIT + 1;
      return [...tokens];
    }
    const inner = new TokenStream(new Lexer('', this.#report), this.#report, this.#depth + 1);
    inner.inherit(this);
    inner.#expanded = this.#expanded;
    for (let i = tokens.length - 1; i >= 0; i--) inner.#pending.push(tokens[i] as Token);
    const out: Token[] = [];
    for (let token = inner.next(); token.kind !== 'end'; token = inner.next()) out.push(token);
    this.#expanded = inner.#expanded;
    return out;
  }
}

function isHidden(hidden: HideSet | undefined, name: string): boolean {
  for (let at = hidden; at !== undefined; at = at.next) if (at.name === name) return true;
  return false;
}

function mergeHidden(into: HideSet, more: HideSet | undefined): HideSet {
  let out = into;
  for (let at = more; at !== undefined; at = at.next) if (!isHidden(out, at.name)) out = { name: at.name, next: out };
  return out;
}

/** `a ## b`: glues the spellings and reads the result as one token. */
function paste(tokens: readonly Token[], place: Span): Token[] {
  const out: Token[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] as Token;
    const right = tokens[i + 1];
    if (token.kind !== '##' || out.length === 0 || right === undefined) {
      if (token.kind !== '##') out.push(token);
      continue;
    }
    const left = out.pop() as Token;
    const lexer = new Lexer(spelling(left) + spelling(right), new Report(new Diagnostics()), place);
    for (let glued = lexer.next(); glued.kind !== 'end'; glued = lexer.next()) out.push(glued);
    i++;
  }
  return out;
}

function spelling(token: Token): string {
  if (token.kind === 'variable' || token.kind === 'positional') return `$${token.text}`;
  if (token.kind === 'map') return `@${token.text}`;
  if (token.kind === 'string') return JSON.stringify(token.text);
  return token.text;
}
