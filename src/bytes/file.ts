/**
 * A file as the pure parts see it: a size, and reads at a place. kernel/host/file.ts
 * makes one of a file descriptor, tests make one of bytes.
 */
export interface FileReader {
  /** Bytes in the file. */
  readonly size: number;
  /**
   * Up to `length` bytes from `offset`: fewer where the file ends (or can't be read
   * further), none past the end. The caller must not write to them.
   */
  read(offset: number, length: number): Uint8Array;
  /** As `read`, into bytes of the caller's; returns how many there were. For going through much with one buffer. */
  readInto(target: Uint8Array, offset: number): number;
  /** Where several bytes first occur in others at or behind `from`, -1 for nowhere; where the machine has a search of its own. */
  indexOf?(bytes: Uint8Array, wanted: Uint8Array, from: number): number;
  /** Why the last read gave less than the file's size promises, when it was not the file's end. */
  readonly failure?: Error | undefined;
  /** Gives back what the reader holds; no read may follow. */
  close?(): void;
}

/** A reader over bytes that are in memory already. */
export function bytesReader(bytes: Uint8Array): FileReader {
  const read = (offset: number, length: number): Uint8Array => {
    if (!(offset >= 0 && length > 0)) return bytes.subarray(0, 0);
    return bytes.subarray(Math.min(offset, bytes.byteLength), Math.min(offset + length, bytes.byteLength));
  };
  return {
    size: bytes.byteLength,
    read,
    readInto(target: Uint8Array, offset: number): number {
      const found = read(offset, target.length);
      target.set(found);
      return found.length;
    },
  };
}
