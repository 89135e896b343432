/**
 * Finding a byte pattern in bytes: Horspool's variant of Boyer-Moore ("Practical fast
 * searching in strings", 1980), which looks at about one byte in `pattern.length`.
 */

/** A pattern made ready to be searched for many times. */
export class Pattern {
  readonly bytes: Uint8Array;
  /** How far the window may move when its last byte is the index. */
  readonly #shift: Uint32Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#shift = new Uint32Array(256).fill(bytes.length);
    for (let at = 0; at < bytes.length - 1; at++) this.#shift[bytes[at] as number] = bytes.length - 1 - at;
  }

  /** Where the pattern first occurs at or behind `from` and wholly before `end`; -1 when nowhere. */
  indexIn(bytes: Uint8Array, from: number = 0, end: number = bytes.length): number {
    const pattern = this.bytes;
    const shift = this.#shift;
    const last = pattern.length - 1;
    if (last < 0) return from <= end ? from : -1;
    const lastByte = pattern[last] as number;
    const stop = Math.min(end, bytes.length);
    for (let tail = Math.max(0, from) + last; tail < stop; ) {
      const byte = bytes[tail] as number;
      if (byte === lastByte) {
        const start = tail - last;
        let at = 0;
        while (at < last && bytes[start + at] === pattern[at]) at++;
        if (at === last) return start;
      }
      tail += shift[byte] as number;
    }
    return -1;
  }
}

/** The UTF-8 bytes of a text, as a pattern. */
export function textPattern(text: string): Pattern {
  return new Pattern(new TextEncoder().encode(text));
}
