/**
 * Finding a byte pattern in bytes: where one of its bytes is rare in them, by the
 * engine's own search for that byte, else by Horspool's variant of Boyer-Moore
 * ("Practical fast searching in strings", 1980), which looks at about one byte in `pattern.length`.
 */

/** How many bytes are looked at to tell which are rare, and how often one may be among them. */
const sampleSize = 1 << 14;
const mostRare = sampleSize >> 8;

/** A pattern made ready to be searched for many times. */
export class Pattern {
  readonly bytes: Uint8Array;
  /** How far the window may move when its last byte is the index. */
  readonly #shift: Uint32Array;
  /** Place of the rarest byte in the pattern; -1 when none is rare, undefined until that is known. */
  #rare: number | undefined;

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
    if (stop - from >= 4 * sampleSize) {
      this.#rare ??= rarest(pattern, bytes.subarray(from, from + sampleSize));
      if (this.#rare >= 0) return this.#indexByByte(this.#rare, bytes, from, stop);
    }
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

  #indexByByte(place: number, bytes: Uint8Array, from: number, stop: number): number {
    const pattern = this.bytes;
    const byte = pattern[place] as number;
    const { length } = pattern;
    for (let found = bytes.indexOf(byte, from + place); found >= 0; found = bytes.indexOf(byte, found + 1)) {
      const start = found - place;
      if (start + length > stop) return -1;
      let at = 0;
      while (at < length && bytes[start + at] === pattern[at]) at++;
      if (at === length) return start;
    }
    return -1;
  }
}

function rarest(pattern: Uint8Array, sample: Uint8Array): number {
  const counts = new Uint32Array(256);
  for (let at = 0; at < sample.length; at++)
    counts[sample[at] as number] = (counts[sample[at] as number] as number) + 1;
  let best = -1;
  let least = mostRare;
  for (let at = 0; at < pattern.length; at++) {
    const count = counts[pattern[at] as number] as number;
    if (count < least) {
      least = count;
      best = at;
    }
  }
  return best;
}

/** The UTF-8 bytes of a text, as a pattern. */
export function textPattern(text: string): Pattern {
  return new Pattern(new TextEncoder().encode(text));
}
