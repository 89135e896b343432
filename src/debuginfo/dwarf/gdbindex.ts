/**
 * `.gdb_index`: a hash table from whole names to the units that have them, by
 * gdb-add-index, or by gold and lld (--gdb-index). The form: gdb's manual, appendix
 * "Index Section Format", versions 7 to 9.
 */
import { Cursor } from '../../bytes/cursor.ts';
import type { EntryFile } from './entry.ts';
import { type NameTable, WrongTable } from './nametable.ts';
import type { DebugSection } from './sections.ts';
import type { Unit } from './unit.ts';

/** Of the kinds of symbols (bits 28 to 30 of a unit's number): functions are not looked for here. */
const functionKind = 3;
const mostUnits = 1 << 22;
/** The numbers are those of a little-endian machine, whatever the program's is. */
const littleEndian = true;

export class GdbIndex implements NameTable {
  readonly section = '.gdb_index';
  readonly covered: ReadonlySet<Unit>;
  readonly #data: DebugSection;
  readonly #units: readonly Unit[];
  readonly #slots: number;
  readonly #slotCount: number;
  readonly #pool: number;

  /** Throws WrongTable where it does not fit the file, and on damaged input. */
  constructor(file: EntryFile, data: DebugSection) {
    this.#data = data;
    const head = this.#cursor(0, 28);
    const version = head.u32();
    if (version < 7 || version > 9) throw new WrongTable(`it has version ${version}`);
    const [units, typeUnits, addresses, slots] = [head.u32(), head.u32(), head.u32(), head.u32()];
    const afterSlots = head.u32();
    this.#pool = version < 9 ? afterSlots : head.u32();
    const order = [units, typeUnits, addresses, slots, afterSlots, this.#pool, data.size];
    if (order.some((place, at) => at > 0 && place < (order[at - 1] as number))) throw new WrongTable('it is cut off');
    this.#slots = slots;
    this.#slotCount = Math.floor((afterSlots - slots) / 8);
    if ((this.#slotCount & (this.#slotCount - 1)) !== 0) throw new WrongTable(`it has ${this.#slotCount} slots`);
    const byStart = new Map(file.units().map((unit) => [unit.start, unit]));
    const ofTypes = new Map(file.typeSectionUnits().map((unit) => [unit.start, unit]));
    const list = this.#cursor(units, addresses - units);
    const found: Unit[] = [];
    const count = Math.floor((typeUnits - units) / 16);
    const typeCount = Math.floor((addresses - typeUnits) / 24);
    if (count + typeCount > mostUnits) throw new WrongTable(`it speaks of ${count + typeCount} units`);
    for (let at = 0; at < count + typeCount; at++) {
      const start = Number(list.u64());
      const isType = at >= count;
      const second = Number(list.u64());
      if (isType) list.skip(8);
      const unit = isType ? (ofTypes.get(start) ?? byStart.get(start)) : byStart.get(start);
      if (unit === undefined) throw new WrongTable(`there is no unit at 0x${start.toString(16)}`);
      if (isType ? unit.typeOffset !== second : unit.end - unit.start !== second) {
        throw new WrongTable(`the unit at 0x${start.toString(16)} is another one`);
      }
      found.push(unit);
    }
    this.#units = found;
    this.covered = new Set(found);
  }

  #cursor(offset: number, length: number): Cursor {
    return new Cursor(this.#data.read(offset, length), littleEndian);
  }

  *units(_tags: ReadonlySet<number>, name: string): Generator<Unit, void, void> {
    if (this.#slotCount === 0) return;
    const text = new TextEncoder().encode(`${name}\0`);
    const hash = hashOf(text.subarray(0, -1));
    const mask = this.#slotCount - 1;
    const step = (Math.imul(hash, 17) & mask) | 1;
    for (let tried = 0, slot = hash & mask; tried < this.#slotCount; tried++, slot = (slot + step) & mask) {
      const row = this.#cursor(this.#slots + 8 * slot, 8);
      const [nameAt, listAt] = [row.u32(), row.u32()];
      if (nameAt === 0 && listAt === 0) return;
      const there = this.#data.read(this.#pool + nameAt, text.length);
      if (there.length === 0) throw new WrongTable('a name lies behind its end');
      if (there.length < text.length || !there.every((byte, at) => byte === text[at])) continue;
      const count = this.#cursor(this.#pool + listAt, 4).u32();
      if (count > mostUnits) throw new WrongTable(`a name is said to be in ${count} units`);
      const list = this.#cursor(this.#pool + listAt + 4, 4 * count);
      for (let at = 0; at < count; at++) {
        const value = list.u32();
        const unit = this.#units[value & 0xffffff];
        if (unit === undefined) throw new WrongTable(`there is no unit ${value & 0xffffff}`);
        if (((value >>> 28) & 7) !== functionKind) yield unit;
      }
      return;
    }
  }
}

/** gdb's mapped_index_string_hash. */
function hashOf(name: Uint8Array): number {
  let hash = 0;
  for (const byte of name) {
    const folded = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
    hash = (Math.imul(hash, 67) + folded - 113) >>> 0;
  }
  return hash;
}
