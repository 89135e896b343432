import assert from 'node:assert/strict';
import { test } from 'node:test';
import { targets } from './broken.ts';
import { runCampaign } from './campaign.ts';
import { Cases } from './cases.ts';

test('a campaign notices readers that throw, hang and die, tells the case, and goes on', {
  timeout: 240_000,
}, async () => {
  const count = 400;
  const result = await runCampaign({ count, seed: 3, workers: 2, module: 'broken.js', patience: 1500 });
  const fine = new Cases(targets[0] as (typeof targets)[number], '', 3);
  assert.equal(fine.seeds.length, 1);
  const kinds: Readonly<Record<string, string>> = { hangs: 'hang', dies: 'died', throws: 'crash' };
  for (const { name, read, problems } of result.counts) {
    assert.equal(read, count / 4, `${name}: every input was read`);
    const told = result.problems.filter(({ target }) => target === name);
    assert.equal(told.length, problems);
    assert.equal(problems > 0, name !== 'fine', name);
    const target = targets.find((one) => one.name === name) as (typeof targets)[number];
    // The very cases: the same number makes the same input again.
    const cases = new Cases(target, '', 3);
    for (const { kind, index } of told) {
      assert.equal(kind, kinds[name]);
      const bytes = cases.input(index);
      assert.ok(bytes.length === 64 && bytes[9] !== 7, `${name}, case ${index}`);
    }
  }
});
