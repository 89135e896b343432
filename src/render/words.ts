/**
 * A value in words, as bpftrace 0.26 prints it: the one place where values become
 * text. printf's `%s`, print(), map keys and JSON strings all come through here.
 */
import { unreachable } from '../base/errors.ts';
import { defaultFrames } from '../program/unwind.ts';
import type { ArrayValue, Integer, StackValue, StringValue, Value } from '../values/value.ts';
import { callableText } from './callable.ts';
import { errorText, signalText } from './messages.ts';
import type { Names, SourceLine, SymbolName } from './names.ts';
import { strftime } from './strftime.ts';

/** What wording depends on besides the value. */
export interface Wording {
  readonly names: Names;
  /** Config str_trunc_trailer: stands after a string that was cut. */
  readonly trailer: string;
}

/** `plain` for the screen; `compact` for keys in JSON: no blanks between parts, no indentation of frames. */
export type Layout = 'plain' | 'compact';

/** 0x… in hex; bpftrace prints the null pointer as a bare 0. */
export function hexText(value: Integer): string {
  if (value === 0) return '0';
  return value < 0 ? `0x${BigInt.asUintN(64, BigInt(value)).toString(16)}` : `0x${value.toString(16)}`;
}

export function stringText(value: StringValue, wording: Wording): string {
  if (value.typeName) return value.text === '' ? '' : wording.names.typeName(value.text);
  return value.cut ? value.text + wording.trailer : value.text;
}

const printable = (byte: number): boolean => byte >= 0x20 && byte < 0x7f;
const hexByte = (byte: number): string => byte.toString(16).padStart(2, '0');

/** `%r`: printable characters as they are, the rest as \x.. */
export function bufferText(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += printable(byte) ? String.fromCharCode(byte) : `\\x${hexByte(byte)}`;
  return text;
}

/** `%rx`: every byte as \x.. */
export function bufferEscapes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => `\\x${hexByte(byte)}`).join('');
}

/** `%rh`: bytes in hex with blanks between. */
export function bufferHex(bytes: Uint8Array): string {
  return Array.from(bytes, hexByte).join(' ');
}

/** An IPv4 address with dots, an IPv6 address as RFC 5952 and inet_ntop(3) write it. */
export function inetText(family: number, bytes: Uint8Array): string {
  if (family !== 10) return Array.from(bytes.subarray(0, 4)).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] as number) << 8) | (bytes[2 * i + 1] as number));
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const mapped = best.start === 0 && (best.length === 6 || (best.length === 5 && groups[5] === 0xffff));
  const words = groups.map((group) => group.toString(16));
  if (mapped) words.splice(6, 2, Array.from(bytes.subarray(12, 16)).join('.'));
  if (best.start < 0) return words.join(':');
  const head = words.slice(0, best.start).join(':');
  const tail = words.slice(best.start + best.length).join(':');
  return `${head}::${tail}`;
}

/** Below this a user address is exact as a number; a bigger one is no address of x86-64 or arm64 user space. */
const largestUserAddress = 2 ** 53;

function symbolOf(space: 'user' | 'kernel', pid: number, address: Integer, names: Names): SymbolName | undefined {
  if (space === 'kernel') return names.kernelSymbol(BigInt(address));
  return typeof address === 'number' && address < largestUserAddress ? names.userSymbol(pid, address) : undefined;
}

/**
 * The function of a frame. A return address belongs to the call before it: behind a call
 * that does not return, another function may begin.
 */
function frameSymbol(stack: StackValue, address: Integer, names: Names, called: boolean): SymbolName | undefined {
  if (called && stack.space === 'user' && typeof address === 'number') {
    const symbol = symbolOf(stack.space, stack.pid, address - 1, names);
    if (symbol !== undefined) return { ...symbol, offset: symbol.offset + 1 };
  }
  return symbolOf(stack.space, stack.pid, address, names);
}

/** The kernel's frame below a signal handler, in libc and in Go: the next frame was interrupted, it called nothing. */
const signalFrame = /^(__restore_rt|runtime\.sigreturn)/;

/** A frame and all that is known of it. */
export interface NamedFrame {
  readonly address: Integer;
  /** undefined where nothing names it, and in stack mode raw. */
  readonly symbol: SymbolName | undefined;
  /** The functions inlined there, innermost first, and the function itself; of the call when the address is where one returns to. Empty where unknown. */
  readonly sources: readonly SourceLine[];
}

/** The frames of a stack, innermost first, with their names. */
export function namedFrames(stack: StackValue, names: Names): NamedFrame[] {
  const frames =
    stack.stored === undefined
      ? stack.frames
      : names.storedStack(stack.stored.map, stack.stored.id, stack.stored.count);
  let called = false;
  return (frames ?? []).map((address) => {
    if (stack.mode === 'raw') return { address, symbol: undefined, sources: [] };
    const symbol = frameSymbol(stack, address, names, called);
    const sources =
      stack.space === 'user' && typeof address === 'number' && address < largestUserAddress
        ? (names.userSource?.(stack.pid, called ? address - 1 : address) ?? [])
        : [];
    called = !signalFrame.test(symbol?.name ?? '');
    return { address, symbol, sources };
  });
}

/** The lines of one frame. */
function frameText(stack: StackValue, { address, symbol, sources }: NamedFrame, names: Names, indent: string): string {
  if (stack.mode === 'raw') return `${address.toString(16)}\n`;
  if (stack.mode === 'build_id') {
    const place = typeof address === 'number' ? names.buildId(stack.pid, address) : undefined;
    return `${place === undefined ? hexText(address) : `${place.buildId} ${hexText(place.offset)}`}\n`;
  }
  const name = symbol === undefined ? hexText(address) : `${symbol.name}+${symbol.offset}`;
  const perf = stack.mode === 'perf';
  const start = perf ? `\t${address.toString(16)} ` : indent;
  const file = perf && stack.space === 'user' ? (symbol?.file ?? '[unknown]') : symbol?.file;
  const end = perf && file !== undefined ? ` (${file})` : '';
  const place = (one: SourceLine | undefined): string =>
    perf || one === undefined || one.file === '' ? '' : `@${one.file}:${one.line}`;
  let text = '';
  for (const one of sources.slice(0, -1)) text += `${start}${one.name || '[unknown]'}${place(one)} [inlined]${end}\n`;
  return `${text}${start}${name}${place(sources.at(-1))}${end}\n`;
}

/**
 * Why a stack ends where it does, when that is not the outermost frame.
 * @param last the address of the last frame
 * @param offsets say where in its function it lies
 */
export function endText(
  stack: StackValue,
  last: Integer | undefined,
  names: Names,
  offsets = true,
): string | undefined {
  const where = (): string => {
    if (last === undefined) return 'the first frame';
    const symbol = symbolOf(stack.space, stack.pid, last, names);
    if (symbol === undefined) return hexText(last);
    const place = offsets ? `${symbol.name}+${symbol.offset}` : symbol.name;
    return symbol.file === undefined ? place : `${place} (${symbol.file})`;
  };
  switch (stack.end) {
    case 'depth':
      return `depth limit ${defaultFrames}`;
    case 'no mapping':
      return 'the return address is not in code';
    case 'no rule':
      return `no unwind rule for ${where()}`;
    case 'unsupported rule':
      return `unsupported unwind rule for ${where()}`;
    case 'page not present':
      return 'page not present';
    case 'not indexed':
      return `unwind rules not read yet for ${where()}`;
    case 'no progress':
      return 'the caller lies below its callee';
    case 'busy':
      return 'the unwinder was busy';
    default:
      return undefined;
  }
}

/** A line break, then one line a frame; a last line in brackets when it ends early. */
export function stackText(stack: StackValue, wording: Wording, layout: Layout): string {
  const indent = layout === 'plain' ? '        ' : '';
  const frames = namedFrames(stack, wording.names);
  let text = '\n';
  for (const frame of frames) text += frameText(stack, frame, wording.names, indent);
  const end = endText(stack, frames.at(-1)?.address, wording.names);
  if (end !== undefined) text += `${stack.mode === 'bpftrace' ? indent : ''}[${end}]\n`;
  return text;
}

/** Any value in words. Histograms have none (they are drawn): their rows' counts stand for them. */
export function valueText(value: Value, wording: Wording, layout: Layout = 'plain'): string {
  switch (value.kind) {
    case 'int':
    case 'float':
      return String(value.value);
    case 'bool':
      return value.value ? 'true' : 'false';
    case 'enum':
      return value.name ?? String(value.value);
    case 'pointer':
      return value.value === 0 ? '0x0' : hexText(value.value);
    case 'string':
      return stringText(value, wording);
    case 'buffer':
      return bufferText(value.bytes);
    case 'array':
      return `[${arrayParts(value, wording, layout).join(',')}]`;
    case 'tuple':
      return `(${partsText(value.elements, wording, layout)})`;
    case 'record': {
      const tight = layout === 'compact';
      const fields = value.fields.map((field) => {
        const text = valueText(field.value, wording, layout);
        return tight ? `.${field.name}=${text}` : `.${field.name} = ${text}`;
      });
      return tight ? `{${fields.join(',')}}` : `{ ${fields.join(', ')} }`;
    }
    case 'inet':
      return inetText(value.family, value.bytes);
    case 'mac_address':
      return Array.from(value.bytes, (byte) => hexByte(byte).toUpperCase()).join(':');
    case 'unavailable':
      return `<${value.reason}>`;
    case 'nothing':
      return 'none';
    case 'case':
      return value.value === undefined ? value.name : `${value.name}(${valueText(value.value, wording, layout)})`;
    case 'stack':
      return stackText(value, wording, layout);
    case 'symbol':
      return symbolOf(value.space, value.pid, value.address, wording.names)?.name ?? hexText(value.address);
    case 'callable': {
      const { names } = wording;
      const named = (address: Integer): string | undefined => symbolOf('user', value.pid, address, names)?.name;
      const invoker = value.className === '' ? named(value.invoker) : names.typeName(value.className);
      return callableText(invoker, () => named(value.target)) ?? hexText(value.invoker);
    }
    case 'timestamp': {
      const { names } = wording;
      return strftime(value.format, names.wallClock(value.clock, value.ns), (seconds) => names.timeZone(seconds));
    }
    case 'probe_name':
      return wording.names.probeName(value.value) ?? String(value.value);
    case 'username':
      return wording.names.userName(value.value) ?? String(value.value);
    case 'strerror':
      return errorText(Math.abs(value.value));
    case 'signal_name':
      return signalText(value.value);
    case 'syscall_name':
      return wording.names.syscallName(value.value) ?? 'Unknown syscall';
    case 'cgroup_path':
      return wording.names.cgroupPath(value.id, value.pattern) ?? String(value.id);
    case 'avg':
      return String(value.average);
    case 'stats':
      return `count ${value.count}, average ${value.average}, total ${value.total}`;
    case 'hist':
    case 'lhist':
      return value.counts.join(',');
    case 'tseries':
      return value.points.map((point) => String(point.value)).join(',');
    default:
      return unreachable(value, 'value kind');
  }
}

/** The elements, and a mark for those that were not read. */
function arrayParts(value: ArrayValue, wording: Wording, layout: Layout): string[] {
  const parts = value.elements.map((element) => valueText(element, wording, layout));
  if ((value.more ?? 0) > 0) parts.push(`…${value.more} more`);
  return parts;
}

/** Parts of a tuple or of a map's key, without brackets. */
export function partsText(parts: readonly Value[], wording: Wording, layout: Layout): string {
  return parts.map((part) => valueText(part, wording, layout)).join(layout === 'plain' ? ', ' : ',');
}

/** What stands between the brackets of `@m[…]`: a key that is one tuple shows its parts, like a key of several values. */
export function keyText(key: readonly Value[], wording: Wording, layout: Layout): string {
  const only = key.length === 1 ? key[0] : undefined;
  return partsText(only?.kind === 'tuple' ? only.elements : key, wording, layout);
}
