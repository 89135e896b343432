/**
 * Events as JSON, one object a line, in the shapes of `bpftrace -f json` 0.26. Numbers
 * are written digit for digit, also beyond 2^53: what reads them decides how exact it is.
 */
import { unreachable } from '../base/errors.ts';
import type { ScriptSpan, TraceEvent } from '../values/event.ts';
import { rows } from '../values/histogram.ts';
import type { MapValue } from '../values/map.ts';
import type { HistogramValue, Integer, Value } from '../values/value.ts';
import { objectJson } from './object.ts';
import type { Renderer, RendererOptions } from './renderer.ts';
import { droppedText, isOwn, runtimeErrorText } from './report.ts';
import { momentText } from './series.ts';
import type { Wording } from './words.ts';
import { keyText, valueText } from './words.ts';

const quote = (text: string): string => JSON.stringify(text);

/** An object from keys and values that are JSON already. */
function object(fields: readonly (readonly [name: string, json: string])[]): string {
  return `{${fields.map(([name, json]) => `${quote(name)}: ${json}`).join(', ')}}`;
}

const below = (bound: Integer): string => String(BigInt(bound) - 1n);

/** One object a row; bounds are inclusive, an open side has none. */
function histogramJson(histogram: HistogramValue): string {
  const buckets = rows(histogram).map(({ low, high, count }) => {
    const fields: [string, string][] = [];
    if (low !== undefined) fields.push(['min', String(low)]);
    if (high !== undefined) fields.push(['max', below(high)]);
    fields.push(['count', String(count)]);
    return object(fields);
  });
  return `[${buckets.join(',')}]`;
}

const signedByte = (byte: number): string => String((byte << 24) >> 24);

/** A value as JSON: numbers, booleans, arrays and records as such, everything with a name as a string. */
export function valueJson(value: Value, wording: Wording): string {
  switch (value.kind) {
    case 'int':
    case 'enum':
    case 'pointer':
    case 'bool':
      return String(value.value);
    case 'float':
      return Number.isFinite(value.value) ? String(value.value) : quote(String(value.value));
    case 'buffer':
      return `[${Array.from(value.bytes, signedByte).join(',')}]`;
    case 'array': {
      const parts = value.elements.map((element) => valueJson(element, wording));
      if ((value.more ?? 0) > 0) parts.push(quote(`…${value.more} more`));
      return `[${parts.join(',')}]`;
    }
    case 'tuple':
      return `[${value.elements.map((element) => valueJson(element, wording)).join(',')}]`;
    case 'nothing':
      return 'null';
    case 'case':
      return value.value === undefined ? quote(value.name) : object([[value.name, valueJson(value.value, wording)]]);
    case 'record':
      return object(value.fields.map((field) => [field.name, valueJson(field.value, wording)]));
    case 'avg':
      return String(value.average);
    case 'stats':
      return `{"count": ${value.count}, "average": ${value.average}, "total": ${value.total}}`;
    case 'hist':
    case 'lhist':
      return histogramJson(value);
    case 'tseries': {
      const points = value.points.map(
        ({ start, value: at }) => `{"interval_start":${quote(momentText(start, wording))},"value":${at}}`,
      );
      return `[${points.join(',')}]`;
    }
    default:
      return quote(valueText(value, wording));
  }
}

/** A map's object: its value, or one member a key. */
function mapJson(map: MapValue, wording: Wording): string {
  if (map.keyed) {
    return object(
      map.entries.map((entry) => [keyText(entry.key, wording, 'compact'), valueJson(entry.value, wording)]),
    );
  }
  return map.entries.map((entry) => valueJson(entry.value, wording)).join('');
}

function silent(map: MapValue): boolean {
  return map.keyed ? map.entries.length === 0 : (map.kind === 'hist' || map.kind === 'tseries') && !map.set;
}

export function jsonRenderer(options: RendererOptions): Renderer {
  const { write, wording, source } = options;
  const line = (type: string, data: string): void => write(`{"type": "${type}", "data": ${data}}\n`);
  const counted = (type: string, count: number, noun: string): void =>
    write(`{"type": "${type}", "count": ${count}, "data": {"${noun}": ${count}}}\n`);
  const place = (span: ScriptSpan): readonly (readonly [string, string])[] => {
    const { name, line: row, column } = source.position(span[0]);
    return [
      ['filename', quote(name)],
      ['line', String(row)],
      ['col', String(column)],
    ];
  };
  return (event: TraceEvent) => {
    switch (event.type) {
      case 'printf':
      case 'time':
      case 'join':
        return line(event.type, quote(event.text));
      case 'system_output':
        return line('syscall', quote(event.text));
      case 'cat_output':
        return line('cat', quote(event.text));
      case 'value':
        return line('value', valueJson(event.value, wording));
      case 'map':
        if (silent(event.map)) return;
        return line(event.map.kind, object([[`@${event.map.name}`, mapJson(event.map, wording)]]));
      case 'errorf':
      case 'warnf':
        return write(`${object([['type', quote(event.type)], ['msg', quote(event.text)], ...place(event.span)])}\n`);
      case 'runtime_error': {
        const helper: [string, string][] = [
          ['helper', quote(event.what)],
          ['retcode', String(event.code)],
        ];
        const division = isOwn(event);
        return write(
          `${object([
            ['type', quote(division ? 'runtime_error' : 'helper_error')],
            ['msg', quote(runtimeErrorText(event, source))],
            ...(division ? [] : helper),
            ...place(event.span),
          ])}\n`,
        );
      }
      case 'attached_probes':
        return counted(event.type, event.count, 'probes');
      case 'dropped':
        return write(
          `${object([
            ['type', quote('dropped')],
            ['msg', quote(droppedText(event))],
            ['data', object([[event.what, String(event.count)]])],
          ])}\n`,
        );
      case 'lost_events':
        return counted(event.type, event.count, 'events');
      case 'test_result': {
        const { name, durationNs, passed, output = '' } = event;
        const result = object([
          ['duration', String(durationNs)],
          ['passed', String(passed)],
          ['output', quote(output)],
        ]);
        return line(event.type, object([[name, result]]));
      }
      case 'benchmark_result': {
        const { name, average, iterations } = event;
        const result = object([
          ['average', String(average)],
          ['iters', String(iterations)],
        ]);
        return line(event.type, object([[name, result]]));
      }
      case 'object': {
        if (event.object !== undefined) return line(event.type, objectJson(event.object));
        const reason = event.reason ?? 'it could not be read';
        return line(
          event.type,
          object([
            ['address', String(event.address)],
            ['problem', quote(reason)],
          ]),
        );
      }
      case 'tests':
      case 'test_started':
      case 'tests_ended':
      case 'benchmarks':
      case 'end':
      case 'system':
      case 'cat':
      case 'print_map':
      case 'clear':
      case 'zero':
      case 'unwatch':
      case 'explore':
      case 'exit':
        return;
      default:
        return unreachable(event, 'event');
    }
  };
}
