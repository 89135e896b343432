/**
 * What a library's type holds, as against what it is made of: the text of a string, the
 * elements of a vector. Found by printers.ts, carried out by the compiler. Offsets are
 * bytes from the start of the object, or of a node where it says so.
 */
import type { Type } from './model.ts';

/** A number that the object's own bytes tell. */
export type Measure =
  | { readonly kind: 'word'; readonly offset: number; readonly size: 1 | 2 | 4 | 8; readonly signed: boolean }
  | { readonly kind: 'constant'; readonly value: number }
  /** (end - first) / unit, of two pointers. */
  | { readonly kind: 'distance'; readonly first: Measure; readonly end: Measure; readonly unit: number };

export type Content =
  /** `short`: libc++'s strings, which keep short ones in themselves (bit 0 of the first byte tells long ones apart). */
  | { readonly kind: 'text'; readonly data: Measure; readonly length: Measure; readonly short: boolean }
  /** Elements one behind the other. */
  | { readonly kind: 'sequence'; readonly first: Measure; readonly count: Measure; readonly of: Type }
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
  | { readonly kind: 'tuple'; readonly members: readonly { readonly offset: number; readonly of: Type }[] };
