/**
 * Functions of a class that no table holds: all who call such a function are known
 * functions of one class, and pass their own object on as its object. Their callees are
 * looked at in turn. A name that a macro left in the function then gets its class.
 *
 * A function that returns an object by value has its own object in rsi and the place for
 * the result in rdi (psABI 3.2.3), which it returns: such callers and callees are told
 * apart by that. Classes made of lambdas are left out; what theirs call is mostly the
 * lambda's, or a template's that the lambda was handed to.
 */
import type { Class, Classes } from './classes.ts';
import type { Methods } from './methods.ts';
import type { ObjectUse } from './objects.ts';
import { Objects } from './objects.ts';
import type { Owners } from './owners.ts';
import type { Program } from './program.ts';
import { ADDRESS, CALL } from './references.ts';
import type { Finding } from './rules.ts';
import type { Vtables } from './vtables.ts';
import { RDI, RSI } from './x86.ts';

const mostRounds = 4;
/** A function that this many others call is no private one, and its callers are not worth reading. */
const mostCallers = 64;

export function findMembers(
  program: Program,
  classes: Classes,
  vtables: Vtables,
  methods: Methods,
  owners: Owners,
  best: readonly (Finding | undefined)[],
  add: (finding: Finding) => void,
): void {
  const { references, pointers } = program;
  const typeOf = new Map<number, number>();
  /** Where in the object what the function is given lies: functions of a base's table are given that base. */
  const givenAt = new Map<number, number>();
  for (const [index, owner] of methods.owners.entries()) {
    if (owner === undefined) continue;
    typeOf.set(index, owner.type);
    if (owner.offset !== 0) givenAt.set(index, owner.offset);
  }
  for (const finding of best) {
    if (finding === undefined) continue;
    const { index, rule, member, scopes } = finding;
    if (rule === 'constructor' || rule === 'late-constructor') typeOf.set(index, scopes[0] as number);
    else if (rule === 'signature' || rule === 'encloser') {
      const type = classes.named(mangledScope(member));
      if (type !== undefined) typeOf.set(index, type.index);
    }
  }
  // Functions whose address is taken may be called by anybody.
  const taken = new Set<number>();
  pointers.forEach((_, value) => {
    taken.add(program.functionStarting(value));
  });
  const callers = new Map<number, number[]>();
  for (let index = 0; index < program.functionCount; index++) {
    for (let at = references.starts[index] as number; at < (references.starts[index + 1] as number); at++) {
      const target = program.functionStarting(references.target[at] as number);
      if (target < 0 || target === index || vtables.holds(target)) continue;
      const kind = references.kind[at] as number;
      if (kind === ADDRESS) taken.add(target);
      else if (kind >= CALL) {
        const known = callers.get(target);
        if (known === undefined) callers.set(target, [index]);
        else known.push(index);
      }
    }
  }
  const objects = new Objects(program, vtables);
  const plain = new Map<number, ObjectUse>();
  const useOf = (index: number): ObjectUse => {
    let use = plain.get(index);
    if (use === undefined) {
      use = objects.read(index, RDI);
      // The result's place came in rdi: the object is the second argument.
      if (use.returnsObject) use = { ...objects.read(index, RSI), returnsObject: true };
      plain.set(index, use);
    }
    return use;
  };
  const derives = (type: number, from: number, depth: number = 0): boolean =>
    type === from ||
    (depth < 32 && (classes.all[type] as Class).bases.some((base) => derives(base.type, from, depth + 1)));
  /** The class of all callers, or the one of them that all others derive from; -1 when there is none. */
  const classOf = (index: number, all: readonly number[]): number => {
    const counts = new Map<number, number>();
    for (const caller of all) {
      if (!typeOf.has(caller)) return -1;
      counts.set(caller, (counts.get(caller) ?? 0) + 1);
    }
    const types = new Set<number>();
    const isSecond = useOf(index).returnsObject;
    for (const [caller, count] of counts) {
      const passed = useOf(caller).calls.filter(
        (call) =>
          call.offset === -(givenAt.get(caller) ?? 0) &&
          call.register === (isSecond ? RSI : RDI) &&
          program.functionStarting(call.target) === index,
      );
      if (passed.length !== count) return -1;
      types.add(typeOf.get(caller) as number);
    }
    for (const type of types) if ([...types].every((other) => derives(other, type))) return type;
    return -1;
  };
  let open = [...callers].filter(
    ([index, all]) => !taken.has(index) && all.length <= mostCallers && isOpen(best[index]),
  );
  for (let round = 0; round < mostRounds; round++) {
    const found: { readonly index: number; readonly type: number; readonly all: readonly number[] }[] = [];
    const rest: typeof open = [];
    for (const one of open) {
      const [index, all] = one;
      if (!all.some((caller) => typeOf.has(caller))) {
        rest.push(one);
        continue;
      }
      const type = classOf(index, all);
      if (type < 0) rest.push(one);
      else if (!/Ul|\$_/.test((classes.all[type] as Class).mangled)) found.push({ index, type, all });
    }
    if (found.length === 0) return;
    open = rest;
    for (const { index, type, all } of found) {
      typeOf.set(index, type);
      const use = useOf(index);
      const proof = [...new Set(all)].slice(0, 4).map((caller) => program.startOf(caller));
      const scopes = [type, ...owners.absentBases(type, 0)];
      const named = best[index];
      if (named?.rule === 'literal') {
        add({ index, rule: 'member-literal', scopes, member: named.member, proof: [...named.proof, ...proof] });
        continue;
      }
      // One that is called once and does nothing with the object need not be the class's.
      if (all.length === 1 && use.reads + use.writes + use.calls.length === 0) continue;
      const member = `member@${program.startOf(index).toString(16)}`;
      add({ index, rule: 'member', scopes, member, proof });
    }
  }
}

/** The typeinfo name of the class that a plain name stands in: `N5Envoy3FooE` for `Envoy::Foo::bar`. */
function mangledScope(name: string): string {
  const parts = name.replaceAll('(anonymous namespace)', '_GLOBAL__N_1').split('::').slice(0, -1);
  const mangled = parts.map((part) => `${part.length}${part}`).join('');
  return parts.length === 1 ? mangled : `N${mangled}E`;
}

/** Whether a function has no name yet that tells its class. */
function isOpen(finding: Finding | undefined): boolean {
  return (
    finding === undefined || finding.rule === 'literal' || finding.rule === 'mentions' || finding.rule === 'enclosed'
  );
}
