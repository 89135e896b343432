/**
 * `macro name($a, @b, c) { … }`: calls are replaced by the body, before types are looked
 * at. `$a` and `@b` stand for the caller's own variable and map (the macro can change
 * them), `c` for any expression. The body's other variables are renamed for each call,
 * so that they never meet the caller's.
 */
import type { Diagnostics } from '../../diag/diagnostic.ts';
import type * as Ast from './ast.ts';

/** Macros calling macros: deeper than this they call themselves. */
const maxDepth = 32;

type Node = Record<string, unknown> & { readonly node?: string };

interface Bindings {
  readonly variables: ReadonlyMap<string, Ast.Expr>;
  readonly maps: ReadonlyMap<string, Ast.MapAccess>;
  readonly names: ReadonlyMap<string, Ast.Expr>;
  /** Put behind the names of the body's own variables. */
  readonly suffix: string;
}

/** The script with every call of its macros replaced; the same object when it has none. */
export function expandMacros(script: Ast.Script, diagnostics: Diagnostics): Ast.Script {
  const macros = new Map<string, Ast.MacroDefinition[]>();
  for (const node of script.preamble) {
    if (node.node !== 'macro') continue;
    const others = macros.get(node.name) ?? [];
    if (others.some(({ parameters }) => parameters.length === node.parameters.length))
      diagnostics.error('redefined-macro', `macro ${node.name} is there already`, node.span);
    macros.set(node.name, [...others, node]);
  }
  if (macros.size === 0) return script;
  const expander = new Expander(macros, diagnostics);
  return { ...script, probes: script.probes.map((probe) => expander.expand(probe, 0) as Ast.ProbeBlock) };
}

class Expander {
  /** By name; those of one name differ in their number of parameters. */
  readonly #macros: ReadonlyMap<string, readonly Ast.MacroDefinition[]>;
  readonly #diagnostics: Diagnostics;
  #calls = 0;

  constructor(macros: ReadonlyMap<string, readonly Ast.MacroDefinition[]>, diagnostics: Diagnostics) {
    this.#macros = macros;
    this.#diagnostics = diagnostics;
  }

  /** A copy of a tree with the calls in it replaced. */
  expand(tree: unknown, depth: number, bindings?: Bindings): unknown {
    if (Array.isArray(tree)) return tree.map((item) => this.expand(item, depth, bindings));
    if (typeof tree !== 'object' || tree === null) return tree;
    const node = tree as Node;
    const bound = bindings && substitute(node, bindings);
    if (bound !== undefined) return bound;
    const copy = Object.fromEntries(
      Object.entries(node).map(([key, child]) => [key, key === 'span' ? child : this.expand(child, depth, bindings)]),
    ) as Node;
    if (bindings && node.node === 'variable') return { ...copy, name: `${String(node['name'])}${bindings.suffix}` };
    if (bindings && node.node === 'map') return this.#map(copy, bindings);
    return this.#call(copy, depth) ?? copy;
  }

  /** A map in a macro's body: the caller's, which it must have been given. */
  #map(node: Node, bindings: Bindings): Node {
    const name = String(node['name']);
    const given = bindings.maps.get(name);
    if (given) return { ...node, name: given.name };
    this.#diagnostics.error(
      'unhygienic-macro',
      `Unhygienic access to map: @${name}. Maps must be passed into the macro as arguments.`,
      (node as unknown as Ast.MapAccess).span,
      `macro name(@${name}) { … }`,
    );
    return node;
  }

  #call(node: Node, depth: number): Ast.BlockExpr | undefined {
    const isCall = node.node === 'call';
    if (!isCall && node.node !== 'identifier') return undefined;
    const family = this.#macros.get(String(node['name'])) ?? [];
    const call = node as unknown as Ast.Call;
    const args = isCall ? call.args : [];
    const macro = family.find(({ parameters }) => parameters.length === args.length) ?? family[0];
    if (macro === undefined || (!isCall && macro.parameters.length > 0)) return undefined;
    const complain = (code: string, message: string): undefined => {
      this.#diagnostics.error(code, message, call.span);
      return undefined;
    };
    if (depth >= maxDepth) return complain('macro-recursion', `macro ${macro.name} calls itself`);
    if (args.length !== macro.parameters.length) {
      return complain(
        'macro-arguments',
        `macro ${macro.name} takes ${macro.parameters.length} arguments (${args.length} provided)`,
      );
    }
    const bindings = {
      variables: new Map<string, Ast.Expr>(),
      maps: new Map<string, Ast.MapAccess>(),
      names: new Map<string, Ast.Expr>(),
      suffix: `.${++this.#calls}`,
    };
    for (const [index, parameter] of macro.parameters.entries()) {
      const argument = args[index] as Ast.Expr;
      if (parameter.node === 'map') {
        if (argument.node !== 'map')
          return complain('macro-arguments', `macro ${macro.name} takes a map for @${parameter.name}`);
        bindings.maps.set(parameter.name, argument);
      } else if (parameter.node === 'variable') {
        if (argument.node !== 'variable')
          return complain('macro-arguments', `macro ${macro.name} takes a variable for $${parameter.name}`);
        bindings.variables.set(parameter.name, argument);
      } else {
        bindings.names.set(parameter.name, argument);
      }
    }
    const body = this.expand(macro.body, depth + 1, bindings) as Ast.Statement[];
    const value = macro.value && (this.expand(macro.value, depth + 1, bindings) as Ast.Expr);
    const nothing: Ast.Expr = { node: 'integer', value: 0n, unsigned: false, text: '0', span: call.span };
    return { node: 'block_expr', span: call.span, body, value: value ?? nothing };
  }
}

/** What a parameter's node stands for. */
function substitute(node: Node, bindings: Bindings): Ast.Expr | undefined {
  const name = String(node['name']);
  if (node.node === 'variable') return bindings.variables.get(name);
  if (node.node === 'identifier') return bindings.names.get(name);
  return undefined;
}
