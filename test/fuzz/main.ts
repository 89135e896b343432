/**
 * npm run test:fuzz: a million damaged inputs through everything that reads what others
 * wrote. Ends with 1 when one crashed, hung, took too long or too much, or was read past its end.
 *
 *   --count N         inputs in all (1000000)
 *   --seconds S       ends after that time
 *   --seed N          of the campaign (1); the same seed makes the same inputs
 *   --target NAME     one reader alone; may be given again
 *   --case N          one input of --target again, with its answer; --keep writes it
 *   --workers N       processes (one a CPU)
 *   --keep FOLDER     writes the inputs that failed there
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runCampaign, table } from './campaign.ts';
import { Cases } from './cases.ts';
import { makeSeeds } from './seeds.ts';
import { targets } from './targets.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '1000000' },
    seconds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    target: { type: 'string', multiple: true },
    case: { type: 'string' },
    workers: { type: 'string', default: String(availableParallelism()) },
    keep: { type: 'string' },
  },
});
for (const name of values.target ?? []) {
  if (targets.some((one) => one.name === name)) continue;
  console.error(`there is no reader "${name}"; there are: ${targets.map((one) => one.name).join(', ')}`);
  process.exit(1);
}
if (values.keep !== undefined) mkdirSync(values.keep, { recursive: true });

if (values.case !== undefined) {
  const target = targets.find(({ name }) => name === values.target?.[0]);
  if (target === undefined) throw new Error('--case needs --target');
  const folder = mkdtempSync(join(tmpdir(), 'insitu-fuzz-'));
  try {
    makeSeeds(folder);
    const cases = new Cases(target, folder, Number(values.seed));
    const index = Number(values.case);
    if (values.keep !== undefined) writeFileSync(join(values.keep, 'input'), cases.input(index));
    const outcome = cases.run(index);
    console.log(outcome.problem ?? (outcome.refused ? 'refused' : 'read'));
    process.exitCode = outcome.problem === undefined ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
} else {
  const result = await runCampaign({
    targets: values.target,
    count: Number(values.count),
    seconds: values.seconds === undefined ? undefined : Number(values.seconds),
    seed: Number(values.seed),
    workers: Number(values.workers),
    keep: values.keep,
    onMessage: (text) => console.log(text),
  });
  console.log(table(result));
  process.exitCode = result.problems.length === 0 ? 0 : 1;
}
