/** The unwinder's maps in the kernel (program/unwind.ts), as the runtime fills them. */
import { invariant } from '../../base/errors.ts';
import type { UnwindRole } from '../../program/program.ts';
import {
  blockBytes,
  mappingBytes,
  mostMappings,
  mostRules,
  processBytes,
  processHead,
  rowsPerBlock,
} from '../../program/unwind.ts';
import { RuleSet } from '../../symbolize/unwind/rules.ts';
import { renumbered, type UnwindTable } from '../../symbolize/unwind/table.ts';
import { mapArray } from '../ring/map.ts';
import { mapDelete, mapUpdate } from '../sys/bpf.ts';
import { closeFd } from '../sys/bpfcall.ts';
import { CallError } from '../sys/errno.ts';
import type { Mapping } from '../sys/memory.ts';
import { createInnerMap, type LoadedMap, type LoadedProgram } from './load.ts';

/** An executable mapping of a process; `file` is a file's number, 0 where none is known. */
export interface ProcessMapping {
  readonly start: number;
  readonly end: number;
  readonly offset: number;
  readonly file: number;
}

const key4 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
const key8 = (value: number): Uint8Array => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);

export class UnwindMaps {
  readonly notes: LoadedMap;
  readonly #loaded: LoadedProgram;
  readonly #rules = new RuleSet(mostRules);
  readonly #ruleMemory: Mapping;
  readonly #cacheMemory: Mapping;
  #rulesWritten = 0;

  constructor(loaded: LoadedProgram) {
    this.#loaded = loaded;
    this.notes = this.#map('unwind_notes');
    this.#ruleMemory = mapArray(this.#map('unwind_rules'));
    this.#cacheMemory = mapArray(this.#map('unwind_cache'));
  }

  #map(role: UnwindRole): LoadedMap {
    const map = this.#loaded.map(role);
    invariant(map, `the program has no map ${role}`);
    return map;
  }

  /** Puts a file's table under its number; gives the bytes it takes in the kernel, undefined when that has no memory for it. */
  addTable(number: number, table: UnwindTable): number | undefined {
    try {
      return this.#addTable(number, table);
    } catch (error) {
      if (error instanceof CallError && error.code === 'ENOMEM') return undefined;
      throw error;
    }
  }

  #addTable(number: number, table: UnwindTable): number {
    const count = table.rules.length / 4;
    const numbers = new Uint16Array(count);
    for (let index = 0; index < count; index++) {
      const [a, b, c, d] = table.rules.subarray(4 * index, 4 * index + 4) as unknown as [
        number,
        number,
        number,
        number,
      ];
      // A rule that finds no room is as good as none.
      numbers[index] = Math.max(0, this.#rules.add(a, b, c, d));
    }
    const written = 4 * this.#rulesWritten;
    new Int32Array(this.#ruleMemory.buffer).set(this.#rules.words.subarray(written), written);
    this.#rulesWritten = this.#rules.count;
    const blocks = renumbered(table.blocks, numbers);
    const bytes = new Uint8Array(blocks.buffer, blocks.byteOffset, blocks.byteLength);
    const fd = createInnerMap('in_unwind_rows', blockBytes, blocks.length / rowsPerBlock);
    try {
      for (let block = 0; block * blockBytes < bytes.length; block++) {
        mapUpdate(fd, key4(block), bytes.subarray(block * blockBytes, (block + 1) * blockBytes));
      }
      mapUpdate(this.#map('unwind_tables').fd, key4(number), key4(fd));
    } finally {
      closeFd(fd); // the table of tables holds it
    }
    return bytes.length;
  }

  removeTable(number: number): void {
    mapDelete(this.#map('unwind_tables').fd, key4(number));
  }

  /** Forgets which rules were found lately: file numbers will mean other files. */
  clearCache(): void {
    new Uint8Array(this.#cacheMemory.buffer).fill(0);
  }

  /** `device` as the kernel numbers it; the vdso has inode 0n and device -1n. False when there are too many files. */
  setFile(inode: bigint, device: bigint, number: number): boolean {
    return tryUpdate(this.#map('unwind_files').fd, fileKey(inode, device), key8(number));
  }

  removeFile(inode: bigint, device: bigint): void {
    mapDelete(this.#map('unwind_files').fd, fileKey(inode, device));
  }

  /** Executable mappings, ascending. False when there are too many of them, or of processes: some are left out. */
  setProcess(pid: number, mappings: readonly ProcessMapping[]): boolean {
    const bytes = new Uint8Array(processBytes);
    const view = new DataView(bytes.buffer);
    const count = Math.min(mappings.length, mostMappings);
    view.setUint32(16, count, true);
    for (const [index, { start, end, offset, file }] of mappings.slice(0, count).entries()) {
      const at = processHead + index * mappingBytes;
      view.setBigUint64(at, BigInt(start), true);
      view.setBigUint64(at + 8, BigInt(end), true);
      view.setUint32(at + 16, offset, true);
      view.setUint32(at + 20, file, true);
    }
    return tryUpdate(this.#map('unwind_processes').fd, key8(pid), bytes) && count === mappings.length;
  }

  removeProcess(pid: number): void {
    mapDelete(this.#map('unwind_processes').fd, key8(pid));
    mapDelete(this.#map('unwind_asked').fd, key8(pid));
  }

  /** No notes about a process before that time (CLOCK_MONOTONIC nanoseconds). */
  quiet(pid: number, until: bigint): void {
    mapUpdate(this.#map('unwind_asked').fd, key8(pid), new Uint8Array(BigUint64Array.of(until).buffer));
  }

  close(): void {
    this.#ruleMemory.close();
    this.#cacheMemory.close();
  }
}

/** False when the map is full, or the kernel has no memory for more: such stacks then end early, and say so. */
function tryUpdate(fd: number, key: Uint8Array, value: Uint8Array): boolean {
  try {
    mapUpdate(fd, key, value);
    return true;
  } catch (error) {
    if (error instanceof CallError && (error.code === 'E2BIG' || error.code === 'ENOMEM')) return false;
    throw error;
  }
}

function fileKey(inode: bigint, device: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, inode), BigInt.asUintN(64, device)).buffer);
}
