/**
 * Constructors and destructors of bases, by who calls them: a constructor hands the part
 * of its object that a base is to that base's constructor before it stores its own table
 * (Itanium C++ ABI 2.5.3 and C++ [class.base.init]), a destructor to the base's destructor
 * as the last it does with that part.
 */
import type { Base, Class, Classes } from './classes.ts';
import { Objects } from './objects.ts';
import type { Program } from './program.ts';
import { CALL, JUMP } from './references.ts';
import { CONSTRUCTOR, DESTRUCTOR, type Finding, ruleNumber } from './rules.ts';
import type { Vtables } from './vtables.ts';
import { RDI } from './x86.ts';

/** What callers take a function for. */
interface Claim {
  /** Index of the class, -1 when they disagree. */
  type: number;
  readonly member: string;
  readonly callers: number[];
}

export function findBases(
  program: Program,
  classes: Classes,
  vtables: Vtables,
  best: readonly (Finding | undefined)[],
  add: (finding: Finding) => void,
): void {
  const objects = new Objects(program, vtables);
  const claims = new Map<number, Claim>();
  const claim = (target: number, type: number, member: string, caller: number): void => {
    const before = claims.get(target);
    if (before === undefined) claims.set(target, { type, member, callers: [caller] });
    else {
      if (before.type !== type || before.member !== member) before.type = -1;
      before.callers.push(caller);
    }
  };
  /** The one direct base at an offset that has virtual functions, or may have. */
  const baseAt = (type: number, offset: number): Base | undefined => {
    const found = (classes.all[type] as Class).bases.filter((base) => !base.virtual && base.offset === offset);
    return found.length === 1 ? found[0] : undefined;
  };
  const { references } = program;
  /** Whether a function calls one that may get a name here: reading it costs more than looking. */
  const callsUnknown = (index: number): boolean => {
    for (let at = references.starts[index] as number; at < (references.starts[index + 1] as number); at++) {
      if (references.kind[at] !== CALL && references.kind[at] !== JUMP) continue;
      const target = program.referred[at] as number;
      if (target < 0 || vtables.holds(target)) continue;
      const known = best[target];
      if (known === undefined || ruleNumber[known.rule] > ruleNumber['base-constructor']) return true;
    }
    return false;
  };
  for (const finding of best) {
    if (finding === undefined) continue;
    const { index, rule, scopes } = finding;
    const [type] = scopes;
    if (type === undefined || !(/^(?:late-)?constructor$/.test(rule) || finding.member === DESTRUCTOR)) continue;
    if (!callsUnknown(index)) continue;
    if (rule === 'constructor' || rule === 'late-constructor') {
      for (const call of objects.read(index).calls) {
        if (call.register !== RDI || call.stores > 0 || call.isJump) continue;
        const target = program.functionStarting(call.target);
        const base = target < 0 || vtables.holds(target) ? undefined : baseAt(type, call.offset);
        if (base !== undefined) claim(target, base.type, CONSTRUCTOR, index);
        // What follows may be called on the bases that are complete by then.
        break;
      }
    } else if (finding.member === DESTRUCTOR && scopes.length === 1 && vtables.holds(index)) {
      const { calls, stores } = objects.read(index);
      const last = calls.at(-1);
      const target = last === undefined ? -1 : program.functionStarting(last.target);
      if (last === undefined || target < 0 || last.register !== RDI || vtables.holds(target)) continue;
      const base = baseAt(type, last.offset);
      // Its own table stored before, the object is its own; a jump to a function leaves nothing to be done.
      if (base !== undefined && (last.isJump || stores.length > 0)) claim(target, base.type, DESTRUCTOR, index);
    }
  }
  for (const [index, { type, member, callers }] of claims) {
    if (type < 0) continue;
    // Where nothing is passed, rdi may hold the caller's object still.
    const use = objects.read(index);
    const uses = use.reads + use.writes + use.stores.length;
    if (uses + (member === DESTRUCTOR ? use.calls.length : 0) === 0) continue;
    // Many things are done with an object last: closed, written out, freed. One that several
    // destructors end in, or that sets the object to the base's table, is the base's destructor.
    const isShared = new Set(callers.map((caller) => best[caller]?.scopes[0])).size > 1;
    if (member === DESTRUCTOR && !isShared && !use.stores.some((store) => store.offset === 0)) continue;
    const rule = member === CONSTRUCTOR ? 'base-constructor' : 'base-destructor';
    add({ index, rule, scopes: [type], member, proof: callers.slice(0, 4).map((caller) => program.startOf(caller)) });
  }
}
