// npm run bench:overhead [-- --peer PATH] [--pairs N] [--calls N] [--insitu PATH]
// What a hit costs the traced program: getppid and an empty function, called in a loop on
// one core while the tracer has another; in pairs, insitu and then each peer, as ratios of
// the nanoseconds a call takes in all.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, setUp, start } from './tracers.mjs';

const { values, tracers } = setUp({
  pairs: { type: 'string', default: '5' },
  calls: { type: 'string', default: '300000' },
});
const folder = mkdtempSync(join(tmpdir(), 'insitu-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const target = join(folder, 'loop');
writeFileSync(
  `${target}.c`,
  `#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
__attribute__((noinline)) void empty(long n) { __asm__ volatile("" :: "r"(n)); }
int main(int argc, char **argv) {
  long calls = atol(argv[2]);
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  if (!strcmp(argv[1], "getppid")) for (long i = 0; i < calls; i++) syscall(SYS_getppid);
  else for (long i = 0; i < calls; i++) empty(i);
  clock_gettime(CLOCK_MONOTONIC, &b);
  printf("%f\\n", ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / calls);
}
`,
);
execFileSync('gcc', ['-O1', '-fno-omit-frame-pointer', '-o', target, `${target}.c`]);
const loop = (what) => Number(execFileSync('taskset', ['-c', '0', target, what, values.calls], { encoding: 'utf8' }));

const probes = { getppid: 'tracepoint:syscalls:sys_enter_getppid', empty: `uprobe:${target}:empty` };
const bodies = {
  'empty probe': () => '{ }',
  'rejecting predicate': () => '/pid == 1/ { @x = count(); }',
  '@ = count()': () => '{ @ = count(); }',
  '@[comm] = count()': () => '{ @[comm] = count(); }',
  '@ = hist(…)': (what) => `{ @ = hist(${what === 'empty' ? 'arg0' : 'nsecs % 1000'}); }`,
  '@[ustack] = count()': () => '{ @[ustack] = count(); }',
  printf: (what) => `{ printf("%d\\n", ${what === 'empty' ? 'arg0' : 'pid'}); }`,
};

console.log(
  `nanoseconds a call, median of ${values.pairs} pairs of ${values.calls} calls; target on CPU 0, tracer on CPU 1`,
);
for (const what of ['getppid', 'empty']) {
  console.log(`${what}: ${loop(what).toFixed(0)} ns untraced`);
  const added = new Map();
  for (const [label, body] of Object.entries(bodies)) {
    const times = new Map(tracers.map(({ name }) => [name, []]));
    const script = `${probes[what]} ${body(what)}`;
    for (let pair = 0; pair < Number(values.pairs); pair++) {
      for (const { name, path } of tracers) {
        try {
          const output = label === 'printf' ? ['-o', '/dev/null'] : [];
          const running = await start(path, [...output, '-e', script], { cpu: 1 });
          times.get(name).push(loop(what));
          await running.stop();
        } catch (error) {
          if (pair === 0) console.log(`  ${label}: ${name}: ${error.message}`);
        }
      }
    }
    const ours = times.get('insitu');
    const texts = [];
    for (const [name, list] of times) {
      if (list.length === 0) continue;
      const time = median(list);
      const baseline = added.get(name) ?? time;
      if (label === 'empty probe') added.set(name, time);
      const ratio = list === ours ? '' : ` (insitu ${median(list.map((one, i) => ours[i] / one)).toFixed(2)}×)`;
      texts.push(`${name} ${time.toFixed(0)}, ${(time - baseline).toFixed(0)} above empty${ratio}`);
    }
    console.log(`  ${label.padEnd(22)} ${texts.join('; ')}`);
  }
}
