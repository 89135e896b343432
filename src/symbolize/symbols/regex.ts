/** What a regular expression of names needs to be searched for quickly: the texts that every match must contain. */

/**
 * Literal texts that occur in everything that the expression (JavaScript's syntax, without
 * flags) matches; empty when nothing can be said. What is in groups, or may be left out,
 * counts for nothing.
 */
export function requiredLiterals(source: string): string[] {
  const literals: string[] = [];
  let run = '';
  const end = (): void => {
    if (run !== '') literals.push(run);
    run = '';
  };
  for (let at = 0; at < source.length; ) {
    const character = source[at] as string;
    // Either side may match: neither is required.
    if (character === '|') return [];
    let literal = '';
    if (character === '\\') {
      const next = source[at + 1] ?? '';
      // Letters and digits are classes, assertions and back references; what has an argument ends the search.
      if (/[a-zA-Z0-9]/.test(next)) {
        if (/[xucpPk]/.test(next)) return literals;
      } else literal = next;
      at += 2;
    } else if (character === '[') {
      at = endOfClass(source, at);
    } else if (character === '(') {
      at = endOfGroup(source, at);
    } else {
      if (!'.^$*+?{}'.includes(character)) literal = character;
      at++;
    }
    const quantifier = source[at] ?? '';
    if (literal === '') end();
    else if (quantifier === '*' || quantifier === '?' || quantifier === '{') end();
    else {
      run += literal;
      if (quantifier === '+') end();
    }
    if (quantifier === '{' && /^\{\d+(,\d*)?\}/.test(source.slice(at))) at = source.indexOf('}', at) + 1;
    else if ('*+?'.includes(quantifier) && quantifier !== '') at++;
    // A lazy quantifier.
    if (source[at] === '?' && /[*+?}]/.test(source[at - 1] ?? '') && literal === '' && quantifier !== '') at++;
  }
  end();
  return literals;
}

/** The alternatives of an expression, those within groups left whole: every match is one of a single alternative. */
export function alternatives(source: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let at = 0; at < source.length; ) {
    const character = source[at];
    if (character === '\\') at += 2;
    else if (character === '[') at = endOfClass(source, at);
    else if (character === '(') at = endOfGroup(source, at);
    else {
      if (character === '|') {
        parts.push(source.slice(start, at));
        start = at + 1;
      }
      at++;
    }
  }
  return [...parts, source.slice(start)];
}

function endOfClass(source: string, start: number): number {
  for (let at = start + 1; at < source.length; at++) {
    if (source[at] === '\\') at++;
    else if (source[at] === ']') return at + 1;
  }
  return source.length;
}

function endOfGroup(source: string, start: number): number {
  let depth = 0;
  for (let at = start; at < source.length; ) {
    const character = source[at];
    if (character === '\\') at += 2;
    else if (character === '[') at = endOfClass(source, at);
    else {
      if (character === '(') depth++;
      else if (character === ')') depth--;
      at++;
      if (depth === 0) return at;
    }
  }
  return source.length;
}
