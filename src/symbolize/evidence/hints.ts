/**
 * What is told of a function that has no name: who alone calls it, or the one source file
 * that it refers to. Neither is its name, and the wording says so.
 */
import type { Literals } from './literals.ts';
import type { Program } from './program.ts';
import { ADDRESS, BRANCH, CALL } from './references.ts';
import type { Finding } from './rules.ts';

/** The text of a `callers` finding is made when it is asked for: its caller's name is not known before. */
export const ONLY_CALLER = 'called only from ';

export function findHints(
  program: Program,
  literals: Literals,
  best: readonly (Finding | undefined)[],
  add: (finding: Finding) => void,
): void {
  const { references, referred, pointers } = program;
  /** For each function its only caller, -1 for none yet, -2 for several, or somebody that can't be known. */
  const caller = new Int32Array(program.functionCount).fill(-1);
  for (let index = 0; index < program.functionCount; index++) {
    for (let at = references.starts[index] as number; at < (references.starts[index + 1] as number); at++) {
      // What lies in memory is no function.
      const kind = references.kind[at] as number;
      if (kind !== ADDRESS && (kind < CALL || kind > BRANCH)) continue;
      const target = referred[at] as number;
      if (target < 0 || target === index) continue;
      // Its address taken counts as called by the taker, who hands it on.
      const before = caller[target] as number;
      caller[target] = before === -1 || before === index ? index : -2;
    }
  }
  pointers.forEach((_, value) => {
    const target = program.functionStarting(value);
    if (target >= 0) caller[target] = -2;
  });
  // Twice, so that the callee of a function that has got a hint gets one too.
  for (let turn = 0; turn < 2 * program.functionCount; turn++) {
    const index = turn % program.functionCount;
    if (best[index] !== undefined) continue;
    const one = caller[index] as number;
    if (one >= 0 && best[one] !== undefined) {
      add({ index, rule: 'callers', scopes: [], member: ONLY_CALLER, proof: [program.startOf(one)] });
      continue;
    }
    const file = literals.files[index] as number;
    if (file > 0) {
      const name = literals.text(file).replace(/:\d+$/, '');
      add({ index, rule: 'file', scopes: [], member: `in ${name.slice(name.lastIndexOf('/') + 1)}`, proof: [file] });
    }
  }
}
