/**
 * Functions that make a std::function of a lambda: the typeinfo of libc++'s
 * `std::__function::__func<L, …>` has the name of the lambda's enclosing function in that
 * of L. Where no other function makes it, and all lambdas in the function agree, the
 * function is that one, or has had it inlined into it (one in ten, in workerd). Other
 * classes made of a lambda stand in functions of their own too often: a hint.
 */
import type { Classes } from './classes.ts';
import type { Program } from './program.ts';
import { ADDRESS, MEMORY } from './references.ts';
import type { Finding } from './rules.ts';
import type { Vtables } from './vtables.ts';

const closure = /::(?:\$_\d+|\{lambda\(|'lambda)/;
const functionObject = /^std::__\w+::__function::__func</;

/** The function that a lambda stands in, from a text that has the lambda's name; undefined where there is none. */
export function enclosingFunction(text: string): string | undefined {
  const found = closure.exec(text);
  if (found === null) return undefined;
  // Back to the bracket or comma that the lambda's name starts behind.
  let depth = 0;
  let start = 0;
  for (let at = found.index - 1; at >= 0; at--) {
    const char = text[at] as string;
    if (isClosing(text, at)) depth++;
    else if ('<({['.includes(char) && --depth < 0) {
      start = at + 1;
      break;
    } else if (char === ',' && depth === 0) {
      start = at + 1;
      break;
    }
  }
  const scope = text
    .slice(start, found.index)
    .trim()
    .replace(/::\{default arg#\d+\}$/, '')
    .replace(/(?: const| volatile|\s*&&?)+$/, '');
  return withoutParameters(scope);
}

/** `a::b` for `int a::b(char)`. */
function withoutParameters(text: string): string {
  if (!text.endsWith(')')) return text;
  let depth = 0;
  let at = text.length - 1;
  for (; at >= 0; at--) {
    if (text[at] === ')') depth++;
    else if (text[at] === '(' && --depth === 0) break;
  }
  const head = text.slice(0, at);
  depth = 0;
  for (let from = head.length - 1; from > 0; from--) {
    if (isClosing(head, from)) depth++;
    else if ('<({['.includes(head[from] as string)) depth--;
    // A template's name has its return type before it.
    else if (head[from] === ' ' && depth === 0 && !head.slice(0, from).endsWith('operator'))
      return head.slice(from + 1);
  }
  return head;
}

function isClosing(text: string, at: number): boolean {
  const char = text[at] as string;
  return ')}]'.includes(char) || (char === '>' && text[at - 1] !== '-');
}

export function findEnclosers(
  program: Program,
  classes: Classes,
  vtables: Vtables,
  add: (finding: Finding) => void,
): void {
  const { references } = program;
  /** Class of a lambda → the function that refers to its table, -1 for several. */
  const makers = new Map<number, number>();
  const made = new Map<number, Set<number>>();
  for (let index = 0; index < program.functionCount; index++) {
    if (vtables.holds(index)) continue;
    for (let at = references.starts[index] as number; at < (references.starts[index + 1] as number); at++) {
      const kind = references.kind[at] as number;
      if (kind !== ADDRESS && kind !== MEMORY) continue;
      const target = references.target[at] as number;
      const table = vtables.at(target) ?? vtables.at(target + 16);
      // In the mangled name a lambda is `UlvE_` or, at clang, `$_0`.
      if (table === undefined || !/Ul|\$_/.test(classes.all[table.type]?.mangled ?? '')) continue;
      const maker = makers.get(table.type);
      makers.set(table.type, maker === undefined || maker === index ? index : -1);
      const types = made.get(index);
      if (types === undefined) made.set(index, new Set([table.type]));
      else types.add(table.type);
    }
  }
  const enclosing = new Map<number, string>();
  const isFunction = new Map<number, boolean>();
  for (const type of makers.keys()) {
    const text = classes.nameOf(type);
    const name = enclosingFunction(text);
    if (name !== undefined) enclosing.set(type, name);
    isFunction.set(type, functionObject.test(text));
  }
  /** Enclosing function → the functions that make its lambdas. */
  const users = new Map<string, Set<number>>();
  for (const [index, types] of made) {
    for (const type of types) {
      const name = enclosing.get(type);
      if (name === undefined) continue;
      const known = users.get(name);
      if (known === undefined) users.set(name, new Set([index]));
      else known.add(index);
    }
  }
  for (const [index, types] of made) {
    const names = new Set([...types].map((type) => enclosing.get(type)).filter((name) => name !== undefined));
    const [name] = names;
    if (name === undefined || names.size > 1) continue;
    const own = [...types].every((type) => makers.get(type) === index && isFunction.get(type) === true);
    const sure = own && users.get(name)?.size === 1;
    const proof = [...types].slice(0, 4).map((type) => classes.all[type]?.address ?? 0);
    add({ index, rule: sure ? 'encloser' : 'enclosed', scopes: [], member: name, proof });
  }
}
