/** What can go wrong around a trace: targets that end, files that change, buffers and disks that are full, a tracer that is killed. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { closeFd } from '../src/kernel/sys/bpfcall.ts';
import { objectFd, objectIds, objectInfo } from '../src/kernel/sys/objects.ts';
import { attachedWord, executable, insitu, lacking, Running, sleep } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-drills-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const skip = lacking('tracefs', 'gcc');
const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

function build(name: string, source: string, ...flags: string[]): string {
  const path = join(folder, name);
  writeFileSync(`${path}.c`, source);
  execFileSync('gcc', ['-O1', '-fno-omit-frame-pointer', '-o', path, `${path}.c`, ...flags]);
  return path;
}

/** Calls work(1), work(2), … with a pause between them, until it is ended. */
const worker = (name: string, work = 'work'): string =>
  build(
    name,
    `#include <unistd.h>
volatile int sink;
__attribute__((noinline)) void ${work}(int n) { sink = n; }
__attribute__((noinline)) void outer(int n) { ${work}(n); sink = n; }
int main(void) { for (int i = 1;; i++) { outer(i); usleep(5000); } }
`,
  );

async function withProcess<T>(
  command: string,
  args: readonly string[],
  act: (child: ChildProcess & { pid: number }) => Promise<T>,
): Promise<T> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] }) as ChildProcess & { pid: number };
  try {
    return await act(child);
  } finally {
    child.kill('SIGKILL');
  }
}

describe('the target', { skip }, () => {
  test('killed in the middle: the run ends, all that it saw is printed, its stacks have names', {
    timeout: 60_000,
  }, async () => {
    const binary = worker('killed');
    await withProcess(binary, [], async (child) => {
      const script = `uprobe:${binary}:work { @calls = count(); @last = arg0; @[ustack(2)] = count(); } END { printf("ended\\n"); }`;
      const running = new Running(['-p', String(child.pid), '-e', script]);
      await running.attached();
      await sleep(300);
      child.kill('SIGKILL');
      const { status, stdout, stderr } = await running.ended();
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^ended$/m);
      assert.ok(Number(/^@calls: (\d+)/m.exec(stdout)?.[1]) > 5, stdout);
      assert.match(stdout, /^\s+work\+0\n\s+outer\+\d+\n\]: \d+/m);
      assert.doesNotMatch(stderr, /ERROR/);
    });
  });

  test('of -c, killed by somebody else', { timeout: 60_000 }, async () => {
    const binary = worker('killedchild');
    const running = new Running(['-v', '-c', binary, '-e', `uprobe:${binary}:work { printf("%d %d\\n", pid, arg0); }`]);
    await running.until(() => lines(running.output).length > 3, 'it printed');
    const pid = Number(lines(running.output)[0]?.split(' ')[0]);
    process.kill(pid, 'SIGKILL');
    const { status, stderr } = await running.ended();
    assert.equal(status, 0, stderr);
    assert.match(stderr, /Child was ended by signal: SIGKILL/);
  });

  test('deleted while it runs: its calls are still seen, with names', { timeout: 60_000 }, async () => {
    const binary = worker('deleted');
    await withProcess(binary, [], async (child) => {
      const running = new Running([
        '-p',
        String(child.pid),
        '-e',
        `uprobe:${binary}:work { printf("%d %s", arg0, ustack(2)); }`,
      ]);
      await running.attached();
      unlinkSync(binary);
      const before = running.stdout.length;
      await running.until(() => running.stdout.length > before + 400, 'it went on after the file had gone');
      const { stdout, stderr } = await running.interrupt();
      const numbers = [...stdout.matchAll(/^(\d+) /gm)].map((match) => Number(match[1]));
      assert.deepEqual(
        numbers,
        numbers.map((_, index) => (numbers[0] as number) + index),
        stderr,
      );
      // Every one of them is named, also those from after.
      assert.equal([...stdout.matchAll(/^\s+work\+0\n\s+outer\+\d+$/gm)].length, numbers.length, stdout.slice(-600));
    });
  });

  test('deleted before the trace: found through the process', { timeout: 60_000 }, async () => {
    const binary = worker('deletedbefore');
    await withProcess(binary, [], async (child) => {
      await sleep(100);
      unlinkSync(binary);
      for (const path of [`/proc/${child.pid}/exe`, binary]) {
        const script = `uprobe:${path}:work { printf("%s", ustack(2)); exit(); }`;
        const { stdout, stderr } = await insitu(['-p', String(child.pid), '-e', script]);
        assert.match(stdout, /^\s+work\+0\n\s+outer\+\d+$/m, `${path}: ${stderr}`);
      }
      const { status, stderr } = await insitu(['-e', `uprobe:${binary}:work { }`]);
      assert.equal(status, 1);
      assert.match(stderr, /ERROR: .*deletedbefore/);
    });
  });

  test('replaced by another build: the old process keeps its names, the new one is another file', {
    timeout: 60_000,
  }, async () => {
    const binary = worker('replaced');
    const next = worker('replacement', 'changed');
    await withProcess(binary, [], async (child) => {
      const running = new Running(['-e', `uprobe:${binary}:work { printf("%d %s", pid, ustack(2)); }`]);
      await running.attached();
      await running.until(() => running.stdout.includes('outer'), 'it printed');
      renameSync(next, binary);
      await withProcess(binary, [], async (other) => {
        await sleep(300);
        const { stdout, stderr } = await running.interrupt();
        assert.ok(!stdout.includes(`${other.pid} `), 'calls of another file');
        const seen = [...stdout.matchAll(/^(\d+) *$/gm)].map((match) => Number(match[1]));
        assert.ok(seen.length > 20 && seen.every((pid) => pid === child.pid), stdout.slice(-300) + stderr);
        assert.equal([...stdout.matchAll(/^\s+work\+0\n\s+outer\+\d+$/gm)].length, seen.length);
      });
    });
  });

  test('opens a library after the probes are attached', { timeout: 60_000 }, async () => {
    const library = build('libplug.so', 'int plugged(int n) { return n * 2; }\n', '-shared', '-fPIC');
    const host = build(
      'host',
      `#include <dlfcn.h>
#include <stdio.h>
__attribute__((noinline)) int through(int (*fn)(int), int n) { return fn(n) + 1; }
int main(int c, char **v) {
  getchar();
  int (*fn)(int) = dlsym(dlopen(v[1], RTLD_NOW), "plugged");
  for (int i = 1; i <= 100; i++) through(fn, i);
  return 0;
}
`,
    );
    await withProcess(host, [library], async (child) => {
      const script = `uprobe:${library}:plugged { @sum = sum(arg0); @[ustack(2)] = count(); }`;
      const running = new Running(['-p', String(child.pid), '-e', script]);
      await running.attached();
      child.stdin?.end('\n');
      const { stdout, stderr } = await running.ended();
      assert.match(stdout, /^@sum: 5050$/m, stderr);
      assert.match(stdout, /^\s+plugged\+0\n\s+through\+\d+\n\]: 100$/m);
    });
  });

  test('1,000 processes of a few milliseconds: each is counted once and named', { timeout: 120_000 }, async () => {
    const short = build(
      'short',
      'volatile int sink;\n__attribute__((noinline)) void once(int n) { sink = n; }\nint main(int c, char **v) { once(c); return 0; }\n',
    );
    const many = build(
      'many',
      `#include <sys/wait.h>
#include <unistd.h>
int main(int c, char **v) {
  for (int i = 0; i < 1000; i++) {
    if (fork() == 0) execv(v[1], v + 1);
    wait(0);
  }
}
`,
    );
    const script = `config = { max_map_keys = 5000 } uprobe:${short}:once { @pids[pid] = count(); printf("%s|", ustack(1)); }
tracepoint:sched:sched_process_exec /comm == "short"/ { @execs = count(); }`;
    const running = new Running(['-q', '-e', script], { timeout: 100_000 });
    await running.attached();
    await promisify(execFile)(many, [short]);
    const { stdout, stderr } = await running.interrupt();
    assert.match(stdout, /^@execs: 1000$/m, stderr);
    assert.equal([...stdout.matchAll(/^@pids\[\d+\]: 1$/gm)].length, 1000);
    assert.doesNotMatch(stderr, /lost/i);
    const named = stdout.split('|').slice(0, 1000);
    assert.deepEqual(
      named.filter((text) => text.trim() !== 'once+0'),
      [],
    );
  });

  test('5,000 threads: each is seen; a map with room for fewer says how many it left out', {
    timeout: 120_000,
  }, async () => {
    const threads = build(
      'threads',
      `#include <pthread.h>
#include <stdio.h>
volatile long sink;
static pthread_barrier_t all;
__attribute__((noinline)) void enter(long n) { sink = n; }
static void *run(void *n) { enter((long)n); pthread_barrier_wait(&all); return 0; }
int main(void) {
  static pthread_t t[5000];
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  pthread_barrier_init(&all, 0, 5000);
  long made = 0;
  for (long i = 0; i < 5000; i++) if (pthread_create(&t[i], &small, run, (void *)i)) { perror("pthread_create"); return 1; }
  for (long i = 0; i < 5000; i++) pthread_join(t[i], 0);
}
`,
      '-pthread',
    );
    const script = (keys: number): string =>
      `config = { max_map_keys = ${keys}; print_maps_on_exit = false }
uprobe:${threads}:enter { @seen = count(); @sum = sum(arg0); @tids[tid] = arg0; }
END { printf("%d threads, sum %d, %d keys\\n", @seen, @sum, len(@tids)); }`;
    const roomy = await insitu(['-q', '-c', threads, '-e', script(8192)], { timeout: 100_000 });
    assert.equal(roomy.stdout.trim(), '5000 threads, sum 12497500, 5000 keys', roomy.stderr);
    const narrow = await insitu(['-q', '-c', threads, '-e', script(1000)], { timeout: 100_000 });
    assert.equal(narrow.stdout.trim(), '5000 threads, sum 12497500, 1000 keys', narrow.stderr);
    assert.match(narrow.stderr, /4000.*@tids|@tids.*4000/);
  });
});

describe('a ring buffer that overflows', { skip }, () => {
  for (const threads of [1, 2]) {
    test(`${threads} thread${threads > 1 ? 's' : ''}: sent = printed + lost`, { timeout: 120_000 }, async () => {
      const burst = build(
        `burst${threads}`,
        `#include <pthread.h>
#include <unistd.h>
#include <sys/syscall.h>
static void *run(void *x) { for (int i = 0; i < 100000; i++) syscall(SYS_getppid); return x; }
int main(void) {
  pthread_t t[${threads}];
  for (int i = 0; i < ${threads}; i++) pthread_create(&t[i], 0, run, 0);
  for (int i = 0; i < ${threads}; i++) pthread_join(t[i], 0);
}
`,
        '-pthread',
      );
      const script = `config = { perf_rb_pages = 1; print_maps_on_exit = false }
tracepoint:syscalls:sys_enter_getppid /comm == "burst${threads}"/ { @sent = count(); printf("event\\n"); }
END { printf("sent %d\\n", @sent); }`;
      const { stdout, stderr } = await insitu(['-q', '-c', burst, '-e', script], { timeout: 100_000 });
      const printed = lines(stdout).filter((line) => line === 'event').length;
      const lost = [...stderr.matchAll(/^Lost (\d+) events?$/gm)].reduce((sum, match) => sum + Number(match[1]), 0);
      assert.match(stdout, new RegExp(`^sent ${threads * 100_000}$`, 'm'), stderr);
      assert.ok(lost > 0, 'nothing was lost: the test tests nothing');
      assert.equal(printed + lost, threads * 100_000, stderr);
    });
  }
});

describe('a tracer that is killed', { skip: skip || lackingStrace() }, () => {
  const mark = `d${process.pid.toString(36)}`;
  /** Its command ends by itself where a test fails. */
  const seconds = `60.${process.pid}`;

  /** Programs and maps with the mark in their name, and links of those programs: kind and name or id. */
  function left(): string[] {
    const found: string[] = [];
    const programs = new Set<number>();
    // struct bpf_prog_info has its name at 64, bpf_map_info at 24; bpf_link_info has the program's id at 8.
    for (const [kind, at] of [
      ['PROG', 64],
      ['MAP', 24],
    ] as const) {
      for (const id of objectIds(kind)) {
        const info = infoOf(kind, id);
        const name =
          info &&
          Buffer.from(info.subarray(at, at + 16))
            .toString('latin1')
            .replace(/\0.*/s, '');
        if (!name?.includes(mark)) continue;
        if (kind === 'PROG') programs.add(id);
        found.push(`${kind} ${name}`);
      }
    }
    for (const id of objectIds('LINK')) {
      const info = infoOf('LINK', id);
      if (info && programs.has(new DataView(info.buffer, info.byteOffset).getUint32(8, true))) found.push(`LINK ${id}`);
    }
    return found;
  }
  function infoOf(kind: 'PROG' | 'MAP' | 'LINK', id: number): Uint8Array | undefined {
    const fd = objectFd(kind, id);
    if (fd === undefined) return undefined;
    try {
      return objectInfo(fd);
    } finally {
      closeFd(fd);
    }
  }
  /** Processes that run its command. */
  const children = (): string[] =>
    readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid)) return false;
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(`\0${seconds}\0`);
      } catch {
        return false;
      }
    });
  const leftSoon = async (): Promise<string[]> => {
    let all: string[] = [];
    for (const end = Date.now() + 10_000; Date.now() < end; await sleep(30)) {
      all = [...left(), ...children()];
      if (all.length === 0) break;
    }
    return all;
  };

  test('at its calls of bpf(2) and perf_event_open(2), from the first to the last: nothing is left', {
    timeout: 300_000,
  }, async () => {
    const binary = build(mark, `__attribute__((noinline)) void ${mark}(void) {}\nint main(void) { ${mark}(); }\n`);
    const script = `BEGIN { @${mark}b = 1; } uprobe:${binary}:${mark} { @${mark}[comm] = count(); }
tracepoint:syscalls:sys_enter_getpgid { @${mark}t = count(); printf("x"); } interval:s:100 { @${mark}i++; }`;
    const args = ['-q', '-c', `sleep ${seconds}`, '-e', script];
    const running = new Running(args);
    await running.attached();
    const seen = left();
    for (const kind of ['PROG', 'MAP', 'LINK'])
      assert.ok(
        seen.some((one) => one.startsWith(kind)),
        `no ${kind} is its own`,
      );
    assert.equal(children().length, 1);
    await running.interrupt();
    assert.deepEqual(await leftSoon(), [], 'after an ordinary end');

    // How many calls a start has, and then a start for some of them, from the first to the last.
    const straced = (...options: string[]): Running =>
      new Running(['-f', '-qq', ...options, executable, ...args], { command: 'strace' });
    for (const call of ['bpf', 'perf_event_open']) {
      const log = join(folder, `${call}.strace`);
      const whole = straced('-o', log, '-e', `trace=${call}`);
      await whole.attached();
      const calls = lines(readFileSync(log, 'latin1')).filter((line) => line.includes(`${call}(`)).length;
      process.kill(Number(execFileSync('pgrep', ['-P', String(whole.pid)], { encoding: 'utf8' }).trim()), 'SIGTERM');
      await whole.ended();
      assert.deepEqual(await leftSoon(), [], 'after SIGTERM');
      assert.ok(calls > (call === 'bpf' ? 10 : 0), `${calls} calls of ${call}`);
      const steps = Math.min(calls, 7);
      for (let step = 1; step <= steps; step++) {
        const nth = Math.max(1, Math.round((calls * step) / steps));
        const killed = straced(
          '-o',
          '/dev/null',
          '-e',
          `trace=${call}`,
          '-e',
          `inject=${call}:signal=SIGKILL:when=${nth}`,
        );
        await killed.ended();
        assert.ok(!killed.stdout.includes(attachedWord), `it was not killed at ${call} number ${nth} of ${calls}`);
        assert.deepEqual(await leftSoon(), [], `killed at ${call} number ${nth} of ${calls}`);
      }
    }
  });
});

function lackingStrace(): string | false {
  try {
    execFileSync('strace', ['-V'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'needs strace';
  }
}

test('a profiler whose signals come faster than a program is verified: it is loaded all the same', {
  skip: lacking(),
  timeout: 60_000,
}, async () => {
  const profiler = ['--cpu-prof', '--cpu-prof-interval', '50', '--cpu-prof-dir', folder];
  const script = 'profile:hz:99 { @user[ustack] = count(); @kernel[kstack] = count(); }';
  const running = new Running([...profiler, executable, '-q', '-e', script], {
    command: process.execPath,
    timeout: 50_000,
  });
  await running.attached();
  // Afterwards it takes signals as before. While a handler runs, its own is blocked.
  const blocked = (): string =>
    /^SigBlk:\t(.*)$/m.exec(readFileSync(`/proc/${running.pid}/status`, 'latin1'))?.[1] ?? '';
  for (let look = 0; look < 200 && Number(`0x${blocked()}`) !== 0; look++) await sleep(10);
  assert.match(blocked(), /^0+$|^0*4000000$/);
  const { status, stderr } = await running.interrupt();
  assert.equal(status, 0, stderr);
});

describe('a full disk', { skip: lacking('tracefs') }, () => {
  test('behind -o: told once, with the file, status 1, and the probes are gone', { timeout: 60_000 }, async () => {
    const shell = `mount -t tmpfs -o size=16k none ${folder} && exec ${executable} -q -o ${folder}/out -e 'interval:ms:1 { printf("%s\\n", "${'x'.repeat(200)}"); }'`;
    const { status, stderr } = await insitu(['--mount', 'sh', '-c', shell], { command: 'unshare', timeout: 40_000 });
    assert.equal(
      stderr.trim(),
      `ERROR: cannot write to ${folder}/out: no space left on device\nHINT: make room on that file system, or name a file on another one: -o FILE`,
    );
    assert.equal(status, 1);
  });
});

describe('side by side', { skip }, () => {
  test('a flood that never pauses: a signal ends the run all the same', { timeout: 60_000 }, async () => {
    // A million calls a second, each with a stack: more than anybody can print.
    const flood = spawn('dd', ['if=/dev/zero', 'of=/dev/null', 'bs=1'], { stdio: 'ignore' });
    try {
      const script = `tracepoint:raw_syscalls:sys_enter /pid == ${flood.pid}/ { printf("%d%s\\n", tid, ustack); }`;
      const running = new Running(['-q', '-o', '/dev/null', '-e', script], { timeout: 40_000 });
      await running.until(() => running.stderr.includes('Lost '), 'it has more events than it can print');
      const { status, stderr } = await running.interrupt();
      assert.equal(status, 0, stderr);
    } finally {
      flood.kill('SIGKILL');
    }
  });

  test('24 runs: each counts what it asks for', { timeout: 240_000 }, async () => {
    const binary = build(
      'counted',
      `#include <stdlib.h>
volatile int sink;
__attribute__((noinline)) void hit(int n) { sink = n; }
int main(int c, char **v) { for (int i = 0; i < atoi(v[1]); i++) hit(i); }
`,
    );
    const runs = await Promise.all(
      Array.from({ length: 24 }, async (_, index) => {
        const own = join(folder, `counted${index % 3}`);
        if (index < 3) copyFileSync(binary, own);
        const calls = 1000 + index;
        const script = `uprobe:${own}:hit /pid == cpid/ { @ = count(); @sums[comm] = sum(arg0); }`;
        const outcome = await insitu(['-q', '-c', `${own} ${calls}`, '-e', script], { timeout: 200_000 });
        return { ...outcome, calls, name: `counted${index % 3}` };
      }),
    );
    for (const { status, stdout, stderr, calls, name } of runs) {
      assert.equal(status, 0, stderr);
      assert.deepEqual(
        lines(stdout).sort(),
        [`@: ${calls}`, `@sums[${name}]: ${(calls * (calls - 1)) / 2}`].sort(),
        stderr,
      );
    }
  });
});
