/**
 * What an object in a process's memory is made of, without any description of its type:
 * each word is looked at for what it can be. A vtable pointer names the class of the
 * object that begins there, a pointer to such an object leads on, strings of the two C++
 * libraries are told by their layout, addresses of code by their function.
 *
 * Layouts: Itanium C++ ABI, sections 2.5 and 2.9 (vtables, typeinfo); libstdc++'s and
 * libc++'s std::string as they have been since 2015.
 */
import { demangle } from '../demangle/index.ts';

/** What the explorer needs of a process. Addresses below 2^53. */
export interface ProcessView {
  /** Up to `size` bytes; fewer, or none, where nothing is mapped. */
  read(address: number, size: number): Uint8Array;
  /** What is mapped at an address; undefined for nothing. */
  mapping(address: number):
    | {
        readonly path: string;
        readonly executable: boolean;
        readonly writable: boolean;
        readonly start: number;
        readonly end: number;
      }
    | undefined;
  /** The function at an address, `name+offset`; undefined where none is known. */
  functionName(address: number): string | undefined;
}

/** One word, or several that belong together. */
export interface Finding {
  /** From the object's start. */
  readonly offset: number;
  /** Bytes that it takes. */
  readonly size: number;
  readonly kind: 'vtable' | 'object' | 'string' | 'text' | 'function' | 'address' | 'socket' | 'number' | 'nothing';
  /** The first word. */
  readonly value: bigint;
  /** In words. */
  readonly detail: string;
  /** The object that it leads to. */
  readonly target?: ExploredObject;
}

export interface ExploredObject {
  readonly address: number;
  /** The class of the complete object; '' where it has no vtable. */
  readonly type: string;
  /** Where the complete object begins, seen from the address (0 or negative). */
  readonly toTop: number;
  readonly findings: readonly Finding[];
  /** Why it was not looked into. */
  readonly note?: string;
}

export interface ExploreOptions {
  /** Objects behind pointers, how many deep. */
  readonly depth: number;
  /** Bytes of an object that are looked at. */
  readonly bytes: number;
}

const mostText = 200;
const largestAddress = 2 ** 47;
/** A class is seldom that far into the object that it is a part of. */
const deepestPart = 1 << 20;

export class Explorer {
  readonly #view: ProcessView;
  readonly #options: ExploreOptions;
  readonly #seen: Map<number, string> = new Map();
  readonly #classes: Map<number, VtableInfo | undefined> = new Map();

  constructor(view: ProcessView, options: ExploreOptions) {
    this.#view = view;
    this.#options = options;
  }

  explore(address: number, depth = 0): ExploredObject {
    const first = this.#word(address);
    const info = first === undefined ? undefined : this.vtable(Number(first));
    const type = info?.type ?? '';
    const toTop = info?.toTop ?? 0;
    // A pointer to a part leads to the whole object.
    const start = address + toTop;
    const known = this.#seen.get(start);
    if (known !== undefined) return { address: start, type, toTop, findings: [], note: 'shown above' };
    this.#seen.set(start, type);
    const bytes = this.#view.read(start, this.#extent(start));
    const findings: Finding[] = [];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let offset = 0; offset + 8 <= bytes.length; ) {
      const finding = this.#look(start, offset, view, bytes, depth);
      findings.push(finding);
      offset += finding.size;
    }
    return { address: start, type, toTop, findings };
  }

  /** How much belongs to an object: what malloc says, where a chunk starts there (glibc), else the limit. */
  #extent(address: number): number {
    const { bytes } = this.#options;
    const header = this.#word(address - 8);
    const size = header === undefined ? 0 : Number(header & ~7n) - 8;
    return size >= 16 && size <= bytes * 4 ? Math.min(size, bytes) : bytes;
  }

  #word(address: number): bigint | undefined {
    const bytes = this.#view.read(address, 8);
    return bytes.length < 8 ? undefined : new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  }

  /** The class of a vtable, by an address point in it; undefined for what is none. */
  vtable(address: number): VtableInfo | undefined {
    if (!(address > 4096 && address < largestAddress && address % 8 === 0)) return undefined;
    if (!this.#classes.has(address)) this.#classes.set(address, this.#readVtable(address));
    return this.#classes.get(address);
  }

  #readVtable(address: number): VtableInfo | undefined {
    const mapping = this.#view.mapping(address);
    if (mapping === undefined || !mapping.path.startsWith('/')) return undefined;
    const top = this.#word(address - 16);
    const typeinfo = this.#word(address - 8);
    if (top === undefined || typeinfo === undefined || typeinfo === 0n || typeinfo >= BigInt(largestAddress))
      return undefined;
    const toTop = Number(BigInt.asIntN(64, top));
    if (!(toTop <= 0 && toTop > -deepestPart)) return undefined;
    const name = this.#word(Number(typeinfo) + 8);
    if (name === undefined || name === 0n || name >= BigInt(largestAddress)) return undefined;
    if (!this.#view.mapping(Number(name))?.path.startsWith('/')) return undefined;
    const mangled = (this.#text(Number(name), 512) ?? '').replace(/^\*/, '');
    if (!/^(?:N|St|S[a-z]|\d)/.test(mangled)) return undefined;
    const type = demangle(`_ZTS${mangled}`)?.replace(/^typeinfo name for /, '');
    return type === undefined ? undefined : { type, toTop };
  }

  /** Printable text up to its NUL; undefined where there is none. */
  #text(address: number, most: number): string | undefined {
    const bytes = this.#view.read(address, most);
    const end = bytes.indexOf(0);
    if (end <= 0) return undefined;
    return printable(bytes.subarray(0, end));
  }

  #look(start: number, offset: number, view: DataView, bytes: Uint8Array, depth: number): Finding {
    const value = view.getBigUint64(offset, true);
    const one = (kind: Finding['kind'], detail: string, target?: ExploredObject): Finding => ({
      offset,
      size: 8,
      kind,
      value,
      detail,
      ...(target === undefined ? {} : { target }),
    });
    const text = this.#stringAt(start, offset, view, bytes);
    if (text !== undefined) return { offset, value, kind: 'string', ...text };
    const socket = socketAddress(view, bytes, offset);
    if (socket !== undefined) return { offset, value, kind: 'socket', ...socket };
    if (value === 0n) return one('nothing', '0');
    if (value >= BigInt(largestAddress) || value < 4096n) return one('number', String(BigInt.asIntN(64, value)));
    const address = Number(value);
    const info = this.vtable(address);
    if (info !== undefined) {
      return one('vtable', `vtable of ${info.type}${info.toTop === 0 ? '' : ` (part at ${-info.toTop})`}`);
    }
    const mapping = this.#view.mapping(address);
    if (mapping === undefined) return one('number', value < 2n ** 32n ? String(value) : `0x${value.toString(16)}`);
    if (mapping.executable) return one('function', this.#view.functionName(address) ?? `code of ${mapping.path}`);
    const inside = address % 8 === 0 ? this.#word(address) : undefined;
    const target = inside === undefined ? undefined : this.vtable(Number(inside));
    if (target !== undefined) {
      const part = target.toTop === 0 ? '' : ` (part at ${-target.toTop})`;
      if (depth >= this.#options.depth) return one('object', `${target.type}${part}`);
      return one('object', `${target.type}${part}`, this.explore(address, depth + 1));
    }
    const pointed = this.#text(address, mostText);
    if (pointed !== undefined && pointed.length >= 4) return one('text', JSON.stringify(pointed));
    const place = mapping.path === '' ? 'memory' : `${mapping.path}+0x${(address - mapping.start).toString(16)}`;
    return one('address', `0x${value.toString(16)} (${place})`);
  }

  /** A std::string of libstdc++ (32 bytes) or libc++ (24) that is not empty. */
  #stringAt(
    start: number,
    offset: number,
    view: DataView,
    bytes: Uint8Array,
  ): { readonly size: number; readonly detail: string } | undefined {
    const left = bytes.length - offset;
    if (left >= 32) {
      const data = Number(view.getBigUint64(offset, true));
      const length = Number(view.getBigUint64(offset + 8, true));
      if (length > 0 && length < 1 << 20) {
        if (data === start + offset + 16 && length < 16) {
          const text =
            bytes[offset + 16 + length] === 0
              ? printable(bytes.subarray(offset + 16, offset + 16 + length))
              : undefined;
          if (text !== undefined) return { size: 32, detail: JSON.stringify(text) };
        } else if (
          Number(view.getBigUint64(offset + 16, true)) >= length &&
          Number(view.getBigUint64(offset + 16, true)) < 1 << 21
        ) {
          const text = this.#textOf(data, length);
          if (text !== undefined) return { size: 32, detail: text };
        }
      }
    }
    if (left < 24) return undefined;
    const head = bytes[offset] as number;
    if ((head & 1) === 0) {
      const length = head >> 1;
      if (length < 2 || length > 22 || bytes[offset + 1 + length] !== 0) return undefined;
      const text = printable(bytes.subarray(offset + 1, offset + 1 + length));
      return text === undefined ? undefined : { size: 24, detail: JSON.stringify(text) };
    }
    const capacity = Number(view.getBigUint64(offset, true)) - 1;
    const length = Number(view.getBigUint64(offset + 8, true));
    if (!(length >= 1 && length < capacity && capacity < 1 << 21)) return undefined;
    const text = this.#textOf(Number(view.getBigUint64(offset + 16, true)), length);
    return text === undefined ? undefined : { size: 24, detail: text };
  }

  /** A text of known length, quoted and cut; undefined unless it is printable and ends in NUL. */
  #textOf(address: number, length: number): string | undefined {
    if (!(address > 4096 && address < largestAddress)) return undefined;
    const bytes = this.#view.read(address, Math.min(length, mostText) + 1);
    if (bytes.length <= Math.min(length, mostText)) return undefined;
    if (length <= mostText && bytes[length] !== 0) return undefined;
    const text = printable(bytes.subarray(0, Math.min(length, mostText)));
    return text === undefined ? undefined : `${JSON.stringify(text)}${length > mostText ? ` (${length} bytes)` : ''}`;
  }
}

interface VtableInfo {
  readonly type: string;
  readonly toTop: number;
}

/** The text of bytes that are all printable (or UTF-8, line breaks and tabs); undefined else. */
function printable(bytes: Uint8Array): string | undefined {
  for (const byte of bytes) {
    if (byte < 0x20 && byte !== 9 && byte !== 10 && byte !== 13) return undefined;
    if (byte === 0x7f) return undefined;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes.slice());
  } catch {
    return undefined;
  }
}

/** A sockaddr_in with a port, or a sockaddr_in6 (ip(7), ipv6(7)). */
function socketAddress(
  view: DataView,
  bytes: Uint8Array,
  offset: number,
): { readonly size: number; readonly detail: string } | undefined {
  const family = view.getUint16(offset, true);
  const port = view.getUint16(offset + 2, false);
  if (family === 2 && port !== 0 && offset + 16 <= bytes.length) {
    const rest = bytes.subarray(offset + 8, offset + 16);
    if (!rest.every((byte) => byte === 0)) return undefined;
    return { size: 16, detail: `sockaddr_in ${bytes.subarray(offset + 4, offset + 8).join('.')}:${port}` };
  }
  return undefined;
}
