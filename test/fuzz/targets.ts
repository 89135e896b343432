/**
 * Everything of insitu that reads what others wrote, one entry each. To add a reader,
 * add an entry: its seeds, and how it is called. `read` gets damaged bytes and answers
 * with what was read, or with why it was refused; whatever it throws is a crash. What it
 * answers must depend on nothing but the bytes.
 */
import { readFileSync } from 'node:fs';
import { disassemble } from '../../src/apps/cli/disassembly.ts';
import { MachineError } from '../../src/base/errors.ts';
import { BadPacking, Unpacked, unpackLzma2 } from '../../src/bytes/lzma.ts';
import { unpackXz } from '../../src/bytes/xz.ts';
import { unpackZstd } from '../../src/bytes/zstd.ts';
import { compile } from '../../src/compiler/compile.ts';
import { formatScript } from '../../src/compiler/syntax/format.ts';
import { parse } from '../../src/compiler/syntax/parse.ts';
import { openBtf } from '../../src/debuginfo/btf/btf.ts';
import { EntryFile } from '../../src/debuginfo/dwarf/entry.ts';
import { buildNameIndex, NameIndex } from '../../src/debuginfo/dwarf/nameindex.ts';
import { DwarfSections } from '../../src/debuginfo/dwarf/sections.ts';
import { ElfFile } from '../../src/debuginfo/elf/elf.ts';
import { Kallsyms } from '../../src/debuginfo/text/kallsyms.ts';
import { parseMaps } from '../../src/debuginfo/text/maps.ts';
import { parseTracepoint } from '../../src/debuginfo/text/tracepoint.ts';
import { Diagnostics } from '../../src/diag/diagnostic.ts';
import { Source } from '../../src/diag/source.ts';
import { parseLdCache } from '../../src/kernel/host/ldcache.ts';
import { demangleBoth } from '../../src/symbolize/demangle/index.ts';
import { nameFunctions } from '../../src/symbolize/evidence/index.ts';
import { encodeNames } from '../../src/symbolize/evidence/store.ts';
import { checksum } from '../../src/symbolize/symbols/columns.ts';
import { JitDump } from '../../src/symbolize/symbols/jitdump.ts';
import { readNames } from '../../src/symbolize/symbols/keptnames.ts';
import { PerfMap } from '../../src/symbolize/symbols/perfmap.ts';
import { ProgramGenerator } from '../generator.ts';
import { sampleTarget } from '../sample.ts';
import { partsOfPair, withNameTables, withPair } from './debugforms.ts';
import {
  crc,
  inflate,
  mostUnpacked,
  openElf,
  partsOf,
  shown,
  smallGo,
  tableStart,
  withBounds,
  withEvidence,
  withGo,
  withLines,
  withSections,
  withSymbols,
  withTypes,
  withUnwindTable,
} from './elf.ts';
import { decoded, type Input, poisonedReader, within } from './input.ts';
import {
  keptDemangled,
  keptSymbols,
  keptUnwindTables,
  learntSeed,
  mangledNames,
  withChecksum,
  withKeptSymbols,
  withKeptUnwindTable,
  withLearnt,
  withStoredNames,
} from './kept.ts';
import { joined, type Region } from './mutate.ts';
import { seedsIn } from './seeds.ts';

export interface Target {
  readonly name: string;
  /** Inputs to damage; none where they can't be made on this machine. `folder` holds the files of seeds.ts. */
  seeds(folder: string): readonly Uint8Array[];
  /** Where damage matters most; anywhere, without it. */
  regions?(seed: Uint8Array): readonly Region[];
  /** True for texts: their words are damaged, not their bits. */
  readonly words?: boolean;
  /** Makes checksums right again, so that damage gets past them. */
  repair?(bytes: Uint8Array): Uint8Array;
  /** What was read, in short; begins with `refused: ` and the reason where nothing was. */
  read(input: Input): string;
  /** The part of a campaign that it gets; 1 when absent. */
  readonly weight?: number;
}

/** A .xz file around LZMA2 bytes, without a checksum of the contents. */
export function xzAround(lzma2: Uint8Array): Uint8Array {
  const word = (value: number): Uint8Array => new Uint8Array(new Uint32Array([value]).buffer);
  const flags = new Uint8Array([0, 0]);
  const header = new Uint8Array([2, 0, 0x21, 1, 0x16, 0, 0, 0]);
  const padding = new Uint8Array((4 - (lzma2.length % 4)) % 4);
  const magic = new Uint8Array([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]);
  return joined(
    magic,
    flags,
    word(crc(flags)),
    header,
    word(crc(header)),
    lzma2,
    padding,
    new Uint8Array([0, 0, 0, 0]),
  );
}

/** LZMA2 chunks that hold bytes as they are. */
function stored(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += 0x10000) {
    const piece = bytes.subarray(at, at + 0x10000);
    parts.push(new Uint8Array([at === 0 ? 1 : 2, (piece.length - 1) >> 8, (piece.length - 1) & 0xff]), piece);
  }
  return joined(...parts, new Uint8Array([0]));
}

function withJitDump({ bytes, poison }: Input): string {
  const dump = new JitDump();
  dump.update(poisonedReader(bytes.subarray(0, bytes.length >> 1), poison));
  dump.update(poisonedReader(bytes, poison));
  const found: string[] = [];
  for (let address = 0x1000; address < 0x9000; address += 0x123) {
    const code = dump.at(address as never);
    if (code !== undefined) found.push(`${code.name}+${code.offset}`);
  }
  return found.join() || 'refused: names nothing here';
}

function withPerfMap({ bytes, poison }: Input): string {
  const map = new PerfMap();
  map.update(poisonedReader(bytes.subarray(0, bytes.length >> 1), poison));
  map.update(poisonedReader(bytes, poison));
  const found: string[] = [];
  for (let address = 0x1000; address < 0x9000; address += 0x123) {
    const code = map.at(address as never);
    if (code !== undefined) found.push(`${code.name}+${code.offset}`);
  }
  return found.join() || 'refused: names nothing here';
}

/** A jitdump as V8 writes one: a header, loads, moves, records of other kinds. */
function jitDumpSeed(): Uint8Array {
  const parts: Uint8Array[] = [];
  const record = (id: number, words: readonly bigint[], name: string, code: number): void => {
    const text = new TextEncoder().encode(name === '' ? '' : `${name}\0`);
    const size = 16 + words.length * 8 + text.length + code;
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, id, true);
    view.setUint32(4, size, true);
    view.setBigUint64(8, 1000n, true);
    for (const [at, word] of words.entries()) view.setBigUint64(16 + 8 * at, word, true);
    bytes.set(text, 16 + words.length * 8);
    parts.push(bytes);
  };
  const header = new Uint8Array(40);
  const view = new DataView(header.buffer);
  for (const [at, value] of [0x4a695444, 1, 40, 62, 0, 99].entries()) view.setUint32(4 * at, value, true);
  parts.push(header);
  for (let index = 0n; index < 24n; index++) {
    const start = 0x1000n + index * 0x300n;
    record(0, [(99n << 32n) | 99n, start, start, 0x200n, index], `JS:*hot${index} /srv/app.js:${index}:7`, 0x40);
    if (index % 5n === 3n) record(1, [(99n << 32n) | 99n, start + 0x80n, start, start + 0x80n, 0x200n, index], '', 0);
    if (index % 7n === 2n) record(2, [start, 2n], 'app.js', 12);
  }
  return joined(...parts);
}

const text = (...lines: readonly string[]): Uint8Array => new TextEncoder().encode(lines.join('\n'));

const target = sampleTarget();

function scripts(): Uint8Array[] {
  const seeds: Uint8Array[] = [];
  for (let seed = 1; seed <= 40; seed++) seeds.push(text(new ProgramGenerator(seed).script()));
  seeds.push(
    text(
      'config = { max_strlen = 100 } struct a { int b; char c[4]; }; macro m($x) { $x + 1 }',
      'BEGIN /pid > 1/ { let $a : struct a *; @m[comm, (1, "x")] = hist(m(3)); for ($kv : @m) { print($kv.0); } while ($a) { break; } unroll (3) { printf("%-5d %s\\n", 1, str($1)); } exit(1); }',
    ),
    text(
      'uprobe:/usr/bin/sample:main { @[ustack(3), arg0] = count(); } tracepoint:syscalls:sys_enter_setsockopt { printf("%s %d\\n", comm, args.fd); }',
    ),
    text(
      'kprobe:vfs_read { @start[tid] = nsecs; } interval:s:1,END { @ = lhist(rand, 0, 100, 5); $x = (uint8)3 ? 0x1f : 1e3; clear(@); }',
    ),
  );
  return seeds;
}

export const targets: readonly Target[] = [
  {
    name: 'elf',
    seeds: (folder) => seedsIn(folder, /(plain|relr|linked|debug|object|shared|packed|stripped).*\.elf$/),
    regions: (seed) => partsOf(seed, /^\.(dynamic|dynstr|note|gnu_debuglink|shstrtab|interp|debug_(line|abbrev))/),
    read: withSections,
    weight: 3,
  },
  {
    name: 'symbols',
    seeds: (folder) => seedsIn(folder, /^(plain|relr|stripped|object|shared|dwarf-4|dwarf-5|debug).*\.elf$/),
    regions: (seed) => partsOf(seed, /^\.(symtab|strtab|dynsym|dynstr|gnu_debug\w+)/),
    read: withSymbols,
    weight: 2,
  },
  {
    name: 'dwarf',
    seeds: (folder) => seedsIn(folder, /^(dwarf|debug\.|object|shared).*\.elf$/),
    regions: (seed) => partsOf(seed, /^\.debug_/),
    read: withLines,
    weight: 4,
  },
  {
    name: 'types',
    seeds: (folder) => seedsIn(folder, /^(dwarf|debug\.|object|shared).*\.elf$/),
    regions: (seed) => partsOf(seed, /^\.debug_(info|abbrev|types|str|loc|addr)/),
    read: withTypes,
    weight: 4,
  },
  {
    name: 'types in two files',
    seeds: (folder) => seedsIn(folder, /^pair-.*\.bin$/),
    regions: partsOfPair,
    read: withPair,
    weight: 4,
  },
  {
    name: 'name tables',
    seeds: (folder) => seedsIn(folder, /^names-.*\.elf$/),
    regions: (seed) => partsOf(seed, /^\.(debug_(names|info|abbrev|str)|gdb_index)$/),
    read: withNameTables,
    weight: 2,
  },
  {
    name: 'nameindex',
    seeds: (folder) =>
      seedsIn(folder, /^dwarf-5\.elf$/).map((bytes) => {
        const elf = openElf({ bytes, poison: 0 });
        return typeof elf === 'string' ? bytes : buildNameIndex(new EntryFile(new DwarfSections(elf, inflate)));
      }),
    read({ bytes, poison }) {
      const index = NameIndex.read(within(bytes, poison));
      if (index === undefined) return 'refused: not an index';
      return `${index.size} ${shown(index.find('struct', 'Basket'))} ${index.all('typedef').length}`;
    },
  },
  {
    name: 'debugdata',
    seeds: (folder) => seedsIn(folder, /^mini$/),
    regions: (seed) => partsOf(seed, /^\.(symtab|strtab)/),
    repair: (bytes) => xzAround(stored(bytes)),
    read({ bytes, poison }) {
      const unpacked = unpackXz(within(bytes, poison), mostUnpacked);
      return unpacked.ok ? withSymbols({ bytes: unpacked.value, poison }) : `refused: ${unpacked.error.message}`;
    },
  },
  {
    name: 'xz',
    seeds: (folder) => seedsIn(folder, /^mini\.xz$/),
    regions: (seed) => [
      { start: 0, size: 40 },
      { start: seed.length - 40, size: 40 },
    ],
    read({ bytes, poison }) {
      const unpacked = unpackXz(within(bytes, poison), mostUnpacked);
      return unpacked.ok ? `${unpacked.value.length} ${crc(unpacked.value)}` : `refused: ${unpacked.error.message}`;
    },
  },
  {
    name: 'lzma2',
    seeds: (folder) => seedsIn(folder, /^mini\.lzma2$/),
    regions: () => [{ start: 0, size: 16 }],
    read({ bytes, poison }) {
      const output = new Unpacked(bytes.length * 4, mostUnpacked);
      try {
        unpackLzma2(within(bytes, poison), 0, output);
      } catch (error) {
        if (error instanceof BadPacking) return `refused: ${error.message}`;
        throw error;
      }
      return `${output.length} ${crc(output.contents)}`;
    },
  },
  {
    name: 'zstd',
    seeds: (folder) => seedsIn(folder, /^mini\.zst$/),
    read({ bytes, poison }) {
      const unpacked = unpackZstd(within(bytes, poison), mostUnpacked);
      return unpacked.ok ? `${unpacked.value.length} ${crc(unpacked.value)}` : `refused: ${unpacked.error.message}`;
    },
  },
  {
    name: 'eh_frame',
    seeds: (folder) => seedsIn(folder, /^(plain|relr|stripped|shared).*\.elf$/),
    regions: (seed) => partsOf(seed, /^\.(eh_frame|eh_frame_hdr|rela\.dyn)$/),
    read: withBounds,
    weight: 2,
  },
  {
    name: 'evidence',
    seeds: (folder) => seedsIn(folder, /^(stripped|relr|plain).*\.elf$/),
    regions: (seed) => partsOf(seed, /^\.(eh_frame|rela\.dyn|relr\.dyn|data\.rel\.ro|rodata|text|dynamic|dynsym)$/),
    read: withEvidence,
    weight: 2,
  },
  {
    name: 'pclntab',
    seeds: (folder) => seedsIn(folder, /^go\.elf$/).map(smallGo),
    regions: (seed) => [
      ...partsOf(seed, /^$/).slice(0, 1),
      ...partsOf(seed, /^\.gopclntab$/).slice(-1),
      ...tableStart(seed),
    ],
    read: withGo,
  },
  {
    name: 'learnt names',
    seeds: () => [learntSeed],
    // The names, and what follows the shapes: those must be in order.
    regions: (seed) =>
      [...new TextDecoder().decode(seed).matchAll(/\t_Z\w+|\t\d+\t[\w,]*\t[\w,]*$/gm)].map(({ index, 0: field }) => ({
        start: index + 1,
        size: field.length - 1,
      })),
    read: withLearnt,
  },
  { name: 'jitdump', seeds: () => [jitDumpSeed()], read: withJitDump },
  {
    name: 'perf map',
    seeds: () => [
      text(
        ...Array.from(
          { length: 60 },
          (_, at) => `${(0x1000 + at * 0x120).toString(16)} ${(at * 13).toString(16)} JS:~f${at} /srv/a.js:${at}:2`,
        ),
        '',
      ),
    ],
    read: withPerfMap,
  },
  {
    name: 'cached names',
    seeds: (folder) =>
      seedsIn(folder, /^stripped\.elf$/).flatMap((bytes) => {
        const elf = ElfFile.open('seed', poisonedReader(bytes, 0));
        const names = elf.ok ? nameFunctions(elf.value) : elf;
        return names.ok ? [encodeNames(names.value.inParts())] : [];
      }),
    regions: () => [{ start: 0, size: 64 }],
    read: (input) => withStoredNames(input),
  },
  {
    name: 'cached names, right checksum',
    seeds: (folder) => (targets.find(({ name }) => name === 'cached names') as Target).seeds(folder),
    repair(bytes) {
      if (bytes.length >= 32) new DataView(bytes.buffer, bytes.byteOffset).setUint32(28, crc(bytes.subarray(32)), true);
      return bytes;
    },
    read: (input) => withStoredNames(input),
  },
  {
    name: 'kept symbols',
    seeds: keptSymbols,
    regions: () => [{ start: 0, size: 16 }],
    read: withKeptSymbols,
  },
  {
    name: 'kept symbols, right checksum',
    seeds: keptSymbols,
    repair(bytes) {
      if (bytes.length >= 16) {
        const sum = checksum(bytes.subarray(16));
        new DataView(bytes.buffer, bytes.byteOffset).setUint32(12, sum, true);
      }
      return bytes;
    },
    read: withKeptSymbols,
  },
  {
    name: 'kept demangled names',
    seeds: () => [keptDemangled()],
    regions: () => [{ start: 0, size: 32 }],
    // As if the checksum were right half of the time.
    repair: (bytes) => (bytes.length % 2 === 0 ? withChecksum(bytes) : bytes),
    read({ bytes, poison }) {
      const { short, verbose } = readNames(within(bytes, poison));
      if (short.size + verbose.size === 0) return 'refused: damaged, or no names';
      return [...short, ...verbose].join();
    },
  },
  {
    name: 'unwind tables',
    seeds: (folder) => seedsIn(folder, /^(plain|relr|stripped|shared|dwarf-4|debug).*\.elf$/),
    regions: (seed) => partsOf(seed, /^\.(eh_frame|eh_frame_hdr|debug_frame)$/),
    read: withUnwindTable,
    weight: 2,
  },
  {
    name: 'kept unwind tables',
    seeds: keptUnwindTables,
    regions: () => [{ start: 0, size: 64 }],
    read: withKeptUnwindTable,
  },
  {
    name: 'demangle',
    seeds: () => mangledNames.map((name) => text(name)),
    read({ bytes }) {
      const name = new TextDecoder('latin1').decode(bytes);
      const answer = [demangleBoth(name, { verbose: true })?.full, demangleBoth(name, { verbose: false })?.base].join(
        '|',
      );
      return answer === '|' ? 'refused: no mangled name' : answer;
    },
  },
  {
    name: 'x86-64 code',
    // Mostly code: what is none is read as bytes that are no instructions.
    seeds: () => [new Uint8Array(readFileSync('/bin/true').subarray(0x2000, 0x3000))],
    read({ bytes }) {
      const found = disassemble(bytes, 0x401000);
      const length = found.reduce((sum, one) => sum + one.bytes.length, 0);
      if (length !== bytes.length) throw new Error(`${length} of ${bytes.length} bytes are listed`);
      return found
        .map(({ mnemonic, operands, target, memory }) => `${mnemonic} ${operands} ${target} ${memory}`)
        .join();
    },
  },
  {
    name: 'btf',
    seeds: (folder) => seedsIn(folder, /\.btf$/),
    regions: (seed) => [
      { start: 0, size: 24 },
      { start: 24, size: seed.length },
    ],
    read({ bytes, poison }) {
      const types = openBtf(within(bytes, poison));
      if (!types.ok) return `refused: ${types.error.code}`;
      try {
        const found = [types.value.find('struct', 'a'), types.value.find('enum', 'e')];
        return JSON.stringify([found, types.value.findFunction('f')], (_, value) =>
          typeof value === 'bigint' ? String(value) : value,
        );
      } catch (error) {
        // A record that is looked at late is refused late.
        if (error instanceof MachineError) return `refused: ${error.code}`;
        throw error;
      }
    },
  },
  {
    name: 'text of /proc',
    words: true,
    seeds: () => [
      text(
        '55d0c8a00000-55d0c8a21000 r-xp 00001000 08:01 1234567                    /usr/bin/cat',
        '7ffd1c5f2000-7ffd1c5f4000 r-xp 00000000 00:00 0                          [vdso]',
        '7f0000000000-7f0000001000 r--p 00000000 00:1f 42 /tmp/a b (deleted)',
        '',
      ),
      text(
        'ffffffff81000000 T _stext',
        'ffffffff81000010 t do_one',
        'ffffffffc0001000 t helper\t[module]',
        'ffffffffc0002000 T bpf_prog_1 [bpf]',
        '',
      ),
      text(
        'name: sys_enter_bind',
        'ID: 1234',
        'format:',
        '\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;',
        '\tfield:__data_loc char[] name;\toffset:8;\tsize:4;\tsigned:0;',
        '\tfield:struct sockaddr * umyaddr;\toffset:24;\tsize:8;\tsigned:0;',
        '',
        'print fmt: "x"',
        '',
      ),
    ],
    read(input) {
      const all = decoded(input);
      const kallsyms = new Kallsyms(within(input.bytes, input.poison));
      const symbol = kallsyms.symbolAt(0xffffffff81000012n);
      const format = parseTracepoint(all, 'syscalls', () => undefined);
      const fields = format.ok
        ? format.value.fields.map(({ name, type }) => `${name} ${type.kind}`).join()
        : `refused: ${format.error.code}`;
      return [parseMaps(all).length, kallsyms.functionNames().join(), symbol?.name, symbol?.offset, fields].join('|');
    },
  },
  {
    name: 'ld.so.cache',
    seeds: () => seedsIn('/etc', /^ld\.so\.cache$/).map((bytes) => bytes.subarray(0, 4096)),
    regions: () => [{ start: 0, size: 256 }],
    read: ({ bytes, poison }) => parseLdCache(within(bytes, poison), 'x86_64').length.toString(),
  },
  {
    name: 'script',
    seeds: scripts,
    words: true,
    read({ bytes }) {
      const source = new Source('damaged.bt', new TextDecoder().decode(bytes));
      const result = compile(source, target);
      format(source);
      if (!result.ok) return `refused: ${result.diagnostics[0]?.code}`;
      return result.program.programs.map(({ code }) => code.length).join();
    },
  },
];

/** What parses is formatted, and then formatted stays as it is. */
function format(source: Source): void {
  const diagnostics = new Diagnostics();
  const script = parse(source, diagnostics);
  if (diagnostics.hasErrors) return;
  const once = formatScript(source, script);
  const again = new Source(source.name, once);
  const twice = formatScript(again, parse(again, diagnostics));
  if (twice !== once) throw new Error(`formatted twice, this differs:\n${once}\n---\n${twice}`);
}
