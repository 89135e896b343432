import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCampaign, table } from './campaign.ts';

test('a minute of damaged files: none crashes, hangs, or is read past its end (npm run test:fuzz does a million)', async (context) => {
  const seed = 1;
  const result = await runCampaign({ count: 1_000_000, seconds: 60, seed, workers: 2 });
  context.diagnostic(`seed ${seed}\n${table(result)}`);
  assert.deepEqual(result.problems, []);
  for (const { name, read, refused } of result.counts) {
    assert.ok(read > 0, `${name} was not reached`);
    assert.ok(refused < read, `${name}: nothing gets past its first checks, so that nothing is tested`);
  }
});
