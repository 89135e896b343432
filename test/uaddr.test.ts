/** Variables of a program by name (uaddr), and functions of a stripped one by its debug file. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { insitu, lacking } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-uaddr-'));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('variables and debug files of a program', { skip: lacking('gcc', 'nm') }, () => {
  const source = join(folder, 'counted.c');
  writeFileSync(
    source,
    `#include <stdio.h>
unsigned char small = 200;
unsigned int middle = 70000;
unsigned long large = 1UL << 40;
char text[] = "a text of the program";
__attribute__((noinline)) static void counted(void) { __asm__ volatile("" ::: "memory"); }
int main(void) { large += middle; counted(); printf("%u %u %lu %s\\n", small, middle, large, text); return 0; }
`,
  );

  for (const [kind, flags] of [
    ['at fixed addresses', ['-no-pie', '-fno-pie']],
    ['position-independent', ['-pie', '-fPIE']],
  ] as const) {
    test(`uaddr, ${kind}`, { timeout: 60_000 }, async () => {
      const binary = join(folder, `counted${flags[0]}`);
      execFileSync('gcc', ['-O1', ...flags, '-o', binary, source]);
      const script = `uprobe:${binary}:counted {
        printf("%u %u %lu %s\\n", *uaddr("small"), *uaddr("middle"), *uaddr("large"), str(uaddr("text")));
      }`;
      const { stdout, stderr } = await insitu(['-q', '-c', binary, '-e', script]);
      // The program's own line, and ours.
      const line = execFileSync(binary, { encoding: 'utf8' }).trim();
      assert.deepEqual(stdout.trim().split(/\n+/), [line, line], stderr);
    });
  }

  test('--debuginfo: functions of a stripped program, from a debug file by its build-id', {
    timeout: 60_000,
  }, async () => {
    const whole = join(folder, 'whole');
    const stripped = join(folder, 'stripped');
    execFileSync('gcc', ['-g', '-O1', '-Wl,--build-id', '-o', whole, source]);
    const notes = execFileSync('readelf', ['-n', whole], { encoding: 'utf8' });
    const id = /Build ID: ([0-9a-f]+)/.exec(notes)?.[1] ?? '';
    const place = join(folder, 'debug', '.build-id', id.slice(0, 2));
    mkdirSync(place, { recursive: true });
    execFileSync('objcopy', ['--only-keep-debug', whole, join(place, `${id.slice(2)}.debug`)]);
    execFileSync('strip', ['-o', stripped, whole]);
    const script = `uprobe:${stripped}:counted { printf("%s\\n", func); }`;
    const without = await insitu(['-q', '-c', stripped, '-e', script]);
    assert.equal(without.status, 1, without.stdout);
    const found = await insitu(['-q', '--debuginfo', join(folder, 'debug'), '-c', stripped, '-e', script]);
    assert.match(found.stdout, /^counted$/m, found.stderr);
  });
});
