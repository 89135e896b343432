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
import { ADDRESS, BRANCH, CALL, MEMORY } from './references.ts';
import type { Finding } from './rules.ts';
import { WordMap } from './words.ts';
import { Decoder, RDI, RDX, RSI } from './x86.ts';

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
      found.push({
        address: section.address + at,
        size: jump - at + decoder.length > 8 || (at & 15) === 0 ? 16 : 8,
        name,
      });
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
  const covers = (start: number, end: number): boolean =>
    stubs.some((stub) => stub.address >= start && stub.address < end);
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

/** How far before the call the compiler loads an argument, in bytes, at most. */
const argumentDistance = 60;

/** One call to a library's function, with the addresses that were loaded into registers shortly before. */
interface Handed {
  /** Address of the call. */
  readonly call: number;
  /** What the register held, 0 when that was no address. */
  in(register: number): number;
}

/** Calls back with every call or jump to one of a library's functions. */
function eachCall(program: Program, stubs: readonly Stub[], name: string, visit: (handed: Handed) => void): void {
  const { references, image, pointers } = program;
  const targets = new WordMap();
  for (const stub of stubs) if (stub.name === name) targets.set(stub.address, 1);
  pointers.forEachBound((word, bound) => {
    if (bound === name) targets.set(word, 1);
  });
  const decoder = new Decoder();
  for (let at = 0; at < references.from.length; at++) {
    if ((references.kind[at] as number) < CALL || targets.get(references.target[at] as number) < 0) continue;
    const call = references.from[at] as number;
    const find = (register: number): number => {
      for (let before = at - 1; before >= 0; before--) {
        const from = references.from[before] as number;
        const kind = references.kind[before] as number;
        // What was loaded before another call is not this one's.
        if (call - from > argumentDistance || (kind >= CALL && kind !== BRANCH)) return 0;
        if (kind !== ADDRESS && kind !== MEMORY) continue;
        if (!decoder.decode(image.bytesAt(from, 16), 0, 16)) continue;
        if ((decoder.modrm < 0 ? decoder.opcodeRegister : decoder.reg) !== register) continue;
        const target = references.target[before] as number;
        return kind === ADDRESS ? target : pointers.at(target);
      }
      return 0;
    };
    visit({ call, in: find });
  }
}

/** Routines of threads: pthread_create(thread, attributes, routine, argument). */
function findThreads(program: Program, stubs: readonly Stub[], add: (finding: Finding) => void): void {
  eachCall(program, stubs, 'pthread_create', (handed) => {
    const index = program.functionStarting(handed.in(RDX));
    if (index >= 0) add({ index, rule: 'thread', scopes: [], member: 'start of a thread', proof: [handed.call] });
  });
}

/** Destructors of static objects: __cxa_atexit(destructor, object, library), Itanium C++ ABI 3.3.6.3. */
function findFinalizers(program: Program, stubs: readonly Stub[], add: (finding: Finding) => void): void {
  const objects = new Map<number, number>();
  eachCall(program, stubs, '__cxa_atexit', (handed) => {
    const index = program.functionStarting(handed.in(RDI));
    const object = handed.in(RSI);
    // Without an object it is a function of the compiler's that destroys an array, or several objects.
    if (index < 0) return;
    objects.set(index, objects.has(index) && objects.get(index) !== object ? 0 : object);
  });
  for (const [index, object] of objects) {
    const member = object === 0 ? 'static destructor' : `static destructor 0x${object.toString(16)}`;
    add({ index, rule: 'finalizer', scopes: [], member, proof: [object] });
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
  findFinalizers(program, stubs, add);
}
