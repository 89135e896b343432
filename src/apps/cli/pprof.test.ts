/** A profile made by hand, as `go tool pprof` reads it back. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { ProfileFrame, StackProfile } from '../../answers/profile/stacks.ts';
import { pprofBytes } from './pprof.ts';

const frame = (name: string, line?: number): ProfileFrame => ({
  name,
  kind: 'user',
  file: '/bin/a',
  source: line === undefined ? undefined : { file: 'a.c', line },
});
const main = frame('main', 12);
const profiles: readonly StackProfile[] = [
  {
    name: '@cpu',
    samples: [
      { frames: [main, frame('leaf')], count: 30n },
      { frames: [main], count: 5n },
    ],
    total: 35n,
    negative: 0,
  },
  { name: '@off', samples: [{ frames: [main], count: 7n }], total: 7n, negative: 0 },
];

test('go tool pprof reads types, samples, functions, lines and files', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'insitu-pprof-'));
  try {
    const path = join(folder, 'a.pb.gz');
    writeFileSync(path, gzipSync(pprofBytes(profiles)));
    const env = { ...process.env, PPROF_TMPDIR: folder };
    const read = spawnSync('go', ['tool', 'pprof', '-raw', path], { encoding: 'utf8', env });
    if (read.error !== undefined || /no such tool/.test(read.stderr)) {
      context.skip('needs go with its pprof tool');
      return;
    }
    assert.equal(read.status, 0, read.stderr);
    const [, types = '', samples = '', locations = '', mappings = ''] =
      /Samples:\n(.*)\n((?:\s+\d.*\n)+)Locations\n((?:\s+\d.*\n)+)Mappings\n([\s\S]*)/.exec(read.stdout) ?? [];
    const rows = (text: string): string[] =>
      text
        .trimEnd()
        .split('\n')
        .map((row) => row.trim().replace(/\s+/g, ' '));
    assert.equal(types.replace('[dflt]', ''), '@cpu/count @off/count', read.stdout);
    // Older versions of go number the locations anew.
    const id = (place: RegExp): string => /^\d+/.exec(rows(locations).find((row) => place.test(row)) ?? '')?.[0] ?? '';
    const main = id(/^\d+: 0x0 M=1 main a\.c:12\b/);
    const leaf = id(/^\d+: 0x0 M=1 leaf \/bin\/a:0\b/);
    assert.notEqual(main, leaf, read.stdout);
    assert.deepEqual(rows(samples), [`30 0: ${leaf} ${main}`, `5 7: ${main}`], read.stdout);
    const top = spawnSync('go', ['tool', 'pprof', '-top', path], { encoding: 'utf8', env });
    assert.match(top.stdout, /^Type: @cpu$/m, `the first map is shown: ${top.stderr}`);
    assert.match(mappings, /^1: 0x0\/0x0\/0x0 \/bin\/a {2}\[FN\]\[IN\]/m);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
