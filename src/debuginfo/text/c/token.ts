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
  readonly hidden: readonly string[] | undefined;
}

// Regular expressions scan faster than a loop that has not been compiled yet, and headers
// are read once, at start-up.
const BLANKS = /(?:[ \t\r\v\f]+|\\\r?\n|\/\*.*?(?:\*\/|$)|\/\/(?:\\\r?\n|[^\n])*)+/sy;
const BLANK_LINES = /(?:[ \t\r\v\f\n]+|\\\r?\n|\/\*.*?(?:\*\/|$)|\/\/(?:\\\r?\n|[^\n])*)+/sy;
const NAME = /[A-Za-z_$\u0080-\uffff][\w$\u0080-\uffff]*/y;
/** A preprocessing number: the sign of an exponent belongs to it. */
const NUMBER = /\.?[0-9](?:[eEpP][+-]|[\w$.\u0080-\uffff])*/y;
const PUNCTUATOR = /\.\.\.|<<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||\+=|-=|\*=|\/=|%=|&=|\|=|\^=|##|./sy;
const STRING = /(?:L|u8?|U)?"(?:\\.|[^"\\\n])*"?/sy;
const CHARACTER = /(?:L|u8?|U)?'(?:\\.|[^'\\\n])*'?/sy;

/** Where a match that begins at `at` ends; `at` when there is none. */
function ends(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

/** Reads one file from front to back. */
export class Lexer {
  readonly file: CFile;
  private readonly text: string;
  private at = 0;
  private first = true;

  constructor(file: CFile) {
    this.file = file;
    this.text = file.text;
  }

  get offset(): number {
    return this.at;
  }

  /** The next token, of kind `end` at the end and, with `line`, before the next line. */
  next(line = false): CToken {
    const { text } = this;
    let start = this.at;
    let space = false;
    let first = this.first;
    // Most tokens have nothing or one blank before them.
    let c = text.charCodeAt(start);
    if (c === 32) {
      c = text.charCodeAt(++start);
      space = true;
    }
    if (c === 32 || c === 47 || c === 92 || (c >= 9 && c <= 13)) {
      const from = start;
      start = ends(line ? BLANKS : BLANK_LINES, text, from);
      if (start !== from) {
        space = true;
        const newline = line ? -1 : text.indexOf('\n', from);
        if (newline >= 0 && newline < start && this.isLineEnd(from, start)) first = true;
        c = text.charCodeAt(start);
      }
    }
    this.at = start;
    this.first = false;
    if (start >= text.length || (line && c === 10)) {
      this.first = first;
      return this.make('end', start, space, first);
    }
    if ((c >= 97 && c <= 122) || (c >= 65 && c <= 90) || c === 95 || c === 36 || c > 127) {
      this.at = ends(NAME, text, start);
      const quote = text.charCodeAt(this.at);
      if ((quote === 34 || quote === 39) && this.at - start <= 2) {
        const end = ends(quote === 34 ? STRING : CHARACTER, text, start);
        if (end !== start) {
          this.at = end;
          return this.make(quote === 34 ? 'string' : 'char', start, space, first);
        }
      }
      return this.make('name', start, space, first);
    }
    if (c === 34 || c === 39) {
      this.at = ends(c === 34 ? STRING : CHARACTER, text, start);
      return this.make(c === 34 ? 'string' : 'char', start, space, first);
    }
    this.at = ends(NUMBER, text, start);
    if (this.at !== start) return this.make('number', start, space, first);
    this.at = ends(PUNCTUATOR, text, start);
    return this.make('punct', start, space, first);
  }

  /** Whether a stretch of blanks holds the end of a line, and not only continued lines and comments. */
  private isLineEnd(from: number, to: number): boolean {
    const blanks = this.text.slice(from, to);
    if (!blanks.includes('\\') && !blanks.includes('/*')) return true;
    return blanks.replace(/\/\*.*?(?:\*\/|$)|\\\r?\n/gs, '').includes('\n');
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

  /** The rest of the line with the comments that begin in it, which may go on over further lines. */
  restOfDirective(): string {
    const start = this.at;
    this.skipLine();
    return this.text.slice(start, this.at);
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

  private make(kind: CToken['kind'], start: number, space: boolean, first: boolean): CToken {
    return {
      kind,
      text: this.text.slice(start, this.at),
      file: this.file,
      start,
      end: this.at,
      space,
      first,
      hidden: undefined,
    };
  }
}

export const isPunct = (token: CToken, text: string): boolean => token.kind === 'punct' && token.text === text;
