// npm run bench:dwarf [-- --runs N] [-- FILE TYPE …]
// A type of a program, and all of them, from nothing and with what that run has kept: wall time and peak memory of
// `insitu types` beside `gdb -batch` and pahole, in turns. Then what DWARF costs a script
// that uses none.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildExecutable, executable, fail, install } from '../tools/setup.mjs';

const { values, positionals } = parseArgs({
  options: { runs: { type: 'string', default: '7' } },
  allowPositionals: true,
});
const runs = Number(values.runs);
if (!(runs >= 1)) fail(`--runs takes a number, not '${values.runs}'`);
if (!existsSync('/usr/bin/time')) fail('peak memory is measured by /usr/bin/time: apt-get install time');
install();
buildExecutable();

/** libc's debug file, by the build-id of the library. */
function libc() {
  const { stdout = '' } = spawnSync('readelf', ['-n', '/lib/x86_64-linux-gnu/libc.so.6'], { encoding: 'utf8' });
  const [, id = ''] = /Build ID: ([0-9a-f]+)/.exec(stdout) ?? [];
  return `/usr/lib/debug/.build-id/${id.slice(0, 2)}/${id.slice(2)}.debug`;
}

const python = '/usr/bin/python3-dbg';
const files = [];
for (let at = 0; at + 1 < positionals.length; at += 2) files.push([positionals[at], positionals[at + 1]]);
if (files.length === 0) {
  if (existsSync(libc())) files.push([libc(), 'link_map']);
  else console.log('without libc: there is no debug file (apt-get install libc6-dbg)');
  if (existsSync(python)) files.push([realpathSync(python), '_ts']);
  else console.log(`without ${python}: it is not there (apt-get install python3-dbg)`);
}

const folder = mkdtempSync(join(tmpdir(), 'insitu-bench-'));
const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Wall time in milliseconds, peak resident memory in MB. `before` makes ready. */
function measure([command, ...args], cache) {
  const env = { ...process.env, XDG_CACHE_HOME: cache };
  const began = process.hrtime.bigint();
  const { status } = spawnSync(command, args, { stdio: 'ignore', env });
  const wall = Number(process.hrtime.bigint() - began) / 1e6;
  if (status !== 0) fail(`${command} ${args.join(' ')} ended with ${status}`);
  return wall;
}

function memory([command, ...args], cache) {
  const env = { ...process.env, XDG_CACHE_HOME: cache };
  const { stderr } = spawnSync('/usr/bin/time', ['-f', '%M', command, ...args], { encoding: 'utf8', env });
  return Number(stderr.trim().split('\n').pop()) / 1024;
}

for (const [file, type] of files) {
  compare(`struct ${type} of ${file}`, {
    insitu: [executable, 'types', file, `struct ${type}`],
    'gdb -batch': ['gdb', '-nx', '-batch', '-ex', `ptype /o struct ${type}`, file],
    pahole: ['pahole', '-C', type, file],
  });
  // This needs the index, or as much reading as an index takes.
  compare(`all structures of ${file}`, {
    insitu: [executable, 'types', file],
    'gdb -batch': ['gdb', '-nx', '-batch', '-ex', 'info types .', file],
    pahole: ['pahole', file],
  });
}

/** Measures in turns, and prints medians and ratios. */
function compare(what, { insitu, ...peers }) {
  const kept = mkdtempSync(join(folder, 'kept-'));
  const ways = [
    { name: 'insitu, from nothing', command: insitu, fresh: true },
    { name: 'insitu, again', command: insitu, fresh: false },
    ...Object.entries(peers).map(([name, command]) => ({ name, command, fresh: false })),
  ].filter(({ command }) => spawnSync(command[0], ['--version']).error === undefined);
  const results = new Map(ways.map(({ name }) => [name, { wall: [], memory: [] }]));
  for (const { command } of ways) measure(command, kept); // warms the page cache, and keeps what is kept
  for (let run = 0; run < runs; run++) {
    for (const { name, command, fresh } of ways) {
      const cache = () => (fresh ? mkdtempSync(join(folder, 'fresh-')) : kept);
      results.get(name).wall.push(measure(command, cache()));
      results.get(name).memory.push(memory(command, cache()));
    }
  }
  console.log(`${what}, median of ${runs} runs`);
  const ours = results.get('insitu, from nothing');
  for (const [name, { wall, memory: bytes }] of results) {
    const ratio = name.startsWith('insitu')
      ? ''
      : `   insitu from nothing: ${(median(ours.wall) / median(wall)).toFixed(2)}× wall, ${(median(ours.memory) / median(bytes)).toFixed(2)}× memory`;
    console.log(
      `  ${name.padEnd(24)} ${median(wall).toFixed(0).padStart(6)} ms ${median(bytes).toFixed(1).padStart(7)} MB${ratio}`,
    );
  }
}

if (process.getuid?.() === 0) {
  const scripts = {
    'BEGIN { exit() }': 'BEGIN { exit() }',
    'a uprobe without names': 'uprobe:libc:getaddrinfo { @[arg0] = count(); } BEGIN { exit() }',
    'a uprobe with args.name': 'uprobe:libc:getaddrinfo { @[args.name] = count(); } BEGIN { exit() }',
  };
  const times = new Map(Object.keys(scripts).map((name) => [name, []]));
  for (let run = 0; run < runs; run++) {
    for (const [name, script] of Object.entries(scripts))
      times.get(name).push(measure([executable, '-q', '-e', script], join(folder, 'kept')));
  }
  console.log('start-up, whole process');
  for (const [name, list] of times) console.log(`  ${name.padEnd(24)} ${median(list).toFixed(0).padStart(6)} ms`);
}
rmSync(folder, { recursive: true, force: true });
