/**
 * The article's workflow on the real Envoy: a shell prints its pid and waits; the tracer
 * is attached to that pid; the shell becomes Envoy; a client connects. The questions:
 * which code listens, is SO_REUSEADDR set, is TCP_NODELAY set on the accepted connection?
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { client, configuration, freePort, held, isFree } from './envoy.ts';
import { executable, lacking, Running, root, sharedCases, sleep } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-envoy-'));
after(() => rmSync(folder, { recursive: true, force: true }));

interface Event {
  readonly line: string;
  readonly stack: readonly string[];
}

/** What the script prints: lines, each with the stack behind or below it. */
function eventsOf(output: string): Event[] {
  const events: { line: string; stack: string[] }[] = [];
  for (const line of output.split('\n')) {
    if (/^ {8}\S/.test(line)) events.at(-1)?.stack.push(line.trim());
    else if (/^(comm:|accept4:|== )/.test(line)) events.push({ line, stack: [] });
  }
  return events;
}

interface Seen {
  readonly events: readonly Event[];
  readonly clientPort: number;
}

/** Goes through the workflow with a script and gives what it saw; `unshare`: runs the script itself, as a command, in that namespace. */
async function workflow(
  script: string,
  config: string,
  port: number,
  host: string,
  unshare?: readonly string[],
): Promise<Seen> {
  const shell = held(config);
  try {
    const args = [...(unshare ?? []), script, String(shell.pid)];
    const running = new Running(args, { timeout: 40_000, ...(unshare ? { command: 'unshare' } : {}) });
    await running.attached();
    shell.stdin?.write('\n');
    const socket = await client(port, host);
    const clientPort = socket.localPort as number;
    await running.until(() => new RegExp(`\\b${clientPort}\\b`).test(running.stdout), 'the connection was seen');
    await sleep(500);
    socket.destroy();
    const { status, stdout, stderr } = await running.interrupt();
    assert.equal(status, 0, stderr);
    return { events: eventsOf(stdout), clientPort };
  } finally {
    shell.kill('SIGKILL');
  }
}

const find = (events: readonly Event[], pattern: RegExp): Event => {
  const event = events.find(({ line }) => pattern.test(line));
  assert.ok(event, `no ${pattern} among\n${events.map(({ line }) => line).join('\n')}`);
  return event;
};

/** A whole stack: from libc's stub through Envoy's own code down to where the thread began. */
function assertStack(event: Event, stub: string, bottom: RegExp): void {
  const text = `${event.line}\n${event.stack.join('\n')}`;
  assert.match(event.stack[0] ?? '', new RegExp(`^${stub}\\+\\d+$`), text);
  assert.ok(event.stack.length >= 5, `a short stack: ${text}`);
  assert.ok(
    event.stack.some((frame) => bottom.test(frame)),
    `no ${bottom} in ${text}`,
  );
}

const main = /^__libc_start_call_main\+\d+$/;
const thread = /^start_thread\+\d+$/;

describe("the article's script, unchanged", { skip: lacking('envoy', 'shared', 'tracefs') }, () => {
  const script = join(sharedCases, 'trace-envoy-socket.bt');

  test('IPv4', { timeout: 60_000 }, async (t) => {
    if (!(await isFree(10_000)) || !(await isFree(9901))) {
      t.skip('needs the ports 10000 and 9901 to be free');
      return;
    }
    const { events, clientPort } = await workflow(script, join(sharedCases, 'envoy-demo.yaml'), 10_000, '127.0.0.1');
    const bind = find(events, /^comm:envoy\s+: bind AF_INET: ip:0\.0\.0\.0\s+port:10000\s+fd=\d+/);
    assertStack(bind, 'bind', main);
    const listener = /fd=(\d+)/.exec(bind.line)?.[1];
    assertStack(
      find(events, new RegExp(`setsockopt: fd=${listener}, optname=2, optval=1, optlen=4\\. stack:`)),
      'setsockopt',
      main,
    );
    const accept = find(events, new RegExp(`family:2\\s+peerIP:127\\.0\\.0\\.1\\s+peerPort:${clientPort}\\s+fd:\\d+`));
    assertStack(accept, 'accept4', thread);
    const accepted = /fd:(\d+)/.exec(accept.line)?.[1];
    assertStack(find(events, new RegExp(`setsockopt: fd=${accepted}, optname=1, optval=1,`)), 'setsockopt', thread);
    assertStack(find(events, /peerPort:\d+\s+fd:-11/), 'accept4', thread);
  });

  test('IPv6', { timeout: 60_000 }, async () => {
    const port = await freePort();
    const { events, clientPort } = await workflow(
      script,
      configuration(folder, '::1', port, await freePort()),
      port,
      '::1',
    );
    assertStack(find(events, new RegExp(`bind AF_INET6:::1\\s+${port}\\b`)), 'bind', main);
    assertStack(find(events, new RegExp(`family:10\\s+::1\\s+${clientPort}\\s+\\d+`)), 'accept4', thread);
  });

  test('run by its own first line', { timeout: 60_000 }, async (t) => {
    const text = readFileSync(script, 'utf8');
    const interpreter = /^#!(\S+)/.exec(text)?.[1];
    assert.ok(interpreter);
    const path = join(folder, 'article.bt');
    writeFileSync(path, text, { mode: 0o755 });
    // In a mount namespace of its own, insitu stands where that line says, by a link of the other name.
    const bin = dirname(interpreter);
    const before = join(folder, 'before');
    mkdirSync(before);
    const setUp = `mount --bind ${bin} ${before} && mount -t tmpfs none ${bin} && ln -s ${before}/* ${bin} && ln -sfn ${executable} ${interpreter}`;
    const inNamespace = ['-m', 'sh', '-c', `${setUp} && exec "$@"`, 'sh'];
    if (spawnSync('unshare', [...inNamespace, 'true']).status !== 0) {
      t.skip(`no folder can be put over ${bin} here`);
      return;
    }
    const port = await freePort();
    const { events } = await workflow(
      path,
      configuration(folder, '127.0.0.1', port, await freePort()),
      port,
      '127.0.0.1',
      inNamespace,
    );
    assertStack(find(events, new RegExp(`bind AF_INET: ip:127\\.0\\.0\\.1\\s+port:${port}\\b`)), 'bind', main);
  });
});

describe('tools/sockets.bt', { skip: lacking('envoy', 'tracefs') }, () => {
  const script = join(root, 'tools', 'sockets.bt');

  for (const [family, host, shown] of [
    ['IPv4', '127.0.0.1', '127\\.0\\.0\\.1'],
    ['IPv6', '::1', '\\[::1\\]'],
  ] as const) {
    test(`answers the three questions about Envoy, ${family}`, { timeout: 60_000 }, async () => {
      const port = await freePort();
      const { events, clientPort } = await workflow(
        script,
        configuration(folder, host, port, await freePort()),
        port,
        host,
      );
      const bind = find(events, new RegExp(`^== bind fd=\\d+ ${shown} port ${port}$`));
      assertStack(bind, 'bind', main);
      const listener = /fd=(\d+)/.exec(bind.line)?.[1];
      assertStack(find(events, new RegExp(`^== setsockopt fd=${listener} .*SO_REUSEADDR = 1`)), 'setsockopt', main);
      assertStack(find(events, new RegExp(`^== listen fd=${listener} `)), 'listen', main);
      const accept = find(events, new RegExp(`^== accept fd=\\d+ from ${shown} port ${clientPort}$`));
      assertStack(accept, 'accept4', thread);
      const accepted = /fd=(\d+)/.exec(accept.line)?.[1];
      find(events, new RegExp(`^== setsockopt fd=${accepted} .*TCP_NODELAY = 1`));
      find(events, /^== accept returned -11$/);
    });
  }
});
