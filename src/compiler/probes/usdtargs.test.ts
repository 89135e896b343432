/** Operands as gcc and clang write them for sys/sdt.h, read by hand after the assemblers' manuals. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseUsdtArguments, type UsdtOperand } from './usdtargs.ts';

const register = (name: string, shift = 0): UsdtOperand => ({ kind: 'register', register: name, shift });
const constant = (value: bigint): UsdtOperand => ({ kind: 'constant', value });
const memory = (
  base: string | undefined,
  displacement: bigint,
  index?: [string, number, ('signed' | 'unsigned')?],
): UsdtOperand => ({
  kind: 'memory',
  base,
  displacement,
  index: index && { register: index[0], scale: index[1], ...(index[2] ? { half: index[2] } : {}) },
});

type Row = readonly [text: string, size: number, signed: boolean, operand: UsdtOperand];

const tables: Readonly<Record<'x86_64' | 'arm64', readonly Row[]>> = {
  x86_64: [
    ['8@%rdi', 8, false, register('di')],
    ['-4@%eax', 4, true, register('ax')],
    ['-2@%bp', 2, true, register('bp')],
    ['1@%sil', 1, false, register('si')],
    ['1@%bl', 1, false, register('bx')],
    ['-1@%dh', 1, true, register('dx', 8)],
    ['4@%r10d', 4, false, register('r10')],
    ['2@%r8w', 2, false, register('r8')],
    ['1@%r15b', 1, false, register('r15')],
    ['-4@$-5', 4, true, constant(-5n)],
    ['8@$0x7fffffffffffffff', 8, false, constant(0x7fffffffffffffffn)],
    ['8@(%rsp)', 8, false, memory('sp', 0n)],
    ['-8@-80(%rbx)', 8, true, memory('bx', -80n)],
    ['4@8+16(%rsp)', 4, false, memory('sp', 24n)],
    ['8@(%rax,%rcx)', 8, false, memory('ax', 0n, ['cx', 1])],
    ['-8@24(%rdi,%rsi,8)', 8, true, memory('di', 24n, ['si', 8])],
    ['8@16(,%r12,4)', 8, false, memory(undefined, 16n, ['r12', 4])],
    ['-4@counter(%rip)', 4, true, { kind: 'object', name: 'counter', displacement: 0n }],
    ['-4@table+12(%rip)', 4, true, { kind: 'object', name: 'table', displacement: 12n }],
    ['4@8+table(%rip)', 4, false, { kind: 'object', name: 'table', displacement: 8n }],
    ['%rdx', 8, true, register('dx')],
  ],
  arm64: [
    ['8@x0', 8, false, register('r0')],
    ['-4@w21', 4, true, register('r21')],
    ['8@x30', 8, false, register('r30')],
    ['8@sp', 8, false, register('sp')],
    ['-4@-16', 4, true, constant(-16n)],
    ['4@wzr', 4, false, constant(0n)],
    ['4@[x1]', 4, false, memory('r1', 0n)],
    ['-8@[sp, 96]', 8, true, memory('sp', 96n)],
    ['2@[x29, -20]', 2, false, memory('r29', -20n)],
    ['8@[x0, x1]', 8, false, memory('r0', 0n, ['r1', 1])],
    ['8@[x0, x1, lsl 3]', 8, false, memory('r0', 0n, ['r1', 8])],
    ['8@[x19, w2, sxtw 3]', 8, false, memory('r19', 0n, ['r2', 8, 'signed'])],
    ['4@[x19, w2, uxtw #2]', 4, false, memory('r19', 0n, ['r2', 4, 'unsigned'])],
  ],
};

for (const arch of ['x86_64', 'arm64'] as const) {
  describe(`arguments of usdt probes on ${arch}`, () => {
    for (const [text, size, signed, operand] of tables[arch]) {
      test(text, () => assert.deepEqual(parseUsdtArguments(text, arch), [{ text, size, signed, operand }]));
    }

    test('all of them in one list', () => {
      const rows = tables[arch];
      const read = parseUsdtArguments(rows.map(([text]) => text).join(' '), arch);
      assert.deepEqual(
        read.map((argument) => argument.text),
        rows.map(([text]) => text),
      );
    });

    for (const text of ['8f@%xmm0', '16@%xmm1', '4@%st(0)', '8@[v0', '8@d0', '8@%cr3', '8@what is this']) {
      test(`${text} cannot be read, and does no harm`, () => {
        const [argument] = parseUsdtArguments(text, arch);
        assert.equal(argument?.operand.kind, 'unreadable');
      });
    }
  });
}

test('no arguments', () => assert.deepEqual(parseUsdtArguments('', 'x86_64'), []));
