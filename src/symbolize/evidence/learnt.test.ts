import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeLearnt, Learnt, shapeKey } from './learnt.ts';

const classes = [{ mangled: 'N4shop6BasketE', slots: ['~Basket', '~Basket', '', 'total'] }];
const functions = [
  { name: 'second', shape: shapeKey(0x80000000, 7), instructions: 20, calls: [2, -1, 1], texts: [0xcafe, 1] },
  { name: 'first', shape: shapeKey(1, 0xffffffff), instructions: 9, calls: [], texts: [] },
  { name: 'called', shape: -1, instructions: 2, calls: [], texts: [0xffffffff] },
];

function parse(text: string): Learnt {
  const parsed = Learnt.parse(text, 'x.names');
  assert.ok(parsed.ok, String(!parsed.ok && parsed.error.message));
  return parsed.value;
}

test('what was written is read back, functions by their shape', () => {
  const learnt = parse(encodeLearnt('shop 1234', classes, functions));
  assert.equal(learnt.from, 'shop 1234');
  assert.deepEqual(learnt.names, ['first', 'second', 'called']);
  assert.deepEqual([...learnt.instructions], [9, 20, 2]);
  assert.deepEqual(learnt.withShape(shapeKey(1, 0xffffffff)), [0]);
  assert.deepEqual(learnt.withShape(shapeKey(0x80000000, 7)), [1]);
  assert.deepEqual(learnt.withShape(2), []);
  // `second` calls `called`, something without a name, and `first`.
  assert.deepEqual(learnt.calls(1), [2, -1, 0]);
  assert.deepEqual(learnt.calls(0), []);
  assert.deepEqual(
    [...learnt.texts].sort((a, b) => a[0] - b[0]),
    [
      [1, 1],
      [0xcafe, 1],
      [0xffffffff, 2],
    ],
  );
});

test('a class is known with its number of slots only', () => {
  const learnt = parse(encodeLearnt('shop', classes, []));
  assert.deepEqual(learnt.slots('N4shop6BasketE', 4), ['~Basket', '~Basket', '', 'total']);
  assert.equal(learnt.slots('N4shop6BasketE', 3), undefined);
  assert.equal(learnt.slots('N4shop4ShopE', 4), undefined);
});

test('a bad file is refused by line', () => {
  const head = 'insitu names 1\n';
  for (const [text, message] of [
    ['', /x\.names line 1: .*'insitu names 1'/],
    ['#!/bin/sh\n', /line 1/],
    ['insitu names 2\n', /line 1/],
    [`${head}class\tN1AE\n`, /line 2: a class needs/],
    [`${head}from\tx\nwhat\n`, /line 3: 'what' is neither/],
    [`${head}code\tmain\n`, /line 2: code needs/],
    [`${head}code\tb\t2\t9\t\t\ncode\ta\t1\t9\t\t\n`, /line 3: shapes must stand in ascending order/],
    [`${head}code\tb\tx\t9\t\t\n`, /line 2: shapes/],
    [`${head}code\tb\t\t9\t\t\ncode\ta\t1\t9\t\t\n`, /line 3: shapes/],
  ] as const) {
    const parsed = Learnt.parse(text, 'x.names');
    assert.ok(!parsed.ok, text);
    assert.equal(parsed.error.code, 'E_BAD_NAMES');
    assert.match(parsed.error.message, message);
  }
});
