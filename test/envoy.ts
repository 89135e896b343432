/**
 * Envoy as the article runs it: a shell prints its pid and waits; the tracer is attached to
 * that pid; the shell becomes Envoy; clients connect.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { virtualAddress } from '../src/base/numbers.ts';
import { ElfFile } from '../src/debuginfo/elf/elf.ts';
import { HostFile } from '../src/kernel/host/file.ts';
import { inferredNames } from '../src/kernel/host/inferred.ts';
import type { InferredName } from '../src/symbolize/evidence/index.ts';
import { envoy, Running, sleep } from './insitu.ts';

/** A port of the loopback interface that nobody uses. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** True when nobody listens there. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false));
    server.listen(port, '0.0.0.0', () => server.close(() => resolve(true)));
  });
}

/** Waits until somebody listens; gives the connection. */
export async function client(port: number, host: string): Promise<Socket> {
  for (const until = Date.now() + 30_000; Date.now() < until; await sleep(50)) {
    const socket = await new Promise<Socket | undefined>((resolve) => {
      const attempt = connect(port, host, () => resolve(attempt));
      attempt.once('error', () => resolve(undefined));
    });
    if (socket !== undefined) return socket;
  }
  throw new Error(`nobody listens on ${host} port ${port}`);
}

/** The article's shell, which becomes Envoy under the same pid when a key is pressed. */
export function held(configuration: string): ChildProcess {
  const line = `read -r _; exec ${envoy} -c ${configuration} --disable-hot-restart --log-level error`;
  return spawn('bash', ['-c', line], { stdio: ['pipe', 'ignore', 'ignore'] });
}

/** Writes Envoy's configuration with a listener there, and an admin page on another port; gives its path. */
export function configuration(folder: string, host: string, port: number, admin?: number): string {
  const path = join(folder, `envoy-${port}.yaml`);
  const address = (where: string, number: number): string =>
    `{ socket_address: { address: "${where}", port_value: ${number} } }`;
  const adminPage = admin === undefined ? '' : `admin: { address: ${address('127.0.0.1', admin)} }\n`;
  writeFileSync(
    path,
    `${adminPage}static_resources:
  listeners:
  - name: l0
    address: ${address(host, port)}
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
  return path;
}

/** Asks for a page and reads the answer to its end. */
async function ask(port: number): Promise<void> {
  const socket = await client(port, '127.0.0.1');
  await new Promise<void>((resolve) => {
    socket.setTimeout(5000, () => socket.destroy());
    socket.on('close', () => resolve()).resume();
    socket.write(`GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`);
  });
}

/** One frame of Envoy's own code. */
export interface EnvoyFrame {
  readonly address: number;
  /** As it was printed, without the offset; '' for a bare address. */
  readonly shown: string;
  readonly name: InferredName | undefined;
}

/**
 * Runs a script on Envoy from its first instruction until it has answered two requests;
 * gives all frames of Envoy's own in all stacks. The stacks are printed as `perf` prints
 * them (BPFTRACE_STACK_MODE), with address and file, so that they can be told from others'.
 */
export async function envoyFrames(folder: string, script: string): Promise<readonly EnvoyFrame[]> {
  const port = await freePort();
  const shell = held(configuration(folder, '127.0.0.1', port, await freePort()));
  let stdout: string;
  let base = 0;
  try {
    const running = new Running([script, String(shell.pid)], {
      timeout: 60_000,
      env: { BPFTRACE_STACK_MODE: 'perf' },
    });
    await running.attached();
    shell.stdin?.write('\n');
    await ask(port);
    await ask(port);
    const map = readFileSync(`/proc/${shell.pid}/maps`, 'utf8')
      .split('\n')
      .find((line) => line.endsWith(envoy));
    base = Number.parseInt(map ?? '', 16);
    await sleep(500);
    ({ stdout } = await running.interrupt());
  } finally {
    shell.kill('SIGKILL');
  }
  const file = HostFile.open(envoy);
  if (!file.ok) throw file.error;
  const elf = ElfFile.open(envoy, file.value);
  if (!elf.ok) throw elf.error;
  // The tracer has kept them: the program is not looked through again.
  const names = inferredNames(elf.value);
  if (names === undefined) throw new Error(`no names can be inferred in ${envoy}`);
  const frames: EnvoyFrame[] = [];
  for (const [, address = '', text = ''] of stdout.matchAll(/^\s+([0-9a-f]{8,16}) (.*)$/gm)) {
    if (!text.endsWith(`(${envoy})`)) continue;
    const at = Number.parseInt(address, 16) - base;
    const shown = text.slice(0, text.lastIndexOf(' (')).replace(/\+\d+$/, '');
    // A return address: what was called stands before it.
    frames.push({ address: at, shown, name: names.at(virtualAddress(at - 1)) });
  }
  file.value.close();
  return frames;
}
