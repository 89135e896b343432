/** uprobe:BINARY@FILE:LINE[:COLUMN]: where gdb puts a breakpoint on the same line, and how often the program passes there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { insitu, lacking } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-line-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const hasGdb = ((): boolean => {
  try {
    execFileSync('gdb', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();
const skip = lacking('tracefs', 'gcc') || (hasGdb ? false : 'needs gdb');

const source = `#include <stdio.h>
static inline __attribute__((always_inline)) int helper(int x) {
  __asm__ volatile("nop");
  return x * 3;
}
__attribute__((noinline)) int one(int x) { return helper(x) + 1; }
__attribute__((noinline)) int two(int x) { return helper(x + 5) + helper(x); }
__attribute__((noinline)) int steps(int x) {
  int y = x * 3;
  y += 7; for (int i = 0; i < 2; i++) y ^= i;
  return y;
}
int main(void) {
  int sum = 0;
  for (int i = 0; i < 4; i++) sum += steps(i);
  return one(sum) + two(2) == 0;
}
`;

describe('a line of the source', { skip }, () => {
  const binary = join(folder, 'lines');
  before(() => {
    mkdirSync(join(folder, 'deep'));
    writeFileSync(join(folder, 'deep', 'lines.c'), source);
    for (const [name, ...flags] of [
      [binary, '-g', '-O0', '-no-pie', '-fno-pie'],
      [`${binary}-o2`, '-g', '-O2', '-no-pie', '-fno-pie', '-gdwarf-4'],
      [`${binary}-plain`, '-O0', '-no-pie', '-fno-pie'],
    ]) {
      execFileSync('gcc', ['-o', name as string, ...flags, 'deep/lines.c'], { cwd: folder });
    }
  });

  /** Addresses of the breakpoints that gdb sets on a place. */
  const gdb = (program: string, place: string): string[] => {
    const text = execFileSync('gdb', ['-nx', '-batch', '-ex', `break ${place}`, '-ex', 'info breakpoints', program], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return [...text.matchAll(/^[\d.]+ .*\b0x([0-9a-f]+) in /gm)].map(([, hex = '']) => hex.replace(/^0+/, '')).sort();
  };

  /** Hits by address. */
  const hits = async (program: string, place: string): Promise<Record<string, number>> => {
    const script = `uprobe:${program}@${place} { @[reg("ip")] = count(); }`;
    const { stdout, stderr, status } = await insitu(['-q', '-c', program, '-e', script]);
    assert.equal(status, 0, stderr);
    return Object.fromEntries(
      [...stdout.matchAll(/^@\[(\d+)\]: (\d+)$/gm)].map(([, address, count]) => [
        BigInt(address as string).toString(16),
        Number(count),
      ]),
    );
  };

  for (const [line, count] of [
    [9, 4],
    [11, 4],
    [15, 1],
  ] as const) {
    test(`line ${line}, ${count} times`, { timeout: 20_000 }, async () => {
      const found = await hits(binary, `lines.c:${line}`);
      assert.deepEqual(Object.keys(found), gdb(binary, `lines.c:${line}`));
      assert.deepEqual(Object.values(found), [count]);
    });
  }

  test('a column of a line: the body of its loop', { timeout: 20_000 }, async () => {
    // `y ^= i` stands in column 41, and runs twice in each of four calls.
    const found = await hits(binary, `lines.c:10:${(source.split('\n')[9] as string).indexOf('^=') + 1}`);
    assert.deepEqual(Object.values(found), [8]);
  });

  test('the file by more of its path, and by all of it', { timeout: 20_000 }, async () => {
    const expected = gdb(binary, 'lines.c:9');
    for (const file of ['deep/lines.c', join(folder, 'deep', 'lines.c'), '"deep/lines.c"']) {
      assert.deepEqual(Object.keys(await hits(binary, `${file}:9`)), expected, file);
    }
  });

  test('an inlined function: each copy of it', { timeout: 20_000 }, async () => {
    const program = `${binary}-o2`;
    const found = await hits(program, 'lines.c:3');
    assert.deepEqual(Object.keys(found).sort(), gdb(program, 'lines.c:3'));
    assert.deepEqual(Object.values(found), [1, 1, 1]);
  });

  const mistakes: readonly (readonly [place: string, said: RegExp])[] = [
    ['lines@lines.c:99', /no code of .*lines comes from lines\.c:99[\s\S]*HINT: lines near by with code: /],
    ['lines@lines.c:10:2', /no code of .* comes from lines\.c:10:2[\s\S]*HINT: columns of line 10 with code: .*41/],
    ['lines@nosuch.c:9', /has no source file nosuch\.c/],
    ['lines-plain@lines.c:9', /has no debugging information[\s\S]*HINT: compile it with -g/],
  ];
  for (const [place, said] of mistakes) {
    test(`${place} is told`, { timeout: 20_000 }, async () => {
      const { stderr, status } = await insitu(['-e', `uprobe:${folder}/${place} { }`]);
      assert.match(stderr, said);
      assert.equal(status, 1);
    });
  }

  test('not for uretprobe', async () => {
    const { stderr } = await insitu(['-e', `uretprobe:${binary}@lines.c:9 { }`]);
    assert.match(stderr, /uretprobe takes no source line/);
  });
});
