/**
 * DWARF expressions (DWARF 5, section 2.5 and 2.6; GNU's forerunners of the operations
 * of version 5) to the plain form that the compiler reads. Nothing is evaluated: what an
 * expression would push stays a computation, to be carried out at the probe.
 */
import { Cursor } from '../../bytes/cursor.ts';
import {
  type BinaryOperator,
  type Computation,
  constant,
  type Location,
  sum,
  unavailable,
} from '../../types/location.ts';
import * as dw from './constants.ts';
import { isBadInput, readSized } from './form.ts';
import type { Unit } from './unit.ts';

/** What an expression may refer to besides its own operands. */
export interface Surroundings {
  readonly unit: Unit;
  /** What DW_OP_fbreg counts from. */
  readonly frameBase?: (() => Computation | undefined) | undefined;
  /** The canonical frame address (DW_OP_call_frame_cfa). */
  readonly frameAddress?: (() => Computation | undefined) | undefined;
  /** What a register held when the function was entered. */
  readonly entryRegister?: ((register: number) => Computation | undefined) | undefined;
  /** What the stack holds at first: the object whose member is located, for DW_AT_data_member_location. */
  readonly initial?: readonly Computation[];
  /** Bytes of the value, for constants that stand in for it. */
  readonly size?: number;
}

/** Why an expression has no plain form. */
class Unsupported extends Error {}

const registersOfVectors = 17;
const mostNodes = 512;

/** The place or value that an expression means. */
export function readLocation(bytes: Uint8Array, around: Surroundings): Location {
  if (bytes.length === 0) return unavailable('optimized out');
  try {
    return new Reader(bytes, around).location();
  } catch (error) {
    if (error instanceof Unsupported) return unavailable(error.message);
    if (isBadInput(error)) return unavailable('its location in the debug information is damaged');
    throw error;
  }
}

/** The number that an expression leaves on its stack; undefined where it can't be told. */
export function readComputation(bytes: Uint8Array, around: Surroundings): Computation | undefined {
  const location = readLocation(bytes, around);
  if (location.kind === 'memory') return location.address;
  if (location.kind === 'value') return location.value;
  // A frame base is a register's content, not the register (section 3.3.5).
  if (location.kind === 'register') return { op: 'register', register: location.register };
  return undefined;
}

const binaryOperators: Readonly<Record<number, BinaryOperator>> = {
  [dw.DW_OP_and]: 'and',
  [dw.DW_OP_div]: 'sdiv',
  [dw.DW_OP_minus]: 'sub',
  [dw.DW_OP_mod]: 'umod',
  [dw.DW_OP_mul]: 'mul',
  [dw.DW_OP_or]: 'or',
  [dw.DW_OP_plus]: 'add',
  [dw.DW_OP_shl]: 'shl',
  [dw.DW_OP_shr]: 'lshr',
  [dw.DW_OP_shra]: 'ashr',
  [dw.DW_OP_xor]: 'xor',
  [dw.DW_OP_eq]: 'eq',
  [dw.DW_OP_ge]: 'sge',
  [dw.DW_OP_gt]: 'sgt',
  [dw.DW_OP_le]: 'sle',
  [dw.DW_OP_lt]: 'slt',
  [dw.DW_OP_ne]: 'ne',
};

class Reader {
  readonly #cursor: Cursor;
  readonly #around: Surroundings;
  readonly #stack: Computation[];
  #nodes = 0;

  constructor(bytes: Uint8Array, around: Surroundings) {
    this.#cursor = new Cursor(bytes, around.unit.sections.littleEndian);
    this.#around = around;
    this.#stack = [...(around.initial ?? [])];
  }

  location(): Location {
    const cursor = this.#cursor;
    const pieces: { size: number; location: Location }[] = [];
    let current: Location | undefined;
    let fresh = true;
    while (!cursor.atEnd) {
      const op = cursor.u8();
      if (op === dw.DW_OP_piece) {
        const size = cursor.uleb128();
        pieces.push({ size, location: fresh ? unavailable('optimized out') : this.#end(current) });
        this.#stack.length = 0;
        current = undefined;
        fresh = true;
        continue;
      }
      if (op === dw.DW_OP_bit_piece) throw new Unsupported('it lies in single bits of several places');
      fresh = false;
      const place = this.#place(op);
      if (place !== undefined) current = place;
      else this.#step(op);
    }
    if (pieces.length > 0) return { kind: 'pieces', pieces };
    return this.#end(current);
  }

  /** What stands when an expression, or a piece's, ends. */
  #end(current: Location | undefined): Location {
    if (current !== undefined) return current;
    return { kind: 'memory', address: this.#pop() };
  }

  /** Operations that say what kind of place it is. */
  #place(op: number): Location | undefined {
    const cursor = this.#cursor;
    if (op >= dw.DW_OP_reg0 && op < dw.DW_OP_breg0) return register(op - dw.DW_OP_reg0);
    switch (op) {
      case dw.DW_OP_regx:
        return register(cursor.uleb128());
      case dw.DW_OP_stack_value:
        return { kind: 'value', value: this.#pop() };
      case dw.DW_OP_implicit_value:
        return { kind: 'bytes', bytes: cursor.take(cursor.uleb128()).slice() };
      case dw.DW_OP_implicit_pointer:
      case dw.DW_OP_GNU_implicit_pointer:
        throw new Unsupported('what it points to was optimized out of memory');
      default:
        return undefined;
    }
  }

  #push(value: Computation): true {
    if (++this.#nodes > mostNodes) throw new Unsupported('its location is too long to follow');
    this.#stack.push(value);
    return true;
  }

  #pop(): Computation {
    const value = this.#stack.pop();
    if (value === undefined) throw new Unsupported('its location in the debug information is damaged');
    return value;
  }

  #pick(index: number): Computation {
    const value = this.#stack[this.#stack.length - 1 - index];
    if (value === undefined) throw new Unsupported('its location in the debug information is damaged');
    return value;
  }

  #register(number: number, offset: number): true {
    if (number >= registersOfVectors) throw new Unsupported(vectorRegister(number));
    return this.#push(sum({ op: 'register', register: number }, constant(offset)));
  }

  /** Carries out any other operation; says true when it was one. */
  #step(op: number): true {
    const cursor = this.#cursor;
    if (op >= dw.DW_OP_lit0 && op < dw.DW_OP_reg0) return this.#push(constant(op - dw.DW_OP_lit0));
    if (op >= dw.DW_OP_breg0 && op < dw.DW_OP_regx) return this.#register(op - dw.DW_OP_breg0, cursor.sleb128());
    const operator = binaryOperators[op];
    if (operator !== undefined) {
      const right = this.#pop();
      const left = this.#pop();
      return this.#push(operator === 'add' ? sum(left, right) : { op: 'binary', operator, left, right });
    }
    const { unit } = this.#around;
    switch (op) {
      case dw.DW_OP_addr:
        return this.#push({ op: 'address', address: readSized(cursor, unit.format.addressSize) });
      case dw.DW_OP_addrx:
      case dw.DW_OP_GNU_addr_index:
        return this.#push({ op: 'address', address: unit.addressAt(cursor.uleb128()) });
      case dw.DW_OP_constx:
      case dw.DW_OP_GNU_const_index:
        return this.#push(constant(unit.addressAt(cursor.uleb128())));
      case dw.DW_OP_const1u:
        return this.#push(constant(cursor.u8()));
      case dw.DW_OP_const1s:
        return this.#push(constant(cursor.i8()));
      case dw.DW_OP_const2u:
        return this.#push(constant(cursor.u16()));
      case dw.DW_OP_const2s:
        return this.#push(constant(cursor.i16()));
      case dw.DW_OP_const4u:
        return this.#push(constant(cursor.u32()));
      case dw.DW_OP_const4s:
        return this.#push(constant(cursor.i32()));
      case dw.DW_OP_const8u:
        return this.#push(constant(BigInt.asIntN(64, cursor.u64())));
      case dw.DW_OP_const8s:
        return this.#push(constant(cursor.i64()));
      case dw.DW_OP_constu:
        return this.#push(constant(BigInt.asIntN(64, cursor.uleb128big())));
      case dw.DW_OP_consts:
        return this.#push(constant(cursor.sleb128big()));
      case dw.DW_OP_dup:
        return this.#push(this.#pick(0));
      case dw.DW_OP_over:
        return this.#push(this.#pick(1));
      case dw.DW_OP_pick:
        return this.#push(this.#pick(cursor.u8()));
      case dw.DW_OP_drop:
        this.#pop();
        return true;
      case dw.DW_OP_swap: {
        const top = this.#pop();
        const below = this.#pop();
        this.#push(top);
        return this.#push(below);
      }
      case dw.DW_OP_rot: {
        const [first, second, third] = [this.#pop(), this.#pop(), this.#pop()];
        this.#push(first);
        this.#push(third);
        return this.#push(second);
      }
      case dw.DW_OP_plus_uconst:
        return this.#push(sum(this.#pop(), constant(BigInt.asIntN(64, cursor.uleb128big()))));
      case dw.DW_OP_neg:
        return this.#push({ op: 'neg', of: this.#pop() });
      case dw.DW_OP_not:
        return this.#push({ op: 'not', of: this.#pop() });
      case dw.DW_OP_deref:
        return this.#push({ op: 'read', size: unit.format.addressSize === 4 ? 4 : 8, from: this.#pop() });
      case dw.DW_OP_deref_size:
        return this.#push({ op: 'read', size: readableSize(cursor.u8()), from: this.#pop() });
      case dw.DW_OP_deref_type:
      case dw.DW_OP_GNU_deref_type: {
        const size = readableSize(cursor.u8());
        cursor.uleb128();
        return this.#push({ op: 'read', size, from: this.#pop() });
      }
      case dw.DW_OP_regval_type:
      case dw.DW_OP_GNU_regval_type: {
        const number = cursor.uleb128();
        cursor.uleb128();
        return this.#register(number, 0);
      }
      case dw.DW_OP_const_type:
      case dw.DW_OP_GNU_const_type: {
        cursor.uleb128();
        const size = cursor.u8();
        if (size > 8) throw new Unsupported(`its location computes with ${size} bytes`);
        let value = 0n;
        for (const byte of [...cursor.take(size)].reverse()) value = (value << 8n) | BigInt(byte);
        return this.#push(constant(BigInt.asIntN(64, value)));
      }
      case dw.DW_OP_convert:
      case dw.DW_OP_GNU_convert:
      case dw.DW_OP_reinterpret:
        return this.#convert(cursor.uleb128());
      case dw.DW_OP_fbreg: {
        const offset = cursor.sleb128();
        const base = this.#around.frameBase?.();
        if (base === undefined) throw new Unsupported('where its frame is cannot be told here');
        return this.#push(sum(base, constant(offset)));
      }
      case dw.DW_OP_call_frame_cfa: {
        const address = this.#around.frameAddress?.();
        if (address === undefined) throw new Unsupported('where its frame is cannot be told here');
        return this.#push(address);
      }
      case dw.DW_OP_form_tls_address:
      case dw.DW_OP_GNU_push_tls_address: {
        const offset = this.#pop();
        const known = offset.op === 'constant' ? Number(offset.value) : offset.op === 'address' ? offset.address : NaN;
        if (Number.isNaN(known)) throw new Unsupported('its place among the thread-local variables is computed');
        return this.#push({ op: 'thread', offset: known });
      }
      case dw.DW_OP_entry_value:
      case dw.DW_OP_GNU_entry_value:
        return this.#entryValue(cursor.take(cursor.uleb128()));
      case dw.DW_OP_GNU_parameter_ref:
        throw new Unsupported('optimized out; only its caller knows it');
      case dw.DW_OP_nop:
        return true;
      case dw.DW_OP_bra:
      case dw.DW_OP_skip:
        throw new Unsupported('its location depends on a condition');
      default:
        throw new Unsupported(`its location uses the operation 0x${op.toString(16)}`);
    }
  }

  /** Conversion to a base type, whose entry is told by its offset in the unit: 0 for an integer as wide as an address. */
  #convert(type: number): true {
    if (type === 0) return true;
    const base = baseTypeAt(this.#around.unit, type);
    if (base === undefined || base.float) throw new Unsupported('it is computed in floating point');
    if (base.size >= 8) return true;
    const bits = (base.size * 8) as 8 | 16 | 32;
    if (bits !== 8 && bits !== 16 && bits !== 32)
      throw new Unsupported(`its location computes with ${base.size} bytes`);
    return this.#push({ op: 'extend', bits, signed: base.signed, of: this.#pop() });
  }

  #entryValue(inner: Uint8Array): true {
    const cursor = new Cursor(inner, this.#around.unit.sections.littleEndian);
    const op = cursor.u8();
    const number = op === dw.DW_OP_regx ? cursor.uleb128() : op - dw.DW_OP_reg0;
    if (number < 0 || number > 31 || !cursor.atEnd) throw new Unsupported('only the caller knows it');
    const value = this.#around.entryRegister?.(number);
    if (value === undefined) throw new Unsupported("optimized out here: it is only known from the function's entry");
    return this.#push(value);
  }
}

function readableSize(size: number): 1 | 2 | 4 | 8 {
  if (size === 1 || size === 2 || size === 4 || size === 8) return size;
  throw new Unsupported(`its location reads ${size} bytes at once`);
}

function register(number: number): Location {
  return number >= registersOfVectors ? unavailable(vectorRegister(number)) : { kind: 'register', register: number };
}

/** x86-64's DWARF numbers 17 to 32 are xmm0 to xmm15. */
export function vectorRegister(number: number): string {
  const name = number >= 17 && number <= 32 ? `vector register xmm${number - 17}` : `register ${number}`;
  return `it is in ${name}, which the kernel does not show to tracing programs`;
}

interface BaseType {
  readonly size: number;
  readonly signed: boolean;
  readonly float: boolean;
}

/** Size and encoding of the base type at an offset of a unit. */
function baseTypeAt(unit: Unit, offset: number): BaseType | undefined {
  const cursor = new Cursor(unit.section.read(unit.start + offset, 64), unit.sections.littleEndian);
  const abbreviation = unit.abbreviations().get(cursor.uleb128());
  if (abbreviation?.tag !== dw.DW_TAG_base_type) return undefined;
  let size = 0;
  let encoding = 0;
  for (const { name, form } of abbreviation.attributes) {
    if (name === dw.DW_AT_byte_size) size = cursor.u8();
    else if (name === dw.DW_AT_encoding) encoding = cursor.u8();
    else if (form === dw.DW_FORM_string) cursor.cString();
    else if (form === dw.DW_FORM_strp) cursor.skip(unit.format.offsetSize);
    else if (form === dw.DW_FORM_strx1) cursor.skip(1);
    else if (form === dw.DW_FORM_strx2) cursor.skip(2);
    else if (form === dw.DW_FORM_strx) cursor.uleb128();
    else return undefined;
  }
  const signed = encoding === dw.DW_ATE_signed || encoding === dw.DW_ATE_signed_char;
  return { size, signed, float: encoding === dw.DW_ATE_float || encoding === dw.DW_ATE_complex_float };
}
