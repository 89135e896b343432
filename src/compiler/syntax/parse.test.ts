import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sharedCases } from '../../../test/insitu.ts';
import { Diagnostics } from '../../diag/diagnostic.ts';
import { Source } from '../../diag/source.ts';
import type { Expr, Script, Statement } from './ast.ts';
import { stringBytes } from './literals.ts';
import { parse } from './parse.ts';
import { printType } from './print.ts';

function parseWell(text: string): Script {
  const diagnostics = new Diagnostics();
  const script = parse(new Source('test', text), diagnostics);
  assert.deepEqual(
    diagnostics.items.map((item) => item.message),
    [],
    text,
  );
  return script;
}

function statementsOf(body: string): readonly Statement[] {
  return parseWell(`BEGIN { ${body} }`).probes[0]?.body ?? [];
}

function exprOf(text: string): Expr {
  const [statement] = statementsOf(`$result = ${text};`);
  assert.ok(statement?.node === 'assign', text);
  return statement.value;
}

/** An expression with all its brackets, so that its structure can be read off. */
function show(expr: Expr): string {
  switch (expr.node) {
    case 'integer':
      return expr.text;
    case 'string':
      return JSON.stringify(expr.value);
    case 'bool':
      return String(expr.value);
    case 'positional':
      return `$${expr.index === 'count' ? '#' : expr.index}`;
    case 'identifier':
      return expr.name;
    case 'variable':
      return `$${expr.name}`;
    case 'map':
      return `@${expr.name}${expr.keys.length > 0 ? `[${expr.keys.map(show).join(', ')}]` : ''}`;
    case 'call':
      return `${expr.name}(${expr.args.map((arg) => (arg.node === 'type' ? `<${printType(arg)}>` : show(arg))).join(', ')})`;
    case 'unary':
      return expr.operator.startsWith('post')
        ? `(${show(expr.operand)}${expr.operator.slice(4)})`
        : `(${expr.operator.replace('pre', '')}${show(expr.operand)})`;
    case 'binary':
      return `(${show(expr.left)} ${expr.operator} ${show(expr.right)})`;
    case 'ternary':
      return `(${show(expr.condition)} ? ${expr.then === undefined ? '' : show(expr.then)} : ${show(expr.otherwise)})`;
    case 'field':
      return `${show(expr.object)}${expr.arrow ? '->' : '.'}${expr.name}`;
    case 'index':
      return `${show(expr.object)}[${show(expr.index)}]`;
    case 'cast':
      return `(<${printType(expr.type)}>${show(expr.operand)})`;
    case 'tuple':
      return `tuple(${expr.elements.map(show).join(', ')})`;
    case 'record':
      return `record(${expr.fields.map((field) => `${field.name} = ${show(field.value)}`).join(', ')})`;
    case 'block_expr':
      return `{ ${expr.body.length} statements; ${show(expr.value)} }`;
  }
}

// C11 6.5.3 to 6.5.15, by hand; `(…)` of the expectation is the tree.
const expressions: readonly (readonly [string, string])[] = [
  ['1 + 2 * 3', '(1 + (2 * 3))'],
  ['1 * 2 + 3', '((1 * 2) + 3)'],
  ['1 - 2 - 3', '((1 - 2) - 3)'],
  ['8 / 4 % 3 * 2', '(((8 / 4) % 3) * 2)'],
  ['1 << 2 + 3', '(1 << (2 + 3))'],
  ['1 < 2 << 3', '(1 < (2 << 3))'],
  ['1 == 2 < 3', '(1 == (2 < 3))'],
  ['$a & 1 == 0', '($a & (1 == 0))'],
  ['1 | 2 ^ 3 & 4', '(1 | (2 ^ (3 & 4)))'],
  ['1 || 2 && 3 | 4', '(1 || (2 && (3 | 4)))'],
  ['1 && 2 || 3 && 4', '((1 && 2) || (3 && 4))'],
  ['1 ? 2 : 3 ? 4 : 5', '(1 ? 2 : (3 ? 4 : 5))'],
  ['1 ? 2 ? 3 : 4 : 5', '(1 ? (2 ? 3 : 4) : 5)'],
  ['1 || 0 ? 2 : 3', '((1 || 0) ? 2 : 3)'],
  ['$a ?: 5', '($a ?  : 5)'],
  ['!$a + 1', '((!$a) + 1)'],
  ['~$a & 1', '((~$a) & 1)'],
  ['- -1', '(-(-1))'],
  ['-$x++', '(-($x++))'],
  ['++$x + $x--', '((++$x) + ($x--))'],
  ['*$a.b', '(*$a.b)'],
  ['&$x->y', '(&$x->y)'],
  ['*$p * *$q', '((*$p) * (*$q))'],
  ['$a->b.c[3]', '$a->b.c[3]'],
  ['$kv.0.1', '$kv.0.1'],
  ['(1, 2).0', 'tuple(1, 2).0'],
  ['(1,)', 'tuple(1)'],
  ['()', 'tuple()'],
  ['((1, 2), 3)', 'tuple(tuple(1, 2), 3)'],
  ['(a = 1, b = (2 + 3) * 4)', 'record(a = 1, b = ((2 + 3) * 4))'],
  ['@', '@'],
  ['@m[pid, comm]', '@m[pid, comm]'],
  ['@m[(1, 2)][3]', '@m[tuple(1, 2)][3]'],
  ['str($1) == "a" "b"', '(str($1) == "ab")'],
  ['$# + $10', '($# + $10)'],
  ['args.filename', 'args.filename'],
  ['args->fd', 'args->fd'],
  ['f()->g', 'f()->g'],
  ['sizeof(struct x)', 'sizeof(<struct x>)'],
  ['sizeof(struct x *)', 'sizeof(<struct x *>)'],
  ['sizeof(uint8)', 'sizeof(<uint8>)'],
  ['sizeof(unsigned long)', 'sizeof(<unsigned long>)'],
  ['sizeof($x + 1)', 'sizeof(($x + 1))'],
  ['offsetof(struct x, a.b)', 'offsetof(<struct x>, a.b)'],
  ['typeof(struct x)', 'typeof(<struct x>)'],
  ['{ $b = 1; $b }', '{ 1 statements; $b }'],
  ['if ($a) { 1 } else if ($b) { 2 } else { 3 }', '($a ? 1 : ($b ? 2 : 3))'],
  ['true ? 1 : false', '(true ? 1 : false)'],
  // Casts bind like prefix operators: to the whole postfix expression, tighter than `*`.
  ['(struct sockaddr *)$x', '(<struct sockaddr *>$x)'],
  ['((struct sockaddr *)$x)->sa_family', '(<struct sockaddr *>$x)->sa_family'],
  ['(uint8)$x.a[1]', '(<uint8>$x.a[1])'],
  ['(uint64)$x * 2', '((<uint64>$x) * 2)'],
  ['(int32)-1', '(<int32>(-1))'],
  ['(int32[2])$x', '(<int32[2]>$x)'],
  ['(uint8[])$x', '(<uint8[]>$x)'],
  ['(pid_t)-1', '(<pid_t>(-1))'],
  ['(const char **)$x', '(<char **>$x)'],
  ['(unsigned long long)$x', '(<unsigned long long>$x)'],
  ['(foo *)$x', '(<foo *>$x)'],
  ['(foo)$x', '(<foo>$x)'],
  ['(typeof($a))1', '(<typeof>1)'],
  ['(uint8)(int8)$x', '(<uint8>(<int8>$x))'],
  // No casts: a name in brackets, then an operator.
  ['(foo) - 1', '(foo - 1)'],
  ['(foo) * $x', '(foo * $x)'],
  ['(foo) & $x', '(foo & $x)'],
  ['(foo)', 'foo'],
  ['(foo[2])', 'foo[2]'],
  ['(nsecs - @start[tid]) / 1000', '((nsecs - @start[tid]) / 1000)'],
];

test('expressions have the structure that C gives them', () => {
  for (const [text, expected] of expressions) assert.equal(show(exprOf(text)), expected, text);
});

const integers: readonly (readonly [string, bigint, boolean?])[] = [
  ['0', 0n],
  ['42', 42n],
  ['0x10', 16n],
  ['0XfF', 255n],
  ['0xffffffffffffffff', 18446744073709551615n],
  ['18446744073709551615', 18446744073709551615n],
  ['010', 8n],
  ['0777', 511n],
  ['1e6', 1000000n],
  ['2E3', 2000n],
  ['1_000_123_000', 1000123000n],
  ['0x1_0', 16n],
  ['123UL', 123n, true],
  ['123u', 123n, true],
  ['123LL', 123n],
  ['0xFFull', 255n, true],
  ['1ns', 1n],
  ['5us', 5000n],
  ['5ms', 5000000n],
  ['1s', 1000000000n],
  ['1m', 60000000000n],
  ['1h', 3600000000000n],
  ['5d', 432000000000000n],
];

test('integers', () => {
  for (const [text, value, unsigned = false] of integers) {
    const expr = exprOf(text);
    assert.ok(expr.node === 'integer', text);
    assert.equal(expr.value, value, text);
    assert.equal(expr.unsigned, unsigned, text);
    assert.equal(expr.text, text);
  }
});

test('string escapes, down to the bytes', () => {
  const cases: readonly (readonly [string, readonly number[]])[] = [
    ['\\n\\t\\r\\\\\\"', [10, 9, 13, 92, 34]],
    ['\\0a\\7\\101', [0, 97, 7, 65]],
    ['\\x41\\x4z', [65, 4, 122]],
    ['\\033[0m', [27, 91, 48, 109]],
    ['\\xe2\\x82\\xac', [0xe2, 0x82, 0xac]],
    ['\u20ac\u{1f600}', [0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80]],
    ['\\xff\\x80a\\xe2', [0xff, 0x80, 97, 0xe2]],
    ['\\xed\\xa0\\x80', [0xed, 0xa0, 0x80]],
  ];
  for (const [inside, bytes] of cases) {
    const expr = exprOf(`"${inside}"`);
    assert.ok(expr.node === 'string');
    assert.deepEqual([...stringBytes(expr.value)], bytes, inside);
  }
  const euro = exprOf('"\\xe2\\x82\\xac"');
  assert.ok(euro.node === 'string');
  assert.equal(euro.value, '\u20ac');
});

// provider, rest of each attach point
const attachPoints: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  ['BEGIN', [['BEGIN', '']]],
  ['end', [['end', '']]],
  ['interval:s:1', [['interval', 's:1']]],
  [
    'BEGIN, i:ms:100 , /* c */ END',
    [
      ['BEGIN', ''],
      ['i', 'ms:100'],
      ['END', ''],
    ],
  ],
  ['tracepoint:syscalls:sys_enter_*', [['tracepoint', 'syscalls:sys_enter_*']]],
  ['uprobe:/bin/x:"fn with spaces"', [['uprobe', '/bin/x:"fn with spaces"']]],
  ['uprobe:/bin/x:"a{,\\"b"', [['uprobe', '/bin/x:"a{,\\"b"']]],
  ['uprobe:./envoy:_ZN5Envoy10MainCommon4mainEiPPc', [['uprobe', './envoy:_ZN5Envoy10MainCommon4mainEiPPc']]],
  ['uprobe:bin:cpp:"foo(int)"+4', [['uprobe', 'bin:cpp:"foo(int)"+4']]],
  ['uprobe:/x:0x1234', [['uprobe', '/x:0x1234']]],
  ['uprobe:/bin/a*/x:f', [['uprobe', '/bin/a*/x:f']]],
  ['uprobe:/a//b:f', [['uprobe', '/a//b:f']]],
  [
    'uprobe:./a:foo(int, char),k:g',
    [
      ['uprobe', './a:foo(int, char)'],
      ['k', 'g'],
    ],
  ],
  ['uprobe:./a:std::map<int,int>::f', [['uprobe', './a:std::map<int,int>::f']]],
  ['uprobe:./a:operator<', [['uprobe', './a:operator<']]],
  [
    'uprobe:libc:malloc,uretprobe:libc:malloc',
    [
      ['uprobe', 'libc:malloc'],
      ['uretprobe', 'libc:malloc'],
    ],
  ],
  ['uprobe:$1:$2', [['uprobe', '$1:$2']]],
  ['uprobe:/x@a.c:5:3', [['uprobe', '/x@a.c:5:3']]],
  ['usdt:/x::p', [['usdt', '/x::p']]],
  ['profile:hz:99', [['profile', 'hz:99']]],
  ['kprobe:f+0x10', [['kprobe', 'f+0x10']]],
  ['kprobe:mod:f~', [['kprobe', 'mod:f~']]],
  ['iter:task:/sys/fs/bpf/pin', [['iter', 'task:/sys/fs/bpf/pin']]],
  ['watchpoint:0x10000000:8:rw', [['watchpoint', '0x10000000:8:rw']]],
  ['software:page-faults:100', [['software', 'page-faults:100']]],
];

test('attach points are read as they are written', () => {
  for (const [text, points] of attachPoints) {
    for (const [tail, predicate] of [
      ['{}', false],
      [' { }', false],
      ['\n/pid == 1/\n{ }', true],
      [' /1/ { exit(); }', true],
    ] as const) {
      const source = text + tail;
      const [probe] = parseWell(source).probes;
      assert.ok(probe, source);
      assert.deepEqual(
        probe.attachPoints.map((point) => [point.provider, point.rest]),
        points,
        source,
      );
      assert.equal(probe.predicate !== undefined, predicate, source);
      for (const point of probe.attachPoints) {
        assert.equal(source.slice(point.restSpan.start, point.restSpan.end), point.rest);
        assert.equal(source.slice(point.providerSpan.start, point.providerSpan.end), point.provider);
      }
    }
  }
  assert.equal(parseWell('x=BEGIN {}').probes[0]?.attachPoints[0]?.label, 'x');
});

test('a slash divides inside a predicate and closes it before the body', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['kprobe:f /pid / 2 == 1/ { }', '((pid / 2) == 1)'],
    ['kprobe:f /pid / 2 / 2/ // comment\n{ }', '((pid / 2) / 2)'],
    ['kprobe:f / (pid / 2) == @x[1] / { }', '((pid / 2) == @x[1])'],
    ['kprobe:f/pid == 1/{ }', '(pid == 1)'],
    ['BEGIN/1/{ }', '1'],
    ['uprobe:/bin/sh:f /@a[tid]/ { $x = 4 / 2; }', '@a[tid]'],
  ];
  for (const [text, expected] of cases) {
    const predicate = parseWell(text).probes[0]?.predicate;
    assert.ok(predicate, text);
    assert.equal(show(predicate), expected, text);
  }
});

test('statements', () => {
  const kinds = (body: string): string[] => statementsOf(body).map((statement) => statement.node);
  assert.deepEqual(kinds('$a = 1; @b += 2; print(1)'), ['assign', 'assign', 'expr']);
  assert.deepEqual(kinds('if ($a) { } else if ($b) { } else { } $c = 1'), ['if', 'assign']);
  assert.deepEqual(kinds('if $a { 1 }; while (1) { break; continue } unroll(3) { } unroll 2 { }'), [
    'if',
    'while',
    'unroll',
    'unroll',
  ]);
  assert.deepEqual(kinds('for ($kv : @m) { } for $kv : @m { } for ($i : 0..10) { } for $i : 1+1..$n * 2 { }'), [
    'for_map',
    'for_map',
    'for_range',
    'for_range',
  ]);
  assert.deepEqual(kinds('let $a; let $b : uint8; let $c = 1; let $d : struct x * = 2;'), ['let', 'let', 'let', 'let']);
  assert.deepEqual(kinds('{ $a = 1; { } } { print(1) } return; '), ['block', 'block', 'return']);
  assert.deepEqual(kinds('_ = f(); $x++; --@y[1]; ;; return 5'), ['assign', 'expr', 'expr', 'return']);
  assert.deepEqual(
    kinds('$a <<= 1; $a >>= 1; $a &= 1; $a |= 1; $a ^= 1; $a %= 1; $a /= 1; $a *= 1; $a -= 1;').length,
    9,
  );

  const [range] = statementsOf('for ($i : 0..10) { print($i); }');
  assert.ok(range?.node === 'for_range');
  assert.equal(`${show(range.start)} ${show(range.end)} ${range.body.length}`, '0 10 1');
  const [chain] = statementsOf('if (1) { } else if (2) { } else { f(); }');
  assert.ok(chain?.node === 'if' && chain.otherwise?.length === 1);
  const [inner] = chain.otherwise;
  assert.ok(inner?.node === 'if' && inner.otherwise?.length === 1);
});

test('the preamble', () => {
  const script = parseWell(`#!/usr/bin/env bpftrace
#include <linux/in.h>
#include "mine.h"
config = { max_map_keys = 2; stack_mode=perf; str_trunc_trailer = "x" }
import "lib";
#define RED "\\033[31m"
struct a { int x; /* } */ char c; } // no semicolon
union b { struct { int q; }; long r; };
enum e { A, B = 5 };
typedef struct { int a; } bar;
let @m = lruhash(1_00);
macro add($a, @b, c) { $a += c; @b + 1 }
BEGIN { $x = (bar)-1; }
`);
  assert.equal(script.shebang, '#!/usr/bin/env bpftrace');
  assert.deepEqual(
    script.config.map((item) => [item.name, item.value]),
    [
      ['max_map_keys', 2n],
      ['stack_mode', 'perf'],
      ['str_trunc_trailer', 'x'],
    ],
  );
  assert.deepEqual(
    script.preamble.map((item) => item.node),
    ['include', 'include', 'import', 'define', 'c', 'c', 'c', 'c', 'map_declaration', 'macro'],
  );
  const [in1, in2, , , first, second, , typedef, map, macro] = script.preamble;
  assert.ok(in1?.node === 'include' && in1.system && in1.path === 'linux/in.h');
  assert.ok(in2?.node === 'include' && !in2.system && in2.path === 'mine.h');
  assert.ok(first?.node === 'c' && first.text === 'struct a { int x; /* } */ char c; };');
  assert.ok(second?.node === 'c' && second.text === 'union b { struct { int q; }; long r; };');
  assert.ok(typedef?.node === 'c' && typedef.text === 'typedef struct { int a; } bar;');
  assert.ok(map?.node === 'map_declaration' && map.kind === 'lruhash' && map.maxEntries === 100n);
  assert.ok(
    macro?.node === 'macro' && macro.body.length === 1 && macro.value !== undefined && show(macro.value) === '(@b + 1)',
  );
  assert.deepEqual(
    macro.parameters.map((parameter) => parameter.node),
    ['variable', 'map', 'identifier'],
  );
  // The typedef is known as a type, so that `(bar)-1` is a cast.
  const assign = script.probes[0]?.body[0];
  assert.ok(assign?.node === 'assign' && assign.value.node === 'cast');
});

test('conditional directives choose what is read', () => {
  const script = parseWell(`
#ifndef BPFTRACE_HAVE_BTF
#include <linux/sched.h>
#else
#define WITH_BTF 1
#endif
#define LEVEL 3
#if defined(NOPE) || LEVEL * 2 == 7
this is not read at all { (
#elif LEVEL >= 3 && !defined NOPE
BEGIN { print(LEVEL); }
#else
neither is ' this
#endif
#undef LEVEL
#ifdef LEVEL
nor this
#endif
END { }
`);
  assert.deepEqual(
    script.preamble.map((item) => item.node === 'define' && item.name),
    ['WITH_BTF', 'LEVEL'],
  );
  assert.deepEqual(
    script.probes.map((probe) => probe.attachPoints[0]?.provider),
    ['BEGIN', 'END'],
  );
});

test('comments are kept in order, once each', () => {
  const script = parseWell('// a\nBEGIN /* b */ { print(/* c */ 1); // d\n} // e\n#define X 1 // f\nk:f // g\n/1/ { }');
  assert.deepEqual(
    script.comments.map((comment) => comment.text),
    ['// a', '/* b */', '/* c */', '// d', '// e', '// f', '// g'],
  );
});

test('spans are exact', () => {
  const text = 'BEGIN { $abc = f(1, @m[2]).x + (3 * 4); }';
  const assign = parseWell(text).probes[0]?.body[0];
  assert.ok(assign?.node === 'assign' && assign.value.node === 'binary' && assign.value.left.node === 'field');
  const part = (node: { span: { start: number; end: number } }): string => text.slice(node.span.start, node.span.end);
  assert.equal(part(assign), '$abc = f(1, @m[2]).x + (3 * 4)');
  assert.equal(part(assign.target), '$abc');
  assert.equal(part(assign.value.left), 'f(1, @m[2]).x');
  assert.equal(part(assign.value.left.object), 'f(1, @m[2])');
  assert.equal(part(assign.value.right), '3 * 4');
});

test('trees are frozen', () => {
  const seen: unknown[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    seen.push(value);
    assert.ok(Object.isFrozen(value));
    for (const part of Object.values(value)) visit(part);
  };
  const script = parseWell(
    'struct x { int a; };\nBEGIN /1/ { let $a : int8[2] = { $b = (1, (c = 2)); f(@m[1]) }; if (1) { } else { for ($i : 0..2) { _ = -1; } } }',
  );
  visit(script.probes);
  visit(script.preamble);
  assert.ok(seen.length > 60);
});

test("the article's script", (t) => {
  const path = join(sharedCases, 'trace-envoy-socket.bt');
  if (!existsSync(path)) return t.skip(`${path} is not there`);
  const script = parseWell(readFileSync(path, 'utf8'));
  assert.deepEqual(
    script.probes.map((probe) =>
      probe.attachPoints.map((point) => point.provider + (point.rest && `:${point.rest}`)).join(),
    ),
    [
      'BEGIN',
      'tracepoint:syscalls:sys_enter_setsockopt',
      'tracepoint:syscalls:sys_enter_bind',
      'tracepoint:syscalls:sys_enter_accept4',
      'tracepoint:syscalls:sys_exit_accept4',
      'END',
    ],
  );
  assert.deepEqual(
    script.probes.map((probe) => probe.predicate && show(probe.predicate)),
    [undefined, '(pid == $1)', '(pid == $1)', '(pid == $1)', '(pid == $1)', undefined],
  );
  assert.deepEqual(
    script.probes.map((probe) => probe.body.length),
    [4, 7, 4, 1, 1, 2],
  );
});

test("bpftrace's own tools, where they are installed", (t) => {
  const found = [
    '/usr/sbin/biolatency.bt',
    '/usr/sbin/tcpconnect.bt',
    '/usr/sbin/runqlat.bt',
    '/usr/sbin/tcpdrop.bt',
    '/usr/sbin/undump.bt',
  ].filter((path) => existsSync(path));
  if (found.length === 0) return t.skip("no /usr/sbin/*.bt: Debian's package bpftrace is not installed");
  for (const path of found) assert.ok(parseWell(readFileSync(path, 'utf8')).probes.length > 0, path);
});
