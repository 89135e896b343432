import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { nodePath, random, Workshop } from '../../../test/binaries.ts';
import { processAddress } from '../../base/numbers.ts';
import { bytesReader } from '../../bytes/file.ts';
import { processFiles } from '../../kernel/host/processfiles.ts';
import { demangleBoth } from '../demangle/index.ts';
import { JitDump } from './jitdump.ts';
import { Symbolizer } from './symbolizer.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

/** A file as the specification describes it: header, then records of `parts` (numbers of 8 bytes, texts). */
function dump(records: readonly (readonly [id: number, ...parts: readonly (number | string)[]])[]): Uint8Array {
  const bytes: number[] = [];
  const word = (value: number, size: number): void => {
    for (let at = 0; at < size; at++) bytes.push(Math.floor(value / 2 ** (8 * at)) % 256);
  };
  for (const value of [0x4a695444, 1, 40, 62, 0, 1234]) word(value, 4);
  word(0, 8);
  word(0, 8);
  for (const [id, ...parts] of records) {
    const size = 16 + parts.reduce<number>((sum, part) => sum + (typeof part === 'string' ? part.length + 1 : 8), 0);
    word(id, 4);
    word(size, 4);
    word(0, 8);
    for (const part of parts) {
      if (typeof part === 'number') word(part, 8);
      else bytes.push(...Buffer.from(`${part}\0`));
    }
  }
  return Uint8Array.from(bytes);
}

const at = (jit: JitDump, address: number): string => {
  const found = jit.at(processAddress(address));
  return found === undefined ? '' : `${found.name}+${found.offset}`;
};

test('code that is loaded, moved and replaced', () => {
  const jit = new JitDump();
  const records: [number, ...(number | string)[]][] = [
    [0, 7, 0x1000, 0x1000, 0x100, 1, 'first', 'code'],
    [0, 7, 0x2000, 0x2000, 0x100, 2, 'second', 'code'],
    [2, 1, 2, 3],
  ];
  jit.update(bytesReader(dump(records)));
  assert.equal(at(jit, 0x10ff), 'first+255');
  assert.equal(at(jit, 0x1100), '');
  // Moved: pid and tid, vma, old address, new address, size, index.
  records.push([1, 7, 0x3000, 0x1000, 0x3000, 0x100, 1]);
  // Something else where the second was.
  records.push([0, 7, 0x2080, 0x2080, 0x10, 3, 'third', 'code']);
  const bytes = dump(records);
  jit.update(bytesReader(bytes.subarray(0, bytes.length - 1)));
  assert.equal(at(jit, 0x3004), 'first+4');
  assert.equal(at(jit, 0x2084), 'second+132');
  jit.update(bytesReader(bytes));
  assert.equal(at(jit, 0x2084), 'third+4');
  assert.equal(at(jit, 0x2100), '');
});

test('no dump, a cut one, a damaged one', () => {
  const whole = dump([[0, 7, 0x1000, 0x1000, 0x100, 1, 'first', 'code']]);
  const pick = random(5);
  for (let length = 0; length <= whole.length; length++) {
    const jit = new JitDump();
    jit.update(bytesReader(whole.subarray(0, length)));
    assert.equal(at(jit, 0x1001), length === whole.length ? 'first+1' : '');
  }
  for (let round = 0; round < 2000; round++) {
    const bytes = whole.slice();
    for (let left = 4; left > 0; left--) bytes[pick(bytes.length)] = pick(256);
    const jit = new JitDump();
    jit.update(bytesReader(bytes));
    jit.at(processAddress(0x1001));
  }
});

test('node --perf-prof, against the perf map of the same run', async () => {
  const script =
    'function hot(a) { let s = 0; for (let i = 0; i < a; i++) s += i % 7; return s; } for (let n = 0; n < 300; n++) hot(10000); console.log("ready"); process.stdin.resume();';
  const child = spawn(nodePath, ['--perf-prof', '--perf-basic-prof', '-e', script], {
    cwd: workshop.folder,
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: 20_000,
  });
  const pid = child.pid as number;
  const map = `/tmp/perf-${pid}.map`;
  const names = new Symbolizer(processFiles, { demangle: demangleBoth });
  try {
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    assert.equal(line, 'ready');
    names.prepare(pid);
    // V8 writes in pieces of 2 MB, the last one when it ends.
    const ended = once(child, 'exit');
    child.stdin.end();
    assert.deepEqual(await ended, [0, null]);
    const rows = readFileSync(map, 'utf8').trimEnd().split('\n');
    // With the map gone, the dump is what is left to name code by.
    rmSync(map);
    // Later lines replace earlier ones where they overlap: those that come last for their address are asked for.
    const lines = rows.map((row) => {
      const [start = '', size = '', ...name] = row.split(' ');
      return { start: Number.parseInt(start, 16), size: Number.parseInt(size, 16), name: name.join(' ') };
    });
    let asked = 0;
    for (const [index, { start, size, name }] of lines.entries()) {
      // Of functions that are interpreted (~) the dump says nothing.
      const replaced = lines
        .slice(index + 1)
        .some((other) => other.start < start + size && start < other.start + other.size);
      if (replaced || size < 6 || !/^JS:[*^]/.test(name)) continue;
      const frame = names.symbolize(pid, processAddress(start + 5));
      assert.ok(frame.found, frame.found ? '' : `${name}: ${frame.reason}`);
      assert.equal(`${frame.module} ${frame.name}+${frame.offset}`, `[jit] ${name}+5`);
      asked++;
    }
    assert.ok(asked > 0, `${asked} functions`);
  } finally {
    names.close();
    rmSync(map, { force: true });
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
  }
});
