/** A file's table is in the kernel while a process uses the file, and gone when none does: by the kernel's own figures. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { mapLookup } from '../../src/kernel/sys/bpf.ts';
import { closeFd } from '../../src/kernel/sys/bpfcall.ts';
import { objectFd, objectIds } from '../../src/kernel/sys/objects.ts';
import { blockBytes, mostFiles } from '../../src/program/unwind.ts';
import { lacking, Running, root, sleep } from '../insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-tables-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const program = join(folder, 'frames');

const BPF_MAP_TYPE_ARRAY_OF_MAPS = 12;
const field = (text: string, name: string): number =>
  Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN);

/** Ids and bytes (memlock in fdinfo) of the maps that a process's array of maps holds. */
function innerMaps(pid: number): Map<number, number> {
  const found = new Map<number, number>();
  const infos = readdirSync(`/proc/${pid}/fdinfo`).map((fd) => {
    try {
      return readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8');
    } catch {
      return ''; // closed since
    }
  });
  const outer = infos.find((info) => field(info, 'map_type') === BPF_MAP_TYPE_ARRAY_OF_MAPS);
  assert.ok(outer, 'the process holds no array of maps');
  const fd = objectFd('MAP', field(outer, 'map_id'));
  assert.ok(fd !== undefined);
  const id = new Uint8Array(4);
  for (let index = 0; index < mostFiles; index++) {
    if (!mapLookup(fd, new Uint8Array(Uint32Array.of(index).buffer), id)) continue;
    const number = new DataView(id.buffer).getUint32(0, true);
    const inner = objectFd('MAP', number);
    if (inner === undefined) continue;
    found.set(number, field(readFileSync(`/proc/self/fdinfo/${inner}`, 'utf8'), 'memlock'));
    closeFd(inner);
  }
  closeFd(fd);
  return found;
}

async function until<T>(look: () => T | undefined, what: string): Promise<T> {
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(50)) {
    const found = look();
    if (found !== undefined) return found;
  }
  throw new Error(`not within a minute: ${what}`);
}

const sum = (maps: ReadonlyMap<number, number>): number => [...maps.values()].reduce((all, one) => all + one, 0);

describe('tables in the kernel', { skip: lacking('gcc', 'tracefs', 'btf') }, () => {
  before(() => {
    const sources = ['frames.c', 'library.c'].map((name) => join(root, 'test', 'unwind', 'programs', name));
    const { status, stderr } = spawnSync('gcc', ['-O2', '-static', '-pthread', '-o', program, ...sources], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
  });

  test('go with the last process that uses the file', async () => {
    // Each line that the shell gets is a step.
    const steps = `trap 'kill $(jobs -p)' EXIT; read _; ${program} loop & one=$!; ${program} loop & two=$!; read _; kill $one; wait $one; read _; kill $two; wait; read _`;
    const shell = spawn('/bin/sh', ['-c', steps], { stdio: ['pipe', 'ignore', 'ignore'] });
    const step = (): void => void shell.stdin.write('\n');
    const script = 'tracepoint:syscalls:sys_enter_umask /comm == "frames"/ { @[ustack] = count(); }';
    const tracer = new Running(['-p', String(shell.pid), '--follow', '-e', script], { timeout: 120_000 });
    try {
      await tracer.attached();
      const before = innerMaps(tracer.pid);
      assert.ok(before.size >= 2, `${before.size} tables of the shell and its libraries`);
      step();
      const during = await until(() => {
        const now = innerMaps(tracer.pid);
        return now.size > before.size ? now : undefined;
      }, 'a table of the program');
      const added = [...during.keys()].filter((id) => !before.has(id));
      assert.equal(added.length, 1, 'one table for two processes');
      // One block for the directory, and one or more for the rows.
      assert.ok(sum(during) - sum(before) >= 2 * blockBytes, `${sum(during) - sum(before)} bytes more`);
      step();
      await sleep(8000);
      assert.ok(innerMaps(tracer.pid).has(added[0] as number), 'the other process still uses it');
      step();
      await until(() => (objectIds('MAP').includes(added[0] as number) ? undefined : true), 'the table is gone');
      assert.deepEqual(innerMaps(tracer.pid), before);
      step();
      const { stdout, stderr } = await tracer.ended();
      assert.match(stdout, /deep\+\d+[\s\S]*_start/, stderr);
    } finally {
      tracer.child.kill('SIGKILL');
      // The end of its input makes it read on, to its end.
      shell.stdin.end();
    }
  });
});
