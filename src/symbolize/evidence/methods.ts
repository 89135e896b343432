/**
 * Names for what virtual tables hold: `Class::vfunc[n]`; destructors by the two slots that
 * end in `operator delete`; the fixed slots of classes that the C++ libraries generate for
 * std::function and std::shared_ptr.
 */
import type { Class, Classes } from './classes.ts';
import type { Owner, Owners } from './owners.ts';
import type { Program } from './program.ts';
import { CALL, CALL_THROUGH, JUMP, JUMP_THROUGH } from './references.ts';
import { DESTRUCTOR, type Finding } from './rules.ts';
import type { Vtable, Vtables } from './vtables.ts';

const pointed = ['__on_zero_shared', '__get_deleter', '__on_zero_shared_weak'];
const counted = ['_M_dispose', '_M_destroy', '_M_get_deleter'];

/**
 * libc++ <__functional/function.h> and <__memory/shared_ptr.h>, libstdc++
 * <bits/shared_ptr_base.h>: the classes' virtual functions in the order of their
 * declaration, in all versions that have the class. Namespaces with a version (`__1`) or
 * an ABI tag may stand before.
 */
const libraries: readonly (readonly [name: RegExp, members: readonly string[]])[] = [
  [
    /^N?St\w*?10__function6__funcI/,
    [
      DESTRUCTOR,
      DESTRUCTOR,
      '__clone',
      '__clone',
      'destroy',
      'destroy_deallocate',
      'operator()',
      'target',
      'target_type',
    ],
  ],
  [/^N?St\w*?20__shared_ptr_emplaceI/, [DESTRUCTOR, DESTRUCTOR, ...pointed]],
  [/^N?St\w*?20__shared_ptr_pointerI/, [DESTRUCTOR, DESTRUCTOR, ...pointed]],
  [/^N?St\w*?23_Sp_counted_ptr_inplaceI/, [DESTRUCTOR, DESTRUCTOR, ...counted]],
  [/^N?St\w*?19_Sp_counted_deleterI/, [DESTRUCTOR, DESTRUCTOR, ...counted]],
  [/^N?St\w*?15_Sp_counted_ptrI/, [DESTRUCTOR, DESTRUCTOR, ...counted]],
];

/** The library's members in a class's slots, undefined for a class that is none of its. */
function libraryMembers(type: Class): readonly string[] | undefined {
  // All of them are in namespace std, and the test is made for every class.
  if (!type.mangled.startsWith('NSt') && !type.mangled.startsWith('St')) return undefined;
  return libraries.find(([name]) => name.test(type.mangled))?.[1];
}

export class Methods {
  /** For each function that a table holds its owner. */
  readonly owners: (Owner | undefined)[];
  /** Functions that free memory: what second destructors end in. */
  readonly deleters: ReadonlySet<number>;
  readonly #program: Program;
  readonly #classes: Classes;
  readonly #vtables: Vtables;

  constructor(program: Program, classes: Classes, vtables: Vtables, owners: Owners) {
    this.#program = program;
    this.#classes = classes;
    this.#vtables = vtables;
    this.owners = new Array<Owner | undefined>(program.functionCount).fill(undefined);
    for (let index = 0; index < program.functionCount; index++) {
      if (vtables.holds(index)) this.owners[index] = owners.of(index);
    }
    this.deleters = this.#findDeleters();
  }

  find(add: (finding: Finding) => void): void {
    const destructors = this.#findDestructors();
    for (let index = 0; index < this.owners.length; index++) {
      const owner = this.owners[index];
      if (owner === undefined) continue;
      const type = this.#classes.all[owner.type] as Class;
      const [place] = this.#vtables.placesOf(index);
      const proof = place === undefined ? [] : [place.table.address + place.slot * 8, type.address];
      const members = owner.offset === 0 ? libraryMembers(type) : undefined;
      const table = this.#vtables.of(owner.type).find((one) => one.offset === 0);
      const member = table?.slots.length === members?.length ? members?.[owner.slot] : undefined;
      if (member !== undefined) add({ index, rule: 'method', scopes: [owner.type], member, proof });
      if (destructors.has(index)) add({ index, rule: 'destructor', scopes: [owner.type], member: DESTRUCTOR, proof });
      add({ index, rule: 'virtual', scopes: [owner.type, ...owner.absent], member: slotName(owner), proof });
    }
  }

  /** Targets (functions, or GOT words) that end many functions in second slots: `operator delete` and its like. */
  #findDeleters(): Set<number> {
    const { references } = this.#program;
    const counts = new Map<number, number>();
    let total = 0;
    for (const table of this.#vtables.all) {
      const second = table.slots[1] ?? -1;
      if (table.offset !== 0 || second < 0 || second === table.slots[0]) continue;
      const last = (references.starts[second + 1] as number) - 1;
      if (last < (references.starts[second] as number)) continue;
      const kind = references.kind[last] as number;
      if (kind !== JUMP && kind !== JUMP_THROUGH && kind !== CALL && kind !== CALL_THROUGH) continue;
      const target = references.target[last] as number;
      if (this.#vtables.holds(this.#program.functionStarting(target))) continue;
      counts.set(target, (counts.get(target) ?? 0) + 1);
      total++;
    }
    const deleters = new Set<number>();
    for (const [target, count] of counts) if (count >= Math.max(3, total / 50)) deleters.add(target);
    this.#program.pointers.forEachBound((word, name) => {
      if (name.startsWith('_ZdlPv')) deleters.add(word);
    });
    return deleters;
  }

  /** Whether a function calls, or ends in, something that frees memory. */
  #frees(index: number): boolean {
    const { references } = this.#program;
    for (let at = (references.starts[index + 1] as number) - 1; at >= (references.starts[index] as number); at--) {
      const kind = references.kind[at] as number;
      if (kind < CALL) continue;
      if (this.deleters.has(references.target[at] as number)) return true;
    }
    return false;
  }

  /**
   * Functions in destructor slots. A pair of slots is that of the destructors where in
   * most tables of the hierarchy the second function frees memory and the first does not
   * end so; a table is then believed also where the compiler made something else of it.
   */
  #findDestructors(): Set<number> {
    const votes = new Map<string, { yes: number; no: number; tables: Vtable[] }>();
    for (const table of this.#vtables.all) {
      const root = this.#rootOf(table);
      for (let slot = 0; slot + 1 < table.slots.length; slot++) {
        const first = table.slots[slot] as number;
        const second = table.slots[slot + 1] as number;
        if (first < 0 || second < 0) continue;
        const yes = first !== second && this.#frees(second) && !this.#endsFreeing(first);
        const key = `${root}:${slot}`;
        const vote = votes.get(key);
        if (vote === undefined) votes.set(key, { yes: yes ? 1 : 0, no: yes ? 0 : 1, tables: [table] });
        else {
          if (yes) vote.yes++;
          else vote.no++;
          vote.tables.push(table);
        }
      }
    }
    const best = new Map<string, { slot: number; share: number; yes: number; tables: Vtable[] }>();
    for (const [key, { yes, no, tables }] of votes) {
      const [root, slot] = key.split(':') as [string, string];
      const share = yes / (yes + no);
      const other = best.get(root);
      if (other === undefined || share > other.share || (share === other.share && Number(slot) < other.slot)) {
        best.set(root, { slot: Number(slot), share, yes, tables });
      }
    }
    const found = new Set<number>();
    for (const { slot, share, tables } of best.values()) {
      if (share < 0.5) continue;
      for (const table of tables) {
        found.add(table.slots[slot] as number);
        found.add(table.slots[slot + 1] as number);
      }
    }
    return found;
  }

  #endsFreeing(index: number): boolean {
    const { references } = this.#program;
    const last = (references.starts[index + 1] as number) - 1;
    if (last < (references.starts[index] as number)) return false;
    return this.deleters.has(references.target[last] as number);
  }

  /** The class furthest up whose vptr a table's is. */
  #rootOf(table: Vtable): string {
    let type = table.type;
    let offset = table.offset;
    for (let depth = 0; depth < 64; depth++) {
      const { bases } = this.#classes.all[type] as Class;
      let next: { type: number; offset: number } | undefined;
      for (const base of bases) {
        if (base.virtual || base.offset > offset || (next !== undefined && base.offset < next.offset)) continue;
        if (next?.offset === base.offset && !this.#hasTables(base.type)) continue;
        next = base;
      }
      if (next === undefined) break;
      offset -= next.offset;
      type = next.type;
    }
    return `${type}+${offset}`;
  }

  #hasTables(type: number): boolean {
    return this.#vtables.has(type) || (this.#classes.all[type] as Class).bases.length > 0;
  }
}

/** `vfunc[3]`; in the table of a base further down in the object `vfunc[+16:3]`. */
function slotName({ slot, offset }: Owner): string {
  return offset === 0 ? `vfunc[${slot}]` : `vfunc[+${offset}:${slot}]`;
}
