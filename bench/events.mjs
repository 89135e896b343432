// npm run bench:events [-- --peer PATH] [--events N] [--insitu PATH]
// A burst of a million printf events from a tight loop, to a file and to a pipe, from one
// thread and from two: how many lines arrive, how many are said to be lost, and how long
// it takes until the last. Ends with 1 when insitu lost any.
import { execFile, execFileSync } from 'node:child_process';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { setUp, start } from './tracers.mjs';

const { values, tracers } = setUp({ events: { type: 'string', default: '1000000' } });
const events = Number(values.events);
const folder = mkdtempSync(join(tmpdir(), 'insitu-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const target = join(folder, 'burst');
writeFileSync(
  `${target}.c`,
  `#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/syscall.h>
static void *loop(void *count) { for (long i = (long)count; i > 0; i--) syscall(SYS_getppid); return 0; }
int main(int c, char **v) {
  long threads = atol(v[2]);
  pthread_t all[16];
  for (long i = 0; i < threads; i++) pthread_create(&all[i], 0, loop, (void *)(atol(v[1]) / threads));
  for (long i = 0; i < threads; i++) pthread_join(all[i], 0);
}
`,
);
execFileSync('gcc', ['-O1', '-pthread', '-o', target, `${target}.c`]);

async function linesOf(path) {
  let count = 0;
  for await (const bytes of createReadStream(path))
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count++;
  return count;
}

const script = 'tracepoint:syscalls:sys_enter_getppid /comm == "burst"/ { printf("%d\\n", pid); }';
for (const threads of [1, 2]) {
  for (const to of ['file', 'pipe']) {
    console.log(`${threads} thread${threads === 1 ? '' : 's'}, to a ${to}:`);
    let ours;
    for (const { name, path } of tracers) {
      const output = join(folder, 'output');
      // One thread has a core of its own, two have both, with the tracer.
      const options = threads === 1 ? { cpu: 1 } : {};
      const running = await start(path, ['-q', ...(to === 'file' ? ['-o', output] : []), '-e', script], options);
      const began = performance.now();
      const pin = threads === 1 ? ['-c', '0'] : ['-c', '0,1'];
      // Not the synchronous one: the pipe is to be read meanwhile.
      await promisify(execFile)('taskset', [...pin, target, String(events), String(threads)]);
      const burst = performance.now() - began;
      const { stderr, memory, lines: piped } = await running.stop();
      const whole = performance.now() - began;
      // Each tracer's own empty lines and words at the end are few: they are not told from events.
      const lines = to === 'file' ? await linesOf(output) : piped;
      const lost = [...stderr.matchAll(/lost (\d+) events/gi)].reduce((sum, match) => sum + Number(match[1]), 0);
      ours ??= whole;
      const missing = events - lines;
      if (name === 'insitu' && (missing > 0 || lost > 0)) process.exitCode = 1;
      console.log(
        `  ${name.padEnd(32)} ${lines} lines of ${events} events (${missing > 0 ? `${missing} missing` : 'all there'}, ${lost} told lost), burst ${burst.toFixed(0)} ms, all written after ${whole.toFixed(0)} ms, ${memory.toFixed(0)} MB${name === 'insitu' ? '' : `   insitu: ${(ours / whole).toFixed(2)}×`}`,
      );
    }
  }
}
