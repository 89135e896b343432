/**
 * Another kernel under QEMU's software emulation: boots it with the project in an
 * initramfs, runs test files there, and hands back what each test said.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { guestRoot, writeInitramfs } from './initramfs.ts';
import type { ToldResult } from './reporter.ts';

const cache = process.env['INSITU_TEST_CACHE'] ?? join(homedir(), '.cache', 'insitu-test');
const qemu = 'qemu-system-x86_64';

export interface TestKernel {
  readonly release: string;
  readonly image: string;
  /** Folder with its modules. */
  readonly modules: string;
}

/** A fetched kernel (tools/kernels.mjs) of a version such as "6.1". */
export function findKernel(version: string): TestKernel | undefined {
  const folder = join(cache, 'kernels', version);
  if (!existsSync(folder)) return undefined;
  const image = readdirSync(join(folder, 'boot')).find((name) => name.startsWith('vmlinuz-'));
  if (image === undefined) return undefined;
  const release = image.slice('vmlinuz-'.length);
  return { release, image: join(folder, 'boot', image), modules: join(folder, 'lib', 'modules', release) };
}

/** Why no kernel can be booted here, or false. */
export function noEmulator(version: string): string | false {
  if (process.arch !== 'x64') return 'the test kernels are for x86-64';
  if (!(process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, qemu))))
    return 'needs qemu-system-x86 (node tools/fixtures.mjs installs it)';
  if (findKernel(version) === undefined)
    return `needs a Linux ${version} image in ${cache}/kernels (node tools/fixtures.mjs fetches it)`;
  return false;
}

export interface TestResult extends ToldResult {
  /** The compiled file, as it was asked for. */
  readonly file: string;
}

export interface GuestRun {
  /** Compiled test files, by their path in the project. */
  readonly files: readonly string[];
  /** Kernel modules to load, by their path below kernel/, without an ending. */
  readonly modules?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Milliseconds for all of it. */
  readonly timeout: number;
  /** Called as results come. */
  readonly onResult?: (result: TestResult) => void;
}

export interface GuestOutcome {
  readonly results: readonly TestResult[];
  /** 1 when a file failed, else 0; undefined when they never came to their end. */
  readonly status: number | undefined;
  /** What the kernel and the tests wrote. */
  readonly console: string;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

const initScript = (run: GuestRun, modules: readonly string[]): string => `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LANG=C.UTF-8
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /tmp
mkdir -p /dev/shm /dev/pts /var/tmp
mount -t devpts none /dev/pts
ln -sf /proc/self/fd /dev/fd
mount -t bpf none /sys/fs/bpf
mount -t securityfs none /sys/kernel/security
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
echo 0 > /proc/sys/kernel/printk_ratelimit
${modules.map((path) => `insmod ${path}`).join('\n')}
cd ${guestRoot}
${Object.entries(run.environment ?? {})
  .map(([name, value]) => `export ${name}=${quoted(value)}`)
  .join('\n')}
status=0
for file in ${run.files.map(quoted).join(' ')}; do
  echo "{\\"file\\":\\"$file\\"}" > /dev/ttyS1
  node --import ./dist/test/kernels/patience.js --test --enable-source-maps \\
    --test-reporter=./dist/test/kernels/reporter.js --test-reporter-destination=/dev/ttyS1 "$file" || status=1
done
echo "{\\"status\\":$status}" > /dev/ttyS1
sync
echo b > /proc/sysrq-trigger
sleep 100
`;

/** The module's file in the kernel's folder, which may be compressed. */
function moduleFile(kernel: TestKernel, name: string): string {
  const path = join(kernel.modules, 'kernel', `${name}.ko`);
  for (const ending of ['', '.xz', '.zst', '.gz']) if (existsSync(path + ending)) return path + ending;
  throw new Error(`Linux ${kernel.release} has no module ${name}`);
}

/** Boots, runs, powers off. Rejects only when QEMU itself cannot run. */
export async function runInGuest(kernel: TestKernel, run: GuestRun): Promise<GuestOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'insitu-guest-'));
  const at = (name: string): string => join(folder, name);
  try {
    const modules = (run.modules ?? []).map((name) => moduleFile(kernel, name));
    const inGuest = modules.map((path) => `/modules/${path.slice(path.lastIndexOf('/') + 1)}`);
    writeInitramfs(
      at('initramfs'),
      initScript(run, inGuest),
      Object.fromEntries(modules.map((path, index) => [inGuest[index] as string, readFileSync(path)])),
    );
    closeSync(openSync(at('results'), 'w'));
    const args = [
      ...['-accel', 'tcg,thread=multi', '-cpu', 'max,la57=off', '-smp', '2', '-m', '3072'],
      ...['-nodefaults', '-display', 'none', '-no-reboot'],
      ...['-kernel', kernel.image, '-initrd', at('initramfs')],
      ...['-append', 'console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on no_timer_check'],
      ...['-serial', `file:${at('console')}`, '-serial', `file:${at('results')}`],
    ];
    const child = spawn(qemu, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    const late = setTimeout(() => child.kill('SIGKILL'), run.timeout);
    let seen = 0;
    const look = (): readonly TestResult[] => {
      const { results } = readResults(at('results'));
      for (; seen < results.length; seen++) run.onResult?.(results[seen] as TestResult);
      return results;
    };
    const watching = setInterval(look, 500);
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => (code === 1 ? reject(new Error(`${qemu}: ${complaint.trim()}`)) : resolve()));
    }).finally(() => {
      clearTimeout(late);
      clearInterval(watching);
    });
    const results = look();
    return { results, status: readResults(at('results')).status, console: readFileSync(at('console'), 'utf8') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readResults(path: string): { readonly results: readonly TestResult[]; readonly status: number | undefined } {
  const results: TestResult[] = [];
  let status: number | undefined;
  let file = '';
  for (const line of readFileSync(path, 'utf8').split(/\r?\n/).slice(0, -1)) {
    const told = JSON.parse(line) as ToldResult | { readonly file: string } | { readonly status: number };
    if ('status' in told) status = told.status;
    else if ('file' in told) file = told.file;
    else results.push({ ...told, file });
  }
  return { results, status };
}
