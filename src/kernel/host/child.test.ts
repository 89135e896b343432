import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { eventually, holderArguments } from '../sample.ts';
import { findProgram, holdCommand } from './child.ts';
import { processExists } from './processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-child-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs test/holders/command: it holds the command, starts it when told, says how it ended. */
function tracer(command: string, environment: NodeJS.ProcessEnv = process.env) {
  return spawn(process.execPath, [...holderArguments('command'), command], {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe'],
    env: environment,
  });
}

async function collect(stream: NodeJS.ReadableStream | null): Promise<string> {
  let text = '';
  if (stream) for await (const chunk of stream) text += String(chunk);
  return text;
}

test('nothing runs before start; pid, arguments, environment and streams are the plain ones', {
  timeout: 20_000,
}, async () => {
  const mark = join(folder, 'mark');
  const script = join(folder, 'show.sh');
  writeFileSync(
    script,
    `#!/bin/sh\ntouch ${mark}\necho "$$"\nfor a in "$@"; do printf '<%s>' "$a"; done; echo\necho "$MARK"\ncat\necho oops >&2\nls /proc/self/fd | tr '\\n' ' '\nexit 7\n`,
  );
  chmodSync(script, 0o755);
  const run = tracer(`${script} 'a b' "" c\\"d $HOME`, { ...process.env, MARK: 'here it is' });
  const told = createInterface({ input: run.stdio[3] as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  const output = collect(run.stdout);
  const errors = collect(run.stderr);
  const pid = Number((await told.next()).value);
  await new Promise((done) => setTimeout(done, 300));
  assert.equal(existsSync(mark), false, 'it ran before start()');
  (run.stdio[4] as NodeJS.WritableStream).write('go\n');
  run.stdin?.end('typed\n');
  assert.equal((await told.next()).value, '7 null');
  // No more open descriptors than a program that is started plainly has.
  const plain = spawnSync(script, [], { encoding: 'utf8' }).stdout.trim().split('\n').at(-1) as string;
  assert.equal(await output, `${pid}\n<a b><><c"d><$HOME>\nhere it is\ntyped\n${plain} `);
  assert.equal(await errors, 'oops\n');
});

test('the environment is the one that /bin/sh starts programs with', { timeout: 20_000 }, async () => {
  const environment = { PATH: process.env['PATH'], A: '1', EMPTY: '', LINES_: 'x\ny' };
  const file = join(folder, 'environ');
  const run = tracer(`cp /proc/self/environ ${file}`, environment);
  (run.stdio[4] as NodeJS.WritableStream).write('go\n');
  await collect(run.stdio[3] as NodeJS.ReadableStream);
  const seen = readFileSync(file, 'utf8').split('\0').slice(0, -1).sort();
  const expected = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const shell = execFileSync('/bin/sh', ['-c', 'exec env -0'], { env: environment, encoding: 'utf8' });
  // What the machine's own /bin/sh adds to any program that it starts (dash: PWD).
  const added = shell.split('\0').filter((line) => line !== '' && !expected.includes(line));
  assert.deepEqual(seen, [...expected, ...added].sort());
});

test('a signal ends it and is told', { timeout: 20_000 }, async () => {
  const run = tracer('sleep 30');
  const told = createInterface({ input: run.stdio[3] as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  const pid = Number((await told.next()).value);
  (run.stdio[4] as NodeJS.WritableStream).write('go\n');
  assert.ok(await eventually(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n'));
  process.kill(pid, 'SIGTERM');
  assert.equal((await told.next()).value, 'null SIGTERM');
});

for (const started of [false, true]) {
  test(`SIGKILL of the tracer ends a command that was ${started ? '' : 'not '}started`, {
    timeout: 20_000,
  }, async (t) => {
    try {
      findProgram('setpriv', process.env['PATH'] ?? '');
    } catch {
      return t.skip('needs setpriv (util-linux)');
    }
    const run = tracer('sleep 30');
    const told = createInterface({ input: run.stdio[3] as NodeJS.ReadableStream })[Symbol.asyncIterator]();
    const pid = Number((await told.next()).value);
    if (started) {
      (run.stdio[4] as NodeJS.WritableStream).write('go\n');
      assert.ok(await eventually(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n'));
    }
    assert.ok(processExists(pid));
    run.kill('SIGKILL');
    assert.ok(await eventually(() => !processExists(pid)), `process ${pid} is still there`);
  });
}

test('what cannot be run is refused before anything starts', { timeout: 20_000 }, async () => {
  const plain = join(folder, 'plain');
  writeFileSync(plain, 'text');
  await assert.rejects(holdCommand('no-such-program-at-all x'), {
    code: 'ENOENT',
    message: /no program no-such-program-at-all/,
  });
  await assert.rejects(holdCommand(`${plain}x`), { code: 'E_NOT_EXECUTABLE', message: /there is no such file/ });
  await assert.rejects(holdCommand(plain), { code: 'E_NOT_EXECUTABLE', message: /it is not executable/ });
  await assert.rejects(holdCommand(folder), { code: 'E_NOT_EXECUTABLE', message: /it is not a file/ });
  await assert.rejects(holdCommand(' '), { code: 'E_NO_COMMAND' });
  await assert.rejects(holdCommand('ls "x'), { code: 'E_UNTERMINATED_QUOTE' });
});

test('a command that is killed before start is told as ended', { timeout: 20_000 }, async () => {
  const child = await holdCommand('sleep 30');
  assert.equal(child.ended, undefined);
  child.kill('SIGKILL');
  assert.deepEqual(await child.exited, { code: null, signal: 'SIGKILL' });
  child.start();
});
