/** A part of the programs of test/differential, beside bpftrace; npm run test:differential takes all. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { compare, peer, programs } from './differential/compare.ts';
import { lacking } from './insitu.ts';

/** One in so many is run here. */
const every = 8;

const skip = existsSync(peer) ? lacking('tracefs') : `needs bpftrace at ${peer} (Debian package bpftrace)`;
const some = programs.filter((_, index) => index % every === 0);

test(`${some.length} programs print what bpftrace prints`, { skip, timeout: 300_000 }, async () => {
  for (const item of some) assert.equal(await compare(item), undefined);
});

test('at least 200 programs are compared, and each difference has its reason', () => {
  assert.ok(programs.length >= 200);
  for (const { name, differs } of programs) assert.notEqual(differs, '', name);
});
