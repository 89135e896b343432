/** What goes wrong while a trace runs, in words and at its place in the script. */
import type { Source } from '../diag/source.ts';
import type { DroppedEvent, RuntimeErrorEvent, ScriptSpan } from '../values/event.ts';
import { errorText } from './messages.ts';

/** `name:line:column-end` (1-based, end exclusive), or `name:line-line` for a span over several lines. */
export function placeText(source: Source, span: ScriptSpan): string {
  const start = source.position(span[0]);
  const end = source.position(span[1]);
  if (start.line !== end.line) return `${start.name}:${start.line}-${end.line}`;
  return `${start.name}:${start.line}:${start.column}-${end.column}`;
}

/** The script's line with the span underlined; the first line of a longer span. */
export function frameText(source: Source, span: ScriptSpan): string {
  const start = source.position(span[0]);
  const end = source.position(span[1]);
  const line = source.lineAt(span[0]);
  const stop = start.line === end.line ? end.column : line.length + 1;
  const indent = line.slice(0, start.column - 1).replace(/[^\t]/g, ' ');
  return `${line}\n${indent}${'~'.repeat(Math.max(1, stop - start.column))}\n`;
}

const divisionByZero =
  'Divide or modulo by 0 detected. This can lead to unexpected results. 1 is being used as the result.';

const outOfBounds = 'Array access out of bounds. This can lead to unexpected results.';

const argumentListTooLong = -7;
const noSuchEntry = -2;

/** True for what no helper has carried out: divisions and looks into arrays. */
export function isOwn(event: RuntimeErrorEvent): boolean {
  return event.what === 'divide' || event.what === 'index';
}

/** The name of the map in the script text of a span, `@` when there is none. */
function mapName(source: Source, span: ScriptSpan): string {
  return /@\w*/.exec(source.text.slice(span[0], span[1]))?.[0] ?? '@';
}

/** What happened, in plain words. */
export function runtimeErrorText(event: RuntimeErrorEvent, source: Source): string {
  if (event.what === 'divide') return divisionByZero;
  if (event.what === 'index') return outOfBounds;
  if (event.what === 'map_update_elem' && event.code === argumentListTooLong) {
    const declaration = `let ${mapName(source, event.span)} = hash(5000)`;
    return `Map full; can't update element. Try increasing max_map_keys config or manually setting the max entries in a map declaration e.g. \`${declaration}\``;
  }
  if (event.what === 'map_delete_elem' && event.code === noSuchEntry) {
    return "Can't delete map element because it does not exist.";
  }
  return errorText(Math.abs(event.code));
}

/** What was dropped, and what to do about it, on one line. */
export function droppedText(event: DroppedEvent): string {
  const { count } = event;
  const many = (one: string, more: string): string => (count === 1 ? `1 ${one}` : `${count} ${more}`);
  switch (event.what) {
    case 'reads':
      return `WARNING: ${many('read', 'reads')} of traced memory failed (page not present, or a bad address): the values are 0 or empty`;
    case 'map':
      return `WARNING: map @${event.name} is full: ${many('update was', 'updates were')} dropped (config max_map_keys sets its size)`;
    case 'runs':
      return `WARNING: ${many('run of a probe was', 'runs of probes were')} skipped: it interrupted other probes that held all scratch memory of the CPU`;
    case 'missed':
      return `WARNING: ${many('run of a probe was', 'runs of probes were')} missed (${event.reason}): the kernel runs no program while one runs on that CPU; what happened then is not in the output`;
    case 'loops':
      return `WARNING: ${many('loop was', 'loops were')} ended at the kernel's limit of iterations`;
    case 'returns':
      return `WARNING: ${many('return of a function was', 'returns of functions were')} skipped: the arguments of the call had not been kept`;
    case 'processes':
      return `WARNING: ${many('process was', 'processes were')} not followed: too many live at once`;
    case 'stacks':
      return `WARNING: ${many('user stack ends', 'user stacks end')} early (${event.reason})`;
    case 'guesses':
      return `WARNING: ${many('user stack was', 'user stacks were')} taken by frame pointers in part: unwind rules were missing, or not read yet; callers may be missing`;
    case 'stack_map':
      return `WARNING: ${many('user stack', 'user stacks')} found no room to be kept: the frames are missing`;
    case 'packets':
      return `WARNING: ${many('packet', 'packets')} found no room on the way to the file (config perf_rb_pages makes more)`;
    case 'mappings':
      return `WARNING: ${many('record', 'records')} of processes that start and map files found no room (too many at once): user addresses of processes that have ended may have no names`;
    case 'file':
      return `ERROR: failed to open file '${event.name}' (${event.reason})`;
  }
}
