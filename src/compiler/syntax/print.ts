/** The tree as text, for `-d ast`: one node a line, children two spaces further in. */
import { unreachable } from '../../base/errors.ts';
import type { Assign, AttachPointSyntax, Expr, Preamble, ProbeBlock, Script, Statement, TypeExpr } from './ast.ts';

/** Prints a script; the same tree gives the same text. */
export function printScript(script: Script): string {
  const out = new Printer();
  out.line('script');
  out.inside(() => {
    if (script.shebang !== undefined) out.line(`shebang ${quote(script.shebang)}`);
    if (script.config.length > 0) {
      out.line('config');
      out.inside(() => {
        for (const item of script.config) {
          out.line(`${item.name} = ${typeof item.value === 'bigint' ? item.value : quote(item.value)}`);
        }
      });
    }
    for (const item of script.preamble) out.preamble(item);
    for (const probe of script.probes) out.probe(probe);
  });
  return out.text;
}

const quote = (text: string): string => JSON.stringify(text);

/** A type as it is written in a script: `struct sock *`, `int32[2]`. */
export function printType(type: TypeExpr): string {
  const word = type.keyword === undefined ? '' : `${type.keyword} `;
  const pointers = type.pointers === 0 ? '' : ` ${'*'.repeat(type.pointers)}`;
  const dimensions = type.dimensions.map((size) => `[${size ?? ''}]`).join('');
  return `${word}${type.name}${pointers}${dimensions}`;
}

class Printer {
  readonly #lines: string[] = [];
  #indent = '';

  get text(): string {
    return `${this.#lines.join('\n')}\n`;
  }

  line(text: string): void {
    this.#lines.push(this.#indent + text);
  }

  inside(print: () => void): void {
    const before = this.#indent;
    this.#indent = `${before}  `;
    print();
    this.#indent = before;
  }

  preamble(item: Preamble): void {
    switch (item.node) {
      case 'c':
        this.line(`c ${quote(item.text)}`);
        return;
      case 'define': {
        const parameters = item.parameters === undefined ? '' : `(${item.parameters.join(', ')})`;
        this.line(`define ${item.name}${parameters} ${quote(item.body)}`);
        return;
      }
      case 'include':
        this.line(`include ${item.system ? `<${item.path}>` : quote(item.path)}`);
        return;
      case 'import':
        this.line(`import ${quote(item.path)}`);
        return;
      case 'map_declaration':
        this.line(`map_declaration @${item.name} ${item.kind}(${item.maxEntries})`);
        return;
      case 'macro': {
        const parameters = item.parameters.map((parameter) => sigil(parameter) + parameter.name);
        this.line(`macro ${item.name}(${parameters.join(', ')})`);
        this.inside(() => {
          this.statements(item.body);
          if (item.value !== undefined) this.labelled('value', item.value);
        });
        return;
      }
      default:
        unreachable(item, 'preamble item');
    }
  }

  probe(probe: ProbeBlock): void {
    this.line('probe');
    this.inside(() => {
      for (const point of probe.attachPoints) this.line(`attach ${printAttachPoint(point)}`);
      if (probe.predicate !== undefined) this.labelled('predicate', probe.predicate);
      this.statements(probe.body);
    });
  }

  statements(body: readonly Statement[]): void {
    for (const statement of body) this.statement(statement);
  }

  block(label: string, body: readonly Statement[]): void {
    this.line(label);
    this.inside(() => this.statements(body));
  }

  labelled(label: string, expr: Expr | TypeExpr): void {
    this.line(label);
    this.inside(() => this.expr(expr));
  }

  statement(statement: Statement): void {
    switch (statement.node) {
      case 'expr':
        this.labelled('expr', statement.expr);
        return;
      case 'assign':
        this.line(`assign ${statement.operator}`);
        this.inside(() => {
          this.target(statement.target);
          this.expr(statement.value);
        });
        return;
      case 'let':
        this.line(`let $${statement.variable.name}`);
        this.inside(() => {
          if (statement.type !== undefined) this.expr(statement.type);
          if (statement.value !== undefined) this.expr(statement.value);
        });
        return;
      case 'if':
        this.line('if');
        this.inside(() => {
          this.labelled('condition', statement.condition);
          this.block('then', statement.then);
          if (statement.otherwise !== undefined) this.block('else', statement.otherwise);
        });
        return;
      case 'while':
        this.line('while');
        this.inside(() => {
          this.labelled('condition', statement.condition);
          this.block('body', statement.body);
        });
        return;
      case 'unroll':
        this.line('unroll');
        this.inside(() => {
          this.labelled('count', statement.count);
          this.block('body', statement.body);
        });
        return;
      case 'for_map':
        this.line(`for_map $${statement.variable.name}`);
        this.inside(() => {
          this.expr(statement.map);
          this.block('body', statement.body);
        });
        return;
      case 'for_elements':
        this.line(`for_elements $${statement.variable.name}`);
        this.inside(() => {
          this.labelled('container', statement.container);
          this.block('body', statement.body);
        });
        return;
      case 'for_range':
        this.line(`for_range $${statement.variable.name}`);
        this.inside(() => {
          this.labelled('start', statement.start);
          this.labelled('end', statement.end);
          this.block('body', statement.body);
        });
        return;
      case 'break':
      case 'continue':
        this.line(statement.node);
        return;
      case 'return':
        this.line('return');
        if (statement.value !== undefined) {
          const { value } = statement;
          this.inside(() => this.expr(value));
        }
        return;
      case 'block':
        this.block('block', statement.body);
        return;
      default:
        unreachable(statement, 'statement');
    }
  }

  target(target: Assign['target']): void {
    if (target.node === 'discard') this.line('discard');
    else this.expr(target);
  }

  expr(expr: Expr | TypeExpr): void {
    switch (expr.node) {
      case 'type':
        this.line(`type ${printType(expr)}`);
        if (expr.typeOf !== undefined) {
          const { typeOf } = expr;
          this.inside(() => this.expr(typeOf));
        }
        return;
      case 'integer':
        this.line(expr.text === String(expr.value) ? `integer ${expr.value}` : `integer ${expr.value} (${expr.text})`);
        return;
      case 'string':
        this.line(`string ${quote(expr.value)}`);
        return;
      case 'bool':
        this.line(`bool ${expr.value}`);
        return;
      case 'positional':
        this.line(`positional $${expr.index === 'count' ? '#' : expr.index}`);
        return;
      case 'identifier':
        this.line(`identifier ${expr.name}`);
        return;
      case 'variable':
        this.line(`variable $${expr.name}`);
        return;
      case 'map':
        this.line(`map @${expr.name}`);
        this.inside(() => this.exprs(expr.keys));
        return;
      case 'call':
        this.line(`call ${expr.name}`);
        this.inside(() => this.exprs(expr.args));
        return;
      case 'unary':
        this.line(`unary ${expr.operator}`);
        this.inside(() => this.expr(expr.operand));
        return;
      case 'binary':
        this.line(`binary ${expr.operator}`);
        this.inside(() => this.exprs([expr.left, expr.right]));
        return;
      case 'ternary':
        this.line('ternary');
        this.inside(() => {
          this.labelled('condition', expr.condition);
          if (expr.then !== undefined) this.labelled('then', expr.then);
          this.labelled('else', expr.otherwise);
        });
        return;
      case 'field':
        this.line(`field ${expr.arrow ? '->' : '.'}${expr.name}`);
        this.inside(() => this.expr(expr.object));
        return;
      case 'index':
        this.line('index');
        this.inside(() => this.exprs([expr.object, expr.index]));
        return;
      case 'cast':
        this.line('cast');
        this.inside(() => this.exprs([expr.type, expr.operand]));
        return;
      case 'tuple':
        this.line('tuple');
        this.inside(() => this.exprs(expr.elements));
        return;
      case 'record':
        this.line('record');
        this.inside(() => {
          for (const field of expr.fields) this.labelled(`.${field.name}`, field.value);
        });
        return;
      case 'block_expr':
        this.line('block_expr');
        this.inside(() => {
          this.statements(expr.body);
          this.labelled('value', expr.value);
        });
        return;
      default:
        unreachable(expr, 'expression');
    }
  }

  exprs(list: readonly (Expr | TypeExpr)[]): void {
    for (const expr of list) this.expr(expr);
  }
}

/** An attach point as it was written. */
export function printAttachPoint(point: AttachPointSyntax): string {
  const label = point.label === undefined ? '' : `${point.label}=`;
  return label + point.provider + (point.restSpan.start > point.providerSpan.end ? `:${point.rest}` : '');
}

function sigil(parameter: { readonly node: string }): string {
  if (parameter.node === 'variable') return '$';
  return parameter.node === 'map' ? '@' : '';
}
