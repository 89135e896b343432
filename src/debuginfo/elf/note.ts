/** Notes (gABI chapter 5, "Note Section") and the build-id among them (GNU: name "GNU", type NT_GNU_BUILD_ID). */
import { Cursor, EndOfBytes } from '../../bytes/cursor.ts';
import { NT_GNU_BUILD_ID } from './constants.ts';

export interface Note {
  readonly name: string;
  readonly type: number;
  readonly description: Uint8Array;
}

/**
 * The notes in a segment's or section's bytes, up to the first that does not fit in.
 * `alignment` is the segment's p_align: 8 pads to 8 bytes, everything else to 4.
 */
export function* readNotes(bytes: Uint8Array, littleEndian: boolean, alignment: number): Generator<Note> {
  const padding = alignment === 8 ? 8 : 4;
  const cursor = new Cursor(bytes, littleEndian);
  try {
    while (cursor.remaining >= 12) {
      const nameSize = cursor.u32();
      const descriptionSize = cursor.u32();
      const type = cursor.u32();
      const name = cursor.take(nameSize);
      cursor.align(padding);
      const description = cursor.take(descriptionSize);
      cursor.align(padding);
      const end = name.indexOf(0);
      yield {
        name: String.fromCharCode(...name.subarray(0, Math.min(64, end < 0 ? nameSize : end))),
        type,
        description,
      };
    }
  } catch (error) {
    if (!(error instanceof EndOfBytes)) throw error;
  }
}

/** The build-id in a segment's or section's bytes, as hex digits; undefined when there is none. */
export function findBuildId(bytes: Uint8Array, littleEndian: boolean, alignment: number): string | undefined {
  for (const note of readNotes(bytes, littleEndian, alignment)) {
    const size = note.description.length;
    if (note.name === 'GNU' && note.type === NT_GNU_BUILD_ID && size > 0 && size <= 64) return toHex(note.description);
  }
  return undefined;
}

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}
