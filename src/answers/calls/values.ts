/** Arguments and results as text, and as plain values for JSON. */
import { sizeOf } from '../../types/layout.ts';
import type { Type } from '../../types/model.ts';
import { type FunctionPlan, registerNames, type ValuePlan } from './functions.ts';
import type { Call, Text } from './tree.ts';

export interface ShownValue {
  readonly name: string;
  /** As C would have it, or a name; `?` where it is not to be had. */
  readonly text: string;
  /** For programs: a number, a text, a boolean, `0x…`; undefined where it is not to be had. */
  readonly value: number | string | boolean | undefined;
  /** Why not. */
  readonly reason?: string;
}

const hex = (value: bigint): string => `0x${BigInt.asUintN(64, value).toString(16)}`;

export function argumentsOf(call: Call, plan: FunctionPlan): readonly ShownValue[] {
  if (plan.arguments === undefined) {
    return registerNames
      .slice(0, plan.registers)
      .map((name, index) => ({ name, text: hex(call.words[index] ?? 0n), value: hex(call.words[index] ?? 0n) }));
  }
  return plan.arguments.map((argument) =>
    shown(argument, call.words, argument.text === undefined ? undefined : call.texts[argument.text]),
  );
}

/** undefined when the function returns nothing, or has not returned. */
export function resultOf(call: Call, plan: FunctionPlan): ShownValue | undefined {
  if (call.how !== 'returned' || plan.result === 'none') return undefined;
  if (plan.result === undefined) return { name: 'rax', text: hex(call.results[0]), value: hex(call.results[0]) };
  return shown(plan.result, call.results, plan.result.text === undefined ? undefined : call.resultText);
}

function shown(plan: ValuePlan, words: readonly bigint[], text: Text | undefined): ShownValue {
  const { name, type, from } = plan;
  if (from.kind === 'unavailable') return { name, text: '?', value: undefined, reason: from.reason };
  if (plan.text !== undefined && text?.bytes !== undefined && !(from.kind === 'word' && words[from.word] === 0n)) {
    const decoded = new TextDecoder().decode(text.bytes);
    return { name, text: `${quoted(decoded)}${text.cut ? '…' : ''}`, value: `${decoded}${text.cut ? '…' : ''}` };
  }
  if (from.kind === 'object') {
    const at = hex(words[from.word] ?? 0n);
    return { name, text: `{…} at ${at}`, value: at };
  }
  if (from.kind === 'words') {
    const all = from.words.map((word) => hex(words[word] ?? 0n)).join(', ');
    return { name, text: `{${all}}`, value: all };
  }
  return { name, ...scalar(type, words[from.word] ?? 0n) };
}

const escapes: Readonly<Record<string, string>> = { '\n': '\\n', '\t': '\\t', '\r': '\\r', '"': '\\"', '\\': '\\\\' };

function quoted(text: string): string {
  const inner = text.replace(
    /["\\\0-\x1f\x7f]/g,
    (char) => escapes[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return `"${inner}"`;
}

/** A value in the low bytes of a word. */
export function scalar(type: Type, word: bigint): { readonly text: string; readonly value: number | string | boolean } {
  switch (type.kind) {
    case 'bool':
      return (word & 0xffn) === 0n ? { text: 'false', value: false } : { text: 'true', value: true };
    case 'int': {
      const value = integer(word, type.size, type.signed);
      if (type.size !== 1) return number(value);
      const code = Number(value);
      const letter = code >= 0x20 && code < 0x7f ? ` '${String.fromCharCode(code)}'` : '';
      return { text: `${code}${letter}`, value: code };
    }
    case 'enum': {
      const value = integer(word, type.size, type.signed);
      const member = type.members.find((one) => one.value === value);
      return member === undefined ? number(value) : { text: member.name, value: member.name };
    }
    case 'pointer':
      return { text: hex(word), value: hex(word) };
    case 'struct':
    case 'union': {
      const bits = BigInt.asUintN(8 * Math.min(8, Math.max(1, sizeOf(type))), word);
      return { text: `{${hex(bits)}}`, value: hex(bits) };
    }
    default:
      return { text: hex(word), value: hex(word) };
  }
}

const integer = (word: bigint, size: number, signed: boolean): bigint =>
  signed ? BigInt.asIntN(8 * size, word) : BigInt.asUintN(8 * size, word);

/** Larger numbers than JSON's readers keep whole are texts. */
function number(value: bigint): { text: string; value: number | string } {
  const small = value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
  return { text: String(value), value: small ? Number(value) : String(value) };
}
