/**
 * Integer constant expressions (C11 6.6): of #if, where everything is 64 bits wide and
 * unknown names are 0 (6.10.1), and of declarations, with C's promotions and
 * conversions on LP64.
 */
import { type CToken, isPunct } from './token.ts';

export interface CValue {
  readonly value: bigint;
  readonly bits: 32 | 64;
  readonly unsigned: boolean;
}

/** Thrown where an expression is no integer constant; `token` is where. */
export class NotConstant {
  readonly reason: string;
  readonly token: CToken;
  constructor(reason: string, token: CToken) {
    this.reason = reason;
    this.token = token;
  }
}

export interface TokenStream {
  peek(ahead?: number): CToken;
  next(): CToken;
}

/** What names and types mean where the expression stands. */
export interface ExpressionScope {
  /** In #if: all arithmetic is that of intmax_t. */
  readonly preprocessor: boolean;
  name(token: CToken): CValue | undefined;
  /** Reads a type name when one stands next: size, and how a cast to it changes a value. */
  typeName?(stream: TokenStream): CTypeSize | undefined;
  /** Size and alignment of the variable or member an expression in sizeof names; undefined when unknown. */
  builtin?(name: CToken, stream: TokenStream): CValue | undefined;
}

export interface CTypeSize {
  readonly size: number;
  readonly align: number;
  /** undefined: not an integer type. */
  readonly integer: { readonly size: number; readonly unsigned: boolean } | undefined;
}

const MAX_DEPTH = 200;

export const makeValue = (value: bigint, bits: 32 | 64, unsigned: boolean): CValue => ({
  value: unsigned ? BigInt.asUintN(bits, value) : BigInt.asIntN(bits, value),
  bits,
  unsigned,
});
export const intValue = (value: bigint | number): CValue => makeValue(BigInt(value), 32, false);
export const sizeValue = (size: number): CValue => makeValue(BigInt(size), 64, true);

const ESCAPES: Readonly<Record<string, number | undefined>> = {
  n: 10,
  t: 9,
  r: 13,
  a: 7,
  b: 8,
  f: 12,
  v: 11,
  e: 27,
  '0': 0,
};

/** The value of a character constant; undefined when it is none. */
function charValue(text: string): bigint | undefined {
  const open = text.indexOf("'");
  const body = text.slice(open + 1, -1);
  let value = 0n;
  let count = 0;
  for (let at = 0; at < body.length; count++) {
    let code: number;
    const match = /^\\(?:x([0-9a-fA-F]+)|([0-7]{1,3})|(.))/.exec(body.slice(at));
    if (match !== null) {
      at += match[0].length;
      if (match[1] !== undefined) code = Number.parseInt(match[1], 16);
      else if (match[2] !== undefined) code = Number.parseInt(match[2], 8);
      else code = ESCAPES[match[3] as string] ?? (match[3] as string).charCodeAt(0);
    } else code = body.charCodeAt(at++);
    if (open > 0) value = BigInt(code);
    // A plain char is signed, several make a number of their bytes.
    else value = count === 0 ? BigInt.asIntN(8, BigInt(code)) : (value << 8n) | BigInt(code & 255);
  }
  return count === 0 ? undefined : BigInt.asIntN(32, value);
}

/** The value of an integer constant with its type by C11 6.4.4.1; undefined when it is none. */
export function numberValue(text: string): CValue | undefined {
  const match = /^(0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)([uUlL]*)$/.exec(text.replaceAll("'", ''));
  if (match === null) return undefined;
  const digits = match[1] as string;
  const suffix = (match[2] as string).toLowerCase();
  if (!/^(u?l{0,2}|l{1,2}u)$/.test(suffix)) return undefined;
  const octal = /^0[0-7]+$/.test(digits);
  const value = BigInt(octal ? `0o${digits.slice(1)}` : digits);
  if (value > 0xffffffffffffffffn) return undefined;
  const decimal = /^[1-9]/.test(digits);
  const wantsUnsigned = suffix.includes('u');
  const wantsLong = suffix.includes('l');
  for (const bits of [32, 64] as const) {
    if (bits === 32 && wantsLong) continue;
    if (!wantsUnsigned && value < 1n << BigInt(bits - 1)) return makeValue(value, bits, false);
    if ((wantsUnsigned || !decimal) && value < 1n << BigInt(bits)) return makeValue(value, bits, true);
  }
  return makeValue(value, 64, true);
}

const LEVELS: Readonly<Record<string, number | undefined>> = {
  '||': 1,
  '&&': 2,
  '|': 3,
  '^': 4,
  '&': 5,
  '==': 6,
  '!=': 6,
  '<': 7,
  '>': 7,
  '<=': 7,
  '>=': 7,
  '<<': 8,
  '>>': 8,
  '+': 9,
  '-': 9,
  '*': 10,
  '/': 10,
  '%': 10,
};

export class ExpressionReader {
  private readonly stream: TokenStream;
  private readonly scope: ExpressionScope;
  private depth = 0;
  /** Above 0: the operand is not evaluated (right of && and the like), so that it may divide by 0. */
  private dead = 0;

  constructor(stream: TokenStream, scope: ExpressionScope) {
    this.stream = stream;
    this.scope = scope;
  }

  /** A conditional-expression. Throws NotConstant. */
  read(): CValue {
    if (++this.depth > MAX_DEPTH) throw new NotConstant('the expression is nested too deep', this.stream.peek());
    const condition = this.binary(1);
    let result = condition;
    if (isPunct(this.stream.peek(), '?')) {
      this.stream.next();
      const truth = condition.value !== 0n;
      const left = isPunct(this.stream.peek(), ':') ? condition : this.alive(truth, () => this.comma());
      this.expect(':');
      const right = this.alive(!truth, () => this.read());
      const { bits, unsigned } = this.common(left, right);
      result = makeValue(truth ? left.value : right.value, bits, unsigned);
    }
    this.depth--;
    return result;
  }

  private comma(): CValue {
    let value = this.read();
    while (isPunct(this.stream.peek(), ',')) {
      this.stream.next();
      value = this.read();
    }
    return value;
  }

  private alive(live: boolean, read: () => CValue): CValue {
    if (live) return read();
    this.dead++;
    const value = read();
    this.dead--;
    return value;
  }

  private expect(text: string): void {
    const token = this.stream.next();
    if (!isPunct(token, text)) throw new NotConstant(`expected '${text}'`, token);
  }

  /** The usual arithmetic conversions. */
  private common(left: CValue, right: CValue): { readonly bits: 32 | 64; readonly unsigned: boolean } {
    const bits = left.bits === 64 || right.bits === 64 ? 64 : 32;
    return { bits, unsigned: (left.bits === bits && left.unsigned) || (right.bits === bits && right.unsigned) };
  }

  private binary(level: number): CValue {
    let left = this.unary();
    for (;;) {
      const token = this.stream.peek();
      const own = token.kind === 'punct' ? LEVELS[token.text] : undefined;
      if (own === undefined || own < level) return left;
      this.stream.next();
      const skip = (token.text === '&&' && left.value === 0n) || (token.text === '||' && left.value !== 0n);
      const right = this.alive(!skip, () => this.binary(own + 1));
      left = this.apply(token, left, right);
    }
  }

  private apply(token: CToken, left: CValue, right: CValue): CValue {
    const { bits, unsigned } = this.common(left, right);
    const a = unsigned ? BigInt.asUintN(bits, left.value) : left.value;
    const b = unsigned ? BigInt.asUintN(bits, right.value) : right.value;
    const truth = (value: boolean): CValue => intValue(value ? 1 : 0);
    const number = (value: bigint): CValue => makeValue(value, bits, unsigned);
    switch (token.text) {
      case '||':
        return truth(left.value !== 0n || right.value !== 0n);
      case '&&':
        return truth(left.value !== 0n && right.value !== 0n);
      case '==':
        return truth(a === b);
      case '!=':
        return truth(a !== b);
      case '<':
        return truth(a < b);
      case '>':
        return truth(a > b);
      case '<=':
        return truth(a <= b);
      case '>=':
        return truth(a >= b);
      case '|':
        return number(a | b);
      case '^':
        return number(a ^ b);
      case '&':
        return number(a & b);
      case '+':
        return number(a + b);
      case '-':
        return number(a - b);
      case '*':
        return number(a * b);
      case '/':
      case '%':
        if (b === 0n) {
          if (this.dead > 0) return number(0n);
          throw new NotConstant('division by zero', token);
        }
        return number(token.text === '/' ? a / b : a % b);
      default: {
        // A shift has the type of its left operand.
        if (right.value < 0n || right.value >= BigInt(left.bits)) {
          if (this.dead > 0) return left;
          throw new NotConstant('shift by more bits than there are', token);
        }
        const value = token.text === '<<' ? left.value << right.value : left.value >> right.value;
        return makeValue(value, left.bits, left.unsigned);
      }
    }
  }

  private unary(): CValue {
    if (++this.depth > MAX_DEPTH) throw new NotConstant('the expression is nested too deep', this.stream.peek());
    const value = this.readUnary();
    this.depth--;
    return value;
  }

  private readUnary(): CValue {
    const token = this.stream.next();
    switch (token.kind) {
      case 'number': {
        const value = numberValue(token.text);
        if (value === undefined) throw new NotConstant(`${token.text} is not an integer`, token);
        return this.widen(value);
      }
      case 'char': {
        const value = charValue(token.text);
        if (value === undefined) throw new NotConstant('an empty character constant', token);
        return this.widen(intValue(value));
      }
      case 'name':
        return this.nameOrOperator(token);
      case 'punct':
        break;
      default:
        throw new NotConstant(token.kind === 'end' ? 'the expression ends early' : 'not an integer', token);
    }
    switch (token.text) {
      case '(': {
        const type = this.scope.typeName?.(this.stream);
        if (type !== undefined) {
          this.expect(')');
          return this.cast(token, type, this.unary());
        }
        const value = this.comma();
        this.expect(')');
        return value;
      }
      case '+':
        return this.unary();
      case '-': {
        const operand = this.unary();
        return makeValue(-operand.value, operand.bits, operand.unsigned);
      }
      case '~': {
        const operand = this.unary();
        return makeValue(~operand.value, operand.bits, operand.unsigned);
      }
      case '!':
        return this.widen(intValue(this.unary().value === 0n ? 1 : 0));
      default:
        throw new NotConstant(`unexpected '${token.text}'`, token);
    }
  }

  private widen(value: CValue): CValue {
    return this.scope.preprocessor ? makeValue(value.value, 64, value.unsigned) : value;
  }

  private cast(token: CToken, type: CTypeSize, value: CValue): CValue {
    if (type.integer === undefined) throw new NotConstant('a cast to something that is not an integer', token);
    const bits = type.integer.size * 8;
    const narrow = type.integer.unsigned ? BigInt.asUintN(bits, value.value) : BigInt.asIntN(bits, value.value);
    // What is smaller than int is promoted to it.
    if (bits < 32) return intValue(narrow);
    return makeValue(narrow, bits === 64 ? 64 : 32, type.integer.unsigned);
  }

  private nameOrOperator(token: CToken): CValue {
    const { text } = token;
    const isSize = text === 'sizeof';
    if (!this.scope.preprocessor && (isSize || /^(?:_Alignof|__alignof__|__alignof|alignof)$/.test(text))) {
      const next = this.stream.peek();
      if (isPunct(next, '(')) {
        this.stream.next();
        const type = this.scope.typeName?.(this.stream);
        if (type !== undefined) {
          this.expect(')');
          return sizeValue(isSize ? type.size : type.align);
        }
        const value = this.comma();
        this.expect(')');
        return sizeValue(value.bits / 8);
      }
      return sizeValue(this.unary().bits / 8);
    }
    const builtin = this.scope.builtin?.(token, this.stream);
    if (builtin !== undefined) return builtin;
    const value = this.scope.name(token);
    if (value === undefined) throw new NotConstant(`'${text}' is not a constant`, token);
    return this.widen(value);
  }
}
