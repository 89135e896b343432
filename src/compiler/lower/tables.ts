/**
 * Steps through trees and hash tables, as global functions: the verifier looks at each
 * once. A search in a table looks at a bounded number of slots; its answer is an odd
 * number for a slot in use, an even one for the place where it is to go on, -1 for the end.
 */
import { uint64 } from '../../types/model.ts';
import type { Operand, Reg } from '../ir/ir.ts';
import type { Lower } from './lower.ts';
import type { Place } from './place.ts';

/** Steps up or down to the next node: a red-black tree of 2^32 nodes is 64 deep at most. */
const treeSteps = 64;
/** Words of eight control bytes that one search looks at; fewer where a step is longer. */
const searchSteps = 256;
const longSearchSteps = 48;

const user = (address: Reg, offset = 0): Place => ({ kind: 'memory', address, offset, space: 'user' });
const word = (low: Lower, address: Reg, offset = 0): Reg => low.readScalar(user(address, offset), uint64);

/** A register to be changed, with a value at first. */
function variable(low: Lower, value: Operand): Reg {
  const reg = low.b.reg();
  if (typeof value === 'object') low.b.push({ op: 'const', dst: reg, value: BigInt(value.imm) });
  else low.b.mov(reg, value);
  return reg;
}

const add = (low: Lower, reg: Reg, amount: Operand): void =>
  low.b.push({ op: 'alu', operator: 'add', dst: reg, left: reg, right: amount });

/** Runs `body` at most `limit` times, by a bounded loop of the function itself; behind it when nothing left it. */
function bounded(low: Lower, limit: number, body: () => void): void {
  const { b } = low;
  const again = b.label();
  const step = variable(low, { imm: 0 });
  b.place(again);
  body();
  add(low, step, { imm: 1 });
  b.branch('ult', step, { imm: limit }, again);
}

/**
 * Makes the verifier forget what it knows of a number, by another one that it knows nothing
 * of: states of a loop's rounds then look alike to it, and are looked at once.
 */
function forget(low: Lower, reg: Reg, other: Reg): void {
  for (let i = 0; i < 2; i++) low.b.push({ op: 'alu', operator: 'xor', dst: reg, left: reg, right: other });
}

/** The node that follows in order: the leftmost one below on the right, else the first parent on whose left it lies; 0 for none. */
export function nextInTree(
  low: Lower,
  links: { readonly left: number; readonly right: number; readonly parent: number },
  from: Reg,
): Reg {
  const { left, right, parent } = links;
  const next = low.globalFunction(`tree_${left}_${right}_${parent}`, 1, ([start]) => {
    const { b } = low;
    const node = variable(low, start as Reg);
    const up = b.label();
    const done = b.label();
    const below = word(low, node, right);
    b.branch('eq', below, { imm: 0 }, up);
    b.mov(node, below);
    bounded(low, treeSteps, () => {
      const child = word(low, node, left);
      b.branch('eq', child, { imm: 0 }, done);
      b.mov(node, child);
    });
    b.return({ imm: 0 });
    b.place(up);
    bounded(low, treeSteps, () => {
      const above = word(low, node, parent);
      const fromRight = word(low, above, right);
      const child = variable(low, node);
      b.mov(node, above);
      b.branch('ne', fromRight, child, done);
    });
    b.return({ imm: 0 });
    b.place(done);
    return node;
  });
  return low.b.callFunction(next, [from]);
}

/** Nodes that are counted of a list without a count: the verifier keeps 8,192 branches in mind, and a step has several. */
const mostCounted = 1000;

/** How many nodes a list has that ends at 0; what there is beyond those that are looked at is told of as a cut loop. */
export function lengthOfList(low: Lower, next: number, first: Reg): Reg {
  const count = low.globalFunction(`list_${next}`, 1, ([start]) => {
    const { b } = low;
    const node = variable(low, start as Reg);
    const done = b.label();
    const length = variable(low, { imm: 0 });
    bounded(low, mostCounted, () => {
      b.branch('eq', node, { imm: 0 }, done);
      b.mov(node, word(low, node, next));
      add(low, length, { imm: 1 });
    });
    low.count(low.assets.globals.loopLimit);
    b.place(done);
    return length;
  });
  return low.b.callFunction(count, [first]);
}

/** Number of the lowest of eight bytes that has its highest bit set; at least one has. */
function lowestByte(low: Lower, bits: Reg): Reg {
  const { b } = low;
  const rest = variable(low, bits);
  const number = variable(low, { imm: 0 });
  for (const bytes of [4, 2, 1]) {
    const here = b.label();
    const part = b.alu('shl', rest, { imm: 64 - 8 * bytes });
    b.branch('ne', part, { imm: 0 }, here);
    add(low, number, { imm: bytes });
    b.push({ op: 'alu', operator: 'lshr', dst: rest, left: rest, right: { imm: 8 * bytes } });
    b.place(here);
  }
  return number;
}

const highBits = 0x8080_8080_8080_8080n;
const lowBits = 0x7f7f_7f7f_7f7f_7f7fn;

/** Where a search goes on behind its last answer. */
export const position = (low: Lower, answer: Reg): Reg =>
  low.b.alu('lshr', low.b.alu('add', answer, { imm: 1 }), { imm: 1 });

/** The number that an odd answer stands for. */
export const found = (low: Lower, answer: Reg): Reg => low.b.alu('lshr', answer, { imm: 1 });

/** The next slot in use from `from` on, among `capacity`, by their control bytes. */
export function nextSlot(low: Lower, control: Reg, from: Reg, capacity: Reg): Reg {
  const search = low.globalFunction('slot', 3, ([bytes, first, all]) => {
    const { b } = low;
    const index = variable(low, first as Reg);
    const end = b.label();
    const full = b.label();
    const bits = b.reg();
    bounded(low, searchSteps, () => {
      b.branch('uge', index, all as Reg, end);
      const controls = word(low, b.alu('add', bytes as Reg, index));
      b.mov(bits, b.alu('and', b.alu('xor', controls, b.const(-1)), b.const(highBits)));
      b.branch('ne', bits, { imm: 0 }, full);
      add(low, index, { imm: 8 });
    });
    b.return(b.alu('shl', index, { imm: 1 }));
    b.place(full);
    add(low, index, lowestByte(low, bits));
    b.branch('uge', index, all as Reg, end);
    b.return(b.alu('or', b.alu('shl', index, { imm: 1 }), { imm: 1 }));
    b.place(end);
    return { imm: -1 };
  });
  return low.b.callFunction(search, [control, from, capacity]);
}

/** The parts of a table of Go's maps that differ from map to map. */
export interface GoTable {
  readonly data: number;
  readonly mask: number;
  readonly index: number;
  readonly slot: number;
}

/** Places in a Go map: the table's number above, the slot's in it in the lower 32 bits. */
const tableBits = 32;

/** Groups of a table: where they are, and the number of the last one. */
function groupsOf(low: Lower, { data, mask }: GoTable, directory: Reg, tables: Reg, number: Reg): [Reg, Reg] {
  const { b } = low;
  const groups = variable(low, directory);
  const last = variable(low, { imm: 0 });
  const small = b.label();
  b.branch('eq', tables, { imm: 0 }, small);
  const table = word(low, b.alu('add', directory, b.alu('shl', number, { imm: 3 })));
  b.mov(groups, word(low, table, data));
  b.mov(last, word(low, table, mask));
  b.place(small);
  return [groups, last];
}

/** The next slot in use of a Go map from a place on. */
export function nextInGroups(low: Lower, table: GoTable, directory: Reg, tables: Reg, from: Reg): Reg {
  const size = 8 + 8 * table.slot;
  const search = low.globalFunction(`groups_${table.slot}`, 3, ([start, count, first]) => {
    const { b } = low;
    const place = variable(low, first as Reg);
    const end = b.label();
    const full = b.label();
    const bits = b.reg();
    bounded(low, longSearchSteps, () => {
      forget(low, place, start as Reg);
      const next = b.label();
      const otherTable = b.label();
      const inside = b.label();
      const number = b.alu('lshr', place, { imm: tableBits });
      const small = b.label();
      const checked = b.label();
      b.branch('eq', count as Reg, { imm: 0 }, small);
      b.branch('uge', number, count as Reg, end);
      // A table that stands in the directory more than once counts where it says it is.
      const own = word(low, b.alu('add', start as Reg, b.alu('shl', number, { imm: 3 })));
      b.branch('ne', word(low, own, table.index), number, otherTable);
      b.jump(checked);
      b.place(small);
      b.branch('ne', number, { imm: 0 }, end);
      b.place(checked);
      const [groups, last] = groupsOf(low, table, start as Reg, count as Reg, number);
      const slot = b.alu('lshr', b.alu('shl', place, { imm: 32 }), { imm: 32 });
      const group = b.alu('lshr', slot, { imm: 3 });
      b.branch('ule', group, last, inside);
      b.place(otherTable);
      b.mov(
        place,
        b.alu('shl', b.alu('add', b.alu('lshr', place, { imm: tableBits }), { imm: 1 }), { imm: tableBits }),
      );
      b.jump(next);
      b.place(inside);
      const controls = word(low, b.alu('add', groups, b.alu('mul', group, { imm: size })));
      const free = b.alu('and', b.alu('xor', controls, b.const(-1)), b.const(highBits));
      const before = b.alu('shl', b.alu('and', slot, { imm: 7 }), { imm: 3 });
      b.mov(bits, b.alu('and', free, b.alu('shl', b.const(-1), before)));
      b.branch('ne', bits, { imm: 0 }, full);
      b.push({ op: 'alu', operator: 'or', dst: place, left: place, right: { imm: 7 } });
      add(low, place, { imm: 1 });
      b.place(next);
    });
    b.return(b.alu('shl', place, { imm: 1 }));
    b.place(full);
    const slot = b.alu('or', b.alu('and', place, { imm: -8 }), lowestByte(low, bits));
    b.return(b.alu('or', b.alu('shl', slot, { imm: 1 }), { imm: 1 }));
    b.place(end);
    return { imm: -1 };
  });
  return low.b.callFunction(search, [directory, tables, from]);
}

/** Address of a slot of a Go map. */
export function slotInGroups(low: Lower, table: GoTable, directory: Reg, tables: Reg, place: Reg): Reg {
  const size = 8 + 8 * table.slot;
  const find = low.globalFunction(`groups_slot_${table.slot}`, 3, ([start, count, at]) => {
    const { b } = low;
    const number = b.alu('lshr', at as Reg, { imm: tableBits });
    const [groups] = groupsOf(low, table, start as Reg, count as Reg, number);
    const slot = b.alu('lshr', b.alu('shl', at as Reg, { imm: 32 }), { imm: 32 });
    const group = b.alu('mul', b.alu('lshr', slot, { imm: 3 }), { imm: size });
    const inside = b.alu('mul', b.alu('and', slot, { imm: 7 }), { imm: table.slot });
    return b.alu('add', b.alu('add', groups, group), b.alu('add', inside, { imm: 8 }));
  });
  return low.b.callFunction(find, [directory, tables, place]);
}

/**
 * A place in the older map of Go: the bucket's address in the lower 47 bits (0: the next
 * one of the row), the slot's number in 4, and above how many buckets of the row the
 * search has gone on.
 */
export const bucketBits = { address: 47, slot: 4 } as const;
/** Marks of runtime/map.go below this mean that a slot holds nothing. */
const minTopHash = 5;

/** The next slot in use: from a place on, in a row of `count` buckets, of which `index` is the current one. */
export function nextInBuckets(
  low: Lower,
  { size, overflow }: { readonly size: number; readonly overflow: number },
  first: Reg,
  count: Reg,
  index: Reg,
  from: Reg,
): Reg {
  const search = low.globalFunction(`buckets_${size}_${overflow}`, 4, ([row, all, start, cursor]) => {
    const { b } = low;
    const here = variable(low, start as Reg);
    const bucket = variable(low, b.alu('lshr', b.alu('shl', cursor as Reg, { imm: 17 }), { imm: 17 }));
    const slot = variable(low, b.alu('and', b.alu('lshr', cursor as Reg, { imm: bucketBits.address }), { imm: 15 }));
    const end = b.label();
    const full = b.label();
    const bits = b.reg();
    bounded(low, longSearchSteps, () => {
      for (const reg of [here, bucket, slot]) forget(low, reg, row as Reg);
      const known = b.label();
      const next = b.label();
      const later = b.label();
      b.branch('uge', here, all as Reg, end);
      b.branch('ne', bucket, { imm: 0 }, known);
      b.mov(bucket, b.alu('add', row as Reg, b.alu('mul', here, { imm: size })));
      b.push({ op: 'const', dst: slot, value: 0n });
      b.place(known);
      b.branch('uge', slot, { imm: 8 }, later);
      const marks = word(low, bucket);
      const large = b.alu(
        'add',
        b.alu('and', marks, b.const(lowBits)),
        b.const((0x80n - BigInt(minTopHash)) * 0x0101_0101_0101_0101n),
      );
      const used = b.alu('and', b.alu('or', large, marks), b.const(highBits));
      b.mov(bits, b.alu('and', used, b.alu('shl', b.const(-1), b.alu('shl', slot, { imm: 3 }))));
      b.branch('ne', bits, { imm: 0 }, full);
      b.place(later);
      b.mov(bucket, word(low, bucket, overflow));
      b.push({ op: 'const', dst: slot, value: 0n });
      b.branch('ne', bucket, { imm: 0 }, next);
      add(low, here, { imm: 1 });
      b.place(next);
    });
    const place = (): Reg => {
      const gone = b.alu('shl', b.alu('sub', here, start as Reg), { imm: bucketBits.address + bucketBits.slot });
      const inBucket = b.alu('shl', slot, { imm: bucketBits.address });
      return b.alu('shl', b.alu('or', b.alu('or', gone, inBucket), bucket), { imm: 1 });
    };
    b.return(place());
    b.place(full);
    b.mov(slot, lowestByte(low, bits));
    b.return(b.alu('or', place(), { imm: 1 }));
    b.place(end);
    return { imm: -1 };
  });
  return low.b.callFunction(search, [first, count, index, from]);
}
