/**
 * A Target made of plain data: the same on every machine and on every day, for tests
 * and golden files. What is not given is not there: no types, no tracepoints, no files.
 */
import { MachineError } from '../base/errors.ts';
import { nearest } from '../base/near.ts';
import { type FileOffset, fileOffset, type VirtualAddress, virtualAddress } from '../base/numbers.ts';
import { fail, ok, type Result } from '../base/result.ts';
import type { ProgramTypes, TypeSource } from '../types/source.ts';
import type { Binary, Features, FunctionSymbol, PidNamespace, Target, TracepointFormat, UsdtProbe } from './target.ts';

/** A binary in numbers: one executable segment is assumed when none is given (address = offset). */
export interface FixedBinary {
  readonly functions?: readonly {
    readonly name: string;
    readonly demangled?: string;
    readonly address: number;
    readonly size: number;
  }[];
  readonly objects?: Readonly<Record<string, { readonly address: number; readonly size: number }>>;
  /** Executable segments: p_vaddr, p_offset, p_filesz. */
  readonly segments?: readonly { readonly address: number; readonly offset: number; readonly size: number }[];
  readonly usdt?: readonly UsdtProbe[];
  readonly stripped?: boolean;
  readonly positionIndependent?: boolean;
  readonly buildId?: string;
  readonly version?: string;
  readonly types?: ProgramTypes;
}

/** Reads a tracefs format; debuginfo/text has it, below this folder. */
export type ParseFormat = (
  text: string,
  category: string,
  types: () => TypeSource | undefined,
) => Result<TracepointFormat, MachineError>;

export interface FixedTargetData {
  readonly arch?: 'x86_64' | 'arm64';
  readonly cpus?: number;
  readonly features?: Partial<Omit<Features, 'kernel'>> & { readonly kernel?: Features['kernel'] };
  readonly types?: TypeSource;
  /** Format files by `category:event`, with the function that reads them. */
  readonly formats?: Readonly<Record<string, string>>;
  readonly parseFormat?: ParseFormat;
  readonly tracepoints?: readonly TracepointFormat[];
  readonly kernelSymbols?: Readonly<Record<string, bigint>>;
  readonly constants?: Readonly<Record<string, bigint>>;
  /** Text by path as it stands in the #include. */
  readonly headers?: Readonly<Record<string, string>>;
  /** By the name that the script uses. */
  readonly binaries?: Readonly<Record<string, FixedBinary>>;
  readonly pidNamespace?: PidNamespace;
  readonly pids?: readonly number[];
}

const own = <Value>(record: Readonly<Record<string, Value>> | undefined, name: string): Value | undefined =>
  record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;

/** x86-64, 2 CPUs and Linux 6.18 with all optional features, unless `data` says otherwise. */
export function createFixedTarget(data: FixedTargetData = {}): Target {
  const formats = new Map((data.tracepoints ?? []).map((format) => [`${format.category}:${format.event}`, format]));
  return {
    arch: data.arch ?? 'x86_64',
    cpus: data.cpus ?? 2,
    features: {
      kernel: data.features?.kernel ?? { major: 6, minor: 18, release: '6.18.0' },
      uprobeMulti: data.features?.uprobeMulti ?? true,
      kprobeMulti: data.features?.kprobeMulti ?? true,
      bpfLoop: data.features?.bpfLoop ?? true,
      kprobes: data.features?.kprobes ?? true,
    },
    kernelTypes: () => data.types,
    bpfPrograms: () => [],
    tracepoint(category, event) {
      const name = `${category}:${event}`;
      const known = formats.get(name);
      if (known !== undefined) return ok(known);
      const text = own(data.formats, name);
      if (text === undefined || data.parseFormat === undefined) return ok(undefined);
      const parsed = data.parseFormat(text, category, () => data.types);
      if (parsed.ok) formats.set(name, parsed.value);
      return parsed;
    },
    tracepoints: () => ok([...new Set([...formats.keys(), ...Object.keys(data.formats ?? {})])].sort()),
    kernelFunctions: () => Object.keys(data.kernelSymbols ?? {}),
    kernelSymbol: (name) => own(data.kernelSymbols, name),
    constant: (name) => own(data.constants, name),
    constantNames: () => Object.keys(data.constants ?? {}),
    header(path) {
      const text = own(data.headers, path);
      return text === undefined ? undefined : { path, text };
    },
    binary(name) {
      const binary = own(data.binaries, name);
      if (binary !== undefined) return ok(fixedBinary(name, binary));
      const near = nearest(name, Object.keys(data.binaries ?? {}), 3);
      const hints = near.length > 0 ? [`Did you mean ${near.join(', ')}?`] : [];
      return fail(new MachineError(`there is no file ${name}`, { code: 'ENOENT', hints }));
    },
    kfuncAllowed: () => false,
    cgroupId: () => undefined,
    programFiles: (glob) => Object.keys(data.binaries ?? {}).filter((name) => globPattern(glob).test(name)),
    pidNamespace: () => data.pidNamespace,
    loadBias: () => undefined,
    processExists: (pid) => (data.pids ?? []).includes(pid),
  };
}

/** `*`, `?` and `[…]` (`[!…]`) as glob(7), over the whole name. */
function globPattern(glob: string): RegExp {
  const source = glob.replace(/\[(!?)([^\]]+)\]|[\s\S]/g, (part, not: string | undefined, set: string | undefined) => {
    if (set !== undefined) return `[${not === '!' ? '^' : ''}${set.replace(/[\\\]^]/g, '\\$&')}]`;
    return part === '*' ? '[\\s\\S]*' : part === '?' ? '[\\s\\S]' : part.replace(/[\\^$.|+()[\]{}]/g, '\\$&');
  });
  return new RegExp(`^${source}$`);
}

function fixedBinary(path: string, data: FixedBinary): Binary {
  const functions: readonly FunctionSymbol[] = (data.functions ?? []).map((symbol) => ({
    name: symbol.name,
    demangled: symbol.demangled ?? '',
    address: virtualAddress(symbol.address),
    size: symbol.size,
  }));
  const segments = data.segments ?? [{ address: 0, offset: 0, size: Number.MAX_SAFE_INTEGER }];
  return {
    path,
    find: (name) =>
      functions.filter(
        (symbol) => symbol.name === name || symbol.demangled === name || symbol.demangled.split('(')[0] === name,
      ),
    inferred: () => [],
    match(glob) {
      const pattern = globPattern(glob);
      return functions.filter(
        (symbol) => pattern.test(symbol.name) || (symbol.demangled !== '' && pattern.test(symbol.demangled)),
      );
    },
    at: (address) =>
      functions.find((symbol) => address >= symbol.address && address < symbol.address + Math.max(1, symbol.size)),
    codeAt: () => ({ function: undefined, instruction: undefined }),
    exits: () => undefined,
    unwindable: true,
    throws: true,
    movesStacks: false,
    needed: [],
    toFileOffset(address: VirtualAddress): Result<FileOffset, MachineError> {
      const segment = segments.find((each) => address >= each.address && address < each.address + each.size);
      if (segment !== undefined) return ok(fileOffset(address - segment.address + segment.offset));
      return fail(
        new MachineError(`no executable segment of ${path} has the address 0x${address.toString(16)}`, {
          code: 'E_NOT_EXECUTABLE_ADDRESS',
        }),
      );
    },
    addressAt: () => undefined,
    types: () => data.types,
    names(glob) {
      return new Set(this.match(glob).map(({ name }) => name));
    },
    sourcePlaces: () => [],
    sourceLines: () => undefined,
    usdt: () => data.usdt ?? [],
    object(name) {
      const found = own(data.objects, name);
      return found === undefined ? undefined : { address: virtualAddress(found.address), size: found.size };
    },
    stripped: data.stripped ?? functions.length === 0,
    positionIndependent: data.positionIndependent ?? true,
    buildId: data.buildId ?? '',
    version: () => data.version,
    near: (name) =>
      nearest(
        name,
        functions.flatMap((symbol) => (symbol.demangled === '' ? [symbol.name] : [symbol.name, symbol.demangled])),
        5,
      ),
  };
}
