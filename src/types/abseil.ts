/** absl::Status and StatusOr: a code in the word itself, or the address of a record with code and message. */
import type { Content, Measure } from './content.ts';
import { findField, sizeOf } from './layout.ts';
import { type CompositeType, type Field, int32, pointerTo, type Type } from './model.ts';

interface Line {
  readonly type: CompositeType;
  measure(key: string): Measure | undefined;
  member(key: string): { readonly offset: number; readonly type: Type } | undefined;
}

/** absl::StatusCode, by number (absl/status/status.h). */
const codes: readonly string[] = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

/** StatusRep, whose members have got an underscore when the meaning of the word's lowest bit was turned round (2024). */
interface StatusRecord {
  readonly code: Field;
  readonly message: Field;
  readonly type: CompositeType;
  readonly tagged: 'address' | 'code';
}

/** How the two C++ libraries call std::string; clang names its arguments with a blank, gcc too. */
const strings: readonly string[] = [
  'std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >',
  'std::__1::basic_string<char, std::__1::char_traits<char>, std::__1::allocator<char> >',
  'std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char>>',
  'std::__1::basic_string<char, std::__1::char_traits<char>, std::__1::allocator<char>>',
];

function recordOf(status: CompositeType): StatusRecord | undefined {
  const type = status.inProgram?.(status.name.replace(/Status$/, 'status_internal::StatusRep'));
  if (type?.kind !== 'struct' || type.size === 0) return knownRecord(status);
  const tagged = findField(type, 'code_') === undefined ? 'address' : 'code';
  const code = findField(type, tagged === 'code' ? 'code_' : 'code')?.field;
  const message = findField(type, tagged === 'code' ? 'message_' : 'message')?.field;
  return code && message && { code, message, type, tagged };
}

/** Where the program only declares it (clang): reference count, code, message, as all versions have had it. */
function knownRecord(status: CompositeType): StatusRecord | undefined {
  const string = strings.map((name) => status.inProgram?.(name)).find((found) => found !== undefined);
  if (string === undefined) return undefined;
  const code: Field = { name: 'code', type: int32, offset: 4 };
  const message: Field = { name: 'message', type: string, offset: 8 };
  const type: CompositeType = {
    kind: 'struct',
    name: `${status.name}Rep`,
    size: 8 + sizeOf(string),
    fields: () => [code, message],
  };
  const [, year] = /::(?:lts_|debian)(\d{4})?/.exec(status.name) ?? [];
  const released = /::(?:lts_|debian)/.test(status.name);
  return { code, message, type, tagged: released && Number(year ?? 0) < 2024 ? 'address' : 'code' };
}

const codeCases = (value: (code: number) => number, message?: Field) =>
  codes.map((name, code) => ({
    value: BigInt(value(code)),
    name,
    offset: message?.offset ?? 0,
    of: code === 0 ? undefined : message?.type,
  }));

/** Its code, and the message where there is one. */
export function status(line: Line): Content | undefined {
  const word = line.measure('value');
  const record = recordOf(line.type);
  if (word === undefined) return undefined;
  const tag = record?.tagged === 'code' ? 1 : 0;
  // A code is shifted by two bits; the lowest one tells it from an address.
  const inline = codeCases((code) => code * 4 + tag);
  if (record === undefined) return { kind: 'alternatives', index: word, cases: inline };
  const { type, code } = record;
  const shown: CompositeType = {
    ...type,
    variants: () => ({
      kind: 'alternatives',
      index: { kind: 'word', offset: code.offset, size: 4, signed: false },
      cases: codeCases((number) => number, record.message),
    }),
  };
  const address: Measure =
    record.tagged === 'code' ? word : { kind: 'sum', left: word, right: { kind: 'constant', value: -1 } };
  const pointer: CompositeType = {
    kind: 'struct',
    name: `${line.type.name}::rep`,
    size: 8,
    fields: () => [{ name: 'rep', type: pointerTo(type, 'user'), offset: 0 }],
    variants: () => ({ kind: 'pointer', address, of: shown }),
  };
  return {
    kind: 'alternatives',
    index: word,
    cases: [...inline, { value: undefined, name: '', offset: 0, of: pointer }],
  };
}

/** The value, or the status that says why there is none. */
export function statusOr(line: Line): Content | undefined {
  const word = line.measure('status');
  const held = line.member('status');
  const value = line.member('value');
  if (word === undefined || held?.type.kind !== 'struct' || value === undefined) return undefined;
  const ok = recordOf(held.type)?.tagged === 'code' ? 1n : 0n;
  return {
    kind: 'alternatives',
    index: word,
    cases: [
      { value: ok, name: '', offset: value.offset, of: value.type },
      { value: undefined, name: '', offset: held.offset, of: held.type },
    ],
  };
}
