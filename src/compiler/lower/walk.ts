/**
 * Going through the elements of a container of the program. Where a walk is, is a few
 * registers, so that it can go on in another function: the body of a loop. Links are
 * followed, and tables searched, by the functions of tables.ts.
 */
import type { Content, Elements } from '../../types/content.ts';
import { sizeOf } from '../../types/layout.ts';
import { uint8, uint64 } from '../../types/model.ts';
import type { Label, Operand, Reg } from '../ir/ir.ts';
import type { Lower } from './lower.ts';
import { addressOf, measure, memory, textOf } from './measure.ts';
import { type DirectPlace, type Place, shifted } from './place.ts';
import {
  bucketBits,
  found,
  lengthOfList,
  nextInBuckets,
  nextInGroups,
  nextInTree,
  nextSlot,
  position,
  slotInGroups,
} from './tables.ts';

/** `state`: the registers that start() gave, or the same in another function. */
export interface Walk {
  start(): readonly Reg[];
  /** Jumps to `ended` behind the last element, to `again` where the search for the next one is not finished: next() goes on with it. */
  settle(state: readonly Reg[], ended: Label, again: Label): void;
  /** The element's bytes; for some containers put together in memory of the tracing program. */
  element(state: readonly Reg[]): Place;
  next(state: readonly Reg[]): void;
}

/** Whether going from one element to the next may take a search that ends early. */
export const isSearched = (content: Elements): boolean =>
  content.kind === 'slots' || content.kind === 'groups' || content.kind === 'buckets';

/** A register of its own, which may be changed. */
function own(low: Lower, value: Reg): Reg {
  const reg = low.b.reg();
  low.b.mov(reg, value);
  return reg;
}

const add = (low: Lower, reg: Reg, amount: Operand): void =>
  low.b.push({ op: 'alu', operator: 'add', dst: reg, left: reg, right: amount });

const word = (low: Lower, address: Reg, offset = 0): Reg => low.readScalar(memory(address, offset), uint64);

const nowhere = (): void => {};

/** The walk through a container whose own bytes lie at `object`; `from`: where they come from. */
export function walkOf(low: Lower, content: Elements, object: DirectPlace, from: Place): Walk {
  const step = Math.max(1, sizeOf(content.of));
  switch (content.kind) {
    case 'sequence':
      return {
        start: () => [firstOf(low, content, object, from)],
        settle: nowhere,
        element: ([node]) => memory(node as Reg),
        next: ([node]) => add(low, node as Reg, { imm: step }),
      };
    case 'list':
      return {
        start: () => [own(low, measure(low, object, content.first))],
        settle: ([node], ended) => low.b.branch('eq', node as Reg, { imm: 0 }, ended),
        element: ([node]) => memory(node as Reg, content.value),
        next: ([node]) => low.b.mov(node as Reg, word(low, node as Reg, content.next)),
      };
    case 'tree':
      return {
        start: () => [own(low, measure(low, object, content.first))],
        settle: ([node], ended) => low.b.branch('eq', node as Reg, { imm: 0 }, ended),
        element: ([node]) => memory(node as Reg, content.value),
        next: ([node]) => low.b.mov(node as Reg, nextInTree(low, content, node as Reg)),
      };
    case 'bits':
      return bitsWalk(low, content, object);
    case 'ring':
      return ringWalk(low, content, object, step);
    case 'blocks':
      return blocksWalk(low, content, object, step);
    case 'slots':
      return slotsWalk(low, content, object, from);
    case 'groups':
      return groupsWalk(low, content, object);
    case 'buckets':
      return bucketsWalk(low, content, object);
  }
}

/** How many elements there are; undefined where only going through them would tell. */
export function countOf(low: Lower, content: Content, object: DirectPlace, from: Place): Reg | undefined {
  switch (content.kind) {
    case 'text':
      return textOf(low, content, from, object).length;
    case 'blocks': {
      const step = Math.max(1, sizeOf(content.of));
      const { b } = low;
      const at = (offset: number): Reg => b.load(object.base, object.offset + offset, 8);
      const { start, finish } = content;
      const rows = b.alu('sdiv', b.alu('sub', at(finish + 24), at(start + 24)), { imm: 8 });
      const whole = b.alu('mul', b.alu('sub', rows, { imm: 1 }), { imm: perBlock(step) });
      const tail = b.alu('sdiv', b.alu('sub', at(finish), at(finish + 8)), { imm: step });
      const head = b.alu('sdiv', b.alu('sub', at(start + 16), at(start)), { imm: step });
      return b.alu('add', b.alu('add', whole, tail), head);
    }
    case 'list':
      return content.count === undefined ? undefined : measure(low, object, content.count);
    case 'sequence':
    case 'bits':
    case 'tree':
    case 'ring':
    case 'slots':
    case 'groups':
    case 'buckets':
      return measure(low, object, content.count);
    default:
      return undefined;
  }
}

/** Length of a list that does not know it; one of more elements than a search looks at counts as cut short. */
export function listLength(low: Lower, content: Elements, object: DirectPlace): Reg {
  return content.kind === 'list'
    ? lengthOfList(low, content.next, measure(low, object, content.first))
    : low.b.const(0);
}

/** Where the first element of a sequence lies. */
export function firstOf(low: Lower, content: Elements & { kind: 'sequence' }, object: DirectPlace, from: Place): Reg {
  const { b } = low;
  const node = own(low, measure(low, object, content.first));
  const { inside } = content;
  if (inside === undefined) return node;
  const apart = b.label();
  b.branch('set', measure(low, object, inside.tag), { imm: 1 }, apart);
  const start = addressOf(low, from);
  b.mov(node, start === undefined ? b.const(0) : b.alu('add', start, { imm: inside.offset }));
  b.place(apart);
  return node;
}

function bitsWalk(low: Lower, content: Elements & { kind: 'bits' }, object: DirectPlace): Walk {
  return {
    start: () => [low.b.const(0)],
    settle: nowhere,
    element: ([index]) => bitAt(low, content, object, index as Reg),
    next: ([index]) => add(low, index as Reg, { imm: 1 }),
  };
}

/** A bit as a value of its own. */
export function bitAt(low: Lower, content: Elements & { kind: 'bits' }, object: DirectPlace, index: Reg): DirectPlace {
  const { b } = low;
  const to = low.temporary(8);
  const address = b.alu('add', measure(low, object, content.first), b.alu('lshr', index, { imm: 3 }));
  const byte = low.readScalar(memory(address), uint8);
  const bit = b.alu('and', b.alu('lshr', byte, b.alu('and', index, { imm: 7 })), { imm: 1 });
  b.store(to.base, to.offset, 8, bit);
  return to;
}

/** Elements in a block of libstdc++'s deque: 512 bytes, at least one element. */
const perBlock = (step: number): number => Math.max(1, Math.floor(512 / step));

function blocksWalk(low: Lower, content: Elements & { kind: 'blocks' }, object: DirectPlace, step: number): Walk {
  const { b } = low;
  // Each iterator: cur, first, last, node.
  const at = (offset: number): Reg => low.b.load(object.base, object.offset + offset, 8);
  return {
    start: () => [own(low, at(content.start)), own(low, at(content.start + 16)), own(low, at(content.start + 24))],
    settle: nowhere,
    element: ([node]) => memory(node as Reg),
    next: ([node, last, row]) => {
      const within = b.label();
      add(low, node as Reg, { imm: step });
      b.branch('ne', node as Reg, last as Reg, within);
      add(low, row as Reg, { imm: 8 });
      b.mov(node as Reg, word(low, row as Reg));
      b.mov(last as Reg, b.alu('add', node as Reg, { imm: perBlock(step) * step }));
      b.place(within);
    },
  };
}

function ringWalk(low: Lower, content: Elements & { kind: 'ring' }, object: DirectPlace, step: number): Walk {
  const { b } = low;
  return {
    start: () => {
      const first = measure(low, object, content.first);
      const rows = b.alu('shl', b.alu('udiv', first, { imm: content.perBlock }), { imm: 3 });
      const row = own(low, b.alu('add', measure(low, object, content.row), rows));
      const place = own(low, b.alu('umod', first, { imm: content.perBlock }));
      const node = own(low, b.alu('add', word(low, row), b.alu('mul', place, { imm: step })));
      return [node, row, place];
    },
    settle: nowhere,
    element: ([node]) => memory(node as Reg),
    next: ([node, row, place]) => {
      const within = b.label();
      add(low, node as Reg, { imm: step });
      add(low, place as Reg, { imm: 1 });
      b.branch('ne', place as Reg, { imm: content.perBlock }, within);
      b.push({ op: 'const', dst: place as Reg, value: 0n });
      add(low, row as Reg, { imm: 8 });
      b.mov(node as Reg, word(low, row as Reg));
      b.place(within);
    },
  };
}

/** Where an element of a deque lies. */
export function inDeque(
  low: Lower,
  content: Elements & { kind: 'blocks' | 'ring' },
  object: DirectPlace,
  index: Reg,
): Reg {
  const { b } = low;
  const step = Math.max(1, sizeOf(content.of));
  const each = content.kind === 'ring' ? content.perBlock : perBlock(step);
  let row: Reg;
  let before: Reg;
  if (content.kind === 'ring') {
    row = measure(low, object, content.row);
    before = measure(low, object, content.first);
  } else {
    const at = (offset: number): Reg => b.load(object.base, object.offset + content.start + offset, 8);
    row = at(24);
    before = b.alu('udiv', b.alu('sub', at(0), at(8)), { imm: step });
  }
  const number = b.alu('add', before, index);
  const block = word(low, b.alu('add', row, b.alu('shl', b.alu('udiv', number, { imm: each }), { imm: 3 })));
  return b.alu('add', block, b.alu('mul', b.alu('umod', number, { imm: each }), { imm: step }));
}

function settleSearch(low: Lower, answer: Reg, ended: Label, again: Label): void {
  const { b } = low;
  b.branch('slt', answer, { imm: 0 }, ended);
  const there = b.label();
  b.branch('set', answer, { imm: 1 }, there);
  b.jump(again);
  b.place(there);
}

function slotsWalk(low: Lower, content: Elements & { kind: 'slots' }, object: DirectPlace, from: Place): Walk {
  const { b } = low;
  const { inside } = content;
  return {
    start: () => {
      const control = own(low, measure(low, object, content.control));
      const slots = own(low, measure(low, object, content.slots));
      const capacity = own(low, measure(low, object, content.capacity));
      const answer = b.reg();
      const done = b.label();
      if (inside !== undefined) {
        const table = b.label();
        b.branch('ugt', capacity, { imm: 1 }, table);
        const start = addressOf(low, from);
        b.mov(slots, start === undefined ? b.const(0) : b.alu('add', start, { imm: inside }));
        b.push({ op: 'const', dst: control, value: 0n });
        b.push({ op: 'const', dst: answer, value: 1n });
        b.branch('ne', measure(low, object, content.count), { imm: 0 }, done);
        b.push({ op: 'const', dst: answer, value: -1n });
        b.jump(done);
        b.place(table);
      }
      b.mov(answer, nextSlot(low, control, b.const(0), capacity));
      b.place(done);
      return [answer, control, slots, capacity];
    },
    settle: ([answer], ended, again) => settleSearch(low, answer as Reg, ended, again),
    element: ([answer, , slots]) => {
      const offset = b.alu('mul', found(low, answer as Reg), { imm: content.stride });
      const slot = b.alu('add', slots as Reg, offset);
      return content.pointed ? memory(word(low, slot, content.start)) : memory(slot, content.start);
    },
    next: ([answer, control, , capacity]) => {
      const done = b.label();
      if (inside !== undefined) {
        const table = b.label();
        b.branch('ne', control as Reg, { imm: 0 }, table);
        b.push({ op: 'const', dst: answer as Reg, value: -1n });
        b.jump(done);
        b.place(table);
      }
      b.mov(answer as Reg, nextSlot(low, control as Reg, position(low, answer as Reg), capacity as Reg));
      b.place(done);
    },
  };
}

function groupsWalk(low: Lower, content: Elements & { kind: 'groups' }, object: DirectPlace): Walk {
  const { b } = low;
  const directory = (): Reg => measure(low, object, content.directory);
  const tables = (): Reg => measure(low, object, content.tables);
  return {
    start: () => {
      const answer = own(low, b.const(-1));
      const empty = b.label();
      b.branch('eq', measure(low, object, content.count), { imm: 0 }, empty);
      b.mov(answer, nextInGroups(low, content, directory(), tables(), b.const(0)));
      b.place(empty);
      return [answer];
    },
    settle: ([answer], ended, again) => settleSearch(low, answer as Reg, ended, again),
    element: ([answer]) => memory(slotInGroups(low, content, directory(), tables(), found(low, answer as Reg))),
    next: ([answer]) =>
      b.mov(answer as Reg, nextInGroups(low, content, directory(), tables(), position(low, answer as Reg))),
  };
}

/** hmap.flags: the map grows without becoming larger. */
const sameSizeGrow = 8;

function bucketsWalk(low: Lower, content: Elements & { kind: 'buckets' }, object: DirectPlace): Walk {
  const { b } = low;
  const { key, value } = content;
  const size = content.overflow + 8;
  const search = (answer: Reg, index: Reg, from: Reg): void => {
    const all = b.alu('shl', b.const(1), measure(low, object, content.order));
    const old = measure(low, object, content.old);
    const again = b.label();
    const done = b.label();
    const later = b.label();
    const cursor = own(low, from);
    b.branch('uge', index, all, later);
    b.mov(
      answer,
      nextInBuckets(low, { size, overflow: content.overflow }, measure(low, object, content.first), all, index, cursor),
    );
    b.branch('sge', answer, { imm: 0 }, done);
    // Behind the row come the buckets that have not yet been moved there.
    b.branch('eq', old, { imm: 0 }, done);
    b.mov(index, all);
    b.push({ op: 'const', dst: cursor, value: 0n });
    b.place(later);
    const before = own(low, all);
    b.branch('set', measure(low, object, content.flags), { imm: sameSizeGrow }, again);
    b.mov(before, b.alu('lshr', all, { imm: 1 }));
    b.place(again);
    b.mov(
      answer,
      nextInBuckets(low, { size, overflow: content.overflow }, old, before, b.alu('sub', index, all), cursor),
    );
    b.place(done);
  };
  const { address, slot } = bucketBits;
  return {
    start: () => {
      const answer = own(low, b.const(-1));
      const index = own(low, b.const(0));
      const empty = b.label();
      b.branch('eq', measure(low, object, content.count), { imm: 0 }, empty);
      search(answer, index, b.const(0));
      b.place(empty);
      return [answer, index];
    },
    settle: ([answer], ended, again) => settleSearch(low, answer as Reg, ended, again),
    element: ([answer]) => {
      const to = low.temporary(sizeOf(content.of));
      const place = found(low, answer as Reg);
      const bucket = b.alu('lshr', b.alu('shl', place, { imm: 64 - address }), { imm: 64 - address });
      const number = b.alu('and', b.alu('lshr', place, { imm: address }), { imm: 7 });
      const [keyField, valueField] = content.of.fields();
      for (const [part, field] of [
        [key, keyField],
        [value, valueField],
      ] as const) {
        const bytes = sizeOf(part.of);
        const at = b.alu('add', bucket, b.alu('mul', number, { imm: bytes }));
        low.copy(shifted(to, field?.offset ?? 0), memory(at, part.offset), bytes);
      }
      return to;
    },
    next: ([answer, index]) => {
      const place = found(low, answer as Reg);
      // The slot behind the one that was found; where none was, the search goes on where it ended.
      const odd = b.alu('and', answer as Reg, { imm: 1 });
      const from = b.alu('add', place, b.alu('shl', odd, { imm: address }));
      add(low, index as Reg, b.alu('lshr', place, { imm: address + slot }));
      search(answer as Reg, index as Reg, from);
    },
  };
}
