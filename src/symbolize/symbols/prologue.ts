/**
 * Whether a program keeps frame pointers, judged from how its functions begin: what a
 * stack walk by frame pointers (bpf_get_stack's) can be expected to give. x86-64: `push
 * %rbp; mov %rsp,%rbp`; arm64: `stp x29, x30, [sp, …]` and `mov x29, sp`.
 */
import { virtualAddress } from '../../base/numbers.ts';
import { EM_AARCH64, EM_X86_64, SHT_DYNSYM, SHT_SYMTAB } from '../../debuginfo/elf/constants.ts';
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import { readFunctionBounds } from '../../debuginfo/elf/frames.ts';
import { Image } from '../../debuginfo/elf/image.ts';
import { scanSymbols } from './scan.ts';

export interface FramePointers {
  /** Functions that were looked at: spread over the file, of 64 bytes and more. */
  readonly sampled: number;
  /** How many of them set up a frame pointer. */
  readonly kept: number;
}

const samples = 2000;
/** Shorter functions call nothing, or are stubs: compilers spare them the frame. */
const leastSize = 64;
/** How many bytes of a function are looked at; the set-up may wait for a few other pushes. */
const prologueSize = 32;

/**
 * Looks at the functions that `files` (the binary, its debug file) have a .symtab for,
 * else at `others` (Go's table), else at those of .eh_frame, else at those of .dynsym.
 */
export function framePointers(
  elf: ElfFile,
  files: readonly ElfFile[],
  others: Iterable<{ readonly address: number; readonly size: number }> = [],
): FramePointers {
  const starts = symbolStarts(files, SHT_SYMTAB);
  if (starts.length === 0) for (const { address, size } of others) if (size >= leastSize) starts.push(address);
  if (starts.length === 0) {
    const image = Image.of(elf);
    const bounds = image.ok ? readFunctionBounds(image.value) : undefined;
    for (let at = 0; at < (bounds?.starts.length ?? 0); at++) {
      if ((bounds?.sizes[at] as number) >= leastSize) starts.push(bounds?.starts[at] as number);
    }
  }
  if (starts.length === 0) starts.push(...symbolStarts([elf], SHT_DYNSYM));
  starts.sort((a, b) => a - b);
  const step = Math.max(1, starts.length / samples);
  let sampled = 0;
  let kept = 0;
  for (let at = 0; at < starts.length; at += step) {
    const offset = elf.toFileOffset(virtualAddress(starts[Math.floor(at)] as number));
    if (!offset.ok) continue;
    const bytes = elf.reader.read(offset.value, prologueSize);
    if (bytes.length < prologueSize) continue;
    sampled++;
    if (setsUpFrame(bytes, elf.header.machine)) kept++;
  }
  return { sampled, kept };
}

function symbolStarts(files: readonly ElfFile[], type: number): number[] {
  const starts: number[] = [];
  for (const file of files) {
    for (const section of file.sections) {
      if (section.type !== type) continue;
      scanSymbols(file, section, 'function', (_, address, size) => {
        if (size >= leastSize) starts.push(address);
      });
    }
  }
  return starts;
}

function setsUpFrame(bytes: Uint8Array, machine: number): boolean {
  if (machine === EM_X86_64) {
    // mov %rsp,%rbp has two encodings; push %rbp is 0x55.
    for (let at = 0; at + 3 < bytes.length; at++) {
      if (bytes[at] !== 0x55) continue;
      for (let next = at + 1; next + 2 < bytes.length; next++) {
        if (bytes[next] !== 0x48) continue;
        if (
          (bytes[next + 1] === 0x89 && bytes[next + 2] === 0xe5) ||
          (bytes[next + 1] === 0x8b && bytes[next + 2] === 0xec)
        )
          return true;
      }
      return false;
    }
    return false;
  }
  if (machine === EM_AARCH64) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + 4 <= bytes.length; at += 4) {
      const word = view.getUint32(at, true);
      // mov x29, sp is add x29, sp, #0; with room below it, another constant.
      if ((word & 0xffc003ff) >>> 0 === 0x910003fd) return true;
    }
  }
  return false;
}
