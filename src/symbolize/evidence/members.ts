/**
 * Functions of a class that no table holds: all who call such a function are known
 * functions of one class, and pass their own object on as its object. Their callees are
 * looked at in turn. A name that a macro left in the function then gets its class.
 *
 * A function that returns an object by value has its own object in rsi and the place for
 * the result in rdi (psABI 3.2.3), which it returns: such callers and callees are told
 * apart by that. Classes made of lambdas are left out; what theirs call is mostly the
 * lambda's, or a template's that the lambda was handed to. But a libc++ function object
 * (`__func`: table, then the lambda) whose lambda stands in a class's function, and calls
 * something on the first that it has captured, does so on `this`.
 */

import { Callers } from './callers.ts';
import type { Class, Classes } from './classes.ts';
import { enclosingFunction } from './enclosers.ts';
import type { Methods } from './methods.ts';
import type { ObjectUse } from './objects.ts';
import { Objects } from './objects.ts';
import type { Owners } from './owners.ts';
import type { Program } from './program.ts';
import type { Finding } from './rules.ts';
import type { Vtables } from './vtables.ts';
import { Decoder, RDI, RSI } from './x86.ts';

/** The slot of `target()` in a function object of libc++: it gives the lambda's address. */
const targetSlot = 7;
const mostRounds = 4;
const mostDepth = 32;

export function findMembers(
  program: Program,
  classes: Classes,
  vtables: Vtables,
  methods: Methods,
  owners: Owners,
  best: readonly (Finding | undefined)[],
  add: (finding: Finding) => void,
): void {
  /** For each function the class that its object is of, -1 where that is not known. */
  const typeOf = new Int32Array(program.functionCount).fill(-1);
  /** Where in the object what the function is given lies: functions of a base's table are given that base. */
  const givenAt = new Map<number, number>();
  for (const [index, owner] of methods.owners.entries()) {
    if (owner === undefined) continue;
    typeOf[index] = owner.type;
    if (owner.offset !== 0) givenAt.set(index, owner.offset);
  }
  for (const finding of best) {
    if (finding === undefined) continue;
    const { index, rule, member, scopes } = finding;
    if (rule === 'constructor' || rule === 'late-constructor' || rule.startsWith('base-'))
      typeOf[index] = scopes[0] as number;
    else if (rule === 'signature' || rule === 'encloser') {
      const type = classes.named(mangledScope(member));
      if (type !== undefined) typeOf[index] = type.index;
    }
  }
  const callers = new Callers(program, vtables);
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
  /** For the body of a function object the class whose function its lambda stands in; undefined for others. */
  const lambdas = new Map<number, Lambda | undefined>();
  const lambdaOf = (index: number): Lambda | undefined => {
    const finding = best[index];
    if (finding?.rule !== 'method' || finding.member !== 'operator()') return undefined;
    if (!lambdas.has(index)) lambdas.set(index, readLambda(program, classes, vtables, finding.scopes[0] as number));
    return lambdas.get(index);
  };
  /** A class and its bases that lie at an offset in its objects, the class first where that is 0. */
  const subobjects = (type: number, offset: number, into: Set<number>, depth: number = 0): Set<number> => {
    if (offset === 0) into.add(type);
    if (depth > mostDepth) return into;
    for (const base of (classes.all[type] as Class).bases) {
      if (!base.virtual && base.offset <= offset) subobjects(base.type, offset - base.offset, into, depth + 1);
    }
    return into;
  };
  /** The class furthest down that all callers' objects are of, at the place that they pass; -1 when there is none. */
  const classOf = (index: number, all: Uint32Array): number => {
    for (let at = 0; at < all.length; at++) if ((typeOf[all[at] as number] as number) < 0) return -1;
    let common: Set<number> | undefined;
    const isSecond = useOf(index).returnsObject;
    const start = program.startOf(index);
    for (let at = 0; at < all.length; ) {
      const caller = all[at] as number;
      // Several calls of one caller stand side by side.
      let count = 0;
      for (; all[at] === caller; at++) count++;
      const register = isSecond ? RSI : RDI;
      const lambda = lambdaOf(caller);
      if (lambda !== undefined) {
        // It hands on the place for its result as it got it, where there is one: its own object is then in rsi.
        const use = isSecond ? objects.read(caller, RSI) : useOf(caller);
        const captured = use.memberCalls.filter(
          (call) => call.member === lambda.captured && call.register === register && call.target === start,
        );
        if (captured.length !== count) return -1;
        const own = subobjects(lambda.type, 0, new Set());
        common = common === undefined ? own : new Set([...common].filter((type) => own.has(type)));
        if (common.size === 0) return -1;
        continue;
      }
      const passed = useOf(caller).calls.filter((call) => call.register === register && call.target === start);
      const [first] = passed;
      if (first === undefined || passed.length !== count || passed.some((one) => one.offset !== first.offset))
        return -1;
      const offset = first.offset + (givenAt.get(caller) ?? 0);
      const own = subobjects(typeOf[caller] as number, offset, new Set());
      common = common === undefined ? own : new Set([...common].filter((type) => own.has(type)));
      if (common.size === 0) return -1;
    }
    // Classes come before their bases.
    for (const type of common ?? []) return type;
    return -1;
  };
  let open: number[] = [];
  for (let index = 0; index < program.functionCount; index++) {
    if (isOpen(best[index]) && callers.of(index).length > 0) open.push(index);
  }
  for (let round = 0; round < mostRounds; round++) {
    const found: { readonly index: number; readonly type: number; readonly all: Uint32Array }[] = [];
    const rest: number[] = [];
    for (const index of open) {
      const all = callers.of(index);
      const type = classOf(index, all);
      if (type < 0) rest.push(index);
      else if (!/Ul|\$_/.test((classes.all[type] as Class).mangled)) found.push({ index, type, all });
    }
    if (found.length === 0) return;
    open = rest;
    for (const { index, type, all } of found) {
      typeOf[index] = type;
      const use = useOf(index);
      const proof = [...new Set(all)].slice(0, 4).map((caller) => program.startOf(caller));
      const scopes = [type, ...owners.absentBases(type, 0)];
      const named = best[index];
      if (named?.rule === 'literal') {
        add({ index, rule: 'member-literal', scopes, member: named.member, proof: [...named.proof, ...proof] });
        continue;
      }
      // One that does nothing with the object need not be the class's: rdi may hold it still where nothing is passed.
      if (use.reads + use.writes + use.calls.length === 0) continue;
      const member = `member@${program.startOf(index).toString(16)}`;
      add({ index, rule: 'member', scopes, member, proof });
    }
  }
}

interface Lambda {
  readonly type: number;
  /** Where in the function object the lambda's first captured variable lies. */
  readonly captured: number;
}

/** What is known of the lambda in a libc++ function object's class. */
function readLambda(program: Program, classes: Classes, vtables: Vtables, object: number): Lambda | undefined {
  const enclosing = enclosingFunction(classes.nameOf(object));
  const type = enclosing === undefined ? undefined : classes.named(mangledScope(enclosing));
  const table = vtables.of(object).find((one) => one.offset === 0);
  if (type === undefined || table === undefined) return undefined;
  const captured = givesAddress(program, table.slots[targetSlot] as number);
  return captured > 0 ? { type: type.index, captured } : undefined;
}

/** How far behind the object's start the address lies that a function gives back (`lea n(%rdi), …`); 0 for none. */
function givesAddress({ image, bounds }: Program, index: number): number {
  if (index < 0) return 0;
  const bytes = image.bytesAt(bounds.starts[index] as number, Math.min(bounds.sizes[index] as number, 64));
  const one = new Decoder();
  for (let at = 0; at < bytes.length && one.decode(bytes, at, bytes.length); at += one.length) {
    if (one.opcode === 0x8d && one.base === RDI) return one.displacement;
    // Where the lambda is the object's last byte, the compiler adds.
    if (one.opcode === 0x83 && one.rm === RDI && ((one.modrm >>> 3) & 7) === 0) return one.immediate;
  }
  return 0;
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
