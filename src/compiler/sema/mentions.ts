/** Quick looks at a syntax tree: does it mention a name, does it loop? */

import type {
  Assign,
  Expr,
  ForElements,
  ForMap,
  ForRange,
  Let,
  Node,
  Unary,
  UnaryOperator,
  Variable,
} from '../syntax/ast.ts';

/** Every node below a value, the value included; any plain object with a `node` counts. */
function* nodes(value: unknown): Iterable<Record<string, unknown>> {
  if (Array.isArray(value)) {
    for (const item of value) yield* nodes(item);
  } else if (typeof value === 'object' && value !== null) {
    const record = value as Record<string, unknown>;
    yield record;
    for (const [key, child] of Object.entries(record))
      if (key !== 'span' && typeof child === 'object') yield* nodes(child);
  }
}

/** Whether an identifier of that name (or `$#`) occurs. */
export function mentions(tree: object, name: string): boolean {
  for (const node of nodes(tree)) {
    if (
      name === '$#'
        ? node['node'] === 'positional' && node['index'] === 'count'
        : node['node'] === 'identifier' && node['name'] === name
    )
      return true;
  }
  return false;
}

/** Whether a function of that name is called. */
export function calls(tree: object, name: string): boolean {
  for (const node of nodes(tree)) if (node['node'] === 'call' && node['name'] === name) return true;
  return false;
}

/** Operators that change what they stand at, or let others do. */
const changing: readonly UnaryOperator[] = ['++pre', '--pre', 'post++', 'post--', '&'];

/** The value of a variable that gets one at a single place; undefined where it gets none, several, or is counted up. */
export function assignedOnce(tree: object, variable: string): Expr | undefined {
  const values: (Expr | undefined)[] = [];
  const isIt = (node: { readonly node: string }): boolean =>
    node.node === 'variable' && (node as Variable).name === variable;
  for (const node of nodes(tree) as Iterable<Node>) {
    if (node.node === 'assign') {
      const { target, operator, value } = node as Assign;
      if (isIt(target)) values.push(operator === '=' ? value : undefined);
    } else if (node.node === 'let') {
      const { variable: declared, value } = node as Let;
      if (isIt(declared) && value !== undefined) values.push(value);
    } else if (node.node === 'unary') {
      const { operator, operand } = node as Unary;
      if (changing.includes(operator) && isIt(operand)) values.push(undefined);
    } else if (node.node === 'for_map' || node.node === 'for_range' || node.node === 'for_elements') {
      if (isIt((node as ForMap | ForRange | ForElements).variable)) values.push(undefined);
    }
  }
  return values.length === 1 ? values[0] : undefined;
}

const loopNodes: ReadonlySet<string> = new Set(['while', 'for_map', 'for_range', 'for_elements']);

/** Whether the block has a loop that becomes a callback. */
export function usesLoops(tree: object): boolean {
  for (const node of nodes(tree)) {
    if (loopNodes.has(node['node'] as string)) return true;
  }
  return false;
}
