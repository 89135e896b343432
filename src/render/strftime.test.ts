import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { strftime } from './strftime.ts';

const utc = (): { offset: number; name: string } => ({ offset: 0, name: 'UTC' });

/** Of glibc's conversions all but %k and %l, which bpftrace uses for itself. */
const formats = [
  ...[...'aAbBcCdDeFgGhHIjmMnpPrRsStTuUVwWxXyYzZ%'].map((letter) => `%${letter}`),
  '%_d',
  '%-d',
  '%0e',
  '%_H',
  '%-j',
  '%^a',
  '%^B',
  '%#p',
  '%#Z',
  '%10Y',
  '%_10Y',
  '%5d',
  '%Ey',
  '%Od',
  '%-I:%M',
  '%a, %d %b %Y %T %z',
];
const moments = [
  0,
  1,
  86_399,
  951_782_400,
  1_078_012_799,
  1_230_768_000,
  1_262_304_000,
  1_609_459_199,
  1_795_368_846,
  4_102_444_800,
  -1,
  -86_400 * 400,
];
/** POSIX zones without daylight time: what C calls them and their offset. */
const zones = [
  { tz: 'UTC0', name: 'UTC', offset: 0 },
  { tz: 'IST-5:30', name: 'IST', offset: 19_800 },
  { tz: 'NST3:30', name: 'NST', offset: -12_600 },
];

test('conversions print what the C library prints', (t) => {
  if (spawnSync('gcc', ['--version']).status !== 0) {
    t.skip('gcc is not installed (apt-get install gcc): no C library to compare with');
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'insitu-strftime-'));
  try {
    const program = `#include <stdio.h>
#include <time.h>
static const char *formats[] = { ${formats.map((format) => JSON.stringify(format)).join(', ')} };
static const long moments[] = { ${moments.join(', ')} };
int main(void) {
  for (unsigned i = 0; i < sizeof formats / sizeof *formats; i++)
    for (unsigned j = 0; j < sizeof moments / sizeof *moments; j++) {
      time_t at = moments[j];
      char text[256];
      size_t n = strftime(text, sizeof text, formats[i], localtime(&at));
      fwrite(text, 1, n, stdout);
      putchar(0);
    }
  return 0;
}
`;
    writeFileSync(join(folder, 's.c'), program);
    execFileSync('gcc', ['-O0', '-w', '-o', join(folder, 's'), join(folder, 's.c')]);
    for (const { tz, name, offset } of zones) {
      const env = { ...process.env, TZ: tz, LC_ALL: 'C' };
      const expected = execFileSync(join(folder, 's'), { encoding: 'latin1', env }).split('\0').slice(0, -1);
      const pairs = formats.flatMap((format) => moments.map((moment) => [format, moment] as const));
      assert.equal(expected.length, pairs.length);
      const wrong = pairs.flatMap(([format, moment], i) => {
        const actual = strftime(format, BigInt(moment) * 1_000_000_000n, () => ({ offset, name }));
        return actual === expected[i]
          ? []
          : [`${format} at ${moment} in ${tz}: '${actual}' instead of '${expected[i]}'`];
      });
      assert.deepEqual(wrong, []);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

// bpftrace 0.27.1 printed `066637 066637551 066` for %f, %k and %l in one moment.
test('parts of a second', () => {
  const at = 1_795_368_846_066_637_551n;
  assert.equal(strftime('%f %k %l', at, utc), '066637 066637551 066');
  assert.equal(strftime('%H:%M:%S.%f', -1n, utc), '23:59:59.999999');
});

// Left alone by bpftrace 0.27.1 too.
test('what is no conversion stays as it is', () => {
  assert.equal(strftime('%N %Q %3f', 0n, utc), '%N %Q %3f');
  assert.equal(strftime('100%', 0n, utc), '100%');
});
