/**
 * LZMA2, as .xz files hold it: chunks of LZMA data or of plain bytes, over one dictionary.
 * LZMA: "LZMA specification" of the LZMA SDK (a binary range coder, adaptive bit models,
 * matches by distance with four remembered ones); LZMA2: the xz format's
 * documentation, and the chunk headers that the Linux sources (lib/xz) describe.
 */

/** The packed bytes contradict the format, or want more than the caller allows. */
export class BadPacking extends Error {
  readonly code = 'E_BAD_PACKING';
  constructor(what: string) {
    super(what);
    this.name = 'BadPacking';
  }
}

/** Bytes that grow as they are written, up to a limit. */
export class Unpacked {
  bytes: Uint8Array;
  length: number = 0;
  readonly limit: number;

  constructor(expected: number, limit: number) {
    this.limit = limit;
    this.bytes = new Uint8Array(Math.min(limit, Math.max(4096, expected)));
  }

  /** Makes room for `count` more bytes. Throws BadPacking beyond the limit. */
  reserve(count: number): void {
    const wanted = this.length + count;
    if (wanted <= this.bytes.length) return;
    if (wanted > this.limit) throw new BadPacking(`it unpacks to more than ${this.limit} bytes`);
    const bytes = new Uint8Array(Math.min(this.limit, Math.max(wanted, this.bytes.length * 2)));
    bytes.set(this.bytes.subarray(0, this.length));
    this.bytes = bytes;
  }

  /** Copies `count` bytes from `distance` before the end, one by one: the ranges may overlap. */
  repeat(distance: number, count: number): void {
    this.reserve(count);
    const { bytes } = this;
    for (let to = this.length, from = to - distance, end = to + count; to < end; ) {
      bytes[to++] = bytes[from++] as number;
    }
    this.length += count;
  }

  append(from: Uint8Array): void {
    this.reserve(from.length);
    this.bytes.set(from, this.length);
    this.length += from.length;
  }

  get contents(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

/** Unpacks LZMA2 chunks from `start`; returns where they ended. Throws BadPacking. */
export function unpackLzma2(input: Uint8Array, start: number, output: Unpacked): number {
  let at = start;
  /** Where the dictionary starts: no match may reach before it. */
  let dictionary = output.length;
  let decoder: LzmaDecoder | undefined;
  const byte = (): number => {
    const value = input[at++];
    if (value === undefined) throw new BadPacking('it ends in the middle');
    return value;
  };
  const short = (): number => (byte() << 8) | byte();
  for (;;) {
    const control = byte();
    if (control === 0) return at;
    if (control < 0x80) {
      if (control > 2) throw new BadPacking(`unknown kind of chunk (${control})`);
      const size = short() + 1;
      if (at + size > input.length) throw new BadPacking('it ends in the middle');
      if (control === 1) dictionary = output.length;
      output.append(input.subarray(at, at + size));
      at += size;
      continue;
    }
    const unpackedSize = ((control & 0x1f) << 16) + short() + 1;
    const packedSize = short() + 1;
    const reset = (control >> 5) & 3;
    if (reset === 3) dictionary = output.length;
    if (reset >= 2) decoder = new LzmaDecoder(byte());
    else if (decoder === undefined) throw new BadPacking('its first chunk has no properties');
    else if (reset === 1) decoder.reset();
    if (at + packedSize > input.length) throw new BadPacking('it ends in the middle');
    decoder.decode(input, at, at + packedSize, output, unpackedSize, dictionary);
    at += packedSize;
  }
}

const modelBits = 11;
const half = 1 << (modelBits - 1);
const moveBits = 5;
const top = 0x1000000;

/** Bit models of a length: a choice of three ranges, two of them by position. */
interface LengthModels {
  readonly choices: Uint16Array;
  readonly low: Uint16Array;
  readonly middle: Uint16Array;
  readonly high: Uint16Array;
}

const lengthModels = (): LengthModels => ({
  choices: new Uint16Array(2).fill(half),
  low: new Uint16Array(16 << 3).fill(half),
  middle: new Uint16Array(16 << 3).fill(half),
  high: new Uint16Array(256).fill(half),
});

class LzmaDecoder {
  readonly #literalContext: number;
  readonly #literalPosition: number;
  readonly #positionBits: number;
  #state = 0;
  #distances: [number, number, number, number] = [0, 0, 0, 0];
  #literals: Uint16Array = new Uint16Array(0);
  #isMatch: Uint16Array = new Uint16Array(0);
  #isRepeat: Uint16Array = new Uint16Array(0);
  #isRepeat0: Uint16Array = new Uint16Array(0);
  #isRepeat1: Uint16Array = new Uint16Array(0);
  #isRepeat2: Uint16Array = new Uint16Array(0);
  #isRepeat0Long: Uint16Array = new Uint16Array(0);
  #slots: Uint16Array = new Uint16Array(0);
  #special: Uint16Array = new Uint16Array(0);
  #align: Uint16Array = new Uint16Array(0);
  #matchLength: LengthModels = lengthModels();
  #repeatLength: LengthModels = lengthModels();
  // The range decoder.
  #input: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #range = 0;
  #code = 0;

  constructor(properties: number) {
    this.#literalContext = properties % 9;
    const rest = Math.floor(properties / 9);
    this.#literalPosition = rest % 5;
    this.#positionBits = Math.floor(rest / 5);
    if (this.#positionBits > 4 || this.#literalContext + this.#literalPosition > 4) {
      throw new BadPacking(`impossible properties (${properties})`);
    }
    this.reset();
  }

  reset(): void {
    const models = (count: number): Uint16Array => new Uint16Array(count).fill(half);
    this.#state = 0;
    this.#distances = [0, 0, 0, 0];
    this.#literals = models(0x300 << (this.#literalContext + this.#literalPosition));
    this.#isMatch = models(12 << 4);
    this.#isRepeat = models(12);
    this.#isRepeat0 = models(12);
    this.#isRepeat1 = models(12);
    this.#isRepeat2 = models(12);
    this.#isRepeat0Long = models(12 << 4);
    this.#slots = models(4 << 6);
    this.#special = models(115);
    this.#align = models(16);
    this.#matchLength = lengthModels();
    this.#repeatLength = lengthModels();
  }

  /** Unpacks one chunk of exactly `size` bytes. */
  decode(input: Uint8Array, at: number, end: number, output: Unpacked, size: number, dictionary: number): void {
    this.#input = input;
    this.#at = at + 5;
    this.#end = end;
    this.#range = 0xffffffff;
    if (end - at < 5 || input[at] !== 0) throw new BadPacking('a chunk does not begin as it should');
    this.#code =
      (((input[at + 1] as number) << 24) |
        ((input[at + 2] as number) << 16) |
        ((input[at + 3] as number) << 8) |
        (input[at + 4] as number)) >>>
      0;
    output.reserve(size);
    const stop = output.length + size;
    const mask = (1 << this.#positionBits) - 1;
    while (output.length < stop) {
      const state = this.#state;
      const position = (output.length - dictionary) & mask;
      if (this.#bit(this.#isMatch, (state << 4) + position) === 0) {
        this.#literal(output, dictionary);
        continue;
      }
      let length: number;
      const distances = this.#distances;
      if (this.#bit(this.#isRepeat, state) === 0) {
        distances[3] = distances[2];
        distances[2] = distances[1];
        distances[1] = distances[0];
        length = this.#length(this.#matchLength, position);
        this.#state = state < 7 ? 7 : 10;
        distances[0] = this.#distance(length);
        // LZMA's end mark, which LZMA2 has no use for.
        if (distances[0] === 0xffffffff) throw new BadPacking('an end mark within a chunk');
      } else {
        if (output.length === dictionary) throw new BadPacking('a match before the first byte');
        if (this.#bit(this.#isRepeat0, state) === 0) {
          if (this.#bit(this.#isRepeat0Long, (state << 4) + position) === 0) {
            this.#state = state < 7 ? 9 : 11;
            this.#copy(output, dictionary, 1, stop);
            continue;
          }
        } else if (this.#bit(this.#isRepeat1, state) === 0) {
          this.#distances = [distances[1], distances[0], distances[2], distances[3]];
        } else if (this.#bit(this.#isRepeat2, state) === 0) {
          this.#distances = [distances[2], distances[0], distances[1], distances[3]];
        } else {
          this.#distances = [distances[3], distances[0], distances[1], distances[2]];
        }
        length = this.#length(this.#repeatLength, position);
        this.#state = state < 7 ? 8 : 11;
      }
      this.#copy(output, dictionary, length + 2, stop);
    }
  }

  #copy(output: Unpacked, dictionary: number, length: number, stop: number): void {
    const distance = this.#distances[0] + 1;
    if (distance > output.length - dictionary) throw new BadPacking('a match reaches before the first byte');
    if (output.length + length > stop) throw new BadPacking('a match goes beyond its chunk');
    output.repeat(distance, length);
  }

  #literal(output: Unpacked, dictionary: number): void {
    const { bytes, length } = output;
    const before = length > dictionary ? (bytes[length - 1] as number) : 0;
    const position = (length - dictionary) & ((1 << this.#literalPosition) - 1);
    const context = (position << this.#literalContext) + (before >> (8 - this.#literalContext));
    const base = 0x300 * context;
    let symbol = 1;
    if (this.#state >= 7) {
      const distance = this.#distances[0] + 1;
      if (distance > length - dictionary) throw new BadPacking('a match reaches before the first byte');
      let match = bytes[length - distance] as number;
      while (symbol < 0x100) {
        const matchBit = (match >> 7) & 1;
        match <<= 1;
        const bit = this.#bit(this.#literals, base + ((1 + matchBit) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (bit !== matchBit) break;
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#bit(this.#literals, base + symbol);
    bytes[length] = symbol & 0xff;
    output.length = length + 1;
    this.#state = this.#state < 4 ? 0 : this.#state < 10 ? this.#state - 3 : this.#state - 6;
  }

  #length(models: LengthModels, position: number): number {
    if (this.#bit(models.choices, 0) === 0) return this.#tree(models.low, position << 3, 3);
    if (this.#bit(models.choices, 1) === 0) return 8 + this.#tree(models.middle, position << 3, 3);
    return 16 + this.#tree(models.high, 0, 8);
  }

  #distance(length: number): number {
    const slot = this.#tree(this.#slots, Math.min(length, 3) << 6, 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    let distance = (2 | (slot & 1)) << bits;
    if (slot < 14) return distance + this.#reverseTree(this.#special, distance - slot, bits);
    distance = (2 | (slot & 1)) * 2 ** bits + this.#direct(bits - 4) * 16;
    return distance + this.#reverseTree(this.#align, 0, 4);
  }

  #tree(models: Uint16Array, base: number, bits: number): number {
    let symbol = 1;
    for (let left = bits; left > 0; left--) symbol = (symbol << 1) | this.#bit(models, base + symbol);
    return symbol - (1 << bits);
  }

  #reverseTree(models: Uint16Array, base: number, bits: number): number {
    let index = 1;
    let symbol = 0;
    for (let at = 0; at < bits; at++) {
      const bit = this.#bit(models, base + index);
      index = (index << 1) | bit;
      symbol |= bit << at;
    }
    return symbol;
  }

  #direct(bits: number): number {
    let value = 0;
    for (let left = bits; left > 0; left--) {
      this.#range = this.#range >>> 1;
      let bit = 0;
      if (this.#code >= this.#range) {
        this.#code = (this.#code - this.#range) >>> 0;
        bit = 1;
      }
      value = value * 2 + bit;
      if (this.#range < top) this.#next();
    }
    return value;
  }

  #bit(models: Uint16Array, index: number): number {
    const model = models[index] as number;
    const bound = (this.#range >>> modelBits) * model;
    let bit: number;
    if (this.#code < bound) {
      models[index] = model + (((1 << modelBits) - model) >> moveBits);
      this.#range = bound;
      bit = 0;
    } else {
      models[index] = model - (model >> moveBits);
      this.#range -= bound;
      this.#code -= bound;
      bit = 1;
    }
    if (this.#range < top) this.#next();
    return bit;
  }

  #next(): void {
    if (this.#at >= this.#end) throw new BadPacking('a chunk is too short');
    this.#range = (this.#range << 8) >>> 0;
    this.#code = ((this.#code << 8) | (this.#input[this.#at++] as number)) >>> 0;
  }
}
