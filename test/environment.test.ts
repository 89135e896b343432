/** Environment variables that name files of the kernel. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { insitu, lacking, Running } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-environment-'));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('environment', { skip: lacking() }, () => {
  test('__BPFTRACE_NOTIFY_PROBES_ATTACHED: a line of its own, once the probes are attached', async () => {
    const script = 'BEGIN { printf("begin\\n"); } interval:ms:1 { printf("hit\\n"); exit(); }';
    const shown = async (env: Record<string, string>): Promise<string[]> =>
      (await insitu(['-q', '-e', script], { env })).stdout.split('\n').filter((line) => line !== '');
    // The test's own runner waits for that line, and leaves it out of what it gives.
    const running = new Running(['-q', '-e', script], { env: { __BPFTRACE_NOTIFY_PROBES_ATTACHED: '1' } });
    await running.ended();
    const all = running.stdout.split('\n').filter((line) => line !== '');
    assert.deepEqual(all.sort(), ['__BPFTRACE_NOTIFY_PROBES_ATTACHED', 'begin', 'hit']);
    assert.deepEqual(await shown({}), ['begin', 'hit']);
  });

  test('BPFTRACE_KERNEL_SOURCE and BPFTRACE_KERNEL_BUILD: where headers of the kernel are', async () => {
    const source = join(folder, 'source');
    const build = join(folder, 'build');
    mkdirSync(join(source, 'include/linux'), { recursive: true });
    mkdirSync(join(build, 'include/generated/uapi/linux'), { recursive: true });
    writeFileSync(
      join(source, 'include/linux/insitu_own.h'),
      '#define OWN_THING 77\nstruct own_thing { int a[3]; };\n',
    );
    writeFileSync(join(build, 'include/generated/uapi/linux/insitu_made.h'), '#define MADE_THING 5\n');
    const script = `#include <linux/insitu_own.h>
#include <linux/insitu_made.h>
BEGIN { print((OWN_THING, sizeof(struct own_thing), MADE_THING)); exit(); }`;
    const env = { BPFTRACE_KERNEL_SOURCE: source, BPFTRACE_KERNEL_BUILD: build };
    const { stdout, stderr } = await insitu(['-q', '-e', script], { env });
    assert.equal(stdout.trimEnd(), '(77, 12, 5)', stderr);
  });

  test('BPFTRACE_VMLINUX: symbols that kallsyms does not tell, moved as the kernel is', {
    skip: lacking('gcc'),
  }, async () => {
    // A file with an anchor one page from where the running kernel has it, and one more symbol.
    const start = /^([0-9a-f]+) \w _stext$/m.exec(readFileSync('/proc/kallsyms', 'latin1'))?.[1];
    assert.ok(start, 'the kernel has _stext');
    const object = join(folder, 'start.o');
    writeFileSync(join(folder, 'start.s'), '.globl _stext\n.text\n_stext: nop\n');
    execFileSync('gcc', ['-c', join(folder, 'start.s'), '-o', object]);
    const linked = BigInt(`0x${start}`) + 0x1000n;
    const vmlinux = join(folder, 'vmlinux');
    const address = `--defsym=insitu_thing=0x${(linked + 0x2468n).toString(16)}`;
    execFileSync('ld', ['-o', vmlinux, `-Ttext=0x${linked.toString(16)}`, '-e', '_stext', address, object]);
    const script = 'BEGIN { printf("%llx\\n", kaddr("insitu_thing")); exit(); }';
    const { stdout, stderr } = await insitu(['-q', '-e', script], { env: { BPFTRACE_VMLINUX: vmlinux } });
    assert.equal(stdout.trimEnd(), (BigInt(`0x${start}`) + 0x2468n).toString(16), stderr);
    for (const [path, complaint] of [
      ['/bin/sh', /\/bin\/sh and the running kernel have no symbol in common\nHINT/],
      [join(folder, 'none'), /can't open .*none: there is no such file/],
    ] as const) {
      const wrong = await insitu(['-e', script], { env: { BPFTRACE_VMLINUX: path } });
      assert.equal(wrong.status, 1);
      assert.match(wrong.stderr, complaint);
    }
  });

  test('BPFTRACE_BTF: another file with the kernel types', async () => {
    const script = 'BEGIN { print(sizeof(struct task_struct) > 1000); exit(); }';
    const right = await insitu(['-q', '-e', script], { env: { BPFTRACE_BTF: '/sys/kernel/btf/vmlinux' } });
    assert.equal(right.stdout.trimEnd(), 'true', right.stderr);
    const wrong = await insitu(['-e', script], { env: { BPFTRACE_BTF: '/bin/sh' } });
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /^ERROR: .*\/bin\/sh/m);
  });
});
