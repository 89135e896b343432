import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualAddress } from '../../base/numbers.ts';
import type { InferredName, NameInParts } from './index.ts';
import { encodeNames, StoredNames } from './store.ts';

const name = (address: number, size: number, text: string, see: string): InferredName => ({
  address: virtualAddress(address),
  size,
  name: text,
  grade: 'sure',
  rule: 'start',
  evidence: [
    'the entry point of the file, and the function that it hands to the C library',
    ...(see === '' ? [] : [see]),
  ],
});

const names = [
  name(0x1000, 16, 'main', 'see 0x900'),
  name(0x2000, 1, 'Größe::operator()', ''),
  name(0xfffffff0, 15, 'last', ''),
];

/** In parts that others share, and such as are empty. */
const inParts = ({ name, address, size, rule, evidence }: InferredName): NameInParts => ({
  address,
  size,
  rule,
  parts: name.split(/(?=::)/).flatMap((part) => [part, '']),
  proof: evidence.slice(1),
});
const encoded = (all: readonly InferredName[]): Uint8Array => encodeNames(all.map(inParts));

test('names come back from their bytes, by address and in order', () => {
  const stored = StoredNames.read(encoded(names));
  assert.deepEqual([...(stored ?? [])], names);
  assert.deepEqual(stored?.counts(), { sure: 3, likely: 0, hint: 0 });
  const at = (address: number): string | undefined => stored?.at(virtualAddress(address))?.name;
  assert.deepEqual([0xfff, 0x1000, 0x100f, 0x1010, 0x2000, 0x2001, 0xfffffffe].map(at), [
    undefined,
    'main',
    'main',
    undefined,
    'Größe::operator()',
    undefined,
    'last',
  ]);
});

test('no names are a file too', () => {
  const stored = StoredNames.read(encoded([]));
  assert.equal(stored?.count, 0);
  assert.equal(stored?.at(virtualAddress(1)), undefined);
});

test('any damaged byte and any cut is noticed', () => {
  const bytes = encoded(names);
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at] = (damaged[at] as number) ^ 0x41;
    assert.equal(StoredNames.read(damaged), undefined, `byte ${at}`);
    assert.equal(StoredNames.read(bytes.subarray(0, at)), undefined, `cut at ${at}`);
  }
});
