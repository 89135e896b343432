/** Stacks as gdb sees them (return addresses, innermost first), to hold insitu's beside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, sleep } from '../insitu.ts';

export interface Stack {
  readonly tid: number;
  readonly frames: readonly string[];
}

export interface GdbOptions {
  /** `syscall umask` or `break *0x…`. */
  readonly stop: string;
  readonly count: number;
  readonly environment?: Readonly<Record<string, string>>;
  /** Milliseconds that all may take. */
  readonly timeout?: number;
}

/** A program under gdb, held at its first instruction until `go`. */
export class Debugged {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #ended: Promise<string>;
  output = '';

  constructor(command: readonly string[], options: GdbOptions) {
    this.#folder = mkdtempSync(join(tmpdir(), 'insitu-gdb-'));
    const script = join(root, 'test', 'unwind', 'gdb.py');
    this.#child = spawn('gdb', ['-q', '-nx', '-batch', '-x', script, '--args', ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        ...options.environment,
        STOP: options.stop,
        COUNT: String(options.count),
        READY: join(this.#folder, 'ready'),
        GO: join(this.#folder, 'go'),
      },
    });
    const late = setTimeout(() => this.#child.kill('SIGKILL'), options.timeout ?? 60_000);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', () => {
        clearTimeout(late);
        rmSync(this.#folder, { recursive: true, force: true });
        resolve(this.output);
      });
    });
  }

  /** The program's id, once it stands at its first instruction. */
  async pid(): Promise<number> {
    const ready = join(this.#folder, 'ready');
    for (const until = Date.now() + 30_000; Date.now() < until; await sleep(20)) {
      if (existsSync(ready)) return Number(readFileSync(ready, 'utf8'));
      if (this.#child.exitCode !== null) break;
    }
    throw new Error(`gdb did not start the program:\n${this.output}`);
  }

  go(): void {
    writeFileSync(join(this.#folder, 'go'), '');
  }

  async stacks(): Promise<Stack[]> {
    return parseStacks(await this.#ended);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Lines `STACK tid pc pc …`. */
export function parseStacks(text: string): Stack[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('STACK '))
    .map((line) => {
      const [, tid, ...frames] = line.trim().split(' ');
      // gdb goes on to address 0 where a thread's first frame has no end mark.
      while (frames.at(-1) === '0') frames.pop();
      return { tid: Number(tid), frames };
    });
}
