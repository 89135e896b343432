/** The stacks of the article's script in the real Envoy are those that gdb shows, frame by frame. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { envoy, lacking, sleep } from '../insitu.ts';
import { assertSame, compare } from './compare.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-unwind-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

test('Envoy: setsockopt, bind and accept4 as gdb sees them', { skip: lacking('envoy', 'gdb') }, async () => {
  const [port, admin] = [await freePort(), await freePort()];
  const configuration = join(folder, 'envoy.yaml');
  writeFileSync(
    configuration,
    `admin: { address: { socket_address: { address: 127.0.0.1, port_value: ${admin} } } }
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: ${port} } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          route_config:
            virtual_hosts:
            - { name: a, domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status: 200 } }] }
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
`,
  );
  const command = [envoy, '-c', configuration, '--disable-hot-restart', '--log-level', 'error', '--concurrency', '1'];
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
