/** Notes of trace points against what readelf(1) says of the same files; a file whose sections were moved. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { describe, test } from 'node:test';
import { bytesReader } from '../../bytes/file.ts';
import { ElfFile } from './elf.ts';
import { readUsdtNotes, type UsdtNote } from './usdt.ts';

function notesOf(bytes: Uint8Array): UsdtNote[] {
  const elf = ElfFile.open('file', bytesReader(bytes));
  assert.ok(elf.ok);
  return readUsdtNotes(elf.value);
}

/** What `readelf -n` prints of each note. */
function fromReadelf(path: string): UsdtNote[] {
  const text = execFileSync('readelf', ['-nW', path], { encoding: 'utf8' });
  const note =
    /Provider: (.*)\n\s+Name: (.*)\n\s+Location: (0x\w+), Base: 0x\w+, Semaphore: (0x\w+)\n\s+Arguments: ?(.*)\n/g;
  return [...text.matchAll(note)].map(([, provider = '', name = '', location, semaphore, args = '']) => ({
    provider,
    name,
    address: Number(location) as UsdtNote['address'],
    semaphore: Number(semaphore) === 0 ? undefined : (Number(semaphore) as UsdtNote['address']),
    arguments: args,
  }));
}

const candidates = [
  '/usr/lib/x86_64-linux-gnu/libstdc++.so.6',
  '/usr/lib/aarch64-linux-gnu/libstdc++.so.6',
  '/usr/bin/python3',
];
const files = candidates
  .filter((path) => existsSync(path) && fromReadelf(path).length > 0)
  .map((path) => realpathSync(path));

describe('trace points', { skip: files.length > 0 ? false : `needs one of ${candidates.join(', ')}` }, () => {
  for (const path of files) {
    test(`${path}: as readelf says`, () => assert.deepEqual(notesOf(readFileSync(path)), fromReadelf(path)));
  }

  test('move with .stapsdt.base', () => {
    const bytes = readFileSync(files[0] as string);
    const before = notesOf(bytes);
    const elf = ElfFile.open('file', bytesReader(bytes));
    assert.ok(elf.ok);
    // Section headers have 64 bytes, sh_addr at 16; the header's e_shoff at 40.
    const index = elf.value.sections.findIndex((section) => section.name === '.stapsdt.base');
    const at = Number(bytes.readBigUInt64LE(40)) + index * 64 + 16;
    assert.equal(Number(bytes.readBigUInt64LE(at)), elf.value.sections[index]?.address);
    bytes.writeBigUInt64LE(bytes.readBigUInt64LE(at) + 0x1000n, at);
    const moved = notesOf(bytes);
    assert.deepEqual(
      moved.map((note) => note.address),
      before.map((note) => note.address + 0x1000),
    );
  });

  test('notes that are cut short are left out', () => {
    const path = files[0] as string;
    const bytes = readFileSync(path);
    const whole = notesOf(bytes);
    const elf = ElfFile.open('file', bytesReader(bytes));
    assert.ok(elf.ok);
    const section = elf.value.section('.note.stapsdt');
    assert.ok(section);
    // The first note's description loses its end: the size in its header says 30 bytes.
    bytes.writeUInt32LE(30, section.offset + 4);
    const read = notesOf(bytes);
    assert.ok(read.length < whole.length);
  });
});
