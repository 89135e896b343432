/** Frames of processes that have gone before anybody could look at them, among them those of a stripped program. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { onlineCpus } from '../src/kernel/host/machine.ts';
import { lacking as lackingTools, output, Workshop } from './binaries.ts';
import { insitu, lacking, Running } from './insitu.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

/** Works for two to five milliseconds in a virtual function, asks for its parent, and ends. */
const program = `
#include <ctime>
#include <unistd.h>
volatile long spin;
namespace shop {
struct Priced { virtual ~Priced() {} virtual long price(long n) = 0; };
struct Apple : Priced {
  __attribute__((noinline)) long price(long n) override {
    timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do { spin = spin + n; clock_gettime(CLOCK_MONOTONIC, &now); }
    while ((now.tv_sec - start.tv_sec) * 1000000000L + now.tv_nsec - start.tv_nsec < 2000000);
    return spin + getppid();
  }
};
__attribute__((noinline)) Priced *make() { return new Apple; }
}
int main(int argc, char **) { shop::Priced *one = shop::make(); spin = one->price(argc) + 1; delete one; return 0; }
`;

/** Starts many processes, eight at a time: those that exec the program, and those that only fork. */
const starter = `
#include <sys/wait.h>
#include <stdlib.h>
#include <unistd.h>
volatile int sink;
__attribute__((noinline)) void only_forked(void) { sink = getppid() + 1; }
int main(int argc, char **argv) {
  int many = atoi(argv[1]), running = 0;
  for (int i = 0; i < many; i++) {
    if (running == 8) { wait(0); running--; }
    pid_t child = fork();
    if (child == 0) {
      if (i % 4 == 3) { only_forked(); _exit(0); }
      execv(argv[2 + i % 4 % (argc - 2)], argv + 2);
      _exit(1);
    }
    running++;
  }
  while (running-- > 0) wait(0);
  return 0;
}
`;

const many = 400;

describe('processes of a few milliseconds', {
  skip: lacking('root', 'btf') || lackingTools('g++', 'gcc', 'strip'),
}, () => {
  test(`the frames of ${many} of them, with symbols, stripped, and forked only`, {
    timeout: 120_000,
  }, async (context) => {
    const whole = workshop.path('whole');
    output('g++', ['-O2', '-fno-omit-frame-pointer', '-o', whole, workshop.write('whole.cc', program)]);
    output('strip', ['-s', '-o', workshop.path('stripped'), whole]);
    writeFileSync(workshop.path('starter.c'), starter);
    output('gcc', ['-O1', '-fno-omit-frame-pointer', '-o', workshop.path('starter'), workshop.path('starter.c')]);
    // The kernel's own count, and the caller of getppid in each process.
    const script = `tracepoint:syscalls:sys_enter_getppid /comm == "whole" || comm == "stripped" || comm == "starter"/ {
      @seen[comm] = count(); printf("%s|%s\\n", comm, ustack(8));
    }`;
    const { stdout, stderr, status } = await insitu(
      ['-q', '-e', script, '-c', `${workshop.path('starter')} ${many} ${whole} ${workshop.path('stripped')}`],
      { env: { ...process.env, XDG_CACHE_HOME: workshop.path('cache') } },
    );
    assert.equal(status, 0, stderr);
    const wanted: Readonly<Record<string, RegExp>> = {
      whole: /\n\s+shop::Apple::price\(long\)\+\d+\n\s+main\+\d+\n/,
      stripped: /\n\s+~shop::Apple(\|shop::Priced)?::(vfunc\[2\]|price)\+\d+\n\s+~main\+\d+\n/,
      starter: /\n\s+only_forked\+\d+\n\s+main\+\d+\n/,
    };
    const counts = { whole: 0, stripped: 0, starter: 0 };
    const wrong: string[] = [];
    for (const [, comm = '', stack = ''] of stdout.matchAll(/^(\w+)\|\n((?: +\S.*\n)*)/gm)) {
      if (wanted[comm]?.test(`\n${stack}`)) counts[comm as keyof typeof counts]++;
      else wrong.push(`${comm}:\n${stack}`);
    }
    context.diagnostic(JSON.stringify(counts));
    assert.deepEqual(wrong, []);
    assert.equal(counts.whole + counts.stripped + counts.starter, many, stdout.slice(-2000));
    // i % 4: 0 and 2 are the first program, 1 the second, 3 only forks.
    assert.deepEqual(counts, { whole: many / 2, stripped: many / 4, starter: many / 4 });
    for (const [comm, count] of Object.entries(counts))
      assert.match(stdout, new RegExp(`@seen\\[${comm}\\]: ${count}\n`));
  });

  test('more of them than the kernel keeps records of: the losses are told', { timeout: 240_000 }, async () => {
    const tracer = new Running(
      ['-q', '-e', 'tracepoint:syscalls:sys_enter_getppid /comm == "sh"/ { printf("%s\\n", ustack(1)); }'],
      { timeout: 200_000 },
    );
    await tracer.attached();
    // It cannot look while there are 3,000 of them, on one CPU, whose ring has room for fewer than 1,000.
    tracer.child.kill('SIGSTOP');
    const each = 'i=0; while [ $i -lt 3000 ]; do /bin/true; i=$((i+1)); done';
    spawnSync('taskset', ['-c', String(onlineCpus()[0]), 'sh', '-c', each]);
    tracer.child.kill('SIGCONT');
    const { stderr, status } = await tracer.interrupt();
    const [, lost = '0'] =
      /^WARNING: (\d+) records of processes that start and map files found no room/m.exec(stderr) ?? [];
    assert.ok(Number(lost) > 500, stderr);
    assert.equal(status, 0);
  });
});
