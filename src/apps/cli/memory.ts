/** `insitu memory PID [0xADDRESS]`: a process's memory map, or where an address lies in it. */
import { readFileSync } from 'node:fs';
import { bytesText, columns } from '../../answers/columns.ts';
import { type MappedRange, memoryMap, placeOf } from '../../answers/memory/map.ts';
import { MachineError } from '../../base/errors.ts';
import { processAddress, virtualAddress } from '../../base/numbers.ts';
import { ElfFile } from '../../debuginfo/elf/elf.ts';
import type { Mapping } from '../../debuginfo/text/maps.ts';
import { hostDebugFiles } from '../../kernel/host/debugfiles.ts';
import { inferredNames } from '../../kernel/host/inferred.ts';
import { inflate } from '../../kernel/host/inflate.ts';
import { processFiles } from '../../kernel/host/processfiles.ts';
import { demangleBoth } from '../../symbolize/demangle/index.ts';
import { Symbolizer } from '../../symbolize/symbols/symbolizer.ts';
import { debugFilesOf, type MemoryOptions } from './options.ts';
import { Output } from './output.ts';
import { findPlaces } from './places.ts';

/** Prints the map, or the place of an address; gives the exit status. */
export async function memory(pid: number, address: number | undefined, options: MemoryOptions): Promise<number> {
  const close: (() => void)[] = [];
  try {
    const files = new Map<string, ElfFile | undefined>();
    const ranges = memoryMap(readSmaps(pid), (mapping) => {
      const name = `${mapping.device} ${mapping.inode} ${mapping.path}`;
      if (!files.has(name)) files.set(name, openElf(pid, mapping, close));
      return files.get(name);
    });
    const output = new Output(options.output, 'full');
    if (address !== undefined) output.write(await placeText(pid, ranges, address, options));
    else if (options.format === 'json')
      output.write(`${JSON.stringify({ type: 'memory', data: ranges.map(withHex) })}\n`);
    else output.write(mapText(ranges));
    output.close();
    return 0;
  } finally {
    for (const one of close) one();
  }
}

function readSmaps(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/smaps`, 'latin1');
    if (text !== '') return text;
  } catch (cause) {
    const { code = 'EIO', message } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ESRCH') {
      const hints = code === 'EACCES' || code === 'EPERM' ? ['Run insitu as root.'] : [];
      throw new MachineError(`can't read the memory map of process ${pid}: ${message}`, { code, hints, cause });
    }
    throw new MachineError(`there is no process ${pid}`, { code: 'ESRCH', cause });
  }
  throw new MachineError(`process ${pid} has no memory of its own: it is a kernel thread, or has ended`, {
    code: 'ESRCH',
  });
}

function openElf(pid: number, mapping: Mapping, close: (() => void)[]): ElfFile | undefined {
  const reader = processFiles.open(pid, mapping);
  if (reader === undefined) return undefined;
  const elf = ElfFile.open(mapping.path, reader);
  if (!elf.ok) {
    reader.close?.();
    return undefined;
  }
  close.push(() => reader.close?.());
  return elf.value;
}

const hex = (value: number): string => `0x${value.toString(16)}`;
const withHex = (range: MappedRange): object => ({
  ...range,
  start: hex(range.start),
  end: hex(range.end),
  bias: range.bias === undefined ? undefined : hex(range.bias),
  sections: range.sections.map(({ name, start, end }) => ({ name, start: hex(start), end: hex(end) })),
});

function mapText(ranges: readonly MappedRange[]): string {
  const rows = ranges.map((range) => [
    range.start.toString(16),
    range.end.toString(16),
    bytesText(range.end - range.start),
    bytesText(range.resident),
    bytesText(range.own),
    range.permissions,
    `${range.path}${range.deleted ? ' (deleted)' : ''}`,
    range.segment,
    range.sections.map(({ name }) => name).join(' '),
  ]);
  const total = (pick: (range: MappedRange) => number): string =>
    bytesText(ranges.reduce((sum, range) => sum + pick(range), 0));
  const table = columns(
    ['>start', '>end', '>size', '>resident', '>own', 'rights', 'file', 'segment', 'sections'],
    rows,
    100,
  );
  return `${table}\n  ${ranges.length} mappings: ${total(({ start, end }) => end - start)} of addresses, ${total(({ resident }) => resident)} resident, ${total(({ own }) => own)} of this process alone, ${total(({ swapped }) => swapped)} swapped out\n`;
}

/** `mapping:`, `section:`, `symbol:`, `source:` of an address, one a line. */
async function placeText(
  pid: number,
  ranges: readonly MappedRange[],
  address: number,
  options: MemoryOptions,
): Promise<string> {
  const place = placeOf(ranges, address);
  if (place === undefined) {
    const below = ranges.findLast(({ end }) => end <= address);
    const above = ranges.find(({ start }) => start > address);
    const near = [
      below && `${hex(below.end)} ends ${below.path || 'memory without a file'}`,
      above && `${hex(above.start)} begins ${above.path || 'memory without a file'}`,
    ];
    throw new MachineError(`process ${pid} has nothing mapped at ${hex(address)}`, {
      code: 'EFAULT',
      hints: near.flatMap((one) => one || []),
    });
  }
  const { range, section } = place;
  const symbolizer = new Symbolizer(processFiles, {
    demangle: demangleBoth,
    inflate,
    debugFiles: hostDebugFiles(debugFilesOf(options)),
    infer: (elf) => inferredNames(elf, { names: options.names }),
  });
  try {
    const frame = symbolizer.symbolize(pid, processAddress(address));
    const name = frame.found ? frame.demangled || frame.name : '';
    const source = symbolizer.source(pid, processAddress(address))?.frames[0];
    const inFile = range.bias === undefined ? undefined : address - range.bias;
    const lines: [string, string][] = [
      ['address', hex(address)],
      [
        'mapping',
        `${hex(range.start)}-${hex(range.end)} ${range.permissions} ${range.path || 'memory without a file'}`,
      ],
      ['segment', range.segment],
      ['section', section === undefined ? '' : `${section.name} + ${hex(address - section.start)}`],
      [
        'file',
        inFile === undefined
          ? ''
          : `virtual address ${hex(inFile)}, file offset ${hex(address - range.start + range.offset)}`,
      ],
      ['symbol', frame.found ? `${name} + ${hex(frame.offset)}` : ''],
      ['source', source === undefined || source.file === '' ? '' : `${source.file}:${source.line}`],
      ['instruction', range.permissions[2] === 'x' ? await instructionText(pid, range, address, options) : ''],
    ];
    if (options.format === 'json') {
      return `${JSON.stringify({ type: 'address', data: Object.fromEntries(lines.filter(([, text]) => text !== '')) })}\n`;
    }
    return lines.flatMap(([name, text]) => (text === '' ? [] : [`${`${name}:`.padEnd(13)} ${text}\n`])).join('');
  } finally {
    symbolizer.close();
  }
}

/** The instruction at an address, or the one that has it among its bytes; '' where that cannot be told. */
async function instructionText(
  pid: number,
  range: MappedRange,
  address: number,
  options: MemoryOptions,
): Promise<string> {
  const place =
    range.path.startsWith('/') && findPlaces(String(pid), options).files.find(({ path }) => path === range.path);
  if (!place || range.bias === undefined) return '';
  const binary = place.open();
  try {
    const found = await (await import('./code.ts')).instructionAt(binary, virtualAddress(address - range.bias));
    return found === undefined ? '' : `${found.text}${found.inside ? ' (the address is inside of it)' : ''}`;
  } finally {
    binary.close();
  }
}
