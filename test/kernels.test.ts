/**
 * The kernel-dependent tests on other kernels: each test of the guest is a test here, with
 * its name, its failure or the reason why it was skipped. test/kernels/lane.txt says which.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { root } from './insitu.ts';
import { findKernel, noEmulator, runInGuest, type TestKernel, type TestResult } from './kernels/boot.ts';

/** What each kernel must be able to do: a test that says it cannot fails there. */
const expected: Readonly<Record<string, string>> = {
  '6.1': 'root tracefs btf cgroup2 gcc nm kprobes fentry watchpoints tun no-lockdown',
  '6.12':
    'root tracefs btf cgroup2 gcc nm kprobes fentry watchpoints tun no-lockdown uprobe_multi linux-6.12 kprobe_multi',
};
/** All of it, or the short part that `npm test` has. */
const whole = process.env['INSITU_TEST_KERNELS'] !== undefined;
/** Milliseconds for a kernel; all of it takes half an hour on an idle machine. */
const limit = whole ? 7_200_000 : 1_200_000;
const versions = (process.env['INSITU_TEST_KERNELS'] ?? '6.1').split(' ');

/** The compiled test files that the words of the lane pick. */
function chosenFiles(): string[] {
  const given = (process.env['INSITU_TEST_LANE'] ?? '').split(' ').filter((word) => word !== '');
  const words = readFileSync(join(root, 'test', 'kernels', 'lane.txt'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#') && (whole || line.startsWith('+')))
    .map((line) => line.replace(/^\+ */, ''));
  const files = ['src', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((file) => join(folder, String(file))),
  );
  return files
    .filter((file) => file.endsWith('.test.ts') && file !== join('test', 'kernels.test.ts'))
    .filter((file) => (given.length > 0 ? given : words).some((word) => file.includes(word)))
    .map((file) => join('dist', file.replace(/\.ts$/, '.js')))
    .sort();
}

interface Node {
  readonly result: TestResult;
  readonly children: readonly Node[];
}

/** The tests with what is in them, which comes before them in the report. */
function tree(results: readonly TestResult[]): readonly Node[] {
  const open: Node[][] = [[]];
  for (const result of results) {
    const children = open[result.depth + 1] ?? [];
    open.length = result.depth + 1;
    for (let depth = 0; depth <= result.depth; depth++) open[depth] ??= [];
    open[result.depth]?.push({ result, children });
  }
  return open[0] ?? [];
}

async function tell(t: TestContext, { result, children }: Node): Promise<void> {
  const skip = result.skip === undefined ? false : result.skip || true;
  await t.test(`${result.name} (${result.milliseconds.toFixed(0)} ms there)`, { skip }, async (inner) => {
    for (const child of children) await tell(inner, child);
    if (result.passed || children.some((child) => !child.result.passed)) return;
    const error = new Error('it failed there');
    error.stack = result.error ?? error.message;
    throw error;
  });
}

/** A word on the way, as the report comes at the end. */
const tellEarly = ({ name, depth, file, passed, skip, milliseconds, error }: TestResult): void => {
  const mark = passed ? (skip === undefined ? 'ok' : 'skipped') : 'FAILED';
  if (depth > 0 && passed) return;
  const where = file.replace(/^.*\//, '');
  process.stderr.write(`${mark} ${where}: ${name} (${milliseconds.toFixed(0)} ms there)${error ? `\n${error}` : ''}\n`);
};

for (const version of versions) {
  describe(`on Linux ${version}`, { skip: noEmulator(version) }, () => {
    test('boots, and the lane comes to its end', { timeout: limit + 100_000 }, async (t) => {
      const files = chosenFiles();
      assert.ok(files.length > 0, 'no test file is chosen');
      const run = await runInGuest(findKernel(version) as TestKernel, {
        files,
        modules: ['drivers/net/tun'],
        environment: { INSITU_TEST_EXPECT: expected[version] ?? '', INSITU_TEST_PATIENCE: '10' },
        timeout: limit,
        ...(whole ? { onResult: tellEarly } : {}),
      });
      for (const node of tree(run.results)) await tell(t, node);
      assert.notEqual(run.status, undefined, `it never came to its end:\n${run.console.slice(-4000)}`);
      const told = new Set(run.results.map(({ file }) => file));
      const silent = files.filter((file) => !told.has(file));
      assert.deepEqual(silent, [], 'files that told nothing');
    });
  });
}
