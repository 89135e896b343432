/**
 * `insitu sockets` on servers as they are, beside what others say of them: ss and
 * /proc/PID/net of the same run, getsockopt(2) on a copy of the descriptor, the client's
 * own counts, and strace on a second run.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { Connection, Listener, Report } from '../src/answers/sockets/report.ts';
import type { Call } from '../src/answers/sockets/table.ts';
import { client, freePort } from './envoy.ts';
import { lacking, Running, sleep } from './insitu.ts';
import { insituHistory, optionsOf, type SsSocket, servers, ssSockets, straceHistory } from './servers.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-servers-'));
after(() => rmSync(folder, { recursive: true, force: true }));

type Line = Report | { readonly type: 'call'; readonly data: Call };

const linesOf = (text: string): Line[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as Line);
const reportsIn = (text: string): Report[] => linesOf(text).filter((line): line is Report => 'findings' in line);
const callsIn = (text: string): Call[] => linesOf(text).flatMap((line) => ('findings' in line ? [] : [line.data]));

/** Sends a request, reads the answer to its end. */
async function ask(socket: Socket): Promise<string> {
  const answer = new Promise<string>((resolve) => {
    let text = '';
    socket.on('data', (data) => {
      text += String(data);
    });
    socket.once('close', () => resolve(text));
  });
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  return await answer;
}

/** Asks for reports until one satisfies. */
async function reportWhen(tracer: Running, wanted: (report: Report) => boolean): Promise<Report> {
  for (let tries = 0; tries < 200; tries++) {
    const before = reportsIn(tracer.output).length;
    tracer.child.kill('SIGUSR1');
    for (let waits = 0; waits < 100 && reportsIn(tracer.output).length === before; waits++) await sleep(50);
    const report = reportsIn(tracer.output).at(-1);
    if (report !== undefined && wanted(report)) return report;
    await sleep(50);
  }
  throw new Error(`no such report:\n${tracer.output}\n${tracer.stderr}`);
}

const leadsTo = ({ users }: SsSocket, { pid, fd }: { readonly pid: number; readonly fd: number }): boolean =>
  users.some((user) => user.pid === pid && user.fd === fd);

/** A process's line of /proc/PID/net/tcp that belongs to its descriptor: the local address and the state, hexadecimal. */
function inProc(pid: number, fd: number): readonly [local: string, state: string] {
  const inode = /socket:\[(\d+)\]/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
  for (const line of readFileSync(`/proc/${pid}/net/tcp`, 'latin1').split('\n')) {
    const words = line.trim().split(/\s+/);
    if (words[9] === inode) return [words[1] ?? '', words[3] ?? ''];
  }
  throw new Error(`process ${pid} has no TCP socket ${inode}`);
}

/** `0100007F:1F90` of `127.0.0.1:8080`. */
function hexadecimal(address: string): string {
  const [, host = '', port = ''] = /^([\d.]+):(\d+)$/.exec(address) ?? [];
  const bytes = host.split('.').map(Number).reverse();
  const hex = (number: number, digits: number): string => number.toString(16).toUpperCase().padStart(digits, '0');
  return `${bytes.map((byte) => hex(byte, 2)).join('')}:${hex(Number(port), 4)}`;
}

function checkListeners(listeners: readonly Listener[], shown: readonly SsSocket[], port: number): void {
  const mine = listeners.filter(({ address, open }) => open && address.endsWith(`:${port}`));
  const theirs = shown.filter(({ state }) => state === 'LISTEN');
  assert.ok(theirs.length > 0);
  assert.equal(mine.length, theirs.length);
  for (const listener of mine) {
    const same = theirs.find((one) => leadsTo(one, listener));
    assert.ok(same, JSON.stringify([listener, theirs]));
    // ss shows the backlog as the send queue of a listener, and who waits as its other queue.
    assert.deepEqual(
      [listener.address, listener.backlog, listener.waiting, listener.comm],
      [
        same.local,
        same.queues[1],
        same.queues[0],
        same.users.find(({ fd, pid }) => fd === listener.fd && pid === listener.pid)?.comm,
      ],
    );
    assert.deepEqual(inProc(listener.pid, listener.fd), [hexadecimal(listener.address), '0A']);
    const { reuseAddress, reusePort } = optionsOf(listener.pid, listener.fd);
    assert.deepEqual([listener.reuseAddress, listener.reusePort], [reuseAddress, reusePort]);
  }
}

function checkConnection(connection: Connection, shown: readonly SsSocket[]): void {
  const same = shown.find(({ peer }) => peer === connection.peer);
  assert.ok(same, connection.peer);
  assert.ok(leadsTo(same, connection), JSON.stringify([connection, same]));
  assert.deepEqual(
    [connection.local, connection.received, connection.sent, connection.keepAlive],
    [same.local, same.bytesReceived, same.bytesAcknowledged, same.timer === 'keepalive'],
  );
  assert.deepEqual(inProc(connection.pid, connection.fd), [hexadecimal(connection.local), '01']);
  const { noDelay, keepAlive } = optionsOf(connection.pid, connection.fd);
  assert.deepEqual([connection.noDelay, connection.keepAlive], [noDelay, keepAlive]);
}

/** The same client as for insitu, on a run under strace; what strace wrote. */
async function traced(command: string, port: number): Promise<string> {
  const log = join(folder, `strace-${port}`);
  const words = ['-f', '-o', log, '-e', 'trace=network', '-e', 'signal=none', '-s', '200', ...command.split(' ')];
  const child = spawn('strace', words, { stdio: 'ignore', detached: true }) as ChildProcess & { readonly pid: number };
  const ended = new Promise((resolve) => child.once('close', resolve));
  try {
    assert.match(await ask(await client(port, '127.0.0.1')), /^HTTP\/1\.[01] 200/);
  } finally {
    // strace and what it runs are a process group of their own.
    process.kill(-child.pid, 'SIGTERM');
    const late = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), 5000);
    await ended;
    clearTimeout(late);
  }
  return readFileSync(log, 'latin1');
}

describe('sockets of servers', { skip: lacking('tracefs', 'ss', 'strace', 'python3') }, () => {
  for (const { name, needs, command } of servers) {
    test(name, { timeout: 240_000, skip: lacking(...needs) }, async () => {
      const [port, admin] = [await freePort(), await freePort()];
      const line = command(folder, port, admin);
      const tracer = new Running(['sockets', '--json', '--events', '-c', line], { timeout: 120_000 });
      const own = await client(port, '127.0.0.1');
      const peer = `127.0.0.1:${own.localPort}`;
      // It has been accepted, and what the server sets on each connection is set.
      const isThere = (report: Report): boolean => report.connections.some((one) => one.peer === peer && one.open);
      await reportWhen(tracer, isThere);
      await sleep(500);
      const report = await reportWhen(tracer, isThere);
      const shown = ssSockets(port);
      checkListeners(report.listeners, shown, port);
      const connection = report.connections.find((one) => one.peer === peer);
      assert.ok(connection);
      checkConnection(connection, shown);
      assert.match(await ask(own), /^HTTP\/1\.[01] 200/);
      const { stdout, stderr } = await tracer.interrupt();
      const last = reportsIn(stdout)
        .at(-1)
        ?.connections.find((one) => one.peer === peer);
      assert.deepEqual([last?.received, last?.sent], [own.bytesWritten, own.bytesRead], stderr);
      // Which code listens is told by a whole stack, from the call to the program's start.
      const listener = reportsIn(stdout)
        .at(-1)
        ?.listeners.find(({ address }) => address.endsWith(`:${port}`));
      const frames =
        reportsIn(stdout)
          .at(-1)
          ?.code.find(({ number }) => number === listener?.listenedBy)?.frames ?? [];
      assert.match(frames[0] ?? '', /^listen\+\d+$/);
      assert.match(frames.join('\n'), /\n~?_start\+\d+$/);
      // Each of Envoy's threads has a listener, and one of them has accepted it.
      const accepted = (reportsIn(stdout).at(-1)?.listeners ?? []).map(
        (one) => one.address.endsWith(`:${port}`) && one.accepted,
      );
      assert.ok(accepted.some((count) => Number(count) > 0));

      // The kernel's count of accept() that found nobody is what the calls one by one come to.
      const listeners = reportsIn(stdout).at(-1)?.listeners ?? [];
      const empty = callsIn(stdout).filter(({ call, ret }) => call === 'accept' && ret === -11).length;
      assert.equal(
        listeners.reduce((sum, { emptyAccepts }) => sum + emptyAccepts, 0),
        empty,
      );

      const second = await freePort();
      const log = await traced(command(folder, second, admin), second);
      const expected = straceHistory(log, second);
      const found = insituHistory(callsIn(stdout), port);
      assert.ok(expected.listener.length >= 2, log);
      const withPort = (history: readonly string[], own: number): string[] =>
        history.map((text) => text.replace(`:${own}`, ':PORT'));
      assert.deepEqual(withPort(found.listener, port), withPort(expected.listener, second));
      assert.deepEqual(found.accepted, expected.accepted);
    });
  }

  test('an Envoy that has been running: right at once, before any event', {
    timeout: 120_000,
    skip: lacking('envoy'),
  }, async () => {
    const [port, admin] = [await freePort(), await freePort()];
    const [program = '', ...words] = (servers[0]?.command(folder, port, admin) ?? '').split(' ');
    const server = spawn(program, words, { stdio: 'ignore' }) as ChildProcess & { readonly pid: number };
    try {
      const own = await client(port, '127.0.0.1');
      const tracer = new Running(['sockets', '--json', '-p', String(server.pid)], { timeout: 100_000 });
      // The first report comes by itself.
      await tracer.until(() => reportsIn(tracer.output).length > 0, 'its first report');
      const [report] = reportsIn(tracer.output);
      assert.ok(report);
      const shown = ssSockets(port);
      checkListeners(report.listeners, shown, port);
      checkListeners(report.listeners, ssSockets(admin), admin);
      const connection = report.connections.find((one) => one.peer === `127.0.0.1:${own.localPort}`);
      assert.ok(connection, JSON.stringify(report.connections));
      checkConnection(connection, shown);
      assert.equal(connection.way, 'open before');
      own.destroy();
      await tracer.interrupt();
    } finally {
      server.kill('SIGKILL');
    }
  });
});
