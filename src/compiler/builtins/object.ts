/** object(): the tree of an object without any description of its type, as `insitu object` prints it. */
import type { Schema } from '../../program/schema.ts';
import { describe } from '../../types/layout.ts';
import { noneType, uint8, uint64 } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { emitEvent, spanOf } from '../lower/events.ts';
import type { Lower } from '../lower/lower.ts';
import { type DirectPlace, shifted } from '../lower/place.ts';
import { isScalar, isUnknown, unknownType } from '../sema/scope.ts';
import type { Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

/** The object's bytes are taken in parts, so that one that ends at a page's end is seen as far as it goes. */
const partBytes = 64;
const parts = 8;
/** Objects behind pointers, how many deep. */
const usualDepth = 2;
const mostDepth = 8n;

const code: Schema = { kind: 'code' };
const words: Schema = { kind: 'array', of: { kind: 'int', size: 8, signed: false }, length: parts };
const bytes: Schema = { kind: 'array', of: { kind: 'int', size: 1, signed: false }, length: parts * partBytes };

export const objectFunction: BuiltinFunction = {
  name: 'object',
  signature: 'object(pointer), object(pointer, depth)',
  about: 'prints an object as a tree, by what its words are: classes, strings, functions, what it points to',
  arity: [1, 2],
  statementOnly: true,
  type: (sema, call) => {
    const [pointer, depth] = call.args;
    const type = sema.expr(pointer as Expr);
    if (!sema.probe.userMemory) {
      sema.error('object-probe', 'object() looks into a program: it is there in uprobes, usdt and the like', call.span);
    } else if (!isUnknown(type) && !isScalar(type)) {
      sema.error(
        'argument-type',
        `object() takes a pointer to an object, not '${describe(type)}'`,
        (pointer as Expr).span,
        'its address says it: object(&value)',
      );
    }
    if (depth !== undefined) {
      sema.expr(depth as Expr);
      const value = sema.constant(depth as Expr);
      if (value === undefined || value < 0n || value > mostDepth) {
        sema.error('argument-type', `the depth of object() is a number from 0 to ${mostDepth}`, depth.span);
        return unknownType;
      }
    }
    return noneType;
  },
  statement: (low, call) => {
    const [pointer, depth] = call.args;
    let address: Reg | undefined;
    const take = (): Reg => {
      address ??= low.scalar(pointer as Expr);
      return address;
    };
    emitEvent(
      low,
      [
        { type: uint64, schema: code, scalar: take },
        { type: uint8, schema: words, room: parts * 8, into: () => {} },
        { type: uint8, schema: bytes, room: parts * partBytes, into: (to) => takeParts(low, take(), to) },
      ],
      ([at, status, seen], size) => ({
        kind: 'object',
        address: at?.offset ?? 8,
        status: status?.offset ?? 16,
        seen: seen?.offset ?? 24,
        parts,
        partBytes,
        depth: Number(low.constantOf(depth) ?? usualDepth),
        size,
        span: spanOf(call),
      }),
    );
  },
};

/** A part that cannot be read is no failed read of the script's: the object may end before. */
function takeParts(low: Lower, address: Reg, to: DirectPlace): void {
  const status = shifted(to, -8 * parts);
  for (let part = 0; part < parts; part++) {
    const from = low.b.alu('add', address, { imm: part * partBytes });
    const place = low.addressOf(shifted(to, part * partBytes));
    const result = low.b.call(bpfHelper.probe_read_user, [place, { imm: partBytes }, from]);
    low.b.store(status.base, status.offset + 8 * part, 8, result);
  }
}
