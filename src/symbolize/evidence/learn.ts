/**
 * Learns from a program with symbols what other programs' functions can be known by
 * (`learnt.ts` has the format). What would name wrongly is left out: functions of one
 * shape with several names, texts that several functions refer to.
 */
import type { MachineError } from '../../base/errors.ts';
import { ok, type Result } from '../../base/result.ts';
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import { demangledBaseName } from '../demangle/index.ts';
import { Classes } from './classes.ts';
import { readProgram } from './index.ts';
import { encodeLearnt, type LearntClass, type LearntFunction, shapeKey } from './learnt.ts';
import { Literals } from './literals.ts';
import { lastOf } from './marks.ts';
import type { Program } from './program.ts';
import { CALL, JUMP } from './references.ts';
import { Vtables } from './vtables.ts';

/** Shorter functions are alike by chance; they are kept as what others call. */
const fewestInstructions = 6;

export interface KnownFunction {
  readonly address: number;
  /** As in the symbol table. */
  readonly name: string;
}

export interface LearnOptions {
  /** Only functions and classes with such (mangled) names. */
  readonly wanted?: (name: string) => boolean;
}

/** The text of a file of names, made from a program and its symbols. */
export function learnNames(
  elf: ElfFile,
  symbols: Iterable<KnownFunction>,
  options: LearnOptions = {},
): Result<string, MachineError> {
  const read = readProgram(elf);
  if (!read.ok) return read;
  const { program } = read.value;
  const names: string[][] = [];
  for (const { address, name } of symbols) {
    const index = program.functionStarting(address);
    if (index < 0 || /[\t\n]/.test(name)) continue;
    const known = names[index];
    if (known === undefined) names[index] = [name];
    else known.push(name);
  }
  const wanted = options.wanted ?? (() => true);
  const from = `${elf.path.slice(elf.path.lastIndexOf('/') + 1)} ${elf.buildId()}`;
  return ok(encodeLearnt(from, learnClasses(program, names, wanted), learnFunctions(program, names, wanted)));
}

const plain = (symbol: string): string => demangledBaseName(symbol) ?? symbol;

function learnClasses(
  program: Program,
  names: readonly (readonly string[] | undefined)[],
  wanted: (name: string) => boolean,
): LearntClass[] {
  const classes = new Classes(program);
  const vtables = new Vtables(program, classes);
  const found: LearntClass[] = [];
  for (const type of classes.all) {
    const table = vtables.of(type.index).find((one) => one.offset === 0);
    if (table === undefined || type.address === 0 || !wanted(type.mangled)) continue;
    const slots = Array.from(table.slots, (index) => {
      const own = new Set((names[index] ?? []).map((name) => lastOf(plain(name))));
      const [name = ''] = own;
      // A pure function's slot holds a function of the C++ library's.
      return own.size === 1 && !/[;\t]|^__cxa_/.test(name) ? name : '';
    });
    if (slots.some((name) => name !== '')) found.push({ mangled: type.mangled, slots });
  }
  return found;
}

/**
 * What is no name of a function's own: the compiler's part of one moved elsewhere, or a
 * copy of it for certain arguments; Rust's, which differ with each compiler and crate.
 */
const isOdd = (name: string): boolean =>
  /\.(?:cold|part|constprop|isra|llvm)\b/.test(name) || name.startsWith('_R') || /17h[0-9a-f]{16}E$/.test(name);

function learnFunctions(
  program: Program,
  names: readonly (readonly string[] | undefined)[],
  wanted: (name: string) => boolean,
): LearntFunction[] {
  const { references } = program;
  const nameOf = new Array<string | undefined>(program.functionCount);
  const byShape = new Map<number, number>();
  for (let index = 0; index < program.functionCount; index++) {
    const own = names[index];
    if (own === undefined || new Set(own.map(plain)).size !== 1) continue;
    const [name] = own.toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1)) as [string];
    if (isOdd(name)) continue;
    nameOf[index] = name;
    if ((references.lengths[index] as number) < fewestInstructions) continue;
    const key = shapeKey(references.shapes[index * 2] as number, references.shapes[index * 2 + 1] as number);
    const other = byShape.get(key);
    // Copies of one function are alike and have one name.
    if (other === undefined) byShape.set(key, index);
    else if (other >= 0 && plain(nameOf[other] as string) !== plain(name)) byShape.set(key, -1);
  }
  const shapes = new Map<number, number>();
  for (const [key, index] of byShape) if (index >= 0 && wanted(nameOf[index] as string)) shapes.set(index, key);
  const texts = new Map<number, number[]>();
  for (const [text, index] of new Literals(program, () => true).textOwners()) {
    if (index < 0 || nameOf[index] === undefined || !wanted(nameOf[index])) continue;
    const known = texts.get(index);
    if (known === undefined) texts.set(index, [text]);
    else known.push(text);
  }
  /** Functions that get a line: those with a shape or a text, and what they call. */
  const lines = new Map<number, number>();
  const order: number[] = [];
  const put = (index: number): number => {
    let line = lines.get(index);
    if (line === undefined) {
      line = order.length;
      lines.set(index, line);
      order.push(index);
    }
    return line;
  };
  const calls = new Map<number, number[]>();
  for (const index of new Set([...shapes.keys(), ...texts.keys()])) {
    put(index);
    const called: number[] = [];
    for (let at = references.starts[index] as number; at < (references.starts[index + 1] as number); at++) {
      if (references.kind[at] !== CALL && references.kind[at] !== JUMP) continue;
      const target = program.functionStarting(references.target[at] as number);
      called.push(target < 0 || nameOf[target] === undefined || !wanted(nameOf[target]) ? -1 : target);
    }
    while (called.at(-1) === -1) called.pop();
    calls.set(
      index,
      called.map((target) => (target < 0 ? -1 : put(target))),
    );
  }
  return order.map((index) => ({
    name: nameOf[index] as string,
    shape: shapes.get(index) ?? -1,
    instructions: references.lengths[index] as number,
    calls: calls.get(index) ?? [],
    texts: texts.get(index) ?? [],
  }));
}
