/**
 * BTF for a program: its functions, and for every instruction the script's line, which
 * the verifier then prints in its log. Callbacks need theirs to be accepted at all: the
 * verifier takes the address of a function only when BTF calls it static.
 *
 * Formats: Documentation/bpf/btf.rst (type section, func_info, line_info).
 */
import type { Source } from '../../diag/source.ts';

const MAGIC = 0xeb9f;
const HEADER_BYTES = 24;
const Kind = { INT: 1, PTR: 2, FUNC: 12, FUNC_PROTO: 13 } as const;
const Linkage = { STATIC: 0, GLOBAL: 1 } as const;
const INT_SIGNED = 1 << 24;
/** bpf_line_info.line_col: column in the low 10 bits. */
const MAX_COLUMN = 1023;
const MAX_LINE = (1 << 22) - 1;

export interface FunctionPlace {
  readonly name: string;
  readonly slot: number;
  /** The verifier looks at it by itself; others are followed from where they are called. */
  readonly global: boolean;
  readonly parameters: readonly ('pointer' | 'scalar')[];
}

export interface ProgramBtf {
  readonly btf: Uint8Array;
  readonly funcInfo: Uint8Array;
  /** Empty when no instruction has a span, or there is no source. */
  readonly lineInfo: Uint8Array;
}

class Strings {
  readonly #offsets = new Map<string, number>([['', 0]]);
  readonly #parts: Uint8Array[] = [new Uint8Array(1)];
  readonly #encoder = new TextEncoder();
  size = 1;

  offset(text: string): number {
    const known = this.#offsets.get(text);
    if (known !== undefined) return known;
    // A NUL would end the string early.
    const bytes = this.#encoder.encode(`${text.replaceAll('\0', ' ')}\0`);
    const offset = this.size;
    this.#parts.push(bytes);
    this.#offsets.set(text, offset);
    this.size += bytes.length;
    return offset;
  }

  writeTo(target: Uint8Array, at: number): void {
    let offset = at;
    for (const part of this.#parts) {
      target.set(part, offset);
      offset += part.length;
    }
  }
}

/** A name that the kernel takes for a C identifier. */
const identifier = (name: string): string => name.replace(/[^A-Za-z0-9_]/g, '_').replace(/^(?=[0-9]|$)/, '_');

const words = (values: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

/** `functions[0]` is the main one; `spans` as in BpfProgram. */
export function buildBtf(
  functions: readonly FunctionPlace[],
  spans: Int32Array,
  code: Uint8Array,
  source: Source | undefined,
): ProgramBtf {
  const strings = new Strings();
  const types: number[] = [];
  let typeCount = 0;
  const add = (name: string, kind: number, vlen: number, sizeOrType: number, ...rest: readonly number[]): number => {
    types.push(strings.offset(name), (kind << 24) | vlen, sizeOrType, ...rest);
    return ++typeCount;
  };
  const long = add('long', Kind.INT, 0, 8, INT_SIGNED | 64);
  const pointer = add('', Kind.PTR, 0, 0);
  const funcInfo: number[] = [];
  for (const fn of functions) {
    const parameters = fn.parameters.flatMap((cls, number) => [
      strings.offset(`arg${number}`),
      cls === 'pointer' ? pointer : long,
    ]);
    const proto = add('', Kind.FUNC_PROTO, fn.parameters.length, long, ...parameters);
    funcInfo.push(fn.slot, add(identifier(fn.name), Kind.FUNC, fn.global ? Linkage.GLOBAL : Linkage.STATIC, proto));
  }

  const lineInfo = source === undefined ? [] : lines(functions, spans, code, source, strings);
  const typeBytes = types.length * 4;
  const btf = new Uint8Array(HEADER_BYTES + typeBytes + strings.size);
  const view = new DataView(btf.buffer);
  view.setUint16(0, MAGIC, true);
  view.setUint8(2, 1);
  view.setUint32(4, HEADER_BYTES, true);
  view.setUint32(8, 0, true);
  view.setUint32(12, typeBytes, true);
  view.setUint32(16, typeBytes, true);
  view.setUint32(20, strings.size, true);
  btf.set(words(types), HEADER_BYTES);
  strings.writeTo(btf, HEADER_BYTES + typeBytes);
  return { btf, funcInfo: words(funcInfo), lineInfo: words(lineInfo) };
}

/** bpf_line_info records; the kernel wants one at the first instruction of every function, none inside a ld_imm64. */
function lines(
  functions: readonly FunctionPlace[],
  spans: Int32Array,
  code: Uint8Array,
  source: Source,
  strings: Strings,
): number[] {
  const records: number[] = [];
  const slots = spans.length / 2;
  const firstSpan = spans.find((offset, index) => index % 2 === 0 && offset >= 0);
  if (firstSpan === undefined) return records;
  const starts = new Set(functions.map((fn) => fn.slot));
  let last = -1;
  for (let slot = 0; slot < slots; slot++) {
    const start = spans[slot * 2] as number;
    const isStart = starts.has(slot);
    // Opcode 0 is the second half of a ld_imm64.
    if (code[slot * 8] === 0) continue;
    if (!isStart && (start < 0 || start === last)) continue;
    const offset = start >= 0 ? start : (nextSpan(spans, slot) ?? firstSpan);
    last = offset;
    const { name, line, column } = source.position(offset);
    records.push(
      slot,
      strings.offset(name),
      strings.offset(source.lineAt(offset)),
      (Math.min(line, MAX_LINE) << 10) | Math.min(column, MAX_COLUMN),
    );
  }
  return records;
}

function nextSpan(spans: Int32Array, slot: number): number | undefined {
  for (let at = slot * 2; at < spans.length; at += 2) if ((spans[at] as number) >= 0) return spans[at];
  return undefined;
}
