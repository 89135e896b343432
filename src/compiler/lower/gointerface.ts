/**
 * What an interface of Go holds: the name of its type and its value, by the description
 * that the runtime has of each type (internal/abi, type.go; runtime/type.go before Go 1.21).
 * Numbers, texts and pointers are taken whole, structs with their first fields, also
 * through a pointer.
 */
import {
  goFieldName,
  goFields,
  goFieldText,
  goInterfaceLayout,
  goUnreadable,
  type Schema,
} from '../../program/schema.ts';
import type { Content } from '../../types/content.ts';
import { int32, uint8, uint64 } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import { lowerComputation } from './locations.ts';
import type { Lower } from './lower.ts';
import { measure, memory, readText } from './measure.ts';
import { type DirectPlace, shifted } from './place.ts';

/** Offsets in abi.Type, abi.PtrType, abi.StructType (its slice of fields) and abi.StructField. */
const typeFlags = 20;
const typeKind = 23;
const typeName = 40;
const pointerTarget = 48;
const structFields = 56;
const fieldSize = 24;

/** abi.TFlagExtraStar: the name of T is kept as that of *T. */
const extraStar = 2;
/** The word of the interface is the value, not its address: of the kind, and since Go 1.26 of the flags. */
const direct = 1 << 5;
const kindMask = (1 << 5) - 1;
const kindPointer = 22;
const kindString = 24;
const kindStruct = 25;

interface GoInterfaceCapture {
  readonly size: number;
  readonly schema: Schema;
  readonly write: (low: Lower, from: unknown, to: DirectPlace, object: DirectPlace) => void;
}

export function goInterfaceCapture(content: Content & { kind: 'gotype' }, limit: number): GoInterfaceCapture {
  const layout = goInterfaceLayout(limit);
  return {
    size: layout.size,
    schema: { kind: 'go_interface', limit },
    write: (low, _from, to, object) => {
      const { b } = low;
      const done = b.label();
      const type = b.reg();
      b.mov(type, measure(low, object, content.address));
      b.store(to.base, to.offset, 8, type);
      b.branch('eq', type, { imm: 0 }, done);
      if (content.through !== undefined) b.mov(type, low.readScalar(memory(type, content.through), uint64));
      const flags = low.readScalar(memory(type, typeFlags), uint8);
      const offset = low.readScalar(memory(type, typeName), int32);
      const name = b.alu('add', lowerComputation(low, content.names), offset);
      takeName(low, name, b.alu('and', flags, { imm: extraStar }), shifted(to, layout.name), limit);

      const described = low.readScalar(memory(type, typeKind), uint8);
      const kind = b.alu('and', described, { imm: kindMask });
      const data = b.load(object.base, object.offset + 8, 8);
      const value = shifted(to, layout.value);
      b.store(value.base, value.offset, 8, kind);
      b.store(to.base, to.offset + layout.count, 8, b.const(-1n));
      const behind = b.label();
      const struct = b.label();
      const owner = b.reg();
      b.mov(owner, type);
      b.branch('eq', b.alu('and', b.alu('or', described, flags), { imm: direct }), { imm: 0 }, behind);
      b.store(value.base, value.offset + 8, 8, data);
      b.branch('ne', kind, { imm: kindPointer }, done);
      b.branch('eq', data, { imm: 0 }, done);
      b.mov(owner, low.readScalar(memory(type, pointerTarget), uint64));
      const target = b.alu('and', low.readScalar(memory(owner, typeKind), uint8), { imm: kindMask });
      b.branch('eq', target, { imm: kindStruct }, struct);
      b.jump(done);

      b.place(behind);
      b.branch('eq', kind, { imm: kindStruct }, struct);
      takeValue(low, kind, data, value, limit);
      b.jump(done);

      b.place(struct);
      const fields = low.readScalar(memory(owner, structFields), uint64);
      const count = low.readScalar(memory(owner, structFields + 8), uint64);
      b.store(to.base, to.offset + layout.count, 8, count);
      for (let index = 0; index < goFields; index++) {
        b.branch('ule', count, { imm: index }, done);
        low.scoped(() => takeField(low, fields, index, data, shifted(to, layout.fields + index * layout.stride)));
      }
      b.place(done);
    },
  };
}

function takeField(low: Lower, fields: Reg, index: number, data: Reg, to: DirectPlace): void {
  const { b } = low;
  const word = (at: number): Reg => low.readScalar(memory(fields, index * fieldSize + at), uint64);
  takeName(low, word(0), b.const(0), to, goFieldName);
  const type = word(8);
  const value = shifted(to, 8 + goFieldName);
  const kind = b.alu('and', low.readScalar(memory(type, typeKind), uint8), { imm: kindMask });
  b.store(value.base, value.offset, 8, kind);
  takeValue(low, kind, b.alu('add', data, word(16)), value, goFieldText);
}

/** A name (abi.Name): a byte of flags, the length in groups of seven bits, the text; without its first letter where `star` is not 0. */
function takeName(low: Lower, name: Reg, star: Reg, to: DirectPlace, limit: number): void {
  const { b } = low;
  const first = low.readScalar(memory(name, 1), uint8);
  const length = b.reg();
  const data = b.reg();
  const short = b.label();
  b.mov(length, first);
  b.mov(data, b.alu('add', name, { imm: 2 }));
  b.branch('ult', first, { imm: 0x80 }, short);
  const second = low.readScalar(memory(name, 2), uint8);
  b.mov(
    length,
    b.alu('or', b.alu('and', first, { imm: 0x7f }), b.alu('shl', b.alu('and', second, { imm: 0x7f }), { imm: 7 })),
  );
  b.push({ op: 'alu', operator: 'add', dst: data, left: data, right: { imm: 1 } });
  b.place(short);
  const whole = b.label();
  b.branch('eq', star, { imm: 0 }, whole);
  b.push({ op: 'alu', operator: 'add', dst: data, left: data, right: { imm: 1 } });
  b.push({ op: 'alu', operator: 'sub', dst: length, left: length, right: { imm: 1 } });
  b.place(whole);
  takeText(low, data, length, to, limit);
}

function takeText(low: Lower, data: Reg, length: Reg, to: DirectPlace, limit: number): void {
  const { b } = low;
  b.store(to.base, to.offset, 8, length);
  const read = b.label();
  const status = readText(low, shifted(to, 8), data, length, limit);
  b.branch('sge', status, { imm: 0 }, read);
  b.store(to.base, to.offset, 8, status);
  b.place(read);
}

/** The first 16 bytes of a value, as far as they can be read, and of a string its text. */
function takeValue(low: Lower, kind: Reg, address: Reg, to: DirectPlace, limit: number): void {
  const { b } = low;
  const taken = b.label();
  const done = b.label();
  b.branch('sge', low.tryRead(shifted(to, 8), memory(address), 16), { imm: 0 }, taken);
  // It may be the last of its page.
  b.branch('sge', low.tryRead(shifted(to, 8), memory(address), 8), { imm: 0 }, taken);
  b.store(to.base, to.offset, 8, { imm: goUnreadable });
  b.jump(done);
  b.place(taken);
  b.branch('ne', kind, { imm: kindString }, done);
  takeText(low, b.load(to.base, to.offset + 8, 8), b.load(to.base, to.offset + 16, 8), shifted(to, 24), limit);
  b.place(done);
}
