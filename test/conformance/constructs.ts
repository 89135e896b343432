/**
 * What of the language a script uses, by the nodes of its syntax tree: a name that stands
 * in a text, a comment or as somebody's variable does not count.
 *
 * Words: `probe:uprobe`, `event:cpu-clock`, `name:pid` (a builtin, called or not),
 * `config:max_strlen`, `map:hist` (assigned to a map), `format:%d`, `type:uint8`, and
 * `syntax:…` for what has no name.
 */
import { parseFormat } from '../../src/compiler/builtins/printf.ts';
import { providerOf } from '../../src/compiler/probes/expand.ts';
import type { Call, Expr, IntegerLiteral, Node, Script, TypeExpr } from '../../src/compiler/syntax/ast.ts';
import { parse } from '../../src/compiler/syntax/parse.ts';
import { Diagnostics } from '../../src/diag/diagnostic.ts';
import { Source } from '../../src/diag/source.ts';

/** The script's constructs; undefined when the text is no script, or one with mistakes that are not `allowed`. */
export function constructsOf(text: string, allowed: 'mistakes' | 'none' = 'none'): ReadonlySet<string> | undefined {
  const diagnostics = new Diagnostics();
  let script: Script;
  const source = new Source('script', text);
  try {
    script = parse(source, diagnostics);
  } catch {
    return undefined;
  }
  if (script.probes.length === 0 || (allowed === 'none' && diagnostics.hasErrors)) return undefined;
  const found = new Set<string>();
  collectScript(script, found);
  for (const node of nodes([script.preamble, script.probes])) collect(node, source.text, found);
  return found;
}

/** Every node below a value, those of types included. */
function* nodes(value: unknown): Iterable<Node> {
  if (Array.isArray(value)) for (const item of value) yield* nodes(item);
  else if (typeof value === 'object' && value !== null) {
    if ('node' in value) yield value as Node;
    for (const [key, child] of Object.entries(value)) if (key !== 'span') yield* nodes(child);
  }
}

function collectScript(script: Script, found: Set<string>): void {
  if (script.shebang !== undefined) found.add('syntax:#!');
  for (const { text } of script.comments) found.add(text.startsWith('//') ? 'syntax://' : 'syntax:/*');
  if (script.config.length > 0) found.add('syntax:config');
  for (const { name } of script.config) found.add(`config:${name}`);
  for (const probe of script.probes) {
    if (probe.predicate !== undefined) found.add('syntax:predicate');
    for (const { provider, rest, label } of probe.attachPoints) {
      found.add(`probe:${provider}`).add(`probe:${providerOf(provider) ?? provider}`);
      for (const part of rest.split(':')) found.add(`event:${part}`);
      if (label !== undefined) found.add('syntax:name=');
    }
  }
}

/** C text of the script by its keywords. */
function collectC(text: string, found: Set<string>): void {
  for (const keyword of ['struct', 'union', 'enum']) {
    if (new RegExp(`\\b${keyword}\\b[^;{]*\\{`).test(text)) found.add(`syntax:${keyword}`);
  }
}

function collectType(type: TypeExpr, found: Set<string>): void {
  if (type.keyword !== undefined) found.add(`syntax:${type.keyword}`);
  if (type.pointers > 0) found.add('syntax:pointers');
  found.add(`type:${type.name}`);
  if (type.typeOf !== undefined) found.add('name:typeof');
}

function collectInteger({ text }: IntegerLiteral, found: Set<string>): void {
  if (/^0[xX]/.test(text)) found.add('syntax:hex');
  else if (/^0[0-7]+$/.test(text)) found.add('syntax:octal');
  else if (/^\d[\d_]*[eE]/.test(text)) found.add('syntax:1e6');
  if (text.includes('_')) found.add('syntax:1_000');
  if (/^(?:0[xX])?[\da-fA-F_]+[uU]?[lL]{0,2}$/.test(text) && /[uUlL]$/.test(text)) found.add('syntax:suffixes');
  if (/^\d+(?:ns|us|ms|s|m|h|d)$/.test(text)) found.add('syntax:durations');
}

function collectFormat(call: Call, found: Set<string>): void {
  const [first] = call.args;
  if (first?.node !== 'string') return;
  const format = parseFormat(first.value);
  if (typeof format === 'string') return;
  for (const piece of format.pieces) {
    if ('text' in piece) continue;
    const { conversion, length, flags, width, precision } = piece;
    found.add(`format:%${conversion}`).add(`format:%${length}${conversion}`);
    if (width !== undefined) found.add('format:width');
    if (precision !== undefined) found.add('format:precision');
    if (flags.includes('-')) found.add('format:- flag');
    if (flags.includes('0')) found.add('format:0 flag');
  }
}

const formats: readonly string[] = ['printf', 'errorf', 'warnf', 'cat', 'system'];
/** Words that are builtins only as arguments of these. */
const modes: Readonly<Record<string, readonly string[]>> = {
  nsecs: ['monotonic', 'boot', 'tai', 'sw_tai'],
  pid: ['curr_ns', 'init'],
  tid: ['curr_ns', 'init'],
};

function collectCall(call: Call, found: Set<string>): void {
  found.add(`name:${call.name}`);
  if (formats.includes(call.name)) collectFormat(call, found);
  const [first] = call.args;
  if (call.name === 'str' && first?.node === 'positional') found.add('syntax:str($1)');
  for (const mode of modes[call.name] ?? []) {
    if (first?.node === 'identifier' && first.name === mode) found.add(`mode:${mode}`);
  }
}

const isAggregate = (value: Expr): string | undefined =>
  value.node === 'call' || value.node === 'identifier' ? value.name : undefined;

function collect(node: Node, text: string, found: Set<string>): void {
  switch (node.node) {
    case 'type':
      collectType(node, found);
      return;
    case 'c':
      collectC(node.text, found);
      return;
    case 'integer':
      collectInteger(node, found);
      return;
    case 'call':
      collectCall(node, found);
      return;
    case 'string':
      if (/\\(?:x|[0-7ntr"\\])/.test(text.slice(node.span.start, node.span.end))) found.add('syntax:escapes');
      return;
    case 'identifier':
      found.add(`name:${node.name}`);
      if (/^arg\d+$/.test(node.name)) found.add('name:argN');
      return;
    case 'bool':
      found.add('type:bool');
      return;
    case 'positional':
      found.add(node.index === 'count' ? 'syntax:$#' : 'syntax:$1');
      return;
    case 'assign': {
      if (node.operator !== '=') found.add('syntax:compound assignment');
      if (node.target.node === 'discard') found.add('syntax:_ =');
      const aggregate = node.target.node === 'map' ? isAggregate(node.value) : undefined;
      if (aggregate !== undefined) found.add(`map:${aggregate}`);
      return;
    }
    case 'map_declaration':
      found.add(`syntax:let @m = ${node.kind}`);
      return;
    case 'unary':
      if (node.operator === '&') found.add('syntax:&');
      if (node.operator.includes('++')) found.add('syntax:++');
      if (node.operator.includes('--')) found.add('syntax:--');
      if (node.operator === '*') found.add('syntax:pointers');
      return;
    case 'ternary':
      found.add(node.then === undefined ? 'syntax:?:' : 'syntax:ternary');
      return;
    case 'if':
      found.add('syntax:if');
      if (node.otherwise !== undefined) found.add('syntax:else');
      if (node.otherwise?.length === 1 && node.otherwise[0]?.node === 'if') found.add('syntax:else if');
      return;
    case 'field':
      found.add(node.arrow ? 'syntax:->' : 'syntax:.');
      return;
    case 'probe':
    case 'variable':
    case 'map':
      return;
    default:
      found.add(`syntax:${nodeNames[node.node] ?? node.node}`);
  }
}

/** What the checklist calls nodes. */
const nodeNames: Readonly<Record<string, string>> = {
  for_map: 'for over maps',
  for_range: 'for over ranges',
  block_expr: 'block expressions',
  index: 'arrays',
  cast: 'casts',
  tuple: 'tuples',
  record: 'records',
  include: '#include',
  define: '#define',
};
