/**
 * The C part of a script: declarations, #define and #include, read into types and
 * constants. Headers alone (no declarations of the script's own) are read only when a
 * name is looked for that the uapi constants and kernel BTF do not have.
 */
import { lazy } from '../base/lazy.ts';
import type { ScriptDefinitions } from '../compiler/sema/names.ts';
import type { Script } from '../compiler/syntax/ast.ts';
import { type CDefinitions, readCDefinitions } from '../debuginfo/text/c/index.ts';
import type { Diagnostics } from '../diag/diagnostic.ts';
import type { Source, Span } from '../diag/source.ts';
import type { Target } from '../target/target.ts';

/** Folders of headers that describe the kernel: where one is missing, BTF and the uapi constants stand in. */
const kernelHeader =
  /^(linux|net|asm|asm-generic|uapi|sys|netinet|netinet6|trace|bpf|kernel|arpa)\/|^(vmlinux|bpf_helpers)\.h$/;

/** Reads what a script declares and includes; `includes` are headers named on the command line. */
export function readDefinitions(
  source: Source,
  script: Script,
  target: Target,
  diagnostics: Diagnostics,
  includes: readonly string[],
): ScriptDefinitions | undefined {
  const nodes = script.preamble.filter(
    (node) => node.node === 'c' || node.node === 'include' || node.node === 'define',
  );
  if (nodes.length === 0 && includes.length === 0) return undefined;
  for (const node of nodes) {
    if (node.node !== 'include' || kernelHeader.test(node.path)) continue;
    if (target.header(node.path, node.system, undefined) === undefined) {
      diagnostics.error('no-header', `there is no header ${node.path}`, node.span, 'name its folder with -I DIR');
    }
  }
  for (const path of includes) {
    if (!kernelHeader.test(path) && target.header(path, true, undefined) === undefined) {
      diagnostics.error('no-header', `--include: there is no header ${path}`, undefined, 'name its folder with -I DIR');
    }
  }
  const prefix = includes.map((path) => `#include <${path}>\n`).join('');
  const read = lazy(() => {
    const { text, spanOf } = cText(source, nodes, prefix);
    const definitions = readCDefinitions(
      { name: source.name, text },
      {
        include: (path, system, from) => target.header(path, system, from),
        types: target.kernelTypes(),
        pointerSize: 8,
        arch: target.arch,
      },
    );
    report(definitions, source, spanOf, diagnostics);
    return definitions;
  });
  const own = nodes.some((node) => node.node === 'c' || (node.node === 'include' && !node.system));
  return own ? { own: read() } : { headers: read };
}

/** The C parts in their order, one below the other, and the way back to where each stands in the script. */
function cText(
  source: Source,
  nodes: Script['preamble'],
  prefix: string,
): { readonly text: string; readonly spanOf: (start: number, end: number) => Span } {
  const pieces: { readonly at: number; readonly from: number }[] = [];
  let text = prefix;
  for (const node of nodes) {
    const { span } = node;
    pieces.push({ at: text.length, from: span.start });
    // A declaration's last semicolon may be missing in the script, and not in C.
    text += `${node.node === 'c' ? node.text : source.text.slice(span.start, span.end)}\n`;
  }
  const back = (offset: number): number => {
    const piece = pieces.findLast(({ at }) => at <= offset);
    return piece === undefined ? 0 : offset - piece.at + piece.from;
  };
  return { text, spanOf: (start, end) => ({ start: back(start), end: back(start) + end - start }) };
}

function report(
  definitions: CDefinitions,
  source: Source,
  spanOf: (start: number, end: number) => Span,
  diagnostics: Diagnostics,
): void {
  for (const { file, start, end, severity, code, message } of definitions.problems) {
    // What a system header is made of is not the script's doing.
    if (file !== source.name) continue;
    if (severity === 'error') diagnostics.error(code, message, spanOf(start, end));
    else diagnostics.warning(code, message, spanOf(start, end));
  }
}
