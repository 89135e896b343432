import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Kallsyms } from './kallsyms.ts';

// Lines as kernel/kallsyms.c prints them: modules after a tab, in brackets.
const text = `0000000000000000 A fixed_percpu_data
ffffffff81000000 T startup_64
ffffffff81000000 T _stext
ffffffff81000060 t secondary_startup
ffffffff81234567 T vfs_read
ffffffff82000000 D jiffies
ffffffff82000010 W weak_one
ffffffffc0002000 t helper\t[nf_tables]
ffffffffc0001000 T nft_do_chain\t[nf_tables]
ffffffffc0003000 t bpf_prog_6deef7357e7b4530\t[bpf]
`;
const symbols = (content: string): Kallsyms => new Kallsyms(Buffer.from(content));

test('addresses by name', () => {
  const all = symbols(text);
  assert.equal(all.size, 10);
  assert.equal(all.addressOf('vfs_read'), 0xffffffff81234567n);
  assert.equal(all.addressOf('nft_do_chain'), 0xffffffffc0001000n);
  assert.equal(all.addressOf('vfs_rea'), undefined);
  assert.equal(all.addressOf('fs_read'), undefined);
  assert.equal(all.addressOf('fixed_percpu_data'), undefined, 'an address of 0 is a hidden one');
  assert.equal(all.addressOf(''), undefined);
});

test('names by address, whatever the order of the file', () => {
  const all = symbols(text);
  const at = (address: bigint): string => {
    const found = all.symbolAt(address);
    return found === undefined
      ? 'none'
      : `${found.name}+${found.offset}${found.module === undefined ? '' : ` ${found.module}`}`;
  };
  assert.equal(at(0xffffffff81234567n), 'vfs_read+0');
  assert.equal(at(0xffffffff81234570n), 'vfs_read+9');
  assert.equal(at(0xffffffff81000001n), 'startup_64+1', 'the first of two names');
  assert.equal(at(0xffffffffc0001fffn), 'nft_do_chain+4095 nf_tables');
  assert.equal(at(0xffffffffc0002001n), 'helper+1 nf_tables');
  assert.equal(at(0xffffffffffffffffn), 'bpf_prog_6deef7357e7b4530+1073729535 bpf');
  assert.equal(at(0x1000n), 'none');
  assert.equal(symbols('').symbolAt(1n), undefined);
});

test('functions', () => {
  const all = symbols(text);
  const names = [
    'startup_64',
    '_stext',
    'secondary_startup',
    'vfs_read',
    'weak_one',
    'helper',
    'nft_do_chain',
    'bpf_prog_6deef7357e7b4530',
  ];
  assert.deepEqual(all.functionNames(), names);
  assert.deepEqual(
    [...all.functions()].map(({ name }) => name),
    names,
  );
  assert.deepEqual([...all.functions()][6], {
    name: 'nft_do_chain',
    module: 'nf_tables',
    address: 0xffffffffc0001000n,
  });
});

test('hidden addresses, damaged lines, no newline at the end', () => {
  const hidden = symbols('0000000000000000 T startup_64\n0000000000000000 T vfs_read');
  assert.equal(hidden.hidden, true);
  assert.equal(hidden.symbolAt(5n), undefined);
  assert.deepEqual(hidden.functionNames(), ['startup_64', 'vfs_read']);
  const damaged = symbols('nonsense\n\n\nffffffff81000000 T good\nffffffff8100 T short\n\0\0\0');
  assert.deepEqual(damaged.functionNames(), ['good']);
  assert.equal(damaged.hidden, false);
  assert.deepEqual(symbols(`ffffffff81000000 T näme\nffffffff81000001 T next\n`).functionNames()[1], 'next');
});

test('this kernel, compared with a plain split of the file', (t) => {
  const bytes = readFileSync('/proc/kallsyms');
  const all = new Kallsyms(bytes);
  if (all.hidden) return t.skip('the kernel hides addresses from this process');
  const lines = bytes.toString('latin1').trimEnd().split('\n');
  assert.equal(all.size, lines.length);
  const table = lines
    .map((line) => {
      const [address = '', letter = '', name = ''] = line.split(/[ \t]/);
      return { address: BigInt(`0x${address}`), letter, name };
    })
    .sort((left, right) => (left.address < right.address ? -1 : left.address > right.address ? 1 : 0));
  for (let index = 0; index < table.length - 1; index += 997) {
    const entry = table[index];
    const next = table[index + 1];
    assert.ok(entry !== undefined && next !== undefined);
    if (entry.address === 0n || entry.address === next.address || entry.address === table[index - 1]?.address) continue;
    assert.equal(all.symbolAt(next.address - 1n)?.name, entry.name);
  }
  assert.deepEqual(
    new Set(all.functionNames()),
    new Set(table.filter(({ letter }) => /[tTwW]/.test(letter)).map(({ name }) => name)),
  );
});
