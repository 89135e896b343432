/** The dynamic section (gABI chapter 5, "Dynamic Section"): which libraries a file needs and where they are looked for. */
import type { VirtualAddress } from '../../base/numbers.ts';
import { virtualAddress } from '../../base/numbers.ts';
import { Cursor } from '../../bytes/cursor.ts';
import { DT_FLAGS_1, DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRSZ, DT_STRTAB } from './constants.ts';

export interface DynamicSection {
  /** DT_NEEDED, in order. */
  readonly needed: readonly string[];
  /** DT_SONAME, '' when there is none. */
  readonly soname: string;
  /** DT_RPATH, as it stands (colons, $ORIGIN), '' when there is none. */
  readonly rpath: string;
  /** DT_RUNPATH, as it stands, '' when there is none. */
  readonly runpath: string;
  /** DT_FLAGS_1, 0 when there is none. */
  readonly flags1: number;
}

/**
 * Reads the entries in a PT_DYNAMIC segment's bytes. `stringAt` reads a string of the
 * table that DT_STRTAB places at an address; it gives undefined for what is not there,
 * and such an entry is left out.
 */
export function readDynamic(
  bytes: Uint8Array,
  littleEndian: boolean,
  wide: boolean,
  stringAt: (table: VirtualAddress, offset: number, tableSize: number) => string | undefined,
): DynamicSection {
  const cursor = new Cursor(bytes, littleEndian);
  const word = (): number => (wide ? cursor.u64number() : cursor.u32());
  const entries: { readonly tag: number; readonly value: number }[] = [];
  while (cursor.remaining >= (wide ? 16 : 8)) {
    const tag = word();
    const value = word();
    if (tag === DT_NULL) break;
    entries.push({ tag, value });
  }
  const value = (tag: number): number | undefined => entries.find((entry) => entry.tag === tag)?.value;
  const table = value(DT_STRTAB);
  const size = value(DT_STRSZ) ?? 0;
  const text = (offset: number | undefined): string | undefined =>
    offset === undefined || table === undefined ? undefined : stringAt(virtualAddress(table), offset, size);
  return {
    needed: entries
      .filter((entry) => entry.tag === DT_NEEDED)
      .map((entry) => text(entry.value))
      .filter((name) => name !== undefined),
    soname: text(value(DT_SONAME)) ?? '',
    rpath: text(value(DT_RPATH)) ?? '',
    runpath: text(value(DT_RUNPATH)) ?? '',
    flags1: value(DT_FLAGS_1) ?? 0,
  };
}
