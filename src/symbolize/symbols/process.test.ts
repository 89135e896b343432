import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fileOffset, processAddress } from '../../base/numbers.ts';
import { bytesReader } from '../../bytes/file.ts';
import type { Mapping } from '../../debuginfo/text/maps.ts';
import { PerfMap } from './perfmap.ts';
import { offsetOf, ProcessMaps } from './process.ts';

const mapping = (start: number, end: number, path: string, offset: number = 0): Mapping => ({
  start: processAddress(start),
  end: processAddress(end),
  permissions: 'r-xp',
  offset: fileOffset(offset),
  device: 'fe:01',
  inode: '7',
  path,
  deleted: false,
  buildId: '',
});

const shown = (maps: ProcessMaps): string[] =>
  maps.mappings.map(({ start, end, path, offset }) => `${start}-${end} ${path}+${offset}`);

test('a later mapping takes the place of what it covers', () => {
  const maps = new ProcessMaps([mapping(100, 200, 'a', 1000), mapping(300, 400, 'b')]);
  maps.add(mapping(120, 150, 'c'));
  assert.deepEqual(shown(maps), ['100-120 a+1000', '120-150 c+0', '150-200 a+1050', '300-400 b+0']);
  maps.add(mapping(150, 350, 'd'));
  assert.deepEqual(shown(maps), ['100-120 a+1000', '120-150 c+0', '150-350 d+0', '350-400 b+50']);
  maps.add(mapping(0, 1000, 'e'));
  assert.deepEqual(shown(maps), ['0-1000 e+0']);
  maps.remove(processAddress(10), processAddress(20));
  assert.deepEqual(shown(maps), ['0-10 e+0', '20-1000 e+20']);
  maps.add(mapping(5, 5, 'nothing'));
  assert.equal(maps.mappings.length, 2);
  maps.clear();
  assert.deepEqual(shown(maps), []);
});

test('a forked child goes its own way', () => {
  const parent = new ProcessMaps([mapping(100, 200, 'a')]);
  const child = parent.copy();
  child.add(mapping(150, 160, 'b'));
  parent.remove(processAddress(100), processAddress(110));
  assert.deepEqual(shown(child), ['100-150 a+0', '150-160 b+0', '160-200 a+60']);
  assert.deepEqual(shown(parent), ['110-200 a+10']);
});

test('an address belongs to the mapping that holds it', () => {
  const maps = new ProcessMaps([mapping(100, 200, 'a', 4096), mapping(200, 300, 'b')]);
  const path = (address: number): string | undefined => maps.find(processAddress(address))?.path;
  assert.deepEqual([99, 100, 199, 200, 299, 300].map(path), [undefined, 'a', 'a', 'b', 'b', undefined]);
  const found = maps.find(processAddress(150));
  assert.equal(found && offsetOf(found, processAddress(150)), 4146);
});

test('agrees with an array of bytes, whatever is mapped and unmapped', () => {
  const range = fc.tuple(fc.nat(60), fc.nat(60));
  fc.assert(
    fc.property(fc.array(fc.tuple(range, fc.boolean()), { maxLength: 40 }), (steps) => {
      const maps = new ProcessMaps();
      const memory: (string | undefined)[] = Array(128).fill(undefined);
      steps.forEach(([[start, size], add], step) => {
        if (add) maps.add(mapping(start, start + size, `m${step}`, 10_000 * step));
        else maps.remove(processAddress(start), processAddress(start + size));
        for (let at = start; at < start + size; at++)
          memory[at] = add ? `m${step}+${10_000 * step + at - start}` : undefined;
      });
      memory.forEach((wanted, at) => {
        const found = maps.find(processAddress(at));
        assert.equal(found && `${found.path}+${offsetOf(found, processAddress(at))}`, wanted);
      });
      const ends = maps.mappings.flatMap((one) => [one.start, one.end]);
      assert.deepEqual(
        ends,
        [...ends].sort((a, b) => a - b),
      );
    }),
    { numRuns: 1000, seed: 9 },
  );
});

test('perf map: later lines count, half lines wait, a new file starts anew', () => {
  const map = new PerfMap();
  const at = (address: number): string | undefined => {
    const found = map.at(processAddress(address));
    return found && `${found.name}+${found.offset}`;
  };
  const update = (text: string): void => map.update(bytesReader(new TextEncoder().encode(text)));
  const first = '2000 10 LazyCompile:*add /a b.js:1:2\n1000 20 one\nnonsense\n0x3000 0x10 hex\n40';
  update(first);
  assert.equal(at(0x2004), 'LazyCompile:*add /a b.js:1:2+4');
  assert.equal(at(0x2010), undefined);
  assert.equal(at(0x101f), 'one+31');
  assert.equal(at(0xfff), undefined);
  assert.equal(at(0x3001), 'hex+1');
  assert.equal(at(0x4000), undefined);
  update(`${first}00 8 late\n1000 8 moved\n1010 4 inside\n`);
  assert.equal(at(0x4000), 'late+0');
  assert.equal(at(0x1000), 'moved+0');
  assert.equal(at(0x1012), 'inside+2');
  assert.equal(at(0x1018), 'one+24');
  const child = map.copy();
  update('9000 10 other process\n');
  assert.equal(child.at(processAddress(0x2004))?.offset, 4);
  assert.equal(at(0x2004), undefined);
  assert.equal(at(0x9000), 'other process+0');
});
