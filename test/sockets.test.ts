/** `insitu sockets` beside what the programs themselves, their clients and /proc say. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { Report } from '../src/answers/sockets/report.ts';
import { configuration, client as connected, freePort } from './envoy.ts';
import { envoy, lacking, Running, sleep } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-sockets-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Echoes in capitals, with TCP_NODELAY and keep-alive; tells its port; ends on the word `end`. */
const echo = `
const server = require('net').createServer((socket) => {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 30000);
  socket.on('data', (data) => {
    if (String(data) === 'end') { socket.end(); server.close(); }
    else socket.write(String(data).toUpperCase());
  });
});
server.listen(Number(process.argv[1] ?? 0), '127.0.0.1', 77, () => console.error('port ' + server.address().port));
`;

const answer = (socket: Socket): Promise<string> =>
  new Promise((resolve) => socket.once('data', (data) => resolve(String(data))));
const closed = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()));
const reportIn = (text: string): Report => JSON.parse(text.trim().split('\n').at(-1) ?? '') as Report;

/** Backlog and address of a listener, as /proc/PID/net/tcp has it. */
function listensIn(pid: number, port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return readFileSync(`/proc/${pid}/net/tcp`, 'latin1').includes(`0100007F:${hex} 00000000:0000 0A`);
}

describe('sockets', { skip: lacking('tracefs') }, () => {
  test('a command: who listens, with which options, whom it accepted', { timeout: 60_000 }, async () => {
    const port = await freePort();
    const script = join(folder, 'echo.cjs');
    writeFileSync(script, echo.replace('process.argv[1]', 'process.argv[2]'));
    const tracer = new Running(['sockets', '--json', '-c', `${process.execPath} ${script} ${port}`], {
      timeout: 50_000,
    });
    const client = await connected(port, '127.0.0.1');
    const own = { port: client.localPort, sent: 0, received: 0 };
    client.write('hello');
    assert.equal(await answer(client), 'HELLO');
    client.write('end');
    await closed(client);
    own.sent = client.bytesWritten;
    own.received = client.bytesRead;
    const { stdout, stderr, status } = await tracer.ended();
    assert.equal(status, 0, stderr);
    const report = reportIn(stdout);
    const listener = report.listeners.find((one) => one.address === `127.0.0.1:${port}`);
    assert.ok(listener, stdout);
    assert.deepEqual(
      [listener.protocol, listener.backlog, listener.reuseAddress, listener.reusePort, listener.open],
      // libuv sets SO_REUSEADDR on every listening socket (uv_tcp_bind); node is told 77.
      ['tcp', 77, true, false, false],
    );
    const connection = report.connections.find((one) => one.peer === `127.0.0.1:${own.port}`);
    assert.ok(connection, stdout);
    assert.deepEqual(
      [connection.way, connection.listener, connection.noDelay, connection.keepAlive, connection.open],
      ['accepted', `127.0.0.1:${port}`, true, true, false],
    );
    assert.deepEqual([connection.received, connection.sent], [own.sent, own.received]);
    const code = (number: number | undefined): string =>
      report.code.find((one) => one.number === number)?.frames.join('\n') ?? '';
    assert.match(code(listener.listenedBy), /^listen\+\d+\n[\s\S]*uv_(tcp_)?listen[\s\S]*node::Start/);
    assert.match(code(connection.noDelayBy), /^setsockopt\+\d+\n[\s\S]*SetNoDelay/);
    const text = report.findings.join('\n');
    assert.match(
      text,
      new RegExp(
        `Port ${port} \\(127\\.0\\.0\\.1:${port}, tcp\\) was listened on by \\S+ \\(pid \\d+, fd \\d+\\), by \\S`,
      ),
    );
    assert.match(text, /SO_REUSEADDR was set on it, by \S.*before bind\./);
    assert.match(text, /The accepted connection has TCP_NODELAY, set by \S.*SetNoDelay.* after accept\./);
  });

  test('a process that has been running: its sockets as they stand, at once', { timeout: 60_000 }, async () => {
    const server = spawn(process.execPath, ['-e', echo], { stdio: ['ignore', 'ignore', 'pipe'] }) as ChildProcess & {
      readonly pid: number;
    };
    try {
      const port = await new Promise<number>((resolve) =>
        server.stderr?.once('data', (data: Buffer) => resolve(Number(/port (\d+)/.exec(String(data))?.[1]))),
      );
      assert.ok(listensIn(server.pid, port));
      const before = await connected(port, '127.0.0.1');
      before.write('one');
      assert.equal(await answer(before), 'ONE');
      const peer = `127.0.0.1:${before.localPort}`;
      const tracer = new Running(['sockets', '--json', '-p', String(server.pid)], { timeout: 50_000 });
      // A look at any time comes with SIGUSR1.
      await tracer.attached();
      let first: Report | undefined;
      for (let tries = 0; tries < 100 && first === undefined; tries++) {
        await sleep(100);
        tracer.child.kill('SIGUSR1');
        await sleep(100);
        if (tracer.output.includes(peer)) first = reportIn(tracer.output);
      }
      assert.ok(first, tracer.output + tracer.stderr);
      const listener = first.listeners.find((one) => one.address === `127.0.0.1:${port}`);
      assert.deepEqual(
        [listener?.pid, listener?.backlog, listener?.reuseAddress, listener?.open],
        [server.pid, 77, true, true],
      );
      const connection = first.connections.find((one) => one.peer === peer);
      assert.deepEqual(
        [connection?.way, connection?.noDelay, connection?.keepAlive, connection?.received, connection?.sent],
        ['open before', true, true, 3, 3],
      );
      before.destroy();
      await sleep(200);
      const { stdout, stderr } = await tracer.interrupt();
      const last = reportIn(stdout);
      assert.equal(last.connections.find((one) => one.peer === peer)?.open, false, stderr);
      assert.equal(last.listeners.find((one) => one.address === `127.0.0.1:${port}`)?.open, true);
    } finally {
      server.kill('SIGKILL');
    }
  });

  test('calls as they happen, with errors by name', { timeout: 60_000 }, async () => {
    const program = `require('net').connect(1, '127.0.0.1').on('error', () => {})`;
    const script = join(folder, 'refused.cjs');
    writeFileSync(script, program);
    const { stdout, stderr } = await new Running(['sockets', '--events', '-c', `${process.execPath} ${script}`], {
      timeout: 50_000,
    }).ended();
    assert.match(
      stdout,
      /^\d\d:\d\d:\d\d\.\d{6} \S+\[\d+\] connect\(\d+, 127\.0\.0\.1:1\) = -1 EINPROGRESS {2}\S/m,
      stderr,
    );
    assert.match(stdout, /getsockopt\(\d+, SOL_SOCKET, SO_ERROR, errno 111\) = 0/);
  });

  test('the real Envoy', { timeout: 120_000, skip: lacking('envoy') }, async () => {
    const [port, admin] = [await freePort(), await freePort()];
    const command = `${envoy} -c ${configuration(folder, '127.0.0.1', port, admin)} --concurrency 1 --use-dynamic-base-id -l off`;
    const tracer = new Running(['sockets', '--json', '-c', command], { timeout: 110_000 });
    const client = await connected(port, '127.0.0.1');
    client.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    assert.match(await answer(client), /^HTTP\/1\.1 200/);
    const { localPort } = client;
    await closed(client);
    const { stdout, stderr } = await tracer.interrupt();
    const { findings, listeners, connections } = reportIn(stdout);
    const text = findings.join('\n');
    assert.match(
      text,
      new RegExp(
        `Port ${port} \\(127\\.0\\.0\\.1:${port}, tcp\\) (is|was) listened on by envoy .*, by ~Envoy::Server::ListenSocketFactoryImpl::doFinalPreWorkerInit`,
      ),
      stderr,
    );
    assert.match(text, /SO_REUSEADDR (is|was) set on it, by .*setPrebindSocketOptions.*, before bind\./);
    assert.match(
      text,
      /The accepted connection has TCP_NODELAY, set by ~Envoy::Network::ConnectionImpl::noDelay .* after accept\./,
    );
    assert.equal(listeners.find((one) => one.address === `127.0.0.1:${port}`)?.accepted, 1);
    assert.equal(connections.find((one) => one.peer === `127.0.0.1:${localPort}`)?.noDelay, true);
  });

  test('sockets that are passed on: dup, fork, SCM_RIGHTS; io_uring is named', {
    timeout: 60_000,
    skip: lacking('python3'),
  }, async () => {
    const path = join(folder, 'passed.py');
    writeFileSync(
      path,
      `import ctypes, json, os, socket
log = {'pid': os.getpid()}
first = socket.socket()
first.bind(('127.0.0.1', 0)); first.listen(9)
log['listener'] = '%s:%d' % first.getsockname()
copy = socket.socket(fileno=os.dup(first.fileno()))
first.close()
ours, theirs = socket.socketpair()
child = os.fork()
if child == 0:
    message, fds, flags, peer = socket.recv_fds(theirs, 10, 2)
    passed, other = [socket.socket(fileno=fd) for fd in fds]
    passed.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A connection of its own, by the listener that it has from its parent.
    late, peer = copy.accept()
    late.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    theirs.send(json.dumps({'pid': os.getpid(), 'passed': passed.fileno(), 'late': late.fileno()}).encode())
    late.recv(1)
    os._exit(0)
client = socket.create_connection(copy.getsockname())
accepted, peer = copy.accept()
log['passed'] = '%s:%d' % peer
socket.send_fds(ours, [b'x'], [accepted.fileno(), client.fileno()])
accepted.close()
second = socket.create_connection(copy.getsockname())
log['late'] = '%s:%d' % second.getsockname()
log['child'] = json.loads(ours.recv(1000))
params = ctypes.create_string_buffer(120)
log['ring'] = ctypes.CDLL(None).syscall(425, 1, params)
print(json.dumps(log), flush=True)
second.close()
os.wait()
`,
    );
    const { stdout, stderr, status } = await new Running(['sockets', '--json', '-c', `/usr/bin/python3 ${path}`], {
      timeout: 50_000,
    }).ended();
    assert.equal(status, 0, stderr);
    const log = JSON.parse(stdout.split('\n')[0] ?? '') as {
      readonly listener: string;
      readonly passed: string;
      readonly late: string;
      readonly child: { readonly pid: number; readonly passed: number; readonly late: number };
      readonly ring: number;
    };
    const report = reportIn(stdout);
    const listeners = report.listeners.filter(({ address }) => address === log.listener);
    assert.deepEqual(
      listeners.map(({ accepted, backlog }) => [accepted, backlog]),
      [[2, 9]],
    );
    const connection = (peer: string): unknown[] => {
      const one = report.connections.find((row) => row.peer === peer);
      return [one?.way, one?.pid, one?.fd, one?.noDelay, one?.keepAlive, one?.open];
    };
    assert.deepEqual(connection(log.passed), ['accepted', log.child.pid, log.child.passed, true, false, false]);
    assert.deepEqual(connection(log.late), ['accepted', log.child.pid, log.child.late, false, true, false]);
    const unseen = report.unseen.join('\n');
    assert.match(unseen, /^1 descriptors arrived over UNIX sockets behind the first/m);
    // The kernel may refuse io_uring (kernel.io_uring_disabled).
    assert.equal(/python3 \(pid \d+\) uses io_uring/.test(unseen), log.ring >= 0, unseen);
  });

  test('the container and namespaces of a process', { timeout: 60_000, skip: lacking('python3') }, async () => {
    const id = `${process.pid}`.padStart(64, 'abcdef');
    // Of version 1, a hierarchy; of version 2, the only one.
    const groups = ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup'].find((path) => existsSync(join(path, 'cgroup.procs')));
    const group = groups === undefined ? undefined : join(groups, `docker-${id}.scope`);
    if (group !== undefined) mkdirSync(group);
    const program =
      'import socket, sys; s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1], flush=True); sys.stdin.read()';
    const start = async (...before: string[]): Promise<readonly [ChildProcess & { readonly pid: number }, string]> => {
      const [command = '', ...words] = [...before, '/usr/bin/python3', '-c', program];
      const child = spawn(command, words, { stdio: ['pipe', 'pipe', 'inherit'] }) as ChildProcess & {
        readonly pid: number;
      };
      const port = await new Promise<string>((resolve) =>
        child.stdout?.once('data', (data) => resolve(String(data).trim())),
      );
      return [child, `127.0.0.1:${port}`];
    };
    const started = [await start(), await start('unshare', '--net')] as const;
    try {
      const [[inGroup, first], [apart, second]] = started;
      if (group !== undefined) writeFileSync(join(group, 'cgroup.procs'), String(inGroup.pid));
      const tracer = new Running(['sockets', '--json', '-p', `${inGroup.pid},${apart.pid}`], { timeout: 50_000 });
      await tracer.until(() => tracer.output.includes('"findings"'), 'its first report');
      const { listeners } = reportIn(tracer.output);
      await tracer.interrupt();
      const container = (address: string, pid: number): string | undefined =>
        listeners.find((one) => one.address === address && one.pid === pid)?.container;
      assert.equal(container(first, inGroup.pid), group === undefined ? '' : `docker ${id.slice(0, 12)}`);
      assert.equal(container(second, apart.pid), 'other net namespace');
    } finally {
      for (const [child] of started) {
        const gone = new Promise((resolve) => child.once('close', resolve));
        child.kill('SIGKILL');
        await gone;
      }
      if (group !== undefined) rmdirSync(group);
    }
  });

  test('a command has time to end as it does at a signal', { timeout: 60_000, skip: lacking('python3') }, async () => {
    const path = join(folder, 'late.py');
    writeFileSync(
      path,
      // Blocked, so that a signal that comes before it waits is not lost.
      `import os, signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
os.write(1, b'ready\\n')
signal.sigwait([signal.SIGINT])
time.sleep(0.5)
os.write(1, b'bye\\n')
`,
    );
    const tracer = new Running(['sockets', '-c', `/usr/bin/python3 ${path}`], { timeout: 50_000 });
    await tracer.until(() => tracer.output.includes('ready'), 'it is ready');
    const { stdout, status } = await tracer.interrupt();
    assert.match(stdout, /^bye$/m);
    assert.equal(status, 0);
  });

  test('very many connections: all are counted, and those without a stack are told', { timeout: 60_000 }, async () => {
    const port = await freePort();
    const script = join(folder, 'many.cjs');
    writeFileSync(script, echo.replace('process.argv[1]', 'process.argv[2]'));
    const tracer = new Running(['sockets', '--json', '-c', `${process.execPath} ${script} ${port}`], {
      timeout: 50_000,
    });
    const first = await connected(port, '127.0.0.1');
    const count = 400;
    const clients = await Promise.all(Array.from({ length: count - 1 }, () => connected(port, '127.0.0.1')));
    for (const socket of clients) {
      socket.write('x');
      assert.equal(await answer(socket), 'X');
    }
    const peers = [first, ...clients].map(({ localPort }) => `127.0.0.1:${localPort}`);
    for (const socket of clients) socket.destroy();
    first.write('end');
    await closed(first);
    const { stdout, stderr } = await tracer.ended();
    const report = reportIn(stdout);
    const listener = report.listeners.find((one) => one.address === `127.0.0.1:${port}`);
    assert.equal(listener?.accepted, count, stderr);
    const accepted = report.connections.filter(({ way }) => way === 'accepted');
    assert.deepEqual(accepted.map(({ peer }) => peer).sort(), peers.sort());
    assert.ok(accepted.every(({ noDelay, keepAlive }) => noDelay && keepAlive));
    const named = accepted.filter(({ madeBy }) => madeBy !== undefined).length;
    const told = Number(
      /^(\d+) connections were accepted faster than 100 a second/m.exec(report.unseen.join('\n'))?.[1] ?? 0,
    );
    assert.ok(named >= 100, String(named));
    assert.equal(named + told, count);
    assert.match(
      report.findings.join('\n'),
      /Of 400 accepted connections, 400 have TCP_NODELAY, set by \S.*SetNoDelay/,
    );
  });

  test('mistakes', async () => {
    for (const [words, complaint] of [
      [['sockets', 'x'], /sockets takes no 'x'/],
      [['sockets', '-p', '1', '-c', 'true'], /exclude each other/],
      [['sockets', '-p', '4194303'], /no process|4194303/],
      [['sockets', '-c', '/there/is/none'], /\/there\/is\/none/],
      [['--watch', '-e', 'BEGIN { }'], /--watch belongs to: insitu sockets/],
    ] as const) {
      const { status, stderr } = await new Running([...words]).ended();
      assert.equal(status, 1, words.join(' '));
      assert.match(stderr, complaint);
    }
  });
});
