/**
 * Where instructions begin. A uprobe replaces one byte by a breakpoint: inside an
 * instruction it would change what the traced program does, and never be hit. The kernel
 * only looks at the bytes that it is given (arch/x86/kernel/uprobes.c), so that this has
 * to be known before.
 */
import { type VirtualAddress, virtualAddress } from '../../base/numbers.ts';
import { EM_AARCH64, EM_X86_64 } from '../../debuginfo/elf/constants.ts';
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import type { FunctionBounds } from '../../debuginfo/elf/frames.ts';
import type { CodePlace } from '../../target/target.ts';
import { Decoder } from '../evidence/x86.ts';

/** Longest function that is followed from its start. */
const mostCodeBytes = 1 << 20;

/** A stretch of code that begins with an instruction. */
export interface CodeBounds {
  readonly address: number;
  /** In bytes. */
  readonly size: number;
}

/**
 * The beginnings of the function and of the instruction that have `address` among their
 * bytes, as far as they can be told: an instruction's cannot when the function's bytes
 * are no instructions all the way. `known` is the function there, if a symbol tells,
 * `frames` what .eh_frame tells.
 */
export function codeAt(
  elf: ElfFile,
  address: VirtualAddress,
  known: CodeBounds | undefined,
  frames: () => FunctionBounds,
): CodePlace {
  const bounds = known !== undefined && known.size > 0 ? known : functionBounds(frames(), address);
  return {
    function: bounds && virtualAddress(bounds.address),
    instruction: instructionStart(elf, address, bounds),
  };
}

function instructionStart(
  elf: ElfFile,
  address: VirtualAddress,
  bounds: CodeBounds | undefined,
): VirtualAddress | undefined {
  if (elf.header.machine === EM_AARCH64) return virtualAddress(address - (address % 4));
  if (elf.header.machine !== EM_X86_64 || bounds === undefined) return undefined;
  const target = address - bounds.address;
  const offset = elf.toFileOffset(virtualAddress(bounds.address));
  if (!offset.ok || target > mostCodeBytes) return undefined;
  // Some bytes more than asked for, as the decoder wants the whole of the last instruction.
  const code = elf.reader.read(offset.value, Math.min(bounds.size, target + 16));
  const decoder = new Decoder();
  for (let at = 0; at < code.length; at += decoder.length) {
    if (!decoder.decode(code, at, code.length)) return undefined;
    if (target < at + decoder.length) return virtualAddress(bounds.address + at);
  }
  return undefined;
}

/** The function around an address by call frame information. */
export function functionBounds({ starts, sizes }: FunctionBounds, address: number): CodeBounds | undefined {
  let [low, high] = [0, starts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((starts[middle] as number) <= address) low = middle + 1;
    else high = middle;
  }
  const start = starts[low - 1];
  const size = sizes[low - 1];
  return start === undefined || size === undefined || address >= start + size ? undefined : { address: start, size };
}
