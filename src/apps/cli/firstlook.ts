/** A first look at a program file: what it is, who made it, and what a tracer can expect of it. */
import type { VirtualAddress } from '../../base/numbers.ts';
import { textPattern } from '../../bytes/search.ts';
import { DF_1_PIE, EM_AARCH64, EM_X86_64, ET_EXEC, ET_REL, SHF_EXECINSTR } from '../../debuginfo/elf/constants.ts';
import { goVersion } from '../../debuginfo/go/buildinfo.ts';
import { inflate } from '../../kernel/host/inflate.ts';
import type { ElfBinary } from '../../symbolize/symbols/binary.ts';
import type { Attempt } from '../../symbolize/symbols/debugfile.ts';
import { framePointers } from '../../symbolize/symbols/prologue.ts';

/** What a file is, at a first look. */
export interface Description {
  readonly file: string;
  readonly kind: string;
  readonly machine: string;
  readonly buildId: string;
  readonly stripped: boolean;
  readonly functions: number;
  readonly version: string | undefined;
  readonly compilers: readonly string[];
  readonly framePointers: { readonly sampled: number; readonly kept: number };
  readonly debugFile: string | undefined;
  /** Where debug files were looked for, when none was found. */
  readonly lookedFor: readonly Attempt[];
}

const machines: Readonly<Record<number, string>> = { [EM_X86_64]: 'x86-64', [EM_AARCH64]: 'arm64' };

export function describe(binary: ElfBinary): Description {
  const { elf, layers } = binary;
  const named = [elf, layers.symbolsFile(), layers.debugFile(), layers.mini()].filter((file) => file !== undefined);
  const debugFile = layers.symbolsFile()?.path ?? binary.debugPath ?? layers.localDebugFile()?.path;
  return {
    file: binary.path,
    kind: kindOf(binary),
    machine: `${elf.header.class}-bit ${machines[elf.header.machine] ?? `machine ${elf.header.machine}`}`,
    buildId: binary.buildId,
    stripped: elf.sections.every((section) => section.name !== '.symtab'),
    functions: binary.functionCount,
    version: binary.version(),
    compilers: compilers(binary),
    framePointers: framePointers(elf, named, goFunctions(binary)),
    debugFile,
    lookedFor: debugFile === undefined ? layers.explain().flatMap((report) => report.attempts) : [],
  };
}

const goFunctions = (binary: ElfBinary): Iterable<{ readonly address: VirtualAddress; readonly size: number }> =>
  binary.layers.go()?.functions() ?? [];

function kindOf({ elf, positionIndependent }: ElfBinary): string {
  const { type } = elf.header;
  if (type === ET_REL) return elf.section('.modinfo') === undefined ? 'object file, not linked' : 'kernel module';
  if (type === ET_EXEC) return 'executable, at a fixed address';
  const dynamic = elf.dynamic();
  // A static one at any address has no interpreter, but says what it is.
  const executable = elf.interpreter !== '' || ((dynamic?.flags1 ?? 0) & DF_1_PIE) !== 0;
  if (!executable || (dynamic?.soname ?? '') !== '') return 'shared library';
  return `executable, ${positionIndependent ? 'position-independent' : 'at a fixed address'}`;
}

/** The texts of .comment, which compilers and linkers leave, else what DWARF, Go's tables or the C++ library's names tell. */
function compilers(binary: ElfBinary): readonly string[] {
  const { elf, layers } = binary;
  const section = elf.section('.comment');
  const contents = section === undefined ? undefined : elf.contents(section, inflate);
  const found = new Set<string>();
  if (contents?.ok) {
    const text = new TextDecoder('latin1').decode(contents.value.subarray(0, 1 << 16));
    for (const one of text.split('\0')) if (/^[\x20-\x7e]+$/.test(one)) found.add(one);
  }
  const go = layers.go();
  const version = goVersion(elf);
  if (version !== undefined) found.add(`Go ${version.replace(/^go/, '')}`);
  else if (go !== undefined) found.add(`Go (function table of ${go.format})`);
  if (found.size === 0) for (const producer of layers.lines()?.producers() ?? []) found.add(producer);
  if (found.size === 0) {
    const library = libraryOf(binary);
    if (library !== undefined) found.add(library);
  }
  return [...found];
}

const chunkSize = 1 << 20;
const mostBytes = 64 << 20;

/** By the inline namespaces in the names of C++ types, which stay in a stripped program. */
function libraryOf({ elf }: ElfBinary): string | undefined {
  const section = elf.section('.rodata');
  if (section === undefined) return undefined;
  const marks = [
    { pattern: textPattern('NSt3__1'), says: 'not told; C++ with libc++ (std::__1), as clang is mostly used' },
    { pattern: textPattern('NSt7__cxx11'), says: 'not told; C++ with libstdc++ (std::__cxx11)' },
  ];
  for (let done = 0; done < Math.min(section.size, mostBytes); done += chunkSize) {
    const bytes = elf.reader.read(section.offset + done, Math.min(chunkSize, section.size - done));
    for (const { pattern, says } of marks) if (pattern.indexIn(bytes) >= 0) return says;
  }
  return undefined;
}

export function overview(binary: ElfBinary): string {
  const one = describe(binary);
  const { sampled, kept } = one.framePointers;
  const share = sampled === 0 ? 0 : kept / sampled;
  const frames =
    sampled === 0
      ? 'unknown: no function to look at'
      : share >= 0.8
        ? `kept (${kept} of ${sampled} functions looked at)`
        : share <= 0.2
          ? `omitted (${kept} of ${sampled} functions looked at keep one): stacks by frame pointers will be short`
          : `in part (${kept} of ${sampled} functions looked at): stacks may miss frames`;
  const code = binary.elf.sections.some((section) => (section.flags & SHF_EXECINSTR) !== 0);
  const names = `${one.stripped ? 'stripped of .symtab' : 'not stripped'}; ${one.functions} functions have names`;
  const lines: [string, string][] = [
    ['kind', `${one.kind}, ${one.machine}${code ? '' : ', without code'}`],
    ['build-id', one.buildId === '' ? 'none' : one.buildId],
    ['version', one.version ?? 'it tells none'],
    ['compiler', one.compilers.length === 0 ? 'not told' : one.compilers.join('; ')],
    ['frame pointers', frames],
    ['symbols', names],
    ['debug file', one.debugFile ?? 'none'],
  ];
  const rows = lines.map(([key, value]) => `  ${`${key}:`.padEnd(16)}${value}\n`);
  for (const { path, problem } of one.lookedFor) rows.push(`  ${''.padEnd(16)}  ${path}: ${problem ?? 'found'}\n`);
  return `${one.file}\n${rows.join('')}`;
}
