import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { crc32 } from './crc32.ts';
import { Cursor, cStringAt, decode, EndOfBytes, OverlongNumber } from './cursor.ts';
import { bytesReader } from './file.ts';
import { Pattern, textPattern } from './search.ts';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

test('integers agree with DataView in both byte orders', () => {
  const values = bytes(0x80, 0x01, 0xff, 0x7f, 0xfe, 0x00, 0x10, 0x20, 0xaa);
  const view = new DataView(values.buffer);
  for (const little of [true, false]) {
    for (const at of [0, 1]) {
      const cursor = (): Cursor => new Cursor(values, little, at);
      assert.equal(cursor().u8(), view.getUint8(at));
      assert.equal(cursor().i8(), view.getInt8(at));
      assert.equal(cursor().u16(), view.getUint16(at, little));
      assert.equal(cursor().i16(), view.getInt16(at, little));
      assert.equal(cursor().u32(), view.getUint32(at, little));
      assert.equal(cursor().i32(), view.getInt32(at, little));
      assert.equal(cursor().u64(), view.getBigUint64(at, little));
      assert.equal(cursor().i64(), view.getBigInt64(at, little));
      assert.equal(cursor().u64number(), Number(view.getBigUint64(at, little)));
      assert.equal(cursor().i64number(), Number(view.getBigInt64(at, little)));
    }
  }
});

test('a number that does not fit is never a safe integer', () => {
  assert.equal(new Cursor(bytes(0, 0, 0, 0, 0, 0, 0x20, 0)).u64number(), 2 ** 53);
  assert.ok(!Number.isSafeInteger(new Cursor(bytes(1, 0, 0, 0, 0, 0, 0x20, 0)).u64number()));
  assert.equal(new Cursor(bytes(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0)).u64number(), Number.MAX_SAFE_INTEGER);
});

test('a read past the end is an error that says where, and moves nothing', () => {
  for (const read of ['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'u64', 'i64', 'u64number', 'i64number'] as const) {
    const cursor = new Cursor(bytes(1, 2, 3), true, 3);
    assert.throws(() => cursor[read](), EndOfBytes);
    assert.equal(cursor.offset, 3);
  }
  const result = decode(bytes(1, 2, 3), true, (cursor) => [cursor.u16(), cursor.u16()]);
  assert.ok(!result.ok && result.error instanceof EndOfBytes);
  assert.deepEqual([result.error.at, result.error.wanted, result.error.length], [2, 2, 3]);
  const before = decode(bytes(1, 2, 3), true, (cursor) => {
    cursor.offset = -1;
    return cursor.u8();
  });
  assert.ok(!before.ok);
});

test('LEB128: the examples of DWARF 5, tables 7.7 and 7.8', () => {
  const unsigned: [number, number[]][] = [
    [2, [2]],
    [127, [0x7f]],
    [128, [0x80, 1]],
    [129, [0x81, 1]],
    [12857, [0xb9, 0x64]],
  ];
  const signed: [number, number[]][] = [
    [2, [2]],
    [-2, [0x7e]],
    [127, [0xff, 0]],
    [-127, [0x81, 0x7f]],
    [128, [0x80, 1]],
    [-128, [0x80, 0x7f]],
    [129, [0x81, 1]],
    [-129, [0xff, 0x7e]],
  ];
  for (const [value, encoded] of unsigned) {
    assert.equal(new Cursor(bytes(...encoded)).uleb128(), value);
    assert.equal(new Cursor(bytes(...encoded)).uleb128big(), BigInt(value));
  }
  for (const [value, encoded] of signed) {
    assert.equal(new Cursor(bytes(...encoded)).sleb128(), value);
    assert.equal(new Cursor(bytes(...encoded)).sleb128big(), BigInt(value));
  }
  // -1 and 1 padded to ten bytes, as assemblers do to keep room.
  const padded = (first: number, fill: number, last: number): number[] => [first, ...Array(8).fill(fill), last];
  assert.equal(new Cursor(bytes(...padded(0xff, 0xff, 0x7f))).sleb128(), -1);
  assert.equal(new Cursor(bytes(...padded(0x81, 0x80, 0x00))).sleb128(), 1);
  assert.equal(new Cursor(bytes(...padded(0x81, 0x80, 0x00))).uleb128(), 1);
  assert.equal(new Cursor(bytes(...padded(0xff, 0xff, 0x01))).uleb128big(), 2n ** 64n - 1n);
  assert.equal(new Cursor(bytes(...padded(0x80, 0x80, 0x7f))).sleb128big(), -(2n ** 63n));
  const endless = decode(new Uint8Array(32).fill(0x80), true, (cursor) => cursor.uleb128());
  assert.ok(!endless.ok && endless.error instanceof OverlongNumber);
  const cut = decode(bytes(0x80, 0x80), true, (cursor) => cursor.sleb128());
  assert.ok(!cut.ok && cut.error instanceof EndOfBytes);
});

test('strings end at their zero byte, or not at all', () => {
  const text = new TextEncoder().encode('abc\0größer als vierundzwanzig Bytes\0rest');
  const cursor = new Cursor(text);
  assert.equal(cursor.cString(), 'abc');
  assert.equal(cursor.cString(), 'größer als vierundzwanzig Bytes');
  assert.throws(() => cursor.cString(), EndOfBytes);
  assert.equal(cStringAt(text, 1), 'bc');
  assert.equal(cStringAt(text, text.length), undefined);
  assert.equal(cStringAt(text, -1), undefined);
});

test('a pattern is found where Buffer.indexOf finds it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(3), { maxLength: 200 }),
      fc.array(fc.nat(3), { minLength: 1, maxLength: 6 }),
      (all, part) => {
        const haystack = Uint8Array.from(all);
        const pattern = new Pattern(Uint8Array.from(part));
        for (let from = 0; from <= haystack.length; from += 7) {
          assert.equal(pattern.indexIn(haystack, from), Buffer.from(haystack).indexOf(Buffer.from(part), from));
        }
      },
    ),
    { numRuns: 500, seed: 7 },
  );
  const text = new TextEncoder().encode('one two one');
  assert.equal(textPattern('one').indexIn(text, 1), 8);
  assert.equal(textPattern('one').indexIn(text, 1, 10), -1);
});

test('crc32: the check value of the standard, and in pieces', () => {
  assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926);
  assert.equal(crc32(new Uint8Array(0)), 0);
  const data = randomBytes(1001);
  assert.equal(crc32(data.subarray(13), crc32(data.subarray(0, 13))), crc32(data));
});

test('a reader over bytes gives what is there', () => {
  const reader = bytesReader(bytes(1, 2, 3));
  assert.deepEqual([...reader.read(1, 100)], [2, 3]);
  assert.equal(reader.read(3, 1).length, 0);
  assert.equal(reader.read(-1, 1).length, 0);
  const target = new Uint8Array(2);
  assert.equal(reader.readInto(target, 2), 1);
  assert.deepEqual([...target], [3, 0]);
});
