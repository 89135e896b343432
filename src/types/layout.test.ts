import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { baseType } from './c.ts';
import { alignOf, describe, fieldNames, findField, nearFields, sameType, sizeOf, tupleLayout } from './layout.ts';
import {
  boolType,
  type CompositeType,
  int8,
  int16,
  int32,
  int64,
  pointerTo,
  type Type,
  uint8,
  uint16,
  uint32,
  uint64,
  voidType,
} from './model.ts';
import { layOut } from './table.ts';

const array = (of: Type, length: number): Type => ({ kind: 'array', of, length });
const double: Type = { kind: 'float', size: 8 };

const inner = layOut('struct', 'inner', [
  ['a', int8],
  ['b', int64],
]);
const either = layOut('union', '', [
  ['word', uint32],
  ['bytes', array(uint8, 7)],
]);
const outer = layOut('struct', 'outer', [
  ['c', boolType],
  ['s', int16],
  ['in', inner],
  ['', either],
  ['p', pointerTo(voidType, 'kernel')],
  ['d', array(array(uint16, 3), 2)],
  ['f', double],
  ['t', int8],
]);

const program = `#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
struct inner { int8_t a; int64_t b; };
struct outer { _Bool c; int16_t s; struct inner in; union { uint32_t word; uint8_t bytes[7]; }; void *p;
  uint16_t d[2][3]; double f; int8_t t; };
int main(void) {
#define SHOW(m) printf("%s %zu %zu\\n", #m, offsetof(struct outer, m), sizeof(((struct outer *)0)->m));
  SHOW(c) SHOW(s) SHOW(in) SHOW(word) SHOW(bytes) SHOW(p) SHOW(d) SHOW(f) SHOW(t)
  printf("outer %zu %zu\\ninner %zu %zu\\n", sizeof(struct outer), _Alignof(struct outer), sizeof(struct inner), _Alignof(struct inner));
}
`;

test('layout agrees with the C compiler', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'insitu-layout-'));
  try {
    writeFileSync(join(folder, 'layout.c'), program);
    const compiled = spawnSync('cc', ['-o', 'layout', 'layout.c'], { cwd: folder, encoding: 'utf8' });
    if (compiled.error !== undefined) return t.skip('there is no C compiler');
    assert.equal(compiled.status, 0, compiled.stderr);
    const output = spawnSync(join(folder, 'layout'), { encoding: 'utf8' }).stdout;
    const lines = output.trim().split('\n');
    assert.equal(lines.length, 11);
    for (const line of lines) {
      const [name = '', first, second] = line.split(' ');
      const whole: CompositeType | undefined = { outer, inner }[name];
      if (whole !== undefined) {
        assert.deepEqual([sizeOf(whole), alignOf(whole)], [Number(first), Number(second)], name);
      } else {
        const found = findField(outer, name);
        assert.ok(found !== undefined, name);
        assert.deepEqual([found.offset, sizeOf(found.field.type)], [Number(first), Number(second)], name);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('members are found through anonymous ones, and named for hints', () => {
  assert.equal(findField(outer, 'a'), undefined, 'in is no anonymous member');
  assert.equal(findField(outer, ''), undefined);
  assert.deepEqual(fieldNames(outer), ['c', 's', 'in', 'word', 'bytes', 'p', 'd', 'f', 't']);
  assert.deepEqual(nearFields(outer, 'byte', 1), ['bytes']);
});

test('sizes of the values of the language are those of program/schema.ts', () => {
  const sizes: readonly (readonly [Type, number])[] = [
    [{ kind: 'string', size: 64 }, 64],
    [{ kind: 'buffer', size: 64 }, 68],
    [{ kind: 'inet' }, 20],
    [{ kind: 'mac_address' }, 6],
    [{ kind: 'ustack', mode: 'bpftrace', limit: 127 }, 8 + 127 * 8],
    [{ kind: 'usym' }, 16],
    [{ kind: 'ksym' }, 8],
    [{ kind: 'username' }, 4],
    [{ kind: 'aggregate', aggregate: 'count', signed: false }, 8],
    [{ kind: 'aggregate', aggregate: 'avg', signed: false }, 16],
    // below 0, 0…9, 10…19, 20 and more
    [{ kind: 'aggregate', aggregate: 'lhist', signed: true, lhist: { min: 0n, max: 20n, step: 10n } }, 32],
    [voidType, 0],
  ];
  for (const [type, size] of sizes) assert.equal(sizeOf(type), size, type.kind);
});

test('tuples lie like structs', () => {
  const layout = tupleLayout([int8, int64, { kind: 'string', size: 5 }, int32]);
  assert.deepEqual(layout, { offsets: [0, 8, 16, 24], size: 32 });
  assert.deepEqual(tupleLayout([]), { offsets: [], size: 0 });
});

test('spelling', () => {
  const spelled: readonly (readonly [Type, string])[] = [
    [uint32, 'uint32'],
    [pointerTo(inner, 'user'), 'struct inner *'],
    [pointerTo(pointerTo(int8, 'user'), 'user'), 'int8 **'],
    [array(array(uint16, 3), 2), 'uint16[2][3]'],
    [array(pointerTo(inner, 'user'), 2), 'struct inner *[2]'],
    [{ kind: 'string', size: 16 }, 'string[16]'],
    [{ kind: 'tuple', elements: [int64, { kind: 'string', size: 16 }] }, '(int64,string[16])'],
    [either, 'union {…}'],
    [{ kind: 'enum', name: 'color', size: 4, signed: false, members: [] }, 'enum color'],
    [double, 'double'],
    [
      pointerTo(
        { kind: 'function', name: '', parameters: () => [{ name: 'x', type: int32 }], returns: () => voidType },
        'kernel',
      ),
      'void (*)(int32)',
    ],
    [{ kind: 'aggregate', aggregate: 'hist', signed: false }, 'hist_t'],
  ];
  for (const [type, text] of spelled) assert.equal(describe(type), text);
});

test('sameness', () => {
  const list: CompositeType = {
    kind: 'struct',
    name: '',
    size: 8,
    fields: () => [{ name: 'next', type: pointerTo(() => list, 'kernel'), offset: 0 }],
  };
  const twin: CompositeType = {
    ...list,
    fields: () => [{ name: 'next', type: pointerTo(() => twin, 'kernel'), offset: 0 }],
  };
  assert.equal(sameType(list, twin), true, 'recursion ends');
  assert.equal(sameType(pointerTo(inner, 'user'), pointerTo({ ...inner }, 'kernel')), true);
  assert.equal(sameType(inner, { ...inner, size: 8 }), false);
  assert.equal(sameType(inner, { ...inner, kind: 'union' }), false);
  assert.equal(sameType(uint64, int64), false);
  assert.equal(sameType(array(int8, 3), array(int8, 4)), false);
  assert.equal(sameType({ kind: 'tuple', elements: [int8] }, { kind: 'tuple', elements: [int8, int8] }), false);
  assert.equal(sameType({ kind: 'string', size: 4 }, { kind: 'buffer', size: 4 }), false);
});

test('names that C gives to its own types', () => {
  const named = (text: string): string => {
    const type = baseType(text.split(' '), true);
    return type === undefined ? 'none' : describe(type);
  };
  const expected: Readonly<Record<string, string>> = {
    char: 'int8',
    'unsigned char': 'uint8',
    'short int': 'int16',
    'unsigned short': 'uint16',
    int: 'int32',
    unsigned: 'uint32',
    'long unsigned int': 'uint64',
    'unsigned long long': 'uint64',
    'int long': 'int64',
    'long long int signed': 'int64',
    _Bool: 'bool',
    void: 'void',
    'long double': 'long double',
    float: 'float',
    'long char': 'none',
    'short long': 'none',
    'unsigned signed': 'none',
    'long long long': 'none',
    pid_t: 'none',
    'unsigned float': 'none',
    'char int': 'none',
  };
  for (const [text, spelled] of Object.entries(expected)) assert.equal(named(text), spelled, text);
  assert.equal(describe(baseType(['char'], false) ?? voidType), 'uint8');
});
