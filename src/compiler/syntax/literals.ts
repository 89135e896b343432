/**
 * The insides of literals: numbers (decimal, octal, hexadecimal, `1e6`, separators,
 * C suffixes, durations) and string escapes. Ruled by bpftrace's language reference,
 * section Literals.
 */
import type { Span } from '../../diag/source.ts';

export type LexicalReport = (code: string, message: string, span: Span, ...hints: string[]) => void;

/** Nanoseconds in each unit that may follow a number. */
const durations: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: 86_400_000_000_000n,
};

const largest = (1n << 64n) - 1n;

const number = /^(?:(0[xX][0-9a-fA-F_]*)|([0-9][0-9_]*)(?:[eE]([0-9][0-9_]*))?)(.*)$/;

/** Reads a number as written; reports what is wrong with it and then gives some value, to go on with. */
export function readNumber(
  text: string,
  start: number,
  report: LexicalReport,
): { readonly value: bigint; readonly unsigned: boolean } {
  // The common cases, a short decimal or hexadecimal, without regular expressions.
  if (text.length < 16 && (!text.startsWith('0') || text.length === 1) && isDigits(text))
    return { value: BigInt(+text), unsigned: false };
  if (text.length < 12 && text.startsWith('0x') && text.length > 2 && isHexadecimal(text))
    return { value: BigInt(+text), unsigned: false };

  const span = { start, end: start + text.length };
  const bad = (
    code: string,
    message: string,
    where: Span,
    ...hints: string[]
  ): { value: bigint; unsigned: boolean } => {
    report(code, message, where, ...hints);
    return { value: 0n, unsigned: false };
  };
  const parts = number.exec(text);
  if (parts === null) return bad('invalid-number', `'${clip(text)}' is not a number`, span);
  const hexadecimal = parts[1]?.replaceAll('_', '');
  const decimal = parts[2]?.replaceAll('_', '') ?? '';
  const exponent = parts[3]?.replaceAll('_', '');
  const suffix = parts[4] ?? '';

  let value: bigint;
  if (hexadecimal !== undefined) {
    if (hexadecimal.length === 2) return bad('invalid-number', `'${clip(text)}' has no hexadecimal digits`, span);
    // 16 digits make 64 bits; a script may write more leading zeros than anyone can mean.
    value = hexadecimal.length > 256 ? largest + 1n : BigInt(hexadecimal);
  } else if (exponent !== undefined) {
    const power = exponent.length > 3 ? 999 : Number(exponent);
    value =
      decimal.length > 256 || power > 64
        ? /^0+$/.test(decimal)
          ? 0n
          : largest + 1n
        : BigInt(decimal) * 10n ** BigInt(power);
  } else if (decimal.length > 1 && decimal.startsWith('0')) {
    if (/[89]/.test(decimal)) {
      return bad(
        'invalid-number',
        `'${clip(text)}' is not an octal number`,
        span,
        'a number that begins with 0 is octal, as in C; write it without the leading 0 for decimal',
      );
    }
    value = decimal.length > 256 ? largest + 1n : BigInt(`0o${decimal}`);
  } else {
    value = decimal.length > 256 ? largest + 1n : BigInt(decimal);
  }

  let unsigned = false;
  if (suffix !== '') {
    const unit = durations[suffix];
    if (unit !== undefined && hexadecimal === undefined) value *= unit;
    else if (/^(?:[uU](?:l|L|ll|LL)?|(?:l|L|ll|LL)[uU]?)$/.test(suffix)) unsigned = /[uU]/.test(suffix);
    else {
      const where = { start: span.end - suffix.length, end: span.end };
      if (text.startsWith('0b') || text.startsWith('0B')) {
        return bad(
          'invalid-number',
          `'${clip(text)}': binary numbers are not part of the language`,
          span,
          'write it in hexadecimal',
        );
      }
      return bad(
        'invalid-number-suffix',
        `'${clip(suffix)}' cannot follow a number`,
        where,
        'what may follow: a duration (ns, us, ms, s, m, h, d) or a C suffix (u, l, ul, ll, ull)',
      );
    }
  }
  if (value > largest) {
    return bad(
      'integer-too-large',
      `'${clip(text)}' does not fit in 64 bits`,
      span,
      `the largest integer is ${largest} (0xffffffffffffffff)`,
    );
  }
  return { value, unsigned };
}

function isDigits(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 48 || code > 57) return false;
  }
  return true;
}

function isHexadecimal(text: string): boolean {
  for (let i = 2; i < text.length; i++) {
    const code = text.charCodeAt(i) | 32;
    if (!((code >= 48 && code <= 57) || (code >= 97 && code <= 102)) || text.charCodeAt(i) < 48) return false;
  }
  return true;
}

const clip = (text: string): string => (text.length > 40 ? `${text.slice(0, 37)}...` : text);

const simpleEscapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '"': '"', '\\': '\\' };

/**
 * Resolves the escapes of a string literal's inside. `start` is the offset of the
 * inside in the source. Bytes from 0x80 on, written as \xHH or \NNN, become the
 * characters that they encode in UTF-8; a byte that is no part of valid UTF-8 becomes
 * the lone surrogate U+DC00 + byte, so that no byte is lost (see stringBytes).
 */
export function resolveEscapes(inside: string, start: number, report: LexicalReport): string {
  let at = inside.indexOf('\\');
  if (at < 0) return inside;
  let out = inside.slice(0, at);
  let bytes: number[] = [];
  const flush = (): void => {
    if (bytes.length > 0) out += decodeBytes(bytes);
    bytes = [];
  };
  while (at < inside.length) {
    const char = inside[at] as string;
    if (char !== '\\') {
      flush();
      const next = inside.indexOf('\\', at);
      out += inside.slice(at, next < 0 ? undefined : next);
      at = next < 0 ? inside.length : next;
      continue;
    }
    const letter = inside[at + 1] ?? '';
    const simple = simpleEscapes[letter];
    if (simple !== undefined) {
      flush();
      out += simple;
      at += 2;
    } else if (letter === 'x') {
      let end = at + 2;
      while (end < at + 4 && /[0-9a-fA-F]/.test(inside[end] ?? '')) end++;
      if (end === at + 2) {
        report('unknown-escape', "'\\x' needs one or two hexadecimal digits", { start: start + at, end: start + end });
      } else bytes.push(Number.parseInt(inside.slice(at + 2, end), 16));
      at = end;
    } else if (letter >= '0' && letter <= '7') {
      let end = at + 1;
      while (end < at + 4 && /[0-7]/.test(inside[end] ?? '')) end++;
      const value = Number.parseInt(inside.slice(at + 1, end), 8);
      if (value > 255) {
        report(
          'unknown-escape',
          `'${inside.slice(at, end)}' is more than a byte holds`,
          { start: start + at, end: start + end },
          "the largest octal escape is '\\377'",
        );
      } else bytes.push(value);
      at = end;
    } else {
      const width = (inside.codePointAt(at + 1) ?? 0) > 0xffff ? 3 : 2;
      report(
        'unknown-escape',
        `unknown escape '${inside.slice(at, at + width)}' in a string`,
        { start: start + at, end: Math.min(start + at + width, start + inside.length) },
        'the escapes are \\n \\t \\r \\\\ \\" \\NNN (octal) and \\xHH (hexadecimal)',
      );
      flush();
      out += inside.slice(at + 1, at + width);
      at += width;
    }
  }
  flush();
  return out;
}

/** UTF-8 (RFC 3629) to text; stray bytes become U+DC00 + byte. */
function decodeBytes(bytes: readonly number[]): string {
  let out = '';
  for (let i = 0; i < bytes.length; ) {
    const first = bytes[i] as number;
    const length =
      first < 0x80
        ? 1
        : first >= 0xc2 && first < 0xe0
          ? 2
          : first >= 0xe0 && first < 0xf0
            ? 3
            : first >= 0xf0 && first < 0xf5
              ? 4
              : 0;
    let code = length === 1 ? first : first & (0x7f >> length);
    let good = length > 0 && i + length <= bytes.length;
    for (let k = 1; good && k < length; k++) {
      const next = bytes[i + k] as number;
      good = (next & 0xc0) === 0x80;
      code = (code << 6) | (next & 0x3f);
    }
    const shortest = length === 3 ? 0x800 : length === 4 ? 0x10000 : 0;
    if (good && (code < shortest || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))) good = false;
    if (good) {
      out += String.fromCodePoint(code);
      i += length;
    } else {
      out += String.fromCharCode(0xdc00 + first);
      i++;
    }
  }
  return out;
}

/** The bytes of a string literal's value: UTF-8, with the stray bytes of resolveEscapes as they were written. */
export function stringBytes(value: string): Uint8Array {
  const out: number[] = [];
  for (let i = 0; i < value.length; i++) {
    const code = value.codePointAt(i) as number;
    if (code > 0xffff) i++;
    if (code < 0x80) out.push(code);
    else if (code >= 0xdc80 && code <= 0xdcff) out.push(code - 0xdc00);
    else if (code < 0x800) out.push(0xc0 | (code >> 6), 0x80 | (code & 0x3f));
    else if (code < 0x10000) out.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    else out.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 0x3f), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
  }
  return Uint8Array.from(out);
}
