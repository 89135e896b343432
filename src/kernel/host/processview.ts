/** A process as the explorer of objects sees it: its memory (proc(5), /proc/PID/mem) and mappings. Nothing stops. */
import { closeSync, openSync, readSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import { processAddress } from '../../base/numbers.ts';
import type { ProcessView } from '../../symbolize/objects/explore.ts';
import { ProcessMaps } from '../../symbolize/symbols/process.ts';
import { processFiles } from './processfiles.ts';

/** Bytes that were seen before, which count instead of what is there now. */
export interface Remembered {
  readonly address: number;
  readonly bytes: Uint8Array;
}

export class HostProcessView implements ProcessView {
  readonly #maps: ProcessMaps;
  readonly #memory: number;
  readonly #functionName: (address: number) => string | undefined;
  readonly #remembered: readonly Remembered[];

  /** Opens the memory of a process; throws MachineError where it cannot be read. */
  constructor(
    pid: number,
    functionName: (address: number) => string | undefined,
    remembered: readonly Remembered[] = [],
  ) {
    const text = processFiles.maps(pid);
    if (text === undefined || text === '') throw new MachineError(`there is no process ${pid}`, { code: 'ESRCH' });
    this.#maps = ProcessMaps.parse(text);
    this.#memory = openMemory(pid);
    this.#functionName = functionName;
    this.#remembered = remembered;
  }

  close(): void {
    closeSync(this.#memory);
  }

  read(address: number, size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    let done = 0;
    try {
      for (let count = 1; count > 0 && done < size; done += count) {
        count = readSync(this.#memory, bytes, done, size - done, address + done);
      }
    } catch {
      // What comes behind the end of a mapping is not there.
    }
    return this.#recall(address, bytes, done);
  }

  #recall(address: number, bytes: Uint8Array, present: number): Uint8Array {
    let done = present;
    for (const { address: start, bytes: seen } of this.#remembered) {
      const from = Math.max(start, address);
      const to = Math.min(start + seen.length, address + bytes.length);
      if (from >= to || from > address + done) continue;
      bytes.set(seen.subarray(from - start, to - start), from - address);
      done = Math.max(done, to - address);
    }
    return bytes.subarray(0, done);
  }

  mapping(address: number): ReturnType<ProcessView['mapping']> {
    const found = this.#maps.find(processAddress(address));
    if (found === undefined) return undefined;
    const { path, permissions, start, end } = found;
    return { path, start, end, executable: permissions.includes('x'), writable: permissions.includes('w') };
  }

  functionName(address: number): string | undefined {
    return this.#functionName(address);
  }
}

function openMemory(pid: number): number {
  try {
    return openSync(`/proc/${pid}/mem`, 'r');
  } catch (cause) {
    const { code = 'EIO', message } = cause as NodeJS.ErrnoException;
    throw new MachineError(`can't read the memory of process ${pid}: ${message}`, {
      code,
      cause,
      hints: code === 'EACCES' || code === 'EPERM' ? ['Run insitu as root.'] : [],
    });
  }
}
