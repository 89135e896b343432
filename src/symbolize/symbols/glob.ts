/**
 * Wildcard patterns for names: `*` any text, `?` one character, `[abc]`, `[a-z]`, `[!x]`
 * one character of a set, as glob(7). A `[` without its `]` stands for itself.
 */
type Element = { readonly kind: 'text'; readonly text: string } | { readonly kind: 'one'; readonly set?: CharacterSet };

interface CharacterSet {
  readonly negated: boolean;
  readonly ranges: readonly (readonly [string, string])[];
}

/** What lies between two stars. */
interface Part {
  readonly elements: readonly Element[];
  /** Characters that it takes. */
  readonly width: number;
}

export class Glob {
  readonly #parts: readonly Part[];

  constructor(text: string) {
    this.#parts = parseParts(text);
  }

  /** True when the pattern is `*` alone: everything matches. */
  get matchesAll(): boolean {
    return this.#parts.length > 1 && this.#parts.every((part) => part.width === 0);
  }

  /** The longest texts that every match contains literally, unbroken by wildcards. */
  get literals(): string[] {
    return this.#parts.flatMap((part) => part.elements).flatMap((one) => (one.kind === 'text' ? [one.text] : []));
  }

  /** Time is at most proportional to name length times pattern length. */
  matches(name: string): boolean {
    const parts = this.#parts;
    const first = parts[0] as Part;
    const last = parts[parts.length - 1] as Part;
    if (parts.length === 1) return name.length === first.width && fits(first, name, 0);
    if (name.length < first.width + last.width || !fits(first, name, 0)) return false;
    const end = name.length - last.width;
    if (!fits(last, name, end)) return false;
    let at = first.width;
    for (let index = 1; index < parts.length - 1; index++) {
      const part = parts[index] as Part;
      at = indexOfPart(part, name, at, end);
      if (at < 0) return false;
      at += part.width;
    }
    return true;
  }
}

/** The leftmost place at or behind `from` where a part fits and ends at or before `end`; -1 when nowhere. */
function indexOfPart(part: Part, name: string, from: number, end: number): number {
  const only = part.elements.length === 1 ? part.elements[0] : undefined;
  if (only?.kind === 'text') {
    const at = name.indexOf(only.text, from);
    return at >= 0 && at + part.width <= end ? at : -1;
  }
  for (let at = from; at + part.width <= end; at++) if (fits(part, name, at)) return at;
  return -1;
}

function fits(part: Part, name: string, start: number): boolean {
  let at = start;
  for (const element of part.elements) {
    if (element.kind === 'text') {
      if (!name.startsWith(element.text, at)) return false;
      at += element.text.length;
    } else {
      if (at >= name.length) return false;
      if (element.set !== undefined && !inSet(element.set, name.charAt(at))) return false;
      at++;
    }
  }
  return true;
}

function inSet(set: CharacterSet, character: string): boolean {
  const within = set.ranges.some(([low, high]) => character >= low && character <= high);
  return within !== set.negated;
}

function parseParts(text: string): Part[] {
  const parts: Part[] = [];
  let elements: Element[] = [];
  let literal = '';
  let width = 0;
  const endLiteral = (): void => {
    if (literal !== '') elements.push({ kind: 'text', text: literal });
    literal = '';
  };
  const endPart = (): void => {
    endLiteral();
    parts.push({ elements, width });
    elements = [];
    width = 0;
  };
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '*') {
      // Neighbouring stars mean one.
      if (parts.length === 0 || width > 0) endPart();
      continue;
    }
    width++;
    const set = character === '[' ? parseSet(text, at) : undefined;
    if (character === '?' || set !== undefined) {
      endLiteral();
      elements.push(set === undefined ? { kind: 'one' } : { kind: 'one', set: set.set });
      if (set !== undefined) at = set.end;
    } else {
      literal += character;
    }
  }
  endPart();
  return parts;
}

function parseSet(text: string, open: number): { readonly set: CharacterSet; readonly end: number } | undefined {
  const negated = text[open + 1] === '!' || text[open + 1] === '^';
  const start = open + (negated ? 2 : 1);
  // A `]` that comes first is a member.
  const end = text.indexOf(']', start + 1);
  if (end < 0) return undefined;
  const ranges: [string, string][] = [];
  for (let at = start; at < end; at++) {
    const low = text.charAt(at);
    if (text[at + 1] === '-' && at + 2 < end) {
      ranges.push([low, text.charAt(at + 2)]);
      at += 2;
    } else ranges.push([low, low]);
  }
  return { set: { negated, ranges }, end };
}
