/** Builtins that are short for an expression: `ppid` is `curtask->real_parent->tgid`. */
import type { Expr, FieldAccess, Identifier } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

/** `task->a->b`, all at the place of the call. */
function chain(task: Expr, names: readonly string[], place: Identifier['span']): Expr {
  return names.reduce(
    (object, name): FieldAccess => ({ node: 'field', object, name, nameSpan: place, arrow: true, span: place }),
    task,
  );
}

const ofTask = (name: string, about: string, ...path: readonly string[]): BuiltinFunction => ({
  name,
  signature: `${name}([task])`,
  about,
  arity: [0, 1],
  type: (sema, call) => {
    const task = call.args[0];
    const object: Expr =
      task === undefined || task.node === 'type' ? { node: 'identifier', name: 'curtask', span: call.span } : task;
    const meant = chain(object, path, call.span);
    sema.facts.notes.set(call, meant);
    return sema.expr(meant);
  },
  scalar: (low, call) => low.scalar(low.facts.notes.get(call) as Expr),
  into: (low, call, to) => low.into(low.facts.notes.get(call) as Expr, to, low.typeOf(call)),
});

export const aliasFunctions: readonly BuiltinFunction[] = [
  ofTask('ppid', 'process id of the parent', 'real_parent', 'tgid'),
  ofTask('pcomm', 'name of the parent process', 'real_parent', 'comm'),
  ofTask('leader_tid', 'thread id of the thread that leads the process', 'group_leader', 'pid'),
  ofTask('leader_comm', 'name of the thread that leads the process', 'group_leader', 'comm'),
];
