/**
 * Answers of this machine to what rendering asks: names of addresses, users and probes,
 * and the clocks. Nothing is read before the first question about it.
 */
import { readFileSync } from 'node:fs';
import { lazy } from '../base/lazy.ts';
import { Kallsyms } from '../debuginfo/text/kallsyms.ts';
import { cgroupPath } from '../kernel/host/cgroups.ts';
import { syscallName } from '../kernel/host/constants/index.ts';
import { Clock, clockNanoseconds } from '../kernel/sys/process.ts';
import type { Program } from '../program/program.ts';
import type { Names, SourceLine, SymbolName } from '../render/names.ts';
import { demangle } from '../symbolize/demangle/index.ts';
import type { Integer } from '../values/value.ts';

/** Names for the addresses of processes, as of the moment when they were taken. */
export interface UserNames {
  symbol(pid: number, address: number): SymbolName | undefined;
  /** The file that an address lies in. */
  file(pid: number, address: number): string | undefined;
  place(pid: number, address: number): { readonly buildId: string; readonly offset: number } | undefined;
  source(pid: number, address: number): readonly SourceLine[] | undefined;
  /** The next questions belong to another record, and may be about what has happened since. */
  expire(): void;
  /** Takes in what has happened until now. */
  drain(): void;
  /** Records of processes and their mappings that found no room in the kernel's rings, as far as taken in. */
  readonly lost: number;
  close(): void;
}

type StoredStack = (map: number, id: Integer, count?: number) => readonly Integer[] | undefined;

const clocks = { boot: Clock.BOOTTIME, monotonic: Clock.MONOTONIC, tai: Clock.TAI, sw_tai: Clock.TAI } as const;

export class MachineNames implements Names {
  readonly #program: Program;
  readonly #user: UserNames | undefined;
  readonly #stack: StoredStack;
  /** What to add to a clock to get wall-clock time, measured once, so that order is kept. */
  readonly #offsets: Map<number, bigint> = new Map();
  readonly #kernel: () => Kallsyms = lazy(() => new Kallsyms(readFileSync('/proc/kallsyms')));
  readonly #users: () => ReadonlyMap<number, string> = lazy(readUsers);

  constructor(program: Program, user: UserNames | undefined, stack: StoredStack) {
    this.#program = program;
    this.#user = user;
    this.#stack = stack;
  }

  userSymbol(pid: number, address: number): SymbolName | undefined {
    return this.#user?.symbol(pid, address);
  }

  userFile(pid: number, address: number): string | undefined {
    return this.#user?.file(pid, address);
  }

  userSource(pid: number, address: number): readonly SourceLine[] | undefined {
    return this.#user?.source(pid, address);
  }

  buildId(pid: number, address: number): { readonly buildId: string; readonly offset: number } | undefined {
    return this.#user?.place(pid, address);
  }

  typeName(mangled: string): string {
    // GCC marks the names of types that only one file knows.
    const name = mangled.replace(/^\*/, '');
    return demangle(`_ZTS${name}`)?.replace(/^typeinfo name for /, '') ?? name;
  }

  kernelSymbol(address: bigint): SymbolName | undefined {
    const symbol = this.#kernel().symbolAt(address);
    if (symbol === undefined) return undefined;
    const { name, module, offset } = symbol;
    return module === undefined ? { name, offset: Number(offset) } : { name, offset: Number(offset), file: module };
  }

  storedStack(map: number, id: Integer, count?: number): readonly Integer[] | undefined {
    return this.#stack(map, id, count);
  }

  probeName(index: number): string | undefined {
    return this.#program.probeNames[index];
  }

  userName(uid: number): string | undefined {
    return this.#users().get(uid);
  }

  syscallName(number: number): string | undefined {
    return syscallName(number);
  }

  cgroupPath(id: Integer, pattern: string): string | undefined {
    return cgroupPath(BigInt(id), pattern);
  }

  wallClock(clock: 'boot' | 'monotonic' | 'tai' | 'sw_tai', ns: Integer): bigint {
    const id = clocks[clock];
    let offset = this.#offsets.get(id);
    if (offset === undefined) {
      offset = clockNanoseconds(Clock.REALTIME) - clockNanoseconds(id);
      this.#offsets.set(id, offset);
    }
    return BigInt(ns) + offset;
  }

  now(): bigint {
    return clockNanoseconds(Clock.REALTIME);
  }

  timeZone(seconds: number): { readonly offset: number; readonly name: string } {
    const date = new Date(seconds * 1000);
    return {
      offset: -date.getTimezoneOffset() * 60,
      // Asked for by %Z alone; Intl's data take milliseconds to load.
      get name() {
        const parts = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(date);
        return parts.find((part) => part.type === 'timeZoneName')?.value ?? 'UTC';
      },
    };
  }
}

/** Users of this machine by number (passwd(5)). */
function readUsers(): ReadonlyMap<number, string> {
  const users = new Map<number, string>();
  let text = '';
  try {
    text = readFileSync('/etc/passwd', 'utf8');
  } catch {}
  for (const line of text.split('\n')) {
    const [name, , uid] = line.split(':');
    if (name && uid && !users.has(Number(uid))) users.set(Number(uid), name);
  }
  return users;
}
