/** count(), sum(n), avg(n), min(n), max(n), stats(n), hist(n [, k]), lhist(n, min, max, step): typing; see lower/aggregates.ts. */
import { lhistBuckets } from '../../program/histogram.ts';
import type { AggregateKind, AggregateType, SeriesCombination, Type } from '../../types/model.ts';
import { promoted } from '../sema/scope.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

/** Most buckets of lhist, as bpftrace has it. */
const maxLinearBuckets = 1000;

/** Intervals of tseries: one value must fit the kernel's 32 KiB for a per-CPU value. */
const maxIntervals = 1024n;

const combinations: readonly string[] = ['last', 'sum', 'avg', 'min', 'max'] satisfies readonly SeriesCombination[];

const isCombination = (text: string | undefined): text is SeriesCombination =>
  text !== undefined && combinations.includes(text);

function signedness(sema: Sema, call: Call): boolean {
  const type = sema.integerArgument(call, 0);
  return promoted(type).signed;
}

/** A literal argument, or a complaint. */
function literal(sema: Sema, call: Call, index: number, what: string): bigint {
  sema.integerArgument(call, index);
  const value = sema.constant(call.args[index]);
  if (value === undefined) {
    sema.error(
      'literal-expected',
      `${call.name}: ${what} must be a number known at compile time`,
      call.args[index]?.span ?? call.span,
    );
    return 0n;
  }
  return value;
}

const aggregate = (
  name: AggregateKind,
  signature: string,
  about: string,
  arity: readonly [number, number],
  type: (sema: Sema, call: Call) => AggregateType,
): BuiltinFunction => ({ name, signature, about, arity, type: (sema, call): Type => type(sema, call) });

const plain = (name: AggregateKind, about: string): BuiltinFunction =>
  aggregate(name, `@m = ${name}(n)`, about, [1, 1], (sema, call) => ({
    kind: 'aggregate',
    aggregate: name,
    signed: signedness(sema, call),
  }));

export const aggregateFunctions: readonly BuiltinFunction[] = [
  aggregate('count', '@m = count()', 'counts how often', [0, 0], () => ({
    kind: 'aggregate',
    aggregate: 'count',
    signed: false,
  })),
  plain('sum', 'adds up'),
  plain('avg', 'average'),
  plain('min', 'smallest'),
  plain('max', 'largest'),
  plain('stats', 'count, average and total'),
  aggregate('hist', '@m = hist(n [, k])', 'histogram by powers of two, each split in 2^k', [1, 2], (sema, call) => {
    const signed = signedness(sema, call);
    let bits = 0;
    if (call.args.length > 1) {
      const value = literal(sema, call, 1, 'k');
      if (value < 0n || value > 5n)
        sema.error('hist-bits', `hist: bits ${value} must be 0..5`, (call.args[1] as { span: Call['span'] }).span);
      else bits = Number(value);
    }
    return { kind: 'aggregate', aggregate: 'hist', signed, hist: { bits } };
  }),
  aggregate(
    'tseries',
    '@m = tseries(n, interval, count [, "avg|max|min|sum"])',
    'the values of the last intervals, in time',
    [3, 4],
    (sema, call) => {
      const signed = signedness(sema, call);
      const interval = literal(sema, call, 1, 'the interval');
      const count = literal(sema, call, 2, 'the number of intervals');
      const complain = (text: string): void => sema.error('tseries-bounds', `tseries() ${text}`, call.span);
      if (interval < 1n) complain(`interval_ns must be >= 1 (${interval} provided)`);
      if (count < 1n || count > maxIntervals)
        complain(`num_intervals must be from 1 to ${maxIntervals} (${count} provided)`);
      const fourth = call.args[3];
      const combine = fourth === undefined ? 'last' : sema.literalText(fourth);
      if (!isCombination(combine) || (fourth !== undefined && combine === 'last')) {
        const given = combine === undefined ? '' : ` ("${combine}" provided)`;
        complain(`expects one of the following aggregation functions: avg, max, min, sum${given}`);
      }
      if (fourth && fourth.node !== 'type') sema.expr(fourth);
      const bounded = count < 1n || count > maxIntervals ? 1 : Number(count);
      const series = {
        interval: interval < 1n ? 1n : interval,
        count: bounded,
        combine: isCombination(combine) ? combine : 'last',
      } as const;
      sema.unstable('tseries', call.span);
      return { kind: 'aggregate', aggregate: 'tseries', signed, tseries: series };
    },
  ),
  aggregate('lhist', '@m = lhist(n, min, max, step)', 'histogram with buckets of equal width', [4, 4], (sema, call) => {
    const signed = signedness(sema, call);
    const min = literal(sema, call, 1, 'min');
    const max = literal(sema, call, 2, 'max');
    const step = literal(sema, call, 3, 'step');
    let bounds = { min, max, step };
    const complain = (text: string): void => {
      sema.error('lhist-bounds', `lhist() ${text}`, call.span, '@m = lhist(n, min, max, step)');
      bounds = { min: 0n, max: 1n, step: 1n };
    };
    if (step <= 0n) complain(`step must be >= 1 (${step} provided)`);
    else if (min > max) complain(`min must be less than max (provided min ${min} and max ${max})`);
    else if (max - min < step)
      complain(`step must not be larger than max - min (step ${step}, max - min ${max - min})`);
    else if (lhistBuckets(min, max, step) - 2 > maxLinearBuckets) {
      complain(`too many buckets, must be <= ${maxLinearBuckets} (would need ${lhistBuckets(min, max, step) - 2})`);
    }
    return { kind: 'aggregate', aggregate: 'lhist', signed, lhist: bounds };
  }),
];
