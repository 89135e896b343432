/**
 * Functions known from other programs (`learnt.ts`): by their class and slot; by their
 * instructions, alike but for addresses; by who calls them at the same place as there; by
 * texts that only they refer to.
 *
 * Short functions are alike by chance. One is believed when it is long enough and the only
 * one of its kind in both programs, or when something else says the same: a caller that is
 * known already, or the class that its table belongs to.
 */
import { demangledBaseName } from '../demangle/index.ts';
import type { Class, Classes } from './classes.ts';
import { type Learnt, NumberFilter, shapeKey } from './learnt.ts';
import { lastOf } from './marks.ts';
import type { Methods } from './methods.ts';
import type { Program } from './program.ts';
import { CALL, JUMP } from './references.ts';
import type { Finding } from './rules.ts';
import type { Vtables } from './vtables.ts';

/** Alike in so many instructions, and alone, two functions are the same. */
const enoughInstructions = 16;
/** One text alone tells of functions that differ in length by this factor at most: in others another was inlined. */
const alikeInLength = 2;
/** Virtual functions that only call others are alike but for the slot, which changes from release to release. */
const enoughVirtual = 32;
const mostRounds = 8;
const mostDepth = 32;

/**
 * Names as this program would have them: a library's version that stands in a namespace
 * (`icu_78`, `absl::lts_20260817`) is this program's own where its classes tell it, else left out.
 */
export class Spelling {
  readonly #names: Map<string, string> = new Map();
  /** What stands before a version → the version, '' for none and for several. */
  readonly #versions: Map<string, string> = new Map();
  readonly #classes: Classes;

  constructor(classes: Classes) {
    this.#classes = classes;
  }

  #version(stem: string): string {
    let version = this.#versions.get(stem);
    if (version === undefined) {
      const found = new Set<string>();
      for (const { mangled } of this.#classes.all) {
        const at = mangled.indexOf(stem);
        if (at <= 0) continue;
        // Its length stands before it; what follows right behind may begin with a digit of its own.
        const length = Number(/(\d+)$/.exec(mangled.slice(Math.max(0, at - 3), at))?.[1]);
        const own = mangled.slice(at + stem.length, at + length);
        if (/^\d{2,}$/.test(own)) found.add(own);
        if (found.size > 1) break;
      }
      version = found.size === 1 ? ([...found][0] as string) : '';
      this.#versions.set(stem, version);
    }
    return version;
  }

  /** The plain name of a learnt symbol: no parameters, no hashes. */
  of(symbol: string): string {
    let name = this.#names.get(symbol);
    if (name === undefined) {
      name = (demangledBaseName(symbol) ?? symbol).replace(/\b([A-Za-z]+_)\d{2,}::/g, (_, stem: string) => {
        const version = this.#version(stem);
        return version === '' ? '' : `${stem}${version}::`;
      });
      this.#names.set(symbol, name);
    }
    return name;
  }
}

/** Class and slot: the name that the slot has in the class, or the nearest base, that was learnt. */
export function findSlots(
  classes: Classes,
  vtables: Vtables,
  methods: Methods,
  learnt: readonly Learnt[],
  add: (finding: Finding) => void,
): void {
  interface Known {
    readonly names: readonly string[];
    readonly from: string;
  }
  const known = new Map<number, Known | undefined>();
  const slotsOf = (type: number): Known | undefined => {
    if (!known.has(type)) {
      const count = vtables.of(type).find((one) => one.offset === 0)?.slots.length ?? 0;
      let found: Known | undefined;
      for (const one of learnt) {
        const names = count === 0 ? undefined : one.slots((classes.all[type] as Class).mangled, count);
        if (names !== undefined) found ??= { names, from: one.from };
      }
      known.set(type, found);
    }
    return known.get(type);
  };
  /** In a class or its bases, whose slots come first in the same table. */
  const nameOf = (
    type: number,
    offset: number,
    slot: number,
    depth: number = 0,
  ): { name: string; from: string } | undefined => {
    const own = offset === 0 ? slotsOf(type) : undefined;
    const name = own?.names[slot] ?? '';
    if (own !== undefined && name !== '') return { name, from: own.from };
    if (depth > mostDepth) return undefined;
    for (const base of (classes.all[type] as Class).bases) {
      if (base.virtual || base.offset > offset) continue;
      const found = nameOf(base.type, offset - base.offset, slot, depth + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  for (const [index, owner] of methods.owners.entries()) {
    if (owner === undefined) continue;
    const found = nameOf(owner.type, owner.offset, owner.slot);
    // Destructors bear their own class's name, and are known by what they do.
    if (found === undefined || found.name.startsWith('~')) continue;
    const place = vtables.placeOf(index);
    const proof = place === undefined ? [] : [place.table.address + place.slot * 8];
    const scopes = [owner.type, ...owner.absent];
    add({ index, rule: 'slot', scopes, member: found.name, proof, learntFrom: found.from });
  }
}

/** A function taken for one that was learnt. */
interface Match {
  readonly index: number;
  readonly learnt: Learnt;
  /** Index of the learnt function. */
  readonly line: number;
}

export function findFamiliar(
  program: Program,
  classes: Classes,
  methods: Methods,
  learnt: readonly Learnt[],
  spelling: Spelling,
  add: (finding: Finding) => void,
): void {
  const { references } = program;
  const nameOf = (symbol: string): string => spelling.of(symbol);
  /** All that a function may be by its shape; several shapes' users in this program make it ambiguous. */
  const hits = new Map<number, Match[]>();
  const users = new Map<number, number>();
  const filter = new NumberFilter();
  for (const one of learnt) for (const key of one.shapes) filter.add(Math.floor(key / 0x200000));
  for (let index = 0; index < program.functionCount; index++) {
    const first = references.shapes[index * 2] as number;
    if (first === 0 || !filter.mayHave(first)) continue;
    const key = shapeKey(first, references.shapes[index * 2 + 1] as number);
    for (const one of learnt) {
      const lines = one.withShape(key);
      if (lines.length === 0) continue;
      const matches = hits.get(index) ?? [];
      hits.set(index, matches);
      for (const line of lines) matches.push({ index, learnt: one, line });
    }
    if (hits.has(index)) users.set(key, (users.get(key) ?? 0) + 1);
  }
  const agreed = (matches: readonly Match[]): Match | undefined => {
    const [first] = matches;
    if (first === undefined) return undefined;
    const name = nameOf(first.learnt.names[first.line] as string);
    return matches.every((one) => nameOf(one.learnt.names[one.line] as string) === name) ? first : undefined;
  };
  const accepted = new Map<number, Match>();
  for (const [index, matches] of hits) {
    const match = agreed(matches);
    if (match === undefined) continue;
    const owner = methods.owners[index];
    const symbol = match.learnt.names[match.line] as string;
    if (users.get(match.learnt.shapes[match.line] as number) !== 1) continue;
    if (owner !== undefined) {
      // Its table says whose it is: the name must be of that class.
      const name = nameOf(symbol);
      const scope = name.slice(0, Math.max(0, name.length - lastOf(name).length - 2));
      if ((references.lengths[index] as number) < enoughVirtual) continue;
      if ([owner.type, ...owner.absent].some((type) => classes.nameOf(type) === scope)) accepted.set(index, match);
    } else if ((references.lengths[index] as number) >= enoughInstructions) accepted.set(index, match);
  }
  /** What callers say of a function: a name, '' where they disagree. */
  const said = new Map<number, { name: string; symbol: string; from: Match; learnt: Learnt; line: number }>();
  let fresh = [...accepted.values()];
  for (let round = 0; round < mostRounds && fresh.length > 0; round++) {
    const asked = new Set<number>();
    for (const match of fresh) {
      eachCall(program, match, (target, line) => {
        const symbol = match.learnt.names[line] as string;
        const name = nameOf(symbol);
        const before = said.get(target);
        if (before === undefined) said.set(target, { name, symbol, from: match, learnt: match.learnt, line });
        else if (before.name !== name) before.name = '';
        asked.add(target);
      });
    }
    fresh = [];
    for (const target of asked) {
      const word = said.get(target);
      if (word === undefined || word.name === '' || accepted.has(target)) continue;
      const own = hits.get(target)?.find((one) => nameOf(one.learnt.names[one.line] as string) === word.name);
      if (own === undefined) continue;
      accepted.set(target, own);
      fresh.push(own);
    }
  }
  for (const match of accepted.values()) {
    const { index } = match;
    const name = nameOf(match.learnt.names[match.line] as string);
    const word = said.get(index);
    // Another function than its callers' would be there.
    if (word !== undefined && word.name !== name) continue;
    const rule = methods.owners[index] !== undefined ? 'virtual-code' : word === undefined ? 'code' : 'code-called';
    const proof = word === undefined ? [] : [program.startOf(word.from.index)];
    add({ index, rule, scopes: [], member: name, proof, learntFrom: match.learnt.from });
  }
  for (const [index, word] of said) {
    if (word.name === '' || accepted.has(index) || hits.has(index) || methods.owners[index] !== undefined) continue;
    add({
      index,
      rule: 'called',
      scopes: [],
      member: word.name,
      proof: [program.startOf(word.from.index)],
      learntFrom: word.learnt.from,
    });
  }
}

/** Calls back with each function that a match calls, and the learnt function that stands there. */
function eachCall(program: Program, match: Match, visit: (target: number, line: number) => void): void {
  const { references } = program;
  const calls = match.learnt.calls(match.line);
  if (calls.length === 0) return;
  let place = 0;
  for (
    let at = references.starts[match.index] as number;
    at < (references.starts[match.index + 1] as number) && place < calls.length;
    at++
  ) {
    if (references.kind[at] !== CALL && references.kind[at] !== JUMP) continue;
    const line = calls[place++] as number;
    if (line < 0) continue;
    const target = program.referred[at] as number;
    if (target >= 0) visit(target, line);
  }
}

/** By texts: a function that refers to texts which, there and here, only one function refers to. */
export function findByTexts(
  program: Program,
  owners: ReadonlyMap<number, number>,
  learnt: readonly Learnt[],
  spelling: Spelling,
  add: (finding: Finding) => void,
): void {
  for (const one of learnt) {
    /** Function here → functions there that have a text in common with it, and how many texts. */
    const votes = new Map<number, Map<number, number>>();
    const backwards = new Map<number, Set<number>>();
    for (const [text, line] of one.texts) {
      const index = owners.get(text);
      if (index === undefined || index < 0) continue;
      const own = votes.get(index) ?? new Map<number, number>();
      votes.set(index, own);
      own.set(line, (own.get(line) ?? 0) + 1);
      const others = backwards.get(line) ?? new Set<number>();
      backwards.set(line, others);
      others.add(index);
    }
    for (const [index, own] of votes) {
      const [line, count] = [...own].reduce((best, vote) => (vote[1] > best[1] ? vote : best));
      if (own.size > 1 || (backwards.get(line)?.size ?? 0) > 1) continue;
      const ratio = (program.references.lengths[index] as number) / (one.instructions[line] as number);
      if (count === 1 && (ratio < 1 / alikeInLength || ratio > alikeInLength)) continue;
      const name = spelling.of(one.names[line] as string);
      const rule = count > 1 ? 'texts' : 'text';
      add({ index, rule, scopes: [], member: name, proof: [], learntFrom: one.from });
    }
  }
}
