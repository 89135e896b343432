/**
 * Where a file's thread-local variables are in a running thread (Drepper, "ELF Handling
 * For Thread-Local Storage"). An executable's lie at a fixed distance below the thread
 * pointer (variant II, x86-64); those of a library in a block that the thread's vector
 * has under the module's number, which the loader writes into the library's GOT.
 */
import { ET_EXEC, PT_TLS, SHT_DYNSYM } from './constants.ts';
import type { ElfFile } from './elf.ts';

const R_X86_64_DTPMOD64 = 16;
const R_X86_64_TPOFF64 = 18;
const relocationSize = 24;
const symbolSize = 24;

export interface ThreadLocals {
  /** What to add to an offset in the block to count from the thread pointer; undefined for a library. */
  readonly fromThreadPointer: number | undefined;
  /** Virtual address of the word that holds the module's number; undefined where none does. */
  readonly moduleSlot: number | undefined;
  /** For a library that was loaded with the program: where the distance of one offset from the thread pointer is. */
  readonly distance: Distance | undefined;
}

interface Distance {
  /** Virtual address of the word with the distance. */
  readonly slot: number;
  /** The offset in the block that it is the distance of. */
  readonly of: number;
}

/** undefined for a file without thread-local variables. */
export function readThreadLocals(elf: ElfFile): ThreadLocals | undefined {
  const segment = elf.segments.find(({ type }) => type === PT_TLS);
  if (segment === undefined) return undefined;
  if (elf.header.type === ET_EXEC || elf.interpreter !== '') {
    const alignment = Math.max(1, segment.alignment);
    const block = Math.ceil(segment.memorySize / alignment) * alignment;
    return { fromThreadPointer: -block, moduleSlot: undefined, distance: undefined };
  }
  return { fromThreadPointer: undefined, ...readSlots(elf) };
}

/** The relocations by which the loader tells a library where its own variables are. */
function readSlots(elf: ElfFile): { readonly moduleSlot: number | undefined; readonly distance: Distance | undefined } {
  let moduleSlot: number | undefined;
  let distance: Distance | undefined;
  const section = elf.section('.rela.dyn');
  const contents = section === undefined ? undefined : elf.contents(section);
  const bytes = contents?.ok ? contents.value : new Uint8Array(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + relocationSize <= bytes.length && moduleSlot === undefined; at += relocationSize) {
    const type = view.getUint32(at + 8, true);
    if (type !== R_X86_64_DTPMOD64 && type !== R_X86_64_TPOFF64) continue;
    const place = Number(view.getBigUint64(at, true));
    const index = view.getUint32(at + 12, true);
    const value = index === 0 ? 0 : ownSymbol(elf, index);
    // Another library's variable is of no use.
    if (value === undefined) continue;
    if (type === R_X86_64_DTPMOD64) moduleSlot = place;
    else distance ??= { slot: place, of: value + Number(view.getBigInt64(at + 16, true)) };
  }
  return { moduleSlot, distance };
}

/** The value of a symbol that the file itself defines: of a thread-local one its offset in the block. */
function ownSymbol(elf: ElfFile, index: number): number | undefined {
  const section = elf.sections.find(({ type }) => type === SHT_DYNSYM);
  if (section === undefined) return undefined;
  const bytes = elf.reader.read(section.offset + index * symbolSize, symbolSize);
  if (bytes.length < symbolSize) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint16(6, true) === 0 ? undefined : Number(view.getBigUint64(8, true));
}
