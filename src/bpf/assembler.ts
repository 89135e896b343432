/**
 * Collects instructions with symbolic jump targets and resolves them when the count is
 * final. Jump offsets have 16 bits: a jump that would not reach goes through `gotol`
 * (Linux 6.6) or through islands, jumps placed on the way that run-through code skips.
 */
import { invariant } from '../base/errors.ts';
import { CALL, EXIT, GOTO, GOTO_FAR, LD_IMM64, SLOT_BYTES } from './insn.ts';

/** How far before a jump's reach ends an island is put, to leave room for other islands in between. */
const ISLAND_DISTANCE = 30_000;
const REACH = 32_767;

/** Instructions whose target has 32 bits: it always reaches. */
const distanceInImm = (opcode: number): boolean => opcode === LD_IMM64 || opcode === GOTO_FAR || opcode === CALL;

/** `second`: the rest of a ld_imm64, which nothing may part from its first half. */
interface Item {
  opcode: number;
  registers: number;
  offset: number;
  imm: number;
  /** A label, or -1. For a ld_imm64 and a call the function label whose distance goes into imm. */
  target: number;
  readonly spanStart: number;
  readonly spanEnd: number;
  readonly second: boolean;
  /** What the caller attached: comes back with the final slot number. */
  readonly note: unknown;
}

export interface Assembled<Note> {
  readonly code: Uint8Array;
  /** Start and end offset of the script text per slot; -1 -1 when none. */
  readonly spans: Int32Array;
  readonly notes: readonly { readonly slot: number; readonly note: Note }[];
  /** Slot of a placed label. */
  slotOf(label: number): number;
}

export class Assembler<Note = never> {
  #items: Item[] = [];
  /** Per label the index of the item it stands before; -1 while not placed. */
  readonly #labels: number[] = [];
  #spanStart = -1;
  #spanEnd = -1;

  label(): number {
    this.#labels.push(-1);
    return this.#labels.length - 1;
  }

  place(label: number): void {
    invariant(this.#labels[label] === -1, `label ${label} is placed twice`);
    this.#labels[label] = this.#items.length;
  }

  /** Instructions from now on come from this part of the script. */
  span(start: number, end: number): void {
    this.#spanStart = start;
    this.#spanEnd = end;
  }

  get length(): number {
    return this.#items.length;
  }

  emit(opcode: number, dst: number, src: number, offset: number, imm: number, note?: Note): void {
    this.#push(opcode, dst, src, offset, imm, -1, false, note);
  }

  jump(opcode: number, dst: number, src: number, imm: number, target: number): void {
    this.#push(opcode, dst, src, 0, imm, target, false, undefined);
  }

  /** ld_imm64: dst = the 64-bit value of the two halves, or what the pseudo source in `src` says. */
  load64(dst: number, src: number, low: number, high: number, note?: Note): void {
    this.#push(LD_IMM64, dst, src, 0, low, -1, false, note);
    this.#push(0, 0, 0, 0, high, -1, true, undefined);
  }

  /** ld_imm64 whose imm is the distance to a label, for BPF_PSEUDO_FUNC. */
  loadLabel(dst: number, src: number, target: number): void {
    this.#push(LD_IMM64, dst, src, 0, 0, target, false, undefined);
    this.#push(0, 0, 0, 0, 0, -1, true, undefined);
  }

  #push(
    opcode: number,
    dst: number,
    src: number,
    offset: number,
    imm: number,
    target: number,
    second: boolean,
    note: unknown,
  ): void {
    const spanStart = this.#spanStart;
    const spanEnd = this.#spanEnd;
    this.#items.push({ opcode, registers: (src << 4) | dst, offset, imm, target, spanStart, spanEnd, second, note });
  }

  /** `farJumps`: the kernel has gotol. */
  finish(options: { readonly farJumps: boolean }): Assembled<Note> {
    while (this.#items.length > REACH && this.#insertIslands(options.farJumps));
    const items = this.#items;
    const code = new Uint8Array(items.length * SLOT_BYTES);
    const view = new DataView(code.buffer);
    const spans = new Int32Array(items.length * 2);
    const notes: { slot: number; note: Note }[] = [];
    for (let slot = 0; slot < items.length; slot++) {
      const item = items[slot] as Item;
      let { offset, imm } = item;
      if (item.target >= 0) {
        const distance = this.#slotOf(item.target) - slot - 1;
        if (distanceInImm(item.opcode)) imm = distance;
        else offset = distance;
      }
      view.setUint8(slot * SLOT_BYTES, item.opcode);
      view.setUint8(slot * SLOT_BYTES + 1, item.registers);
      view.setInt16(slot * SLOT_BYTES + 2, offset, true);
      view.setInt32(slot * SLOT_BYTES + 4, imm, true);
      spans[slot * 2] = item.spanStart;
      spans[slot * 2 + 1] = item.spanEnd;
      if (item.note !== undefined) notes.push({ slot, note: item.note as Note });
    }
    return { code, spans, notes, slotOf: (label) => this.#slotOf(label) };
  }

  #slotOf(label: number): number {
    const slot = this.#labels[label];
    invariant(slot !== undefined && slot >= 0, `label ${label} is not placed`);
    return slot;
  }

  /** Makes the jumps that do not reach go by way of an island; false when all reach. */
  #insertIslands(farJumps: boolean): boolean {
    const items = this.#items;
    /** Per item index the islands before it: final target and the label that leads to them. */
    const islands = new Map<number, { readonly target: number; readonly label: number }[]>();
    for (let at = 0; at < items.length; at++) {
      const item = items[at] as Item;
      if (item.target < 0 || distanceInImm(item.opcode)) continue;
      const goal = this.#slotOf(item.target);
      const distance = goal - at - 1;
      if (distance >= -REACH && distance <= REACH) continue;
      if (farJumps && item.opcode === GOTO) {
        item.opcode = GOTO_FAR;
        continue;
      }
      let place = farJumps ? at + 1 : distance > 0 ? at + ISLAND_DISTANCE : at - ISLAND_DISTANCE;
      if (items[place]?.second) place--;
      const here = islands.get(place) ?? [];
      islands.set(place, here);
      let island = here.find((other) => other.target === item.target);
      if (island === undefined) {
        island = { target: item.target, label: this.label() };
        here.push(island);
      }
      item.target = island.label;
    }
    if (islands.size === 0) return false;

    const moved = new Int32Array(items.length + 1);
    const overs: { readonly at: number; readonly label: number }[] = [];
    const next: Item[] = [];
    for (let at = 0; at <= items.length; at++) {
      const before = items[at - 1];
      for (const [index, island] of (islands.get(at) ?? []).entries()) {
        const from = { registers: 0, offset: 0, imm: 0, spanStart: -1, spanEnd: -1, second: false, note: undefined };
        if (
          index === 0 &&
          before !== undefined &&
          before.opcode !== EXIT &&
          before.opcode !== GOTO &&
          before.opcode !== GOTO_FAR
        ) {
          const over = this.label();
          overs.push({ at, label: over });
          next.push({ ...from, opcode: GOTO, target: over });
        }
        this.#labels[island.label] = -2 - next.length;
        next.push({ ...from, opcode: farJumps ? GOTO_FAR : GOTO, target: island.target });
      }
      moved[at] = next.length;
      const item = items[at];
      if (item !== undefined) next.push(item);
    }
    for (let label = 0; label < this.#labels.length; label++) {
      const old = this.#labels[label] as number;
      // Below -1: an island's own label, which counts in the new numbering already.
      if (old >= 0) this.#labels[label] = moved[old] as number;
      else if (old < -1) this.#labels[label] = -2 - old;
    }
    for (const over of overs) this.#labels[over.label] = moved[over.at] as number;
    this.#items = next;
    return true;
  }
}
