/**
 * Saved stacks, unwound by both unwinders: in TypeScript, and inside BPF, where the saved
 * words are put into this process's own memory at their own addresses. The frames are
 * those that gdb saw when the stack was saved.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { defaultConfig } from '../../src/compiler/config.ts';
import { emit } from '../../src/compiler/emit/emit.ts';
import { FunctionBuilder } from '../../src/compiler/ir/ir.ts';
import { Assets } from '../../src/compiler/lower/assets.ts';
import { kernelLayout, stateAt, stateBytes } from '../../src/compiler/unwind/layout.ts';
import { Walker } from '../../src/compiler/unwind/walker.ts';
import { openKernelTypes } from '../../src/kernel/host/kerneltypes.ts';
import { kernelVersion, possibleCpus } from '../../src/kernel/host/machine.ts';
import { type LoadedProgram, loadProgram } from '../../src/kernel/load/load.ts';
import { UnwindMaps } from '../../src/kernel/load/unwindmaps.ts';
import { sampleProgram } from '../../src/kernel/sample.ts';
import { mapLookup, mapUpdate, progTestRun } from '../../src/kernel/sys/bpf.ts';
import { placeMemory } from '../../src/kernel/sys/memory.ts';
import type { Program } from '../../src/program/program.ts';
import { defaultFrames, guessedFlag, jitFile, stackEnds } from '../../src/program/unwind.ts';
import { type WalkedStack, walkStack } from '../../src/symbolize/unwind/walk.ts';
import { lacking } from '../insitu.ts';
import { readSaved, type Saved, savedNames } from './saved.ts';

const pid = 7;
const levels = 3;

/** Loads the walker in a program that does nothing else, with registers from its state. */
class BpfUnwinder {
  readonly #loaded: LoadedProgram;
  readonly #maps: UnwindMaps;
  readonly #stride = stateBytes(defaultFrames);
  readonly #states: Uint8Array;
  #file = jitFile + 1;

  constructor() {
    const types = openKernelTypes();
    const layout = types && kernelLayout(types);
    assert.ok(layout, 'BTF');
    const assets = new Assets(defaultConfig, possibleCpus(), [], {
      layout,
      findVma: false,
      allocates: true,
      frames: defaultFrames,
    });
    const maps = assets.walkerMaps();
    const walker = new Walker({
      maps,
      layout,
      findVma: false,
      cpus: assets.cpus,
      levels,
      stride: this.#stride,
      frames: defaultFrames,
      first: 1,
      prepared: true,
    });
    const main = new FunctionBuilder('main', ['pointer']);
    main.return(main.callFunction(walker.entry, [{ imm: defaultFrames }, { imm: pid }]));
    const emitted = emit(
      { name: 'replay', functions: [main.finish(), ...walker.functions()] },
      { kernel: kernelVersion() },
    );
    assert.ok(emitted.ok);
    const { code, relocations, spans, btf } = emitted.value;
    const program: Program = {
      ...sampleProgram([], [], []),
      maps: assets.finish(),
      programs: [{ name: 'replay', type: 'RAW_TRACEPOINT', code, relocations, spans, ...(btf ? { btf } : {}) }],
    };
    this.#loaded = loadProgram(program);
    this.#maps = new UnwindMaps(this.#loaded);
    this.#states = new Uint8Array(assets.cpus * levels * this.#stride);
  }

  unwind({ stack, tables }: Saved): WalkedStack {
    const numbers = new Map(tables.map((table) => [table, this.#file++]));
    for (const [table, number] of numbers) this.#maps.addTable(number, table);
    this.#maps.setProcess(
      pid,
      stack.mappings.map(({ start, end, offset, table }) => ({
        start: Number(start),
        end: Number(end),
        offset,
        file: table === 'jit' ? jitFile : table === undefined ? 0 : (numbers.get(table) as number),
      })),
    );
    const state = this.#loaded.map('unwind_state');
    assert.ok(state);
    this.#states.fill(0);
    const view = new DataView(this.#states.buffer);
    for (let at = 0; at < this.#states.length; at += this.#stride) {
      for (const [number, value] of stack.registers.entries())
        view.setBigUint64(at + stateAt.registers + 8 * number, value, true);
      view.setBigUint64(at + stateAt.mm, BigInt(this.#file), true);
      view.setBigUint64(at + stateAt.executablePages, 1n, true);
      view.setBigUint64(at + stateAt.trampoline, 1n, true);
    }
    const key = new Uint8Array(4);
    mapUpdate(state.fd, key, this.#states);
    progTestRun(this.#loaded.programs[0]?.fd as number, new Uint8Array(0));
    assert.ok(mapLookup(state.fd, key, this.#states));
    for (let at = 0; at < this.#states.length; at += this.#stride) {
      if (view.getBigUint64(at + stateAt.busy, true) === 0n) continue;
      const count = Number(view.getBigUint64(at + stateAt.count, true));
      const frames = Array.from({ length: count }, (_, i) => view.getBigUint64(at + stateAt.frames + 8 * i, true));
      const end = stackEnds[Number(view.getBigUint64(at + stateAt.end, true))];
      assert.ok(end);
      return { frames, end, guessed: (view.getUint8(at + stateAt.flags) & guessedFlag) !== 0 };
    }
    throw new Error('no state was used');
  }

  close(): void {
    this.#maps.close();
    this.#loaded.close();
  }
}

function assertFrames({ frames }: WalkedStack, saved: Saved): void {
  const known = saved.file.frames.indexOf('…');
  const expected = known < 0 ? [...saved.file.frames] : saved.file.frames.slice(0, known);
  while (expected.at(-1) === '0') expected.pop();
  const own = frames.map((pc) => pc.toString(16));
  assert.deepEqual(known < 0 ? own : own.slice(0, known), expected);
}

test('there are saved stacks', () => assert.ok(savedNames.length >= 10));

describe('saved stacks, unwound in TypeScript', () => {
  for (const name of savedNames) {
    test(name, () => {
      const saved = readSaved(name);
      const walked = walkStack(saved.stack);
      assertFrames(walked, saved);
      assert.equal(walked.end, 'complete');
    });
  }
});

describe('saved stacks, unwound inside BPF', { skip: lacking('btf') }, () => {
  let unwinder: BpfUnwinder;
  before(() => {
    unwinder = new BpfUnwinder();
  });
  after(() => unwinder.close());
  for (const name of savedNames) {
    test(name, () => {
      const saved = readSaved(name);
      const words = saved.file.words.map(([address, value]) => [BigInt(`0x${address}`), BigInt(`0x${value}`)] as const);
      const memory = placeMemory(words);
      try {
        const walked = unwinder.unwind(saved);
        assertFrames(walked, saved);
        assert.deepEqual(walked, walkStack(saved.stack));
      } finally {
        memory.close();
      }
    });
  }

  test('each saved stack with each one of its words missing ends as in TypeScript', () => {
    for (const name of savedNames.slice(0, 4)) {
      const saved = readSaved(name);
      const pages = new Set(saved.file.words.map(([address]) => BigInt(`0x${address}`) >> 12n));
      for (const page of pages) {
        const words = saved.file.words
          .map(([address, value]) => [BigInt(`0x${address}`), BigInt(`0x${value}`)] as const)
          .filter(([address]) => address >> 12n !== page && (address + 7n) >> 12n !== page);
        const left = new Map(words);
        const stack = { ...saved.stack, read: (address: bigint) => left.get(address) };
        const memory = placeMemory(words);
        try {
          assert.deepEqual(unwinder.unwind({ ...saved, stack }), walkStack(stack), `${name} without page ${page}`);
        } finally {
          memory.close();
        }
      }
    }
  });
});
