/** Macros and their replacement (C11 6.10.3), with GNU's named and swallowed variable arguments. */
import { type CFile, type CToken, isPunct, Lexer } from './token.ts';

/** A definition as written; headers define thousands, of which few are used, so that it is read at its first use. */
export class Macro {
  readonly name: string;
  /** `(a, b) a + b`, `1`; comments and continued lines still in it. */
  private readonly definition: string;
  /** Followed by its parameters without a blank between. */
  readonly isFunction: boolean;
  /** Defined before the first line. */
  readonly predefined: boolean;
  private read:
    | { readonly parameters: readonly string[]; readonly variadic: boolean; readonly body: readonly CToken[] }
    | undefined;
  /** What is wrong with the parameters; undefined: nothing. */
  wrong: string | undefined;

  constructor(name: string, definition: string, predefined: boolean) {
    this.name = name;
    this.definition = definition;
    this.isFunction = definition.startsWith('(');
    this.predefined = predefined;
  }

  get parameters(): readonly string[] {
    return this.parts().parameters;
  }

  /** The last parameter takes all further arguments. */
  get variadic(): boolean {
    return this.parts().variadic;
  }

  get body(): readonly CToken[] {
    return this.parts().body;
  }

  private parts(): NonNullable<Macro['read']> {
    this.read ??= this.readParts();
    return this.read;
  }

  private readParts(): NonNullable<Macro['read']> {
    const tokens = tokenize(this.definition, '');
    if (!this.isFunction) return { parameters: [], variadic: false, body: tokens };
    const parameters: string[] = [];
    let variadic = false;
    let at = 1;
    for (; at < tokens.length && !isPunct(tokens[at] as CToken, ')'); at++) {
      const token = tokens[at] as CToken;
      if (isPunct(token, '...')) {
        variadic = true;
        // `args...` names them, plain `...` is __VA_ARGS__.
        if (tokens[at - 1]?.kind !== 'name') parameters.push('__VA_ARGS__');
      } else if (token.kind === 'name') parameters.push(token.text);
      else if (!isPunct(token, ',')) this.wrong = `unexpected '${token.text}' among the parameters of ${this.name}`;
    }
    if (at >= tokens.length) this.wrong = `the parameters of ${this.name} have no ')'`;
    return { parameters, variadic, body: tokens.slice(at + 1) };
  }
}

/** Where tokens come from, and where what a macro makes goes back to. */
export interface TokenSource {
  next(): CToken;
  unread(tokens: readonly CToken[]): void;
}

/** Thrown when macros make more tokens than any real header. */
export const TOO_MANY_TOKENS: unique symbol = Symbol('too many tokens');

const MAX_TOKENS = 1 << 20;
const MAX_NESTING = 100;
const MAX_ARGUMENTS = 1000;

const NOWHERE: CFile = { name: '', text: '' };
export const END: CToken = {
  kind: 'end',
  text: '',
  file: NOWHERE,
  start: 0,
  end: 0,
  space: false,
  first: false,
  hidden: undefined,
};

/** A source over a list. */
export class TokenList implements TokenSource {
  private readonly stack: CToken[];
  private readonly end: CToken;

  constructor(tokens: readonly CToken[]) {
    this.stack = [...tokens].reverse();
    this.end = tokens.length === 0 ? END : { ...(tokens[tokens.length - 1] as CToken), kind: 'end', text: '' };
  }

  next(): CToken {
    return this.stack.pop() ?? this.end;
  }

  unread(tokens: readonly CToken[]): void {
    for (let i = tokens.length - 1; i >= 0; i--) {
      const token = tokens[i] as CToken;
      if (token.kind !== 'end') this.stack.push(token);
    }
  }

  /** The next token stays. */
  peek(ahead = 0): CToken {
    return this.stack[this.stack.length - 1 - ahead] ?? this.end;
  }
}

/** Tokens of a line or of a macro's body. */
export function tokenize(text: string, name: string): CToken[] {
  const lexer = new Lexer({ name, text });
  const tokens: CToken[] = [];
  for (let token = lexer.next(); token.kind !== 'end'; token = lexer.next()) tokens.push(token);
  return tokens;
}

export const spell = (tokens: readonly CToken[]): string =>
  tokens.map((token, i) => (i > 0 && token.space ? ` ${token.text}` : token.text)).join('');

/** A token within the string that # makes: only literals are escaped (C11 6.10.3.2). */
const escaped = (token: CToken): string =>
  token.kind === 'string' || token.kind === 'char' ? token.text.replace(/["\\]/g, '\\$&') : token.text;

export class MacroTable {
  readonly macros: Map<string, Macro> = new Map();
  private made = 0;
  private nesting = 0;

  /** Replaces macros in a list until none is left. Throws TOO_MANY_TOKENS. */
  expand(tokens: readonly CToken[]): CToken[] {
    if (++this.nesting > MAX_NESTING) throw TOO_MANY_TOKENS;
    const source = new TokenList(tokens);
    const out: CToken[] = [];
    for (let token = source.next(); token.kind !== 'end'; token = source.next()) {
      if (token.kind !== 'name' || !this.replace(token, source)) out.push(token);
    }
    this.nesting--;
    return out;
  }

  /** When the token names a macro that stands for something here: puts that back into the source. */
  replace(token: CToken, source: TokenSource): boolean {
    const macro = this.macros.get(token.text);
    if (macro === undefined || token.hidden?.includes(token.text)) return false;
    if (!macro.isFunction) {
      const hidden = [...(token.hidden ?? []), macro.name];
      source.unread(this.place(this.paste(macro.body, hidden), token, hidden));
      return true;
    }
    const open = source.next();
    if (!isPunct(open, '(')) {
      source.unread([open]);
      return false;
    }
    const call = this.arguments(macro, source);
    if (call === undefined) return true;
    const closing = call.close.hidden;
    const hidden = [...(token.hidden ?? []).filter((name) => closing?.includes(name)), macro.name];
    source.unread(this.place(this.substitute(macro, call.arguments, hidden), token, hidden));
    return true;
  }

  /** What was made stands where the macro's name stood. */
  private place(made: readonly CToken[], at: CToken, hidden: readonly string[]): CToken[] {
    this.made += made.length;
    if (this.made > MAX_TOKENS) throw TOO_MANY_TOKENS;
    return made.map((token, i) => ({
      kind: token.kind,
      text: token.text,
      file: at.file,
      start: at.start,
      end: at.end,
      space: i === 0 ? at.space : token.space,
      first: false,
      hidden: token.hidden === undefined ? hidden : [...new Set([...token.hidden, ...hidden])],
    }));
  }

  private arguments(
    macro: Macro,
    source: TokenSource,
  ): { readonly arguments: readonly (readonly CToken[])[]; readonly close: CToken } | undefined {
    const count = macro.parameters.length;
    const out: CToken[][] = [[]];
    let depth = 0;
    let taken = 0;
    for (;;) {
      const token = source.next();
      if (token.kind === 'end' || ++taken > MAX_TOKENS) return undefined;
      const current = out[out.length - 1] as CToken[];
      if (isPunct(token, '(')) depth++;
      else if (isPunct(token, ')')) {
        if (depth === 0) return { arguments: out, close: token };
        depth--;
      } else if (isPunct(token, ',') && depth === 0 && !(macro.variadic && out.length >= count)) {
        if (out.length > MAX_ARGUMENTS) return undefined;
        out.push([]);
        continue;
      }
      current.push(token);
    }
  }

  private substitute(macro: Macro, given: readonly (readonly CToken[])[], hidden: readonly string[]): CToken[] {
    const { parameters, body } = macro;
    const expanded = new Map<number, readonly CToken[]>();
    const argument = (token: CToken | undefined): number =>
      token === undefined || token.kind !== 'name' ? -1 : parameters.indexOf(token.text);
    const out: CToken[] = [];
    for (let i = 0; i < body.length; i++) {
      const token = body[i] as CToken;
      if (isPunct(token, '#') && argument(body[i + 1]) >= 0) {
        const text = (given[argument(body[i + 1])] ?? []).map(
          (part, at) => (at > 0 && part.space ? ' ' : '') + escaped(part),
        );
        out.push({ ...token, kind: 'string', text: `"${text.join('')}"` });
        i++;
        continue;
      }
      const index = argument(token);
      if (index < 0) {
        out.push(token);
        continue;
      }
      const pasted = isPunct(body[i + 1] ?? END, '##') || (i > 0 && isPunct(body[i - 1] as CToken, '##'));
      const raw = given[index] ?? [];
      if (pasted) {
        const swallows =
          macro.variadic && index === parameters.length - 1 && i > 1 && isPunct(body[i - 2] as CToken, ',');
        if (swallows && isPunct(body[i - 1] as CToken, '##')) {
          // `, ## args`: the comma goes when there are none, and nothing is pasted otherwise.
          out.pop();
          if (raw.length === 0) out.pop();
          else out.push(...this.expand(raw));
          continue;
        }
        if (raw.length === 0) out.push({ ...token, kind: 'punct', text: '', hidden: [] });
        else out.push(...raw);
        continue;
      }
      let full = expanded.get(index);
      if (full === undefined) {
        full = this.expand(raw);
        expanded.set(index, full);
      }
      full.forEach((item, at) => {
        out.push(at === 0 ? { ...item, space: token.space } : item);
      });
      this.made += full.length;
      if (this.made > MAX_TOKENS) throw TOO_MANY_TOKENS;
    }
    return this.paste(out, hidden);
  }

  /** Carries out the ## operators and drops the placemarkers of empty arguments. */
  private paste(tokens: readonly CToken[], hidden: readonly string[]): CToken[] {
    if (!tokens.some((token) => token.kind === 'punct' && (token.text === '##' || token.text === '')))
      return [...tokens];
    const out: CToken[] = [];
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i] as CToken;
      const left = out[out.length - 1];
      const right = tokens[i + 1];
      if (!isPunct(token, '##') || left === undefined || right === undefined) {
        out.push(token);
        continue;
      }
      out.pop();
      const made = tokenize(left.text + right.text, left.file.name);
      const merged = made.map((item) => ({ ...left, kind: item.kind, text: item.text, hidden }));
      if (merged.length === 0) out.push({ ...left, kind: 'punct', text: '' });
      else out.push(...merged);
      i++;
    }
    return out.filter((token) => token.text !== '');
  }
}
