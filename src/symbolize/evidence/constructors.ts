/**
 * Constructors, by what they do to the object that they are given: they store their
 * class's table into it, behind their bases' (whose constructors they call, or have
 * inlined), and fill its members. A destructor stores the tables the other way round and
 * reads more than it writes; a function that makes an object for its caller returns the
 * object's address.
 */
import type { Class, Classes } from './classes.ts';
import { Objects, type ObjectUse } from './objects.ts';
import type { Program } from './program.ts';
import { ADDRESS, MEMORY } from './references.ts';
import { CONSTRUCTOR, type Finding } from './rules.ts';
import type { Vtables } from './vtables.ts';
import { RDI } from './x86.ts';

const mostDepth = 32;

/** How the classes follow whose tables are stored at the object's start. */
type Shape = 'one' | 'up' | 'down' | 'mixed';

export function findConstructors(
  program: Program,
  classes: Classes,
  vtables: Vtables,
  add: (finding: Finding) => void,
): void {
  const derives = (type: number, from: number, depth: number = 0): boolean =>
    type === from ||
    (depth < mostDepth && (classes.all[type] as Class).bases.some((base) => derives(base.type, from, depth + 1)));
  const shapeOf = (types: readonly number[]): Shape => {
    if (types.length === 1) return 'one';
    const pairs = types.slice(1).map((type, index) => [types[index] as number, type] as const);
    if (pairs.every(([before, type]) => derives(type, before))) return 'up';
    return pairs.every(([before, type]) => derives(before, type)) ? 'down' : 'mixed';
  };
  const objects = new Objects(program, vtables);
  const give = (
    index: number,
    type: number,
    use: ObjectUse,
    rule: 'constructor' | 'late-constructor' | 'constructs' = 'constructor',
  ): void => {
    const tables = use.stores.filter((store) => store.offset === 0).map((store) => store.table.address);
    add({ index, rule, scopes: [type], member: CONSTRUCTOR, proof: tables });
  };
  for (let index = 0; index < program.functionCount; index++) {
    if (vtables.holds(index) || !refersToTable(program, vtables, index)) continue;
    const use = objects.read(index);
    const own = use.stores.filter((store) => store.offset === 0 && store.table.offset === 0);
    if (own.length === 0 || use.returnsObject) continue;
    const types = own.map((store) => store.table.type).filter((type, at, all) => type !== all[at - 1]);
    const type = types.at(-1) as number;
    const shape = shapeOf(types);
    const writes = use.writes - own.length;
    const isFirst = (use.stores[0] as { calls: number }).calls === 0;
    // The bases' constructor gets the object before its own table is stored.
    const base = use.calls.find(
      (call) => call.stores === 0 && call.register === RDI && call.offset === 0 && !call.isJump,
    );
    if (shape === 'up' && (isFirst || base !== undefined)) give(index, type, use);
    else if (shape === 'one' && isFirst && writes > use.reads) give(index, type, use);
    // Of a class without members; a destructor of that shape goes on in a base's.
    else if (shape === 'one' && isFirst && writes === 0 && use.reads === 0) {
      give(index, type, use, use.calls.some((call) => call.isJump) ? 'constructs' : 'late-constructor');
    } else if (shape === 'one' && base !== undefined) {
      if (writes === 0 && use.reads === 0) give(index, type, use);
      else if (writes > use.reads && !/Ul|\$_/.test((classes.all[type] as Class).mangled))
        give(index, type, use, 'late-constructor');
      // Of this shape is also a wrapper that a constructor was inlined into (`kj::ctor`), or what a class's reset does.
      else if (writes > use.reads) give(index, type, use, 'constructs');
    }
  }
}

/** Whether a function's code refers to a table, as objects do or by its start, directly or through the GOT. */
function refersToTable({ references, pointers }: Program, vtables: Vtables, index: number): boolean {
  for (let at = references.starts[index] as number; at < (references.starts[index + 1] as number); at++) {
    const kind = references.kind[at] as number;
    if (kind !== ADDRESS && kind !== MEMORY) continue;
    const target = references.target[at] as number;
    if (vtables.at(target) !== undefined || vtables.at(target + 16) !== undefined) return true;
    const pointer = kind === MEMORY ? pointers.at(target) : 0;
    if (pointer !== 0 && (vtables.at(pointer) !== undefined || vtables.isGroup(pointer))) return true;
  }
  return false;
}
