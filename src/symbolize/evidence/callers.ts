/**
 * Who calls whom: for functions that only known places call, all their callers. Columns
 * instead of lists, since there are millions of calls.
 */
import type { Program } from './program.ts';
import { ADDRESS } from './references.ts';
import type { Vtables } from './vtables.ts';

/** A function that this many others call is no private one, and its callers are not worth reading. */
const mostCallers = 64;

export class Callers {
  /** Where in `#callers` each function's begin; one more at the end. */
  readonly #starts: Uint32Array;
  readonly #callers: Uint32Array;

  /** Of functions that tables hold, or whose address is taken, anybody may be a caller: they have none here. */
  constructor(program: Program, vtables: Vtables) {
    const { references, referred, pointers, functionCount } = program;
    const counts = new Uint8Array(functionCount);
    const many = mostCallers + 1;
    pointers.forEach((_, value) => {
      const target = program.functionStarting(value);
      if (target >= 0) counts[target] = many;
    });
    for (let index = 0; index < functionCount; index++) if (vtables.holds(index)) counts[index] = many;
    const { kind, starts } = references;
    for (let index = 0; index < functionCount; index++) {
      for (let at = starts[index] as number; at < (starts[index + 1] as number); at++) {
        const called = referred[at] as number;
        if (called < 0 || called === index || counts[called] === many) continue;
        counts[called] = kind[at] === ADDRESS ? many : (counts[called] as number) + 1;
      }
    }
    this.#starts = new Uint32Array(functionCount + 1);
    let total = 0;
    for (let index = 0; index < functionCount; index++) {
      this.#starts[index] = total;
      if (counts[index] !== many) total += counts[index] as number;
    }
    this.#starts[functionCount] = total;
    this.#callers = new Uint32Array(total);
    const next = this.#starts.slice(0, functionCount);
    for (let index = 0; index < functionCount; index++) {
      for (let at = starts[index] as number; at < (starts[index + 1] as number); at++) {
        const called = referred[at] as number;
        if (called < 0 || called === index || counts[called] === many) continue;
        this.#callers[next[called] as number] = index;
        next[called] = (next[called] as number) + 1;
      }
    }
  }

  /** The callers of a function, one for each call, in ascending order; none where they are not all known, or many. */
  of(index: number): Uint32Array {
    return this.#callers.subarray(this.#starts[index], this.#starts[index + 1]);
  }
}
