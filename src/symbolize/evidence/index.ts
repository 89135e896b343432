/**
 * Names for the functions of a program without symbols, each with its rule, its grade and
 * what proves it. The rules stand in `rules.ts`; here is the order in which they are
 * asked, and the index that answers by address or by pattern.
 *
 * An inferred name is written with a leading `~` by whoever prints it, and is never passed
 * off as a symbol.
 */
import type { MachineError } from '../../base/errors.ts';
import { type VirtualAddress, virtualAddress } from '../../base/numbers.ts';
import { ok, type Result } from '../../base/result.ts';
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import { readFunctionBounds } from '../../debuginfo/elf/frames.ts';
import { Image } from '../../debuginfo/elf/image.ts';
import { Pointers } from '../../debuginfo/elf/relocations.ts';
import { findBases } from './bases.ts';
import { Classes, className } from './classes.ts';
import { findConstructors } from './constructors.ts';
import { findEnclosers } from './enclosers.ts';
import { findByTexts, findFamiliar, findSlots, Spelling } from './familiar.ts';
import { findHints, ONLY_CALLER } from './hints.ts';
import { type Learnt, NumberFilter } from './learnt.ts';
import { Literals } from './literals.ts';
import { findMarked } from './marks.ts';
import { findMembers } from './members.ts';
import { Methods } from './methods.ts';
import { Objects } from './objects.ts';
import { Owners } from './owners.ts';
import { Program } from './program.ts';
import { findMessages } from './protobuf.ts';
import { readReferences } from './references.ts';
import { CONSTRUCTOR, DESTRUCTOR, type Finding, type Grade, type RuleId, ruleNumber, rules } from './rules.ts';
import { findStartup, findStubs, type Stub, withStubs } from './startup.ts';
import { Vtables } from './vtables.ts';

export type { Grade, RuleId } from './rules.ts';

export interface EvidenceOptions {
  /** Tells how long each step took, in the order of the steps. */
  readonly onStep?: (step: string) => void;
  /** What was learnt from other programs. */
  readonly learnt?: readonly Learnt[];
}

/** What is known of one function. */
export interface InferredName {
  readonly address: VirtualAddress;
  /** Bytes. */
  readonly size: number;
  /** Without the leading `~`. */
  readonly name: string;
  readonly grade: Grade;
  readonly rule: RuleId;
  /** What the name was inferred from, a sentence each. */
  readonly evidence: readonly string[];
}

/** The same as it is kept: names that share a class share its text. */
export interface NameInParts extends Pick<InferredName, 'address' | 'size' | 'rule'> {
  /** Together the name. */
  readonly parts: readonly string[];
  /** The evidence but for the rule's reason. */
  readonly proof: readonly string[];
}

const mostCallers = 16;

/** What stands before the text of rules that give no name of the function itself. */
const hints: ReadonlyMap<RuleId, string> = new Map([
  ['mentions', 'mentions '],
  ['enclosed', 'makes a lambda of '],
  ['constructs', 'constructs or destroys '],
]);

/** What makes a hint a thing that can call. */
const callers: ReadonlyMap<RuleId, string> = new Map([
  ['mentions', 'what '],
  ['enclosed', 'what '],
  ['constructs', 'what '],
  ['file', 'something '],
  ['thread', 'the '],
]);

const hex = (value: number): string => `0x${value.toString(16)}`;

export class EvidenceIndex {
  readonly #starts: Uint32Array;
  readonly #sizes: Uint32Array;
  /** For each function the best finding. */
  readonly #best: readonly (Finding | undefined)[];
  readonly #mangled: readonly string[];
  /** Class → its name in full, as far as it is known yet. */
  readonly #classNames: Map<number, string>;

  constructor(
    starts: Uint32Array,
    sizes: Uint32Array,
    best: readonly (Finding | undefined)[],
    mangled: readonly string[],
    classNames: Map<number, string>,
  ) {
    this.#starts = starts;
    this.#sizes = sizes;
    this.#best = best;
    this.#mangled = mangled;
    this.#classNames = classNames;
  }

  /** How many functions there are, named or not. */
  get functionCount(): number {
    return this.#starts.length;
  }

  /** How many functions have a name of each grade. */
  counts(): Record<Grade, number> {
    const counts = { sure: 0, likely: 0, hint: 0 };
    for (const one of this.#best)
      if (one !== undefined) counts[(rules[ruleNumber[one.rule]] as { grade: Grade }).grade]++;
    return counts;
  }

  /** The name of the function whose bytes hold an address; undefined when there is no function, or no name. */
  at(address: VirtualAddress): InferredName | undefined {
    const index = this.#indexAt(address);
    return index < 0 ? undefined : this.#nameOf(index);
  }

  /** The bounds of the function whose bytes hold an address, named or not. */
  functionAt(address: VirtualAddress): { readonly address: VirtualAddress; readonly size: number } | undefined {
    const index = this.#indexAt(address);
    if (index < 0) return undefined;
    return { address: virtualAddress(this.#starts[index] as number), size: this.#sizes[index] as number };
  }

  #indexAt(address: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] as number) <= address) low = middle + 1;
      else high = middle;
    }
    const index = low - 1;
    return index >= 0 && address < (this.#starts[index] as number) + (this.#sizes[index] as number) ? index : -1;
  }

  /** All functions whose name (without `~`) satisfies a test, in the order of their addresses. */
  *find(test: (name: string) => boolean): Generator<InferredName> {
    for (let index = 0; index < this.#best.length; index++) {
      const finding = this.#best[index];
      if (finding === undefined || !test(this.#text(finding))) continue;
      yield this.#nameOf(index) as InferredName;
    }
  }

  /** All functions that have a name, in the order of their addresses. */
  *[Symbol.iterator](): Generator<InferredName> {
    for (let index = 0; index < this.#best.length; index++) {
      const name = this.#nameOf(index);
      if (name !== undefined) yield name;
    }
  }

  /** As the iterator, in the parts that names have in common. */
  *inParts(): Generator<NameInParts> {
    for (const [index, finding] of this.#best.entries()) {
      if (finding === undefined) continue;
      const address = virtualAddress(this.#starts[index] as number);
      const size = this.#sizes[index] as number;
      yield { address, size, rule: finding.rule, parts: this.#parts(finding), proof: proofOf(finding) };
    }
  }

  #nameOf(index: number): InferredName | undefined {
    const finding = this.#best[index];
    if (finding === undefined) return undefined;
    const rule = rules[ruleNumber[finding.rule]] as (typeof rules)[number];
    return {
      address: virtualAddress(this.#starts[index] as number),
      size: this.#sizes[index] as number,
      name: this.#text(finding),
      grade: rule.grade,
      rule: rule.id,
      evidence: [rule.reason, ...proofOf(finding)],
    };
  }

  #text(finding: Finding): string {
    return this.#parts(finding).join('');
  }

  #parts(finding: Finding): string[] {
    if (finding.member === ONLY_CALLER) return this.#callerParts(finding);
    const own = this.#own(finding);
    const hint = hints.get(finding.rule);
    return hint === undefined ? own : [hint, ...own];
  }

  #callerParts(finding: Finding): string[] {
    // A caller that is known by its own caller only: the name is that of the nearest with a name.
    let caller: Finding | undefined = finding;
    for (let depth = 0; caller?.member === ONLY_CALLER && depth < mostCallers; depth++) {
      caller = this.#best[this.#indexAt(caller.proof[0] ?? 0)];
    }
    if (caller === undefined || caller.member === ONLY_CALLER) return ['called only from one function'];
    return [`${ONLY_CALLER}${callers.get(caller.rule) ?? ''}`, ...this.#parts(caller)];
  }

  #own({ rule, scopes, member }: Finding): string[] {
    if (scopes.length === 0) return [member];
    const [first = '', ...others] = scopes.map((type) => this.#className(type));
    if (rule === 'constructs') return [first];
    const own = member === DESTRUCTOR ? `~${lastPart(first)}` : member === CONSTRUCTOR ? lastPart(first) : member;
    return [first, ...others.flatMap((other) => ['|', other]), `::${own}`];
  }

  #className(type: number): string {
    let name = this.#classNames.get(type);
    if (name === undefined) {
      name = className(this.#mangled[type] ?? '');
      this.#classNames.set(type, name);
    }
    return name;
  }
}

function proofOf({ proof, learntFrom }: Finding): string[] {
  const places = proof.filter((address) => address !== 0).map(hex);
  return [
    ...(places.length === 0 ? [] : [`see ${places.join(', ')}`]),
    ...(learntFrom === undefined ? [] : [`learnt from ${learntFrom}`]),
  ];
}

/** The classes whose tables a function stores at the start of the object that it was given. */
function stored(objects: Objects, index: number): Set<number> {
  const { stores, returnsObject } = objects.read(index);
  const own = returnsObject ? [] : stores.filter((store) => store.offset === 0 && store.table.offset === 0);
  return new Set(own.map((store) => store.table.type));
}

/** A class's own identifier as it stands in the mangled name, without template arguments; '' when there is none. */
function ownName(mangled: string): string {
  let at = mangled.startsWith('N') ? 1 : 0;
  let name = '';
  for (;;) {
    const next = /^(?:St|S[0-9A-Z]*_)?(\d+)/.exec(mangled.slice(at, at + 16));
    if (next === null) return name;
    const start = at + next[0].length;
    at = start + Number(next[1]);
    name = mangled.slice(start, at);
  }
}

/** A class's own name, as its constructors and destructor have it: no namespaces, no template arguments. */
function lastPart(name: string): string {
  let depth = 0;
  let end = name.length;
  for (let at = name.length - 1; at > 0; at--) {
    const char = name[at];
    if (char === '>' || char === ')' || char === '}') depth++;
    else if (char === '<' || char === '(' || char === '{') {
      depth--;
      if (depth === 0 && char === '<') end = at;
    } else if (depth === 0 && char === ':' && name[at - 1] === ':') return name.slice(at + 1, Math.max(end, at + 1));
  }
  return name.slice(0, end);
}

/** Reads a program as the rules need it. Fails with E_UNSUPPORTED_ELF for what is not a 64-bit little-endian program. */
export function readProgram(
  elf: ElfFile,
  done: (step: string) => void = () => {},
): Result<{ readonly program: Program; readonly stubs: readonly Stub[] }, MachineError> {
  const image = Image.of(elf);
  if (!image.ok) return image;
  const pointers = new Pointers(image.value);
  done('pointers');
  const stubs = findStubs(image.value, pointers);
  const bounds = withStubs(readFunctionBounds(image.value), stubs);
  for (const part of image.value.parts) if (part.auxiliary) part.release();
  done('bounds');
  const references = readReferences(image.value, bounds);
  done('code');
  return ok({ program: new Program(image.value, pointers, bounds, references), stubs });
}

/**
 * Names what can be named in a program, by evidence alone; its symbol tables are not
 * looked at. Fails with E_UNSUPPORTED_ELF for what is not a 64-bit little-endian program.
 * x86-64 in full; of arm64 what pointers tell (virtual tables, initialisers).
 */
export function nameFunctions(elf: ElfFile, options: EvidenceOptions = {}): Result<EvidenceIndex, MachineError> {
  const done = (step: string): void => options.onStep?.(step);
  const read = readProgram(elf, done);
  if (!read.ok) return read;
  const { program, stubs } = read.value;
  const { bounds } = program;
  const classes = new Classes(program);
  const vtables = new Vtables(program, classes);
  done('classes');

  const best = new Array<Finding | undefined>(program.functionCount).fill(undefined);
  const add = (finding: Finding): void => {
    const other = best[finding.index];
    if (other === undefined || ruleNumber[finding.rule] < ruleNumber[other.rule]) best[finding.index] = finding;
  };
  findStartup(program, stubs, add);
  done('startup');
  const owners = new Owners(classes, vtables);
  const methods = new Methods(program, classes, vtables, owners, stubs);
  methods.find(add);
  done('methods');
  findConstructors(program, classes, vtables, add);
  done('constructors');
  const { learnt = [] } = options;
  findSlots(classes, vtables, methods, learnt, add);
  const spelling = new Spelling(classes);
  findFamiliar(program, classes, methods, learnt, spelling, add);
  const texts = new NumberFilter();
  for (const one of learnt) for (const hash of one.texts.keys()) texts.add(hash);
  const literals = new Literals(program, (hash) => texts.mayHave(hash));
  findByTexts(program, literals.textOwners(), learnt, spelling, add);
  const objects = new Objects(program, vtables);
  const named = new Map<string, number[]>();
  for (const { index, mangled } of classes.all) {
    const name = ownName(mangled);
    const others = named.get(name);
    if (others === undefined) named.set(name, [index]);
    else others.push(index);
  }
  findMarked(
    literals,
    methods,
    (name) => named.get(name) ?? [],
    (index) => stored(objects, index),
    add,
  );

  done('literals');
  findEnclosers(program, classes, vtables, add);
  findMessages(program, classes, vtables, add);
  done('lambdas');
  findBases(program, classes, vtables, best, add);
  findMembers(program, classes, vtables, methods, owners, best, add);
  done('members');
  findHints(program, literals, best, add);
  done('hints');
  // The bytes are not asked for again; names still are to be made.
  for (const part of program.image.parts) part.release();
  return ok(
    new EvidenceIndex(
      bounds.starts,
      bounds.sizes,
      best,
      classes.all.map((type) => type.mangled),
      classes.names,
    ),
  );
}
