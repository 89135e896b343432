/**
 * What rendering must ask the machine for: names of addresses, users, cgroups, and the
 * clock. The session implements it; tests use a fixed one. Every question may be
 * answered with undefined, and the number is printed instead.
 */
import type { Integer } from '../values/value.ts';

export interface SymbolName {
  /** Demangled; a name inferred from a stripped binary comes with its leading `~`. */
  readonly name: string;
  /** Bytes from the function's start. */
  readonly offset: number;
  /** The file that holds it, for stack mode perf; undefined when unknown. */
  readonly file?: string;
}

/** A line of source that code comes from. */
export interface SourceLine {
  /** The function, demangled; '' where unknown. */
  readonly name: string;
  readonly file: string;
  /** From 1; 0 where unknown. */
  readonly line: number;
}

export interface Names {
  /** The function at an address of a process, which may have ended since. */
  userSymbol(pid: number, address: number): SymbolName | undefined;
  /** The file that an address of a process lies in, also where no function is known. */
  userFile?(pid: number, address: number): string | undefined;
  /**
   * Where in the source an address of a process comes from: the functions inlined there,
   * innermost first, and at the end the function itself. undefined where nothing tells,
   * or nobody wants to know (config show_debug_info).
   */
  userSource?(pid: number, address: number): readonly SourceLine[] | undefined;
  /** A C++ type by its typeinfo's name (`N2ns5ClassE`), as the source writes it. */
  typeName(mangled: string): string;
  kernelSymbol(address: bigint): SymbolName | undefined;
  /** For stack mode build_id: which file an address belongs to, by its build-id in hex, and where in it. */
  buildId(pid: number, address: number): { readonly buildId: string; readonly offset: number } | undefined;
  /** Frames of a stack map (Program.maps index) under an id, innermost first, at most `count`; undefined when it was overwritten. */
  storedStack(map: number, id: Integer, count?: number): readonly Integer[] | undefined;
  probeName(index: number): string | undefined;
  userName(uid: number): string | undefined;
  syscallName(number: number): string | undefined;
  /** Paths of a cgroup in the hierarchies that match the pattern, as `cgroup_path` prints them. */
  cgroupPath(id: Integer, pattern: string): string | undefined;
  /** Wall-clock time, in nanoseconds since 1970 UTC, at which a clock showed `ns`. */
  wallClock(clock: 'boot' | 'monotonic' | 'tai' | 'sw_tai', ns: Integer): bigint;
  /** Wall-clock time now, in nanoseconds since 1970 UTC. */
  now(): bigint;
  /** Local time at a moment (seconds since 1970 UTC): seconds east of UTC, and the zone's abbreviation. */
  timeZone(seconds: number): { readonly offset: number; readonly name: string };
}
