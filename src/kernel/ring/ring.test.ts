import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assemble, emitRecords, needsRoot } from '../sample.ts';
import { mapCreate, progLoad, progTestRun } from '../sys/bpf.ts';
import { closeFd } from '../sys/bpfcall.ts';
import { watchFd } from '../sys/poll.ts';
import { RingReader } from './ring.ts';

const skip = needsRoot;

/** A ring buffer of `size` bytes, and a program that emits records to it. */
function ringAndProgram(size: number, count: number, end?: 132 | 133): { ring: number; run(): void; close(): void } {
  const ring = mapCreate({ kind: 'RINGBUF', name: 'in_test', keySize: 0, valueSize: 0, maxEntries: size });
  const code = assemble(emitRecords(count, end));
  code[8 + 1] = 0x11; // BPF_PSEUDO_MAP_FD
  new DataView(code.buffer).setInt32(12, ring, true);
  const { fd } = progLoad({ type: 'RAW_TRACEPOINT', name: 'in_test', code, license: 'GPL' });
  return {
    ring,
    run: () => void progTestRun(fd),
    close() {
      closeFd(fd);
      closeFd(ring);
    },
  };
}

test('100,000 records come in order, none lost, around the ring many times', { skip }, () => {
  // 24 bytes a record: 5,000 take 120,000 of 131,072 bytes, so every run wraps.
  const { ring, run, close } = ringAndProgram(1 << 17, 5000);
  let next = 0;
  let lastTime = 0n;
  let total = 0;
  const reader = new RingReader(ring, 1 << 17, (view, offset, size) => {
    assert.equal(size, 16);
    assert.equal(view.getUint32(offset + 8, true), next);
    const time = view.getBigUint64(offset, true);
    assert.ok(time >= lastTime);
    lastTime = time;
    next = (next + 1) % 5000;
    total++;
  });
  for (let i = 0; i < 20; i++) {
    run();
    assert.equal(reader.drain(), false);
  }
  assert.equal(total, 100_000);
  reader.close();
  close();
});

test('a ring that is larger than what is mapped of it', { skip }, () => {
  const { ring, run, close } = ringAndProgram(1 << 22, 5000);
  let next = 0;
  let total = 0;
  const reader = new RingReader(ring, 1 << 22, (view, offset) => {
    assert.equal(view.getUint32(offset + 8, true), next);
    next = (next + 1) % 5000;
    total++;
  });
  // 30 runs fill 3.6 of the 4 MiB: each drain goes through several windows, and wraps at another place.
  for (let lap = 0; lap < 5; lap++) {
    for (let i = 0; i < 30; i++) run();
    reader.drain();
    assert.equal(total, (lap + 1) * 150_000);
  }
  reader.close();
  close();
});

test('discarded records are passed over', { skip }, () => {
  const { ring, run, close } = ringAndProgram(4096, 10, 133);
  let total = 0;
  const reader = new RingReader(ring, 4096, () => {
    total++;
  });
  // 240 bytes a run: without the discarded ones' room coming back, 4096 would not do for 100 runs.
  for (let i = 0; i < 100; i++) {
    run();
    reader.drain();
  }
  assert.equal(total, 0);
  reader.close();
  close();
});

test('a full ring keeps its oldest records', { skip }, () => {
  const { ring, run, close } = ringAndProgram(4096, 1000);
  const seen: number[] = [];
  const reader = new RingReader(ring, 4096, (view, offset) => {
    seen.push(view.getUint32(offset + 8, true));
  });
  run();
  reader.drain();
  // 4096 / 24 = 170.67
  assert.deepEqual(
    seen,
    Array.from({ length: 170 }, (_, i) => i),
  );
  reader.close();
  close();
});

test('a limited drain stops in time and goes on later', { skip }, () => {
  const { ring, run, close } = ringAndProgram(1 << 20, 5000);
  let total = 0;
  const reader = new RingReader(ring, 1 << 20, () => {
    total++;
  });
  for (let i = 0; i < 6; i++) run();
  assert.equal(reader.drain(1 << 16), true);
  assert.ok(total > 0 && total < 6000, `${total} of 30,000`);
  while (reader.drain(1 << 16));
  assert.equal(total, 30_000);
  reader.close();
  close();
});

test('a sink that throws loses only its own record; one that closes the reader ends it', { skip }, () => {
  const { ring, run, close } = ringAndProgram(4096, 3);
  const seen: number[] = [];
  const reader = new RingReader(ring, 4096, (view, offset) => {
    const number = view.getUint32(offset + 8, true);
    if (number === 1) throw new Error('no');
    seen.push(number);
  });
  run();
  assert.throws(() => reader.drain(), /no/);
  reader.drain();
  assert.deepEqual(seen, [0, 2]);
  reader.close();

  let total = 0;
  const closing: RingReader = new RingReader(ring, 4096, () => {
    total++;
    closing.close();
  });
  run();
  closing.drain();
  closing.drain();
  assert.equal(total, 1);
  close();
});

test('the event loop is woken, as an ordinary turn with microtasks', { skip, timeout: 5000 }, async () => {
  const { ring, run, close } = ringAndProgram(4096, 1);
  let total = 0;
  let microtasks = 0;
  const reader = new RingReader(ring, 4096, () => {
    total++;
    Promise.resolve().then(() => microtasks++);
  });
  let turns = 0;
  const watch = watchFd(ring, () => {
    turns++;
    reader.drain();
  });
  for (let i = 1; i <= 20; i++) {
    run();
    while (total < i) await new Promise((done) => setTimeout(done, 1));
    assert.equal(microtasks, i);
  }
  watch.close();
  run();
  await new Promise((done) => setTimeout(done, 20));
  assert.equal(total, 20);
  assert.ok(turns >= 20 && turns <= 40, `${turns} turns`);
  reader.close();
  close();
});
