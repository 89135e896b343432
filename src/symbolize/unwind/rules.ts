/** Rules of how to get from a frame to its caller: their form in tables, each kept once. */
import { RuleKind, ruleBytes, Saved, volatileBase } from '../../program/unwind.ts';

export interface Rule {
  readonly kind: number;
  /** DWARF number of a register. */
  readonly base: number;
  readonly offset: number;
  readonly rbpSaved: number;
  readonly rbpOffset: number;
  readonly rbxSaved: number;
  readonly rbxOffset: number;
  readonly extra: number;
}

/** One rule in four words, as in the tables. */
export function packRule(rule: Rule): readonly [number, number, number, number] {
  const kept = rule.base === 3 || rule.base === 6 || rule.base === 7;
  const base = rule.base | (kept ? 0 : volatileBase);
  return [
    rule.kind | (base << 8) | (rule.rbpSaved << 16) | (rule.rbxSaved << 24),
    rule.offset,
    (rule.rbpOffset & 0xffff) | (rule.rbxOffset << 16),
    rule.extra & 0xffff,
  ];
}

/** The rule at a place in a table of rules. */
export function readRule(words: Int32Array, index: number): Rule {
  const at = index * (ruleBytes / 4);
  const first = words[at] as number;
  const saved = words[at + 2] as number;
  return {
    kind: first & 0xff,
    base: (first >> 8) & 0x7f,
    rbpSaved: (first >> 16) & 0xff,
    rbxSaved: (first >>> 24) & 0xff,
    offset: words[at + 1] as number,
    rbpOffset: (saved << 16) >> 16,
    rbxOffset: saved >> 16,
    extra: ((words[at + 3] as number) << 16) >> 16,
  };
}

const same = { rbpSaved: Saved.same, rbpOffset: 0, rbxSaved: Saved.same, rbxOffset: 0 } as const;
export const noRule: Rule = { kind: RuleKind.none, base: 0, offset: 0, extra: 0, ...same };
export const endRule: Rule = { ...noRule, kind: RuleKind.end };
export const signalRule: Rule = { ...noRule, kind: RuleKind.signal };
export const linkedRule: Rule = { ...noRule, kind: RuleKind.linked, base: 7 };
export const unsupportedRule: Rule = { ...noRule, kind: RuleKind.unsupported };

/** Rules by number; number 0 is `noRule`. A rule that is there already keeps its number. */
export class RuleSet {
  readonly #limit: number;
  #words: Int32Array = new Int32Array(4 * 256);
  #slots: Int32Array = new Int32Array(1024).fill(-1);
  #count = 0;

  /** Takes no more than `limit` rules. */
  constructor(limit: number) {
    this.#limit = limit;
    this.add(...packRule(noRule));
  }

  get count(): number {
    return this.#count;
  }

  /** Four words a rule. */
  get words(): Int32Array {
    return this.#words.subarray(0, 4 * this.#count);
  }

  /** The rule's number; -1 when there is no room for another one. */
  add(a: number, b: number, c: number, d: number): number {
    const mask = this.#slots.length - 1;
    let slot = hash(a, b, c, d) & mask;
    for (;;) {
      const index = this.#slots[slot] as number;
      if (index < 0) break;
      const at = 4 * index;
      const words = this.#words;
      if (words[at] === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d) return index;
      slot = (slot + 1) & mask;
    }
    if (this.#count >= this.#limit) return -1;
    const index = this.#count++;
    if (4 * this.#count > this.#words.length) this.#grow();
    this.#words.set([a, b, c, d], 4 * index);
    if (2 * this.#count > this.#slots.length) this.#rehash();
    else this.#slots[slot] = index;
    return index;
  }

  #grow(): void {
    const words = new Int32Array(2 * this.#words.length);
    words.set(this.#words);
    this.#words = words;
  }

  #rehash(): void {
    this.#slots = new Int32Array(2 * this.#slots.length).fill(-1);
    const mask = this.#slots.length - 1;
    for (let index = 0; index < this.#count; index++) {
      const [a, b, c, d] = this.#words.subarray(4 * index, 4 * index + 4) as unknown as [
        number,
        number,
        number,
        number,
      ];
      let slot = hash(a, b, c, d) & mask;
      while ((this.#slots[slot] as number) >= 0) slot = (slot + 1) & mask;
      this.#slots[slot] = index;
    }
  }
}

function hash(a: number, b: number, c: number, d: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca77);
  h = Math.imul(h ^ (h >>> 15) ^ c, 0xc2b2ae3d) ^ Math.imul(d, 0x27d4eb2f);
  return h ^ (h >>> 13);
}
