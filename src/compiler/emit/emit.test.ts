/** What the verifier must accept, what must be refused with a reason, and that refusals point at the script. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, runInKernel } from '../../../test/bpf/run.ts';
import { disassemble } from '../../bpf/disassemble.ts';
import { Source, type Span } from '../../diag/source.ts';
import { mapCreate, type ProgramRefusal } from '../../kernel/sys/bpf.ts';
import { closeFd } from '../../kernel/sys/bpfcall.ts';
import { hasCapability } from '../../kernel/sys/errno.ts';
import { checkUnit } from '../ir/check.ts';
import { FunctionBuilder, type Reg, type Unit } from '../ir/ir.ts';
import { type Emitted, emit } from './emit.ts';
import { explainRefusal } from './verifier.ts';

const skip = hasCapability('CAP_BPF') ? false : 'loading BPF programs needs CAP_BPF (run as root)';
const OLD = { major: 5, minor: 15 };
const NEW = { major: 6, minor: 18 };

const MAP_LOOKUP_ELEM = 1;
const KTIME_GET_NS = 5;
const GET_CURRENT_PID_TGID = 14;
const PROBE_READ_KERNEL = 113;
const LOOP = 181;

function emitted(unit: Unit, kernel = NEW, source?: Source): Emitted {
  assert.deepEqual(checkUnit(unit), []);
  const result = emit(unit, { kernel, ...(source === undefined ? {} : { source }) });
  assert.ok(result.ok, result.ok ? '' : result.error.message);
  return result.value;
}

const one = (builder: FunctionBuilder): Unit => ({ name: 'test', functions: [builder.finish()] });
const words = (bytes: Uint8Array): bigint[] => [...new BigUint64Array(bytes.buffer)];

/** Registers that live until `keepAlive` is called: enough to fill all that survive a call, and more. */
function pressure(builder: FunctionBuilder, count: number): { keepAlive(base: Reg, offset: number): void } {
  const regs = Array.from({ length: count }, (_, i) => builder.load(builder.parameter(0), (i % 12) * 8, 8));
  return {
    keepAlive: (base, offset) => {
      let sum = regs[0] as Reg;
      // Several reads each, so that these weigh more than what the test wants to see spilled.
      for (const reg of regs) for (let i = 0; i < 4; i++) sum = builder.alu('add', sum, reg);
      builder.store(base, offset, 8, sum);
    },
  };
}

for (const kernel of [OLD, NEW]) {
  test(`a bound holds for a value that lives on the stack (code for ${kernel.major}.${kernel.minor})`, { skip }, () => {
    // n is checked, a call follows, and then n is a length: without the bound the load is refused.
    for (const checkedAt of ['fall-through', 'target'] as const) {
      const b = new FunctionBuilder('main', ['pointer']);
      const out = b.mapValue(0, 0);
      const buffer = b.newSlot(64, 8, 'buffer');
      for (let i = 0; i < 64; i += 8) b.store(b.slotAddress(buffer), i, 8, { imm: 0 });
      const n = b.load(b.parameter(0), 0, 8);
      const others = pressure(b, 10);
      b.call(KTIME_GET_NS, []);
      others.keepAlive(out, 8);
      const tooLong = b.label();
      const fits = b.label();
      if (checkedAt === 'fall-through') b.branch('ugt', n, { imm: 64 }, tooLong);
      else {
        b.branch('ule', n, { imm: 64 }, fits);
        b.place(tooLong);
        b.return({ imm: 2 });
        b.place(fits);
      }
      b.call(KTIME_GET_NS, []);
      others.keepAlive(out, 8);
      b.call(PROBE_READ_KERNEL, [b.slotAddress(buffer), n, b.const(0)]);
      b.store(out, 0, 8, n);
      others.keepAlive(out, 8);
      b.return({ imm: 1 });
      if (checkedAt === 'fall-through') {
        b.place(tooLong);
        b.return({ imm: 2 });
      }
      const program = emitted(one(b), kernel);
      // Loaded from the stack for the check, and put back there when it fits.
      const text = disassemble(program.code)
        .map((line) => line.text)
        .join('\n');
      const load = String.raw`(r\d) = \*\(u64 \*\)\(r10 (-\d+)\)\n`;
      const store = String.raw`\*\(u64 \*\)\(r10 \2\) = \1\n`;
      if (checkedAt === 'fall-through')
        assert.match(text, new RegExp(`${load}if \\1 > 0x40 goto pc\\+\\d+\\n${store}`));
      else assert.match(text, new RegExp(`${load}if \\1 <= 0x40 goto [\\s\\S]*exit\\n${store}goto pc-`));
      const runs = runInKernel(
        program,
        [
          [64n, ...Array(11).fill(1n)],
          [65n, ...Array(11).fill(1n)],
        ],
        16,
      );
      assert.deepEqual(
        runs.map((run) => run.result),
        [1, 2],
      );
      assert.equal(words(runs[0]!.memory)[0], 64n);
    }
  });
}

test('a bound checked on a copy holds for the original, and the other way round', { skip }, () => {
  for (const checkCopy of [true, false]) {
    const b = new FunctionBuilder('main', ['pointer']);
    const buffer = b.newSlot(64, 8, 'buffer');
    for (let i = 0; i < 64; i += 8) b.store(b.slotAddress(buffer), i, 8, { imm: 0 });
    // Written twice, so that the copy is not simply followed to its source.
    const variable = b.reg();
    b.push({ op: 'load', dst: variable, base: b.parameter(0), offset: 0, size: 8 });
    const seven = b.label();
    b.branch('ne', variable, { imm: 77 }, seven);
    b.push({ op: 'const', dst: variable, value: 7n });
    b.place(seven);
    const copy = b.reg();
    b.mov(copy, variable);
    const end = b.label();
    b.branch('ugt', checkCopy ? copy : variable, { imm: 64 }, end);
    b.call(PROBE_READ_KERNEL, [b.slotAddress(buffer), checkCopy ? variable : copy, { imm: 0 }]);
    b.place(end);
    b.return(variable);
    const runs = runInKernel(emitted(one(b), OLD), [[77n], [64n], [65n]], 8);
    assert.deepEqual(
      runs.map((run) => run.result),
      [7, 64, 65],
    );
  }
});

test('a pointer that may be null survives calls on the stack, and its check holds for it there', { skip }, () => {
  const b = new FunctionBuilder('main', ['pointer']);
  const out = b.mapValue(0, 0);
  const key = b.newSlot(4, 4, 'key');
  b.store(b.slotAddress(key), 0, 4, { imm: 0 });
  const value = b.call(MAP_LOOKUP_ELEM, [b.map(0), b.slotAddress(key)], 'pointer');
  const others = pressure(b, 10);
  b.call(KTIME_GET_NS, []);
  const miss = b.label();
  b.branch('eq', value, { imm: 0 }, miss);
  b.call(KTIME_GET_NS, []);
  b.store(value, 0, 8, { imm: 42 });
  others.keepAlive(out, 8);
  b.place(miss);
  b.return({ imm: 0 });
  const [run] = runInKernel(emitted(one(b)), [Array(12).fill(1n)], 16);
  // Ten values of 1, each added four times to the first.
  assert.deepEqual(words(run!.memory), [42n, 41n]);
});

test('callbacks: bpf_loop runs a function of the unit over a struct on the stack', { skip }, () => {
  const main = new FunctionBuilder('main', ['pointer']);
  const state = main.newSlot(16, 8, 'state');
  main.store(main.slotAddress(state), 0, 8, { imm: 0 });
  main.store(main.slotAddress(state), 8, 8, main.load(main.parameter(0), 0, 8));
  const callback = main.reg('pointer');
  main.push({ op: 'function', dst: callback, function: 1 });
  const rounds = main.call(LOOP, [{ imm: 100 }, callback, main.slotAddress(state), { imm: 0 }]);
  const out = main.mapValue(0, 0);
  main.store(out, 0, 8, rounds);
  main.store(out, 8, 8, main.load(main.slotAddress(state), 0, 8));
  main.return({ imm: 0 });
  const loop = new FunctionBuilder('sum up', ['scalar', 'pointer']);
  const sum = loop.load(loop.parameter(1), 0, 8);
  loop.call(GET_CURRENT_PID_TGID, []);
  loop.store(loop.parameter(1), 0, 8, loop.alu('add', sum, loop.parameter(0)));
  const stop = loop.label();
  const limit = loop.load(loop.parameter(1), 8, 8);
  loop.branch('eq', loop.parameter(0), limit, stop);
  loop.return({ imm: 0 });
  loop.place(stop);
  loop.return({ imm: 1 });
  const unit = { name: 'loop', functions: [main.finish(), loop.finish()] };
  const program = emitted(unit, NEW, new Source('loop.bt', 'BEGIN { for … }\n'));
  assert.deepEqual(
    program.functions.map((fn) => [fn.name, fn.slot > 0]),
    [
      ['main', false],
      ['sum up', true],
    ],
  );
  const runs = runInKernel(program, [[9n], [1000n]], 16);
  // Rounds 0 to 9: ten of them, sum 45; all hundred: sum 4950.
  const sums = [
    [10n, 45n],
    [100n, 4950n],
  ];
  assert.deepEqual(
    runs.map((run) => words(run.memory)),
    sums,
  );
  // Without a script there is still the BTF that makes a callback static.
  const bare = runInKernel(emitted(unit), [[9n], [1000n]], 16);
  assert.deepEqual(
    bare.map((run) => words(run.memory)),
    sums,
  );
});

test('slots that are not in use together share bytes, others keep theirs', { skip }, () => {
  const b = new FunctionBuilder('main', ['pointer']);
  const out = b.mapValue(0, 0);
  const fill = (name: string, value: number): ReturnType<FunctionBuilder['newSlot']> => {
    const slot = b.newSlot(240, 8, name);
    for (let i = 0; i < 240; i += 8) b.store(b.slotAddress(slot), i, 8, { imm: value });
    return slot;
  };
  const kept = fill('kept', 1);
  for (let round = 0; round < 4; round++) {
    const slot = fill(`passing ${round}`, 2 + round);
    b.store(out, 8 * round, 8, b.load(b.slotAddress(slot), 232, 8));
  }
  b.store(out, 32, 8, b.load(b.slotAddress(kept), 0, 8));
  b.return({ imm: 0 });
  const program = emitted(one(b));
  assert.equal(program.stackBytes, 480);
  assert.deepEqual(words(runInKernel(program, [[0n]], 40)[0]!.memory), [2n, 3n, 4n, 5n, 1n]);
});

test('a slot whose address lies in memory is not shared', () => {
  const b = new FunctionBuilder('main', ['pointer']);
  const target = b.newSlot(64, 8, 'target');
  const holder = b.newSlot(8, 8, 'holder');
  b.store(b.slotAddress(target), 0, 8, { imm: 1 });
  b.store(b.slotAddress(holder), 0, 8, b.slotAddress(target));
  const later = b.newSlot(64, 8, 'later');
  b.store(b.slotAddress(later), 0, 8, { imm: 2 });
  b.call(KTIME_GET_NS, [b.slotAddress(later)]);
  b.call(KTIME_GET_NS, [b.slotAddress(holder)]);
  b.return({ imm: 0 });
  assert.equal(emitted(one(b)).stackBytes, 160);
});

test('a slot that a loop uses keeps its bytes through all rounds', { skip }, () => {
  const b = new FunctionBuilder('main', ['pointer']);
  const carried = b.newSlot(8, 8, 'carried');
  const passing = b.newSlot(8, 8, 'passing');
  b.store(b.slotAddress(carried), 0, 8, { imm: 0 });
  const i = b.reg();
  b.push({ op: 'const', dst: i, value: 0n });
  const head = b.label();
  b.place(head);
  // Read at the top, written before what comes next: in layout order the two do not overlap.
  const old = b.load(b.slotAddress(carried), 0, 8);
  b.store(b.slotAddress(carried), 0, 8, b.alu('add', old, { imm: 3 }));
  b.store(b.slotAddress(passing), 0, 8, i);
  b.call(KTIME_GET_NS, []);
  b.store(b.mapValue(0, 0), 0, 8, b.load(b.slotAddress(passing), 0, 8));
  b.push({ op: 'alu', operator: 'add', dst: i, left: i, right: { imm: 1 } });
  b.branch('ult', i, { imm: 5 }, head);
  b.return(b.load(b.slotAddress(carried), 0, 8));
  assert.equal(runInKernel(emitted(one(b)), [[0n]], 8)[0]!.result, 15);
});

test('too many values: a structured failure with the place where most are live', () => {
  const b = new FunctionBuilder('main', ['pointer']);
  const regs: Reg[] = [];
  for (let i = 0; i < 80; i++) {
    b.span = { start: i, end: i + 1 };
    regs.push(b.call(KTIME_GET_NS, []));
  }
  for (let i = 0; i < 80; i++) {
    b.span = { start: 100 + i, end: 101 + i };
    b.store(b.mapValue(0, 0), i * 8, 8, regs[i] as Reg);
  }
  b.return({ imm: 0 });
  const result = emit(one(b), { kernel: NEW });
  assert.ok(!result.ok);
  assert.equal(result.error.code, 'stack-overflow');
  // 80 values, of which four fit r6 to r9: 76 × 8 bytes.
  assert.equal(result.error.bytes, 608);
  assert.ok(
    result.error.span !== undefined && Math.abs(result.error.span.start - 79) < 5,
    JSON.stringify(result.error.span),
  );
});

test('the stack of a callback counts with its caller', () => {
  const main = new FunctionBuilder('main', ['pointer']);
  const big = main.newSlot(300, 4, 'big');
  main.store(main.slotAddress(big), 0, 4, { imm: 0 });
  const callback = main.reg('pointer');
  main.push({ op: 'function', dst: callback, function: 1 });
  main.call(LOOP, [{ imm: 1 }, callback, main.slotAddress(big), { imm: 0 }]);
  main.return({ imm: 0 });
  const loop = new FunctionBuilder('body', ['scalar', 'pointer']);
  const large = loop.newSlot(200, 8, 'large');
  loop.store(loop.slotAddress(large), 0, 8, { imm: 0 });
  loop.call(KTIME_GET_NS, [loop.slotAddress(large)]);
  loop.return({ imm: 0 });
  const result = emit({ name: 'loop', functions: [main.finish(), loop.finish()] }, { kernel: NEW });
  // 300 and 200, each rounded up to a multiple of 32.
  assert.deepEqual(result.ok ? undefined : result.error.bytes, 320 + 224);
});

test('programs with jumps beyond 16 bits run', { skip }, () => {
  for (const kernel of [OLD, NEW]) {
    const b = new FunctionBuilder('main', ['pointer']);
    const input = b.load(b.parameter(0), 0, 8);
    const out = b.mapValue(0, 0);
    const far = b.label();
    const back = b.label();
    const end = b.label();
    b.branch('eq', input, { imm: 1 }, far);
    b.place(back);
    for (let i = 0; i < 20_000; i++) b.store(out, (i % 4) * 8, 8, b.alu('add', input, { imm: i + 1 }));
    b.jump(end);
    b.place(far);
    b.push({ op: 'const', dst: input, value: 5n });
    b.jump(back);
    b.place(end);
    b.return(input);
    const program = emitted(one(b), kernel);
    assert.ok(program.code.length / 8 > 40_000);
    const runs = runInKernel(program, [[1n], [2n]], 32);
    assert.deepEqual(
      runs.map((run) => [run.result, words(run.memory)[3]]),
      [
        [5, 20_005n],
        [2, 20_002n],
      ],
    );
  }
});

// Refusals -----------------------------------------------------------------------

const SCRIPT = new Source('wrong.bt', 'BEGIN\n{\n  $a = 1;\n  $b = *$a;\n}\n');
const spanOf = (text: string): Span => {
  const start = SCRIPT.text.indexOf(text);
  return { start, end: start + text.length };
};

/** Loads a unit that the verifier must refuse and explains the refusal. */
function refusal(build: (b: FunctionBuilder) => void): ReturnType<typeof explainRefusal> {
  const b = new FunctionBuilder('main', ['pointer']);
  b.span = spanOf('$a = 1');
  build(b);
  const program = emitted(one(b), NEW, SCRIPT);
  const map = mapCreate({ kind: 'ARRAY', name: 'emit_test', keySize: 4, valueSize: 8, maxEntries: 1 });
  try {
    closeFd(load(program, [map]).fd);
  } catch (error) {
    return explainRefusal((error as ProgramRefusal).log, program.spans, SCRIPT);
  } finally {
    closeFd(map);
  }
  return assert.fail('the verifier accepted it');
}

test('refusals point at the script and say why', { skip }, () => {
  const noCheck = refusal((b) => {
    const key = b.newSlot(4, 4, 'key');
    // Not a constant: newer verifiers know that element 0 of an array is there.
    b.store(b.slotAddress(key), 0, 4, b.load(b.parameter(0), 0, 8));
    const value = b.call(MAP_LOOKUP_ELEM, [b.map(0), b.slotAddress(key)], 'pointer');
    b.span = spanOf('$b = *$a');
    b.return(b.load(value, 0, 8));
  });
  assert.equal(SCRIPT.text.slice(noCheck.span?.start, noCheck.span?.end), '$b = *$a');
  assert.match(noCheck.complaint, /may be null/);
  assert.match(noCheck.instruction, /^r0 = \*\(u64 \*\)\(r0 \+0\)$/);
  assert.match(noCheck.kernel, /^R0 invalid mem access 'map_value_or_null'$/);

  const outside = refusal((b) => {
    const value = b.mapValue(0, 0);
    b.span = spanOf('$b = *$a');
    b.store(value, 8, 8, { imm: 1 });
    b.return({ imm: 0 });
  });
  assert.equal(SCRIPT.text.slice(outside.span?.start, outside.span?.end), '$b = *$a');
  assert.equal(outside.complaint, '8 bytes at offset 8 lie outside a map value of 8 bytes');

  const unbounded = refusal((b) => {
    const buffer = b.newSlot(8, 8, 'buffer');
    const n = b.load(b.parameter(0), 0, 8);
    b.span = spanOf('$b = *$a');
    b.call(PROBE_READ_KERNEL, [b.slotAddress(buffer), n, { imm: 0 }]);
    b.return({ imm: 0 });
  });
  assert.equal(SCRIPT.text.slice(unbounded.span?.start, unbounded.span?.end), '$b = *$a');
  assert.match(unbounded.complaint, /not limited enough/);
  assert.equal(unbounded.hints.length, 1);

  const endless = refusal((b) => {
    const head = b.label();
    const x = b.reg();
    b.push({ op: 'const', dst: x, value: 1n });
    b.place(head);
    b.span = spanOf('$b = *$a');
    b.call(KTIME_GET_NS, []);
    b.jump(head);
  });
  assert.match(endless.complaint, /cannot see that this loop ends/);
  assert.equal(SCRIPT.text.slice(endless.span?.start, endless.span?.end), '$b = *$a');

  const wrongContext = refusal((b) => {
    b.span = spanOf('$b = *$a');
    b.return(b.load(b.parameter(0), 4000, 8));
  });
  assert.match(wrongContext.complaint, /no 8-byte value at offset 4000/);
});

test("the verifier's log shows the script's lines", { skip }, () => {
  const b = new FunctionBuilder('main', ['pointer']);
  b.span = spanOf('$a = 1');
  const time = b.call(KTIME_GET_NS, []);
  b.span = spanOf('$b = *$a');
  b.store(b.mapValue(0, 0), 0, 8, time);
  b.return({ imm: 0 });
  const map = mapCreate({ kind: 'ARRAY', name: 'emit_test', keySize: 4, valueSize: 8, maxEntries: 1 });
  try {
    const { fd, log } = load(emitted(one(b), NEW, SCRIPT), [map], 2);
    closeFd(fd);
    assert.match(log, /^; +\$a = 1; @ wrong\.bt:3$/m);
    assert.match(log, /^; +\$b = \*\$a; @ wrong\.bt:4$/m);
  } finally {
    closeFd(map);
  }
});

test('a log without a complaint, and an empty one, still give an answer', () => {
  const spans = Int32Array.of(0, 5, -1, -1);
  assert.equal(explainRefusal('', spans).complaint, 'the kernel gave no reason');
  const odd = explainRefusal(
    '0: R1=ctx() R10=fp0\n1: (95) exit\nsomething new is wrong here\nprocessed 2 insns (limit 1000000)\n',
    spans,
  );
  assert.deepEqual(
    [odd.insn, odd.instruction, odd.complaint, odd.span],
    [1, 'exit', 'something new is wrong here', { start: 0, end: 5 }],
  );
});
