/**
 * A campaign: so many damaged inputs for each target, read in worker processes. One that
 * dies or stays at a case for too long is ended and replaced, and the case is told.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cases, type Problem } from './cases.ts';
import { makeSeeds } from './seeds.ts';
import type { Target } from './targets.ts';
import type { Answer, Job } from './worker.ts';

export interface CampaignOptions {
  /** Names of targets; all when absent. */
  readonly targets?: readonly string[] | undefined;
  /** Inputs for all targets together. */
  readonly count: number;
  /** Ends earlier after so many seconds, when each target has had its turn. */
  readonly seconds?: number | undefined;
  readonly seed: number;
  readonly workers: number;
  /** Where the inputs that a reader failed on are kept; nowhere when absent. */
  readonly keep?: string | undefined;
  readonly onMessage?: ((text: string) => void) | undefined;
  /** The module whose `targets` are meant, from this folder; targets.ts when absent. */
  readonly module?: string | undefined;
  /** Milliseconds of the clock after which a case hangs, if the worker has worked for a quarter of them. */
  readonly patience?: number | undefined;
}

export interface TargetCount {
  readonly name: string;
  read: number;
  refused: number;
  problems: number;
}

export interface CampaignResult {
  readonly counts: readonly TargetCount[];
  readonly problems: readonly Problem[];
  /** Targets that have no seeds here, and tools that are missing. */
  readonly missing: readonly string[];
  /** The most memory that a worker had, in bytes. */
  readonly memory: number;
  readonly seconds: number;
}

/** Inputs that a worker gets at a time. */
const batch = 500;
/** And in the first round, which is finished however slow the machine is. */
const firstBatch = 100;
/** Machines under load are slow. */
const usualPatience = 20_000;
/** A case that takes so many times the patience hangs, worked or not. */
const longest = 15;
const usualModule = 'targets.js';
/** A target whose reader fails so often is broken; the campaign goes on with the others. */
const mostProblems = 20;

interface Plan {
  readonly target: Target;
  readonly count: TargetCount;
  next: number;
  readonly end: number;
}

export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const folder = mkdtempSync(join(tmpdir(), 'insitu-fuzz-'));
  const started = Date.now();
  try {
    const missing = makeSeeds(folder);
    const module = options.module ?? usualModule;
    const { targets } = (await import(`./${module}`)) as { readonly targets: readonly Target[] };
    const chosen = targets.filter(({ name }) => options.targets === undefined || options.targets.includes(name));
    const weights = chosen.reduce((sum, { weight = 1 }) => sum + weight, 0);
    const plans: Plan[] = [];
    for (const target of chosen) {
      if (target.seeds(folder).length === 0) {
        missing.push(`${target.name}: no seeds`);
        continue;
      }
      const end = Math.ceil((options.count * (target.weight ?? 1)) / weights);
      plans.push({ target, count: { name: target.name, read: 0, refused: 0, problems: 0 }, next: 0, end });
    }
    const problems: Problem[] = [];
    let memory = 0;
    const deadline = options.seconds === undefined ? Number.POSITIVE_INFINITY : started + options.seconds * 1000;
    let turn = 0;
    /** The next batch, of each target in turn. */
    const nextJob = (): { readonly plan: Plan; readonly job: Job } | undefined => {
      if (Date.now() >= deadline && turn >= plans.length) return undefined;
      for (let tried = 0; tried < plans.length; tried++) {
        const plan = plans[turn++ % plans.length] as Plan;
        if (plan.next >= plan.end || plan.count.problems >= mostProblems) continue;
        const from = plan.next;
        plan.next = Math.min(plan.end, from + (from === 0 ? firstBatch : batch));
        return { plan, job: { target: plan.target.name, from, to: plan.next } };
      }
      return undefined;
    };
    const tell = (plan: Plan, problem: Problem): void => {
      plan.count.problems++;
      problems.push(problem);
      options.onMessage?.(`${problem.kind}: ${problem.target}, case ${problem.index}: ${problem.detail}`);
      if (options.keep === undefined) return;
      const name = `${problem.target.replace(/\W+/g, '-')}-${options.seed}-${problem.index}`;
      writeFileSync(join(options.keep, name), new Cases(plan.target, folder, options.seed).input(problem.index));
    };
    const work = async (number: number): Promise<void> => {
      let worker: Worker | undefined;
      for (let next = nextJob(); next !== undefined; next = nextJob()) {
        const { plan } = next;
        for (let job: Job | undefined = next.job; job !== undefined; ) {
          worker ??= new Worker(folder, options.seed, number, module, options.patience ?? usualPatience);
          const answer: Answer | Failure = await worker.run(job);
          if ('at' in answer) {
            // The case it was at is told; the batch goes on behind it, in another process.
            worker = undefined;
            const { at, kind, detail } = answer;
            tell(plan, { target: job.target, index: at, kind, detail });
            plan.count.read += at + 1 - job.from;
            job = at + 1 < job.to && plan.count.problems < mostProblems ? { ...job, from: at + 1 } : undefined;
            continue;
          }
          plan.count.read += answer.done;
          plan.count.refused += answer.refused;
          memory = Math.max(memory, answer.memory);
          for (const problem of answer.problems) tell(plan, problem);
          job = undefined;
        }
      }
      worker?.end();
    };
    await Promise.all(Array.from({ length: options.workers }, (_, number) => work(number)));
    return {
      counts: plans.map(({ count }) => count),
      problems,
      missing,
      memory,
      seconds: (Date.now() - started) / 1000,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Failure {
  readonly at: number;
  readonly kind: 'hang' | 'died';
  readonly detail: string;
}

class Worker {
  readonly #child: ChildProcess;
  readonly #progress: string;
  readonly #patience: number;
  #complaints = '';

  constructor(folder: string, seed: number, number: number, module: string, patience: number) {
    this.#patience = patience;
    this.#progress = join(folder, `progress.${number}`);
    writeFileSync(this.#progress, new Uint8Array(8));
    this.#child = fork(join(import.meta.dirname, 'worker.js'), [folder, String(seed), this.#progress, module], {
      execArgv: ['--max-old-space-size=512', '--enable-source-maps'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr?.on('data', (text: Buffer) => {
      this.#complaints = (this.#complaints + text.toString()).slice(-4000);
    });
  }

  /** Milliseconds of CPU time that the process has had (proc_pid_stat(5), utime and stime in ticks of 10 ms). */
  #worked(): number {
    try {
      const text = readFileSync(`/proc/${this.#child.pid}/stat`, 'latin1');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      return 10 * (Number(fields[11]) + Number(fields[12]));
    } catch {
      // It has ended, which is told otherwise.
      return 0;
    }
  }

  /** Where it is, as it wrote itself. */
  #at(): number {
    const bytes = readFileSync(this.#progress);
    return bytes.length < 8 ? 0 : bytes.readDoubleLE(0);
  }

  run(job: Job): Promise<Answer | Failure> {
    const child = this.#child;
    return new Promise((resolve) => {
      let place = -1;
      let since = Date.now();
      let worked = this.#worked();
      const finish = (result: Answer | Failure): void => {
        clearInterval(timer);
        child.removeAllListeners('message').removeAllListeners('exit');
        resolve(result);
      };
      const where = (): number => Math.min(Math.max(this.#at(), job.from), job.to - 1);
      const timer = setInterval(() => {
        const at = this.#at();
        if (at !== place) {
          place = at;
          since = Date.now();
          worked = this.#worked();
          return;
        }
        // On a machine that has much to do it may just not have had its turn.
        const waited = Date.now() - since;
        const busy = this.#worked() - worked > this.#patience / 4 || waited > longest * this.#patience;
        if (waited > this.#patience && busy) {
          const index = where();
          child.removeAllListeners('exit').kill('SIGKILL');
          finish({ at: index, kind: 'hang', detail: `no answer after ${this.#patience / 1000} s` });
        }
      }, 500);
      child.once('message', (answer: Answer) => finish(answer));
      child.once('exit', (code, signal) => {
        finish({ at: where(), kind: 'died', detail: `${signal ?? `status ${code}`} ${this.#complaints.trim()}` });
      });
      child.send(job);
    });
  }

  end(): void {
    this.#child.disconnect();
  }
}

/** The counts as a table. */
export function table({ counts, problems, missing, memory, seconds }: CampaignResult): string {
  const total = { name: 'all', read: 0, refused: 0, problems: 0 };
  for (const one of counts) {
    total.read += one.read;
    total.refused += one.refused;
    total.problems += one.problems;
  }
  const row = (name: string, ...numbers: readonly (string | number)[]): string =>
    `${name.padEnd(30)}${numbers.map((one) => String(one).padStart(12)).join('')}\n`;
  return [
    row('reader', 'inputs', 'refused', 'read', 'failures'),
    ...[...counts, total].map((one) => row(one.name, one.read, one.refused, one.read - one.refused, one.problems)),
    ...missing.map((one) => `left out: ${one}\n`),
    `${problems.length} failures; ${seconds.toFixed(0)} s; a worker had at most ${Math.round(memory / 2 ** 20)} MiB\n`,
  ].join('');
}
