import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cases } from './cases.ts';
import { mutate, mutateWords, seeded } from './mutate.ts';
import type { Target } from './targets.ts';

const seed = new Uint8Array(64).map((_, at) => at);
const run = (read: Target['read']): Cases => new Cases({ name: 'made up', seeds: () => [seed], read }, '', 1);

test('a reader that looks past the end of its bytes, or throws, is caught', () => {
  const first = ({ bytes }: { bytes: Uint8Array }): number =>
    new DataView(bytes.buffer).getUint8(bytes.byteOffset + bytes.length);
  assert.equal(run((input) => String(first({ bytes: inside(input) }))).run(1).problem?.kind, 'past the end');
  assert.equal(run((input) => String(inside(input).length)).run(1).problem, undefined);
  const thrown = run(() => {
    throw new Error('broken');
  }).run(1).problem;
  assert.equal(thrown?.kind, 'crash');
  assert.match(thrown?.detail ?? '', /broken/);
  assert.equal(run(() => 'refused: it is damaged').run(1).refused, true);
});

function inside({ bytes, poison }: { bytes: Uint8Array; poison: number }): Uint8Array {
  const buffer = new Uint8Array(bytes.length + 1).fill(poison);
  buffer.set(bytes);
  return buffer.subarray(0, bytes.length);
}

test('the same numbers make the same input, others make another', () => {
  const cases = run(() => '');
  const inputs = Array.from({ length: 200 }, (_, index) => Buffer.from(cases.input(index)).toString('hex'));
  const again = run(() => '');
  for (const index of [199, 7, 0]) assert.equal(Buffer.from(again.input(index)).toString('hex'), inputs[index]);
  assert.ok(new Set(inputs).size > 150);
  assert.deepEqual(
    seed,
    new Uint8Array(64).map((_, at) => at),
    'the seed itself is left as it is',
  );
});

test('damage of bytes and of words, whatever the length', () => {
  for (let index = 0; index < 2000; index++) {
    const random = seeded('length', index);
    const bytes = new Uint8Array(random(5));
    assert.ok(mutate(bytes, [bytes], [{ start: 0, size: 4 }], random) instanceof Uint8Array);
    assert.ok(mutateWords(bytes, [bytes], random) instanceof Uint8Array);
  }
});
