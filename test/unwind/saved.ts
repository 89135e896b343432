/**
 * Saved stacks: registers, the words of memory that lead from frame to frame, mappings,
 * the rows of the code that was met, and the frames that gdb saw. One JSON file each in
 * test/unwind/corpus, made by test/unwind/save.ts.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RuleWords, tableOfRows, type UnwindTable } from '../../src/symbolize/unwind/table.ts';
import type { SavedStack } from '../../src/symbolize/unwind/walk.ts';
import { root } from '../insitu.ts';

/** Numbers in hex where they may be large. */
export interface StackFile {
  /** What ran. */
  readonly about: string;
  readonly registers: readonly string[];
  readonly words: readonly (readonly [address: string, value: string])[];
  /** `file`: index into files, `jit`, or null where nothing is known. */
  readonly mappings: readonly (readonly [start: string, end: string, offset: number, file: number | 'jit' | null])[];
  readonly files: readonly {
    readonly name: string;
    readonly rows: readonly (readonly [offset: number, ...words: RuleWords])[];
  }[];
  /** gdb's, innermost first; an ellipsis where gdb knows no more. */
  readonly frames: readonly string[];
}

export interface Saved {
  readonly file: StackFile;
  readonly tables: readonly UnwindTable[];
  readonly stack: SavedStack;
}

export const corpus: string = join(root, 'test', 'unwind', 'corpus');

export function readSaved(name: string): Saved {
  const file = JSON.parse(readFileSync(join(corpus, name), 'utf8')) as StackFile;
  const tables = file.files.map(({ rows }) => tableOfRows(rows));
  const words = new Map(file.words.map(([address, value]) => [BigInt(`0x${address}`), BigInt(`0x${value}`)]));
  const stack: SavedStack = {
    registers: file.registers.map((value) => BigInt(`0x${value}`)),
    read: (address) => words.get(address),
    mappings: file.mappings.map(([start, end, offset, index]) => ({
      start: BigInt(`0x${start}`),
      end: BigInt(`0x${end}`),
      offset,
      table: index === 'jit' ? 'jit' : index === null ? undefined : tables[index],
    })),
  };
  return { file, tables, stack };
}

export const savedNames: readonly string[] = readdirSync(corpus).filter((name) => name.endsWith('.json'));
