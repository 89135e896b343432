/**
 * The ground of the C++ name reader: the characters, numbers, identifiers, the table
 * of substitutions (Itanium C++ ABI 5.1.10) and the limits that keep a hostile name
 * from costing more than a real one.
 */
import { NAME, Node, named } from './node.ts';
import { ABBREVIATIONS } from './tables.ts';

/** Thrown where the text breaks the grammar or a limit; never leaves this folder. */
export const MALFORMED: unique symbol = Symbol('malformed name');

/** Nesting of types, names and expressions; real names stay below 150. */
export const MAX_DEPTH = 512;
/** Longer names are not read at all; the longest in workerd has 11,974 characters. */
export const MAX_INPUT: number = 1 << 17;

const bytes: Uint8Array = new Uint8Array(MAX_INPUT + 4);

export class Reader {
  /** The name as character codes, with zeros behind the end. */
  readonly bytes: Uint8Array = bytes;
  text = '';
  pos = 0;
  end = 0;
  depth = 0;
  /** Standard abbreviations are written out in full. */
  verbose = true;
  substitutions: Node[] = [];
  /** The class's own name, for its constructors and destructors. */
  lastName = '';
  /** Arguments of the innermost template that the encoding's name is; null before they are read. */
  scope: readonly Node[] | null = null;
  /** What the template arguments that were read last require of themselves; null for nothing. */
  demanded: Node | null = null;
  /** Parameters named before their arguments: in the type of a conversion operator. */
  forward: Node[] = [];
  /** Reading the target type of a conversion operator. */
  inConversion = false;
  inExpression = false;
  /** Unresolved names are read the way old compilers wrote them. */
  oldUnresolved = false;
  /** The way they are written makes a difference for this name. */
  sawUnresolved = false;
  /** Template arguments read now belong to the encoding's own name. */
  ownName = false;

  start(text: string, pos: number, verbose: boolean, oldUnresolved = false): void {
    const length = text.length;
    if (length > MAX_INPUT) throw MALFORMED;
    for (let i = pos; i < length; i++) bytes[i] = text.charCodeAt(i);
    bytes[length] = 0;
    bytes[length + 1] = 0;
    bytes[length + 2] = 0;
    this.text = text;
    this.pos = pos;
    this.end = length;
    this.depth = 0;
    this.verbose = verbose;
    this.substitutions = [];
    this.lastName = '';
    this.scope = null;
    this.demanded = null;
    this.forward = [];
    this.inConversion = false;
    this.inExpression = false;
    this.ownName = false;
    this.oldUnresolved = oldUnresolved;
    this.sawUnresolved = false;
  }

  fail(): never {
    throw MALFORMED;
  }

  peek(): number {
    return bytes[this.pos] as number;
  }

  peekNext(): number {
    return bytes[this.pos + 1] as number;
  }

  /** Takes the character, or fails. */
  expect(code: number): void {
    if (bytes[this.pos] !== code) throw MALFORMED;
    this.pos++;
  }

  /** Takes the character when it is next. */
  take(code: number): boolean {
    if (bytes[this.pos] !== code) return false;
    this.pos++;
    return true;
  }

  enter(): void {
    if (++this.depth > MAX_DEPTH) throw MALFORMED;
  }

  leave(): void {
    this.depth--;
  }

  /** Decimal digits; 0 when there are none. */
  number(): number {
    let value = 0;
    for (;;) {
      const digit = (bytes[this.pos] as number) - 48;
      if (digit < 0 || digit > 9) return value;
      if (value > 100_000_000) throw MALFORMED;
      value = value * 10 + digit;
      this.pos++;
    }
  }

  /** `[n] <decimal>`, the sign as `n`. */
  signedNumber(): number {
    return this.take(0x6e) ? -this.number() : this.number();
  }

  /** `_` is 0, `<n>_` is n+1. */
  compactNumber(): number {
    if (this.take(0x5f)) return 0;
    const digit = this.peek() - 48;
    if (digit < 0 || digit > 9) throw MALFORMED;
    const value = this.number() + 1;
    this.expect(0x5f);
    return value;
  }

  /** `_` is 0, `<base 36>_` is n+1. */
  sequence(): number {
    let value = 0;
    let first = true;
    for (;;) {
      const code = bytes[this.pos] as number;
      if (code === 0x5f) {
        this.pos++;
        return first ? 0 : value + 1;
      }
      if (code >= 48 && code <= 57) value = value * 36 + code - 48;
      else if (code >= 65 && code <= 90) value = value * 36 + code - 55;
      else throw MALFORMED;
      if (value > 1_000_000) throw MALFORMED;
      first = false;
      this.pos++;
    }
  }

  /** The text of `<length> <identifier>`. */
  identifier(): string {
    const length = this.number();
    const start = this.pos;
    if (length === 0 || start + length > this.end) throw MALFORMED;
    this.pos = start + length;
    // _GLOBAL__N_1 and its relatives: what GCC and clang call the unnamed namespace.
    if (length >= 10 && bytes[start] === 0x5f && bytes[start + 1] === 0x47 && bytes[start + 9] === 0x4e) {
      const separator = bytes[start + 8];
      if ((separator === 0x5f || separator === 0x2e || separator === 0x24) && this.text.startsWith('_GLOBAL_', start)) {
        return '(anonymous namespace)';
      }
    }
    return this.text.slice(start, start + length);
  }

  sourceName(): Node {
    const text = this.identifier();
    this.lastName = text;
    return new Node(NAME, null, null, text, 0, null);
  }

  isDigit(): boolean {
    const code = bytes[this.pos] as number;
    return code >= 48 && code <= 57;
  }

  remember(node: Node): Node {
    this.substitutions.push(node);
    return node;
  }

  /**
   * S <seq-id> _, S_, or a standard abbreviation except St. `prefix`: within a nested
   * name, where a constructor may follow, which takes the class's own name.
   */
  substitution(prefix: boolean): Node {
    this.expect(0x53);
    const code = this.peek();
    if (code === 0x5f || (code >= 48 && code <= 57) || (code >= 65 && code <= 90)) {
      const node = this.substitutions[this.sequence()];
      if (node === undefined) throw MALFORMED;
      return node;
    }
    const abbreviation = ABBREVIATIONS[String.fromCharCode(code)];
    if (abbreviation === undefined) throw MALFORMED;
    this.pos++;
    const next = this.peek();
    const full = this.verbose || (prefix && (next === 0x43 || next === 0x44));
    this.lastName = abbreviation.own;
    return named(full ? abbreviation.full : abbreviation.short);
  }
}
