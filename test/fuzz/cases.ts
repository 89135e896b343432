/** One case of a campaign: a damaged input, and what a target makes of it. */
import { mutate, mutateWords, type Region, seeded } from './mutate.ts';
import type { Target } from './targets.ts';

export interface Problem {
  readonly target: string;
  /** Which case of the target's, under the campaign's seed. */
  readonly index: number;
  readonly kind: 'crash' | 'hang' | 'slow' | 'memory' | 'past the end' | 'died';
  readonly detail: string;
}

export interface Outcome {
  readonly refused: boolean;
  readonly problem: Problem | undefined;
}

/** CPU time in milliseconds that no case may need: the largest seeds take 30. */
const mostMilliseconds = 3000;
/** Bytes that a case may take in buffers. */
const mostBytes = 200 << 20;

export class Cases {
  readonly target: Target;
  readonly seeds: readonly Uint8Array[];
  readonly #campaign: number;
  readonly #regions: Map<Uint8Array, readonly Region[]> = new Map();

  constructor(target: Target, folder: string, campaign: number) {
    this.target = target;
    this.seeds = target.seeds(folder);
    this.#campaign = campaign;
  }

  /** The damaged input of a case; the same whenever it is asked for. */
  input(index: number): Uint8Array {
    const { target, seeds } = this;
    const random = seeded(this.#campaign, target.name, index);
    const seed = seeds[random(seeds.length)] as Uint8Array;
    let regions = this.#regions.get(seed);
    if (regions === undefined) {
      regions = target.regions?.(seed) ?? [];
      this.#regions.set(seed, regions);
    }
    // Words alone leave texts without the odd byte.
    const byWords = target.words === true && random(8) > 0;
    const damaged = byWords ? mutateWords(seed, seeds, random) : mutate(seed, seeds, regions, random);
    return target.repair === undefined ? damaged : target.repair(damaged);
  }

  /** Reads it twice, within different surroundings: the answers must be the same. */
  run(index: number): Outcome {
    const { target } = this;
    const bytes = this.input(index);
    const problem = (kind: Problem['kind'], detail: string): Outcome => ({
      refused: false,
      problem: { target: target.name, index, kind, detail },
    });
    const before = process.memoryUsage().arrayBuffers;
    const start = process.cpuUsage();
    let first: string;
    try {
      first = target.read({ bytes, poison: 0x00 });
    } catch (error) {
      return problem('crash', (error as Error).stack ?? String(error));
    }
    const { user, system } = process.cpuUsage(start);
    if ((user + system) / 1000 > mostMilliseconds) return problem('slow', `${Math.round((user + system) / 1000)} ms`);
    const taken = process.memoryUsage().arrayBuffers - before;
    if (taken > mostBytes) return problem('memory', `${taken >> 20} MiB in buffers`);
    let second: string;
    try {
      second = target.read({ bytes, poison: 0xa5 });
    } catch (error) {
      return problem('past the end', (error as Error).stack ?? String(error));
    }
    if (first !== second) return problem('past the end', difference(first, second));
    return { refused: first.startsWith('refused'), problem: undefined };
  }
}

function difference(a: string, b: string): string {
  let at = 0;
  while (a[at] === b[at]) at++;
  const from = Math.max(0, at - 40);
  return `${a.slice(from, at + 40)} ≠ ${b.slice(from, at + 40)}`;
}
