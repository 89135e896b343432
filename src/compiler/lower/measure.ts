/** What an object's own bytes tell: numbers, and where its text is. */
import type { Content, Measure } from '../../types/content.ts';
import type { AddressSpace } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import type { Lower } from './lower.ts';
import { type DirectPlace, type Place, shifted } from './place.ts';

/** The address of a value in the program's memory; undefined for one that lies in the tracing program's own. */
export function addressOf(low: Lower, from: Place): Reg | undefined {
  if (from.kind !== 'memory') return undefined;
  return from.offset === 0 ? from.address : low.b.alu('add', from.address, { imm: from.offset });
}

export const memory = (address: Reg, offset = 0): Place => ({ kind: 'memory', address, offset, space: 'user' });

/** A number out of an object's bytes, which lie at `object`. */
export function measure(low: Lower, object: DirectPlace, value: Measure): Reg {
  const { b } = low;
  switch (value.kind) {
    case 'constant':
      return b.const(value.value);
    case 'word': {
      const raw = b.load(object.base, object.offset + value.offset, value.size);
      if (!value.signed || value.size === 8) return raw;
      const dst = b.reg();
      b.push({ op: 'extend', dst, src: raw, bits: (value.size * 8) as 8 | 16 | 32, signed: true });
      return dst;
    }
    case 'sum':
      return b.alu('add', measure(low, object, value.left), measure(low, object, value.right));
    case 'product':
      return b.alu('mul', measure(low, object, value.of), { imm: value.by });
    case 'shifted':
      return b.alu('lshr', measure(low, object, value.of), { imm: value.bits });
    case 'distance': {
      const bytes = b.alu('sub', measure(low, object, value.end), measure(low, object, value.first));
      return value.unit === 1 ? bytes : b.alu('sdiv', bytes, { imm: value.unit });
    }
  }
}

/** Where a text starts and how long it is; `object`: the object's bytes, `from` where they come from. */
export function textOf(
  low: Lower,
  content: Content & { kind: 'text' },
  from: Place,
  object: DirectPlace,
): { readonly data: Reg; readonly length: Reg } {
  const { b } = low;
  if (!content.short) return { data: measure(low, object, content.data), length: measure(low, object, content.length) };
  const data = b.reg();
  const length = b.reg();
  const long = b.label();
  const done = b.label();
  const first = b.load(object.base, object.offset, 1);
  b.branch('set', first, { imm: 1 }, long);
  b.mov(length, b.alu('lshr', first, { imm: 1 }));
  const address = addressOf(low, from);
  // Of a copy in a variable the text is in the copy.
  b.mov(data, address === undefined ? low.plain(low.addressOf(shifted(object, 1))) : b.alu('add', address, { imm: 1 }));
  b.jump(done);
  b.place(long);
  b.mov(data, measure(low, object, content.data));
  b.mov(length, measure(low, object, content.length));
  b.place(done);
  return { data, length };
}

/** Which memory the text of an object lies in: a short one of a copy in the copy. */
export const spaceOfText = (content: Content & { kind: 'text' }, from: Place): AddressSpace =>
  content.short && from.kind !== 'memory' ? 'either' : 'user';

/** Reads at most `limit` bytes of a text whose length is known; gives what the read gave. */
export function readText(
  low: Lower,
  to: DirectPlace,
  data: Reg,
  length: Reg,
  limit: number,
  space: AddressSpace = 'user',
): Reg {
  const { b } = low;
  const bounded = b.reg();
  b.mov(bounded, length);
  const fits = b.label();
  b.branch('ule', bounded, { imm: limit }, fits);
  b.push({ op: 'const', dst: bounded, value: BigInt(limit) });
  b.place(fits);
  const status = b.const(0);
  const empty = b.label();
  b.branch('eq', bounded, { imm: 0 }, empty);
  b.mov(status, low.tryReadSized(to, { kind: 'memory', address: data, offset: 0, space }, bounded));
  b.place(empty);
  return status;
}
