/**
 * Stacks that lacked unwind rules when they were taken (StackEnd `unfinished`): where they
 * lie in records, keys and values, and how the finished stack is put in their place, so
 * that it reads as if it had been taken whole.
 */
import type { Schema } from '../program/schema.ts';
import { endNumber, guessedFlag, type StackEnd } from '../program/unwind.ts';

/** An unfinished stack as user space has finished it. */
export interface FinishedStack {
  /** Innermost first. */
  readonly frames: BigUint64Array;
  readonly end: StackEnd;
  readonly guessed: boolean;
}

/** Finishes the stack of an id; undefined when nothing of it was saved. */
export type FinishStack = (id: bigint) => FinishedStack | undefined;

type StackSchema = Extract<Schema, { kind: 'ustack' | 'kstack' }>;

export interface StackPlace {
  readonly offset: number;
  readonly schema: StackSchema;
}

/** Where values of a schema hold stacks of the own unwinder; offsets from `offset` on. */
export function stackPlaces(schema: Schema, offset = 0): StackPlace[] {
  switch (schema.kind) {
    case 'ustack':
    case 'kstack':
      return schema.unwound === true ? [{ offset, schema }] : [];
    case 'tuple':
      return schema.elements.flatMap((one) => stackPlaces(one.schema, offset + one.offset));
    case 'record':
      return schema.fields.flatMap((one) => stackPlaces(one.schema, offset + one.offset));
    default:
      return [];
  }
}

const unfinished = endNumber('unfinished');

const isUnfinished = (view: DataView, at: number): boolean => view.getUint8(at + 6) === unfinished;

/** Whether any of the stacks at those places is unfinished; `start` is what their offsets count from. */
export function anyUnfinished(view: DataView, start: number, places: readonly StackPlace[]): boolean {
  return places.some(({ offset }) => isUnfinished(view, start + offset));
}

/**
 * Puts finished stacks in the place of unfinished ones; true when there were any. `kept`
 * hears of frames that belong under a key that the kernel has nothing under.
 */
export function finishStacks(
  view: DataView,
  start: number,
  places: readonly StackPlace[],
  finish: FinishStack,
  kept: (key: bigint, frames: BigUint64Array) => void,
): boolean {
  let found = false;
  for (const { offset, schema } of places) {
    const at = start + offset;
    if (!isUnfinished(view, at)) continue;
    found = true;
    const count = view.getUint16(at + 4, true);
    const inline = schema.form === 'inline';
    const id = view.getBigUint64(at + 8 + (inline ? 8 * count : 0), true);
    const stack = finish(id);
    if (stack === undefined || (inline && stack.end !== 'complete' && stack.frames.length < count)) {
      // What the kernel got is all there is.
      view.setUint8(at + 6, endNumber('not indexed'));
      if (!inline) view.setUint16(at + 4, 0, true);
      continue;
    }
    const frames = stack.frames.slice(0, schema.limit);
    const end = stack.frames.length > schema.limit ? 'depth' : stack.end;
    view.setUint16(at + 4, frames.length, true);
    view.setUint8(at + 6, endNumber(end));
    view.setUint8(at + 7, stack.guessed ? guessedFlag : 0);
    if (inline) {
      for (const [index, frame] of frames.entries()) view.setBigUint64(at + 8 + 8 * index, frame, true);
    } else {
      const key = stackKey(frames);
      view.setBigUint64(at + 8, key, true);
      kept(key, frames);
    }
  }
  return found;
}

/** The key under which the unwinder keeps a stack of such frames: stateAt.hash of compiler/unwind/walker.ts. */
export function stackKey(frames: BigUint64Array): bigint {
  let hash = 0n;
  for (const pc of frames) {
    const mixed = BigInt.asUintN(64, (hash ^ pc) * 0x9e3779b97f4a7c15n);
    hash = mixed ^ (mixed >> 32n);
  }
  return hash;
}
