/**
 * From a symbol's text to the declaration it stands for: the Itanium C++ ABI's mangling
 * (itanium-cxx-abi.github.io, section 5.1, with the extensions of GCC and clang) and
 * both of Rust's (legacy, and RFC 2603 "v0"). Text is that of GNU c++filt, so that what
 * insitu prints can be compared with every other tool on a Linux machine.
 *
 * Hostile names cost no more than long real ones: nesting, steps and the length of the
 * text are bounded, and nothing is ever thrown.
 */
import { type CxxName, cxxBaseName, cxxName, cxxNames } from './cxx.ts';
import { looksLegacy, rustLegacyName } from './rust-legacy.ts';
import { rustV0Name } from './rust-v0.ts';

export { mayMatch, requiredWords } from './search.ts';

export interface DemangleOptions {
  /**
   * true (as c++filt): standard abbreviations in full (`std::basic_string<char, …>`),
   * Rust's hashes and types of constants. false (as `__cxa_demangle`, which bpftrace
   * uses): `std::string`, no hashes.
   */
  readonly verbose?: boolean;
}

/** The declaration that a mangled symbol stands for; undefined when it is not a mangled name. */
export function demangle(name: string, options?: DemangleOptions): string | undefined {
  if (name.charCodeAt(0) !== 0x5f) return undefined;
  const verbose = options?.verbose ?? true;
  return rustName(name, verbose) ?? cxxName(name, verbose) ?? ofBytes(name, (bytes) => cxxName(bytes, verbose));
}

/** The same without parameters, return type and qualifiers: `node::Start` for `_ZN4node5StartEiPPc`. */
export function demangledBaseName(name: string, options?: DemangleOptions): string | undefined {
  if (name.charCodeAt(0) !== 0x5f) return undefined;
  const verbose = options?.verbose ?? true;
  return rustName(name, verbose) ?? cxxBaseName(name, verbose) ?? ofBytes(name, (bytes) => cxxBaseName(bytes, verbose));
}

export interface DemangledNames {
  /** As demangle() gives it. */
  readonly full: string;
  /** As demangledBaseName() gives it. */
  readonly base: string;
}

/** Both; the base is worked out when it is asked for. */
export function demangleBoth(name: string, options?: DemangleOptions): DemangledNames | undefined {
  if (name.charCodeAt(0) !== 0x5f) return undefined;
  const verbose = options?.verbose ?? true;
  const rust = rustName(name, verbose);
  if (rust !== undefined) return { full: rust, base: rust };
  const names: CxxName | undefined = cxxNames(name, verbose);
  if (names !== undefined || isAscii(name)) return names;
  const full = demangle(name, options);
  const base = demangledBaseName(name, options);
  return full === undefined || base === undefined ? undefined : { full, base };
}

const isAscii = (name: string): boolean => !/[^\u0000-\u007f]/.test(name);

/** Lengths of identifiers count bytes: a name decoded as UTF-8 is read again as its bytes. */
function ofBytes(name: string, read: (bytes: string) => string | undefined): string | undefined {
  if (isAscii(name)) return undefined;
  const bytes = Array.from(new TextEncoder().encode(name), (byte) => String.fromCharCode(byte)).join('');
  const text = read(bytes);
  if (text === undefined) return undefined;
  return new TextDecoder().decode(Uint8Array.from(text, (char) => char.charCodeAt(0)));
}

function rustName(name: string, verbose: boolean): string | undefined {
  if (name.charCodeAt(1) === 0x52) return rustV0Name(name, verbose);
  return looksLegacy(name) ? rustLegacyName(name, verbose) : undefined;
}
