import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assemble, eventually, needsRoot, returnFive } from '../sample.ts';
import {
  mapCreate,
  mapDelete,
  mapFreeze,
  mapLookup,
  mapNextKey,
  mapUpdate,
  ProgramRefusal,
  progLoad,
  progTestRun,
} from './bpf.ts';
import { closeFd } from './bpfcall.ts';
import { CallError } from './errno.ts';
import { objectFd, objectId, objectIds } from './objects.ts';

const skip = needsRoot;
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const smallHash = { kind: 'HASH', name: 'in_test', keySize: 4, valueSize: 4, maxEntries: 2 } as const;

test('a map gives back what was written, and nothing else', { skip }, () => {
  const fd = mapCreate(smallHash);
  try {
    const value = new Uint8Array(4);
    assert.equal(mapLookup(fd, bytes(1, 0, 0, 0), value), false);
    mapUpdate(fd, bytes(1, 0, 0, 0), bytes(5, 6, 7, 8));
    mapUpdate(fd, bytes(2, 0, 0, 0), bytes(9, 9, 9, 9));
    assert.equal(mapLookup(fd, bytes(1, 0, 0, 0), value), true);
    assert.deepEqual(value, bytes(5, 6, 7, 8));
    assert.throws(() => mapUpdate(fd, bytes(3, 0, 0, 0), value), { code: 'E2BIG' });
    assert.equal(mapDelete(fd, bytes(1, 0, 0, 0)), true);
    assert.equal(mapDelete(fd, bytes(1, 0, 0, 0)), false);
    const next = new Uint8Array(4);
    assert.equal(mapNextKey(fd, undefined, next), true);
    assert.deepEqual(next, bytes(2, 0, 0, 0));
    assert.equal(mapNextKey(fd, next, new Uint8Array(4)), false);
  } finally {
    closeFd(fd);
  }
});

test('a frozen map takes no more writes', { skip }, () => {
  const fd = mapCreate({ ...smallHash, kind: 'ARRAY' });
  try {
    mapUpdate(fd, bytes(0, 0, 0, 0), bytes(1, 2, 3, 4));
    mapFreeze(fd);
    assert.throws(() => mapUpdate(fd, bytes(0, 0, 0, 0), bytes(0, 0, 0, 0)), { code: 'EPERM' });
  } finally {
    closeFd(fd);
  }
});

test('a map id leads to the map for as long as it is open', { skip }, async () => {
  const fd = mapCreate(smallHash);
  const id = objectId('MAP', fd);
  assert.ok(objectIds('MAP').includes(id));
  const second = objectFd('MAP', id);
  assert.ok(second !== undefined);
  assert.equal(objectId('MAP', second), id);
  closeFd(second);
  closeFd(fd);
  assert.ok(await eventually(() => !objectIds('MAP').includes(id)));
});

test('a program runs and returns its value', { skip }, () => {
  const { fd, log } = progLoad({
    type: 'RAW_TRACEPOINT',
    name: 'in_test',
    code: assemble(returnFive),
    license: 'GPL',
    log: { level: 1, size: 1 << 16 },
  });
  assert.match(log, /processed 2 insns/);
  assert.equal(progTestRun(fd), 5);
  closeFd(fd);
});

test("a refused program carries the verifier's log", { skip }, () => {
  const load = (): unknown =>
    progLoad({ type: 'RAW_TRACEPOINT', name: 'in_test', code: assemble([[0x95, 0, 0, 0, 0]]), license: 'GPL' });
  assert.throws(load, (error) => {
    assert.ok(error instanceof ProgramRefusal);
    assert.equal(error.code, 'EACCES');
    assert.match(error.log, /R0 !read_ok/);
    return true;
  });
});

test('a log longer than asked for does not stop a good program', { skip }, () => {
  const long = assemble([...Array.from({ length: 3000 }, () => [0xb7, 1, 0, 0, 1] as const), ...returnFive]);
  const { fd, log } = progLoad({
    type: 'RAW_TRACEPOINT',
    name: 'in_test',
    code: long,
    license: 'GPL',
    log: { level: 2, size: 4096 },
  });
  assert.ok(log.length > 0 && log.length <= 4096, `log of ${log.length} bytes`);
  assert.equal(progTestRun(fd), 5);
  closeFd(fd);
});

test('a call that fails is named, with errno as code', { skip }, () => {
  assert.throws(
    () => mapCreate({ ...smallHash, keySize: 0 }),
    (error) => error instanceof CallError && error.errno === 22 && /BPF_MAP_CREATE.*\(EINVAL\)/.test(error.message),
  );
});
