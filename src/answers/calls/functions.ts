/**
 * What of a function's arguments and result can be had, and how it is shown: where its
 * debugging information (or the calling convention) says that they are, in terms of what a
 * record of a call holds: the six argument registers, two words of the stack, some texts.
 */

import { mostTexts, TextKind } from '../../program/calls.ts';
import type { Content } from '../../types/content.ts';
import { sizeOf } from '../../types/layout.ts';
import type { Location } from '../../types/location.ts';
import type { CompositeType, Type } from '../../types/model.ts';
import { Printers } from '../../types/printers.ts';
import type { ProgramFunction, ProgramVariable } from '../../types/source.ts';

/** kind, word, word of the length, offset of the address and of the length in an object (program/calls.ts). */
export type TextSpec = readonly [kind: number, word: number, length: number, address: number, size: number];

/** How an argument or the result is shown. */
export interface ValuePlan {
  readonly name: string;
  readonly type: Type;
  readonly from:
    | { readonly kind: 'word'; readonly word: number }
    | { readonly kind: 'words'; readonly words: readonly number[] }
    /** The object's address is the word. */
    | { readonly kind: 'object'; readonly word: number }
    | { readonly kind: 'unavailable'; readonly reason: string };
  /** Index of the text that it stands for. */
  readonly text?: number;
}

export interface FunctionPlan {
  /** undefined: not known, registers are shown as they are. */
  readonly arguments: readonly ValuePlan[] | undefined;
  /** undefined: not known; 'none': returns nothing. */
  readonly result: ValuePlan | 'none' | undefined;
  readonly texts: readonly TextSpec[];
  readonly resultText: TextSpec | undefined;
  readonly stackWords: number;
  /** How many argument registers are worth showing where nothing is known. */
  readonly registers: number;
}

const printers = new Printers();

/** DWARF numbers of rdi, rsi, rdx, rcx, r8, r9 (System V ABI, figure 3.36). */
const argumentRegisters = [5, 4, 1, 2, 8, 9];
const [rax, rdx, rsp] = [0, 1, 7];
export const registerNames = ['rdi', 'rsi', 'rdx', 'rcx', 'r8', 'r9'] as const;
const stackWordCount = 2;

/** Without debugging information: as many registers as the name has parameters, `this` among them. */
export function planWithoutTypes(demangled: string): FunctionPlan {
  const parameters = parameterCount(demangled);
  const registers =
    parameters === undefined
      ? 3
      : Math.min(registerNames.length, parameters + (/::/.test(demangled.split('(')[0] ?? '') ? 1 : 0));
  const result = returnsNothing(demangled) ? 'none' : undefined;
  return { arguments: undefined, result, texts: [], resultText: undefined, stackWords: 0, registers };
}

/** Constructors and destructors. */
function returnsNothing(demangled: string): boolean {
  const [, scope, name] = /(?:^|[:\s])(\w+)(?:<.*>)?::(~?\w+)\(/s.exec(demangled) ?? [];
  return name !== undefined && (name.startsWith('~') || name === scope);
}

/** Parameters that a demangled name tells of; undefined when it tells none. */
export function parameterCount(demangled: string): number | undefined {
  if (!/\)(?: const)?(?: volatile)?(?: &&?)?(?: \[[^\]]*\])*$/.test(demangled)) return undefined;
  // What is in the last pair of parentheses, as `(anonymous namespace)::f(int)` has others before.
  let depth = 0;
  let start = -1;
  const end = demangled.lastIndexOf(')');
  for (let at = end; at >= 0 && start < 0; at--) {
    const char = demangled[at];
    if (char === ')') depth++;
    else if (char === '(' && --depth === 0) start = at + 1;
  }
  const inner = demangled.slice(start, end).trim();
  if (inner === '' || inner === 'void') return 0;
  let count = 1;
  let nesting = 0;
  for (const char of inner) {
    if ('(<[{'.includes(char)) nesting++;
    else if (')>]}'.includes(char)) nesting--;
    else if (char === ',' && nesting === 0) count++;
  }
  return count;
}

export function planOf(described: ProgramFunction): FunctionPlan {
  const texts: TextSpec[] = [];
  // The first argument on the stack that is wanted decides which two words are taken.
  const stack = described.parameters.flatMap(({ location }) => stackOffsets(location));
  const stackWords = stack.length === 0 ? 0 : Math.min(...stack);
  const wordOf = (location: Location): number | undefined => argumentWord(location, stackWords);
  const values = described.parameters.map((parameter): ValuePlan => {
    const plan = planValue(parameter, wordOf, (location) =>
      location.kind === 'memory' && location.address.op === 'register'
        ? index(argumentRegisters.indexOf(location.address.register))
        : undefined,
    );
    const text = texts.length < mostTexts ? textOf(plan) : undefined;
    return text === undefined ? plan : { ...plan, text: texts.push(text) - 1 };
  });
  const { result } = described;
  const resultWord = (location: Location): number | undefined =>
    location.kind === 'register' ? index([rax, rdx].indexOf(location.register)) : undefined;
  const resultPlan =
    result.type.kind === 'void'
      ? 'none'
      : planValue(result, resultWord, (location) =>
          location.kind === 'memory' && location.address.op === 'register' && location.address.register === rax
            ? 0
            : undefined,
        );
  const resultText = resultPlan === 'none' ? undefined : textOf(resultPlan);
  return {
    arguments: values,
    result: resultPlan === 'none' || resultText === undefined ? resultPlan : { ...resultPlan, text: 0 },
    texts,
    resultText,
    stackWords,
    registers: registerNames.length,
  };
}

const index = (found: number): number | undefined => (found < 0 ? undefined : found);

/** Offset from the return address, of memory at the stack pointer plus a constant. */
function stackOffset(location: Location): number | undefined {
  if (location.kind !== 'memory') return undefined;
  const { address } = location;
  if (address.op !== 'binary' || address.operator !== 'add' || address.right.op !== 'constant') return undefined;
  return address.left.op === 'register' && address.left.register === rsp ? Number(address.right.value) : undefined;
}

function stackOffsets(location: Location): number[] {
  if (location.kind === 'pieces') return location.pieces.flatMap((piece) => stackOffsets(piece.location));
  const offset = stackOffset(location);
  return offset === undefined ? [] : [offset];
}

function argumentWord(location: Location, stackWords: number): number | undefined {
  if (location.kind === 'register') return index(argumentRegisters.indexOf(location.register));
  const offset = stackOffset(location);
  if (offset === undefined) return undefined;
  const number = (offset - stackWords) / 8;
  return Number.isInteger(number) && number < stackWordCount ? registerNames.length + number : undefined;
}

function planValue(
  { name, type, location }: ProgramVariable,
  wordOf: (location: Location) => number | undefined,
  objectAt: (location: Location) => number | undefined,
): ValuePlan {
  const plan = (from: ValuePlan['from']): ValuePlan => ({ name, type, from });
  if (location.kind === 'unavailable') return plan({ kind: 'unavailable', reason: location.reason });
  const object = objectAt(location);
  if (object !== undefined) return plan({ kind: 'object', word: object });
  if (location.kind === 'pieces') {
    const words = location.pieces.map((piece) => wordOf(piece.location));
    const known = words.flatMap((word) => (word === undefined ? [] : [word]));
    const whole = known.length === words.length && location.pieces.length <= 2;
    return plan(whole ? { kind: 'words', words: known } : { kind: 'unavailable', reason: 'a part of it is nowhere' });
  }
  const word = wordOf(location);
  if (word !== undefined && sizeOf(type) <= 8) return plan({ kind: 'word', word });
  return plan({ kind: 'unavailable', reason: 'it is not among what is taken of a call' });
}

const isChar = (type: Type): boolean => type.kind === 'int' && type.size === 1 && type.signed;

function textContent(type: Type): Extract<Content, { kind: 'text' }> | undefined {
  if (type.kind !== 'struct') return undefined;
  const content = printers.contentOf(type as CompositeType);
  return content?.kind === 'text' ? content : undefined;
}

/** How to read the text that a value is, or points to; undefined when it is none. */
function textOf({ type, from }: ValuePlan): TextSpec | undefined {
  if (from.kind === 'word' && type.kind === 'pointer') {
    const to = type.to();
    if (isChar(to)) return [TextKind.string, from.word, 0, 0, 0];
    return type.reference === true || textContent(to) !== undefined ? objectText(to, from.word) : undefined;
  }
  if (from.kind === 'object') return objectText(type, from.word);
  if (from.kind !== 'words' || from.words.length !== 2) return undefined;
  const content = textContent(type);
  if (content?.data.kind !== 'word' || content.length.kind !== 'word' || content.short) return undefined;
  const at = (offset: number): number => from.words[offset >> 3] as number;
  return [TextKind.counted, at(content.data.offset), at(content.length.offset), 0, 0];
}

function objectText(type: Type, word: number): TextSpec | undefined {
  const content = textContent(type);
  if (content?.data.kind !== 'word' || content.length.kind !== 'word') return undefined;
  const [address, size] = [content.data.offset, content.length.offset];
  if (address > 16 || size > 16) return undefined;
  return [content.short ? TextKind.short : TextKind.object, word, 0, address, size];
}
