import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCommand, type RunOptions, UsageError } from './options.ts';

const options = (...words: string[]): RunOptions => {
  const command = parseCommand(words);
  if (command.kind === 'run' || command.kind === 'list') return command.options;
  throw new Error(`unexpected ${command.kind}`);
};

test('scripts come from a text, a file or standard input', () => {
  const script = (...words: string[]): unknown => {
    const command = parseCommand(words);
    return command.kind === 'run' ? [command.script, command.options.parameters] : command.kind;
  };
  assert.deepEqual(script('-e', 'BEGIN {}', '5'), [{ kind: 'text', text: 'BEGIN {}' }, ['5']]);
  assert.deepEqual(script('a.bt', '5', 'b'), [{ kind: 'file', path: 'a.bt' }, ['5', 'b']]);
  assert.deepEqual(script('-', '5'), [{ kind: 'stdin' }, ['5']]);
  assert.deepEqual(script('a.bt', '--', '-q', 'x'), [{ kind: 'file', path: 'a.bt' }, ['-q', 'x']]);
  assert.deepEqual(script('a.bt', '-5', '-q'), [{ kind: 'file', path: 'a.bt' }, ['-5']]);
  assert.equal(script('-h'), 'help');
  assert.equal(script('-V'), 'version');
});

test('options stand before or after the script, joined or apart', () => {
  assert.equal(options('-qe', 'BEGIN {}').quiet, true);
  assert.deepEqual(options('-p12', 'a.bt').pids, [12]);
  assert.deepEqual(options('a.bt', '--pid=12,13', '-p', '12').pids, [12, 13]);
  assert.equal(options('a.bt', '-f', 'json').format, 'json');
  assert.equal(options('a.bt').format, 'text');
  assert.equal(options('a.bt').buffering, 'line');
  assert.equal(options('-c', 'ls -l', 'a.bt').command, 'ls -l');
  assert.deepEqual(options('-I', 'x', '-Iy', 'a.bt').includeFolders, ['x', 'y']);
  assert.deepEqual(options('-d', 'codegen', '-d', 'ast,bpf', 'a.bt').debug, ['ir', 'ast', 'bpf']);
});

test('-l takes at most one pattern', () => {
  assert.equal(parseCommand(['-l']).kind, 'list');
  const command = parseCommand(['-l', 'uprobe:*', '-v']);
  assert.equal(command.kind === 'list' && command.pattern, 'uprobe:*');
  assert.throws(() => parseCommand(['-l', 'a', 'b']), /one pattern/);
});

test('behind -- stand the parameters of the script, by name or by place', () => {
  const { named, parameters } = options('a.bt', '1', '--', '--on', '--n=5', '-q', '--text=a=b', '--empty=');
  assert.deepEqual(
    [...named],
    [
      ['on', true],
      ['n', '5'],
      ['text', 'a=b'],
      ['empty', ''],
    ],
  );
  assert.deepEqual(parameters, ['1', '-q']);
});

test('mistakes are told with a way out', () => {
  const cases: readonly (readonly [words: string[], message: RegExp, hint: RegExp])[] = [
    [[], /no script given/, /-e/],
    [['--colour', 'no'], /unknown option --colour/, /insitu --help/],
    [['--dryrun', 'a.bt'], /unknown option --dryrun/, /did you mean --dry-run/],
    [['--verbos', 'a.bt'], /unknown option --verbos/, /did you mean --verbose/],
    [['-x', 'a.bt'], /unknown option -x/, /./],
    [['-qx', 'a.bt'], /unknown option -x in -qx/, /./],
    [['-e'], /-e needs a value/, /-e 'PROGRAM'/],
    [['--quiet=1', 'a.bt'], /--quiet takes no value/, /^$/],
    [['-p', 'x', 'a.bt'], /-p takes a process id, not 'x'/, /1 to 4194304/],
    [['-p', '0', 'a.bt'], /-p takes a process id, not '0'/, /1 to 4194304/],
    [['-p', '1', '-c', 'ls', 'a.bt'], /-p and -c exclude each other/, /-p/],
    [['-c', ' ', 'a.bt'], /-c needs a command/, /-c 'program/],
    [['-f', 'xml', 'a.bt'], /-f takes text, json, not 'xml'/, /^$/],
    [['-B', 'some', 'a.bt'], /-B takes none, line, full, not 'some'/, /^$/],
    [['-d', 'asm', 'a.bt'], /-d takes ast, types, ir, codegen, bpf, verifier, all, not 'asm'/, /^$/],
  ];
  for (const [words, message, hint] of cases) {
    assert.throws(
      () => parseCommand(words),
      (error: unknown) => {
        assert(error instanceof UsageError, String(error));
        assert.match(error.message, message);
        assert.match(error.hints.join(' '), hint);
        return true;
      },
    );
  }
});

test('what is made of stacks names its files', () => {
  assert.equal(options('a.bt').profile, undefined);
  const none = { flame: undefined, folded: undefined, pprof: undefined, speedscope: undefined, map: undefined };
  assert.deepEqual(options('a.bt', '--folded', '-').profile, { ...none, folded: '-' });
  assert.deepEqual(options('a.bt', '--flame=a.htm', '--flame-map', 'x').profile, {
    ...none,
    flame: 'a.htm',
    map: '@x',
  });
  assert.deepEqual(options('a.bt', '--flame', 'a.svg', '--flame-map', '@').profile, {
    ...none,
    flame: 'a.svg',
    map: '@',
  });
  assert.throws(() => options('a.bt', '--flame', 'a.png'), UsageError);
  assert.throws(() => options('a.bt', '--flame-map', '@x'), UsageError);
  for (const words of [
    ['-l', 'uprobe:*'],
    ['--dry-run', 'a.bt'],
    ['--fmt', 'a.bt'],
  ]) {
    assert.throws(() => parseCommand([...words, '--folded', '-']), new RegExp(`--folded .* ${words[0]} runs none`));
  }
});
