/**
 * Names for what virtual tables hold: `Class::vfunc[n]`; destructors by the two slots that
 * end in `operator delete`; the fixed slots of classes that the C++ libraries generate for
 * std::function and std::shared_ptr.
 */
import type { Class, Classes } from './classes.ts';
import { Objects } from './objects.ts';
import type { Owner, Owners } from './owners.ts';
import type { Program } from './program.ts';
import { CALL, JUMP } from './references.ts';
import { DESTRUCTOR, type Finding } from './rules.ts';
import type { Stub } from './startup.ts';
import type { Vtable, Vtables } from './vtables.ts';
import { RDI } from './x86.ts';

/** So many tables are enough to know `operator delete` by. */
const mostSamples = 4000;

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
  readonly #stubs: readonly Stub[];
  readonly #objects: Objects;
  /** For each function whether it frees its object: 1 yes, -1 no, 0 not looked at yet. */
  readonly #frees: Int8Array;

  constructor(program: Program, classes: Classes, vtables: Vtables, owners: Owners, stubs: readonly Stub[]) {
    this.#program = program;
    this.#classes = classes;
    this.#vtables = vtables;
    this.#stubs = stubs;
    this.#objects = new Objects(program, vtables);
    this.#frees = new Int8Array(program.functionCount);
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
      const place = this.#vtables.placeOf(index);
      const proof = place === undefined ? [] : [place.table.address + place.slot * 8, type.address];
      const members = owner.offset === 0 ? libraryMembers(type) : undefined;
      const table = this.#vtables.of(owner.type).find((one) => one.offset === 0);
      const member = table?.slots.length === members?.length ? members?.[owner.slot] : undefined;
      const isDestructor = destructors.has(index) || member === DESTRUCTOR;
      const scopes = isDestructor && this.#mayBeBases(index, owner) ? [owner.type, ...owner.absent] : [owner.type];
      if (member !== undefined) add({ index, rule: 'method', scopes, member, proof });
      if (destructors.has(index)) add({ index, rule: 'destructor', scopes, member: DESTRUCTOR, proof });
      add({ index, rule: 'virtual', scopes: [owner.type, ...owner.absent], member: slotName(owner), proof });
    }
  }

  /**
   * Whether a destructor may be that of a base which has no table here: compilers put the
   * base's itself into the slot where a class's own would do nothing more (clang's
   * -mconstructor-aliases). The one that frees its object, or stores its table, is the class's.
   */
  #mayBeBases(index: number, owner: Owner): boolean {
    if (owner.absent.length === 0 || this.#freesObject(index, owner.offset)) return false;
    const { references } = this.#program;
    for (let at = references.starts[index] as number; at < (references.starts[index + 1] as number); at++) {
      const target = references.target[at] as number;
      for (const table of [this.#vtables.at(target), this.#vtables.at(target + 16)]) {
        if (table?.type === owner.type) return false;
      }
    }
    return true;
  }

  /**
   * What many functions in second slots hand their own object to at their end: `operator
   * delete` and its like. Where it comes from a library its name says it.
   */
  #findDeleters(): Set<number> {
    const counts = new Map<number, number>();
    let total = 0;
    for (const table of this.#vtables.all) {
      const second = table.slots[1] ?? -1;
      if (table.offset !== 0 || second < 0 || second === table.slots[0] || total >= mostSamples) continue;
      const call = this.#objects
        .read(second)
        .calls.filter((one) => one.register === RDI)
        .at(-1);
      if (call === undefined || call.offset !== 0 || this.#vtables.holds(this.#program.functionStarting(call.target)))
        continue;
      counts.set(call.target, (counts.get(call.target) ?? 0) + 1);
      total++;
    }
    const deleters = new Set<number>();
    for (const [target, count] of counts) if (count >= Math.max(3, total / 50)) deleters.add(target);
    this.#program.pointers.forEachBound((word, name) => {
      if (name.startsWith('_ZdlPv')) deleters.add(word);
    });
    for (const stub of this.#stubs) if (stub.name.startsWith('_ZdlPv')) deleters.add(stub.address);
    return deleters;
  }

  /** Whether a function hands its object (of which `offset` bytes lie before what it was given) to `operator delete`. */
  #freesObject(index: number, offset: number): boolean {
    const known = this.#frees[index] as number;
    if (known !== 0) return known > 0;
    const { references } = this.#program;
    let last = -1;
    for (let at = (references.starts[index + 1] as number) - 1; at >= (references.starts[index] as number); at--) {
      if ((references.kind[at] as number) < CALL || !this.deleters.has(references.target[at] as number)) continue;
      last = references.from[at] as number;
      break;
    }
    const frees =
      last >= 0 &&
      this.#objects
        .read(index, RDI, last)
        .calls.some((call) => this.deleters.has(call.target) && call.register === RDI && call.offset === -offset);
    this.#frees[index] = frees ? 1 : -1;
    return frees;
  }

  /**
   * Functions in destructor slots. A pair of slots is that of the destructors where in
   * most tables of the hierarchy the second function frees its object and the first does
   * not; a table is then believed also where the compiler made something else of it.
   */
  #findDestructors(): Set<number> {
    const roots = new Map<string, { readonly tables: Vtable[]; readonly votes: Map<number, Vote> }>();
    for (const table of this.#vtables.all) {
      if (table.offset !== 0) continue;
      const key = this.#rootOf(table);
      let root = roots.get(key);
      if (root === undefined) {
        root = { tables: [], votes: new Map() };
        roots.set(key, root);
      }
      root.tables.push(table);
      for (let slot = 0; slot + 1 < table.slots.length; slot++) {
        if (!isPair(table, slot)) continue;
        const yes =
          this.#freesObject(table.slots[slot + 1] as number, 0) && !this.#freesObject(table.slots[slot] as number, 0);
        let vote = root.votes.get(slot);
        if (vote === undefined) {
          vote = { yes: 0, all: 0 };
          root.votes.set(slot, vote);
        }
        if (yes) vote.yes++;
        vote.all++;
      }
    }
    const found = new Set<number>();
    for (const { tables, votes } of roots.values()) {
      let best = -1;
      let most = -1;
      for (const [slot, { yes, all }] of votes) {
        if (yes / all <= most) continue;
        best = slot;
        most = yes / all;
      }
      if (most < 0.5) continue;
      for (const table of tables) {
        if (!isPair(table, best)) continue;
        found.add(table.slots[best] as number);
        found.add(table.slots[best + 1] as number);
      }
    }
    // Thunks of further tables: they adjust the object and go on in a destructor, or free it themselves.
    const { references } = this.#program;
    for (const table of this.#vtables.all) {
      if (table.offset === 0) continue;
      for (const index of table.slots) {
        if (index < 0 || found.has(index)) continue;
        const at = references.starts[index] as number;
        const isThunk = references.starts[index + 1] === at + 1 && references.kind[at] === JUMP;
        if (isThunk && found.has(this.#program.functionStarting(references.target[at] as number))) found.add(index);
        else if (this.#freesObject(index, table.offset)) found.add(index);
      }
    }
    return found;
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

/** How many of a hierarchy's tables say that a slot and the next hold the destructors. */
interface Vote {
  yes: number;
  all: number;
}

/** Whether two different functions stand in a slot and the next. */
function isPair({ slots }: Vtable, slot: number): boolean {
  if (slot + 1 >= slots.length) return false;
  const first = slots[slot] as number;
  const second = slots[slot + 1] as number;
  return first >= 0 && second >= 0 && first !== second;
}

/** `vfunc[3]`; in the table of a base further down in the object `vfunc[+16:3]`. */
function slotName({ slot, offset }: Owner): string {
  return offset === 0 ? `vfunc[${slot}]` : `vfunc[+${offset}:${slot}]`;
}
