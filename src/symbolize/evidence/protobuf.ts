/**
 * What protocol buffers' generated classes keep in a table of their own instead of the
 * virtual table: google/protobuf/message_lite.h, `struct internal::ClassData` since
 * release 30: default instance, parse table, `is_initialized` (or null), `merge_to_from`,
 * then numbers. `GetClassData`, a virtual function, loads the table's address.
 */
import type { Class, Classes } from './classes.ts';
import type { Program } from './program.ts';
import { ADDRESS } from './references.ts';
import type { Finding } from './rules.ts';
import type { Vtables } from './vtables.ts';

const root = 'N6google8protobuf11MessageLiteE';
const mostDepth = 8;
/** GetClassData is a load, prefetches and a return. */
const mostBytes = 64;

export function findMessages(
  program: Program,
  classes: Classes,
  vtables: Vtables,
  add: (finding: Finding) => void,
): void {
  const { references, pointers, bounds, image } = program;
  const isMessage = (type: Class, depth: number = 0): boolean =>
    type.mangled === root ||
    (depth < mostDepth && type.bases.some((base) => isMessage(classes.all[base.type] as Class, depth + 1)));
  for (const type of classes.all) {
    const table = vtables.of(type.index).find((one) => one.offset === 0);
    if (table === undefined || !isMessage(type)) continue;
    for (const getter of table.slots) {
      if (getter < 0 || (bounds.sizes[getter] as number) > mostBytes || vtables.placesOf(getter).length !== 1) continue;
      const at = references.starts[getter] as number;
      if (references.starts[getter + 1] !== at + 1 || references.kind[at] !== ADDRESS) continue;
      const data = references.target[at] as number;
      const isData = (word: number): boolean => word !== 0 && !image.isCode(word);
      const merge = program.functionStarting(pointers.at(data + 24));
      if (!isData(pointers.at(data)) || !isData(pointers.at(data + 8)) || merge < 0 || pointers.at(data + 32) !== 0)
        continue;
      add({
        index: merge,
        rule: 'message',
        scopes: [type.index],
        member: 'MergeImpl',
        proof: [data + 24, type.address],
      });
      const check = program.functionStarting(pointers.at(data + 16));
      if (check < 0) continue;
      add({
        index: check,
        rule: 'message',
        scopes: [type.index],
        member: 'IsInitializedImpl',
        proof: [data + 16, type.address],
      });
    }
  }
}
