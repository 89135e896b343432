import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Schema } from '../program/schema.ts';
import { schemaSize } from '../program/schema.ts';
import { decode } from './decode.ts';

/** Bytes from hex text; blanks are for the eye. */
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const int = (size: 1 | 2 | 4 | 8, signed: boolean): Schema => ({ kind: 'int', size, signed });

test('integers: a number where exact, a bigint beyond 2^53', () => {
  const cases: [Schema, string, number | bigint][] = [
    [int(1, false), 'ff', 255],
    [int(1, true), 'ff', -1],
    [int(2, false), '3412', 0x1234],
    [int(2, true), '0080', -32768],
    [int(4, false), 'ffffffff', 4294967295],
    [int(4, true), 'ffffffff', -1],
    [int(8, false), '0100000001000000', 4294967297],
    [int(8, false), 'ffffffffffff1f00', 9007199254740991],
    [int(8, false), '0000000000002000', 9007199254740992n],
    [int(8, false), 'ffffffffffffffff', 18446744073709551615n],
    [int(8, true), 'ffffffffffffffff', -1],
    [int(8, true), '010000000000e0ff', -9007199254740991],
    [int(8, true), '0000000000000080', -9223372036854775808n],
    [int(8, true), 'ffffffffffffff7f', 9223372036854775807n],
  ];
  for (const [schema, bytes, value] of cases)
    assert.deepEqual(decode(schema, hex(bytes), 0), { kind: 'int', value }, bytes);
});

test('numbers with another face', () => {
  assert.deepEqual(decode({ kind: 'bool' }, hex('02'), 0), { kind: 'bool', value: true });
  // 1.5f and 2.25 in IEEE 754.
  assert.deepEqual(decode({ kind: 'float', size: 4 }, hex('0000c03f'), 0), { kind: 'float', value: 1.5 });
  assert.deepEqual(decode({ kind: 'float', size: 8 }, hex('0000000000000240'), 0), { kind: 'float', value: 2.25 });
  assert.deepEqual(decode({ kind: 'pointer' }, hex('00000081ffffffff'), 0), {
    kind: 'pointer',
    value: 0xffffffff81000000n,
  });
  const color: Schema = {
    kind: 'enum',
    size: 4,
    signed: true,
    name: 'color',
    members: [
      ['-1', 'NONE'],
      ['1', 'RED'],
      ['1', 'ROT'],
    ],
  };
  assert.deepEqual(decode(color, hex('01000000'), 0), { kind: 'enum', value: 1, name: 'RED' });
  assert.deepEqual(decode(color, hex('ffffffff'), 0), { kind: 'enum', value: -1, name: 'NONE' });
  assert.deepEqual(decode(color, hex('05000000'), 0), { kind: 'enum', value: 5, name: undefined });
});

test('strings end at NUL; without one in the last byte they were cut', () => {
  const string = (size: number): Schema => ({ kind: 'string', size });
  const shown = (size: number, bytes: Uint8Array): unknown => decode(string(size), bytes, 0);
  assert.deepEqual(shown(4, hex('61620063')), { kind: 'string', text: 'ab', cut: true });
  assert.deepEqual(shown(4, hex('61620000')), { kind: 'string', text: 'ab', cut: false });
  assert.deepEqual(shown(3, hex('616263')), { kind: 'string', text: 'abc', cut: true });
  assert.deepEqual(shown(4, hex('c3a92100')), { kind: 'string', text: 'é!', cut: false });
  assert.deepEqual(shown(3, hex('6161c3')), { kind: 'string', text: 'aa', cut: true });
  assert.deepEqual(shown(4, hex('61ff6200')), { kind: 'string', text: 'a\ufffdb', cut: false });
  const long = new Uint8Array(200);
  long.fill(0x78, 0, 150);
  assert.deepEqual(shown(200, long), { kind: 'string', text: 'x'.repeat(150), cut: false });
});

test('composites', () => {
  const buffer: Schema = { kind: 'buffer', size: 8 };
  assert.deepEqual(decode(buffer, hex('03000000 616263 0000000000'), 0), { kind: 'buffer', bytes: hex('616263') });
  // A length beyond the room is the room.
  assert.deepEqual(decode(buffer, hex('ff000000 6162636465666768'), 0), {
    kind: 'buffer',
    bytes: hex('6162636465666768'),
  });
  const array: Schema = { kind: 'array', of: int(2, false), length: 2 };
  const tuple: Schema = {
    kind: 'tuple',
    size: 8,
    elements: [
      { offset: 0, schema: int(1, false) },
      { offset: 4, schema: array },
    ],
  };
  assert.deepEqual(decode(tuple, hex('ff 07000000 01000200'), 1), {
    kind: 'tuple',
    elements: [
      { kind: 'int', value: 7 },
      {
        kind: 'array',
        elements: [
          { kind: 'int', value: 1 },
          { kind: 'int', value: 2 },
        ],
      },
    ],
  });
});

test('bit-fields: unsigned bf:3 and int sb:2 of one 32-bit unit', () => {
  // gcc -O0: { bf = 5, sb = -1 } has the low byte 0b11101.
  const record: Schema = {
    kind: 'record',
    name: 'foo',
    size: 4,
    fields: [
      { name: 'bf', offset: 0, schema: int(4, false), bits: { offset: 0, width: 3 } },
      { name: 'sb', offset: 0, schema: int(4, true), bits: { offset: 3, width: 2 } },
    ],
  };
  assert.deepEqual(decode(record, hex('1d000000'), 0), {
    kind: 'record',
    name: 'foo',
    fields: [
      { name: 'bf', value: { kind: 'int', value: 5 } },
      { name: 'sb', value: { kind: 'int', value: -1 } },
    ],
  });
});

test('addresses, stacks and symbols', () => {
  assert.deepEqual(decode({ kind: 'inet' }, hex('02000000 7f000001 000000000000000000000000'), 0), {
    kind: 'inet',
    family: 2,
    bytes: hex('7f000001'),
  });
  assert.deepEqual(decode({ kind: 'usym' }, hex('f0 ff ff ff ff 7f 00 00  2a 00 00 00 00 00 00 00'), 0), {
    kind: 'symbol',
    space: 'user',
    address: 0x7ffffffffff0,
    pid: 42,
  });
  const inline: Schema = { kind: 'ustack', form: 'inline', mode: 'bpftrace', limit: 3 };
  assert.equal(schemaSize(inline), 32);
  const frames = '0010000000000000 0020000000000000 0030000000000000';
  assert.deepEqual(decode(inline, hex(`07000000 10000000 ${frames}`), 0), {
    kind: 'stack',
    space: 'user',
    mode: 'bpftrace',
    pid: 7,
    frames: [0x1000, 0x2000],
  });
  // -EFAULT from bpf_get_stack.
  assert.deepEqual(decode(inline, hex(`07000000 f2ffffff ${frames}`), 0), {
    kind: 'stack',
    space: 'user',
    mode: 'bpftrace',
    pid: 7,
    frames: [],
    errno: 14,
  });
  const stored: Schema = { kind: 'kstack', form: 'id', mode: 'raw', limit: 3, stacks: 2 };
  assert.deepEqual(decode(stored, hex('00000000 05000000'), 0), {
    kind: 'stack',
    space: 'kernel',
    mode: 'raw',
    pid: 0,
    frames: [],
    stored: { map: 2, id: 5 },
  });
});

test('stacks of the own unwinder: frames, where they end, and why', () => {
  const frames = '0010000000000000 0020000000000000 0000000000000000';
  const inline: Schema = { kind: 'ustack', form: 'inline', mode: 'raw', limit: 127, unwound: true };
  // u32 pid, u16 frames, u8 end, u8 flags.
  const room = `${frames} ${'0000000000000000'.repeat(124)}`;
  assert.deepEqual(decode(inline, hex(`07000000 0200 03 01 ${room}`), 0), {
    kind: 'stack',
    space: 'user',
    mode: 'raw',
    pid: 7,
    frames: [0x1000, 0x2000],
    end: 'no rule',
    guessed: true,
  });
  const stored: Schema = { ...inline, form: 'id', limit: 3, stacks: 2 };
  // Who asks for three frames need not be told that there are more.
  assert.deepEqual(decode(stored, hex('07000000 0300 01 00 efcdab8967452301'), 0), {
    kind: 'stack',
    space: 'user',
    mode: 'raw',
    pid: 7,
    frames: [],
    end: 'complete',
    stored: { map: 2, id: 0x0123456789abcdefn, count: 3 },
  });
});

test('bytes short of their schema are a bug, not a wrong value', () => {
  assert.throws(() => decode(int(8, false), hex('01020304'), 0), RangeError);
});
