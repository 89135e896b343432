/** What the lexer hands to the parser. */
import type { Span } from '../../diag/source.ts';

export type Punctuation =
  | '('
  | ')'
  | '['
  | ']'
  | '{'
  | '}'
  | ','
  | ';'
  | ':'
  | '?'
  | '.'
  | '..'
  | '->'
  | '+'
  | '-'
  | '*'
  | '/'
  | '%'
  | '&'
  | '|'
  | '^'
  | '~'
  | '!'
  | '<'
  | '>'
  | '<<'
  | '>>'
  | '=='
  | '!='
  | '<='
  | '>='
  | '&&'
  | '||'
  | '++'
  | '--'
  | '#'
  | '##'
  | '='
  | '+='
  | '-='
  | '*='
  | '/='
  | '%='
  | '&='
  | '|='
  | '^='
  | '<<='
  | '>>=';

export type TokenKind =
  | Punctuation
  /** A bare word; keywords are words too, the grammar tells them apart by place. */
  | 'identifier'
  | 'integer'
  | 'string'
  /** `$name`; text without the `$`. */
  | 'variable'
  /** `$1`, `$#`; text is `1`, `#`. */
  | 'positional'
  /** `@name`, `@`; text without the `@`. */
  | 'map'
  | 'end';

/** The names of the #defines whose expansion a token came out of: it is not expanded by them again. */
export interface HideSet {
  readonly name: string;
  readonly next: HideSet | undefined;
}

export interface Token extends Span {
  readonly kind: TokenKind;
  /** The word or punctuation; of an integer as written, of a string its value. */
  readonly text: string;
  /** Of an integer. */
  readonly value: bigint;
  /** Of an integer: a U suffix was there. */
  readonly unsigned: boolean;
  readonly hidden: HideSet | undefined;
}

/** A token as words in a message: `'}'`, `the end of the script`. */
export function describeToken(token: Token, text: string): string {
  switch (token.kind) {
    case 'end':
      return 'the end of the script';
    case 'string':
      return 'a string';
    case 'integer':
      return `'${clip(token.text)}'`;
    case 'identifier':
      return `'${clip(token.text)}'`;
    case 'variable':
    case 'positional':
      return `'$${clip(token.text)}'`;
    case 'map':
      return `'@${clip(token.text)}'`;
    default:
      return `'${clip(token.text || text.slice(token.start, token.end))}'`;
  }
}

const clip = (text: string): string => (text.length > 40 ? `${text.slice(0, 37)}...` : text);

/** Words of other languages, and how they are spelled here. */
const spellings: ReadonlyMap<string, string> = new Map([
  ['and', "'and' is written '&&'"],
  ['or', "'or' is written '||'"],
  ['not', "'not' is written '!'"],
  ['elif', "'elif' is written 'else if'"],
  ['elseif', "'elseif' is written 'else if'"],
  ['elsif', "'elsif' is written 'else if'"],
  ['then', "there is no 'then': the body stands in { }"],
  ['do', "there is no 'do': the body stands in { }"],
]);

/** Hints that an unexpected token deserves wherever it stands. */
export function wordHints(token: Token): string[] {
  const hint = token.kind === 'identifier' ? spellings.get(token.text) : undefined;
  return hint === undefined ? [] : [hint];
}
