/** exit(): ends tracing. */
import { int32, noneType } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import { emitEvent, spanOf } from '../lower/events.ts';
import type { Lower } from '../lower/lower.ts';
import type { Call } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

/** Ends tracing with a status, and the probe. */
export function endTrace(low: Lower, call: Call, status: () => Reg): void {
  const { b, assets } = low;
  // The record finds no room in a full ring buffer: the end must not depend on it.
  const scalar = (): Reg => {
    const value = status();
    const low32 = b.alu('lshr', b.alu('shl', value, { imm: 32 }), { imm: 32 });
    b.store(b.mapValue(assets.globalsMap, assets.globals.exit), 0, 8, b.alu('or', low32, b.const(1n << 32n)));
    return value;
  };
  emitEvent(low, [{ type: int32, scalar }], (args, size) => ({
    kind: 'exit',
    offset: args[0]?.offset ?? 8,
    size,
    span: spanOf(call),
  }));
  low.leave();
}

export const exitFunction: BuiltinFunction = {
  name: 'exit',
  signature: 'exit([code])',
  about: 'ends tracing with an exit status; the END block still runs',
  arity: [0, 1],
  statementOnly: true,
  type: (sema, call) => {
    if (call.args.length > 0) sema.integerArgument(call, 0);
    return noneType;
  },
  statement: (low, call) => {
    const code = call.args[0];
    endTrace(low, call, () => (code && code.node !== 'type' ? low.scalar(code) : low.b.const(0)));
  },
};
