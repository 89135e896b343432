import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { FormatPiece } from '../program/program.ts';
import type { Schema } from '../program/schema.ts';
import { schemaSize } from '../program/schema.ts';
import { fixedNames } from './fixed.ts';
import { compileFormat } from './printf.ts';

const wording = { names: fixedNames({ symbols: { '401136': { name: 'main', offset: 16 } } }), trailer: '..' };
type Piece = Exclude<FormatPiece, { readonly text: string }>;

/** The conversion that a format like `%-5.3lld` names. */
function piece(format: string): Piece {
  const match = /^%([-0+ #]*)(\d+)?(?:\.(\d+))?(hh|h|ll|l|j|z)?(rx|rh|gr|.)$/.exec(format);
  assert.ok(match, format);
  const [, flags = '', width, precision, length = '', conversion = ''] = match;
  return {
    conversion,
    flags,
    width: width === undefined ? undefined : Number(width),
    precision: precision === undefined ? undefined : Number(precision),
    length,
    argument: 0,
  };
}

/** One argument's text; the argument's bytes are `bytes`. */
function show(format: string, schema: Schema, bytes: Uint8Array): string {
  const record = new DataView(new ArrayBuffer(8 + Math.max(bytes.length, schemaSize(schema))));
  new Uint8Array(record.buffer).set(bytes, 8);
  return compileFormat([piece(format)], [{ offset: 8, schema }], wording)(record, 0);
}

function little(value: bigint, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

const int = (size: 1 | 2 | 4 | 8, signed: boolean): Schema => ({ kind: 'int', size, signed });
const text = (value: string, size: number): Uint8Array => {
  const bytes = new Uint8Array(size);
  bytes.set(Buffer.from(value).subarray(0, size));
  return bytes;
};
const buffer = (...bytes: number[]): Uint8Array => Uint8Array.from([...little(BigInt(bytes.length), 4), ...bytes]);

interface Case {
  readonly format: string;
  readonly schema: Schema;
  readonly bytes: Uint8Array;
  /** The argument as a C expression. */
  readonly c: string;
}

const values = [
  0n,
  1n,
  -1n,
  7n,
  65n,
  255n,
  -128n,
  32767n,
  -70000n,
  4294967295n,
  4294967297n,
  -(2n ** 63n),
  2n ** 63n - 1n,
  2n ** 53n + 1n,
];

/** C's type after the default promotions for a length modifier. */
function cType(length: string, signed: boolean): string {
  const base = length === 'll' ? 'long long' : length === 'l' || length === 'j' || length === 'z' ? 'long' : 'int';
  return signed ? base : `unsigned ${base}`;
}

/** About 900 format and value pairs, always the same ones. */
function integerCases(): Case[] {
  const cases: Case[] = [];
  let turn = 0;
  for (const conversion of 'diuxXo') {
    for (const length of ['', 'hh', 'h', 'l', 'll', 'j', 'z']) {
      for (const shape of [
        '',
        '5',
        '-5',
        '05',
        '+',
        ' ',
        '#',
        '.3',
        '5.3',
        '-5.3',
        '+05',
        '-05',
        '#010',
        '+ 6',
        '020',
        '.0',
        '#.0',
        '-#12.4',
        '+-8',
        '025.20',
        '.1',
      ]) {
        const signed = conversion === 'd' || conversion === 'i';
        // '#' with d, i, u and '+' or ' ' with unsigned conversions are undefined or ignored in C.
        if (shape.includes('#') && !'xXo'.includes(conversion)) continue;
        const value = values[turn++ % values.length] as bigint;
        const size = ([8, 4, 8, 2, 8, 1] as const)[turn % 6] as 1 | 2 | 4 | 8;
        const own = turn % 2 === 0;
        const narrowed = own ? BigInt.asIntN(8 * size, value) : BigInt.asUintN(8 * size, value);
        const c = `(${cType(length, signed)})(unsigned long long)${BigInt.asUintN(64, narrowed)}ULL`;
        cases.push({
          format: `%${shape}${length}${conversion}`,
          schema: int(size, own),
          bytes: little(narrowed, size),
          c,
        });
      }
    }
  }
  return cases;
}

function otherCases(): Case[] {
  const cases: Case[] = [];
  for (const shape of ['', '5', '-5', '12', '-12', '.2', '.0', '8.3', '-8.3', '.20']) {
    for (const word of ['', 'a', 'hello', 'hello, world']) {
      cases.push({
        format: `%${shape}s`,
        schema: { kind: 'string', size: 32 },
        bytes: text(word, 32),
        c: JSON.stringify(word),
      });
    }
  }
  for (const shape of ['', '3', '-3']) {
    for (const code of [65, 126, 32, 321]) {
      cases.push({ format: `%${shape}c`, schema: int(4, true), bytes: little(BigInt(code), 4), c: String(code) });
    }
  }
  for (const shape of ['', '20', '-20']) {
    for (const address of [1n, 0x1234n, 0x7fff12345678n, 0xffffffff81000000n]) {
      cases.push({
        format: `%${shape}p`,
        schema: { kind: 'pointer' },
        bytes: little(address, 8),
        c: `(void *)${address}ULL`,
      });
    }
  }
  return cases;
}

test('conversions print what the C library prints', (t) => {
  if (spawnSync('gcc', ['--version']).status !== 0) {
    t.skip('gcc is not installed (apt-get install gcc): no C library to compare with');
    return;
  }
  const cases = [...integerCases(), ...otherCases()];
  assert.ok(cases.length > 500);
  const folder = mkdtempSync(join(tmpdir(), 'insitu-printf-'));
  try {
    const lines = cases.map((item) => `  printf(${JSON.stringify(`${item.format}\n`)}, ${item.c});`);
    writeFileSync(join(folder, 'p.c'), `#include <stdio.h>\nint main(void) {\n${lines.join('\n')}\n  return 0;\n}\n`);
    execFileSync('gcc', ['-O0', '-w', '-o', join(folder, 'p'), join(folder, 'p.c')]);
    const expected = execFileSync(join(folder, 'p'), { encoding: 'latin1' }).split('\n').slice(0, -1);
    const actual = cases.map((item) => show(item.format, item.schema, item.bytes));
    assert.equal(expected.length, cases.length);
    const wrong = cases.flatMap((item, i) =>
      actual[i] === expected[i] ? [] : [`${item.format} of ${item.c}: ${actual[i]} instead of ${expected[i]}`],
    );
    assert.deepEqual(wrong, []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

// Printed by bpftrace 0.27.1.
test('conversions that C does not have', () => {
  const bytes = buffer(0x61, 0x01, 0x62, 0x7f, 0xff);
  const schema: Schema = { kind: 'buffer', size: 16 };
  assert.equal(show('%r', schema, bytes), 'a\\x01b\\x7f\\xff');
  assert.equal(show('%rx', schema, buffer(0x61, 0x01, 0x62)), '\\x61\\x01\\x62');
  assert.equal(show('%rh', schema, buffer(0x61, 0x01, 0x62)), '61 01 62');
  assert.equal(show('%10r', schema, buffer(0x61, 0x62, 0x63)), '       abc');
  assert.equal(show('%-10r', schema, buffer(0x61, 0x62, 0x63)), 'abc       ');
  assert.equal(show('%p', { kind: 'pointer' }, little(0n, 8)), '0');
  assert.equal(show('%p', int(8, true), little(-1n, 8)), '0xffffffffffffffff');
});

// Printed by bpftrace 0.27.1, but for __GFP_MOVABLE, which it leaves as 0x8.
test('allocation flags by name', () => {
  const flags = (value: number): string => show('%gr', int(8, false), little(BigInt(value), 8));
  const expected: Record<string, string> = {
    '0': '0',
    '65': 'GFP_DMA|__GFP_IO',
    '3264': 'GFP_KERNEL',
    '3520': 'GFP_KERNEL|__GFP_ZERO',
    '3523': 'GFP_KERNEL|GFP_DMA|__GFP_HIGHMEM|__GFP_ZERO',
    '2048': '__GFP_KSWAPD_RECLAIM',
    '3136': 'GFP_NOFS',
    '3072': 'GFP_NOIO',
    '4197824': 'GFP_KERNEL_ACCOUNT|__GFP_ZERO',
    '10528': 'GFP_ATOMIC|__GFP_ZERO|__GFP_NOWARN',
    '2147486912': 'GFP_KERNEL|0x80000000',
  };
  for (const [value, name] of Object.entries(expected)) assert.equal(flags(Number(value)), name, value);
  assert.equal(flags(8), '__GFP_MOVABLE');
});

// Printed by bpftrace 0.27.1 (`%s` of an enum, a bool, a tuple, a stack; widths count bytes).
test('%s prints every type', () => {
  const color: Schema = {
    kind: 'enum',
    size: 4,
    signed: false,
    name: 'color',
    members: [
      ['1', 'RED'],
      ['2', 'GREEN'],
    ],
  };
  assert.equal(show('%s', color, little(1n, 4)), 'RED');
  assert.equal(show('%d', color, little(1n, 4)), '1');
  assert.equal(show('%-7s|'.slice(0, 4), color, little(2n, 4)), 'GREEN  ');
  assert.equal(show('%s', color, little(7n, 4)), '7');
  assert.equal(show('%s', { kind: 'bool' }, little(1n, 1)), 'true');
  assert.equal(show('%d', { kind: 'bool' }, little(1n, 1)), '1');
  assert.equal(show('%s', int(8, true), little(-5n, 8)), '-5');
  assert.equal(show('%20s', { kind: 'mac_address' }, text('swappe', 6)), '   73:77:61:70:70:65');
  const inet = Uint8Array.from([2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(show('%-20s', { kind: 'inet' }, inet), '127.0.0.1           ');
  assert.equal(show('%10s', { kind: 'string', size: 8 }, text('é', 8)), '        é');
  const stack: Schema = { kind: 'ustack', form: 'inline', mode: 'bpftrace', limit: 2 };
  const frames = Uint8Array.from([
    ...little(9n, 4),
    ...little(16n, 4),
    ...little(0x401136n, 8),
    ...little(0x402000n, 8),
  ]);
  assert.equal(show('%s', stack, frames), '\n        main+16\n        0x402000\n');
});

// Printed by bpftrace 0.27.1 with max_strlen 8: `abcdefgh..|…|          abcdefgh..|`; precision as C has it.
test('a cut string shows the trailer', () => {
  const schema: Schema = { kind: 'string', size: 8 };
  assert.equal(show('%s', schema, text('abcdefghijkl', 8)), 'abcdefgh..');
  assert.equal(show('%20s', schema, text('abcdefghijkl', 8)), '          abcdefgh..');
  assert.equal(show('%.3s', schema, text('abcdefghijkl', 8)), 'abc');
  assert.equal(show('%s', schema, text('abcdefg', 8)), 'abcdefg');
});

test('a format is its pieces in order, arguments by index', () => {
  const record = new DataView(new ArrayBuffer(32));
  record.setInt32(8, -3, true);
  record.setUint32(16, 9, true);
  const format: FormatPiece[] = [
    { text: 'a=' },
    { ...piece('%d'), argument: 1 },
    { text: ' b=' },
    piece('%d'),
    { text: '%\n' },
  ];
  const args = [
    { offset: 8, schema: int(4, true) },
    { offset: 16, schema: int(4, false) },
  ];
  assert.equal(compileFormat(format, args, wording)(record, 0), 'a=9 b=-3%\n');
});
