/** Records of calls as plain values (program/calls.ts, frameAt). */
import type { Call, CallEnd, Text } from '../answers/calls/tree.ts';
import { FrameFlag, frameAt, Leaving, textSlot } from '../program/calls.ts';

/** `shown`: it has a record, or will have. */
export interface CallRecord extends Call {
  readonly shown: boolean;
}

const ends: Readonly<Record<number, CallEnd>> = {
  [Leaving.returned]: 'returned',
  [Leaving.jumped]: 'jumped',
  [Leaving.gone]: 'gone',
};

/** A frame with so many texts (program/calls.ts, frameBytes). */
export function readFrame(view: DataView, offset: number, texts: number): CallRecord {
  const u32 = (at: number): number => view.getUint32(offset + at, true);
  const u64 = (at: number): bigint => view.getBigUint64(offset + at, true);
  const flags = u32(frameAt.flags);
  const name = new Uint8Array(view.buffer, view.byteOffset + offset + frameAt.comm, 16);
  const end = name.indexOf(0);
  return {
    fn: u32(frameAt.fn),
    pid: u32(frameAt.pid),
    tid: u32(frameAt.tid),
    comm: Buffer.from(end < 0 ? name : name.subarray(0, end)).toString('latin1'),
    depth: u32(frameAt.depth),
    entered: Number(u64(frameAt.entered)),
    left: Number(u64(frameAt.left)),
    below: Number(u64(frameAt.below)),
    hidden: u32(frameAt.hidden),
    recursive: (flags & FrameFlag.recursive) !== 0,
    jumpedTo: (flags & FrameFlag.jumpedTo) !== 0,
    shown: (flags & FrameFlag.shown) !== 0,
    how: ends[u32(frameAt.how)] ?? 'gone',
    results: [u64(frameAt.result), u64(frameAt.result2)],
    words: Array.from({ length: 8 }, (_, index) => u64(frameAt.words + 8 * index)),
    texts: Array.from({ length: Math.max(0, texts - 1) }, (_, index) =>
      readText(view, offset + frameAt.texts + textSlot * (index + 1)),
    ),
    resultText: texts > 0 ? readText(view, offset + frameAt.texts) : undefined,
  };
}

function readText(view: DataView, offset: number): Text {
  const kept = view.getInt32(offset, true);
  const whole = view.getUint32(offset + 4, true);
  if (kept < 0) return { bytes: undefined, cut: false };
  const bytes = new Uint8Array(view.buffer, view.byteOffset + offset + 8, kept).slice();
  if (whole > 0) return { bytes, cut: whole > kept };
  // A C string comes with its NUL; one that fills the room may go on.
  const zero = bytes.indexOf(0);
  return { bytes: zero < 0 ? bytes : bytes.subarray(0, zero), cut: kept === textSlot - 8 };
}
