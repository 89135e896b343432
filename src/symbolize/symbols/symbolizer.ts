/**
 * From an address in a process to a name: address → mapping → file offset → (program
 * headers) virtual address → symbol. Every step that fails says why; a batch answers for
 * each address by itself.
 *
 * Maps, binaries and names stay cached, within bounds, so that what a process did can
 * still be named after it has gone; `prepare` opens a process's files while it lives.
 */

import { Lru } from '../../base/lru.ts';
import {
  type FileOffset,
  fileOffset,
  type ProcessAddress,
  type VirtualAddress,
  virtualAddress,
} from '../../base/numbers.ts';
import type { FileReader } from '../../bytes/file.ts';
import type { SourcePlace } from '../../debuginfo/dwarf/index.ts';
import type { Mapping } from '../../debuginfo/text/maps.ts';
import type { FunctionSymbol } from '../../target/target.ts';
import { type BinaryOptions, type ElfBinary, openBinary } from './binary.ts';
import { JitDump } from './jitdump.ts';
import { PerfMap } from './perfmap.ts';
import { PlaceCache } from './places.ts';
import { offsetOf, ProcessMaps } from './process.ts';

/** What the symbolizer needs of a machine. */
export interface ProcessFiles {
  /** The text of /proc/PID/maps; undefined when there is no such process. */
  maps(pid: number): string | undefined;
  /**
   * Opens a mapped file as the process sees it: /proc/PID/map_files or /proc/PID/root
   * while it lives, else the plain path, if that is the same file (device and inode)
   * still. `[vdso]` is asked for too; its image may be given as bytes. undefined when
   * there is no way to it.
   */
  open(pid: number, mapping: Mapping): FileReader | undefined;
  /** The process's perf map (/tmp/perf-PID.map, in its own name spaces) as it is now; closed after use. */
  perfMap(pid: number): FileReader | undefined;
}

/** A frame with a name. */
export interface NamedFrame {
  readonly found: true;
  /** Path of the file, or what stands for it: `[vdso]`, `[jit]`. */
  readonly module: string;
  /** As in the symbol table. */
  readonly name: string;
  /** Demangled, '' when it is the same. */
  readonly demangled: string;
  /** How far into the function, in bytes. */
  readonly offset: number;
  /** Where in the file; undefined for code without a file. */
  readonly place: FramePlace | undefined;
}

/** A frame without a name, and why. */
export interface NamelessFrame {
  readonly found: false;
  readonly reason: string;
  /** '' where not even the file is known. */
  readonly module: string;
  readonly place: FramePlace | undefined;
}

/** An address, in terms that outlive the process. */
export interface FramePlace {
  readonly fileOffset: FileOffset;
  readonly address: VirtualAddress;
  readonly buildId: string;
}

export type SymbolizedFrame = NamedFrame | NamelessFrame;

export interface SymbolizerLimits {
  /** Binaries kept open. */
  readonly binaries?: number;
  /** Processes whose mappings are kept, gone ones included. */
  readonly processes?: number;
  /** Places in each file whose names are kept. */
  readonly names?: number;
}

interface Process {
  maps: ProcessMaps;
  /** True when `maps` held everything at some time. */
  complete: boolean;
  /** True when a session tells of changes; then complete maps need not be read again. */
  followed: boolean;
  perfMap: PerfMap | undefined;
  jitDump: JitDump | undefined;
}

/** What one call has found out so far. */
interface Batch {
  process: Process | undefined;
  /** Where the last address lay: mostly that of the next, too. */
  mapping: Mapping | undefined;
  module: Module | undefined;
  mapsRead: boolean;
  perfMapRead: boolean;
  jitDumpRead: boolean;
}

interface Module {
  readonly path: string;
  readonly binary: ElfBinary | undefined;
  /** Why there is no binary. */
  readonly reason: string;
  /** Names by place in the file. */
  readonly names: PlaceCache<SymbolizedFrame>;
  /** Its binary has been closed, to make room for others. */
  closed: boolean;
}

export class Symbolizer {
  readonly #files: ProcessFiles;
  readonly #options: BinaryOptions;
  readonly #processes: Lru<number, Process>;
  readonly #modules: Lru<string, Module>;
  /** The module of a mapping, as long as it is open. */
  readonly #mapped: WeakMap<Mapping, Module> = new WeakMap();
  readonly #mostNames: number;
  /** Process and build-id of files that could not be found, so that each is looked for once. */
  readonly #missing: Lru<string, boolean> = new Lru(4096);

  constructor(files: ProcessFiles, options: BinaryOptions, limits: SymbolizerLimits = {}) {
    this.#files = files;
    this.#options = options;
    this.#processes = new Lru(limits.processes ?? 4096);
    this.#modules = new Lru(limits.binaries ?? 256, (module) => {
      module.closed = true;
      module.binary?.close();
    });
    this.#mostNames = limits.names ?? 65_536;
  }

  /** Reads a process's mappings now and opens its executable files, so that its frames can be named when it has gone. */
  prepare(pid: number): void {
    const process = this.#load(pid);
    for (const mapping of process?.maps.mappings ?? []) {
      if (isExecutable(mapping) && hasFile(mapping)) this.#module(pid, mapping);
    }
  }

  /** A mapping that the process has made (PERF_RECORD_MMAP2, or a bpf program's event). */
  mapped(pid: number, mapping: Mapping): void {
    const process = this.#processes.get(pid) ?? this.#add(pid, new ProcessMaps(), false);
    process.followed = true;
    process.maps.add(mapping);
  }

  /** A range that the process has unmapped. */
  unmapped(pid: number, start: ProcessAddress, end: ProcessAddress): void {
    this.#processes.get(pid)?.maps.remove(start, end);
  }

  /** The process has started another program; its mappings follow by `mapped`. */
  executed(pid: number): void {
    // Not called complete, so that one look at what it has mapped makes up for events that were missed.
    this.#add(pid, new ProcessMaps(), false).followed = true;
  }

  /** Events have been lost: what is known of any process may be out of date. */
  lost(): void {
    for (const process of this.#processes.values()) process.complete = false;
  }

  /** A child that starts with its parent's mappings. */
  forked(parent: number, child: number): void {
    const process = this.#processes.get(parent) ?? this.#load(parent);
    if (process === undefined) this.#processes.delete(child);
    else
      this.#processes.set(child, {
        ...process,
        maps: process.maps.copy(),
        perfMap: process.perfMap?.copy(),
        jitDump: undefined,
      });
  }

  /** Names one address of a process. */
  symbolize(pid: number, address: ProcessAddress): SymbolizedFrame {
    return this.symbolizeMany(pid, [address])[0] as SymbolizedFrame;
  }

  /**
   * Names many addresses of a process; one answer for each, in order. The addresses are
   * taken as they are: a return address wants 1 subtracted by the caller, where it should
   * count to the call instead of what follows it.
   */
  symbolizeMany(pid: number, addresses: readonly ProcessAddress[]): SymbolizedFrame[] {
    const batch: Batch = {
      process: this.#processes.get(pid),
      mapping: undefined,
      module: undefined,
      mapsRead: false,
      perfMapRead: false,
      jitDumpRead: false,
    };
    return addresses.map((address) => this.#symbolize(pid, address, batch));
  }

  /** A process's mappings when something is mapped at that address; `followed`: as was told of them, whatever they are now. */
  mappings(pid: number, address: ProcessAddress, followed: boolean): readonly Mapping[] | undefined {
    const known = this.#processes.get(pid);
    if (followed) return known?.maps.find(address) === undefined ? undefined : known.maps.mappings;
    const process =
      known?.maps.find(address) !== undefined || (known?.followed && known.complete) ? known : this.#load(pid);
    return process?.maps.find(address) === undefined ? undefined : process.maps.mappings;
  }

  /** Where in the source an address comes from, inlined functions included; undefined where nothing tells. */
  source(pid: number, address: ProcessAddress): SourcePlace | undefined {
    // Asking for its name finds the mapping, if there is one.
    this.symbolize(pid, address);
    const mapping = this.#processes.get(pid)?.maps.find(address);
    if (mapping === undefined || !hasFile(mapping)) return undefined;
    const { binary } = this.#module(pid, mapping);
    const place = binary?.elf.toVirtualAddress(offsetOf(mapping, address));
    return place === undefined ? undefined : binary?.source(place);
  }

  /** Names a place told as build-id and file offset, as bpf_get_stack does with BPF_F_USER_BUILD_ID. `pid` says where to look for the file. */
  symbolizeBuildId(pid: number, buildId: string, offset: FileOffset): SymbolizedFrame {
    const key = `${pid} ${buildId}`;
    const module = this.#moduleOf(buildId) ?? (this.#missing.get(key) ? undefined : this.#moduleIn(pid, buildId));
    if (module !== undefined) return this.#nameInModule(module, offset);
    this.#missing.set(key, true);
    return nameless('', `no mapped file has the build-id ${buildId}`);
  }

  /** Closes all files. */
  close(): void {
    for (const module of this.#modules.values()) module.binary?.close();
    this.#modules.clear();
    this.#processes.clear();
  }

  #symbolize(pid: number, address: ProcessAddress, batch: Batch): SymbolizedFrame {
    const last = batch.mapping;
    if (last !== undefined && address >= last.start && address < last.end && batch.module?.closed === false) {
      return this.#nameInModule(batch.module, offsetOf(last, address));
    }
    let { process } = batch;
    let mapping = process?.maps.find(address);
    if (mapping === undefined && !(process?.followed && process.complete) && !batch.mapsRead) {
      // Mapped since the maps were read; once in a batch, since garbage among return addresses is common.
      batch.mapsRead = true;
      process = this.#load(pid);
      batch.process = process;
      mapping = process?.maps.find(address);
    }
    if (process === undefined) return nameless('', `process ${pid} is gone, and nothing of it was kept`);
    if (mapping === undefined) return nameless('', 'nothing is mapped at that address');
    if (mapping.path === '[vsyscall]') return nameless('[vsyscall]', 'the page for old system calls has no symbols');
    if (hasFile(mapping)) {
      const module = this.#module(pid, mapping);
      if (module.binary !== undefined) {
        batch.mapping = mapping;
        batch.module = module;
      }
      return this.#nameInModule(module, offsetOf(mapping, address));
    }

    const made = this.#nameInPerfMap(pid, process, address, batch) ?? this.#nameInJitDump(pid, process, address, batch);
    if (made !== undefined) {
      return { found: true, module: '[jit]', name: made.name, demangled: '', offset: made.offset, place: undefined };
    }
    const what = mapping.path === '' ? 'anonymous memory' : mapping.path;
    const hint = isExecutable(mapping)
      ? `; a program that compiles at run time can name it in /tmp/perf-${pid}.map`
      : '';
    return nameless(mapping.path, `the address lies in ${what}, not in a file${hint}`);
  }

  #nameInModule(module: Module, offset: FileOffset): SymbolizedFrame {
    const { names } = module;
    const known = names.get(offset);
    if (known !== undefined) return known;
    const frame = nameAt(module, offset);
    if (module.binary !== undefined) names.set(offset, frame);
    return frame;
  }

  #nameInPerfMap(
    pid: number,
    process: Process,
    address: ProcessAddress,
    batch: Batch,
  ): { readonly name: string; readonly offset: number } | undefined {
    const found = process.perfMap?.at(address);
    if (found !== undefined || batch.perfMapRead) return found;
    batch.perfMapRead = true;
    const reader = this.#files.perfMap(pid);
    if (reader === undefined) return undefined;
    process.perfMap ??= new PerfMap();
    process.perfMap.update(reader);
    reader.close?.();
    return process.perfMap.at(address);
  }

  /** In the file that a JIT compiler writes for `perf inject`, and maps to show that it does. */
  #nameInJitDump(
    pid: number,
    process: Process,
    address: ProcessAddress,
    batch: Batch,
  ): { readonly name: string; readonly offset: number } | undefined {
    const found = process.jitDump?.at(address);
    if (found !== undefined || batch.jitDumpRead) return found;
    batch.jitDumpRead = true;
    const isDump = ({ path }: Mapping): boolean => /\/jit-\d+\.dump$/.test(path);
    let mapping = process.maps.mappings.find(isDump);
    if (mapping === undefined && !process.followed && !batch.mapsRead) {
      // It may have been mapped since the maps were read.
      batch.mapsRead = true;
      mapping = this.#load(pid)?.maps.mappings.find(isDump);
    }
    const reader = mapping === undefined ? undefined : this.#files.open(pid, mapping);
    if (reader === undefined) return undefined;
    process.jitDump ??= new JitDump();
    process.jitDump.update(reader);
    reader.close?.();
    return process.jitDump.at(address);
  }

  /** Reads the process's maps; when it has gone, what is known of it stays. */
  #load(pid: number): Process | undefined {
    const text = this.#files.maps(pid);
    const known = this.#processes.get(pid);
    // The maps file of a process that has ended, and waits for its parent, is empty.
    if (text === undefined || text === '') return known;
    const maps = ProcessMaps.parse(text);
    if (known === undefined) return this.#add(pid, maps, true);
    known.maps = maps;
    known.complete = true;
    return known;
  }

  #add(pid: number, maps: ProcessMaps, complete: boolean): Process {
    const process: Process = { maps, complete, followed: false, perfMap: undefined, jitDump: undefined };
    this.#processes.set(pid, process);
    return process;
  }

  #module(pid: number, mapping: Mapping): Module {
    const last = this.#mapped.get(mapping);
    if (last !== undefined && !last.closed) return last;
    const key = mapping.inode === '0' ? mapping.path : `${mapping.device} ${mapping.inode} ${mapping.path}`;
    let module = this.#modules.get(key);
    if (module === undefined) {
      module = this.#open(pid, mapping);
      // A file that can't be reached now may be reached through another process later.
      if (module.binary === undefined) return module;
      this.#modules.set(key, module);
    }
    this.#mapped.set(mapping, module);
    return module;
  }

  #open(pid: number, mapping: Mapping): Module {
    const { path } = mapping;
    const reader = this.#files.open(pid, mapping);
    if (reader === undefined) return this.#moduleOver(path, undefined, `${path} can't be opened`);
    const binary = openBinary(path, reader, this.#options);
    if (!binary.ok) {
      reader.close?.();
      return this.#moduleOver(path, undefined, binary.error.message);
    }
    if (mapping.buildId !== '' && !sameBuildId(mapping.buildId, binary.value.buildId)) {
      binary.value.close();
      return this.#moduleOver(path, undefined, `${path} has been replaced since it was mapped`);
    }
    return this.#moduleOver(path, binary.value, '');
  }

  #moduleOver(path: string, binary: ElfBinary | undefined, reason: string): Module {
    return { path, binary, reason, names: new PlaceCache(this.#mostNames), closed: false };
  }

  /** The open file of a build-id. */
  #moduleOf(buildId: string): Module | undefined {
    for (const module of this.#modules.values()) {
      if (module.binary !== undefined && sameBuildId(buildId, module.binary.buildId)) return module;
    }
    return undefined;
  }

  /** The file of a build-id among those that a process has mapped, as known or as they are now. */
  #moduleIn(pid: number, buildId: string): Module | undefined {
    for (const maps of [this.#processes.get(pid)?.maps, this.#load(pid)?.maps]) {
      for (const mapping of maps?.mappings ?? []) {
        if (!isExecutable(mapping) || !hasFile(mapping)) continue;
        const module = this.#module(pid, mapping);
        if (module.binary !== undefined && sameBuildId(buildId, module.binary.buildId)) return module;
      }
    }
    return undefined;
  }
}

/** A frame whose parts are worked out when somebody wants to see them. */
class SymbolFrame implements NamedFrame {
  readonly found = true;
  readonly offset: number;
  readonly #module: Module;
  readonly #symbol: FunctionSymbol;
  readonly #fileOffset: FileOffset;

  constructor(module: Module, symbol: FunctionSymbol, address: VirtualAddress, offset: FileOffset) {
    this.offset = address - symbol.address;
    this.#module = module;
    this.#symbol = symbol;
    this.#fileOffset = offset;
  }

  get module(): string {
    return this.#module.path;
  }

  get name(): string {
    return this.#symbol.name;
  }

  get demangled(): string {
    return this.#symbol.demangled;
  }

  get place(): FramePlace {
    const address = virtualAddress(this.#symbol.address + this.offset);
    return { fileOffset: this.#fileOffset, address, buildId: this.#module.binary?.buildId ?? '' };
  }
}

function nameAt(module: Module, offset: FileOffset): SymbolizedFrame {
  const { binary, path } = module;
  if (binary === undefined) {
    const reason = path === '[vdso]' ? "the kernel's vdso has no file" : module.reason;
    return nameless(path, reason);
  }
  const address = binary.elf.toVirtualAddress(offset);
  if (address === undefined) {
    return nameless(path, `no segment of ${path} holds the file offset 0x${offset.toString(16)}`);
  }
  const symbol = binary.at(address);
  if (symbol === undefined) {
    const place: FramePlace = { fileOffset: fileOffset(offset), address, buildId: binary.buildId };
    const inferred = binary.inferredAt(address);
    if (inferred !== undefined) {
      const { name } = inferred;
      return { found: true, module: path, name: `~${name}`, demangled: '', offset: address - inferred.address, place };
    }
    const reason = binary.stripped ? `${path} is stripped` : `no symbol of ${path} covers 0x${address.toString(16)}`;
    return { found: false, reason, module: path, place };
  }
  return new SymbolFrame(module, symbol, address, offset);
}

function nameless(module: string, reason: string): NamelessFrame {
  return { found: false, reason, module, place: undefined };
}

function isExecutable(mapping: Mapping): boolean {
  return mapping.permissions[2] === 'x';
}

/** True where symbols may come from a file, or an image that stands for one. */
function hasFile(mapping: Mapping): boolean {
  if (mapping.path === '[vdso]') return true;
  return (
    mapping.path.startsWith('/') && mapping.inode !== '0' && !/^\/(\/anon|memfd:|SYSV|dev\/zero)/.test(mapping.path)
  );
}

/** Build-ids that the kernel tells are padded with zeros to 20 bytes (workerd's has 16). */
function sameBuildId(a: string, b: string): boolean {
  if (a === '' || b === '') return false;
  const [short, long] = a.length <= b.length ? [a, b] : [b, a];
  return long.startsWith(short) && /^0*$/.test(long.slice(short.length));
}
