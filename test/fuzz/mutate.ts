/** Damaging bytes at random, the same way for the same seed. */

/** A number from 0 to below `below`. */
export type Random = (below: number) => number;

/** Numbers that look random, the same for the same words of a seed (FNV-1a into mulberry32). */
export function seeded(...words: readonly (number | string)[]): Random {
  let state = 0x811c9dc5;
  for (const letter of words.join('\0')) state = Math.imul(state ^ letter.charCodeAt(0), 0x01000193);
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) % below;
  };
}

/** Part of a file where damage is more likely to matter: tables, headers. */
export interface Region {
  readonly start: number;
  readonly size: number;
}

const bytesOfInterest = [0, 1, 2, 4, 8, 0x10, 0x20, 0x40, 0x7f, 0x80, 0x81, 0xfe, 0xff];
const numbersOfInterest = [
  0n,
  1n,
  2n,
  7n,
  8n,
  0x18n,
  0x40n,
  0xffn,
  0xfff0n,
  0xffffn,
  0x1_0000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_fff0n,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x1f_ffff_ffff_ffffn,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0xffff_ffff_ffff_fff8n,
  0xffff_ffff_ffff_ffffn,
];

/**
 * A copy of `bytes` with one to twelve changes: bits, bytes, numbers of 2, 4 and 8 bytes,
 * ranges repeated, moved, blanked, taken out, put in from another seed, an end cut off.
 */
export function mutate(
  bytes: Uint8Array,
  others: readonly Uint8Array[],
  regions: readonly Region[],
  random: Random,
): Uint8Array {
  let result: Uint8Array = bytes.slice();
  const place = (): number => {
    const region = regions.length > 0 && random(4) > 0 ? regions[random(regions.length)] : undefined;
    const at =
      region === undefined || region.size === 0 ? random(result.length + 1) : region.start + random(region.size);
    return Math.min(at, Math.max(0, result.length - 1));
  };
  const range = (): [number, number] => {
    const start = place();
    const most = Math.min(result.length - start, 1 << random(11));
    return [start, start + (most > 0 ? 1 + random(most) : 0)];
  };
  const changes = 1 + random(random(3) === 0 ? 12 : 3);
  for (let left = changes; left > 0 && result.length > 0; left--) {
    switch (random(14)) {
      case 0:
      case 1: {
        const at = place();
        result[at] = (result[at] as number) ^ (1 << random(8));
        break;
      }
      case 2:
        result[place()] = random(256);
        break;
      case 3:
      case 4:
        result[place()] = bytesOfInterest[random(bytesOfInterest.length)] as number;
        break;
      case 5:
      case 6:
      case 7: {
        const number = numbersOfInterest[random(numbersOfInterest.length)] as bigint;
        setNumber(result, place(), number);
        break;
      }
      case 8:
        // A number a little off, or one that has to do with the file's size.
        setNumber(result, place(), BigInt(random(2) === 0 ? random(result.length + 64) : result.length - random(32)));
        break;
      case 9: {
        const [start, end] = range();
        result.copyWithin(place(), start, end);
        break;
      }
      case 10: {
        const [start, end] = range();
        result.fill(random(2) === 0 ? 0 : random(256), start, end);
        break;
      }
      case 11: {
        const [start, end] = range();
        result = joined(result.subarray(0, start), result.subarray(end));
        break;
      }
      case 12: {
        const other = others[random(others.length)] ?? bytes;
        const from = random(other.length + 1);
        const piece = other.subarray(from, from + random(1 << random(11)));
        const at = place();
        if (random(2) === 0) result = joined(result.subarray(0, at), piece, result.subarray(at));
        else result.set(piece.subarray(0, result.length - at), at);
        break;
      }
      default:
        if (random(4) === 0) result = result.slice(0, random(result.length + 1));
    }
  }
  return result;
}

const wordsOfInterest = [
  '',
  '(',
  ')',
  '{',
  '}',
  '"',
  ',',
  ';',
  '-1',
  '0',
  '0xffffffffffffffff',
  '1e99',
  '$1',
  '@',
  '/',
  '*',
  '\0',
  'é',
];

/** A text with words and marks left out, doubled, changed for others of the same or another text. */
export function mutateWords(bytes: Uint8Array, others: readonly Uint8Array[], random: Random): Uint8Array {
  const split = (text: Uint8Array): string[] => new TextDecoder().decode(text).match(/\w+|\s+|[^\w\s]/g) ?? [];
  const words = split(bytes);
  const foreign = split(others[random(others.length)] ?? bytes);
  const any = (): string => {
    if (random(3) === 0) return wordsOfInterest[random(wordsOfInterest.length)] as string;
    const from = random(2) === 0 ? words : foreign;
    return from[random(from.length)] ?? '';
  };
  for (let left = 1 + random(random(3) === 0 ? 10 : 2); left > 0; left--) {
    const at = random(words.length + 1);
    switch (random(5)) {
      case 0:
        words.splice(at, 1 + random(1 << random(5)));
        break;
      case 1:
        words.splice(at, 0, any());
        break;
      case 2:
        words.splice(at, 0, ...words.slice(at, at + 1 + random(1 << random(6))));
        break;
      case 3: {
        const from = random(foreign.length + 1);
        words.splice(at, random(4), ...foreign.slice(from, from + 1 + random(1 << random(6))));
        break;
      }
      default:
        words[at] = any();
    }
  }
  return new TextEncoder().encode(words.join(''));
}

/** Writes a number of 2, 4 or 8 bytes (by its size and the place), as little-endian as most files are. */
function setNumber(bytes: Uint8Array, at: number, number: bigint): void {
  const aligned = at & ~3;
  const width = number > 0xffff_ffffn ? 8 : number > 0xffffn ? 4 : at % 4 === 0 ? 8 : at % 2 === 0 ? 4 : 2;
  const start = width === 2 ? at : aligned;
  for (let byte = 0; byte < width && start + byte < bytes.length; byte++) {
    bytes[start + byte] = Number((number >> BigInt(8 * byte)) & 0xffn);
  }
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
