/** Config show_debug_info: inlined functions and source lines in stacks. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { lacking as lackingTools, output, Workshop } from './binaries.ts';
import { insitu, lacking } from './insitu.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

const source = `#include <unistd.h>
#include <string>
volatile int sink;
namespace shop {
struct Item {
  int n;
  inline __attribute__((always_inline)) int price(int x) const {
    return leaf(x) + n;
  }
  static inline __attribute__((always_inline)) int leaf(int x) {
    sink = x;
    return getppid() + x;
  }
};
__attribute__((noinline)) int total(const std::string &name, int x) {
  Item item{3};
  return item.price(x) + (int)name.size();
}
}
int main(void) {
  sink = shop::total("abc", 1);
  return 0;
}
`;

/** The line of the source that holds a text, from 1. */
const lineOf = (text: string): number => source.split('\n').findIndex((line) => line.includes(text)) + 1;

describe('source lines in stacks', { skip: lacking('root', 'btf') || lackingTools('g++') }, () => {
  const run = async (config: string, mode: string): Promise<string[]> => {
    const path = workshop.path('program');
    const file = workshop.write('shop.cc', source);
    output('g++', ['-O2', '-g', '-fno-omit-frame-pointer', '-o', path, file]);
    const script = `${config} uprobe:libc:getppid { printf("%s", ustack(${mode})); exit(); }`;
    const { stdout, status, stderr } = await insitu(['-q', '-e', script, '-c', path]);
    assert.equal(status, 0, stderr);
    return stdout.split('\n').map((line) => line.trim());
  };

  test('show_debug_info: each inlined function, and the line of each call', { timeout: 30_000 }, async () => {
    const lines = await run('config = { show_debug_info = 1 }', 'bpftrace');
    const file = workshop.path('shop.cc');
    const start = lines.indexOf(`shop::Item::leaf(int)@${file}:${lineOf('return getppid')} [inlined]`);
    assert.ok(start > 0, lines.join('\n'));
    assert.equal(lines[start + 1], `shop::Item::price(int) const@${file}:${lineOf('return leaf')} [inlined]`);
    assert.match(
      lines[start + 2] ?? '',
      new RegExp(`^shop::total\\(std::.*, int\\)\\+\\d+@${file}:${lineOf('item.price')}$`),
    );
    assert.match(lines[start + 3] ?? '', new RegExp(`^main\\+\\d+@${file}:${lineOf('shop::total("abc"')}$`));
  });

  test('mode perf: inlined ones at the address of the function that holds them', { timeout: 30_000 }, async () => {
    const lines = await run('config = { show_debug_info = true }', 'perf');
    const start = lines.findIndex((line) => / shop::Item::leaf\(int\) \[inlined\] /.test(line));
    assert.ok(start > 0, lines.join('\n'));
    const [address] = (lines[start] as string).split(' ');
    assert.match(lines[start + 1] ?? '', new RegExp(`^${address} shop::Item::price\\(int\\) const \\[inlined\\] `));
    assert.match(lines[start + 2] ?? '', new RegExp(`^${address} shop::total\\(.*\\+\\d+ \\(`));
  });

  test('unasked, functions alone', { timeout: 30_000 }, async () => {
    const lines = await run('', 'bpftrace');
    assert.ok(
      lines.some((line) => /^shop::total\(.*\)\+\d+$/.test(line)),
      lines.join('\n'),
    );
    assert.ok(!lines.some((line) => line.includes('@') || line.includes('inlined')));
  });
});
