// npm run bench:unwind [-- --pairs N] [--calls N] [--insitu PATH]
// What a user stack costs, by depth: `@[ustack] = count()` at a system call beside `@ = count()`,
// by call frame information and by frame pointers (bpf_get_stackid), in a program that keeps
// frame pointers; ratios within each pair. Then the tables: time and memory to make those of
// Envoy, and what they and a process take in the kernel.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { envoyPath } from '../tools/programs.mjs';
import { root } from '../tools/setup.mjs';
import { median, setUp, start } from './tracers.mjs';

const { values, tracers } = setUp({
  pairs: { type: 'string', default: '7' },
  calls: { type: 'string', default: '200000' },
});
const folder = mkdtempSync(join(tmpdir(), 'insitu-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const target = join(folder, 'deep');
writeFileSync(
  `${target}.c`,
  `#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
long calls;
volatile long sink;
__attribute__((noinline)) void loop(void) {
  struct timespec a, b;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
  for (long i = 0; i < calls; i++) syscall(SYS_getppid);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
  printf("%f\\n", ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / calls);
}
__attribute__((noinline)) long deep(int n, long a, long b, long c) {
  volatile long room[6] = {a, b, c};
  if (n == 0) loop();
  else sink = deep(n - 1, a + room[1], b ^ room[2], c - room[0]);
  return room[0] + a * b - c;
}
int main(int argc, char **argv) {
  calls = atol(argv[2]);
  // main, its two callers and _start, loop and syscall are frames as well.
  sink = deep(atoi(argv[1]) - 7, 1, 2, 3);
  return 0;
}
`,
);
execFileSync('gcc', ['-O2', '-fno-omit-frame-pointer', '-o', target, `${target}.c`]);
const run = (depth) =>
  Number(execFileSync('taskset', ['-c', '0', target, String(depth), values.calls], { encoding: 'utf8' }));

const probe = 'tracepoint:syscalls:sys_enter_getppid /comm == "deep"/';
const [insitu] = tracers;
const ways = [
  { name: 'call frame information', path: insitu.path, args: ['--unwind', 'cfi'] },
  { name: 'frame pointers', path: insitu.path, args: ['--unwind', 'fp'] },
];

/** Nanoseconds a call takes while a script runs. */
async function timed(way, depth, body) {
  const running = await start(way.path, [...way.args, '-e', `${probe} ${body}`], { cpu: 1 });
  // Tables of a program that starts now are made when its first stack is taken.
  spawnSync('taskset', ['-c', '0', target, String(depth), '100']);
  await new Promise((resolve) => setTimeout(resolve, 100));
  const nanoseconds = run(depth);
  await running.stop();
  return nanoseconds;
}

console.log(
  `nanoseconds of CPU time a stack, median of ${values.pairs} rounds of ${values.calls} calls; target on CPU 0, tracer on CPU 1`,
);
for (const depth of [10, 30, 100]) {
  const costs = ways.map(() => []);
  for (let pair = 0; pair < Number(values.pairs); pair++) {
    for (const [index, way] of ways.entries()) {
      const bare = await timed(way, depth, '{ @ = count(); }');
      costs[index].push((await timed(way, depth, '{ @[ustack] = count(); }')) - bare);
    }
  }
  const texts = ways.map(({ name }, index) => {
    const ratio = index === 0 ? '' : ` (${median(costs[0].map((one, i) => one / costs[index][i])).toFixed(2)}×)`;
    return `${name} ${median(costs[index]).toFixed(0)} ns${ratio}`;
  });
  console.log(`  ${depth} frames: ${texts.join(', ')}`);
}

if (existsSync(envoyPath)) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, 'dist', 'bench', 'tables.js'), envoyPath],
    {
      encoding: 'utf8',
    },
  );
  console.log(status === 0 ? stdout.trimEnd() : `tables: ${stderr}`);
} else console.log(`no tables of Envoy: it is not at ${envoyPath} (node tools/fixtures.mjs)`);
