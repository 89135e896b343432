/**
 * What the kernel computes when it runs an emitted unit, against an interpreter of the
 * IR written for this test (test/bpf/run.ts).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { simulate } from '../../../test/bpf/machine.ts';
import { interpret, type Run, runInKernel } from '../../../test/bpf/run.ts';
import { disassemble } from '../../bpf/disassemble.ts';
import { kernelAtLeast, kernelVersion } from '../../kernel/host/machine.ts';
import { hasCapability } from '../../kernel/sys/errno.ts';
import { checkUnit } from '../ir/check.ts';
import { type AluOperator, type Condition, FunctionBuilder, type MemorySize, type Reg, type Unit } from '../ir/ir.ts';
import { printUnit } from '../ir/print.ts';
import { emit } from './emit.ts';

const skip = hasCapability('CAP_BPF') ? false : 'loading BPF programs needs CAP_BPF (run as root)';

const GET_CURRENT_PID_TGID = 14;
const KTIME_GET_NS = 5;
const OLD = { major: 5, minor: 15 };
/** The newest one that this kernel runs code for. */
const NEW = kernelAtLeast(6, 18) ? { major: 6, minor: 18 } : kernelVersion();

const EDGES = [
  0n,
  1n,
  2n,
  3n,
  7n,
  63n,
  64n,
  127n,
  128n,
  255n,
  256n,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x7fff_ffff_ffff_ffffn,
  -1n,
  -2n,
  -7n,
  -128n,
  -0x8000n,
  -0x8000_0000n,
  -0x8000_0001n,
  -0x8000_0000_0000_0000n,
  0x0123_4567_89ab_cdefn,
  -0x0123_4567_89ab_cdefn,
];
const OPERATORS: readonly AluOperator[] = [
  'add',
  'sub',
  'mul',
  'udiv',
  'sdiv',
  'umod',
  'smod',
  'and',
  'or',
  'xor',
  'shl',
  'lshr',
  'ashr',
];
const CONDITIONS: readonly Condition[] = ['eq', 'ne', 'ult', 'ule', 'ugt', 'uge', 'slt', 'sle', 'sgt', 'sge', 'set'];
const CONTEXT_WORDS = 12;

const helper = (number: number): bigint =>
  number === GET_CURRENT_PID_TGID ? (BigInt(process.pid) << 32n) | BigInt(process.pid) : 0n;

type Kernel = { readonly major: number; readonly minor: number };

/** Compares kernel and interpreter, for each context, on memory and on the returned lower half. */
function compare(unit: Unit, contexts: readonly (readonly bigint[])[], size: number, kernel: Kernel): void {
  assert.deepEqual(checkUnit(unit), []);
  const emitted = emit(unit, { kernel });
  assert.ok(emitted.ok, emitted.ok ? '' : emitted.error.message);
  const { code } = emitted.value;
  const listing = (): string =>
    `${printUnit(unit)}\n${disassemble(code)
      .map((line) => `${line.slot}: ${line.text}`)
      .join('\n')}`;
  let runs: readonly Run[];
  try {
    runs = runInKernel(emitted.value, contexts, size);
  } catch (error) {
    throw new Error(`${listing()}\n${(error as { log?: string }).log ?? ''}`, { cause: error });
  }
  const words = (bytes: Uint8Array): string[] =>
    Array.from(new BigUint64Array(bytes.buffer), (value) => `0x${value.toString(16)}`);
  for (const [index, run] of runs.entries()) {
    const memory = new Uint8Array(size);
    const result = interpret(unit, contexts[index] as readonly bigint[], memory, helper);
    assert.deepEqual(words(run.memory), words(memory), listing());
    assert.equal(run.result >>> 0, Number(BigInt.asUintN(32, result)), listing());
  }
}

test('every operator on every pair of edge values, by register and by immediate', { skip }, () => {
  for (const kernel of [OLD, NEW]) {
    for (const right of EDGES) {
      const builder = new FunctionBuilder('main', ['pointer']);
      const out = builder.mapValue(0, 0);
      const left = builder.load(builder.parameter(0), 0, 8);
      const byRegister = builder.load(builder.parameter(0), 8, 8);
      const byConstant = builder.const(right);
      let offset = 0;
      const put = (value: Reg): void => {
        builder.store(out, offset, 8, value);
        offset += 8;
      };
      for (const operator of OPERATORS) {
        put(builder.alu(operator, left, byRegister));
        put(builder.alu(operator, left, byConstant));
        put(builder.alu(operator, byConstant, left));
      }
      for (const bits of [8, 16, 32] as const) {
        for (const signed of [true, false]) {
          const dst = builder.reg();
          builder.push({ op: 'extend', dst, src: left, bits, signed });
          put(dst);
        }
      }
      for (const bits of [16, 32, 64] as const) {
        const dst = builder.reg();
        builder.push({ op: 'bswap', dst, src: left, bits });
        put(dst);
      }
      const negative = builder.reg();
      builder.push({ op: 'neg', dst: negative, src: left });
      put(negative);
      for (const bits of [32, 64] as const) {
        for (const condition of CONDITIONS) {
          for (const constant of [false, true]) {
            const flag = builder.reg();
            const end = builder.label();
            builder.push({ op: 'const', dst: flag, value: 1n });
            // Loaded anew: what the verifier learns from one test would multiply its work on the next.
            const value = builder.load(builder.parameter(0), 0, 8);
            const other = constant ? byConstant : builder.load(builder.parameter(0), 8, 8);
            builder.branch(condition, value, other, end, bits);
            builder.push({ op: 'const', dst: flag, value: 0n });
            builder.place(end);
            put(flag);
          }
        }
      }
      builder.return({ imm: 0 });
      const unit = { name: 'edges', functions: [builder.finish()] };
      compare(
        unit,
        EDGES.map((left) => [left, right]),
        offset,
        kernel,
      );
    }
  }
});

// Random programs ---------------------------------------------------------------

type Source = { readonly variable: number } | { readonly constant: bigint };
type Statement =
  | {
      readonly kind: 'alu';
      readonly to: number;
      readonly operator: AluOperator;
      readonly left: number;
      readonly right: Source;
    }
  | { readonly kind: 'copy' | 'negate'; readonly to: number; readonly from: number }
  | { readonly kind: 'set'; readonly to: number; readonly value: bigint }
  | {
      readonly kind: 'extend';
      readonly to: number;
      readonly from: number;
      readonly bits: 8 | 16 | 32;
      readonly signed: boolean;
    }
  | { readonly kind: 'swap'; readonly to: number; readonly from: number; readonly bits: 16 | 32 | 64 }
  | {
      readonly kind: 'load';
      readonly to: number;
      readonly slot: number;
      readonly word: number;
      readonly size: MemorySize;
      readonly map: boolean;
    }
  | {
      readonly kind: 'store';
      readonly value: Source;
      readonly slot: number;
      readonly word: number;
      readonly size: MemorySize;
      readonly map: boolean;
    }
  | {
      readonly kind: 'atomic';
      readonly operator: 'add' | 'and' | 'or' | 'xor' | 'xchg';
      readonly value: number;
      readonly to: number | null;
      readonly word: number;
      readonly size: 4 | 8;
    }
  | { readonly kind: 'call'; readonly to: number | null; readonly args: readonly Source[] }
  | { readonly kind: 'clock' }
  | {
      readonly kind: 'if';
      readonly condition: Condition;
      readonly bits: 32 | 64;
      readonly left: number;
      readonly right: Source;
      readonly then: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly kind: 'loop'; readonly times: number; readonly body: readonly Statement[] };

const SLOTS = [8, 16, 24];

/** `mostArguments`: 0 for the kernel, whose helpers would have an opinion on them. */
function statements(variables: number, mostArguments: number, inLoop = false, depth = 0): fc.Arbitrary<Statement[]> {
  const variable = fc.nat({ max: variables - 1 });
  const constant = fc.oneof(fc.constantFrom(...EDGES), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }));
  const source: fc.Arbitrary<Source> = fc.oneof(
    variable.map((index) => ({ variable: index })),
    constant.map((value) => ({ constant: value })),
  );
  const size = fc.constantFrom(1, 2, 4, 8) as fc.Arbitrary<MemorySize>;
  const bits = fc.constantFrom(32, 64) as fc.Arbitrary<32 | 64>;
  const record = <T>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
    fc.record(shape) as unknown as fc.Arbitrary<T>;
  const simple: { weight: number; arbitrary: fc.Arbitrary<Statement> }[] = [
    {
      weight: 8,
      arbitrary: record({
        kind: fc.constant('alu' as const),
        to: variable,
        operator: fc.constantFrom(...OPERATORS),
        left: variable,
        right: source,
      }),
    },
    {
      weight: 2,
      arbitrary: record({ kind: fc.constantFrom('copy' as const, 'negate' as const), to: variable, from: variable }),
    },
    { weight: 1, arbitrary: record({ kind: fc.constant('set' as const), to: variable, value: constant }) },
    {
      weight: 1,
      arbitrary: record({
        kind: fc.constant('extend' as const),
        to: variable,
        from: variable,
        bits: fc.constantFrom(8, 16, 32) as fc.Arbitrary<8 | 16 | 32>,
        signed: fc.boolean(),
      }),
    },
    {
      weight: 1,
      arbitrary: record({
        kind: fc.constant('swap' as const),
        to: variable,
        from: variable,
        bits: fc.constantFrom(16, 32, 64) as fc.Arbitrary<16 | 32 | 64>,
      }),
    },
    {
      weight: 2,
      arbitrary: record({
        kind: fc.constant('load' as const),
        to: variable,
        slot: fc.nat({ max: 2 }),
        word: fc.nat({ max: 2 }),
        size,
        map: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: record({
        kind: fc.constant('store' as const),
        value: source,
        slot: fc.nat({ max: 2 }),
        word: fc.nat({ max: 2 }),
        size,
        map: fc.boolean(),
      }),
    },
    {
      weight: 1,
      arbitrary: record({
        kind: fc.constant('atomic' as const),
        operator: fc.constantFrom('add', 'and', 'or', 'xor', 'xchg') as fc.Arbitrary<'add'>,
        value: variable,
        to: fc.option(variable) as fc.Arbitrary<number | null>,
        word: fc.nat({ max: 2 }),
        size: fc.constantFrom(4, 8) as fc.Arbitrary<4 | 8>,
      }),
    },
    {
      weight: 2,
      arbitrary: record({
        kind: fc.constant('call' as const),
        to: fc.option(variable) as fc.Arbitrary<number | null>,
        args: fc.array(source, { maxLength: mostArguments }),
      }),
    },
    { weight: 1, arbitrary: record({ kind: fc.constant('clock' as const) }) },
  ];
  if (depth < 2) {
    const inner = statements(variables, mostArguments, inLoop, depth + 1);
    simple.push({
      weight: 2,
      arbitrary: record({
        kind: fc.constant('if' as const),
        condition: fc.constantFrom(...CONDITIONS),
        bits,
        left: variable,
        right: source,
        then: inner,
        otherwise: inner,
      }),
    });
    if (!inLoop)
      simple.push({
        weight: 1,
        arbitrary: record({
          kind: fc.constant('loop' as const),
          times: fc.integer({ min: 1, max: 3 }),
          body: statements(variables, mostArguments, true, depth + 1),
        }),
      });
  }
  return fc.array(fc.oneof(...simple), { maxLength: depth === 0 ? 40 : 5, size: 'max' });
}

/** Where the variables are written at the end; the statements' own words lie below. */
const VARIABLES_AT = 64;

function buildUnit(
  variables: number,
  program: readonly Statement[],
  keepPointer: boolean,
): { unit: Unit; size: number } {
  const builder = new FunctionBuilder('main', ['pointer']);
  const kept = keepPointer ? builder.mapValue(0, 0) : undefined;
  const out = (): Reg => kept ?? builder.mapValue(0, 0);
  const slots = SLOTS.map((size, index) => builder.newSlot(size, 8, `s${index}`));
  for (const [index, slot] of slots.entries()) {
    for (let at = 0; at < (SLOTS[index] as number); at += 8)
      builder.store(builder.slotAddress(slot), at, 8, { imm: index + at });
  }
  const vars: Reg[] = [];
  for (let i = 0; i < variables; i++) {
    const reg = builder.reg();
    if (i < CONTEXT_WORDS) builder.push({ op: 'load', dst: reg, base: builder.parameter(0), offset: i * 8, size: 8 });
    else
      builder.push({ op: 'alu', operator: 'add', dst: reg, left: vars[i - CONTEXT_WORDS] as Reg, right: { imm: i } });
    vars.push(reg);
  }
  const v = (index: number): Reg => vars[index] as Reg;
  const source = (value: Source): Reg => ('variable' in value ? v(value.variable) : builder.const(value.constant));
  const run = (list: readonly Statement[]): void => {
    for (const s of list) {
      switch (s.kind) {
        case 'alu':
          builder.push({ op: 'alu', operator: s.operator, dst: v(s.to), left: v(s.left), right: source(s.right) });
          break;
        case 'copy':
          builder.mov(v(s.to), v(s.from));
          break;
        case 'negate':
          builder.push({ op: 'neg', dst: v(s.to), src: v(s.from) });
          break;
        case 'set':
          builder.push({ op: 'const', dst: v(s.to), value: s.value });
          break;
        case 'extend':
          builder.push({ op: 'extend', dst: v(s.to), src: v(s.from), bits: s.bits, signed: s.signed });
          break;
        case 'swap':
          builder.push({ op: 'bswap', dst: v(s.to), src: v(s.from), bits: s.bits });
          break;
        case 'load':
        case 'store': {
          const word = s.map ? s.word : s.word % ((SLOTS[s.slot] as number) / 8);
          // Both ways to a slot's word: by offset, and by an address that was added to.
          const base = s.map ? out() : builder.slotAddress(slots[s.slot] as never);
          const at = s.word % 2 === 0 ? base : builder.alu('add', base, { imm: word * 8 });
          const offset = s.word % 2 === 0 ? word * 8 : 0;
          if (s.kind === 'load') builder.push({ op: 'load', dst: v(s.to), base: at, offset, size: s.size });
          else builder.store(at, offset, s.size, source(s.value));
          break;
        }
        case 'atomic':
          builder.push({
            op: 'atomic',
            operator: s.operator,
            base: out(),
            offset: s.word * 8,
            size: s.size,
            value: v(s.value),
            ...(s.to === null ? {} : { dst: v(s.to) }),
          });
          break;
        case 'call':
          builder.push({
            op: 'call',
            helper: GET_CURRENT_PID_TGID,
            args: s.args.map(source),
            ...(s.to === null ? {} : { dst: v(s.to) }),
          });
          break;
        case 'clock':
          builder.push({ op: 'call', helper: KTIME_GET_NS, args: [] });
          break;
        case 'if': {
          const otherwise = builder.label();
          const end = builder.label();
          const then = builder.label();
          builder.branch(s.condition, v(s.left), source(s.right), then, s.bits);
          builder.jump(otherwise);
          builder.place(then);
          run(s.then);
          builder.jump(end);
          builder.place(otherwise);
          run(s.otherwise);
          builder.place(end);
          break;
        }
        case 'loop': {
          const counter = builder.reg();
          const head = builder.label();
          builder.push({ op: 'const', dst: counter, value: 0n });
          builder.place(head);
          run(s.body);
          builder.push({ op: 'alu', operator: 'add', dst: counter, left: counter, right: { imm: 1 } });
          builder.branch('ult', counter, { imm: s.times }, head);
          break;
        }
      }
    }
  };
  run(program);
  const base = out();
  for (const [index, reg] of vars.entries()) builder.store(base, VARIABLES_AT + index * 8, 8, reg);
  let offset = VARIABLES_AT + variables * 8;
  for (const [index, slot] of slots.entries()) {
    for (let at = 0; at < (SLOTS[index] as number); at += 8) {
      builder.store(base, offset, 8, builder.load(builder.slotAddress(slot), at, 8));
      offset += 8;
    }
  }
  builder.return(v(0));
  return { unit: { name: 'random', functions: [builder.finish()] }, size: offset };
}

const words = fc.array(fc.oneof(fc.constantFrom(...EDGES), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })), {
  minLength: CONTEXT_WORDS,
  maxLength: CONTEXT_WORDS,
});

for (const [variables, runs] of [
  [3, 150],
  [9, 150],
  [36, 120],
] as const) {
  test(`random programs of ${variables} variables do in the kernel what the IR says`, { skip }, () => {
    fc.assert(
      fc.property(
        statements(variables, 0),
        words,
        fc.boolean(),
        fc.constantFrom(OLD, NEW),
        (program, context, keep, kernel) => {
          const { unit, size } = buildUnit(variables, program, keep);
          compare(unit, [context], size, kernel);
        },
      ),
      { seed: 20_260 + variables, numRuns: runs, interruptAfterTimeLimit: 60_000 },
    );
  });
}

for (const [variables, runs] of [
  [4, 200],
  [8, 300],
  [36, 200],
] as const) {
  test(`random programs of ${variables} variables give helpers the arguments that the IR says`, () => {
    // Depends on every argument and its place.
    const mix = (number: number, args: readonly (bigint | undefined)[]): bigint =>
      args.reduce<bigint>(
        (sum, value) => BigInt.asUintN(64, (sum ^ (value ?? 0n)) * 0x9e37_79b9_7f4a_7c15n + 1n),
        BigInt(number),
      );
    fc.assert(
      fc.property(
        statements(variables, 5),
        words,
        fc.boolean(),
        fc.constantFrom(OLD, NEW),
        (program, context, keep, kernel) => {
          const { unit, size } = buildUnit(variables, program, keep);
          const emitted = emit(unit, { kernel });
          assert.ok(emitted.ok);
          const expected = new Uint8Array(size);
          const calls: string[] = [];
          const result = interpret(unit, context, expected, (number, args) => {
            calls.push(args.join());
            return mix(number, args);
          });
          const actual = new Uint8Array(size);
          const offsets = new Map(emitted.value.relocations.map((relocation) => [relocation.insn, 0]));
          let call = 0;
          const returned = simulate(emitted.value.code, context, actual, offsets, (number, args) => {
            const wanted = calls[call++] ?? '';
            const count = wanted === '' ? 0 : wanted.split(',').length;
            assert.equal(args.slice(0, count).join(), wanted, printUnit(unit));
            return mix(number, args.slice(0, count));
          });
          assert.equal(call, calls.length);
          assert.equal(returned, result, printUnit(unit));
          assert.deepEqual(actual, expected, printUnit(unit));
        },
      ),
      { seed: 31_000 + variables, numRuns: runs, interruptAfterTimeLimit: 60_000 },
    );
  });
}
