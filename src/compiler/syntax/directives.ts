/**
 * Preprocessor lines: #include, #define, #undef, and the conditional ones, whose
 * skipped parts are never looked at. Ruled by C11 6.10. The names known to #ifdef are
 * the script's own macros and BPFTRACE_HAVE_BTF.
 */
import { Diagnostics } from '../../diag/diagnostic.ts';
import { Source, type Span } from '../../diag/source.ts';
import type { Define, Expr, Include, TypeExpr } from './ast.ts';
import { parseExpression } from './expressions.ts';
import { make, Parser } from './parser.ts';
import { unwind, unwindScript } from './report.ts';

/** A conditional that is open. */
interface Group {
  readonly span: Span;
  /** The branch that holds was found. */
  done: boolean;
}

export class Directives {
  readonly #p: Parser;
  readonly #groups: Group[] = [];
  /** Lines and skipped parts that have no node in the tree, for the formatter. */
  readonly skipped: { readonly span: Span; readonly text: string }[] = [];

  constructor(p: Parser) {
    this.#p = p;
  }

  /** Reads the line that the lexer stands on, at its `#`. */
  read(): Define | Include | undefined {
    const p = this.#p;
    const { start, end, body } = this.#line();
    const span = make({ start, end });
    const [, word = '', rest = ''] = /^#\s*([A-Za-z_]*)\s*([\s\S]*)$/.exec(body) ?? [];
    switch (word) {
      case 'define':
        return this.#define(rest, span);
      case 'include':
        return this.#include(rest, span);
      case 'undef':
        p.stream.undefine(rest.trim());
        break;
      case 'ifdef':
      case 'ifndef':
        this.#open(span, this.#isDefined(rest.trim()) === (word === 'ifdef'));
        break;
      case 'if':
        this.#open(span, this.#evaluate(rest, span));
        break;
      case 'elif':
      case 'else':
        if (this.#groups.length === 0) p.error('misplaced-directive', `'#${word}' without an '#if' before it`, span);
        else this.#skip(span);
        return undefined;
      case 'endif':
        if (this.#groups.pop() === undefined)
          p.error('misplaced-directive', "'#endif' without an '#if' before it", span);
        break;
      case 'error':
        p.error('error-directive', rest.trim() || '#error', span);
        break;
      case 'warning':
        p.diagnostics.warning('warning-directive', rest.trim() || '#warning', span);
        break;
      case 'pragma':
      case 'line':
      case '':
        break;
      default:
        p.error(
          'unknown-directive',
          `unknown directive '#${word}'`,
          span,
          'the directives are #include, #define, #undef, #if, #ifdef, #ifndef, #elif, #else and #endif',
        );
    }
    this.#note(span);
    return undefined;
  }

  /** At the end of the script all conditionals must be closed. */
  finish(): void {
    for (const group of this.#groups)
      this.#p.error('unclosed-directive', "this conditional has no '#endif'", group.span);
  }

  #note(span: Span): void {
    this.skipped.push(make({ span, text: this.#p.text.slice(span.start, span.end) }));
  }

  /** The logical line: `\` at a line's end joins the next one, comments count as a space. */
  #line(): { start: number; end: number; body: string } {
    const { text } = this.#p;
    const start = this.#p.lexer.at;
    let body = '';
    let at = start;
    let from = start;
    while (at < text.length && text[at] !== '\n') {
      if (text[at] === '\\' && (text[at + 1] === '\n' || text.startsWith('\r\n', at + 1))) {
        body += `${text.slice(from, at)} `;
        at += text[at + 1] === '\n' ? 2 : 3;
        from = at;
      } else if (text.startsWith('//', at)) {
        body += text.slice(from, at);
        const newline = text.indexOf('\n', at);
        from = newline < 0 ? text.length : newline;
        this.#p.lexer.at = at;
        this.#p.lexer.skipTrivia();
        at = from;
      } else if (text.startsWith('/*', at)) {
        body += `${text.slice(from, at)} `;
        const close = text.indexOf('*/', at + 2);
        if (close < 0) {
          this.#p.lexer.at = at;
          this.#p.lexer.skipTrivia();
        }
        at = close < 0 ? text.length : close + 2;
        from = at;
      } else if (text[at] === '"' || text[at] === "'") {
        const quote = text[at];
        for (at++; at < text.length && text[at] !== quote && text[at] !== '\n'; at++)
          if (text[at] === '\\' && text[at + 1] !== '\n') at++;
        if (text[at] === quote) at++;
      } else at++;
    }
    body += text.slice(from, at);
    this.#p.lexer.at = at;
    this.#p.end = at;
    return { start, end: start + text.slice(start, at).trimEnd().length, body: body.trimEnd() };
  }

  #define(rest: string, span: Span): Define | undefined {
    const p = this.#p;
    const match = /^([A-Za-z_]\w*)(?:\(([^)]*)\))?([\s\S]*)$/.exec(rest);
    if (match === null) {
      p.error('invalid-define', "expected a name after '#define'", span);
      return undefined;
    }
    const [, name = '', list, tail = ''] = match;
    let parameters: readonly string[] | undefined;
    if (list !== undefined) {
      parameters = make(list.trim() === '' ? [] : list.split(',').map((part) => part.trim()));
      const wrong = parameters.find((part) => !/^[A-Za-z_]\w*$/.test(part));
      if (wrong !== undefined) {
        const hints =
          wrong === '...' || wrong.endsWith('...')
            ? ['macros with a variable number of arguments are not supported']
            : [];
        p.error('invalid-define', `'${wrong}' is no name for a parameter of '${name}'`, span, ...hints);
        return undefined;
      }
    }
    const define: Define = make({ node: 'define', span, name, parameters, body: tail.trim() });
    p.stream.define(define);
    return define;
  }

  #include(rest: string, span: Span): Include | undefined {
    const match = /^(?:<([^>]+)>|"([^"]+)")\s*$/.exec(rest);
    if (match === null) {
      this.#p.error(
        'invalid-include',
        'expected <file> or "file" after \'#include\'',
        span,
        'for example: #include <linux/socket.h>',
      );
      return undefined;
    }
    return make({ node: 'include', span, path: (match[1] ?? match[2] ?? '').trim(), system: match[1] !== undefined });
  }

  #isDefined(name: string): boolean {
    return name === 'BPFTRACE_HAVE_BTF' || this.#p.stream.isDefined(name);
  }

  #open(span: Span, holds: boolean): void {
    this.#groups.push({ span, done: holds });
    if (!holds) this.#skip(span);
  }

  /** Skips to the branch of the innermost conditional that holds, or behind its #endif. */
  #skip(from: Span): void {
    const p = this.#p;
    const group = this.#groups.at(-1) as Group;
    let depth = 0;
    for (;;) {
      const newline = p.text.indexOf('\n', p.lexer.at);
      if (newline < 0) {
        p.lexer.at = p.text.length;
        break;
      }
      p.lexer.at = newline + 1;
      const hash = /[ \t]*#\s*([a-z]+)/y;
      hash.lastIndex = p.lexer.at;
      const match = hash.exec(p.text);
      if (match === null) continue;
      const word = match[1] ?? '';
      if (word === 'if' || word === 'ifdef' || word === 'ifndef') depth++;
      else if (word === 'endif') {
        if (depth-- > 0) continue;
        this.#groups.pop();
        this.#line();
        break;
      } else if (depth === 0 && !group.done && (word === 'else' || word === 'elif')) {
        p.lexer.at += match[0].indexOf('#');
        const { start, end, body } = this.#line();
        if (word === 'elif' && !this.#evaluate(body.replace(/^#\s*elif/, ''), { start, end })) continue;
        group.done = true;
        break;
      }
    }
    p.end = p.lexer.at;
    this.#note(make({ start: from.start, end: p.lexer.at }));
  }

  /** The condition of #if: C's integer expressions with defined(); a name that is no macro is 0. */
  #evaluate(text: string, span: Span): boolean {
    const replaced = text.replace(/\bdefined\s*(?:\(\s*(\w+)\s*\)|(\w+))/g, (_, a?: string, b?: string) =>
      this.#isDefined(a ?? b ?? '') ? '1' : '0',
    );
    const diagnostics = new Diagnostics();
    const inner = new Parser(new Source('#if', replaced), diagnostics, this.#p.rules);
    inner.stream.inherit(this.#p.stream);
    try {
      const expr = parseExpression(inner);
      if (!inner.at('end')) inner.failExpected('an operator', '');
      const value = evaluate(expr);
      if (value !== undefined) return value !== 0n;
      diagnostics.error('invalid-condition', 'not a constant', undefined);
    } catch (reason) {
      if (reason !== unwind && reason !== unwindScript) throw reason;
    }
    this.#p.error(
      'invalid-condition',
      `the condition of this directive cannot be read: ${diagnostics.items[0]?.message ?? ''}`,
      span,
    );
    return false;
  }
}

function evaluate(expr: Expr | TypeExpr): bigint | undefined {
  switch (expr.node) {
    case 'integer':
      return expr.value;
    case 'identifier':
      return 0n;
    case 'bool':
      return expr.value ? 1n : 0n;
    case 'ternary': {
      const condition = evaluate(expr.condition);
      if (condition === undefined) return undefined;
      if (condition === 0n) return evaluate(expr.otherwise);
      return expr.then === undefined ? condition : evaluate(expr.then);
    }
    case 'unary': {
      const value = evaluate(expr.operand);
      if (value === undefined) return undefined;
      if (expr.operator === '!') return value === 0n ? 1n : 0n;
      if (expr.operator === '-') return -value;
      if (expr.operator === '~') return ~value;
      return expr.operator === '+' ? value : undefined;
    }
    case 'binary': {
      const left = evaluate(expr.left);
      const right = evaluate(expr.right);
      if (left === undefined || right === undefined) return undefined;
      const truth = (value: boolean): bigint => (value ? 1n : 0n);
      switch (expr.operator) {
        case '+':
          return left + right;
        case '-':
          return left - right;
        case '*':
          return BigInt.asIntN(64, left * right);
        case '/':
          return right === 0n ? undefined : left / right;
        case '%':
          return right === 0n ? undefined : left % right;
        case '<<':
          return right < 64n && right >= 0n ? BigInt.asIntN(64, left << right) : 0n;
        case '>>':
          return right < 64n && right >= 0n ? left >> right : 0n;
        case '&':
          return left & right;
        case '|':
          return left | right;
        case '^':
          return left ^ right;
        case '==':
          return truth(left === right);
        case '!=':
          return truth(left !== right);
        case '<':
          return truth(left < right);
        case '<=':
          return truth(left <= right);
        case '>':
          return truth(left > right);
        case '>=':
          return truth(left >= right);
        case '&&':
          return truth(left !== 0n && right !== 0n);
        case '||':
          return truth(left !== 0n || right !== 0n);
      }
      return undefined;
    }
    default:
      return undefined;
  }
}
