/** `insitu object PID 0xADDRESS`: an object of a process as a tree, by what its words are. */
import { closeSync, openSync, readSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import { processAddress } from '../../base/numbers.ts';
import { hostDebugFiles } from '../../kernel/host/debugfiles.ts';
import { inferredNames } from '../../kernel/host/inferred.ts';
import { inflate } from '../../kernel/host/inflate.ts';
import { processFiles } from '../../kernel/host/processfiles.ts';
import { demangleBoth } from '../../symbolize/demangle/index.ts';
import { type ExploredObject, Explorer, type ProcessView } from '../../symbolize/objects/explore.ts';
import { ProcessMaps } from '../../symbolize/symbols/process.ts';
import { Symbolizer } from '../../symbolize/symbols/symbolizer.ts';
import { complain } from './failure.ts';
import { debugFilesOf, type ObjectOptions } from './options.ts';
import { Output } from './output.ts';

/** Prints the tree; gives the exit status. */
export function object(pid: number, address: number, options: ObjectOptions): number {
  const text = processFiles.maps(pid);
  if (text === undefined || text === '') throw new MachineError(`there is no process ${pid}`, { code: 'ESRCH' });
  const memory = openMemory(pid);
  try {
    const view = viewOf(pid, ProcessMaps.parse(text), memory, options);
    if (view.read(address, 8).length < 8) {
      throw new MachineError(`process ${pid} has nothing at 0x${address.toString(16)}`, { code: 'EFAULT' });
    }
    const explored = new Explorer(view, { depth: options.depth, bytes: options.bytes }).explore(address);
    const output = new Output(options.output, 'full');
    if (options.format === 'json') output.write(`${JSON.stringify(explored, bigAsText)}\n`);
    else print(output, explored, '');
    output.close();
    return 0;
  } finally {
    closeSync(memory);
  }
}

const bigAsText = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? `0x${value.toString(16)}` : value;

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

function viewOf(pid: number, maps: ProcessMaps, memory: number, options: ObjectOptions): ProcessView {
  const symbolizer = new Symbolizer(processFiles, {
    demangle: demangleBoth,
    inflate,
    debugFiles: hostDebugFiles(debugFilesOf(options)),
    infer: (elf) =>
      inferredNames(elf, {
        names: options.names,
        onSlow: (path) => complain(`${path} has no symbols: inferring names (kept for the next run)\n`),
      }),
  });
  return {
    read(address, size) {
      const bytes = new Uint8Array(size);
      for (let done = 0; ; ) {
        try {
          const count = readSync(memory, bytes, done, size - done, address + done);
          done += count;
          if (count === 0 || done === size) return bytes.subarray(0, done);
        } catch {
          // What comes behind the end of a mapping is not there.
          return bytes.subarray(0, done);
        }
      }
    },
    mapping(address) {
      const found = maps.find(processAddress(address));
      if (found === undefined) return undefined;
      const { path, permissions, start, end } = found;
      return { path, start, end, executable: permissions.includes('x'), writable: permissions.includes('w') };
    },
    functionName(address) {
      const frame = symbolizer.symbolize(pid, processAddress(address));
      if (!frame.found) return undefined;
      const name = frame.demangled === '' ? frame.name : frame.demangled;
      return frame.offset === 0 ? name : `${name}+${frame.offset}`;
    },
  };
}

function print(output: Output, explored: ExploredObject, indent: string): void {
  const type = explored.type === '' ? 'object without a vtable' : explored.type;
  const note = explored.note === undefined ? '' : ` (${explored.note})`;
  output.write(`${indent}${type} at 0x${explored.address.toString(16)}${note}\n`);
  let zeros = 0;
  for (const { offset, kind, detail, target } of explored.findings) {
    if (kind === 'nothing') {
      zeros++;
      continue;
    }
    if (zeros > 0) output.write(`${indent}  … ${zeros} word${zeros === 1 ? '' : 's'} of 0\n`);
    zeros = 0;
    output.write(`${indent}  +0x${offset.toString(16).padStart(3, '0')}  ${kind.padEnd(8)} ${detail}\n`);
    if (target !== undefined) print(output, target, `${indent}    `);
  }
}
