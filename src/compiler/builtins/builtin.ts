/**
 * What a builtin is: one file with its typing and its lowering, and one line in
 * table.ts. A builtin variable (`pid`) and a function (`str(p)`) differ only in the
 * node they stand for.
 */
import type { Type } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import type { Lower } from '../lower/lower.ts';
import type { DirectPlace, Place } from '../lower/place.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Identifier } from '../syntax/ast.ts';

/** How a value of the builtin is made; which of these is there follows from its type. */
export interface Lowering<Node> {
  /** Integers, pointers, bools: the value in a register, extended to 64 bits. */
  readonly scalar?: (low: Lower, node: Node) => Reg;
  /** Everything bigger: writes the value's bytes (schemaSize of its schema) at the place. */
  readonly into?: (low: Lower, node: Node, to: DirectPlace) => void;
  /** Where the value is, for what names memory: its members and elements are read there. */
  readonly place?: (low: Lower, node: Node) => Place;
  /** Calls without a value. */
  readonly statement?: (low: Lower, node: Node) => void;
}

export interface BuiltinVariable extends Lowering<Identifier> {
  readonly name: string;
  /** One line for help and listings. */
  readonly about: string;
  readonly type: (sema: Sema, node: Identifier) => Type;
}

export interface BuiltinFunction extends Lowering<Call> {
  readonly name: string;
  /** As in the reference: `str(pointer [, length])`. */
  readonly signature: string;
  readonly about: string;
  readonly arity: readonly [min: number, max: number];
  /** Types the call; must look at every argument (sema.expr or a more special method). */
  readonly type: (sema: Sema, call: Call) => Type;
  /** The result may be thrown away without a warning. */
  readonly statementOnly?: boolean;
}

/** All builtins by name. */
export interface Builtins {
  readonly variables: ReadonlyMap<string, BuiltinVariable>;
  readonly functions: ReadonlyMap<string, BuiltinFunction>;
}
