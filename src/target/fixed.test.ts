import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sampleTarget, sampleTypes } from '../../test/sample.ts';
import { virtualAddress } from '../base/numbers.ts';
import { findField } from '../types/layout.ts';
import { createFixedTarget } from './fixed.ts';
import type { Binary } from './target.ts';

const binaryOf = (name: string): Binary => {
  const result = sampleTarget().binary(name, undefined);
  if (!result.ok) throw result.error;
  return result.value;
};

test('an empty target has nothing and says so', () => {
  const target = createFixedTarget();
  assert.deepEqual([target.arch, target.cpus, target.features.kernel.major], ['x86_64', 2, 6]);
  assert.equal(target.kernelTypes(), undefined);
  assert.deepEqual(target.tracepoint('a', 'b'), { ok: true, value: undefined });
  assert.equal(target.constant('constructor'), undefined);
  assert.equal(target.header('toString', true, undefined), undefined);
  const missing = target.binary('envoy', undefined);
  assert.ok(!missing.ok && missing.error.code === 'ENOENT');
});

test('the sample: formats, types, constants', () => {
  const target = sampleTarget();
  const result = target.tracepoint('syscalls', 'sys_enter_bind');
  assert.ok(result.ok && result.value !== undefined);
  const address = result.value.fields.find((field) => field.name === 'umyaddr');
  assert.ok(address?.type.kind === 'pointer');
  assert.equal(address.type.space, 'user');
  assert.equal(address.type.to(), sampleTypes.find('struct', 'sockaddr'));
  // linux/in6.h: family, port, flow information, then 16 bytes of address, scope.
  const in6 = sampleTypes.find('struct', 'sockaddr_in6');
  assert.ok(in6?.kind === 'struct');
  assert.equal(in6.size, 28);
  assert.equal(findField(in6, 'sin6_addr')?.offset, 8);
  assert.equal(findField(in6, 'sin6_scope_id')?.offset, 24);
  assert.equal(target.constant('AF_INET6'), 10n);
  const names = target.tracepoints();
  assert.ok(names.ok && names.value.includes('sched:sched_switch'));
});

test('binaries: names, patterns, addresses', () => {
  const sample = binaryOf('/usr/bin/sample');
  const names = (found: readonly { name: string }[]): string[] => found.map(({ name }) => name);
  assert.deepEqual(names(sample.find('_ZN6Server5startEi')), ['_ZN6Server5startEi']);
  assert.deepEqual(names(sample.find('Server::start')), ['_ZN6Server5startEi']);
  assert.deepEqual(names(sample.find('Server::start(int)')), ['_ZN6Server5startEi']);
  assert.deepEqual(names(sample.find('Server')), []);
  assert.deepEqual(names(sample.match('*Server*')), ['_ZN6Server5startEi', '_ZN6Server4stopEv']);
  assert.deepEqual(names(sample.match('[mr]*')), ['main', 'read_line']);
  assert.deepEqual(names(sample.match('m.in')), []);
  assert.equal(sample.at(virtualAddress(0x1190))?.name, 'read_line');
  assert.equal(sample.at(virtualAddress(0x1178))?.name, 'main');
  assert.equal(sample.at(virtualAddress(0x1179)), undefined);
  assert.deepEqual(sample.toFileOffset(virtualAddress(0x1139)), { ok: true, value: 0x939 });
  assert.equal(sample.toFileOffset(virtualAddress(0x4010)).ok, false);
  assert.deepEqual(sample.near('mian'), ['main']);
  assert.equal(binaryOf('/usr/bin/bare').stripped, true);
});
