/**
 * Rust's second mangling, `_R…` (RFC 2603, "v0"): paths, types and constants with back
 * references. Text is that of GNU c++filt: with `verbose` crates carry their
 * disambiguator (`std[1e3c4ec04c5261a9]`) and constants their type.
 */
import { MALFORMED, MAX_INPUT } from './reader.ts';

const MAX_DEPTH = 256;
const MAX_OUTPUT = 1 << 17;
/** Back references let a short name ask for much work, also where it prints nothing. */
const MAX_STEPS = 1 << 17;

const BASIC_TYPES: Readonly<Record<string, string | undefined>> = {
  a: 'i8',
  b: 'bool',
  c: 'char',
  d: 'f64',
  e: 'str',
  f: 'f32',
  h: 'u8',
  i: 'isize',
  j: 'usize',
  l: 'i32',
  m: 'u32',
  n: 'i128',
  o: 'u128',
  p: '_',
  s: 'i16',
  t: 'u16',
  u: '()',
  v: '...',
  x: 'i64',
  y: 'u64',
  z: '!',
};

/** Punycode (RFC 3492) with digits a…z0…9 behind the plain part. */
function decodePunycode(plain: string, code: string): string {
  const out = Array.from(plain);
  let n = 0x80;
  let i = 0;
  let bias = 72;
  let damp = 700;
  let at = 0;
  while (at < code.length) {
    let delta = 0;
    let weight = 1;
    for (let k = 36; ; k += 36) {
      const char = code.charCodeAt(at++);
      const digit = char >= 97 && char <= 122 ? char - 97 : char >= 48 && char <= 57 ? char - 22 : -1;
      if (digit < 0) throw MALFORMED;
      delta += digit * weight;
      if (delta > 0x7fffffff) throw MALFORMED;
      const threshold = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
      if (digit < threshold) break;
      weight *= 36 - threshold;
    }
    const length = out.length + 1;
    i += delta;
    n += Math.floor(i / length);
    i %= length;
    if (n > 0x10ffff || (n >= 0xd800 && n <= 0xdfff)) throw MALFORMED;
    out.splice(i, 0, String.fromCodePoint(n));
    i++;
    delta = Math.floor(delta / damp);
    damp = 2;
    delta += Math.floor(delta / length);
    let k = 0;
    while (delta > 455) {
      delta = Math.floor(delta / 35);
      k += 36;
    }
    bias = k + Math.floor((36 * delta) / (delta + 38));
  }
  return out.join('');
}

const HEX = /^[0-9a-f]*$/;

class V0 {
  private readonly text: string;
  private readonly verbose: boolean;
  private pos = 0;
  private depth = 0;
  private steps = 0;
  private out = '';
  /** Above 0: read on without printing. */
  private silent = 0;
  /** Lifetimes bound by the binders around. */
  private bound = 0;

  constructor(text: string, verbose: boolean) {
    this.text = text;
    this.verbose = verbose;
  }

  symbol(): string {
    this.path(true);
    if (this.pos < this.text.length) {
      // The crate that instantiated a generic function.
      this.silent++;
      this.path(false);
    }
    if (this.pos !== this.text.length) throw MALFORMED;
    return this.out;
  }

  private print(text: string): void {
    if (this.silent > 0) return;
    this.out += text;
    if (this.out.length > MAX_OUTPUT) throw MALFORMED;
  }

  private enter(): void {
    if (++this.depth > MAX_DEPTH || ++this.steps > MAX_STEPS) throw MALFORMED;
  }

  private next(): string {
    const char = this.text[this.pos++];
    if (char === undefined) throw MALFORMED;
    return char;
  }

  private take(char: string): boolean {
    if (this.text[this.pos] !== char) return false;
    this.pos++;
    return true;
  }

  /** `_` is 0, `<base 62>_` is n+1. */
  private base62(): bigint {
    if (this.take('_')) return 0n;
    let value = 0n;
    let digits = 0;
    while (!this.take('_')) {
      const code = this.next().charCodeAt(0);
      let digit: number;
      if (code >= 48 && code <= 57) digit = code - 48;
      else if (code >= 97 && code <= 122) digit = code - 97 + 10;
      else if (code >= 65 && code <= 90) digit = code - 65 + 36;
      else throw MALFORMED;
      if (++digits > 12) throw MALFORMED;
      value = value * 62n + BigInt(digit);
    }
    return value + 1n;
  }

  private tagged(tag: string): bigint {
    return this.take(tag) ? this.base62() + 1n : 0n;
  }

  private disambiguator(): bigint {
    return this.tagged('s');
  }

  private identifier(): string {
    const puny = this.take('u');
    const first = this.next().charCodeAt(0) - 48;
    if (first < 0 || first > 9) throw MALFORMED;
    let length = first;
    if (first !== 0) {
      for (;;) {
        const digit = this.text.charCodeAt(this.pos) - 48;
        if (!(digit >= 0 && digit <= 9)) break;
        length = length * 10 + digit;
        if (length > this.text.length) throw MALFORMED;
        this.pos++;
      }
    }
    this.take('_');
    const start = this.pos;
    this.pos += length;
    if (this.pos > this.text.length) throw MALFORMED;
    const text = this.text.slice(start, this.pos);
    if (!puny) return text;
    const separator = text.lastIndexOf('_');
    const code = text.slice(separator + 1);
    if (code === '') throw MALFORMED;
    return decodePunycode(separator < 0 ? '' : text.slice(0, separator), code);
  }

  /** Follows a back reference, unless nothing is printed anyway. */
  private backReference(read: () => void): void {
    const from = this.pos - 1;
    const target = this.base62();
    if (target >= BigInt(from)) throw MALFORMED;
    if (this.silent > 0) return;
    const { pos } = this;
    this.pos = Number(target);
    read();
    this.pos = pos;
  }

  private path(inValue: boolean): void {
    this.enter();
    const tag = this.next();
    switch (tag) {
      case 'C': {
        const hash = this.disambiguator();
        this.print(this.identifier());
        if (this.verbose) this.print(`[${hash.toString(16)}]`);
        break;
      }
      case 'N': {
        const space = this.next();
        if (!/[A-Za-z]/.test(space)) throw MALFORMED;
        this.path(inValue);
        const index = this.disambiguator();
        const name = this.identifier();
        if (space >= 'A' && space <= 'Z') {
          this.print('::{');
          this.print(space === 'C' ? 'closure' : space === 'S' ? 'shim' : space);
          if (name !== '') this.print(`:${name}`);
          this.print(`#${index}}`);
        } else if (name !== '') this.print(`::${name}`);
        break;
      }
      case 'M':
      case 'X': {
        // The path of the impl block itself is not shown.
        this.disambiguator();
        this.silent++;
        this.path(inValue);
        this.silent--;
        this.qualifiedSelf(tag === 'X');
        break;
      }
      case 'Y':
        this.qualifiedSelf(true);
        break;
      case 'I':
        this.path(inValue);
        if (inValue) this.print('::');
        this.print('<');
        this.separated(() => this.genericArgument());
        this.print('>');
        break;
      case 'B':
        this.backReference(() => this.path(inValue));
        break;
      default:
        throw MALFORMED;
    }
    this.depth--;
  }

  private qualifiedSelf(trait: boolean): void {
    this.print('<');
    this.type();
    if (trait) {
      this.print(' as ');
      this.path(false);
    }
    this.print('>');
  }

  /** Items up to E, with commas; returns their number. */
  private separated(read: () => void): number {
    let count = 0;
    while (!this.take('E')) {
      if (count++ > 0) this.print(', ');
      read();
    }
    return count;
  }

  private genericArgument(): void {
    if (this.take('L')) this.lifetime(Number(this.base62()));
    else if (this.take('K')) this.constant();
    else this.type();
  }

  /** 0 is the erased one, others count outward from the innermost binder. */
  private lifetime(index: number): void {
    this.print("'");
    if (index === 0) {
      this.print('_');
      return;
    }
    const depth = this.bound - index;
    if (depth < 0) throw MALFORMED;
    if (depth < 26) this.print(String.fromCharCode(97 + depth));
    else this.print(`_${depth}`);
  }

  private binder(read: () => void): void {
    const count = Number(this.tagged('G'));
    if (count > 1024) throw MALFORMED;
    if (count > 0) {
      this.print('for<');
      for (let i = 0; i < count; i++) {
        if (i > 0) this.print(', ');
        this.bound++;
        this.lifetime(1);
      }
      this.print('> ');
    }
    read();
    this.bound -= count;
  }

  private type(): void {
    const tag = this.next();
    const basic = BASIC_TYPES[tag];
    if (basic !== undefined) {
      this.print(basic);
      return;
    }
    this.enter();
    switch (tag) {
      case 'R':
      case 'Q': {
        this.print('&');
        if (this.take('L')) {
          const index = Number(this.base62());
          if (index > 0) {
            this.lifetime(index);
            this.print(' ');
          }
        }
        if (tag === 'Q') this.print('mut ');
        this.type();
        break;
      }
      case 'P':
      case 'O':
        this.print(tag === 'P' ? '*const ' : '*mut ');
        this.type();
        break;
      case 'A':
      case 'S':
        this.print('[');
        this.type();
        if (tag === 'A') {
          this.print('; ');
          this.constant();
        }
        this.print(']');
        break;
      case 'T': {
        this.print('(');
        const count = this.separated(() => this.type());
        this.print(count === 1 ? ',)' : ')');
        break;
      }
      case 'F':
        this.binder(() => this.signature());
        break;
      case 'D': {
        this.print('dyn ');
        this.binder(() => {
          let count = 0;
          while (!this.take('E')) {
            if (count++ > 0) this.print(' + ');
            this.dynTrait();
          }
        });
        if (!this.take('L')) throw MALFORMED;
        const index = Number(this.base62());
        if (index > 0) {
          this.print(' + ');
          this.lifetime(index);
        }
        break;
      }
      case 'B':
        this.backReference(() => this.type());
        break;
      default:
        this.pos--;
        this.path(false);
    }
    this.depth--;
  }

  private signature(): void {
    if (this.take('U')) this.print('unsafe ');
    if (this.take('K')) {
      const abi = this.take('C') ? 'C' : this.identifier().replaceAll('_', '-');
      this.print(`extern "${abi}" `);
    }
    this.print('fn(');
    this.separated(() => this.type());
    this.print(')');
    if (this.take('u')) return;
    this.print(' -> ');
    this.type();
  }

  /** A trait with the bindings of its associated types: `Fn<(u8,), Output = ()>`. */
  private dynTrait(): void {
    let open = this.openPath();
    while (this.take('p')) {
      this.print(open ? ', ' : '<');
      open = true;
      this.print(this.identifier());
      this.print(' = ');
      this.type();
    }
    if (open) this.print('>');
  }

  /** A path whose `>` is left to the caller; true when there is one. */
  private openPath(): boolean {
    this.enter();
    let open = false;
    if (this.take('B')) {
      this.backReference(() => {
        open = this.openPath();
      });
    } else if (this.take('I')) {
      this.path(false);
      this.print('<');
      this.separated(() => this.genericArgument());
      open = true;
    } else this.path(false);
    this.depth--;
    return open;
  }

  /** <hex>_ without the underscore. */
  private hex(): string {
    const end = this.text.indexOf('_', this.pos);
    if (end < 0) throw MALFORMED;
    const digits = this.text.slice(this.pos, end);
    if (!HEX.test(digits)) throw MALFORMED;
    this.pos = end + 1;
    return digits;
  }

  private constant(): void {
    this.enter();
    const tag = this.next();
    switch (tag) {
      case 'p':
        this.print('_');
        break;
      case 'B':
        this.backReference(() => this.constant());
        break;
      case 'h':
      case 't':
      case 'm':
      case 'y':
      case 'o':
      case 'j':
        this.number();
        this.constantType(tag);
        break;
      case 'a':
      case 's':
      case 'l':
      case 'x':
      case 'n':
      case 'i':
        if (this.take('n')) this.print('-');
        this.number();
        this.constantType(tag);
        break;
      case 'b': {
        const digits = this.hex();
        if (digits !== '0' && digits !== '1') throw MALFORMED;
        this.print(digits === '1' ? 'true' : 'false');
        this.constantType(tag);
        break;
      }
      case 'c': {
        const code = Number.parseInt(`0${this.hex()}`, 16);
        if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw MALFORMED;
        this.print(`'${escaped(code, this.verbose)}'`);
        this.constantType(tag);
        break;
      }
      case 'e':
        this.print('*');
        this.string();
        break;
      case 'R':
      case 'Q':
        if (tag === 'R' && this.take('e')) {
          this.string();
          break;
        }
        this.print(tag === 'R' ? '&' : '&mut ');
        this.constant();
        break;
      case 'A':
        this.print('[');
        this.separated(() => this.constant());
        this.print(']');
        break;
      case 'T': {
        this.print('(');
        const count = this.separated(() => this.constant());
        this.print(count === 1 ? ',)' : ')');
        break;
      }
      case 'V':
        this.variant();
        break;
      default:
        throw MALFORMED;
    }
    this.depth--;
  }

  private constantType(tag: string): void {
    if (this.verbose) this.print(`: ${BASIC_TYPES[tag]}`);
  }

  private number(): void {
    const digits = this.hex();
    if (digits === '') throw MALFORMED;
    // Beyond 64 bits c++filt stays with hexadecimal.
    this.print(digits.length > 16 ? `0x${digits}` : BigInt(`0x${digits}`).toString());
  }

  private string(): void {
    const digits = this.hex();
    if (digits.length % 2 !== 0) throw MALFORMED;
    const bytes = new Uint8Array(digits.length / 2);
    for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
    let text = '';
    for (const char of new TextDecoder().decode(bytes)) {
      text +=
        char === '"' || char === '\\'
          ? `\\${char}`
          : this.verbose || char !== "'"
            ? escaped(char.codePointAt(0) as number, this.verbose)
            : char;
    }
    this.print(`"${text}"`);
  }

  /** A value of a struct or an enum. */
  private variant(): void {
    const shape = this.next();
    this.path(true);
    if (shape === 'U') return;
    if (shape === 'T') {
      this.print('(');
      this.separated(() => this.constant());
      this.print(')');
    } else if (shape === 'S') {
      this.print(' { ');
      this.separated(() => {
        this.disambiguator();
        this.print(`${this.identifier()}: `);
        this.constant();
      });
      this.print(' }');
    } else throw MALFORMED;
  }
}

/** A character within quotes. c++filt escapes neither quote nor backslash, and all that is not ASCII; Rust the other way around. */
function escaped(code: number, verbose: boolean): string {
  if (code === 0x0a) return '\\n';
  if (code === 0x0d) return '\\r';
  if (code === 0x09) return '\\t';
  if (verbose) return code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : `\\u{${code.toString(16)}}`;
  const text = code > 0x10ffff ? '' : String.fromCodePoint(code);
  if (text === "'" || text === '\\') return `\\${text}`;
  return text !== '' && !/^(?! )[\p{C}\p{Z}\p{M}]/u.test(text) ? text : `\\u{${code.toString(16)}}`;
}

/**
 * What follows a Rust symbol (`.cold`, `.0`), as Rust's own demangler shows it; '' for the
 * number that LLVM adds when it makes a local symbol global. c++filt shows neither.
 */
export function rustSuffix(text: string): string {
  const suffix = text.replace(/\.llvm\.[0-9A-F@]+$/, '');
  return /^(\.[\w.$@-]+)$/.test(suffix) ? suffix : '';
}

/** The path a v0 Rust symbol names; undefined when it is none. With `verbose` a suffix (`.cold`) is dropped. */
export function rustV0Name(name: string, verbose: boolean): string | undefined {
  const dot = name.indexOf('.');
  const text = name.slice(2, dot < 0 ? undefined : dot);
  if (text.length > MAX_INPUT || !/^[A-Z]\w*$/.test(text)) return undefined;
  try {
    return new V0(text, verbose).symbol() + (verbose || dot < 0 ? '' : rustSuffix(name.slice(dot)));
  } catch (error) {
    if (error === MALFORMED || error instanceof RangeError) return undefined;
    throw error;
  }
}
