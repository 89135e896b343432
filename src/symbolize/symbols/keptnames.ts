/**
 * Demangled names that a search has met, kept with the indexes of symbol tables: those of
 * template-heavy programs are thousands of characters long, and who searches a program
 * does it again. They depend on nothing but the mangled name, and are one text:
 *
 *   insitu names <format> <checksum of the rest, in hex>
 *   <form> <mangled name>, a tab, <demangled name>       a line each
 *
 * The form is `s` (short), `v` (verbose, see Demangle) or `b` (both are the same).
 */
import { checksum } from './columns.ts';
import type { Demangle, DemangledNames } from './names.ts';
import type { TableCache } from './table.ts';

/** Grows with every change of what the demangler writes. */
const FORMAT = 1;
/** Characters of one program's names; with more, those of the last search alone are kept. */
const mostText = 4 << 20;
const head = (sum: number): string => `insitu names ${FORMAT} ${sum.toString(16).padStart(8, '0')}\n`;
const headLength = head(0).length;

export class KeptNames {
  readonly #cache: TableCache;
  readonly #key: string;
  readonly #demangle: Demangle;
  #kept:
    | { readonly short: Map<string, string>; readonly verbose: Map<string, string>; readonly text: string }
    | undefined;
  /** What was not there: mangled name → its forms, '' for one that was not asked for. */
  readonly #fresh: Map<string, { short: string; verbose: string }> = new Map();

  constructor(demangle: Demangle, cache: TableCache, key: string) {
    this.#demangle = demangle;
    this.#cache = cache;
    this.#key = key;
  }

  readonly demangle: Demangle = (name, { verbose }): DemangledNames | undefined => {
    this.#kept ??= readNames(this.#cache.read(this.#key));
    const known = (verbose ? this.#kept.verbose : this.#kept.short).get(name);
    const demangle = this.#demangle;
    if (known !== undefined) {
      return {
        full: known,
        get base() {
          return demangle(name, { verbose })?.base ?? known;
        },
      };
    }
    const names = demangle(name, { verbose });
    if (names !== undefined) {
      const forms = this.#fresh.get(name) ?? { short: '', verbose: '' };
      forms[verbose ? 'verbose' : 'short'] = names.full;
      this.#fresh.set(name, forms);
    }
    return names;
  };

  /** Keeps what is new. */
  save(): void {
    if (this.#fresh.size === 0) return;
    let lines = '';
    const add = (form: string, name: string, text: string): void => {
      if (!/[\t\n]/.test(name) && !/[\t\n]/.test(text)) lines += `${form}${name}\t${text}\n`;
    };
    for (const [name, { short, verbose }] of this.#fresh) {
      if (short === verbose) add('b', name, short);
      else {
        if (short !== '') add('s', name, short);
        if (verbose !== '') add('v', name, verbose);
      }
    }
    this.#fresh.clear();
    const before = this.#kept?.text ?? '';
    if (lines.length > mostText) return;
    const text = before.length + lines.length > mostText ? lines : before + lines;
    const body = new TextEncoder().encode(text);
    const start = new TextEncoder().encode(head(checksum(body)));
    const bytes = new Uint8Array(start.length + body.length);
    bytes.set(start);
    bytes.set(body, start.length);
    this.#cache.write(this.#key, bytes);
    this.#kept = undefined;
  }
}

/** The names that bytes hold; none where they are damaged, cut, or of another format. */
export function readNames(bytes: Uint8Array | undefined): {
  readonly short: Map<string, string>;
  readonly verbose: Map<string, string>;
  readonly text: string;
} {
  const short = new Map<string, string>();
  const verbose = new Map<string, string>();
  const decoder = new TextDecoder();
  const body = bytes?.subarray(headLength) ?? new Uint8Array(0);
  if (bytes === undefined || decoder.decode(bytes.subarray(0, headLength)) !== head(checksum(body))) {
    return { short, verbose, text: '' };
  }
  const text = decoder.decode(body);
  for (const line of text.split('\n')) {
    const tab = line.indexOf('\t');
    if (tab < 1) continue;
    const name = line.slice(1, tab);
    const demangled = line.slice(tab + 1);
    if (line[0] !== 'v') short.set(name, demangled);
    if (line[0] !== 's') verbose.set(name, demangled);
  }
  return { short, verbose, text };
}
