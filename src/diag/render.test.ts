import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Diagnostic } from './diagnostic.ts';
import { renderAll, renderDiagnostic } from './render.ts';
import { Source } from './source.ts';

const plain = { color: false };

function diagnostic(start: number, end: number, more: Partial<Diagnostic> = {}): Diagnostic {
  return { severity: 'error', code: 'test', message: 'wrong', span: { start, end }, hints: [], ...more };
}

function at(text: string, part: string): { start: number; end: number } {
  const start = text.indexOf(part);
  assert.ok(start >= 0);
  return { start, end: start + part.length };
}

test('the shape is that of bpftrace', () => {
  // bpftrace 0.27.1 prints for this script: stdin:1:43-45: ERROR: Undefined or undeclared variable: $x
  const text = 'BEGIN { print(nsecs1); $a = foo(1); print($x) }';
  const { start, end } = at(text, '$x');
  assert.equal(
    renderDiagnostic(
      diagnostic(start, end, { message: 'Undefined or undeclared variable: $x' }),
      new Source('stdin', text),
      plain,
    ),
    [
      'stdin:1:43-45: ERROR: Undefined or undeclared variable: $x',
      'BEGIN { print(nsecs1); $a = foo(1); print($x) }',
      '                                          ~~',
      '',
    ].join('\n'),
  );
});

test('hints, warnings, colours', () => {
  const source = new Source('a.bt', 'x\nabc def');
  assert.equal(
    renderDiagnostic(diagnostic(6, 9, { severity: 'warning', hints: ['one', 'two\nthree'] }), source, plain),
    'a.bt:2:5-8: WARNING: wrong\nabc def\n    ~~~\nHINT: one\nHINT: two\nHINT: three\n',
  );
  assert.equal(
    renderDiagnostic(diagnostic(0, 1, { hints: ['h'] }), source, { color: true }),
    '\x1b[31ma.bt:1:1-2: ERROR: wrong\x1b[0m\nx\n~\n\x1b[36mHINT: h\x1b[0m\n',
  );
  assert.equal(renderDiagnostic({ ...diagnostic(0, 0), span: undefined }, source, plain), 'ERROR: wrong\n');
});

test('marks stand under their text', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['\t$a = $b;', '$b', '         ~~'],
    ['a\tb', 'b', '     ~'],
    ['"äöü" x', 'x', '      ~'],
    ['"日本" x', 'x', '       ~'],
    ['"\u{1f600}" x', 'x', '     ~'],
    ['"e\u0301" x', 'x', '    ~'],
  ];
  for (const [text, part, marks] of cases) {
    const { start, end } = at(text, part);
    const lines = renderDiagnostic(diagnostic(start, end), new Source('s', text), plain).split('\n');
    assert.equal(lines[2], marks, text);
  }
});

test('a place between two characters gets one mark', () => {
  const source = new Source('s', '$a = 1\n$b = 2');
  assert.equal(renderDiagnostic(diagnostic(6, 6), source, plain), 's:1:7-7: ERROR: wrong\n$a = 1\n      ^\n');
  assert.equal(renderDiagnostic(diagnostic(13, 13), source, plain), 's:2:7-7: ERROR: wrong\n$b = 2\n      ^\n');
  assert.equal(renderDiagnostic(diagnostic(99, 120), source, plain), 's:2:7-7: ERROR: wrong\n$b = 2\n      ^\n');
  assert.equal(renderDiagnostic(diagnostic(0, 0), new Source('s', ''), plain), 's:1:1-1: ERROR: wrong\n\n^\n');
});

test('several lines are shown without marks, the middle of many is left out', () => {
  const text = 'BEGIN { f(1,\n  2,\n  3); }\n';
  const { start, end } = at(text, 'f(1,\n  2,\n  3)');
  assert.equal(
    renderDiagnostic(diagnostic(start, end), new Source('s', text), plain),
    's:1-3: ERROR: wrong\nBEGIN { f(1,\n  2,\n  3); }\n',
  );
  const long = Array.from({ length: 20 }, (_, i) => `line${i + 1}`).join('\n');
  assert.deepEqual(renderDiagnostic(diagnostic(0, long.length), new Source('s', long), plain).split('\n'), [
    's:1-20: ERROR: wrong',
    'line1',
    'line2',
    'line3',
    'line4',
    '...',
    'line17',
    'line18',
    'line19',
    'line20',
    '',
  ]);
  // A line break at the end of a place is no second line.
  assert.equal(
    renderDiagnostic(diagnostic(0, 4), new Source('s', 'abc\ndef'), plain),
    's:1:1-4: ERROR: wrong\nabc\n~~~\n',
  );
});

test('long lines are cut around the place', () => {
  const text = `${'a'.repeat(500)}HERE${'b'.repeat(500)}`;
  const [, line = '', marks = ''] = renderDiagnostic(diagnostic(500, 504), new Source('s', text), plain).split('\n');
  assert.ok(line.length <= 166 && line.startsWith('...aaa') && line.endsWith('bbb...'), line);
  assert.equal(line.slice(marks.indexOf('~'), marks.length), 'HERE');
  const [head, start = ''] = renderDiagnostic(diagnostic(0, 900), new Source('s', text), plain).split('\n');
  assert.equal(head, 's:1:1-901: ERROR: wrong');
  assert.ok(start.startsWith('aaa'));
});

test('nothing in a script or message commands the terminal', () => {
  const out = renderDiagnostic(diagnostic(0, 3, { message: 'a\x1b[2Jb\u202e' }), new Source('s', '\x1b]0'), plain);
  assert.equal(out, 's:1:1-4: ERROR: a?[2Jb?\n?]0\n~~~\n');
});

test('carriage returns are no part of a line', () => {
  assert.equal(renderDiagnostic(diagnostic(0, 1), new Source('s', 'a\r\nb'), plain), 's:1:1-2: ERROR: wrong\na\n~\n');
});

test('all are printed in the order of their places', () => {
  const source = new Source('s', 'abc');
  const out = renderAll(
    [
      { ...diagnostic(0, 0), span: undefined, message: 'third' },
      diagnostic(2, 3, { message: 'second' }),
      diagnostic(0, 1, { message: 'first' }),
    ],
    source,
    plain,
  );
  assert.deepEqual(
    out.split('\n').filter((line) => line.includes('ERROR')),
    ['s:1:1-2: ERROR: first', 's:1:3-4: ERROR: second', 'ERROR: third'],
  );
});
