/** USDT: a program with trace points in all argument forms, against what it was given; python's own. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { insitu, lacking, Running } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-usdt-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const header = [
  '/usr/include/sys/sdt.h',
  '/usr/include/x86_64-linux-gnu/sys/sdt.h',
  '/usr/include/aarch64-linux-gnu/sys/sdt.h',
];
const skip =
  lacking('gcc') ||
  (header.some((path) => existsSync(path)) ? false : 'needs sys/sdt.h (apt-get install systemtap-sdt-dev)');

const source = `#define _SDT_HAS_SEMAPHORES 1
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#define SEMAPHORE(name) __extension__ unsigned short name##_semaphore __attribute__((unused, section(".probes")))
SEMAPHORE(watched_many); SEMAPHORE(watched_sizes); SEMAPHORE(watched_indexed); SEMAPHORE(watched_same); SEMAPHORE(other_same);
#include <sys/sdt.h>
static int counter = 1234567;
long table[8] = {10, 20, 30, 40, 50, 60, 70, 80};
struct parts { int a; short b; signed char c; unsigned char d; };
__attribute__((noinline)) void many(long n) {
  long local = n * 3;
  DTRACE_PROBE12(watched, many, n, local, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, n + 8, n + 9, n + 10, n + 11);
}
__attribute__((noinline)) void sizes(int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f, int64_t g, uint64_t h) {
  DTRACE_PROBE8(watched, sizes, a, b, c, d, e, f, g, h);
}
__attribute__((noinline)) void indexed(long *t, long i, struct parts *p) {
  DTRACE_PROBE5(watched, indexed, t[i], p->a, p->b, p->c, p->d);
  DTRACE_PROBE3(watched, indexed, counter, 77, -5);
}
int main(int argc, char **argv) {
  struct parts p = {-7, -300, -2, 250};
  for (int round = argc > 1 ? atoi(argv[1]) : 1; round > 0; round--) {
    printf("%d %d %d\\n", watched_many_semaphore, watched_sizes_semaphore, watched_same_semaphore);
    fflush(stdout);
    many(100);
    sizes(-1, 255, -2, 65535, -3, 4294967295u, -4, 18446744073709551615ull);
    DTRACE_PROBE1(watched, same, 1);
    DTRACE_PROBE1(other, same, 2);
    indexed(table, 3, &p);
    if (argc > 1) usleep(50000);
  }
}
`;

function build(name: string, ...flags: readonly string[]): string {
  const path = join(folder, name);
  writeFileSync(join(folder, 'fixture.c'), source);
  execFileSync('gcc', ['-o', path, join(folder, 'fixture.c'), ...flags]);
  return path;
}

const integers = (count: number): string => Array.from({ length: count }, (_, n) => `arg${n}`).join(', ');
const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

describe('usdt', { skip }, () => {
  for (const [what, flags] of [
    ['arguments in memory, at -O0', ['-O0']],
    ['arguments in registers and where they were, at -O2', ['-O2']],
    ['an executable at a fixed address', ['-O2', '-no-pie', '-fno-pie']],
  ] as const) {
    test(`${what}: each has its value, size and sign`, { timeout: 40_000 }, async () => {
      const binary = build(what.replace(/\W+/g, '-'), ...flags);
      const script = `usdt:${binary}:watched:many { print((${integers(12)})); }
usdt:${binary}:watched:sizes { print((${integers(8)})); }
usdt:${binary}:watched:indexed { print((arg0, arg1, arg2)); }
usdt:${binary}:*:same { printf("%s %d\\n", probe, arg0); }`;
      const { stdout, stderr } = await insitu(['-q', '-c', binary, '-e', script]);
      assert.deepEqual(
        lines(stdout),
        [
          '1 1 1',
          '(100, 300, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111)',
          '(-1, 255, -2, 65535, -3, 4294967295, -4, 18446744073709551615)',
          `usdt:${binary}:watched:same 1`,
          `usdt:${binary}:other:same 2`,
          '(40, -7, -300)',
          '(1234567, 77, -5)',
        ],
        stderr,
      );
    });
  }

  test('semaphores count while the probe is attached, with -p too', { timeout: 40_000 }, async () => {
    const binary = build('semaphores', '-O2');
    const target = spawn(binary, ['200'], { stdio: ['ignore', 'pipe', 'ignore'] });
    let log = '';
    target.stdout.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
    try {
      const tracer = new Running(['-p', String(target.pid), '-e', `usdt:${binary}:watched:many { @ = count(); }`]);
      await tracer.attached();
      await new Promise((resolve) => setTimeout(resolve, 300));
      const { stdout, stderr } = await tracer.interrupt();
      assert.ok(Number(/@: (\d+)/.exec(stdout)?.[1]) >= 3, stdout + stderr);
      await new Promise((resolve) => setTimeout(resolve, 300));
      const seen = lines(log);
      assert.ok(seen.includes('1 0 0'), log);
      assert.equal(seen.at(-1), '0 0 0');
    } finally {
      target.kill('SIGKILL');
    }
  });

  test('the script is told what there is', { timeout: 40_000 }, async () => {
    const binary = build('told', '-O2');
    const complaint = async (script: string): Promise<string> => (await insitu(['-e', script])).stderr;
    assert.match(await complaint(`usdt:${binary}:same { }`), /2 providers[\s\S]*watched:same[\s\S]*other:same/);
    assert.match(await complaint(`usdt:${binary}:samme { }`), /no trace point 'samme'[\s\S]*same/);
    assert.match(await complaint(`usdt:${binary}:sizes { print(arg8); }`), /8 arguments/);
    assert.match(await complaint('usdt:/bin/true:sizes { }'), /no trace points/);
  });

  test('in a library, by its short name and by wildcards, in one and in several processes', {
    timeout: 40_000,
  }, async () => {
    const library = join(folder, 'libprobed.so');
    const program = join(folder, 'uses-library');
    writeFileSync(
      `${library}.c`,
      `#define _SDT_HAS_SEMAPHORES 1
__extension__ unsigned short probed_event_semaphore __attribute__((unused, section(".probes")));
#include <sys/sdt.h>
int probed(int n) { DTRACE_PROBE2(probed, event, n, n * 2); return probed_event_semaphore; }
`,
    );
    writeFileSync(
      `${program}.c`,
      `#include <stdio.h>
int probed(int n);
int main(int argc, char **argv) {
  setvbuf(stdout, 0, _IOLBF, 0);
  puts("ready");
  for (int n; scanf("%d", &n) == 1;) printf("semaphore %d\\n", probed(n));
}
`,
    );
    execFileSync('gcc', ['-O2', '-shared', '-fPIC', '-o', library, `${library}.c`]);
    execFileSync('gcc', ['-O2', '-o', program, `${program}.c`, library, `-Wl,-rpath,${folder}`]);
    const targets = [0, 1, 2].map(() => {
      const child = spawn(program, [], { stdio: ['pipe', 'pipe', 'inherit'] });
      let said = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
      const says = async (word: RegExp): Promise<void> => {
        while (!word.test(said)) await new Promise((resolve) => setTimeout(resolve, 5));
        said = '';
      };
      return { child, pid: child.pid as number, says };
    });
    try {
      for (const { says } of targets) await says(/ready/);
      const [first, second] = targets.map(({ pid }) => pid);
      // Which of the three processes fire, and in whose memory the kernel raises the semaphore.
      const cases: readonly (readonly [probe: string, pids: string | undefined, traced: readonly number[]])[] = [
        ['usdt:libprobed:event', `${first}`, [0]],
        ['usdt:libprobed.so:probed:event', `${second}`, [1]],
        ['usdt:libprobed:probed:ev*', `${first},${second}`, [0, 1]],
        ['usdt:*:probed:event', `${first}`, [0]],
        [`usdt:${folder}/libprob*:*:e?ent`, undefined, [0, 1, 2]],
        [`usdt:/proc/${second}/root${library}:event`, undefined, [0, 1, 2]],
      ];
      for (const [probe, pids, traced] of cases) {
        const script = `${probe} { printf("%d %d %d\\n", pid, arg0, arg1); }`;
        for (const more of [[], ['--usdt-file-activation'], ['--no-feature', 'uprobe_multi']]) {
          const running = new Running(['-q', ...(pids === undefined ? [] : ['-p', pids]), ...more, '-e', script]);
          await running.attached();
          for (const [index, { child, says }] of targets.entries()) {
            child.stdin.write(`${index + 5}\n`);
            await says(new RegExp(`semaphore ${traced.includes(index) ? 1 : 0}`));
          }
          const { stdout, stderr } = await running.interrupt();
          assert.deepEqual(
            lines(stdout),
            traced.map((index) => `${targets[index]?.pid} ${index + 5} ${2 * (index + 5)}`),
            `${probe} ${more} ${stderr}`,
          );
        }
      }
    } finally {
      for (const { child } of targets) child.kill('SIGKILL');
    }
  });

  test('lists them', { timeout: 40_000 }, async () => {
    const binary = build('listed', '-O2');
    const { stdout, stderr } = await insitu(['-l', `usdt:${binary}:*`]);
    const names = ['other:same', 'watched:indexed', 'watched:many', 'watched:same', 'watched:sizes'];
    assert.deepEqual(
      lines(stdout),
      names.map((name) => `usdt:${binary}:${name}`),
      stderr,
    );
  });
});

describe("python's own trace points", { skip: existsSync('/usr/bin/python3') ? lacking() : 'needs python3' }, () => {
  test('functions and lines of a script as they run', { timeout: 40_000 }, async () => {
    const path = join(folder, 'script.py');
    writeFileSync(path, 'def first(): second()\ndef second(): pass\nfirst()\nsecond()\n');
    // Python 3.11 tells of functions only while it is also asked for lines.
    const script = `usdt:/usr/bin/python3:python:line /str(arg0) == "${path}"/ { printf("line %d of %s\\n", arg2, str(arg1)); }
usdt:/usr/bin/python3:python:function__entry /str(arg0) == "${path}"/ { printf("%s\\n", str(arg1)); }`;
    const { stdout, stderr } = await insitu(['-q', '-c', `/usr/bin/python3 ${path}`, '-e', script]);
    const line = (number: number): string => `line ${number} of <module>`;
    assert.deepEqual(
      lines(stdout),
      ['<module>', line(1), line(2), line(3), 'first', 'second', line(4), 'second'],
      stderr,
    );
  });
});
