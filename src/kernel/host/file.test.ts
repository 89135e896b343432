import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { HostFile } from './file.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-file-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const content = Uint8Array.from({ length: 1_000_003 }, (_, at) => (at * 31 + (at >> 8)) & 0xff);
writeFileSync(join(folder, 'content'), content);

test('any range reads as it is in the file, small ones through the page cache', () => {
  const file = HostFile.open(join(folder, 'content'));
  assert.ok(file.ok);
  assert.equal(file.value.size, content.length);
  for (const [offset, length] of [
    [0, 1],
    [16_383, 1],
    [16_383, 2],
    [16_384, 16_384],
    [5, 500_000],
    [999_990, 100],
    [content.length, 1],
    [content.length + 5, 1],
    [-1, 4],
    [0, 0],
    [0, 2_000_000],
  ] as const) {
    const wanted = offset < 0 ? new Uint8Array(0) : content.subarray(offset, offset + length);
    assert.ok(Buffer.from(file.value.read(offset, length)).equals(wanted), `${offset} ${length}`);
  }
  // More pages than the cache holds, twice.
  for (let round = 0; round < 2; round++) {
    for (let offset = 0; offset < content.length; offset += 9_000) {
      assert.equal(file.value.read(offset, 1)[0], content[offset]);
    }
  }
  const target = new Uint8Array(8).fill(0xee);
  assert.equal(file.value.readInto(target, content.length - 3), 3);
  assert.deepEqual([...target.subarray(0, 4)], [...content.subarray(-3), 0xee]);
  assert.equal(file.value.readInto(target, content.length), 0);
  file.value.close();
  file.value.close();
});

test('a file that shrinks gives what is left', () => {
  const path = join(folder, 'shrinking');
  writeFileSync(path, content.subarray(0, 50_000));
  const file = HostFile.open(path);
  assert.ok(file.ok);
  truncateSync(path, 20_000);
  assert.equal(file.value.read(0, 50_000).length, 20_000);
  assert.equal(file.value.read(30_000, 10).length, 0);
  file.value.close();
});

test('what is no file is refused with the reason', () => {
  const code = (path: string): string => {
    const file = HostFile.open(path);
    return file.ok ? 'ok' : `${file.error.code}: ${file.error.message}`;
  };
  assert.match(code(join(folder, 'missing')), /^ENOENT: can't open .*missing: there is no such file$/);
  assert.match(code(folder), /^E_NOT_A_FILE: .* is a folder$/);
  assert.match(code('/dev/null'), /^E_NOT_A_FILE: .*not a regular file$/);
  assert.match(code(join(folder, 'content', 'x')), /^ENOTDIR/);
});
