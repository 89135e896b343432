/**
 * Call frame information as rules: DWARF 5 section 6.4 (entries and instructions), LSB 5
 * "Exception Frames" (.eh_frame: augmentations and pointer encodings), System V ABI AMD64
 * (register numbers). x86-64.
 *
 * Of each row only what leads to the caller is kept: the CFA, the return address, rbp and
 * rbx. A row of a form that the tables cannot hold becomes the unsupported rule; a
 * damaged entry is left out; nothing makes the reading of the others end.
 */
import { Register, RuleKind, Saved, volatileBase } from '../../program/unwind.ts';
import { endRule, packRule, type RuleSet, signalRule, unsupportedRule } from './rules.ts';

export interface FrameSection {
  readonly kind: 'eh_frame' | 'debug_frame';
  readonly bytes: Uint8Array;
  /** Where the section is in memory; 0 for .debug_frame. */
  readonly address: number;
}

/** Takes one row: from `address` on a rule holds. The last row of a function is its end, with rule 0. */
export type RowSink = (address: number, rule: number) => void;

export interface FrameCounts {
  /** Functions that were described. */
  functions: number;
  /** Entries that could not be read. */
  damaged: number;
  /** Rows of the unsupported rule. */
  unsupported: number;
}

const DW_EH_PE_omit = 0xff;
const pointerWidths: Readonly<Record<number, number>> = { 0: 8, 2: 2, 3: 4, 4: 8, 10: 2, 11: 4, 12: 8 };

interface Cie {
  readonly code: number;
  readonly data: number;
  readonly returnRegister: number;
  readonly encoding: number;
  readonly hasAugmentation: boolean;
  readonly signal: boolean;
  /** Initial instructions. */
  readonly start: number;
  readonly end: number;
}

/** Forms of an expression that have a place in a rule. */
type Form =
  | { readonly form: 'register'; readonly base: number; readonly offset: number }
  | { readonly form: 'deref'; readonly base: number; readonly offset: number; readonly extra: number }
  | { readonly form: 'plt'; readonly base: number; readonly offset: number; readonly extra: number };

const RBP = Register.rbp;
const RBX = Register.rbx;
const RA = Register.rip;

/** How a register is described: not at all, undefined, at CFA + n, by an expression, in another register. */
const Told = { nothing: 0, undefined: 1, offset: 2, expression: 3, register: 4, other: 5 } as const;

/** What the instructions have said so far; a row of the table in DWARF's words. */
class State {
  cfaBase = 0;
  cfaOffset = 0;
  /** Index into expressions, -1: base and offset hold. */
  cfaExpression = -1;
  rbp: number = Told.nothing;
  rbpValue = 0;
  rbx: number = Told.nothing;
  rbxValue = 0;
  ra: number = Told.nothing;
  raValue = 0;

  copyFrom(other: State): void {
    this.cfaBase = other.cfaBase;
    this.cfaOffset = other.cfaOffset;
    this.cfaExpression = other.cfaExpression;
    this.rbp = other.rbp;
    this.rbpValue = other.rbpValue;
    this.rbx = other.rbx;
    this.rbxValue = other.rbxValue;
    this.ra = other.ra;
    this.raValue = other.raValue;
  }
}

/** More nested states than any compiler makes. */
const mostStates = 32;

export class FrameReader {
  readonly counts: FrameCounts = { functions: 0, damaged: 0, unsupported: 0 };
  readonly #section: FrameSection;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #rules: RuleSet;
  readonly #cies: Map<number, Cie | undefined> = new Map();
  readonly #state = new State();
  readonly #initial = new State();
  readonly #stack: State[] = [];
  readonly #forms: (Form | undefined)[] = [];
  readonly #end: number;
  readonly #signal: number;
  readonly #unsupported: number;
  #at = 0;
  /** The rule that was made last, and of what. */
  readonly #last = { a: 0, b: 0, c: 0, d: 0, rule: 0 };

  constructor(section: FrameSection, rules: RuleSet) {
    this.#section = section;
    this.#bytes = section.bytes;
    this.#view = new DataView(section.bytes.buffer, section.bytes.byteOffset, section.bytes.byteLength);
    this.#rules = rules;
    this.#end = rules.add(...packRule(endRule));
    this.#signal = rules.add(...packRule(signalRule));
    this.#unsupported = rules.add(...packRule(unsupportedRule));
  }

  /** Functions that start at these places are told of elsewhere. */
  known: ReadonlySet<number> = new Set();
  /** Where those that were read start, when somebody wants to know. */
  starts: Set<number> | undefined;

  /** Goes on from entry to entry for at most about `most` of them; false at the end of the section. */
  read(sink: RowSink, most: number): boolean {
    const bytes = this.#bytes;
    const eh = this.#section.kind === 'eh_frame';
    let at = this.#next;
    for (let left = most; at + 8 <= bytes.length; left--) {
      if (left === 0) {
        this.#next = at;
        return true;
      }
      let length = this.#view.getUint32(at, true);
      let body = at + 4;
      if (length === 0) {
        // The end of one linker input's table; another one may follow.
        at = body;
        continue;
      }
      const wide = length === 0xffffffff;
      if (wide) {
        if (at + 20 > bytes.length) break;
        length = this.#view.getUint32(at + 4, true) + 2 ** 32 * this.#view.getUint32(at + 8, true);
        body = at + 12;
      } else if (length > 0xfffffff0) break;
      const end = body + length;
      if (end > bytes.length) break;
      // An entry's second word says which it is: in .eh_frame 0 or the distance back to its CIE.
      const word = this.#view.getUint32(body, true);
      const idBytes = wide && !eh ? 8 : 4;
      const isCie = eh ? word === 0 : word === 0xffffffff;
      if (!isCie) {
        const cie = this.#cie(eh ? body - word : word);
        if (cie !== undefined) this.#entry(cie, body + idBytes, end, sink);
        else this.counts.damaged++;
      }
      at = end;
    }
    this.#next = bytes.length;
    return false;
  }

  #next = 0;

  #cie(at: number): Cie | undefined {
    if (this.#cies.has(at)) return this.#cies.get(at);
    let cie: Cie | undefined;
    try {
      cie = this.#readCie(at);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
    this.#cies.set(at, cie);
    return cie;
  }

  #readCie(start: number): Cie | undefined {
    if (!(start >= 0 && start + 12 < this.#bytes.length)) return undefined;
    const eh = this.#section.kind === 'eh_frame';
    let length = this.#view.getUint32(start, true);
    this.#at = start + 4;
    const wide = length === 0xffffffff;
    if (wide) {
      length = this.#view.getUint32(start + 4, true);
      this.#at = start + 12;
    }
    const end = this.#at + length;
    if (end > this.#bytes.length) return undefined;
    this.#at += wide && !eh ? 8 : 4;
    const version = this.#byte();
    if (version !== 1 && version !== 3 && version !== 4) return undefined;
    let augmentation = '';
    for (let byte = this.#byte(); byte !== 0; byte = this.#byte()) augmentation += String.fromCharCode(byte);
    if (version === 4) {
      // Address size and segment selector size.
      if (this.#byte() !== 8 || this.#byte() !== 0) return undefined;
    }
    const code = this.#uleb();
    const data = this.#sleb();
    const returnRegister = version === 1 ? this.#byte() : this.#uleb();
    let encoding = 0;
    let signal = false;
    if (augmentation.startsWith('z')) {
      const size = this.#uleb();
      const instructions = this.#at + size;
      for (const letter of augmentation.slice(1)) {
        if (letter === 'R') encoding = this.#byte();
        else if (letter === 'L') this.#byte();
        else if (letter === 'P') this.#at += pointerWidths[this.#byte() & 0x0f] ?? 0;
        else if (letter === 'S') signal = true;
        else if (letter !== 'B' && letter !== 'G') break;
      }
      this.#at = instructions;
    } else if (augmentation !== '') return undefined;
    if (encoding === DW_EH_PE_omit || returnRegister !== RA) return undefined;
    const hasAugmentation = augmentation !== '';
    return { code, data, returnRegister, encoding, hasAugmentation, signal, start: this.#at, end };
  }

  #entry(cie: Cie, start: number, end: number, sink: RowSink): void {
    try {
      this.#at = start;
      const format = cie.encoding & 0x0f;
      const width = pointerWidths[format] ?? 0;
      if (width === 0 || start + 2 * width > end) throw new RangeError();
      let address = this.#number(start, format);
      if ((cie.encoding & 0x70) === 0x10) address += this.#section.address + start;
      else if ((cie.encoding & 0x70) !== 0) throw new RangeError();
      const size = this.#number(start + width, format & 0x07);
      // Discarded functions are left with address 0.
      if (address <= 0 || size <= 0 || address + size > 2 ** 32) return;
      if (this.known.size > 0 && this.known.has(address)) return;
      this.starts?.add(address);
      this.#at = start + 2 * width;
      if (cie.hasAugmentation) {
        const augmentation = this.#uleb();
        this.#at += augmentation;
      }
      this.counts.functions++;
      if (cie.signal) {
        // The kernel's frame: what the instructions say is known beforehand.
        sink(address, this.#signal);
        sink(address + size, 0);
        return;
      }
      const state = this.#state;
      state.copyFrom(empty);
      this.#forms.length = 0;
      this.#stack.length = 0;
      const instructions = this.#at;
      this.#at = cie.start;
      this.#run(cie, cie.end, address, address, undefined);
      this.#initial.copyFrom(state);
      this.#at = instructions;
      this.#run(cie, end, address, address + size, sink);
      sink(address + size, 0);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.counts.damaged++;
    }
  }

  /** Carries out instructions up to `end`; a row is handed on when the place moves on. */
  #run(cie: Cie, end: number, start: number, limit: number, sink: RowSink | undefined): void {
    const state = this.#state;
    let place = start;
    const advance = (delta: number): void => {
      if (delta === 0 || sink === undefined) return;
      sink(place, this.#rule());
      place += delta * cie.code;
    };
    while (this.#at < end && place < limit + (sink === undefined ? 1 : 0)) {
      const byte = this.#byte();
      const low = byte & 0x3f;
      switch (byte >> 6) {
        case 1:
          advance(low);
          continue;
        case 2:
          this.#set(low, Told.offset, this.#uleb() * cie.data);
          continue;
        case 3:
          this.#restore(low);
          continue;
        default:
      }
      switch (byte) {
        case 0x00: // DW_CFA_nop
          break;
        case 0x01: {
          // DW_CFA_set_loc
          const width = pointerWidths[cie.encoding & 0x0f] ?? 8;
          let address = this.#number(this.#at, cie.encoding & 0x0f);
          if ((cie.encoding & 0x70) === 0x10) address += this.#section.address + this.#at;
          this.#at += width;
          if (sink !== undefined && address > place) {
            sink(place, this.#rule());
            place = address;
          }
          break;
        }
        case 0x02: // DW_CFA_advance_loc1
          advance(this.#byte());
          break;
        case 0x03: // DW_CFA_advance_loc2
          this.#at += 2;
          advance(this.#view.getUint16(this.#at - 2, true));
          break;
        case 0x04: // DW_CFA_advance_loc4
          this.#at += 4;
          advance(this.#view.getUint32(this.#at - 4, true));
          break;
        case 0x05: // DW_CFA_offset_extended
          this.#set(this.#uleb(), Told.offset, this.#uleb() * cie.data);
          break;
        case 0x06: // DW_CFA_restore_extended
          this.#restore(this.#uleb());
          break;
        case 0x07: // DW_CFA_undefined
          this.#set(this.#uleb(), Told.undefined, 0);
          break;
        case 0x08: // DW_CFA_same_value
          this.#set(this.#uleb(), Told.nothing, 0);
          break;
        case 0x09: // DW_CFA_register
          this.#set(this.#uleb(), Told.register, this.#uleb());
          break;
        case 0x0a: {
          // DW_CFA_remember_state
          if (this.#stack.length >= mostStates) throw new RangeError();
          const kept = new State();
          kept.copyFrom(state);
          this.#stack.push(kept);
          break;
        }
        case 0x0b: {
          // DW_CFA_restore_state
          const kept = this.#stack.pop();
          if (kept === undefined) throw new RangeError();
          state.copyFrom(kept);
          break;
        }
        case 0x0c: // DW_CFA_def_cfa
          state.cfaBase = this.#uleb();
          state.cfaOffset = this.#uleb();
          state.cfaExpression = -1;
          break;
        case 0x0d: // DW_CFA_def_cfa_register
          state.cfaBase = this.#uleb();
          state.cfaExpression = -1;
          break;
        case 0x0e: // DW_CFA_def_cfa_offset
          state.cfaOffset = this.#uleb();
          break;
        case 0x0f: // DW_CFA_def_cfa_expression
          state.cfaExpression = this.#expression();
          break;
        case 0x10: // DW_CFA_expression
          this.#set(this.#uleb(), Told.expression, this.#expression());
          break;
        case 0x11: // DW_CFA_offset_extended_sf
          this.#set(this.#uleb(), Told.offset, this.#sleb() * cie.data);
          break;
        case 0x12: // DW_CFA_def_cfa_sf
          state.cfaBase = this.#uleb();
          state.cfaOffset = this.#sleb() * cie.data;
          state.cfaExpression = -1;
          break;
        case 0x13: // DW_CFA_def_cfa_offset_sf
          state.cfaOffset = this.#sleb() * cie.data;
          break;
        case 0x14: // DW_CFA_val_offset
          this.#set(this.#uleb(), Told.other, this.#uleb());
          break;
        case 0x15: // DW_CFA_val_offset_sf
          this.#set(this.#uleb(), Told.other, this.#sleb());
          break;
        case 0x16: // DW_CFA_val_expression
          this.#set(this.#uleb(), Told.other, this.#expression());
          break;
        case 0x2d: // DW_CFA_GNU_window_save
          break;
        case 0x2e: // DW_CFA_GNU_args_size
          this.#uleb();
          break;
        case 0x2f: // DW_CFA_GNU_negative_offset_extended
          this.#set(this.#uleb(), Told.offset, -this.#uleb() * cie.data);
          break;
        default:
          throw new RangeError();
      }
    }
    if (sink !== undefined && place < limit) sink(place, this.#rule());
  }

  #set(register: number, told: number, value: number): void {
    const state = this.#state;
    if (register === RBP) {
      state.rbp = told;
      state.rbpValue = value;
    } else if (register === RBX) {
      state.rbx = told;
      state.rbxValue = value;
    } else if (register === RA) {
      state.ra = told;
      state.raValue = value;
    }
  }

  #restore(register: number): void {
    const { rbp, rbpValue, rbx, rbxValue, ra, raValue } = this.#initial;
    if (register === RBP) this.#set(register, rbp, rbpValue);
    else if (register === RBX) this.#set(register, rbx, rbxValue);
    else if (register === RA) this.#set(register, ra, raValue);
  }

  /** The number of the rule that the state comes to. */
  #rule(): number {
    const state = this.#state;
    if (state.ra === Told.undefined) return this.#end;
    let kind: number = RuleKind.register;
    let base = state.cfaBase;
    let offset = state.cfaOffset;
    let extra = 0;
    if (state.cfaExpression >= 0) {
      const form = this.#forms[state.cfaExpression];
      if (form === undefined) return this.#unsupportedRow();
      base = form.base;
      offset = form.offset;
      if (form.form !== 'register') {
        kind = form.form === 'plt' ? RuleKind.plt : RuleKind.deref;
        extra = form.extra;
      }
    }
    if (state.ra === Told.register && kind === RuleKind.register) {
      kind = RuleKind.returnRegister;
      extra = state.raValue;
    } else if (state.ra !== Told.offset || state.raValue !== -8) return this.#unsupportedRow();
    const rbp = this.#saved(state.rbp, state.rbpValue);
    const rbx = this.#saved(state.rbx, state.rbxValue);
    const fits = base <= 15 && offset === (offset | 0) && extra === (extra << 16) >> 16;
    if (!fits || rbp === undefined || rbx === undefined) return this.#unsupportedRow();
    // As packRule does, without making an object for each of a million rows.
    const kept = base === RBX || base === RBP || base === Register.rsp;
    const a = kind | ((kept ? base : base | volatileBase) << 8) | ((rbp & 3) << 16) | ((rbx & 3) << 24);
    const c = ((rbp >> 2) & 0xffff) | ((rbx >> 2) << 16);
    const d = extra & 0xffff;
    const last = this.#last;
    if (last.a === a && last.b === offset && last.c === c && last.d === d) return last.rule;
    const rule = this.#rules.add(a, offset, c, d);
    if (rule < 0) return this.#unsupportedRow();
    last.a = a;
    last.b = offset;
    last.c = c;
    last.d = d;
    last.rule = rule;
    return rule;
  }

  #unsupportedRow(): number {
    this.counts.unsupported++;
    return this.#unsupported;
  }

  /** Where a register is, `Saved` in the low two bits and the offset above; undefined for what has no form. */
  #saved(told: number, value: number): number | undefined {
    switch (told) {
      case Told.nothing:
      case Told.undefined:
        return Saved.same;
      case Told.offset:
        return value === (value << 16) >> 16 ? (value << 2) | Saved.cfa : undefined;
      case Told.expression: {
        const form = this.#forms[value];
        if (form?.form !== 'register' || form.base !== RBP) return undefined;
        return form.offset === (form.offset << 16) >> 16 ? (form.offset << 2) | Saved.frame : undefined;
      }
      default:
        return undefined;
    }
  }

  /** Reads an expression block; gives its index among the forms of this entry. */
  #expression(): number {
    const size = this.#uleb();
    const end = this.#at + size;
    if (end > this.#bytes.length) throw new RangeError();
    const form = this.#form(end);
    this.#at = end;
    return this.#forms.push(form) - 1;
  }

  /** The forms in use: a register and an offset, what lies there, and the one of procedure linkage tables. */
  #form(end: number): Form | undefined {
    const first = this.#byte();
    if (first < 0x70 || first > 0x8f) return undefined; // DW_OP_breg0 …
    const base = first - 0x70;
    const offset = this.#sleb();
    if (this.#at === end) return { form: 'register', base, offset };
    const next = this.#byte();
    if (next === 0x06) {
      // DW_OP_deref
      if (this.#at === end) return { form: 'deref', base, offset, extra: 0 };
      const last = this.#byte();
      if (last === 0x23) {
        // DW_OP_plus_uconst
        const extra = this.#uleb();
        return this.#at === end ? { form: 'deref', base, offset, extra } : undefined;
      }
      return undefined;
    }
    // DW_OP_breg16 0, lit15, and, lit<n>, ge, lit3, shl, plus
    if (next !== 0x80 || this.#sleb() !== 0 || this.#byte() !== 0x3f || this.#byte() !== 0x1a) return undefined;
    const threshold = this.#byte();
    if (threshold < 0x30 || threshold > 0x3f) return undefined;
    for (const operation of [0x2a, 0x33, 0x24, 0x22]) if (this.#byte() !== operation) return undefined;
    return this.#at === end ? { form: 'plt', base, offset, extra: threshold - 0x30 } : undefined;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new RangeError();
    return byte;
  }

  #uleb(): number {
    let byte = this.#byte();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let scale = 128; byte >= 0x80; scale *= 128) {
      byte = this.#byte();
      value += (byte & 0x7f) * scale;
    }
    return value;
  }

  #sleb(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) return (byte & 0x40) !== 0 ? value - scale : value;
    }
  }

  #number(at: number, format: number): number {
    switch (format) {
      case 0x02:
        return this.#view.getUint16(at, true);
      case 0x0a:
        return this.#view.getInt16(at, true);
      case 0x03:
        return this.#view.getUint32(at, true);
      case 0x0b:
        return this.#view.getInt32(at, true);
      default:
        return this.#view.getInt32(at + 4, true) * 2 ** 32 + this.#view.getUint32(at, true);
    }
  }
}

const empty = new State();
