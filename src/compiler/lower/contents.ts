/** Library types in expressions: the text of a string, the elements of a container, what a smart pointer points to. */
import { invariant } from '../../base/errors.ts';
import type { Content } from '../../types/content.ts';
import { sizeOf } from '../../types/layout.ts';
import type { CompositeType, Type } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import type * as Ast from '../syntax/ast.ts';
import { countOf, elementAddress, readText, textOf } from './capture.ts';
import { align8, roomOf } from './layout.ts';
import type { Lower } from './lower.ts';
import { type DirectPlace, type Place, shifted } from './place.ts';

/** An object's own bytes, in memory of the tracing program. */
function objectOf(low: Lower, type: Type, from: Place): DirectPlace {
  const to = low.temporary(align8(sizeOf(type)));
  low.copy(to, from, sizeOf(type));
  return to;
}

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
    readText(low, to, data, length, type.size);
  });
}

/** Number of elements of a container, of bytes of a string. */
export function lengthOfContent(low: Lower, expr: Ast.Expr, type: CompositeType): Reg {
  return low.scoped(() => {
    const from = low.place(expr);
    const count = countOf(low, low.options.printers.contentOf(type) as Content, objectOf(low, type, from), from);
    invariant(count !== undefined, 'a container that does not know its length');
    return count;
  });
}

/** Where an element is; behind the last one nothing can be read. */
export function elementOfContent(low: Lower, from: Place, type: CompositeType, index: Reg): Place {
  const { b } = low;
  const content = low.options.printers.contentOf(type);
  if (content?.kind === 'plain') {
    const { of } = content;
    invariant(of.kind === 'array', 'elements of an array');
    const bytes = b.alu('mul', index, { imm: sizeOf(of.of) });
    const inner = shifted(from, content.offset);
    invariant(inner.kind === 'memory', "an element of the program's memory");
    return { ...inner, address: b.alu('add', inner.address, bytes) };
  }
  invariant(content?.kind === 'sequence', 'elements one behind the other');
  return low.scoped(() => {
    const object = objectOf(low, type, from);
    const address = b.reg();
    b.mov(address, elementAddress(low, content, object, index));
    const inside = b.label();
    b.branch('ult', index, countOf(low, content, object, from) as Reg, inside);
    b.push({ op: 'const', dst: address, value: 0n });
    b.place(inside);
    return { kind: 'memory', address, offset: 0, space: 'user' };
  });
}

/** Where a smart pointer points. */
export function pointedByContent(low: Lower, from: Place, type: CompositeType): Place {
  const content = low.options.printers.contentOf(type);
  invariant(content?.kind === 'pointer' && content.address.kind === 'word', 'a smart pointer');
  const address = low.readScalar(shifted(from, content.address.offset), { kind: 'int', size: 8, signed: false });
  return { kind: 'memory', address, offset: 0, space: 'user' };
}
