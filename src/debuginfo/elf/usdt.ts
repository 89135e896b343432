/**
 * User-space statically defined trace points: what sys/sdt.h leaves in a file. Each
 * place is a note (name "stapsdt", type 3) in the section .note.stapsdt that holds the
 * place's address, the address that .stapsdt.base had when the file was linked, the
 * semaphore's address (0 for none), and three strings: provider, name, arguments.
 * Specification: https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation
 *
 * A tool that moves sections afterwards (prelink) leaves the notes as they were: all
 * addresses move by as much as .stapsdt.base did.
 */
import { type VirtualAddress, virtualAddress } from '../../base/numbers.ts';
import { Cursor, EndOfBytes } from '../../bytes/cursor.ts';
import type { ElfFile } from './elf.ts';
import { readNotes } from './note.ts';

export interface UsdtNote {
  readonly provider: string;
  readonly name: string;
  /** Of the nop that the probe replaces. */
  readonly address: VirtualAddress;
  /** Of the 16-bit counter of tracers, undefined when the probe has none. */
  readonly semaphore: VirtualAddress | undefined;
  /** As the assembler was given them: `-4@%edi 8@-16(%rbp)`; '' for none. */
  readonly arguments: string;
}

const NT_STAPSDT = 3;

/** All trace points of a file, in the order of its notes; what is damaged is left out. */
export function readUsdtNotes(elf: ElfFile): UsdtNote[] {
  const { littleEndian, class: width } = elf.header;
  const base = elf.section('.stapsdt.base')?.address;
  const notes: UsdtNote[] = [];
  for (const section of elf.sections) {
    if (section.name !== '.note.stapsdt') continue;
    const contents = elf.contents(section);
    if (!contents.ok) continue;
    for (const note of readNotes(contents.value, littleEndian, 4)) {
      if (note.name !== 'stapsdt' || note.type !== NT_STAPSDT) continue;
      const read = readUsdt(note.description, littleEndian, width === 64, base);
      if (read !== undefined) notes.push(read);
    }
  }
  return notes;
}

function readUsdt(
  bytes: Uint8Array,
  littleEndian: boolean,
  wide: boolean,
  base: number | undefined,
): UsdtNote | undefined {
  const cursor = new Cursor(bytes, littleEndian);
  try {
    const word = (): number => (wide ? cursor.u64number() : cursor.u32());
    const [address, linkedBase, semaphore] = [word(), word(), word()];
    const moved = base === undefined ? 0 : base - linkedBase;
    const [provider, name, args] = [cursor.cString(), cursor.cString(), cursor.cString()];
    return {
      provider,
      name,
      address: virtualAddress(address + moved),
      semaphore: semaphore === 0 ? undefined : virtualAddress(semaphore + moved),
      // The compiler writes ':' for an argument list that is empty.
      arguments: args === ':' ? '' : args,
    };
  } catch (error) {
    if (error instanceof EndOfBytes) return undefined;
    throw error;
  }
}
