/**
 * A reference for pure expressions: random ones of known value. Each is built from its
 * parts together with what it must be worth, by the rules of the language as its
 * documentation gives them (bpftrace's docs/language.md, "Data Types", "Operators and
 * Expressions"; C17 6.3.1 and 6.5 for what they leave to C), written down once more here
 * and apart from the compiler:
 *
 * - a literal has the smallest type that holds it: `1` is a uint8, `-1` an int8
 * - arithmetic is done in 64 bits; a uint64 beside an unsigned integer stays unsigned,
 *   everything else is signed; a difference is unsigned between two uint64 only
 * - comparisons are unsigned where one side is a uint64 and the other no signed integer
 * - `/` and `%` truncate toward zero; by zero they give 1
 * - a shift has its left side's type and takes its count modulo 64
 */
import { randomSource } from './writer.ts';

export interface IntType {
  readonly kind: 'int';
  readonly bits: number;
  readonly signed: boolean;
}
export type Expected =
  | { readonly type: IntType; readonly value: bigint }
  | { readonly type: { readonly kind: 'bool' }; readonly value: boolean }
  | { readonly type: { readonly kind: 'string' }; readonly value: string };

export type Term = Expected & {
  readonly text: string;
  /** Written as a number, with signs and operators: its type is the smallest. */
  readonly literal?: boolean;
  /** Its value is known when the script is compiled: a choice by it leaves the other side out, type and all. */
  readonly constant?: boolean;
};

type Int = Extract<Term, { readonly type: IntType }>;
type Bool = Extract<Term, { readonly value: boolean }>;
type Text = Extract<Term, { readonly value: string }>;

const int = (bits: number, signed: boolean): IntType => ({ kind: 'int', bits, signed });
const int64 = int(64, true);
const uint64 = int(64, false);

/** A number as a type holds it. */
const wrap = (value: bigint, { bits, signed }: IntType): bigint =>
  signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);

function smallest(value: bigint): IntType {
  const signed = value < 0n;
  for (const bits of [8, 16, 32]) if (wrap(value, int(bits, signed)) === value) return int(bits, signed);
  return int(64, signed);
}

const isWide = (type: IntType): boolean => type.bits === 64 && !type.signed;

/** The type of `left operator right`. */
function resultType(operator: string, left: IntType, right: IntType): IntType {
  if (operator === '<<' || operator === '>>') return isWide(left) ? uint64 : int64;
  if (operator === '-') return isWide(left) && isWide(right) ? uint64 : int64;
  return (isWide(left) || isWide(right)) && !left.signed && !right.signed ? uint64 : int64;
}

/** A division toward zero, as C and BPF have it; by 0 it is 1. */
function quotient(a: bigint, b: bigint, remainder: boolean): bigint {
  if (b === 0n) return 1n;
  return remainder ? a % b : a / b;
}

function calculate(operator: string, type: IntType, left: bigint, right: bigint): bigint {
  const a = wrap(left, type);
  const b = wrap(right, type);
  switch (operator) {
    case '+':
      return wrap(a + b, type);
    case '-':
      return wrap(a - b, type);
    case '*':
      return wrap(a * b, type);
    case '/':
    case '%':
      return wrap(quotient(a, b, operator === '%'), type);
    case '&':
      return wrap(a & b, type);
    case '|':
      return wrap(a | b, type);
    case '^':
      return wrap(a ^ b, type);
    case '<<':
      return wrap(a << (right & 63n), type);
    default:
      return wrap(a >> (right & 63n), type);
  }
}

function compares(operator: string, left: Int, right: Int): boolean {
  const mixed = (isWide(left.type) && right.type.signed) || (isWide(right.type) && left.type.signed);
  const unsigned = (isWide(left.type) || isWide(right.type)) && !mixed;
  const [a, b] = unsigned
    ? [BigInt.asUintN(64, left.value), BigInt.asUintN(64, right.value)]
    : [BigInt.asIntN(64, left.value), BigInt.asIntN(64, right.value)];
  return ordered(operator, a < b ? -1 : a > b ? 1 : 0);
}

function ordered(operator: string, order: number): boolean {
  switch (operator) {
    case '==':
      return order === 0;
    case '!=':
      return order !== 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    default:
      return order >= 0;
  }
}

const edges = [
  0n,
  1n,
  2n,
  7n,
  63n,
  64n,
  127n,
  128n,
  255n,
  256n,
  32767n,
  32768n,
  65535n,
  65536n,
  2147483647n,
  2147483648n,
  4294967295n,
  4294967296n,
  9007199254740993n,
  9223372036854775807n,
  9223372036854775808n,
  18446744073709551615n,
];

const words = ['', 'a', 'b', 'ab', 'abc', 'aab', 'hello', 'hello world', 'exactly 16 chars', 'o w', 'zz'];

/** Programs of pure expressions with what each prints. */
export class ReferenceProgram {
  readonly #random: () => number;
  readonly #variables: Term[] = [];
  readonly text: string;
  readonly expected: readonly Term[];

  constructor(seed: number) {
    this.#random = randomSource(seed);
    const lines = Array.from({ length: 8 }, (_, index) => this.#declare(index));
    this.expected = Array.from({ length: 12 }, () => this.#any(3));
    const prints = this.expected.map(({ text }) => `  print(${text});`);
    this.text = `BEGIN {\n${lines.join('\n')}\n${prints.join('\n')}\n}\n`;
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }
  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)] as T;
  }

  #declare(index: number): string {
    const name = `$v${index}`;
    if (index >= 6) {
      const value = this.#pick(words);
      this.#variables.push({ text: name, type: { kind: 'string' }, value });
      return `  ${name} = "${value}";`;
    }
    const type = int(this.#pick([8, 16, 32, 64]), this.#random() < 0.5);
    const value = wrap(this.#number(), type);
    this.#variables.push({ text: name, type, value });
    return `  let ${name} : ${spell(type)} = (${spell(type)})${value < 0n ? `(${value})` : value};`;
  }

  #number(): bigint {
    const edge = this.#pick(edges);
    const value = this.#random() < 0.5 ? edge : edge + BigInt(this.#below(5) - 2);
    const whole = value < 0n ? 0n : value > 18446744073709551615n ? 18446744073709551615n : value;
    return this.#random() < 0.3 && whole <= 9223372036854775808n ? -whole : whole;
  }

  #any(depth: number): Term {
    const choice = this.#random();
    if (choice < 0.6) return this.#integer(depth);
    return choice < 0.85 ? this.#truth(depth) : this.#string(depth);
  }

  #literal(): Int {
    const value = this.#number();
    // The least int64 has no literal: it is the negative of one that is a uint64.
    const shown = value === -9223372036854775808n ? 0n : value;
    const text = shown < 0n ? `(${shown})` : String(shown);
    return { text, type: smallest(shown), value: shown, literal: true, constant: true };
  }

  #integer(depth: number): Int {
    if (depth === 0) {
      const known = this.#variables.filter((term): term is Int => term.type.kind === 'int');
      return this.#random() < 0.7 ? this.#pick(known) : this.#literal();
    }
    switch (this.#below(10)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#arithmetic(depth);
      case 4: {
        const inner = this.#integer(depth - 1);
        const type = int(this.#pick([8, 16, 32, 64]), this.#random() < 0.5);
        const constant = inner.constant === true;
        return { text: `(${spell(type)})(${inner.text})`, type, value: wrap(inner.value, type), constant };
      }
      case 5: {
        const inner = this.#integer(depth - 1);
        if (inner.literal) return inner;
        const type = isWide(inner.type) ? uint64 : int64;
        return { text: `-(${inner.text})`, type, value: wrap(-inner.value, type), constant: inner.constant === true };
      }
      case 6: {
        const inner = this.#integer(depth - 1);
        const constant = inner.constant === true;
        return { text: `~(${inner.text})`, type: uint64, value: wrap(~inner.value, uint64), constant };
      }
      case 7:
        return this.#choice(depth);
      case 8: {
        const bits = this.#pick([16, 32, 64]);
        const type = int(bits, false);
        const inner = wrap(this.#integer(depth - 1).value, type);
        let value = 0n;
        for (let at = 0n; at < BigInt(bits); at += 8n) value |= ((inner >> at) & 255n) << (BigInt(bits) - 8n - at);
        return { text: `bswap((${spell(type)})${inner})`, type, value };
      }
      default:
        return this.#ofText(depth);
    }
  }

  #arithmetic(depth: number): Int {
    const operator = this.#pick(['+', '-', '*', '/', '%', '&', '|', '^', '<<', '>>']);
    const left = this.#integer(depth - 1);
    let right = this.#integer(depth - 1);
    const literal = left.literal === true && right.literal === true;
    // A division by a zero that is written down is refused.
    if ((operator === '/' || operator === '%') && right.value === 0n && right.constant) right = this.#pickNonZero();
    const type = resultType(operator, left.type, right.type);
    const value = calculate(operator, type, left.value, right.value);
    const text = `(${left.text} ${operator} ${right.text})`;
    const constant = left.constant === true && right.constant === true;
    return literal ? { text, type: smallest(value), value, literal, constant } : { text, type, value, constant };
  }

  #pickNonZero(): Int {
    return { text: '3', type: smallest(3n), value: 3n, literal: true, constant: true };
  }

  #choice(depth: number): Int {
    const condition = this.#truth(depth - 1);
    const [then, otherwise] = [this.#integer(depth - 1), this.#integer(depth - 1)];
    const taken = condition.value ? then : otherwise;
    const text = `(${condition.text} ? (${then.text}) : (${otherwise.text}))`;
    if (condition.constant) return { text, type: taken.type, value: taken.value, constant: taken.constant === true };
    const same = then.type.bits === otherwise.type.bits && then.type.signed === otherwise.type.signed;
    const type = same ? then.type : resultType('+', then.type, otherwise.type);
    return { text, type, value: wrap(taken.value, type) };
  }

  /** Numbers that texts have. */
  #ofText(depth: number): Int {
    const [a, b] = [this.#string(depth - 1), this.#string(depth - 1)];
    switch (this.#below(4)) {
      case 0:
        return { text: `strlen(${a.text})`, type: uint64, value: BigInt(a.value.length), constant: a.literal === true };
      case 1:
        return { text: `strstr(${a.text}, ${b.text})`, type: int64, value: BigInt(a.value.indexOf(b.value)) };
      case 2: {
        const count = this.#below(12);
        const cut = (text: string): string => text.slice(0, count);
        return {
          text: `strncmp(${a.text}, ${b.text}, ${count})`,
          type: uint64,
          value: cut(a.value) === cut(b.value) ? 0n : 1n,
        };
      }
      default: {
        const index = this.#below(a.value.length + 1);
        const code = index < a.value.length ? a.value.charCodeAt(index) : 0;
        return { text: `(${a.text})[${index}]`, type: int(8, true), value: BigInt(code) };
      }
    }
  }

  #truth(depth: number): Bool {
    const type = { kind: 'bool' } as const;
    if (depth === 0) {
      const value = this.#random() < 0.5;
      return { text: String(value), type, value, constant: true };
    }
    switch (this.#below(6)) {
      case 0: {
        const [a, b] = [this.#truth(depth - 1), this.#truth(depth - 1)];
        const and = this.#random() < 0.5;
        return {
          text: `(${a.text} ${and ? '&&' : '||'} ${b.text})`,
          type,
          value: and ? a.value && b.value : a.value || b.value,
          constant: a.constant === true && b.constant === true,
        };
      }
      case 1: {
        const inner = this.#integer(depth - 1);
        return { text: `!(${inner.text})`, type, value: inner.value === 0n, constant: inner.constant === true };
      }
      case 2: {
        const [a, b] = [this.#string(depth - 1), this.#string(depth - 1)];
        const operator = this.#pick(['==', '!=', '<', '<=', '>', '>=']);
        const order = a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
        const constant = a.literal === true && b.literal === true && (operator === '==' || operator === '!=');
        return { text: `(${a.text} ${operator} ${b.text})`, type, value: ordered(operator, order), constant };
      }
      case 3: {
        const [a, b] = [this.#string(depth - 1), this.#string(depth - 1)];
        return { text: `strcontains(${a.text}, ${b.text})`, type, value: a.value.includes(b.value) };
      }
      default: {
        const [a, b] = [this.#integer(depth - 1), this.#integer(depth - 1)];
        const operator = this.#pick(['==', '!=', '<', '<=', '>', '>=']);
        const value =
          operator === '==' || operator === '!='
            ? (BigInt.asUintN(64, a.value) === BigInt.asUintN(64, b.value)) === (operator === '==')
            : compares(operator, a, b);
        const constant = a.constant === true && b.constant === true;
        return { text: `(${a.text} ${operator} ${b.text})`, type, value, constant };
      }
    }
  }

  #string(depth: number): Text {
    const type = { kind: 'string' } as const;
    if (depth === 0 || this.#random() < 0.4) {
      if (this.#random() < 0.5)
        return this.#pick(this.#variables.filter((term): term is Text => term.type.kind === 'string'));
      const value = this.#pick(words);
      return { text: `"${value}"`, type, value, literal: true };
    }
    const [a, b] = [this.#string(depth - 1), this.#string(depth - 1)];
    if (this.#random() < 0.5) {
      const plus = this.#random() < 0.5;
      return {
        text: plus ? `(${a.text} + ${b.text})` : `str_concat(${a.text}, ${b.text})`,
        type,
        value: a.value + b.value,
      };
    }
    const condition = this.#truth(depth - 1);
    return {
      text: `(${condition.text} ? ${a.text} : ${b.text})`,
      type,
      value: condition.value ? a.value : b.value,
    };
  }
}

const spell = ({ bits, signed }: IntType): string => `${signed ? 'int' : 'uint'}${bits}`;
