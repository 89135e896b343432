import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PlaceCache } from './places.ts';

test('what is kept is what was put in, also as the cache grows; places beyond 2^32 too', () => {
  const cache = new PlaceCache<string>(1 << 14);
  const places = Array.from({ length: 3000 }, (_, index) => index * 977 + (index % 7) * 2 ** 33);
  for (let round = 0; round < 4; round++) {
    for (const place of places) {
      const kept = cache.get(place);
      assert.ok(kept === undefined || kept === `at ${place}`);
      cache.set(place, `at ${place}`);
    }
  }
  const kept = places.filter((place) => cache.get(place) !== undefined).length;
  assert.ok(kept > places.length * 0.9, `${kept} of ${places.length} are kept`);
  assert.equal(cache.get(1), undefined);
});

test('a place is kept when it is met for the second time', () => {
  const cache = new PlaceCache<string>(1);
  cache.set(5, 'first');
  assert.equal(cache.get(5), undefined);
  cache.set(5, 'second');
  assert.equal(cache.get(5), 'second');
});
