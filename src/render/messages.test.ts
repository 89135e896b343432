import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { errorText, signalText } from './messages.ts';

test('errno values and signals read as in the C library', (t) => {
  if (spawnSync('gcc', ['--version']).status !== 0) {
    t.skip('gcc is not installed (apt-get install gcc): no C library to compare with');
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'insitu-messages-'));
  try {
    const program = `#include <stdio.h>
#include <string.h>
int main(void) {
  for (int i = 0; i < 140; i++) puts(strerror(i));
  for (int i = 0; i < 70; i++) puts(strsignal(i));
  return 0;
}
`;
    writeFileSync(join(folder, 'm.c'), program);
    execFileSync('gcc', ['-w', '-o', join(folder, 'm'), join(folder, 'm.c')]);
    const env = { ...process.env, LC_ALL: 'C' };
    const expected = execFileSync(join(folder, 'm'), { encoding: 'utf8', env }).trimEnd().split('\n');
    const errors = Array.from({ length: 140 }, (_, i) => errorText(i));
    const signals = Array.from({ length: 70 }, (_, i) => signalText(i));
    assert.deepEqual([...errors, ...signals], expected);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
