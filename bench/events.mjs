// npm run bench:events [-- --peer PATH] [--events N] [--insitu PATH]
// A burst of a million printf events from one tight loop, written to a file: how many
// lines arrive, how many are said to be lost, and how long it takes until the last.
import { execFileSync } from 'node:child_process';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setUp, start } from './tracers.mjs';

const { values, tracers } = setUp({ events: { type: 'string', default: '1000000' } });
const events = Number(values.events);
const folder = mkdtempSync(join(tmpdir(), 'insitu-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const target = join(folder, 'burst');
writeFileSync(
  `${target}.c`,
  '#include <stdlib.h>\n#include <unistd.h>\n#include <sys/syscall.h>\nint main(int c, char **v) { for (long i = atol(v[1]); i > 0; i--) syscall(SYS_getppid); }\n',
);
execFileSync('gcc', ['-O1', '-o', target, `${target}.c`]);

async function linesOf(path) {
  let count = 0;
  for await (const bytes of createReadStream(path))
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count++;
  return count;
}

const script = 'tracepoint:syscalls:sys_enter_getppid /comm == "burst"/ { printf("%d\\n", pid); }';
let ours;
for (const { name, path } of tracers) {
  const output = join(folder, 'output');
  const running = await start(path, ['-q', '-o', output, '-e', script], { cpu: 1 });
  const began = performance.now();
  execFileSync('taskset', ['-c', '0', target, String(events)]);
  const burst = performance.now() - began;
  const { stderr, memory } = await running.stop();
  const whole = performance.now() - began;
  // Each tracer's own empty lines and words at the end are few: they are not told from events.
  const lines = await linesOf(output);
  const lost = [...stderr.matchAll(/lost (\d+) events/gi)].reduce((sum, match) => sum + Number(match[1]), 0);
  ours ??= whole;
  const missing = events - lines;
  console.log(
    `${name.padEnd(34)} ${lines} lines of ${events} events (${missing > 0 ? `${missing} missing` : 'all there'}, ${lost} told lost), burst ${burst.toFixed(0)} ms, all written after ${whole.toFixed(0)} ms, ${memory.toFixed(0)} MB${name === 'insitu' ? '' : `   insitu: ${(ours / whole).toFixed(2)}×`}`,
  );
}
