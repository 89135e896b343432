// npm run bench:overhead [-- --peer PATH] [--pairs N] [--only WORD] [--insitu PATH]
// What a hit costs the traced program, as ratios of the nanoseconds that a traced call
// takes in all. insitu and a peer trace the same process at the same time, each its own
// of two like functions (two system calls, two empty functions), which are called in
// turns of a fraction of a millisecond: what else the machine does hits both alike. A
// pair is that and the same with the functions exchanged. Events that a reader prints
// are measured with one tracer at a time. Ends with 1 where a bound does not hold.
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { median, setUp, start } from './tracers.mjs';

/** insitu's time against each peer's, and what a keyless aggregation adds against what the peer's adds. */
const bounds = { ratio: 1.05, added: 0.5 };

const { values, tracers } = setUp({
  pairs: { type: 'string', default: '5' },
  only: { type: 'string', default: '' },
});
const pairs = Number(values.pairs);
const [insitu, ...peers] = tracers;
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
__attribute__((noinline)) void first(long n) { __asm__ volatile("" :: "r"(n)); }
__attribute__((noinline)) void second(long n) { __asm__ volatile("" :: "r"(n) : "memory"); }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e9 + t.tv_nsec; }
/* loop calls|functions TURNS CALLS: a line for each turn, nanoseconds a call of the first and of the second. */
int main(int argc, char **argv) {
  long turns = atol(argv[2]), calls = atol(argv[3]);
  int functions = !strcmp(argv[1], "functions");
  for (long turn = 0; turn < turns; turn++) {
    double a = now();
    if (functions) for (long i = 0; i < calls; i++) first(i); else for (long i = 0; i < calls; i++) syscall(SYS_getppid);
    double b = now();
    if (functions) for (long i = 0; i < calls; i++) second(i); else for (long i = 0; i < calls; i++) syscall(SYS_getuid);
    double c = now();
    printf("%f %f\\n", (b - a) / calls, (c - b) / calls);
  }
}
`,
);
execFileSync('gcc', ['-O1', '-fno-omit-frame-pointer', '-o', target, `${target}.c`]);

const kinds = {
  calls: {
    title: 'a system call (tracepoint)',
    probes: ['tracepoint:syscalls:sys_enter_getppid', 'tracepoint:syscalls:sys_enter_getuid'],
    number: 'args->__syscall_nr',
    turns: ['300', '1000'],
  },
  functions: {
    title: 'an empty function (uprobe)',
    probes: [`uprobe:${target}:first`, `uprobe:${target}:second`],
    number: 'arg0',
    turns: ['1000', '20'],
  },
};
const bodies = {
  'empty probe': () => '{ }',
  'rejecting predicate': () => '/pid == 1/ { @x = count(); }',
  '@ = count()': () => '{ @ = count(); }',
  '@[comm] = count()': () => '{ @[comm] = count(); }',
  '@ = hist(…)': ({ number }) => `{ @ = hist(${number}); }`,
  '@[ustack] = count()': () => '{ @[ustack] = count(); }',
  printf: ({ number }) => `{ printf("%d\\n", ${number}); }`,
};
const keyless = ['@ = count()', '@ = hist(…)'];

/** The lower quartile: what else the machine does only adds. */
const undisturbed = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 4)];

/** Nanoseconds of an undisturbed turn: of the first, of the second. */
async function loop(name) {
  const { stdout } = await promisify(execFile)('taskset', ['-c', '0', target, name, ...kinds[name].turns]);
  const turns = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(' ').map(Number));
  return [undisturbed(turns.map(([a]) => a)), undisturbed(turns.map(([, b]) => b))];
}

/** The nanoseconds of two traced functions, each with a tracer and a body of its own. */
async function together(name, one, other) {
  const running = await Promise.all(
    [one, other].map(({ tracer, body }, index) =>
      start(tracer.path, ['-e', `${kinds[name].probes[index]} ${body(kinds[name])}`], { cpu: 1 }),
    ),
  );
  const times = await loop(name);
  await Promise.all(running.map((tracer) => tracer.stop()));
  return times;
}

/** Pairs of nanoseconds, the functions exchanged within each. */
async function alternate(name, one, other) {
  const times = [];
  for (let pair = 0; pair < pairs; pair++) {
    const [a, b] = await together(name, one, other);
    const [d, c] = await together(name, other, one);
    times.push([Math.sqrt(a * c), Math.sqrt(b * d)]);
  }
  return times;
}

/** Pairs of nanoseconds, one tracer after the other. */
async function inTurn(name, body, peer) {
  const times = [];
  for (let pair = 0; pair < pairs; pair++) {
    const both = [];
    for (const { path } of [insitu, peer]) {
      const script = `${kinds[name].probes[0]} ${body(kinds[name])}`;
      const running = await start(path, ['-o', '/dev/null', '-e', script], { cpu: 1 });
      both.push((await loop(name))[0]);
      await running.stop();
    }
    times.push(both);
  }
  return times;
}

const column = (times, index) => median(times.map((pair) => pair[index]));

function judge(value, bound, text) {
  if (value <= bound) return text;
  process.exitCode = 1;
  return `${text}, above ${bound}`;
}

console.log(`nanoseconds a call, ${pairs} pairs; the target on CPU 0, the tracers on CPU 1`);
for (const [name, kind] of Object.entries(kinds)) {
  if (!name.includes(values.only) && !Object.keys(bodies).some((label) => label.includes(values.only))) continue;
  console.log(`${kind.title}: ${(await loop(name))[0].toFixed(0)} untraced`);
  for (const [label, body] of Object.entries(bodies)) {
    if (!name.includes(values.only) && !label.includes(values.only)) continue;
    const texts = [];
    for (const peer of peers) {
      const times =
        label === 'printf'
          ? await inTurn(name, body, peer)
          : await alternate(name, { tracer: insitu, body }, { tracer: peer, body });
      const ratios = times.map(([ours, theirs]) => ours / theirs);
      const ratio = median(ratios);
      const range = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
      const text = `${column(times, 0).toFixed(0)} to ${column(times, 1).toFixed(0)}: ${ratio.toFixed(2)}× (${range})`;
      texts.push(`${peer.path} ${judge(ratio, bounds.ratio, text)}`);
    }
    console.log(`  ${label.padEnd(20)} ${texts.join('; ')}`);
    if (!keyless.includes(label)) continue;
    const added = [];
    for (const tracer of tracers) {
      const times = await alternate(name, { tracer, body }, { tracer, body: bodies['empty probe'] });
      added.push(median(times.map(([full, empty]) => full - empty)));
    }
    const told = peers.map((peer, index) => {
      const theirs = added[index + 1];
      const text = `${peer.path} ${theirs.toFixed(0)}: ${(added[0] / theirs).toFixed(2)}×`;
      return judge(added[0] / theirs, bounds.added, text);
    });
    console.log(`    adds ${added[0].toFixed(0)} to an empty probe; ${told.join('; ')}`);
  }
}
