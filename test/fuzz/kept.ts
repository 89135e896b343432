/** What insitu keeps in caches and in the folder of learnt names, for damaged ones. */
import { virtualAddress } from '../../src/base/numbers.ts';
import { ElfFile } from '../../src/debuginfo/elf/elf.ts';
import { demangleBoth } from '../../src/symbolize/demangle/index.ts';
import { encodeLearnt, Learnt } from '../../src/symbolize/evidence/learnt.ts';
import { StoredNames } from '../../src/symbolize/evidence/store.ts';
import { checksum, decodeColumns, encodeColumns, readColumns } from '../../src/symbolize/symbols/columns.ts';
import { KeptNames } from '../../src/symbolize/symbols/keptnames.ts';
import { buildTable, decodeTable, encodeTable } from '../../src/symbolize/unwind/table.ts';
import { describeTable, inflate } from './elf.ts';
import { decoded, type Input, poisonedReader, within } from './input.ts';
import { seedsIn } from './seeds.ts';

export const learntSeed: Uint8Array = new TextEncoder().encode(
  encodeLearnt(
    'shop 12ab',
    [{ mangled: 'N4shop6BasketE', slots: ['~Basket', '~Basket', '', 'all'] }],
    Array.from({ length: 40 }, (_, index) => ({
      name: `_ZN4shop6Basket2f${index}Ev`,
      shape: index < 30 ? index * 0x3_1415_9265 : -1,
      instructions: index + 6,
      calls: [(index * 7) % 40, -1, (index * 3) % 40],
      texts: [index * 0x1_0001],
    })),
  ),
);

export function withLearnt(input: Input): string {
  const parsed = Learnt.parse(decoded(input), 'damaged');
  if (!parsed.ok) return `refused: ${parsed.error.code}`;
  const learnt = parsed.value;
  const calls = learnt.names.map((_, index) => learnt.calls(index));
  for (const line of calls.flat()) if (line >= learnt.names.length) throw new Error(`a call of line ${line}`);
  const shapes = [...learnt.shapes].map((shape) => learnt.withShape(shape).length);
  return [
    learnt.from,
    learnt.names,
    calls,
    shapes,
    [...learnt.texts].flat(),
    learnt.slots('N4shop6BasketE', 4),
    [...learnt.instructions],
  ].join('|');
}

export const mangledNames: readonly string[] = [
  '_ZNSt6vectorISt4pairINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEiESaIS7_EE12emplace_backIJRKS7_EEERS7_DpOT_',
  '_ZZN4shop3runEiENKUlRKT_E_clIiEEDaS2_',
  '_ZN4node7TCPWrap4BindI11sockaddr_inEEvRKN2v820FunctionCallbackInfoINS3_5ValueEEEiSt8functionIFiPKciPT_EE.isra.0',
  '_ZTv0_n24_NSt9strstreamD1Ev',
  '_ZNK1AIXadL_ZN1B1fEvEEXsrT_5valueELi3EEcvT_IJilEEEv',
  '_ZN5boost6detail8functionIZN3foo3barEvEUlvE_EE',
  '_RNvMs_NtCs1234_7mycrate3fooNtB4_3Bar3baz',
  '_RINvNtCsgAcyfTH5JxF_4core3ptr13drop_in_placeNtNtCs9CZQ8oI6TuA_5alloc6string6StringEBK_',
  '_ZN4core3ptr85drop_in_place$LT$std..rt..lang_start$LT$$LP$$RP$$GT$..$u7b$$u7b$closure$u7d$$u7d$$GT$17h0123456789abcdefE',
  '_Z1fIiQaa1CIT_E1DIS0_EEvS0_',
  '_ZN3fooITnDaXtlA3_cLc65ELc66ELc67EEEE3barB5cxx11Ev',
];

export function withStoredNames({ bytes, poison }: Input): string {
  const names = StoredNames.read(within(bytes, poison));
  if (names === undefined) return 'refused: not the cache of this version, or damaged';
  let letters = 0;
  for (const { name, evidence } of names) letters += name.length + evidence.length;
  return `${names.count} ${letters} ${names.at(virtualAddress(0x1100))?.name}`;
}

export function keptUnwindTables(folder: string): Uint8Array[] {
  return seedsIn(folder, /^(stripped|shared)\.elf$/).flatMap((bytes) => {
    const elf = ElfFile.open('seed', poisonedReader(bytes, 0));
    const table = elf.ok ? buildTable(elf.value, inflate) : elf;
    return table.ok ? [encodeTable(table.value)] : [];
  });
}

export function withKeptUnwindTable({ bytes, poison }: Input): string {
  const table = decodeTable(within(bytes, poison));
  return table === undefined ? 'refused: not the table of this version, or damaged' : describeTable(table);
}

export function keptSymbols(folder: string): Uint8Array[] {
  return seedsIn(folder, /^(plain-pie|shared)\.elf$/).flatMap((bytes) => {
    const elf = ElfFile.open('seed', poisonedReader(bytes, 0));
    const section = elf.ok ? elf.value.sections.find(({ name }) => name === '.symtab') : undefined;
    return elf.ok && section !== undefined ? [encodeColumns(readColumns(elf.value, section, 'function'))] : [];
  });
}

export function withKeptSymbols({ bytes, poison }: Input): string {
  const columns = decodeColumns(within(bytes, poison));
  if (columns === undefined) return 'refused: not the index of this version, or damaged';
  return [columns.addresses, columns.sizes, columns.names, columns.bindings].join('|');
}

export function keptDemangled(): Uint8Array {
  const files = new Map<string, Uint8Array>();
  const cache = { read: () => undefined, write: (key: string, bytes: Uint8Array) => void files.set(key, bytes) };
  const kept = new KeptNames(demangleBoth, cache, 'seed');
  for (const name of mangledNames) for (const verbose of [false, true]) kept.demangle(name, { verbose });
  kept.save();
  return files.get('seed') as Uint8Array;
}

export function withChecksum(bytes: Uint8Array): Uint8Array {
  const at = bytes.indexOf(0x0a) - 8;
  if (at < 0) return bytes;
  const sum = checksum(bytes.slice(at + 9))
    .toString(16)
    .padStart(8, '0');
  bytes.set(new TextEncoder().encode(sum), at);
  return bytes;
}
