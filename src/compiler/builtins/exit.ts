/** exit(): ends tracing. */
import { int32, noneType } from '../../types/model.ts';
import { emitEvent, spanOf } from '../lower/events.ts';
import type { BuiltinFunction } from './builtin.ts';

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
    const scalar = () => (code && code.node !== 'type' ? low.scalar(code) : low.b.const(0));
    emitEvent(low, [{ type: int32, scalar }], (args, size) => ({
      kind: 'exit',
      offset: args[0]?.offset ?? 8,
      size,
      span: spanOf(call),
    }));
    low.leave();
  },
};
