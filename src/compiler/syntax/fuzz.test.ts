/** Whatever the text: parsing ends, throws nothing, and its places lie within the text. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { sharedCases } from '../../../test/insitu.ts';
import { Diagnostics } from '../../diag/diagnostic.ts';
import { renderAll } from '../../diag/render.ts';
import { Source } from '../../diag/source.ts';
import { parse } from './parse.ts';
import { printScript } from './print.ts';

const own = `#!/usr/bin/env insitu
#include <linux/in.h>
#define TWICE(x) ((x) + (x))
#define RED "\\033[31m"
#ifdef NOPE
nothing
#else
struct pair { int a; union { int b; char c[4]; }; };
#endif
config = { max_map_keys = 100; stack_mode = perf }
let @seen = lruhash(1_000);
macro add($a, @b, c) { $a += c; @b + 1 }
BEGIN, i:s:1 { @start = nsecs; printf("%s\\n\\x41", RED); }
uprobe:/bin/a*/x:"f(int, int)"+4, kprobe:vfs_*
/pid == $1 && (@x[tid, comm] / 2 == TWICE(3) || !$#)/
{
  let $p : struct pair * = (struct pair *)arg0; // comment
  if ($p->a > 0x10) { @n[$p.c[1], (1, "x")]++; } else if (pid) { return; } else { delete(@n[1, (2, "y")]); }
  for ($kv : @n) { print(($kv.0, $kv.1)); } for ($i : 0..10) { continue; }
  unroll (3) { $z = { $q = 1; $q ?: 5ms }; } while ($z-- > -1) { break }
  _ = sizeof(struct pair) + offsetof(struct pair, a) << 2 ^ ~1;
  $r = (a = 1, b = 2).a; @h = hist(args.count); /* end */
}
END { clear(@start); }
`;
const article = join(sharedCases, 'trace-envoy-socket.bt');
const scripts = existsSync(article) ? [own, readFileSync(article, 'utf8')] : [own];

function check(text: string): void {
  const source = new Source('fuzz', text);
  const diagnostics = new Diagnostics();
  const script = parse(source, diagnostics);
  printScript(script);
  renderAll(diagnostics.items, source, { color: false });
  assert.ok(diagnostics.items.length <= 25);
  for (const item of diagnostics.items) {
    if (item.span === undefined) continue;
    assert.ok(
      item.span.start >= 0 && item.span.start <= item.span.end && item.span.end <= text.length,
      `${item.message} at ${item.span.start}-${item.span.end}`,
    );
  }
  checkSpans(script, 0, text.length);
}

/** Every node lies within the script; without macros, within its parent. */
function checkSpans(node: object, start: number, end: number): void {
  const { span } = node as { span?: { start: number; end: number } };
  if (span !== undefined)
    assert.ok(span.start >= start && span.start <= span.end && span.end <= end, JSON.stringify(span));
  for (const part of Object.values(node)) if (typeof part === 'object' && part !== null) checkSpans(part, start, end);
}

const words = [
  'BEGIN',
  'END',
  'kprobe:f',
  'uprobe:/bin/x:"a b"',
  'tracepoint:a:b',
  'if',
  'else',
  'elif',
  'while',
  'for',
  'unroll',
  'let',
  'return',
  'break',
  'continue',
  'macro',
  'config',
  'import',
  'struct',
  'union',
  'enum',
  'typedef',
  'sizeof',
  'offsetof',
  'typeof',
  'comptime',
  'true',
  'pid',
  'args',
  'uint8',
  'int',
  'F',
  'X',
  '$a',
  '@b',
  '@',
  '$1',
  '$#',
  '$',
  '0',
  '1',
  '0x',
  '1e9',
  '5ms',
  '99999999999999999999',
  '"s"',
  '"\\q',
  "'c'",
  '"',
  '(',
  ')',
  '[',
  ']',
  '{',
  '}',
  '(',
  ')',
  '{',
  '}',
  ',',
  ';',
  ';',
  ':',
  '?',
  '.',
  '..',
  '->',
  '+',
  '-',
  '*',
  '/',
  '%',
  '&',
  '|',
  '^',
  '~',
  '!',
  '<',
  '>',
  '<<',
  '>>',
  '==',
  '!=',
  '<=',
  '>=',
  '&&',
  '||',
  '++',
  '--',
  '=',
  '+=',
  '<<=',
  '#',
  '##',
  '\\',
  '\n',
  '\n',
  '\r\n',
  '\t',
  '//',
  '/*',
  '*/',
  '\0',
  '\u00a0',
  '\u201c',
  '\ud800',
  '\n#define F(x) x x F\n',
  '\n#define X F(X\n',
  '\n#if ',
  '\n#ifdef X\n',
  '\n#else\n',
  '\n#endif\n',
  '\n#include <a>\n',
  '\n#undef X\n',
];

const limits = { seed: 20260801, interruptAfterTimeLimit: 2500, markInterruptAsFailure: false, numRuns: 4000 };

test('token soup', () => {
  const soup = fc.array(fc.tuple(fc.constantFrom(...words), fc.constantFrom('', ' ')), { maxLength: 120 });
  fc.assert(
    fc.property(soup, fc.boolean(), (parts, inside) => {
      const text = parts.map(([word, space]) => word + space).join('');
      check(inside ? `BEGIN { ${text}` : text);
    }),
    limits,
  );
});

test('scripts with something cut out, doubled, moved or replaced', () => {
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.nat({ max: 40 }),
    put: fc.constantFrom('', '', 'same', ...words),
  });
  fc.assert(
    fc.property(fc.constantFrom(...scripts), fc.array(edit, { minLength: 1, maxLength: 6 }), (script, edits) => {
      let text = script;
      for (const { at, length, put } of edits) {
        const from = Math.floor(at * text.length);
        const cut = text.slice(from, from + length);
        text = text.slice(0, from) + (put === 'same' ? cut + cut : put) + text.slice(from + length);
      }
      check(text);
    }),
    limits,
  );
});

test('any text', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), check), {
    ...limits,
    interruptAfterTimeLimit: 1000,
  });
});

test('every beginning of a script', () => {
  for (let end = 0; end <= own.length; end += 3) check(own.slice(0, end));
});
