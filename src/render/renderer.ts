/** What a renderer is: typed events in, text out. */
import type { Source } from '../diag/source.ts';
import type { TraceEvent } from '../values/event.ts';
import type { Wording } from './words.ts';

export interface RendererOptions {
  /** Results; stdout. Called once an event, so the sink may want to gather. */
  readonly write: (text: string) => void;
  /** Complaints that are no part of the results; stderr. Not used for JSON. */
  readonly error: (text: string) => void;
  readonly wording: Wording;
  /** The script, for the places of errorf(), warnf() and run-time errors. */
  readonly source: Source;
}

/** Writes one event. Events that ask something of the session write nothing. */
export type Renderer = (event: TraceEvent) => void;
