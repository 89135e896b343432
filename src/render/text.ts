/** Events as bpftrace 0.26 writes them to a terminal: results to stdout, complaints to stderr. */
import { unreachable } from '../base/errors.ts';
import type { TraceEvent } from '../values/event.ts';
import type { MapValue } from '../values/map.ts';
import type { Value } from '../values/value.ts';
import { drawHistogram } from './bars.ts';
import { objectText } from './object.ts';
import type { Renderer, RendererOptions } from './renderer.ts';
import { droppedText, frameText, isOwn, placeText, runtimeErrorText } from './report.ts';
import { drawSeries } from './series.ts';
import type { Wording } from './words.ts';
import { hexText, keyText, valueText } from './words.ts';

/** All entries of a map, one a line, or one histogram after the other with an empty line after each. */
export function mapText(map: MapValue, wording: Wording): string {
  let text = '';
  for (const entry of map.entries) {
    const name = map.keyed ? `@${map.name}[${keyText(entry.key, wording, 'plain')}]` : `@${map.name}`;
    text += entryText(name, entry.value, map, wording);
  }
  return text;
}

function entryText(name: string, value: Value, map: MapValue, wording: Wording): string {
  if (value.kind === 'tseries') return map.keyed || map.set ? `${name}:\n${drawSeries(value, wording)}\n` : '';
  if (value.kind !== 'hist' && value.kind !== 'lhist') return `${name}: ${valueText(value, wording)}\n`;
  if (!map.keyed && !map.set) return '';
  return `${name}:\n${drawHistogram(value)}\n`;
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

const endOfLine = (text: string): string => (text.endsWith('\n') ? text : `${text}\n`);

const row = (name: string, time: string, iterations: string): string =>
  `${name.padEnd(40)} ${time.padEnd(16)} ${iterations}\n`;

const durationText = (nanoseconds: number): string =>
  nanoseconds < 1000 ? `${nanoseconds} ns` : `${Math.round(nanoseconds / 1000)} μs`;

export function textRenderer(options: RendererOptions): Renderer {
  const { write, error, wording, source } = options;
  return (event: TraceEvent) => {
    switch (event.type) {
      case 'printf':
      case 'time':
      case 'system_output':
      case 'cat_output':
        return write(event.text);
      case 'value':
        return write(`${valueText(event.value, wording)}\n`);
      case 'map':
        return write(mapText(event.map, wording));
      case 'join':
        return write(`${event.text}\n`);
      case 'errorf':
      case 'warnf': {
        const severity = event.type === 'errorf' ? 'ERROR' : 'WARNING';
        return error(`${placeText(source, event.span)}: ${severity}: ${endOfLine(event.text)}`);
      }
      case 'runtime_error': {
        const detail = isOwn(event) ? '' : `Additional Info - helper: ${event.what}, retcode: ${event.code}\n`;
        const what = runtimeErrorText(event, source);
        return error(`${placeText(source, event.span)}: WARNING: ${what}\n${detail}${frameText(source, event.span)}`);
      }
      case 'attached_probes':
        return error(`Attached ${plural(event.count, 'probe')}\n`);
      case 'dropped':
        return error(`${droppedText(event)}\n`);
      case 'lost_events':
        return error(`Lost ${plural(event.count, 'event')}\n`);
      case 'tests':
        return write(`[==========] Running ${event.count} tests.\n`);
      case 'test_started':
        return write(`[ RUN      ] ${event.name}\n`);
      case 'test_result': {
        const verdict = event.passed ? '[       OK ]' : '[  FAILED  ]';
        return write(`${event.output ?? ''}${verdict} ${event.name} (${durationText(event.durationNs)})\n`);
      }
      case 'tests_ended': {
        const { passed, failed } = event;
        write(`[==========] ${plural(passed + failed.length, 'test')} ran.\n[  PASSED  ] ${plural(passed, 'test')}.\n`);
        if (failed.length === 0) return;
        write(`[  FAILED  ] ${plural(failed.length, 'test')}, listed below:\n`);
        return write(failed.map((name) => `[  FAILED  ] ${name}\n`).join(''));
      }
      case 'benchmarks':
        return write(`${row('Benchmark', 'Time(ns)', 'Iterations')}${'-'.repeat(66)}\n`);
      case 'benchmark_result':
        return write(row(event.name, String(event.average), String(event.iterations)));
      case 'object':
        if (event.object !== undefined) return write(objectText(event.object));
        return write(`no object at ${hexText(event.address)}: ${event.reason ?? 'it could not be read'}\n`);
      case 'end':
        return write('\n\n');
      // Requests to the session: their results come as events of their own.
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
