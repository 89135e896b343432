/**
 * What changes the traced program: write_user and override, on a program that logs what
 * became of it. Both need a kernel that lets them be: lockdown forbids the first,
 * CONFIG_BPF_KPROBE_OVERRIDE is for the second.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { insitu, lacking } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-unsafe-'));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('write_user', { skip: lacking('gcc', 'tracefs') }, () => {
  const source = join(folder, 'written.c');
  const binary = join(folder, 'written');
  const build = (): void => {
    if (existsSync(binary)) return;
    writeFileSync(
      source,
      `#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
/* Not position-independent: getpriority's first argument has 32 bits, which the addresses fit. */
static char text[16] = "untouched";
static long number = 5;
int main(void) {
  syscall(SYS_getpriority, text, 1);
  syscall(SYS_getpriority, &number, 2);
  syscall(SYS_getpriority, 8, 3);
  dprintf(2, "%s %ld\\n", text, number);
  return 0;
}
`,
    );
    execFileSync('gcc', ['-O1', '-no-pie', '-fno-pie', '-o', binary, source]);
  };
  const script = `tracepoint:syscalls:sys_enter_getpriority /comm == "written"/ {
    if (args.who == 1) { $t = "changed"; printf("%d ", write_user((int8 *)args.which, $t, 8)); }
    if (args.who == 2) { printf("%d ", write_user((int64 *)args.which, -7, 8)); }
    if (args.who == 3) { printf("%d\\n", write_user((int64 *)args.which, 1, 8)); }
  }`;

  test('a text, a number, and an address that cannot be written', { timeout: 120_000 }, async (t) => {
    build();
    const log = join(folder, 'log');
    const outcome = await insitu(['-q', '--unsafe', '-c', `sh -c "exec ${binary} 2> ${log}"`, '-e', script]);
    if (/write_user\(\) needs a kernel that lets programs write/.test(outcome.stderr)) {
      assert.equal(outcome.status, 1);
      assert.match(outcome.stderr, /Lockdown forbids it/);
      if (lacking('no-lockdown')) return t.skip(lacking('no-lockdown') || undefined);
    }
    assert.equal(outcome.stdout.trim(), '1 1 0', outcome.stderr);
    assert.equal(readFileSync(log, 'latin1'), 'changed -7\n', outcome.stderr);
  });

  for (const [call, complaint] of [
    ['write_user((int8 *)arg0, "ab", 9)', /string\[3\] has at most 3 bytes to write, not 9/],
    ['write_user((int8 *)arg0, 7, 9)', /a number has at most 8 bytes to write, not 9/],
    ['write_user((int8 *)arg0, "ab", arg1)', /write_user\(\) takes a length from 1 to 1024 that is known/],
  ] as const) {
    test(`refused: ${call}`, { timeout: 90_000 }, async () => {
      const outcome = await insitu(['--unsafe', '-e', `uprobe:${process.execPath}:main { ${call}; }`]);
      assert.equal(outcome.status, 1);
      assert.match(outcome.stderr, complaint);
    });
  }
});

describe('override', { skip: lacking('kprobes') }, () => {
  /** The kernel's own word; where it is hidden, it has not. */
  const config = ((): string => {
    const release = readFileSync('/proc/sys/kernel/osrelease', 'latin1').trim();
    const path = `/boot/config-${release}`;
    return existsSync(path) ? readFileSync(path, 'latin1') : '';
  })();
  const can = config.includes('CONFIG_BPF_KPROBE_OVERRIDE=y') || existsSync('/sys/kernel/debug/error_injection');

  test('the function is not run, and returns the value; or the kernel cannot, and says so', {
    timeout: 120_000,
  }, async () => {
    // The system call answers 20 minus the niceness, which nice(1) prints.
    const script = 'kprobe:__x64_sys_getpriority /comm == "nice"/ { override(15); }';
    const out = join(folder, 'niceness');
    const outcome = await insitu(['-q', '--unsafe', '-c', `sh -c "exec nice > ${out}"`, '-e', script]);
    if (can) {
      assert.equal(readFileSync(out, 'latin1'), '5\n', outcome.stderr);
      return;
    }
    assert.equal(outcome.status, 1);
    assert.match(outcome.stderr, /override\(\) needs a kernel with CONFIG_BPF_KPROBE_OVERRIDE/);
    assert.ok(!readdirSync(folder).includes('niceness'));
  });
});
