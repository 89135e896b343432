/**
 * From a name to its definition without an index: the units in whose bytes the name
 * stands, or the place of the name in the table of strings, are gone through as the index
 * goes through all. Of a small file this takes less than the index takes to make.
 */
import { Pattern } from '../../bytes/search.ts';
import type { EntryFile } from './entry.ts';
import { isBadInput } from './form.ts';
import { lastPart } from './listednames.ts';
import { type FoundName, hashOf, indexUnit, type NameKind, type Plans, place } from './nameindex.ts';
import { isC, Scopes } from './scopes.ts';
import type { DebugSection } from './sections.ts';

/** Larger sections are worth an index at once. */
const mostBytes = 64 << 20;
/** A short name is the end of many strings. */
const mostStrings = 16;

/** Patterns in a section, each with its next place: -1 before the first look. */
class Hits {
  readonly #bytes: Uint8Array;
  readonly #patterns: readonly Pattern[];
  readonly #next: number[];

  constructor(section: DebugSection, patterns: readonly Pattern[]) {
    this.#bytes = section.all();
    this.#patterns = patterns;
    this.#next = patterns.map(() => -1);
  }

  /** Whether one of them lies in a range. Ranges are asked for in ascending order. */
  within(start: number, end: number): boolean {
    for (const [number, pattern] of this.#patterns.entries()) {
      let next = this.#next[number] as number;
      if (next < start) {
        const found = pattern.indexIn(this.#bytes, start);
        next = found < 0 ? Number.POSITIVE_INFINITY : found;
        this.#next[number] = next;
      }
      if (next < end) return true;
    }
    return false;
  }
}

export class NameSearch {
  readonly #file: EntryFile;
  readonly #plans: Plans = new WeakMap();
  readonly #scopes: Scopes = new Scopes();

  constructor(file: EntryFile) {
    this.#file = file;
  }

  /** The first definition of a name; undefined: there is none; unknown: an index may find one. */
  find(kind: NameKind, name: string): FoundName | undefined | 'unknown' {
    const file = this.#file;
    // A template's arguments may have names with namespaces of their own.
    const last = /[<("]/.test(name) ? '' : lastPart(name);
    if (last === '' || !this.#isSearchable()) return 'unknown';
    const patterns = this.#patternsOf(last);
    if (patterns === undefined) return 'unknown';
    const info = file.sections.get('info');
    const hitsOf = new Map<DebugSection, Hits>();
    const text = file.sections.get('str').all();
    const wanted = hashOf(kind, name);
    let found: number | undefined;
    const sink = {
      add(first: number, second: number, offset: number): void {
        if (first === wanted.first && second === wanted.second) found ??= offset;
      },
    };
    // In C what defines a type has its name; elsewhere, and for variables, it may refer to a declaration in another unit.
    let certain = kind !== 'variable';
    for (const unit of file.allUnits()) {
      let hits = hitsOf.get(unit.section);
      if (hits === undefined) {
        hits = new Hits(unit.section, patterns);
        hitsOf.set(unit.section, hits);
      }
      if (!hits.within(unit.start, unit.end)) continue;
      try {
        certain &&= unit.section === info && isC(unit);
        indexUnit(file, unit, sink, this.#plans, text, false, this.#scopes, 0);
      } catch (error) {
        if (!isBadInput(error)) throw error;
        certain = false;
      }
      if (found !== undefined) return place(found);
      unit.release();
    }
    return certain ? undefined : 'unknown';
  }

  /** Whether all names stand in the file itself, in forms that a search for bytes finds. */
  #isSearchable(): boolean {
    const { sections } = this.#file;
    if (sections.get('info').size + sections.get('types').size > mostBytes) return false;
    // With these come names by index, and units that are split.
    if (sections.get('str_offsets').size > 0 || sections.get('addr').size > 0) return false;
    return this.#file.shared() === undefined && this.#file.allUnits().every(({ format }) => format.offsetSize === 4);
  }

  /** How a name may stand in a unit: itself, or as the place of a string that it is, or ends. */
  #patternsOf(name: string): readonly Pattern[] | undefined {
    const { sections } = this.#file;
    const itself = new Pattern(new TextEncoder().encode(`${name}\0`));
    const patterns = [itself];
    for (const section of [sections.get('str'), sections.get('line_str')]) {
      const text = section.all();
      for (let at = itself.indexIn(text); at >= 0; at = itself.indexIn(text, at + 1)) {
        if (patterns.length > mostStrings) return undefined;
        const place = new Uint8Array(4);
        new DataView(place.buffer).setUint32(0, at, sections.littleEndian);
        patterns.push(new Pattern(place));
      }
    }
    return patterns;
  }
}
