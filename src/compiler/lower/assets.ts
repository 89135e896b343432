/**
 * What all programs of a script share: its maps (the user's and insitu's own), event
 * records, probe names, and the tables by which lowering finds them.
 */
import { invariant } from '../../base/errors.ts';
import { bpf_flag as mapFlags } from '../../bpf/constants.ts';
import type {
  Config,
  EventSpec,
  GlobalsLayout,
  MapKind,
  MapSpec,
  PacketSpec,
  UnwindRole,
  UserMap,
} from '../../program/program.ts';
import {
  blockBytes,
  cacheBits,
  endNumbers,
  fileKeyBytes,
  mostFiles,
  mostRules,
  processBytes,
  ruleBytes,
} from '../../program/unwind.ts';
import type { MapInfo } from '../sema/scope.ts';
import { type KernelLayout, stateBytes } from '../unwind/layout.ts';
import type { WalkerMaps } from '../unwind/walker.ts';
import { align8, roomOf, type SchemaOptions, schemaOf } from './layout.ts';

/**
 * Room for event records between kernel and reader: a burst of that many of the script's
 * largest records up to `most`, and on large machines that much for each CPU. Records of
 * probes that fire once or by the clock need no more than the least.
 */
const ringBytes = { burst: 1_000_000, perCpu: 1 << 20, least: 4 << 20, most: 32 << 20, mostByCpus: 64 << 20 } as const;
/** Stacks kept for map keys and variables. */
const stackEntries = 16384;
/** Calls that have not returned yet, of all threads; the oldest make way (a longjmp or an exception leaves some behind). */
const keptEntries = 16384;
/** Processes that --follow keeps in mind at once. */
const followedEntries = 65536;
/** Processes whose mappings are kept for the unwinder. */
const processEntries = 4096;
/** Pieces of stacks of which it is known that user space has them. */
const savedEntries = 8192;
/** Bytes of the ring in which the unwinder asks for what it lacks, and saves the stacks that lacked it. */
const noteRing = 16 << 20;
/** A hash map whose values would take more than this when allocated at once allocates as it goes. */
const preallocateLimit = 16 << 20;
/** Programs of one CPU that may interrupt one another and still have scratch memory each. */
export const scratchLevels = 3;

/** How user stacks are unwound by tables. */
export interface Unwinding {
  readonly layout: KernelLayout;
  readonly findVma: boolean;
  /** Hash maps may allocate while programs run (Linux 6.1). */
  readonly allocates: boolean;
  /** Most frames that a stack of the script takes. */
  readonly frames: number;
}

export interface UserMapAsset {
  readonly index: number;
  readonly info: MapInfo;
  readonly storage: UserMap['storage'];
  /** Byte offsets of the keys in the key, and its size. */
  readonly keyOffsets: readonly number[];
  readonly keySize: number;
  /** Bytes of one value (of one CPU, for aggregations). */
  readonly valueSize: number;
}

/** A power of two not below n. */
export const powerOfTwo = (n: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, n)));

export class Assets {
  readonly config: Config;
  /** Possible CPUs, rounded up to a power of two so that a CPU number can be masked. */
  readonly cpus: number;
  readonly maps: MapSpec[] = [];
  readonly events: EventSpec[] = [];
  readonly packets: PacketSpec[] = [];
  readonly probeNames: string[] = [];
  readonly #eventNumbers = new Map<string, number>();
  readonly #probeNumbers = new Map<string, number>();
  readonly globals: GlobalsLayout;
  readonly userMaps: Map<string, UserMapAsset> = new Map();
  needsUserSymbols: boolean = false;
  unsafe: boolean = false;
  /** Largest scratch memory that a program asked for. */
  #scratch = 0;
  #constants: Uint8Array = new Uint8Array(0);
  #zeros = 0;
  readonly #literals = new Map<string, number>();
  readonly #stackMaps = new Map<string, number>();
  #events: number | undefined;
  /** Bytes of the largest record that a frequent probe writes. */
  #record = 0;
  #followed: number | undefined;
  #packets: number | undefined;
  readonly globalsMap: number;
  readonly #lazyMaps = new Map<'scratch' | 'constants' | 'zeros', number>();
  readonly unwinding: Unwinding | undefined;
  #walkerMaps: WalkerMaps | undefined;

  constructor(config: Config, cpus: number, maps: Iterable<MapInfo>, unwinding?: Unwinding, countsStacks = false) {
    this.config = config;
    this.unwinding = unwinding;
    this.stored = {
      stacks: { map: (kind, limit) => this.stackMap(kind, limit) },
      unwound: unwinding !== undefined,
      counted: countsStacks,
    };
    this.inline = { stacks: 'inline', unwound: unwinding !== undefined };
    this.cpus = powerOfTwo(cpus);
    const names = [...maps];
    const lost = 128;
    const stackEndsAt = lost + 64 * this.cpus;
    const afterEnds = stackEndsAt + 8 * endNumbers;
    const afterLost = afterEnds + 16;
    this.globals = {
      startNs: 0,
      selfPid: 8,
      childPid: 12,
      failedReads: 16,
      scratchBusy: 24,
      loopLimit: 32,
      exit: 40,
      notKept: 48,
      notFollowed: 56,
      wallClock: 64,
      taiClock: 72,
      lost,
      lostSlots: this.cpus,
      mapFull: afterLost,
      stackEnds: stackEndsAt,
      stackGuesses: afterEnds,
      stacksFull: afterEnds + 8,
      size: afterLost + 8 * Math.max(1, names.length),
    };
    this.globalsMap = this.#add({
      role: 'globals',
      name: 'globals',
      kind: 'ARRAY',
      keySize: 4,
      valueSize: this.globals.size,
      maxEntries: 1,
      flags: mapFlags.BPF_F_MMAPABLE,
    });
    for (const info of names) this.#addUserMap(info);
  }

  #add(spec: MapSpec): number {
    this.maps.push(spec);
    return this.maps.length - 1;
  }

  /** Schemas of values that are kept: stacks by id. */
  readonly stored: SchemaOptions;
  readonly inline: SchemaOptions;

  #addUserMap(info: MapInfo): void {
    const keys = info.keys ?? [];
    let keySize = 0;
    const keyOffsets = keys.map((key) => {
      const at = keySize;
      keySize += roomOf(key, this.stored);
      return at;
    });
    const value = schemaOf(info.value, this.stored);
    const valueSize = roomOf(info.value, this.stored);
    const aggregate = info.value.kind === 'aggregate';
    const maxEntries = info.declared?.maxEntries ?? this.config.maxMapKeys;
    let storage: UserMap['storage'];
    let spec: Omit<MapSpec, 'user'>;
    if (keys.length === 0) {
      const cpus = aggregate ? this.cpus : 1;
      const stride = aggregate ? Math.ceil(valueSize / 64) * 64 : valueSize;
      const setOffset = align8(cpus * stride);
      storage = { kind: 'array', cpus, stride, setOffset };
      spec = {
        role: 'user',
        name: info.name,
        kind: 'ARRAY',
        keySize: 4,
        valueSize: setOffset + 8,
        maxEntries: 1,
        flags: mapFlags.BPF_F_MMAPABLE,
      };
    } else {
      const lru = info.declared?.kind.includes('lru') ?? false;
      const perCpu = aggregate || (info.declared?.kind.startsWith('percpu') ?? false);
      const kind: MapKind = lru ? (perCpu ? 'LRU_PERCPU_HASH' : 'LRU_HASH') : perCpu ? 'PERCPU_HASH' : 'HASH';
      const bytes = maxEntries * (keySize + valueSize * (perCpu ? this.cpus : 1));
      storage = { kind: 'hash' };
      spec = {
        role: 'user',
        name: info.name,
        kind,
        keySize,
        valueSize,
        maxEntries,
        flags: !lru && bytes > preallocateLimit ? mapFlags.BPF_F_NO_PREALLOC : 0,
      };
    }
    const user: UserMap = {
      keys: keys.map((key, i) => ({ offset: keyOffsets[i] as number, schema: schemaOf(key, this.stored) })),
      value,
      storage,
    };
    const index = this.#add({ ...spec, user });
    this.userMaps.set(info.name, { index, info, storage, keyOffsets, keySize, valueSize });
  }

  userMap(name: string): UserMapAsset {
    const asset = this.userMaps.get(name);
    invariant(asset, `map @${name} was not laid out`);
    return asset;
  }

  /** Place in `globals` that counts updates of a user map that found it full. */
  mapFullCounter(asset: UserMapAsset): number {
    return this.globals.mapFull + 8 * [...this.userMaps.values()].indexOf(asset);
  }

  stackMap(kind: 'ustack' | 'kstack', limit: number): number {
    const own = kind === 'ustack' && this.unwinding !== undefined;
    const name = `${own ? 'u' : ''}stacks_${limit}`;
    let index = this.#stackMaps.get(name);
    if (index === undefined) {
      index = this.#add({
        role: 'stacks',
        name,
        kind: own ? 'HASH' : 'STACK_TRACE',
        keySize: own ? 8 : 4,
        valueSize: 8 * limit,
        maxEntries: stackEntries,
        flags: own && this.unwinding?.allocates === true ? mapFlags.BPF_F_NO_PREALLOC : 0,
      });
      this.#stackMaps.set(name, index);
    }
    return index;
  }

  #kept: number | undefined;
  #keptSize = 0;

  /** The map of arguments that wait for their function's return; as large as the largest that asks. */
  keptMap(keySize: number, valueSize: number): number {
    this.#keptSize = Math.max(this.#keptSize, valueSize);
    this.#kept ??= this.#add({
      role: 'kept',
      name: 'kept',
      kind: 'LRU_HASH',
      keySize,
      valueSize: 8,
      maxEntries: keptEntries,
      flags: 0,
    });
    return this.#kept;
  }

  /** The unwinder's maps; asked for only with `unwinding`. */
  walkerMaps(): WalkerMaps {
    if (this.#walkerMaps !== undefined) return this.#walkerMaps;
    invariant(this.unwinding, 'nothing is unwound');
    const add = (role: UnwindRole, kind: MapKind, spec: Partial<MapSpec>): number =>
      this.#add({ role, name: role, kind, keySize: 4, valueSize: 8, maxEntries: 1, flags: 0, ...spec });
    const mappable = { flags: mapFlags.BPF_F_MMAPABLE };
    const growing = { flags: mapFlags.BPF_F_NO_PREALLOC };
    const states = this.cpus * scratchLevels;
    this.#walkerMaps = {
      state: add('unwind_state', 'ARRAY', { valueSize: states * stateBytes(this.unwinding.frames) }),
      rules: add('unwind_rules', 'ARRAY', { valueSize: mostRules * ruleBytes, ...mappable }),
      cache: add('unwind_cache', 'ARRAY', { valueSize: 8 << cacheBits, ...mappable }),
      tables: add('unwind_tables', 'ARRAY_OF_MAPS', {
        valueSize: 4,
        maxEntries: mostFiles,
        innerValueSize: blockBytes,
      }),
      files: add('unwind_files', 'HASH', { keySize: fileKeyBytes, maxEntries: mostFiles }),
      processes: add('unwind_processes', 'HASH', {
        keySize: 8,
        valueSize: processBytes,
        maxEntries: processEntries,
        ...growing,
      }),
      asked: add('unwind_asked', 'LRU_HASH', { keySize: 8, maxEntries: processEntries }),
      saved: add('unwind_saved', 'LRU_HASH', { keySize: 8, maxEntries: savedEntries }),
      notes: add('unwind_notes', 'RINGBUF', { keySize: 0, valueSize: 0, maxEntries: noteRing }),
    };
    return this.#walkerMaps;
  }

  /** The ring buffer, for a record of that size (without the kernel's 8 bytes of header). */
  ring(record: number, frequent: boolean): number {
    if (frequent) this.#record = Math.max(this.#record, record);
    this.#events ??= this.#add({
      role: 'events',
      name: 'events',
      kind: 'RINGBUF',
      keySize: 0,
      valueSize: 0,
      maxEntries: 0,
      flags: 0,
    });
    return this.#events;
  }

  /** Processes that --follow has found: keys are their tgids, values their number in the tracer's namespace. */
  followed(): number {
    this.#followed ??= this.#add({
      role: 'followed',
      name: 'followed',
      kind: 'HASH',
      keySize: 4,
      valueSize: 4,
      maxEntries: followedEntries,
      flags: mapFlags.BPF_F_NO_PREALLOC,
    });
    return this.#followed;
  }

  /** The rings that packets are copied into, one a CPU. */
  packetsMap(): number {
    this.#packets ??= this.#add({
      role: 'packets',
      name: 'packets',
      kind: 'PERF_EVENT_ARRAY',
      keySize: 4,
      valueSize: 4,
      maxEntries: this.cpus,
      flags: 0,
    });
    return this.#packets;
  }

  /** Number of a call of skboutput(). */
  packet(spec: PacketSpec): number {
    return this.packets.push(spec) - 1;
  }

  #ringSize(): number {
    const pages = this.config.perfRbPages;
    if (pages > 0) return powerOfTwo(pages) * 4096 * this.cpus;
    if (this.#record === 0) return ringBytes.least;
    const burst = Math.min(ringBytes.most, (this.#record + 8) * ringBytes.burst);
    const byCpus = Math.min(ringBytes.mostByCpus, ringBytes.perCpu * this.cpus);
    return powerOfTwo(Math.max(ringBytes.least, burst, byCpus));
  }

  /** The number of an event; the same one for the same event in another function's program. */
  event(spec: EventSpec): number {
    const key = JSON.stringify(spec);
    const known = this.#eventNumbers.get(key);
    if (known !== undefined) return known;
    this.#eventNumbers.set(key, this.events.length);
    return this.events.push(spec) - 1;
  }

  /** The number of a probe's name: what `probe` gives. */
  probeName(name: string): number {
    const known = this.#probeNumbers.get(name);
    if (known !== undefined) return known;
    const number = this.probeTitle(name);
    this.#probeNumbers.set(name, number);
    return number;
  }

  /** A number of its own, for messages: no look at tens of thousands of names, where no `probe` asks for one. */
  probeTitle(name: string): number {
    return this.probeNames.push(name) - 1;
  }

  #lazyMap(name: 'scratch' | 'constants' | 'zeros'): number {
    let index = this.#lazyMaps.get(name);
    if (index === undefined) {
      const role = name === 'scratch' ? name : 'constants';
      index = this.#add({
        role,
        name,
        kind: 'ARRAY',
        keySize: 4,
        valueSize: 8,
        maxEntries: 1,
        flags: role === 'constants' ? mapFlags.BPF_F_RDONLY_PROG : 0,
      });
      this.#lazyMaps.set(name, index);
    }
    return index;
  }

  /** The scratch map; a program that takes `bytes` of it makes it at least that large. */
  scratch(bytes: number): number {
    this.#scratch = Math.max(this.#scratch, Math.ceil(bytes / 64) * 64);
    return this.#lazyMap('scratch');
  }

  /** Distance between two programs' scratch memories; final once all programs are lowered. */
  get scratchStride(): number {
    return this.#scratch;
  }

  /** Map and offset of `bytes` zero bytes. */
  zeros(bytes: number): { readonly map: number; readonly offset: number } {
    this.#zeros = Math.max(this.#zeros, align8(bytes));
    return { map: this.#lazyMap('zeros'), offset: 0 };
  }

  /** Map and offset of constant bytes. */
  literal(bytes: Uint8Array): { readonly map: number; readonly offset: number } {
    const key = String.fromCharCode(...bytes);
    let offset = this.#literals.get(key);
    if (offset === undefined) {
      offset = this.#constants.length;
      this.#literals.set(key, offset);
      const grown = new Uint8Array(align8(offset + bytes.length));
      grown.set(this.#constants);
      grown.set(bytes, offset);
      this.#constants = grown;
    }
    return { map: this.#lazyMap('constants'), offset };
  }

  /** The maps with their final sizes and first contents. */
  finish(): readonly MapSpec[] {
    return this.maps.map((map): MapSpec => {
      if (map.role === 'kept') return { ...map, valueSize: this.#keptSize };
      if (map.role === 'events') return { ...map, maxEntries: this.#ringSize() };
      if (map.role === 'scratch') return { ...map, valueSize: this.#scratch * this.cpus * scratchLevels };
      if (map.role === 'constants') {
        const initial = map.name === 'zeros' ? new Uint8Array(this.#zeros) : this.#constants;
        return { ...map, valueSize: initial.length, initial };
      }
      return map;
    });
  }
}
