/** The C preprocessor (C11 6.10): directives, includes, and the stream of tokens that is left. */
import { ExpressionReader, intValue, NotConstant } from './expression.ts';
import { END, Macro, MacroTable, spell, TokenList, type TokenSource, tokenize } from './macro.ts';
import { type CFile, type CToken, isPunct, Lexer } from './token.ts';

export interface CProblem {
  /** Only what stands in the text itself is an error; headers are not the user's. */
  readonly severity: 'error' | 'warning';
  readonly code: string;
  readonly message: string;
  /** Name of the text, or path of the header. */
  readonly file: string;
  /** UTF-16 offsets in that file. */
  readonly start: number;
  readonly end: number;
}

export interface MissingHeader {
  readonly path: string;
  readonly system: boolean;
  /** Where the #include stands. */
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

export type IncludeFinder = (
  path: string,
  system: boolean,
  from: string | undefined,
) => { readonly path: string; readonly text: string } | undefined;

/** A `#pragma pack` as the stream of tokens carries it; its arguments are in `hidden`. */
export const PACK = '#pack';

const MAX_INCLUDE_DEPTH = 64;
/** Characters of all headers together. */
const MAX_TEXT = 1 << 25;
const MAX_PROBLEMS = 100;

interface Conditional {
  /** One of its groups has been taken. */
  taken: boolean;
  otherwise: boolean;
  readonly token: CToken;
}

interface Frame {
  readonly lexer: Lexer;
  readonly file: CFile;
  readonly conditionals: Conditional[];
}

export class Preprocessor implements TokenSource {
  readonly problems: CProblem[] = [];
  readonly missing: MissingHeader[] = [];
  readonly table: MacroTable = new MacroTable();
  private readonly main: CFile;
  private readonly include: IncludeFinder;
  private readonly frames: Frame[] = [];
  private readonly pending: CToken[] = [];
  private readonly once = new Set<string>();
  private text = 0;

  constructor(main: CFile, include: IncludeFinder, predefined: Iterable<readonly [name: string, body: string]>) {
    this.main = main;
    this.include = include;
    for (const [name, body] of predefined) this.predefine(name, body);
    this.enter(main);
  }

  /** The next token with all macros replaced. */
  token(): CToken {
    for (;;) {
      const token = this.next();
      if (token.kind === 'name') {
        if (this.table.replace(token, this)) continue;
        if (token.text === '_Pragma') {
          this.dropParenthesis();
          continue;
        }
        if (token.text === '__LINE__') return { ...token, kind: 'number', text: String(lineOf(token)) };
        if (token.text === '__FILE__') return { ...token, kind: 'string', text: JSON.stringify(token.file.name) };
      }
      return token;
    }
  }

  /** The next token as it stands; directives are carried out. */
  next(): CToken {
    const waiting = this.pending.pop();
    if (waiting !== undefined) return waiting;
    for (;;) {
      const frame = this.frames[this.frames.length - 1];
      if (frame === undefined)
        return { ...END, file: this.main, start: this.main.text.length, end: this.main.text.length };
      const token = frame.lexer.next();
      if (token.kind === 'end') {
        for (const open of frame.conditionals) this.problem(open.token, 'unclosed-condition', 'this #if has no #endif');
        this.frames.pop();
      } else if (token.first && isPunct(token, '#')) {
        const pack = this.directive(frame, token);
        if (pack !== undefined) return pack;
      } else return token;
    }
  }

  unread(tokens: readonly CToken[]): void {
    for (let i = tokens.length - 1; i >= 0; i--) {
      const token = tokens[i] as CToken;
      if (token.kind !== 'end') this.pending.push(token);
    }
  }

  problem(token: CToken, code: string, message: string): void {
    if (this.problems.length >= MAX_PROBLEMS) return;
    const { file, start, end } = token;
    const severity = file === this.main ? 'error' : 'warning';
    if (this.problems.some((other) => other.code === code && other.start === start && other.file === file.name)) return;
    this.problems.push({ severity, code, message, file: file.name, start, end });
  }

  private predefine(name: string, body: string): void {
    if (!name.includes('(')) {
      // A body that begins with '(' is no list of parameters.
      this.table.macros.set(name, new Macro(name, ` ${body}`, true));
      return;
    }
    // As on a compiler's command line: NAME(a,b).
    const match = /^([A-Za-z_]\w*)(\([^)]*\))$/.exec(name);
    if (match === null) return;
    this.table.macros.set(match[1] as string, new Macro(match[1] as string, `${match[2]} ${body}`, true));
  }

  private enter(file: CFile): void {
    this.frames.push({ lexer: new Lexer(file), file, conditionals: [] });
  }

  private dropParenthesis(): void {
    let depth = 0;
    for (let token = this.next(); token.kind !== 'end'; token = this.next()) {
      if (isPunct(token, '(')) depth++;
      else if (isPunct(token, ')') && --depth <= 0) return;
      else if (depth === 0) {
        this.unread([token]);
        return;
      }
    }
  }

  private restTokens(frame: Frame): CToken[] {
    const tokens: CToken[] = [];
    for (let token = frame.lexer.next(true); token.kind !== 'end'; token = frame.lexer.next(true)) tokens.push(token);
    return tokens;
  }

  private directive(frame: Frame, hash: CToken): CToken | undefined {
    const name = frame.lexer.next(true);
    if (name.kind === 'end') return undefined;
    switch (name.text) {
      case 'include':
      case 'include_next':
      case 'import':
        this.includeFile(frame, name);
        break;
      case 'define':
        this.define(frame, name);
        break;
      case 'undef': {
        const [macro] = this.restTokens(frame);
        if (macro?.kind === 'name') this.table.macros.delete(macro.text);
        else this.problem(macro ?? name, 'bad-directive', 'expected the name of a macro behind #undef');
        break;
      }
      case 'if':
      case 'ifdef':
      case 'ifndef': {
        const taken = this.condition(name, this.restTokens(frame));
        frame.conditionals.push({ taken, otherwise: false, token: name });
        if (!taken) this.skip(frame);
        break;
      }
      case 'elif':
      case 'elifdef':
      case 'elifndef':
      case 'else':
        frame.lexer.skipLine();
        if (frame.conditionals.length === 0) this.problem(name, 'stray-directive', `#${name.text} without #if`);
        // The group before was taken: nothing further is.
        else this.skip(frame);
        break;
      case 'endif':
        if (frame.conditionals.pop() === undefined) this.problem(name, 'stray-directive', '#endif without #if');
        frame.lexer.skipLine();
        break;
      case 'error': {
        const rest = spell(this.restTokens(frame)).trim();
        this.problem({ ...hash, end: name.end }, 'error-directive', `#error ${rest}`);
        break;
      }
      case 'pragma':
        return this.pragma(frame, name);
      case 'warning':
      case 'line':
      case 'ident':
      case 'sccs':
      case 'assert':
      case 'unassert':
        frame.lexer.skipLine();
        break;
      default:
        // `# 12 "file"`, as a preprocessor writes it.
        if (name.kind !== 'number') this.problem(name, 'bad-directive', `unknown directive #${name.text}`);
        frame.lexer.skipLine();
    }
    return undefined;
  }

  private pragma(frame: Frame, name: CToken): CToken | undefined {
    const tokens = this.restTokens(frame);
    if (tokens[0]?.text === 'once') this.once.add(frame.file.name);
    if (tokens[0]?.text !== 'pack') return undefined;
    const words = this.table.expand(tokens.slice(1)).filter((token) => token.kind !== 'punct');
    return { ...name, kind: 'punct', text: PACK, hidden: words.map((token) => token.text) };
  }

  /** Passes over groups until one is to be read, or the #endif. */
  private skip(frame: Frame): void {
    const conditional = frame.conditionals[frame.conditionals.length - 1] as Conditional;
    let depth = 0;
    for (;;) {
      const token = frame.lexer.next();
      if (token.kind === 'end') return;
      if (!isPunct(token, '#')) {
        frame.lexer.skipLine();
        continue;
      }
      const name = frame.lexer.next(true);
      switch (name.text) {
        case 'if':
        case 'ifdef':
        case 'ifndef':
          depth++;
          break;
        case 'endif':
          if (depth-- === 0) {
            frame.conditionals.pop();
            frame.lexer.skipLine();
            return;
          }
          break;
        case 'else':
          if (depth === 0) {
            if (conditional.otherwise) this.problem(name, 'stray-directive', 'a second #else');
            conditional.otherwise = true;
            if (!conditional.taken) {
              conditional.taken = true;
              frame.lexer.skipLine();
              return;
            }
          }
          break;
        case 'elif':
        case 'elifdef':
        case 'elifndef':
          if (depth === 0 && !conditional.taken) {
            if (this.condition({ ...name, text: name.text.slice(2) }, this.restTokens(frame))) {
              conditional.taken = true;
              return;
            }
          }
          break;
        default:
      }
      frame.lexer.skipLine();
    }
  }

  private isDefined(name: string): boolean {
    return (
      this.table.macros.has(name) || /^__has_(?:include|include_next|attribute|builtin|feature|extension)$/.test(name)
    );
  }

  private condition(directive: CToken, tokens: readonly CToken[]): boolean {
    if (directive.text !== 'if') {
      const [macro] = tokens;
      if (macro?.kind !== 'name') {
        this.problem(macro ?? directive, 'bad-directive', `expected the name of a macro behind #${directive.text}`);
        return false;
      }
      return this.isDefined(macro.text) === (directive.text === 'ifdef');
    }
    try {
      const expanded = this.table.expand(this.answerDefined(tokens));
      const stream = new TokenList(expanded);
      const value = new ExpressionReader(stream, {
        preprocessor: true,
        name: (token) => intValue(token.text === 'true' ? 1 : 0),
        builtin: (token, from) => {
          if (!/^__(?:has|is)_\w+$|^__building_module$/.test(token.text) || !isPunct(from.peek(), '('))
            return undefined;
          let depth = 0;
          do {
            const part = from.next();
            if (part.kind === 'end') break;
            depth += isPunct(part, '(') ? 1 : isPunct(part, ')') ? -1 : 0;
          } while (depth > 0);
          return intValue(0);
        },
      }).read();
      const rest = stream.peek();
      if (rest.kind !== 'end') throw new NotConstant(`unexpected '${rest.text}'`, rest);
      return value.value !== 0n;
    } catch (error) {
      if (!(error instanceof NotConstant)) throw error;
      const at = error.token.file === directive.file && error.token.end > 0 ? error.token : directive;
      this.problem(at, 'bad-condition', `#if: ${error.reason}`);
      return false;
    }
  }

  /** `defined` and __has_include are answered before macros are replaced. */
  private answerDefined(tokens: readonly CToken[]): CToken[] {
    const out: CToken[] = [];
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i] as CToken;
      if (token.text === 'defined' && token.kind === 'name') {
        const paren = isPunct(tokens[i + 1] ?? END, '(');
        const macro = tokens[i + (paren ? 2 : 1)];
        if (macro?.kind !== 'name' || (paren && !isPunct(tokens[i + 3] ?? END, ')'))) {
          throw new NotConstant("expected the name of a macro behind 'defined'", token);
        }
        out.push({ ...token, kind: 'number', text: this.isDefined(macro.text) ? '1' : '0' });
        i += paren ? 3 : 1;
        continue;
      }
      if (/^__has_include(?:_next)?$/.test(token.text) && isPunct(tokens[i + 1] ?? END, '(')) {
        let close = i + 2;
        while (close < tokens.length && !isPunct(tokens[close] as CToken, ')')) close++;
        const path = spell(tokens.slice(i + 2, close)).trim();
        const system = path.startsWith('<');
        const found = this.include(path.slice(1, -1), system, token.file === this.main ? undefined : token.file.name);
        out.push({ ...token, kind: 'number', text: found === undefined ? '0' : '1' });
        i = close;
        continue;
      }
      out.push(token);
    }
    return out;
  }

  private includeFile(frame: Frame, name: CToken): void {
    const { text, start } = frame.lexer.restOfLine();
    let match = /^\s*(?:<([^>\n]+)>|"([^"\n]+)")/.exec(text);
    if (match === null) {
      // A macro that stands for the name.
      const spelled = spell(this.table.expand(tokenize(text, frame.file.name)));
      match = /^\s*(?:<([^>\n]+)>|"([^"\n]+)")/.exec(spelled);
    }
    const at: CToken = { ...name, start, end: start + text.trimEnd().length };
    if (match === null) {
      this.problem(at, 'bad-directive', 'expected <file> or "file" behind #include');
      return;
    }
    const system = match[1] !== undefined;
    const path = (match[1] ?? match[2]) as string;
    const found = this.include(path, system, frame.file === this.main ? undefined : frame.file.name);
    if (found === undefined) {
      const { file, end } = at;
      this.missing.push({ path, system, file: file.name, start: start + (text.length - text.trimStart().length), end });
      return;
    }
    // #include_next, which finds the same file here, would go round in circles.
    if (this.once.has(found.path) || (name.text === 'include_next' && found.path === frame.file.name)) return;
    this.text += found.text.length;
    if (this.frames.length >= MAX_INCLUDE_DEPTH || this.text > MAX_TEXT) {
      this.problem(at, 'include-depth', `#include <${path}>: headers include each other too deep`);
      return;
    }
    this.enter({ name: found.path, text: found.text });
  }

  private define(frame: Frame, directive: CToken): void {
    const name = frame.lexer.next(true);
    if (name.kind !== 'name') {
      const at = name.kind === 'end' ? directive : name;
      this.problem(at, 'bad-directive', 'expected the name of a macro behind #define');
      frame.lexer.skipLine();
      return;
    }
    const macro = new Macro(name.text, frame.lexer.restOfDirective(), false);
    if (frame.file === this.main && macro.isFunction) {
      void macro.parameters;
      if (macro.wrong !== undefined) {
        this.problem(name, 'bad-directive', macro.wrong);
        return;
      }
    }
    this.table.macros.set(name.text, macro);
  }
}

function lineOf(token: CToken): number {
  let line = 1;
  for (
    let at = token.file.text.indexOf('\n');
    at >= 0 && at < token.start;
    at = token.file.text.indexOf('\n', at + 1)
  ) {
    line++;
  }
  return line;
}
