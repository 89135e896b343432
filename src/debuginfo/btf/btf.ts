/**
 * The kernel's own type information as a TypeSource: lazy reader of BTF
 * (kernel Documentation/bpf/btf.rst). A type is resolved when it is asked for, its
 * members when they are; what was resolved is kept, so that one record is one object.
 *
 * Damaged BTF: openBtf fails for what the header shows; later look-ups throw a
 * MachineError with code E_BTF, because the records are only then read.
 */
import type { MachineError } from '../../base/errors.ts';
import { ok, type Result } from '../../base/result.ts';
import { baseType } from '../../types/c.ts';
import {
  boolType,
  type CompositeType,
  type EnumType,
  type Field,
  type FunctionType,
  int8,
  intType,
  type Type,
  voidType,
} from '../../types/model.ts';
import type { TypeKeyword, TypeSource } from '../../types/source.ts';
import { BTF_KIND, type BtfRecords, brokenRecord, openRecords } from './records.ts';

const bit = (kind: number): number => 2 ** kind;
const ENUM_KINDS = bit(BTF_KIND.ENUM) | bit(BTF_KIND.ENUM64);
const KINDS_OF: Readonly<Record<TypeKeyword, number>> = {
  struct: bit(BTF_KIND.STRUCT),
  union: bit(BTF_KIND.UNION),
  enum: ENUM_KINDS,
  // A script's plain name may be a typedef or one of the compiler's base types.
  typedef: bit(BTF_KIND.TYPEDEF) | bit(BTF_KIND.INT) | bit(BTF_KIND.FLOAT),
};

/** BTF_INT_ENCODING: signed 1, char 2, bool 4. */
const INT_SIGNED = 1;
const INT_BOOL = 4;
/** Longest chain of typedefs, qualifiers and nested arrays; real ones stay below 16. */
const MAX_CHAIN = 128;

const encoder = new TextEncoder();

interface TypeRecord {
  readonly id: number;
  readonly words: Uint32Array;
  readonly position: number;
  readonly kind: number;
  readonly vlen: number;
  readonly flag: boolean;
  readonly nameOffset: number;
  /** `size` or `type`, as the kind has it. */
  readonly last: number;
}

const isByteSize = (size: number): size is 1 | 2 | 4 | 8 => size === 1 || size === 2 || size === 4 || size === 8;

export class BtfTypes implements TypeSource {
  readonly records: BtfRecords;
  readonly #base: BtfTypes | undefined;
  readonly #types = new Map<number, Type>();
  readonly #found = new Map<string, Type | undefined>();
  readonly #enumerators = new Map<string, { readonly value: bigint; readonly type: EnumType } | undefined>();

  constructor(records: BtfRecords, base: BtfTypes | undefined) {
    this.records = records;
    this.#base = base;
  }

  find(keyword: TypeKeyword, name: string): Type | undefined {
    if (name === '') return undefined;
    const key = `${keyword} ${name}`;
    if (this.#found.has(key)) return this.#found.get(key);
    const id = this.records.find(KINDS_OF[keyword], encoder.encode(name));
    let type = id === undefined ? this.#base?.find(keyword, name) : this.#type(id);
    // BTF spells `unsigned long` as "long unsigned int".
    if (type === undefined && keyword === 'typedef') type = baseType(name.split(' '), this.#charSigned());
    this.#found.set(key, type);
    return type;
  }

  findEnumerator(name: string): { readonly value: bigint; readonly type: EnumType } | undefined {
    if (name === '') return undefined;
    if (this.#enumerators.has(name)) return this.#enumerators.get(name);
    const found = this.#searchEnumerator(name) ?? this.#base?.findEnumerator(name);
    this.#enumerators.set(name, found);
    return found;
  }

  findFunction(name: string): FunctionType | undefined {
    if (name === '') return undefined;
    const id = this.records.find(bit(BTF_KIND.FUNC), encoder.encode(name));
    if (id === undefined) return this.#base?.findFunction(name);
    const type = this.#type(id);
    return type.kind === 'function' ? type : undefined;
  }

  *names(keyword: TypeKeyword): Generator<string, void, void> {
    if (this.#base !== undefined) yield* this.#base.names(keyword);
    yield* this.ownNames(keyword);
  }

  /** As names, without those of the base. */
  *ownNames(keyword: TypeKeyword): Generator<string, void, void> {
    const seen = new Set<number>();
    for (const id of this.records.ofKinds(KINDS_OF[keyword])) {
      const offset = this.#record(id).nameOffset;
      if (offset === 0 || seen.has(offset)) continue;
      seen.add(offset);
      const name = this.records.string(offset);
      if (name !== '') yield name;
    }
  }

  /** Number of the function of that name in this BTF itself (not its base), as BPF_PROG_LOAD takes it. */
  functionId(name: string): number | undefined {
    return name === '' ? undefined : this.records.find(bit(BTF_KIND.FUNC), encoder.encode(name));
  }

  /** Number of the typedef of that name in this BTF itself. */
  typedefId(name: string): number | undefined {
    return name === '' ? undefined : this.records.find(bit(BTF_KIND.TYPEDEF), encoder.encode(name));
  }

  /** Number of the variable of that name in this BTF itself. */
  variableId(name: string): number | undefined {
    return name === '' ? undefined : this.records.find(bit(BTF_KIND.VAR), encoder.encode(name));
  }

  /** Whether BTF describes a variable of that name. */
  hasVariable(name: string): boolean {
    return this.variableId(name) !== undefined;
  }

  /** Names of all functions that BTF describes. */
  *functionNames(): Generator<string, void, void> {
    if (this.#base !== undefined) yield* this.#base.functionNames();
    for (const id of this.records.ofKinds(bit(BTF_KIND.FUNC))) {
      yield this.records.string(this.#record(id).nameOffset);
    }
  }

  #searchEnumerator(name: string): { readonly value: bigint; readonly type: EnumType } | undefined {
    const found = this.records.findEnumerator(encoder.encode(name));
    if (found === undefined) return undefined;
    const type = this.#type(found.id);
    const member = type.kind === 'enum' ? type.members[found.item] : undefined;
    return type.kind === 'enum' && member !== undefined ? { value: member.value, type } : undefined;
  }

  #charSigned(): boolean {
    const id = this.records.find(bit(BTF_KIND.INT), CHAR);
    if (id === undefined) return this.#base === undefined || this.#base.#charSigned();
    const char = this.#type(id);
    return char.kind !== 'int' || char.signed;
  }

  #record(id: number): TypeRecord {
    const { owner, position } = this.records.locate(id);
    const info = owner.words[position + 1] ?? 0;
    return {
      id,
      words: owner.words,
      position,
      kind: (info >>> 24) & 31,
      vlen: info & 0xffff,
      flag: info >>> 31 === 1,
      nameOffset: owner.words[position] ?? 0,
      last: owner.words[position + 2] ?? 0,
    };
  }

  /** The record behind typedefs, qualifiers and tags, undefined for void; `user` when a `__user` tag was among them. */
  #strip(id: number): { readonly record: TypeRecord | undefined; readonly user: boolean } {
    let user = false;
    let at = id;
    for (let step = 0; step < MAX_CHAIN; step++) {
      if (at === 0) return { record: undefined, user };
      const record = this.#record(at);
      switch (record.kind) {
        case BTF_KIND.TYPE_TAG:
          if (this.records.string(record.nameOffset) === 'user') user = true;
          break;
        case BTF_KIND.TYPEDEF:
        case BTF_KIND.CONST:
        case BTF_KIND.VOLATILE:
        case BTF_KIND.RESTRICT:
          break;
        default:
          return { record, user };
      }
      at = record.last;
    }
    throw brokenRecord(id, 'typedefs or qualifiers without an end');
  }

  #type(id: number, depth = 0): Type {
    const known = this.#types.get(id);
    if (known !== undefined) return known;
    if (depth > MAX_CHAIN) throw brokenRecord(id, 'an array of itself');
    const { record } = this.#strip(id);
    if (record === undefined) return voidType;
    // One object for one record, however it is reached, also across split BTF.
    let type = this.#types.get(record.id) ?? this.#fromBase(record.id);
    type ??= this.#make(record, depth);
    this.#types.set(record.id, type);
    this.#types.set(id, type);
    return type;
  }

  #fromBase(id: number): Type | undefined {
    return this.#base !== undefined && id <= this.#base.records.lastId() ? this.#base.#type(id) : undefined;
  }

  #make(record: TypeRecord, depth: number): Type {
    const { id, words, position, last } = record;
    switch (record.kind) {
      case BTF_KIND.INT:
        return this.#makeInt(record);
      case BTF_KIND.PTR: {
        // The space is known only behind the tags: #strip reads no further than those.
        const space = this.#strip(last).user ? 'user' : 'kernel';
        return { kind: 'pointer', to: () => this.#type(last), space };
      }
      case BTF_KIND.ARRAY: {
        const length = words[position + 5] ?? 0;
        const element = words[position + 3] ?? 0;
        const of = this.#isChar(element) ? int8 : this.#type(element, depth + 1);
        return { kind: 'array', of, length };
      }
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
        return this.#makeComposite(record);
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
        return this.#makeEnum(record);
      case BTF_KIND.FWD: {
        const name = this.records.string(record.nameOffset);
        const kind = record.flag ? 'union' : 'struct';
        return this.find(kind, name) ?? { kind, name, size: 0, fields: () => [] };
      }
      case BTF_KIND.FUNC: {
        const proto = last === 0 ? undefined : this.#record(last);
        if (proto?.kind !== BTF_KIND.FUNC_PROTO) throw brokenRecord(id, 'a function without a prototype');
        return this.#makeFunction(proto, this.records.string(record.nameOffset));
      }
      case BTF_KIND.FUNC_PROTO:
        return this.#makeFunction(record, '');
      case BTF_KIND.VAR:
        return this.#type(last, depth + 1);
      case BTF_KIND.FLOAT:
        return { kind: 'float', size: last };
      default:
        // DATASEC and DECL_TAG describe other records, they are no types.
        return voidType;
    }
  }

  #makeInt(record: TypeRecord): Type {
    const encoding = (record.words[record.position + 3] ?? 0) >>> 24;
    if ((encoding & INT_BOOL) !== 0 && record.last === 1) return boolType;
    if (isByteSize(record.last)) return intType(record.last, (encoding & INT_SIGNED) !== 0);
    // __int128: no value of the language is that wide.
    return { kind: 'array', of: intType(8, (encoding & INT_SIGNED) !== 0), length: Math.ceil(record.last / 8) };
  }

  /**
   * Whether the type is C's `char`, qualified or not, but neither `unsigned char` nor a
   * typedef such as u8. The kernel's char has no sign since 6.2, and yet arrays of it are text.
   */
  #isChar(id: number): boolean {
    let at = id;
    for (let step = 0; step < MAX_CHAIN && at !== 0; step++) {
      const record = this.#record(at);
      if (record.kind === BTF_KIND.INT) {
        return record.last === 1 && this.records.hasName(record.nameOffset, CHAR);
      }
      if (record.kind < BTF_KIND.TYPEDEF || record.kind > BTF_KIND.RESTRICT) return false;
      at = record.last;
    }
    return false;
  }

  #makeEnum(record: TypeRecord): EnumType {
    const { records } = this;
    const { words, position, vlen, flag } = record;
    const size = isByteSize(record.last) ? record.last : 4;
    const wide = record.kind === BTF_KIND.ENUM64;
    let members: EnumType['members'] | undefined;
    const read = (): EnumType['members'] => {
      const list: { name: string; value: bigint }[] = [];
      for (let item = 0; item < vlen; item++) {
        const at = position + 3 + item * (wide ? 3 : 2);
        const low = words[at + 1] ?? 0;
        const high = wide ? (words[at + 2] ?? 0) : flag && low > 0x7fff_ffff ? 0xffff_ffff : 0;
        const value = (BigInt(high) << 32n) | BigInt(low);
        list.push({ name: records.string(words[at] ?? 0), value: flag ? BigInt.asIntN(64, value) : value });
      }
      return list;
    };
    return {
      kind: 'enum',
      name: records.string(record.nameOffset),
      size,
      signed: flag,
      get members() {
        members ??= read();
        return members;
      },
    };
  }

  #makeFunction(proto: TypeRecord, name: string): FunctionType {
    const { words, position, vlen, last } = proto;
    let parameters: ReturnType<FunctionType['parameters']> | undefined;
    const read = (): ReturnType<FunctionType['parameters']> => {
      const list: { name: string; type: Type }[] = [];
      for (let item = 0; item < vlen; item++) {
        const at = position + 3 + item * 2;
        const type = words[at + 1] ?? 0;
        // A last parameter without type stands for `...`.
        if (type === 0 && item === vlen - 1) break;
        list.push({ name: this.records.string(words[at] ?? 0), type: this.#type(type) });
      }
      return list;
    };
    return {
      kind: 'function',
      name,
      parameters: () => {
        parameters ??= read();
        return parameters;
      },
      returns: () => this.#type(last),
    };
  }

  #makeComposite(record: TypeRecord): CompositeType {
    let fields: readonly Field[] | undefined;
    return {
      kind: record.kind === BTF_KIND.STRUCT ? 'struct' : 'union',
      name: this.records.string(record.nameOffset),
      size: record.last,
      fields: () => {
        fields ??= this.#readFields(record);
        return fields;
      },
    };
  }

  #readFields(record: TypeRecord): readonly Field[] {
    const { words, position, vlen, flag, last: size } = record;
    const fields: Field[] = [];
    for (let item = 0; item < vlen; item++) {
      const at = position + 3 + item * 3;
      const name = this.records.string(words[at] ?? 0);
      const typeId = words[at + 1] ?? 0;
      const placed = words[at + 2] ?? 0;
      const type = this.#type(typeId);
      let start = flag ? placed & 0xff_ffff : placed;
      let width = flag ? placed >>> 24 : 0;
      if (!flag && (type.kind === 'int' || type.kind === 'bool')) {
        // Without kind_flag the INT itself is narrower than its size.
        const { record: int } = this.#strip(typeId);
        const encoded = int === undefined ? 0 : (int.words[int.position + 3] ?? 0);
        const bits = encoded & 0xff;
        if (int !== undefined && bits > 0 && bits < int.last * 8) {
          width = bits;
          start += (encoded >>> 16) & 0xff;
        }
      }
      if (width === 0) {
        fields.push({ name, type, offset: start >>> 3 });
      } else {
        const field = placeBits(name, type, start, width, size);
        if (field === undefined) throw brokenRecord(record.id, `a bit-field of ${width} bits`);
        fields.push(field);
      }
    }
    return fields;
  }
}

const CHAR = encoder.encode('char');

/**
 * Places a bit-field in a storage unit of its declared type, aligned as that type; in a
 * smaller unit where that one would reach beyond the composite, and at any byte or in a
 * wider unit where packing makes it straddle. `start` and `width` in bits, `size` of the
 * composite in bytes; undefined when no unit of 8 bytes holds it.
 */
export function placeBits(name: string, type: Type, start: number, width: number, size: number): Field | undefined {
  const integer = type.kind === 'int' || type.kind === 'enum';
  if (!integer && type.kind !== 'bool') return undefined;
  const declared = integer ? type.size : 1;
  const signed = integer && type.signed;
  const fits = (offset: number, unit: number): boolean => start + width <= (offset + unit) * 8 && offset + unit <= size;
  const aligned = Math.floor(start / (declared * 8)) * declared;
  if (fits(aligned, declared)) {
    return { name, type, offset: aligned, bits: { offset: start - aligned * 8, width } };
  }
  for (const unit of [1, 2, 4, 8] as const) {
    const natural = Math.floor(start / (unit * 8)) * unit;
    const last = Math.max(0, Math.ceil((start + width) / 8) - unit);
    for (const offset of [natural, last]) {
      if (offset * 8 > start || !fits(offset, unit)) continue;
      const storage = type.kind === 'bool' && unit === 1 ? type : intType(unit, signed);
      return { name, type: storage, offset, bits: { offset: start - offset * 8, width } };
    }
  }
  return undefined;
}

/**
 * Opens BTF as in /sys/kernel/btf/vmlinux, or, with `base`, split BTF as of a module.
 * The bytes are kept and must not change. Fails with code E_BTF.
 */
export function openBtf(bytes: Uint8Array, base?: BtfTypes): Result<BtfTypes, MachineError> {
  const records = openRecords(bytes, base?.records);
  return records.ok ? ok(new BtfTypes(records.value, base)) : records;
}
