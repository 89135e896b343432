/** Unpacks compressed ELF sections: zlib through Node, zstd too where Node has it (22.15 on). */
import * as zlib from 'node:zlib';
import { unpackZstd } from '../../bytes/zstd.ts';
import type { Inflate } from '../../debuginfo/elf/elf.ts';

type Unpacker = (
  packed: Uint8Array,
  options: { readonly maxOutputLength: number; readonly chunkSize?: number },
) => Uint8Array;

export const inflate: Inflate = (packed, method, unpackedSize) => {
  // At least one byte: Node takes no less.
  // In one piece, with room behind it: a piece that gets full is followed by another one.
  const options = { maxOutputLength: Math.max(1, unpackedSize), chunkSize: Math.max(64, unpackedSize + 1) };
  if (method === 'zlib') return zlib.inflateSync(packed, options);
  const native = (zlib as unknown as { readonly zstdDecompressSync?: Unpacker }).zstdDecompressSync;
  if (native !== undefined) return native(packed, options);
  const unpacked = unpackZstd(packed, unpackedSize);
  if (!unpacked.ok) throw unpacked.error;
  return unpacked.value;
};
