/**
 * --fmt: a script in canonical form. What is between the tokens is made new (white
 * space, line ends, the `;` of a last statement); the tokens themselves, comments,
 * preprocessor lines and C declarations stay as they were written. So the formatted
 * script means the same, and formatting it again changes nothing.
 *
 * A line may break inside of brackets, and before or after an operator, where the writer broke it.
 */
import { Diagnostics } from '../../diag/diagnostic.ts';
import type { Source, Span } from '../../diag/source.ts';
import type { Script } from './ast.ts';
import { Lexer } from './lexer.ts';
import { Report } from './report.ts';

/** What stays as it is: a token, or a longer piece that has no tokens of the language. */
interface Piece extends Span {
  readonly kind: 'token' | 'comment' | 'directive' | 'c' | 'attach';
  /** A token's kind, else ''. */
  readonly token: string;
  readonly text: string;
  /** Line ends between the piece before and this one. */
  readonly lines: number;
}

/** What the text of the tokens does not tell, taken from the tree: offsets of ends. */
interface Facts {
  /** Of statements that a `;` follows. */
  readonly statements: ReadonlySet<number>;
  /** Of blocks that are values: what follows their `}` goes on. */
  readonly values: ReadonlySet<number>;
  /** Of the types in casts: their `)` follows. */
  readonly casts: ReadonlySet<number>;
}

/** Formats a script that parsed without errors. */
export function formatScript(source: Source, script: Script): string {
  return new Formatter([...pieces(source, script)], factsOf(script)).format();
}

const simpleStatements: ReadonlySet<string> = new Set(['expr', 'assign', 'let', 'break', 'continue', 'return']);

function factsOf(script: Script): Facts {
  const facts = { statements: new Set<number>(), values: new Set<number>(), casts: new Set<number>() };
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { node, span, type } = value as { node?: string; span?: Span; type?: { span: Span } };
    if (node !== undefined && span !== undefined) {
      // A block that stands for its value is a statement of its own, without a `;`.
      const block = node === 'expr' && (value as { expr?: { node?: string } }).expr?.node === 'block_expr';
      if (simpleStatements.has(node) && !block) facts.statements.add(span.end);
      else if (node === 'block_expr' || node === 'ternary') facts.values.add(span.end);
      if (node === 'cast' && type !== undefined) facts.casts.add(type.span.end);
    }
    for (const [key, child] of Object.entries(value)) if (key !== 'span') visit(child);
  };
  visit(script.preamble);
  visit(script.probes);
  for (const item of script.config) facts.statements.add(item.span.end);
  return facts;
}

/** The pieces of a script in the order of the text. */
function* pieces(source: Source, script: Script): Iterable<Piece> {
  const { text } = source;
  const whole: { readonly span: Span; readonly kind: Piece['kind'] }[] = [];
  for (const { span } of script.directives) whole.push({ span, kind: 'directive' });
  for (const { span } of script.comments) whole.push({ span, kind: 'comment' });
  for (const probe of script.probes) for (const { span } of probe.attachPoints) whole.push({ span, kind: 'attach' });
  for (const { node, span } of script.preamble) {
    if (node === 'c') whole.push({ span, kind: 'c' });
    else if (node === 'define' || node === 'include') whole.push({ span, kind: 'directive' });
  }
  whole.sort((a, b) => a.span.start - b.span.start);
  const byteOrderMark = text.startsWith('\ufeff') ? 1 : 0;
  if (script.shebang !== undefined) {
    whole.unshift({ span: { start: byteOrderMark, end: byteOrderMark + script.shebang.length }, kind: 'directive' });
  }
  const lexer = new Lexer(text, new Report(new Diagnostics()));
  let at = byteOrderMark;
  let next = 0;
  for (;;) {
    const from = at;
    while (at < text.length && /\s/.test(text[at] as string)) at++;
    if (at >= text.length) return;
    const lines = text.slice(from, at).split('\n').length - 1;
    // What lies inside of a piece that stays whole was given with it.
    while (next < whole.length && (whole[next]?.span.start as number) < at) next++;
    const known = whole[next];
    if (known !== undefined && known.span.start === at) {
      at = known.span.end;
      yield { ...known.span, kind: known.kind, token: '', text: text.slice(known.span.start, at).trimEnd(), lines };
      continue;
    }
    lexer.at = at;
    const token = lexer.next();
    at = Math.max(token.end, at + 1);
    yield {
      start: token.start,
      end: at,
      kind: 'token',
      token: token.kind,
      text: text.slice(token.start, at),
      lines,
    };
  }
}

const indentation = '  ';
/** Operators that stand between two operands, with a space on both sides. */
const between = /^(?:[-+*/%&|^<>=?:]|<<|>>|[=!<>]=|&&|\|\||[-+*/%&|^]=|<<=|>>=)$/;
const operand = /^(?:identifier|variable|map|integer|string|positional|\)|\])$/;
/** Words of the language: a bracket after them is not that of a call, an operator after them is a prefix. */
const keywords: ReadonlySet<string> = new Set(['if', 'else', 'while', 'for', 'unroll', 'return', 'let', 'comptime']);

class Formatter {
  readonly #pieces: readonly Piece[];
  readonly #facts: Facts;
  #at = 0;
  #out = '';
  /** What is being written, without indentation. */
  #line = '';
  /** The line goes on with what the one before began. */
  #continued = false;
  #depth = 0;
  /** For each bracket that is open, how many blocks were. */
  readonly #brackets: number[] = [];
  /** The token before is a prefix, or closes a cast. */
  #tight = false;
  /** Between an attach point, or `macro`, and the block. */
  #head = false;
  #inPredicate = false;

  constructor(pieces: readonly Piece[], facts: Facts) {
    this.#pieces = pieces;
    this.#facts = facts;
  }

  format(): string {
    for (const [at, piece] of this.#pieces.entries()) {
      this.#at = at;
      if (piece.kind === 'token') this.#token(piece);
      else if (piece.kind === 'comment') this.#comment(piece);
      else this.#whole(piece);
    }
    this.#endLine();
    return this.#out;
  }

  /** The piece before, comments left out. */
  get #before(): Piece | undefined {
    let at = this.#at - 1;
    while (this.#pieces[at]?.kind === 'comment') at--;
    return this.#pieces[at];
  }

  #after(skip = 0): Piece | undefined {
    let at = this.#at + 1;
    for (let left = skip; at < this.#pieces.length; at++) {
      if (this.#pieces[at]?.kind !== 'comment' && left-- === 0) break;
    }
    return this.#pieces[at];
  }

  #endLine(): void {
    if (this.#line !== '') {
      this.#out += `${indentation.repeat(this.#depth + (this.#continued ? 2 : 0))}${this.#line}\n`;
    }
    this.#line = '';
    this.#continued = false;
  }

  #breakLine(): void {
    this.#endLine();
    this.#continued = !this.#head;
    this.#tight = false;
  }

  /** At the start of a line: an empty one before it, where the writer left one, and after a block of the top level. */
  #space(piece: Piece): void {
    let at = this.#at - 1;
    while (this.#pieces[at]?.token === ';') at--;
    const before = this.#pieces[at];
    if (before === undefined || before.token === '{' || this.#head) return;
    const blockEnded = this.#depth === 0 && this.#out.endsWith('\n}\n');
    if ((blockEnded || piece.lines > 1) && !this.#out.endsWith('\n\n')) this.#out += '\n';
  }

  /** An attach point, a preprocessor line, a C declaration. */
  #whole(piece: Piece): void {
    if (piece.kind === 'attach') {
      if (!this.#head) this.#space(piece);
      this.#head = true;
      this.#line = piece.text;
      return;
    }
    this.#endLine();
    this.#space(piece);
    this.#out += `${piece.text}\n`;
  }

  #comment(piece: Piece): void {
    const text = piece.text
      .split(/\r?\n/)
      .map((line) => line.trimEnd())
      .join('\n');
    const begun = this.#line !== '' || this.#continued;
    if (piece.lines === 0 && this.#at > 0) {
      if (this.#line !== '') {
        this.#line += ` ${text}`;
        if (text.startsWith('//')) this.#breakLine();
        return;
      }
      if (/[^\n]\n$/.test(this.#out)) {
        this.#out = `${this.#out.slice(0, -1)} ${text}\n`;
        return;
      }
    }
    if (begun) this.#breakLine();
    else this.#space(piece);
    this.#line = text;
    if (begun) this.#breakLine();
    else this.#endLine();
  }

  #token(piece: Piece): void {
    switch (piece.token) {
      case '{':
        if (this.#head) this.#endLine();
        this.#append(piece);
        this.#endLine();
        this.#depth++;
        this.#head = false;
        return;
      case '}':
        this.#endLine();
        this.#depth--;
        this.#append(piece);
        if (!this.#facts.values.has(piece.end) && this.#after()?.text !== 'else') this.#endLine();
        else this.#endStatement(piece);
        return;
      case ';':
        if (this.#line !== '') this.#line += ';';
        this.#endLine();
        return;
      case ',':
        this.#line += ',';
        if (this.#head && this.#brackets.length === 0) this.#endLine();
        return;
      case '/':
        if (this.#head && this.#brackets.length === 0) {
          if (!this.#inPredicate) {
            this.#endLine();
            this.#line = '/';
            // `/*` would begin a comment.
            this.#tight = this.#after()?.token !== '*';
            this.#inPredicate = true;
            return;
          }
          if (this.#after()?.token === '{') {
            this.#line += '/';
            this.#endLine();
            this.#inPredicate = false;
            return;
          }
        }
    }
    if (piece.token === ')' || piece.token === ']') this.#brackets.pop();
    if (this.#line === '' && !this.#continued) {
      this.#space(piece);
      if (this.#depth === 0 && piece.text === 'macro') this.#head = true;
    } else if (piece.lines > 0 && this.#line !== '' && this.#mayBreak(piece)) this.#breakLine();
    this.#append(piece);
    if (piece.token === '(' || piece.token === '[') this.#brackets.push(this.#depth);
    this.#endStatement(piece);
  }

  /** Adds the `;` that the last statement of a block may lack. */
  #endStatement(piece: Piece): void {
    if (!this.#facts.statements.has(piece.end) || this.#after()?.token !== '}') return;
    this.#line += ';';
    this.#endLine();
  }

  /** Whether the line may go on in a new one before this token: in brackets, or beside an operator. */
  #mayBreak(piece: Piece): boolean {
    if (piece.token === ')' || piece.token === ']') return false;
    if (this.#brackets.length > 0 && this.#brackets.at(-1) === this.#depth) return true;
    return between.test(piece.token) || between.test(this.#before?.token ?? '');
  }

  /** Appends a token with the space that belongs before it. */
  #append(piece: Piece): void {
    const prefix = this.#isPrefix(piece);
    this.#line += (this.#line === '' || this.#joins(piece, prefix) ? '' : ' ') + piece.text;
    const before = this.#before;
    this.#tight = prefix || (piece.token === ')' && before !== undefined && this.#facts.casts.has(before.end));
  }

  /** Whether a token follows the one before without a space. */
  #joins(piece: Piece, prefix: boolean): boolean {
    const before = this.#before;
    if (this.#tight || before === undefined) return true;
    // `0 .9` asks for a member of a number; `0.9` would be a fraction.
    if (piece.token === '.' && before.token === 'integer') return this.#pieces[this.#at - 2]?.token === '.';
    if (/^(?:[.)\]]|->|\.\.)$/.test(piece.token) || /^(?:[.([]|->|\.\.)$/.test(before.token)) return true;
    switch (piece.token) {
      case '[':
        return true;
      case '(':
        return before.token === 'identifier' && !keywords.has(before.text);
      case '++':
      case '--':
        return !prefix;
      case '*':
        return before.token === '*' && this.#isTypeStar;
      case ':':
        return before.token === '?';
      default:
        return false;
    }
  }

  /** Of a `*`: it belongs to a type, as nothing that it could multiply follows. */
  get #isTypeStar(): boolean {
    let skip = 0;
    while (this.#after(skip)?.token === '*') skip++;
    return /^[),;=]$/.test(this.#after(skip)?.token ?? '');
  }

  #isPrefix(piece: Piece): boolean {
    if (piece.token === '!' || piece.token === '~') return true;
    if (!/^(?:[-+*&]|\+\+|--)$/.test(piece.token)) return false;
    if (piece.token === '*' && this.#isTypeStar) return false;
    const before = this.#before;
    if (before === undefined || before.kind !== 'token') return true;
    if (before.token === ')' && this.#tight) return true;
    if (before.token === '}') return !this.#facts.values.has(before.end);
    if (before.token === '++' || before.token === '--') return this.#tight;
    return !operand.test(before.token) || (before.token === 'identifier' && keywords.has(before.text));
  }
}
