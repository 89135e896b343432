/** --help, the manual page and the shells' completions: each by the program that reads it. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { commands, options } from '../src/apps/cli/words.ts';
import { insitu, lacking, root } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-completion-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const env = { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder, TERM: 'dumb' };

/** A shell's completion, in a file. */
async function completionOf(shell: string, name: string): Promise<string> {
  const path = join(folder, name);
  const { status, stderr } = await insitu(['completion', shell, '-o', path]);
  assert.equal(status, 0, stderr);
  return path;
}

describe('help', { skip: lacking() }, () => {
  test('every command has its own, with its options and examples', async () => {
    const whole = (await insitu(['--help'])).stdout;
    for (const { name, examples, usage } of commands) {
      for (const line of usage) assert.ok(whole.includes(`insitu ${line}`), line);
      assert.ok(examples.length > 0, name);
      const { stdout, status } = await insitu([...(name === 'run' ? [] : [name]), '--help']);
      assert.equal(status, 0);
      for (const { line } of examples) assert.ok(stdout.includes(line), `${name}: ${line}`);
      for (const { words, of } of options) {
        const shown = words.some((word) => new RegExp(`^ +(-\\w, )?${word}( |$)`, 'm').test(stdout));
        assert.equal(shown, of.includes(name), `${name}: ${words.join(' ')}`);
      }
    }
  });

  test('an option of another command is refused with the name of its own', async () => {
    const { status, stderr } = await insitu(['memory', '1', '--depth', '3']);
    assert.equal(status, 1);
    assert.match(stderr, /--depth belongs to: insitu object/);
  });

  test('the manual page: man renders it without a complaint', { skip: lacking('man') }, () => {
    const { stdout, stderr, status } = spawnSync(
      'man',
      ['--warnings', '-P', 'cat', '-l', join(root, 'docs/insitu.1')],
      {
        env: { ...env, MANWIDTH: '200', LC_ALL: 'C.UTF-8' },
        encoding: 'utf8',
      },
    );
    assert.equal(status, 0, stderr);
    assert.equal(stderr, '');
    // Bold and underlined letters come as a letter, a backspace and a letter.
    const text = stdout.replace(/.\x08/g, '');
    for (const { words } of options) for (const word of words) assert.ok(text.includes(` ${word}`), word);
    for (const { usage, examples } of commands) {
      for (const line of [...usage.map((one) => `insitu ${one}`), ...examples.map(({ line }) => line)])
        assert.ok(text.includes(line), line);
    }
  });
});

/** What is typed, and what the shell offers; undefined: nothing. */
const cases: readonly (readonly [typed: string, offered: string | undefined])[] = [
  ['insitu sock', 'sockets'],
  ['insitu --flame-', '--flame-map'],
  ['insitu sockets --wat', '--watch'],
  ['insitu memory --wat', undefined],
  ['insitu completion fi', 'fish'],
  ['insitu -d veri', 'verifier'],
  ['insitu -l --probe-', '--probe-filter'],
];

describe('completion', { skip: lacking() }, () => {
  test('bash', { skip: lacking('bash') }, async () => {
    const path = await completionOf('bash', 'bash');
    for (const [typed, offered] of cases) {
      // As bash itself calls it; outside of a completion compopt complains.
      const script = `source ${path}; COMP_WORDS=(${typed}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _insitu 2>${folder}/errors; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const shown = execFileSync('bash', ['--norc', '-c', script], { cwd: folder, env, encoding: 'utf8' });
      assert.deepEqual(
        shown.split('\n').filter((line) => line !== ''),
        offered === undefined ? [] : [offered],
        typed,
      );
    }
  });

  test('fish', { skip: lacking('fish') }, async () => {
    const path = await completionOf('fish', 'fish');
    for (const [typed, offered] of cases) {
      const shown = execFileSync('fish', ['--no-config', '-c', `source ${path}; complete -C '${typed}'`], {
        cwd: folder,
        env,
        encoding: 'utf8',
      });
      const words = shown.split('\n').flatMap((line) => line.split('\t')[0] || []);
      assert.deepEqual(words, offered === undefined ? [] : [offered], typed);
    }
  });

  test('zsh', { skip: lacking('zsh'), timeout: 60_000 }, async () => {
    await completionOf('zsh', '_insitu');
    // Types into an interactive zsh on a terminal of its own, and waits for what must appear.
    const script = join(folder, 'type.zsh');
    const waits = cases.map(([typed, offered]) => {
      const last = typed.split(' ').at(-1) ?? '';
      const expected = offered === undefined ? '*$bell*' : `*${offered.slice(last.length)}*`;
      return `zpty -w -n z '${typed}'$'\\t'; zpty -r z out "${expected}" || exit 1; zpty -w -n z $'\\x15'\n`;
    });
    writeFileSync(
      script,
      `zmodload zsh/zpty; bell=$'\\a'
zpty z zsh -f -i
zpty -w z "stty -echo; unset zle_bracketed_paste; fpath=(${folder} \\$fpath); autoload -Uz compinit; compinit -u -d ${folder}/dump; print rea''dy"
zpty -r z out '*ready*' || exit 1
${waits.join('')}print done
`,
    );
    const { stdout, stderr } = spawnSync('zsh', ['-f', script], {
      cwd: folder,
      env,
      encoding: 'utf8',
      timeout: 50_000,
    });
    assert.equal(stdout.trim().split('\n').at(-1), 'done', stdout + stderr);
  });
});
