import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { Workshop } from '../../../test/binaries.ts';
import { Cache } from './cache.ts';

const before = process.env['XDG_CACHE_HOME'];
let workshop = new Workshop();
beforeEach(() => {
  workshop[Symbol.dispose]();
  workshop = new Workshop();
  process.env['XDG_CACHE_HOME'] = workshop.folder;
});
after(() => {
  workshop[Symbol.dispose]();
  if (before === undefined) delete process.env['XDG_CACHE_HOME'];
  else process.env['XDG_CACHE_HOME'] = before;
});

test('what was written is read again, by another one too', () => {
  new Cache('kind', 1000).write('ab12-c', new Uint8Array([1, 2, 3]));
  assert.deepEqual([...(new Cache('kind', 1000).read('ab12-c') ?? [])], [1, 2, 3]);
  assert.equal(new Cache('other', 1000).read('ab12-c'), undefined);
  const path = join(workshop.folder, 'insitu', 'kind', 'ab12-c');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(join(path, '..')).mode & 0o777, 0o700);
});

test('all files together stay within the bound; what was used last stays', () => {
  const cache = new Cache('kind', 1000);
  for (let index = 0; index < 10; index++) {
    cache.write(`k${index}`, new Uint8Array(100));
    const time = new Date(1e12 + index * 1000);
    utimesSync(join(cache.folder, `k${index}`), time, time);
  }
  assert.ok(cache.read('k0') !== undefined);
  cache.write('large', new Uint8Array(450));
  assert.deepEqual(readdirSync(cache.folder).sort(), ['k0', 'k6', 'k7', 'k8', 'k9', 'large']);
  cache.write('too-large', new Uint8Array(1001));
  assert.equal(cache.read('too-large'), undefined);
  assert.equal(cache.read('large')?.length, 450, 'one that never fits pushes nothing out');
});

test('what a run that died left half written goes; what is being written stays', () => {
  const cache = new Cache('kind', 1000);
  cache.write('whole', new Uint8Array(10));
  const left = join(cache.folder, 'k.99.0');
  writeFileSync(left, 'half');
  writeFileSync(join(cache.folder, 'k.98.0'), 'half');
  utimesSync(left, new Date(Date.now() - 3_600_000), new Date(Date.now() - 3_600_000));
  cache.write('other', new Uint8Array(10));
  assert.deepEqual(readdirSync(cache.folder).sort(), ['k.98.0', 'other', 'whole']);
});

test('a folder that cannot be made, a key that is none', () => {
  writeFileSync(join(workshop.folder, 'insitu'), 'a file');
  const cache = new Cache('kind', 1000);
  cache.write('k', new Uint8Array(10));
  assert.equal(cache.read('k'), undefined);
  cache.write('../../k', new Uint8Array(10));
  assert.equal(cache.read('../../k'), undefined);
  assert.ok(!existsSync(join(workshop.folder, 'k')));
});

test('eight processes that write, read and push out at once: every file is whole', { timeout: 60_000 }, async () => {
  mkdirSync(join(workshop.folder, 'insitu'), { recursive: true });
  const program = `
    const { Cache } = await import(${JSON.stringify(new URL('./cache.js', import.meta.url).href)});
    const cache = new Cache('kind', 300_000);
    let seen = 0;
    for (let round = 0; round < 300; round++) {
      const fill = (round * 7 + process.pid) % 251;
      cache.write('k' + (round % 11), new Uint8Array(40_000).fill(fill));
      const bytes = cache.read('k' + ((round * 3) % 11));
      if (bytes === undefined) continue;
      seen++;
      if (bytes.length !== 40_000 || bytes.some((byte) => byte !== bytes[0])) throw new Error('a torn file');
    }
    if (seen < 50) throw new Error('only ' + seen + ' were there to be read');
  `;
  const children = Array.from({ length: 8 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'ignore', 'inherit'] }),
  );
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0] as number));
  assert.deepEqual(codes, Array(8).fill(0));
  const cache = new Cache('kind', 300_000);
  const files = readdirSync(cache.folder);
  assert.ok(files.every((name) => /^k\d+$/.test(name)));
  const total = files.reduce((sum, name) => sum + readFileSync(join(cache.folder, name)).length, 0);
  // The last one to write may not have seen what the others wrote meanwhile; the next run puts that right.
  assert.ok(total <= 300_000 + 8 * 40_000, `${total} bytes`);
  cache.write('last', new Uint8Array(1));
  const left = readdirSync(cache.folder).reduce((sum, name) => sum + statSync(join(cache.folder, name)).size, 0);
  assert.ok(left <= 300_000, `${left} bytes`);
});
