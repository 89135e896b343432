// npm run bench:sockets [-- --peer PATH] [--rounds N] [--seconds N] [--script FILE] [--only WORD]
// What following a server's sockets costs it: requests a second of Envoy under wrk, with
// each tracer attached, as a share of those without one just before and just after. Two
// loads: connections that are kept, and a connection for each request, which is what
// sockets are watched for. insitu sockets beside `strace -f -k -e trace=network` and the
// article's script in each peer (its includes and AF_ names taken out, or it does not
// start). Ends with 1 when insitu costs more than a script that tells less.
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { envoyConfiguration, envoyPath } from '../tools/programs.mjs';
import { fail, root } from '../tools/setup.mjs';
import { median, setUp, start } from './tracers.mjs';

/** A lost share of the throughput that is within what two runs of the same differ by. */
const noise = 0.03;

const { values, tracers } = setUp({
  rounds: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '2' },
  script: { type: 'string', default: join(root, '..', 'shared', 'cases', 'trace-envoy-socket.bt') },
  only: { type: 'string', default: '' },
});
const [insitu, ...peers] = tracers;
if (!existsSync(envoyPath)) fail(`needs Envoy at ${envoyPath}: node tools/programs.mjs fetches it`);

const folder = mkdtempSync(join(tmpdir(), 'insitu-bench-'));
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const port = await freePort();
writeFileSync(join(folder, 'envoy.yaml'), envoyConfiguration({ port }));
const words = ['-c', join(folder, 'envoy.yaml'), '--use-dynamic-base-id', '-l', 'off', '--concurrency', '1'];
const server = spawn('taskset', ['-c', '0', envoyPath, ...words], { stdio: 'ignore' });
process.on('exit', () => {
  server.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});
for (let tries = 0; ; tries++) {
  const up = await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false));
    socket.once('close', () => {}).unref();
    setTimeout(() => socket.destroy(), 100);
  });
  if (up) break;
  if (tries > 200) fail('Envoy does not listen');
  await pause(100);
}

/** The article's script as bpftrace takes it without kernel headers: numbers in place of what they define. */
function articleScript() {
  const text = readFileSync(values.script, 'utf8')
    .replace(/^#include.*$/gm, '')
    .replace(/@fam2str\[AF_\w+\] = "\w+";/g, '')
    .replace(/clear\(@fam2str\);/g, '')
    .replace(/\bAF_INET6\b/g, '10')
    .replace(/\bAF_INET\b/g, '2');
  const path = join(folder, 'article.bt');
  writeFileSync(path, text.replace(/BEGIN\s*\{\s*\}/, ''));
  return path;
}

const pid = String(server.pid);
/** How each is attached; gives what ends it. */
const contestants = [
  {
    name: 'insitu sockets',
    start: () => start(insitu.path, ['sockets', '-p', pid, '-o', '/dev/null'], { cpu: 1 }),
  },
  {
    name: 'insitu sockets --events',
    start: () => start(insitu.path, ['sockets', '-p', pid, '--events', '-o', '/dev/null'], { cpu: 1 }),
  },
  ...(existsSync(values.script)
    ? [insitu, ...peers].map(({ path }) => ({
        name: `the article's script, ${path === insitu.path ? 'insitu' : path}`,
        start: () => start(path, ['-o', '/dev/null', articleScript(), pid], { cpu: 1 }),
      }))
    : []),
  { name: 'strace -f -k -e trace=network', start: strace },
];
if (!existsSync(values.script)) console.log(`without the article's script: ${values.script} is not there (--script)`);

async function strace() {
  const child = spawn(
    'taskset',
    ['-c', '1', 'strace', '-f', '-k', '-e', 'trace=network', '-o', '/dev/null', '-p', pid],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const ended = new Promise((resolve) => child.once('close', resolve));
  await new Promise((resolve, reject) => {
    child.stderr.on('data', (data) => String(data).includes('attached') && resolve());
    child.once('close', () => reject(new Error('strace ended')));
    child.once('error', () => reject(new Error('strace is not there (apt-get install strace)')));
  });
  return {
    pid: child.pid,
    stop: async () => {
      child.kill('SIGINT');
      await ended;
    },
  };
}

const loads = {
  'connections kept': [],
  'a connection for each request': ['-H', 'Connection: close'],
};

/** Microseconds that all threads of a process have run. */
function cpuTime(process) {
  let sum = 0;
  try {
    for (const thread of readdirSync(`/proc/${process}/task`))
      sum += Number(readFileSync(`/proc/${process}/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
  } catch {}
  return sum / 1000;
}

/** Requests a second, and the microseconds of Envoy and of a tracer that each took. */
async function measure(load, tracer) {
  const before = [cpuTime(pid), tracer === undefined ? 0 : cpuTime(tracer)];
  const { rate, count } = await run(load);
  // What is left in the tracer's buffer belongs to them.
  if (tracer !== undefined) await pause(300);
  const after = [cpuTime(pid), tracer === undefined ? 0 : cpuTime(tracer)];
  return { rate, server: (after[0] - before[0]) / count, tracer: (after[1] - before[1]) / count };
}

async function run(load) {
  const { stdout } = await promisify(execFile)(
    'taskset',
    ['-c', '1', 'wrk', '-t', '1', '-c', '8', '-d', `${values.seconds}s`, ...loads[load], `http://127.0.0.1:${port}/`],
    { timeout: 60_000 },
  );
  const [, count, rate] = /(\d+) requests in[\s\S]*Requests\/sec:\s*([\d.]+)/.exec(stdout) ?? [];
  return { rate: Number(rate ?? 0), count: Math.max(1, Number(count ?? 0)) };
}

console.log(
  `requests a second of Envoy, ${values.rounds} rounds of ${values.seconds} s; Envoy on CPU 0, wrk and the tracer on CPU 1`,
);
let failed = false;
for (const load of Object.keys(loads)) {
  if (!load.includes(values.only)) continue;
  const shares = new Map();
  const lost = new Map();
  const plain = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    let before = await measure(load);
    plain.push(before);
    for (const { name, start: attach } of contestants) {
      let running;
      try {
        running = await attach();
      } catch (error) {
        if (round === 0) console.log(`  ${name}: does not run: ${error.message.split('\n')[0]}`);
        continue;
      }
      // A stripped program is looked through when its first stacks come, and a look at what is open takes a moment.
      if (round === 0) await run(load);
      await pause(500);
      const during = await measure(load, running.pid);
      const { stdout = '', stderr = '' } = (await running.stop()) ?? {};
      const told = [...`${stdout}\n${stderr}`.matchAll(/Lost (\d+) events|(\d+) events were lost/g)];
      lost.set(
        name,
        told.reduce((sum, [, a, b]) => sum + Number(a ?? b), lost.get(name) ?? 0),
      );
      const after = await measure(load);
      plain.push(after);
      const share = (2 * during.rate) / (before.rate + after.rate);
      const added = during.server - (before.server + after.server) / 2;
      shares.set(name, [...(shares.get(name) ?? []), { share, added, own: during.tracer }]);
      before = after;
    }
  }
  const untraced = median(plain.map(({ server }) => server));
  const rate = median(plain.map((one) => one.rate));
  console.log(`${load}: ${rate.toFixed(0)} untraced, ${untraced.toFixed(1)} µs of Envoy each`);
  const middle = (name, of) => median((shares.get(name) ?? []).map((one) => one[of]));
  for (const [name, all] of shares) {
    const list = all.map(({ share }) => 100 * share);
    const range = `${Math.min(...list).toFixed(0)} to ${Math.max(...list).toFixed(0)} %`;
    const times = `${middle(name, 'added').toFixed(1)} µs more of Envoy, ${middle(name, 'own').toFixed(1)} µs of its own`;
    const less = lost.get(name) > 0 ? `, ${lost.get(name)} events lost` : '';
    console.log(`  ${name.padEnd(48)} ${median(list).toFixed(1)} % of it (${range}), ${times}${less}`);
  }
  for (const name of shares.keys()) {
    // One that loses what it should tell has done only a part.
    if (!name.startsWith("the article's script, /") || lost.get(name) > 0) continue;
    if (middle('insitu sockets', 'share') >= middle(name, 'share') - noise) continue;
    console.log(`  insitu sockets costs more than ${name}`);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);
