/**
 * count, sum, avg, min, max, stats, hist, lhist: each CPU updates a value of its own,
 * which the reader puts together (Schema kinds aggregate, hist, lhist say how it is laid
 * out). Additions are atomic instructions all the same: a program can be preempted by
 * another one on its CPU.
 */
import { invariant } from '../../base/errors.ts';
import { bpf_flag } from '../../bpf/constants.ts';
import { lhistBuckets } from '../../program/histogram.ts';
import type { AggregateType } from '../../types/model.ts';
import type { Label, Reg } from '../ir/ir.ts';
import type * as Ast from '../syntax/ast.ts';
import { bpfHelper } from './bpfhelper.ts';
import type { Lower } from './lower.ts';
import { assetOf, lookup, lowerKey, markSet, update } from './maps.ts';

/** `@m[k] = count()` and the others. */
export function assignAggregate(low: Lower, node: Ast.MapAccess, call: Ast.Call, type: AggregateType): void {
  const { b } = low;
  low.scoped(() => {
    const argument = call.args[0];
    const value = argument && argument.node !== 'type' ? low.scalar(argument) : undefined;
    const done = b.label();
    const part = partOfThisCpu(low, node, done);
    addValue(low, part, value, type);
    b.place(done);
  });
}

/** Address of this CPU's part of the value, made when it is not there; jumps to `full` when it cannot be. */
function partOfThisCpu(low: Lower, node: Ast.MapAccess, full: Label): Reg {
  const { b } = low;
  const asset = assetOf(low, node);
  if (asset.storage.kind === 'array') {
    markSet(low, asset);
    const offset = b.alu('mul', low.cpu(), { imm: asset.storage.stride });
    return b.alu('add', b.mapValue(asset.index, 0), offset);
  }
  const key = lowerKey(low, node);
  const part = b.reg('pointer');
  const present = b.label();
  b.mov(part, lookup(low, asset, key));
  b.branch('ne', part, { imm: 0 }, present);
  const zeros = low.assets.zeros(asset.valueSize);
  update(low, asset, key, b.mapValue(zeros.map, zeros.offset), bpf_flag.BPF_NOEXIST);
  b.mov(part, lookup(low, asset, key));
  b.branch('eq', part, { imm: 0 }, full);
  b.place(present);
  return part;
}

function add(low: Lower, base: Reg, offset: number, value: Reg): void {
  low.b.push({ op: 'atomic', operator: 'add', base, offset, size: 8, value });
}

function addValue(low: Lower, part: Reg, value: Reg | undefined, type: AggregateType): void {
  const { b } = low;
  switch (type.aggregate) {
    case 'count':
      add(low, part, 0, b.const(1));
      return;
    case 'sum':
      add(low, part, 0, value as Reg);
      return;
    case 'avg':
    case 'stats':
      add(low, part, 0, value as Reg);
      add(low, part, 8, b.const(1));
      return;
    case 'min':
    case 'max': {
      const take = b.label();
      const done = b.label();
      b.branch('eq', b.load(part, 8, 8), { imm: 0 }, take);
      const kept = b.load(part, 0, 8);
      const condition = type.aggregate === 'min' ? (type.signed ? 'sge' : 'uge') : type.signed ? 'sle' : 'ule';
      b.branch(condition, value as Reg, kept, done);
      b.place(take);
      b.store(part, 0, 8, value as Reg);
      b.store(part, 8, 8, { imm: 1 });
      b.place(done);
      return;
    }
    case 'hist':
      bump(low, part, logarithmicBucket(low, value as Reg, type.hist?.bits ?? 0));
      return;
    case 'lhist':
      bump(low, part, linearBucket(low, value as Reg, type));
      return;
    case 'tseries':
      addToSeries(low, part, value as Reg, type);
      return;
  }
}

/** Bytes of one interval: its number, the value, and how many there were, or when (Schema kind tseries). */
const seriesEntry = { number: 0, value: 8, meta: 16, size: 24 } as const;

function addToSeries(low: Lower, part: Reg, value: Reg, type: AggregateType): void {
  const { b } = low;
  const series = type.tseries;
  invariant(series, 'tseries without its intervals');
  const offset = b.load(b.mapValue(low.assets.globalsMap, low.assets.globals.wallClock), 0, 8);
  const now = b.alu('add', b.call(bpfHelper.ktime_get_boot_ns, []), offset);
  const number = b.alu('udiv', now, b.const(series.interval));
  const index = bounded(low, b.alu('umod', number, { imm: series.count }), series.count - 1);
  const entry = b.alu('add', part, b.alu('mul', index, { imm: seriesEntry.size }));
  const current = b.label();
  b.branch('eq', b.load(entry, seriesEntry.number, 8), number, current);
  b.store(entry, seriesEntry.number, 8, number);
  b.store(entry, seriesEntry.value, 8, { imm: 0 });
  b.store(entry, seriesEntry.meta, 8, { imm: 0 });
  b.place(current);
  switch (series.combine) {
    case 'last':
      b.store(entry, seriesEntry.value, 8, value);
      b.store(entry, seriesEntry.meta, 8, now);
      return;
    case 'sum':
    case 'avg':
      add(low, entry, seriesEntry.value, value);
      add(low, entry, seriesEntry.meta, b.const(1));
      return;
    case 'min':
    case 'max': {
      const take = b.label();
      const done = b.label();
      b.branch('eq', b.load(entry, seriesEntry.meta, 8), { imm: 0 }, take);
      const kept = b.load(entry, seriesEntry.value, 8);
      const condition = series.combine === 'min' ? (type.signed ? 'sge' : 'uge') : type.signed ? 'sle' : 'ule';
      b.branch(condition, value, kept, done);
      b.place(take);
      b.store(entry, seriesEntry.value, 8, value);
      b.store(entry, seriesEntry.meta, 8, { imm: 1 });
      b.place(done);
      return;
    }
  }
}

function bump(low: Lower, part: Reg, index: Reg): void {
  const { b } = low;
  const offset = b.alu('shl', index, { imm: 3 });
  add(low, b.alu('add', part, offset), 0, b.const(1));
}

/** Index as values/histogram.ts defines it. The value is taken as signed, as bpftrace does. */
function logarithmicBucket(low: Lower, value: Reg, bits: number): Reg {
  const { b } = low;
  const index = b.const(0);
  const done = b.label();
  const small = b.label();
  b.branch('slt', value, { imm: 0 }, done);
  b.branch('ult', value, { imm: 1 << bits }, small);
  // log = position of the highest set bit, by halving.
  const rest = b.reg();
  const log = b.const(0);
  b.mov(rest, value);
  for (const shift of [32, 16, 8, 4, 2, 1]) {
    const skip = b.label();
    b.branch('eq', b.alu('lshr', rest, { imm: shift }), { imm: 0 }, skip);
    b.push({ op: 'alu', operator: 'lshr', dst: rest, left: rest, right: { imm: shift } });
    b.push({ op: 'alu', operator: 'add', dst: log, left: log, right: { imm: shift } });
    b.place(skip);
  }
  // The bounds below hold already; they are said again so that the verifier knows them.
  const shift = bounded(low, bits === 0 ? log : b.alu('sub', log, { imm: bits }), 62 - bits);
  const top = b.alu('and', b.alu('lshr', value, shift), { imm: (2 << bits) - 1 });
  const sum = b.alu('add', top, bits === 0 ? shift : b.alu('shl', shift, { imm: bits }));
  b.push({ op: 'alu', operator: 'add', dst: index, left: sum, right: { imm: 1 } });
  b.jump(done);
  b.place(small);
  b.push({
    op: 'alu',
    operator: 'add',
    dst: index,
    left: b.alu('and', value, { imm: (1 << bits) - 1 }),
    right: { imm: 1 },
  });
  b.place(done);
  return index;
}

/** A copy that is at most `max` (as unsigned numbers). */
function bounded(low: Lower, value: Reg, max: number): Reg {
  const { b } = low;
  const copy = b.reg();
  b.mov(copy, value);
  const fine = b.label();
  b.branch('ule', copy, { imm: max }, fine);
  b.push({ op: 'const', dst: copy, value: BigInt(max) });
  b.place(fine);
  return copy;
}

function linearBucket(low: Lower, value: Reg, type: AggregateType): Reg {
  const { b } = low;
  const bounds = type.lhist;
  invariant(bounds, 'lhist without bounds');
  const last = lhistBuckets(bounds.min, bounds.max, bounds.step) - 1;
  const index = b.const(0);
  const done = b.label();
  const high = b.label();
  b.branch('slt', value, b.const(bounds.min), done);
  b.branch('sge', value, b.const(bounds.max), high);
  const step = b.alu('udiv', b.alu('sub', value, b.const(bounds.min)), b.const(bounds.step));
  b.push({ op: 'alu', operator: 'add', dst: index, left: bounded(low, step, last - 1), right: { imm: 1 } });
  b.jump(done);
  b.place(high);
  b.push({ op: 'const', dst: index, value: BigInt(last) });
  b.place(done);
  return index;
}
