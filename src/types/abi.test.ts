import assert from 'node:assert/strict';
import { test } from 'node:test';
import { argumentLocations, conventions, resultLocation, rustArgumentLocations } from './abi.ts';
import type { Location } from './location.ts';
import { int8, int32, int64, pointerTo, type Type, uint8, voidType } from './model.ts';
import { layOut } from './table.ts';

/** Registers by their DWARF numbers (System V ABI x86-64, figure 3.36), places on the stack by their distance from rsp. */
const names = ['rax', 'rdx', 'rcx', 'rbx', 'rsi', 'rdi', 'rbp', 'rsp', 'r8', 'r9'];

function shown(location: Location): string {
  switch (location.kind) {
    case 'register':
      return names[location.register] ?? `r${location.register}`;
    case 'memory': {
      const { address } = location;
      if (address.op === 'register') return `[${names[address.register]}]`;
      if (address.op === 'read') return `*${shown({ kind: 'memory', address: address.from })}`;
      assert.ok(address.op === 'binary' && address.left.op === 'register' && address.right.op === 'constant');
      return `[${names[address.left.register]}+${address.right.value}]`;
    }
    case 'pieces':
      return location.pieces.map((piece) => `${shown(piece.location)}:${piece.size}`).join(' ');
    case 'bytes':
      return 'nothing';
    default:
      return location.kind === 'unavailable'
        ? (/xmm\d+|floating/.exec(location.reason)?.[0] ?? location.reason)
        : 'value';
  }
}

const double: Type = { kind: 'float', size: 8 };
const pair = layOut('struct', 'pair', [
  ['a', int64],
  ['b', int8],
]);
const point = layOut('struct', 'point', [
  ['x', int32],
  ['y', int32],
]);
const triple = layOut('struct', 'triple', [
  ['a', int64],
  ['b', int64],
  ['c', int64],
]);
const mixed = layOut('struct', 'mixed', [
  ['d', double],
  ['i', int32],
]);
const reals = layOut('struct', 'reals', [
  ['a', double],
  ['b', double],
]);
const owner = { ...point, byReference: () => true };
const empty = layOut('struct', 'empty', []);

/** Checked by hand against section 3.2.3 of the System V ABI, and by the programs in test/values. */
test('arguments of x86-64', () => {
  const table: readonly (readonly [types: readonly Type[], result: Type, expected: string])[] = [
    [[int32, int64, pointerTo(voidType, 'user')], voidType, 'rdi, rsi, rdx'],
    [[int8, int8, int8, int8, int8, int8, int8, int32], voidType, 'rdi, rsi, rdx, rcx, r8, r9, [rsp+8], [rsp+16]'],
    [[int32, double, int32], voidType, 'rdi, xmm0, rsi'],
    [[point, int32], voidType, 'rdi, rsi'],
    [[pair, int32], voidType, 'rdi:8 rsi:8, rdx'],
    [[triple, int32], voidType, '[rsp+8], rdi'],
    [[mixed, reals, int32], voidType, 'xmm0:8 rdi:8, xmm1:8 xmm2:8, rsi'],
    // A pair that does not fit the registers that are left goes on the stack whole.
    [[int32, int32, int32, int32, int32, pair, int32], voidType, 'rdi, rsi, rdx, rcx, r8, [rsp+8], r9'],
    [[owner, int32], voidType, '[rdi], rsi'],
    [[{ ...empty, size: 1 }, int32], voidType, 'nothing, rdi'],
    [[int32], triple, 'rsi'],
    [[{ kind: 'float', size: 16 }, int32], voidType, '[rsp+8], rdi'],
  ];
  for (const [types, result, expected] of table) {
    assert.equal(argumentLocations(types, result, conventions.x86_64).map(shown).join(', '), expected);
  }
});

test('results of x86-64', () => {
  const table: readonly (readonly [type: Type, expected: string])[] = [
    [int32, 'rax'],
    [double, 'xmm0'],
    [pair, 'rax:8 rdx:8'],
    [point, 'rax'],
    [mixed, 'xmm0:8 rax:8'],
    [triple, '[rax]'],
    [owner, '[rax]'],
    [{ kind: 'float', size: 16 }, 'floating'],
  ];
  for (const [type, expected] of table) assert.equal(shown(resultLocation(type, conventions.x86_64)), expected);
});

test('arguments of Rust', () => {
  const table: readonly (readonly [types: readonly Type[], expected: string])[] = [
    [[point, int32], 'rdi:4 rsi:4, rdx'],
    [[pair, triple], 'rdi:8 rsi:8, [rdx]'],
    [[{ kind: 'array', of: uint8, length: 5 }], 'rdi'],
    [
      [int64, int64, int64, int64, int64, int64, pair, triple],
      'rdi, rsi, rdx, rcx, r8, r9, [rsp+8]:8 [rsp+16]:8, *[rsp+24]',
    ],
  ];
  for (const [types, expected] of table) {
    assert.equal(rustArgumentLocations(types, voidType, conventions.x86_64).map(shown).join(', '), expected);
  }
});
