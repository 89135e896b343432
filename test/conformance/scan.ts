/**
 * The literals of a TypeScript test file, with the test and the calls that they stand in.
 * No parser of TypeScript: strings, templates, comments and regular expressions are told
 * apart, and parentheses counted.
 */
export interface Literal {
  readonly value: string;
  /** Names before the parentheses that it stands in, outermost first. */
  readonly calls: readonly string[];
  /** Title of the test that it stands in; of a table before a test, that test's. */
  readonly test: string | undefined;
}

export interface Scan {
  readonly literals: readonly Literal[];
  /** Words outside of literals and comments. */
  readonly words: ReadonlySet<string>;
}

/** Stands for what a template puts in: a name, which may stand in most places of a script. */
const hole = 'x';

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '0': '\0' };
const unescaped = (text: string): string =>
  text.replace(/\\(?:x([\da-fA-F]{2})|([\s\S]))/g, (_all, hex: string | undefined, char: string) =>
    hex !== undefined ? String.fromCharCode(Number.parseInt(hex, 16)) : (escapes[char] ?? char),
  );

interface Found {
  readonly at: number;
  readonly value: string;
  readonly calls: readonly { readonly name: string; readonly at: number }[];
}

/** Goes through the text once. */
class Scanner {
  readonly #text: string;
  #at = 0;
  readonly #calls: { readonly name: string; readonly at: number }[] = [];
  readonly found: Found[] = [];
  readonly words: Set<string> = new Set();

  constructor(text: string) {
    this.#text = text;
  }

  /** Until the end, or the brace that closes a template's hole. */
  code(inTemplate: boolean): void {
    const text = this.#text;
    let braces = 0;
    let before = '';
    while (this.#at < text.length) {
      const char = text[this.#at] as string;
      const start = this.#at;
      if (text.startsWith('//', start)) this.#skip(text.indexOf('\n', start));
      else if (text.startsWith('/*', start)) this.#skip(text.indexOf('*/', start) + 2);
      else if (char === "'" || char === '"') this.#string(char);
      else if (char === '`') this.#template();
      else if (char === '/' && /^$|[(,=:[!&|?{};+<>~-]$|\breturn$/.test(before)) this.#regularExpression();
      else if (/[\w$]/.test(char)) {
        const [word = ''] = /^[\w$]+/.exec(text.slice(start, start + 200)) ?? [];
        this.words.add(word);
        this.#at += word.length;
      } else {
        if (char === '{') braces++;
        if (char === '}' && inTemplate && braces-- === 0) return;
        if (char === '(')
          this.#calls.push({
            name: /([\w$]+)\s*$/.exec(text.slice(Math.max(0, start - 80), start))?.[1] ?? '',
            at: start,
          });
        if (char === ')') this.#calls.pop();
        this.#at++;
      }
      const consumed = text.slice(start, this.#at).trim();
      if (consumed !== '') before = consumed;
    }
  }

  #skip(to: number): void {
    this.#at = to < this.#at ? this.#text.length : to;
  }

  #add(at: number, value: string): void {
    this.found.push({ at, value, calls: [...this.#calls] });
  }

  #string(quote: string): void {
    const start = this.#at++;
    while (this.#at < this.#text.length && this.#text[this.#at] !== quote)
      this.#at += this.#text[this.#at] === '\\' ? 2 : 1;
    this.#at++;
    this.#add(start, unescaped(this.#text.slice(start + 1, this.#at - 1)));
  }

  #template(): void {
    const start = this.#at++;
    let value = '';
    while (this.#at < this.#text.length && this.#text[this.#at] !== '`') {
      if (this.#text.startsWith('${', this.#at)) {
        this.#at += 2;
        this.code(true);
        this.#at++;
        value += hole;
        continue;
      }
      const length = this.#text[this.#at] === '\\' ? 2 : 1;
      value += this.#text.slice(this.#at, this.#at + length);
      this.#at += length;
    }
    this.#at++;
    this.#add(start, unescaped(value));
  }

  #regularExpression(): void {
    let inClass = false;
    for (this.#at++; this.#at < this.#text.length; this.#at++) {
      const char = this.#text[this.#at];
      if (char === '\\') this.#at++;
      else if (char === '[') inClass = true;
      else if (char === ']') inClass = false;
      else if (char === '/' && !inClass) break;
    }
    this.#at++;
  }
}

export function scan(text: string): Scan {
  const scanner = new Scanner(text);
  scanner.code(false);
  /** A test by the parenthesis of its call: the first literal in it is its title. */
  const tests = new Map<number, string>();
  for (const { value, calls } of scanner.found) {
    const innermost = calls.at(-1);
    if (innermost !== undefined && /^(?:test|it)$/.test(innermost.name) && !tests.has(innermost.at))
      tests.set(innermost.at, value);
  }
  const starts = [...tests.keys()].sort((a, b) => a - b);
  const literals = scanner.found.map(({ at, value, calls }): Literal => {
    const own = calls.find((call) => tests.has(call.at));
    const next = starts.find((start) => start > at);
    const key = own?.at ?? next;
    return { value, calls: calls.map(({ name }) => name), test: key === undefined ? undefined : tests.get(key) };
  });
  return { literals, words: scanner.words };
}
