/** Bytes from the kernel, by program/schema.ts → values, maps and events. */
export { decode, readString, viewOf } from './decode.ts';
export type * from './event.ts';
export { eventDecoder, eventStacks } from './event.ts';
export type { Bucket } from './histogram.ts';
export { histogramIndex, lhistIndex, rows } from './histogram.ts';
export type { MapEntry, MapValue, RawEntry } from './map.ts';
export { decodeKey, holdsSomething, readMap, selectEntries } from './map.ts';
export type { FinishedStack, FinishStack, StackPlace } from './unfinished.ts';
export { anyUnfinished, finishStacks } from './unfinished.ts';
export type * from './value.ts';
