/** Quick looks at a syntax tree: does it mention a name, does it loop? */

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

const loopNodes: ReadonlySet<string> = new Set(['while', 'for_map', 'for_range', 'for_elements']);

/** Whether the block has a loop that becomes a callback. */
export function usesLoops(tree: object): boolean {
  for (const node of nodes(tree)) {
    if (loopNodes.has(node['node'] as string)) return true;
  }
  return false;
}
