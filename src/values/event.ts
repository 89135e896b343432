/**
 * What a trace says, as typed events: the library's users get these, and the renderers
 * write them. Records from the kernel become events through `eventDecoder`, one
 * closure per EventSpec, made before the first record arrives; the other events
 * (maps, lost records, output of commands) come from the session.
 */
import { unreachable } from '../base/errors.ts';
import type { EventArgument, EventSpec, FormatPiece } from '../program/program.ts';
import type { ExploredObject } from '../symbolize/objects/explore.ts';
import { decode, readText, recordPid } from './decode.ts';
import type { MapValue } from './map.ts';
import { type StackPlace, stackPlaces } from './unfinished.ts';
import type { Value } from './value.ts';

/** Offsets into the script's text. */
export type ScriptSpan = readonly [start: number, end: number];

export interface TextEvent {
  readonly type: 'printf';
  readonly text: string;
}
/** errorf() and warnf(). */
export interface ReportEvent {
  readonly type: 'errorf' | 'warnf';
  readonly text: string;
  readonly span: ScriptSpan;
}
/** system() and cat(): to be done by the session, which answers with OutputEvents. */
export interface RequestEvent {
  readonly type: 'system' | 'cat';
  /** The command line or the file's path. */
  readonly text: string;
}
export interface OutputEvent {
  readonly type: 'system_output' | 'cat_output';
  readonly text: string;
}
/** print() of anything but a whole map. */
export interface ValueEvent {
  readonly type: 'value';
  readonly value: Value;
}
/** print(@m, top, div): the session reads the map and answers with a MapEvent. */
export interface PrintMapEvent {
  readonly type: 'print_map';
  /** Index into Program.maps. */
  readonly map: number;
  /** 0: all. */
  readonly top: number;
  /** 0: not divided. */
  readonly div: number;
}
/** object(): the session looks into the process and answers with an ObjectEvent. */
export interface ExploreEvent {
  readonly type: 'explore';
  readonly pid: number;
  readonly address: number;
  readonly depth: number;
  /** The object's bytes as they were then, by their offset from the address. */
  readonly seen: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
}
/** An object of a process. */
export interface ObjectEvent {
  readonly type: 'object';
  readonly address: number;
  /** undefined where there is none, for the `reason`. */
  readonly object: ExploredObject | undefined;
  readonly reason?: string;
}
/** A map's contents; selectEntries has been applied. */
export interface MapEvent {
  readonly type: 'map';
  readonly map: MapValue;
}
export interface ChangeMapEvent {
  readonly type: 'clear' | 'zero';
  readonly map: number;
}
/** time(): `text` is the wall-clock time when the record was read. */
export interface TimeEvent {
  readonly type: 'time';
  readonly text: string;
}
export interface JoinEvent {
  readonly type: 'join';
  readonly text: string;
}
/** unwatch(): the session removes the watchpoints of that address. */
export interface UnwatchEvent {
  readonly type: 'unwatch';
  readonly address: bigint;
}
export interface ExitEvent {
  readonly type: 'exit';
  readonly code: number;
}
export interface RuntimeErrorEvent {
  readonly type: 'runtime_error';
  /** The helper that failed, e.g. `map_update_elem`; `divide` for a division by zero, `index` for an index outside of its array. */
  readonly what: string;
  /** As the helper returned it: a negative errno. */
  readonly code: number;
  readonly span: ScriptSpan;
}
export interface AttachedEvent {
  readonly type: 'attached_probes';
  readonly count: number;
}
/** Records that found no room in the ring buffer since the last such event. */
export interface LostEvent {
  readonly type: 'lost_events';
  readonly count: number;
}
/** What a run could not read, keep or finish; told once, at its end. */
export interface DroppedEvent {
  readonly type: 'dropped';
  /** reads: of memory that was not there; map: updates of a full map; runs: of probes that found no scratch memory; missed: runs that the kernel left out, as a program ran already on that CPU; loops: cut at the kernel's limit; returns: of calls whose arguments were not kept; files: that cat() could not read; processes: that --follow had no room for; stacks: of user space that end early; guesses: stacks for which frame pointers were followed; stack_map: stacks that found no room; packets: that found no room on their way to a file; mappings: the kernel's records of what processes start, map and exec, so that later names may be missing. */
  readonly what:
    | 'reads'
    | 'map'
    | 'runs'
    | 'missed'
    | 'loops'
    | 'returns'
    | 'file'
    | 'processes'
    | 'stacks'
    | 'guesses'
    | 'stack_map'
    | 'packets'
    | 'mappings';
  /** The map (without `@`) or the file. */
  readonly name?: string;
  readonly count: number;
  /** Why, where it is known: the text of an error; of stacks the reasons with their numbers, of missed runs the probes with theirs. */
  readonly reason?: string;
}
/** The script's tests or benchmarks are about to run. */
export interface TrialsEvent {
  readonly type: 'tests' | 'benchmarks';
  readonly count: number;
}
/** What follows until its result is the test's own output. */
export interface TestStartedEvent {
  readonly type: 'test_started';
  readonly name: string;
}
export interface TestResultEvent {
  readonly type: 'test_result';
  readonly name: string;
  readonly passed: boolean;
  readonly durationNs: number;
  /** What it wrote, where somebody has gathered it. */
  readonly output?: string;
}
export interface TestsEndedEvent {
  readonly type: 'tests_ended';
  readonly passed: number;
  readonly failed: readonly string[];
}
export interface BenchmarkResultEvent {
  readonly type: 'benchmark_result';
  readonly name: string;
  /** Nanoseconds of a run, in the mean. */
  readonly average: number;
  readonly iterations: number;
}
/** The trace has ended; maps may follow. */
export interface EndEvent {
  readonly type: 'end';
}

export type TraceEvent =
  | TextEvent
  | ReportEvent
  | RequestEvent
  | OutputEvent
  | ValueEvent
  | PrintMapEvent
  | MapEvent
  | ChangeMapEvent
  | ExploreEvent
  | ObjectEvent
  | TimeEvent
  | JoinEvent
  | UnwatchEvent
  | ExitEvent
  | RuntimeErrorEvent
  | AttachedEvent
  | LostEvent
  | DroppedEvent
  | TrialsEvent
  | TestStartedEvent
  | TestResultEvent
  | TestsEndedEvent
  | BenchmarkResultEvent
  | EndEvent;

/** How records become text; render/printf.ts and render/strftime.ts give it. */
export interface Formatting {
  /** Text of a printf format with arguments read at the record's offset. */
  printf(format: readonly FormatPiece[], args: readonly EventArgument[]): (record: DataView, offset: number) => string;
  /** The wall-clock time now, through strftime(3). */
  now(format: string): string;
}

/** Reads the record that starts at `offset`. */
export type EventDecoder = (record: DataView, offset: number) => TraceEvent;

/** The decoder of one kind of record; make it once, before events arrive. */
export function eventDecoder(spec: EventSpec, formatting: Formatting): EventDecoder {
  switch (spec.kind) {
    case 'printf': {
      const text = formatting.printf(spec.format, spec.args);
      return (record, offset) => ({ type: 'printf', text: text(record, offset) });
    }
    case 'errorf':
    case 'warnf': {
      const type = spec.kind;
      const text = formatting.printf(spec.format, spec.args);
      return (record, offset) => ({ type, text: text(record, offset), span: spec.span });
    }
    case 'system':
    case 'cat': {
      const type = spec.kind;
      const text = formatting.printf(spec.format, spec.args);
      return (record, offset) => ({ type, text: text(record, offset) });
    }
    case 'print_value':
      return (record, offset) => ({
        type: 'value',
        value: decode(spec.value.schema, record, offset + spec.value.offset, recordPid(record, offset)),
      });
    case 'print_map': {
      const event: PrintMapEvent = { type: 'print_map', map: spec.map, top: spec.top, div: spec.div };
      return () => event;
    }
    case 'clear':
    case 'zero': {
      const event: ChangeMapEvent = { type: spec.kind, map: spec.map };
      return () => event;
    }
    case 'time':
      return () => ({ type: 'time', text: formatting.now(spec.format) });
    case 'join':
      return (record, offset) => ({ type: 'join', text: joinArguments(spec, record, offset) });
    case 'unwatch':
      return (record, offset) => ({ type: 'unwatch', address: record.getBigUint64(offset + spec.offset, true) });
    case 'object':
      return (record, offset) => exploreRequest(spec, record, offset);
    case 'exit':
      return (record, offset) => ({ type: 'exit', code: record.getInt32(offset + spec.offset, true) });
    case 'runtime_error':
      return (record, offset) => {
        const code = record.getInt32(offset + spec.offset, true);
        return { type: 'runtime_error', what: spec.what, code, span: spec.span };
      };
    default:
      return unreachable(spec, 'event kind');
  }
}

/** Where the records of an event have stacks of the own unwinder. */
export function eventStacks(spec: EventSpec): StackPlace[] {
  const args = 'args' in spec ? spec.args : 'value' in spec ? [spec.value] : [];
  return args.flatMap(({ offset, schema }) => stackPlaces(schema, offset));
}

function exploreRequest(spec: Extract<EventSpec, { kind: 'object' }>, record: DataView, offset: number): ExploreEvent {
  const seen: { offset: number; bytes: Uint8Array }[] = [];
  for (let part = 0; part < spec.parts; part++) {
    if (record.getBigInt64(offset + spec.status + 8 * part, true) < 0n) continue;
    const start = record.byteOffset + offset + spec.seen + part * spec.partBytes;
    // Copied: the record is given back to the kernel.
    seen.push({ offset: part * spec.partBytes, bytes: new Uint8Array(record.buffer, start, spec.partBytes).slice() });
  }
  const address = Number(record.getBigUint64(offset + spec.address, true));
  return { type: 'explore', pid: recordPid(record, offset), address, depth: spec.depth, seen };
}

/** The strings of an argv: `count` slots of `argSize` bytes, the first empty one ends the list. */
function joinArguments(spec: Extract<EventSpec, { kind: 'join' }>, record: DataView, offset: number): string {
  const parts: string[] = [];
  for (let i = 0; i < spec.count; i++) {
    const part = readText(record, offset + spec.offset + i * spec.argSize, spec.argSize);
    if (part === '') break;
    parts.push(part);
  }
  return parts.join(spec.delimiter);
}
