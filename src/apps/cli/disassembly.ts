/** Bytes to x86-64 instructions; loaded when asked for, as iced-x86's WebAssembly is as large as all of insitu. */
import {
  type Instruction as Decoded,
  Decoder,
  DecoderOptions,
  Formatter,
  FormatterSyntax,
  Instruction as Instructions,
  OpKind,
  Register,
} from 'iced-x86';
import type { Instruction } from '../../answers/code/listing.ts';

/** Numbers below are no addresses of programs (mmap_min_addr, and what small programs use as plain numbers). */
const leastAddress = 0x1000;

/** All instructions of `code`, whose first byte has the virtual address `address`; what is none is `(bad)`, a byte each. */
export function disassemble(code: Uint8Array, address: number): Instruction[] {
  const decoder = new Decoder(64, code, DecoderOptions.None);
  const formatter = new Formatter(FormatterSyntax.Gas);
  const decoded = new Instructions();
  try {
    decoder.ip = BigInt(address);
    formatter.uppercaseHex = false;
    formatter.smallHexNumbersInDecimal = false;
    formatter.branchLeadingZeros = false;
    formatter.ripRelativeAddresses = true;
    const found: Instruction[] = [];
    while (decoder.canDecode) {
      const at = decoder.position;
      decoder.decodeOut(decoded);
      if (decoded.isInvalid) {
        // What cannot be decoded says nothing of its length.
        decoder.position = at + 1;
        decoder.ip = BigInt(address + at + 1);
        found.push({ ...none, address: address + at, bytes: code.subarray(at, at + 1) });
        continue;
      }
      found.push({
        address: address + at,
        bytes: code.subarray(at, at + decoded.length),
        mnemonic: formatter.formatMnemonic(decoded),
        operands: formatter.formatAllOperands(decoded),
        ...references(decoded),
      });
    }
    return found;
  } finally {
    decoded.free();
    formatter.free();
    decoder.free();
  }
}

const none = { mnemonic: '(bad)', operands: '', target: undefined, memory: undefined, immediate: undefined };

function references(decoded: Decoded): Pick<Instruction, 'target' | 'memory' | 'immediate'> {
  let target: number | undefined;
  let memory: number | undefined;
  let immediate: number | undefined;
  for (let operand = 0; operand < decoded.opCount; operand++) {
    switch (decoded.opKind(operand)) {
      case OpKind.NearBranch64:
        target = Number(decoded.nearBranch64);
        break;
      case OpKind.Memory:
        if (decoded.isIpRelMemoryOperand) memory = Number(decoded.ipRelMemoryAddress);
        // A table at a fixed address, or a word of the thread's (%fs:0x28 is none of the program's).
        else if (decoded.memoryBase === Register.None && decoded.memorySegment === Register.DS)
          memory = Number(decoded.memoryDisplacement);
        break;
      case OpKind.Immediate32:
      case OpKind.Immediate64:
      case OpKind.Immediate32to64: {
        const value = Number(decoded.immediate(operand));
        if (value >= leastAddress) immediate = value;
        break;
      }
    }
  }
  return { target, memory: memory === undefined || memory < leastAddress ? undefined : memory, immediate };
}
