/** Where named C types come from: BTF, DWARF, a script's declarations. */
import type { Location } from './location.ts';
import type { EnumType, FunctionType, Type } from './model.ts';

export type TypeKeyword = 'struct' | 'union' | 'enum' | 'typedef';

export interface TypeSource {
  /**
   * The type that `keyword name` (or a plain typedef / base type name) denotes, with
   * typedefs, const and volatile already stripped; undefined when there is none.
   */
  find(keyword: TypeKeyword, name: string): Type | undefined;
  /** The enumerator of that name in any enum, with the enum it belongs to. */
  findEnumerator(name: string): { readonly value: bigint; readonly type: EnumType } | undefined;
  /** The prototype of a kernel function (BTF FUNC), undefined when unknown. */
  findFunction(name: string): FunctionType | undefined;
  /** Whether BTF describes a variable of that name; it does so of per-CPU ones. */
  hasVariable?(name: string): boolean;
  /** Names of all functions with a known prototype, where they can be listed. */
  functionNames?(): Iterable<string>;
  /** Names of all types of that keyword, for listings and for near-name hints. */
  names(keyword: TypeKeyword): Iterable<string>;
}

/** A parameter or variable of a program, with where it is at the place that was asked about. */
export interface ProgramVariable {
  readonly name: string;
  readonly type: Type;
  /** As the source declares it: `const char *node`. */
  readonly declaration: string;
  readonly location: Location;
}

/** A function of a program, as its debugging information describes it. */
export interface ProgramFunction {
  /** As the source calls it, without namespaces; '' where it has no name. */
  readonly name: string;
  /** Where the parameters are when the function is entered: before its first instruction. */
  readonly parameters: readonly ProgramVariable[];
  /** What it returns, and where that is when it has returned. `type` is void for nothing. */
  readonly result: ProgramVariable;
}

/** Types and functions of a program, from its debugging information. */
export interface ProgramTypes extends TypeSource {
  /**
   * The function whose code begins at a virtual address. `symbol`, its name in the symbol
   * table, tells whether it is a copy that the compiler changed (`f.isra.0`).
   */
  functionAt(address: number, symbol: string): ProgramFunction | undefined;
  /** Where copies of a function begin that were inlined into others; `name` with namespaces. */
  inlinedCopies(name: string): readonly number[];
  /** The function that an instruction belongs to: its arguments as they are there. An inlined one where a copy of it begins. */
  functionAround(address: number): ProgramFunction | undefined;
  /** Variables in scope at an instruction, arguments too, each name once: the innermost one. */
  variablesAt(address: number): readonly ProgramVariable[];
  /**
   * A variable that lies at one place as long as the program runs (or in each thread):
   * a global one, a static member, or one of a function (`function::name`).
   */
  global(name: string): ProgramVariable | undefined;
  /** Names like one that is no global variable's, best first. */
  nearGlobals(name: string): readonly string[];
}
