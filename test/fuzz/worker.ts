/**
 * Runs cases of one target after another: `worker FOLDER CAMPAIGN PROGRESS-FILE MODULE`, told by
 * messages `{ target, from, to }`. The number of the case it is at stands in the progress
 * file, so that its parent knows which one it died or hung in.
 */
import { openSync, writeSync } from 'node:fs';
import { Cases, type Problem } from './cases.ts';
import type { Target } from './targets.ts';

export interface Job {
  readonly target: string;
  readonly from: number;
  readonly to: number;
}

export interface Answer {
  readonly done: number;
  readonly refused: number;
  readonly problems: readonly Problem[];
  /** Resident memory at its highest, in bytes. */
  readonly memory: number;
}

const [folder = '', campaign = '1', progress = '', module = ''] = process.argv.slice(2);
const { targets } = (await import(`./${module}`)) as { readonly targets: readonly Target[] };
const fd = openSync(progress, 'w');
const place = new Float64Array(1);
const known = new Map<string, Cases>();

process.on('message', ({ target: name, from, to }: Job) => {
  let cases = known.get(name);
  if (cases === undefined) {
    const target = targets.find((one) => one.name === name);
    if (target === undefined) throw new Error(`no target is called ${name}`);
    cases = new Cases(target, folder, Number(campaign));
    known.set(name, cases);
  }
  let refused = 0;
  const problems: Problem[] = [];
  for (let index = from; index < to; index++) {
    place[0] = index;
    writeSync(fd, new Uint8Array(place.buffer), 0, 8, 0);
    const outcome = cases.run(index);
    if (outcome.refused) refused++;
    if (outcome.problem !== undefined) problems.push(outcome.problem);
  }
  const memory = process.resourceUsage().maxRSS * 1024;
  process.send?.({ done: to - from, refused, problems, memory } satisfies Answer);
});
