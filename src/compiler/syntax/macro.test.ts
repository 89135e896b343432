import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Diagnostics } from '../../diag/diagnostic.ts';
import { Source } from '../../diag/source.ts';
import type { Expr } from './ast.ts';
import { parse } from './parse.ts';

function value(defines: string, expr: string): { expr: Expr; text: string; messages: string[] } {
  const text = `${defines}\nBEGIN { $x = ${expr}; }`;
  const diagnostics = new Diagnostics();
  const statement = parse(new Source('test', text), diagnostics).probes[0]?.body[0];
  assert.ok(statement?.node === 'assign', text);
  return { expr: statement.value, text, messages: diagnostics.items.map((item) => item.message) };
}

function calculate(expr: Expr): bigint {
  if (expr.node === 'integer') return expr.value;
  assert.ok(expr.node === 'binary', expr.node);
  const left = calculate(expr.left);
  const right = calculate(expr.right);
  if (expr.operator === '+') return left + right;
  if (expr.operator === '-') return left - right;
  assert.equal(expr.operator, '*');
  return left * right;
}

test('object-like and function-like macros, as the C preprocessor expands them', () => {
  // By hand, after C11 6.10.3.
  const cases: readonly (readonly [string, string, bigint])[] = [
    ['#define A 5', 'A', 5n],
    ['#define A 2 + 3', 'A * 2', 8n],
    ['#define A (2 + 3)', 'A * 2', 10n],
    ['#define A B\n#define B 7', 'A', 7n],
    ['#define A 1\n#define A 2', 'A', 2n],
    ['#define F(x) x * x', 'F(1 + 2)', 5n],
    ['#define F(x, y) ((x) - (y))', 'F(10, F(5, 2))', 7n],
    ['#define F(x) (x + 1)\n#define G(x) F(F(x))', 'G(G(1))', 5n],
    ['#define F() 9', 'F()', 9n],
    ['#define F(x) x', 'F((1 + 2))', 3n],
    ['#define APPLY(f, x) f(x)\n#define TWICE(x) x + x', 'APPLY(TWICE, 4)', 8n],
    ['#define CAT(a, b) a ## b\n#define AB 3', 'CAT(A, B)', 3n],
    ['#define CAT(a, b) a ## b', 'CAT(1, 2)', 12n],
    ['#define LONG 1 + \\\n  2', 'LONG', 3n],
    ['#define A 4 // four\n', 'A', 4n],
    ['#define A /* the\n number */ 4', 'A', 4n],
  ];
  for (const [defines, expr, expected] of cases) {
    const result = value(defines, expr);
    assert.deepEqual(result.messages, [], `${defines} | ${expr}`);
    assert.equal(calculate(result.expr), expected, `${defines} | ${expr}`);
  }
});

test('a macro is not expanded inside its own expansion', () => {
  const direct = value('#define pid pid + 1', 'pid').expr;
  assert.ok(direct.node === 'binary' && direct.left.node === 'identifier' && direct.left.name === 'pid');
  const pair = value('#define A B\n#define B A', 'A').expr;
  assert.ok(pair.node === 'identifier' && pair.name === 'A');
});

test('a function-like macro without arguments is a plain name', () => {
  const { expr } = value('#define F(x) x', 'F + 1');
  assert.ok(expr.node === 'binary' && expr.left.node === 'identifier' && expr.left.name === 'F');
});

test('strings: in macros, from arguments', () => {
  const { expr } = value('#define RED "\\x1b[31m"\n#define S(x) #x', 'RED "a" S(b + c)');
  assert.ok(expr.node === 'string');
  assert.equal(expr.value, '\x1b[31mab + c');
});

test('fields and tags keep their names', () => {
  const { expr, messages } = value('#define state 5\n#define sock 6', '((struct sock *)$p)->state');
  assert.deepEqual(messages, []);
  assert.ok(expr.node === 'field' && expr.name === 'state');
  assert.ok(expr.object.node === 'cast' && expr.object.type.name === 'sock');
});

test('what comes out of a macro lies where the macro was used', () => {
  const { expr, text } = value('#define SUM(a) (a + 17)', 'SUM($abc)');
  assert.ok(expr.node === 'binary');
  const { left, right } = expr;
  assert.equal(text.slice(left.span.start, left.span.end), '$abc');
  assert.equal(text.slice(right.span.start, right.span.end), 'SUM($abc)');
});

test('wrong uses', () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['#define F(a, b) a', 'F(1)', /^the macro 'F' takes 2 arguments, here it gets 1$/],
    ['#define F(a) a', 'F(1', /^the arguments of 'F' have no closing '\)'$/],
    ['#define A "x', 'A', /^this string has no closing/],
    ['#define F(1) a', '1', /^'1' is no name for a parameter of 'F'$/],
    ['#define', '1', /^expected a name after '#define'$/],
  ];
  for (const [defines, expr, expected] of cases) {
    const diagnostics = new Diagnostics();
    parse(new Source('test', `${defines}\nBEGIN { $x = ${expr}; }`), diagnostics);
    assert.match(diagnostics.items[0]?.message ?? '', expected);
  }
});

test('macros that multiply themselves are stopped', () => {
  const doubling = Array.from({ length: 40 }, (_, i) => `#define A${i} A${i + 1} + A${i + 1}`).join('\n');
  const deep = `#define F(x) x\nBEGIN { $a = ${'F('.repeat(5000)}1${')'.repeat(5000)}; }`;
  for (const text of [`${doubling}\nBEGIN { $x = A0; }`, deep]) {
    const diagnostics = new Diagnostics();
    const before = performance.now();
    parse(new Source('test', text), diagnostics);
    assert.ok(diagnostics.hasErrors);
    assert.ok(performance.now() - before < 3000);
  }
});
