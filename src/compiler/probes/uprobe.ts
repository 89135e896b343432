/**
 * uprobe:BINARY:FUNCTION[+OFFSET], uprobe:BINARY:0xADDRESS, uprobe:BINARY:cpp:"NAME",
 * uprobe:BINARY@FILE:LINE[:COLUMN], with wildcards in the function, and uretprobe. An address is a virtual address, as
 * nm and objdump print it; it becomes a file offset through the program headers only.
 */
import { lazy } from '../../base/lazy.ts';
import { virtualAddress } from '../../base/numbers.ts';
import type { Binary, FunctionSymbol } from '../../target/target.ts';
import type { AttachPointSyntax } from '../syntax/ast.ts';
import type { Attachment, ProbeContext, ProbedFunction } from './context.ts';
import { isGlob, kernelName, splitColons } from './pattern.ts';
import type { ExpandOptions, Provider } from './provider.ts';

const unquoted = (text: string): string => text.replace(/^"(.*)"$/s, '$1');

export const uprobe =
  (kind: 'uprobe' | 'uretprobe'): Provider =>
  (point, rest, options) => {
    const { diagnostics, target } = options;
    const parts = splitColons(rest);
    const source = sourcePlace(parts);
    const path = source?.binary ?? unquoted(parts[0] ?? '');
    const cpp = parts.length === 3 && parts[1] === 'cpp';
    const location = cpp ? (parts[2] ?? '') : parts.slice(1).join(':');
    if (
      path === '' ||
      location === '' ||
      (parts.length > 2 && !cpp && source === undefined && !location.includes('"'))
    ) {
      diagnostics.error(
        'probe-form',
        `${kind} takes a file and a function`,
        point.span,
        `${kind}:/bin/bash:readline, ${kind}:libc:getaddrinfo, ${kind}:BIN:0x1234 (an address), ${kind}:BIN:cpp:"ns::fn"`,
      );
      return [];
    }
    if (source !== undefined && kind === 'uretprobe') {
      diagnostics.error('probe-form', 'uretprobe takes no source line: it fires when a function returns', point.span);
      return [];
    }
    const binaries: Binary[] = [];
    for (const one of isGlob(path) ? target.programFiles(path, options.pid) : [path]) {
      const opened = target.binary(one, options.pid);
      if (opened.ok) binaries.push(opened.value);
      else if (!isGlob(path)) {
        diagnostics.error('no-binary', opened.error.message, point.restSpan, ...opened.error.hints);
        return [];
      }
    }
    // Of many files, those without the function are passed over; only when none has it, that is said.
    const several = isGlob(path);
    const found = binaries.flatMap((binary): Found[] => {
      const where = source ?? unquoted(location);
      const asked = several ? ({ ...options, missing: 'ignore' } as const) : options;
      const locations =
        typeof where === 'string'
          ? (locate(kind, point, binary, where, asked) ?? [])
          : locateSource(point, binary, where, asked);
      return locations.length === 0 ? [] : [{ binary, locations, attach: attacher(kind, binary, where, cpp, options) }];
    });
    if (several && found.length === 0) {
      const message =
        binaries.length === 0
          ? `no program file matches '${path}'`
          : `none of ${binaries.length} files that match '${path}' has a function '${unquoted(location)}'`;
      if (options.missing === 'error') diagnostics.error('no-symbol', message, point.restSpan);
      else if (options.missing === 'warn') diagnostics.warning('no-symbol', message, point.restSpan);
    }
    const [first] = found;
    if (first === undefined) return [];
    const context: ProbeContext = {
      provider: kind,
      programType: 'KPROBE',
      attachments: found.flatMap(({ locations, attach }) => locations.map(attach)),
      span: point.span,
      shortName: kernelName(unquoted(location)),
      programTypes: () => first.binary.types(),
      registers: true,
      userMemory: true,
      hasProcess: true,
    };
    const separate = options.usesArgs || options.usesGlobals || (options.usesResult && kind === 'uretprobe');
    if (!separate) return [context];
    // Every function has arguments of its own, so each has a compilation of its own.
    return found.flatMap(({ binary, locations, attach }) =>
      locations.map((place) => {
        const attachment = attach(place);
        return {
          ...context,
          attachments: [attachment],
          mayBeShared: locations.length > 1,
          programTypes: () => binary.types(),
          function: probedFunction(binary, place, attachment, options.usesArgs || options.usesResult),
        };
      }),
    );
  };

/** Places of one file, and how to attach to them. */
interface Found {
  readonly binary: Binary;
  readonly locations: readonly Location[];
  readonly attach: (place: Location) => Attachment;
}

/** `describes`: the block asks for arguments or the result, and not only for where the file lies. */
function probedFunction(
  binary: Binary,
  { symbol, address }: Location,
  attachment: Attachment,
  describes: boolean,
): ProbedFunction {
  const types = describes ? binary.types() : undefined;
  const atEntry = symbol?.address === address;
  const found = atEntry ? types?.functionAt(address, symbol.name) : types?.functionAround(address);
  return {
    name: attachment.name,
    address,
    fixed: !binary.positionIndependent,
    binary,
    ...(attachment.spec.kind === 'uretprobe'
      ? { entry: { spec: { ...attachment.spec, kind: 'uprobe', serves: true }, name: attachment.name } as Attachment }
      : {}),
    arguments: found?.parameters,
    result: found?.result,
    variables: lazy(() => types?.variablesAt(address) ?? []),
  };
}

/** Makes attachments of places in a file; there may be tens of thousands of them. */
function attacher(
  kind: 'uprobe' | 'uretprobe',
  binary: Binary,
  location: string | SourcePlace,
  cpp: boolean,
  { pid }: ExpandOptions,
): (place: Location) => Attachment {
  const { path } = binary;
  const bySymbol = typeof location === 'string' && (cpp || isGlob(location));
  const prefix = `${kind}:${path}`;
  const written = prefix + (typeof location === 'string' ? `:${location}` : `@${location.text}`);
  return ({ symbol, offset }) => {
    // With room for the numbers that compile() gives it: a copy that grows costs more than one that does not.
    const base = { kind, path, offset, symbol: symbol?.name ?? '', program: 0, name: 0 };
    return {
      spec: pid === undefined ? base : { ...base, pid },
      name: bySymbol && symbol !== undefined ? `${prefix}:${symbol.name}` : written,
    };
  };
}

/** A place in a source file. */
interface SourcePlace {
  readonly binary: string;
  readonly file: string;
  readonly line: number;
  readonly column: number | undefined;
  /** `FILE:LINE[:COLUMN]` */
  readonly text: string;
}

/** Of `BINARY@FILE`, `LINE`, `COLUMN`. */
function sourcePlace(parts: readonly string[]): SourcePlace | undefined {
  const [first = '', line = '', column] = parts;
  const at = first.lastIndexOf('@');
  if (at < 1 || at === first.length - 1 || parts.length > 3 || !/^\d+$/.test(line)) return undefined;
  if (column !== undefined && !/^\d+$/.test(column)) return undefined;
  const file = unquoted(first.slice(at + 1));
  return {
    binary: unquoted(first.slice(0, at)),
    file,
    line: Number(line),
    column: column === undefined ? undefined : Number(column),
    text: [file, ...parts.slice(1)].join(':'),
  };
}

function locateSource(
  point: AttachPointSyntax,
  binary: Binary,
  { file, line, column, text }: SourcePlace,
  options: ExpandOptions,
): Location[] {
  const found = binary.sourcePlaces(file, line, column).flatMap((address): Location[] => {
    const offset = binary.toFileOffset(address);
    return offset.ok ? [{ symbol: binary.at(address), address, offset: offset.value }] : [];
  });
  if (found.length > 0) return found;
  const known = binary.sourceLines(file);
  const hints: string[] = [];
  let message = `no code of ${binary.path} comes from ${text}`;
  if (known === undefined) {
    message = `${binary.path} has no debugging information, so that ${text} cannot be found in it`;
    hints.push('compile it with -g, or install its debug file; --debuginfo DIR names more places to look for one');
  } else if (known.length === 0) {
    message = `${binary.path} has no source file ${file}`;
  } else {
    const columns = known.filter((one) => one.line === line).map((one) => one.column);
    const lines = [...new Set(known.map((one) => one.line))].sort((a, b) => Math.abs(a - line) - Math.abs(b - line));
    if (columns.length > 0) hints.push(`columns of line ${line} with code: ${columns.join(', ')}`);
    else
      hints.push(
        `lines near by with code: ${lines
          .slice(0, 4)
          .sort((a, b) => a - b)
          .join(', ')}`,
      );
  }
  if (options.missing === 'error') options.diagnostics.error('no-line', message, point.restSpan, ...hints);
  else if (options.missing === 'warn') options.diagnostics.warning('no-line', message, point.restSpan, ...hints);
  return [];
}

interface Location {
  readonly symbol: FunctionSymbol | undefined;
  /** Virtual address and offset in the file of the probed instruction. */
  readonly address: number;
  readonly offset: number;
}

function locate(
  kind: string,
  point: AttachPointSyntax,
  binary: Binary,
  location: string,
  options: ExpandOptions,
): Location[] | undefined {
  const { diagnostics } = options;
  if (/^(0x[0-9a-f]+|\d+)$/i.test(location)) {
    const address = Number(location);
    const offset = binary.toFileOffset(virtualAddress(address));
    if (!offset.ok) {
      diagnostics.error('bad-address', offset.error.message, point.restSpan, ...offset.error.hints);
      return undefined;
    }
    if (!harmless(kind, point, binary, address, options)) return undefined;
    return [{ symbol: binary.at(virtualAddress(address)), address, offset: offset.value }];
  }
  const split = /^(.*?)(?:\+(0x[0-9a-f]+|\d+))?$/is.exec(location);
  const name = split?.[1] ?? location;
  const extra = split?.[2] === undefined ? 0 : Number(split[2]);
  if (extra !== 0 && kind === 'uretprobe') {
    diagnostics.error(
      'probe-form',
      'uretprobe takes no offset: it fires when the function returns',
      point.span,
      `write: uretprobe:BIN:${name}`,
    );
    return undefined;
  }
  const symbols = name.startsWith('~')
    ? binary.inferred(name.slice(1))
    : isGlob(name) && binary.find(name).length === 0
      ? binary.match(name)
      : binary.find(name);
  const copies =
    extra === 0 && kind === 'uprobe' && (options.inlined || symbols.length === 0) ? inlinedIn(binary, name) : [];
  if (symbols.length === 0 && copies.length === 0) return notFound(point, binary, name, options);
  const result: Location[] = [...copies];
  const seen = new Set<number>();
  for (const symbol of symbols) {
    if (extra !== 0 && symbol.size > 0 && extra >= symbol.size) {
      diagnostics.error(
        'bad-offset',
        `offset ${extra} is outside of ${symbol.name}, which has ${symbol.size} bytes`,
        point.restSpan,
        'offsets count bytes from the start of the function',
      );
      return undefined;
    }
    const offset = binary.toFileOffset(virtualAddress(symbol.address + extra));
    if (!offset.ok) {
      // One symbol of a wildcard in no executable segment is no reason to stop.
      if (symbols.length > 1) continue;
      diagnostics.error('bad-address', offset.error.message, point.restSpan, ...offset.error.hints);
      return undefined;
    }
    if (extra !== 0 && !harmless(kind, point, binary, symbol.address + extra, options)) return undefined;
    // Several names of one address are one place.
    if (seen.has(offset.value)) continue;
    seen.add(offset.value);
    result.push({ symbol, address: symbol.address + extra, offset: offset.value });
  }
  return result;
}

/**
 * Complains of places where a probe would change what the traced program does: inside an
 * instruction (the breakpoint would become a part of it), and, at a return probe, behind
 * the start of a function (the word that the kernel takes for the return address would
 * be another).
 */
function harmless(
  kind: string,
  point: AttachPointSyntax,
  binary: Binary,
  address: number,
  { diagnostics, unsafe }: ExpandOptions,
): boolean {
  if (unsafe) return true;
  const override = 'if it is known better (data between the instructions misleads), --unsafe attaches all the same';
  const hex = (value: number): string => `0x${value.toString(16)}`;
  const { function: start, instruction } = binary.codeAt(virtualAddress(address));
  if (instruction !== undefined && instruction !== address) {
    diagnostics.error(
      'inside-instruction',
      `${hex(address)} lies inside an instruction: a probe there would break the program`,
      point.restSpan,
      start === undefined || start === instruction
        ? `the instruction begins at ${hex(instruction)}`
        : `the instruction begins at ${hex(instruction)}, ${instruction - start} bytes into its function`,
      override,
    );
    return false;
  }
  if (kind === 'uretprobe' && start !== undefined && start !== address) {
    diagnostics.error(
      'inside-function',
      `${hex(address)} is not the start of a function: a uretprobe there would break the program`,
      point.restSpan,
      `the function begins at ${hex(start)}`,
      override,
    );
    return false;
  }
  return true;
}

/** Copies of a function that were inlined into others. */
function inlinedIn(binary: Binary, name: string): Location[] {
  if (isGlob(name) || name.startsWith('~')) return [];
  return (binary.types()?.inlinedCopies(name) ?? []).flatMap((address): Location[] => {
    const offset = binary.toFileOffset(virtualAddress(address));
    return offset.ok ? [{ symbol: undefined, address, offset: offset.value }] : [];
  });
}

function notFound(point: AttachPointSyntax, binary: Binary, name: string, options: ExpandOptions): undefined {
  const hints: string[] = [];
  let message: string;
  if (binary.stripped) {
    const version = binary.version();
    message = `${binary.path} has no symbols (it is stripped), so '${name}' cannot be found in it`;
    if (version !== undefined) hints.push(`it says of itself: ${version}`);
    hints.push(binary.buildId === '' ? 'it has no build-id either' : `its build-id is ${binary.buildId}`);
    hints.push(
      'get the symbol build (debug file) of that version and put it below /usr/lib/debug/.build-id, or give an address: uprobe:BIN:0xADDRESS',
      `names that insitu inferred work too: -l 'uprobe:${binary.path}:~*' lists them`,
    );
  } else {
    message = isGlob(name)
      ? `No probes to attach: no function of ${binary.path} matches '${name}'`
      : `${binary.path} has no function '${name}'`;
  }
  const near = binary.near(name.replace(/[*?]/g, '')).slice(0, 3);
  if (near.length > 0) hints.push(`did you mean ${near.map((n) => `'${n}'`).join(' or ')}?`);
  else if (!binary.stripped) hints.push(`-l 'uprobe:${binary.path}:*' lists its functions`);
  if (options.missing === 'error') options.diagnostics.error('no-symbol', message, point.restSpan, ...hints);
  else if (options.missing === 'warn') options.diagnostics.warning('no-symbol', message, point.restSpan, ...hints);
  return undefined;
}
