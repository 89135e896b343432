/** Readers of ELF files and of what lies in them, for damaged ones. */
import * as zlib from 'node:zlib';
import { virtualAddress } from '../../src/base/numbers.ts';
import { unpackZstd } from '../../src/bytes/zstd.ts';
import { createLineIndex } from '../../src/debuginfo/dwarf/index.ts';
import { printType } from '../../src/debuginfo/dwarf/layout.ts';
import { makeNameIndex, qualifiedName } from '../../src/debuginfo/dwarf/nameindex.ts';
import { DwarfTypes } from '../../src/debuginfo/dwarf/program.ts';
import { DwarfSections } from '../../src/debuginfo/dwarf/sections.ts';
import { ElfFile, type Inflate } from '../../src/debuginfo/elf/elf.ts';
import { catchesTypes, readFunctionBounds } from '../../src/debuginfo/elf/frames.ts';
import { Image } from '../../src/debuginfo/elf/image.ts';
import { readThreadLocals } from '../../src/debuginfo/elf/threadlocal.ts';
import { readUsdtNotes } from '../../src/debuginfo/elf/usdt.ts';
import { GoFunctions } from '../../src/debuginfo/go/pclntab.ts';
import { demangleBoth } from '../../src/symbolize/demangle/index.ts';
import { nameFunctions } from '../../src/symbolize/evidence/index.ts';
import { openBinary } from '../../src/symbolize/symbols/binary.ts';
import { framePointers } from '../../src/symbolize/symbols/prologue.ts';
import { buildTable, ruleAt, type UnwindTable } from '../../src/symbolize/unwind/table.ts';
import { conventions } from '../../src/types/abi.ts';
import { alignOf, describe, sizeOf } from '../../src/types/layout.ts';
import { Printers } from '../../src/types/printers.ts';
import { type Input, poisonedReader } from './input.ts';
import { joined, type Region } from './mutate.ts';

/** Bytes that a damaged packed section may become; no real one of a seed is as large. */
export const mostUnpacked: number = 4 << 20;

export const inflate: Inflate = (packed, method, size) => {
  if (size > mostUnpacked) throw new Error('too large for a test');
  if (method === 'zlib') return zlib.inflateSync(packed, { maxOutputLength: Math.max(1, size) });
  const unpacked = unpackZstd(packed, mostUnpacked);
  if (!unpacked.ok) throw unpacked.error;
  return unpacked.value;
};

export function openElf({ bytes, poison }: Input): ElfFile | string {
  const elf = ElfFile.open('damaged', poisonedReader(bytes, poison));
  return elf.ok ? elf.value : `refused: ${elf.error.code}`;
}

/** The headers, and the sections whose names match, of an undamaged file. */
export function partsOf(bytes: Uint8Array, wanted: RegExp): Region[] {
  const elf = ElfFile.open('seed', poisonedReader(bytes, 0));
  if (!elf.ok) return [];
  const { programHeaders, sectionHeaders } = elf.value.header;
  return [
    { start: 0, size: 64 },
    { start: programHeaders.offset, size: programHeaders.count * programHeaders.entrySize },
    { start: sectionHeaders.offset, size: sectionHeaders.count * sectionHeaders.entrySize },
    ...elf.value.sections
      .filter(({ name, type }) => wanted.test(name) && type !== 8)
      .map(({ offset, size }) => ({ start: offset, size })),
  ];
}

export function withSections(input: Input): string {
  const elf = openElf(input);
  if (typeof elf === 'string') return elf;
  const { sections } = elf;
  let bytes = 0;
  for (const section of sections.slice(0, 64)) {
    const contents = elf.contents(section, inflate);
    if (contents.ok) bytes += contents.value.length;
  }
  let places = 0;
  for (let address = 0; address < 0x6000; address += 0x400) {
    const offset = elf.toFileOffset(virtualAddress(address), 'any');
    if (offset.ok && elf.toVirtualAddress(offset.value) !== undefined) places++;
  }
  const dynamic = elf.dynamic();
  const link = elf.debugLink();
  return [
    sections.length,
    elf.problem?.code,
    bytes,
    places,
    elf.buildId(),
    elf.interpreter,
    dynamic?.needed.join(),
    link?.name,
    link?.crc,
    readUsdtNotes(elf).length,
  ].join(' ');
}

export function withSymbols(input: Input): string {
  const opened = openBinary('damaged', poisonedReader(input.bytes, input.poison), { demangle: demangleBoth, inflate });
  if (!opened.ok) return `refused: ${opened.error.code}`;
  const binary = opened.value;
  const all = binary.match('*');
  const names = all.map(({ name, address, size }) => `${name}@${address}+${size}`);
  const found = binary.search(/total|price/).length + binary.find('shop::total').length;
  const at: string[] = [];
  for (const { address } of all.slice(0, 8)) at.push(binary.at(virtualAddress(address + 1))?.demangled ?? '-');
  for (const { address } of all.slice(0, 8))
    at.push(JSON.stringify(binary.exits(address)), `${binary.unwindable} ${binary.throws}`);
  for (let address = 0x200; address < 0x4000; address += 0x333) at.push(binary.at(virtualAddress(address))?.name ?? '');
  const layers = binary.layers.explain().map(({ layer, found: has, detail }) => `${layer} ${has} ${detail}`);
  return [
    names.join(),
    found,
    at.join(),
    layers.join(),
    binary.object('counter')?.size,
    binary.near('totl').join(),
  ].join('|');
}

export function withLines(input: Input): string {
  const elf = openElf(input);
  if (typeof elf === 'string') return elf;
  const index = createLineIndex(elf, { inflate });
  if (!index.present) return 'refused: no debugging information';
  const text = elf.section('.text');
  const start = text === undefined || text.size === 0 ? 0x1000 : text.address;
  const parts: string[] = [];
  for (let offset = 0; offset < 0x140; offset += 11) {
    for (const frame of index.at(virtualAddress(start + offset))?.frames ?? []) {
      parts.push(`${frame.function} ${frame.file}:${frame.line}:${frame.column}${frame.inlined ? 'i' : ''}`);
    }
  }
  for (const { name, address, size } of index.functions()) parts.push(`${name}@${address}+${size}`);
  parts.push(...index.addressesOf((path) => path.endsWith('.cc'), 20).map(String), ...index.producers());
  return parts.join('|') || 'refused: nothing at these addresses';
}

/** Types, functions with their arguments, and variables, by all names that the index has. */
export function withTypes(input: Input): string {
  const elf = openElf(input);
  return typeof elf === 'string' ? elf : typesOf(elf, new DwarfSections(elf, inflate));
}

export function typesOf(elf: ElfFile, sections: DwarfSections): string {
  const types = new DwarfTypes(sections, {
    convention: conventions.x86_64,
    threadLocals: () => readThreadLocals(elf),
    frameAddress: () => undefined,
    indexes: { kept: () => undefined, make: makeNameIndex },
  });
  const printers = new Printers();
  const parts: string[] = [];
  let left = 60;
  for (const kind of ['struct', 'union', 'enum', 'typedef'] as const) {
    for (const entry of types.entries(kind)) {
      if (left-- < 0) break;
      parts.push(...printType(entry, types.reader).slice(0, 200));
      const type = types.reader.of(entry);
      parts.push(`${sizeOf(type)} ${alignOf(type)} ${describe(type)}`.slice(0, 1000));
      if (type.kind === 'struct')
        parts.push(`${printers.contentOf(type)?.kind} ${type.byReference?.()} ${printers.hasContent(type)}`);
    }
  }
  for (const entry of types.entries('variable')) {
    if (left-- < -60) break;
    const variable = types.global(qualifiedName(entry, types.reader.scopes));
    if (variable !== undefined) parts.push(`${variable.declaration} ${shown(variable.location)}`);
  }
  const start = elf.section('.text')?.address ?? 0x1000;
  for (let offset = 0; offset < 0x100; offset += 16) {
    for (const one of types.variablesAt(start + offset)) parts.push(`${one.declaration} ${shown(one.location)}`);
    const found = types.functionAt(start + offset, '');
    for (const one of found === undefined ? [] : [...found.parameters, found.result]) {
      parts.push(`${one.declaration} ${shown(one.location)}`);
    }
  }
  return parts.join('|') || 'refused: nothing found';
}

export const shown = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? `${inner}n` : inner));

export function withBounds(input: Input): string {
  const elf = openElf(input);
  if (typeof elf === 'string') return elf;
  const image = Image.of(elf);
  if (!image.ok) return `refused: ${image.error.code}`;
  const { starts, sizes } = readFunctionBounds(image.value);
  const { sampled, kept } = framePointers(elf, [elf]);
  return `${starts.join()} ${sizes.join()} ${sampled} ${kept} ${catchesTypes(image.value)}`;
}

export function withEvidence(input: Input): string {
  const elf = openElf(input);
  if (typeof elf === 'string') return elf;
  const names = nameFunctions(elf);
  if (!names.ok) return `refused: ${names.error.code}`;
  return Array.from(names.value, ({ name, address }) => `${name}@${address}`).join();
}

export function withGo(input: Input): string {
  const elf = openElf(input);
  if (typeof elf === 'string') return elf;
  const table = GoFunctions.open(elf);
  if (table === undefined) return 'refused: no table of functions';
  let count = 0;
  let letters = 0;
  let first = 0;
  for (const { name, address } of table.functions()) {
    if (count === 0) first = address;
    letters += name.length;
    if (++count >= 300) break;
  }
  const lines: string[] = [];
  for (let offset = 3; offset < 4000; offset += 331) {
    const line = table.at(virtualAddress(first + offset));
    lines.push(line === undefined ? '-' : `${line.function} ${line.file}:${line.line}`);
  }
  return `${table.count} ${count} ${letters} ${lines.join()}`;
}

export function withUnwindTable(input: Input): string {
  const elf = openElf(input);
  if (typeof elf === 'string') return elf;
  const table = buildTable(elf, inflate);
  return table.ok ? describeTable(table.value) : `refused: ${table.error.code}`;
}

export function describeTable(table: UnwindTable): string {
  const rules: number[] = [];
  for (let offset = 0; offset < 0x3000; offset += 0x35) rules.push(ruleAt(table.blocks, offset));
  return [crc(new Uint8Array(new Int32Array(table.rules).buffer)), JSON.stringify(table.counts), rules].join('|');
}

/** Go's smallest program is large; its table's section and headers suffice, the code is left out. */
export function smallGo(bytes: Uint8Array): Uint8Array {
  const table = partsOf(bytes, /^\.gopclntab$/).at(-1);
  const [, , headers] = partsOf(bytes, /^$/);
  if (table === undefined || headers === undefined) return bytes;
  const names = partsOf(bytes, /^\.shstrtab$/).at(-1) as Region;
  const result = joined(
    bytes.subarray(0, 0x1000),
    bytes.subarray(table.start, table.start + table.size),
    bytes.subarray(headers.start, headers.start + headers.size),
    bytes.subarray(names.start, names.start + names.size),
  );
  const view = new DataView(result.buffer);
  const start = 0x1000 + table.size;
  view.setBigUint64(40, BigInt(start), true);
  for (let at = start; at + 64 <= start + headers.size; at += 64) {
    const offset = Number(view.getBigUint64(at + 24, true));
    if (offset === table.start) view.setBigUint64(at + 24, 0x1000n, true);
    else if (offset === names.start) view.setBigUint64(at + 24, BigInt(start + headers.size), true);
  }
  return result;
}

export function tableStart(seed: Uint8Array): Region[] {
  const table = partsOf(seed, /^\.gopclntab$/).at(-1);
  return table === undefined
    ? []
    : [
        { start: table.start, size: 128 },
        { start: table.start, size: 128 },
      ];
}

export function crc(bytes: Uint8Array): number {
  return (zlib as unknown as { crc32(bytes: Uint8Array): number }).crc32(bytes);
}
