import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { lacking, nodePath, output, Workshop } from '../../../test/binaries.ts';
import { bytesReader } from '../../bytes/file.ts';
import { HostFile } from '../../kernel/host/file.ts';
import { ElfFile } from './elf.ts';
import { fingerprint } from './fingerprint.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

function of(bytes: Uint8Array): string {
  const elf = ElfFile.open('x', bytesReader(bytes));
  assert.ok(elf.ok);
  return fingerprint(elf.value);
}

test('the same build-id, another content: another fingerprint', { skip: lacking('gcc', 'strip', 'readelf') }, () => {
  const path = workshop.gcc('whole', 'whole.c', 'int main(void) { return 3; }', '-g', '-Wl,--build-id');
  output('strip', ['-o', workshop.path('stripped'), path]);
  const whole = new Uint8Array(readFileSync(path));
  const [one, two] = [of(whole), of(new Uint8Array(readFileSync(workshop.path('stripped'))))];
  const buildId = /Build ID: ([0-9a-f]+)/.exec(output('readelf', ['-n', path]))?.[1] as string;
  assert.ok(one.startsWith(`${buildId}-`) && two.startsWith(`${buildId}-`));
  assert.notEqual(one, two);
  assert.equal(of(whole.slice()), one);
  // Every byte of a file as small as this counts.
  for (let at = 64; at < whole.length; at += 97) {
    const changed = whole.slice();
    changed[at] = (changed[at] as number) ^ 1;
    assert.notEqual(of(changed), one, `byte ${at}`);
  }
});

test('of a large file it reads little', { skip: lacking(nodePath) }, () => {
  const file = HostFile.open(nodePath);
  assert.ok(file.ok);
  const { value } = file;
  let read = 0;
  const elf = ElfFile.open(nodePath, {
    size: value.size,
    read(offset, length) {
      read += length;
      return value.read(offset, length);
    },
    readInto: (target, offset) => value.readInto(target, offset),
  });
  assert.ok(elf.ok);
  assert.match(fingerprint(elf.value), /^([0-9a-f]+|none)-[0-9a-f]{16}$/);
  assert.ok(read < 4 << 20, `${read} bytes of ${value.size}`);
  value.close();
});
