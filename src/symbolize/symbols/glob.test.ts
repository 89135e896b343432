import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Glob } from './glob.ts';

const matches = (glob: string, name: string): boolean => new Glob(glob).matches(name);

test('glob(7): stars, question marks, sets', () => {
  const cases: [string, string, boolean][] = [
    ['main', 'main', true],
    ['main', 'main2', false],
    ['*', '', true],
    ['*', 'anything', true],
    ['', '', true],
    ['', 'x', false],
    ['uv_*', 'uv_run', true],
    ['uv_*', 'xuv_run', false],
    ['*_run', 'uv_run', true],
    ['*_run', 'uv_runs', false],
    ['u*n', 'uv_run', true],
    ['u*v*u', 'uv', false],
    ['*ab*ab*', 'abab', true],
    ['*ab*ab*', 'ab', false],
    ['a*a', 'a', false],
    ['**x**', 'axb', true],
    ['uv_r?n', 'uv_run', true],
    ['uv_r?n', 'uv_rn', false],
    ['?', '', false],
    ['[abc]x', 'bx', true],
    ['[abc]x', 'dx', false],
    ['[a-c]x', 'bx', true],
    ['[!a-c]x', 'bx', false],
    ['[!a-c]x', 'dx', true],
    ['[]]x', ']x', true],
    ['[a', '[a', true],
    ['*operator[[]]*', 'A::operator[](int)', true],
    ['a.b', 'axb', false],
    ['node::*::Start', 'node::a::b::Start', true],
  ];
  for (const [glob, name, wanted] of cases) assert.equal(matches(glob, name), wanted, `${glob} on ${name}`);
});

test('agrees with a regular expression', () => {
  const letter = fc.constantFrom('a', 'b');
  const part = fc.constantFrom('a', 'b', '?', '*', '[ab]', '[!a]');
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), fc.array(letter, { maxLength: 10 }), (parts, letters) => {
      const translated: Record<string, string> = { '?': '.', '*': '.*', '[!a]': '[^a]' };
      const pattern = parts.map((one) => translated[one] ?? one).join('');
      assert.equal(matches(parts.join(''), letters.join('')), new RegExp(`^${pattern}$`).test(letters.join('')));
    }),
    { numRuns: 3000, seed: 5 },
  );
});

test('a pattern made to be slow is not', () => {
  const start = process.hrtime.bigint();
  assert.equal(matches('*a*a*a*a*a*a*a*a*a*a*a*a*b', 'a'.repeat(20_000)), false);
  assert.ok(process.hrtime.bigint() - start < 1_000_000_000n);
});

test('literals and the pattern for everything', () => {
  assert.deepEqual(new Glob('*Http?Server*[ab]x').literals, ['Http', 'Server', 'x']);
  assert.equal(new Glob('*').matchesAll, true);
  assert.equal(new Glob('**').matchesAll, true);
  assert.equal(new Glob('?*').matchesAll, false);
  assert.equal(new Glob('').matchesAll, false);
});
