/**
 * Maps: keys, look-ups, assignments. A map without keys is one element of an array map
 * and is reached by its address; a map with keys is a hash map. Reading what has never
 * been assigned gives zeros.
 */
import { invariant } from '../../base/errors.ts';
import { bpf_flag } from '../../bpf/constants.ts';
import type { AggregateType, Type } from '../../types/model.ts';
import type { Operand, Reg } from '../ir/ir.ts';
import type * as Ast from '../syntax/ast.ts';
import type { UserMapAsset } from './assets.ts';
import { bpfHelper } from './bpfhelper.ts';
import { copyValue } from './copy.ts';
import { isScalarType, roomOf } from './layout.ts';
import type { Lower } from './lower.ts';
import { type DirectPlace, shifted } from './place.ts';

export const assetOf = (low: Lower, node: Ast.MapAccess): UserMapAsset => low.assets.userMap(node.name);

/** Writes the key of an access into memory and gives its address. */
export function lowerKey(low: Lower, node: Ast.MapAccess): Reg {
  const asset = assetOf(low, node);
  const place = low.temporary(asset.keySize);
  writeKey(low, node, place);
  return low.addressOf(place);
}

/** Writes the key of an access (asset.keySize bytes, zero-padded) at a place. */
export function writeKey(low: Lower, node: Ast.MapAccess, place: DirectPlace): void {
  const asset = assetOf(low, node);
  const types = asset.info.keys ?? [];
  const only = node.keys[0];
  if (types.length > 1 && node.keys.length === 1 && only) {
    // `@m[(a, b)]`, or a tuple from a variable: the elements are the key's parts.
    low.into(only, place, { kind: 'tuple', elements: types });
    return;
  }
  const single = only && low.typeOf(only);
  if (types.length === 1 && single?.kind === 'tuple' && (types[0] as Type).kind !== 'tuple' && only) {
    low.into(only, place, { kind: 'tuple', elements: types });
    return;
  }
  for (const [index, key] of node.keys.entries()) {
    low.into(key, shifted(place, asset.keyOffsets[index] as number), types[index] as Type);
  }
}

/** Address of a keyed map's value, 0 when there is none. */
export function lookup(low: Lower, asset: UserMapAsset, key: Reg): Reg {
  return low.b.call(bpfHelper.map_lookup_elem, [low.b.map(asset.index), key], 'pointer');
}

/** The value of a map of scalars. */
export function readMapScalar(low: Lower, node: Ast.MapAccess): Reg {
  const { b } = low;
  const asset = assetOf(low, node);
  if (asset.storage.kind === 'array') return b.load(b.mapValue(asset.index, 0), 0, 8);
  return low.scoped(() => {
    const dst = b.const(0);
    const missing = b.label();
    const value = lookup(low, asset, lowerKey(low, node));
    b.branch('eq', value, { imm: 0 }, missing);
    b.push({ op: 'load', dst, base: value, offset: 0, size: 8 });
    b.place(missing);
    return dst;
  });
}

/** Copies a map's value to a place; zeros when there is none. */
export function readMapInto(low: Lower, node: Ast.MapAccess, to: DirectPlace, type: Type): void {
  const { b } = low;
  const asset = assetOf(low, node);
  const own = asset.info.value;
  if (asset.storage.kind === 'array') {
    copyValue(low, { kind: 'direct', base: b.mapValue(asset.index, 0), offset: 0 }, own, to, type);
    return;
  }
  const missing = b.label();
  const done = b.label();
  const value = low.scoped(() => lookup(low, asset, lowerKey(low, node)));
  b.branch('eq', value, { imm: 0 }, missing);
  copyValue(low, { kind: 'direct', base: value, offset: 0 }, own, to, type);
  b.jump(done);
  b.place(missing);
  low.clear(to, roomOf(type, low.assets.stored));
  b.place(done);
}

/** bpf_map_update_elem; a full map is counted by name. */
export function update(low: Lower, asset: UserMapAsset, key: Reg, value: Reg, flags: number): Reg {
  const { b } = low;
  const result = b.call(bpfHelper.map_update_elem, [b.map(asset.index), key, value, { imm: flags }]);
  const fine = b.label();
  b.branch('eq', result, { imm: 0 }, fine);
  // -EEXIST (another CPU was first) is no loss.
  b.branch('eq', result, { imm: -17 }, fine);
  low.count(low.assets.mapFullCounter(asset));
  b.place(fine);
  return result;
}

/** Marks a map without keys as assigned. */
export function markSet(low: Lower, asset: UserMapAsset): void {
  invariant(asset.storage.kind === 'array', 'only maps without keys have a flag');
  low.b.store(low.b.mapValue(asset.index, asset.storage.setOffset), 0, 8, { imm: 1 });
}

/** `@m[k] = value`. */
export function assignMap(low: Lower, node: Ast.MapAccess, value: Ast.Expr): void {
  const { b } = low;
  const asset = assetOf(low, node);
  const type = asset.info.value;
  low.scoped(() => {
    if (asset.storage.kind === 'array') {
      if (isScalarType(type)) {
        const scalar = low.scalar(value);
        b.store(b.mapValue(asset.index, 0), 0, 8, scalar);
      } else {
        // Built apart first: the old value may be part of the new one.
        const place = low.materialize(value, type);
        low.copy({ kind: 'direct', base: b.mapValue(asset.index, 0), offset: 0 }, place, asset.valueSize);
      }
      markSet(low, asset);
      return;
    }
    const place = low.materialize(value, type);
    const key = lowerKey(low, node);
    update(low, asset, key, low.addressOf(place), bpf_flag.BPF_ANY);
  });
}

/**
 * Changes a scalar map value in place; `change` gets the old value. Additions go through
 * addToMap, which loses no step of another CPU.
 */
export function changeMap(low: Lower, node: Ast.MapAccess, change: (old: Reg) => Reg): void {
  const { b } = low;
  const asset = assetOf(low, node);
  low.scoped(() => {
    if (asset.storage.kind === 'array') {
      const base = b.mapValue(asset.index, 0);
      const value = change(b.load(base, 0, 8));
      b.store(b.mapValue(asset.index, 0), 0, 8, value);
      markSet(low, asset);
      return;
    }
    const key = lowerKey(low, node);
    const old = b.const(0);
    const missing = b.label();
    const found = lookup(low, asset, key);
    b.branch('eq', found, { imm: 0 }, missing);
    b.push({ op: 'load', dst: old, base: found, offset: 0, size: 8 });
    b.place(missing);
    const place = low.temporary(8);
    b.store(place.base, place.offset, 8, change(old));
    update(low, asset, key, low.addressOf(place), bpf_flag.BPF_ANY);
  });
}

/** Adds to a scalar map value by an atomic instruction; gives the value before. */
export function addToMap(low: Lower, node: Ast.MapAccess, amount: Operand): Reg {
  const { b } = low;
  const asset = assetOf(low, node);
  const added = typeof amount === 'object' ? b.const(amount.imm) : amount;
  const old = b.reg();
  if (asset.storage.kind === 'array') {
    const base = b.mapValue(asset.index, 0);
    b.push({ op: 'atomic', operator: 'add', base, offset: 0, size: 8, value: added, dst: old });
    markSet(low, asset);
    return old;
  }
  return low.scoped(() => {
    const key = lowerKey(low, node);
    const done = b.label();
    const present = b.label();
    b.push({ op: 'const', dst: old, value: 0n });
    const found = b.reg('pointer');
    b.mov(found, lookup(low, asset, key));
    b.branch('ne', found, { imm: 0 }, present);
    const place = low.temporary(8);
    b.store(place.base, place.offset, 8, added);
    const result = update(low, asset, key, low.addressOf(place), bpf_flag.BPF_NOEXIST);
    b.branch('eq', result, { imm: 0 }, done);
    b.mov(found, lookup(low, asset, key));
    b.branch('eq', found, { imm: 0 }, done);
    b.place(present);
    b.push({ op: 'atomic', operator: 'add', base: found, offset: 0, size: 8, value: added, dst: old });
    b.place(done);
    return old;
  });
}

/** `@m++` and its kin: the value before or after. */
export function stepMap(low: Lower, node: Ast.MapAccess, amount: number, before: boolean): Reg {
  const old = addToMap(low, node, { imm: amount });
  return before ? old : low.b.alu('add', old, { imm: amount });
}

/** delete(@m[k]): 1 when there was such a key. */
export function deleteKey(low: Lower, node: Ast.MapAccess): Reg {
  const { b } = low;
  const asset = assetOf(low, node);
  if (asset.storage.kind === 'array') {
    const { setOffset } = asset.storage;
    const was = b.load(b.mapValue(asset.index, setOffset), 0, 8);
    low.clear({ kind: 'direct', base: b.mapValue(asset.index, 0), offset: 0 }, setOffset + 8);
    return was;
  }
  return low.scoped(() => {
    const key = lowerKey(low, node);
    const result = b.call(bpfHelper.map_delete_elem, [b.map(asset.index), key]);
    const deleted = b.const(0);
    const failed = b.label();
    b.branch('ne', result, { imm: 0 }, failed);
    b.push({ op: 'const', dst: deleted, value: 1n });
    b.place(failed);
    return deleted;
  });
}

/** 1 when the map has that key, or, without keys, has been assigned. */
export function hasKey(low: Lower, node: Ast.MapAccess): Reg {
  const { b } = low;
  const asset = assetOf(low, node);
  if (asset.storage.kind === 'array') return b.load(b.mapValue(asset.index, asset.storage.setOffset), 0, 8);
  return low.scoped(() => {
    const dst = b.const(0);
    const missing = b.label();
    b.branch('eq', lookup(low, asset, lowerKey(low, node)), { imm: 0 }, missing);
    b.push({ op: 'const', dst, value: 1n });
    b.place(missing);
    return dst;
  });
}

/** len(@m): bpf_for_each_map_elem tells how many elements it went over. */
export function countKeys(low: Lower, node: Ast.MapAccess): Reg {
  const { b } = low;
  const asset = assetOf(low, node);
  if (asset.storage.kind === 'array') return b.const(0);
  const environment = low.environment();
  const callback = low.callback('each', 4, 3, () => {});
  return b.call(bpfHelper.for_each_map_elem, [b.map(asset.index), callback, environment, { imm: 0 }]);
}

/** A map of aggregations as one number: the CPUs' parts put together. */
export function readAggregate(low: Lower, node: Ast.MapAccess, type: AggregateType): Reg {
  const asset = assetOf(low, node);
  return low.scoped(() =>
    aggregateAt(low, asset, type, asset.storage.kind === 'hash' ? lowerKey(low, node) : undefined),
  );
}

/** The same by the address of the key, undefined of a map without keys. */
export function aggregateAt(low: Lower, asset: UserMapAsset, type: AggregateType, key: Reg | undefined): Reg {
  const { total, count } = addUp(low, asset, type, key);
  return type.aggregate === 'avg' ? low.b.alu(type.signed ? 'sdiv' : 'udiv', total, count) : total;
}

/** A stats() value, as its schema has it: total, count. */
export function readStatsInto(low: Lower, node: Ast.MapAccess, type: AggregateType, to: DirectPlace): void {
  const asset = assetOf(low, node);
  const { total, count } = low.scoped(() =>
    addUp(low, asset, type, asset.storage.kind === 'hash' ? lowerKey(low, node) : undefined),
  );
  low.b.store(to.base, to.offset, 8, total);
  low.b.store(to.base, to.offset + 8, 8, count);
}

function addUp(
  low: Lower,
  asset: UserMapAsset,
  type: AggregateType,
  key: Reg | undefined,
): { readonly total: Reg; readonly count: Reg } {
  const { b } = low;
  const total = b.const(0);
  const count = b.const(0);
  return low.scoped(() => {
    const cpus = low.options.target.cpus;
    const cpu = b.const(0);
    const again = b.label();
    const next = b.label();
    b.place(again);
    let part: Reg;
    if (asset.storage.kind === 'array') {
      const offset = b.alu('mul', cpu, { imm: asset.storage.stride });
      part = b.alu('add', b.mapValue(asset.index, 0), offset);
    } else {
      part = b.call(bpfHelper.map_lookup_percpu_elem, [b.map(asset.index), key as Reg, cpu], 'pointer');
      b.branch('eq', part, { imm: 0 }, next);
    }
    const value = b.load(part, 0, 8);
    if (type.aggregate === 'min' || type.aggregate === 'max') {
      const isSet = b.load(part, 8, 8);
      b.branch('eq', isSet, { imm: 0 }, next);
      const take = b.label();
      b.branch('eq', count, { imm: 0 }, take);
      const condition = type.aggregate === 'min' ? (type.signed ? 'sge' : 'uge') : type.signed ? 'sle' : 'ule';
      b.branch(condition, value, total, next);
      b.place(take);
      b.mov(total, value);
      b.push({ op: 'const', dst: count, value: 1n });
    } else {
      b.push({ op: 'alu', operator: 'add', dst: total, left: total, right: value });
      if (type.aggregate === 'avg' || type.aggregate === 'stats') {
        const n = b.load(part, 8, 8);
        b.push({ op: 'alu', operator: 'add', dst: count, left: count, right: n });
      }
    }
    b.place(next);
    b.push({ op: 'alu', operator: 'add', dst: cpu, left: cpu, right: { imm: 1 } });
    b.branch('ult', cpu, { imm: cpus }, again);
    return { total, count };
  });
}
