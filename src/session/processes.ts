/**
 * Names for user addresses, also of processes that have ended or become another program:
 * the symbolizer, told of mappings by the kernel's side-band records.
 *
 * Those records speak of every process of the machine. Only for a process whose
 * mappings are known whole (it was seen to exec, or its maps have been read) are they
 * handed on; of the others, the parent is remembered, in whose place a child that died
 * at once can be looked up.
 */
import { Lru } from '../base/lru.ts';
import { fileOffset, processAddress } from '../base/numbers.ts';
import { deviceText, type Mapping } from '../debuginfo/text/maps.ts';
import { symbolTables } from '../kernel/host/cache.ts';
import { type DebugFileOptions, hostDebugFiles } from '../kernel/host/debugfiles.ts';
import { inferredNames } from '../kernel/host/inferred.ts';
import { inflate } from '../kernel/host/inflate.ts';
import { MappingTracker, type TaskEvent } from '../kernel/host/mappings.ts';
import { processFiles } from '../kernel/host/processfiles.ts';
import type { SourceLine, SymbolName } from '../render/names.ts';
import { demangleBoth } from '../symbolize/demangle/index.ts';
import { type SymbolizedFrame, Symbolizer } from '../symbolize/symbols/symbolizer.ts';
import type { UserNames } from './names.ts';

/** Processes that are remembered, those that have ended included. */
const remembered = 4096;

/** Programs that a process was before, which are remembered of each: a script's shell, env, the program itself. */
const mostFormer = 8;

export interface ProcessNamesOptions {
  /** Where debug files are looked for besides /usr/lib/debug. */
  readonly debugFiles?: DebugFileOptions | undefined;
  /** Config cpp_demangle. */
  readonly demangle: boolean;
  /** Config show_debug_info. */
  readonly showSource?: boolean | undefined;
  /** The processes of -p or -c, whose files are opened at once. */
  readonly pids?: readonly number[] | undefined;
  /** Told of what happens to processes, in the order of time. */
  readonly onEvent?: ((event: TaskEvent) => void) | undefined;
  /** Told before a large program without symbols is looked through for names, which may take seconds. */
  readonly onSlow?: ((path: string) => void) | undefined;
}

export class ProcessNames implements UserNames {
  readonly #symbolizer: Symbolizer;
  readonly #tracker: MappingTracker;
  readonly #options: ProcessNamesOptions;
  /** Processes whose mappings the symbolizer has whole. */
  readonly #whole: Lru<number, true> = new Lru(remembered);
  readonly #parents: Lru<number, number> = new Lru(remembered);
  /** Under which (negative) numbers the symbolizer keeps what a process was before it became another program, the last one first. */
  readonly #former: Lru<number, readonly number[]> = new Lru(remembered);
  #lastFormer = 0;
  #fresh = false;
  /** Side-band records that found no room. */
  lost = 0;

  constructor(options: ProcessNamesOptions) {
    this.#options = options;
    this.#symbolizer = new Symbolizer(processFiles, {
      demangle: demangleBoth,
      inflate,
      debugFiles: hostDebugFiles(options.debugFiles),
      infer: (elf) => inferredNames(elf, { names: options.debugFiles?.names, onSlow: options.onSlow }),
      tables: symbolTables,
    });
    this.#tracker = new MappingTracker((event) => this.#follow(event));
    this.#tracker.watch();
    for (const pid of options.pids ?? []) {
      this.#symbolizer.prepare(pid);
      this.#whole.set(pid, true);
    }
  }

  /** From now on answers take in what has happened since. Called for each record, before its addresses are named. */
  expire(): void {
    this.#fresh = false;
  }

  symbol(pid: number, address: number): SymbolName | undefined {
    const frame = this.#frame(pid, address);
    if (!frame.found) return undefined;
    const name = this.#options.demangle && frame.demangled !== '' ? frame.demangled : frame.name;
    return { name, offset: frame.offset, file: frame.module };
  }

  file(pid: number, address: number): string | undefined {
    return this.#frame(pid, address).module || undefined;
  }

  place(pid: number, address: number): { readonly buildId: string; readonly offset: number } | undefined {
    const { place } = this.#frame(pid, address);
    return place === undefined ? undefined : { buildId: place.buildId, offset: place.fileOffset };
  }

  source(pid: number, address: number): readonly SourceLine[] | undefined {
    if (this.#options.showSource !== true) return undefined;
    const { who } = this.#find(pid, address);
    const frames = this.#symbolizer.source(who, processAddress(address))?.frames;
    return frames?.map(({ function: name, file, line }) => ({
      name: (this.#options.demangle ? demangleBoth(name, { verbose: false })?.full : undefined) ?? name,
      file,
      line,
    }));
  }

  close(): void {
    this.#tracker.close();
    this.#symbolizer.close();
  }

  #frame(pid: number, address: number): SymbolizedFrame {
    return this.#find(pid, address).frame;
  }

  /** An address by name, and under which number the symbolizer knows the process it was found in. */
  #find(pid: number, address: number): { readonly frame: SymbolizedFrame; readonly who: number } {
    if (!this.#fresh) {
      this.#tracker.drain();
      this.#fresh = true;
    }
    const at = processAddress(address);
    const frame = this.#symbolizer.symbolize(pid, at);
    if (frame.module !== '') {
      this.#whole.set(pid, true);
      return { frame, who: pid };
    }
    for (const other of this.#before(pid)) {
      const before = this.#symbolizer.symbolize(other, at);
      if (before.module !== '') return { frame: before, who: other };
    }
    return { frame, who: pid };
  }

  /** The executable mappings of a process, now or before it became another program, when there is code at that address. `followed`: as events told of them so far. */
  mappings(pid: number, address: number, followed: boolean): readonly Mapping[] | undefined {
    this.#tracker.drain();
    const at = processAddress(address);
    for (const who of [pid, ...this.#before(pid)]) {
      const mappings = this.#symbolizer.mappings(who, at, followed);
      if (mappings === undefined) continue;
      if (who === pid) this.#whole.set(pid, true);
      return mappings.filter(({ permissions }) => permissions[2] === 'x');
    }
    return undefined;
  }

  /** What a process may have been before: other programs, or its parent. */
  #before(pid: number): readonly number[] {
    const parent = this.#parents.get(pid);
    return [...(this.#former.get(pid) ?? []), ...(parent === undefined ? [] : [parent])];
  }

  /** Looks at what has happened since, without waiting for a question. */
  drain(): void {
    this.#tracker.drain();
  }

  #follow(event: TaskEvent): void {
    this.#options.onEvent?.(event);
    const { pid } = event;
    switch (event.kind) {
      case 'fork':
        this.#parents.set(pid, event.parent);
        if (this.#whole.get(event.parent) === undefined) return;
        this.#symbolizer.forked(event.parent, pid);
        this.#whole.set(pid, true);
        return;
      case 'exec':
        // Addresses of the old program may still wait in the ring buffer.
        if (this.#whole.get(pid) !== undefined) {
          const former = --this.#lastFormer;
          this.#symbolizer.forked(pid, former);
          this.#former.set(pid, [former, ...(this.#former.get(pid) ?? [])].slice(0, mostFormer));
        }
        this.#symbolizer.executed(pid);
        this.#whole.set(pid, true);
        return;
      case 'map':
        if (this.#whole.get(pid) !== undefined) this.#symbolizer.mapped(pid, mappingOf(event));
        return;
      case 'lost':
        this.lost += event.count;
        for (const known of this.#whole.keys()) this.#symbolizer.executed(known);
        this.#whole.clear();
        return;
      case 'comm':
      case 'exit':
        return;
    }
  }
}

/** The mapping that an event tells of. */
export function mappingOf(event: Extract<TaskEvent, { kind: 'map' }>): Mapping {
  return {
    start: processAddress(event.address),
    end: processAddress(event.address + event.length),
    permissions: 'r-xp', // only executable mappings are told
    offset: fileOffset(event.offset),
    device: deviceText(event.device.major, event.device.minor),
    inode: String(event.inode),
    path: event.path,
    deleted: false,
    buildId: '',
  };
}
