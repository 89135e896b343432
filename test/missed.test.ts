/**
 * Runs that the kernel leaves out, as a program runs already on that CPU: told at the end, with
 * as many as the traced program knows there were.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { lazy } from '../src/base/lazy.ts';
import { kernelAtLeast } from '../src/kernel/host/machine.ts';
import { insitu, lacking } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-missed-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Reads a byte into each of so many pages that it has not touched yet: the kernel meets as many page faults. */
const toucher = lazy(() => {
  const binary = join(folder, 'toucher');
  writeFileSync(
    `${binary}.c`,
    `#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int count, char **words) {
  size_t pages = atoi(words[1]);
  int zero = open("/dev/zero", O_RDONLY);
  char *memory = mmap(0, pages << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  madvise(memory, pages << 12, MADV_NOHUGEPAGE);
  for (size_t page = 0; page < pages; page++) if (read(zero, memory + (page << 12), 1) != 1) return 1;
  return 0;
}
`,
  );
  execFileSync('gcc', ['-O1', '-o', binary, `${binary}.c`]);
  return binary;
});

const seen = (stdout: string): number => Number(/^@seen: (\d+)$/m.exec(stdout)?.[1]);

describe('missed runs of a raw tracepoint', {
  skip: lacking() || (process.arch === 'x64' ? false : 'the tracepoint page_fault_kernel is x86 only'),
}, () => {
  // A program that reads what is not there makes a page fault of its own, at which the kernel leaves it out.
  const read = (what: string): string => `rawtracepoint:page_fault_kernel /pid == cpid/ { @seen = count(); ${what} }`;
  const nothingThere = '@ = *(uint8 *)uptr(8);';

  test('as many as the program made itself, with the probe and the reason', async () => {
    const { stdout, stderr, status } = await insitu(['-c', `${toucher()} 500`, '-e', read(nothingThere)]);
    assert.equal(status, 0, stderr);
    const count = seen(stdout);
    // The pages, and a few that exec() touches.
    assert.ok(count >= 500, stdout);
    assert.match(stderr, new RegExp(`^WARNING: ${count} reads of traced memory failed`, 'm'));
    const told = /^WARNING: (\d+) runs of probes were missed \((\d+) rawtracepoint:vmlinux:page_fault_kernel\): \S/m;
    const [, all, ofProbe] = told.exec(stderr) ?? assert.fail(stderr);
    assert.equal(all, ofProbe);
    // Before Linux 6.4 the kernel's copy tries again after a fault, byte by byte (copy_user_handle_tail).
    const faults = kernelAtLeast(6, 4) ? count : 2 * count;
    // Interrupts within the program, of other tracers that read stacks, may meet faults as well.
    assert.ok(Number(all) >= faults && Number(all) < 1.5 * faults, `${count} seen, ${all} missed`);
  });

  test('two blocks of a probe are told as one', async () => {
    const script = `${read(nothingThere)} rawtracepoint:page_fault_kernel /pid == cpid/ { @second = count(); }`;
    const { stderr } = await insitu(['-c', `${toucher()} 50`, '-e', script]);
    assert.match(
      stderr,
      /^WARNING: (\d+) runs of probes were missed \(\1 rawtracepoint:vmlinux:page_fault_kernel\): /m,
    );
  });

  test('in JSON', async () => {
    const words = ['-f', 'json', '-c', `${toucher()} 50`, '-e', read(nothingThere)];
    const { stdout, stderr } = await insitu(words);
    const lines = stdout.split('\n').filter((line) => line !== '');
    const records: { type: string; msg?: string; data?: Record<string, number> }[] = lines.map((line) =>
      JSON.parse(line),
    );
    const count = records.find(({ data }) => data?.['@seen'] !== undefined)?.data?.['@seen'] ?? 0;
    assert.ok(count >= 50, stdout + stderr);
    const missed = records.find(({ type, data }) => type === 'dropped' && data?.['missed'] !== undefined);
    assert.ok((missed?.data?.['missed'] ?? 0) >= count, stdout);
    assert.match(missed?.msg ?? '', /^WARNING: \d+ runs of probes were missed \(/);
  });

  test('a program that makes no fault misses none', async () => {
    const { stdout, stderr } = await insitu(['-c', `${toucher()} 500`, '-e', read('')]);
    assert.ok(seen(stdout) >= 500, stdout + stderr);
    assert.doesNotMatch(stderr, /reads of traced memory failed/);
    // Faults in interrupts of the program may be missed; its own are not.
    assert.ok(Number(/^WARNING: (\d+) runs? of/m.exec(stderr)?.[1] ?? 0) < 100, stderr);
  });
});
