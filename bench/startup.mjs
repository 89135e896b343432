// npm run bench:startup [-- --peer PATH] [--runs N]
// `BEGIN { exit() }`, the whole process: wall time and peak memory of insitu beside
// Debian's bpftrace and any --peer, in turns, so that all meet the same machine.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { buildExecutable, executable, fail, install } from '../tools/setup.mjs';

const { values } = parseArgs({
  options: { peer: { type: 'string', multiple: true, default: [] }, runs: { type: 'string', default: '15' } },
});
const runs = Number(values.runs);
if (!(runs >= 1)) fail(`--runs takes a number, not '${values.runs}'`);
if (process.getuid?.() !== 0) fail('the benchmark loads programs into the kernel: run it as root');
install();
buildExecutable();

const script = 'BEGIN { exit() }';
const programs = [{ name: 'insitu', path: executable }];
for (const path of ['/usr/bin/bpftrace', ...values.peer]) {
  if (existsSync(path)) programs.push({ name: path, path });
  else
    console.log(`without ${path}: it is not there${path === '/usr/bin/bpftrace' ? ' (apt-get install bpftrace)' : ''}`);
}

/** Two runs: wall time in milliseconds, peak resident memory in MB (time(1) reads it from wait4). */
function measure(path) {
  const start = process.hrtime.bigint();
  const { status } = spawnSync(path, ['-e', script], { stdio: 'ignore' });
  const wall = Number(process.hrtime.bigint() - start) / 1e6;
  const time = spawnSync('/usr/bin/time', ['-f', '%M', path, '-e', script], { encoding: 'utf8' });
  if (status !== 0) fail(`${path} -e '${script}' ended with ${status}:\n${time.stderr}`);
  return { wall, memory: Number(time.stderr.trim().split('\n').pop()) / 1024 };
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
if (!existsSync('/usr/bin/time')) fail('peak memory is measured by /usr/bin/time: apt-get install time');

const results = new Map(programs.map(({ name }) => [name, []]));
for (const { path } of programs) measure(path); // warms the page cache
for (let run = 0; run < runs; run++) for (const { name, path } of programs) results.get(name).push(measure(path));

const ours = results.get('insitu');
const of = (list, key) => median(list.map((item) => item[key]));
console.log(`${script}, whole process, median of ${runs} runs`);
for (const [name, list] of results) {
  const wall = of(list, 'wall');
  const memory = of(list, 'memory');
  const ratio =
    list === ours
      ? ''
      : `   insitu: ${(of(ours, 'wall') / wall).toFixed(2)}× wall, ${(of(ours, 'memory') / memory).toFixed(2)}× memory`;
  console.log(`${name.padEnd(36)} ${wall.toFixed(0).padStart(6)} ms ${memory.toFixed(1).padStart(7)} MB${ratio}`);
}
