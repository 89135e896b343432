/** Where functions are left, beside objdump's instructions, and in code whose source says it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { realpathSync, writeFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { lacking, libcPath, nodePath, openElf, output, Workshop } from '../../../test/binaries.ts';
import { noCompiler } from '../../../test/gcc.ts';
import { virtualAddress } from '../../base/numbers.ts';
import type { FunctionSymbol } from '../../target/target.ts';
import { isUnwinder } from './binary.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

interface Line {
  readonly address: number;
  readonly text: string;
}

/** All instructions of a stretch of code, by objdump. */
function disassembled(path: string, start: number, end: number): Line[] {
  const range = [`--start-address=${start}`, `--stop-address=${end}`];
  const text = output('objdump', ['-d', '-w', '--no-show-raw-insn', ...range, path]);
  return [...text.matchAll(/^\s+([0-9a-f]+):\t(.*)$/gm)].map(([, address = '', line = '']) => ({
    address: Number.parseInt(address, 16),
    text: line,
  }));
}

/** Returns, and direct jumps to places outside, of a function, with where they lead. */
function expected(
  lines: readonly Line[],
  from: number,
  { address: start, size }: FunctionSymbol,
): { text: string; to: number }[] {
  const found: { text: string; to: number }[] = [];
  for (let index = from; index < lines.length; index++) {
    const { address, text } = lines[index] as Line;
    if (address >= start + size) break;
    if (/^(?:repz |bnd )?ret\b/.test(text)) found.push({ text: `ret ${address}`, to: 0 });
    const [, jump, target = ''] = /^(?:bnd )?(j\w+)(?:,p[nt])?\s+([0-9a-f]+)(?: |$)/.exec(text) ?? [];
    const to = Number.parseInt(target, 16);
    if (jump === undefined || /^j.?cxz$/.test(jump) || (to >= start && to < start + size)) continue;
    found.push({ text: `${jump === 'jmp' ? 'jump' : 'conditional'} ${address}`, to });
  }
  return found;
}

/** Compares all functions in a stretch of code that do not overlap others; gives how many. */
function compare(path: string, start: number, bytes: number): number {
  const binary = openElf(path);
  const lines = disassembled(path, start, start + bytes);
  const indices = new Map(lines.map((line, index) => [line.address, index]));
  const indirect = new Set(lines.filter(({ text }) => /jmp\s+\*/.test(text)).map(({ address }) => address));
  let compared = 0;
  for (const symbol of binary.match('*')) {
    const { address, size } = symbol;
    if (size === 0 || address < start || address + size > start + bytes || symbol.name.includes('.cold')) continue;
    // Of several symbols the one that the binary itself takes for the function.
    if (binary.at(address)?.size !== size || binary.at(address)?.address !== address) continue;
    const found = binary.exits(address);
    if (found === undefined) continue;
    const inside = found.exits.filter((exit) => exit.address >= address && exit.address < address + size);
    const wanted = expected(lines, indices.get(address) ?? lines.length, symbol);
    for (const { text, to } of wanted) {
      if (inside.some((exit) => `${exit.kind} ${exit.address}` === text)) continue;
      // A jump to the function's own cold part leaves nothing.
      const target = to === 0 ? '' : (binary.at(virtualAddress(to))?.name ?? '');
      assert.ok(target.startsWith(`${binary.at(address)?.name}.cold`), `${symbol.name}: ${text} to ${target}`);
    }
    for (const exit of inside) {
      const text = `${exit.kind} ${exit.address}`;
      assert.ok(
        wanted.some((one) => one.text === text) || (exit.kind === 'jump' && indirect.has(exit.address)),
        `${symbol.name}: ${text}`,
      );
    }
    compared++;
  }
  return compared;
}

describe('exits', () => {
  test('all functions of libc', { skip: lacking(libcPath), timeout: 120_000 }, () => {
    const path = realpathSync(libcPath as string);
    const text = openElf(path).elf.section('.text');
    assert.ok(text);
    assert.ok(compare(path, text.address, text.size) > 1000);
  });

  test('a part of node', { skip: lacking(nodePath), timeout: 120_000 }, (t) => {
    const [first] = openElf(nodePath).find('_ZN4node7TCPWrap4BindERKN2v820FunctionCallbackInfoINS1_5ValueEEE');
    if (first === undefined) {
      t.skip('this node has no symbol of TCPWrap::Bind');
      return;
    }
    assert.ok(compare(nodePath, first.address - 0x80000, 0x100000) > 500);
  });

  test('kinds of ends, as the source has them', { skip: noCompiler }, () => {
    const source = workshop.path('ends.s');
    const path = workshop.path('ends');
    writeFileSync(
      source,
      `
.macro function name
.globl \\name
.type \\name, @function
\\name:
.endm
function plain
  lea 1(%rdi), %rax
  ret
.size plain, .-plain
function marked
  endbr64
  test %rdi, %rdi
  je plain
  call plain
  jmp plain
.size marked, .-marked
function through
  jmp *8(%rdi)
.size through, .-through
function table
  movslq (%rsi,%rdi,4), %rax
  add %rsi, %rax
  jmp *%rax
  ret
.size table, .-table
function indexed
  jmp *(%rsi,%rdi,8)
  ret
.size indexed, .-indexed
function only
  ret
.size only, .-only
function data
  .byte 0x06, 0x07
  ret
.size data, .-data
`,
    );
    execFileSync('gcc', ['-shared', '-nostdlib', '-o', path, source]);
    const binary = openElf(path);
    const exits = (name: string): unknown => {
      const [symbol] = binary.find(name);
      assert.ok(symbol, name);
      const found = binary.exits(symbol.address);
      const place = (address: number): number => address - symbol.address;
      return (
        found && [
          place(found.entry),
          found.leaf,
          ...found.exits.map(({ address, kind }) => `${kind} ${place(address)}`),
        ]
      );
    };
    assert.deepEqual(exits('plain'), [0, true, 'ret 4']);
    // The condition of je is 4 (Intel SDM volume 2, Jcc); the short and the near form both have it in the low bits.
    const marked = exits('marked') as unknown[];
    assert.deepEqual([marked[0], marked[1], marked[2]], [4, false, 'conditional 7']);
    assert.match(String(marked[3]), /^jump \d+$/);
    assert.equal(marked.length, 4);
    const [symbol] = binary.find('marked');
    assert.ok(symbol);
    const [first] = binary.exits(symbol.address)?.exits ?? [];
    assert.equal(first?.kind === 'conditional' ? first.condition : undefined, 4);
    assert.deepEqual(exits('through'), [0, false, 'jump 0']);
    assert.deepEqual(exits('table'), [0, true, 'ret 9']);
    assert.deepEqual(exits('indexed'), [0, true, 'ret 3']);
    assert.deepEqual(exits('only'), [0, true, 'ret 0']);
    assert.equal(exits('data'), undefined);
  });

  test('libraries that unwind', () => {
    const names = ['libstdc++.so.6', 'libgcc_s.so.1', '/usr/lib/libc++.so.1', 'libc++abi.so.1', 'libunwind.so.8'];
    assert.deepEqual(names.filter(isUnwinder), names);
    assert.deepEqual(['libc.so.6', 'libm.so.6', 'libunwinding.so', 'libgccjit.so.0'].filter(isUnwinder), []);
  });
});
