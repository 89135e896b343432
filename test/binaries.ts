/** Real programs and small ones made by gcc, and what other tools say of them, for tests of ELF and symbols. */
import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostFile } from '../src/kernel/host/file.ts';
import { demangleBoth } from '../src/symbolize/demangle/index.ts';
import { type ElfBinary, openBinary } from '../src/symbolize/symbols/binary.ts';

const cache: string = process.env['INSITU_TEST_CACHE'] ?? join(homedir(), '.cache', 'insitu-test');

export const nodePath: string = realpathSync(process.execPath);
export const libcPath: string | undefined = [
  '/lib/x86_64-linux-gnu/libc.so.6',
  '/lib/aarch64-linux-gnu/libc.so.6',
  '/lib64/libc.so.6',
]
  .filter((path) => existsSync(path))
  .map((path) => realpathSync(path))[0];
export const envoyPath: string = join(cache, 'envoy', 'envoy', '_bin', 'envoy');
export const workerdPath: string = join(cache, 'workerd', 'package', 'bin', 'workerd');

/** For node:test's `skip`: why a test can't run, or false. */
export function lacking(...wanted: readonly (string | undefined)[]): string | false {
  for (const name of wanted) {
    if (name === undefined) return 'no libc.so.6 in the usual places';
    const there = name.includes('/')
      ? existsSync(name)
      : (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, name)));
    if (!there) return `${name} is not there${name.includes('/') ? '' : ' (install it)'}`;
  }
  return false;
}

function attempt(command: string, args: readonly string[], input?: string): SpawnSyncReturns<string> {
  const options = {
    encoding: 'utf8',
    maxBuffer: 1 << 29,
    timeout: 60_000,
    env: { ...process.env, LC_ALL: 'C' },
  } as const;
  return spawnSync(command, args, input === undefined ? options : { ...options, input });
}

/** The standard output of a command; raises where it fails. */
export function output(command: string, args: readonly string[], input?: string): string {
  const { status, stdout, stderr, error } = attempt(command, args, input);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`);
  return stdout;
}

/** The lines that readelf prints for a file (its warnings go to stderr and are of no interest). */
export function readelf(option: string, path: string): string[] {
  return attempt('readelf', [option, path]).stdout.split('\n');
}

/** libc's debug file below /usr/lib/debug, undefined when it is not installed. */
export function libcDebugFile(): string | undefined {
  if (libcPath === undefined) return undefined;
  const notes = attempt('readelf', ['-n', libcPath]).stdout ?? '';
  const [, id = ''] = /Build ID: ([0-9a-f]+)/.exec(notes) ?? [];
  const path = `/usr/lib/debug/.build-id/${id.slice(0, 2)}/${id.slice(2)}.debug`;
  return existsSync(path) ? path : undefined;
}

export interface ListedSegment {
  readonly type: string;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
  readonly memorySize: number;
  /** R, W, E as far as set. */
  readonly flags: string;
}

/** Program headers as `readelf -lW` lists them. */
export function listedSegments(path: string): ListedSegment[] {
  const row = /^\s+(\w+)\s+0x([0-9a-f]+) 0x([0-9a-f]+) 0x[0-9a-f]+ 0x([0-9a-f]+) 0x([0-9a-f]+) ([RWE ]{3})/;
  return readelf('-lW', path).flatMap((line) => {
    const match = row.exec(line);
    if (match === null) return [];
    const [, type = '', offset = '', address = '', fileSize = '', memorySize = '', flags = ''] = match;
    const hex = (text: string): number => Number.parseInt(text, 16);
    return [
      {
        type,
        offset: hex(offset),
        address: hex(address),
        fileSize: hex(fileSize),
        memorySize: hex(memorySize),
        flags: flags.replaceAll(' ', ''),
      },
    ];
  });
}

/** The file offset of an address, calculated by hand from `readelf -lW`; undefined outside executable segments. */
export function offsetByHand(segments: readonly ListedSegment[], address: number): number | undefined {
  const segment = segments.find(
    (one) =>
      one.type === 'LOAD' && one.flags.includes('E') && address >= one.address && address < one.address + one.fileSize,
  );
  return segment === undefined ? undefined : address - segment.address + segment.offset;
}

export interface ListedSymbol {
  readonly address: number;
  readonly size: number;
  readonly type: string;
  readonly binding: string;
  /** Without its version. */
  readonly name: string;
}

/** Defined symbols as `readelf -sW` lists them, of both tables. */
export function listedSymbols(path: string): ListedSymbol[] {
  const symbols: ListedSymbol[] = [];
  for (const line of readelf('-sW', path)) {
    const fields = line.trim().split(/\s+/);
    const [number = '', value = '', size = '', type = '', binding = '', , section = ''] = fields;
    if (!/^\d+:$/.test(number) || section === 'UND') continue;
    // The name is the rest of the line; [<other>: …] may stand before it.
    const name = (fields[7] ?? '').replace(/(?<=.)@.*$/, '');
    if (name !== '') symbols.push({ address: Number.parseInt(value, 16), size: Number(size), type, binding, name });
  }
  return symbols;
}

export const isFunction = (symbol: ListedSymbol): boolean => symbol.type === 'FUNC' || symbol.type === 'IFUNC';

/** A folder for a test's files, removed when disposed of. */
export class Workshop implements Disposable {
  readonly folder: string;

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'insitu-test-'));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Writes a file and returns its path. */
  write(name: string, text: string | Uint8Array): string {
    writeFileSync(this.path(name), text);
    return this.path(name);
  }

  /** Compiles a source text; `name`'s ending of `source` says what language. Returns the program's path. */
  gcc(name: string, source: string, text: string, ...options: readonly string[]): string {
    output('gcc', [...options, '-o', this.path(name), this.write(source, text)]);
    return this.path(name);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Numbers that look random and are the same in every run (xorshift32). */
export function random(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A binary with the names of its own tables, demangled. */
export function openElf(path: string): ElfBinary {
  const file = HostFile.open(path);
  assert.ok(file.ok);
  const binary = openBinary(path, file.value, { demangle: demangleBoth });
  assert.ok(binary.ok);
  return binary.value;
}
