/** Plans, trees, percentiles and texts of calls, against calculations by hand. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bucketStart, histogramBuckets } from '../../program/calls.ts';
import { boolType, intType, type Type } from '../../types/model.ts';
import { parameterCount, planWithoutTypes } from './functions.ts';
import { functionRow, quantile, type ShownCall } from './report.ts';
import { callText, reportText, shortened, sparkline } from './text.ts';
import { type Call, CallTrees } from './tree.ts';
import { scalar } from './values.ts';

const call = (depth: number, entered: number, left: number, more: Partial<Call> = {}): Call => ({
  ...{ fn: depth, pid: 1, tid: 1, comm: 'a', depth, entered, left, below: 0, hidden: 0, how: 'returned' },
  ...{ recursive: false, jumpedTo: false, results: [0n, 0n], words: [], texts: [], resultText: undefined },
  ...more,
});

test('parameters are counted in demangled names', () => {
  for (const [name, count] of [
    ['main', undefined],
    ['f()', 0],
    ['f(void)', 0],
    ['ns::f(int, std::map<int, char>, void (*)(int, int)) const', 3],
    ['(anonymous namespace)::f(int)', 1],
    ['A::operator()(int, A&) &&', 2],
    ['f(std::function<int (int, int)>) [clone .isra.0]', 1],
  ] as const) {
    assert.equal(parameterCount(name), count, name);
  }
});

test('constructors and destructors give nothing, other functions may', () => {
  for (const [name, result] of [
    ['ns::A::A(int)', 'none'],
    ['A<int>::A(A<int> const&)', 'none'],
    ['ns::A::~A()', 'none'],
    ['ns::A::b(int)', undefined],
    ['A(int)', undefined],
  ] as const) {
    assert.equal(planWithoutTypes(name).result, result, name);
  }
});

test('records become trees, thread by thread', () => {
  const trees = new CallTrees();
  // a { b { c } b } on thread 1, and a call of thread 2 between.
  assert.equal(trees.take(call(2, 3, 4)), undefined);
  assert.equal(trees.take(call(1, 2, 5)), undefined);
  assert.equal(trees.take(call(0, 1, 9, { tid: 2 }))?.children.length, 0);
  assert.equal(trees.take(call(1, 6, 7)), undefined);
  const tree = trees.take(call(0, 1, 8));
  assert.deepEqual(
    tree?.children.map((child) => [child.call.entered, child.children.map((one) => one.call.entered)]),
    [
      [2, [3]],
      [6, []],
    ],
  );
  assert.equal(trees.orphans, 0);
  // The record of the caller has been lost.
  trees.take(call(2, 13, 14));
  assert.equal(trees.take(call(0, 11, 18))?.children.length, 0);
  assert.equal(trees.orphans, 1);
  trees.take(call(1, 20, 21));
  trees.rest();
  assert.equal(trees.orphans, 2);
});

describe('times', () => {
  test('buckets join each other, an eighth of a power of two wide', () => {
    assert.deepEqual(
      [0, 1, 7, 8, 9, 15, 16, 17, 24].map((bucket) => bucketStart(bucket)),
      [0, 1, 7, 8, 9, 15, 16, 18, 32],
    );
    for (let bucket = 8; bucket < histogramBuckets; bucket++) {
      const [from, to] = [bucketStart(bucket), bucketStart(bucket + 1)];
      assert.ok(to > from && to / from <= 1.125, String(bucket));
    }
  });

  test('percentiles lie in the bucket of that value', () => {
    assert.equal(quantile([], 0.5), undefined);
    const buckets = [
      { from: 100, to: 110, count: 98 },
      { from: 1000, to: 1100, count: 2 },
    ];
    // The 50th of 100 values, the 50th of 98 in a bucket of 10 that are spread evenly.
    assert.equal(quantile(buckets, 0.5), 100 + (10 * 49.5) / 98);
    assert.equal(quantile(buckets, 0.99), 1000 + (100 * 0.5) / 2);
  });

  test('a line of bars has a bar for each power of two', () => {
    const histogram = new Uint32Array(histogramBuckets);
    // 1024 ns begin at bucket (10 - 3 + 1) * 8; 4096 ns two powers on.
    histogram[64] = 80;
    histogram[80] = 10;
    const counts = { calls: 90, ended: 90, total: 1, self: 1, gone: 0, jumped: 0, removed: undefined, histogram };
    const traced = { name: 'f', symbol: 'f', path: '/f', plan: planWithoutTypes('f') };
    assert.equal(sparkline(functionRow(traced, counts)), '1µs █ ▁ 8.2µs');
    const functions = [functionRow(traced, counts)];
    const report = { functions, traced: 1, longest: [], duration: 1, probeCost: 0, unseen: [] };
    const text = reportText(report, { color: false, width: undefined, histograms: true }, () => '', false);
    assert.equal(
      text.slice(text.indexOf('TIMES')),
      `TIMES
  f
    1.0 µs to 2.0 µs           80 ████████████████████████████████████████
    2.0 µs to 4.1 µs            0
    4.1 µs to 8.2 µs           10 █████
`,
    );
  });
});

test('values as C has them', () => {
  const colour: Type = { kind: 'enum', name: 'c', size: 4, signed: false, members: [{ name: 'red', value: 3n }] };
  for (const [type, word, text] of [
    [intType(4, true), 0xffffffffn, '-1'],
    [intType(4, false), 0xffff_ffff_ffff_ffffn, '4294967295'],
    [intType(8, true), 1n << 63n, '-9223372036854775808'],
    [intType(1, true), 0x141n, "65 'A'"],
    [boolType, 0x1_00n, 'false'],
    [boolType, 1n, 'true'],
    [colour, 3n, 'red'],
    [colour, 4n, '4'],
    [{ kind: 'pointer', to: () => boolType, space: 'user' }, 0x7f00n, '0x7f00'],
  ] as const) {
    assert.equal(scalar(type, word).text, text);
  }
});

test('long names lose their template arguments, then their namespaces', () => {
  assert.equal(shortened('short', 10), 'short');
  assert.equal(shortened('ns::A<std::vector<int>, B<C>>::f', 20), 'ns::A<…>::f');
  assert.equal(shortened('a::very::long::name::of_a::function', 12), '…a::function');
  assert.equal(shortened('A<int>::operator->', 17), 'A<…>::operator->');
});

test('a tree as text: alike calls are folded, a narrow screen cuts arguments', () => {
  const shown = (name: string, more: Partial<ShownCall> = {}): ShownCall => ({
    ...{ function: name, arguments: [], result: undefined, start: 0, duration: 1500, self: 1500, end: 'returned' },
    ...{ tailCalled: false, pid: 1, tid: 1, comm: 'a', hidden: 0, calls: [] },
    ...more,
  });
  const argument = { name: 'text', text: '"0123456789"', value: '0123456789' };
  const tree = shown('outer', {
    duration: 2e6,
    hidden: 7,
    arguments: [argument],
    result: { name: '', text: '42', value: 42 },
    calls: [shown('gone', { end: 'gone' }), ...Array.from({ length: 9 }, () => shown('same'))],
  });
  const style = { color: false, width: undefined };
  assert.equal(
    callText(tree, style),
    `    2.0 ms  outer(text="0123456789") = 42
   <1.5 µs  ├─ gone()  unwound: exception or longjmp
    1.5 µs  ├─ same()
    1.5 µs  ├─ same()
    1.5 µs  ├─ same()
    9.0 µs  ├─ … 6 more calls of same
            └─ … 7 calls not shown
`,
  );
  assert.equal(callText(tree, { color: false, width: 33 }, 1).split('\n')[0], '    2.0 ms  outer(text="01…) = 42');
});
