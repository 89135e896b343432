import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { lacking, random } from '../../test/binaries.ts';
import { unpackXz } from './xz.ts';
import { unpackZstd } from './zstd.ts';

function pack(command: string, args: readonly string[], input: Uint8Array): Uint8Array {
  const { status, stdout, stderr } = spawnSync(command, args, { input, maxBuffer: 1 << 28, timeout: 60_000 });
  assert.equal(status, 0, String(stderr));
  return new Uint8Array(stdout);
}

const noise = (size: number, alphabet: number): Uint8Array => {
  const next = random(size + alphabet);
  return Uint8Array.from({ length: size }, () => next(alphabet));
};

const program = new Uint8Array(readFileSync('/bin/sh'));
const text = new TextEncoder().encode(
  Array.from({ length: 20_000 }, (_, at) => `line ${at * 7919} of ${at % 13}\n`).join(''),
);
const inputs: Readonly<Record<string, Uint8Array>> = {
  nothing: new Uint8Array(0),
  'one byte': Uint8Array.of(7),
  zeros: new Uint8Array(300_000),
  noise: noise(200_000, 256),
  'noise of few letters': noise(200_000, 5),
  'noise of two letters': noise(50_000, 2),
  text,
  'a program': program,
  'noise, then the program twice': Buffer.concat([noise(3000, 256), program, program]),
};

const formats = [
  {
    name: 'xz',
    command: 'xz',
    unpack: unpackXz,
    levels: ['-0', '-6', '-9e', '--check=crc32', '--check=none', '--lzma2=lc=0,lp=2,pb=1'],
  },
  {
    name: 'zstd',
    command: 'zstd',
    unpack: unpackZstd,
    levels: ['-1', '-3', '-12', '-19', '--ultra -22 --long=27', '--no-check'],
  },
] as const;

for (const { name, command, unpack, levels } of formats) {
  describe(`${name}: unpacks what ${command} packed`, { skip: lacking(command) }, () => {
    for (const [what, input] of Object.entries(inputs)) {
      test(what, () => {
        for (const level of levels) {
          const packed = pack(command, ['-q', '-c', ...level.split(' ')], input);
          const unpacked = unpack(packed);
          assert.ok(unpacked.ok, unpacked.ok ? '' : `${level}: ${unpacked.error.message}`);
          assert.ok(Buffer.from(unpacked.value).equals(Buffer.from(input)), level);
        }
      });
    }

    test('several blocks and streams of bytes', () => {
      const args = name === 'xz' ? ['--block-size=30000'] : ['-B30000'];
      const unpacked = unpack(pack(command, ['-q', '-c', ...args], program));
      assert.ok(unpacked.ok);
      assert.ok(Buffer.from(unpacked.value).equals(program));
    });

    test('refuses more than the limit', () => {
      const unpacked = unpack(pack(command, ['-q', '-c'], new Uint8Array(1 << 20)), 1000);
      assert.ok(!unpacked.ok);
      assert.match(unpacked.error.message, /more than 1000 bytes/);
    });

    test('damaged and cut off: refused, or read as something, never a crash', () => {
      const packed = pack(command, ['-q', '-c', '-6'], text.subarray(0, 60_000));
      const pick = random(3);
      let refused = 0;
      for (let round = 0; round < 1500; round++) {
        const bytes = packed.slice(0, pick(4) === 0 ? pick(packed.length) : packed.length);
        for (let left = pick(4); left > 0 && bytes.length > 0; left--) bytes[pick(bytes.length)] = pick(256);
        if (!unpack(bytes, 1 << 20).ok) refused++;
      }
      assert.ok(refused > 500, `${refused} of 1500 refused`);
    });
  });
}
