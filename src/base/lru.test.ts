import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lru } from './lru.ts';

test('the entry unused for longest goes, and is told of', () => {
  const gone: string[] = [];
  const lru = new Lru<string, number>(2, (value, key) => gone.push(`${key}=${value}`));
  lru.set('a', 1);
  lru.set('b', 2);
  assert.equal(lru.get('a'), 1);
  lru.set('c', 3);
  assert.deepEqual(gone, ['b=2']);
  assert.equal(lru.get('b'), undefined);
  lru.set('a', 4);
  lru.delete('c');
  assert.deepEqual([...lru.values()], [4]);
  assert.equal(lru.size, 1);
  assert.deepEqual(gone, ['b=2']);
});
