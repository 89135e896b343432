/** The stacks of the article's script in the real Envoy are those that gdb shows, frame by frame. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { configuration, freePort } from '../envoy.ts';
import { envoy, lacking, sleep } from '../insitu.ts';
import { assertSame, compare } from './compare.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-unwind-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('Envoy: setsockopt, bind and accept4 as gdb sees them', { skip: lacking('envoy', 'gdb') }, async () => {
  const [port, admin] = [await freePort(), await freePort()];
  const path = configuration(folder, '127.0.0.1', port, admin);
  const command = [envoy, '-c', path, '--disable-hot-restart', '--log-level', 'error', '--concurrency', '1'];
  // Connections that it accepts while gdb holds it now and then.
  let clients = true;
  const connecting = (async () => {
    const { connect } = await import('node:net');
    while (clients) {
      await sleep(50);
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      setTimeout(() => socket.destroy(), 2000);
    }
  })();
  try {
    const compared = await compare(command, ['setsockopt', 'bind', 'accept4'], { count: 14, timeout: 90_000 });
    assertSame(compared);
    const calls = new Set(compared.gdb.map(({ frames }) => frames[0]));
    assert.equal(calls.size, 3, 'all three system calls were met');
    for (const { end } of compared.insitu) assert.equal(end, '');
  } finally {
    clients = false;
    await connecting;
  }
});
