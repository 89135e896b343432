import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { describe, findField, sizeOf } from '../../types/layout.ts';
import { openKernelTypes } from './kerneltypes.ts';
import { createHostTarget } from './target.ts';

const VMLINUX = '/sys/kernel/btf/vmlinux';
const needsRoot = (t: TestContext): boolean => {
  if (process.getuid?.() === 0) return false;
  t.skip('only root can mount and read tracefs');
  return true;
};

test('making one costs nothing', () => {
  createHostTarget();
  const start = performance.now();
  for (let count = 0; count < 100; count++) createHostTarget({ includeDirs: ['/tmp'], scriptDir: '/tmp' });
  const each = (performance.now() - start) / 100;
  assert.ok(each < 1, `${each} ms`);
});

test('the machine', () => {
  const target = createHostTarget();
  assert.equal(target.arch, process.arch === 'arm64' ? 'arm64' : 'x86_64');
  // possible CPUs, from another place than the code asks
  const possible = readFileSync('/sys/devices/system/cpu/possible', 'latin1').trim();
  assert.equal(target.cpus, possible === '0' ? 1 : Number(possible.replace('0-', '')) + 1);
  assert.equal(target.features.kernel.release, spawnSync('uname', ['-r'], { encoding: 'utf8' }).stdout.trim());
  assert.equal(target.processExists(process.pid), true);
  assert.equal(target.processExists(4194305), false);
  assert.equal(target.processExists(-1), false);
  const constants = {
    constant: (name: string) => (name === 'AF_INET6' ? 10n : undefined),
    constantNames: () => ['AF_INET6'],
  };
  assert.equal(createHostTarget({ constants }).constant('AF_INET6'), 10n);
  assert.equal(target.constant('AF_INET6'), undefined);
});

test('tracepoints', (t) => {
  if (needsRoot(t)) return;
  const target = createHostTarget();
  const names = target.tracepoints();
  assert.ok(names.ok, names.ok ? '' : names.error.message);
  const folders = readdirSync('/sys/kernel/tracing/events/sched', { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  );
  const own = names.value.filter((name) => name.startsWith('sched:'));
  assert.deepEqual(own, folders.map(({ name }) => `sched:${name}`).sort());
  const format = target.tracepoint('syscalls', 'sys_enter_connect');
  assert.ok(format.ok && format.value !== undefined);
  const id = readFileSync('/sys/kernel/tracing/events/syscalls/sys_enter_connect/id', 'latin1');
  assert.equal(format.value.id, Number(id));
  // man 2 connect: int sockfd, const struct sockaddr *addr, socklen_t addrlen
  const fields = format.value.fields.filter(({ name }) => !name.startsWith('common_') && name !== '__syscall_nr');
  assert.deepEqual(
    fields.map(({ type }) => describe(type)),
    ['uint64', 'struct sockaddr *', 'uint64'],
  );
  assert.equal(target.tracepoint('syscalls', 'sys_enter_connect'), format, 'read once');
  for (const [category, event] of [
    ['syscalls', 'nothing'],
    ['nothing', 'x'],
    ['..', 'x'],
    ['sched/sched_switch', ''],
  ] as const) {
    assert.deepEqual(target.tracepoint(category, event), { ok: true, value: undefined });
  }
});

test("the kernel's types", (t) => {
  if (!existsSync(VMLINUX)) return t.skip(`there is no ${VMLINUX}`);
  const types = createHostTarget().kernelTypes();
  const in6 = types?.find('struct', 'sockaddr_in6');
  assert.ok(in6?.kind === 'struct');
  // linux/in6.h
  assert.deepEqual([sizeOf(in6), findField(in6, 'sin6_addr')?.offset], [28, 8]);
  assert.equal(types?.find('struct', 'no_such_struct'), undefined);
  assert.equal(types?.findFunction('vfs_read')?.parameters().length, 4);
});

test('BTF of another file, also within an ELF file', (t) => {
  if (!existsSync(VMLINUX)) return t.skip(`there is no ${VMLINUX}`);
  const folder = mkdtempSync(join(tmpdir(), 'insitu-btf-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const plain = join(folder, 'btf');
  writeFileSync(plain, readFileSync(VMLINUX));
  assert.equal(openKernelTypes(plain)?.find('struct', 'sockaddr_in6')?.kind, 'struct');
  assert.throws(() => openKernelTypes(join(folder, 'missing')), /missing gives no types of the kernel/);
  writeFileSync(join(folder, 'text'), 'no type information\n');
  assert.throws(() => openKernelTypes(join(folder, 'text')), /text gives no types of the kernel/);
  writeFileSync(join(folder, 'empty.c'), '');
  const compiled = spawnSync('cc', ['-c', 'empty.c'], { cwd: folder });
  const added = spawnSync('objcopy', ['--add-section', '.BTF=btf', 'empty.o', 'vmlinux'], { cwd: folder });
  if (compiled.error !== undefined || added.error !== undefined)
    return t.diagnostic('no cc or objcopy: no ELF file is tried');
  assert.equal(openKernelTypes(join(folder, 'vmlinux'))?.find('struct', 'sockaddr_in6')?.kind, 'struct');
});

test('kernel symbols', (t) => {
  if (needsRoot(t)) return;
  const target = createHostTarget();
  const line = spawnSync('grep', ['-m1', '-w', 'T vfs_read', '/proc/kallsyms'], { encoding: 'utf8' }).stdout;
  if (line === '') return t.skip('the kernel has no /proc/kallsyms');
  assert.equal(target.kernelSymbol('vfs_read'), BigInt(`0x${line.split(' ')[0]}`));
  assert.equal(target.kernelSymbol('no_such_symbol'), undefined);
  const functions = target.kernelFunctions();
  assert.ok(functions.includes('vfs_read') && functions.length > 10_000, `${functions.length} functions`);
});

test('headers: -I, beside the including file, the system', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'insitu-headers-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const name of ['inc', 'script', 'inc/sub']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'inc/a.h'), 'from inc');
  writeFileSync(join(folder, 'script/a.h'), 'from script');
  writeFileSync(join(folder, 'inc/sub/a.h'), 'from sub');
  const target = createHostTarget({ includeDirs: [join(folder, 'inc')], scriptDir: join(folder, 'script') });
  assert.equal(target.header('a.h', true, undefined)?.text, 'from inc');
  assert.equal(target.header('a.h', false, undefined)?.text, 'from script');
  assert.equal(target.header('a.h', false, join(folder, 'inc/sub/b.h'))?.text, 'from sub');
  assert.equal(target.header('sub/a.h', true, undefined)?.path, join(folder, 'inc/sub/a.h'));
  assert.equal(target.header(join(folder, 'inc/a.h'), true, undefined)?.text, 'from inc');
  assert.equal(target.header('no/such.h', true, undefined), undefined);
  assert.equal(target.header('inc', true, undefined), undefined, 'a folder is no header');
  if (!existsSync('/usr/include/linux/in.h')) return t.diagnostic('no linux-libc-dev: <linux/in.h> is not tried');
  assert.equal(target.header('linux/in.h', true, undefined)?.text, readFileSync('/usr/include/linux/in.h', 'utf8'));
});

test('binaries', () => {
  const target = createHostTarget();
  const node = target.binary('node', undefined);
  assert.ok(node.ok, node.ok ? '' : node.error.message);
  assert.equal(target.binary(node.value.path, undefined), node, 'opened once');
  const notes = spawnSync('readelf', ['-n', node.value.path], { encoding: 'utf8' });
  if (notes.error === undefined) assert.equal(node.value.buildId, /Build ID: (\w+)/.exec(notes.stdout)?.[1] ?? '');
  const missing = target.binary('/usr/bin/nodee', undefined);
  assert.ok(!missing.ok && missing.error.code === 'ENOENT');
  const text = target.binary('/etc/passwd', undefined);
  assert.ok(!text.ok && text.error.code === 'E_NOT_ELF');
  const folder = target.binary('/etc', undefined);
  assert.ok(!folder.ok && folder.error.code === 'E_NOT_A_FILE');
});
