/**
 * C text as scripts carry it and headers hold it: the preprocessor, and the types and
 * macros that the declarations make. Tolerant: what is not understood is reported with
 * its place and passed over. Rules: C11, GNU C's extensions, the System V ABI's layout.
 */
import { lazy } from '../../../base/lazy.ts';
import type { Type } from '../../../types/model.ts';
import type { TypeKeyword, TypeSource } from '../../../types/source.ts';
import { Declarations } from './declare.ts';
import { spell, TOO_MANY_TOKENS } from './macro.ts';
import { predefinedMacros } from './predefined.ts';
import { type CProblem, type IncludeFinder, type MissingHeader, Preprocessor } from './preprocess.ts';

export type { CProblem, IncludeFinder, MissingHeader } from './preprocess.ts';

export interface CInput {
  readonly text: string;
  /** As problems name it. */
  readonly name: string;
}

export interface COptions {
  /** Finds a header; undefined: it does not exist. `from` is the header with the #include, undefined for the text itself. */
  readonly include: IncludeFinder;
  /** Types for tags and typedefs that the text does not declare: the kernel's BTF. */
  readonly types?: TypeSource | undefined;
  readonly pointerSize: 8;
  /** Default x86_64; decides the predefined macros and whether plain char is signed. */
  readonly arch?: 'x86_64' | 'arm64';
  /** Further macros, by name or `name(a,b)`, as with -D. */
  readonly macros?: Readonly<Record<string, string>>;
}

export interface CDefinitions {
  /** What the text and its headers declare, and nothing else: the fallback stays the caller's. */
  readonly types: TypeSource;
  /** Bodies of the object-like macros that are defined at the end, the predefined ones left out. */
  readonly macros: ReadonlyMap<string, string>;
  /** The value of an object-like macro that is an integer constant; undefined when it is something else. */
  macroValue(name: string): bigint | undefined;
  readonly problems: readonly CProblem[];
  /** Headers that do not exist. */
  readonly missing: readonly MissingHeader[];
}

/** Reads definitions. Never throws; a text that goes beyond all bounds ends with a problem `too-large`. */
export function readCDefinitions(input: CInput, options: COptions): CDefinitions {
  const predefined = [...predefinedMacros(options.arch ?? 'x86_64'), ...Object.entries(options.macros ?? {})];
  const source = new Preprocessor({ name: input.name, text: input.text }, options.include, predefined);
  const declarations = new Declarations(source, options.types, options.arch !== 'arm64');
  try {
    declarations.read();
  } catch (error) {
    if (error !== TOO_MANY_TOKENS && !(error instanceof RangeError)) throw error;
    const message = 'the macros of this text make too many tokens';
    source.problems.push({ severity: 'error', code: 'too-large', message, file: input.name, start: 0, end: 0 });
  }
  const macros = lazy(() => {
    const bodies = new Map<string, string>();
    for (const macro of source.table.macros.values()) {
      if (!macro.predefined && !macro.isFunction) bodies.set(macro.name, spell(macro.body).trim());
    }
    return bodies;
  });
  const values = new Map<string, bigint | undefined>();
  return {
    types: new DeclaredTypes(declarations),
    get macros(): ReadonlyMap<string, string> {
      return macros();
    },
    macroValue(name) {
      if (!values.has(name)) values.set(name, evaluate(name, source, declarations));
      return values.get(name);
    },
    problems: source.problems,
    missing: source.missing,
  };
}

function evaluate(name: string, source: Preprocessor, declarations: Declarations): bigint | undefined {
  const macro = source.table.macros.get(name);
  if (macro === undefined || macro.isFunction || macro.body.length === 0) return undefined;
  try {
    return declarations.evaluate(source.table.expand(macro.body.map((token) => ({ ...token, hidden: [name] }))));
  } catch (error) {
    if (error === TOO_MANY_TOKENS) return undefined;
    throw error;
  }
}

class DeclaredTypes implements TypeSource {
  private readonly declarations: Declarations;

  constructor(declarations: Declarations) {
    this.declarations = declarations;
  }

  find(keyword: TypeKeyword, name: string): Type | undefined {
    if (keyword !== 'typedef') return this.declarations.tags.get(`${keyword} ${name}`);
    const type = this.declarations.typedefs.get(name);
    return type === undefined || type.incomplete() !== undefined ? undefined : type.type();
  }

  findEnumerator(name: string): ReturnType<TypeSource['findEnumerator']> {
    return this.declarations.enumerators.get(name);
  }

  findFunction(): undefined {
    return undefined;
  }

  *names(keyword: TypeKeyword): Iterable<string> {
    if (keyword === 'typedef') yield* this.declarations.typedefs.keys();
    else {
      for (const tag of this.declarations.tags.keys()) {
        if (tag.startsWith(`${keyword} `)) yield tag.slice(keyword.length + 1);
      }
    }
  }
}
