/** Copies of values from memory to memory. */
import { invariant } from '../../base/errors.ts';
import { sizeOf } from '../../types/layout.ts';
import type { Type } from '../../types/model.ts';
import { memberOf } from '../sema/record.ts';
import { roomOf } from './layout.ts';
import type { Lower } from './lower.ts';
import { type DirectPlace, type Place, shifted } from './place.ts';

/** Copies a value that lies in memory, with what its kind asks for (NULs, padding). */
export function copyValue(low: Lower, from: Place, own: Type, to: DirectPlace, type: Type): void {
  const room = roomOf(type, low.assets.stored);
  if (own.kind === 'string' && from.kind !== 'direct') {
    if (!to.raw) low.clear(to, room);
    low.readString(to, from, { imm: own.size });
    return;
  }
  if (own.kind === 'tuple' && type.kind === 'tuple' && from.kind === 'direct') {
    let read = 0;
    let write = 0;
    for (const [index, element] of own.elements.entries()) {
      const target = type.elements[index] as Type;
      copyValue(low, shifted(from, read), element, shifted(to, write), target);
      read += roomOf(element, low.assets.stored);
      write += roomOf(target, low.assets.stored);
    }
    return;
  }
  if (own.kind === 'struct' && own.record && type.kind === 'struct' && from.kind === 'direct') {
    for (const field of own.fields()) {
      const target = memberOf(type, field.name);
      invariant(target, `a record without its member ${field.name}`);
      copyValue(low, shifted(from, field.offset), field.type, shifted(to, target.offset), target.type);
    }
    return;
  }
  const ownRoom =
    from.kind === 'direct' && own.kind !== 'struct' && own.kind !== 'union' && own.kind !== 'array'
      ? roomOf(own, low.assets.stored)
      : sizeOf(own);
  low.copy(to, from, Math.min(ownRoom, room));
  if (room > ownRoom) low.clear(shifted(to, ownRoom), room - ownRoom);
}
