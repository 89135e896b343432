/** ntop, pton: internet addresses. */
import { describe } from '../../types/layout.ts';
import { inetType, type Type, uint8 } from '../../types/model.ts';
import { shifted } from '../lower/place.ts';
import { isIntegral, isUnknown } from '../sema/scope.ts';
import type { Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

const AF_INET = 2;
const AF_INET6 = 10;

/** The 4 or 16 bytes of an address as text, undefined when it is none. */
export function parseAddress(text: string): Uint8Array | undefined {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (v4) {
    const bytes = v4.slice(1).map(Number);
    return bytes.every((byte) => byte < 256) ? Uint8Array.from(bytes) : undefined;
  }
  if (!text.includes(':') || /:::/.test(text)) return undefined;
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const embedded = tail ? parseAddress(tail[2] as string) : undefined;
  if (tail && embedded === undefined) return undefined;
  const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
  const [a, b, c, d] = embedded ?? [];
  const plain =
    tail && embedded ? `${tail[1]}${hex(a as number)}${hex(b as number)}:${hex(c as number)}${hex(d as number)}` : text;
  const halves = plain.split('::');
  if (halves.length > 2) return undefined;
  const words = halves.map((half) => (half === '' ? [] : half.split(':')));
  const count = words.reduce((sum, list) => sum + list.length, 0);
  if (halves.length === 1 ? count !== 8 : count > 7) return undefined;
  const all =
    halves.length === 1
      ? (words[0] as string[])
      : [...(words[0] as string[]), ...Array<string>(8 - count).fill('0'), ...(words[1] as string[])];
  const bytes = new Uint8Array(16);
  for (const [i, word] of all.entries()) {
    if (!/^[0-9a-f]{1,4}$/i.test(word)) return undefined;
    const value = Number.parseInt(word, 16);
    bytes[2 * i] = value >> 8;
    bytes[2 * i + 1] = value & 0xff;
  }
  return bytes;
}

export const ntopFunction: BuiltinFunction = {
  name: 'ntop',
  signature: 'ntop([family,] address)',
  about: 'an IPv4 or IPv6 address as text',
  arity: [1, 2],
  type: (sema, call): Type => {
    const address = call.args.at(-1) as Expr;
    if (call.args.length === 2) sema.integerArgument(call, 0);
    const type = sema.expr(address);
    const bytes = type.kind === 'array' ? type.length : type.kind === 'string' ? type.size - 1 : undefined;
    if (!isUnknown(type) && !isIntegral(type) && type.kind !== 'pointer' && bytes !== 4 && bytes !== 16) {
      sema.error(
        'argument-type',
        `ntop() expects an integer or an array of 4 or 16 bytes (${describe(type)} provided)`,
        address.span,
      );
    }
    if (type.kind === 'pointer') {
      sema.error(
        'argument-type',
        'ntop() takes the address itself, not a pointer to it',
        address.span,
        'dereference it: *$p',
      );
    }
    return inetType;
  },
  into: (low, call, to) => {
    const { b } = low;
    const address = call.args.at(-1) as Expr;
    const type = low.typeOf(address);
    const length = type.kind === 'array' ? type.length : type.kind === 'string' ? type.size - 1 : 4;
    if (call.args.length === 2) b.store(to.base, to.offset, 4, low.scalar(call.args[0] as Expr));
    else b.store(to.base, to.offset, 4, { imm: length === 16 ? AF_INET6 : AF_INET });
    low.clear(shifted(to, 4), 20);
    if (isIntegral(type)) {
      // The number is kept as it lies in memory: network byte order.
      b.store(to.base, to.offset + 4, 4, low.scalar(address));
      return;
    }
    low.copy(shifted(to, 4), low.place(address), length);
  },
};

export const macaddrFunction: BuiltinFunction = {
  name: 'macaddr',
  signature: 'macaddr(address)',
  about: 'the 6 bytes of a hardware address as text',
  arity: [1, 1],
  type: (sema, call): Type => {
    const address = call.args[0] as Expr;
    const type = sema.expr(address);
    const bytes = type.kind === 'array' ? type.length : type.kind === 'string' ? type.size - 1 : undefined;
    if (!isUnknown(type) && bytes !== 6) {
      sema.error('argument-type', `macaddr() takes an array of 6 bytes (${describe(type)} provided)`, address.span);
    }
    return { kind: 'mac_address' };
  },
  into: (low, call, to) => {
    low.clear(to, 8);
    low.copy(to, low.place(call.args[0] as Expr), 6);
  },
};

export const ptonFunction: BuiltinFunction = {
  name: 'pton',
  signature: 'pton("address")',
  about: 'the 4 or 16 bytes of an address',
  arity: [1, 1],
  type: (sema, call): Type => {
    const argument = call.args[0];
    if (argument && argument.node !== 'type') sema.expr(argument);
    const text = sema.literalText(argument);
    const bytes = text === undefined ? undefined : parseAddress(text);
    if (bytes === undefined) {
      sema.error(
        'bad-address',
        text === undefined ? 'pton() takes a literal address' : `pton() expects an IPv4 or IPv6 address, got '${text}'`,
        argument?.span ?? call.span,
      );
      return { kind: 'array', of: uint8, length: 4 };
    }
    sema.facts.notes.set(call, bytes);
    return { kind: 'array', of: uint8, length: bytes.length };
  },
  into: (low, call, to) => {
    const bytes = low.facts.notes.get(call) as Uint8Array;
    low.writeBytes(to, bytes, bytes.length === 4 ? 8 : 16);
  },
};
