// What the benchmarks share: the tracers to compare, started until attached, stopped, measured.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { buildExecutable, executable, fail, install } from '../tools/setup.mjs';

const word = '__BPFTRACE_NOTIFY_PROBES_ATTACHED';

/**
 * Reads the options (`--peer PATH`, `--insitu PATH` in place of a fresh build, and the
 * benchmark's own) and gives them with the tracers, insitu first.
 */
export function setUp(options = {}) {
  const { values } = parseArgs({
    options: { peer: { type: 'string', multiple: true, default: [] }, insitu: { type: 'string' }, ...options },
  });
  if (process.getuid?.() !== 0) fail('the benchmark attaches probes: run it as root');
  if (values.insitu === undefined) {
    install();
    buildExecutable();
  }
  const tracers = [{ name: 'insitu', path: values.insitu ?? executable }];
  for (const path of ['/usr/bin/bpftrace', ...values.peer]) {
    if (existsSync(path)) tracers.push({ name: path, path });
    else
      console.log(
        `without ${path}: it is not there${path === '/usr/bin/bpftrace' ? ' (apt-get install bpftrace)' : ''}`,
      );
  }
  return { values, tracers };
}

export const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Peak resident memory in MB so far. */
const memory = (pid) => Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;

/**
 * Starts a tracer; resolves when its probes are attached, with the milliseconds since
 * its start and `stop()`, which interrupts it and resolves with the milliseconds until
 * its end, its peak memory, the end of its output and the lines of all of it. Rejects after `limit` milliseconds.
 */
export function start(path, args, { cpu, limit = 60_000, environment = {} } = {}) {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const [command, ...rest] = cpu === undefined ? [path, ...args] : ['taskset', '-c', String(cpu), path, ...args];
    const child = spawn(command, rest, {
      env: {
        ...process.env,
        BPFTRACE_MAX_PROBES: '1000000',
        BPFTRACE_MISSING_PROBES: 'ignore',
        [word]: '1',
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr, lines] = ['', '', 0];
    const ended = new Promise((settle) => child.once('close', settle));
    const late = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`not attached after ${limit} ms`));
    }, limit);
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(late);
      reject(new Error(stderr.trim().split('\n').slice(-3).join('\n')));
    });
    // 0.17 tells that its probes are attached on standard error.
    child.stderr.on('data', (bytes) => {
      stderr = (stderr + bytes).slice(-4000);
      look();
    });
    child.stdout.on('data', (bytes) => {
      for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++;
      stdout = (stdout + bytes).slice(-1 << 20);
      look();
    });
    const look = () => {
      if (!stdout.includes(word) && !stderr.includes(word)) return;
      clearTimeout(late);
      const attached = performance.now() - began;
      resolve({
        attached,
        pid: child.pid,
        async stop() {
          const peak = memory(child.pid);
          const asked = performance.now();
          child.kill('SIGINT');
          // 0.17 now and then misses a signal that comes while it prints that it is attached.
          const again = setInterval(() => child.kill('SIGINT'), 5000);
          await ended;
          clearInterval(again);
          return {
            detached: performance.now() - asked,
            memory: peak,
            stdout: stdout.replace(`${word}\n`, ''),
            lines,
            stderr,
          };
        },
      });
    };
  });
}
