/** Runs the executable as its users do: a process with arguments, streams and signals. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasFentry, hasKprobeMulti } from '../src/kernel/host/features.ts';
import { kernelAtLeast } from '../src/kernel/host/machine.ts';

/** The project's folder; this file runs as dist/test/insitu.js or as test/insitu.ts. */
export const root: string = ((): string => {
  const here = dirname(dirname(fileURLToPath(import.meta.url)));
  return here.endsWith('/dist') ? dirname(here) : here;
})();

/** INSITU_TEST_EXECUTABLE puts another tracer of the same language in insitu's place, to check the expectations. */
export const executable: string = process.env['INSITU_TEST_EXECUTABLE'] ?? join(root, 'dist', 'insitu.cjs');

const cache = process.env['INSITU_TEST_CACHE'] ?? join(homedir(), '.cache', 'insitu-test');
export const envoy: string = join(cache, 'envoy', 'envoy', '_bin', 'envoy');
export const nginx: string = join(cache, 'nginx', 'usr', 'sbin', 'nginx');
export const workerd: string = join(cache, 'workerd', 'package', 'bin', 'workerd');
/** The cases that stand beside the project's repository, where they do. */
export const sharedCases: string = join(root, '..', 'shared', 'cases');

/** What a test may need of the machine. */
export type Need =
  | 'root'
  | 'envoy'
  | 'workerd'
  | 'gcc'
  | 'nm'
  | 'gdb'
  | 'man'
  | 'nginx'
  | 'python3'
  | 'strace'
  | 'ss'
  | 'tmux'
  | 'bash'
  | 'zsh'
  | 'fish'
  | 'shared'
  | 'tracefs'
  | 'btf'
  | 'kprobes'
  | 'fentry'
  | 'kprobe_multi'
  | 'watchpoints'
  | 'tun'
  | 'cgroup2'
  | 'tcpdump'
  | 'no-lockdown'
  | 'linux-6.12';

/** Needs that this machine is known to meet: where one is not met all the same, the tests fail rather than skip. */
const expected = (process.env['INSITU_TEST_EXPECT'] ?? '').split(' ');

const onPath = (name: string): boolean =>
  (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, name)));

/** securityfs is where the kernel tells of its lockdown; a boot parameter is how it usually comes. */
function lacksLockdown(): boolean {
  const path = '/sys/kernel/security/lockdown';
  if (existsSync(path)) return readFileSync(path, 'latin1').includes('[none]');
  return false;
}

const needs: Readonly<Record<Need, readonly [present: () => boolean, reason: string]>> = {
  root: [() => process.getuid?.() === 0, 'needs root'],
  envoy: [() => existsSync(envoy), `needs Envoy at ${envoy} (node tools/fixtures.mjs fetches it)`],
  workerd: [() => existsSync(workerd), `needs workerd at ${workerd} (node tools/fixtures.mjs fetches it)`],
  gcc: [() => onPath('gcc'), 'needs gcc'],
  nm: [() => onPath('nm') && onPath('readelf'), 'needs nm and readelf (binutils)'],
  gdb: [() => onPath('gdb'), 'needs gdb (apt-get install gdb)'],
  nginx: [() => existsSync(nginx), `needs nginx at ${nginx} (node tools/fixtures.mjs fetches it)`],
  python3: [() => existsSync('/usr/bin/python3'), "needs Debian's python3"],
  strace: [() => onPath('strace'), 'needs strace (apt-get install strace)'],
  ss: [() => onPath('ss'), 'needs ss (apt-get install iproute2)'],
  tmux: [() => onPath('tmux'), 'needs tmux (apt-get install tmux)'],
  man: [() => onPath('man'), 'needs man (apt-get install man-db)'],
  bash: [() => onPath('bash'), 'needs bash'],
  zsh: [() => onPath('zsh'), 'needs zsh (apt-get install zsh)'],
  fish: [() => onPath('fish'), 'needs fish (apt-get install fish)'],
  shared: [() => existsSync(sharedCases), `needs the cases in ${sharedCases}`],
  cgroup2: [
    () => / \/sys\/fs\/cgroup .* - cgroup2 /.test(readFileSync('/proc/self/mountinfo', 'utf8')),
    'needs cgroup2 on /sys/fs/cgroup',
  ],
  tracefs: [
    () => ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'].some((path) => existsSync(path)),
    'needs a kernel with tracefs',
  ],
  btf: [() => existsSync('/sys/kernel/btf/vmlinux'), 'needs a kernel with BTF'],
  kprobes: [
    () => existsSync('/sys/bus/event_source/devices/kprobe'),
    'this kernel has no kprobes (npm run test:kernels boots one that has)',
  ],
  kprobe_multi: [
    hasKprobeMulti,
    'this kernel has no kprobe_multi links (CONFIG_FPROBE; npm run test:kernels boots one that has)',
  ],
  fentry: [hasFentry, 'this kernel takes no fentry program (npm run test:kernels boots one that does)'],
  watchpoints: [
    () => existsSync('/sys/bus/event_source/devices/breakpoint'),
    'this kernel has no hardware breakpoints (npm run test:kernels boots one that has)',
  ],
  'no-lockdown': [lacksLockdown, 'this kernel is locked down (npm run test:kernels boots one that is not)'],
  tcpdump: [() => onPath('tcpdump'), 'needs tcpdump (apt-get install tcpdump)'],
  'linux-6.12': [() => kernelAtLeast(6, 12), 'needs Linux 6.12'],
  tun: [() => existsSync('/sys/module/tun'), 'needs the tun module (npm run test:kernels loads it)'],
};

/** For node:test's `skip`: false when everything is there, else the reason. Root is always needed. */
export function lacking(...wanted: readonly Need[]): string | false {
  for (const need of ['root', ...wanted] as const) {
    const [present, reason] = needs[need];
    if (!expected.includes(need) && !present()) return reason;
  }
  return false;
}

export interface Outcome {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Milliseconds after which the run counts as hanging. */
  readonly timeout?: number;
  /** In place of the executable. */
  readonly command?: string;
}

/** How much slower than usual things go here: under software emulation, on a machine that has much to do. */
export const patience: number = Number(process.env['INSITU_TEST_PATIENCE'] ?? 1);

export const attachedWord = '__BPFTRACE_NOTIFY_PROBES_ATTACHED';

/** A tracer that runs. */
export class Running {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly #ended: Promise<Outcome>;
  readonly #listeners = new Set<() => void>();

  constructor(args: readonly string[], options: RunOptions = {}) {
    const child = spawn(options.command ?? executable, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, [attachedWord]: '1', ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child = child;
    child.stdin.on('error', () => {}); // it may have ended without reading
    child.stdin.end(options.input ?? '');
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      for (const listener of this.#listeners) listener();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      for (const listener of this.#listeners) listener();
    });
    const limit = (options.timeout ?? 20_000) * patience;
    const late = setTimeout(() => {
      this.stderr += `\n[the test ended it after ${limit} ms]\n`;
      child.kill('SIGKILL');
    }, limit);
    this.#ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status, signal) => {
        clearTimeout(late);
        resolve({ status, signal, stdout: this.output, stderr: this.stderr });
        for (const listener of this.#listeners) listener();
      });
    });
  }

  get pid(): number {
    return this.child.pid as number;
  }

  /** Standard output without the line that tells that the probes are attached. */
  get output(): string {
    return this.stdout.replace(`${attachedWord}\n`, '');
  }

  /** Resolves when all probes are attached; rejects when it ends before. */
  attached(): Promise<void> {
    return this.until(() => this.stdout.includes(`${attachedWord}\n`), 'its probes are attached');
  }

  /** Resolves when `condition` holds, looked at whenever output arrives; rejects when it ends before. */
  until(condition: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (condition()) resolve();
        else if (this.child.exitCode !== null || this.child.signalCode !== null) {
          reject(new Error(`it ended before ${what}:\n${this.stdout}${this.stderr}`));
        } else return;
        this.#listeners.delete(look);
      };
      this.#listeners.add(look);
      look();
    });
  }

  ended(): Promise<Outcome> {
    return this.#ended;
  }

  /** Sends SIGINT and waits for the end. */
  interrupt(): Promise<Outcome> {
    this.child.kill('SIGINT');
    return this.#ended;
  }
}

/** Runs it to its end. */
export function insitu(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return new Running(args, options).ended();
}

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));
