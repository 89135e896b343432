/**
 * "Did you mean": names of a symbol table that resemble one that is not in it. The whole
 * table is read once; a name counts as near when its last component is the wanted one
 * under another scope, or is a few edits away from it. Work is bounded: edit distances
 * only between identifiers of nearly the same length, and only so many candidates.
 */
import { distance as editDistance } from '../../base/near.ts';
import type { FunctionTable } from './functions.ts';
import { type Demangle, looksMangled } from './names.ts';

const mostCandidates = 4000;

/** How many edits are still "near" for a name of that length. */
const tolerance = (length: number): number => (length <= 3 ? 1 : length <= 8 ? 2 : 3);

/**
 * Names near `wanted`, best first, at most `limit`: demangled without parameters where
 * the symbol is mangled, unless `wanted` itself is a mangled name.
 */
export function nearNames(
  tables: readonly FunctionTable[],
  wanted: string,
  demangle: Demangle,
  limit: number = 5,
): string[] {
  const mangled = looksMangled(wanted);
  const bare = mangled ? wanted : wanted.replace(/\(.*$/s, '');
  const components = bare.split('::').filter((part) => part !== '');
  const last = (components.at(-1) ?? bare).replace(/<.*$/, '');
  if (last === '') return [];
  // name → how far off it is; less is nearer.
  const scores = new Map<string, number>();
  const keep = (name: string, score: number): void => {
    const known = scores.get(name);
    if (known === undefined || score < known) scores.set(name, score);
  };
  let candidates = 0;
  const edits = tolerance(mangled ? wanted.length : last.length);
  for (const table of tables) {
    table.forEach(({ name }) => {
      if (candidates > mostCandidates) return;
      if (mangled || !looksMangled(name)) {
        if (Math.abs(name.length - wanted.length) <= edits) {
          const distance = editDistance(wanted, name, edits);
          if (distance <= edits) keep(name, distance);
        }
        // `foo_bar` for `bar`, `__bind` for `bind`.
        if (
          !mangled &&
          name.length > last.length &&
          last.length >= 4 &&
          (name.endsWith(last) || name.startsWith(last))
        ) {
          keep(name, 4 + Math.min(4, (name.length - last.length) / 4));
        }
        return;
      }
      if (!hasNearIdentifier(name, last, edits)) return;
      candidates++;
      const short = demangle(name, { verbose: false })?.base;
      if (short === undefined) return;
      const parts = short.split('::');
      const own = (parts.at(-1) ?? '').replace(/<.*$/, '');
      const distance = editDistance(last, own, edits);
      if (distance > edits) return;
      // Scopes that both have in common make a candidate better.
      const scopes = components.slice(0, -1);
      const missing = scopes.filter((scope) => !parts.includes(scope)).length;
      keep(short, distance + 2 * missing + Math.min(1, Math.abs(parts.length - components.length) / 8));
    });
  }
  return [...scores]
    .sort(([a, x], [b, y]) => x - y || a.length - b.length || (a < b ? -1 : 1))
    .slice(0, limit)
    .map(([name]) => name);
}

/** True when a mangled name has a `<length><identifier>` within `edits` of `wanted`. */
function hasNearIdentifier(name: string, wanted: string, edits: number): boolean {
  for (let at = 1; at < name.length; ) {
    let code = name.charCodeAt(at);
    if (code < 0x31 || code > 0x39) {
      at++;
      continue;
    }
    let length = 0;
    while (code >= 0x30 && code <= 0x39 && length < 10_000) {
      length = length * 10 + code - 0x30;
      code = name.charCodeAt(++at);
    }
    if (at + length > name.length) continue;
    if (Math.abs(length - wanted.length) <= edits) {
      const identifier = name.slice(at, at + length);
      if (mayBeNear(identifier, wanted, edits) && editDistance(wanted, identifier, edits) <= edits) return true;
    }
    at += length;
  }
  return false;
}

/** A cheap test that all near names pass: letters that only one of the two has cost an edit each. */
function mayBeNear(a: string, b: string, edits: number): boolean {
  let inA = 0;
  let inB = 0;
  for (let at = 0; at < a.length; at++) inA |= 1 << (a.charCodeAt(at) & 31);
  for (let at = 0; at < b.length; at++) inB |= 1 << (b.charCodeAt(at) & 31);
  return bits(inA & ~inB) <= edits && bits(inB & ~inA) <= edits;
}

function bits(value: number): number {
  let count = 0;
  for (let rest = value; rest !== 0; rest &= rest - 1) count++;
  return count;
}
