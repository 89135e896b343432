/**
 * The classes of a C++ program, from the typeinfo objects that dynamic_cast and
 * exceptions need at run time. Itanium C++ ABI 2.9.5 "RTTI Layout": a typeinfo is the
 * address of its own kind's vtable, the address of its name, and for
 * __si_class_type_info one base, for __vmi_class_type_info a list of bases with offsets.
 *
 * The kinds' vtables are known by their symbols where the C++ runtime is a library; where
 * it is linked in, by their own typeinfo's name.
 */
import { decodeText } from '../../bytes/cursor.ts';
import { textPattern } from '../../bytes/search.ts';
import { demangle } from '../demangle/index.ts';
import type { Program } from './program.ts';
import { WordMap } from './words.ts';

export interface Base {
  /** Index into the classes. */
  readonly type: number;
  /** Where the base lies in the object; for a virtual one not known. */
  readonly offset: number;
  readonly virtual: boolean;
}

export interface Class {
  readonly index: number;
  /** Of the typeinfo; 0 when it is in another file. */
  readonly address: number;
  /** Mangled, as in the typeinfo (`N5Envoy4Http6StreamE`). */
  readonly mangled: string;
  readonly bases: readonly Base[];
}

const kinds = [
  'N10__cxxabiv117__class_type_infoE',
  'N10__cxxabiv120__si_class_type_infoE',
  'N10__cxxabiv121__vmi_class_type_infoE',
];
/** What the kinds' names begin with. */
const common = textPattern('N10__cxxabiv1');
const mostBases = 256;
const mostNameBytes = 16 << 10;

export class Classes {
  readonly all: Class[] = [];
  readonly #byAddress: WordMap = new WordMap();
  readonly #byName: Map<string, number> = new Map();
  /** Class → its name in full, as far as it was asked for. */
  readonly names: Map<number, string> = new Map();
  readonly #program: Program;

  constructor(program: Program) {
    this.#program = program;
    const { pointers } = program;
    const points = this.#findKinds();
    const found: { readonly address: number; readonly kind: number }[] = [];
    pointers.forEach((address, value) => {
      const kind = points.get(value);
      if (kind !== undefined) found.push({ address, kind });
    });
    pointers.forEachBound((address, name) => {
      const kind = name.startsWith('_ZTVN10__cxxabiv1') ? kinds.indexOf(name.slice(4)) : -1;
      if (kind >= 0 && !points.has(pointers.at(address))) found.push({ address, kind });
    });
    found.sort((a, b) => a.address - b.address);
    const kept: typeof found = [];
    const basesOf: Base[][] = [];
    for (const one of found) {
      const mangled = this.#nameAt(pointers.at(one.address + 8));
      if (mangled === undefined) continue;
      const index = this.all.length;
      const bases: Base[] = [];
      this.all.push({ index, address: one.address, mangled, bases });
      basesOf.push(bases);
      this.#byAddress.set(one.address, index);
      if (!this.#byName.has(mangled)) this.#byName.set(mangled, index);
      kept.push(one);
    }
    for (let index = 0; index < kept.length; index++) {
      const { address, kind } = kept[index] as { address: number; kind: number };
      if (kind === 0) continue;
      basesOf[index]?.push(...(kind === 1 ? this.#singleBase(address) : this.#baseList(address)));
    }
  }

  /** The class whose typeinfo is at an address. */
  at(address: number): Class | undefined {
    const index = this.#byAddress.get(address);
    return index < 0 ? undefined : this.all[index];
  }

  /** The class whose typeinfo the pointer at `word` refers to, in this file or another. */
  atPointer(word: number): Class | undefined {
    const here = this.at(this.#program.pointers.at(word));
    if (here !== undefined) return here;
    const name =
      this.#program.pointers.nameAt(word) ?? this.#program.pointers.copied.get(this.#program.pointers.at(word));
    // Pointers, functions and builtin types have typeinfos too.
    return name !== undefined && /^_ZTI[NSZ0-9]/.test(name) ? this.#named(name.slice(4)) : undefined;
  }

  /** The class of that mangled name; undefined when there is none. */
  named(mangled: string): Class | undefined {
    const index = this.#byName.get(mangled);
    return index === undefined ? undefined : this.all[index];
  }

  /** A class's name in full, as c++filt writes it. */
  nameOf(type: number): string {
    let name = this.names.get(type);
    if (name === undefined) {
      name = className((this.all[type] as Class).mangled);
      this.names.set(type, name);
    }
    return name;
  }

  #named(mangled: string): Class {
    let index = this.#byName.get(mangled);
    if (index === undefined) {
      index = this.all.length;
      this.all.push({ index, address: 0, mangled, bases: [] });
      this.#byName.set(mangled, index);
    }
    return this.all[index] as Class;
  }

  /** Where the vptr of each kind of typeinfo points → index into `kinds`. */
  #findKinds(): Map<number, number> {
    const points = new Map<number, number>();
    const { pointers, image } = this.#program;
    for (const [address, name] of pointers.copied) {
      const kind = name.startsWith('_ZTVN') ? kinds.indexOf(name.slice(4)) : -1;
      if (kind >= 0) points.set(address + 16, kind);
    }
    for (let symbol = 1; symbol < pointers.symbolCount; symbol++) {
      const address = pointers.symbolAddress(symbol);
      if (address === 0) continue;
      const name = pointers.symbolName(symbol);
      if (!name.startsWith('_ZTVN10__cxxabiv1')) continue;
      const kind = kinds.indexOf(name.slice(4));
      if (kind >= 0) points.set(address + 16, kind);
    }
    // Linked in: name's text ← typeinfo ← vtable of that very class.
    const names = new Map<number, number>();
    for (const part of image.parts) {
      if (part.executable || part.auxiliary || points.size >= kinds.length) continue;
      // Searched for once, by what the three have in common.
      for (let at = common.indexIn(part.bytes); at >= 0; at = common.indexIn(part.bytes, at + 1)) {
        const kind = kinds.indexOf(image.textAt(part.address + at, 64) ?? '');
        if (kind >= 0) names.set(part.address + at, kind);
      }
    }
    if (names.size === 0) return points;
    const infos = new Map<number, number>();
    pointers.forEach((address, value) => {
      const kind = names.get(value);
      if (kind !== undefined) infos.set(address - 8, kind);
    });
    pointers.forEach((address, value) => {
      const kind = infos.get(value);
      if (kind === undefined || image.i64(address - 8) !== 0 || pointers.at(address - 8) !== 0) return;
      if (image.isCode(pointers.at(address + 8))) points.set(address + 8, kind);
    });
    return points;
  }

  #nameAt(address: number): string | undefined {
    if (address === 0) return undefined;
    const part = this.#program.image.partAt(address);
    if (part === undefined) return undefined;
    const { bytes } = part;
    const start = address - part.address;
    const end = bytes.indexOf(0, start);
    if (end <= start || end - start > mostNameBytes) return undefined;
    for (let at = start; at < end; at++) if ((bytes[at] as number) <= 0x20) return undefined;
    // GCC marks names that are only unique within a file with a star.
    return decodeText(bytes, bytes[start] === 0x2a ? start + 1 : start, end);
  }

  #singleBase(address: number): Base[] {
    const base = this.atPointer(address + 16);
    return base === undefined ? [] : [{ type: base.index, offset: 0, virtual: false }];
  }

  #baseList(address: number): Base[] {
    const { image } = this.#program;
    const count = image.u32(address + 20) ?? 0;
    const bases: Base[] = [];
    for (let index = 0; index < Math.min(count, mostBases); index++) {
      const at = address + 24 + index * 16;
      const base = this.atPointer(at);
      // The low eight bits are flags (1: virtual, 2: public), the rest is the signed offset.
      const flags = image.i64(at + 8);
      if (base === undefined || flags === undefined) continue;
      bases.push({ type: base.index, offset: Math.floor(flags / 256), virtual: (flags & 1) !== 0 });
    }
    return bases;
  }
}

/** `Envoy::Http::Stream` for a typeinfo's `N5Envoy4Http6StreamE`. */
export function className(mangled: string): string {
  const text = demangle(`_ZTI${mangled}`);
  return text?.startsWith('typeinfo for ') === true ? text.slice(13) : mangled;
}
