/** Options and environment variables that the cases of other files do not try, on the real executable. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { attachedWord, insitu, lacking, Running } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-flags-'));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('options', { skip: lacking() }, () => {
  test('--cmd is -c, --output is -o', async () => {
    const path = join(folder, 'out');
    const script = 'BEGIN { printf("cpid %d\\n", cpid > 0); } END { printf("ended\\n"); }';
    const { status, stdout, stderr } = await insitu(['-q', '--cmd', 'true', '--output', path, '-e', script]);
    assert.equal(status, 0, stderr);
    assert.equal(stdout, '');
    assert.match(readFileSync(path, 'utf8'), /^cpid 1\nended\n/);
  });

  test('--quiet is -q, --verbose is -v', async () => {
    const script = 'BEGIN { printf("x\\n"); exit(); }';
    const quiet = await insitu(['--quiet', '-e', script]);
    assert.doesNotMatch(quiet.stderr, /Attached/);
    assert.match((await insitu(['-e', script])).stderr, /^Attached 1 probe$/m);
    for (const [flags, told] of [
      [['--verbose'], true],
      [[], false],
    ] as const) {
      const { stderr } = await insitu([...flags, '-c', "sh -c 'exit 3'", '-e', 'END { }']);
      assert.equal(/^Child exited with code: 3$/m.test(stderr), told, stderr);
    }
  });

  test('-B full keeps the output back, line and none do not', async () => {
    const script = 'BEGIN { printf("one\\ntwo"); } interval:s:60 { exit(); }';
    for (const [mode, shown] of [
      ['full', ''],
      ['line', 'one\n'],
      ['none', 'one\n'],
    ] as const) {
      const tracer = new Running(['-q', '-B', mode, '-e', script]);
      // The word that the probes are attached is not held back; what BEGIN printed came before it.
      await tracer.attached();
      if (shown !== '') await tracer.until(() => tracer.output.startsWith(shown), 'the first line is shown');
      assert.ok(tracer.output.startsWith(shown) && (shown !== '' || tracer.output === ''), `${mode}: ${tracer.output}`);
      const { stdout, status } = await tracer.interrupt();
      assert.equal(status, 0);
      assert.equal(stdout.trim(), 'one\ntwo');
    }
  });

  test('--fmt prints the script and runs nothing; the output parses to the same', async () => {
    const { status, stdout } = await insitu(['--fmt', '-e', 'BEGIN{printf("ran\\n");/* kept */exit()}']);
    assert.equal(status, 0);
    assert.equal(stdout, 'BEGIN\n{\n  printf("ran\\n"); /* kept */\n  exit();\n}\n');
    assert.equal((await insitu(['-q', '-e', stdout])).stdout.trimEnd(), 'ran');
    const again = await insitu(['--fmt', '-'], { input: stdout });
    assert.equal(again.stdout, stdout);
    const wrong = await insitu(['--fmt', '-e', 'BEGIN { print( }']);
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /^stdin:1:\d+-\d+: ERROR: /);
    assert.equal(wrong.stdout, '');
  });

  test('--debug prints a stage, --list what matches', async () => {
    const { stdout } = await insitu(['--debug', 'ast', '--dry-run', '-e', 'BEGIN { print(1 + 2); }']);
    assert.match(stdout, /^script\n {2}probe\n {4}attach BEGIN\n/);
    const listed = await insitu(['--list', 'software:page*']);
    assert.match(listed.stdout, /^software:page-faults:$/m);
  });

  test('--include reads a header before the script', async () => {
    writeFileSync(join(folder, 'own.h'), '#define OWN 42\nstruct own { int a; char b; };\n');
    const script = 'BEGIN { print((OWN, sizeof(struct own))); exit(); }';
    const { stdout, stderr } = await insitu(['-q', '-I', folder, '--include', 'own.h', '-e', script]);
    assert.equal(stdout.trimEnd(), '(42, 8)', stderr);
    const missing = await insitu(['--include', 'none.h', '-e', script]);
    assert.equal(missing.status, 1);
    assert.match(missing.stderr, /there is no header none\.h\nHINT/);
  });

  test('-k and --warnings tell each failed read, --no-warnings tells of nothing', async () => {
    const script = 'BEGIN { $a = *(uint32 *)8; $b = *(uint32 *)16; exit(); }';
    for (const flag of ['-k', '--warnings']) {
      const { stderr } = await insitu([flag, '-e', script]);
      assert.equal([...stderr.matchAll(/^stdin:1:\d+-\d+: WARNING: Bad address$/gm)].length, 2, stderr);
    }
    const counted = await insitu(['-e', script]);
    assert.match(counted.stderr, /2 reads of traced memory failed/);
    assert.doesNotMatch(counted.stderr, /Bad address/);
    const lossy = 'BEGIN { $x = (uint8)3; if ($x == 3000) { print(1); } print($1); exit(); }';
    assert.match((await insitu(['-e', lossy])).stderr, /WARNING/);
    assert.doesNotMatch((await insitu(['--no-warnings', '-e', lossy])).stderr, /WARNING/);
  });
});

describe('environment', { skip: lacking() }, () => {
  test(`${attachedWord}: the word on a line of its own once all probes are attached`, async () => {
    const running = new Running(['-q', '-e', 'interval:s:60 { exit(); }']);
    await running.attached();
    assert.equal(running.stdout, `${attachedWord}\n`);
    await running.interrupt();
  });

  test('BPFTRACE_COLOR: always, never, auto', async () => {
    const wrong = ['-e', 'BEGIN { nope(); }'];
    const told = async (wish: string): Promise<string> =>
      (await insitu(wrong, { env: { BPFTRACE_COLOR: wish } })).stderr;
    assert.match(await told('always'), /^\x1b\[31m.*ERROR.*\x1b\[0m$/m);
    assert.doesNotMatch(await told('never'), /\x1b/);
    // Standard error is no terminal here.
    assert.doesNotMatch(await told('auto'), /\x1b/);
  });
});
