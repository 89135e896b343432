// npm run bench:latency [-- --peer PATH] [--events N] [--insitu PATH]
// From an event to its printed line, standard output a pipe: this process opens a file that
// is not there and reads the line that tells of it. Ends with 1 when insitu's median is
// 100 ms or more.
import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { fail } from '../tools/setup.mjs';
import { median, setUp } from './tracers.mjs';

const word = '__BPFTRACE_NOTIFY_PROBES_ATTACHED';
const { values, tracers } = setUp({ events: { type: 'string', default: '100' } });
const events = Number(values.events);
if (!(events >= 1)) fail(`--events takes a number, not '${values.events}'`);
const script = `tracepoint:syscalls:sys_enter_openat /pid == ${process.pid}/ { printf("opened %s\\n", str(args->filename)); }`;
const limit = 10_000;

/** Milliseconds of each event. */
async function measure(path) {
  const tracer = spawn(path, ['-e', script], {
    env: { ...process.env, [word]: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let look = () => {};
  const ended = new Promise((resolve) => tracer.once('close', resolve));
  for (const stream of [tracer.stdout, tracer.stderr]) {
    stream.on('data', (bytes) => {
      output = (output + bytes).slice(-1 << 16);
      look();
    });
  }
  const seen = (text) =>
    new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${path}: no '${text}' after ${limit} ms:\n${output}`)), limit);
      look = () => {
        if (!output.includes(text)) return;
        clearTimeout(late);
        resolve();
      };
      look();
    });
  try {
    await seen(word);
    const delays = [];
    for (let i = 0; i < events; i++) {
      // At no fixed distance, so that a tracer that looks now and then is met at all phases.
      await new Promise((resolve) => setTimeout(resolve, 3 + ((i * 37) % 41)));
      const name = `/not-there-${i}.`;
      const began = performance.now();
      await open(name).catch(() => {});
      await seen(`opened ${name}`);
      delays.push(performance.now() - began);
    }
    return delays;
  } finally {
    tracer.kill('SIGINT');
    await ended;
  }
}

console.log(`from event to line, stdout a pipe, ${events} events`);
let ours = Number.NaN;
for (const { name, path } of tracers) {
  const delays = await measure(path).catch((error) => {
    console.log(`${name}: ${error.message}`);
  });
  if (delays === undefined) continue;
  const middle = median(delays);
  if (name === 'insitu') ours = middle;
  const ratio = name === 'insitu' ? '' : `   insitu: ${(ours / middle).toFixed(2)}×`;
  console.log(
    `${name.padEnd(36)} median ${middle.toFixed(2).padStart(7)} ms, longest ${Math.max(...delays)
      .toFixed(1)
      .padStart(7)} ms${ratio}`,
  );
}
if (!(ours < 100)) fail('the median is to be below 100 ms');
