/** Library types in expressions: the text of a string, the elements of a container, what a smart pointer points to. */
import { invariant } from '../../base/errors.ts';
import { type Container, isComposed, pairOf } from '../../types/containers.ts';
import type { Measure } from '../../types/content.ts';
import { sizeOf } from '../../types/layout.ts';
import { type CompositeType, type Type, uint64 } from '../../types/model.ts';
import type { Label, Reg } from '../ir/ir.ts';
import type { KeyedAccess } from '../sema/elements.ts';
import type * as Ast from '../syntax/ast.ts';
import { align8, roomOf } from './layout.ts';
import { loop, maxLoops, search, unknown } from './loop.ts';
import type { Lower } from './lower.ts';
import { memory, readText, spaceOfText, textOf } from './measure.ts';
import { type DirectPlace, type Place, shifted } from './place.ts';
import { bitAt, countOf, firstOf, inDeque, isSearched, walkOf } from './walk.ts';

/** An object's own bytes, in memory of the tracing program. `held`: there may be none, which is an empty one. */
function objectOf(low: Lower, type: Type, from: Place, held = false): DirectPlace {
  const size = sizeOf(type);
  const to = low.temporary(align8(size));
  if (!held || from.kind !== 'memory') {
    low.copy(to, from, size);
    return to;
  }
  const none = low.b.label();
  low.clear(to, align8(size));
  low.b.branch('eq', from.address, { imm: 0 }, none);
  low.copy(to, from, size);
  low.b.place(none);
  return to;
}

const isHeld = ({ steps }: Container): boolean => steps.at(-1)?.kind === 'held';

/** Writes the text of a library's string; `type` is what it becomes: a string of the language. */
export function textInto(
  low: Lower,
  from: Place,
  own: CompositeType,
  to: DirectPlace,
  type: Type & { kind: 'string' },
): void {
  const content = low.options.printers.contentOf(own);
  invariant(content?.kind === 'text', 'a string without a text');
  low.clear(to, roomOf(type, low.assets.stored));
  low.scoped(() => {
    const { data, length } = textOf(low, content, from, objectOf(low, own, from));
    readText(low, to, data, length, type.size, spaceOfText(content, from));
  });
}

/** Where the container is that an expression leads to. */
function containerPlace(low: Lower, expr: Ast.Expr, { steps }: Container): Place {
  const [first, ...rest] = steps;
  let place: Place =
    first?.kind === 'pointer'
      ? { kind: 'memory', address: low.scalar(expr), offset: 0, space: 'user' }
      : low.place(expr);
  for (const step of first?.kind === 'pointer' ? rest : steps) {
    if (step.kind === 'inside') place = shifted(place, step.offset);
    else if (step.kind === 'held') place = memory(held(low, place, step.address));
  }
  return place;
}

function held(low: Lower, from: Place, address: Measure): Reg {
  invariant(address.kind === 'word', 'an address that is no word');
  return low.readScalar(shifted(from, address.offset), uint64);
}

/** Bytes of a string. */
export function lengthOfText(low: Lower, expr: Ast.Expr, type: CompositeType): Reg {
  return low.scoped(() => {
    const from = low.place(expr);
    const content = low.options.printers.contentOf(type);
    invariant(content?.kind === 'text', 'a string without a text');
    return textOf(low, content, from, objectOf(low, type, from)).length;
  });
}

/** Number of elements of a container. */
export function lengthOfContainer(low: Lower, expr: Ast.Expr, container: Container): Reg {
  return low.scoped(() => {
    if (container.content.kind === 'list' && container.content.count === undefined)
      return countAll(low, expr, container);
    const from = containerPlace(low, expr, container);
    const object = objectOf(low, container.type, from, isHeld(container));
    const count = countOf(low, container.content, object, from);
    invariant(count !== undefined, 'a container that does not know its length');
    return count;
  });
}

function countAll(low: Lower, expr: Ast.Expr, container: Container): Reg {
  const count = low.scratch(8);
  low.b.store(count.base, count.offset, 8, { imm: 0 });
  const walk = startWalk(low, expr, container);
  search(low, walk.count, () => {
    const labels = low.loop as NonNullable<typeof low.loop>;
    const base = low.scratchBase();
    const add = (): void =>
      low.b.store(base, count.offset, 8, low.b.alu('add', low.b.load(base, count.offset, 8), { imm: 1 }));
    walk.step(labels.breakTo, add, labels.continueTo);
  });
  return low.b.load(count.base, count.offset, 8);
}

/** Where an element is: by its number, or in a map by its key. What is not there cannot be read. */
export function elementOfContent(low: Lower, expr: Ast.Index, { container, by }: KeyedAccess): Place {
  const { content, type } = container;
  if (by === 'key') return elementByKey(low, expr, container);
  if (content.kind === 'list') return elementOfList(low, expr, container);
  const { b } = low;
  const index = low.scalar(expr.index);
  const from = containerPlace(low, expr.object, container);
  const object = objectOf(low, type, from);
  const inside = b.label();
  const count = countOf(low, content, object, from) as Reg;
  if (content.kind === 'bits') {
    const to = low.temporary(8);
    b.store(to.base, to.offset, 8, { imm: 0 });
    const outside = b.label();
    b.branch('uge', index, count, outside);
    const bit = bitAt(low, content, object, index);
    b.store(to.base, to.offset, 8, b.load(bit.base, bit.offset, 8));
    b.jump(inside);
    b.place(outside);
    low.count(low.assets.globals.failedReads);
    b.place(inside);
    return to;
  }
  const address = b.reg();
  b.push({ op: 'const', dst: address, value: 0n });
  b.branch('uge', index, count, inside);
  if (content.kind === 'sequence') {
    const bytes = b.alu('mul', index, { imm: Math.max(1, sizeOf(content.of)) });
    b.mov(address, b.alu('add', firstOf(low, content, object, from), bytes));
  } else {
    invariant(content.kind === 'blocks' || content.kind === 'ring', 'elements that have no number');
    b.mov(address, inDeque(low, content, object, index));
  }
  b.place(inside);
  return memory(address);
}

/** A walk that goes on in the body of a loop; its state is kept in memory meanwhile. */
interface Running {
  readonly count: Reg;
  /** Jumps to `ended` behind the last element; then `visit` with the element, and the next one is waiting. */
  readonly step: (ended: Label, visit: (element: Place) => void, goOn: Label) => void;
}

function startWalk(low: Lower, expr: Ast.Expr, container: Container): Running {
  const { content, type } = container;
  const from = containerPlace(low, expr, container);
  const object = objectOf(low, type, from, isHeld(container));
  const count = isSearched(content)
    ? low.b.const(maxLoops)
    : (countOf(low, content, object, from) ?? low.b.const(maxLoops));
  const places = walkOf(low, content, object, from)
    .start()
    .map((reg) => {
      const place = low.scratch(8);
      low.b.store(place.base, place.offset, 8, reg);
      return place.offset;
    });
  const bytes = object.offset;
  return {
    count: unknown(low, count),
    step: (ended, visit, goOn) => {
      const base = low.scratchBase();
      const walk = walkOf(low, content, { kind: 'direct', base, offset: bytes }, from);
      const state = places.map((offset) => {
        const reg = low.b.reg();
        low.b.mov(reg, low.b.load(base, offset, 8));
        return reg;
      });
      const again = low.b.label();
      const settled = low.b.label();
      walk.settle(state, ended, again);
      const next = (): void => {
        walk.next(state);
        for (const [index, offset] of places.entries()) low.b.store(base, offset, 8, state[index] as Reg);
      };
      low.scoped(() => {
        const element = walk.element(state);
        visit(element);
      });
      next();
      low.b.jump(settled);
      low.b.place(again);
      next();
      low.b.jump(goOn);
      low.b.place(settled);
    },
  };
}

/** `for ($x : container)`. */
export function forElements(
  low: Lower,
  expr: Ast.Expr,
  container: Container,
  variable: Ast.Variable,
  body: () => void,
): void {
  const walk = startWalk(low, expr, container);
  loop(low, walk.count, () => {
    const labels = low.loop as NonNullable<typeof low.loop>;
    walk.step(labels.breakTo, (element) => low.setElement(variable, element), labels.continueTo);
    body();
  });
}

/** The element of a list by its number: so many links are followed. */
function elementOfList(low: Lower, expr: Ast.Index, container: Container): Place {
  const { b } = low;
  const index = low.scratch(8);
  b.store(index.base, index.offset, 8, low.scalar(expr.index));
  const address = low.scratch(8);
  b.store(address.base, address.offset, 8, { imm: 0 });
  const walk = startWalk(low, expr.object, container);
  search(low, walk.count, (round) => {
    const labels = low.loop as NonNullable<typeof low.loop>;
    const base = low.scratchBase();
    const wanted = low.b.load(base, index.offset, 8);
    walk.step(
      labels.breakTo,
      (element) => {
        invariant(element.kind === 'memory', 'a list whose elements have no address');
        const other = low.b.label();
        low.b.branch('ne', round, wanted, other);
        low.b.store(base, address.offset, 8, low.b.alu('add', element.address, { imm: element.offset }));
        low.b.jump(labels.breakTo);
        low.b.place(other);
      },
      labels.continueTo,
    );
  });
  return memory(b.load(address.base, address.offset, 8));
}

/** The value of a map behind a key, which is compared with each: the order of a tree is the program's own. */
function elementByKey(low: Lower, expr: Ast.Index, container: Container): Place {
  const { content } = container;
  const pair = pairOf(low.options.printers, content.of);
  invariant(pair !== undefined, 'a map without keys');
  const [key, value] = pair;
  const composed = isComposed(content);
  const size = composed ? sizeOf(value.of) : 8;
  const result = low.scratch(size);
  low.clear(result, align8(size));
  const missing = low.scratch(8);
  low.b.store(missing.base, missing.offset, 8, { imm: 1 });
  const text = key.of.kind === 'struct' ? (low.typeOf(expr.index) as Type & { kind: 'string' }) : undefined;
  const room = text === undefined ? 8 : roomOf(text, low.assets.stored);
  const wanted = low.scratch(room);
  if (text === undefined) low.b.store(wanted.base, wanted.offset, 8, low.scalar(expr.index));
  else {
    low.clear(wanted, room);
    low.into(expr.index, wanted, text);
  }
  const here = low.scratch(room);
  const walk = startWalk(low, expr.object, container);
  search(low, walk.count, () => {
    const labels = low.loop as NonNullable<typeof low.loop>;
    const base = low.scratchBase();
    const at = (place: DirectPlace): DirectPlace => ({ ...place, base });
    walk.step(
      labels.breakTo,
      (element) => {
        const other = low.b.label();
        const keyPlace = shifted(element, key.offset);
        if (text === undefined) {
          const own = low.readScalar(keyPlace, key.of);
          low.b.branch('ne', own, low.b.load(base, wanted.offset, 8), other);
        } else {
          textInto(low, keyPlace, key.of as CompositeType, at(here), text);
          for (let word = 0; word < room; word += 8) {
            const own = low.b.load(base, here.offset + word, 8);
            low.b.branch('ne', own, low.b.load(base, wanted.offset + word, 8), other);
          }
        }
        low.b.store(base, missing.offset, 8, { imm: 0 });
        const valuePlace = shifted(element, value.offset);
        if (composed) low.copy(at(result), valuePlace, size);
        else {
          invariant(valuePlace.kind === 'memory', 'a value without an address');
          low.b.store(base, result.offset, 8, low.b.alu('add', valuePlace.address, { imm: valuePlace.offset }));
        }
        low.b.jump(labels.breakTo);
        low.b.place(other);
      },
      labels.continueTo,
    );
  });
  if (!composed) return memory(low.b.load(result.base, result.offset, 8));
  const there = low.b.label();
  low.b.branch('eq', low.b.load(missing.base, missing.offset, 8), { imm: 0 }, there);
  low.count(low.assets.globals.failedReads);
  low.b.place(there);
  return result;
}

/** Where a smart pointer points. */
export function pointedByContent(low: Lower, from: Place, type: CompositeType): Place {
  const content = low.options.printers.contentOf(type);
  invariant(content?.kind === 'pointer', 'a smart pointer');
  return memory(held(low, from, content.address));
}
