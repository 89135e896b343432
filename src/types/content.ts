/**
 * What a library's type holds, as against what it is made of: the text of a string, the
 * elements of a vector. Found by printers.ts, carried out by the compiler. Offsets are
 * bytes from the start of the object, or of a node where it says so.
 */
import type { Computation } from './location.ts';
import type { CompositeType, Type } from './model.ts';

/** A number that the object's own bytes tell. */
export type Measure =
  | { readonly kind: 'word'; readonly offset: number; readonly size: 1 | 2 | 4 | 8; readonly signed: boolean }
  | { readonly kind: 'constant'; readonly value: number }
  /** (end - first) / unit, of two pointers. */
  | { readonly kind: 'distance'; readonly first: Measure; readonly end: Measure; readonly unit: number }
  | { readonly kind: 'sum'; readonly left: Measure; readonly right: Measure }
  | { readonly kind: 'product'; readonly of: Measure; readonly by: number }
  /** Without its lowest bits. */
  | { readonly kind: 'shifted'; readonly of: Measure; readonly bits: number };

/** Elements that a script can go through one by one. */
export type Elements = Extract<
  Content,
  { readonly kind: 'sequence' | 'blocks' | 'ring' | 'list' | 'tree' | 'bits' | 'slots' | 'groups' | 'buckets' }
>;

/** A value within an object. */
export interface Part {
  readonly offset: number;
  readonly of: Type;
}

export type Content =
  /** `short`: libc++'s strings, which keep short ones in themselves (bit 0 of the first byte tells long ones apart). */
  | { readonly kind: 'text'; readonly data: Measure; readonly length: Measure; readonly short: boolean }
  /** Elements one behind the other. `inside`: they lie in the object itself, at `offset`, unless the lowest bit of `tag` is set. */
  | {
      readonly kind: 'sequence';
      readonly first: Measure;
      readonly count: Measure;
      readonly of: Type;
      readonly inside?: { readonly tag: Measure; readonly offset: number };
    }
  /** One bit for each, from the lowest bit of the first byte on. */
  | { readonly kind: 'bits'; readonly first: Measure; readonly count: Measure; readonly of: Type }
  /** libstdc++'s deque: blocks of elements, whose addresses stand in a row. Each of the two iterators: cur, first, last, node. */
  | { readonly kind: 'blocks'; readonly start: number; readonly finish: number; readonly of: Type }
  /** libc++'s deque: blocks of as many elements; the first element by its number in them. */
  | {
      readonly kind: 'ring';
      readonly row: Measure;
      readonly first: Measure;
      readonly count: Measure;
      readonly perBlock: number;
      readonly of: Type;
    }
  /** Nodes each with the address of the next; without a count the list ends at 0. */
  | {
      readonly kind: 'list';
      readonly first: Measure;
      readonly count: Measure | undefined;
      readonly next: number;
      readonly value: number;
      readonly of: Type;
      /** The order is the program's, and not that of a hash table: elements have numbers. */
      readonly ordered?: true;
      /** Elements are pairs that are found by their first value. */
      readonly keyed?: true;
    }
  /** A search tree in its order. Offsets in the node. */
  | {
      readonly kind: 'tree';
      readonly first: Measure;
      readonly count: Measure;
      readonly left: number;
      readonly right: number;
      readonly parent: number;
      readonly value: number;
      readonly of: Type;
      readonly keyed?: true;
    }
  /**
   * A hash table of slots, each with a byte that has its highest bit unset where the slot
   * is in use (Abseil's "Swiss tables", Rust's hashbrown). Slot i lies `start + i * stride`
   * bytes from `slots`. `inside`: the only slot of a table of one lies in the object.
   */
  | {
      readonly kind: 'slots';
      readonly control: Measure;
      readonly slots: Measure;
      readonly capacity: Measure;
      readonly count: Measure;
      readonly start: number;
      readonly stride: number;
      readonly of: Type;
      readonly inside?: number;
      /** Slots hold the addresses of elements. */
      readonly pointed?: true;
      readonly keyed?: true;
    }
  /**
   * A map of Go since 1.24 (internal/runtime/maps): `directory` points to one group of
   * eight slots, or where `tables` is not 0 to that many pointers to tables, of which a
   * table may have several (its `index` tells the first). A group is a word of control
   * bytes and the slots. Offsets in a table.
   */
  | {
      readonly kind: 'groups';
      readonly directory: Measure;
      readonly tables: Measure;
      readonly count: Measure;
      readonly data: number;
      readonly mask: number;
      readonly index: number;
      readonly slot: number;
      readonly of: Type;
    }
  /**
   * A map of Go before (runtime/map.go): 2^`order` buckets of eight, each with bytes that
   * tell which are in use, the keys, the values, and the address of one that overflows it.
   * While it grows there are also the `old` ones.
   */
  | {
      readonly kind: 'buckets';
      readonly first: Measure;
      readonly old: Measure;
      readonly order: Measure;
      readonly flags: Measure;
      readonly count: Measure;
      readonly key: Part;
      readonly value: Part;
      readonly overflow: number;
      /** Key and value, as they are put together for the script. */
      readonly of: CompositeType;
    }
  | { readonly kind: 'optional'; readonly engaged: Measure; readonly offset: number; readonly of: Type }
  | { readonly kind: 'pointer'; readonly address: Measure; readonly of: Type }
  /** One of several types, by a number; undefined stands for a case without a value. */
  | {
      readonly kind: 'alternatives';
      readonly index: Measure;
      readonly cases: readonly {
        /** undefined: any number that no other case has. */
        readonly value: bigint | undefined;
        readonly name: string;
        readonly offset: number;
        readonly of: Type | undefined;
      }[];
    }
  /** The value of a member stands for the whole. */
  | { readonly kind: 'plain'; readonly offset: number; readonly of: Type }
  /** The values of some members, in order. */
  | { readonly kind: 'tuple'; readonly members: readonly Part[] }
  /**
   * Something that can be called: `invoker`, a function that knows how to call it
   * (libstdc++), or `object`, whose class tells (libc++). `target`: a plain function's address.
   */
  | { readonly kind: 'callable'; readonly by: 'invoker' | 'object'; readonly with: Measure; readonly target: Measure }
  /**
   * The type of a value of Go, by its description (internal/abi.Type); `through`: which the
   * word at that offset of `address` points to. `names`: where the offset of its name counts from.
   */
  | {
      readonly kind: 'gotype';
      readonly address: Measure;
      readonly through: number | undefined;
      readonly names: Computation;
    };
