/**
 * Bytes handed to a reader so that reading past their end shows: they lie within other
 * bytes (the poison), and whatever a reader says of them must not depend on those.
 */
import type { FileReader } from '../../src/bytes/file.ts';

const margin = 64;

/** A copy of the bytes with `poison` before and behind them in the same buffer. */
export function within(bytes: Uint8Array, poison: number): Uint8Array {
  const buffer = new Uint8Array(bytes.length + 2 * margin);
  buffer.fill(poison, 0, margin);
  buffer.set(bytes, margin);
  buffer.fill(poison, margin + bytes.length);
  return buffer.subarray(margin, margin + bytes.length);
}

/** A file of these bytes; each piece that is read lies within poison. */
export function poisonedReader(bytes: Uint8Array, poison: number): FileReader {
  const piece = (offset: number, length: number): Uint8Array =>
    offset >= 0 && length > 0
      ? bytes.subarray(Math.min(offset, bytes.length), Math.min(offset + length, bytes.length))
      : bytes.subarray(0, 0);
  return {
    size: bytes.length,
    read: (offset, length) => within(piece(offset, length), poison),
    readInto(target, offset) {
      const found = piece(offset, target.length);
      target.set(found);
      // What was not read must not be looked at.
      target.fill(poison, found.length);
      return found.length;
    },
  };
}

/** What a reader gets: the bytes, and how to hand them on so that reads past their end show. */
export interface Input {
  readonly bytes: Uint8Array;
  readonly poison: number;
}

export const decoded = ({ bytes, poison }: Input): string => new TextDecoder().decode(within(bytes, poison));
