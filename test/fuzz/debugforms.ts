/** Debugging information in two files (split, in a package, shared by dwz), and tables of names, damaged. */
import { EntryFile } from '../../src/debuginfo/dwarf/entry.ts';
import { ListedNames } from '../../src/debuginfo/dwarf/listednames.ts';
import type { NameKind } from '../../src/debuginfo/dwarf/nameindex.ts';
import { DwarfSections } from '../../src/debuginfo/dwarf/sections.ts';
import { inflate, openElf, partsOf, shown, typesOf } from './elf.ts';
import type { Input } from './input.ts';
import { joined, type Region } from './mutate.ts';

/** Two files in one input: the length of the first, the first, the second. */
export function paired(first: Uint8Array, second: Uint8Array): Uint8Array {
  return joined(new Uint8Array(new Uint32Array([first.length]).buffer), first, second);
}

function parted(bytes: Uint8Array): readonly [Uint8Array, Uint8Array] {
  const length = bytes.length < 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  return [bytes.subarray(4, 4 + length), bytes.subarray(4 + length)];
}

/** What matters in both. */
export function partsOfPair(seed: Uint8Array): Region[] {
  const [first, second] = parted(seed);
  const wanted =
    /^\.(debug_(info|abbrev|types|addr|str|str_offsets|loclists|loc|cu_index|tu_index)(\.dwo)?|gnu_debugaltlink)$/;
  return [
    ...partsOf(first, wanted).map(({ start, size }) => ({ start: start + 4, size })),
    ...partsOf(second, wanted).map(({ start, size }) => ({ start: start + 4 + first.length, size })),
  ];
}

/** A program and the file that has the rest: .dwo, .dwp, or what dwz shares. */
export function withPair({ bytes, poison }: Input): string {
  const [first, second] = parted(bytes);
  const elf = openElf({ bytes: first, poison });
  if (typeof elf === 'string') return elf;
  const other = openElf({ bytes: second, poison });
  const rest = typeof other === 'string' ? undefined : other;
  return typesOf(
    elf,
    new DwarfSections(
      elf,
      inflate,
      () => rest,
      () => rest,
    ),
  );
}

const names: readonly (readonly [kind: NameKind, name: string])[] = [
  ['struct', 'shop::Basket'],
  ['struct', 'shop::Priced'],
  ['struct', 'shop::Item<int>'],
  ['typedef', 'int'],
  ['typedef', 'double'],
  ['variable', 'counter'],
  ['union', 'shop::Named'],
  ['enum', 'nothing'],
];

/** Names by the tables in the file. */
export function withNameTables(input: Input): string {
  const elf = openElf(input);
  if (typeof elf === 'string') return elf;
  const notes: string[] = [];
  const listed = new ListedNames(new EntryFile(new DwarfSections(elf, inflate)), (note) => notes.push(note));
  const found = names.map(([kind, name]) => listed.find(kind, name));
  const isUsed = notes.length > 0 && !notes.every((note) => note.includes('is not used'));
  return isUsed ? `${shown(found)} ${notes.join()}` : `refused: ${notes.join()}`;
}
