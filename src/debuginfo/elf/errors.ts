/** All that can be wrong with an ELF file, worded in one place. */
import { MachineError } from '../../base/errors.ts';
import type { VirtualAddress } from '../../base/numbers.ts';

const hex = (value: number): string => `0x${value.toString(16)}`;

/** The file does not start with ELF's magic. `head` are its first bytes. */
export function notElf(path: string, size: number, head: Uint8Array): MachineError {
  const hints: string[] = [];
  if (head[0] === 0x23 && head[1] === 0x21) {
    const line = new TextDecoder().decode(head.subarray(2)).split('\n', 1)[0] ?? '';
    const interpreter = line.trim().split(/\s+/, 1)[0];
    hints.push(
      interpreter
        ? `It is a script; the program that runs is its interpreter: name ${interpreter} instead.`
        : 'It is a script; name the program that interprets it instead.',
    );
  } else hints.push('Name an executable or a shared library for Linux.');
  const what = size === 0 ? 'the file is empty' : 'it does not start with 0x7f "ELF"';
  return new MachineError(`${path} is not an ELF file: ${what}`, { code: 'E_NOT_ELF', hints });
}

/** The file ends (or can't be read) before something that its headers promise. */
export function truncatedElf(path: string, what: string, offset: number, length: number, size: number): MachineError {
  return new MachineError(
    `${path} is truncated: its ${what} should take ${length} bytes at offset ${hex(offset)}, ` +
      `but the file has ${size} bytes`,
    { code: 'E_TRUNCATED_ELF', hints: ['Fetch or build the file again; it was not copied whole.'] },
  );
}

/** The file contradicts the format. */
export function badElf(path: string, what: string): MachineError {
  return new MachineError(`${path} is a damaged ELF file: ${what}`, {
    code: 'E_BAD_ELF',
    hints: [`Check it with: readelf -hlSW ${path}`],
  });
}

/** A form of ELF that insitu does not read. */
export function unsupportedElf(path: string, what: string): MachineError {
  return new MachineError(`${path}: ${what}`, {
    code: 'E_UNSUPPORTED_ELF',
    hints: ['insitu traces 64-bit little-endian programs (x86-64, arm64).'],
  });
}

export function noSegment(path: string, address: VirtualAddress, nearest: string): MachineError {
  return new MachineError(`${path}: no loadable segment holds the address ${hex(address)}`, {
    code: 'E_NO_SEGMENT',
    hints: [nearest, 'Addresses are those that `nm` and `readelf -s` print, not file offsets.'],
  });
}

export function notExecutable(path: string, address: VirtualAddress, where: string): MachineError {
  return new MachineError(`${path}: the address ${hex(address)} is data, not code: ${where}`, {
    code: 'E_NOT_EXECUTABLE',
    hints: ['A probe needs the address of an instruction.'],
  });
}

export function noFileBytes(path: string, address: VirtualAddress): MachineError {
  return new MachineError(
    `${path}: the address ${hex(address)} has no byte in the file (it is zero-filled memory, .bss)`,
    { code: 'E_NO_FILE_BYTES' },
  );
}
