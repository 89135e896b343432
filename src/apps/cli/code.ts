/** `insitu code FILE|PID FUNCTION`: a function's instructions, and where a uprobe sits among them. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { type Listed, listing, type Row, sourceText } from '../../answers/code/listing.ts';
import { bytesText, codeText, probeText, rowAt, type Shown } from '../../answers/code/text.ts';
import { MachineError } from '../../base/errors.ts';
import { type VirtualAddress, virtualAddress } from '../../base/numbers.ts';
import { EM_X86_64 } from '../../debuginfo/elf/constants.ts';
import type { ElfBinary } from '../../symbolize/symbols/binary.ts';
import { complain } from './failure.ts';
import type { CodeOptions } from './options.ts';
import { Output } from './output.ts';
import { findPlaces, type Place } from './places.ts';
import { programSurroundings } from './surroundings.ts';

/** Bytes of a function that are listed at most. */
const mostBytes = 1 << 20;
/** Bytes that are listed where nothing tells how long a function is. */
const unknownSize = 256;
/** Functions of one name that are listed. */
const mostFunctions = 16;

/** A function that was asked for, in its file. */
interface Found {
  readonly place: Place;
  readonly binary: ElfBinary;
  readonly listed: Listed;
  /** Offset in it that was asked for. */
  readonly asked: number;
}

/** Lists what was asked for; gives the exit status. */
export async function code(what: string, wanted: string, options: CodeOptions): Promise<number> {
  const { files } = findPlaces(what, options);
  const pid = /^\d+$/.test(what) ? Number(what) : undefined;
  const opened: ElfBinary[] = [];
  const open = (place: Place): ElfBinary => {
    const binary = place.open();
    opened.push(binary);
    return binary;
  };
  try {
    const address = /^0x([0-9a-f]{1,13})$/i.exec(wanted)?.[1];
    const found =
      address === undefined
        ? findByName(files, what, wanted, open)
        : [findByAddress(files, pid, Number.parseInt(address, 16), open)];
    // Its WebAssembly takes a moment to load: only when there is something to list.
    const { disassemble } = await import('./disassembly.ts');
    const output = new Output(options.output, 'full');
    for (const [index, one] of found.entries()) {
      if (index > 0 && options.format === 'text') output.write('\n');
      output.write(show(one, pid, disassemble, options));
    }
    output.close();
    return 0;
  } finally {
    for (const binary of opened) binary.close();
  }
}

function requireX86({ elf, path }: ElfBinary): void {
  const { machine } = elf.header;
  if (machine === EM_X86_64) return;
  const name = { 183: 'arm64', 3: '32-bit x86', 40: '32-bit arm', 243: 'RISC-V' }[machine] ?? `of machine ${machine}`;
  throw new MachineError(`${path} is ${name}: insitu code lists x86-64 instructions only`, {
    code: 'E_UNSUPPORTED_MACHINE',
    hints: ['objdump -d of that machine’s binutils lists them (Debian: binutils-aarch64-linux-gnu for arm64)'],
  });
}

/** Every function of a name, of a process in each of its files; inferred ones in its program alone. */
function findByName(files: readonly Place[], what: string, wanted: string, open: (place: Place) => ElfBinary): Found[] {
  const [, before = wanted, offsetText = '0'] = /^(.+?)\+(0x[0-9a-f]+|\d+)$/i.exec(wanted) ?? [];
  const asked = Number(offsetText);
  const found: Found[] = [];
  const near = new Set<string>();
  let failure: MachineError | undefined;
  for (const place of files) {
    let binary: ElfBinary;
    try {
      binary = open(place);
    } catch (error) {
      if (!(error instanceof MachineError) || files.length === 1) throw error;
      failure ??= error;
      continue;
    }
    // The whole may be a name, as in `operator+1`; inferred ones are looked for when asked, or when there are no others.
    const named = (name: string, offset: number): boolean => {
      const inferredName = name.startsWith('~') ? name.slice(1) : name;
      const known = name.startsWith('~') ? [] : binary.find(name);
      const matching = known.length > 0 || files.length > 1 ? known : binary.inferred(inferredName);
      for (const one of matching)
        found.push({ place, binary, asked: offset, listed: listedOf(binary, one.address, one) });
      return matching.length > 0;
    };
    if (!named(wanted, 0) && before !== wanted) named(before, asked);
    if (found.length === 0) for (const name of binary.near(before)) near.add(name);
  }
  // Of a process, inferred names are looked for when no file has the name.
  const [program] = files;
  if (found.length === 0 && files.length > 1 && program !== undefined) return findByName([program], what, wanted, open);
  const [first] = found;
  if (first === undefined) {
    const names = [...near].slice(0, 3);
    throw new MachineError(`${what} has no function ${before}`, {
      code: 'E_NO_SYMBOL',
      hints: [
        ...(names.length > 0 ? [`did you mean ${names.join(' or ')}?`] : []),
        `functions by a regular expression: insitu symbols ${what} REGEX`,
      ],
      cause: failure,
    });
  }
  for (const { binary } of found) requireX86(binary);
  if (found.length > mostFunctions) {
    complain(`WARNING: ${found.length} functions are called ${before}; the first ${mostFunctions} are listed\n`);
  }
  for (const { listed, asked: offset } of found) {
    if (offset > 0 && offset >= listed.size && found.length === 1) {
      throw new MachineError(`${listed.name} has ${listed.size} bytes: +${offset} is behind its end`, {
        code: 'E_BAD_OFFSET',
      });
    }
  }
  return found.slice(0, mostFunctions);
}

function findByAddress(
  files: readonly Place[],
  pid: number | undefined,
  address: number,
  open: (place: Place) => ElfBinary,
): Found {
  const hex = `0x${address.toString(16)}`;
  for (const place of files) {
    const { mapping } = place;
    if (pid !== undefined && (mapping === undefined || address < mapping.start || address >= mapping.end)) continue;
    const binary = open(place);
    requireX86(binary);
    const virtual = mapping === undefined ? address : address - biasOf(place, binary);
    const offset = binary.toFileOffset(virtualAddress(virtual));
    if (!offset.ok) throw offset.error;
    const inferred = binary.inferredAt(virtualAddress(virtual));
    const bounds = binary.boundsAt(virtualAddress(virtual)) ?? inferred ?? { address: virtual, size: 0 };
    const symbol = binary.at(virtualAddress(bounds.address));
    const known = symbol?.address === bounds.address ? symbol : undefined;
    const listed = listedOf(binary, virtualAddress(bounds.address), {
      name: inferred?.address === bounds.address ? `~${inferred.name}` : '',
      demangled: '',
      ...known,
      size: bounds.size,
    });
    return { place, binary, listed, asked: virtual - bounds.address };
  }
  throw new MachineError(
    pid === undefined ? `nothing lies at ${hex}` : `process ${pid} has no program's code at ${hex}`,
    { code: 'E_NO_CODE', hints: pid === undefined ? [] : [`insitu memory ${pid} ${hex} tells what is there`] },
  );
}

/** What the addresses of a file are moved by in a process. */
function biasOf({ mapping }: Place, binary: ElfBinary): number {
  if (mapping === undefined) return 0;
  const address = binary.addressAt(mapping.offset);
  return address === undefined ? 0 : mapping.start - address;
}

function listedOf(
  binary: ElfBinary,
  address: VirtualAddress,
  symbol: { readonly name: string; readonly demangled: string; readonly size: number },
): Listed {
  const bounds = symbol.size > 0 ? symbol.size : (binary.boundsAt(address)?.size ?? 0);
  const section = binary.elf.sections.find((one) => address >= one.address && address < one.address + one.size);
  const room = section === undefined ? unknownSize : section.address + section.size - address;
  return {
    // A name with parameters is none that a probe takes: the one that the linker knows is.
    name: symbol.name || `0x${address.toString(16)}`,
    shown: symbol.demangled || symbol.name || `0x${address.toString(16)}`,
    address,
    size: Math.min(bounds > 0 ? bounds : unknownSize, room, mostBytes),
    sizeKnown: bounds > 0,
  };
}

type Disassemble = typeof import('./disassembly.ts')['disassemble'];

function show(found: Found, pid: number | undefined, disassemble: Disassemble, options: CodeOptions): string {
  const { place, binary, listed, asked } = found;
  const bytes = bytesOf(binary, listed);
  const rows = listing(listed, disassemble(bytes, listed.address), programSurroundings(binary));
  const bias = pid === undefined ? undefined : biasOf(place, binary);
  const shown: Shown = {
    file: place.path,
    listed,
    rows,
    bias,
    asked,
    changed: pid === undefined || bias === undefined ? new Map() : changedIn(pid, listed.address + bias, rows),
    sourceLine,
  };
  return options.format === 'json' ? `${JSON.stringify(dataOf(shown, binary))}\n` : codeText(shown);
}

function bytesOf(binary: ElfBinary, { address, size }: Listed): Uint8Array {
  const offset = binary.toFileOffset(virtualAddress(address));
  if (!offset.ok) throw offset.error;
  return binary.elf.reader.read(offset.value, size);
}

/** Instructions that the process has otherwise than the file, by offset: a breakpoint, or code that was patched. */
function changedIn(pid: number, address: number, rows: readonly Row[]): Map<number, Uint8Array> {
  const changed = new Map<number, Uint8Array>();
  const last = rows.at(-1);
  if (last === undefined) return changed;
  const memory = new Uint8Array(last.offset + last.instruction.bytes.length);
  let fd: number | undefined;
  try {
    fd = openSync(`/proc/${pid}/mem`, 'r');
    if (readSync(fd, memory, 0, memory.length, address) < memory.length) return changed;
  } catch {
    return changed;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
  for (const { offset, instruction } of rows) {
    const present = memory.subarray(offset, offset + instruction.bytes.length);
    if (!present.every((byte, at) => byte === instruction.bytes[at])) changed.set(offset, present);
  }
  return changed;
}

const sources = new Map<string, readonly string[]>();

/** A line of a source file that is on this machine. */
function sourceLine(file: string, line: number): string | undefined {
  let lines = sources.get(file);
  if (lines === undefined) {
    try {
      lines = file.startsWith('/') ? readFileSync(file, 'utf8').split('\n') : [];
    } catch {
      lines = [];
    }
    sources.set(file, lines);
  }
  return lines[line - 1];
}

/** The object of --json. */
function dataOf(shown: Shown, binary: ElfBinary): object {
  const { file, listed, rows, bias, asked } = shown;
  const hex = (value: number): string => `0x${value.toString(16)}`;
  const at = rowAt(rows, asked);
  return {
    type: 'code',
    data: {
      file,
      buildId: binary.buildId,
      name: listed.shown,
      symbol: listed.name,
      address: hex(listed.address),
      size: listed.size,
      sizeKnown: listed.sizeKnown,
      ...(at === undefined
        ? {}
        : {
            uprobe: {
              probe: probeText(file, listed, at.offset),
              address: hex(at.instruction.address),
              inside: at.offset !== asked,
            },
          }),
      instructions: rows.map(({ instruction, fileOffset, offset, reference, source }) => {
        const inMemory = shown.changed.get(offset);
        const where = sourceText(source);
        return {
          address: hex(instruction.address),
          ...(bias === undefined ? {} : { process: hex(instruction.address + bias) }),
          ...(fileOffset === undefined ? {} : { fileOffset: hex(fileOffset) }),
          offset,
          bytes: bytesText(instruction.bytes).replaceAll(' ', ''),
          mnemonic: instruction.mnemonic,
          operands: instruction.operands,
          ...(instruction.target === undefined ? {} : { target: hex(instruction.target) }),
          ...(instruction.memory === undefined ? {} : { memory: hex(instruction.memory) }),
          ...(reference === undefined ? {} : { reference }),
          ...(inMemory === undefined ? {} : { inMemory: bytesText(inMemory).replaceAll(' ', '') }),
          ...(where === '' ? {} : { source: source?.frames }),
        };
      }),
    },
  };
}

/** The instruction at an address of a file, with what it refers to; undefined where it cannot be told. */
export async function instructionAt(
  binary: ElfBinary,
  address: VirtualAddress,
): Promise<{ readonly text: string; readonly inside: boolean } | undefined> {
  if (binary.elf.header.machine !== EM_X86_64) return undefined;
  const start = binary.codeAt(address).instruction;
  const offset = start === undefined ? undefined : binary.toFileOffset(start);
  if (start === undefined || offset === undefined || !offset.ok) return undefined;
  const { disassemble } = await import('./disassembly.ts');
  const [instruction] = disassemble(binary.elf.reader.read(offset.value, 15), start);
  if (instruction === undefined) return undefined;
  const listed = { ...listedOf(binary, start, { name: '', demangled: '', size: 0 }), address: start, size: 0 };
  const [row] = listing(listed, [instruction], programSurroundings(binary));
  const reference = row?.reference === undefined ? '' : `  <${row.reference}>`;
  return { text: `${instruction.mnemonic} ${instruction.operands}`.trim() + reference, inside: start !== address };
}
