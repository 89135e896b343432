import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { deviceText, parseMaps } from './maps.ts';

test('lines of every kind', () => {
  const text = [
    '55d0c3a00000-55d0c3a21000 r-xp 0000b000 fe:01 1234567                    /usr/bin/with space',
    '7f0000000000-7f0000021000 rw-p 00000000 00:00 0 ',
    '7f1000000000-7f1000001000 r--s 7fffffff000 103:05 18446744073709551615   /tmp/a\\012b (deleted)',
    '7ffd1c1e8000-7ffd1c209000 rw-p 00000000 00:00 0                          [stack]',
    'ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]',
    'something else',
    '',
  ].join('\n');
  const [first, second, third, stack, vsyscall, ...more] = parseMaps(text);
  assert.deepEqual(first, {
    start: 0x55d0c3a00000,
    end: 0x55d0c3a21000,
    permissions: 'r-xp',
    offset: 0xb000,
    device: 'fe:01',
    inode: '1234567',
    path: '/usr/bin/with space',
    deleted: false,
    buildId: '',
  });
  assert.equal(second?.path, '');
  assert.deepEqual(
    [third?.path, third?.deleted, third?.inode, third?.device, third?.offset],
    ['/tmp/a\nb', true, '18446744073709551615', '103:05', 0x7fffffff000],
  );
  assert.equal(stack?.path, '[stack]');
  // Beyond 2^53, yet exact: the address is a multiple of 4096.
  assert.equal(vsyscall?.start, Number(0xffffffffff600000n));
  assert.deepEqual(more, []);
});

test("this process's own maps are read whole", () => {
  const text = readFileSync('/proc/self/maps', 'utf8');
  assert.equal(parseMaps(text).length, text.trim().split('\n').length);
});

test('device numbers as the kernel writes them', () => {
  assert.equal(deviceText(0xfe, 1), 'fe:01');
  assert.equal(deviceText(0x103, 5), '103:05');
});
