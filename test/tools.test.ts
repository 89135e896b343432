/**
 * The scripts of tools/: each has a usage line and an example, is in canonical form,
 * and shows something that the test did, by the test's own knowledge of what that was.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { formatScript } from '../src/compiler/syntax/format.ts';
import { parse } from '../src/compiler/syntax/parse.ts';
import { Diagnostics } from '../src/diag/diagnostic.ts';
import { Source } from '../src/diag/source.ts';
import { lacking, type Outcome, Running, root, sleep } from './insitu.ts';

const skip = lacking('tracefs');
const folder = join(root, 'tools');
const tools = readdirSync(folder).filter((file) => file.endsWith('.bt'));
const run = promisify(execFile);
/** Runs a shell command; its failure may be what is wanted. */
const shell = (command: string): Promise<unknown> => run('bash', ['-c', command]).catch(() => {});

/** A node process that serves itself over TCP, sleeps, allocates and collects garbage, until it is ended. */
const busyProgram = `
const net = require('net');
const server = net.createServer((socket) => socket.end('hi'));
server.listen(0, '127.0.0.1', () => {
  const again = () => {
    const waste = [];
    for (let i = 0; i < 1e5; i++) waste.push({ i });
    const client = net.connect(server.address().port, '127.0.0.1');
    client.resume();
    client.on('close', () => setTimeout(again, 5));
  };
  again();
});
setTimeout(() => process.exit(), 1200000);
`;
let busy: (ChildProcess & { readonly pid: number }) | undefined;
/** Its pid; started when it is first asked for. */
function busyPid(): string {
  busy ??= spawn(process.execPath, ['-e', busyProgram], { stdio: 'ignore' }) as ChildProcess & { readonly pid: number };
  return String(busy.pid);
}
after(() => busy?.kill('SIGKILL'));

interface Trial {
  /** Parameters of the script. */
  readonly words?: () => readonly string[];
  /** What is done once the probes are attached; without it, the busy process does enough. */
  readonly act?: () => Promise<unknown>;
  readonly shows: readonly RegExp[];
}

const ofBusy = (...more: string[]): readonly string[] => [...more, '--', `--pid=${busyPid()}`];
const connectToNobody = (): Promise<unknown> => shell('exec 3<>/dev/tcp/127.0.0.1/1');
const scratch = `/tmp/insitu-tools-${process.pid}`;
after(() => rmSync(scratch, { force: true, recursive: true }));

const trials: Readonly<Record<string, Trial>> = {
  accepts: { words: () => ofBusy(), shows: [/node +fd \d+ +\d+ us {2}/] },
  biolat: {
    act: () => shell(`dd if=/dev/zero of=${scratch} bs=64k count=4 oflag=direct`),
    shows: [/@microseconds\[W/],
  },
  bios: {
    act: () => shell(`dd if=/dev/zero of=${scratch} bs=64k count=1 oflag=direct`),
    // A busy machine's kworker may hand the request on in dd's place.
    shows: [/(dd|kworker\S*) +\d+,\d+ +W\w* +sector \d+ +65536 bytes +\d+ us/],
  },
  connects: { act: connectToNobody, shows: [/bash +\d+ us {2}127\.0\.0\.1 port 1: Connection refused/] },
  deletes: {
    act: () => shell(`: > ${scratch}.a; mv ${scratch}.a ${scratch}.b; rm ${scratch}.b`),
    shows: [new RegExp(`mv +renames ${scratch}.a to ${scratch}.b`), new RegExp(`rm +removes ${scratch}.b`)],
  },
  dns: {
    act: () => shell('getent ahosts localhost; getent ahosts no-such-host.invalid'),
    shows: [/getent +\d+ us {2}localhost: found/, /getent +\d+ us {2}no-such-host\.invalid: (no such name|failed)/],
  },
  drops: { act: connectToNobody, shows: [/@by_place\[\w+\]: \d+/, /@by_reason\[\w+\]: \d+/] },
  envoyconnections: { shows: [] },
  epolls: { words: () => ofBusy(), shows: [/@events\[node\]:\n\[\d+\]/, /@wait_us\[node\]:\n\[/] },
  execs: {
    act: () => shell('/bin/true one two'),
    shows: [/started by \d+ +bash +\/bin\/true one two$/m],
  },
  exits: {
    act: () => shell('sh -c "exit 7"; sleep 5 & kill -TERM $!; wait'),
    shows: [/sh +exit status 7, after \d+ ms/, /(sleep|bash) +killed by signal 15 \(Terminated\)/],
  },
  faults: { act: () => shell('true'), shows: [/@by_program\[bash\]: \d+/, /@by_code\[bash, [^\]]+\]: \d+/] },
  fsyncs: {
    act: () => shell(`dd if=/dev/zero of=${scratch} bs=4k count=1 conv=fsync`),
    shows: [/dd +tracepoint:syscalls:sys_exit_fsync +\d+ us/],
  },
  getenvs: {
    act: () => shell('TZ=UTC date'),
    shows: [/date +TZ = UTC$/m],
  },
  libraries: { act: () => shell('cat /dev/null'), shows: [/cat +\S*libc\.so\.6/] },
  locks: { words: () => ofBusy(), shows: [/@microseconds:\n\[/] },
  mallocs: { words: () => ofBusy(), shows: [/@sizes:\n\[/, /@not_freed\[\n {8}\S/] },
  memgrowth: { act: () => shell('cat /dev/null'), shows: [/@mapped\[cat, \n? {8}/, /@total_unmapped\[cat\]: \d+/] },
  nodegc: { words: () => ofBusy(process.execPath), shows: [/node +\d+ us\n/, /@microseconds:\n\[/] },
  nodeloop: { words: () => ofBusy(process.execPath), shows: [/@waits_us:\n\[/, /@works_us:\n\[/] },
  offcpu: { words: () => ofBusy(), shows: [/@microseconds\[\n {8}[^\n]*\n[\s\S]*\]: \d+/] },
  oncpu: { words: () => ofBusy(), shows: [/@\[\n {8}[\s\S]*\]: \d+/] },
  oomkills: { shows: [] },
  opens: {
    act: () => shell(`cat ${root}/package.json ${root}/there-is-none`),
    shows: [/cat +\S+\/package\.json = 3$/m, /cat +\S+\/there-is-none: No such file or directory$/m],
  },
  retransmits: { shows: [] },
  runqlat: { words: () => ['--', '--seconds=1'], shows: [/@microseconds:\n\[/] },
  runqlen: { words: () => ['--', '--seconds=1'], shows: [/@waiting\[\d+\]:\n\[/] },
  rwbytes: {
    act: () => shell('head -c 70000 /dev/zero > /dev/null'),
    shows: [/@written\[head, 1\]: 70000$/m],
  },
  signals: {
    act: () => shell('sleep 5 & kill -USR1 $!; wait'),
    shows: [/bash +sends 10 \(User defined signal 1\) to \d+ (sleep|bash)/],
  },
  sleeps: {
    act: () => shell('sleep 0.025'),
    shows: [/sleep +(for 0\.025000000|until \d+\.\d{9}) s\n {8}clock_nanosleep/],
  },
  slowcalls: { words: () => [...ofBusy(), '--ms=3'], shows: [/node +epoll_p?wait2?: \d+ ms\n {8}\S/] },
  sockets: {
    words: () => [busyPid()],
    shows: [/== accept fd=\d+/],
  },
  softirqs: { act: connectToNobody, shows: [/@microseconds\[[A-Z_]+\]: \d+/] },
  syscount: { act: () => shell('true'), shows: [/@by_name\[execve\]: \d+/, /@by_program\[bash\]: \d+/] },
  syserrors: {
    act: () => shell(`cat ${root}/there-is-none`),
    shows: [/@\[cat, openat, No such file or directory\]: \d+/],
  },
  syslat: { words: () => ofBusy(), shows: [/@nanoseconds\[epoll_p?wait2?\]: count \d+, average \d+, total \d+/] },
  tcplife: {
    act: async () => {
      busyPid();
      await sleep(1000);
    },
    shows: [/127\.0\.0\.1 port \d+ to 127\.0\.0\.1 port \d+: \d+ ms/],
  },
  tcpstates: {
    act: connectToNobody,
    shows: [/bash +127\.0\.0\.1 port 0 to 127\.0\.0\.1 port 1: CLOSE to SYN_SENT/, /port 1: SYN_SENT to CLOSE/],
  },
  threads: { act: () => shell('/bin/true; true'), shows: [/bash +new process \d+/] },
};

test('each tool says how it is used, shows an example, and is in canonical form', () => {
  assert.deepEqual(Object.keys(trials).sort(), tools.map((file) => file.slice(0, -3)).sort());
  for (const file of tools) {
    const text = readFileSync(join(folder, file), 'utf8');
    assert.match(text, /^#!\/usr\/bin\/env insitu\n\/\/ \S[^\n]*\n/, file);
    assert.ok(text.includes(`//     insitu tools/${file}`), `${file}: a usage line`);
    if (file !== 'sockets.bt') assert.match(text, /^\/\/ {9}\S/m, `${file}: an example`);
    const source = new Source(file, text);
    assert.equal(formatScript(source, parse(source, new Diagnostics())), text, file);
  }
});

describe('the tools on real events', { skip }, () => {
  for (const file of tools) {
    const name = file.slice(0, -3);
    const trial = trials[name];
    if (trial === undefined) continue;
    // What these three watch for takes a program or an event that a test does not make; their attaching is checked.
    if (trial.shows.length === 0) {
      test(`${name}: attaches`, { timeout: 100_000, skip: name.startsWith('envoy') && lacking('envoy') }, async () => {
        const { envoy } = await import('./insitu.ts');
        const words = name.startsWith('envoy') && existsSync(envoy) ? [envoy] : [];
        const { status, stderr } = await new Running(['-q', '--dry-run', join(folder, file), ...words], {
          timeout: 90_000,
        }).ended();
        assert.equal(status, 0, stderr);
      });
      continue;
    }
    test(name, { timeout: 240_000 }, async () => {
      // Tried up to three times, each with a new tracer. The kernel does not run a program while another one runs on
      // that CPU, another tracer's too, and other tests trace at the same time: a program that takes a stack at each
      // system call makes it leave out block_rq_complete, an interrupt, in one of four runs of biolat. That is told;
      // a tool that shows nothing three times is wrong.
      // The busy process gets more time when what is waited for has not come: a loaded machine is slow.
      for (const milliseconds of [700, 2000, 5000]) {
        const tracer = new Running(['-q', join(folder, file), ...(trial.words?.() ?? [])], { timeout: 60_000 });
        await tracer.attached();
        await (trial.act?.() ?? sleep(milliseconds));
        const seconds: boolean = trial.words?.().some((word) => word.startsWith('--seconds')) === true;
        const { stdout, stderr, status }: Outcome = await (seconds ? tracer.ended() : tracer.interrupt());
        assert.equal(status, 0, stderr);
        if (trial.shows.every((pattern) => pattern.test(stdout))) return;
        if (milliseconds < 5000) continue;
        for (const pattern of trial.shows) assert.match(stdout, pattern, stderr);
      }
    });
  }
});
