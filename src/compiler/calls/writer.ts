/** Shorthands over a FunctionBuilder, for the functions of program.ts. */
import { mostFrames, threadAt } from '../../program/calls.ts';
import { FunctionBuilder, type Label, type Operand, type Reg, type Slot } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';

/** Indices in Program.maps. */
export const maps = { control: 0, functions: 1, stats: 2, threads: 3, template: 4, events: 5 } as const;

type Condition = 'eq' | 'ne' | 'ult' | 'ule' | 'ugt' | 'uge';

export class Writer {
  readonly b: FunctionBuilder;
  readonly frame: number;

  constructor(name: string, parameters: readonly ('pointer' | 'scalar')[], frame: number) {
    this.b = new FunctionBuilder(name, parameters);
    this.frame = frame;
  }

  assign(dst: Reg, value: Reg | { readonly imm: number }): void {
    if (typeof value === 'number') this.b.mov(dst, value);
    else this.b.push({ op: 'const', dst, value: BigInt(value.imm) });
  }
  change(dst: Reg, operator: 'add' | 'sub' | 'lshr' | 'and' | 'or' | 'xor', right: Operand): void {
    this.b.push({ op: 'alu', operator, dst, left: dst, right });
  }
  when(condition: Condition, left: Reg, right: Operand, then: () => void, otherwise?: () => void): void {
    const inverse = { eq: 'ne', ne: 'eq', ult: 'uge', ule: 'ugt', ugt: 'ule', uge: 'ult' } as const;
    const other = this.b.label();
    this.b.branch(inverse[condition], left, right, other);
    then();
    if (otherwise === undefined) {
      this.b.place(other);
      return;
    }
    const end = this.b.label();
    this.b.jump(end);
    this.b.place(other);
    otherwise();
    this.b.place(end);
  }
  /** Adds to a u64 of `base`, locked. */
  bump(base: Reg, offset: number, by: Reg = this.b.const(1), size: 4 | 8 = 8): void {
    this.b.push({ op: 'atomic', operator: 'add', base, offset, size, value: by });
  }
  control(offset: number): Reg {
    return this.b.mapValue(maps.control, offset);
  }
  count(offset: number): void {
    this.bump(this.control(offset), 0);
  }
  lookup(map: number, key: Slot): Reg {
    return this.b.call(bpfHelper.map_lookup_elem, [this.b.map(map), this.b.slotAddress(key)], 'pointer');
  }
  /** The frame of a number that is known to be below mostFrames. */
  frameOf(thread: Reg, index: Reg): Reg {
    const { b } = this;
    const offset = b.alu('mul', index, { imm: this.frame });
    return b.alu('add', b.alu('add', thread, offset), { imm: threadAt.frames });
  }
  /** The number of the innermost frame; goes to `none` when there is no frame. */
  innermost(thread: Reg, none: Label): Reg {
    const { b } = this;
    const depth = b.load(thread, threadAt.depth, 4);
    b.branch('eq', depth, { imm: 0 }, none);
    const index = b.alu('sub', depth, { imm: 1 });
    b.branch('uge', index, { imm: mostFrames }, none);
    return index;
  }
  /** The key of this thread in a slot; gives pid and tid. */
  threadKey(slot: Slot): Reg {
    const { b } = this;
    const pidTgid = b.call(bpfHelper.get_current_pid_tgid, []);
    b.store(b.slotAddress(slot), 0, 4, pidTgid);
    return pidTgid;
  }
}
