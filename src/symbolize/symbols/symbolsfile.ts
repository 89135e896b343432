/**
 * A build of the same program that has symbols, given by the user: `--symbols FILE`. It
 * is taken when its build-id is the binary's; with `--symbols-force` also when its code
 * is the same, byte by byte, at the same addresses.
 */
import { MachineError } from '../../base/errors.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import { PF_X, PT_LOAD, SHT_NOBITS } from '../../debuginfo/elf/constants.ts';
import { ElfFile } from '../../debuginfo/elf/elf.ts';
import type { Segment } from '../../debuginfo/elf/header.ts';
import type { DebugFiles } from './debugfile.ts';

export interface SymbolsFile {
  readonly path: string;
  /** Compare code where the build-ids differ. */
  readonly force: boolean;
}

const chunkSize = 1 << 20;

/** Opens the symbols file for a binary. Fails when it can't be opened or belongs to another build. */
export function openSymbolsFile(
  elf: ElfFile,
  { path, force }: SymbolsFile,
  files: DebugFiles,
): Result<ElfFile, MachineError> {
  const reader = files.open(path);
  if (reader === undefined) {
    return fail(new MachineError(`--symbols: can't open ${path}`, { code: 'E_NO_SYMBOLS_FILE' }));
  }
  const file = ElfFile.open(path, reader);
  const problem = file.ok ? mismatch(elf, file.value, force) : file.error;
  if (file.ok && problem === undefined) return file;
  reader.close?.();
  return fail(problem as MachineError);
}

function mismatch(elf: ElfFile, symbols: ElfFile, force: boolean): MachineError | undefined {
  const own = elf.buildId();
  const its = symbols.buildId();
  if (own !== '' && own === its) return undefined;
  if (!force) {
    const what = (id: string): string => (id === '' ? 'none' : id);
    return new MachineError(
      `${symbols.path} is not the build of ${elf.path}: build-id ${what(its)}, but the binary has ${what(own)}`,
      {
        code: 'E_OTHER_BUILD',
        hints: ['--symbols-force compares the code of the two, and takes the file if it is the same'],
      },
    );
  }
  const different = compareCode(elf, symbols);
  if (!different.ok) return different.error;
  return undefined;
}

const isCode = (segment: Segment): boolean => segment.type === PT_LOAD && (segment.flags & PF_X) !== 0;

/** Succeeds when all executable bytes of one are those of the other, at the same addresses. */
function compareCode(elf: ElfFile, symbols: ElfFile): Result<void, MachineError> {
  const refuse = (what: string): Result<void, MachineError> =>
    fail(
      new MachineError(`${symbols.path} is not the build of ${elf.path}: ${what}`, {
        code: 'E_OTHER_CODE',
        hints: ['its addresses would name the wrong functions; fetch the symbols of this very build'],
      }),
    );
  const text = symbols.section('.text');
  if (text === undefined || text.type === SHT_NOBITS) return refuse('it holds no code to compare (only debug data)');
  const ours = elf.segments.filter(isCode);
  const theirs = symbols.segments.filter(isCode);
  if (ours.length === 0 || ours.length !== theirs.length) return refuse('it has other executable segments');
  for (const [index, segment] of ours.entries()) {
    const other = theirs[index] as Segment;
    // The headers at a file's start may be mapped with the code; they differ with the sections.
    if (segment.address !== other.address || segment.fileSize !== other.fileSize) {
      return refuse('its code has another place or size');
    }
    const skip = segment.offset === 0 ? 4096 : 0;
    for (let done = skip; done < segment.fileSize; done += chunkSize) {
      const length = Math.min(chunkSize, segment.fileSize - done);
      const a = elf.reader.read(segment.offset + done, length);
      const b = symbols.reader.read(other.offset + done, length);
      const at = firstDifference(a, b);
      if (at >= 0) return refuse(`its code differs at 0x${(segment.address + done + at).toString(16)}`);
    }
  }
  return ok(undefined);
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return Math.min(a.length, b.length);
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return at;
  return -1;
}
