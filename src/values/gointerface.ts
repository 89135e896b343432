/** What an interface of Go holds, out of a record: the name of its type, and the value by its kind (internal/abi, type.go). */
import { goFieldName, goFields, goFieldText, goInterfaceLayout, goUnreadable, type Schema } from '../program/schema.ts';
import type { Value } from './value.ts';

/** Reads a value of a schema at an offset. */
type Read = (schema: Schema, offset: number) => Value;

const int = (size: 1 | 2 | 4 | 8, signed: boolean): Schema => ({ kind: 'int', size, signed });

/** By abi.Kind, from bool (1) to float64 (14). */
const numbers: readonly (Schema | undefined)[] = [
  undefined,
  { kind: 'bool' },
  ...([8, 1, 2, 4, 8] as const).map((size) => int(size, true)),
  ...([8, 1, 2, 4, 8, 8] as const).map((size) => int(size, false)),
  { kind: 'float', size: 4 },
  { kind: 'float', size: 8 },
];
const kindPointer = 22;
const kindString = 24;
const kindStruct = 25;
const kindUnsafePointer = 26;

const word = int(8, true);

function numberAt(read: Read, offset: number): number {
  const value = read(word, offset);
  return value.kind === 'int' ? Number(value.value) : 0;
}

export function goInterface(limit: number, offset: number, read: Read): Value {
  if (numberAt(read, offset) === 0) return { kind: 'nothing' };
  const layout = goInterfaceLayout(limit);
  const name = read({ kind: 'text', limit }, offset + layout.name);
  if (name.kind !== 'string') return name;
  const value = heldValue(limit, offset, read);
  return { kind: 'case', name: name.text, value };
}

function heldValue(limit: number, offset: number, read: Read): Value | undefined {
  const layout = goInterfaceLayout(limit);
  const at = offset + layout.value;
  const kind = numberAt(read, at);
  const count = numberAt(read, offset + layout.count);
  if (count >= 0 && (kind === kindStruct || kind === kindPointer)) {
    const fields = Array.from({ length: Math.min(count, goFields) }, (_, index) => {
      const place = offset + layout.fields + index * layout.stride;
      const name = read({ kind: 'text', limit: goFieldName }, place);
      const value = plainOf(goFieldText, place + 8 + goFieldName, read);
      return {
        name: name.kind === 'string' ? name.text : String(index),
        value: value ?? ({ kind: 'unavailable', reason: '…' } as const),
      };
    });
    if (count > goFields) {
      fields.push({ name: '…', value: { kind: 'unavailable', reason: `${count - goFields} more` } });
    }
    return { kind: 'record', name: '', fields };
  }
  return plainOf(limit, at, read);
}

/** A number, a text or an address; undefined for anything else. */
function plainOf(limit: number, at: number, read: Read): Value | undefined {
  const kind = numberAt(read, at);
  if (kind === goUnreadable) return { kind: 'unavailable', reason: 'unreadable: page not present, or a bad address' };
  if (kind === kindString) return read({ kind: 'text', limit }, at + 24);
  if (kind === kindPointer || kind === kindUnsafePointer) return read({ kind: 'pointer' }, at + 8);
  const schema = numbers[kind];
  return schema === undefined ? undefined : read(schema, at + 8);
}
