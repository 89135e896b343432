/**
 * Zstandard, unpacked: RFC 8878. Debug sections may be packed by it (ELFCOMPRESS_ZSTD),
 * and Node has had it only since 22.15. Frames that want a dictionary are refused; the
 * checksum at a frame's end is not looked at, since ELF tells the unpacked size.
 */
import { fail, ok, type Result } from '../base/result.ts';
import { BadPacking, Unpacked } from './lzma.ts';

const frameMagic = 0xfd2fb528;
const blockLimit = 128 << 10;

/** Unpacks all frames. Fails with a reason, also when the result would be larger than `limit` bytes. */
export function unpackZstd(bytes: Uint8Array, limit: number = 1 << 30): Result<Uint8Array, BadPacking> {
  try {
    const output = new Unpacked(Math.min(limit, bytes.length * 4), limit);
    for (let at = 0; at < bytes.length; ) at = new Frame(bytes, at, output).end;
    return ok(output.contents);
  } catch (error) {
    if (error instanceof BadPacking) return fail(error);
    throw error;
  }
}

/** Bits read from the last to the first, as Huffman and FSE streams lie. Before the first there are zeros. */
class BackwardBits {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  /** Bits left; negative when more have been read than there were. */
  left: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    const last = end > start ? bytes[end - 1] : undefined;
    if (last === undefined || last === 0) throw new BadPacking('a stream of bits has no end mark');
    this.#bytes = bytes;
    this.#start = start;
    // The highest bit that is set marks the end.
    this.left = (end - start) * 8 - Math.clz32(last << 24) - 1;
  }

  read(count: number): number {
    if (count > 24) {
      const high = this.read(count - 16);
      return high * 0x10000 + this.read(16);
    }
    this.left -= count;
    return this.peek(this.left, count);
  }

  peek(position: number, count: number): number {
    if (count === 0) return 0;
    if (position < 0) return position + count <= 0 ? 0 : this.peek(0, position + count) << -position;
    const at = this.#start + (position >> 3);
    const bytes = this.#bytes;
    const word =
      (bytes[at] as number) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
    return (word >>> (position & 7)) & ((1 << count) - 1);
  }
}

/** An FSE decoding table: for each state its symbol, and how the next state is made. */
interface FseTable {
  readonly accuracy: number;
  readonly symbols: Uint8Array;
  readonly bits: Uint8Array;
  readonly bases: Uint16Array;
}

function buildFse(probabilities: readonly number[], accuracy: number): FseTable {
  const size = 1 << accuracy;
  const symbols = new Uint8Array(size);
  const bits = new Uint8Array(size);
  const bases = new Uint16Array(size);
  const next = new Uint16Array(probabilities.length);
  let high = size;
  for (const [symbol, probability] of probabilities.entries()) {
    if (probability === -1) {
      symbols[--high] = symbol;
      next[symbol] = 1;
    } else next[symbol] = probability;
  }
  const step = (size >> 1) + (size >> 3) + 3;
  let position = 0;
  for (const [symbol, probability] of probabilities.entries()) {
    for (let left = probability; left > 0; left--) {
      symbols[position] = symbol;
      do position = (position + step) & (size - 1);
      while (position >= high);
    }
  }
  if (position !== 0) throw new BadPacking('a table of probabilities does not add up');
  for (let state = 0; state < size; state++) {
    const symbol = symbols[state] as number;
    const value = next[symbol] as number;
    next[symbol] = value + 1;
    const count = accuracy - (31 - Math.clz32(value));
    bits[state] = count;
    bases[state] = (value << count) - size;
  }
  return { accuracy, symbols, bits, bases };
}

/** Reads an FSE table's description; `most` are the greatest accuracy and the greatest symbol. */
function readFse(
  bytes: Uint8Array,
  start: number,
  end: number,
  most: { readonly accuracy: number; readonly symbol: number },
): { readonly table: FseTable; readonly end: number } {
  let position = 0;
  const peek = (count: number): number => {
    let value = 0;
    for (let at = 0; at < count; at++) {
      const bit = position + at;
      value |= (((bytes[start + (bit >> 3)] ?? 0) >> (bit & 7)) & 1) << at;
    }
    return value;
  };
  const accuracy = peek(4) + 5;
  position += 4;
  if (accuracy > most.accuracy) throw new BadPacking('a table of probabilities is too fine');
  const probabilities: number[] = [];
  let remaining = 1 << accuracy;
  while (remaining > 0) {
    const count = 32 - Math.clz32(remaining + 1);
    let value = peek(count);
    const lower = (1 << (count - 1)) - 1;
    const threshold = (1 << count) - 1 - (remaining + 1);
    if ((value & lower) < threshold) {
      value &= lower;
      position += count - 1;
    } else {
      if (value > lower) value -= threshold;
      position += count;
    }
    const probability = value - 1;
    probabilities.push(probability);
    remaining -= Math.abs(probability);
    if (probability === 0) {
      for (let repeat = 3; repeat === 3; ) {
        repeat = peek(2);
        position += 2;
        for (let left = repeat; left > 0; left--) probabilities.push(0);
        if (probabilities.length > 256) throw new BadPacking('a table of probabilities is too long');
      }
    }
    if (probabilities.length > most.symbol + 1 || position > (end - start) * 8) {
      throw new BadPacking('a table of probabilities is too long');
    }
  }
  if (remaining < 0) throw new BadPacking('a table of probabilities does not add up');
  return { table: buildFse(probabilities, accuracy), end: start + Math.ceil(position / 8) };
}

/** A Huffman table: for the next `bits` bits, the symbol and how many of them are its code. */
interface HuffmanTable {
  readonly bits: number;
  readonly symbols: Uint8Array;
  readonly lengths: Uint8Array;
}

function buildHuffman(weights: number[]): HuffmanTable {
  let sum = 0;
  for (const weight of weights) sum += weight > 0 ? 1 << (weight - 1) : 0;
  if (sum === 0) throw new BadPacking('a Huffman table is empty');
  const bits = 32 - Math.clz32(sum);
  const left = (1 << bits) - sum;
  if (bits > 11 || (left & (left - 1)) !== 0) throw new BadPacking('a Huffman table does not add up');
  // The last weight is not written: it is what is left to the next power of two.
  weights.push(32 - Math.clz32(left));
  if (weights.length > 256) throw new BadPacking('a Huffman table is too long');
  const symbols = new Uint8Array(1 << bits);
  const lengths = new Uint8Array(1 << bits);
  let at = 0;
  for (let weight = 1; weight <= bits; weight++) {
    for (const [symbol, own] of weights.entries()) {
      if (own !== weight) continue;
      const span = 1 << (weight - 1);
      symbols.fill(symbol, at, at + span);
      lengths.fill(bits + 1 - weight, at, at + span);
      at += span;
    }
  }
  return { bits, symbols, lengths };
}

const literalLengths: readonly (readonly [base: number, bits: number])[] = [
  ...Array.from({ length: 16 }, (_, code) => [code, 0] as const),
  ...([
    [16, 1],
    [18, 1],
    [20, 1],
    [22, 1],
    [24, 2],
    [28, 2],
    [32, 3],
    [40, 3],
    [48, 4],
    [64, 6],
  ] as const),
  ...([
    [128, 7],
    [256, 8],
    [512, 9],
    [1024, 10],
    [2048, 11],
    [4096, 12],
    [8192, 13],
    [16384, 14],
  ] as const),
  ...([
    [32768, 15],
    [65536, 16],
  ] as const),
];
const matchLengths: readonly (readonly [base: number, bits: number])[] = [
  ...Array.from({ length: 32 }, (_, code) => [code + 3, 0] as const),
  ...([
    [35, 1],
    [37, 1],
    [39, 1],
    [41, 1],
    [43, 2],
    [47, 2],
    [51, 3],
    [59, 3],
    [67, 4],
    [83, 4],
    [99, 5],
  ] as const),
  ...([
    [131, 7],
    [259, 8],
    [515, 9],
    [1027, 10],
    [2051, 11],
    [4099, 12],
    [8195, 13],
    [16387, 14],
  ] as const),
  ...([
    [32771, 15],
    [65539, 16],
  ] as const),
];

/** The three kinds of codes in a sequence, with the tables that need no description. */
const kinds = {
  literals: {
    accuracy: 9,
    symbol: 35,
    usual: [
      4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
    ],
    usualAccuracy: 6,
  },
  offsets: {
    accuracy: 8,
    symbol: 31,
    usual: [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
    usualAccuracy: 5,
  },
  matches: {
    accuracy: 9,
    symbol: 52,
    usual: [
      1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
      1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
    usualAccuracy: 6,
  },
} as const;

type Kind = keyof typeof kinds;

class Frame {
  readonly #bytes: Uint8Array;
  readonly #output: Unpacked;
  /** Where the frame's own output starts: no match may reach before it. */
  readonly #start: number;
  #at: number;
  #huffman: HuffmanTable | undefined;
  readonly #tables: Partial<Record<Kind, FseTable>> = {};
  #offsets: [number, number, number] = [1, 4, 8];
  /** One past the frame's last byte. */
  readonly end: number;

  constructor(bytes: Uint8Array, start: number, output: Unpacked) {
    this.#bytes = bytes;
    this.#output = output;
    this.#start = output.length;
    this.#at = start;
    const magic = this.#number(4);
    if (magic >>> 4 === 0x184d2a5) {
      const size = this.#number(4);
      this.end = this.#at + size;
      return;
    }
    if (magic !== frameMagic) throw new BadPacking('it is not in the zstd format');
    const descriptor = this.#number(1);
    const single = (descriptor & 0x20) !== 0;
    if ((descriptor & 8) !== 0) throw new BadPacking('an unknown kind of frame');
    if (!single) this.#number(1);
    if (this.#number([0, 1, 2, 4][descriptor & 3] as number) !== 0) throw new BadPacking('it needs a dictionary');
    this.#at += [single ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
    for (let last = false; !last; ) last = this.#block();
    if ((descriptor & 4) !== 0) this.#at += 4;
    this.end = this.#at;
  }

  #number(size: number): number {
    let value = 0;
    for (let at = 0; at < size; at++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new BadPacking('it ends in the middle');
      value += byte * 2 ** (8 * at);
    }
    return value;
  }

  /** Unpacks a block; true when it was the frame's last. */
  #block(): boolean {
    const header = this.#number(3);
    const size = header >> 3;
    const start = this.#at;
    const kind = (header >> 1) & 3;
    if (kind === 1) {
      const byte = this.#number(1);
      this.#output.reserve(size);
      this.#output.bytes.fill(byte, this.#output.length, this.#output.length + size);
      this.#output.length += size;
      return (header & 1) !== 0;
    }
    if (kind === 3 || size > blockLimit) throw new BadPacking('an unknown kind of block');
    this.#at = start + size;
    if (this.#at > this.#bytes.length) throw new BadPacking('it ends in the middle');
    if (kind === 0) this.#output.append(this.#bytes.subarray(start, this.#at));
    else this.#compressed(start, this.#at);
    return (header & 1) !== 0;
  }

  #compressed(start: number, end: number): void {
    const bytes = this.#bytes.subarray(0, end);
    const { literals, end: at } = this.#literals(bytes, start, end);
    this.#sequences(bytes, at, end, literals);
  }

  #literals(bytes: Uint8Array, start: number, end: number): { readonly literals: Uint8Array; readonly end: number } {
    const first = bytes[start];
    if (first === undefined) throw new BadPacking('a block is empty');
    const kind = first & 3;
    const form = (first >> 2) & 3;
    const number = (size: number): number => {
      let value = 0;
      for (let at = 0; at < size; at++) value += (bytes[start + at] ?? 0) * 2 ** (8 * at);
      return value;
    };
    if (kind <= 1) {
      const headerSize = form === 1 ? 2 : form === 3 ? 3 : 1;
      const size = Math.floor(number(headerSize) / (headerSize === 1 ? 8 : 16));
      const at = start + headerSize;
      if (size > blockLimit || at + (kind === 0 ? size : 1) > end) throw new BadPacking('literals are cut off');
      if (kind === 0) return { literals: bytes.subarray(at, at + size), end: at + size };
      return { literals: new Uint8Array(size).fill(bytes[at] as number), end: at + 1 };
    }
    const headerSize = form <= 1 ? 3 : form + 2;
    const bits = form <= 1 ? 10 : form === 2 ? 14 : 18;
    const sizes = Math.floor(number(headerSize) / 16);
    const size = sizes % 2 ** bits;
    const packedSize = Math.floor(sizes / 2 ** bits);
    let at = start + headerSize;
    const stop = at + packedSize;
    if (stop > end || size > blockLimit) throw new BadPacking('literals are cut off');
    if (kind === 2) at = this.#readHuffman(bytes, at, stop);
    const literals = new Uint8Array(size);
    if (form === 0) this.#huffmanStream(bytes, at, stop, literals);
    else {
      const each = Math.ceil(size / 4);
      if (at + 6 > stop || size < 6) throw new BadPacking('literals are cut off');
      const short = (index: number): number =>
        (bytes[at + 2 * index] as number) | ((bytes[at + 2 * index + 1] as number) << 8);
      let from = at + 6;
      for (let index = 0; index < 4; index++) {
        const to = index === 3 ? stop : from + short(index);
        if (to > stop) throw new BadPacking('literals are cut off');
        this.#huffmanStream(bytes, from, to, literals.subarray(index * each, Math.min(size, (index + 1) * each)));
        from = to;
      }
    }
    return { literals, end: stop };
  }

  #readHuffman(bytes: Uint8Array, start: number, stop: number): number {
    const header = bytes[start] as number;
    const weights: number[] = [];
    if (header >= 128) {
      const count = header - 127;
      for (let index = 0; index < count; index++) {
        const byte = bytes[start + 1 + (index >> 1)] ?? 0;
        weights.push(index % 2 === 0 ? byte >> 4 : byte & 15);
      }
      this.#huffman = buildHuffman(weights);
      return start + 1 + Math.ceil(count / 2);
    }
    const end = start + 1 + header;
    if (end > stop) throw new BadPacking('a Huffman table is cut off');
    const { table, end: at } = readFse(bytes, start + 1, end, { accuracy: 6, symbol: 255 });
    const bits = new BackwardBits(bytes, at, end);
    // Two states take turns.
    const states = [bits.read(table.accuracy), bits.read(table.accuracy)];
    for (let turn = 0; ; turn ^= 1) {
      const state = states[turn] as number;
      weights.push(table.symbols[state] as number);
      const count = table.bits[state] as number;
      if (bits.left < count) {
        weights.push(table.symbols[states[turn ^ 1] as number] as number);
        break;
      }
      states[turn] = (table.bases[state] as number) + bits.read(count);
      if (weights.length > 255) throw new BadPacking('a Huffman table is too long');
    }
    if (weights.some((weight) => weight > 11)) throw new BadPacking('a Huffman table is too deep');
    this.#huffman = buildHuffman(weights);
    return end;
  }

  #huffmanStream(bytes: Uint8Array, start: number, end: number, target: Uint8Array): void {
    const table = this.#huffman;
    if (table === undefined) throw new BadPacking('literals without a Huffman table');
    const bits = new BackwardBits(bytes, start, end);
    for (let at = 0; at < target.length; at++) {
      const code = bits.peek(bits.left - table.bits, table.bits);
      target[at] = table.symbols[code] as number;
      bits.left -= table.lengths[code] as number;
    }
    if (bits.left !== 0) throw new BadPacking('a stream of literals has another length than it should');
  }

  #sequences(bytes: Uint8Array, start: number, end: number, literals: Uint8Array): void {
    let at = start;
    const byte = (): number => {
      const value = bytes[at++];
      if (value === undefined) throw new BadPacking('sequences are cut off');
      return value;
    };
    let count = byte();
    if (count >= 128) count = count === 255 ? byte() + (byte() << 8) + 0x7f00 : ((count - 128) << 8) + byte();
    if (count === 0) {
      this.#output.append(literals);
      return;
    }
    const modes = byte();
    const table = (kind: Kind, mode: number): FseTable => {
      const { usual, usualAccuracy } = kinds[kind];
      let made: FseTable | undefined;
      if (mode === 0) made = buildFse(usual, usualAccuracy);
      else if (mode === 1) {
        const symbol = byte();
        if (symbol > kinds[kind].symbol) throw new BadPacking('an unknown code');
        made = {
          accuracy: 0,
          symbols: Uint8Array.of(symbol),
          bits: new Uint8Array(1),
          bases: new Uint16Array(1),
        };
      } else if (mode === 2) {
        const read = readFse(bytes, at, end, kinds[kind]);
        at = read.end;
        made = read.table;
      } else made = this.#tables[kind];
      if (made === undefined) throw new BadPacking('a table is repeated that was never there');
      this.#tables[kind] = made;
      return made;
    };
    const literalTable = table('literals', modes >> 6);
    const offsetTable = table('offsets', (modes >> 4) & 3);
    const matchTable = table('matches', (modes >> 2) & 3);
    this.#execute(new BackwardBits(bytes, at, end), count, literalTable, offsetTable, matchTable, literals);
  }

  #execute(
    bits: BackwardBits,
    count: number,
    literalTable: FseTable,
    offsetTable: FseTable,
    matchTable: FseTable,
    literals: Uint8Array,
  ): void {
    const output = this.#output;
    let literalState = bits.read(literalTable.accuracy);
    let offsetState = bits.read(offsetTable.accuracy);
    let matchState = bits.read(matchTable.accuracy);
    let used = 0;
    for (let left = count; left > 0; left--) {
      const offsetCode = offsetTable.symbols[offsetState] as number;
      const offsetValue = 2 ** offsetCode + bits.read(offsetCode);
      const [matchBase, matchBits] = matchLengths[matchTable.symbols[matchState] as number] as readonly [
        number,
        number,
      ];
      const matchLength = matchBase + bits.read(matchBits);
      const [literalBase, literalBits] = literalLengths[literalTable.symbols[literalState] as number] as readonly [
        number,
        number,
      ];
      const literalLength = literalBase + bits.read(literalBits);
      if (left > 1) {
        literalState =
          (literalTable.bases[literalState] as number) + bits.read(literalTable.bits[literalState] as number);
        matchState = (matchTable.bases[matchState] as number) + bits.read(matchTable.bits[matchState] as number);
        offsetState = (offsetTable.bases[offsetState] as number) + bits.read(offsetTable.bits[offsetState] as number);
      }
      if (bits.left < 0 || used + literalLength > literals.length) throw new BadPacking('sequences are cut off');
      output.append(literals.subarray(used, used + literalLength));
      used += literalLength;
      const offset = this.#offset(offsetValue, literalLength);
      if (offset > output.length - this.#start) throw new BadPacking('a match reaches before the first byte');
      output.repeat(offset, matchLength);
    }
    if (bits.left !== 0) throw new BadPacking('sequences have another length than they should');
    output.append(literals.subarray(used));
  }

  /** The distance that a value means; 1 to 3 stand for one of the last three. */
  #offset(value: number, literalLength: number): number {
    const [first, second, third] = this.#offsets;
    if (value > 3) {
      this.#offsets = [value - 3, first, second];
      return value - 3;
    }
    const index = value - 1 + (literalLength === 0 ? 1 : 0);
    if (index === 0) return first;
    const offset = index === 1 ? second : index === 2 ? third : first - 1;
    if (offset === 0) throw new BadPacking('a match at no distance');
    this.#offsets = [offset, first, index === 1 ? third : second];
    return offset;
  }
}
