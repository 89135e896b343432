/**
 * Arguments in a uretprobe: a program of its own at the function's entry puts what the
 * script will ask for into a map, and the return takes it out again. The key is the
 * thread and its stack pointer, which tells the calls of a recursion apart: when a call
 * returns the stack pointer is what it was before it, whatever was called in between.
 */
import type { Target } from '../../target/target.ts';
import { sizeOf } from '../../types/layout.ts';
import type { ProgramVariable } from '../../types/source.ts';
import type { ProbeContext } from '../probes/context.ts';
import { argumentsOf } from '../sema/members.ts';
import type { BlockFacts } from '../sema/sema.ts';
import { bpfHelper } from './bpfhelper.ts';
import { align8 } from './layout.ts';
import { entryInstruction, placeOfLocation } from './locations.ts';
import type { Lower } from './lower.ts';
import { type DirectPlace, shifted } from './place.ts';
import { registersOf } from './registers.ts';

/** u64 process and thread, u64 stack pointer after the return, u64 which of the script's programs. */
const keySize = 24;
/** What a value of this size cannot be kept whole: the first bytes are. */
const largest = 4096;

export interface Kept {
  readonly map: number;
  /** Tells the programs that share the map apart. */
  readonly owner: number;
  readonly size: number;
  /** Where in the value each variable is. */
  readonly slots: ReadonlyMap<ProgramVariable, number>;
}

/** What a block in a uretprobe wants kept; undefined when it asks for no arguments. */
export function wantedAtReturn(
  context: ProbeContext,
  facts: BlockFacts,
  target: Target,
): readonly ProgramVariable[] | undefined {
  if (context.provider !== 'uretprobe' || context.function?.entry === undefined) return undefined;
  const wanted = [...argumentsOf(facts, context.function)];
  // Addresses of the program's variables are counted from where the function began.
  if (!context.function.fixed && usesAddresses(facts)) wanted.push(entryInstruction(target));
  return wanted.length > 0 ? wanted : undefined;
}

function usesAddresses(facts: BlockFacts): boolean {
  for (const node of facts.notes.keys()) {
    if (node.node === 'call' && (node.name === 'global' || node.name === 'uaddr')) return true;
  }
  return false;
}

export function layOutKept(low: Lower, owner: number, wanted: readonly ProgramVariable[]): Kept {
  const slots = new Map<ProgramVariable, number>();
  let size = 0;
  for (const variable of wanted) {
    slots.set(variable, size);
    size += Math.max(8, align8(Math.min(largest, sizeOf(variable.type))));
  }
  return { map: low.assets.keptMap(keySize, size), owner, size, slots };
}

/** The key of this call. `afterReturn`: the program runs when the function has returned. */
function writeKey(low: Lower, kept: Kept, to: DirectPlace, afterReturn: boolean): void {
  const { b } = low;
  const registers = registersOf(low.options.target);
  b.store(to.base, to.offset, 8, b.call(bpfHelper.get_current_pid_tgid, []));
  const stack = b.load(low.context, registers.offsets[registers.stack] as number, 8);
  // The return address is popped: what lies between the arguments on the stack and the stack pointer.
  const same = afterReturn ? stack : b.alu('add', stack, { imm: registers.stackArguments });
  b.store(to.base, to.offset + 8, 8, same);
  b.store(to.base, to.offset + 16, 8, { imm: kept.owner });
}

/** The body of the program at the entry. */
export function keepArguments(low: Lower, kept: Kept): void {
  const { b } = low;
  const key = low.temporary(keySize);
  const value = low.scratch(kept.size);
  low.clear(value, kept.size);
  for (const [variable, offset] of kept.slots) {
    low.scoped(() => {
      const size = Math.min(largest, sizeOf(variable.type));
      low.copy(shifted(value, offset), placeOfLocation(low, variable.location, size), size);
    });
  }
  writeKey(low, kept, key, false);
  b.call(bpfHelper.map_update_elem, [b.map(kept.map), low.addressOf(key), low.addressOf(value), { imm: 0 }]);
}

/** The start of the program at the return: takes what was kept; leaves the probe when nothing was. */
export function recallArguments(low: Lower, kept: Kept): DirectPlace {
  const { b } = low;
  // Not a temporary: it is read until the program ends.
  const value = low.scratch(kept.size);
  low.scoped(() => {
    const key = low.temporary(keySize);
    const found = b.label();
    writeKey(low, kept, key, true);
    const address = b.call(bpfHelper.map_lookup_elem, [b.map(kept.map), low.addressOf(key)], 'pointer');
    b.branch('ne', address, { imm: 0 }, found);
    low.count(low.assets.globals.notKept);
    b.jump(low.exitLabel);
    b.place(found);
    low.copy(value, { kind: 'direct', base: address, offset: 0 }, kept.size);
    b.call(bpfHelper.map_delete_elem, [b.map(kept.map), low.addressOf(key)]);
  });
  return value;
}
