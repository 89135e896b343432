/**
 * The .xz container around LZMA2: "The .xz File Format", version 1.2.1
 * (tukaani.org/xz/xz-file-format.txt). It is how .gnu_debugdata is packed. Streams of one
 * LZMA2 filter are read, as xz makes them; CRC-32 and CRC-64 are checked.
 */
import { lazy } from '../base/lazy.ts';
import { fail, ok, type Result } from '../base/result.ts';
import { crc32 } from './crc32.ts';
import { BadPacking, Unpacked, unpackLzma2 } from './lzma.ts';

const magic = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const checkSizes = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];
const lzma2Filter = 0x21;

/** Unpacks a .xz file. Fails with a reason, also when it would become larger than `limit` bytes. */
export function unpackXz(bytes: Uint8Array, limit: number = 1 << 30): Result<Uint8Array, BadPacking> {
  try {
    return ok(unpack(bytes, limit));
  } catch (error) {
    if (error instanceof BadPacking) return fail(error);
    throw error;
  }
}

function unpack(bytes: Uint8Array, limit: number): Uint8Array {
  if (!magic.every((byte, at) => bytes[at] === byte)) throw new BadPacking('it is not in the xz format');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u32 = (at: number): number => {
    if (at + 4 > bytes.length) throw new BadPacking('it ends in the middle');
    return view.getUint32(at, true);
  };
  if (crc32(bytes.subarray(6, 8)) !== u32(8)) throw new BadPacking('the checksum of its header is wrong');
  const check = (bytes[7] as number) & 15;
  const output = new Unpacked(bytes.length * 4, limit);
  for (let at = 12; ; ) {
    const first = bytes[at];
    if (first === undefined) throw new BadPacking('it ends in the middle');
    // What begins the index ends the blocks.
    if (first === 0) return output.contents;
    const headerSize = (first + 1) * 4;
    readBlockHeader(bytes, at, headerSize);
    if (crc32(bytes.subarray(at, at + headerSize - 4)) !== u32(at + headerSize - 4)) {
      throw new BadPacking("the checksum of a block's header is wrong");
    }
    const start = output.length;
    let end = unpackLzma2(bytes, at + headerSize, output);
    end = at + Math.ceil((end - at) / 4) * 4;
    const block = output.bytes.subarray(start, output.length);
    if (check === 1 && crc32(block) !== u32(end)) throw new BadPacking('its checksum is wrong');
    if (check === 4) {
      const [low, high] = crc64(block);
      if (low !== u32(end) || high !== u32(end + 4)) throw new BadPacking('its checksum is wrong');
    }
    at = end + (checkSizes[check] as number);
  }
}

/** Throws where the block is packed by anything but LZMA2 alone. */
function readBlockHeader(bytes: Uint8Array, start: number, size: number): void {
  const end = start + size - 4;
  if (start + size > bytes.length) throw new BadPacking('it ends in the middle');
  const flags = bytes[start + 1] as number;
  let at = start + 2;
  const number = (): number => {
    let value = 0;
    for (let scale = 1; at < end; scale *= 128) {
      const byte = bytes[at++] as number;
      value += (byte & 0x7f) * scale;
      if ((byte & 0x80) === 0) return value;
    }
    throw new BadPacking("a block's header is cut off");
  };
  if ((flags & 0x40) !== 0) number();
  if ((flags & 0x80) !== 0) number();
  const filter = number();
  if ((flags & 3) !== 0 || filter !== lzma2Filter) {
    throw new BadPacking(`it is packed by filter 0x${filter.toString(16)}, not by LZMA2 alone`);
  }
}

/** CRC-64 of ECMA-182, reflected, as two tables of halves. */
const crc64Table = lazy(() => {
  const low = new Uint32Array(256);
  const high = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let [a, b] = [byte, 0];
    for (let bit = 0; bit < 8; bit++) {
      const carry = a & 1;
      a = (a >>> 1) | ((b & 1) << 31);
      b = b >>> 1;
      if (carry !== 0) {
        a ^= 0xd7870f42;
        b ^= 0xc96c5795;
      }
    }
    low[byte] = a;
    high[byte] = b;
  }
  return { low, high };
});

function crc64(bytes: Uint8Array): [low: number, high: number] {
  const table = crc64Table();
  let low = 0xffffffff;
  let high = 0xffffffff;
  for (let at = 0; at < bytes.length; at++) {
    const index = (low ^ (bytes[at] as number)) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ (table.low[index] as number);
    high = (high >>> 8) ^ (table.high[index] as number);
  }
  return [~low >>> 0, ~high >>> 0];
}
