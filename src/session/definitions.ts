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
import type { Source } from '../diag/source.ts';
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
    const definitions = readCDefinitions(
      { name: source.name, text: prefix + cText(source, nodes) },
      {
        include: (path, system, from) => target.header(path, system, from),
        types: target.kernelTypes(),
        pointerSize: 8,
        arch: target.arch,
      },
    );
    report(definitions, source, prefix.length, diagnostics);
    return definitions;
  });
  const own = nodes.some((node) => node.node === 'c' || (node.node === 'include' && !node.system));
  return own ? { own: read() } : { headers: read };
}

/** The script's text with everything but its C parts blanked, so that offsets stay. */
function cText(source: Source, nodes: Script['preamble']): string {
  let text = '';
  for (const { span } of nodes) {
    text += source.text.slice(text.length, span.start).replace(/[^\n]/g, ' ');
    text += source.text.slice(span.start, span.end);
  }
  return `${text}\n`;
}

function report(definitions: CDefinitions, source: Source, shift: number, diagnostics: Diagnostics): void {
  for (const problem of definitions.problems) {
    // What a system header is made of is not the script's doing.
    if (problem.file !== source.name) continue;
    const span = { start: problem.start - shift, end: problem.end - shift };
    if (problem.severity === 'error') diagnostics.error(problem.code, problem.message, span);
    else diagnostics.warning(problem.code, problem.message, span);
  }
}
