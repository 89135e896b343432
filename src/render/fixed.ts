/** A machine for tests: every name it knows stands here, the clock stands still. */
import type { Names, SymbolName } from './names.ts';

export interface FixedMachine {
  readonly symbols?: Readonly<Record<string, SymbolName>>;
  /** The files of addresses that have no symbol. */
  readonly files?: Readonly<Record<string, string>>;
  readonly buildIds?: Readonly<Record<string, { readonly buildId: string; readonly offset: number }>>;
  readonly stacks?: Readonly<Record<number, readonly (number | bigint)[]>>;
  readonly users?: Readonly<Record<number, string>>;
  /** Nanoseconds since 1970 UTC. */
  readonly now?: bigint;
  /** Seconds east of UTC. */
  readonly zone?: { readonly offset: number; readonly name: string };
}

/** Names answered from the tables of `machine`; symbols and build-ids are keyed by address in hex. */
export function fixedNames(machine: FixedMachine = {}): Names {
  const {
    symbols = {},
    files = {},
    buildIds = {},
    stacks = {},
    users = {},
    now = 0n,
    zone = { offset: 0, name: 'UTC' },
  } = machine;
  return {
    userSymbol: (_pid, address) => symbols[address.toString(16)],
    userFile: (_pid, address) => files[address.toString(16)],
    typeName: (mangled) => mangled,
    kernelSymbol: (address) => symbols[address.toString(16)],
    buildId: (_pid, address) => buildIds[address.toString(16)],
    storedStack: (_map, id) => stacks[Number(id)],
    probeName: (index) => ['begin', 'end'][index],
    userName: (uid) => users[uid],
    syscallName: (number) => ['read', 'write'][number],
    cgroupPath: (id) => (id === 1 ? '/' : undefined),
    wallClock: (_clock, ns) => now + BigInt(ns),
    now: () => now,
    timeZone: () => zone,
  };
}
