/** What a program will map beside itself, as ldd(1) has it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { withNeeded } from './needed.ts';

const skip = spawnSync('ldd', ['--version']).error ? 'needs ldd (libc-bin)' : false;

/** ldd's files: `name => path (address)`, and the loader by its path alone. */
function byLdd(program: string): Set<string> {
  const { stdout } = spawnSync('ldd', [program], { encoding: 'utf8' });
  return new Set([...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => realpathSync(path)));
}
const real = (paths: readonly string[]): Set<string> => new Set(paths.map((path) => realpathSync(path)));

for (const program of ['/bin/bash', '/bin/ls', process.execPath]) {
  test(`${program} and its libraries`, { skip }, () => {
    assert.deepEqual(real(withNeeded(program)), byLdd(program).add(realpathSync(program)));
  });
}

test('a script is its interpreter, by way of env too', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'insitu-needed-'));
  try {
    const script = join(folder, 'script');
    const bash = byLdd('/bin/bash').add(realpathSync('/bin/bash'));
    writeFileSync(script, '#! /bin/bash -e\necho\n');
    assert.deepEqual(real(withNeeded(script)), bash);
    writeFileSync(script, '#!/usr/bin/env -S A=b bash -e\necho\n');
    const env = byLdd('/usr/bin/env').add(realpathSync('/usr/bin/env'));
    assert.deepEqual(real(withNeeded(script)), new Set([...bash, ...env]));
    writeFileSync(script, `#!${script}\n`);
    assert.deepEqual(withNeeded(script), []);
    writeFileSync(script, '');
    assert.deepEqual(withNeeded(script), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
