/** The release Envoy has no symbols: its functions have names all the same. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { output, readelf } from './binaries.ts';
import { configuration, envoyFrames, freePort } from './envoy.ts';
import { envoy, insitu, lacking, Running, root, sharedCases } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-envoynames-'));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('Envoy without symbols', { skip: lacking('envoy', 'tracefs') }, () => {
  test('a uprobe on ~main says hello', { timeout: 60_000 }, async () => {
    const { status, stdout, stderr } = await insitu(
      [
        '-q',
        '-e',
        `uprobe:${envoy}:"~main" { printf("Hello, World! %s\\n", func); exit(); }`,
        '-c',
        `${envoy} --version`,
      ],
      { timeout: 50_000 },
    );
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^Hello, World! ~main$/m);
  });

  test('and one on its listener code, by a wildcard', { timeout: 60_000 }, async () => {
    const port = await freePort();
    const config = configuration(folder, '127.0.0.1', port, await freePort());
    const running = new Running(
      [
        '-q',
        '-e',
        `uprobe:${envoy}:"~Envoy::Server::ListenerManagerImpl*::addOrUpdateListener*" { printf("Hello, %s!\\n", func); exit(); }`,
        '-c',
        `${envoy} -c ${config} --disable-hot-restart --log-level error`,
      ],
      { timeout: 50_000 },
    );
    const { status, stdout, stderr } = await running.ended();
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^Hello, ~Envoy::Server::ListenerManagerImpl\S*::addOrUpdateListener\w*!$/m);
  });

  test('the slots of a namespace, listed as a probe names them', { timeout: 60_000 }, async () => {
    const quoted = await insitu(['-l', `uprobe:${envoy}:"~Envoy::Network::*::vfunc[3]"`]);
    const lines = quoted.stdout.trimEnd().split('\n');
    assert.ok(lines.length > 10, quoted.stdout + quoted.stderr);
    for (const line of lines) {
      assert.ok(line.startsWith(`uprobe:${envoy}:~Envoy::Network::`) && line.endsWith('::vfunc[3]'), line);
    }
    const plain = await insitu(['-l', `uprobe:${envoy}:~Envoy::Network::*::vfunc[3]`]);
    assert.equal(plain.stdout, quoted.stdout);
  });

  test('insitu symbols says which build it is', { timeout: 60_000 }, async () => {
    const { status, stdout, stderr } = await insitu(['symbols', envoy], { timeout: 50_000 });
    assert.equal(status, 0, stderr);
    const buildId = /Build ID: ([0-9a-f]+)/.exec(readelf('-n', envoy).join('\n'))?.[1];
    // "envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL"
    const [, commit, version] = /version: ([0-9a-f]{40})\/(\d+\.\d+\.\d+)\//.exec(output(envoy, ['--version'])) ?? [];
    assert.ok(buildId !== undefined && commit !== undefined && version !== undefined);
    for (const wanted of [buildId, commit, version]) assert.ok(stdout.includes(wanted), `${wanted} in\n${stdout}`);
  });

  test('JSON tells what a name was inferred from', { timeout: 60_000 }, async () => {
    const { status, stdout, stderr } = await insitu(['symbols', envoy, '^main$', '--json'], { timeout: 50_000 });
    assert.equal(status, 0, stderr);
    const { type, data } = JSON.parse(stdout) as { type: string; data: Record<string, unknown> };
    assert.equal(type, 'symbol');
    assert.deepEqual([data['name'], data['grade'], data['rule']], ['~main', 'sure', 'start']);
    const entry = /Entry point address:\s+(0x[0-9a-f]+)/.exec(readelf('-h', envoy).join('\n'))?.[1];
    assert.deepEqual(data['evidence'], [
      'the entry point of the file, and the function that it hands to the C library',
      `see ${entry}`,
    ]);
  });

  test("the article's stacks: most frames have a name, nearly all at least a hint", { timeout: 90_000 }, async (t) => {
    const article = join(sharedCases, 'trace-envoy-socket.bt');
    const script = existsSync(article) ? article : join(root, 'tools', 'sockets.bt');
    const frames = await envoyFrames(folder, script);
    const named = frames.filter(({ name }) => name?.grade === 'sure' || name?.grade === 'likely');
    const hinted = frames.filter(({ name }) => name !== undefined);
    const share = (part: number): number => Math.round((1000 * part) / frames.length) / 10;
    const told = `${frames.length} frames: ${share(named.length)} % sure or likely, ${share(hinted.length)} % with hints`;
    t.diagnostic(told);
    assert.ok(frames.length > 100, told);
    assert.ok(share(named.length) >= 70, told);
    assert.ok(share(hinted.length) >= 85, told);
    // What is printed is what was inferred.
    for (const { shown, name } of hinted) assert.equal(shown, `~${name?.name}`);
    const names = named.map(({ name }) => name?.name ?? '');
    for (const wanted of [
      'setPrebindSocketOptions',
      'createListenSocketAndApplyOptions',
      'createListenSocketFactory',
      'addOrUpdateListenerInternal',
      'ListenerManagerImpl',
      'IoSocketHandleImpl',
      'ConnectionImpl',
      'TcpListenerImpl',
      'WorkerImpl',
      'event_base_loop',
      'main',
    ]) {
      const word = new RegExp(`\\b${wanted}\\b`);
      assert.ok(
        names.some((name) => word.test(name)),
        `no ${wanted} among\n${[...new Set(names)].join('\n')}`,
      );
    }
  });
});
