/**
 * Named parameters: `getopt("name", default, "what it is")` is `--name=value` from the
 * command line, behind `--`. Values are known before types are looked at, so that each
 * call is replaced by a literal. Ruled by bpftrace's language reference, getopt.
 */
import { nearest } from '../../base/near.ts';
import type { Diagnostics } from '../../diag/diagnostic.ts';
import type { Call, Expr, ProbeBlock, Script, TypeExpr } from './ast.ts';
import { make } from './parser.ts';

type Default = bigint | boolean | string;

/** A parameter that the script asks for. */
export interface NamedParameter {
  readonly name: string;
  readonly default: Default;
  readonly about: string | undefined;
}

/**
 * The script with every getopt() replaced by its value, and the parameters it asks for.
 * `given`: `--name=value` by name, '' … of any kind; true for `--name` alone.
 */
export function resolveNamed(
  script: Script,
  given: ReadonlyMap<string, string | true>,
  diagnostics: Diagnostics,
): { readonly script: Script; readonly parameters: readonly NamedParameter[] } {
  const parameters = new Map<string, NamedParameter>();
  const replace = (tree: unknown): unknown => {
    if (Array.isArray(tree)) {
      const items = tree.map(replace);
      return items.some((item, at) => item !== tree[at]) ? make(items) : tree;
    }
    if (typeof tree !== 'object' || tree === null) return tree;
    const node = tree as { readonly node?: string; readonly name?: unknown };
    if (node.node === 'call' && node.name === 'getopt') return literal(tree as Call);
    let copy: Record<string, unknown> | undefined;
    for (const [key, child] of Object.entries(tree)) {
      const replaced = key === 'span' ? child : replace(child);
      if (replaced !== child) copy = { ...(copy ?? tree), [key]: replaced };
    }
    return copy === undefined ? tree : make(copy);
  };
  const literal = (call: Call): Expr => {
    const parameter = readCall(call, diagnostics);
    if (parameter === undefined) return make({ node: 'bool', span: call.span, value: false });
    const before = parameters.get(parameter.name);
    if (before !== undefined && before.default !== parameter.default) {
      diagnostics.error(
        'named-parameter',
        `--${parameter.name} has the default ${show(before.default)} elsewhere, ${show(parameter.default)} here`,
        call.span,
        'give it the same default wherever it is used',
      );
    }
    if (before?.about === undefined) parameters.set(parameter.name, parameter);
    return valueNode(call, givenValue(parameter, given.get(parameter.name), call, diagnostics));
  };
  const probes = replace(script.probes) as readonly ProbeBlock[];
  for (const name of given.keys()) {
    if (parameters.has(name) || name === 'help') continue;
    const near = nearest(name, [...parameters.keys()], 1)[0];
    const known = [...parameters.keys()].sort().map((one) => `--${one}`);
    diagnostics.error(
      'named-parameter',
      `the script has no parameter --${name}`,
      undefined,
      near === undefined
        ? known.length === 0
          ? 'a script asks for named parameters with getopt("name", default)'
          : `its parameters are ${known.join(', ')}`
        : `did you mean --${near}?`,
    );
  }
  return {
    script: probes === script.probes ? script : make({ ...script, probes }),
    parameters: [...parameters.values()],
  };
}

/** What the script's `-- --help` prints. */
export function describeNamed(name: string, parameters: readonly NamedParameter[]): string {
  if (parameters.length === 0) return `${name} takes no named parameters\n`;
  const rows = [...parameters].sort((a, b) => (a.name < b.name ? -1 : 1));
  const word = (one: NamedParameter): string =>
    `--${one.name}${typeof one.default === 'boolean' ? '' : typeof one.default === 'string' ? '=TEXT' : '=NUMBER'}`;
  const width = Math.max(...rows.map((one) => word(one).length));
  const lines = rows.map(
    (one) =>
      `  ${word(one).padEnd(width)}  ${one.about === undefined ? '' : `${one.about} `}(default ${show(one.default)})`,
  );
  return `${[`parameters of ${name}, behind --:`, ...lines].join('\n')}\n`;
}

const show = (value: Default): string => (typeof value === 'string' ? JSON.stringify(value) : String(value));

function readCall({ args, span }: Call, diagnostics: Diagnostics): NamedParameter | undefined {
  const [name, fallback, about] = args;
  const wrong = (message: string, at: { readonly span: Call['span'] } = { span }): undefined => {
    diagnostics.error('named-parameter', message, at.span, 'write: getopt("name", default, "what it is")');
    return undefined;
  };
  if (args.length === 0 || args.length > 3) return wrong(`getopt() takes 1 to 3 arguments (${args.length} provided)`);
  if (name?.node !== 'string') return wrong('the first argument of getopt() is the name, a string', name);
  if (!/^[A-Za-z_][\w-]*$/.test(name.value)) return wrong(`'${name.value}' is no name for a parameter`, name);
  if (about !== undefined && about.node !== 'string')
    return wrong('the third argument of getopt() says what it is', about);
  const value = fallback === undefined ? false : constant(fallback);
  if (value === undefined) return wrong('the default of getopt() is a string, a number, true or false', fallback);
  return { name: name.value, default: value, about: about?.value };
}

function constant(expr: Expr | TypeExpr): Default | undefined {
  if (expr.node === 'string' || expr.node === 'bool' || expr.node === 'integer') return expr.value;
  if (expr.node !== 'unary' || expr.operator !== '-' || expr.operand.node !== 'integer') return undefined;
  return -expr.operand.value;
}

function givenValue(
  parameter: NamedParameter,
  text: string | true | undefined,
  call: Call,
  diagnostics: Diagnostics,
): Default {
  if (text === undefined) return parameter.default;
  const wrong = (what: string): Default => {
    const shown = text === true ? 'nothing' : `'${text}'`;
    diagnostics.error('named-parameter', `--${parameter.name} takes ${what}, not ${shown}`, call.span);
    return parameter.default;
  };
  switch (typeof parameter.default) {
    case 'boolean':
      if (text === true || text === 'true' || text === '1') return true;
      return text === 'false' || text === '0' ? false : wrong('true or false');
    case 'string':
      return text === true ? wrong('a text') : text;
    default: {
      if (text === true || !/^[-+]?(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) return wrong('a whole number');
      const value = BigInt(text.replace(/^[-+]/, '')) * (text.startsWith('-') ? -1n : 1n);
      return value < -(1n << 63n) || value >= 1n << 64n ? wrong('a number of 64 bits') : value;
    }
  }
}

function valueNode({ span }: Call, value: Default): Expr {
  if (typeof value === 'string') return make({ node: 'string', span, value });
  if (typeof value === 'boolean') return make({ node: 'bool', span, value });
  const magnitude = value < 0n ? -value : value;
  const integer: Expr = make({
    node: 'integer',
    span,
    value: magnitude,
    unsigned: magnitude >= 1n << 63n && value > 0n,
    text: String(magnitude),
  });
  return value < 0n ? make({ node: 'unary', span, operator: '-', operand: integer }) : integer;
}
