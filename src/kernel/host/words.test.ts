import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { splitWords } from './words.ts';

/** What a shell makes of the words; none of them has anything to expand. */
function shellWords(command: string): string[] {
  const script = `for word in ${command}\ndo printf '%s\\0' "$word"; done`;
  return execFileSync('sh', ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1);
}

for (const command of [
  'ls',
  '  ls   -l\t/tmp  ',
  `echo 'a b' "c d"`,
  `a'b'"c"d`,
  String.raw`a\ b \'c\' \"d\"`,
  '"a\\"b" "a\\\\b" "a\\nb" "\\$x" "\\`"',
  `'a\\b' '"'`,
  `'' "" x`,
  'a\\\nb',
  '"a\\\nb"',
  "'new\nline'",
  'grep -E ^[a-z]+$ "ü é"',
]) {
  test(`splits like sh: ${JSON.stringify(command)}`, () => {
    assert.deepEqual(splitWords(command), shellWords(command.replaceAll('[a-z]', "'[a-z]'")));
  });
}

test('nothing is expanded', () => {
  assert.deepEqual(splitWords('echo $HOME ~ *.c `id` "$x" $(id)'), [
    'echo',
    '$HOME',
    '~',
    '*.c',
    '`id`',
    '$x',
    '$(id)',
  ]);
});

test('an empty command has no words', () => {
  assert.deepEqual(splitWords(' \n\t '), []);
});

for (const [command, message] of [
  [`echo 'a`, /unterminated single quote in the command, at character 6/],
  [`echo "a\\"`, /unterminated double quote in the command, at character 6/],
  ['echo \\', /unterminated backslash in the command, at character 6/],
] as const) {
  test(`refused: ${command}`, () => {
    assert.throws(() => splitWords(command), { code: 'E_UNTERMINATED_QUOTE', message });
  });
}
