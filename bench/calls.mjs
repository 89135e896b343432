// npm run bench:calls [-- --peer PATH] [--pairs N] [--insitu PATH]
// What following calls costs the traced program, as the ratio of the nanoseconds that a
// traced call takes in all. `insitu calls` and a peer follow the same process at the same
// time, each its own of two like pairs of functions, which are called in turns of a fraction
// of a millisecond, so that what else the machine does hits both alike; a pair of runs is that
// and the same with the functions exchanged. The peer has a uprobe and a uretprobe, keeps the
// time of the begin by thread and adds up count, time and histogram. Programs: C, where
// insitu uses uretprobes too; C++, where an exception that passes a uretprobe ends the
// program, so that insitu stands at the ends of all functions that call others, and the kernel
// steps over the return, which is another exception. At last a function that is called all
// the time: insitu takes its probes away, and the program has to keep half of its speed over
// three seconds, else the benchmark ends with 1. Times are those of the thread on its CPU.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, setUp, start } from './tracers.mjs';

/** The share of its speed that a program keeps whose function is called all the time. */
const kept = 0.5;

const { values, tracers } = setUp({ pairs: { type: 'string', default: '5' } });
const pairs = Number(values.pairs);
const [insitu, ...peers] = tracers;
const folder = mkdtempSync(join(tmpdir(), 'insitu-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

// The program waits for a signal, makes its turns, writes the nanoseconds of a call in each, and waits again.
const pair = (name) => `
__attribute__((noinline)) long inner_${name}(long n) { __asm__ volatile("" :: "r"(n) : "memory"); return n + 1; }
__attribute__((noinline)) long outer_${name}(long n) { long sum = inner_${name}(n); __asm__ volatile("" ::: "memory"); return sum + inner_${name}(sum); }`;
const source = `#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#ifdef __cplusplus
#include <stdexcept>
/* A program in which something is thrown. */
__attribute__((noinline)) static void check(int count) { if (count < 3) throw std::runtime_error("TURNS CALLS"); }
extern "C" {
#endif
/* Time on the CPU: what else the machine does is not in it. */
static double now(void) { struct timespec t; clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); return t.tv_sec * 1e9 + t.tv_nsec; }
${pair('a')}
${pair('b')}
#ifdef __cplusplus
}
#endif
int main(int argc, char **argv) {
#ifdef __cplusplus
  try { check(argc); } catch (const std::exception &error) { puts(error.what()); return 1; }
#endif
  long turns = atol(argv[1]), calls = atol(argv[2]), sum = 0;
  sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR1); sigprocmask(SIG_BLOCK, &set, NULL);
  printf("ready\\n"); fflush(stdout);
  for (int signal; sigwait(&set, &signal) == 0;) {
    for (long turn = 0; turn < turns; turn++) {
      double a = now();
      for (long i = 0; i < calls; i++) sum += outer_a(i);
      double b = now();
      for (long i = 0; i < calls; i++) sum += outer_b(i);
      printf("%f %f\\n", (b - a) / calls, (now() - b) / calls);
    }
    printf("done %ld\\n", sum); fflush(stdout);
  }
}
`;
const programs = { 'in C': ['gcc', 'c'], 'in C++': ['g++', 'cc'] };
const pathOf = (name) => join(folder, programs[name][1]);
for (const [name, [compiler, extension]] of Object.entries(programs)) {
  const file = `${pathOf(name)}.${extension}`;
  writeFileSync(file, source);
  execFileSync(compiler, ['-O2', '-fno-omit-frame-pointer', '-o', pathOf(name), file]);
}

/** The lower quartile: what else the machine does only adds. */
const undisturbed = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 4)];

const functionsOf = (name) => [`outer_${name}`, `inner_${name}`];

const script = (path, functions) => {
  const list = (kind) => functions.map((name) => `${kind}:${path}:${name}`).join(',\n');
  return `${list('uprobe')} { @start[tid, func] = nsecs; }
${list('uretprobe')} /@start[tid, func]/ {
  $took = nsecs - @start[tid, func]; @calls[func] = count(); @total[func] = sum($took); @times[func] = hist($took);
  delete(@start[tid, func]);
}`;
};

/** Starts the program; `turns()` gives the nanoseconds of an undisturbed turn: of the first pair, of the second. */
function launch(path, turns, calls) {
  const child = spawn('taskset', ['-c', '0', path, String(turns), String(calls)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  let wake = () => {};
  child.stdout.setEncoding('utf8').on('data', (more) => {
    text += more;
    wake();
  });
  const until = async (end) => {
    while (!end.test(text)) {
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
    const told = text;
    text = '';
    return told;
  };
  return {
    pid: child.pid,
    ready: () => until(/ready\n/),
    async turns() {
      child.kill('SIGUSR1');
      const lines = (await until(/done -?\d+\n/)).split('\n').slice(0, turns);
      const times = lines.map((line) => line.split(' ').map(Number));
      return [undisturbed(times.map(([a]) => a)), undisturbed(times.map(([, b]) => b))];
    },
    end: () => child.kill('SIGKILL'),
  };
}

const argumentsOf = (tracer, path, pid, name, own) =>
  tracer === insitu
    ? ['calls', ...functionsOf(name), '--json', ...own, '-p', String(pid)]
    : ['-p', String(pid), '-e', script(path, functionsOf(name))];

/** Nanoseconds of outer() traced by `one` and by `other`, and untraced. */
async function together(path, one, other) {
  const program = launch(path, 300, 10);
  const running = [];
  try {
    await program.ready();
    const [alone] = await program.turns();
    for (const [index, tracer] of [one, other].entries()) {
      const args = argumentsOf(tracer, path, program.pid, 'ab'[index], ['--overhead', '100']);
      running.push(await start(tracer.path, args, { cpu: 1 }));
    }
    return [...(await program.turns()), alone];
  } finally {
    await Promise.all(running.map((tracer) => tracer.stop()));
    program.end();
  }
}

console.log(
  `nanoseconds of outer() with two calls of inner(), ${pairs} pairs; the program on CPU 0, the tracers on CPU 1`,
);
for (const name of Object.keys(programs)) {
  const path = pathOf(name);
  for (const peer of peers) {
    const times = [];
    for (let round = 0; round < pairs; round++) {
      const [a, b, alone] = await together(path, insitu, peer);
      const [d, c] = await together(path, peer, insitu);
      times.push([Math.sqrt(a * c), Math.sqrt(b * d), alone]);
    }
    const ratios = times.map(([ours, theirs]) => ours / theirs);
    const middle = (index) => median(times.map((time) => time[index])).toFixed(0);
    const range = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
    console.log(
      `  ${name.padEnd(6)} ${middle(2)} untraced; insitu ${middle(0)}, ${peer.path} ${middle(1)}: ${median(ratios).toFixed(2)}× (${range})`,
    );
  }
}

for (const name of Object.keys(programs)) {
  const path = pathOf(name);
  const trial = launch(path, 1, 10_000_000);
  await trial.ready();
  const [untraced] = await trial.turns();
  trial.end();
  const program = launch(path, 1, Math.round(3e9 / untraced));
  await program.ready();
  const shares = [];
  for (let round = 0; round < Math.min(3, pairs); round++) {
    const running = await start(insitu.path, argumentsOf(insitu, path, program.pid, 'a', []), { cpu: 1 });
    // The second of the two functions is not traced: the same program at the same time of day.
    const [traced, alone] = await program.turns();
    const { stdout } = await running.stop();
    const { data } = JSON.parse(stdout.trim().split('\n').at(-1));
    shares.push(alone / traced);
    if (data.functions.some(({ removed }) => removed === undefined)) {
      console.log('  numbers that are not whole are not marked');
      process.exitCode = 1;
    }
  }
  program.end();
  const share = median(shares);
  if (share < kept) process.exitCode = 1;
  console.log(
    `  ${name.padEnd(6)} ${(3e3 / untraced).toFixed(0)} million calls a second: with insitu it keeps ${(100 * share).toFixed(0)} % of its speed over 3 s${share < kept ? `, below ${100 * kept} %` : ''}`,
  );
  for (const peer of peers) {
    const [traced, , alone] = await together(path, peer, insitu);
    console.log(`         with ${peer.path} ${((100 * alone) / traced).toFixed(3)} %`);
  }
}
