import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { demangleBoth } from '../demangle/index.ts';
import { KeptNames, readNames } from './keptnames.ts';
import type { Demangle } from './names.ts';
import type { TableCache } from './table.ts';

const mangled = [
  '_ZN4node5StartEiPPc',
  '_ZNSt6vectorISsSaISsEE9push_backERKSs',
  '_ZNSt3mapIiSsE4findERKi.cold',
  '_RNvNtCs1234_7mycrate3foo3bar',
];

function memory(): TableCache & { readonly files: Map<string, Uint8Array> } {
  const files = new Map<string, Uint8Array>();
  return { files, read: (key) => files.get(key), write: (key, bytes) => void files.set(key, bytes) };
}

test('names that were demangled once are not demangled again, and say what c++filt says', () => {
  const cache = memory();
  const asked: string[] = [];
  const counted: Demangle = (name, options) => {
    asked.push(name);
    return demangleBoth(name, options);
  };
  const all = (): string[] => {
    const kept = new KeptNames(counted, cache, 'key');
    const names = mangled.map((name) => kept.demangle(name, { verbose: true })?.full ?? '');
    // `std::string` in the one form, all of its parameters in the other.
    names.push(kept.demangle(mangled[1] as string, { verbose: false })?.full ?? '');
    kept.save();
    return names;
  };
  const first = all();
  assert.equal(asked.length, mangled.length + 1);
  assert.deepEqual(all(), first);
  assert.equal(asked.length, mangled.length + 1, 'the second time nothing is demangled');
  const expected = execFileSync('c++filt', mangled, { encoding: 'utf8' }).trimEnd().split('\n');
  assert.deepEqual(first.slice(0, -1), expected);
  assert.match(first.at(-1) as string, /^std::vector<std::string, std::allocator<std::string> ?>::push_back\(/);
});

test('the base of a kept name is its own', () => {
  const cache = memory();
  for (let time = 0; time < 2; time++) {
    const kept = new KeptNames(demangleBoth, cache, 'key');
    assert.equal(kept.demangle('_ZN4node5StartEiPPc', { verbose: false })?.base, 'node::Start');
    kept.save();
  }
});

test('what is no mangled name is not kept, nor one that would break a line', () => {
  const cache = memory();
  const kept = new KeptNames(demangleBoth, cache, 'key');
  assert.equal(kept.demangle('main', { verbose: false }), undefined);
  const odd = kept.demangle('_ZN3f\t\n1aEv', { verbose: false });
  assert.equal(odd?.full, 'f\t\n::a()');
  kept.save();
  assert.equal(readNames(cache.files.get('key')).short.size, 0);
});

test('any damaged byte and any cut leaves no names', () => {
  const cache = memory();
  const kept = new KeptNames(demangleBoth, cache, 'key');
  for (const name of mangled) kept.demangle(name, { verbose: false });
  kept.save();
  const bytes = cache.files.get('key') as Uint8Array;
  assert.equal(readNames(bytes).short.size, mangled.length);
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at] = (damaged[at] as number) ^ 0x11;
    assert.equal(readNames(damaged).short.size, 0, `byte ${at}`);
    assert.equal(readNames(bytes.subarray(0, at)).short.size, 0, `cut at ${at}`);
  }
});
