import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { parseLdCache } from './ldcache.ts';
import { machineArch } from './machine.ts';
import { libraryMatch, resolvePath, rootOf } from './paths.ts';

function pathOf(name: string, options: Parameters<typeof resolvePath>[1] = {}): string {
  const result = resolvePath(name, options);
  if (!result.ok) throw result.error;
  return result.value;
}

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'insitu-paths-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a program and waits until it has replaced this process's image and mapped its libraries. */
async function started(
  t: TestContext,
  command: string,
  args: readonly string[],
  done: RegExp,
): Promise<ChildProcess & { pid: number }> {
  const child = spawn(command, args, { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  for (let tries = 0; tries < 200; tries++) {
    if (child.pid !== undefined && done.test(readFileSync(`/proc/${child.pid}/maps`, 'latin1'))) {
      return child as ChildProcess & { pid: number };
    }
    await wait(10);
  }
  throw new Error(`${command} did not map ${done}`);
}

test('which sonames a name means', () => {
  assert.ok(libraryMatch('libc', 'libc.so.6') > 0);
  assert.ok(libraryMatch('c', 'libc.so.6') > 0);
  assert.ok(libraryMatch('libc', 'libc.so.6') > libraryMatch('c', 'libc.so.6'));
  assert.ok(libraryMatch('libssl.so.3', 'libssl.so.3') > 0);
  assert.ok(libraryMatch('libstdc++', 'libstdc++.so.6') > 0);
  assert.ok(libraryMatch('libssl.so', 'libssl.so.3') > 0);
  for (const other of ['libcap.so.2', 'libc-2.31.so.old', 'libcrypt.so.1', 'libc.so.6.txt~']) {
    assert.equal(libraryMatch('libc', other), 0, other);
  }
  assert.equal(libraryMatch('libssl.so.3', 'libssl.so.31'), 0);
});

test("the dynamic loader's cache reads as ldconfig prints it", (t) => {
  if (!existsSync('/etc/ld.so.cache')) return t.skip('there is no /etc/ld.so.cache');
  const run = spawnSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' });
  if (run.error !== undefined) return t.skip('there is no ldconfig');
  const kind = machineArch() === 'arm64' ? 'AArch64' : 'x86-64';
  const expected = [...run.stdout.matchAll(/^\t(\S+) \(libc6,(\S+?)(?:,.*)?\) => (.*)$/gm)]
    .filter(([, , machine]) => machine?.replace(/\)$/, '') === kind)
    .map(([, soname, , path]) => ({ soname, path }));
  assert.ok(expected.length > 10);
  assert.deepEqual(parseLdCache(readFileSync('/etc/ld.so.cache'), machineArch()), expected);
});

test('a cache behind one of the older format, and damaged ones', () => {
  const strings = 'liba.so.1\0/lib/liba.so.1\0';
  const inner = Buffer.alloc(48 + 24);
  inner.write('glibc-ld.so.cache1.1');
  inner.writeUInt32LE(1, 20);
  inner.writeUInt32LE(strings.length, 24);
  inner.writeUInt32LE(0x0303, 48);
  inner.writeUInt32LE(72, 52);
  inner.writeUInt32LE(82, 56);
  const fresh = Buffer.concat([inner, Buffer.from(strings)]);
  // Old header of 16 bytes and one entry of 12, then padding to a multiple of 8.
  const old = Buffer.alloc(32);
  old.write('ld.so-1.7.0');
  old.writeUInt32LE(1, 12);
  const expected = [{ soname: 'liba.so.1', path: '/lib/liba.so.1' }];
  assert.deepEqual(parseLdCache(fresh, 'x86_64'), expected);
  assert.deepEqual(parseLdCache(Buffer.concat([old, fresh]), 'x86_64'), expected);
  assert.deepEqual(parseLdCache(fresh, 'arm64'), []);
  assert.deepEqual(parseLdCache(fresh.subarray(0, 60), 'x86_64'), []);
  assert.deepEqual(parseLdCache(Buffer.from('text'), 'x86_64'), []);
  fresh.writeUInt32LE(0xffffffff, 20);
  assert.deepEqual(parseLdCache(fresh, 'x86_64'), expected, 'a count beyond the file');
});

test('programs, paths and libraries', (t) => {
  const folder = folderFor(t);
  writeFileSync(join(folder, 'tool'), '');
  chmodSync(join(folder, 'tool'), 0o755);
  const node = spawnSync('sh', ['-c', 'command -v node'], { encoding: 'utf8' }).stdout.trim();
  assert.equal(pathOf('node'), node);
  assert.equal(pathOf('tool', { path: `/nowhere:${folder}` }), join(folder, 'tool'));
  assert.equal(pathOf('./tool', { cwd: folder }), join(folder, 'tool'));
  assert.equal(pathOf('tool', { cwd: folder, path: '/nowhere' }), join(folder, 'tool'));
  assert.equal(pathOf(join(folder, 'tool')), join(folder, 'tool'));
  // The loader's own word on where libc is.
  const libc = /=> (\S*libc\.so\.6)/.exec(spawnSync('ldd', [process.execPath], { encoding: 'utf8' }).stdout)?.[1];
  if (libc === undefined) return t.diagnostic('ldd names no libc.so.6, libraries are not looked up');
  for (const name of ['libc', 'c', 'libc.so.6', 'libc.so'])
    assert.equal(realpathSync(pathOf(name)), realpathSync(libc), name);
});

test('what is not there gets near names', (t) => {
  const folder = folderFor(t);
  writeFileSync(join(folder, 'envoy-server'), '');
  const failure = (name: string, options: Parameters<typeof resolvePath>[1] = {}): string => {
    const result = resolvePath(name, options);
    assert.ok(!result.ok, name);
    assert.equal(result.error.code, 'ENOENT');
    return [result.error.message, ...result.error.hints].join('\n');
  };
  assert.match(
    failure('./envoy-sever', { cwd: folder }),
    /there is no file \.\/envoy-sever\nDid you mean (\.\/)?envoy-server\?/,
  );
  assert.match(
    failure(`${folder}/bin/x/envoy`),
    /there is no file .*\nThere is no folder .*\/bin\/x; .*insitu-paths-\w+ is there\./,
  );
  assert.match(failure('envoy-srver', { path: folder, cwd: '/' }), /Did you mean envoy-server\?/);
  assert.match(failure('libpthred'), /there is no library libpthred/);
  failure('');
  const dead = resolvePath('libc', { pid: 4194305 });
  assert.ok(!dead.ok && dead.error.code === 'ESRCH');
});

test('with a process, its own mappings decide', async (t) => {
  const folder = folderFor(t);
  const copy = join(folder, 'sleeper');
  copyFileSync(realpathSync('/bin/sleep'), copy);
  const child = await started(t, copy, ['30'], /libc\.so\.6/);
  assert.equal(rootOf(child.pid), '');
  assert.equal(pathOf('sleeper', { pid: child.pid, path: '/nowhere' }), copy);
  const libc = / (\/\S*libc\.so\.6)$/m.exec(readFileSync(`/proc/${child.pid}/maps`, 'latin1'))?.[1];
  assert.equal(pathOf('libc', { pid: child.pid }), libc);
  // A program that was replaced while it runs is still reached.
  rmSync(copy);
  const gone = pathOf(copy, { pid: child.pid });
  assert.match(gone, new RegExp(`^/proc/${child.pid}/map_files/`));
  assert.ok(readFileSync(gone).equals(readFileSync('/bin/sleep')));
});

test("a process with another root is seen through its root's folder", async (t) => {
  if (process.getuid?.() !== 0) return t.skip('only root can change the root folder');
  const root = folderFor(t);
  const needed = [...spawnSync('ldd', ['/bin/sleep'], { encoding: 'utf8' }).stdout.matchAll(/(\/\S+) \(0x/g)].map(
    ([, path = '']) => path,
  );
  for (const path of ['/bin/sleep', ...needed]) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    copyFileSync(realpathSync(path), join(root, path));
  }
  const child = await started(t, 'chroot', [root, '/bin/sleep', '30'], /bin\/sleep[\s\S]*libc\.so\.6/);
  assert.equal(rootOf(child.pid), `/proc/${child.pid}/root`);
  assert.equal(pathOf('/bin/sleep', { pid: child.pid }), `/proc/${child.pid}/root/bin/sleep`);
  assert.equal(
    realpathSync(pathOf('libc', { pid: child.pid })),
    realpathSync(join(root, needed.find((path) => /libc\.so/.test(path)) ?? '')),
  );
});
