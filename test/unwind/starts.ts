/**
 * Where stacks begin, by what readelf says of the files and /proc of the mappings: the
 * entry point of a program, the functions in which threads start (glibc's clone3, clone
 * and start_thread), and those at which Go's own traceback ends (TOPFRAME in
 * runtime/asm_amd64.s, and the functions that write SP: mcall, systemstack, morestack).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

const threadStarts = ['clone3', '__clone3', 'clone', '__clone', 'start_thread'];
const goStarts = ['rt0_go', 'mstart', 'goexit', 'mcall', 'systemstack', 'morestack', 'clone'].flatMap((name) => [
  `runtime.${name}`,
  `runtime.${name}.abi0`,
]);
const known: ReadonlySet<string> = new Set(['_start', ...threadStarts, ...goStarts]);
/** No entry code is longer. */
const entryBytes = 64;

interface Range {
  readonly start: bigint;
  readonly end: bigint;
  readonly name: string;
}

interface File {
  readonly segments: readonly { readonly offset: bigint; readonly address: bigint; readonly size: bigint }[];
  readonly starts: readonly Range[];
}

function readelf(...args: string[]): string {
  return spawnSync('readelf', args, { encoding: 'utf8', maxBuffer: 1 << 30 }).stdout;
}

function functions(path: string): Range[] {
  return [...readelf('-sW', path).matchAll(/^ *\d+: ([0-9a-f]+) +(\d+) FUNC +\S+ +\S+ +\d+ ([^\s@]+)/gm)].flatMap(
    ([, value = '', size = '', name = '']) => {
      if (!known.has(name)) return [];
      const start = BigInt(`0x${value}`);
      return [{ start, end: start + BigInt(size), name }];
    },
  );
}

function readFile(path: string): File {
  const segments = [
    ...readelf('-lW', path).matchAll(/^ +LOAD +(0x[0-9a-f]+) (0x[0-9a-f]+) 0x[0-9a-f]+ (0x[0-9a-f]+)/gm),
  ].map(([, offset = '', address = '', size = '']) => ({
    offset: BigInt(offset),
    address: BigInt(address),
    size: BigInt(size),
  }));
  const entry = BigInt(/Entry point address: +(0x[0-9a-f]+)/.exec(readelf('-hW', path))?.[1] ?? 0);
  const id = /Build ID: ([0-9a-f]+)/.exec(readelf('-nW', path))?.[1] ?? '';
  const debug = `/usr/lib/debug/.build-id/${id.slice(0, 2)}/${id.slice(2)}.debug`;
  const starts = [path, ...(existsSync(debug) ? [debug] : [])].flatMap(functions);
  if (entry !== 0n) starts.push({ start: entry, end: entry + BigInt(entryBytes), name: 'entry point' });
  return { segments, starts };
}

export class Starts {
  readonly #files = new Map<string, File>();

  /** The starting function that an address of a running process lies in; undefined for any other place. */
  at(pid: number, address: bigint): string | undefined {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const [, from, to, offset, path] = /^([0-9a-f]+)-([0-9a-f]+) r-xp ([0-9a-f]+) \S+ \d+ +(\/.*)$/.exec(line) ?? [];
      if (from === undefined || path === undefined) continue;
      const start = BigInt(`0x${from}`);
      if (address < start || address >= BigInt(`0x${to}`)) continue;
      let file = this.#files.get(path);
      if (file === undefined) {
        file = readFile(path);
        this.#files.set(path, file);
      }
      const place = address - start + BigInt(`0x${offset}`);
      const segment = file.segments.find((one) => place >= one.offset && place < one.offset + one.size);
      if (segment === undefined) return undefined;
      // A return address may lie behind the last instruction.
      const virtual = place - segment.offset + segment.address;
      return file.starts.find((one) => virtual >= one.start && virtual <= one.end)?.name;
    }
    return undefined;
  }
}
