/**
 * npm run test:unwind [-- STACKS]
 * Stacks of a mixed load (C, C++, Rust, Go, python3, bash, Node, Envoy with a client), at
 * profile:hz:99 and at system calls, until STACKS (10,000) have been taken: how many end at
 * the start of their program or thread, as readelf tells (starts.ts), and why the others
 * end. Fails when fewer than 99 of 100 do. Those of the first ten seconds, in which the
 * files of all processes of the machine are read, are told by themselves.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MapValue, trace, valueText } from '../../src/session/index.ts';
import { configuration } from '../envoy.ts';
import { envoy, root, sleep } from '../insitu.ts';
import { Starts } from './starts.ts';

const wanted = Number(process.argv[2] ?? '10000');
const folder = mkdtempSync(join(tmpdir(), 'insitu-share-'));
const children: ChildProcess[] = [];
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});
const built = (name: string): string => join(folder, name);
const source = (name: string): string => join(root, 'test', 'unwind', 'programs', name);

function build(command: string, ...args: string[]): boolean {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8', cwd: folder });
  if (status === 0) return true;
  console.log(`without ${args.at(-1)}: ${command}: ${error?.message ?? stderr.split('\n')[0]}`);
  return false;
}
function start(name: string, command: string, ...args: string[]): void {
  const child = spawn(command, args, { cwd: folder, stdio: 'ignore' });
  child.on('error', (error) => console.log(`without ${name}: ${error.message}`));
  if (child.pid !== undefined) children.push(child);
}
const found = (name: string): string | undefined =>
  [...(process.env['PATH'] ?? '').split(':'), '/usr/local/go/bin', join(homedir(), '.cargo/bin')]
    .map((path) => join(path, name))
    .find((path) => existsSync(path));

const bare = ['-O2', '-g0', '-fomit-frame-pointer', '-pthread'];
if (build('gcc', ...bare, '-o', 'frames', source('frames.c'), source('library.c'))) start('C', built('frames'), 'loop');
writeFileSync(
  built('loop.cc'),
  `#include <algorithm>
#include <map>
#include <string>
#include <thread>
#include <unistd.h>
static int work() { std::map<std::string, int> m; for (int i = 0; i < 500; i++) m[std::to_string(i * 7919 % 1000)] += i; return m.size(); }
int main() { std::thread other([] { for (;;) { work(); usleep(500); } }); for (;;) { work(); usleep(500); } }
`,
);
if (build('g++', ...bare, '-o', 'loopcxx', 'loop.cc')) start('C++', built('loopcxx'));
writeFileSync(
  built('loop.rs'),
  `use std::{collections::HashMap, thread, time::Duration};
fn work() -> usize { let mut m = HashMap::new(); for i in 0..500u64 { *m.entry(format!("{}", i * 7919 % 1000)).or_insert(0) += i; } m.len() }
fn main() { thread::spawn(|| loop { work(); thread::sleep(Duration::from_micros(500)); }); loop { work(); thread::sleep(Duration::from_micros(500)); } }
`,
);
const rustc = found('rustc');
if (rustc !== undefined && build(rustc, '-O', '-o', 'looprs', 'loop.rs')) start('Rust', built('looprs'));
writeFileSync(
  built('loop.go'),
  `package main

import (
	"fmt"
	"time"
)

func work() int {
	m := map[string]int{}
	for i := 0; i < 500; i++ {
		m[fmt.Sprint(i*7919%1000)] += i
	}
	return len(m)
}

func main() {
	go func() {
		for {
			work()
			time.Sleep(500 * time.Microsecond)
		}
	}()
	for {
		work()
		time.Sleep(500 * time.Microsecond)
	}
}
`,
);
const go = found('go');
const goCache = join(process.env['INSITU_TEST_CACHE'] ?? join(homedir(), '.cache', 'insitu-test'), 'go-build');
if (
  go !== undefined &&
  build('env', 'GO111MODULE=off', `GOCACHE=${goCache}`, 'CGO_ENABLED=0', go, 'build', '-o', 'loopgo', 'loop.go')
) {
  start('Go', built('loopgo'));
}
writeFileSync(
  built('loop.py'),
  'import json, time\nwhile True:\n  json.dumps(sorted({str(i): [i] for i in range(300)}.items(), key=lambda x: x[0]))\n  time.sleep(0.0005)\n',
);
start('python3', '/usr/bin/python3', built('loop.py'));
writeFileSync(
  built('loop.sh'),
  'exec 3<> fifo\nf() { if [ $1 = 0 ]; then umask > /dev/null; else f $(($1 - 1)); fi; }\nwhile :; do f 20; read -t 0.01 -u 3 _; done\n',
);
spawnSync('mkfifo', [built('fifo')]);
start('bash', '/bin/bash', built('loop.sh'));
writeFileSync(
  built('loop.js'),
  "const fs = require('fs');\nfunction f(n) { return n === 0 ? fs.statSync('.').size : f(n - 1) + 1; }\nsetInterval(() => { f(10); JSON.stringify([3, 1, 2].sort((a, b) => { f(3); return a - b; })); }, 1);\n",
);
start('Node', process.execPath, built('loop.js'));

let client: NodeJS.Timeout | undefined;
if (existsSync(envoy)) {
  const port = 20000 + (process.pid % 10000);
  const path = configuration(folder, '127.0.0.1', port);
  start('Envoy', envoy, '-c', path, '--disable-hot-restart', '--log-level', 'off', '--concurrency', '1');
  client = setInterval(() => {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
    );
    socket.on('error', () => {}).resume();
  }, 20);
} else console.log(`without Envoy: it is not at ${envoy}`);
await sleep(2000);

interface Share {
  all: number;
  whole: number;
  /** By program: stacks, those that end properly, and where those end. */
  readonly programs: Map<string, { all: number; whole: number; ends: Map<string, number> }>;
  /** The last lines of those that do not. */
  readonly others: Map<string, number>;
}
const starts = new Starts();
/** While the trace is there: frames are read, and named, when they are asked for. */
function shareOf(stacks: MapValue): Share {
  const programs: Share['programs'] = new Map();
  const others: Share['others'] = new Map();
  let all = 0;
  let whole = 0;
  for (const { key, value } of stacks.entries) {
    const [comm, stack] = key;
    if (comm === undefined || stack?.kind !== 'stack' || value.kind !== 'int') continue;
    const count = Number(value.value);
    const name = valueText(comm, running.wording);
    const lines = valueText(stack, running.wording).trim().split('\n');
    const frames =
      stack.stored === undefined
        ? stack.frames
        : (running.wording.names.storedStack(stack.stored.map, stack.stored.id, stack.stored.count) ?? []);
    const start = frames.length === 0 ? undefined : starts.at(stack.pid, BigInt(frames.at(-1) as number));
    const last = start ?? (lines.at(-1) ?? '').trim().replace(/\+\d+$/, '');
    const own = programs.get(name) ?? { all: 0, whole: 0, ends: new Map<string, number>() };
    programs.set(name, own);
    own.all += count;
    all += count;
    if (stack.end === 'complete' && start !== undefined) {
      own.whole += count;
      whole += count;
    } else others.set(lines.slice(-2).join(' | '), (others.get(lines.slice(-2).join(' | ')) ?? 0) + count);
    own.ends.set(last, (own.ends.get(last) ?? 0) + count);
  }
  return { all, whole, programs, others };
}
const told = ({ all, whole }: Share): string =>
  `${whole} of ${all} stacks (${((100 * whole) / Math.max(1, all)).toFixed(2)} %) end at the start of their program or thread`;

const filter = children.map(({ pid }) => `pid == ${pid}`).join(' || ');
const running = await trace({
  script: `config = { max_map_keys = 65536 }
    profile:hz:99, tracepoint:raw_syscalls:sys_enter /${filter}/ {
      if (elapsed < 10s) {
        @first[comm, ustack] = count();
      } else {
        @[comm, ustack] = count();
        @taken++;
        if (@taken >= ${wanted}) { exit(); }
      }
    }`,
  environment: {},
});
const limit = setTimeout(() => running.stop(), 120_000);
let early = '';
let guessed = 0;
let first: Share | undefined;
let share: Share | undefined;
const render = (event: { readonly what: string; readonly count: number; readonly reason?: string }): void => {
  if (event.what === 'stacks') early = `${event.count} ${event.reason}`;
  if (event.what === 'guesses') guessed = event.count;
};
for await (const event of running) {
  if (event.type === 'dropped') render(event);
  if (event.type === 'map' && event.map.name === '') share = shareOf(event.map);
  if (event.type === 'map' && event.map.name === 'first') first = shareOf(event.map);
}
clearTimeout(limit);
clearInterval(client);

if (share === undefined) throw new Error('no stack was taken');
for (const [name, { all: taken, whole: good, ends }] of [...share.programs].sort((a, b) => b[1].all - a[1].all)) {
  const shown = [...ends].sort((a, b) => b[1] - a[1]).slice(0, 4);
  console.log(`${name}: ${good} of ${taken}; ${shown.map(([last, count]) => `${last} ${count}`).join(', ')}`);
}
console.log(told(share));
if (first !== undefined) console.log(`in the first ten seconds: ${told(first)}`);
console.log(`early, in all: ${early === '' ? 'none' : early}; by frame pointers in part: ${guessed}`);
for (const [text, count] of [...share.others].sort((a, b) => b[1] - a[1]).slice(0, 15))
  console.log(`  ${count} ${text}`);
process.exit(share.whole / share.all >= 0.99 ? 0 : 1);
