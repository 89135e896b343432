/** -p with one and with several processes, --follow, --probe-filter, --no-feature: whose events there are, by the processes' own word. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { insitu, lacking, Running, sleep } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-scope-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const skip = lacking('tracefs', 'gcc');

/**
 * For each line on its standard input: as many calls of marked(), getppid() and page
 * faults as the line says, in two threads, and a word when they are done.
 */
const source = `#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((noinline)) void marked(int i) { __asm__ volatile(""); }
static void work(int n) {
  char *pages = mmap(0, n * 4096L, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(pages, n * 4096L, MADV_NOHUGEPAGE);
  for (int i = 0; i < n; i++) { marked(i); syscall(SYS_getppid); pages[i * 4096L] = 1; }
  munmap(pages, n * 4096L);
}
static void *other(void *n) { work(*(int *)n); return 0; }
int main(int argc, char **argv) {
  setvbuf(stdout, 0, _IOLBF, 0);
  if (argc > 1) { // a tree: children that fork, and exec this program again
    int depth = atoi(argv[1]);
    printf("%d %d\\n", getpid(), 10 * (depth + 1));
    work(10 * (depth + 1));
    for (int i = 0; i < 2 && depth > 0; i++) {
      if (fork() == 0) {
        work(1);
        if (i == 1) { printf("%d 1\\n", getpid()); _exit(0); }
        char text[12];
        sprintf(text, "%d", depth - 1);
        printf("%d 1\\n", getpid());
        execl("/proc/self/exe", argv[0], text, (char *)0);
      }
    }
    // The grandchildren go on without their parent.
    return 0;
  }
  puts("ready");
  for (int n; scanf("%d", &n) == 1; puts("done")) {
    pthread_t thread;
    pthread_create(&thread, 0, other, &n);
    work(n);
    pthread_join(thread, 0);
  }
}
`;
const binary = join(folder, 'worker');

class Worker {
  readonly child: ChildProcess;
  #text = '';
  constructor() {
    this.child = spawn(binary, [], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text;
    });
  }
  get pid(): number {
    return this.child.pid as number;
  }
  async says(word: string): Promise<void> {
    while (!this.#text.includes(word)) await sleep(5);
    this.#text = '';
  }
  async work(n: number): Promise<void> {
    this.child.stdin?.write(`${n}\n`);
    await this.says('done');
  }
}

/** `@name[key]: value` lines as `name key` → value. */
function counts(stdout: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const [, name, key, value] of stdout.matchAll(/^@(\w*)\[(\d+)\]: (\d+)$/gm)) {
    found.set(`${name} ${key}`, Number(value));
  }
  return found;
}

const script = `tracepoint:syscalls:sys_enter_getppid { @t[pid] = count(); }
rawtracepoint:sys_enter { if (args.id == 110) { @r[pid] = count(); } }
uprobe:${binary}:marked { @u[pid] = count(); }
software:minor-faults:1 { @f[pid] = count(); }
profile:hz:997 { @p[pid] = count(); }`;

describe('-p', { skip: skip || (process.arch === 'x64' ? false : 'getppid has another number here') }, () => {
  let workers: Worker[] = [];
  before(async () => {
    writeFileSync(`${binary}.c`, source);
    execFileSync('gcc', ['-O1', '-pthread', '-o', binary, `${binary}.c`]);
    workers = [new Worker(), new Worker(), new Worker()];
    for (const worker of workers) await worker.says('ready');
  });
  after(() => {
    for (const worker of workers) worker.child.kill('SIGKILL');
  });

  const run = async (pids: readonly string[], ...more: string[]): Promise<Map<string, number>> => {
    const running = new Running([...pids.flatMap((pid) => ['-p', pid]), ...more, '-e', script]);
    await running.attached();
    for (const [index, worker] of workers.entries()) await worker.work(100 * (index + 1));
    const { stdout, stderr } = await running.interrupt();
    // Of other processes the kernel may leave out runs.
    assert.doesNotMatch(stderr, /ERROR|WARNING: (?!\d+ runs? of)/);
    return counts(stdout);
  };
  /** Twice what each was told to do: it works in two threads. */
  const check = (found: Map<string, number>, traced: readonly number[]): void => {
    for (const [index, { pid }] of workers.entries()) {
      const expected = traced.includes(index) ? 200 * (index + 1) : undefined;
      for (const name of ['t', 'r', 'u']) assert.equal(found.get(`${name} ${pid}`), expected, `@${name} of ${index}`);
      const faults = found.get(`f ${pid}`);
      // Besides the pages there are those of a new thread's stack.
      if (expected === undefined) assert.equal(faults, undefined);
      else assert.ok(faults !== undefined && faults >= expected && faults < expected + 60, `${faults} of ${expected}`);
    }
    const known = workers.map(({ pid }) => String(pid));
    for (const key of found.keys()) assert.ok(known.includes(key.split(' ')[1] ?? ''), `an event of another: ${key}`);
  };

  test('one process, all its threads, in every kind of probe', { timeout: 20_000 }, async () => {
    check(await run([String(workers[1]?.pid)]), [1]);
  });
  test('two processes, with a comma', { timeout: 20_000 }, async () => {
    check(await run([`${workers[0]?.pid},${workers[2]?.pid}`]), [0, 2]);
  });
  test('two processes, with two options', { timeout: 20_000 }, async () => {
    check(await run([String(workers[1]?.pid), String(workers[2]?.pid)]), [1, 2]);
  });
  test('the same by a perf event for each uprobe', { timeout: 20_000 }, async () => {
    check(await run([String(workers[0]?.pid), String(workers[1]?.pid)], '--no-feature', 'uprobe_multi'), [0, 1]);
  });

  test('the run ends when the last of them has ended', { timeout: 20_000 }, async () => {
    const [first, second] = [spawn('sleep', ['60']), spawn('sleep', ['60'])];
    const running = new Running([
      '-p',
      `${first.pid},${second.pid}`,
      '-e',
      'interval:s:60 { } END { printf("over\\n"); }',
    ]);
    await running.attached();
    first.kill('SIGKILL');
    await new Promise((resolve) => first.once('exit', resolve));
    await sleep(200);
    assert.doesNotMatch(running.stdout, /over/);
    second.kill('SIGKILL');
    assert.match((await running.ended()).stdout, /^over$/m);
  });

  test('a process that is not there is told', async () => {
    const { status, stderr } = await insitu(['-p', `${process.pid},4194303`, '-e', 'BEGIN { }']);
    assert.match(stderr, /ERROR: there is no process 4194303/);
    assert.equal(status, 1);
  });
});

describe('--follow', { skip }, () => {
  const output = join(folder, 'tree.out');
  for (const more of [[], ['--no-feature', 'uprobe_multi']]) {
    test(`children from their fork on, through exec, until the last has ended ${more.join(' ')}`, {
      timeout: 30_000,
    }, async () => {
      const tree = `tracepoint:syscalls:sys_enter_getppid { @t[pid] = count(); } uprobe:${binary}:marked { @u[pid] = count(); }`;
      const command = `sh -c '${binary} 3 > ${output}'`;
      const { stdout, stderr, status } = await insitu(['-c', command, '--follow', ...more, '-e', tree]);
      assert.equal(status, 0, stderr);
      // Every process says how much it has done, once before its exec and once after.
      const expected = new Map<string, number>();
      for (const line of readFileSync(output, 'utf8').trim().split('\n')) {
        const [pid = '', count] = line.split(' ');
        expected.set(pid, (expected.get(pid) ?? 0) + Number(count));
      }
      assert.ok(expected.size >= 7);
      const found = counts(stdout);
      for (const [pid, count] of expected) {
        assert.equal(found.get(`u ${pid}`), count, `uprobes of ${pid}`);
        // The shell reads its parent's pid too.
        assert.ok((found.get(`t ${pid}`) ?? 0) >= count, `system calls of ${pid}`);
      }
    });
  }

  test('nothing of a process that is not a descendant', { timeout: 20_000 }, async () => {
    const stranger = new Worker();
    try {
      await stranger.says('ready');
      const running = new Running(['-c', 'sleep 1', '--follow', '-e', script]);
      await running.attached();
      await stranger.work(50);
      const { stdout } = await running.ended();
      assert.deepEqual(
        [...counts(stdout).keys()].filter((key) => key.endsWith(` ${stranger.pid}`)),
        [],
      );
    } finally {
      stranger.child.kill('SIGKILL');
    }
  });

  test('needs a process', async () => {
    const { status, stderr } = await insitu(['--follow', '-e', 'BEGIN { }']);
    assert.match(stderr, /--follow needs a process[\s\S]*HINT:/);
    assert.equal(status, 1);
  });
});

describe('--probe-filter', { skip }, () => {
  test('leaves out what does not match, and says when nothing does', { timeout: 20_000 }, async () => {
    const all =
      'BEGIN { printf("b\\n"); } interval:ms:10 { printf("ten\\n"); exit(); } interval:ms:20 { printf("twenty\\n"); exit(); } END { printf("e\\n"); }';
    const { stdout } = await insitu(['-q', '--probe-filter', 'ms:20$', '-e', all]);
    assert.deepEqual(stdout.trim().split('\n'), ['b', 'twenty', 'e']);
    const none = await insitu(['--probe-filter', 'kprobe', '-e', all]);
    assert.match(none.stderr, /no probe's name matches kprobe/);
    assert.equal(none.status, 1);
    const wrong = await insitu(['--probe-filter', '(', '-e', all]);
    assert.match(wrong.stderr, /--probe-filter takes a regular expression/);
  });
});
