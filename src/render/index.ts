/** Typed events → text or JSON, all of it from the one value model in values/. */
import type { Formatting } from '../values/event.ts';
import { jsonRenderer } from './json.ts';
import { compileFormat } from './printf.ts';
import type { Renderer, RendererOptions } from './renderer.ts';
import { strftime } from './strftime.ts';
import { textRenderer } from './text.ts';
import type { Wording } from './words.ts';

export { errorText } from './messages.ts';
export { pcapHeader, pcapRecord } from './pcap.ts';
export type { Renderer, RendererOptions } from './renderer.ts';
export type { Wording } from './words.ts';
export { endText, type NamedFrame, namedFrames, valueText } from './words.ts';

/** Names of the output formats, for `-f`. */
export type OutputFormat = 'text' | 'json';

export function createRenderer(format: OutputFormat, options: RendererOptions): Renderer {
  return format === 'json' ? jsonRenderer(options) : textRenderer(options);
}

/** What values/event.ts needs to turn records into text. */
export function formattingOf(wording: Wording): Formatting {
  const { names } = wording;
  return {
    printf: (format, args) => compileFormat(format, args, wording),
    now: (format) => strftime(format, names.now(), (seconds) => names.timeZone(seconds)),
  };
}
