/**
 * Names for user addresses, also of processes that have ended or become another program:
 * the symbolizer, told of mappings by the kernel's side-band records.
 *
 * Those records speak of every process of the machine. Only for a process whose
 * mappings are known whole (it was seen to exec, or its maps have been read) are they
 * handed on; of the others, the parent is remembered, in whose place a child that died
 * at once can be looked up.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { Lru } from '../base/lru.ts';
import { fileOffset, processAddress } from '../base/numbers.ts';
import { bytesReader, type FileReader } from '../bytes/file.ts';
import { deviceText, type Mapping, parseMaps } from '../debuginfo/text/maps.ts';
import { HostFile } from '../kernel/host/file.ts';
import { inferredNames } from '../kernel/host/inferred.ts';
import { MappingTracker, type TaskEvent } from '../kernel/host/mappings.ts';
import { rootOf } from '../kernel/host/paths.ts';
import { namespacePids, processMaps } from '../kernel/host/processes.ts';
import type { SymbolName } from '../render/names.ts';
import { demangleBoth } from '../symbolize/demangle/index.ts';
import { type ProcessFiles, type SymbolizedFrame, Symbolizer } from '../symbolize/symbols/symbolizer.ts';
import type { UserNames } from './names.ts';

/** Processes that are remembered, those that have ended included. */
const remembered = 4096;

/** Under this number the symbolizer keeps what a process was before its last exec. */
const formerly = (pid: number): number => -pid;

export interface ProcessNamesOptions {
  /** Config cpp_demangle. */
  readonly demangle: boolean;
  /** The process of -p or -c, whose files are opened at once. */
  readonly pid?: number | undefined;
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
  #fresh = false;

  constructor(options: ProcessNamesOptions) {
    this.#options = options;
    this.#symbolizer = new Symbolizer(hostFiles, {
      demangle: demangleBoth,
      debugFiles: { open: openFile },
      infer: (elf) => inferredNames(elf, options.onSlow),
    });
    this.#tracker = new MappingTracker((event) => this.#follow(event));
    this.#tracker.watch();
    if (options.pid !== undefined) {
      this.#symbolizer.prepare(options.pid);
      this.#whole.set(options.pid, true);
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

  place(pid: number, address: number): { readonly buildId: string; readonly offset: number } | undefined {
    const { place } = this.#frame(pid, address);
    return place === undefined ? undefined : { buildId: place.buildId, offset: place.fileOffset };
  }

  close(): void {
    this.#tracker.close();
    this.#symbolizer.close();
  }

  #frame(pid: number, address: number): SymbolizedFrame {
    if (!this.#fresh) {
      this.#tracker.drain();
      this.#fresh = true;
    }
    const at = processAddress(address);
    const frame = this.#symbolizer.symbolize(pid, at);
    if (frame.module !== '') {
      this.#whole.set(pid, true);
      return frame;
    }
    for (const other of [formerly(pid), this.#parents.get(pid)]) {
      const before = other === undefined ? frame : this.#symbolizer.symbolize(other, at);
      if (before.module !== '') return before;
    }
    return frame;
  }

  #follow(event: TaskEvent): void {
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
        if (this.#whole.get(pid) !== undefined) this.#symbolizer.forked(pid, formerly(pid));
        this.#symbolizer.executed(pid);
        this.#whole.set(pid, true);
        return;
      case 'map':
        if (this.#whole.get(pid) !== undefined) this.#symbolizer.mapped(pid, mappingOf(event));
        return;
      case 'lost':
        for (const known of this.#whole.keys()) this.#symbolizer.executed(known);
        this.#whole.clear();
        return;
      case 'comm':
      case 'exit':
        return;
    }
  }
}

function mappingOf(event: Extract<TaskEvent, { kind: 'map' }>): Mapping {
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

const openFile = (path: string): HostFile | undefined => {
  const file = HostFile.open(path);
  return file.ok ? file.value : undefined;
};

/** Processes' files through /proc. */
const hostFiles: ProcessFiles = {
  maps: (pid) => (pid > 0 ? processMaps(pid) : undefined),
  open(pid, mapping) {
    if (mapping.path === '[vdso]') return vdso();
    const range = `${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
    // The kernel's own link to the mapped file holds also for a file that has been replaced.
    const linked = pid > 0 ? openFile(`/proc/${pid}/map_files/${range}`) : undefined;
    if (linked !== undefined) return linked;
    for (const path of new Set([`${pid > 0 ? rootOf(pid) : ''}${mapping.path}`, mapping.path])) {
      const file = openFile(path);
      if (file !== undefined && String(file.inode) === mapping.inode) return file;
      file?.close();
    }
    return undefined;
  },
  perfMap(pid) {
    if (pid <= 0) return undefined;
    return openFile(`${rootOf(pid)}/tmp/perf-${namespacePids(pid).at(-1) ?? pid}.map`);
  },
};

/** The kernel maps the same image into every process of this machine: ours can be read. */
function vdso(): FileReader | undefined {
  const mapping = parseMaps(processMaps(process.pid) ?? '').find(({ path }) => path === '[vdso]');
  if (mapping === undefined) return undefined;
  const bytes = new Uint8Array(mapping.end - mapping.start);
  try {
    const memory = openSync('/proc/self/mem', 'r');
    try {
      return readSync(memory, bytes, 0, bytes.length, mapping.start) === bytes.length ? bytesReader(bytes) : undefined;
    } finally {
      closeSync(memory);
    }
  } catch {
    return undefined;
  }
}
