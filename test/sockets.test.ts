/** `insitu sockets` beside what the programs themselves, their clients and /proc say. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { Report } from '../src/answers/sockets/report.ts';
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

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Connects as soon as somebody listens. */
async function connected(port: number): Promise<Socket> {
  for (let tries = 0; tries < 300; tries++) {
    const socket = connect(port, '127.0.0.1');
    const ok = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    if (ok) return socket;
    await sleep(100);
  }
  throw new Error(`nobody listens on port ${port}`);
}

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
    const client = await connected(port);
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
      const before = await connected(port);
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
    const configuration = join(folder, 'envoy.json');
    const manager = {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
      stat_prefix: 'ingress',
      route_config: {
        virtual_hosts: [
          {
            name: 'a',
            domains: ['*'],
            routes: [{ match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: 'hi' } } }],
          },
        ],
      },
      http_filters: [
        {
          name: 'envoy.filters.http.router',
          typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
        },
      ],
    };
    const at = (number: number): object => ({ socket_address: { address: '127.0.0.1', port_value: number } });
    const listener = {
      name: 'l0',
      address: at(port),
      filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }],
    };
    writeFileSync(
      configuration,
      JSON.stringify({ admin: { address: at(admin) }, static_resources: { listeners: [listener] } }),
    );
    const command = `${envoy} -c ${configuration} --concurrency 1 --use-dynamic-base-id -l off`;
    const tracer = new Running(['sockets', '--json', '-c', command], { timeout: 110_000 });
    const client = await connected(port);
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
