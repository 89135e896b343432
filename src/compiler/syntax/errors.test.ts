/** What a user reads when a script is wrong: place, words and way out, by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Diagnostics } from '../../diag/diagnostic.ts';
import { Source } from '../../diag/source.ts';
import { parse } from './parse.ts';

interface Complaint {
  readonly code: string;
  readonly message: string;
  /** `line:column-column`, `line-line`. */
  readonly at: string;
  readonly hints: readonly string[];
}

function complaints(text: string): Complaint[] {
  const source = new Source('test', text);
  const diagnostics = new Diagnostics();
  parse(source, diagnostics);
  return diagnostics.items.map(({ code, message, span, hints }) => {
    const start = source.position(span?.start ?? 0);
    const end = source.position(span?.end ?? 0);
    const at = start.line === end.line ? `${start.line}:${start.column}-${end.column}` : `${start.line}-${end.line}`;
    return { code, message, at: span === undefined ? '' : at, hints };
  });
}

/** text, then for each complaint: place, code, message, part of a hint ('' for none). */
const table: readonly (readonly [string, ...(readonly [string, string, string, string])[]])[] = [
  ['BEGIN { $a = 1\n  $b = 2; }', ['1:15-15', 'expected-token', "expected ';' after the assignment, found '$b'", '']],
  ['BEGIN { $a = 1 $b = 2 }', ['1:16-18', 'expected-token', "expected ';' after the assignment, found '$b'", '']],
  ['BEGIN { f(1) g(2) }', ['1:14-15', 'expected-token', "expected ';' after the call of 'f', found 'g'", '']],
  ['BEGIN { let $a : uint8 5; }', ['1:24-25', 'expected-token', "expected ';' after the declaration, found '5'", '']],
  ['BEGIN { $a = ; }', ['1:14-15', 'expected-expression', "expected a value after '=', found ';'", '']],
  ['BEGIN { $a = 1 + ; }', ['1:18-19', 'expected-expression', "expected a value after '+', found ';'", '']],
  [
    'BEGIN { printf("%d", pid ; }',
    ['1:26-27', 'expected-token', "expected ',' or ')' in the call of 'printf', found ';'", ''],
  ],
  [
    'BEGIN { printf("%d" pid); }',
    ['1:21-24', 'expected-token', "expected ',' or ')' in the call of 'printf', found 'pid'", "separated by ','"],
  ],
  [
    'BEGIN { $a = (1 + 2; }',
    ['1:20-21', 'expected-token', "expected ')' after the expression, to close the '(', found ';'", ''],
  ],
  ['BEGIN { @a[1 = 2; }', ['1:14-15', 'expected-token', "expected ']' after the key, to close the '[', found '='", '']],
  ['BEGIN { @a[] = 2; }', ['1:12-13', 'expected-token', "expected a key in '@a[...]', found ']'", 'without brackets']],
  ['BEGIN { $a. = 2; }', ['1:13-14', 'expected-token', "expected the name of a field after '.', found '='", '']],
  [
    'BEGIN { $x = "abc); $y = 1; }',
    ['1:14-30', 'unterminated-string', "this string has no closing '\"'", 'ends on the line'],
  ],
  ['BEGIN { print("abc);\n $y = 1 }', ['1:15-21', 'unterminated-string', "this string has no closing '\"'", '']],
  ['BEGIN { /* what\n }\n', ['1:9-11', 'unterminated-comment', "this comment has no closing '*/'", '']],
  ['BEGIN { $a = "x\\qy"; }', ['1:16-18', 'unknown-escape', "unknown escape '\\q' in a string", '\\xHH']],
  ['BEGIN { $a = "\\x"; }', ['1:15-17', 'unknown-escape', "'\\x' needs one or two hexadecimal digits", '']],
  ['BEGIN { $a = "\\777"; }', ['1:15-19', 'unknown-escape', "'\\777' is more than a byte holds", '']],
  ["BEGIN { print('a') }", ['1:15-18', 'single-quotes', "a string cannot be written in '...'", '97']],
  ['BEGIN { print(\u201ca\u201d); }', ['1:15-18', 'unknown-character', 'these are typographic quotes', 'plain quotes']],
  ['BEGIN { $a\u00a0= 1; }', ['1:11-12', 'unknown-character', 'unexpected invisible character', 'plain space']],
  [
    'BEGIN { $a = 0x1ffffffffffffffff; }',
    ['1:14-33', 'integer-too-large', "'0x1ffffffffffffffff' does not fit in 64 bits", '18446744073709551615'],
  ],
  [
    'BEGIN { $a = 18446744073709551616; }',
    ['1:14-34', 'integer-too-large', "'18446744073709551616' does not fit in 64 bits", ''],
  ],
  ['BEGIN { $a = 300000d; }', ['1:14-21', 'integer-too-large', "'300000d' does not fit in 64 bits", '']],
  ['BEGIN { $a = 12abc; }', ['1:16-19', 'invalid-number-suffix', "'abc' cannot follow a number", 'ms']],
  ['BEGIN { $a = 08; }', ['1:14-16', 'invalid-number', "'08' is not an octal number", 'octal']],
  [
    'BEGIN { $a = 1.5; }',
    ['1:14-17', 'floating-point', 'there are no floating-point numbers in the kernel', 'smaller unit'],
  ],
  ['BEGIN { if ($1 = 2) { } }', ['1:16-17', 'assignment-in-condition', "'=' assigns; a condition compares", "'=='"]],
  ['BEGIN { if pid = 2 { } }', ['1:16-17', 'assignment-in-condition', "'=' assigns; a condition compares", "'=='"]],
  [
    'BEGIN { while (pid = 2) { } }',
    ['1:20-21', 'assignment-in-condition', "'=' assigns; a condition compares", "'=='"],
  ],
  ['kprobe:f /pid = 2/ { }', ['1:15-16', 'assignment-in-condition', "'=' assigns; a condition compares", "'=='"]],
  [
    'BEGIN { $a = $b = 1 }',
    ['1:17-18', 'chained-assignment', 'an assignment has no value of its own', 'two statements'],
  ],
  ['BEGIN { pid = 3; }', ['1:9-12', 'invalid-target', "'pid' cannot be assigned to", '$pid']],
  ['BEGIN { *$p = 3; }', ['1:9-12', 'invalid-target', 'only a variable or a map can be assigned to', 'does not write']],
  ['BEGIN { pid++; }', ['1:12-14', 'invalid-target', "'++' works on variables and maps only", '']],
  ['BEGIN { $1 = 3; }', ['1:9-11', 'invalid-target', 'a parameter of the command line cannot be assigned to', '']],
  [
    'BEGIN { if ($a and $b) { } }',
    ['1:16-19', 'expected-token', "expected ')' after the expression, to close the '(', found 'and'", "'&&'"],
  ],
  ['BEGIN { elif (1) { } }', ['1:9-13', 'unknown-keyword', "there is no 'elif' in this language", "'else if'"]],
  [
    'BEGIN { if (1) { } elseif (2) { } else { } }',
    ['1:20-26', 'unknown-keyword', "there is no 'elseif' in this language", "'else if'"],
  ],
  [
    'BEGIN { if (1) print(1); }',
    ['1:16-21', 'expected-token', "expected '{' to begin the body of 'if', found 'print'", 'braces'],
  ],
  ['BEGIN { else { } }', ['1:9-13', 'misplaced-else', "'else' without an 'if' before it", '']],
  ['BEGIN { switch (pid) { } }', ['1:9-15', 'unknown-keyword', "there is no 'switch' in this language", 'else if']],
  [
    'BEGIN { for (i = 0; i < 9; i++) { f(); } }',
    ['1:14-15', 'expected-token', "expected a variable after 'for (', found 'i'", '0..10'],
  ],
  ['BEGIN { for ($i : 5) { } }', ['1:19-20', 'expected-token', 'expected a map or a range', '0..10']],
  [
    'BEGIN { int $x = 1; }',
    ['1:9-15', 'typed-declaration', 'a variable is not declared with a type before its name', 'let $x'],
  ],
  [
    'BEGIN { printf "x"; }',
    ['1:9-15', 'call-without-brackets', "the arguments of 'printf' stand in brackets", 'printf(...)'],
  ],
  ['BEGIN { delete @a[1]; }', ['1:9-15', 'call-without-brackets', "the arguments of 'delete' stand in brackets", '']],
  ['BEGIN { $a = { 1; }; }', ['1:19-20', 'block-without-value', 'this block has no value', "';'"]],
  ['BEGIN { $a = if (1) { 2 }; }', ['1:14-16', 'block-without-value', "this 'if' has no value", 'else']],
  [
    'BEGIN {\n#define X 1\n}',
    ['2:1-12', 'misplaced-directive', "'#define' cannot stand inside a block", 'above the first probe'],
  ],
  [
    'BEGIN { let @m = hash(5); }',
    ['1:9-15', 'misplaced-declaration', 'a map is not declared inside a block', 'above the first probe'],
  ],
  ['BEGIN { $0; }', ['1:9-11', 'invalid-positional', "'$0' is no parameter", '$1']],
  ['BEGIN { print(1) } }', ['1:20-21', 'unexpected-brace', "unexpected '}': no block is open here", '']],
  [
    'BEGIN { if (1) { print(1);',
    ['1:27-27', 'unclosed-block', "expected '}' to close the '{' of line 1, found the end of the script", '2 blocks'],
  ],
  [
    'BEGIN {\n  if (pid) {\n    f();\n}\nEND { }',
    ['5:1-4', 'unclosed-block', "expected '}' to close the '{' of line 2, found the next probe", 'line 2'],
  ],
  [
    'BEGIN {\n  f();\n\nkprobe:g { f() }',
    ['4:1-7', 'unclosed-block', "expected '}' to close the '{' of line 1, found the next probe", 'line 1'],
  ],
  [
    'kprobe:f /pid == 1 { f() }',
    ['1:20-21', 'unclosed-predicate', "expected '/' to close the predicate, found '{'", "ends with '/'"],
  ],
  [
    'uprobe:/a:f/pid == 1/ { }',
    [
      '1:17-19',
      'expected-token',
      "expected '{' or a predicate after the probe 'uprobe:/a:f/pid', found '=='",
      'a space before',
    ],
  ],
  [
    'kprobe : f { }',
    ['1:8-9', 'expected-token', "expected '{' or a predicate after the probe 'kprobe', found ':'", 'without spaces'],
  ],
  ['kprobe:f, { }', ['1:11-12', 'expected-token', "expected one more probe after ',', found '{'", 'last probe']],
  [
    'kprobe:f\nkprobe:g { }',
    ['1:9-9', 'expected-token', "expected '{' or a predicate after the probe 'kprobe:f', found 'kprobe'", "','"],
  ],
  [
    'kprobe:a b { }',
    ['1:10-11', 'expected-token', "expected '{' or a predicate after the probe 'kprobe:a', found 'b'", 'double quotes'],
  ],
  [
    'BEGIN f()',
    ['1:7-8', 'expected-token', "expected '{' or a predicate after the probe 'BEGIN', found 'f'", '{ ... }'],
  ],
  ['uprobe:/a:"b { }', ['1:11-17', 'unterminated-string', "this name has no closing '\"'", '']],
  ['$x = 1;', ['1:1-3', 'expected-token', "expected a probe, found '$x'", 'provider:target']],
  ['fn f() { }', ['1:1-3', 'unknown-keyword', "there are no functions ('fn') in this language", 'macro']],
  [
    'struct x { int a;\nBEGIN { }',
    ['1:10-11', 'unclosed-declaration', "expected '}' to close the '{' of line 1, found the end of the script", ''],
  ],
  ['#if 1\nBEGIN { }', ['1:1-6', 'unclosed-directive', "this conditional has no '#endif'", '']],
  ['#endif', ['1:1-7', 'misplaced-directive', "'#endif' without an '#if' before it", '']],
  ['#includ <x>', ['1:1-12', 'unknown-directive', "unknown directive '#includ'", '#include']],
  ['#include x', ['1:1-11', 'invalid-include', 'expected <file> or "file" after \'#include\'', '']],
  ['BEGIN { }\nconfig = { a = 1 }', ['2:1-7', 'misplaced-config', 'config stands before the probes', 'top']],
  ['config = { a 1 }', ['1:14-15', 'expected-token', "expected '=' after 'a', found '1'", '']],
  ['let @m = hash;', ['1:14-15', 'expected-token', "expected '(' after 'hash', found ';'", 'hash(100)']],
  ['macro f { }', ['1:9-10', 'expected-token', "expected '(' after 'macro f', found '{'", 'macro f()']],
  ['import "x" BEGIN { }', ['1:12-17', 'expected-token', "expected ';' after the import, found 'BEGIN'", '']],
];

test('each mistake gets its place, its words and its hint', () => {
  for (const [text, ...expected] of table) {
    const found = complaints(text);
    assert.deepEqual(
      found.map(({ at, code, message }) => [at, code, message]),
      expected.map(([at, code, message]) => [at, code, message]),
      text,
    );
    expected.forEach(([, , , hint], i) => {
      assert.ok(
        hint === '' || found[i]?.hints.some((line) => line.includes(hint)),
        `${text}: ${found[i]?.hints.join(' | ')}`,
      );
    });
  }
});

test('several mistakes are told at once, and what is sound is read', () => {
  const text = `
BEGIN {
  $a = ;
  printf("%d %d", 1 2);
  $good = 1;
  if ($x = 1) { $b = "\\q"; }
  for (i = 0; i < 3; i++) { $c = 3 3; }
  print("fine");
}
kprobe f { }
kprobe:g /pid = 1/ { $d = ]; }
END { $e = 1 }
`;
  const found = complaints(text);
  assert.deepEqual(
    found.map(({ at }) => at.split(':')[0]),
    ['3', '4', '6', '6', '7', '7', '10', '11', '11'],
  );
  const script = parse(new Source('test', text), new Diagnostics());
  assert.deepEqual(
    script.probes.map((probe) => probe.attachPoints[0]?.provider),
    ['BEGIN', 'kprobe', 'END'],
  );
  assert.equal(script.probes[2]?.body.length, 1);
});

test('what nests too deep or chains too long is refused, and quickly', () => {
  const n = 100_000;
  const hostile: readonly (readonly [string, string])[] = [
    [`BEGIN { $a = ${'('.repeat(n)}1; }`, 'too-deep'],
    [`BEGIN { $a = ${'-'.repeat(n)}1; }`, 'too-deep'],
    [`BEGIN { $a = ${'@a['.repeat(n)}1; }`, 'too-deep'],
    [`BEGIN { $a = ${'(int)'.repeat(n)}1; }`, 'too-deep'],
    [`BEGIN { $a = ${'1 ? 2 : '.repeat(n)}1; }`, 'too-deep'],
    [`BEGIN ${'{'.repeat(n)}`, 'too-deep'],
    [`BEGIN { ${'if (1) { '.repeat(n)}`, 'too-deep'],
    [`BEGIN { $a = 1${' + 1'.repeat(n)}; }`, 'too-long'],
    [`BEGIN { $a = $b${'.c'.repeat(n)}; }`, 'too-long'],
  ];
  for (const [text, code] of hostile) {
    const before = performance.now();
    const found = complaints(text);
    assert.equal(found[0]?.code, code);
    assert.ok(found.length <= 3, text.slice(0, 40));
    assert.ok(performance.now() - before < 3000, text.slice(0, 40));
  }
  // 150 levels and 400 operators are sound.
  assert.deepEqual(complaints(`BEGIN { $a = ${'('.repeat(150)}1${')'.repeat(150)}${' + 1'.repeat(400)}; }`), []);
});

test('after twenty errors the rest is not read', () => {
  const found = complaints(`BEGIN { ${'$a = ;\n'.repeat(50)} }`);
  assert.equal(found.length, 21);
  assert.equal(found[20]?.code, 'too-many-errors');
});
