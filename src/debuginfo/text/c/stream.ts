/** The tokens of declarations: looking ahead, passing over, giving up and going on. */
import { NotConstant, type TokenStream } from './expression.ts';
import type { TokenList } from './macro.ts';
import { PACK, type Preprocessor } from './preprocess.ts';
import { type CToken, isPunct } from './token.ts';

/** Code of an Abandon whose cause has been reported. */
export const REPORTED = '';

/** Thrown to give up one declaration. */
export class Abandon {
  readonly token: CToken;
  readonly code: string;
  readonly message: string;
  constructor(token: CToken, code: string, message: string) {
    this.token = token;
    this.code = code;
    this.message = message;
  }
}

export class DeclarationStream implements TokenStream {
  protected readonly source: Preprocessor;
  private readonly ahead: { readonly token: CToken; readonly pack: number }[] = [];
  private packStack: number[] = [];
  private packNow = 0;
  /** What #pragma pack said where the last token stood. */
  protected pack = 0;
  protected depth = 0;
  /** Read instead of the source: the body of a macro that is asked for. */
  protected list: TokenList | undefined;

  constructor(source: Preprocessor) {
    this.source = source;
  }

  peek(ahead = 0): CToken {
    if (this.list !== undefined) return this.list.peek(ahead);
    while (this.ahead.length <= ahead) {
      const token = this.source.token();
      if (token.text === PACK && token.hidden !== undefined) {
        this.pragmaPack(token.hidden);
        continue;
      }
      this.ahead.push({ token, pack: this.packNow });
    }
    return (this.ahead[ahead] as { readonly token: CToken }).token;
  }

  next(): CToken {
    if (this.list !== undefined) return this.list.next();
    this.peek();
    const { token, pack } = this.ahead.shift() as { readonly token: CToken; readonly pack: number };
    this.pack = pack;
    return token;
  }

  protected at(text: string): boolean {
    const token = this.peek();
    return token.text === text && (token.kind === 'punct' || token.kind === 'name');
  }

  protected take(text: string): boolean {
    if (!this.at(text)) return false;
    this.next();
    return true;
  }

  protected expect(text: string): CToken {
    const token = this.peek();
    if (!this.at(text)) {
      throw new Abandon(
        token,
        'bad-declaration',
        `expected '${text}', found ${token.kind === 'end' ? 'the end' : `'${token.text}'`}`,
      );
    }
    return this.next();
  }

  private pragmaPack(words: readonly string[]): void {
    for (const word of words) {
      if (word === 'push') this.packStack.push(this.packNow);
      else if (word === 'pop') this.packNow = this.packStack.pop() ?? 0;
      else if (/^[0-9]+$/.test(word)) this.packNow = Number(word);
    }
    if (words.length === 0) this.packNow = 0;
    if (this.packStack.length > 1000) this.packStack = [];
  }

  /** Passes over (…), […] or {…} that stands next; gives its tokens. */
  protected skipGroup(): readonly CToken[] {
    const passed: CToken[] = [];
    let depth = 0;
    do {
      const token = this.next();
      passed.push(token);
      if (token.kind === 'end') return passed;
      if (token.kind !== 'punct') continue;
      if (token.text === '(' || token.text === '[' || token.text === '{') depth++;
      else if (token.text === ')' || token.text === ']' || token.text === '}') depth--;
    } while (depth > 0);
    return passed;
  }

  /** Passes over the {…} of a function, whose macros need no replacing. */
  protected skipBody(): void {
    let depth = 0;
    for (const { token } of this.ahead) depth += isPunct(token, '{') ? 1 : isPunct(token, '}') ? -1 : 0;
    this.ahead.length = 0;
    while (depth > 0) {
      const token = this.source.next();
      if (token.kind === 'end') return;
      depth += isPunct(token, '{') ? 1 : isPunct(token, '}') ? -1 : 0;
    }
  }

  /** Up to the end of a declaration that is not understood. */
  private recover(): void {
    for (;;) {
      const token = this.peek();
      if (token.kind === 'end' || this.at('}')) return;
      if (this.at(';')) {
        this.next();
        return;
      }
      if (this.at('{')) {
        this.skipGroup();
        if (!this.at(';')) return;
        continue;
      }
      if (this.at('(') || this.at('[')) this.skipGroup();
      else this.next();
    }
  }

  /** False when it had to be given up; that has been reported then. */
  protected guarded(read: () => void): boolean {
    const { depth } = this;
    try {
      read();
      return true;
    } catch (error) {
      if (error instanceof NotConstant) this.source.problem(error.token, 'not-constant', error.reason);
      else if (error instanceof Abandon) {
        if (error.code !== REPORTED) this.source.problem(error.token, error.code, error.message);
      } else throw error;
      this.depth = depth;
      const before = this.peek();
      this.recover();
      // A stray '}' would stop every recovery.
      if (this.peek() === before && depth === 0 && before.kind !== 'end') this.next();
      return false;
    }
  }
}
