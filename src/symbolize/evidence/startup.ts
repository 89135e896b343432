/**
 * What the loader and the C library start: the entry point, `main` (the first argument of
 * __libc_start_main, psABI 3.4.1 for the registers), initialisers, the routines of
 * threads, and the stubs of the procedure linkage table.
 */
import { EM_X86_64, SHF_EXECINSTR } from '../../debuginfo/elf/constants.ts';
import type { FunctionBounds } from '../../debuginfo/elf/frames.ts';
import type { Image } from '../../debuginfo/elf/image.ts';
import type { Pointers } from '../../debuginfo/elf/relocations.ts';
import type { Program } from './program.ts';
import { ADDRESS, CALL, CALL_THROUGH, MEMORY } from './references.ts';
import type { Finding } from './rules.ts';
import { Decoder, RDI, RDX } from './x86.ts';

const DT_INIT_ARRAY = 25;
const DT_INIT_ARRAYSZ = 27;

/** One stub of the PLT. */
export interface Stub {
  readonly address: number;
  readonly size: number;
  readonly name: string;
}

/** The stubs in the sections of the linker's making; in the order of their addresses. */
export function findStubs(image: Image, pointers: Pointers): Stub[] {
  const found: Stub[] = [];
  if (image.elf.header.machine !== EM_X86_64) return found;
  const decoder = new Decoder();
  for (const section of image.elf.sections) {
    if (!section.name.startsWith('.plt') || (section.flags & SHF_EXECINSTR) === 0) continue;
    const bytes = image.bytesAt(section.address, section.size);
    // Jump slots stand 16 bytes apart, those without a lazy part (.plt.got) 8 or 16.
    for (let at = 0; at + 6 <= bytes.length; at += 8) {
      let jump = at;
      if (bytes[at] === 0xf3 && bytes[at + 1] === 0x0f && bytes[at + 2] === 0x1e && bytes[at + 3] === 0xfa) jump += 4;
      if (!decoder.decode(bytes, jump, bytes.length)) continue;
      if (decoder.opcode !== 0xff || !decoder.ripRelative || ((decoder.modrm >>> 3) & 7) !== 4) continue;
      const name = pointers.nameAt(section.address + jump + decoder.length + decoder.displacement);
      if (name === undefined || name === '') continue;
      found.push({ address: section.address + at, size: jump - at + decoder.length > 8 || (at & 15) === 0 ? 16 : 8, name });
    }
  }
  const sorted = found.sort((a, b) => a.address - b.address);
  return sorted.map((stub, index) => {
    const room = (sorted[index + 1]?.address ?? Infinity) - stub.address;
    return { ...stub, size: Math.min(stub.size, room) };
  });
}

/** The functions' bounds with the stubs among them, in place of what call frame information says of the PLT. */
export function withStubs(bounds: FunctionBounds, stubs: readonly Stub[]): FunctionBounds {
  const [first] = stubs;
  if (first === undefined) return bounds;
  const isStub = new Set(stubs.map((stub) => stub.address));
  const merged: { start: number; size: number }[] = stubs.map(({ address, size }) => ({ start: address, size }));
  const covers = (start: number, end: number): boolean => stubs.some((stub) => stub.address >= start && stub.address < end);
  const low = first.address;
  const high = (stubs.at(-1) as Stub).address;
  const count = bounds.starts.length;
  const starts = new Uint32Array(count + stubs.length);
  const sizes = new Uint32Array(count + stubs.length);
  let kept = 0;
  const put = (start: number, size: number): void => {
    starts[kept] = start;
    sizes[kept++] = size;
  };
  let next = 0;
  for (let index = 0; index < count; index++) {
    const start = bounds.starts[index] as number;
    const size = bounds.sizes[index] as number;
    while (next < merged.length && (merged[next] as { start: number }).start <= start) {
      const stub = merged[next++] as { start: number; size: number };
      put(stub.start, stub.size);
    }
    const near = start <= high && start + size > low;
    if (near && (isStub.has(start) || covers(start, start + size))) continue;
    put(start, size);
  }
  for (; next < merged.length; next++) {
    const stub = merged[next] as { start: number; size: number };
    put(stub.start, stub.size);
  }
  return { starts: starts.slice(0, kept), sizes: sizes.slice(0, kept) };
}

/** `_start` and `main`. */
function findMain(program: Program, add: (finding: Finding) => void): void {
  const { image, pointers } = program;
  const entry: number = image.elf.header.entry;
  if (entry === 0 || !image.isCode(entry) || image.elf.interpreter === '') return;
  const start = program.functionStarting(entry);
  if (start >= 0) add({ index: start, rule: 'start', scopes: [], member: '_start', proof: [entry] });
  if (image.elf.header.machine !== EM_X86_64) return;
  const bytes = image.bytesAt(entry, 64);
  const decoder = new Decoder();
  let main = 0;
  for (let at = 0; at < bytes.length && decoder.decode(bytes, at, bytes.length); ) {
    at += decoder.length;
    const { opcode } = decoder;
    const address = entry + at + decoder.displacement;
    if (decoder.ripRelative && decoder.reg === RDI && opcode === 0x8d) main = address;
    else if (decoder.ripRelative && decoder.reg === RDI && opcode === 0x8b) main = pointers.at(address);
    else if (opcode === 0xbf && decoder.opcodeRegister === RDI) main = decoder.immediate >>> 0;
    else if (opcode === 0xc7 && decoder.rm === RDI) main = decoder.immediate >>> 0;
    else if (opcode === 0xe8 || (opcode === 0xff && ((decoder.modrm >>> 3) & 7) === 2)) break;
  }
  const index = program.functionStarting(main);
  if (index >= 0) add({ index, rule: 'start', scopes: [], member: 'main', proof: [entry] });
}

function findInitializers(program: Program, add: (finding: Finding) => void): void {
  const table = program.image.dynamic(DT_INIT_ARRAY);
  const size = program.image.dynamic(DT_INIT_ARRAYSZ);
  if (table === undefined || size === undefined) return;
  const count = Math.min(Math.floor(size / 8), 1 << 20);
  for (let slot = 0; slot < count; slot++) {
    const index = program.functionStarting(program.pointers.at(table + slot * 8));
    if (index < 0) continue;
    add({ index, rule: 'initializer', scopes: [], member: `static initializer ${slot}`, proof: [table + slot * 8] });
  }
}

/** How far before the call the compiler loads the argument, in bytes, at most. */
const argumentDistance = 60;

function findThreads(program: Program, stubs: readonly Stub[], add: (finding: Finding) => void): void {
  const creators = new Set(stubs.filter((stub) => stub.name === 'pthread_create').map((stub) => stub.address));
  program.pointers.forEachBound((word, name) => {
    if (name === 'pthread_create') creators.add(word);
  });
  if (creators.size === 0) return;
  const { references, image } = program;
  const decoder = new Decoder();
  for (let at = 0; at < references.from.length; at++) {
    const kind = references.kind[at] as number;
    if ((kind !== CALL && kind !== CALL_THROUGH) || !creators.has(references.target[at] as number)) continue;
    const call = references.from[at] as number;
    for (let before = at - 1; before >= 0 && call - (references.from[before] as number) <= argumentDistance; before--) {
      const from = references.from[before] as number;
      const what = references.kind[before] as number;
      if (what !== ADDRESS && what !== MEMORY) continue;
      if (!decoder.decode(image.bytesAt(from, 16), 0, 16)) continue;
      const target = references.target[before] as number;
      const isThird = decoder.modrm < 0 ? decoder.opcodeRegister === RDX : decoder.reg === RDX;
      const index = isThird ? program.functionStarting(what === ADDRESS ? target : program.pointers.at(target)) : -1;
      if (index < 0) continue;
      add({ index, rule: 'thread', scopes: [], member: 'start of a thread', proof: [call] });
      break;
    }
  }
}

export function findStartup(program: Program, stubs: readonly Stub[], add: (finding: Finding) => void): void {
  findMain(program, add);
  for (const stub of stubs) {
    const index = program.functionStarting(stub.address);
    if (index >= 0) add({ index, rule: 'plt', scopes: [], member: `${stub.name}@plt`, proof: [stub.address] });
  }
  findInitializers(program, add);
  findThreads(program, stubs, add);
}
