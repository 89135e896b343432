/**
 * What protocol buffers' generated classes keep in a table of their own instead of the
 * virtual table: google/protobuf/message.h and message_lite.h, `ClassData`, whose address
 * the virtual function `GetClassData` gives. In releases
 *
 *   3.15 to 25   copy_to_from, merge_to_from
 *   30 to 33     default instance, parse table, on_demand_register_arena_dtor, is_initialized,
 *                merge_to_from, message_creator, numbers; functions may be null but for the merge
 *   since        the same without on_demand_register_arena_dtor; of the rest nothing is known
 *
 * A program has one release of the library: most of its tables say which of the latter two.
 */
import type { Class, Classes } from './classes.ts';
import type { Program } from './program.ts';
import { ADDRESS, MEMORY } from './references.ts';
import type { Finding } from './rules.ts';
import type { Vtables } from './vtables.ts';

/** Where the library is another file, nothing tells here that the one derives from the other. */
const roots = ['N6google8protobuf11MessageLiteE', 'N6google8protobuf7MessageE'];
const mostDepth = 8;
/** What messages without fields derive from: the merge is its. */
const fieldless = 'N6google8protobuf8internal14ZeroFieldsBaseE';
/** GetClassData is a load, prefetches and a return. */
const mostBytes = 64;

/** Which word of the table holds a function, by the function's name. */
type Layout = readonly (readonly [member: string, word: number])[];
const copying: Layout = [['MergeImpl', 1]];
const registering: Layout = [
  ['IsInitializedImpl', 3],
  ['MergeImpl', 4],
  ['PlacementNew_', 5],
];
const latest: Layout = [
  ['IsInitializedImpl', 2],
  ['MergeImpl', 3],
];

export function findMessages(
  program: Program,
  classes: Classes,
  vtables: Vtables,
  add: (finding: Finding) => void,
): void {
  const { references, pointers, bounds, image } = program;
  const isMessage = (type: Class, depth: number = 0): boolean =>
    roots.includes(type.mangled) ||
    (depth < mostDepth && type.bases.some((base) => isMessage(classes.all[base.type] as Class, depth + 1)));
  /** What GetClassData gives; 0 for other functions. */
  const tableGivenBy = (getter: number): number => {
    if (getter < 0 || (bounds.sizes[getter] as number) > mostBytes || vtables.placesOf(getter).length !== 1) return 0;
    const at = references.starts[getter] as number;
    if (references.starts[getter + 1] !== at + 1) return 0;
    const target = references.target[at] as number;
    // In a library the address comes out of the GOT.
    return references.kind[at] === ADDRESS ? target : references.kind[at] === MEMORY ? pointers.at(target) : 0;
  };
  const functionIn = (table: number, word: number): number => program.functionStarting(pointers.at(table + word * 8));
  const isData = (table: number, word: number): boolean => {
    const pointer = pointers.at(table + word * 8);
    return pointer !== 0 && !image.isCode(pointer);
  };
  const isCopying = (table: number): boolean =>
    functionIn(table, 1) >= 0 &&
    (functionIn(table, 0) >= 0 || /^_ZN6google8protobuf7Message\d+CopyWithS/.test(pointers.nameAt(table) ?? ''));
  const tables: { readonly type: Class; readonly table: number; readonly copies: boolean }[] = [];
  /** How many tables look like those with on_demand_register_arena_dtor, and like those without. */
  let registers = 0;
  let later = 0;
  for (const type of classes.all) {
    const own = vtables.of(type.index).find((one) => one.offset === 0);
    if (own === undefined || !isMessage(type)) continue;
    for (const getter of own.slots) {
      const table = tableGivenBy(getter);
      if (table === 0) continue;
      const copies = isCopying(table);
      if (!copies && !(isData(table, 0) && isData(table, 1))) continue;
      if (!copies && functionIn(table, 3) < 0 && functionIn(table, 4) >= 0) registers++;
      else if (!copies && functionIn(table, 3) >= 0 && functionIn(table, 4) < 0) later++;
      tables.push({ type, table, copies });
    }
  }
  const filled = registers > later ? registering : latest;
  for (const { type, table, copies } of tables) {
    const layout = copies ? copying : filled;
    const merge = layout.find(([member]) => member === 'MergeImpl')?.[1] as number;
    if (functionIn(table, merge) < 0) continue;
    const base = type.bases.find((one) => classes.all[one.type]?.mangled === fieldless);
    for (const [member, word] of layout) {
      const index = functionIn(table, word);
      const scopes = [member === 'MergeImpl' && base !== undefined ? base.type : type.index];
      const proof = [table + word * 8, type.address];
      if (index >= 0) add({ index, rule: 'message', scopes, member, proof });
    }
  }
}
