import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { alternatives, requiredLiterals } from './regex.ts';

test('texts that a match must contain', () => {
  const cases: readonly (readonly [source: string, literals: readonly string[]])[] = [
    ['MainCommon.*main', ['MainCommon', 'main']],
    ['^uv_run$', ['uv_run']],
    ['a|b', []],
    ['listen(Socket|Fd)Factory', ['listen', 'Factory']],
    ['colou?r', ['colo', 'r']],
    ['ab*c', ['a', 'c']],
    ['ab+c', ['ab', 'c']],
    ['ab{2,3}c', ['a', 'c']],
    ['x[a|b]y', ['x', 'y']],
    ['std::\\w+::find\\(', ['std::', '::find(']],
    ['a\\.b', ['a.b']],
    ['(?:a|b)c', ['c']],
    ['(?!x)run', ['run']],
    ['.*?foo', ['foo']],
    ['\\x41bc', []],
    ['', []],
  ];
  for (const [source, literals] of cases) {
    new RegExp(source);
    assert.deepEqual(requiredLiterals(source), literals, source);
  }
});

test('whatever an expression matches contains its required literals', () => {
  const piece = fc.constantFrom(
    'a',
    'b',
    'ab',
    '.',
    'a?',
    'b*',
    'a+',
    '[ab]',
    '(a|b)',
    '(ab)?',
    'a{2}',
    'b??',
    '\\w',
    '^',
    'a*?',
    '\\.',
    'a|b',
  );
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', 'c'), maxLength: 8 });
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 6 }),
      fc.array(text, { minLength: 20, maxLength: 20 }),
      (pieces, texts) => {
        const source = pieces.join('');
        let regex: RegExp;
        try {
          regex = new RegExp(source);
        } catch {
          return;
        }
        const literals = requiredLiterals(source);
        for (const one of texts) {
          if (regex.test(one)) for (const literal of literals) assert.ok(one.includes(literal), `${source}: ${one}`);
        }
      },
    ),
    { numRuns: 3000, seed: 4 },
  );
});

test('alternatives, as far as they are not in groups', () => {
  const cases: readonly (readonly [source: string, parts: readonly string[]])[] = [
    ['a', ['a']],
    ['a|b.*|c', ['a', 'b.*', 'c']],
    ['(a|b)c|[|]d|e\\|f', ['(a|b)c', '[|]d', 'e\\|f']],
    ['|a', ['', 'a']],
  ];
  for (const [source, parts] of cases) assert.deepEqual(alternatives(source), parts, source);
});
