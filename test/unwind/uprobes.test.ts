/** Stacks at uprobes: on a function's first instruction, in its middle, at its return, and with returns pending. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { lacking, root } from '../insitu.ts';
import { compareRuns } from './compare.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-uprobes-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const program = join(folder, 'frames');
const print = '{ printf("BEGIN %d%sEND\\n", tid, ustack(raw)); }';

describe('uprobes in a program without frame pointers', { skip: lacking('gcc', 'gdb', 'nm') }, () => {
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

  test('on the first instruction', async () => {
    const { gdb, insitu } = await compareRuns([program, 'deep'], '*call', `uprobe:${program}:call ${print}`);
    assert.deepEqual(insitu[0]?.frames, gdb.frames);
    assert.equal(insitu[0]?.end, '');
    assert.ok(gdb.frames.length > 100);
  });

  test('on each instruction of a function', async () => {
    const listing = spawnSync('objdump', ['-d', '--no-show-raw-insn', '--disassemble=with_alloca', program], {
      encoding: 'utf8',
    }).stdout;
    const addresses = [...listing.matchAll(/^\s+([0-9a-f]+):/gm)].map(([, address = '']) =>
      Number.parseInt(address, 16),
    );
    const start = addresses[0] as number;
    assert.ok(addresses.length > 20, listing);
    let compared = 0;
    for (const address of addresses.filter((_, index) => index % 4 === 1)) {
      const place = `with_alloca+${address - start}`;
      const { gdb, insitu, errors } = await compareRuns(
        [program, 'alloca'],
        `*(char*)with_alloca+${address - start}`,
        `uprobe:${program}:${place} ${print}`,
      );
      // A place that the kernel cannot probe, or that is not reached.
      if (insitu.length === 0) {
        assert.match(errors, /prob|instruction/);
        continue;
      }
      assert.deepEqual(insitu[0]?.frames, gdb.frames, place);
      compared++;
    }
    assert.ok(compared >= 5, `${compared} places`);
  });

  test('at the return', async () => {
    const { gdb, insitu } = await compareRuns([program, 'deep'], '*call', `uretprobe:${program}:call ${print}`);
    assert.deepEqual(insitu[0]?.frames, gdb.frames.slice(1));
    assert.equal(insitu[0]?.end, '');
  });

  test('while a hundred returns are pending', async () => {
    const script = `uretprobe:${program}:deep { @ = count(); } uprobe:${program}:call ${print}`;
    const { gdb, insitu } = await compareRuns([program, 'deep'], '*call', script);
    assert.deepEqual(insitu[0]?.frames, gdb.frames);
    assert.equal(insitu[0]?.end, '');
  });
});
