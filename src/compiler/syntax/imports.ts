/**
 * `import "path";` takes in another script: its macros, declarations and probes. A path
 * is looked for beside the file that imports it; a folder stands for all scripts in it.
 * A file that is imported twice is taken in once.
 */
import type { Diagnostics } from '../../diag/diagnostic.ts';
import { Source, type SourcePart } from '../../diag/source.ts';
import type { ImportStatement, Preamble, ProbeBlock, Script } from './ast.ts';
import { parse } from './parse.ts';
import { make } from './parser.ts';

export interface ImportedFile {
  /** How diagnostics call it. */
  readonly name: string;
  /** The same for all ways to name the same file. */
  readonly id: string;
  /** Where its own imports are looked for. */
  readonly folder: string;
  readonly text: string;
}

/**
 * Finds the files that `path` names, as seen from `folder` (undefined: the script's own).
 * A reason instead when there are none or they cannot be read.
 */
export type ImportReader = (
  path: string,
  folder: string | undefined,
) => { readonly files: readonly ImportedFile[] } | { readonly reason: string; readonly hints: readonly string[] };

/** The script and what it imports as one; probes of imported files come first. */
export function parseWithImports(
  main: Source,
  read: ImportReader | undefined,
  diagnostics: Diagnostics,
): { readonly source: Source; readonly script: Script } {
  const script = parse(main, diagnostics);
  if (!script.preamble.some(({ node }) => node === 'import')) return { source: main, script };
  const files = new Files(main.text, read, diagnostics);
  files.take(script, undefined);
  return {
    source: new Source(main.name, files.text, files.parts),
    script: make({ ...script, preamble: make(files.preamble), probes: make([...files.probes, ...script.probes]) }),
  };
}

class Files {
  readonly #read: ImportReader | undefined;
  readonly #diagnostics: Diagnostics;
  readonly #seen = new Set<string>();
  readonly parts: SourcePart[] = [];
  readonly preamble: Preamble[] = [];
  readonly probes: ProbeBlock[] = [];
  text: string;

  constructor(text: string, read: ImportReader | undefined, diagnostics: Diagnostics) {
    this.text = text;
    this.#read = read;
    this.#diagnostics = diagnostics;
  }

  /** Takes in what a script imports, then its own declarations. */
  take(script: Script, folder: string | undefined): void {
    for (const node of script.preamble) {
      if (node.node === 'import') this.#import(node, folder);
      else this.preamble.push(node);
    }
  }

  #import(node: ImportStatement, folder: string | undefined): void {
    if (node.path.endsWith('.h')) {
      const hint = `a C header is included: #include "${node.path}"`;
      this.#diagnostics.error('no-import', `"${node.path}" is no script`, node.span, hint);
      return;
    }
    const found = this.#read?.(node.path, folder) ?? { reason: 'nothing can be imported here', hints: [] };
    if ('reason' in found) {
      this.#diagnostics.error('no-import', `cannot import "${node.path}": ${found.reason}`, node.span, ...found.hints);
      return;
    }
    for (const file of found.files) this.#file(file);
  }

  #file(file: ImportedFile): void {
    if (this.#seen.has(file.id)) return;
    this.#seen.add(file.id);
    const start = this.text.length + 1;
    this.text += `\n${file.text}`;
    this.parts.push({ name: file.name, start });
    // A shebang is one only at the start of a text.
    const text = file.text.replace(/^#!.*/, (line) => ' '.repeat(line.length));
    const script = parse(new Source(file.name, ' '.repeat(start) + text), this.#diagnostics);
    for (const { span } of script.config) {
      this.#diagnostics.error(
        'misplaced-config',
        'an imported script has no config block',
        span,
        'settings belong into the script that is run',
      );
    }
    this.take(script, file.folder);
    this.probes.push(...script.probes);
  }
}
