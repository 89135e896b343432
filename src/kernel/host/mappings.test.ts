import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { needsRoot } from '../sample.ts';
import { onlineCpus } from './machine.ts';
import { MappingTracker } from './mappings.ts';
import { decodeSideband, type TaskEvent } from './sideband.ts';

const skip = needsRoot;

test('a child that is gone before anybody looks leaves its program and libc', { skip, timeout: 20_000 }, () => {
  const events: TaskEvent[] = [];
  const tracker = new MappingTracker((event) => events.push(event));
  const { pid } = spawnSync('/bin/true');
  tracker.drain();
  tracker.close();
  const its = events.filter((event) => event.pid === pid);
  const kinds = its.map((event) => event.kind);
  assert.equal(kinds[0], 'fork');
  assert.equal(kinds.at(-1), 'exit');
  assert.equal((its[0] as TaskEvent & { kind: 'fork' }).parent, process.pid);
  const exec = its.findIndex((event) => event.kind === 'exec');
  assert.ok(exec > 0);
  assert.equal((its[exec] as TaskEvent & { kind: 'exec' }).comm, 'true');
  const maps = its.slice(exec).filter((event) => event.kind === 'map');
  const binary = maps.find((map) => map.path === realpathSync('/bin/true'));
  assert.ok(binary);
  assert.equal(binary.inode, statSync('/bin/true').ino);
  // The libc that this process itself has mapped, at the same offset and length.
  const libc = /^([0-9a-f]+)-([0-9a-f]+) r-xp ([0-9a-f]+) .* (\S*libc\.so\S*)$/m.exec(
    readFileSync('/proc/self/maps', 'utf8'),
  );
  assert.ok(libc);
  const [, start = '', end = '', offset = '', path = ''] = libc;
  const mapped = maps.find((map) => map.path === path);
  assert.ok(mapped, `${path} among ${maps.map((map) => map.path)}`);
  assert.equal(mapped.length, Number.parseInt(end, 16) - Number.parseInt(start, 16));
  assert.equal(mapped.offset, Number.parseInt(offset, 16));
  for (let i = 1; i < its.length; i++) assert.ok((its[i] as TaskEvent).time >= (its[i - 1] as TaskEvent).time);
});

test('rings wrap and drain by themselves when half full', { skip, timeout: 240_000 }, async (t) => {
  let lost = 0;
  const ended = new Set<number>();
  const tracker = new MappingTracker((event) => {
    if (event.kind === 'lost') lost += event.count;
    if (event.kind === 'exit') ended.add(event.pid);
  });
  // A tracker that is left open keeps the process.
  t.after(() => tracker.close());
  tracker.watch();
  // About 1.5 KB of records a child: 2,000 of them fill 512 KiB rings several times.
  const pids: number[] = [];
  for (let i = 0; i < 2000; i += 8) {
    await Promise.all(
      Array.from({ length: 8 }, () => {
        const child = spawn('/bin/true', { stdio: 'ignore' });
        pids.push(child.pid as number);
        return new Promise((done) => child.once('exit', done));
      }),
    );
  }
  assert.ok(ended.size > 100, `${ended.size} seen without a drain`);
  tracker.drain();
  assert.equal(lost, 0);
  assert.ok(pids.every((pid) => ended.has(pid)));
});

test('what finds no room is counted', { skip, timeout: 240_000 }, async (t) => {
  // One looks all the time, and so knows what there was; the other not before the end.
  const known: TaskEvent[] = [];
  const watching = new MappingTracker((event) => known.push(event));
  t.after(() => watching.close());
  watching.watch();
  const kept: TaskEvent[] = [];
  const late = new MappingTracker((event) => kept.push(event));
  t.after(() => late.close());
  // On one CPU, so that its ring overruns whatever number there are.
  const child = spawn(
    'taskset',
    ['-c', String(onlineCpus()[0]), 'sh', '-c', 'i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done'],
    { stdio: 'ignore' },
  );
  await new Promise((done) => child.once('exit', done));
  late.drain();
  const early = sum(kept);
  assert.ok(early > 0, 'no ring overran');
  // That made room: now the kernel's own record of the losses comes, which are known already.
  spawnSync('/bin/true');
  late.drain();
  watching.drain();
  assert.equal(sum(known), 0, 'the one that looks all the time lost something');
  const forks = known.flatMap((event) => (event.kind === 'fork' && event.parent === child.pid ? [event.pid] : []));
  assert.equal(forks.length, 1000);
  const its = new Set(forks);
  const of = (events: readonly TaskEvent[]): number => events.filter(({ pid }) => its.has(pid)).length;
  const missing = of(known) - of(kept);
  assert.ok(missing > 0, 'nothing is missing');
  assert.ok(sum(kept) >= missing, `${missing} of its records are missing, ${sum(kept)} are told to be lost`);
  assert.equal(sum(kept), early, 'the same losses are told twice');
});

const sum = (events: readonly TaskEvent[]): number =>
  events.reduce((lost, event) => lost + (event.kind === 'lost' ? event.count : 0), 0);

test('records are read as linux/perf_event.h lays them out', () => {
  const record = (type: number, misc: number, body: number[], time: number): DataView => {
    const size = 8 + body.length + 8;
    const view = new DataView(new ArrayBuffer(size));
    view.setUint32(0, type, true);
    view.setUint16(4, misc, true);
    view.setUint16(6, size, true);
    new Uint8Array(view.buffer).set(body, 8);
    view.setUint32(size - 8, time, true);
    return view;
  };
  const u32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
  const u64 = (value: number): number[] => [...u32(value % 2 ** 32), ...u32(Math.floor(value / 2 ** 32))];
  const mmap2 = [
    ...u32(7),
    ...u32(8),
    ...u64(0x7f00_1234_5000),
    ...u64(0x2000),
    ...u64(0x1000),
    ...u32(8),
    ...u32(1),
    ...u64(99),
    ...u64(0),
    ...u32(5),
    ...u32(2),
    ...Buffer.from('/lib/é\0\0', 'utf8'),
    0,
    0,
    0,
    0,
    0,
    0,
    0,
  ];
  assert.deepEqual(decodeSideband(record(10, 0, mmap2, 55), 0), {
    kind: 'map',
    time: 55,
    pid: 7,
    address: 0x7f00_1234_5000,
    length: 0x2000,
    offset: 0x1000,
    device: { major: 8, minor: 1 },
    inode: 99,
    path: '/lib/é',
  });
  const comm = [...u32(7), ...u32(7), ...Buffer.from('cat\0\0\0\0\0')];
  assert.deepEqual(decodeSideband(record(3, 1 << 13, comm, 1), 0), { kind: 'exec', time: 1, pid: 7, comm: 'cat' });
  assert.deepEqual(decodeSideband(record(3, 0, comm, 1), 0), { kind: 'comm', time: 1, pid: 7, tid: 7, comm: 'cat' });
  const task = (pid: number, ppid: number, tid: number): number[] => [
    ...u32(pid),
    ...u32(ppid),
    ...u32(tid),
    ...u32(ppid),
    ...u64(3),
  ];
  assert.deepEqual(decodeSideband(record(7, 0, task(9, 7, 9), 3), 0), { kind: 'fork', time: 3, pid: 9, parent: 7 });
  assert.equal(decodeSideband(record(7, 0, task(7, 7, 10), 3), 0), undefined, 'a thread');
  assert.deepEqual(decodeSideband(record(4, 0, task(9, 7, 9), 3), 0), { kind: 'exit', time: 3, pid: 9 });
  assert.equal(decodeSideband(record(4, 0, task(9, 7, 10), 3), 0), undefined, 'a thread');
  assert.deepEqual(decodeSideband(record(2, 0, [...u64(1), ...u64(12)], 3), 0), {
    kind: 'lost',
    time: 3,
    pid: 0,
    count: 12,
  });
  assert.equal(decodeSideband(record(9, 0, [], 3), 0), undefined);
});
