/** What a table of names in a file (`.debug_names`, `.gdb_index`) is asked. */
import type { Unit } from './unit.ts';

export interface NameTable {
  readonly section: string;
  /** Units whose names it has. */
  readonly covered: ReadonlySet<Unit>;
  /**
   * Units in which an entry of one of the tags (DW_TAG_…) may have a name. `last` is the
   * part of it behind its namespaces and classes. Throws WrongTable, and on damaged input.
   */
  units(tags: ReadonlySet<number>, name: string, last: string): Iterable<Unit>;
}

/** What a table of names says is not so in this file: it is another one's, cut off, or of a form that is not known. */
export class WrongTable extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WrongTable';
  }
}
