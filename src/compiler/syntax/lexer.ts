/**
 * Text to tokens, on demand: the parser decides where the next token begins, because
 * attach points (`uprobe:/bin/x:f`), C declarations and preprocessor lines have
 * their own rules. Ruled by bpftrace's language reference.
 */
import type { Span } from '../../diag/source.ts';
import { readNumber, resolveEscapes } from './literals.ts';
import type { Report } from './report.ts';
import type { HideSet, Punctuation, Token, TokenKind } from './token.ts';

const NEWLINE = 10;
const RETURN = 13;
const QUOTE = 34;
const HASH = 35;
const DOLLAR = 36;
const APOSTROPHE = 39;
const STAR = 42;
const SLASH = 47;
const AT = 64;
const BACKSLASH = 92;

/** Bits of the classes of ASCII characters. */
const WORD_START = 1;
const DIGIT = 2;
const SPACE = 4;
const classes: Uint8Array = new Uint8Array(128);
for (let code = 0; code < 128; code++) {
  const char = String.fromCharCode(code);
  if ((char >= 'a' && char <= 'z') || (char >= 'A' && char <= 'Z') || char === '_') classes[code] = WORD_START;
  else if (char >= '0' && char <= '9') classes[code] = DIGIT;
  else if (char === ' ' || (code >= 9 && code <= 13)) classes[code] = SPACE;
}
const classOf = (code: number): number => (code < 128 ? (classes[code] as number) : 0);

export const isSpace = (code: number): boolean => code < 128 && (classes[code] as number) === SPACE;
export const isWordStart = (code: number): boolean => code < 128 && (classes[code] as number) === WORD_START;
export const isWordPart = (code: number): boolean =>
  code < 128 && ((classes[code] as number) & (WORD_START | DIGIT)) !== 0;

/** By first character, the punctuation that begins with it, longest first. */
const punctuation: (readonly Punctuation[] | undefined)[] = [];
for (const text of [
  '<<=',
  '>>=',
  '..',
  '->',
  '<<',
  '>>',
  '==',
  '!=',
  '<=',
  '>=',
  '&&',
  '||',
  '++',
  '--',
  '##',
  '+=',
  '-=',
  '*=',
  '/=',
  '%=',
  '&=',
  '|=',
  '^=',
  '(',
  ')',
  '[',
  ']',
  '{',
  '}',
  ',',
  ';',
  ':',
  '?',
  '.',
  '+',
  '-',
  '*',
  '/',
  '%',
  '&',
  '|',
  '^',
  '~',
  '!',
  '<',
  '>',
  '=',
  '#',
] satisfies Punctuation[]) {
  const first = text.charCodeAt(0);
  punctuation[first] = [...(punctuation[first] ?? []), text];
}

export interface Comment {
  readonly span: Span;
  readonly text: string;
}

export class Lexer {
  readonly text: string;
  readonly #reports: Report;
  /** Offset of what comes next. */
  at = 0;
  /** Comments met so far, in order, each once. */
  readonly comments: Comment[] = [];
  readonly #end: number;
  /** Where the text lies in the script; not 0 for the body of a #define. */
  readonly #base: number;
  /** In the body of a #define, all tokens lie where the macro was used. */
  readonly #place: Span | undefined;

  constructor(text: string, report: Report, place?: Span) {
    this.text = text;
    this.#reports = report;
    this.#end = text.length;
    this.#base = place?.start ?? 0;
    this.#place = place;
  }

  readonly #report = (code: string, message: string, span: Span, ...hints: string[]): void => {
    this.#reports.lexical(code, message, this.#place ?? span, ...hints);
  };

  #token(kind: TokenKind, start: number, text: string, value = 0n, unsigned = false): Token {
    const place = this.#place;
    return {
      kind,
      start: place === undefined ? start : this.#base,
      end: place === undefined ? this.at : place.end,
      text,
      value,
      unsigned,
      hidden: undefined as HideSet | undefined,
    };
  }

  /** Moves past white space and comments. */
  skipTrivia(): void {
    const text = this.text;
    let at = this.at;
    for (;;) {
      const code = text.charCodeAt(at);
      if (code === 32 || (code <= 13 && code >= 9)) {
        at++;
        continue;
      }
      if (code !== SLASH && code !== BACKSLASH) break;
      const after = text.charCodeAt(at + 1);
      this.at = at;
      if (code === BACKSLASH) {
        if (after !== NEWLINE && !(after === RETURN && text.charCodeAt(at + 2) === NEWLINE)) return;
        at += 2;
      } else if (after === SLASH) {
        const newline = text.indexOf('\n', at);
        at = this.#comment(newline < 0 ? this.#end : newline);
      } else if (after === STAR) {
        const close = text.indexOf('*/', at + 2);
        if (close < 0)
          this.#report('unterminated-comment', "this comment has no closing '*/'", { start: at, end: at + 2 });
        at = this.#comment(close < 0 ? this.#end : close + 2);
      } else return;
    }
    this.at = at;
  }

  #comment(end: number): number {
    const start = this.at;
    this.at = end;
    const last = this.comments.at(-1);
    if (this.#place === undefined && (last === undefined || last.span.start < start)) {
      this.comments.push({ span: { start, end }, text: this.text.slice(start, end) });
    }
    return end;
  }

  /** The next token; at the end of the text, `end` again and again. */
  next(): Token {
    const text = this.text;
    for (;;) {
      this.skipTrivia();
      const start = this.at;
      const code = text.charCodeAt(start);
      if (start >= this.#end) return this.#token('end', start, '');
      const kind = classOf(code);
      if (kind === WORD_START) return this.#token('identifier', start, this.#word());
      if (kind === DIGIT) {
        const word = this.#word();
        const { value, unsigned } = readNumber(word, start, this.#report);
        return this.#token('integer', start, word, value, unsigned);
      }
      if (code === QUOTE) return this.#string(start);
      if (code === DOLLAR) {
        this.at++;
        const after = text.charCodeAt(this.at);
        if (classOf(after) === WORD_START) return this.#token('variable', start, this.#word());
        if (after === HASH) {
          this.at++;
          return this.#token('positional', start, '#');
        }
        if (classOf(after) === DIGIT) {
          while (classOf(text.charCodeAt(this.at)) === DIGIT) this.at++;
          return this.#token('positional', start, text.slice(start + 1, this.at));
        }
        this.#report('unknown-character', "expected a name or a number after '$'", { start, end: this.at });
        return this.#token('variable', start, '');
      }
      if (code === AT) {
        this.at++;
        return this.#token('map', start, isWordStart(text.charCodeAt(this.at)) ? this.#word() : '');
      }
      if (code === APOSTROPHE) return this.#apostrophes(start);
      const candidates = code < 128 ? punctuation[code] : undefined;
      if (candidates !== undefined) {
        for (const found of candidates) {
          if (found.length > 1 && !text.startsWith(found, start)) continue;
          this.at = start + found.length;
          return this.#token(found, start, found);
        }
      }
      const substitute = this.#unknown(start, code);
      if (substitute !== undefined) return substitute;
    }
  }

  #word(): string {
    const text = this.text;
    const start = this.at;
    let at = start + 1;
    for (let code = text.charCodeAt(at); code < 128; code = text.charCodeAt(at)) {
      if (((classes[code] as number) & (WORD_START | DIGIT)) === 0) break;
      at++;
    }
    if (text[at] === ':' && text[at + 1] === ':' && isWordStart(text.charCodeAt(at + 2))) {
      // A C++ name: ns::Class, ns::Enum::VALUE.
      this.at = at + 2;
      this.#word();
      return text.slice(start, this.at);
    }
    this.at = at;
    if (text[at] === '<') this.#templateArguments();
    return text.slice(start, this.at);
  }

  /**
   * `Box<int, char *>` where only a type can stand: the brackets close on the line, right
   * behind the name, and a `*`, a `)` or `::` follows. No comparison looks like that.
   */
  #templateArguments(): void {
    const { text } = this;
    let depth = 0;
    for (let at = this.at; at < text.length; at++) {
      const char = text[at] as string;
      if (char === '<') depth++;
      else if (char === '>') {
        if (--depth > 0) continue;
        const rest = /^(?:\s*(?:\*[\s*]*\)|\))|::[A-Za-z_])/.exec(text.slice(at + 1, at + 40));
        if (rest === null) return;
        this.at = at + 1;
        if (rest[0].startsWith('::')) {
          this.at += 2;
          this.#word();
        }
        return;
      } else if (!/[\w:,*& ()[\]-]/.test(char)) return;
    }
  }

  #string(start: number): Token {
    const text = this.text;
    let at = start + 1;
    for (; ; at++) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) break;
      if (code === BACKSLASH && at + 1 < this.#end && text.charCodeAt(at + 1) !== NEWLINE) at++;
      else if (code === NEWLINE || at >= this.#end) {
        // Where the closing quote was forgotten, what ends the line is likely code: `print("x);`
        const inside = text.slice(start + 1, at);
        const end = start + 1 + inside.replace(/[\s)};]+$/, '').length;
        this.#report(
          'unterminated-string',
          "this string has no closing '\"'",
          { start, end: at },
          'a string ends on the line that it begins on; write \\n for a line break in it',
        );
        this.at = end;
        return this.#token('string', start, text.slice(start + 1, end));
      }
    }
    this.at = at + 1;
    return this.#token('string', start, resolveEscapes(text.slice(start + 1, at), start + 1, this.#report));
  }

  /** `'…'` is no part of the language: says so, and goes on as if it were a string. */
  #apostrophes(start: number): Token {
    const line = this.text.indexOf('\n', start);
    const limit = line < 0 ? this.#end : line;
    const close = this.text.indexOf("'", start + 1);
    const closed = close > 0 && close < limit;
    const inside = this.text.slice(start + 1, closed ? close : limit);
    this.at = closed ? close + 1 : start + 1 + inside.replace(/[\s)};]+$/, '').length;
    const hints = ['strings are written in double quotes: "..."'];
    if (inside.length === 1) hints.push(`for the character's number write ${inside.charCodeAt(0)}`);
    this.#report('single-quotes', "a string cannot be written in '...'", { start, end: this.at }, ...hints);
    return this.#token('string', start, inside);
  }

  /** Reports a character that begins no token; where it stands for one that does, that is returned. */
  #unknown(start: number, code: number): Token | undefined {
    const text = this.text;
    if (code < 128) {
      this.at++;
      const char = text[start] as string;
      const shown = code < 32 || code === 127 ? `\\x${code.toString(16).padStart(2, '0')}` : char;
      this.#report('unknown-character', `unexpected character '${shown}'`, { start, end: start + 1 });
      return undefined;
    }
    const quoted = /[\u201c\u201d\u201e\u00ab]([^"\n\u201c\u201d\u00bb]*)[\u201c\u201d\u00bb]/y;
    quoted.lastIndex = start;
    const string = quoted.exec(text);
    if (string !== null) {
      this.at = quoted.lastIndex;
      this.#report(
        'unknown-character',
        'these are typographic quotes',
        { start, end: this.at },
        'strings are written in plain quotes: "..."',
      );
      return this.#token('string', start, string[1] ?? '');
    }
    if (/[\u2010-\u2015\u2212]/.test(text[start] as string)) {
      this.at++;
      this.#report(
        'unknown-character',
        `unexpected character '${text[start]}'`,
        { start, end: this.at },
        "this is a typographic dash; write '-'",
      );
      return this.#token('-', start, '-');
    }
    let at = start;
    while (at < this.#end && text.charCodeAt(at) >= 128) at++;
    this.at = at;
    const run = text.slice(start, at);
    const invisible = /[\u00a0\u2000-\u200f\u202f\u205f\u3000\ufeff]/.test(run);
    this.#report(
      'unknown-character',
      invisible
        ? 'unexpected invisible character'
        : `unexpected character '${run.length > 20 ? `${run.slice(0, 17)}...` : run}'`,
      { start, end: at },
      invisible
        ? 'maybe copied from a web page; replace it with a plain space'
        : 'outside of strings and comments a script is plain ASCII',
    );
    return undefined;
  }
}
