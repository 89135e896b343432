import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { after, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { lacking, output, Workshop } from '../../../test/binaries.ts';
import { virtualAddress } from '../../base/numbers.ts';
import { demangleBoth } from '../../symbolize/demangle/index.ts';
import { type ElfBinary, openBinary } from '../../symbolize/symbols/binary.ts';
import { hostDebugFiles } from './debugfiles.ts';
import { debugServers } from './debuginfod.ts';
import { HostFile } from './file.ts';
import { inflate } from './inflate.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

const source = `
#include <stdio.h>
__attribute__((noinline)) static int only_in_debug(int x) { return printf("%d", x); }
int main(int argc, char **argv) { return only_in_debug(argc); }
`;

/** A stripped program, and its debug file in a folder of its own. */
function make(name: string): { readonly path: string; readonly debug: string; readonly buildId: string } {
  const whole = workshop.gcc(`${name}.whole`, `${name}.c`, source, '-O2', '-g');
  mkdirSync(workshop.path(`${name}-debug`), { recursive: true });
  const debug = workshop.path(`${name}-debug/${name}.debug`);
  output('objcopy', ['--only-keep-debug', whole, debug]);
  const path = workshop.path(name);
  output('strip', ['-s', '-o', path, whole]);
  const buildId = /Build ID: ([0-9a-f]+)/.exec(output('readelf', ['-n', path]))?.[1] ?? '';
  assert.notEqual(buildId, '');
  return { path, debug, buildId };
}

function open(path: string, environment: Record<string, string>, messages: string[] = []): ElfBinary {
  const file = HostFile.open(path);
  assert.ok(file.ok);
  const debugFiles = hostDebugFiles({ environment, onMessage: (message) => messages.push(message) });
  const binary = openBinary(path, file.value, { demangle: demangleBoth, debugFiles, inflate });
  assert.ok(binary.ok);
  return binary.value;
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test('a real debuginfod: fetched once, then from the cache', {
  skip: lacking('debuginfod', 'gcc', 'objcopy', 'readelf'),
}, async () => {
  const { path, debug, buildId } = make('served');
  const port = await freePort();
  const folder = debug.slice(0, debug.lastIndexOf('/'));
  const args = ['-p', String(port), '-d', workshop.path('debuginfod.sqlite'), '-t', '0', '-F', folder];
  const server: ChildProcess = spawn('debuginfod', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  server.stderr?.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  try {
    const url = `http://127.0.0.1:${port}`;
    const environment = { DEBUGINFOD_URLS: `${url}/`, XDG_CACHE_HOME: workshop.path('cache'), DEBUGINFOD_TIMEOUT: '5' };
    // It answers when it has looked through its folder; until then it knows no build-id.
    let ready = false;
    for (const end = Date.now() + 20_000; !ready && Date.now() < end; ) {
      ready = await fetch(`${url}/buildid/${buildId}/debuginfo`).then(
        (answer) => answer.ok,
        () => false,
      );
      if (!ready) await new Promise((wake) => setTimeout(wake, 200));
    }
    assert.ok(ready, `debuginfod is not ready: ${log.slice(-500)}`);

    const binary = open(path, environment);
    const [found] = binary.find('only_in_debug');
    const row = output('nm', [workshop.path('served.whole')])
      .split('\n')
      .find((line) => line.endsWith(' only_in_debug'));
    assert.equal(found?.address, Number.parseInt(row ?? '', 16));
    const cached = `${workshop.path('cache')}/insitu/debuginfod/${buildId}/debuginfo`;
    assert.equal(binary.debugPath, cached);
    assert.deepEqual(readFileSync(cached), readFileSync(debug));
    const line = binary.source(virtualAddress(found?.address ?? 0))?.frames[0];
    assert.equal(line?.file, workshop.path('served.c'));
    const report = binary.layers.explain().find(({ layer }) => layer === 'debuginfod');
    assert.equal(report?.found, true);
    binary.close();

    // A file that was cut off, or is another one's, is fetched anew.
    const whole = readFileSync(cached);
    for (const damaged of [whole.subarray(0, whole.length >> 1), readFileSync(process.execPath).subarray(0, 1 << 20)]) {
      writeFileSync(cached, damaged);
      const mended = open(path, environment);
      assert.equal(mended.find('only_in_debug').length, 1);
      mended.close();
      assert.deepEqual(readFileSync(cached), whole);
    }

    server.kill('SIGTERM');
    await once(server, 'exit');
    const again = open(path, environment);
    assert.equal(again.find('only_in_debug').length, 1);
    again.close();
  } finally {
    if (server.exitCode === null && server.signalCode === null) {
      server.kill('SIGKILL');
      await once(server, 'exit');
    }
  }
});

describe('servers that are of no use', { skip: lacking('gcc', 'objcopy', 'readelf') }, () => {
  test('nobody listens: one message, no symbols, no second try', async () => {
    const { path } = make('refused');
    const url = `http://127.0.0.1:${await freePort()}`;
    const messages: string[] = [];
    const environment = { DEBUGINFOD_URLS: url, XDG_CACHE_HOME: workshop.path('cache2') };
    const binary = open(path, environment, messages);
    assert.equal(binary.find('only_in_debug').length, 0);
    assert.equal(messages.length, 1);
    assert.match(messages[0] ?? '', new RegExp(`^debuginfod: ${url}: .*ECONNREFUSED.*; going on without it$`));
    const report = binary.layers.explain().find(({ layer }) => layer === 'debuginfod');
    assert.equal(report?.found, false);
    assert.match(report?.detail ?? '', /ECONNREFUSED/);
    assert.equal(messages.length, 1);
    binary.close();
  });

  test('a server that takes the question and says nothing: given up in time', async () => {
    const { path } = make('silent');
    // In a thread of its own: the one that asks waits.
    const worker = new Worker(
      `const { parentPort } = require('node:worker_threads');
       const server = require('node:net').createServer(() => {}).listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));`,
      { eval: true },
    );
    const [port] = (await once(worker, 'message')) as [number];
    const environment = {
      DEBUGINFOD_URLS: `http://127.0.0.1:${port}`,
      XDG_CACHE_HOME: workshop.path('cache3'),
      DEBUGINFOD_TIMEOUT: '1',
    };
    const messages: string[] = [];
    const start = Date.now();
    const binary = open(path, environment, messages);
    assert.equal(binary.find('only_in_debug').length, 0);
    const took = Date.now() - start;
    assert.ok(took >= 900 && took < 5000, `${took} ms`);
    assert.match(messages.join(), /does not answer within 1 s/);
    binary.close();
    await worker.terminate();
  });

  test('what no server has is not asked for again', async () => {
    const cache = workshop.path('cache4');
    const asked: string[] = [];
    const worker = new Worker(
      `const { parentPort } = require('node:worker_threads');
       const server = require('node:http').createServer((request, answer) => { parentPort.postMessage(request.url); answer.statusCode = 404; answer.end(); })
         .listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));`,
      { eval: true },
    );
    const [port] = (await once(worker, 'message')) as [number];
    worker.on('message', (url: string) => asked.push(url));
    const environment = { DEBUGINFOD_URLS: `http://127.0.0.1:${port}`, XDG_CACHE_HOME: cache };
    for (let round = 0; round < 2; round++) {
      const fetched = debugServers(environment, undefined)?.fetch('0123456789abcdef');
      assert.ok(fetched !== undefined && 'reason' in fetched);
    }
    await new Promise((wake) => setTimeout(wake, 100));
    assert.deepEqual(asked, ['/buildid/0123456789abcdef/debuginfo']);
    await worker.terminate();
  });

  test('no variable, no servers', () => {
    assert.equal(debugServers({}, undefined), undefined);
    assert.equal(debugServers({ DEBUGINFOD_URLS: ' ' }, undefined), undefined);
  });
});
