/** Whole numbers out of little-endian bytes, exact, without a BigInt where the value fits a number. */
import type { Integer } from './value.ts';

const twoTo32 = 4294967296;
/** High words below this make a 64-bit value below 2^53. */
const exactHigh = 0x200000;

/** The unsigned integer of 1, 2, 4 or 8 bytes. */
export function readUnsigned(view: DataView, offset: number, size: 1 | 2 | 4 | 8): Integer {
  switch (size) {
    case 1:
      return view.getUint8(offset);
    case 2:
      return view.getUint16(offset, true);
    case 4:
      return view.getUint32(offset, true);
    case 8: {
      const high = view.getUint32(offset + 4, true);
      if (high < exactHigh) return high * twoTo32 + view.getUint32(offset, true);
      return view.getBigUint64(offset, true);
    }
  }
}

/** The two's complement integer of 1, 2, 4 or 8 bytes. */
export function readSigned(view: DataView, offset: number, size: 1 | 2 | 4 | 8): Integer {
  switch (size) {
    case 1:
      return view.getInt8(offset);
    case 2:
      return view.getInt16(offset, true);
    case 4:
      return view.getInt32(offset, true);
    case 8: {
      const high = view.getInt32(offset + 4, true);
      if (high >= -exactHigh && high < exactHigh) return high * twoTo32 + view.getUint32(offset, true);
      return view.getBigInt64(offset, true);
    }
  }
}

export function readInteger(view: DataView, offset: number, size: 1 | 2 | 4 | 8, signed: boolean): Integer {
  return signed ? readSigned(view, offset, size) : readUnsigned(view, offset, size);
}

/** A bigint as a number where that loses nothing. */
export function exact(value: bigint): Integer {
  return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;
}

/** a / b towards zero, as C divides; 0 when b is 0. */
export function divide(a: Integer, b: Integer): Integer {
  if (typeof a === 'number' && typeof b === 'number') {
    // + 0 so that -1 / 2 is 0 and not the -0 that would print as a sign.
    return b === 0 ? 0 : Math.trunc(a / b) + 0;
  }
  const divisor = BigInt(b);
  return divisor === 0n ? 0 : exact(BigInt(a) / divisor);
}

/** Sort order of two integers of either representation. */
export function compareIntegers(a: Integer, b: Integer): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
