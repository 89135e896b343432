/** What a std::function holds, by the names that the two C++ libraries give what calls it. */

/** The parts between the angle brackets behind `start`, at the outermost level; undefined where they do not end. */
function templateArguments(text: string, start: number): readonly string[] | undefined {
  const parts: string[] = [];
  let depth = 0;
  let from = start;
  for (let at = start; at < text.length; at++) {
    const character = text[at] as string;
    if (depth === 0 && (character === ',' || character === '>')) {
      parts.push(text.slice(from, at).trim());
      if (character === '>') return parts;
      from = at + 1;
    } else if ('<({['.includes(character)) depth++;
    else if ('>)}]'.includes(character)) depth--;
  }
  return undefined;
}

/** The type of what is held: `main::{lambda(int)#1}`, `int (*)(int)`; undefined for another library. */
export function heldType(name: string): string | undefined {
  const [start, number] = name.includes('_Function_handler<')
    ? [name.indexOf('_Function_handler<') + '_Function_handler<'.length, 1]
    : name.includes('__function::__func<')
      ? [name.indexOf('__function::__func<') + '__function::__func<'.length, 0]
      : [undefined, 0];
  return start === undefined ? undefined : templateArguments(name, start)?.[number];
}

/** `invoker`: the name of the function at an address, or of the object's class. `symbol`: the name of a plain function. */
export function callableText(invoker: string | undefined, symbol: () => string | undefined): string | undefined {
  const held = invoker === undefined ? undefined : heldType(invoker);
  if (held === undefined) return invoker;
  // A plain function is named by itself.
  return /\(\*\)\(/.test(held) ? (symbol() ?? held) : held;
}
