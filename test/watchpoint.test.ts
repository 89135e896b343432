/** Watchpoints: what a program writes to a variable, by the processor's own count; the kernel's memory. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { insitu, lacking, Running, sleep } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-watchpoint-'));
after(() => rmSync(folder, { recursive: true, force: true }));
/** What a machine without debug registers makes of every watchpoint. */
const none = /no hardware breakpoints/;

describe('watchpoint', { skip: lacking('gcc') }, () => {
  const source = join(folder, 'watched.c');
  const binary = join(folder, 'watched');
  let address = '';
  const build = (): void => {
    if (address !== '') return;
    writeFileSync(
      source,
      `#include <pthread.h>
volatile int watched = 1, other = 1;
volatile long sum;
__attribute__((noinline)) void called(void) { __asm__ volatile(""); }
static void *thread(void *x) { watched = 77; called(); return x; }
int main(void) {
  for (int i = 1; i <= 5; i++) { watched = i * 11; other = i; sum += watched; called(); }
  pthread_t t;
  pthread_create(&t, 0, thread, 0);
  pthread_join(t, 0);
  return 0;
}
`,
    );
    execFileSync('gcc', ['-O1', '-no-pie', '-fno-pie', '-pthread', '-o', binary, source]);
    address = addressOf('watched');
  };
  const addressOf = (name: string): string =>
    `0x${new RegExp(`^0*([0-9a-f]+) \\w ${name}$`, 'm').exec(execFileSync('nm', [binary], { encoding: 'utf8' }))?.[1]}`;

  test('w: every value that is written, by the thread that the program starts too', { timeout: 40_000 }, async (t) => {
    build();
    const script = `watchpoint:${address}:4:w /comm == "watched"/ { printf("%d\\n", *(int32 *)${address}); }`;
    const { stdout, stderr } = await insitu(['-q', '-c', binary, '-e', script]);
    if (none.test(stderr) && lacking('watchpoints')) return t.skip('this machine has no hardware breakpoints');
    assert.deepEqual(stdout.trim().split('\n'), ['11', '22', '33', '44', '55', '77'], stderr);
  });

  test('rw: reads too', { timeout: 40_000 }, async (t) => {
    build();
    const script = `watchpoint:${address}:4:rw /comm == "watched"/ { @ = count(); }`;
    const { stdout, stderr } = await insitu(['-q', '-c', binary, '-e', script]);
    if (none.test(stderr) && lacking('watchpoints')) return t.skip('this machine has no hardware breakpoints');
    assert.match(stdout, /^@: 11$/m, stderr);
  });

  test('unwatch: nothing is seen after it, at that address alone', { timeout: 40_000 }, async (t) => {
    build();
    const other = addressOf('other');
    // The tracer hears of unwatch() a little later: the program stops itself until then.
    const script = `watchpoint:${address}:4:w /comm == "watched"/ {
        printf("%d\\n", *(int32 *)${address});
        if (*(int32 *)${address} == 22) { signal(19); unwatch(${address}); printf("gone %d\\n", pid); }
      }
      watchpoint:${other}:4:w /comm == "watched"/ { @other = count(); }`;
    const tracer = new Running(['-q', '--unsafe', '-c', binary, '-e', script]);
    const stopped = (): string | undefined => /^gone (\d+)$/m.exec(tracer.stdout)?.[1];
    try {
      await tracer.until(() => stopped() !== undefined, 'the program has stopped');
      process.kill(Number(stopped()), 'SIGCONT');
    } catch (error) {
      const { stderr } = await tracer.ended();
      if (none.test(stderr) && lacking('watchpoints')) return t.skip('this machine has no hardware breakpoints');
      throw error;
    }
    const { stdout, stderr } = await tracer.ended();
    const seen = stdout.trim().split(/\n+/);
    assert.deepEqual(
      seen.filter((line) => !line.startsWith('gone')),
      ['11', '22', '@other: 5'],
      stderr,
    );
  });

  test('x: a place in code', { timeout: 40_000 }, async (t) => {
    build();
    const script = `watchpoint:${addressOf('called')}:8:x /comm == "watched"/ { @ = count(); }`;
    const { stdout, stderr } = await insitu(['-q', '-c', binary, '-e', script]);
    if (none.test(stderr) && lacking('watchpoints')) return t.skip('this machine has no hardware breakpoints');
    assert.match(stdout, /^@: 6$/m, stderr);
  });

  test("w on the kernel's memory: what is written to a sysctl", { timeout: 40_000 }, async (t) => {
    const symbols = readFileSync('/proc/kallsyms', 'latin1');
    const where = /^([0-9a-f]+) [bBdD] dmesg_restrict$/m.exec(symbols)?.[1];
    if (where === undefined) return t.skip('/proc/kallsyms names no data here (CONFIG_KALLSYMS_ALL)');
    const sysctl = '/proc/sys/kernel/dmesg_restrict';
    const before = readFileSync(sysctl, 'latin1');
    const script = `watchpoint:0x${where}:4:w { printf("%s %d\\n", comm, *(int32 *)0x${where}); }`;
    const tracer = new Running(['-q', '-e', script]);
    try {
      await tracer.attached();
      for (const value of ['0', '1', '0']) execFileSync('sh', ['-c', `echo ${value} > ${sysctl}`]);
      await sleep(200);
      const { stdout, stderr } = await tracer.interrupt();
      assert.deepEqual(stdout.trim().split('\n'), ['sh 0', 'sh 1', 'sh 0'], stderr);
    } finally {
      writeFileSync(sysctl, before);
    }
  });

  for (const [probe, complaint] of [
    ['watchpoint:0x1000:4:w', /needs the process/],
    ['watchpoint:0xffffffff81000001:4:w', /no multiple of the length/],
    ['watchpoint:0xffffffff81000000:3:w', /length is 1, 2, 4 or 8/],
    ['watchpoint:0xffffffff81000000:4:q', /nothing to watch for/],
    ['watchpoint:0xffffffff81000000:4:ww', /a letter twice/],
    ['watchpoint:0xffffffff81000000:4:wx', /code that is run/],
    ['watchpoint:here:4:w', /takes an address/],
  ] as const) {
    test(`${probe} is no watchpoint`, { timeout: 40_000 }, async () => {
      assert.match((await insitu(['-e', `${probe} { }`])).stderr, complaint);
    });
  }
});
