/**
 * Where functions start and end, from the call frame information: every function that an
 * exception may pass through, and on x86-64 and arm64 every other one too, has a frame
 * description entry (FDE) in .eh_frame. LSB 5 "Exception Frames", DWARF 5 section 6.4.1
 * for the entries, LSB "DWARF Extensions" for the pointer encodings.
 *
 * Bounds are read, and where a function's table of exceptions lies; personality and the
 * rules for unwinding are stepped over. .eh_frame_hdr is not needed, where it is there it
 * finds .eh_frame in a file without section headers.
 */

import { PT_GNU_EH_FRAME } from './constants.ts';
import type { Image, Part } from './image.ts';

/** Functions in ascending order of address, each address once; sizes in bytes. */
export interface FunctionBounds {
  readonly starts: Uint32Array;
  readonly sizes: Uint32Array;
}

const DW_EH_PE_absptr = 0x00;
const DW_EH_PE_udata2 = 0x02;
const DW_EH_PE_udata4 = 0x03;
const DW_EH_PE_udata8 = 0x04;
const DW_EH_PE_sdata2 = 0x0a;
const DW_EH_PE_sdata4 = 0x0b;
const DW_EH_PE_sdata8 = 0x0c;
const DW_EH_PE_pcrel = 0x10;
const DW_EH_PE_indirect = 0x80;
const DW_EH_PE_omit = 0xff;

const encodedSizes: Readonly<Record<number, number>> = {
  [DW_EH_PE_absptr]: 8,
  [DW_EH_PE_udata2]: 2,
  [DW_EH_PE_udata4]: 4,
  [DW_EH_PE_udata8]: 8,
  [DW_EH_PE_sdata2]: 2,
  [DW_EH_PE_sdata4]: 4,
  [DW_EH_PE_sdata8]: 8,
};

/** Where .eh_frame lies: by its section, else by the pointer in .eh_frame_hdr; undefined when there is neither. */
function findFrames(image: Image): { readonly address: number; readonly size: number } | undefined {
  const section = image.elf.section('.eh_frame');
  if (section !== undefined && section.address !== 0) return { address: section.address, size: section.size };
  const header = image.elf.segments.find((segment) => segment.type === PT_GNU_EH_FRAME);
  if (header === undefined) return undefined;
  // version, encodings of the pointer, the count and the table; the pointer is pcrel|sdata4 in every linker's output.
  const word = image.u32(header.address);
  if (word === undefined || (word & 0xffff) !== (((DW_EH_PE_pcrel | DW_EH_PE_sdata4) << 8) | 1)) return undefined;
  const address = header.address + 4 + (image.i32(header.address + 4) ?? 0);
  const part = image.partAt(address);
  return part === undefined ? undefined : { address, size: part.end - address };
}

/**
 * The bounds of all functions that .eh_frame tells of, as far as the file holds their
 * code; none when it has no .eh_frame. A damaged entry ends the reading.
 */
export function readFunctionBounds(image: Image): FunctionBounds {
  const frames = findFrames(image);
  if (frames === undefined) return { starts: new Uint32Array(0), sizes: new Uint32Array(0) };
  const bytes = image.bytesAt(frames.address, frames.size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Start and size packed into one number each (32 + 21 bits), so that sorting needs no comparison function.
  let packed = new Float64Array(1 << 12);
  let count = 0;
  eachFrame(bytes, (field, { addresses: encoding }) => {
    const width = encodedSizes[encoding & 0x0f];
    if (width === undefined || field + 2 * width > bytes.length) return true;
    let start = readNumber(view, field, encoding & 0x0f);
    if ((encoding & 0x70) === DW_EH_PE_pcrel) start += frames.address + field;
    // The length has the encoding's width, but is never signed.
    const size = readNumber(view, field + width, encoding & 0x07);
    if (start > 0 && start + size <= 2 ** 32 && size > 0) {
      if (count === packed.length) {
        const larger = new Float64Array(count * 2);
        larger.set(packed);
        packed = larger;
      }
      packed[count++] = start * mostSize + Math.min(size, mostSize - 1);
    }
    return true;
  });
  const order = packed.subarray(0, count).sort();
  const starts = new Uint32Array(count);
  const sizes = new Uint32Array(count);
  const code = image.parts.filter(({ executable }) => executable);
  let part = 0;
  let kept = 0;
  for (const value of order) {
    const start = Math.floor(value / mostSize);
    while (part < code.length && start >= (code[part] as Part).end) part++;
    if (part === code.length || start < (code[part] as Part).address) continue;
    if (kept > 0 && starts[kept - 1] === start) kept--;
    starts[kept] = start;
    sizes[kept++] = value % mostSize;
  }
  return { starts: starts.subarray(0, kept), sizes: sizes.subarray(0, kept) };
}

/**
 * Whether a function catches exceptions by their type (C++, Rust's catch_unwind): its table of exceptions
 * (language-specific data area; gcc/unwind-c.c, LLVM's EHStreamer.cpp) has types. Cleanups that run when
 * a thread of a C program is cancelled have none.
 */
export function catchesTypes(image: Image): boolean {
  const frames = findFrames(image);
  if (frames === undefined) return false;
  const bytes = image.bytesAt(frames.address, frames.size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let found = false;
  eachFrame(bytes, (field, { addresses, tables }) => {
    const width = encodedSizes[addresses & 0x0f];
    const tableWidth = encodedSizes[tables & 0x0f];
    if (width === undefined || tableWidth === undefined || (tables & DW_EH_PE_indirect) !== 0) return true;
    // Behind the bounds the length of the augmentation data, one byte as it holds the pointer alone.
    const at = field + 2 * width + 1;
    if (at + tableWidth > bytes.length) return true;
    let table = readNumber(view, at, tables & 0x0f);
    if (table === 0) return true;
    if ((tables & 0x70) === DW_EH_PE_pcrel) table += frames.address + at;
    // The base of the landing pads, left out as a rule; the encoding of the types.
    const [base, types] = table > 0 ? image.bytesAt(table, 2) : [];
    found = base === DW_EH_PE_omit && types !== undefined && types !== DW_EH_PE_omit;
    return !found;
  });
  return found;
}

/** Calls back for each FDE with where its first address lies, until it says false. A damaged entry ends the reading. */
function eachFrame(bytes: Uint8Array, take: (field: number, encodings: Encodings) => boolean): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const known = new Map<number, Encodings>();
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at, true);
    // A zero length ends a table; what one linker input leaves in the middle is followed by the next one's.
    if (length === 0) {
      at += 4;
      continue;
    }
    // 64-bit entries (0xffffffff) are only made for .debug_frame.
    if (length >= 0xfffffff0 || at + 4 + length > bytes.length) break;
    const id = view.getUint32(at + 4, true);
    if (id !== 0) {
      const cie = at + 4 - id;
      let encodings = known.get(cie);
      if (encodings === undefined) {
        encodings = readEncodings(bytes, cie);
        known.set(cie, encodings);
      }
      if (!take(at + 8, encodings)) return;
    }
    at += 4 + length;
  }
}

/** No compiler makes a larger function; sizes above are cut. */
const mostSize = 2 ** 21;

function readNumber(view: DataView, at: number, format: number): number {
  switch (format) {
    case DW_EH_PE_udata2:
      return view.getUint16(at, true);
    case DW_EH_PE_sdata2:
      return view.getInt16(at, true);
    case DW_EH_PE_udata4:
      return view.getUint32(at, true);
    case DW_EH_PE_sdata4:
      return view.getInt32(at, true);
    default:
      return view.getInt32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
  }
}

/** What a CIE's augmentation tells of its FDEs: how addresses, and pointers to tables of exceptions are encoded. */
interface Encodings {
  /** DW_EH_PE_omit for what can't be read. */
  readonly addresses: number;
  /** DW_EH_PE_omit when they have none. */
  readonly tables: number;
}

const unreadable: Encodings = { addresses: DW_EH_PE_omit, tables: DW_EH_PE_omit };

function readEncodings(bytes: Uint8Array, cie: number): Encodings {
  if (!(cie >= 0 && cie + 9 < bytes.length)) return unreadable;
  const version = bytes[cie + 8];
  if (version !== 1 && version !== 3) return unreadable;
  let at = cie + 9;
  let augmentation = '';
  for (; at < bytes.length && bytes[at] !== 0 && augmentation.length < 8; at++) {
    augmentation += String.fromCharCode(bytes[at] as number);
  }
  at++;
  let addresses: number | undefined;
  let tables = DW_EH_PE_omit;
  if (augmentation === '') return { addresses: DW_EH_PE_absptr, tables };
  if (!augmentation.startsWith('z')) return unreadable;
  const skipNumber = (): void => {
    while (((bytes[at++] ?? 0) & 0x80) !== 0);
  };
  skipNumber(); // code alignment
  skipNumber(); // data alignment
  if (version === 1) at++;
  else skipNumber(); // return address register
  skipNumber(); // the augmentation data's length
  for (const letter of augmentation.slice(1)) {
    if (letter === 'R') addresses = bytes[at++] ?? DW_EH_PE_omit;
    else if (letter === 'L') tables = bytes[at++] ?? DW_EH_PE_omit;
    else if (letter === 'P') {
      const encoding = bytes[at++] ?? DW_EH_PE_omit;
      at += encodedSizes[encoding & 0x0f] ?? 0;
    } else if (letter !== 'S' && letter !== 'B' && letter !== 'G')
      return { ...unreadable, addresses: addresses ?? DW_EH_PE_omit };
  }
  return { addresses: addresses ?? DW_EH_PE_absptr, tables };
}
