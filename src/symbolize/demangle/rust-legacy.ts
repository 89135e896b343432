/**
 * Rust's first mangling: Itanium nested names of escaped path segments, the last of
 * which is a hash: `_ZN4core3fmt5write17h0123456789abcdefE`.
 */

import { rustSuffix } from './rust-v0.ts';

const ESCAPES: Readonly<Record<string, string | undefined>> = {
  C: ',',
  SP: '@',
  BP: '*',
  RF: '&',
  LT: '<',
  GT: '>',
  LP: '(',
  RP: ')',
};

/** Fewer different digits than this, and it is a C++ name that happens to look alike. */
const MIN_HASH_DIGITS = 5;

function isHash(segment: string): boolean {
  if (!/^h[0-9a-f]{16}$/.test(segment)) return false;
  return new Set(segment.slice(1)).size >= MIN_HASH_DIGITS;
}

/** $LT$, $u20$, `..` and the underscore that guards a leading escape. */
function plainSegment(segment: string, verbose: boolean): string {
  const text = segment.startsWith('_$') ? segment.slice(1) : segment;
  if (!text.includes('$') && !text.includes('.')) return text;
  let out = '';
  let at = 0;
  while (at < text.length) {
    const char = text[at];
    if (char === '.') {
      const double = text[at + 1] === '.';
      out += double ? '::' : '.';
      at += double ? 2 : 1;
      continue;
    }
    if (char !== '$') {
      const start = at;
      while (at < text.length && text[at] !== '$' && text[at] !== '.') at++;
      out += text.slice(start, at);
      continue;
    }
    const end = text.indexOf('$', at + 1);
    const word = end < 0 ? '' : text.slice(at + 1, end);
    // c++filt reads ASCII alone.
    const code = (verbose ? /^u[0-7][0-9a-f]$/ : /^u[0-9a-f]{1,6}$/).test(word)
      ? Number.parseInt(word.slice(1), 16)
      : 0;
    const isText = code >= 0x20 && code <= 0x10ffff && !(code >= 0x7f && code < 0xa0);
    const plain = isText ? String.fromCodePoint(code) : ESCAPES[word];
    // An escape that is none: the rest stands as it is.
    if (plain === undefined) return out + text.slice(at);
    out += plain;
    at = end + 1;
  }
  return out;
}

/** Cheap test that leaves few C++ names to look at closer. */
export const looksLegacy = (name: string): boolean => name.includes('17h', 3) && name.startsWith('_ZN');

/** The path a legacy Rust symbol names; undefined when it is none. `verbose` keeps the hash. */
export function rustLegacyName(name: string, verbose: boolean): string | undefined {
  // `.llvm.1234` may follow the closing E.
  let end = name.length;
  const dot = name.indexOf('E.');
  if (dot >= 0 && name.charCodeAt(end - 1) !== 0x45) {
    end = name.lastIndexOf('E.') + 1;
  }
  if (name.charCodeAt(end - 1) !== 0x45) return undefined;
  const body = name.slice(3, end - 1);
  if (body.length < 19 || body.slice(-19, -16) !== '17h') return undefined;
  if (!/^[\w$.:@]*$/.test(body)) return undefined;
  const segments: string[] = [];
  let at = 0;
  while (at < body.length) {
    let length = 0;
    const start = at;
    for (let digit = body.charCodeAt(at) - 48; digit >= 0 && digit <= 9; digit = body.charCodeAt(at) - 48) {
      length = length * 10 + digit;
      at++;
      if (length > body.length) return undefined;
    }
    if (at === start || length === 0 || at + length > body.length) return undefined;
    segments.push(body.slice(at, at + length));
    at += length;
  }
  const hash = segments.pop();
  if (hash === undefined || segments.length === 0 || !isHash(hash)) return undefined;
  const path = segments.map((segment) => plainSegment(segment, verbose)).join('::');
  return verbose ? `${path}::${hash}` : path + rustSuffix(name.slice(end));
}
