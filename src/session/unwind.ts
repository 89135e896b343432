/**
 * Provides the unwinder inside BPF with its tables: those of the files of the traced
 * process before anything is attached, those of other files when a stack has met them.
 * A table is made once for each file (kept by build-id), in slices beside the other work;
 * stacks that were taken before it was there say so.
 */
import { Lru } from '../base/lru.ts';
import type { FileReader } from '../bytes/file.ts';
import { ElfFile } from '../debuginfo/elf/elf.ts';
import { fingerprint } from '../debuginfo/elf/fingerprint.ts';
import { deviceText, type Mapping, parseMaps } from '../debuginfo/text/maps.ts';
import { Cache } from '../kernel/host/cache.ts';
import { HostFile } from '../kernel/host/file.ts';
import { inflate } from '../kernel/host/inflate.ts';
import type { TaskEvent } from '../kernel/host/mappings.ts';
import { programOf, withNeeded } from '../kernel/host/needed.ts';
import { processExecutable, processIds, processMaps } from '../kernel/host/processes.ts';
import { processFiles } from '../kernel/host/processfiles.ts';
import type { LoadedProgram } from '../kernel/load/load.ts';
import { type ProcessMapping, UnwindMaps } from '../kernel/load/unwindmaps.ts';
import { RingReader } from '../kernel/ring/ring.ts';
import { type Watch, watchFd } from '../kernel/sys/poll.ts';
import { Clock, clockNanoseconds } from '../kernel/sys/process.ts';
import { jitFile, mostFiles, NoteKind } from '../program/unwind.ts';
import { buildTableInSteps, decodeTable, encodeTable, type UnwindTable } from '../symbolize/unwind/table.ts';
import type { FinishedStack } from '../values/unfinished.ts';
import { FileUses } from './fileuses.ts';
import { mappingOf, type ProcessNames } from './processes.ts';
import { UnfinishedStacks } from './unfinished.ts';

/** Bytes that the tables of all files may take in the kernel. */
const mostTableBytes = 256 << 20;
/** How long other work waits for a slice. */
const sliceMs = 8;
/**
 * Files of running processes are prepared before the start for at most so long: of the
 * clock, or of processor time where a busy machine gives little of it.
 */
const startMs = 1000;
const startCpuMs = 400;
const longestStartMs = 3000;
/** How often the followed processes are looked after. */
const followMs = 10;
/** A stack is saved whole by then. */
const settledNs = 10_000_000;
/** Notes are taken so many bytes at a time, beside other work. */
const noteBytes = 1 << 20;
/** Tables that are remembered for stacks to be finished. */
const mostTables = 32;
/** Mappings that are remembered of one process. */
const mostMapped = 64;
const firstQuietNs = 20_000_000n;
const longestQuietNs = 5_000_000_000n;
/** A table stays so long after the last process that used it, for the next one of a loop of short commands. */
const graceMs = 5000;

const cache = new Cache('unwind', 512 << 20);

interface KnownFile {
  readonly inode: bigint;
  readonly device: bigint;
  readonly path: string;
  /** In the kernel's tables; 0 while there is no table. */
  number: number;
  bytes: number;
  /** Named by the script or the command line: kept, as it may be started again at any time. */
  named?: boolean;
}

interface Job {
  readonly file: KnownFile;
  readonly reader: FileReader;
  /** Processes whose mappings are told again when it is done. */
  readonly pids: Set<number>;
  steps?: Generator<undefined, UnwindTable | undefined, void>;
  /** A stack has met one of its processes. */
  urgent?: boolean;
}

interface ProcessNotes {
  /** The mappings as last read, to see whether anything is new. */
  text: string;
  quietNs: bigint;
  /** They were so, when a stack last met something unknown. */
  asked?: string;
}

export class UnwindTables {
  readonly #maps: UnwindMaps;
  readonly #names: ProcessNames;
  readonly #unfinished: UnfinishedStacks;
  /** Tables of files that unfinished stacks have met, or that were made while there were such. */
  readonly #tables: Lru<string, UnwindTable | 'jit'> = new Lru(mostTables);
  readonly #notes: RingReader;
  readonly #files = new Map<string, KnownFile>();
  readonly #jobs: Job[] = [];
  readonly #processes = new Map<number, ProcessNotes>();
  readonly #followed = new Set<number>();
  /** What other processes have mapped lately. */
  readonly #mapped: Lru<number, readonly Mapping[]> = new Lru(1024);
  readonly #uses = new FileUses<KnownFile>();
  #sweeper: NodeJS.Timeout | undefined;
  /** Processes whose files have got tables since their mappings were told. */
  readonly #changed = new Set<number>();
  #free: number[] = [];
  #nextNumber = jitFile + 1;
  #bytes = 0;
  #watch: Watch | undefined;
  #scheduled = false;
  /** Until the next look at stacks that wait for nothing else. */
  #later: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #open = true;

  /** `names` know what is mapped where, and make `follow` hear of what has happened. */
  constructor(loaded: LoadedProgram, names: ProcessNames) {
    this.#names = names;
    this.#unfinished = new UnfinishedStacks({
      mappings: (pid, address, followed) => names.mappings(pid, address, followed),
      table: (pid, mapping) => this.#tableFor(pid, mapping),
    });
    this.#maps = new UnwindMaps(loaded);
    const { fd, spec } = this.#maps.notes;
    this.#notes = new RingReader(fd, spec.maxEntries, (view, offset) => {
      const pid = view.getUint32(offset, true);
      const kind = view.getUint32(offset + 4, true);
      if (kind === NoteKind.lack) this.#noted(pid);
      else if (kind === NoteKind.registers) this.#unfinished.registers(pid, view, offset + 8);
      else this.#unfinished.memory(kind, view, offset + 8);
      this.#schedule();
    });
    this.#watch = watchFd(fd, () => this.#notes.drain(noteBytes));
  }

  /** The files of processes, and of programs that run later (words of a command line), with their libraries: now. */
  prepare(pids: readonly number[], programs: readonly string[]): void {
    // They may become other programs, or load libraries: better known before a stack meets them.
    if (pids.length > 0) this.#timer ??= setInterval(() => this.#names.drain(), followMs).unref();
    for (const pid of pids) {
      this.#followed.add(pid);
      this.#look(pid);
    }
    // A process that has just begun will load what its program needs.
    const begun = pids.filter((pid) => {
      const files = parseMaps(this.#processes.get(pid)?.text ?? '').filter(({ inode }) => inode !== '0');
      return new Set(files.map(({ path }) => path)).size <= 2;
    });
    const loading = begun.flatMap((pid) => processExecutable(pid) ?? []);
    const paths = new Set([...loading, ...programs.flatMap((word) => programOf(word) ?? [])].flatMap(withNeeded));
    for (const path of paths) this.#wantPath(path);
    this.#finish();
  }

  /** The files of all running processes: those whose tables are kept, and others for a short while. */
  prepareAll(): void {
    for (const pid of processIds()) if (pid !== process.pid) this.#look(pid);
    this.#jobs.sort((a, b) => b.pids.size - a.pids.size);
    const start = performance.now();
    const { user, system } = process.cpuUsage();
    const before = user + system;
    this.#work(startMs);
    const cpuMs = (): number => {
      const now = process.cpuUsage();
      return (now.user + now.system - before) / 1000;
    };
    while (this.#jobs.length > 0 && cpuMs() < startCpuMs && performance.now() - start < longestStartMs)
      this.#work(sliceMs);
  }

  /** What happened to some process. */
  follow(event: TaskEvent): void {
    const { pid } = event;
    switch (event.kind) {
      case 'exit':
        if (this.#processes.delete(pid)) this.#maps.removeProcess(pid);
        this.#changed.delete(pid);
        this.#followed.delete(pid);
        this.#left(pid);
        return;
      case 'fork':
        if (this.#followed.has(event.parent)) this.#followed.add(pid);
        this.#uses.forked(event.parent, pid);
        return;
      case 'exec':
        // What was saved of the old program, while its mappings are known.
        this.#notes.drain();
        this.#unfinished.finishBefore(pid, event.time);
        this.#left(pid);
        if (this.#followed.has(pid)) this.#look(pid);
        return;
      case 'map':
        this.#mappedBy(pid, mappingOf(event));
        return;
      case 'lost':
        this.#uses.lost(performance.now());
        this.#sweepLater();
        return;
      case 'comm':
        return;
    }
  }

  #mappedBy(pid: number, mapping: Mapping): void {
    if (this.#followed.has(pid)) {
      // The process may have ended by now: the file is found by its path all the same.
      this.#number(pid, mapping);
      this.#look(pid);
      return;
    }
    const known = this.#files.get(identityOf(mapping).key);
    if (known !== undefined) this.#uses.mapped(pid, known);
    const mapped = this.#mapped.get(pid) ?? [];
    if (mapped.length < mostMapped) this.#mapped.set(pid, [...mapped, mapping]);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#timer);
    clearTimeout(this.#sweeper);
    clearTimeout(this.#later);
    this.#watch?.close();
    this.#notes.close();
    this.#maps.close();
    for (const job of this.#jobs.splice(0)) job.reader.close?.();
  }

  /** A stack met code that nothing is known of. */
  #noted(pid: number): void {
    this.#names.drain();
    const waits = this.#jobs.some((job) => job.pids.has(pid));
    if (!waits && !this.#look(pid)) {
      // It has ended already; the next one like it need not end so.
      for (const mapping of this.#mapped.get(pid) ?? []) this.#number(pid, mapping);
      this.#left(pid);
    }
    // What stacks have met goes before what they may meet, small files first.
    for (const job of this.#jobs) if (job.pids.has(pid)) job.urgent = true;
    const rank = (job: Job): number => (job.urgent ? job.reader.size : Number.POSITIVE_INFINITY);
    this.#jobs.sort((x, y) => (rank(x) === rank(y) ? 0 : rank(x) - rank(y)));
    const known = this.#processes.get(pid);
    if (known === undefined) return;
    if (known.asked !== known.text || this.#jobs.some((job) => job.pids.has(pid))) known.quietNs = firstQuietNs;
    else {
      // Nothing new to be learned: a compiler at run time, say. Asked again later and later.
      known.quietNs = known.quietNs * 2n > longestQuietNs ? longestQuietNs : known.quietNs * 2n;
    }
    known.asked = known.text;
    this.#maps.quiet(pid, clockNanoseconds(Clock.MONOTONIC) + known.quietNs);
  }

  /** Reads a process's mappings, and hands them to the kernel; files without a table get into the queue. False when it has ended. */
  #look(pid: number): boolean {
    const text = processMaps(pid);
    if (text === undefined || text === '') return false;
    const before = this.#processes.get(pid);
    if (before === undefined) this.#processes.set(pid, { text, quietNs: firstQuietNs });
    else before.text = text;
    this.#tell(pid, text);
    return true;
  }

  #tell(pid: number, text: string): void {
    const mappings: ProcessMapping[] = [];
    for (const mapping of parseMaps(text)) {
      if (mapping.permissions[2] !== 'x' || mapping.path === '[vsyscall]') continue;
      const file = this.#number(pid, mapping);
      const last = mappings.at(-1);
      // A compiler's many small areas count as one where they touch.
      if (file === jitFile && last?.file === jitFile && last.end === mapping.start) {
        mappings[mappings.length - 1] = { ...last, end: mapping.end };
      } else mappings.push({ start: mapping.start, end: mapping.end, offset: mapping.offset % 2 ** 32, file });
    }
    this.#maps.setProcess(pid, mappings);
  }

  #number(pid: number, mapping: Mapping): number {
    const { inode, device, key } = identityOf(mapping);
    if (inode === 0n && device !== vdsoDevice) return jitFile;
    let file = this.#files.get(key);
    if (file === undefined) {
      file = { inode, device, path: mapping.path, number: 0, bytes: 0 };
      this.#files.set(key, file);
      if (isMadeCode(mapping)) {
        file.number = jitFile;
        this.#maps.setFile(inode, device, jitFile);
        return jitFile;
      }
      const reader = processFiles.open(pid, mapping);
      if (reader === undefined) {
        this.#files.delete(key);
        return 0;
      }
      this.#enqueue({ file, reader, pids: new Set([pid]) });
    } else if (file.number === 0) this.#jobs.find((job) => job.file === file)?.pids.add(pid);
    this.#uses.mapped(pid, file);
    return file.number;
  }

  /** A file that will be mapped. */
  #wantPath(path: string): void {
    const file = HostFile.open(path);
    if (!file.ok) return;
    const { device, inode } = file.value;
    // stat(2) tells the device in another form than the kernel has it (makedev(3)).
    const major = Math.floor(device / 256) & 0xfff;
    const minor = (device & 0xff) | (Math.floor(device / 2 ** 12) & 0xfff00);
    const number = (BigInt(major) << 20n) | BigInt(minor);
    const key = keyOf(BigInt(inode), number);
    const before = this.#files.get(key);
    if (before !== undefined) {
      before.named = true;
      file.value.close();
      return;
    }
    const known: KnownFile = { inode: BigInt(inode), device: number, path, number: 0, bytes: 0, named: true };
    this.#files.set(key, known);
    this.#enqueue({ file: known, reader: file.value, pids: new Set() });
  }

  #enqueue(job: Job): void {
    this.#jobs.push(job);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || !this.#open) return;
    if (this.#jobs.length > 0) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        if (this.#open) this.#work(sliceMs);
        this.#schedule();
      });
    } else if (this.#unfinished.waiting > 0) {
      this.#later ??= setTimeout(() => {
        this.#later = undefined;
        if (this.#open) this.#work(sliceMs);
        this.#schedule();
      }, followMs).unref();
    }
  }

  #finish(): void {
    while (this.#jobs.length > 0) this.#work(Number.POSITIVE_INFINITY);
  }

  #work(milliseconds: number): void {
    const until = performance.now() + milliseconds;
    for (let job = this.#jobs[0]; job !== undefined; job = this.#jobs[0]) {
      const step = this.#stepsOf(job).next();
      if (step.done) {
        this.#jobs.shift();
        job.reader.close?.();
        this.#use(job, step.value);
      }
      // Stacks that are saved meanwhile must find room, but the rules go first.
      this.#notes.drain(noteBytes);
      if (performance.now() >= until) return;
    }
    // All rules that were asked for are there. A program may still be handing over the memory of its last stack.
    const before = Number(clockNanoseconds(Clock.MONOTONIC)) - settledNs;
    while (performance.now() < until && this.#unfinished.finishOne(before));
  }

  finish(id: bigint): FinishedStack | undefined {
    this.#notes.drain();
    return this.#unfinished.finish(id);
  }

  finished(): { readonly ends: readonly number[]; readonly guesses: number } {
    this.#notes.drain();
    this.#unfinished.finishAll();
    return this.#unfinished;
  }

  /** The table of a mapped file, made now when it is not there yet. */
  #tableFor(pid: number, mapping: Mapping): UnwindTable | 'jit' | undefined {
    const { inode, device, key } = identityOf(mapping);
    if ((inode === 0n && device !== vdsoDevice) || isMadeCode(mapping)) return 'jit';
    const kept = this.#tables.get(key);
    if (kept !== undefined) return kept;
    const job = this.#jobs.find(({ file }) => keyOf(file.inode, file.device) === key);
    const reader = job?.reader ?? processFiles.open(pid, mapping);
    if (reader === undefined) return undefined;
    const steps = job === undefined ? tableOf(mapping.path, reader) : this.#stepsOf(job);
    let step = steps.next();
    while (!step.done) step = steps.next();
    if (job === undefined) reader.close?.();
    else {
      this.#jobs.splice(this.#jobs.indexOf(job), 1);
      reader.close?.();
      this.#use(job, step.value);
    }
    const table = step.value ?? 'jit';
    this.#tables.set(key, table);
    return table;
  }

  #stepsOf(job: Job): Generator<undefined, UnwindTable | undefined, void> {
    job.steps ??= tableOf(job.file.path, job.reader);
    return job.steps;
  }

  #use(job: Job, table: UnwindTable | undefined): void {
    const { file } = job;
    if (this.#unfinished.waiting > 0) this.#tables.set(keyOf(file.inode, file.device), table ?? 'jit');
    if (table === undefined) {
      // Frame pointers are all there is.
      file.number = jitFile;
      this.#maps.setFile(file.inode, file.device, jitFile);
    } else {
      if (this.#bytes + 4 * table.blocks.length > mostTableBytes || this.#takeNumber() === undefined)
        this.#dropUnused();
      const number = this.#takeNumber();
      if (number === undefined || this.#bytes + 4 * table.blocks.length > mostTableBytes) return;
      const bytes = this.#maps.addTable(number, table);
      if (bytes === undefined) return;
      this.#free.splice(this.#free.indexOf(number), 1);
      file.bytes = bytes;
      this.#bytes += bytes;
      file.number = number;
      this.#maps.setFile(file.inode, file.device, number);
    }
    for (const pid of job.pids) this.#changed.add(pid);
    // The kernel finds most files by itself; mappings are told again once for all files together.
    const last = this.#jobs.length === 0;
    for (const pid of this.#changed) {
      if (!last && this.#jobs.some(({ pids }) => pids.has(pid))) continue;
      this.#changed.delete(pid);
      const known = this.#processes.get(pid);
      if (known !== undefined) this.#tell(pid, known.text);
    }
  }

  /** A number that is free; it stays so until it is taken out of `#free`. */
  #takeNumber(): number | undefined {
    if (this.#free.length === 0 && this.#nextNumber < mostFiles) this.#free.push(this.#nextNumber++);
    return this.#free[0];
  }

  #left(pid: number): void {
    this.#uses.ended(pid, performance.now());
    this.#sweepLater();
  }

  #sweepLater(): void {
    if (!this.#open || !this.#uses.anyLeft) return;
    this.#sweeper ??= setTimeout(() => {
      this.#sweeper = undefined;
      this.#drop(this.#uses.leftBefore(performance.now() - graceMs));
      this.#sweepLater();
    }, graceMs).unref();
  }

  /** Takes the tables away that no process has any use for, to make room for others. */
  #dropUnused(): void {
    this.#drop([...this.#files.values()]);
  }

  /** Takes the tables of these files away, as far as nobody has mapped them. */
  #drop(files: readonly KnownFile[]): void {
    const unused = new Set<KnownFile>();
    for (const file of files) {
      if (file.device === vdsoDevice || file.named === true) this.#uses.forget(file);
      else if (file.number !== 0) unused.add(file); // else it is in the queue
    }
    if (unused.size === 0) return;
    // What was told is not all: a process from before the start may have mapped it since.
    const texts = new Map([...unused].map((file) => [file, mapsText(file)]));
    for (const pid of processIds()) {
      const maps = processMaps(pid) ?? '';
      for (const [file, text] of texts) {
        if (!maps.includes(text)) continue;
        unused.delete(file);
        this.#uses.mapped(pid, file);
      }
    }
    for (const file of unused) {
      this.#uses.forget(file);
      this.#files.delete(keyOf(file.inode, file.device));
      this.#maps.removeFile(file.inode, file.device);
      if (file.number === jitFile) continue;
      this.#maps.removeTable(file.number);
      this.#free.push(file.number);
      this.#bytes -= file.bytes;
    }
    if (unused.size > 0) this.#maps.clearCache();
  }
}

/** What the vdso has for a device. */
const vdsoDevice = -1n;

const keyOf = (inode: bigint, device: bigint): string => `${device} ${inode}`;

/** A mapped file's inode and device, as the kernel numbers that (major << 20 | minor). */
function identityOf(mapping: Mapping): { readonly inode: bigint; readonly device: bigint; readonly key: string } {
  const isVdso = mapping.path === '[vdso]';
  const [major = '0', minor = '0'] = mapping.device.split(':');
  const device = isVdso ? vdsoDevice : (BigInt(`0x${major}`) << 20n) | BigInt(`0x${minor}`);
  const inode = isVdso ? 0n : BigInt(mapping.inode);
  return { inode, device, key: keyOf(inode, device) };
}

/** Shared memory that holds code is a compiler's. */
const isMadeCode = ({ path }: Mapping): boolean => /^\/(\/anon|memfd:|SYSV|dev\/zero)/.test(path);

/** How /proc/PID/maps tells of a file. */
const mapsText = ({ inode, device }: KnownFile): string =>
  ` ${deviceText(Number(device >> 20n), Number(device & 0xfffffn))} ${inode} `;

/** The table of a file, from the cache or made in steps; undefined when it can have none. */
function* tableOf(path: string, reader: FileReader): Generator<undefined, UnwindTable | undefined, void> {
  const elf = ElfFile.open(path, reader);
  if (!elf.ok) return undefined;
  const key = fingerprint(elf.value);
  const kept = cache.read(key);
  const known = kept === undefined ? undefined : decodeTable(kept);
  if (known !== undefined) return known;
  yield;
  const table = yield* buildTableInSteps(elf.value, inflate);
  if (!table.ok) return undefined;
  cache.write(key, encodeTable(table.value));
  return table.value;
}
