import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { isFunction, lacking, listedSymbols, nodePath, output, random, Workshop } from '../../../test/binaries.ts';
import { virtualAddress } from '../../base/numbers.ts';
import { bytesReader } from '../../bytes/file.ts';
import { textPattern } from '../../bytes/search.ts';
import { SHT_SYMTAB } from '../../debuginfo/elf/constants.ts';
import { ElfFile } from '../../debuginfo/elf/elf.ts';
import type { Section } from '../../debuginfo/elf/header.ts';
import { HostFile } from '../../kernel/host/file.ts';
import { decodeColumns, encodeColumns, readColumns } from './columns.ts';
import { SymbolTable, type TableCache } from './table.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

class MemoryCache implements TableCache {
  readonly kept: Map<string, Uint8Array> = new Map();
  hits = 0;
  read(key: string): Uint8Array | undefined {
    const bytes = this.kept.get(key);
    if (bytes !== undefined) this.hits++;
    return bytes;
  }
  write(key: string, bytes: Uint8Array): void {
    this.kept.set(key, bytes);
  }
}

function table(elf: ElfFile, cache?: TableCache): SymbolTable {
  const section = elf.sections.find(({ type }) => type === SHT_SYMTAB) as Section;
  return new SymbolTable(elf, section, 'function', { cache });
}

function open(path: string): ElfFile {
  const file = HostFile.open(path);
  assert.ok(file.ok);
  const elf = ElfFile.open(path, file.value);
  assert.ok(elf.ok);
  return elf.value;
}

describe('the index of a symbol table that is kept', { skip: lacking(nodePath, 'readelf') }, () => {
  test('answers as a fresh one does, and as readelf lists', () => {
    const cache = new MemoryCache();
    const [first, second] = [table(open(nodePath), cache), table(open(nodePath), cache)];
    assert.equal(first.count, second.count);
    assert.equal(cache.hits, 1);
    assert.equal(cache.kept.size, 1);
    const listed = listedSymbols(nodePath).filter((one) => isFunction(one) && one.size > 0);
    const pick = random(3);
    for (let left = 500; left > 0; left--) {
      const one = listed[pick(listed.length)] as (typeof listed)[number];
      const address = virtualAddress(one.address + pick(one.size));
      const [a, b] = [first.covering(address), second.covering(address)];
      assert.deepEqual(b, a);
      assert.ok(b.length > 0);
    }
    for (const name of ['main', 'uv_tcp_bind', '_ZN4node5StartEiPPc', 'no_such_function']) {
      const wanted = listed.filter((one) => one.name === name).map(({ address }) => address);
      const found = second.named(textPattern(name)).map(({ address }) => Number(address));
      assert.deepEqual([...new Set(found)], [...new Set(wanted)], name);
    }
  });

  test('damage of any byte is noticed, and the table read anew', () => {
    const elf = open(nodePath);
    const section = elf.sections.find(({ type }) => type === SHT_SYMTAB) as Section;
    const good = encodeColumns(readColumns(elf, section, 'function'));
    assert.ok(decodeColumns(good) !== undefined);
    const pick = random(9);
    for (let left = 200; left > 0; left--) {
      const bytes = good.slice();
      const at = left > 150 ? 200 - left : pick(bytes.length);
      bytes[at] = (bytes[at] as number) ^ (1 << pick(8));
      assert.equal(decodeColumns(bytes), undefined, `byte ${at}`);
    }
    for (const length of [0, 3, 16, 4000, good.length - 1])
      assert.equal(decodeColumns(good.subarray(0, length)), undefined);
    assert.ok(decodeColumns(new Uint8Array(good.buffer.slice(0)).subarray(0)) !== undefined);
    const shifted = new Uint8Array(good.length + 1);
    shifted.set(good, 1);
    assert.equal(decodeColumns(shifted.subarray(1))?.addresses.length, decodeColumns(good)?.addresses.length);

    const cache = new MemoryCache();
    const fresh = table(elf, cache);
    const count = fresh.count;
    for (const [key, bytes] of cache.kept) cache.kept.set(key, bytes.fill(7, 100, 200));
    assert.equal(table(elf, cache).count, count);
    assert.ok(
      [...cache.kept.values()].every((bytes) => decodeColumns(bytes) !== undefined),
      'it is mended',
    );
  });
});

test('the same build-id with another table, changed in place, is another index', {
  skip: lacking('gcc', 'objcopy'),
}, () => {
  const lines = Array.from({ length: 5000 }, (_, at) => `int function_${at}(void) { return ${at}; }`);
  const text = `${lines.join('\n')}\nint main(void) { return 0; }\n`;
  const path = workshop.gcc('many', 'many.c', text, '-O1', '-Wl,--build-id=0x0123456789abcdef');
  const bytes = new Uint8Array(readFileSync(path));
  const cache = new MemoryCache();
  const of = (file: Uint8Array): SymbolTable => {
    const elf = ElfFile.open('many', bytesReader(file));
    assert.ok(elf.ok);
    assert.equal(elf.value.buildId(), '0123456789abcdef');
    return table(elf.value, cache);
  };
  const [before] = of(bytes).named(textPattern('function_4321'));
  assert.ok(before !== undefined);
  // objcopy gives one symbol another binding: same size, same build-id.
  output('objcopy', ['--weaken-symbol=function_4321', path, workshop.path('weak')]);
  const [after] = of(new Uint8Array(readFileSync(workshop.path('weak')))).named(textPattern('function_4321'));
  assert.equal(after?.address, before.address);
  assert.notEqual(after?.binding, before.binding);
  assert.equal(cache.kept.size, 2);
});
