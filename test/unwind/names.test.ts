/**
 * Stacks whose functions the source says: each way of calling in programs/frames.c, from
 * umask(2) to the start of the program or thread, with nothing missing between. Runs
 * without gdb, also on the kernels of test:kernels.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { insitu, lacking, root } from '../insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-names-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const program = join(folder, 'frames');

const times = (count: number, name: string): string[] => Array.from({ length: count }, () => name);
/** From the caller of umask to main or the thread's function, innermost first. */
const ways: Readonly<Record<string, readonly string[]>> = {
  deep: ['call', ...times(101, 'deep'), 'main'],
  alloca: ['call', ...times(21, 'with_alloca'), 'main'],
  aligned: ['call', ...times(11, 'aligned'), 'main'],
  large: ['call', ...times(9, 'large'), 'main'],
  tail: ['call', 'tail_three', 'tail_two', 'tail_one', 'before_tail', 'main'],
  library: ['call', ...times(7, 'step'), 'through_library', 'main'],
};

interface Frames {
  readonly names: readonly string[];
  readonly text: string;
}

async function frames(way: string, stack = 'ustack(200)', ...options: string[]): Promise<Frames> {
  const script = `tracepoint:syscalls:sys_enter_umask /pid == cpid/ { printf("BEGIN%sEND\\n", ${stack}); exit(); }`;
  const { stdout, stderr } = await insitu(['-q', '-c', `${program} ${way}`, '-e', script, ...options], {
    // Names of a libc without debug files are worked out once; emulated kernels take long for it.
    timeout: 90_000,
  });
  const body = /BEGIN\n([\s\S]*?)END/.exec(stdout)?.[1];
  assert.ok(body !== undefined, `${stdout}${stderr}`);
  const lines = body.split('\n').map((line) => line.trim());
  return { names: lines.filter((line) => line !== '').map((line) => line.replace(/\+\d+$/, '')), text: body };
}

describe('functions in the order in which the source calls them', { skip: lacking('tracefs', 'gcc', 'btf') }, () => {
  before(() => {
    const programs = join(root, 'test', 'unwind', 'programs');
    const flags = ['-O2', '-g0', '-fomit-frame-pointer', '-fno-optimize-sibling-calls', '-pthread'];
    const { status, stderr } = spawnSync(
      'gcc',
      [...flags, '-o', program, join(programs, 'frames.c'), join(programs, 'library.c')],
      { encoding: 'utf8' },
    );
    assert.equal(status, 0, stderr);
  });

  for (const [way, expected] of Object.entries(ways)) {
    test(way, async () => {
      const { names, text } = await frames(way);
      const start = names.indexOf('call');
      assert.deepEqual(names.slice(start, start + expected.length), expected, text);
      assert.equal(names.at(-1), '_start', text);
      assert.ok(!text.includes('['), text);
    });
  }

  test('signal handler, on the same stack and on another', async () => {
    for (const way of ['signal', 'alternate']) {
      const { names, text } = await frames(way);
      const start = names.indexOf('call');
      assert.deepEqual(names.slice(start, start + 8), ['call', ...times(6, 'deep'), 'handler'], text);
      const below = names.indexOf('interrupted');
      assert.deepEqual(names.slice(below, below + 6), [...times(5, 'interrupted'), 'main'], text);
      assert.equal(names.at(-1), '_start', text);
    }
  });

  test('thread', async () => {
    const { names, text } = await frames('thread');
    const start = names.indexOf('call');
    assert.deepEqual(names.slice(start, start + 13), ['call', ...times(11, 'deep'), 'thread'], text);
    assert.ok(!text.includes('['), text);
  });

  test('qsort', async () => {
    const { names, text } = await frames('qsort');
    const start = names.indexOf('call');
    assert.deepEqual(names.slice(start, start + 6), ['call', ...times(4, 'deep'), 'compare'], text);
    assert.ok(names.includes('main'), text);
    assert.equal(names.at(-1), '_start', text);
  });

  test('processes that live for a moment, of a program that nothing was known of', async () => {
    const script = 'tracepoint:syscalls:sys_enter_umask /comm == "frames"/ { printf("BEGIN%sEND\\n", ustack(200)); }';
    // The program's name is no word of the command: it is known when it has been mapped.
    const loop = `for i in 1 2 3 4 5 6; do ${program} deep; done`;
    const { stdout, stderr } = await insitu(['-q', '--follow', '-c', `sh -c '${loop}'`, '-e', script], {
      timeout: 90_000,
    });
    const bodies = [...stdout.matchAll(/BEGIN\n([\s\S]*?)END/g)].map(([, body = '']) => body);
    assert.equal(bodies.length, 6, `${stdout}${stderr}`);
    for (const body of bodies) {
      const names = body.split('\n').flatMap((line) => line.trim().replace(/\+\d+$/, '') || []);
      assert.equal(names.filter((name) => name === 'deep').length, 101, body);
      assert.equal(names.at(-1), '_start', body);
    }
    assert.doesNotMatch(stderr, /end early|in part/);
  });

  test('stacks from before and after the rules were read are one key', async () => {
    const script = 'tracepoint:syscalls:sys_enter_umask { @[ustack(200)] = count(); @all = count(); }';
    const command = `sh -c '${program} loop & sleep 0.5; kill $!'`;
    const { stdout, stderr } = await insitu(['-q', '--follow', '-c', command, '-e', script], { timeout: 90_000 });
    const stacks = [...stdout.matchAll(/^@\[\n([\s\S]*?)\n\]: (\d+)$/gm)];
    const loops = stacks.filter(([, body = '']) => (body.match(/deep\+/g) ?? []).length === 31);
    assert.equal(loops.length, 1, `${stdout}${stderr}`);
    assert.ok(Number(loops[0]?.[2]) > 20, stdout);
    const sum = stacks.reduce((all, [, , count]) => all + Number(count), 0);
    assert.equal(sum, Number(/^@all: (\d+)$/m.exec(stdout)?.[1]));
  });

  test('a flood of stacks before the rules are read fills no map', async () => {
    const flood = join(folder, 'flood');
    writeFileSync(
      `${flood}.c`,
      '#include <sys/stat.h>\n#include <stdlib.h>\nint main(int argc, char **argv) { for (int i = atoi(argv[1]); i > 0; i--) umask(022); return 0; }\n',
    );
    execFileSync('gcc', ['-O1', '-fomit-frame-pointer', '-o', flood, `${flood}.c`]);
    const calls = 60_000;
    const script =
      'config = { max_map_keys = 16384 } tracepoint:syscalls:sys_enter_umask /comm == "flood"/ { @[ustack] = count(); }';
    // Not the command itself: of that the rules are read before it runs.
    const command = `sh -c '${flood} ${calls}; true'`;
    const { stdout, stderr } = await insitu(['-q', '--follow', '-c', command, '-e', script], { timeout: 90_000 });
    const counts = [...stdout.matchAll(/\]: (\d+)$/gm)].map(([, count]) => Number(count));
    assert.equal(
      counts.reduce((all, count) => all + count, 0),
      calls,
      stderr,
    );
    assert.doesNotMatch(stderr, /is full/);
  });

  test('by frame pointers, which this program lacks, frames are missing', async () => {
    const { names } = await frames('deep', 'ustack', '--unwind', 'fp');
    assert.ok(names.filter((name) => name === 'deep').length < 101);
  });
});
