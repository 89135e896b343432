/** C's preprocessing tokens (C11 6.4), with the file and offset they come from. */

export interface CFile {
  /** As diagnostics name it; the path of a header. */
  readonly name: string;
  readonly text: string;
}

export interface CToken {
  readonly kind: 'name' | 'number' | 'string' | 'char' | 'punct' | 'end';
  readonly text: string;
  readonly file: CFile;
  readonly start: number;
  readonly end: number;
  /** White space stood before it. */
  readonly space: boolean;
  /** First on its line. */
  readonly first: boolean;
  /** Macros that made it and must not be replaced in it again. */
  readonly hidden?: readonly string[];
}

const isNameStart = (c: number): boolean =>
  (c >= 97 && c <= 122) || (c >= 65 && c <= 90) || c === 95 || c === 36 || c > 127;
const isDigit = (c: number): boolean => c >= 48 && c <= 57;
const isNamePart = (c: number): boolean => isNameStart(c) || isDigit(c);

/** Punctuators of more than one character, longest first. */
const LONG_PUNCTUATORS: readonly string[] = [
  '...',
  '<<=',
  '>>=',
  '->',
  '++',
  '--',
  '<<',
  '>>',
  '<=',
  '>=',
  '==',
  '!=',
  '&&',
  '||',
  '+=',
  '-=',
  '*=',
  '/=',
  '%=',
  '&=',
  '|=',
  '^=',
  '##',
];

/** Reads one file from front to back. */
export class Lexer {
  readonly file: CFile;
  private readonly text: string;
  private at = 0;
  private first = true;
  private space = false;

  constructor(file: CFile) {
    this.file = file;
    this.text = file.text;
  }

  get offset(): number {
    return this.at;
  }

  /** The next token, of kind `end` at the end and, with `line`, before the next line. */
  next(line = false): CToken {
    if (!this.skipSpace(line)) return this.make('end', this.at);
    const { text } = this;
    const start = this.at;
    const c = text.charCodeAt(start);
    if (isNameStart(c)) {
      let at = start + 1;
      while (at < text.length && isNamePart(text.charCodeAt(at))) at++;
      const quote = text.charCodeAt(at);
      if ((quote === 34 || quote === 39) && /^(?:L|u8?|U)$/.test(text.slice(start, at))) {
        this.at = at;
        return this.quoted(start, quote);
      }
      this.at = at;
      return this.make('name', start);
    }
    if (isDigit(c) || (c === 46 && isDigit(text.charCodeAt(start + 1)))) {
      let at = start + 1;
      for (; at < text.length; at++) {
        const d = text.charCodeAt(at);
        if (isNamePart(d) || d === 46) continue;
        // The sign of an exponent.
        if ((d === 43 || d === 45) && /[eEpP]/.test(text[at - 1] as string)) continue;
        break;
      }
      this.at = at;
      return this.make('number', start);
    }
    if (c === 34 || c === 39) return this.quoted(start, c);
    for (const punctuator of LONG_PUNCTUATORS) {
      if (punctuator.charCodeAt(0) === c && text.startsWith(punctuator, start)) {
        this.at = start + punctuator.length;
        return this.make('punct', start);
      }
    }
    this.at = start + 1;
    return this.make('punct', start);
  }

  /** The rest of the line as it stands, `<…>` of an #include for one; comments are not taken out. */
  restOfLine(): { readonly text: string; readonly start: number } {
    const start = this.at;
    let end = start;
    for (;;) {
      end = this.text.indexOf('\n', end);
      if (end < 0) end = this.text.length;
      else if (/\\\r?$/.test(this.text.slice(Math.max(start, end - 2), end))) {
        end++;
        continue;
      }
      break;
    }
    this.at = end;
    return { text: this.text.slice(start, end), start };
  }

  /** Passes over the line without making tokens of it; stands then before the next line's first token. */
  skipLine(): void {
    const { text } = this;
    let at = this.at;
    for (;;) {
      let end = text.indexOf('\n', at);
      if (end < 0) end = text.length;
      // A comment that begins here may go on over further lines.
      const line = text.slice(at, end);
      const open = line.includes('/*') ? this.openComment(line) : -1;
      if (open >= 0) {
        const close = text.indexOf('*/', at + open + 2);
        at = close < 0 ? text.length : close + 2;
        if (at >= text.length) break;
        continue;
      }
      at = end;
      if (text[end - 1] === '\\' || (text[end - 1] === '\r' && text[end - 2] === '\\')) {
        at = end + 1;
        if (at < text.length) continue;
      }
      break;
    }
    this.at = Math.min(at, text.length);
  }

  /** Where a comment begins in a line that does not end in it; -1 when there is none. */
  private openComment(line: string): number {
    let at = 0;
    for (;;) {
      const open = line.indexOf('/*', at);
      if (open < 0) return -1;
      const slashes = line.indexOf('//', at);
      if (slashes >= 0 && slashes < open) return -1;
      const close = line.indexOf('*/', open + 2);
      if (close < 0) return open;
      at = close + 2;
    }
  }

  /** False at the end, or before a line end when `line`. */
  private skipSpace(line: boolean): boolean {
    const { text } = this;
    const { length } = text;
    this.space = false;
    for (;;) {
      if (this.at >= length) return false;
      const c = text.charCodeAt(this.at);
      if (c === 10) {
        if (line) return false;
        this.at++;
        this.first = true;
        this.space = true;
      } else if (c === 32 || c === 9 || c === 13 || c === 11 || c === 12) {
        this.at++;
        this.space = true;
      } else if (c === 92 && /^\\\r?\n/.test(text.slice(this.at, this.at + 3))) {
        this.at += text.charCodeAt(this.at + 1) === 13 ? 3 : 2;
        this.space = true;
      } else if (c === 47 && text.charCodeAt(this.at + 1) === 42) {
        const close = text.indexOf('*/', this.at + 2);
        this.at = close < 0 ? length : close + 2;
        this.space = true;
      } else if (c === 47 && text.charCodeAt(this.at + 1) === 47) {
        this.restOfLine();
        this.space = true;
      } else return true;
    }
  }

  private quoted(start: number, quote: number): CToken {
    const { text } = this;
    let at = text.charCodeAt(this.at) === quote ? this.at + 1 : start + 1;
    for (; at < text.length; at++) {
      const c = text.charCodeAt(at);
      if (c === 92) at++;
      else if (c === quote || c === 10) break;
    }
    this.at = Math.min(text.charCodeAt(at) === quote ? at + 1 : at, text.length);
    return this.make(quote === 34 ? 'string' : 'char', start);
  }

  private make(kind: CToken['kind'], start: number): CToken {
    const { first, space } = this;
    this.first = false;
    return { kind, text: this.text.slice(start, this.at), file: this.file, start, end: this.at, space, first };
  }
}

export const isPunct = (token: CToken, text: string): boolean => token.kind === 'punct' && token.text === text;
